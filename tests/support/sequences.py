"""Random sequences of what may happen to one release, and what must be true after each step.

Run, rerun, SIGKILL at any call or while helm works, helm's own death, a second operator, a foreign upgrade,
pruning, time. The tool's preflight and rollback are the real ones; the release and helm are fakes.
"""

import contextlib
import os
import random
import threading
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from unittest.mock import patch

from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.record import Item, Mode, Record
from pytest_zkrollback.domain.request import Request
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.notify.dispatcher import NotificationDispatcher
from pytest_zkrollback.report.recorder import Recorder
from pytest_zkrollback.report.redaction import Redactor
from pytest_zkrollback.run.context import RunContext
from pytest_zkrollback.run.lock_step import note_verified
from pytest_zkrollback.run.preflight_step import run_preflight
from pytest_zkrollback.run.results import HelmOutcomeStatus, Refusal, RunState
from pytest_zkrollback.run.rollback_step import RollbackStep
from support.fake_release import NAMESPACE, OBJECTS, RELEASE, Clock, Helm, Killed, Release, manifest

ITEMS = ("preflight", "rollback", "release-equivalence")
LONG_S = 400  # more than any lease
STEPS = len(OBJECTS) + 2
APP_VERSIONS = ("1.6.0", "1.7.0", "1.8.0", "1.9.0")


@dataclass
class Tally:
    """What a campaign reports."""

    sequences: int = 0
    runs: int = 0
    helm: int = 0
    kills: int = 0
    refused: int = 0
    by_version: int = 0
    double_rollbacks: list = field(default_factory=list)
    wrong_claims: list = field(default_factory=list)
    slips: list = field(default_factory=list)


class World:
    """The release, its operators, and what happens in between."""

    def __init__(self, seed, helm_file: Path, tally: Tally, *, versions=False):
        """``versions``: the app's version changes, and operators mostly ask for one."""
        self.random, self.seed, self.tally = random.Random(seed), seed, tally
        # What is drawn for the versions alone: a seed plays what it always played.
        self.versions = random.Random(f"versions {seed}") if versions else None
        self.helm_file = helm_file
        self.clock = Clock()
        self.release = Release(self.clock, self._moment)
        self.helm = Helm(self.release)
        self.numbers = iter(range(1, 1000))
        self.actions = {}
        self.calls = 0
        self.foreign = 0
        self.trail = []
        self.insisted, self.verified = set(), set()  # run ids; heads
        for _ in range(4):
            self._deploy()

    def play(self):
        """One sequence."""
        for _ in range(self.random.randint(3, 7)):
            choice = self.random.random()
            if choice < 0.66:
                self.operate()
            elif choice < 0.78:
                self.trail.append("upgrade")
                self._deploy()
            elif choice < 0.86:
                self.trail.append("prune")
                self.release.prune()
            else:
                self.wait()
        self.end_helm()
        self.tally.sequences += 1

    def _deploy(self):
        """A pipeline's `helm upgrade`."""
        if self.versions is None:
            self.release.upgrade()
        else:
            self.release.upgrade(self.versions.choice(APP_VERSIONS))

    def wait(self):
        """So long that every lease is over, and every helm too: its own --timeout is shorter."""
        self.end_helm()
        self.trail.append("wait")
        self.clock.sleep(LONG_S)

    def end_helm(self):
        """A helm that outlived its run finishes, or dies."""
        if not self.helm.idle.is_set():
            self.helm.dies = self.random.random() < 0.4
            self.trail.append("helm dies" if self.helm.dies else "helm finishes")
            self.helm.go_on.set()
            assert self.helm.idle.wait(30)

    def operate(self):
        """One run of the tool, with something that happens in the middle of it."""
        target = self.random.choice([1, 2, 3, 3, 3, "previous", "last-verified"])
        if self.versions is not None and self.versions.random() < 0.8:
            target = f"app:{self.versions.choice(APP_VERSIONS)}"
        self.actions, self.calls = {}, 0
        self.clock.tick = lambda: None
        kind = self.random.random()
        name = "plain"
        if kind < 0.3:
            name = self.random.choice(["kill", "upgrade", "other", "prune", "suspend"])
            self.actions = {self.random.randint(1, 18): getattr(self, f"_{name}")}
        elif kind < 0.6 and self.helm.idle.is_set():
            name = self.random.choice(["kill us", "kill us", "helm dies", "other meanwhile"])
            self.helm.pause_at = self.random.randrange(STEPS)
            self.clock.tick = lambda: self._while_helm_works(name)
        self.trail.append(f"run {target} ({name})")
        self.run("ann", target)
        self.actions = {}
        self.clock.tick = lambda: None
        self.helm.pause_at = None

    def run(self, operator, target):
        """The tool's own preflight and rollback; afterwards everything that it said is held against what is."""
        run_id = f"{next(self.numbers):08x}"
        recorder = self._recorder(run_id, operator)
        insists = self.random.random() < 0.5
        if insists:
            self.insisted.add(run_id)
        context = self._context(recorder, target, {"target": "it is meant"} if insists else {})
        before, foreign = self.release.revisions(), self.foreign
        begun = len(self.helm.starts)
        self.helm.run_id = run_id
        if self.helm.idle.is_set():
            self.helm.paused.clear()
            self.helm.go_on.clear()
            self.helm.dies = False
        self.tally.runs += 1
        killed = False
        try:
            known = run_preflight(context)
            if isinstance(known, Refusal):
                self.tally.refused += 1
            else:
                history, wanted, state = known.history, known.target, RunState(ITEMS)
                step = RollbackStep(context, state, known, history, wanted, known.helm_version)
                outcome = step.run()
                if outcome.status is HelmOutcomeStatus.REFUSED:
                    self.tally.refused += 1
                elif self._equals(wanted, history):
                    state.note("release-equivalence", Verdict.PASS)
                    note_verified(context, state, outcome.head, history.head.installed)
                    self.verified.add(outcome.head)
        except Killed:
            killed = True
            self.tally.kills += 1
        else:
            recorder.flush()
        self._judge(self.on_disk, begun, before, killed=killed, foreign=self.foreign != foreign)
        self._judge_version(target, begun, run_id)
        recorder.flush()  # its thread ends

    # What happens in the middle.

    def _moment(self, _when):
        if threading.current_thread() is not threading.main_thread():
            return
        self.calls += 1
        action = self.actions.pop(self.calls, None)
        if action is not None:
            action()

    def _kill(self):
        raise Killed

    def _upgrade(self):
        self.foreign += 1
        self._deploy()

    def _prune(self):
        self.foreign += 1
        self.release.prune()

    def _suspend(self):
        """Ctrl-Z, or a laptop's lid: hours later our lease is over, and somebody else was here."""
        self.end_helm()
        self.clock.sleep(LONG_S)
        self._other()

    def _other(self):
        self.foreign += 1
        mine, written = self.helm.run_id, self.on_disk
        self.run("bob", self.random.choice([2, 3]))
        self.helm.run_id, self.on_disk = mine, written

    def _while_helm_works(self, name):
        """Called at every look of the waiting run; helm stands between two of its steps."""
        if not self.helm.paused.is_set() or self.helm.go_on.is_set():
            return
        if name == "kill us":
            raise Killed  # helm stands still until end_helm
        if name == "other meanwhile":
            self.clock.tick = lambda: None
            self._other()
        self.helm.dies = name == "helm dies"
        self.helm.go_on.set()

    # What must be true.

    def _equals(self, wanted, history):
        content = history.content_of(wanted)
        live = self.release.live()
        return content is not None and all(manifest(live[name][1:]) == content.manifest for name in OBJECTS)

    def _judge(self, record, begun, before, *, killed, foreign):
        mine = [start for start in self.helm.starts[begun:] if start[0] == record.run_id]
        self.tally.helm += len(mine)
        for run_id, head, target, alive, live, rows in mine:
            number, status, _ = rows[-1]
            origin = self._origin(rows, number)
            same = status == "deployed" and origin == self._origin(rows, target)
            as_live = self.release.has(target) and set(live.values()) == {self.release.content_of(target)}
            only = sum(1 for row in rows if row[1] == "deployed") == 1
            if (same and as_live and only) or alive > 1:
                self._wrong(self.tally.double_rollbacks, run_id, head, target, alive)
            if run_id not in self.insisted and self._is_slip(rows, target):
                self._wrong(self.tally.slips, run_id, head, target)
        if len(mine) > 1:
            self._wrong(self.tally.double_rollbacks, record.run_id, "helm twice")
        if not killed and record.helm.ran != bool(mine):
            self._wrong(self.tally.wrong_claims, "ran", record.helm.ran, mine)
        if killed and mine and not record.helm.ran:
            self._wrong(self.tally.wrong_claims, "killed, and the record says that helm did not run")
        if killed or foreign:
            return
        head = self.release.head()
        if record.revision_after not in (None, head[0]):
            self._wrong(self.tally.wrong_claims, "head", record.revision_after, head)
        verdict = next(item.verdict for item in record.items if item.id == "rollback")
        good = head[1] == "deployed" and self._origin(self.release.revisions(), head[0]) == self._origin(
            self.release.revisions(), record.target_revision
        )
        if verdict is Verdict.PASS and not good:
            self._wrong(self.tally.wrong_claims, "PASS", head, record.target_revision)
        # What is under way beside ours, or deployed, is red by itself (issue 19, item 1).
        states = {number: status for number, status, _ in self.release.revisions()}
        beside = [states.get(number, "") for number in record.helm.beside]
        red = any(status == "deployed" or status.startswith("pending") for status in beside)
        if verdict is Verdict.FAIL and mine and good and not red and before != self.release.revisions():
            self._wrong(self.tally.wrong_claims, "FAIL", head, record.target_revision)

    def _judge_version(self, asked, begun, run_id):
        """A version that runs already is not gone back to again, whichever revision stands for it."""
        if not isinstance(asked, str) or not asked.startswith("app:"):
            return
        wanted = asked.partition(":")[2]
        for started_by, _, target, _, live, rows in self.helm.starts[begun:]:
            if started_by != run_id or not self.release.has(target):
                continue
            if self.release.app_version_of(target) != wanted:
                self._wrong(self.tally.wrong_claims, "another version", asked, target)
            number, status, _ = rows[-1]
            head = self.release.content_of(number) if self.release.has(number) else None
            runs = status == "deployed" and set(live.values()) == {head}
            alone = sum(1 for row in rows if row[1] == "deployed") == 1
            if runs and alone and self.release.app_version_of(number) == wanted:
                self._wrong(self.tally.double_rollbacks, run_id, asked, number, target)
            self.tally.by_version += 1

    def _is_slip(self, rows, target):
        """Back to what a rollback left that this tool verified, and that is the newest revision."""
        if len(rows) < 2:
            return False
        (left, _, _), (number, status, back) = rows[-2:]
        if not back or status != "deployed" or number not in self.verified:
            return False
        return self._origin(rows, left) == self._origin(rows, target) != self._origin(rows, number)

    @staticmethod
    def _origin(rows, number):
        back = {row[0]: row[2] for row in rows}
        while back.get(number):
            number = back[number]
        return number

    def _wrong(self, where, *what):
        where.append((self.seed, tuple(self.trail), what))

    # The context of one run.

    def _recorder(self, run_id, operator):
        record = Record(
            run_id=run_id,
            mode=Mode.ROLLBACK,
            environment="test",
            release=RELEASE,
            cluster="fake",
            operator=operator,
            started_at=self.clock.now(),
            items=tuple(Item(id=name, title=name) for name in ITEMS),
        )
        self.on_disk = record
        return Recorder(record, self.clock, lambda record: setattr(self, "on_disk", record))

    def _context(self, recorder, target, overrides):
        env = Environment(
            name="test",
            context="fake",
            namespace=NAMESPACE,
            release=RELEASE,
            helm=str(self.helm_file),
            workloads={"app": "deployment/app"},
        )
        silent = SimpleNamespace(status=lambda text: None, changed=lambda: None)
        signals = SimpleNamespace(count=0, spoken="", raising=contextlib.nullcontext)
        return RunContext(
            run_id=recorder.record.run_id,
            operator=recorder.record.operator,
            started_at=self.clock.now(),
            request=Request(environment="test", target=target, overrides=overrides),
            env=env,
            kube=self.release,
            recorder=recorder,
            display=silent,
            redactor=Redactor(),
            clock=self.clock,
            processes=self.helm,
            signals=signals,
            selected=frozenset(),
            hooks=None,
            notifier=NotificationDispatcher((), recorder, self.clock, off="nobody in these sequences"),
        )


def play(seeds, folder: Path, *, versions=False) -> Tally:
    """Play one sequence for each seed, each on a machine of its own, which remembers no other release."""
    helm_file = folder / "helm"
    helm_file.write_text("")
    helm_file.chmod(0o755)
    tally = Tally()
    for seed in seeds:
        with (
            TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as state,
            patch.dict(os.environ, XDG_STATE_HOME=state),
        ):
            World(seed, helm_file, tally, versions=versions).play()
    return tally
