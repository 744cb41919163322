"""The session's one run, from options to the finished record. No pytest here."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..checklist.custom import HOOK, CustomItem, parse_own_items
from ..checklist.events.feed import EventLog
from ..clients.clock import SystemClock
from ..clients.kube.client import connect
from ..clients.malloc import limit_malloc_arenas
from ..clients.process import LocalProcesses
from ..config.environment import Environment
from ..config.loader import DRILL, find_config, load_environment
from ..domain.errors import KubeconfigProblem, LockHeld, ZkRollbackError
from ..domain.ports import Hooks
from ..domain.record import Guard, GuardReason, GuardState, Item, Mode, Outcome, Record
from ..domain.request import Request
from ..domain.verdict import Verdict
from ..engine.cluster_watch import ClusterWatch
from ..engine.scheduler import ROLLOUT_PREFIX
from ..migrations.custom import fetch_own_sources
from ..notify.dispatcher import NotificationDispatcher
from ..preflight.guards import judge_without_contact
from ..preflight.guards.cluster import refusals
from ..preflight.recovery import needs_no_hooks
from ..report.files import Store, file_stem
from ..report.outcome import choose_outcome, next_commands, outcome_of, render_summary, undo_command
from ..report.recorder import Recorder
from ..report.redaction import Redactor
from ..report.summary import DONE
from .build_checklist import initial_checklist, watched
from .context import RunContext, variables
from .display import Display
from .find_redeploy_risks import RedeployRisks
from .find_workloads import resolve_workloads
from .github_step import GithubDeployment, refuse_without_github
from .initial_record import initial_record
from .lock_step import note_verified
from .notify_step import choose_telling, report_address, tell_the_end
from .preflight_step import run_preflight
from .recovery_timeline import RecoveryTimeline
from .rollback_step import HelmCallbacks, HelmOutcomeStatus, run_rollback
from .secrets import register_secrets_of_environment
from .signals import Signals
from .verify_step import run_verify

if TYPE_CHECKING:  # a rollback has no need of the drill, nor of its memory
    from ..drill.session import Drill


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
    ) -> None:
        """``env`` is None for the drill, which makes its own.

        ``workloads`` and what the hooks add make the checklist; raises UsageProblem where a hook is wrong.
        """
        self.request = request
        self._hooks = hooks
        self._own_items, checklist = _checklist(request, workloads, hooks)
        self._own_sources = fetch_own_sources(hooks, request.environment)
        self.checklist_ids = tuple(item.id for item in checklist)
        self.hints: tuple[str, ...] = ()
        self._env = env
        self._drill: Drill | None = None
        self._clock = SystemClock()
        self._processes = LocalProcesses()
        self._signals = Signals()
        self.redactor = redactor
        # The report's own words stay readable even where a Secret of the release holds the same text.
        redactor.spare([request.environment, release])
        if env is not None:
            register_secrets_of_environment(self.redactor, env, os.environ)
        self._watch: ClusterWatch | None = None
        self._events: EventLog | None = None
        self._picture: RecoveryTimeline | None = None
        self._telling: NotificationDispatcher | None = None
        self._redeploy_risks: RedeployRisks | None = None
        record = initial_record(request, release, checklist, command_line, self._clock.now())
        self.item_ids = tuple(item.id for item in record.items)
        self.store = Store(Path(request.report_dir), file_stem(record), self.redactor)
        self._recorder = Recorder(record, self._clock, self.store.write)
        self._display = Display(lambda: self.redacted, self._clock, sys.stdout, self.redactor.text)

    @classmethod
    def create(
        cls, request: Request, rootpath: Path, command_line: str, hooks: Hooks, redactor: Redactor
    ) -> Run:
        """Read the configuration and ask the hooks; raises UsageProblem. ``redactor`` learns secrets."""
        path = find_config(rootpath, request.config_file)
        if request.environment == DRILL:
            from ..drill.scenarios import DEFAULT_SCENARIO, RELEASE, choose_scenario
            from ..drill.session import DRILL_WORKLOADS, refuse_another_scenario

            choose_scenario(request.drill_scenario or DEFAULT_SCENARIO)
            refuse_another_scenario(request.drill_scenario)
            refuse_without_github(request, None)
            return cls(request, None, RELEASE, DRILL_WORKLOADS, command_line, hooks, redactor)
        env = load_environment(path, request.environment)
        refuse_without_github(request, env)
        return cls(request, env, env.release, env.named_workloads, command_line, hooks, redactor)

    def may_be_found(self, item_id: str) -> bool:
        """Whether this may be the item of a workload that is not known yet (``workloads = "auto"``)."""
        auto = self._env is not None and self._env.workloads == "auto"
        return auto and item_id.startswith(ROLLOUT_PREFIX)

    @property
    def redacted(self) -> Record:
        """The record as it stands, without secrets: what everything outside of a run sees."""
        return self.redactor.record(self._recorder.record)

    def execute(self, selected: frozenset[str]) -> None:
        """All of it, once; nothing that an operator, a cluster or a signal can cause is raised.

        ``selected`` are the items that pytest will report; the others are left out and said so.
        """
        limit_malloc_arenas()
        self._signals.install()
        self._recorder.event("run started", "zkrollback")
        note = ""
        try:
            with self._display:
                self._steps(selected)
        except KeyboardInterrupt:
            note = f"interrupted ({self._signals.spoken})"
            self._recorder.update(outcome=Outcome.INTERRUPTED)
        except ZkRollbackError as error:
            github = self._recorder.record.github
            if self._recorder.record.helm.ran or (github is not None and github.deploys):
                note = f"not verified: {error}"
                self._recorder.event(note, "zkrollback")
            else:
                note = self._not_run
                self._refuse(error)
        finally:
            self._conclude(selected, note)
            if tell_the_end(self._telling, self._recorder, self._clock, self._signals):
                self._sum_up()
            self._processes.end_all()  # a smoke test that still runs; never helm
            if self._picture is not None:
                self._picture.hand_over()
            if self._watch is not None:
                self._watch.stop()
            if self._events is not None:
                self._events.stop()
            if self._drill is not None:
                self._drill.close()
            self._signals.restore()

    def _steps(self, selected: frozenset[str]) -> None:
        with self._signals.raising():
            context = self._open(selected)
            way = GithubDeployment(context) if self.request.through_github else None
            facts = run_preflight(context, way.judge if way is not None else tuple)
        if facts is None or facts.history.value is None:
            if any(guard.id == "lock" for guard in refusals(self._recorder.record.guards)):
                self.store.give_back_latest()  # they belong to the run that goes on
            return
        if self.request.plan:
            self._recorder.update(outcome=Outcome.PLANNED)
            return
        history, target = facts.history.value, self._recorder.record.target_revision
        if way is not None:
            with self._signals.raising():  # a step that is cut off is looked at by the next run
                deployed = way.run(history)
            if deployed is None:
                return
            history = deployed
        context = resolve_workloads(context, history)
        self._watch = ClusterWatch(
            context.kube, context.env.namespace, self._clock, resources=watched(context.env, history)
        )
        picture = self._picture = RecoveryTimeline(context, self._watch)
        events = self._events = EventLog(context.kube, context.env.namespace, self._clock)
        since = self._clock.now()
        step = HelmOutcomeStatus.SKIPPED
        if self.request.target is not None and target is not None and facts.helm.value is not None:
            self._watch.start()  # what happens while helm runs is seen, too
            picture.begin()
            no_hooks = needs_no_hooks(facts.hook_jobs.value or ())
            holder = facts.lock.error.run_id if isinstance(facts.lock.error, LockHeld) else ""
            step = run_rollback(
                context,
                history,
                target,
                facts.helm.value,
                moments=HelmCallbacks(
                    started=lambda: events.begin(since),
                    ended=self._watch.refresh,  # a picture from before helm's changes may decide nothing
                ),
                no_hooks=no_hooks,
                holder=holder,
            )
        if step is HelmOutcomeStatus.LOCKED:
            self.store.give_back_latest()  # they belong to the run that goes on
        if step in (HelmOutcomeStatus.LOCKED, HelmOutcomeStatus.REFUSED):
            return
        if self._signals.count:
            raise KeyboardInterrupt
        if step is not HelmOutcomeStatus.RAN:
            self._watch.refresh()
            since = history.head.revision.deployed_at
            events.begin(since)
        redeploy_risks = self._redeploy_risks = RedeployRisks(context, history, self._watch)
        redeploy_risks.begin()
        run_verify(context, history, self._watch, events, picture, since, redeploy_risks)
        if self._signals.count:  # also in the soak, when every item is green already
            raise KeyboardInterrupt
        if choose_outcome(self._recorder.record.items) in DONE:
            note_verified(context, history)

    def _open(self, selected: frozenset[str]) -> RunContext:
        """The environment and its API server; the redactor knows their secrets before anything is shown."""
        if self._env is None:
            from ..drill.session import start_drill

            self._drill = start_drill(
                keep=self.request.drill_keep,
                scenario=self.request.drill_scenario,
                progress=self._display.status,
            )
            self.hints = self._drill_hints(self._drill)
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
        )
        kube = connect(
            None if env.in_cluster else env.context,
            env.kubeconfig,
            self._clock,
            processes=self._processes,
            keep_secret=self.redactor.add,
        )
        self._recorder.update(cluster=f"context {env.context}, {kube.server}")
        if self._drill is not None:
            self._recorder.event("the drill is ready: its scenario has been played", "drill")
        hands = (self._recorder, self.redactor, self._clock, self._display.status)
        self._telling = choose_telling(
            self.request, env, variables(self._drill), hands, self._hooks, selected, self._drill
        )
        return RunContext(
            request=self.request,
            env=env,
            kube=kube,
            recorder=self._recorder,
            display=self._display,
            redactor=self.redactor,
            clock=self._clock,
            processes=self._processes,
            signals=self._signals,
            telling=self._telling,
            selected=selected,
            hooks=self._hooks,
            own_items=self._own_items,
            own_sources=self._own_sources,
            drill=self._drill,
        )

    def _drill_hints(self, drill: Drill) -> tuple[str, ...]:
        """What to know of a drill that stays."""
        if not drill.kept:
            return ()
        if not self.request.drill_keep:
            return ("The kept drill was used; pytest --drill-stop ends it.",)
        return ("The drill is kept; pytest --drill-stop ends it. To use it in this shell:", *drill.hints)

    @property
    def _not_run(self) -> str:
        if not self.request.changes:
            return "not run: see preflight"
        return "not run: refused before helm, see preflight"

    def _refuse(self, error: ZkRollbackError) -> None:
        """Something that has to be known could not be: nothing was changed, helm did not run."""
        now = self._clock.now()
        no_access = isinstance(error, KubeconfigProblem)
        reason = GuardReason.KUBECONFIG if no_access else GuardReason.NO_ANSWER
        said = str(error)
        guards = [Guard(id="cluster", state=GuardState.REFUSED, reason=reason, unknown=True, evidence=said)]
        if self._env is not None and self.request.changes:
            guards += refusals(judge_without_contact(self._env, self.request.confirm))
        self._recorder.update(outcome=Outcome.REFUSED, guards=(*self._recorder.record.guards, *guards))
        if self._recorder.find("preflight").verdict is None:
            self._recorder.item("preflight", verdict=Verdict.FAIL, observed=str(error), finished_at=now)
        self._recorder.event(f"refused: {error}", "zkrollback")

    def _conclude(self, selected: frozenset[str], note: str) -> None:
        """Every item gets a verdict, the run an outcome, the record its end."""
        recorder, now = self._recorder, self._clock.now()
        recorder.flush()
        refused = recorder.record.outcome is Outcome.REFUSED
        for item in recorder.record.items:
            if item.verdict is None:
                why = note or (self._not_run if refused else "it was not judged")
                if item.id not in selected:
                    why = "left out on the command line (-k, -m, --deselect, --lf or a path)"
                recorder.item(item.id, verdict=Verdict.UNVERIFIED, observed=why, finished_at=now)
        record = recorder.record
        if record.outcome is Outcome.REFUSED and record.mode is Mode.VERIFY:
            recorder.update(outcome=Outcome.UNVERIFIED)
        else:
            recorder.update(outcome=outcome_of(record, record.items))
        if recorder.record.outcome in (Outcome.VERIFIED, Outcome.VERIFIED_WITH_WAIVERS):
            ends = [item.finished_at for item in recorder.record.items if item.finished_at is not None]
            recorder.update(recovered_at=max(ends))
        recorder.event(f"run ended: {recorder.record.outcome}", "zkrollback", now)
        recorder.update(finished_at=now)
        self._sum_up()

    def _sum_up(self) -> None:
        if self._redeploy_risks is not None:
            self._redeploy_risks.note()
        record = self._recorder.record
        self._recorder.update(
            summary=render_summary(record),
            next_commands=next_commands(record, self._env),
            undo_command=undo_command(record),
        )


def _checklist(
    request: Request, workloads: Mapping[str, str], hooks: Hooks
) -> tuple[tuple[CustomItem, ...], tuple[Item, ...]]:
    """The repository's own items and all blank ones; a plan has none: it verifies nothing."""
    built_in = [item.id for item in initial_checklist(workloads, ())]
    own = parse_own_items(hooks.answers(HOOK, environment=request.environment), built_in)
    return own, () if request.plan else initial_checklist(workloads, own)
