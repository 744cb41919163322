"""Whole runs with a metric: the run, its schedule, feeds, messages and record are real; cluster and helm are not."""

import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from types import SimpleNamespace

import pytest

from pytest_zkrollback.checklist.notify import PATIENCE_S, NotifyCheck
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.item_ids import is_metric, is_rollout
from pytest_zkrollback.domain.metric import PointOrigin
from pytest_zkrollback.domain.ports import Stage
from pytest_zkrollback.domain.record import Delivery, NotificationEvent, Outcome, Plan, Record
from pytest_zkrollback.domain.request import Request
from pytest_zkrollback.domain.verdict import CheckResult, Verdict
from pytest_zkrollback.engine.recovery_series import Samples
from pytest_zkrollback.notify import text
from pytest_zkrollback.release.history import ReleaseHistory
from pytest_zkrollback.report.redaction import Redactor
from pytest_zkrollback.run import find_redeploy_risks, verify_step
from pytest_zkrollback.run import run as module
from pytest_zkrollback.run.build_checklist import _metric_checks
from pytest_zkrollback.run.results import HelmOutcome, HelmOutcomeStatus, PreflightResult
from support.fake_prometheus import FakePrometheus
from support.preflight_facts import revision

HISTORY = ReleaseHistory("default", "shop", (revision(5, "superseded"), revision(6)))
PLAN = Plan(history=HISTORY.revisions, compared_with=HISTORY.head.revision)
METRIC = {
    "id": "errors",
    "title": "Error rate",
    "query": 'x{a="{namespace}/{release}"}',
    "max": 1,
    "unit": "%",
}


class Quiet:
    """A watch, a feed or what could bring it back: nothing of them is looked at here."""

    first_warning = None

    def __init__(self, *_, **__):
        self.samples = Samples(())
        self.wait_first = lambda *_: True  # a fresh picture is there at once
        self.list_took_s = 0.0

    def __getattr__(self, name):
        return lambda *_, **__: None


@dataclass
class Looked:
    """An item whose verdict is there at once."""

    id: str
    word: Verdict = Verdict.PASS
    title: str = "title"
    expected: str = "expected"
    command: str = "kubectl get it"
    stage: Stage = Stage.IMMEDIATE
    deadline_s: float = 5.0
    interval_s: float | None = 0.05
    soak_interval_s: float | None = 0.05
    rechecked_at_end: bool = False
    rechecked_on_failure: bool = False
    failure_ends_waiting: bool = False
    waiting_may_end: bool = False
    follows: None = None
    gates_others: bool = field(init=False)

    def __post_init__(self):
        self.gates_others = is_rollout(self.id)

    def observe(self):
        return None

    def judge(self, history, now):
        return CheckResult(word=self.word, observed="seen")


class Team:
    """The channel that is told; ``then`` happens when the first verdict comes."""

    name = "team"

    def __init__(self):
        self.heard, self.then = [], lambda: None

    def tell(self, news):
        self.heard.append((time.monotonic(), news))
        if news.event is NotificationEvent.VERDICT:
            self.then()
        return Delivery(to=self.name, ok=True, answer="ok")

    @property
    def verdicts(self):
        return [news for _, news in self.heard if news.event is not NotificationEvent.START]


class Incident:
    """One run: a rollback from the bad 6 to the good 5, or with ``target=None`` a look at 6."""

    def __init__(self, monkeypatch, tmp_path, prometheus, *, target=5, environ=None, words=None, **table):
        names = ("settle_s", "for_s", "deadline_s", "when_empty", "count_query")
        keys = {key: table.pop(key) for key in names if key in table}
        check = {**METRIC, "settle_s": 0.3, "for_s": 2, "deadline_s": 8, **keys}
        self.soak_s = table.pop("soak_s", 0.2)
        self.env = Environment(
            name="test",
            context="x",
            namespace="shop",
            release="web",
            workloads={"app": "deployment/app"},
            slack=False,
            soak_s=self.soak_s,
            metrics={"url": prometheus.url, "checks": [check], "timeout_s": 1, **table},
        )
        for name, value in (environ or {}).items():
            monkeypatch.setenv(name, value)
        self.prometheus, self.team, self.words = prometheus, Team(), words or {}
        self.begun = self.helm_at = self.helm_ended = 0.0
        self.at_helm = lambda: setattr(prometheus, "value", 0.2)
        self.verified = []
        hooks = SimpleNamespace(
            answers=lambda hook, **_: ([self.team],) if hook == "pytest_zkrollback_notify" else ()
        )
        request = Request(environment="test", target=target, report_dir=str(tmp_path / "reports"))
        self.run = module.Run(
            request, self.env, "web", self.env.named_workloads, "pytest --env=test", hooks, Redactor()
        )
        self._replace(monkeypatch, target)

    def _replace(self, monkeypatch, target):
        monkeypatch.setattr(
            module,
            "connect",
            lambda *_, **__: SimpleNamespace(server="https://cluster", open_connections=lambda _: None),
        )
        monkeypatch.setattr(module, "run_preflight", lambda context: self._preflight(context, target))
        monkeypatch.setattr(module, "resolve_workloads", lambda found, *_: found)
        step = SimpleNamespace(run=self.step, may_have_changed=True)
        monkeypatch.setattr(module, "RollbackStep", lambda *_: step)
        for name in ("NamespaceWatches", "RecoveryTimeline", "EventFeeds"):
            monkeypatch.setattr(module, name, Quiet)
        monkeypatch.setattr(find_redeploy_risks, "RedeployRisks", Quiet)
        monkeypatch.setattr(module, "watched", lambda *_: {})
        monkeypatch.setattr(module, "event_places", lambda *_: ())
        monkeypatch.setattr(module, "note_failed", lambda *_: None)
        monkeypatch.setattr(module, "note_verified", lambda *_: self.verified.append(time.monotonic()))
        monkeypatch.setattr(verify_step, "ReleaseReader", Quiet)
        monkeypatch.setattr(verify_step, "build_checks", self._checks)

    def _preflight(self, context, target):
        context.recorder.item("preflight", verdict=Verdict.PASS, finished_at=context.clock.now())
        context.recorder.update(revision_before=6, revision_after=6, target_revision=target, plan=PLAN)
        return PreflightResult(
            history=HISTORY,
            target=target,
            plan=PLAN,
            helm_version=SimpleNamespace(text="v4"),
            no_hooks=False,
            lock_holder="",
            overridden=frozenset(),
            started_at=context.clock.now(),
        )

    # As the step of the rollback.
    def step(self):
        self.helm_at = time.monotonic()
        ends = self.helm_at + 2  # helm takes its time, and the metric is asked meanwhile
        while sum(each == "query" for _, each, _ in self.prometheus.asked) < 3 and time.monotonic() < ends:
            time.sleep(0.02)
        self.at_helm()
        self.helm_ended = time.monotonic()
        recorder, now = self.run._recorder, self.run._clock.now()
        recorder.update_helm(ran=True, exit_code=0, started_at=now, finished_at=now)
        recorder.update(revision_after=7)
        self.run._state.note("rollback", Verdict.PASS)
        recorder.item("rollback", verdict=Verdict.PASS, finished_at=now)
        return HelmOutcome(HelmOutcomeStatus.RAN, PLAN, head=7, after=HISTORY, exit_code=0)

    def _checks(self, context, release, reader, state, watch, events, since, metrics):
        first = [item for item in self.run.item_ids if item not in ("preflight", "rollback", "notify")]
        return [
            *(Looked(each, self.words.get(each, Verdict.PASS)) for each in first if not is_metric(each)),
            *_metric_checks(self.env, metrics),
            NotifyCheck(deliver=lambda: context.notifier.notify_verdict(state.outcome_to_tell, PATIENCE_S)),
        ]

    def execute(self) -> Record:
        self.begun = time.monotonic()
        self.run.execute(frozenset(self.run.item_ids))
        return self.run.redacted


@pytest.fixture
def prometheus():
    fake = FakePrometheus(40.0)
    yield fake
    fake.kill()


@pytest.fixture
def incident(monkeypatch, tmp_path, prometheus):
    return partial(Incident, monkeypatch, tmp_path, prometheus)


def metric_of(record):
    return record.find_item("metric-errors")


def test_red_while_it_is_bad_and_a_pass_after_the_rollback(incident, prometheus):
    prometheus.course = lambda at: 40.0
    one = incident()
    record = one.execute()
    assert record.outcome is Outcome.VERIFIED
    item = metric_of(record)
    assert item.verdict is Verdict.PASS
    assert item.observed.startswith("At most 0.2 % in ") and " s (limit: at most 1 %), " in item.observed
    assert {query for _, _, query in prometheus.asked} == {'x{a="shop/web"}'}
    assert [each for _, each, _ in prometheus.asked].count("query_range") == 3  # before, soak, end
    (series,) = record.metrics
    points = [each for each in series.points if each.kind is None]
    assert points[0].value == 40 and (record.started_at - points[0].at).total_seconds() > 300
    while_bad = [each for each in points[1:] if each.within is False]
    assert while_bad and points[-1].within is True
    assert min(at for at, _, _ in prometheus.asked) < one.helm_ended
    assert item.expected == "at most 1 % for 2 s, from 0.3 s after helm's end on"
    assert series.counts_from is not None and while_bad[-1].at < series.counts_from
    # Verified is said and noted only after the metric.
    (noted,) = one.verified
    assert noted - one.helm_ended >= 2.3
    first, final = one.team.verdicts
    assert (first.record.outcome, first.provisional) == (Outcome.RUNNING, True)
    assert (final.record.outcome, final.before, final.event) == (
        Outcome.VERIFIED,
        Outcome.RUNNING,
        NotificationEvent.CHANGED,
    )


def test_what_the_team_hears_of_metrics_is_true_at_both_times(incident):
    one = incident()
    record = one.execute()
    first, final = one.team.verdicts
    at = record.provisional_at.strftime("%H:%M:%S")
    assert text.headline(first) == f"ALL BUT METRICS PASSED AT {at} UTC: test, rollback of web to revision 5"
    until = first.record.provisional_at.timestamp() + first.record.soak_s
    assert 2 <= until - record.metrics[0].counts_from.timestamp() <= 4
    said = text.summary(first)
    assert said.startswith("Release web, environment test, ")
    shown = [time.strftime("%H:%M:%S", time.gmtime(until + off)) for off in (0, -1)]
    assert any(
        f"all checks but the metrics passed at {at} UTC; metrics are watched until {each} UTC." in said
        for each in shown
    )
    assert said.endswith(
        "This is no result yet. The result is told here then, or as soon as something fails."
    )
    assert dict(text.fields(first))["Not checked"] == "metric-errors (waiting)"
    assert text.headline(final) == "VERIFIED: test, rollback of web to revision 5"
    assert text.summary(final).endswith(
        "This completes the earlier message, when metrics were still watched."
    )


@pytest.mark.parametrize("how", ["killed", "hangs"])
def test_without_prometheus_it_is_not_verified_by_its_deadline_and_nothing_waits(incident, prometheus, how):
    one = incident(deadline_s=4)
    one.at_helm = prometheus.kill if how == "killed" else lambda: setattr(prometheus, "hangs", True)
    record = one.execute()
    took_s = time.monotonic() - one.helm_ended
    assert record.outcome is Outcome.UNVERIFIED
    item = metric_of(record)
    assert item.verdict is Verdict.UNVERIFIED
    why = "refuses connections" if how == "killed" else "gave no complete answer within 1 s"
    assert item.observed == f"Not known at its deadline: {prometheus.url} {why}."
    assert 3.5 < took_s < 20
    first_told = next(at for at, news in one.team.heard if news.event is NotificationEvent.VERDICT)
    assert first_told - one.helm_ended < 4  # not the metric's deadline
    assert [news.record.outcome for news in one.team.verdicts] == [Outcome.RUNNING, Outcome.UNVERIFIED]
    assert one.verified == []


def test_a_prometheus_that_hangs_from_the_beginning_delays_neither_helm_nor_the_first_verdict(
    incident, prometheus
):
    prometheus.hangs = True
    one = incident(deadline_s=12, timeout_s=25)
    one.at_helm = lambda: None
    record = one.execute()
    assert record.outcome is Outcome.UNVERIFIED
    assert metric_of(record).observed == "Not known at its deadline: no answer came after settle_s."
    assert one.helm_at - one.begun < 10
    first_told = next(at for at, news in one.team.heard if news.event is NotificationEvent.VERDICT)
    assert first_told - one.helm_ended < 10
    assert time.monotonic() - one.begun < 24


def test_out_of_bounds_at_its_deadline_the_run_has_failed(incident):
    one = incident(deadline_s=4)
    one.at_helm = lambda: None
    record = one.execute()
    assert record.outcome is Outcome.FAILED
    assert metric_of(record).verdict is Verdict.FAIL
    assert metric_of(record).observed.startswith("40 % at ")
    assert [news.record.outcome for news in one.team.verdicts] == [Outcome.RUNNING, Outcome.FAILED]
    assert one.verified == []
    assert any("metric-errors: 40 % (limit: at most 1 %)" in each.event for each in record.timeline)
    assert not any("--rollback-to" in line for line in record.next_commands)


def test_the_metric_prolongs_the_runs_soak_and_the_others_are_watched_as_long(incident):
    one = incident(settle_s=1.5, soak_s=0.2)
    record = one.execute()
    assert record.outcome is Outcome.VERIFIED
    assert 3.0 < record.soak_s <= 8
    assert (record.watched_until - record.provisional_at).total_seconds() >= 3.0
    smoke = record.find_item("smoke")
    assert (smoke.finished_at - record.provisional_at).total_seconds() >= 3.0
    assert any("metrics are watched until" in each.event for each in record.timeline)


def test_a_soak_that_is_switched_off_is_that_of_the_others(incident):
    record = incident(soak_s=0).execute()
    assert record.outcome is Outcome.VERIFIED
    assert metric_of(record).verdict is Verdict.PASS
    assert record.soak_s > 0


def test_ctrl_c_in_the_soak_leaves_only_the_metric_unverified(incident):
    one = incident(settle_s=60, deadline_s=90)
    signals = one.run._signals
    one.team.then = lambda: threading.Timer(1.0, setattr, (signals, "count", 1)).start()
    record = one.execute()
    assert record.outcome is Outcome.INTERRUPTED
    assert {item.id: item.verdict for item in record.items if item.verdict is not Verdict.PASS} == {
        "metric-errors": Verdict.UNVERIFIED
    }
    assert metric_of(record).observed == "interrupted (Ctrl-C)"
    assert time.monotonic() - one.helm_ended < 10
    assert one.verified == []
    assert "All checks but the metrics had passed at" in record.summary


def test_after_a_first_verdict_that_is_red_nobody_waits_for_the_metric(incident):
    one = incident(settle_s=60, deadline_s=90, words={"smoke": Verdict.FAIL})
    record = one.execute()
    assert time.monotonic() - one.helm_ended < 10
    assert record.outcome is Outcome.FAILED
    item = metric_of(record)
    assert (item.verdict, item.observed) == (
        Verdict.UNVERIFIED,
        "not watched to its end: smoke had failed",
    )
    assert [news.record.outcome for news in one.team.verdicts] == [Outcome.FAILED]


def test_a_run_that_only_verifies_counts_from_its_beginning(incident, prometheus):
    prometheus.value = 0.2
    one = incident(target=None)
    record = one.execute()
    assert record.outcome is Outcome.VERIFIED
    assert one.helm_at == 0.0
    settled = record.metrics[0].counts_from - record.started_at
    assert 0 <= settled.total_seconds() - 0.3 < 0.5
    assert metric_of(record).expected == "at most 1 % for 2 s, from 0.3 s after the run's beginning on"


def test_without_its_token_the_rollback_goes_on_and_the_metric_says_why(incident, prometheus):
    one = incident(token_env="NO_SUCH_TOKEN", deadline_s=3)
    record = one.execute()
    assert record.outcome is Outcome.UNVERIFIED
    assert metric_of(record).observed == (
        "Not known at its deadline: the environment variable NO_SUCH_TOKEN is not set, so metrics cannot be "
        "asked for."
    )
    assert prometheus.asked == []
    said = "the environment variable NO_SUCH_TOKEN is not set, so metrics cannot be asked for"
    [warned] = [each for each in record.timeline if each.event == said]
    assert warned.at < record.helm.started_at


def test_its_token_is_in_no_record(incident, prometheus, monkeypatch):
    one = incident(token_env="PROM", environ={"PROM": "hunter2-hunter2"})
    record = one.execute()
    assert record.outcome is Outcome.VERIFIED
    assert one.run.redactor.text("a hunter2-hunter2 b") == "a [redacted PROM] b"
    assert "hunter2" not in record.model_dump_json()


def test_where_nothing_comes_the_line_says_the_cure_and_when_empty_is_one(incident, prometheus):
    one = incident(deadline_s=3)
    one.at_helm = lambda: setattr(prometheus, "value", None)
    assert "`... or vector(0)` in the query, or `when_empty = 0`" in metric_of(one.execute()).observed


def test_when_empty_makes_a_pass_that_says_so_in_the_summary(incident, prometheus):
    one = incident(when_empty=0)
    one.at_helm = lambda: setattr(prometheus, "value", None)
    record = one.execute()
    assert record.outcome is Outcome.VERIFIED
    assert record.summary.endswith(
        "not covered: metric errors had no value at all, and when_empty stands in for it."
    )


def test_the_whole_curve_is_in_the_record_from_before_the_bad_deploy_to_the_end(incident, prometheus):
    deployed = HISTORY.head.revision.deployed_at.timestamp()
    prometheus.course = lambda at: None if 100 < at - deployed < 200 else 40.0 if at > deployed else 0.25
    record = incident().execute()
    assert record.outcome is Outcome.VERIFIED
    curve = record.metrics[0].curve
    assert (curve.problem, curve.warning) == ("", "")
    assert curve.start.timestamp() == pytest.approx(
        max(deployed - 900, record.finished_at.timestamp() - 86400), abs=curve.step_s
    )
    assert (record.finished_at - curve.end).total_seconds() == pytest.approx(0, abs=1)
    assert 100 < len(curve.points) <= 240
    assert {each.origin for each in curve.points} == {PointOrigin.RANGE_QUERY}
    for each in curve.points:
        assert each.value == prometheus.course(each.at.timestamp()), each


def test_how_many_requests_failed_is_in_the_record_and_in_the_last_message(incident, prometheus):
    one = incident(count_query='sum(increase(errors{ns="{namespace}"}[{range}]))')
    record = one.execute()
    (asked,) = {query for _, _, query in prometheus.asked if query.startswith("sum(increase(")}
    assert asked == 'sum(increase(errors{ns="shop"}[86400s]))'  # the bad deploy is days ago
    count = record.metrics[0].count
    assert (count.query, count.value, count.problem) == (asked, 0.2, "")
    assert record.finished_at - count.end < timedelta(seconds=1)
    first, final = one.team.verdicts
    assert first.record.metrics[0].count is None  # it was asked for when the verdict was there
    assert final.record.metrics[0].count.value == 0.2
    assert final.record.metrics[0].curve.points
    assert "(count_query of metric-errors)" in dict(text.fields(final))["Users affected"]


@pytest.mark.parametrize("how", ["hangs", "breaks off"])
def test_a_curve_that_does_not_come_delays_no_verdict_and_no_message_and_is_a_sentence(
    incident, prometheus, how
):
    one = incident(timeout_s=20)
    over = threading.Event()

    def trouble(_asked):
        if one.verified:  # not the one before helm
            if how == "breaks off":
                raise ConnectionResetError
            over.wait(20)

    prometheus.at_range = trouble
    record = one.execute()
    ended = time.monotonic()
    over.set()
    assert record.outcome is Outcome.VERIFIED
    last_range = max(at for at, what, _ in prometheus.asked if what == "query_range")
    final = max(at for at, _ in one.team.heard)
    assert final - last_range < 2
    assert ended - last_range < 5
    late = ("no complete answer within 3 s", f"{prometheus.url} gave no complete answer within 3 s")
    broken = (f"{prometheus.url} broke off before its answer was complete",)
    why = late if how == "hangs" else broken
    # What came at the first verdict stays, and says so.
    curve = record.metrics[0].curve
    assert curve.points and curve.warning in [f"its end is missing: {each}" for each in why]
    assert curve.end < record.finished_at - timedelta(seconds=2)


def test_who_did_not_answer_in_the_watch_is_not_waited_for_in_the_end(incident, prometheus):
    one = incident(deadline_s=3)
    one.at_helm = prometheus.kill
    record = one.execute()
    assert record.metrics[0].curve.problem == f"not asked for: {prometheus.url} refuses connections"
    final = max(at for at, _ in one.team.heard)
    assert time.monotonic() - final < 2


def test_no_thread_of_a_metric_lives_on(incident):
    incident().execute()
    ends = time.monotonic() + 5
    while any(each.name.startswith("zkrollback-metric") for each in threading.enumerate()):
        assert time.monotonic() < ends
        time.sleep(0.05)
