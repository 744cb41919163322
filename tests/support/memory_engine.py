"""A fleet without processes: clusters that remember how often they were rolled back, and an engine on ticks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from pytest_zkrollback.domain.record import Guard, GuardReason, GuardState, Helm, Item, Mode, Outcome, Record
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.fleet.engines.interface import MemberJob, MemberResult, Phase
from pytest_zkrollback.report.fleet.member_run import MemberRun, member_run

AT = datetime(2026, 12, 1, 3, tzinfo=UTC)


class Killed(BaseException):
    """SIGKILL to the fleet's own process, at this very call."""


@dataclass
class ClusterOfMember:
    """One member's cluster. ``ends``: how its checklist ends; ``takes``: ticks of a run."""

    ends: str = "green"  # or "red", "silent" (no record), "refuses" (its preflight)
    takes: int = 1
    at_target: bool = False
    rollbacks: int = 0


@dataclass
class _Work:
    job: object
    left: int
    rolls_back: bool
    is_interrupted: bool = False


@dataclass
class World:
    """What outlives a command: the clusters, and members that are at work in them."""

    clusters: dict[str, ClusterOfMember]
    at_work: list[_Work] = field(default_factory=list)
    left: dict[str, MemberRun] = field(default_factory=dict)  # run id -> what its record says

    def begin(self, job):
        cluster = self.clusters[job.member]
        rolls_back = job.phase is Phase.RUN and "--rollback-to=app:1" in job.words and not cluster.at_target
        self.at_work.append(_Work(job, self.takes_of(job), rolls_back))

    def takes_of(self, job):
        return 1 if job.phase is Phase.PLAN else self.clusters[job.member].takes

    def tick(self):
        """One tick; the work that ended in it."""
        for work in self.at_work:
            work.left -= 1
        ended = [work for work in self.at_work if work.left <= 0]
        self.at_work = [work for work in self.at_work if work.left > 0]
        for work in ended:
            if work.rolls_back:
                self.clusters[work.job.member].rollbacks += 1
                self.clusters[work.job.member].at_target = True
            result = result_of(work, self.clusters[work.job.member])
            if result.run is not None:
                self.left[work.job.run_id] = result.run
        return ended


class MemoryEngine:
    """An engine on a :class:`World`; ``die_at``: ("poll" or "start", n), the n-th such call for runs, dies."""

    name = "memory"

    def __init__(self, world, *, whole_waves=False, die_at=None):
        self.world, self.takes_whole_waves, self.die_at = world, whole_waves, die_at
        self.polls = self.starts = 0
        self.waiting, self.at_once = [], 0
        self.begun: list[tuple[str, Phase]] = []
        self.mine: set[str] = set()  # run ids; others were begun by a command that was killed
        self.most = 0

    def start(self, jobs, at_once):
        if jobs[0].phase is Phase.RUN:
            self.starts += 1
            if self.die_at == ("start", self.starts):
                raise Killed
        self.at_once = at_once if self.takes_whole_waves else 10_000
        self.waiting += jobs
        self._fill()

    def _fill(self):
        while self.waiting and len(self._at_work()) < self.at_once:
            job = self.waiting.pop(0)
            self.begun.append((job.member, job.phase))
            self.mine.add(job.run_id)
            self.world.begin(job)
        self.most = max(self.most, len(self._at_work()))

    def poll(self, wait_s):
        self._fill()
        if any(work.job.phase is Phase.RUN for work in self._at_work()):
            self.polls += 1
            if self.die_at == ("poll", self.polls):
                raise Killed
        return [
            result_of(work, self.world.clusters[work.job.member])
            for work in self.world.tick()
            if work.job.run_id in self.mine
        ]

    def _at_work(self):
        return [work for work in self.world.at_work if work.job.run_id in self.mine]

    def hold(self):
        held, self.waiting = [job.member for job in self.waiting], []
        return held

    def describe(self, member):
        return "at work"

    def interrupt(self):
        for work in self._at_work():
            work.left, work.is_interrupted = 1, True

    def wait_for_orphans(self, jobs, wait_s):
        self.world.tick()
        return [work.job.member for work in self.world.at_work if work.job.member in jobs]

    def close(self):
        pass


def work_result(member, ends, phase, *, rolls_back=False):
    """How one run of ``member`` ends, beside any world."""
    job = MemberJob(member, "d0000000", phase, 1, ("--rollback-to=app:1",), {})
    return result_of(_Work(job, 0, rolls_back), ClusterOfMember(ends))


def result_of(work, cluster):
    """How a piece of work ends, with the record that it leaves."""
    job = work.job
    if cluster.ends == "silent" and job.phase is Phase.RUN:
        return MemberResult(job.member, job.run_id, job.phase, -9, None, "it left no record")
    outcome = {"green": Outcome.VERIFIED, "red": Outcome.FAILED}.get(cluster.ends, Outcome.VERIFIED)
    if job.phase is Phase.PLAN:
        outcome = Outcome.REFUSED if cluster.ends == "refuses" else Outcome.PLANNED
    if work.is_interrupted:
        outcome = Outcome.INTERRUPTED
    code = {Outcome.VERIFIED: 0, Outcome.PLANNED: 0, Outcome.INTERRUPTED: 2}.get(outcome, 1)
    return MemberResult(job.member, job.run_id, job.phase, code, member_run(_record(job, outcome, work)))


def _record(job, outcome, work):
    verdict = {Outcome.VERIFIED: Verdict.PASS, Outcome.FAILED: Verdict.FAIL}.get(outcome)
    item = Item(id="smoke", title="Smoke test", verdict=verdict, observed="it was asked")
    if job.phase is Phase.PLAN:
        word = Verdict.PASS if outcome is Outcome.PLANNED else Verdict.FAIL
        item = Item(id="preflight", title="Preflight", verdict=word, observed="guards were asked")
    refused = Guard(
        id="gitops", state=GuardState.REFUSED, reason=GuardReason.GITOPS_ACTIVE, evidence="Flux owns it"
    )
    modes = {Phase.PLAN: Mode.PLAN, Phase.RUN: Mode.ROLLBACK}
    verifies = job.phase is Phase.RUN and "--rollback-to=app:1" not in job.words
    return Record(
        run_id=job.run_id,
        mode=Mode.VERIFY if verifies else modes[job.phase],
        outcome=outcome,
        environment=job.member,
        release="shop",
        started_at=AT,
        finished_at=AT,
        helm=Helm(ran=work.rolls_back),
        items=(item,),
        guards=(refused,) if outcome is Outcome.REFUSED else (),
    )
