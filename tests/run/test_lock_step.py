"""Under the lock the release is looked at once more: what began since the plan refuses."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from pytest_zkrollback.domain.record import Guard
from pytest_zkrollback.release.history import ReleaseHistory
from pytest_zkrollback.run import lock_step
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
