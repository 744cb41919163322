"""The program in runc's place takes the seccomp profile out, and is runc in everything else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from pytest_zkrollback.drill.without_seccomp import write_launcher


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    """Before a runc that prints its arguments, one a line."""
    runc = tmp_path / "it's runc"
    runc.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    runc.chmod(0o755)
    write_launcher(tmp_path / "launcher", runc)
    return tmp_path / "launcher"


def runs(launcher: Path, *args: str, cwd: Path | None = None) -> list[str]:
    done = subprocess.run([launcher, *args], capture_output=True, text=True, check=True, cwd=cwd)
    return done.stdout.splitlines()


def bundle(folder: Path) -> Path:
    folder.mkdir()
    linux = {"seccomp": {"defaultAction": "SCMP_ACT_ERRNO"}, "namespaces": [{"type": "pid"}]}
    (folder / "config.json").write_text(json.dumps({"ociVersion": "1.2.1", "linux": linux}))
    return folder


WITHOUT = {"ociVersion": "1.2.1", "linux": {"namespaces": [{"type": "pid"}]}}


@pytest.mark.parametrize("verb", ["create", "run"])
@pytest.mark.parametrize("option", [("--bundle", "{}"), ("-b", "{}"), ("--bundle={}",)])
def test_a_container_starts_without_its_profile(launcher, tmp_path, verb, option) -> None:
    folder = bundle(tmp_path / "a bundle")
    args = ["--root", "/run/runc", verb, *(each.format(folder) for each in option), "--pid-file", "x", "id"]
    assert runs(launcher, *args) == args
    assert json.loads((folder / "config.json").read_text()) == WITHOUT


def test_a_bundle_that_is_not_named_is_the_current_folder(launcher, tmp_path) -> None:
    folder = bundle(tmp_path / "here")
    assert runs(launcher, "run", "id", cwd=folder) == ["run", "id"]
    assert json.loads((folder / "config.json").read_text()) == WITHOUT


@pytest.mark.parametrize("args", [["start", "id"], ["kill", "id", "9"], ["features"], ["--version"]])
def test_everything_else_is_runcs_own(launcher, tmp_path, args) -> None:
    folder = bundle(tmp_path / "here")
    before = (folder / "config.json").read_text()
    assert runs(launcher, *args, cwd=folder) == args
    assert (folder / "config.json").read_text() == before


def test_a_container_without_a_profile_is_left_as_it_is(launcher, tmp_path) -> None:
    (tmp_path / "config.json").write_text('{"process":  {}}')
    assert runs(launcher, "create", "--bundle", str(tmp_path), "id")[0] == "create"
    assert (tmp_path / "config.json").read_text() == '{"process":  {}}'
