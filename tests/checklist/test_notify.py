from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pytest_zkrollback.checklist.notify import NotifyCheck, judge_deliveries
from pytest_zkrollback.domain.checks import History, Sample
from pytest_zkrollback.domain.ports import Stage
from pytest_zkrollback.domain.record import Delivery
from pytest_zkrollback.domain.verdict import CheckResult, Pending, Verdict

T0 = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
HAS_IT = Delivery(to="slack", ok=True, answer="ok")
REFUSED = Delivery(
    to="slack", ok=False, refused=True, answer="Slack refused the message: HTTP 404 no_service"
)
SILENT = Delivery(to="teams", ok=False, answer="Teams did not answer.")
UNSET = Delivery(
    to="slack", ok=False, unsent=True, answer="the environment variable SLACK_WEBHOOK_URL is not set"
)


def no_delivery() -> tuple[Delivery, ...]:
    raise AssertionError("deliver was called")


def judged(*samples: Sample, off: str = "") -> CheckResult | Pending:
    return NotifyCheck(deliver=no_delivery, off=off).judge(History(samples, since=T0, judged_from=T0), T0)


TABLE: list[tuple[tuple[Delivery, ...], Verdict, str]] = [
    ((HAS_IT,), Verdict.PASS, "slack answered: ok"),
    (
        (HAS_IT, Delivery(to="teams", ok=True, answer="HTTP 202")),
        Verdict.PASS,
        "slack answered: ok, teams answered: HTTP 202",
    ),
    (
        (REFUSED,),
        Verdict.FAIL,
        "The team was not told by slack: Slack refused the message: HTTP 404 no_service.",
    ),
    (
        (HAS_IT, SILENT),
        Verdict.UNVERIFIED,
        "It was not verified that teams told the team: Teams did not answer. slack answered: ok.",
    ),
    (
        (SILENT, REFUSED),
        Verdict.FAIL,
        "The team was not told by slack: Slack refused the message: HTTP 404 no_service. "
        "It was not verified that teams told the team: Teams did not answer.",
    ),
    (
        (UNSET,),
        Verdict.UNVERIFIED,
        "Nobody was told by slack: the environment variable SLACK_WEBHOOK_URL is not set. Tell the team yourself.",
    ),
    ((), Verdict.UNVERIFIED, "Nobody was told: no channel is configured that this run could use."),
]


@pytest.mark.parametrize(("deliveries", "word", "observed"), TABLE)
def test_fault_63_by_what_became_of_the_messages(
    deliveries: tuple[Delivery, ...], word: Verdict, observed: str
) -> None:
    verdict = judge_deliveries(deliveries)
    assert (verdict.word, verdict.observed) == (word, observed)
    assert judged(Sample(T0, deliveries)) == verdict


def test_what_the_message_does_not_say_is_said_and_fails_nothing() -> None:
    told = (Delivery(to="slack", ok=True, answer="ok"),)
    for missing, observed in (
        ((), "slack answered: ok"),
        (("the reason",), "slack answered: ok; not given: the reason"),
        (("the reason", "the next steps"), "slack answered: ok; not given: the reason and the next steps"),
    ):
        verdict = judge_deliveries(told, missing)
        assert (verdict.word, verdict.observed) == (Verdict.PASS, observed)
    check = NotifyCheck(deliver=no_delivery, missing=("the reason",))
    sample = History((Sample(T0, told),), since=T0, judged_from=T0)
    assert check.judge(sample, T0).observed == "slack answered: ok; not given: the reason"


def test_pending_while_it_is_sent() -> None:
    assert judged() == Pending(observed="The message is being sent", seen=False)


def test_switched_off_in_the_configuration_is_waived_and_sends_nothing() -> None:
    off = "notify is switched off in the configuration (slack = false in [environments.dev])."
    assert NotifyCheck(deliver=no_delivery, off=off).observe() == ()
    assert judged(Sample(T0, ()), off=off) == CheckResult(word=Verdict.WAIVED, observed=off)


def test_sends_once() -> None:
    sent: list[int] = []

    def deliver() -> tuple[Delivery, ...]:
        sent.append(1)
        return (HAS_IT,)

    one = NotifyCheck(deliver=deliver)
    assert one.observe() == (HAS_IT,)
    assert sent == [1]
    assert (one.id, one.stage, one.interval_s, one.deadline_s) == ("notify", Stage.FINAL, None, 30)


def test_no_command_would_prove_that_this_message_arrived() -> None:
    assert NotifyCheck(deliver=no_delivery).command == ""
