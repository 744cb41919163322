"""Who is told what and when: channels that answer, refuse, hang and break, none of which holds up anything."""

import threading
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.errors import NotifyProblem, UsageProblem
from pytest_zkrollback.domain.record import Delivery, FleetMembership, Mode, NotificationEvent, Outcome
from pytest_zkrollback.domain.request import Request
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.notify.channels import Unusable
from pytest_zkrollback.notify.dispatcher import NotificationDispatcher
from pytest_zkrollback.plugin.hook_caller import Relay
from pytest_zkrollback.report.recorder import Recorder
from pytest_zkrollback.report.redaction import Redactor
from pytest_zkrollback.run.notify_step import EchoChannel, create_dispatcher, notify_final, report_address
from support.example_records import failed, running, verified
from support.run_states import state_of

CLOCK = SystemClock()
NO_HOOKS = SimpleNamespace(answers=lambda hook, **facts: ())


@dataclass
class Told:
    """A channel of a test's own. ``answer``: what it says, or raises; ``hold``: it hangs until this is set."""

    name: str = "told"
    answer: object = "ok"
    hold: threading.Event = field(default_factory=threading.Event)
    hangs: tuple[NotificationEvent, ...] = ()
    news: list = field(default_factory=list)

    def tell(self, news):
        self.news.append(news)
        if news.event in self.hangs:
            assert self.hold.wait(20)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return Delivery(to=self.name, ok=True, answer=self.answer) if self.answer else None

    @property
    def events(self):
        return [news.event for news in self.news]


def dispatcher_of(*channels, record=None, off="", secret="hunter2hunter2"):
    redactor = Redactor({"PASSWORD": secret})
    recorder = Recorder(record or running(), CLOCK, lambda record: None, redactor.record)
    return NotificationDispatcher(channels, recorder, CLOCK, off=off), recorder


def quiet(**more):
    return SimpleNamespace(**{"count": 0, **more})


def wait_for(condition):
    ended = threading.Event()
    for _ in range(1000):
        if condition():
            return
        ended.wait(0.01)
    raise AssertionError("waited in vain")


def facts(deliveries):
    return [(each.to, str(each.event), each.ok, each.refused, each.answer) for each in deliveries]


def test_start_verdict_and_change():
    channel = Told()
    dispatcher, recorder = dispatcher_of(channel)
    dispatcher.notify_started()
    dispatcher.notify_started()
    wait_for(lambda: recorder.record.deliveries)
    recorder.update(items=verified().items)
    recorder.update(provisional_at=CLOCK.now(), soak_s=10)
    dispatcher.notify_verdict(lambda: Outcome.VERIFIED, 5)
    recorder.update(items=failed().items, outcome=Outcome.RUNNING)
    dispatcher.notify_verdict(lambda: Outcome.FAILED, 5)
    assert channel.events == ["start", "verdict", "changed"]
    start, verdict, changed = channel.news
    assert (start.record.outcome, verdict.record.outcome, changed.record.outcome) == (
        Outcome.RUNNING,
        Outcome.VERIFIED,
        Outcome.FAILED,
    )
    assert (verdict.provisional, verdict.before, changed.before) == (True, None, Outcome.VERIFIED)
    assert "notify" not in [item.id for item in verdict.record.items]
    assert verdict.record.finished_at is not None
    assert facts(recorder.record.deliveries) == [("told", each, True, False, "ok") for each in channel.events]
    assert all(each.at for each in recorder.record.deliveries)
    said = [entry.event for entry in recorder.record.timeline[-3:]]
    assert said == ["told was told: start", "told was told: verdict", "told was told: changed"]


def test_a_verdict_that_turned_while_a_slow_disk_was_waited_for_is_told_as_it_stands():
    channel = Told()
    dispatcher, recorder = dispatcher_of(channel, record=verified(outcome=Outcome.RUNNING))
    state = state_of(recorder.record)

    def turn(timeout_s=2.0):
        state.note("smoke", Verdict.FAIL)
        recorder.item("smoke", verdict=Verdict.FAIL)

    recorder.wait_written = turn
    dispatcher.notify_verdict(lambda: state.outcome(without=("notify",)), 5)
    assert [news.record.outcome for news in channel.news] == [Outcome.FAILED]


def test_a_start_that_hangs_returns_at_once_and_holds_up_no_verdict():
    hangs, answers = Told("hangs", hangs=(NotificationEvent.START,)), Told("answers")
    dispatcher, recorder = dispatcher_of(hangs, answers)
    dispatcher.notify_started()
    wait_for(lambda: hangs.events and recorder.record.deliveries)
    deliveries = dispatcher.notify_verdict(lambda: Outcome.VERIFIED, 5)
    assert facts(deliveries) == [
        ("hangs", "verdict", True, False, "ok"),
        ("answers", "verdict", True, False, "ok"),
    ]
    assert hangs.news[0].cancelled.is_set(), "what hangs is to be tried again no more"
    dispatcher.close()
    unanswered = ("hangs", "start", False, False, "no answer came while we waited for it")
    assert facts(recorder.record.deliveries)[-1] == unanswered
    hangs.hold.set()
    threading.Event().wait(0.1)
    assert facts(recorder.record.deliveries)[-1] == unanswered, "nothing is written after the end"


def test_a_verdict_that_hangs_is_waited_for_in_vain_but_not_for_ever():
    channel = Told(hangs=(NotificationEvent.VERDICT,))
    dispatcher, _ = dispatcher_of(channel)
    asked = iter((False, False, True))
    [delivery] = dispatcher.notify_verdict(lambda: Outcome.VERIFIED, 60, stop=lambda: next(asked))
    assert facts([delivery]) == [("told", "verdict", False, False, "no answer came while we waited for it")]
    [late] = dispatcher.notify_verdict(lambda: Outcome.VERIFIED, 0.1)
    assert not late.ok or channel.news[-1].event is NotificationEvent.CHANGED
    channel.hold.set()


@pytest.mark.parametrize(
    ("answer", "refused", "said"),
    [
        (NotifyProblem("Slack refused the message: HTTP 404"), True, "Slack refused the message: HTTP 404"),
        (NotifyProblem("no answer", maybe_sent=True), False, "no answer"),
        (UsageProblem("the variable X is not set"), False, "the variable X is not set"),
        (ZeroDivisionError("division by zero"), False, "told failed: ZeroDivisionError: division by zero"),
        (pytest.fail.Exception("boom"), False, "told failed: Failed: boom"),
        (SystemExit(3), False, "told failed: SystemExit: 3"),
    ],
)
def test_fault_63_what_a_channel_raises_is_its_delivery_and_no_other_channels(answer, refused, said):
    dispatcher, _ = dispatcher_of(Told(answer=answer), Told("other"))
    assert facts(dispatcher.notify_verdict(lambda: Outcome.VERIFIED, 5)) == [
        ("told", "verdict", False, refused, said),
        ("other", "verdict", True, False, "ok"),
    ]


def test_what_is_no_delivery_is_not_called_told():
    channel = SimpleNamespace(name="own", tell=lambda news: True)
    dispatcher, _ = dispatcher_of(channel)
    said = "own answered True, which is no Delivery"
    assert facts(dispatcher.notify_verdict(lambda: Outcome.VERIFIED, 5)) == [
        ("own", "verdict", False, False, said)
    ]


def test_an_event_that_is_none_for_a_channel_leaves_no_delivery():
    dispatcher, recorder = dispatcher_of(Told(answer=""))
    dispatcher.notify_started()
    assert dispatcher.notify_verdict(lambda: Outcome.VERIFIED, 5) == ()
    dispatcher.close()
    wait_for(lambda: not recorder.record.deliveries)


def test_fault_49_what_is_told_is_redacted():
    channel = Told()
    dispatcher, _ = dispatcher_of(
        channel, record=running().model_copy(update={"reason": "it says hunter2hunter2"})
    )
    dispatcher.notify_started()
    dispatcher.notify_verdict(lambda: Outcome.VERIFIED, 5)
    assert {news.record.reason for news in channel.news} == {"it says [redacted PASSWORD]"}


def ended(record, *channels, told=None, signals=None, off=""):
    dispatcher, recorder = dispatcher_of(*channels, record=record, off=off)
    dispatcher.last_outcome = told
    told = notify_final(
        dispatcher, recorder, state_of(record), CLOCK, signals or quiet(), acted=record.helm.ran
    )
    return told, recorder.record


def interrupted(**more):
    return running().model_copy(update={"outcome": Outcome.INTERRUPTED, **more})


def test_an_interrupted_rollback_tells_when_its_record_is_complete():
    channel = Told()
    due, record = ended(interrupted(), channel, signals=quiet(count=1))
    assert (due, channel.events) == (True, ["verdict"])
    assert channel.news[0].record.outcome is Outcome.INTERRUPTED
    notify = next(item for item in record.items if item.id == "notify")
    assert (notify.verdict, notify.observed, record.outcome) == (
        Verdict.PASS,
        "told answered: ok",
        Outcome.INTERRUPTED,
    )


def test_an_interruption_after_a_verdict_was_told_corrects_it():
    channel = Told()
    record = verified(outcome=Outcome.INTERRUPTED)
    due, after = ended(record, channel, told=Outcome.VERIFIED)
    assert (due, channel.events, channel.news[0].before) == (True, ["changed"], Outcome.VERIFIED)
    assert after.items == record.items


def test_a_change_that_nobody_hears_of_turns_notify_red_and_the_outcome_with_it():
    channel = Told(answer=NotifyProblem("Slack failed: HTTP 500"))
    record = verified(outcome=Outcome.RUNNING)
    items = [i.model_copy(update={"verdict": Verdict.WAIVED}) if i.id == "logs" else i for i in record.items]
    due, after = ended(record.model_copy(update={"items": tuple(items)}), channel, told=Outcome.VERIFIED)
    notify = next(item for item in after.items if item.id == "notify")
    assert (due, notify.verdict, after.outcome) == (True, Verdict.FAIL, Outcome.FAILED)
    assert notify.observed == "The team was not told by told: Slack failed: HTTP 500."


def test_another_signal_ends_the_last_message():
    channel, signals = Told(hangs=(NotificationEvent.VERDICT,)), quiet(count=1)

    def count():
        wait_for(lambda: channel.events)
        signals.count = 2

    threading.Thread(target=count, daemon=True).start()
    due, record = ended(interrupted(), channel, signals=signals)
    assert due
    assert record.deliveries[-1].ok is False
    channel.hold.set()


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (verified(), Outcome.VERIFIED),  # it was told, and nothing changed since
        (interrupted(helm=running().helm.model_copy(update={"ran": False})), None),  # before helm
        (verified(mode=Mode.VERIFY, helm=running().helm.model_copy(update={"ran": False})), Outcome.VERIFIED),
    ],
)
def test_what_is_no_news_tells_nobody(record, told):
    channel = Told()
    due, after = ended(record, channel, told=told)
    assert (due, channel.events, after.items) == (False, [], record.items)


def test_nobody_is_told_where_that_is_switched_off():
    channel = Told()
    due, _ = ended(interrupted(), channel, off="notify is left out of this run.")
    assert (due, channel.events) == (False, [])


def chosen(env=None, environ=None, hooks=NO_HOOKS, target=5, selected=("notify",), **request):
    table = Environment(
        **{"name": "staging", "context": "c", "workloads": {"web": "deployment/web"}, **(env or {})}
    )
    return create_dispatcher(
        Request(environment="staging", target=target, **request),
        table,
        environ or {},
        hooks,
        frozenset(selected),
        None,
        recorder=Recorder(running(), CLOCK, lambda record: None),
        clock=CLOCK,
        on_status=lambda text: None,
    )


ALL = {
    "notify": {"webhook_env": "HOOK", "teams_env": "TEAMS", "github_issue": 7},
    "github": {"repository": "o/r", "token_env": "TOKEN"},
}
VARIABLES = {"SLACK_WEBHOOK_URL": "https://s/x", "HOOK": "https://h/x", "TEAMS": "https://t/x", "TOKEN": "t"}


def test_every_configured_channel_and_the_hooks_ones_are_told():
    hooks = SimpleNamespace(answers=lambda hook, **facts: (None, [Told("pager")], Told("siren")))
    dispatcher = chosen(ALL, VARIABLES, hooks)
    assert [each.name for each in dispatcher.channels] == [
        "slack",
        "webhook",
        "teams",
        "github",
        "pager",
        "siren",
    ]
    assert (dispatcher.unusable, dispatcher.off) == ((), "")


def test_a_variable_that_is_not_set_is_said_before_helm_and_red_afterwards():
    dispatcher = chosen({**ALL, "slack": {"token_env": "BOT", "channel": "C123"}}, {"HOOK": "https://h/x"})
    assert [type(each).__name__ for each in dispatcher.channels] == [
        "Unusable",
        "WebhookChannel",
        "Unusable",
        "Unusable",
    ]
    assert [text.partition(",")[0].partition(";")[0] for text in dispatcher.unusable] == [
        "the environment variable BOT holds no token",
        "the environment variable TEAMS is not set",
        "the environment variable TOKEN holds no token",
    ]
    slack = dispatcher.channels[0]
    with pytest.raises(UsageProblem):
        slack.tell(None)


class Config:
    """pytest's config.hook with one hook that is wrong."""

    def pytest_zkrollback_notify(self, environment):
        raise KeyError("queue")


@pytest.mark.parametrize(
    ("hooks", "said"),
    [
        (
            Relay(Config()),
            "pytest_zkrollback_notify raised KeyError in test_telling.py, line 277: 'queue'; mend the hook",
        ),
        (
            SimpleNamespace(answers=lambda hook, **facts: (["pager"],)),
            "pytest_zkrollback_notify gave 'pager': return a list of objects with a name and tell(news)",
        ),
    ],
)
def test_a_hook_that_is_wrong_is_a_channel_that_cannot_work_and_stops_nothing(hooks, said):
    dispatcher = chosen({"slack": False}, hooks=hooks)
    assert isinstance(dispatcher.channels[0], Unusable)
    [text] = dispatcher.unusable
    assert text.partition(" in ")[0] == said.partition(" in ")[0]
    assert "helm did not run" not in text


def test_a_hook_that_hangs_holds_up_no_rollback(monkeypatch):
    monkeypatch.setattr("pytest_zkrollback.notify.channels._HOOK_S", 0.05)
    over = threading.Event()
    hangs = SimpleNamespace(pytest_zkrollback_notify=lambda environment: over.wait(20) and [])
    dispatcher = chosen({"slack": False}, hooks=Relay(hangs))
    assert dispatcher.unusable == ("pytest_zkrollback_notify gave no answer within 0.05 s; mend the hook",)
    over.set()


@pytest.mark.parametrize(
    ("given", "off"),
    [
        (
            {"env": {"slack": False}},
            "notify is switched off in the configuration (slack = false in [environments.staging]).",
        ),
        (
            {"env": {"notify": {"verify_only": False}}, "target": None},
            "Nobody is told of a run that only verifies: verify_only = false in [environments.staging.notify].",
        ),
        ({"waivers": {"notify": "the team sits beside me"}}, "notify is left out of this run."),
        ({"selected": ()}, "notify is left out of this run."),
        (
            {"fleet": FleetMembership(fleet="eu", fleet_run_id="1a2b3c4d", wave=1, told_by_fleet=True)},
            "Told by the messages of fleet eu (run 1a2b3c4d), not by this run.",
        ),
    ],
)
def test_who_is_told_nothing_and_why(given, off):
    dispatcher = chosen(**given)
    assert (dispatcher.channels, dispatcher.off) == ((), off)


def test_a_member_that_is_to_tell_of_itself_does():
    alone = FleetMembership(fleet="eu", fleet_run_id="1a2b3c4d", wave=1)
    assert chosen(fleet=alone).off == ""


def test_a_rollback_tells_even_where_runs_that_only_verify_do_not():
    assert chosen({"notify": {"verify_only": False}}).off == ""


ACTIONS = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "o/r", "GITHUB_RUN_ID": "42"}


@pytest.mark.parametrize(
    ("url", "environ", "address"),
    [
        (None, {}, ""),
        ("https://ci.example/reports/", {}, "https://ci.example/reports/x.html"),
        ("https://ci.example/reports", ACTIONS, "https://ci.example/reports/x.html"),
        (None, ACTIONS, "https://github.com/o/r/actions/runs/42"),
        (None, {**ACTIONS, "GITHUB_RUN_ID": "4|2>"}, ""),
    ],
)
def test_where_the_report_is(url, environ, address):
    env = Environment(name="s", context="c", workloads={"web": "deployment/web"}, report_url=url)
    assert report_address(env, "x.html", environ) == address


def test_in_the_drill_the_record_holds_what_was_received():
    received = [{"message": {"text": "sent"}}]
    sent = Delivery(to="slack", ok=True, answer="ok", message={"text": "sent"})
    channel = SimpleNamespace(tell=lambda news: sent)
    assert EchoChannel(channel, lambda: received).tell(None).message == {"text": "sent"}
    with pytest.raises(NotifyProblem):
        EchoChannel(channel, lambda: [{"message": {"text": "something else"}}]).tell(None)


def test_an_answer_that_comes_after_the_end_is_not_written_any_more():
    channel = Told(hangs=(NotificationEvent.VERDICT,))
    dispatcher, recorder = dispatcher_of(channel, record=verified(outcome=Outcome.RUNNING, deliveries=()))
    late = threading.Thread(
        target=dispatcher.notify_verdict, args=(lambda: Outcome.VERIFIED, 60), daemon=True
    )
    late.start()
    wait_for(lambda: channel.events == ["verdict"])
    recorder.update(outcome=Outcome.INTERRUPTED)
    state = state_of(recorder.record)
    assert notify_final(dispatcher, recorder, state, CLOCK, quiet(count=1), acted=True)
    after = recorder.record
    channel.hold.set()
    late.join(10)
    assert recorder.record == after
    assert facts(after.deliveries) == [("told", "changed", True, False, "ok")]
