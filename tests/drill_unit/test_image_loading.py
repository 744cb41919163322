"""How the images get to a named cluster's nodes: which command, and what is said where there is none."""

import shlex
from pathlib import Path

import pytest

from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.domain.errors import DrillProblem, UsageProblem
from pytest_zkrollback.drill.image_loading import LOCAL_REPOSITORY, ImageSource, choose_images

DOCS = (Path(__file__).parents[2] / "docs" / "rehearse-on-your-cluster.md").read_text()


@pytest.fixture(autouse=True)
def programs(tmp_path, monkeypatch):
    """kind, k3d and minikube on PATH, each of which writes down how it was called."""
    for name in ("kind", "k3d", "minikube"):
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\necho "$(basename $0) $*" >> {tmp_path}/calls\n')
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


@pytest.mark.parametrize(
    ("context", "command"),
    [
        ("kind-kind", "kind load image-archive /x/images.tar --name kind"),
        ("kind-kind-2", "kind load image-archive /x/images.tar --name kind-2"),
        ("k3d-dev", "k3d image import /x/images.tar --mode direct --cluster dev"),
        ("minikube", "minikube image load /x/images.tar --profile minikube"),
    ],
)
def test_the_contexts_name_decides(programs, context, command):
    source = choose_images(context, None, None)
    source.load(Path("/x/images.tar"), LocalProcesses())
    assert (programs / "calls").read_text() == f"{command}\n"
    assert source.repository == LOCAL_REPOSITORY
    assert source.builds


@pytest.mark.parametrize("context", ["kind-NAME", "k3d-NAME", "minikube"])
def test_the_page_shows_the_commands_that_are_run(context):
    command = choose_images(context, None, None).command
    assert shlex.join(command).replace("'{archive}'", "FILE") in DOCS


def test_a_command_of_ones_own_may_have_the_archive_anywhere(programs):
    source = choose_images("prod-like", "kind load image-archive {archive} -n 'my cluster'", None)
    source.load(Path("/x/a b.tar"), LocalProcesses())
    assert (programs / "calls").read_text() == "kind load image-archive /x/a b.tar -n my cluster\n"


def test_images_that_are_there_and_those_that_are_pushed():
    there = choose_images("prod-like", None, "registry.example/zk/")
    assert (there.repository, there.builds) == ("registry.example/zk", False)
    pushed = choose_images("kind-kind", "registry=localhost:5000/zk", None)
    assert (pushed.repository, pushed.pushes, pushed.command) == ("localhost:5000/zk", True, ())


@pytest.mark.parametrize(
    ("context", "load", "image", "sentence"),
    [
        (
            "prod-like",
            None,
            None,
            "The context 'prod-like' has no name that kind, k3d or minikube gives. Say how",
        ),
        ("kind-kind", "kind load", None, r"--drill-load=kind load has no {archive} in it. Say how"),
        (
            "kind-kind",
            "kind '{archive}",
            None,
            "--drill-load=kind '{archive} is no command: No closing quotation",
        ),
        ("kind-kind", "absent {archive}", None, "and there is no absent on PATH: install it, or choose"),
        ("kind-kind", "registry=", None, "--drill-load= names no repository: give HOST/PATH"),
        ("kind-kind", None, "https://ghcr.io/x", "--drill-image=https://ghcr.io/x names no repository"),
        ("kind-kind", "kind {archive}", "ghcr.io/x", "give one of the two"),
    ],
)
def test_a_slip_is_one_sentence_that_names_the_ways(context, load, image, sentence):
    with pytest.raises(UsageProblem) as told:
        choose_images(context, load, image)
    assert sentence in str(told.value)
    assert str(told.value).endswith("helm did not run.")


def test_a_missing_kind_is_said_before_anything_begins(programs):
    (programs / "kind").unlink()
    with pytest.raises(UsageProblem, match="there is no kind on PATH"):
        choose_images("kind-kind", None, None)


def test_a_command_that_fails_is_shown_with_its_words():
    source = ImageSource("x", command=("sh", "-c", "echo no nodes found for cluster; exit 1", "{archive}"))
    with pytest.raises(DrillProblem, match=r"failed \(1\): no nodes found for cluster"):
        source.load(Path("/x"), LocalProcesses())


@pytest.mark.parametrize(
    ("load", "image"),
    [
        (None, "foo:1.0"),
        (None, "Foo/bar"),
        (None, "a//b"),
        (None, "x@sha256:1"),
        (None, "https://x.example/y"),
        ("registry=localhost:abc/x", None),
        ("registry=[::1/x", None),
        ("registry=a..b/x", None),
        ("registry=myreg", None),
        ("registry=myreg/x", None),
    ],
)
def test_what_is_no_repository_is_refused_before_anything_is_made(load, image):
    with pytest.raises(UsageProblem, match="helm did not run"):
        choose_images("kind-dev", load, image)


@pytest.mark.parametrize(
    ("load", "image", "repository"),
    [
        (None, "ghcr.io/team/zk-prova", "ghcr.io/team/zk-prova"),
        ("registry=localhost:5000/x", None, "localhost:5000/x"),
        ("registry=r.example/", None, "r.example"),
    ],
)
def test_a_repository_is_taken_as_it_is_given(load, image, repository):
    assert choose_images("kind-dev", load, image).repository == repository
