"""Operators, a release in memory, and a GitHub whose workflow deploys into it: preflight, lock, steps, history."""

import contextlib
import signal
import threading
from types import SimpleNamespace

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.record import Item, Mode, Record
from pytest_zkrollback.domain.request import Request
from pytest_zkrollback.notify.dispatcher import NotificationDispatcher
from pytest_zkrollback.report.file_names import file_stem
from pytest_zkrollback.report.files import Store
from pytest_zkrollback.report.recorder import Recorder
from pytest_zkrollback.report.redaction import Redactor
from pytest_zkrollback.run.context import RunContext
from pytest_zkrollback.run.github_step import GithubDeployment
from pytest_zkrollback.run.preflight_step import run_preflight
from pytest_zkrollback.run.results import Refusal, RunState
from pytest_zkrollback.run.signals import Signals
from support.fake_github import TOKEN
from support.fake_release import NAMESPACE, RELEASE, Release
from support.github_operator import table

ITEMS = ("preflight", "rollback", "release-equivalence")


class _Clock(SystemClock):
    @property
    def at(self):
        return self.now()


class _Environ(RunContext):
    """The operator's environment variables hold the token."""

    @property
    def variables(self):
        return {"GITHUB_TOKEN": TOKEN}


class Shop:
    """The release at revision 2, and ``place``'s GitHub, whose deploy upgrades it."""

    def __init__(self, place):
        self.place = place
        self.release = Release(_Clock(), lambda _when: None)
        for _ in range(2):
            self.release.upgrade()
        place.fake.deploy = lambda environment, sha: self.release.upgrade()

    def operator(self, name="ann", **asked):
        return Operator(self, name, asked)


class Operator:
    """One command. ``signals.count`` and :meth:`interrupt` are its Ctrl-C."""

    def __init__(self, shop, name, asked):
        settings = asked.pop("settings", {})
        clock = shop.release.clock
        place = shop.place
        request = Request(
            environment="staging", report_dir=str(place.folder / "reports"), reason="backend down", **asked
        )
        env = Environment(
            name="staging",
            context="test",
            namespace=NAMESPACE,
            release=RELEASE,
            workloads={"app": "deployment/app"},
            preflight_budget_s=10,
            github=table(place.fake.url, **settings),
        )
        record = Record(
            run_id=f"{id(self) & 0xFFFFFFFF:08x}",
            mode=Mode.GITHUB,
            environment=env.name,
            release=RELEASE,
            operator=name,
            started_at=clock.now(),
            items=tuple(Item(id=each, title=each) for each in ITEMS),
        )
        redactor = Redactor()
        store = Store(place.folder / "reports", file_stem(record), redactor)
        self.recorder = Recorder(record, clock, store.write, redactor.record)
        self.signals, self.said = Signals(), []
        self.state = RunState(ITEMS)
        self.context = _Environ(
            run_id=record.run_id,
            operator=name,
            started_at=record.started_at,
            request=request,
            env=env,
            kube=shop.release,
            recorder=self.recorder,
            display=SimpleNamespace(
                status=self.said.append, changed=lambda: None, paused=contextlib.nullcontext
            ),
            redactor=redactor,
            clock=clock,
            processes=None,
            signals=self.signals,
            notifier=NotificationDispatcher((), self.recorder, clock, off="nobody here"),
            selected=frozenset(),
            hooks=None,
        )
        self.github = GithubDeployment(self.context, self.state)
        self.refused_by, self.expected, self.error = (), None, None
        self.interrupted = False

    def run(self):
        """All of the command up to the checklist; returns itself."""
        known = run_preflight(self.context, self.github.judge)
        if isinstance(known, Refusal):
            self.refused_by = tuple(guard.id for guard in known.guards)
        else:
            try:
                self.expected = self.github.run(known, known.history)
            except KeyboardInterrupt:
                self.interrupted = True
        self.recorder.update(finished_at=self.context.clock.now())
        return self

    def start(self):
        thread = threading.Thread(target=self.run, daemon=True)
        thread.start()
        return thread

    def interrupt(self):
        """Ctrl-C, as the signal's handler does it."""
        self.signals._handle(signal.SIGINT, None)

    @property
    def record(self):
        return self.recorder.record

    def item(self, item_id="rollback"):
        return self.record.find_item(item_id)

    @property
    def holds_lock(self):
        holder = self.context.lock().fetch().holder
        return holder is not None and holder.run_id == self.context.run_id
