"""What is said where a node cannot live on the machine; what it says where it can is tests/drill's."""

import os
import re
from pathlib import Path

import pytest

from pytest_zkrollback.domain.errors import ProcessProblem, UsageProblem
from pytest_zkrollback.domain.ports import Finished
from pytest_zkrollback.drill import box, cgroups
from pytest_zkrollback.drill.node_requirements import refuse_unfit_machine

END = (
    "A drill without a kubelet needs none of this: leave --drill-kubelet away; or drill on a cluster that you"
    " have, with --drill-context=NAME. Nothing was started; helm did not run."
)


class Box:
    """Stands for the trial of the namespaces."""

    def __init__(self, code: int = 0, says: str = "") -> None:
        self.code, self.says = code, says

    def run(self, argv, *, timeout_s, env=None, **_) -> Finished:
        assert argv[0] == "unshare"
        assert argv[-1] == "--check"
        if self.code < 0:
            raise ProcessProblem(self.says)
        return Finished(tuple(argv), self.code, self.says, "", self.says, 0.0)


@pytest.fixture
def machine(monkeypatch, tmp_path: Path) -> dict[str, str]:
    """Linux, root, with all programs and no cgroups of this machine."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(cgroups, "hierarchies", lambda: [tmp_path])
    for name in box.PROGRAMS:
        (tmp_path / name).touch(mode=0o755)
    return {"PATH": str(tmp_path)}


def said(processes: Box, environ: dict[str, str], platform: str = "linux") -> str:
    with pytest.raises(UsageProblem) as caught:
        refuse_unfit_machine(processes, environ, platform)
    assert str(caught.value).endswith(END)
    return str(caught.value).removesuffix(END).strip()


def test_a_machine_with_everything_is_taken(machine) -> None:
    refuse_unfit_machine(Box(), machine, "linux")


def test_it_has_to_be_linux(machine) -> None:
    assert said(Box(), machine, "darwin") == (
        "--drill-kubelet needs Linux, and this is darwin: a kubelet runs nowhere else."
    )


def test_it_has_to_be_root(machine, monkeypatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert said(Box(), machine) == (
        "--drill-kubelet needs root, because it makes namespaces, mounts and cgroups, and this is user 1000. Run"
        " it as root, or in a container with --privileged."
    )


def test_missing_programs_are_named(machine, tmp_path: Path) -> None:
    (tmp_path / "nsenter").unlink()
    (tmp_path / "ip").unlink()
    assert said(Box(), machine) == (
        "--drill-kubelet needs nsenter, ip, not found on PATH: install util-linux and iproute2."
    )


@pytest.mark.parametrize(
    ("trial", "why"),
    [
        (
            Box(1, "unshare: unshare failed: Operation not permitted\n"),
            "unshare: unshare failed: Operation not permitted",
        ),
        (Box(1, "no cgroups are mounted on this machine\n"), "no cgroups are mounted on this machine"),
        (Box(-1, "unshare did not start"), "unshare did not start"),
        (Box(1), "it does not say why"),
    ],
)
def test_what_the_kernel_refuses_is_passed_on(machine, trial: Box, why: str) -> None:
    text = said(trial, machine)
    assert text.startswith(
        f"--drill-kubelet cannot make a node on this machine: {why}. A node needs namespaces,"
    )
    assert re.search("a container has them only with --privileged", text)


def test_cgroups_of_a_dead_drill_are_swept_and_those_of_a_living_one_are_not(
    monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cgroups, "hierarchies", lambda: [tmp_path / "cpu", tmp_path / "memory"])
    for each in ("cpu", "memory"):
        (tmp_path / each / "zkrollback-drill-dead" / "kubepods" / "pod1").mkdir(parents=True)
        (tmp_path / each / "somebody-else").mkdir()
    locks = cgroups.make("zkrollback-drill-lives")
    cgroups.sweep()
    for each in ("cpu", "memory"):
        assert {path.name for path in (tmp_path / each).iterdir()} == {
            "somebody-else",
            "zkrollback-drill-lives",
        }
    for fd in locks:
        os.close(fd)
    cgroups.sweep()
    assert {path.name for path in (tmp_path / "cpu").iterdir()} == {"somebody-else"}


def test_the_hierarchies_of_both_cgroup_versions_are_found(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n")
    assert cgroups.hierarchies(mounts) == [Path("/sys/fs/cgroup")]
    mounts.write_text(
        "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncpu /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"
        "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
    )
    assert cgroups.hierarchies(mounts) == [Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/unified")]
