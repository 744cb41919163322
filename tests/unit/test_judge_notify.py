from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pytest_zkrollback.checklist.notify import NotifyCheck
from pytest_zkrollback.domain.environment import Environment
from pytest_zkrollback.domain.errors import NotifyProblem, UsageProblem, ZkRollbackError
from pytest_zkrollback.domain.model import Delivery
from pytest_zkrollback.domain.observation import History, Sample
from pytest_zkrollback.domain.ports import Stage
from pytest_zkrollback.domain.verdict import Pending, Verdict, Word

T0 = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
ENV = Environment(name="staging", context="ctx", workloads={"web": "deployment/web"})
OFF = Environment(name="dev", context="ctx", workloads={"web": "deployment/web"}, slack=False)


def no_delivery() -> Delivery:
    raise AssertionError("deliver was called")


def judged(*samples: Sample, env: Environment = ENV) -> Verdict | Pending:
    return NotifyCheck(deliver=no_delivery, env=env).judge(History(samples, since=T0, judged_from=T0), T0)


TABLE: list[tuple[Sample, Word, str]] = [
    (Sample(T0, Delivery(to="slack", ok=True, answer="ok")), Word.PASS, "slack answered: ok"),
    (
        Sample(T0, Delivery(to="slack", ok=False, answer="404 channel_not_found")),
        Word.FAIL,
        "The team was not told: slack refused the message: 404 channel_not_found",
    ),
    (
        Sample(T0, error=NotifyProblem("Slack refused the message: HTTP 404 channel_not_found")),
        Word.FAIL,
        "The team was not told: Slack refused the message: HTTP 404 channel_not_found",
    ),
    (
        Sample(T0, error=NotifyProblem("Slack did not answer.", maybe_sent=True)),
        Word.UNVERIFIED,
        "It is not known whether the team was told: Slack did not answer.",
    ),
    (
        Sample(T0, error=UsageProblem("the environment variable SLACK_WEBHOOK_URL is not set")),
        Word.UNVERIFIED,
        "It is not known whether the team was told: the environment variable SLACK_WEBHOOK_URL is not set",
    ),
]


@pytest.mark.parametrize(("sample", "word", "observed"), TABLE)
def test_fault_63_by_what_became_of_the_message(sample: Sample, word: Word, observed: str) -> None:
    verdict = judged(sample)
    assert isinstance(verdict, Verdict)
    assert (verdict.word, verdict.observed) == (word, observed)


def test_pending_while_it_is_sent() -> None:
    assert judged() == Pending(observed="The message is being sent", seen=False)


def test_switched_off_in_the_configuration_is_waived_and_sends_nothing() -> None:
    assert NotifyCheck(deliver=no_delivery, env=OFF).observe() is None
    assert judged(Sample(T0), env=OFF) == Verdict(
        word=Word.WAIVED,
        observed="notify is switched off in the configuration (slack = false in [environments.dev]).",
    )


def test_sends_once() -> None:
    sent: list[int] = []

    def deliver() -> Delivery:
        sent.append(1)
        return Delivery(to="slack", ok=True, answer="ok")

    one = NotifyCheck(deliver=deliver, env=ENV)
    assert one.observe() == Delivery(to="slack", ok=True, answer="ok")
    assert sent == [1]
    assert (one.id, one.stage, one.interval_s, one.deadline_s) == ("notify", Stage.LAST, None, 30)


def test_errors_of_the_delivery_are_raised_for_the_schedule() -> None:
    def deliver() -> Delivery:
        raise NotifyProblem("no")

    with pytest.raises(ZkRollbackError):
        NotifyCheck(deliver=deliver, env=ENV).observe()


def test_no_command_would_prove_that_this_message_arrived() -> None:
    assert NotifyCheck(deliver=no_delivery, env=ENV).command == ""
    assert NotifyCheck(deliver=no_delivery, env=OFF).command == ""
