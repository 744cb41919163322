"""The session's one run, from options to the finished record. No pytest here."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ..checklist.custom import HOOK, CustomItem, parse_own_items
from ..checklist.events.feed import EventFeeds
from ..clients.clock import SystemClock
from ..clients.kube.client import connect
from ..clients.kube.kubeconfig import read_access, read_server
from ..clients.malloc import limit_malloc_arenas
from ..clients.process import LocalProcesses
from ..clients.threads import submit
from ..config.environment import Environment, Metric
from ..config.loader import DRILL, find_config, load_environment
from ..domain.command_line import IMPACT_SINCE
from ..domain.errors import KubeconfigProblem, UsageProblem, ZkRollbackError
from ..domain.item_ids import PREFLIGHT, is_rollout
from ..domain.ports import Hooks
from ..domain.record import (
    GREEN_OUTCOMES,
    Guard,
    GuardReason,
    GuardState,
    Item,
    Mode,
    Outcome,
    OwnTest,
    Record,
)
from ..domain.request import Request
from ..domain.timestamps import local_time, parse_time
from ..domain.verdict import Verdict
from ..engine.cluster_watch import NamespaceWatches
from ..engine.metric_feed import INCIDENT_S, MetricFeeds
from ..migrations.custom import fetch_own_sources
from ..notify.dispatcher import NotificationDispatcher
from ..preflight.guards import judge_without_contact
from ..preflight.guards.cluster import refusals
from ..report.file_names import file_stem
from ..report.files import Store
from ..report.incident_facts import incident_began
from ..report.outcome import conclude
from ..report.recorder import Recorder
from ..report.redaction import Redactor
from ..report.sanitize import inert_line
from .consent import ASK_S
from .context import RunContext, variables
from .display import Display
from .drill_place import choose_place
from .find_workloads import resolve_workloads
from .initial_checklist import initial_checklist
from .initial_record import initial_record, mode_of
from .lock_step import judged_head, note_failed, note_verified
from .notify_step import create_dispatcher, notify_final, report_address
from .preflight_step import run_preflight
from .recovery_timeline import RecoveryTimeline
from .results import ExpectedRelease, HelmOutcomeStatus, PreflightResult, Refusal, RunState
from .rollback_step import HelmCallbacks, RollbackStep
from .secrets import register_secrets_of_environment
from .signals import Signals
from .watched_places import event_places, watched

# A rollback has no need of the drill, and of the others none before helm.
if TYPE_CHECKING:
    from ..drill.drill import Drill
    from ..drill.venue import VenueChoice
    from .find_redeploy_risks import RedeployRisks
    from .github_step import GithubDeployment
    from .range_of_commits import CommitsQuestion


_NOT_BEFORE_HELM = (
    "httpx",
    ".verify_step",
    ".find_redeploy_risks",
    ".range_of_commits",
    "..report.html",
)
# The verdict is out and the team was told: so long what is only shown may take after Ctrl-C.
_FAREWELL_S = 1.0
_EARLIER_RUNS_S = 1.0


class Run:
    """One run. Making it contacts nothing; :meth:`execute` does everything, once."""

    def __init__(
        self,
        request: Request,
        env: Environment | None,
        release: str,
        workloads: Mapping[str, str],
        command_line: str,
        hooks: Hooks,
        redactor: Redactor,
        place: VenueChoice | None = None,
        checkout: Path = Path(),
        drill_metrics: Sequence[Metric] = (),
    ) -> None:
        """``env`` is None for the drill, which makes its own, at ``place`` if one was asked for.

        ``checkout`` is the folder that a kept drill belongs to.
        ``drill_metrics`` are its scenario's. ``workloads``, metrics and what the hooks add make the
        checklist; raises UsageProblem where a hook is wrong.
        """
        self.request = request
        self._hooks = hooks
        metrics = env.metric_checks if env is not None else drill_metrics
        self._own_items, checklist = _checklist(request, workloads, hooks, metrics)
        self._own_sources = fetch_own_sources(hooks, request.environment)
        self.checklist_ids = tuple(item.id for item in checklist)
        self.hints: tuple[str, ...] = ()
        self.shell: tuple[str, ...] = ()  # lines for the operator's shell
        self._env = env
        self._place = place
        self._checkout = checkout
        self._drill: Drill | None = None
        self._executed = False
        self.was_refused = False
        self.was_misused = False
        self._clock = SystemClock()
        self._processes = LocalProcesses()
        self._signals = Signals()
        self.redactor = redactor
        # The report's own words stay readable even where a Secret of the release holds the same text.
        redactor.spare([request.environment, release])
        if env is not None:
            register_secrets_of_environment(self.redactor, env, os.environ)
        self._watch: NamespaceWatches | None = None
        self._events: EventFeeds | None = None
        self._timeline: RecoveryTimeline | None = None
        self._metrics: MetricFeeds | None = None
        self._notifier: NotificationDispatcher | None = None
        self._redeploy_risks: RedeployRisks | None = None
        self._commits: CommitsQuestion | None = None
        # Whichever changes the release: asked what it did also after an exception.
        self._changing: RollbackStep | GithubDeployment | None = None
        record = self._initial = initial_record(request, release, checklist, command_line, self._clock.now())
        self.item_ids = tuple(item.id for item in record.items)
        self._state = RunState(self.item_ids)
        # An engine runs others beside it: whose would the copies be?
        is_latest = request.fleet is None or not request.run_id
        self.store = Store(Path(request.report_dir), file_stem(record), self.redactor, is_latest=is_latest)
        self._recorder = Recorder(record, self._clock, self.store.write, self.redactor.record)
        self._display = Display(lambda: self.redacted, self._clock, sys.stdout, self.redactor.text)

    @classmethod
    def create(
        cls, request: Request, rootpath: Path, command_line: str, hooks: Hooks, redactor: Redactor
    ) -> Run:
        """Read the configuration and ask the hooks; raises UsageProblem. ``redactor`` learns secrets."""
        path = find_config(rootpath, request.config_file)
        if request.environment == DRILL:
            from ..drill.drill import DRILL_WORKLOADS, scenario_to_play
            from ..drill.scenarios import DEFAULT_SCENARIO, RELEASE, choose_scenario

            choose_scenario(request.drill_scenario or DEFAULT_SCENARIO)
            place = choose_place(request, rootpath, path)
            scenario = scenario_to_play(rootpath, request.drill_scenario, place)
            _refuse_without_github(request, None)
            if request.drill_context is not None:
                request = replace(request, confirm=None)  # it was the context's name
            # A kept drill's checklist is that of its own scenario.
            request = replace(request, drill_scenario=scenario)
            metrics = choose_scenario(scenario).metrics
            return cls(
                request,
                None,
                RELEASE,
                DRILL_WORKLOADS,
                command_line,
                hooks,
                redactor,
                place,
                rootpath,
                metrics,
            )
        env = load_environment(path, request.environment)
        _refuse_without_github(request, env)
        return cls(request, env, env.release, env.named_workloads, command_line, hooks, redactor)

    def may_be_found(self, item_id: str) -> bool:
        """Whether this may be the item of a workload that is not known yet (``workloads = "auto"``)."""
        auto = self._env is not None and self._env.workloads == "auto"
        return auto and is_rollout(item_id)

    @property
    def redacted(self) -> Record:
        """The record as it stands, without secrets: what everything outside of a run sees."""
        return self._recorder.redacted

    @property
    def was_interrupted(self) -> bool:
        """Whether a signal ended the run."""
        return self._state.found is Outcome.INTERRUPTED

    @property
    def has_judged(self) -> bool:
        """Whether anything of the checklist was judged."""
        return self._state.has_judged

    def report_own_tests(self, tests: tuple[OwnTest, ...]) -> None:
        """Put the repository's own tests into the record; no verdict and no outcome changes with them."""
        self._recorder.update(own_tests=tests)

    def note(self, text: str) -> None:
        """Put a line into the record's timeline."""
        self._recorder.event(text, "zkrollback")

    def execute(self, selected: frozenset[str]) -> None:
        """All of it, once; nothing that an operator, a cluster or a signal can cause is raised.

        ``selected`` are the items that pytest will report; the others are left out and said so.
        A second call is a bug (RuntimeError).
        """
        if self._executed:
            raise RuntimeError("a run is executed once")
        self._executed = True
        limit_malloc_arenas()
        self._signals.install()
        self._recorder.event("run started", "zkrollback")
        if said := self.describe_impact():
            self._recorder.event(said, "operator")
        self._recorder.write_async()
        note = ""
        try:
            with self._display:
                self._steps(selected)
        except KeyboardInterrupt:
            note = f"interrupted ({self._signals.spoken})"
            self._state.interrupt()
        except ZkRollbackError as error:
            if self._may_have_changed:
                note = f"not verified: {error}"
                self._recorder.event(note, "zkrollback")
            else:
                note = self._not_run
                self._refuse(error)
        finally:
            self._conclude(selected, note)
            self._ask_incident()
            if notify_final(
                self._notifier,
                self._recorder,
                self._state,
                self._clock,
                self._signals,
                acted=self._may_have_changed,
                missing=self.request.missing,
            ):
                self._sum_up()
            self._note_incident()
            self._note_neighbours()
            self._processes.end_all()  # a smoke test that still runs; never helm
            if self._timeline is not None:
                self._timeline.hand_over()
            if self._watch is not None:
                self._watch.stop()
            if self._events is not None:
                self._events.stop()
            if self._metrics is not None:
                self._metrics.stop()
            self._close_drill()
            self._signals.restore()

    def _ask_incident(self) -> None:
        """Ask what metrics were over the whole incident, now that the verdict is in the record."""
        if self._metrics is not None and not self.was_refused:
            self._metrics.ask_incident(INCIDENT_S)

    def _note_neighbours(self) -> None:
        """What the report says beside this run: commits and earlier runs. An operator in a hurry has none."""
        if self._signals.count:
            return
        from ..report.earlier_runs import fetch_earlier_runs

        if self._commits is not None:
            self._recorder.update(commits=self._commits.answer())
        asked = submit(
            "earlier runs", partial(fetch_earlier_runs, Path(self.request.report_dir), self.redacted)
        )
        with suppress(TimeoutError):
            if asked.exception(_EARLIER_RUNS_S) is None:
                self._recorder.update(earlier_runs=asked.result())

    def _note_incident(self) -> None:
        """Put into the record what came meanwhile: nobody waits long for it, and no verdict changes."""
        if self._metrics is None:
            return
        heard = self._signals.count
        patience_s = INCIDENT_S if not heard else _FAREWELL_S
        if self._metrics.wait_for_incident(patience_s, stop=lambda: self._signals.count > heard):
            self._recorder.update(metrics=self._metrics.series())

    def _close_drill(self) -> None:
        """What of it could not be ended is said with the last lines: the run itself is over."""
        if self._drill is None:
            return
        try:
            self._drill.close()
        except ZkRollbackError as problem:
            self.hints = (*self.hints, str(problem))

    def _ask(self, question: str) -> str:
        """The operator's answer at the terminal; empty where there is none."""
        if not self.request.interactive:
            return ""
        from .prompt import ask

        until_s = self._clock.monotonic_s() + ASK_S
        with self._display.paused():
            reply = ask(self.redactor.text(question), self._clock, until_s)
        asked = question.splitlines()[-1]
        self._recorder.event(f"asked at the terminal: {asked} Answer: {reply.spoken}", "operator")
        return reply.text

    @property
    def _may_have_changed(self) -> bool:
        """Whether helm ran or GitHub may have deployed: then nobody may say that nothing was changed."""
        return self._changing is not None and self._changing.may_have_changed

    def _steps(self, selected: frozenset[str]) -> None:
        state, request = self._state, self.request
        with self._signals.raising():
            context = self._open(selected)
            github = _through_github(context, state) if request.through_github else None
            preflight = run_preflight(context, github.judge) if github is not None else run_preflight(context)
        if isinstance(preflight, Refusal):
            state.found = Outcome.REFUSED
            state.note(PREFLIGHT, Verdict.FAIL)
            if preflight.by_lock:
                self.store.give_back_latest()  # they belong to the run that goes on
            return
        state.note(PREFLIGHT, Verdict.PASS)
        history = preflight.history
        if history is None:
            return
        if request.plan:
            from .range_of_commits import CommitsQuestion

            state.found = Outcome.PLANNED
            self._commits = CommitsQuestion(context, history, preflight.plan)
            return
        self._metrics = MetricFeeds(context.env, variables(self._drill), self._clock)
        began = incident_began(preflight.plan, request.impact_since)
        self._metrics.begin(began or history.head.revision.deployed_at)
        if self._metrics.unusable:  # it stops nothing: the items say so in the end
            self._recorder.event(self._metrics.unusable, "zkrollback")
            self._display.status(f"WARNING metrics: {self._metrics.unusable}")
        if github is not None:
            self._recorder.flush()
            _import_verification()
            self._changing = github
            release = github.run(preflight, history)
            if github.was_locked:
                self.store.give_back_latest()  # they belong to the run that goes on
            if release is None:
                return
        else:
            head = history.head.revision.revision
            wanted = preflight.target if preflight.target is not None else history.origin(head)
            release = ExpectedRelease(
                history, wanted, preflight.plan, head, history, preflight.journal, preflight.injected
            )
        self._roll_back_and_verify(context, preflight, release, github)

    def _roll_back_and_verify(
        self,
        context: RunContext,
        preflight: PreflightResult,
        release: ExpectedRelease,
        github: GithubDeployment | None,
    ) -> None:
        state, history, request = self._state, release.history, self.request
        context = resolve_workloads(context, history, release.target)
        self._watch = NamespaceWatches(context.kube, watched(context.env, release), self._clock)
        timeline = self._timeline = RecoveryTimeline(context, self._watch)
        events = self._events = EventFeeds(context.kube, event_places(context.env, release), self._clock)
        since = self._clock.now()
        helm = None
        if request.target is not None and preflight.target is not None and preflight.helm_version is not None:
            watch = self._watch

            def while_helm_runs() -> None:
                # What happens while helm runs is seen, too.
                begins = (partial(events.begin, since), watch.start, timeline.begin, _import_verification)
                for begin in begins:
                    with suppress(RuntimeError):  # no thread to be had for one is none of the others' fault
                        begin()

            callbacks = HelmCallbacks(
                on_started=while_helm_runs,
                # A picture from before helm's changes may decide nothing.
                on_finished=self._watch.refresh,
            )
            step = RollbackStep(
                context, state, preflight, history, preflight.target, preflight.helm_version, callbacks
            )
            self._changing = step
            helm = step.run()
            if helm.status is HelmOutcomeStatus.LOCKED:
                self.store.give_back_latest()  # they belong to the run that goes on
            if helm.status in (HelmOutcomeStatus.LOCKED, HelmOutcomeStatus.REFUSED):
                state.found = Outcome.REFUSED
                return
            release = replace(release, plan=helm.plan, head=helm.head, last_read=helm.after or history)
            if helm.status is HelmOutcomeStatus.RAN:
                release = replace(release, beside=helm.beside)
        if self._signals.count:
            raise KeyboardInterrupt
        from .find_redeploy_risks import RedeployRisks
        from .range_of_commits import CommitsQuestion
        from .verify_step import run_verify

        assert self._metrics is not None  # noqa: S101 - they are asked since the preflight
        acted = "helm's end" if helm is not None and helm.status is HelmOutcomeStatus.RAN else ""
        acted = "the deploy through GitHub" if github is not None else acted
        acted = "the other run's rollback" if preflight.made_by else acted
        at = self._clock.now() if acted else preflight.started_at
        self._metrics.settle_from(at, acted or "the run's beginning")
        if helm is None or helm.status is not HelmOutcomeStatus.RAN:
            self._watch.refresh()
            found = helm.after if helm is not None and helm.after is not None else history
            since = found.head.revision.deployed_at
            events.begin(since)
        pull = github.pull_request if github is not None else None
        risks = self._redeploy_risks = RedeployRisks(context, release, state, self._watch, pull)
        risks.begin()
        run_verify(context, release, state, self._watch, events, timeline, since, risks, self._metrics)
        self._commits = CommitsQuestion(context, release.history, release.plan)
        if self._signals.count < 2:  # an operator who has seen enough ends the run before its end
            note_failed(context, state, judged_head(release), history.head.installed)
        if self._signals.count:  # also in the soak, when every item is green already
            raise KeyboardInterrupt
        if state.add_up() in GREEN_OUTCOMES:
            note_verified(context, state, release.head, history.head.installed)

    def _open(self, selected: frozenset[str]) -> RunContext:
        """The environment and its API server; the redactor knows their secrets before anything is shown."""
        if self._env is None:
            from ..drill.drill import start_drill
            from ..drill.named_context import NamedContext

            place = self._place
            if isinstance(place, NamedContext):
                place = replace(place, ask=self._ask, keep_secret=self.redactor.add)
            self._drill = start_drill(
                keep=self.request.drill_keep,
                scenario=self.request.drill_scenario,
                progress=self._display.status,
                checkout=self._checkout,
                venue=place,
            )
            self.hints, self.shell = self._drill_hints(self._drill)
            self._recorder.update(drill="kept" if self._drill.kept else "ended")
            self._env = self._drill.environment
        env = self._env
        register_secrets_of_environment(self.redactor, env, variables(self._drill))
        self._recorder.update(
            namespace=env.namespace,
            release=env.release,
            cluster=f"context {env.context}",
            protected=env.protected,
            report=report_address(env, self.store.html_path.name, os.environ),
            links=env.links,
            report_timezone=env.report_timezone or "",
        )
        kube = connect(
            env.kube_context,
            env.kubeconfig,
            self._clock,
            processes=self._processes,
            keep_secret=self.redactor.add,
        )
        self._recorder.update(cluster=f"context {env.context}, {kube.server}")
        self._notifier = create_dispatcher(
            self.request,
            env,
            variables(self._drill),
            self._hooks,
            selected,
            self._drill,
            recorder=self._recorder,
            clock=self._clock,
            on_status=self._display.status,
        )
        return RunContext(
            run_id=self._initial.run_id,
            operator=self._initial.operator,
            started_at=self._initial.started_at,
            request=self.request,
            env=env,
            kube=kube,
            recorder=self._recorder,
            display=self._display,
            redactor=self.redactor,
            clock=self._clock,
            processes=self._processes,
            signals=self._signals,
            notifier=self._notifier,
            selected=selected,
            hooks=self._hooks,
            own_items=self._own_items,
            own_sources=self._own_sources,
            drill=self._drill,
        )

    def _drill_hints(self, drill: Drill) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What to know of a drill that stays, and what to type in the shell to work on it by hand."""
        if not drill.kept:
            return (), ()
        if not self.request.drill_keep:
            return ("The kept drill was used; pytest --drill-stop ends it.",), ()
        said = "# the drill is kept (pytest --drill-stop ends it); to use it in this shell:"
        return (), (said, *drill.hints)

    def describe_impact(self) -> str:
        """How a time was understood that was not typed with its zone; empty: there is nothing to say."""
        at, typed = self.request.impact_since, self.request.impact_since_typed
        if at is None or parse_time(typed) is not None:
            return ""
        return f"users are affected since {local_time(at)}: {IMPACT_SINCE}={typed} is understood so"

    def describe_start(self) -> str:
        """Environment, server, release and mode in one line, before anything is contacted."""
        record, env = self._initial, self._env
        asked = "" if self.request.target is None else f" to {self.request.target}"
        mode = {
            Mode.VERIFY: "verify only",
            Mode.PLAN: f"rehearse a rollback{asked}: nothing is changed",
            Mode.ROLLBACK: f"roll back{asked}",
            Mode.RECOVER: "recover the release",
            Mode.GITHUB: "roll back through GitHub Actions",
        }[record.mode]
        where = "the drill's own cluster"
        if self._place is not None:
            where = self._place.name
        if env is not None:
            where = self._server(env)
        release = record.release if env is None else f"{record.release} in namespace {env.namespace}"
        said = f"zkrollback: environment {record.environment}, {where}, release {release}, {mode}"
        return self.redactor.text(inert_line(said))

    def _server(self, env: Environment) -> str:
        try:
            if env.in_cluster:
                return read_access(None, None, keep_secret=self.redactor.add).server
            return read_server(env.context, env.kubeconfig).server
        except ZkRollbackError:  # the preflight says why
            return f"context {env.context} (its server is not known)"

    @property
    def _not_run(self) -> str:
        if not self.request.changes:
            return "not run: see preflight"
        return "not run: refused before helm, see preflight"

    def _refuse(self, error: ZkRollbackError) -> None:
        """Something that has to be known could not be: nothing was changed, helm did not run."""
        now = self._clock.now()
        self.was_misused = isinstance(error, UsageProblem)
        no_access = isinstance(error, KubeconfigProblem)
        reason = GuardReason.KUBECONFIG if no_access else GuardReason.NO_ANSWER
        said = str(error)
        guards = [Guard(id="cluster", state=GuardState.REFUSED, reason=reason, unknown=True, evidence=said)]
        if self.was_misused:
            wrong = GuardReason.CONFIGURATION
            guards = [Guard(id="configuration", state=GuardState.REFUSED, reason=wrong, evidence=said)]
        if self._env is not None and self.request.changes:
            guards += refusals(judge_without_contact(self._env, self.request.confirm))
        self._state.found = Outcome.REFUSED
        self._recorder.update(outcome=Outcome.REFUSED)
        self._recorder.add(guards=guards)
        if self._state.verdict(PREFLIGHT) is None:
            self._state.note(PREFLIGHT, Verdict.FAIL)
            self._recorder.item(PREFLIGHT, verdict=Verdict.FAIL, observed=str(error), finished_at=now)
        self._recorder.event(f"refused: {error}", "zkrollback")

    def _conclude(self, selected: frozenset[str], note: str) -> None:
        """Every item gets a verdict, the run an outcome, the record its end."""
        recorder, state = self._recorder, self._state
        recorder.flush()
        if self._metrics is not None:
            recorder.update(metrics=self._metrics.series())
        refused = self.was_refused = state.found is Outcome.REFUSED

        def why(item_id: str) -> str:
            if item_id not in selected:
                return "left out on the command line (-k, -m, --deselect, --lf or a path)"
            return note or (self._not_run if refused else "it was not judged")

        recorder.close_items(why)
        if refused and mode_of(self.request) is Mode.VERIFY:
            state.found = Outcome.UNVERIFIED
        recorder.end(state.end(), self._clock.now(), recovered_at=state.green_since)
        self._sum_up()

    def _sum_up(self) -> None:
        if self._redeploy_risks is not None:
            self._redeploy_risks.note()
        conclude(self._recorder, self._env, str(self.store.json_path))


def _import_verification() -> None:
    """In a thread, while helm or GitHub is at work: what judges the checklist, and what draws the report."""

    def load() -> None:
        for name in _NOT_BEFORE_HELM:
            import_module(name, __package__)

    submit("imports", load)


def _through_github(context: RunContext, state: RunState) -> GithubDeployment:
    from .github_step import GithubDeployment

    return GithubDeployment(context, state)


def _refuse_without_github(request: Request, env: Environment | None) -> None:
    if request.through_github:
        from .github_step import refuse_without_github

        refuse_without_github(request, env)


def _checklist(
    request: Request, workloads: Mapping[str, str], hooks: Hooks, metrics: Sequence[Metric]
) -> tuple[tuple[CustomItem, ...], tuple[Item, ...]]:
    """The repository's own items and all blank ones; a plan has none: it verifies nothing."""
    built_in = [item.id for item in initial_checklist(workloads, (), metrics)]
    own = parse_own_items(hooks.answers(HOOK, environment=request.environment), built_in)
    return own, () if request.plan else initial_checklist(workloads, own, metrics)
