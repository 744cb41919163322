"""Another run holds the lock: how long it is waited for, and what follows from what that run made."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from pytest_zkrollback.domain.errors import LockHeld, Unreachable
from pytest_zkrollback.domain.record import Guard, GuardReason, GuardState
from pytest_zkrollback.release.history import ReleaseHistory
from pytest_zkrollback.run import lock_step, lock_wait
from pytest_zkrollback.run.lock_wait import (
    MadeByAnother,
    follow_holder,
    judge_what_it_made,
    wait_for_holder,
    waiting_helps,
)
from pytest_zkrollback.run.signals import Signals
from support.preflight_facts import revision
from support.stepping_clock import SteppingClock

AT = datetime(2026, 11, 23, 2, 11, tzinfo=UTC)
HELD = LockHeld("ann@laptop holds the lock for 3 s (run 0badcafe)", run_id="0badcafe", operator="ann@laptop")


class Lock:
    """Answers as told, the last answer again and again."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    def fetch(self):
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Unreachable):
            raise answer
        return answer

    def require_free(self, state):
        if isinstance(state, LockHeld):
            raise state
        return state

    def acquire(self, *args, **kwargs):
        raise HELD


@pytest.fixture
def context():
    said, updated = [], {}
    return SimpleNamespace(
        kube=None,
        env=SimpleNamespace(namespace="default", release="zkprova"),
        clock=SteppingClock(),
        signals=Signals(),
        recorder=SimpleNamespace(event=lambda text, source: said.append(text), update=updated.update),
        display=SimpleNamespace(status=said.append),
        said=said,
        updated=updated,
    )


def history(*revisions):
    return ReleaseHistory("default", "zkprova", tuple(revisions))


def back(number, to, status="deployed"):
    return revision(number, status, f"Rollback to {to}", rollback_of=to)


OLD = (revision(4), revision(5), revision(6))
BEFORE = history(*OLD[:2], revision(6, "deployed"))
BACK_AT_5 = history(*OLD, back(7, 5))
BACK_AT_4 = history(*OLD, back(7, 4))


def test_the_lock_is_waited_for_as_long_as_it_is_held_and_ten_seconds_at_most(context):
    lock = Lock(HELD, HELD, "free")
    assert wait_for_holder(context, lock, HELD)
    assert (lock.asked, sum(context.clock.slept)) == (3, 0.75)
    assert context.said == [
        f"waiting up to 10 s for the lock: {HELD}",
        f"waiting up to 10 s for the lock, Ctrl-C stops: {HELD}",
    ]
    context.clock.slept.clear()
    assert not wait_for_holder(context, Lock(HELD), HELD)
    assert 9.5 <= sum(context.clock.slept) <= 10.25


def test_what_cannot_be_read_is_asked_again(context):
    assert wait_for_holder(context, Lock(Unreachable("no answer"), "free"), HELD)
    assert not wait_for_holder(context, Lock(Unreachable("no answer")), HELD)


def test_a_signal_ends_the_waiting(context):
    context.signals.count = 1
    lock = Lock(HELD)
    with pytest.raises(KeyboardInterrupt):
        wait_for_holder(context, lock, HELD)
    assert lock.asked == 0


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (BACK_AT_5, "revision 7 now holds revision 5"),
        (history(*OLD[1:], back(7, 5, "superseded"), back(8, 7)), "revision 8 now holds revision 5"),
    ],
)
def test_what_was_asked_for_is_there(now, said):
    found = judge_what_it_made(HELD, BEFORE, now, 5)
    assert found == MadeByAnother(now, f"ann@laptop (run 0badcafe) held the lock, and {said}")


@pytest.mark.parametrize(
    ("now", "reason", "evidence"),
    [
        (
            BACK_AT_4,
            GuardReason.NEW_REVISION,
            "revision 7 is deployed now (Rollback to 4), which is not revision 5",
        ),
        (BEFORE, GuardReason.LOCK_HELD, "the current revision is still 6, which is not revision 5"),
        (
            history(*OLD, back(7, 5, "failed")),
            GuardReason.NEW_REVISION,
            "revision 7 is failed now (Rollback to 5)",
        ),
        (
            history(*OLD, back(7, 5, "pending-rollback")),
            GuardReason.NEW_REVISION,
            "revision 7 is pending-rollback now (Rollback to 5)",
        ),
        (
            history(*OLD[:2], revision(6, "deployed"), back(7, 5)),
            GuardReason.NEW_REVISION,
            "revision 7 is deployed now (Rollback to 5), and helm calls revisions 6 and 7 deployed",
        ),
    ],
)
def test_what_was_not_asked_for_refuses_with_what_happened(now, reason, evidence):
    found = judge_what_it_made(HELD, BEFORE, now, 5)
    assert isinstance(found, Guard)
    assert (found.id, found.state, found.reason) == ("lock", GuardState.REFUSED, reason)
    assert found.evidence == f"ann@laptop (run 0badcafe) held the lock; {evidence}"
    assert found.override == "", "who goes ahead starts again, and looks anew"


def test_helm_is_not_run_by_who_waited(context, monkeypatch):
    monkeypatch.setattr(lock_wait, "fetch_history", lambda *args, **kwargs: BACK_AT_5)
    assert follow_holder(context, Lock("free"), HELD, BEFORE, 5).history is BACK_AT_5
    kept = follow_holder(context, Lock(HELD), HELD, BEFORE, 5)
    assert (kept.id, kept.evidence, kept.override) == (
        "lock",
        str(HELD),
        "--rollback-override=lock=REASON",
    )

    def unread(*args, **kwargs):
        raise Unreachable("no answer")

    monkeypatch.setattr(lock_wait, "fetch_history", unread)
    unknown = follow_holder(context, Lock("free"), HELD, BEFORE, 5)
    assert (unknown.id, unknown.unknown) == ("lock", True)


@pytest.mark.parametrize(
    ("now", "said"), [(BACK_AT_4, {"revision_before": 7, "revision_after": 7}), (BEFORE, {})]
)
def test_a_refusal_says_which_revision_is_live_now(context, monkeypatch, now, said):
    monkeypatch.setattr(lock_wait, "fetch_history", lambda *args, **kwargs: now)
    assert follow_holder(context, Lock("free"), HELD, BEFORE, 5).state == GuardState.REFUSED
    assert context.updated == said


def test_a_head_that_moved_to_what_was_asked_for_is_no_refusal(context, monkeypatch):
    """The other run was at its end before this one asked for the lock."""
    context.request = SimpleNamespace(overrides={}, break_glass=None)
    context.recorder.update = lambda **_: None
    monkeypatch.setattr(lock_step, "fetch_history", lambda *args, **kwargs: BACK_AT_5)
    found = lock_step._find_head(context, BEFORE, 6, target=5)
    said = "revision 7 (Rollback to 5) appeared since the plan, made at 6, and holds revision 5"
    assert found == MadeByAnother(BACK_AT_5, said)
    monkeypatch.setattr(lock_step, "fetch_history", lambda *args, **kwargs: BACK_AT_4)
    refusal = lock_step._find_head(context, BEFORE, 6, target=5)
    assert (refusal.id, refusal.reason) == ("head", GuardReason.NEW_REVISION)


@pytest.mark.parametrize(
    ("reasons", "helps"),
    [
        ([GuardReason.LOCK_HELD], True),
        ([GuardReason.LOCK_HELD, GuardReason.UNDER_WAY, GuardReason.NONE_DEPLOYED], True),
        ([], False),
        ([GuardReason.UNDER_WAY], False),  # a helm that is not ours
        ([GuardReason.LOCK_HELD, GuardReason.NOT_CONFIRMED], False),
        ([GuardReason.NO_ANSWER], False),  # the lock could not be read
    ],
)
def test_it_is_waited_only_where_nothing_else_refuses(reasons, helps):
    guards = [Guard(id="x", state=GuardState.REFUSED, reason=each, evidence="") for each in reasons]
    assert waiting_helps(guards) is helps
