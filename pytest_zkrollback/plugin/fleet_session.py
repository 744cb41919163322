"""pytest's hooks for a session with a fleet: one test per member, whose verdicts are stored."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from ..domain.errors import UsageProblem
from ..domain.fleet import Member, MemberState
from ..domain.item_ids import NOTIFY
from ..domain.record import GREEN_OUTCOMES, Outcome
from ..fleet.fleet_run import FleetRun, exit_code
from ..preflight.guards import GUARD_IDS
from ..report.fleet import words
from ..report.fleet.fleet_terminal import render_fleet_last_lines
from ..report.redaction import Redactor
from .checklist_tests import is_of_fleet, is_ours
from .fixtures import NOT_STARTED
from .fleet_member import fleet_request
from .options import command_line
from .session import neutralise, refuse_partial_sessions, refuse_unknown
from .streams import copy_for_user, fit_headers, guard_streams, real_terminal, write_last

_WORDS = {
    "PASS": ("passed", ".", ("PASS", {"green": True})),
    "FAIL": ("failed", "F", ("FAIL", {"red": True})),
    "UNVERIFIED": ("failed", "U", ("UNVERIFIED", {"purple": True})),
    "REFUSED": ("failed", "R", ("REFUSED", {"red": True})),
    NOT_STARTED: ("skipped", "n", (NOT_STARTED, {"yellow": True})),
}


class FleetSession:
    """One session with a fleet: collects a test per member, performs the fleet's run once, reports it."""

    def __init__(self, config: pytest.Config, redactor: Redactor) -> None:
        """Validate options and configuration (pytest.UsageError)."""
        option = config.option
        guard_streams(redactor.text)
        request = fleet_request(option)
        refuse_partial_sessions(option)
        refuse_unknown("--rollback-override", "guard", request.overrides, GUARD_IDS)
        engine = option.zkrollback_fleet_engine or "local"
        try:
            self.run = FleetRun.create(
                request,
                config.rootpath,
                config.invocation_params.dir,
                command_line(config),
                redactor,
                engine,
                has_own_channels=bool(config.hook.pytest_zkrollback_notify.get_hookimpls()),
            )
        except UsageProblem as problem:
            raise pytest.UsageError(str(problem)) from None
        self.members = self.run.members
        tells = self.run.tells and NOTIFY not in self.members  # a member may have that name
        self.test_ids = (*self.members, *([NOTIFY] if tells else []))
        neutralise(option)
        self._user_html: str | None = getattr(option, "htmlpath", None)
        option.htmlpath = None  # the fleet's page is our own
        self._redactor = redactor
        self._collect_only = bool(option.collectonly)
        self._config = config
        self._ran = False

    def verdict(self, test_id: str) -> tuple[str, str]:
        """The word of a member, or of the message, and the text that a person reads, as stored."""
        member = self.run.record.find_member(test_id)
        if not self._ran:
            return "UNVERIFIED", f"UNVERIFIED {test_id}: nothing ran"
        return self._told() if member is None else self._of_member(member)

    def _told(self) -> tuple[str, str]:
        notify = self.run.record.notify
        if notify is None:
            return NOT_STARTED, f"{NOT_STARTED} {NOTIFY}: nothing was begun, so there is nothing to tell"
        word = str(notify.verdict) if notify.verdict is not None else "UNVERIFIED"
        return word, f"{word} {NOTIFY}: {notify.observed}"

    @staticmethod
    def _of_member(member: Member) -> tuple[str, str]:
        word = "UNVERIFIED"
        if member.state is MemberState.NOT_STARTED:
            word = NOT_STARTED
        elif member.state is MemberState.REFUSED:
            word = "REFUSED"
        elif words.is_well(member):
            word = "PASS"
        elif member.outcome in (Outcome.FAILED, *GREEN_OUTCOMES):  # green by its record, and not by its exit
            word = "FAIL"
        said = words.failed_line(member) or member.summary or str(words.member_word(member))
        return word, f"{word} {member.environment}: {said}"

    def pytest_pycollect_makeitem(self, name: str, obj: object) -> list[pytest.Item] | None:
        """Of our tests only the fleet's: the members' own sessions have the others."""
        is_other = getattr(obj, "__module__", None) == is_of_fleet.__module__ and name.startswith("test")
        return [] if is_other and not is_of_fleet(name, obj) else None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """A test per member, each once, wave by wave; a repository's own tests run beside each member."""
        chosen: dict[str, pytest.Item] = {}
        for item in items:
            if is_ours(item):
                chosen.setdefault(_test_id(item), item)
        left_out = [item for item in items if not is_ours(item)]
        items[:] = [chosen[each] for each in self.test_ids if each in chosen]
        if left_out:
            config.hook.pytest_deselected(items=left_out)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Perform the fleet's run first, after a clean and complete collection."""
        if not self._collect_only:
            self._require_complete(session)
            self._ran = True
            try:
                with real_terminal(self._config, self._redactor.text), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    self.run.execute()
            except UsageProblem as problem:
                self._ran = False
                raise pytest.UsageError(str(problem)) from None
        return (yield)

    def _require_complete(self, session: pytest.Session) -> None:
        session.items[:] = [item for item in session.items if is_ours(item)]
        session.items.sort(key=lambda item: self.test_ids.index(_test_id(item)))
        found = [_test_id(item) for item in session.items]
        missing = [each for each in self.test_ids if each not in found]
        if session.testsfailed:
            raise pytest.UsageError(
                f"Collecting failed in {session.testsfailed} place(s): members may be missing; "
                "helm did not run."
            )
        if not found:
            raise pytest.UsageError(
                "The fleet's tests were not collected; helm did not run. Run pytest on checks/, or on a file "
                "with `from pytest_zkrollback.items import *`; without such a file: "
                "pytest --pyargs pytest_zkrollback.items"
            )
        if missing:
            raise pytest.UsageError(
                f"A fleet is judged as a whole, and {', '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} left out (-k, -m, --deselect, --lf or a path); "
                "helm did not run."
            )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """A test's report carries the member's word."""
        report = yield
        if report.failed:
            report.longrepr = self._redactor.text(report.longreprtext)
        if is_ours(item) and report.when == "call":
            word, _ = self.verdict(_test_id(item))
            vars(report).update(zkrollback_word=word)
            item.user_properties[:] = [("zkrollback_verdict", word)]
            if report.failed and call.excinfo is not None:
                report.longrepr = self._redactor.text(str(call.excinfo.value))
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> Any:
        """The member's word instead of pytest's."""
        word = getattr(report, "zkrollback_word", None)
        return None if word is None else _WORDS[word]

    @pytest.hookimpl(wrapper=True)
    def pytest_report_header(self) -> Generator[None, list[Any], list[Any]]:
        """What this run is about, in one line; pytest's list of plugins is left out."""
        headers = yield
        return fit_headers(headers, (self.run.describe_start(),), self._config)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Files, last lines and the exit code, all from the record."""
        result = yield
        guard_streams(self._redactor.text)
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if not self._ran:
            if not self._collect_only and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
            if not self._collect_only and session.exitstatus != pytest.ExitCode.USAGE_ERROR:
                write_last(
                    reporter, lambda _: [], "HELM DID NOT RUN: the session ended before the fleet's run."
                )
            return result
        path = self.run.finish()
        self._copy_for_user(Path(path))
        record = self.run.record
        last = render_fleet_last_lines(record, path)
        write_last(reporter, lambda _: [], "\n\n".join(filter(None, ("\n".join(self.run.problems), last))))
        if session.exitstatus != pytest.ExitCode.INTERNAL_ERROR:
            session.exitstatus = exit_code(record)
        return result

    def _copy_for_user(self, path: Path) -> None:
        """The path that the user gave with --html gets a copy."""
        if self._user_html is not None and path.is_file():
            copy_for_user(path, self._user_html, self.run.note)


def _test_id(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return str(callspec.params["fleet_member"]) if callspec is not None else ""
