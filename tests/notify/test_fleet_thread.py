"""One thread for a fleet: its start, each wave, its end; channels that hang, refuse and break."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field

import pytest

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.clients.slack_bot import SlackBot
from pytest_zkrollback.config.environment import Environment, Slack
from pytest_zkrollback.domain.errors import NotifyProblem
from pytest_zkrollback.domain.fleet import FleetNotify, Member, MemberState
from pytest_zkrollback.domain.record import Delivery, Mode, NotificationEvent, Outcome
from pytest_zkrollback.domain.request import Request
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.notify.fleet_channels import (
    FleetBot,
    choose_fleet_channels,
    render_fleet_card,
    render_fleet_news,
    render_fleet_slack,
)
from pytest_zkrollback.notify.fleet_text import FleetNews, headline, summary
from pytest_zkrollback.notify.fleet_thread import FleetThread
from pytest_zkrollback.report.fleet.fleet_terminal import render_fleet_last_lines
from pytest_zkrollback.report.fleet.member_run import member_run
from pytest_zkrollback.report.fleet.merge import sum_up
from pytest_zkrollback.report.redaction import Redactor
from pytest_zkrollback.run.fleet_teller import FleetTeller, create_fleet_teller
from support.example_fleets import member_record, plan, regions, rolled_back
from support.fake_slack import CHANNEL, SECRET, TOKEN, breach
from support.html_page import HOSTILE
from support.stepping_clock import SteppingClock

CLOCK = SystemClock()
WAVES = [["eu-canary"], ["eu-1", "eu-2"], ["us-1", "us-2", "us-3"]]
START, WAVE, END = NotificationEvent.START, NotificationEvent.WAVE, NotificationEvent.VERDICT


@dataclass
class Told:
    """A channel of a test's own. ``answer``: what it says, or raises; ``hangs``: until ``hold`` is set."""

    name: str = "slack"
    answer: object = "ok"
    hangs: tuple[NotificationEvent, ...] = ()
    hold: threading.Event = field(default_factory=threading.Event)
    news: list[FleetNews] = field(default_factory=list)

    def tell(self, news: FleetNews) -> Delivery:
        self.news.append(news)
        if news.event in self.hangs:
            assert self.hold.wait(20)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return Delivery(to=self.name, ok=True, answer=str(self.answer))


def failed():
    return rolled_back(WAVES, {"eu-2": "failed"}, until_wave=2)


def thread_of(*channels, **more):
    return FleetThread(channels, CLOCK, Redactor().fleet, **more)


def test_start_each_wave_but_the_last_and_the_end_in_their_order():
    channel = Told()
    thread, record = thread_of(channel), rolled_back(WAVES)
    thread.start(plan(WAVES))
    for number in (1, 2, 3):
        thread.wave(record, number)
    deliveries = thread.end(record, 10)
    assert [(each.event, each.wave) for each in channel.news] == [(START, 0), (WAVE, 1), (WAVE, 2), (END, 0)]
    assert [each.event for each in deliveries] == [START, WAVE, WAVE, END]
    assert all(each.ok and each.at is not None for each in deliveries)


def test_what_hangs_holds_up_neither_the_run_nor_another_channel():
    hangs, well = Told(name="teams", hangs=(START,)), Told()
    thread = thread_of(hangs, well)
    thread.start(plan(WAVES))
    thread.wave(rolled_back(WAVES), 1)
    deliveries = thread.end(failed(), 0.3)
    told = {(each.to, each.event): each for each in deliveries}
    assert all(told["slack", event].ok for event in (START, WAVE, END))
    assert not any(told["teams", event].ok for event in (START, WAVE, END))
    assert told["teams", END].answer == "no answer came while we waited for it"
    assert not told["teams", END].refused  # it may have it
    assert hangs.news[0].cancelled.is_set()  # it is not tried again
    hangs.hold.set()


def test_the_operator_ends_the_wait():
    hangs = Told(hangs=(END,))
    deliveries = thread_of(hangs).end(failed(), 60, lambda: bool(hangs.news))
    assert [each.ok for each in deliveries] == [False]
    hangs.hold.set()


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        (NotifyProblem("no_service"), True),
        (NotifyProblem("maybe", maybe_sent=True), False),
        (ValueError("x"), False),
    ],
)
def test_what_refuses_or_breaks(answer, refused):
    [delivery] = thread_of(Told(answer=answer)).end(failed(), 10)
    assert (delivery.ok, delivery.refused) == (False, refused)


def test_by_a_bot_it_is_one_thread_and_only_what_is_bad_or_final_shows_in_the_channel(slack):
    table = Slack(token_env="ZK_BOT", channel=CHANNEL, api_url=slack.api_url)
    bot = FleetBot(SlackBot(table, TOKEN, clock=SteppingClock()), lambda news: "<p>the page</p>")
    thread = thread_of(bot)
    thread.start(plan(WAVES))
    record = failed()
    thread.wave(record, 1)
    thread.wave(record, 2)
    deliveries = thread.end(record, 20)
    assert [each.answer for each in deliveries] == ["ok", "ok", "ok", "ok; the report is uploaded"]
    first, *rest = slack.messages()
    assert "thread_ts" not in first
    assert {each["thread_ts"] for each in rest} == {"1764100001.000100"}
    assert [each["reply_broadcast"] for each in rest] == [False, True, True]
    assert slack.files["F001"]["filename"] == "fleet-shop-f1ee7000.html"
    assert slack.files["F001"]["content"] == b"<p>the page</p>"


def environment(name="eu-1", **tables):
    return Environment(**{"name": name, "context": "c", "workloads": {"web": "deployment/web"}, **tables})


def test_by_a_webhook_they_are_few_messages_and_forty_members_that_share_it_send_no_more(slack):
    environments = {name: environment(name) for name in (f"m-{n}" for n in range(40))}
    channels = choose_fleet_channels(
        tuple(environments.values()), {"SLACK_WEBHOOK_URL": slack.webhook}, CLOCK, str
    )
    assert [each.name for each in channels] == ["slack"]
    thread = thread_of(*channels)
    thread.start(plan(WAVES))
    record = rolled_back(WAVES)
    for number in (1, 2, 3):
        thread.wave(record, number)
    assert all(each.ok for each in thread.end(record, 20))
    heads = [each["blocks"][0]["text"]["text"] for each in slack.messages()]
    name = "fleet shop, rollback to app version 2026.11.4"
    assert heads == [
        f"STARTED: {name}",
        f"WAVE 1 OF 3 DONE: {name}",
        f"WAVE 2 OF 3 DONE: {name}",
        f"VERIFIED: {name}",
    ]


def test_each_channel_that_members_name_is_told_once():
    other = {"slack": {"webhook_env": "US_SLACK"}, "notify": {"webhook_env": "HOOK", "teams_env": "TEAMS"}}
    found = choose_fleet_channels(
        (
            environment("eu-1"),
            environment("eu-2"),
            environment("us-1", **other),
            environment("us-2", **other),
        ),
        {"SLACK_WEBHOOK_URL": "https://s/x", "US_SLACK": "https://u/x", "HOOK": "https://h/x"},
        CLOCK,
        str,
    )
    assert [each.name for each in found] == ["slack", "slack", "webhook", "teams"]
    assert [str(text).partition(",")[0] for text in thread_of(*found).unusable] == [
        "the environment variable TEAMS is not set"
    ]


def teller(channel, record=None, **more):
    return FleetTeller(thread_of(channel), lambda: record or plan(WAVES), **more)


@pytest.mark.parametrize(
    ("answer", "verdict", "outcome", "told"),
    [
        ("ok", Verdict.PASS, Outcome.VERIFIED, ""),
        (NotifyProblem("no_service"), Verdict.FAIL, Outcome.FAILED, " The team was not told."),
        (
            NotifyProblem("no answer", maybe_sent=True),
            Verdict.UNVERIFIED,
            Outcome.UNVERIFIED,
            " It is not known whether the team was told.",
        ),
    ],
)
def test_the_fleet_is_green_only_if_the_team_was_told(answer, verdict, outcome, told):
    channel = Told(answer=answer)
    telling = teller(channel)
    telling.start()
    record = telling.finish(sum_up(rolled_back(WAVES).model_copy(update={"notify": None})))
    assert record.notify is not None
    assert (record.notify.verdict, record.outcome) == (verdict, outcome)
    every = "Fleet shop is back to app version 2026.11.4: all 6 members verified; helm ran in 6."
    assert record.summary == every + told
    assert channel.news[-1].record.outcome is Outcome.VERIFIED  # as it stood but for the message itself
    assert [each.event for each in record.deliveries] == [START, END]


def test_a_start_that_nobody_got_fails_nothing():
    channel = Told()
    telling = teller(channel)
    channel.answer = NotifyProblem("no_service")
    telling.start()
    while not channel.news:
        threading.Event().wait(0.01)
    threading.Event().wait(0.05)
    channel.answer = "ok"
    assert telling.finish(rolled_back(WAVES)).outcome is Outcome.VERIFIED


def test_a_refusal_tells_nobody():
    channel = Told()
    members = tuple(
        Member(environment=name, wave=1, state=MemberState.REFUSED, run_id="1") for name in ("eu-1", "eu-2")
    )
    record = sum_up(plan([["eu-1", "eu-2"]], members=members, finished_at=plan(WAVES).started_at))
    assert record.outcome is Outcome.REFUSED
    telling = teller(channel)
    telling.start()
    channel.news.clear()
    assert telling.finish(record) == record
    assert channel.news == []


def test_a_run_that_only_verifies_tells_its_end_alone():
    channel = Told()
    record = rolled_back(WAVES).model_copy(update={"mode": Mode.VERIFY})
    telling = teller(channel, record)
    telling.start()
    telling.wave(1)
    telling.finish(record)
    assert [each.event for each in channel.news] == [END]


def test_a_rehearsal_of_every_member_is_not_called_verified_where_the_message_is_missing():
    members = tuple(
        each.model_copy(update={"outcome": Outcome.PLANNED, "items": ()})
        for each in rolled_back(WAVES).members
    )
    untold = {"members": members, "notify": FleetNotify(verdict=Verdict.FAIL)}
    record = sum_up(rolled_back(WAVES).model_copy(update=untold))
    assert record.outcome is Outcome.UNVERIFIED
    assert record.summary.startswith("Fleet shop is NOT verified: 6 plan only")
    assert "only the message" not in render_fleet_last_lines(record, "x")


def test_what_a_fleet_cannot_tell_is_said():
    telling = teller(Told(), untold=("comments on GitHub",))
    telling.start()
    notify = telling.finish(rolled_back(WAVES)).notify
    assert notify is not None
    assert notify.observed == "slack answered: ok Not told, because a fleet does not: comments on GitHub."


@pytest.mark.parametrize(
    ("given", "tables"),
    [
        ({"waivers": {"notify": "the team sits beside me"}}, {}),
        ({"plan": True}, {}),
        ({"target": None}, {"notify": {"verify_only": False}}),
        ({}, {"slack": False}),
    ],
)
def test_where_the_fleet_tells_nobody_each_member_judges_that_itself(given, tables):
    request = Request(**{"environment": "shop", "target": "previous", **given})
    environments = {"eu-1": environment(**tables)}
    made = create_fleet_teller(request, environments, {}, Redactor(), lambda: plan(WAVES), CLOCK)
    assert made is None


def news_of_every_kind():
    yield FleetNews(START, plan(WAVES))
    for record in (rolled_back(WAVES), failed(), rolled_back(regions(100), {"eu-05": "failed"}, 2, 10)):
        yield FleetNews(WAVE, record, 2)
        yield FleetNews(END, record)
    everything_bad = {name: "failed" for wave in regions(100) for name in wave}
    yield FleetNews(END, rolled_back(regions(100), everything_bad, at_once=100))


@pytest.mark.parametrize("news", [*news_of_every_kind()], ids=headline)
def test_slack_takes_every_message_and_teams_limit_is_kept(news):
    assert breach(render_fleet_slack(news)) is None
    assert len(json.dumps(render_fleet_card(news))) <= 24_000
    assert render_fleet_news(news)["schema"] == "zkrollback.fleet-news/1"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_are_text(text):
    run = member_run(member_record("eu-1", "failed"))
    first = run.first_failed
    assert first is not None
    record = failed()
    members = tuple(
        each.model_copy(
            update={
                "environment": text[:60] or "x",
                "first_failed": first.model_copy(update={"observed": text}),
            }
        )
        if each.environment == "eu-2"
        else each
        for each in record.members
    )
    hostile = record.model_copy(
        update={"members": members, "reason": text, "next_steps": text, "incident": text, "fleet": text}
    )
    clean = Redactor().fleet(hostile)
    for news in (FleetNews(START, clean), FleetNews(WAVE, clean, 2), FleetNews(END, clean)):
        assert breach(render_fleet_slack(news)) is None
        assert len(json.dumps(render_fleet_card(news))) <= 24_000


def test_what_the_messages_say():
    record = failed()
    wave, end = FleetNews(WAVE, record, 1), FleetNews(END, record)
    assert summary(FleetNews(START, plan(WAVES))) == (
        "6 members in 3 waves, at most 4 members at once, 5 s between waves; stops at the first failure. "
        "Wave 1 begins now: eu-canary. What comes of each wave follows here. Nobody else needs to start one."
    )
    assert summary(wave) == "Wave 1: DONE, 1 member, took 7.6 s. Next: wave 2, 2 members."
    assert summary(FleetNews(WAVE, record, 2)) == (
        "Wave 2: FAILED, 1 of 2 members not verified (eu-2), took 41.4 s."
    )
    assert summary(end) == record.summary
    text = json.dumps(render_fleet_slack(end), ensure_ascii=False)
    assert "FAILED: eu-2 — release-equivalence: 1 of 7 objects differs" in text
    assert "us-1" not in text  # who was not started is counted
    assert "3 NOT STARTED" in text


def test_no_secret_of_the_webhook_is_in_a_delivery(slack):
    slack.answers.append((403, "invalid_token", {}))
    channels = choose_fleet_channels((environment(),), {"SLACK_WEBHOOK_URL": slack.webhook}, CLOCK, str)
    [delivery] = thread_of(*channels).end(failed(), 20)
    assert not delivery.ok
    assert SECRET not in delivery.answer
