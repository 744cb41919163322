"""What hooks of rolled-away revisions left there, by Helm's own records."""

from datetime import UTC, datetime

import pytest

from pytest_zkrollback.domain.record import Revision
from pytest_zkrollback.release.helm_secret import Release
from pytest_zkrollback.release.hook_objects import left_by_hooks

AT = datetime(2026, 1, 1, tzinfo=UTC)


def release(number: int, text: str, began: str) -> Release:
    manifest = f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: c}}, data: {{a: {text}}}}}"
    ran = {"phase": "Succeeded", "started_at": began}
    hook = {
        "name": "c",
        "kind": "ConfigMap",
        "events": ["pre-upgrade"],
        "manifest": manifest,
        "last_run": ran,
    }
    revision = Revision(revision=number, status="superseded", chart="x-1", deployed_at=AT)
    return Release(revision, "", (hook,))


# Revision 3 is the rollback to 1: helm copies the hooks of 1, with the time at which they ran.
@pytest.mark.parametrize(
    "after", [(), (release(3, "good", "t1"),)], ids=["before helm", "after the rollback"]
)
@pytest.mark.parametrize(("second", "left"), [("good", []), ("bad", [2])])
def test_what_the_targets_own_hook_made_alike_was_not_left_by_another(second, left, after):
    history = (release(1, "good", "t1"), release(2, second, "t2"), *after)
    found = left_by_hooks(history, [2], "n")
    assert [number for number, _ in found.values()] == left


def test_what_a_hook_made_again_since_is_left_by_nobody():
    history = (release(1, "good", "t1"), release(2, "bad", "t2"), release(3, "good", "t3"))
    assert left_by_hooks(history, [2], "n") == {}
