"""action.yml and the workflow that others copy, held against actionlint and zizmor."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.workflow_lint import actionlint, zizmor

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "action.yml", ROOT / ".github" / "workflows" / "rollback.yml"]


def test_zizmor_finds_nothing():
    done = zizmor(FILES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("go") is None, reason="actionlint is run by go, which is not installed")
def test_actionlint_finds_nothing():
    done = actionlint([FILES[1]])
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_action_is_pinned_and_rights_are_named_one_by_one():
    text = "".join(path.read_text(encoding="utf-8") for path in FILES)
    used = re.findall(r"uses: (\S+)", re.sub(r"(?m)^\s*#.*$", "", text))
    assert len(used) == 4
    for action in used:
        assert action == "./" or re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action), action
    assert "permissions: {}" in text and "write-all" not in text


@pytest.mark.parametrize(
    ("asked", "arguments"),
    [
        ({"WHAT": "verify"}, []),
        (
            {
                "WHAT": "rollback-to-commit",
                "TO": "3f9c2e1",
                "REASON": "crash; $(touch x) `id`\n--rollback-to=1",
            },
            [
                "--rollback-to-commit=3f9c2e1",
                "--rollback-confirm=production",
                "--rollback-reason=crash; $(touch x) `id` --rollback-to=1",
            ],
        ),
        ({"WHAT": "rollback-to-revision", "TO": "5"}, ["--rollback-to=5", "--rollback-confirm=production"]),
        ({"WHAT": "redeploy-main"}, ["--rollback-redeploy-main", "--rollback-confirm=production"]),
    ],
)
def test_what_is_typed_in_the_form_becomes_arguments_and_never_code(tmp_path, asked, arguments):
    import yaml

    steps = yaml.safe_load(FILES[1].read_text(encoding="utf-8"))["jobs"]["rollback"]["steps"]
    script = next(step["run"] for step in steps if step.get("id") == "arguments")
    output = tmp_path / "output"
    env = {"TO": "", "REASON": "", "ENVIRONMENT": "production", **asked, "GITHUB_OUTPUT": str(output)}
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=env, check=True)
    lines = output.read_text().splitlines()
    assert lines[0].startswith("lines<<") and lines[-1] == lines[0].removeprefix("lines<<")
    assert lines[1:-1] == arguments
    assert [path.name for path in tmp_path.iterdir()] == ["output"]
