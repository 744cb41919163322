"""Third step: observe and judge the checklist, all items side by side, and tell the team."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

from ..checklist.events.feed import EventFeeds
from ..checklist.metrics import MetricCheck
from ..checklist.rollout.check import RolloutCheck
from ..clients.threads import hand_over
from ..domain.errors import ZkRollbackError
from ..domain.item_ids import EQUIVALENCE, NOTIFY
from ..domain.ports import Check
from ..domain.record import GREEN_OUTCOMES, TimelineEntry
from ..domain.verdict import CheckResult, Judgement, Pending, Verdict
from ..engine.cluster_watch import NamespaceWatches
from ..engine.metric_feed import INCIDENT_S, MetricFeeds
from ..engine.scheduler import Schedule
from ..report.failures import listed
from ..report.formatting import clock_time
from ..report.summary import soak_line
from .build_checklist import ReleaseReader, build_checks
from .context import RunContext
from .find_redeploy_risks import RedeployRisks
from .recovery_timeline import RecoveryTimeline
from .results import ExpectedRelease, RunState

_ANEW_S = 4.0  # for lists; of thousands of pods they have twice as long as the last time besides
_TICK_S = 0.1
# Objects, logs and the history are read side by side once the rollouts have settled.
_CONNECTIONS = 12


def run_verify(
    context: RunContext,
    release: ExpectedRelease,
    state: RunState,
    watch: NamespaceWatches,
    events: EventFeeds,
    timeline: RecoveryTimeline,
    since: datetime,
    redeploy_risks: RedeployRisks,
    metrics: MetricFeeds,
) -> None:
    """Judge every item until its verdict is final; each is in the record before the next one.

    The verdicts go into ``state``. ``since``: when the rollback began, by the server's clock. ``metrics``:
    they are asked for since before that.
    """
    recorder = context.recorder
    _get_ready(context)
    reader = ReleaseReader(context, release, state)
    checks = build_checks(context, release, reader, state, watch, events, since, metrics)
    state.expect(check.id for check in checks)
    _describe(context, state, checks)
    commands = {check.id: check.command for check in checks}
    wanted = [
        check
        for check in checks
        # A rollout is needed even if it was left out: others wait until it has settled.
        if check.id not in context.request.waivers and (check.id in context.selected or check.gates_others)
    ]

    judged = JudgementNotes(context, state, timeline, redeploy_risks, commands)
    soak_s = context.env.soak_s if context.request.soak_s is None else context.request.soak_s
    recorder.update(soak_s=soak_s)
    watched = [check for check in wanted if isinstance(check, MetricCheck)]
    state.judged_later = frozenset(check.id for check in watched)
    watch_until = max((check.watched_until for check in watched), default=None)

    def begin_soak(moment: datetime) -> None:
        length_s = soak_s
        if watch_until is not None:
            length_s = round(max(soak_s, (watch_until - moment).total_seconds()), 1)
        recorder.update(provisional_at=moment, soak_s=length_s, metrics=metrics.series())
        text = soak_line(length_s, moment + timedelta(seconds=length_s) if watched else None)
        recorder.event(text, "zkrollback", moment)
        context.display.status(text)
        metrics.ask_incident(INCIDENT_S)  # nobody waits: the message at the soak's end has what came

    def prolong_soak(until: datetime, ids: Sequence[str]) -> None:
        assert schedule.provisional_at is not None  # noqa: S101 - it is the soak that goes on
        length_s = round((until - schedule.provisional_at).total_seconds(), 1)
        recorder.update(soak_s=length_s)
        text = f"watched on until {clock_time(until)} UTC: {listed(ids)} may show something until then"
        recorder.event(text, "zkrollback")
        context.display.status(text)

    def look_anew() -> None:
        """A watch that died without a word may show what was there 15 s ago; a last look may not."""
        events.stop()  # and asked again
        watch.refresh()
        until_s = context.clock.monotonic_s() + _ANEW_S + 2 * watch.list_took_s
        while not context.signals.count and context.clock.monotonic_s() < until_s:
            if watch.wait_first(_TICK_S):
                return

    context.display.status("verifying the checklist")
    schedule = Schedule(
        wanted,
        context.clock,
        since,
        judged.note,
        on_sample=timeline.add,
        soak_s=soak_s,
        soak_max_s=context.env.soak_max_s,
        soak_until=watch_until,
        is_green=state.is_green_so_far,
        on_provisional=begin_soak,
        on_prolonged=prolong_soak,
        on_last_look=look_anew,
        failed_before=state.failed,
    )
    watch.listen(schedule.note_news)
    timeline.hand_over()
    verdicts = schedule.run(lambda: context.signals.count > 0)
    recorder.flush()
    if not context.signals.count:
        _note_what_came_up(context, checks, verdicts)
        _note_what_is_restored(context, state, verdicts)
    recorder.samples(timeline.samples.points())
    _note_first_warning(context, timeline)
    state.green_since = schedule.green_since
    recorder.update(served_again_at=timeline.samples.served_again_at, watched_until=schedule.watched_until)
    if EQUIVALENCE not in {check.id for check in wanted} and not context.signals.count:
        _look_at_head(context, reader)
    if schedule.provisional_at is not None:
        _end_soak(context, state.add_up(without=(NOTIFY,)) in GREEN_OUTCOMES)


def _get_ready(context: RunContext) -> None:
    """What need not be done when it counts."""
    context.recorder.write_async(gathers=True)
    if context.request.changes:  # pods come first, and nobody waits yet
        with suppress(RuntimeError):
            hand_over("connections", partial(context.kube.open_connections, _CONNECTIONS))


class JudgementNotes:
    """Writes down what was judged of each item, and says at once what looks like a failure."""

    def __init__(
        self,
        context: RunContext,
        state: RunState,
        timeline: RecoveryTimeline,
        redeploy_risks: RedeployRisks,
        commands: Mapping[str, str],
    ) -> None:
        """``commands``: by an item's id, what repeats it by hand."""
        self._context = context
        self._state = state
        self._timeline = timeline
        self._redeploy_risks = redeploy_risks
        self._commands = commands
        self._failing: set[str] = set()  # of these it was said

    def note(
        self, item_id: str, judgement: Judgement, started_at: datetime, finished_at: datetime | None
    ) -> None:
        """A judgement that changed (``on_judgement`` of the schedule)."""
        context, state = self._context, self._state
        if item_id not in context.selected:
            return
        context.recorder.samples(self._timeline.samples.points())
        if isinstance(judgement, Pending):
            self._note_pending(item_id, judgement, started_at)
            return
        unchanged = state.verdict(item_id) is judgement.word
        at = finished_at or context.clock.now()
        said = TimelineEntry(
            at=at,
            event=f"{item_id}: {judgement.word}",
            source="zkrollback",
            item=item_id,
            verdict=judgement.word,
        )
        state.note(item_id, judgement.word)
        context.recorder.item(
            item_id,
            said=None if unchanged else said,
            verdict=judgement.word,
            observed=judgement.observed,
            evidence=judgement.evidence,
            limits=judgement.limits,
            command=judgement.by_hand or self._commands[item_id],
            cures=judgement.cures,
            ignored=judgement.ignored,
            started_at=started_at,
            finished_at=finished_at,
        )
        self._redeploy_risks.note()
        if not unchanged:  # what the last look saw stands in the record, and is no news
            context.display.changed()

    def _note_pending(self, item_id: str, judgement: Pending, started_at: datetime) -> None:
        context, said = self._context, None
        if judgement.failing and item_id not in self._failing:
            self._failing.add(item_id)
            text = f"{item_id}: {judgement.observed}"
            said = TimelineEntry(at=context.clock.now(), event=text, source="zkrollback")
        self._state.note(item_id, None)
        context.recorder.item(
            item_id, said=said, verdict=None, observed=judgement.observed, started_at=started_at
        )
        self._redeploy_risks.note()
        context.display.changed()
        if said is not None:
            context.display.status(said.event)


def _describe(context: RunContext, state: RunState, checks: Sequence[Check]) -> None:
    """Write down what each item expects, and which ones the operator waived."""
    now, waivers = context.clock.now(), context.request.waivers
    described: dict[str, dict[str, object]] = {}
    for check in checks:
        described[check.id] = {"title": check.title, "expected": check.expected, "command": check.command}
        if check.id in waivers:
            text = f"waived by the operator: {waivers[check.id]}"
            described[check.id] |= {"verdict": Verdict.WAIVED, "observed": text, "finished_at": now}
            state.note(check.id, Verdict.WAIVED)
    context.recorder.items(described)


def _note_what_came_up(
    context: RunContext, checks: Sequence[Check], verdicts: Mapping[str, CheckResult]
) -> None:
    """A workload that failed may be complete by now: its verdict stays, and its line says so."""
    for check in checks:
        verdict = verdicts.get(check.id)
        if not isinstance(check, RolloutCheck) or verdict is None or verdict.word is not Verdict.FAIL:
            continue
        with suppress(ZkRollbackError):
            if ready := check.fetch_readiness():
                text = f"{verdict.observed}; it has come up since: {ready}"
                context.recorder.item(check.id, observed=text, came_up_at=context.clock.now())


def _note_what_is_restored(context: RunContext, state: RunState, verdicts: Mapping[str, CheckResult]) -> None:
    """Where helm alone calls the revision failed: its pods may have come after helm had stopped waiting."""
    for item_id, verdict in verdicts.items():
        if verdict.only_by_helm and state.all_pass(without=(item_id, NOTIFY)):
            context.recorder.item(item_id, observed=f"{verdict.observed}; everything else is restored")


def _note_first_warning(context: RunContext, timeline: RecoveryTimeline) -> None:
    first = timeline.first_warning
    if first is not None:
        about = f"{first.reason} of {first.kind} {first.name}: {first.message}"
        context.recorder.event(f"first warning about the release: {about}", "kubernetes", first.first)


def _look_at_head(context: RunContext, reader: ReleaseReader) -> None:
    """Where nobody compares the release: has somebody else changed it meanwhile?"""
    try:
        reader.read()
    except ZkRollbackError as error:
        context.recorder.event(f"the release could not be read again: {error}", "helm history")


def _end_soak(context: RunContext, green: bool) -> None:
    if context.signals.count:
        context.recorder.event("interrupted during the soak: green only provisionally", "operator")
    elif green:
        context.recorder.event("watching has ended: every item was looked at once more", "zkrollback")
    else:
        context.recorder.event(
            "not green any more: see the items that failed or were not verified", "zkrollback"
        )
