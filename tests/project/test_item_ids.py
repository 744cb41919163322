"""The ids of the checklist's items stand in one module, and nowhere else as a literal."""

import ast
from pathlib import Path

import pytest

from pytest_zkrollback.domain import item_ids

PACKAGE = Path(__file__).parents[2] / "pytest_zkrollback"
IDS = {value for value in vars(item_ids).values() if isinstance(value, str) and value.islower()}
# The same word, where it means something else.
OTHER_THINGS = {
    "checklist/events/check.py": {"events"},  # kubectl get events
    "checklist/logs/check.py": {"logs"},  # kubectl logs
    "clients/helm.py": {"rollback"},  # helm rollback
    "checklist/smoke.py": {"smoke"},  # a key of the configuration
    "config/environment.py": {"logs", "smoke"},  # tables of the configuration
    "domain/decision.py": {"rollback"},  # a recommendation
    "domain/fleet.py": {"preflight"},  # a phase of a member's run
    "domain/record.py": {"rollback"},  # a mode
    "drill/named_context.py": {"events"},  # a resource
    "drill/supervised.py": {"logs"},  # a folder
    "drill/supervisor.py": {"logs"},  # the same
    "migrations/hooks.py": {"events"},  # of a Helm hook
    "notify/text.py": {"rollback"},  # the title of a message
    "plugin/__init__.py": {"rollback"},  # the fixture
    "plugin/fixtures.py": {"rollback"},  # the same
    "preflight/compare_revisions.py": {"events"},  # of a Helm hook
    "preflight/guards/__init__.py": {"migration", "notify"},  # guards
    "preflight/guards/cluster.py": {"notify"},
    "preflight/guards/release.py": {"migration"},
    "preflight/permissions.py": {"events"},  # a resource
    "release/helm_secret.py": {"events"},  # of a Helm hook
    "report/advised_steps.py": {"events", "logs", "rollback"},  # commands of helm and kubectl
    "report/fleet/folder.py": {"notify"},  # a field of the fleet's record
    "report/next_commands.py": {"migration", "rollback"},  # a guard, and what helm is asked for
    "report/terminal.py": {"preflight"},  # a phase of the run
    "rollback/journal.py": {"migration"},  # a key of an entry
    "run/fleet_teller.py": {"notify"},  # a field of the fleet's record
    "run/decision_step.py": {"preflight"},  # who answered a question
}


def literals(source):
    """Every text of the source that is an item id, or begins like a rollout's; docstrings are not looked at."""
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
    }
    return {text for text in texts if text in IDS or text.startswith(item_ids.ROLLOUT_PREFIX)}


def test_the_ids_are_those_of_the_module():
    assert {"release-equivalence", "rollback", "preflight", "rollout-", "notify"} <= IDS


def test_no_item_id_stands_elsewhere():
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        place = str(path.relative_to(PACKAGE))
        if place != "domain/item_ids.py" and (ids := literals(path.read_text(encoding="utf-8"))):
            found[place] = ids
    assert found == OTHER_THINGS


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('x = item.id == "release-equivalence"', {"release-equivalence"}),
        ('x = f"rollout-{name}"', {"rollout-"}),
        ('scribe.item("rollout-web", verdict=word)', {"rollout-web"}),
        ('"""release-equivalence"""\nx = "equal"', set()),
    ],
)
def test_a_literal_is_seen(source, found):
    assert literals(source) == found
