"""Under the lock the release is looked at once more: what began since the plan refuses."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from pytest_zkrollback.domain.record import Guard, Plan
from pytest_zkrollback.domain.request import Request
from pytest_zkrollback.release.history import ReleaseHistory
from pytest_zkrollback.rollback.lock import AcquiredLock
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


VERIFIED = {"verified_revision": 7, "verified_at": "2026-11-23T02:00:00Z", "run_id": "aaaa"}


@pytest.mark.parametrize(
    ("journal", "overrides", "consented", "refuses"),
    [
        (None, {}, (), True),
        (None, {"target": "it is meant"}, (), False),
        (None, {}, ("target",), False),
        ((), {}, (), False),
    ],
    ids=["not read", "not read, overridden", "not read, consented", "read: the guard has judged it"],
)
def test_a_journal_that_the_preflight_could_not_read_is_judged_under_the_lock(
    monkeypatch, journal, overrides, consented, refuses
):
    """Back and forth: revision 7 went back to 2, and was verified; 3 is what it left."""
    history = ReleaseHistory(
        "default",
        "zkprova",
        (
            revision(2),
            revision(3),
            revision(5, rollback_of=2, manifest="# 2"),
            revision(6, rollback_of=3, manifest="# 3"),
            revision(7, "deployed", rollback_of=2, manifest="# 2"),
        ),
    )
    monkeypatch.setattr(lock_step, "fetch_history", lambda *args, **kwargs: history)
    unlocked, noted = [], []
    context = SimpleNamespace(
        run_id="bbbb",
        operator="ann",
        kube=None,
        cluster="c",
        clock=None,
        env=SimpleNamespace(namespace="default", release="zkprova"),
        request=Request("test", target=3, overrides=overrides),
        recorder=SimpleNamespace(
            add=lambda **kept: noted.append(kept), event=lambda *_: None, update=lambda **_: None
        ),
        redactor=SimpleNamespace(text=lambda text: text),
    )
    lock = SimpleNamespace(acquire=lambda *args, **kwargs: AcquiredLock("bbbb", None, (VERIFIED,)))
    monkeypatch.setattr(lock_step, "unlock", lambda *args: unlocked.append(args[-1]))
    preflight = SimpleNamespace(overridden=frozenset(consented), lock_holder="", journal=journal, lock=None)
    found = lock_step.acquire_lock(context, lock, history, 3, preflight)
    if not refuses:
        assert (found, unlocked) == (7, [])
        assert bool(noted) is bool(overrides)
        return
    assert (found.id, found.state, unlocked) == ("target", "refused", [{"outcome": "refused"}])
    assert found.evidence.endswith(
        "and this tool verified what revision 7 holds; the journal was read under the lock"
    )


PLANNED = {"installed": "2026-11-23T02:00:00Z", "uid": "uid-6"}


@pytest.mark.parametrize(
    ("now", "why"),
    [
        ({}, ""),
        ({"stored": "4711", "hooks": ({"last_run": {"phase": "Failed"}},)}, ""),  # helm writes it again
        (
            {"installed": "2026-11-23T02:31:00Z", "uid": "uid-9", "manifest": "# anew"},
            "the release was first deployed at 2026-11-23T02:31:00Z",
        ),
        ({"uid": "uid-9"}, "its Secret was made anew"),
        ({"manifest": "# edited"}, "it holds other objects"),
        ({"hooks": ({"manifest": "kind: Job", "events": ["pre-rollback"]},)}, "it holds other objects"),
    ],
)
@pytest.mark.parametrize("number", [6, 3])  # the current one, and the target
def test_case_p3_b3_the_same_number_is_not_the_same_release(monkeypatch, number, now, why):
    """Uninstalled, installed and upgraded again while a slow helm told its version."""
    hooks = {"hooks": ({},)} if "stored" in now else {}
    three, six = ({**PLANNED, **hooks, **(now if each == number else {})} for each in (3, 6))
    planned = {**PLANNED, **hooks}
    before = (revision(3, **planned), revision(6, "deployed", **planned))
    after = (revision(3, **three), revision(6, "deployed", **six))
    monkeypatch.setattr(
        lock_step, "fetch_history", lambda *args, **kwargs: ReleaseHistory("default", "zkprova", after)
    )
    context = SimpleNamespace(
        kube=None,
        env=SimpleNamespace(namespace="default", release="zkprova"),
        request=SimpleNamespace(overrides={}, break_glass=None),
        recorder=SimpleNamespace(update=lambda **_: None),
    )
    found = lock_step._find_head(context, ReleaseHistory("default", "zkprova", before), 6, target=3)
    assert isinstance(found, Guard) is bool(why)
    if why:
        assert (found.id, found.reason) == ("head", "new-revision")
        assert found.evidence == f"revision {number} is another one than before, under the same number: {why}"


@pytest.mark.parametrize(
    ("status", "head"),
    [("deployed", 7), ("failed", 7), ("pending-upgrade", None), ("pending-rollback", None)],
)
def test_a_failure_speaks_against_no_revision_while_another_helm_is_at_work(status, head):
    history = ReleaseHistory("default", "zkprova", (revision(6), revision(7, status)))
    assert lock_step.judged_head(ExpectedRelease(history, 7, Plan(), 7, history)) == head
