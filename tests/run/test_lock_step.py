"""Under the lock the release is looked at once more: what began since the plan refuses."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from pytest_zkrollback.domain.record import Guard, Plan
from pytest_zkrollback.release.history import ReleaseHistory
from pytest_zkrollback.run import lock_step
from pytest_zkrollback.run.results import ExpectedRelease
from support.preflight_facts import revision

AT = datetime(2026, 11, 23, 2, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("planned", "now", "refuses"),
    [
        ("deployed", "deployed", False),
        ("failed", "failed", False),
        ("pending-upgrade", "pending-upgrade", False),
        ("pending-upgrade", "failed", False),
        ("uninstalling", "uninstalling", False),
        ("deployed", "uninstalling", True),
        ("pending-upgrade", "uninstalling", True),
        ("deployed", "uninstalled", True),
        ("pending-upgrade", "uninstalled", True),
        ("failed", "uninstalled", True),
        ("deployed", "pending-rollback", True),
    ],
)
def test_case_a3_what_began_between_plan_and_helm_refuses(monkeypatch, planned, now, refuses):
    def history(status):
        return ReleaseHistory("default", "zkprova", (revision(5), revision(6, status)))

    monkeypatch.setattr(lock_step, "fetch_history", lambda *args, **kwargs: history(now))
    context = SimpleNamespace(
        kube=None,
        env=SimpleNamespace(namespace="default", release="zkprova"),
        request=SimpleNamespace(overrides={}, break_glass=None),
        recorder=SimpleNamespace(update=lambda **_: None),
    )
    found = lock_step._find_head(context, history(planned), 6, target=3)
    assert isinstance(found, Guard) is refuses
    if refuses:
        assert (found.id, found.state) == ("head", "refused")
        assert found.evidence == f"revision 6 is {now} since the plan, when it was {planned}"


@pytest.mark.parametrize(
    ("status", "head"),
    [("deployed", 7), ("failed", 7), ("pending-upgrade", None), ("pending-rollback", None)],
)
def test_a_failure_speaks_against_no_revision_while_another_helm_is_at_work(status, head):
    history = ReleaseHistory("default", "zkprova", (revision(6), revision(7, status)))
    assert lock_step.judged_head(ExpectedRelease(history, 7, Plan(), 7, history)) == head
