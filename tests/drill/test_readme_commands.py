"""README's commands of the drill, typed one after the other in one shell, as they stand there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import blocks_of

ROOT = Path(__file__).parents[2]
# It needs root on Linux: a test of its own.
ON_A_KUBELET = "pytest --env=drill --drill-kubelet --rollback-to=5"
# It needs a cluster that is there already: test_named_context.py types it.
ELSEWHERE = "--drill-context"
EXPORT = "export KUBECONFIG=... PATH=..."
KEEP = "pytest --env=drill --drill-keep"
LIST = "pytest --env=drill --rollback-list"


def drill_block():
    [block] = [each for each in blocks_of((ROOT / "README.md").read_text(encoding="utf-8")) if KEEP in each]
    return block


def typed_here():
    return [line for line in drill_block() if line != ON_A_KUBELET and ELSEWHERE not in line]


@pytest.fixture
def checkout(tmp_path, binaries):
    """What a checkout has that these commands need; a drill that is kept there is nobody else's."""
    for name in ("conftest.py", "checks", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "HELM"))}
    environ |= {"XDG_STATE_HOME": str(tmp_path / "state")}
    yield tmp_path, environ
    subprocess.run(
        [sys.executable, "-m", "pytest", "--drill-stop"], cwd=tmp_path, env=environ, check=False, timeout=120
    )


def test_the_drill_of_the_readme_can_be_typed_as_it_stands(checkout):
    folder, environ = checkout
    commands = typed_here()
    assert commands[0] == ". .venv/bin/activate"
    assert {EXPORT, KEEP, "pytest --drill-stop"} < set(commands)
    script, codes = ["set -u"], folder / "codes"
    for number, line in enumerate(commands):
        # What a person types is what was printed.
        typed = f'eval "$(grep -o "export [A-Z]*=.*" {number - 1}.out)"' if line == EXPORT else line
        script += [f"{{ {typed}; }} > {number}.out 2>&1; echo $? >> {codes}"]
        script += [f"cp -f reports/latest.json {number}.json 2>/dev/null || :"]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=folder, env=environ, check=False, timeout=900
    )
    said = {line: (folder / f"{number}.out").read_text() for number, line in enumerate(commands)}
    assert done.returncode == 0, said
    ended = dict(zip(commands, map(int, codes.read_text().split()), strict=True))
    assert ended == {line: int(line == KEEP) for line in commands}, said

    records = {
        line: json.loads((folder / f"{number}.json").read_text())
        for number, line in enumerate(commands)
        if (folder / f"{number}.json").is_file()
    }
    by_hand = next(line for line in commands if line.startswith("helm rollback"))
    assert [
        (records[line]["mode"], records[line]["outcome"], records[line]["helm"]["ran"])
        for line in ("pytest --env=drill --rollback-to=5", KEEP, by_hand)
    ] == [("rollback", "verified", True), ("verify", "failed", False), ("verify", "verified", False)]
    assert "Rollback was a success!" in said[by_hand]
    assert said[LIST].endswith("  pytest --env=drill --rollback-to=5\n")
    assert not list((folder / "state").rglob("state.json")), "the kept drill has ended"


def test_the_kubelets_line_too(checkout, node_binaries):
    folder, environ = checkout
    assert ON_A_KUBELET in drill_block()
    typed = f". .venv/bin/activate && {ON_A_KUBELET}"
    done = subprocess.run(
        ["bash", "-c", typed],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((folder / "reports" / "latest.json").read_text())
    assert (record["mode"], record["outcome"], record["helm"]["ran"]) == ("rollback", "verified", True)


def test_the_line_for_another_cluster_is_typed_elsewhere():
    [line] = [each for each in drill_block() if ELSEWHERE in each]
    assert line == "pytest --env=drill --drill-context=kind-kind --rollback-to=5"
    other = (Path(__file__).parent / "test_named_context.py").read_text(encoding="utf-8")
    assert {"--drill-context=", "--rollback-to=5"} <= set(re.findall(r"--[a-z-]+=5?", other))
