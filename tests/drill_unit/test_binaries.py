"""Which programs the drill takes, what it builds, and what it says if it can do neither."""

import re
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_zkrollback.domain.errors import DrillProblem, ProcessProblem
from pytest_zkrollback.domain.ports import Finished
from pytest_zkrollback.drill import programs as drill_programs
from pytest_zkrollback.drill.binaries import cache_folder, find_binaries
from pytest_zkrollback.drill.build import place
from pytest_zkrollback.drill.locks import exclusive, is_locked
from pytest_zkrollback.drill.programs import HELM3, KUBELET, NODE_TOOLS, PROMETHEUS, TOOLS, ZKPROVA

SAYS = {
    "etcd": "etcd Version: 3.7.3\nGit SHA: Not provided\n",
    "kwok": "kwok version v0.8.0 go1.26.8 (linux/amd64)\n",
    "kubectl": "Client Version: v1.37.2\nKustomize Version: v5.8.1\n",
    "kube-scheduler": "Kubernetes v1.37.2\n",
    "kube-apiserver": "Kubernetes v1.37.2\n",
    "kube-controller-manager": "Kubernetes v1.37.2\n",
    "helm": "v4.3.1",
    "helm3": "v3.22.0",
    "kubelet": "Kubernetes v1.37.2\n",
    "prometheus": "prometheus, version v0.316.0 (branch: non-git, revision: unknown)\n",
    "zkprova": f"zkprova {ZKPROVA.version}\n",
}
NAMES = [tool.name for tool in TOOLS]
WITH_HELM3 = (*TOOLS, HELM3)
BY_NAME = {tool.name: tool for tool in WITH_HELM3}


class Programs:
    """Answers for programs by their path; builds by making a file. Any other call fails the test."""

    def __init__(self) -> None:
        self.says: dict[str, str] = {}
        self.go: Callable[..., Finished] | None = None
        self.builds: list[dict[str, object]] = []

    def run(self, argv, *, timeout_s, env=None, cwd=None, on_line=None, on_start=None, limit_bytes=0):
        if argv[1] == "build":
            self.builds.append({"argv": argv, "env": env, "cwd": cwd})
            assert (cwd / "go.mod").is_file()
            assert (cwd / "go.sum").is_file()
            if self.go is not None:
                return self.go(argv, cwd, on_line)
            return build(argv, cwd, on_line)
        if argv[0] not in self.says:
            raise AssertionError(f"not told of {argv}")
        said = self.says[argv[0]]
        if said == "cannot start":
            raise ProcessProblem("cannot start")
        return Finished(tuple(argv), 0, said, said, "", 0.0)


def build(argv, cwd: Path, on_line) -> Finished:
    on_line("go: downloading example.org/some v1.0.0")
    on_line("example.org/some/package")
    program = cwd / argv[argv.index("-o") + 1]
    program.write_text("built")
    program.chmod(0o755)
    return Finished(tuple(argv), 0, "", "", "", 0.0)


class Steps:
    """A clock that goes on by a second every time it is asked."""

    def __init__(self) -> None:
        self.at = 0.0

    def monotonic_s(self) -> float:
        self.at += 1
        return self.at


@pytest.fixture
def programs() -> Programs:
    return Programs()


@pytest.fixture
def machine(tmp_path: Path, programs: Programs):
    """A machine with folders for PATH, KUBEBUILDER_ASSETS and the cache, and a way to put programs there."""

    class Machine:
        path, assets, cache = (tmp_path / name for name in ("path", "assets", "cache"))

        def __init__(self) -> None:
            self.path.mkdir()
            self.assets.mkdir()
            self.said = []

        def put(self, folder: Path, name: str, says: str) -> Path:
            program = folder / name
            program.write_text("")
            program.chmod(0o755)
            programs.says[str(program)] = says
            return program

        def put_all(self, folder: Path, *without: str) -> dict[str, Path]:
            return {name: self.put(folder, name, SAYS[name]) for name in NAMES if name not in without}

        def find(self, **given) -> dict[str, Path]:
            environ = {
                "PATH": str(self.path),
                "KUBEBUILDER_ASSETS": str(self.assets),
                "XDG_CACHE_HOME": str(self.cache),
                "GOFLAGS": "-mod=vendor",
                "GOOS": "plan9",
            }
            return find_binaries(
                processes=programs, progress=self.said.append, clock=Steps(), environ=environ, **given
            )

        @property
        def bin(self) -> Path:
            return self.cache / "pytest-zkrollback" / "bin"

        def built(self, name: str) -> Path:
            return place(self.bin, BY_NAME[name])

        def in_cache(self) -> set[Path]:
            return {path for path in self.bin.rglob("*") if path.is_file()}

    return Machine()


def test_what_serves_on_path_is_taken_and_nothing_is_built(machine) -> None:
    on_path = machine.put_all(machine.path)
    assert machine.find() == on_path
    assert machine.said == []


def test_the_assets_folder_goes_before_path(machine) -> None:
    machine.put_all(machine.path)
    in_assets = machine.put_all(machine.assets)
    assert machine.find() == in_assets


def test_an_unfit_one_in_the_assets_folder_gives_way_to_path(machine) -> None:
    on_path = machine.put_all(machine.path)
    machine.put(machine.assets, "etcd", "etcd Version: 3.4.9\n")
    assert machine.find()["etcd"] == on_path["etcd"]


@pytest.mark.parametrize(
    ("name", "says", "serves"),
    [
        *((name, SAYS[name], True) for name in NAMES),
        ("etcd", "etcd Version: 3.5.0\n", True),
        ("etcd", "etcd Version: 3.10.1\n", True),
        ("etcd", "etcd Version: 3.4.27\n", False),
        ("etcd", "etcd Version: 2.3.8\n", False),
        ("kubectl", "Client Version: v1.32.4-dispatcher\nKustomize Version: v5.5.0\n", False),
        ("kubectl", "Client Version: v1.37.0\n", True),
        ("kubectl", "Client Version: v1.3.0\n", False),
        ("kube-apiserver", "Kubernetes v1.36.9\n", False),
        ("kube-apiserver", "Kubernetes v1.371.0\n", False),
        ("kube-apiserver", "Kubernetes v0.0.0-master+$Format:%H$\n", False),
        ("kwok", "kwok version v0.7.0 go1.24 (linux/amd64)\n", False),
        ("helm", "v3.22.0", False),
        ("helm", "v4.0.0-rc.1", True),
        ("helm", "v40.0.0", False),
        ("helm", "", False),
        ("helm", "cannot start", False),
    ],
)
def test_only_versions_that_serve_are_taken_from_path(machine, programs, name, says, serves) -> None:
    machine.put_all(machine.path, name)
    program = machine.put(machine.path, name, says)
    if serves:
        assert machine.find()[name] == program
    else:
        with pytest.raises(DrillProblem, match=re.escape(str(program))):
            machine.find()


def test_helm_may_be_called_helm4_and_helm3_may_be_called_helm(machine) -> None:
    found = machine.put_all(machine.path, "helm")
    found["helm"] = machine.put(machine.path, "helm4", "v4.1.0")
    found["helm3"] = machine.put(machine.path, "helm", "v3.19.0")
    assert machine.find(tools=WITH_HELM3) == found


def test_helm3_is_looked_for_only_if_asked_for(machine) -> None:
    found = machine.put_all(machine.path)
    assert "helm3" not in machine.find()
    helm3 = machine.put(machine.path, "helm3", SAYS["helm3"])
    assert machine.find(tools=WITH_HELM3) == {**found, "helm3": helm3}


def test_what_was_built_before_needs_no_go(machine) -> None:
    built = {name: machine.built(name) for name in NAMES}
    for program in built.values():
        program.parent.mkdir(parents=True)
        program.write_text("built")
        program.chmod(0o755)
    assert machine.find() == built


def test_without_go_one_sentence_names_the_ways_out(machine) -> None:
    machine.put_all(machine.path, "kubectl", "kwok")
    kubectl = machine.put(machine.path, "kubectl", "Client Version: v1.32.4-dispatcher\n")
    with pytest.raises(DrillProblem) as caught:
        machine.find()
    assert str(caught.value) == (
        f"The drill needs kwok 0.8, kubectl 1.37 (found, but it does not serve: {kubectl} (Client Version:"
        " v1.32.4-dispatcher; needed: 1.37)), and there is no go command to build what is missing: install Go"
        " 1.26 or newer (it is then built, usually 7 to 20 minutes on 2 cores, once), or put these programs"
        " on PATH or into the folder that KUBEBUILDER_ASSETS names."
    )


def test_what_is_missing_is_built_with_clean_flags_in_a_folder_of_our_own(machine, programs) -> None:
    go = machine.put(machine.path, "go", "")
    on_path = machine.put_all(machine.path, "helm", "kubectl")
    built = {name: machine.built(name) for name in ("helm", "kubectl")}
    assert machine.find() == {**on_path, **built}
    kubectl, helm = programs.builds
    assert kubectl["argv"] == [
        *(str(go), "build", "-v", "-trimpath", "-ldflags"),
        "-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2"
        " -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37",
        *("-o", "kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    ]
    assert helm["argv"][5:] == [
        "-s -w -X helm.sh/helm/v4/internal/version.version=v4.3.1",
        *("-o", "helm", "helm.sh/helm/v4/cmd/helm"),
    ]
    assert kubectl["env"] == {
        "PATH": str(machine.path),
        "KUBEBUILDER_ASSETS": str(machine.assets),
        "XDG_CACHE_HOME": str(machine.cache),
        "GOWORK": "off",
        "GOFLAGS": "-mod=readonly",
        "CGO_ENABLED": "0",
        "GO111MODULE": "on",
    }
    assert machine.cache in kubectl["cwd"].parents
    assert machine.in_cache() == set(built.values())
    assert {path.name for path in machine.bin.parent.iterdir()} == {"bin", "bin.lock"}
    assert machine.said[0] == (
        "Building kubectl v1.37.2 (1 of 2): begun; 2 s in all so far, usually 7 to 20 minutes on 2 cores, once"
    )


def test_the_demo_application_alone_is_not_said_to_take_ten_minutes(machine) -> None:
    with pytest.raises(
        DrillProblem, match=r"\(it is then built, usually less than a minute on 2 cores, once\)"
    ):
        machine.find(tools=(ZKPROVA,))
    machine.put(machine.path, "go", "")
    machine.find(tools=(ZKPROVA,))
    assert machine.said[0] == (
        f"Building zkprova {ZKPROVA.version} (1 of 1): begun; 2 s in all so far, usually less than a minute on 2"
        " cores, once"
    )


def test_a_demo_application_of_other_sources_is_not_taken(machine) -> None:
    other = machine.put(machine.path, "zkprova", "zkprova 0123456789abcdef\n")
    with pytest.raises(
        DrillProblem, match=re.escape(f"{other} (zkprova 0123456789abcdef; needed: of the same sources)")
    ):
        machine.find(tools=(ZKPROVA,))


def test_progress_says_how_far_it_is_but_not_with_every_line(machine, programs) -> None:
    def long_build(argv, cwd: Path, on_line) -> Finished:
        for number in range(10):
            on_line(f"go: downloading example.org/m{number} v1.0.0")
        for number in range(20):
            on_line(f"example.org/m{number}")
        return build(argv, cwd, on_line)

    programs.go = long_build
    machine.put(machine.path, "go", "")
    machine.put_all(machine.path, "etcd")
    machine.find()
    assert [line.partition("): ")[2].partition(";")[0] for line in machine.said] == [
        "begun",
        "5 modules downloaded",
        "10 modules downloaded",
        "5 packages compiled",
        "10 packages compiled",
        "15 packages compiled",
        "20 packages compiled",
    ]


def test_a_failed_build_shows_gos_last_words_and_leaves_nothing_half_done(machine, programs) -> None:
    def failing(argv, cwd, on_line) -> Finished:
        (cwd / "kwok").write_text("half")
        stderr = "".join(f"line {number}\n" for number in range(20)) + "go: no space left on device\n"
        return Finished(tuple(argv), 1, stderr, "", stderr, 1.0)

    programs.go = failing
    machine.put(machine.path, "go", "")
    machine.put_all(machine.path, "kwok")
    with pytest.raises(DrillProblem) as caught:
        machine.find()
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        "The drill's kwok could not be built: go build ended with exit code 1. Go 1.26 or newer, its module"
        " proxy and about 8 GB of room for its caches are needed. Its last words:"
    )
    assert lines[1:] == [*(f"  line {number}" for number in range(9, 20)), "  go: no space left on device"]
    assert machine.in_cache() == set()
    assert not machine.bin.with_name("bin.building").exists()


def test_an_interrupted_build_keeps_what_is_complete_and_the_next_one_goes_on(machine, programs) -> None:
    def interrupted(argv, cwd, on_line) -> Finished:
        if len(programs.builds) == 2:
            raise KeyboardInterrupt
        return build(argv, cwd, on_line)

    programs.go = interrupted
    machine.put(machine.path, "go", "")
    machine.put_all(machine.path, "kwok", "etcd")
    with pytest.raises(KeyboardInterrupt):
        machine.find()
    assert machine.in_cache() == {machine.built("etcd")}
    machine.find()
    assert [b["argv"][-1].rpartition("/")[2] for b in programs.builds] == ["v3", "kwok", "kwok"]


def test_what_a_killed_build_left_is_swept_away(machine) -> None:
    left = machine.bin.with_name("bin.building") / "cluster"
    left.mkdir(parents=True)
    (left / "go.mod").write_text("broken")
    machine.put(machine.path, "go", "")
    machine.put_all(machine.path, "kwok")
    assert machine.find()["kwok"].read_text() == "built"
    assert not left.exists()


def test_a_second_run_waits_for_the_first_and_does_not_build_again(machine, programs) -> None:
    machine.put(machine.path, "go", "")
    machine.put_all(machine.path, "kwok")
    kwok = machine.built("kwok")
    kwok.parent.mkdir(parents=True)
    found: list[dict[str, Path]] = []
    lock = machine.bin.with_name("bin.lock")
    with exclusive(lock, lambda: pytest.fail("nobody else is there")):
        second = threading.Thread(target=lambda: found.append(machine.find()))
        second.start()
        while not machine.said:
            pass
        kwok.write_text("built by the first")
    second.join(5)
    assert machine.said == ["Another run is building the drill's programs; waiting for it"]
    assert found[0]["kwok"].read_text() == "built by the first"
    assert programs.builds == []


def test_a_cache_that_is_no_folder_is_named(machine) -> None:
    machine.put(machine.path, "go", "")
    machine.put_all(machine.path, "kwok")
    machine.cache.write_text("a file")
    with pytest.raises(DrillProblem) as caught:
        machine.find()
    assert str(caught.value) == (
        f"The drill's programs cannot be built into {machine.bin}: Not a directory. Set XDG_CACHE_HOME to a"
        " folder with 1 GB of room."
    )


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {"HOME": "/home/ada"}, "/home/ada/.cache/pytest-zkrollback"),
        ("linux", {"HOME": "/home/ada", "XDG_CACHE_HOME": ""}, "/home/ada/.cache/pytest-zkrollback"),
        ("linux", {"HOME": "/home/ada", "XDG_CACHE_HOME": "relative"}, "/home/ada/.cache/pytest-zkrollback"),
        ("linux", {"HOME": "/home/ada", "XDG_CACHE_HOME": "/big"}, "/big/pytest-zkrollback"),
        ("darwin", {"HOME": "/Users/ada"}, "/Users/ada/Library/Caches/pytest-zkrollback"),
        ("darwin", {"HOME": "/Users/ada", "XDG_CACHE_HOME": "/big"}, "/big/pytest-zkrollback"),
    ],
)
def test_the_cache_is_where_the_system_wants_it(monkeypatch, platform, environ, expected) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder(environ) == Path(expected)


@pytest.mark.parametrize("tool", [*WITH_HELM3, KUBELET, PROMETHEUS], ids=lambda tool: tool.name)
def test_what_is_built_would_serve_from_path_too(tool) -> None:
    says = SAYS[tool.name]
    assert re.search(tool.serves, says)
    assert tool.version.removeprefix("v") in says  # the recorded answer is that of the committed go.mod


def test_the_digest_changes_with_what_goes_in(monkeypatch, tmp_path: Path) -> None:
    before = KUBELET.digest
    assert re.fullmatch(r"[0-9a-f]{16}", before)
    assert KUBELET.digest == before
    all_tools = (*WITH_HELM3, *NODE_TOOLS, PROMETHEUS)
    assert len({tool.digest for tool in all_tools}) == len(all_tools)
    monkeypatch.setattr(drill_programs.platform, "machine", lambda: "other")
    assert KUBELET.digest != before


def test_a_program_is_built_again_when_a_file_of_its_own_module_changes_and_no_other(
    monkeypatch, tmp_path
) -> None:
    modules = tmp_path / "go"
    shutil.copytree(drill_programs.MODULES, modules)
    monkeypatch.setattr(drill_programs, "MODULES", modules)
    kubelet, containerd = KUBELET.digest, NODE_TOOLS[1].digest
    (modules / "node" / "more.go").write_text("package main\n")
    assert KUBELET.digest == kubelet
    assert NODE_TOOLS[1].digest != containerd


def test_without_a_c_compiler_the_sentence_comes_before_any_build(machine, programs) -> None:
    machine.put(machine.path, "go", "")
    with pytest.raises(DrillProblem) as caught:
        machine.find(tools=NODE_TOOLS)
    assert str(caught.value) == (
        "The drill's runc has C code and there is no gcc to build it: install gcc and the C library's headers"
        " (Debian: apt-get install gcc libc6-dev)."
    )
    assert programs.builds == []


def test_runc_is_linked_statically_and_nothing_else_has_c_code(machine, programs) -> None:
    machine.put(machine.path, "go", "")
    machine.put(machine.path, "gcc", "")
    machine.find(tools=(NODE_TOOLS[1], NODE_TOOLS[-1]))
    containerd, with_c = programs.builds
    assert containerd["env"]["CGO_ENABLED"] == "0"
    assert with_c["env"]["CGO_ENABLED"] == "1"
    assert with_c["argv"][4:8] == [
        *("-tags", "netgo osusergo"),
        *("-ldflags", '-s -w -linkmode external -extldflags "-static"'),
    ]


def test_a_nodes_programs_are_never_taken_from_path(machine, programs) -> None:
    machine.put(machine.path, "go", "")
    machine.put(machine.path, "containerd", "containerd github.com/containerd/containerd/v2 v2.4.2\n")
    assert machine.find(tools=NODE_TOOLS[1:2])["containerd"].parent != machine.path


def test_the_committed_modules_hold_no_host_of_a_registry_and_no_path_of_a_machine() -> None:
    for path in drill_programs.MODULES.rglob("go.*"):
        text = path.read_text()
        assert not re.search(r"/root|/home|/tmp|proxy\.", text), path


def test_a_lock_is_seen_while_it_is_held(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert not is_locked(lock)
    with exclusive(lock, lambda: None):
        assert is_locked(lock)
    assert not is_locked(lock)
