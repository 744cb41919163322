"""One thing is left wrong, or changed without harm: a few of the 2,000 that `make campaign` plays.

benchmarks/mutations.py; benchmarks/results/mutations.json holds the last whole campaign.
"""

import ast
import random
from pathlib import Path

import pytest

from support.mutations.campaign import Batch
from support.mutations.harmful import changed, fields

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "support" / "mutations"
BATCH = 1  # after a real rollback


@pytest.fixture(scope="module")
def batch(running_cluster, binaries, tmp_path_factory):
    found = Batch(running_cluster.cluster, tmp_path_factory.mktemp("mutations"), BATCH)
    yield found
    found.close()


@pytest.mark.parametrize("seed", [53, 54, 56])
@pytest.mark.parametrize("side", ["harmful", "harmless"])
def test_what_is_wrong_is_not_green_and_what_is_right_is(batch, side, seed):
    found = batch.play(side, seed)
    assert not found.is_wrong, found
    assert found.verdict == ("PASS" if side == "harmless" else "FAIL"), found


def test_what_changes_a_release_knows_nothing_of_what_judges_it():
    for path in sorted(FOLDER.glob("*.py")):
        imports = [each for each in ast.walk(ast.parse(path.read_text())) if isinstance(each, ast.ImportFrom)]
        ours = {
            each.module for each in imports if each.level == 0 and each.module.startswith("pytest_zkrollback")
        }
        allowed = {"domain.request", "report.redaction", "run.run"} if path.name == "campaign.py" else set()
        assert ours == {f"pytest_zkrollback.{name}" for name in allowed}, path.name


@pytest.mark.parametrize("value", [True, 3, "1.4", "500m", "http", ["a"], ["a", "b"], "RollingUpdate"])
def test_a_changed_value_is_another_one(value):
    for seed in range(20):
        assert changed(value, random.Random(seed)) != value


def test_names_are_no_fields():
    item = {"kind": "ConfigMap", "metadata": {"name": "a", "labels": {"b": "c"}}, "data": {"d": "e", "f": ""}}
    assert {path for path, _ in fields(item)} == {
        ("metadata",),
        ("metadata", "labels"),
        ("metadata", "labels", "b"),
        ("data",),
        ("data", "d"),
    }
