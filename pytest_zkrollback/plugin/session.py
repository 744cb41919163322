"""pytest's hooks for a session with an environment. Loaded only when an option of ours was given."""

from __future__ import annotations

import html
import os
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from _pytest.fixtures import FuncFixtureInfo

from ..config import loader as configuration
from ..domain.errors import UsageProblem
from ..domain.item_ids import EQUIVALENCE, PREFLIGHT, ROLLBACK
from ..domain.record import Outcome
from ..preflight.guards import GUARD_IDS
from ..report.failures import failed_own_tests
from ..report.files import NONE_WRITTEN, replace_file
from ..report.redaction import RedactingFilter, Redactor
from ..report.summary import GREEN
from ..report.terminal import render_last_lines
from ..run.run import Run
from .checklist_tests import WorkloadItem, is_of_fleet, is_ours
from .fixtures import FIXTURE, RunResult, is_our_fixture
from .hook_caller import Relay
from .html_plugin import say_path_once
from .options import command_line, parse_request
from .own_tests import OwnTests, asks_for_our_fixture, keep_first_line, why_none_runs
from .streams import copy_for_user, fit_headers, guard_streams, real_terminal, write_last

if TYPE_CHECKING:
    from _pytest.fixtures import SubRequest

    from ..domain.record import Record
    from ..report.styled_lines import Line

_BY_FUNCTION = {
    "test_preflight": PREFLIGHT,
    "test_rollback": ROLLBACK,
    "test_release_equivalence": EQUIVALENCE,
}
_WORDS = {
    "PASS": ("passed", ".", ("PASS", {"green": True})),
    "FAIL": ("failed", "F", ("FAIL", {"red": True})),
    "UNVERIFIED": ("failed", "U", ("UNVERIFIED", {"purple": True})),
    "WAIVED": ("skipped", "w", ("WAIVED", {"yellow": True})),
}
_DEFAULT_REPORTCHARS = "fE"
_EXIT = {**dict.fromkeys(GREEN, 0), Outcome.INTERRUPTED: 2}
_ASKED_TOO_EARLY = f"The fixture {FIXTURE} was asked for before the checklist was collected and checked."


def sentence_without_environment(config: pytest.Config) -> str:
    """What to say where only the checklist was collected and no environment was given."""
    try:
        known = configuration.known_environments(configuration.find_config(config.rootpath, None))
    except UsageProblem as problem:
        return f"No environment was given: add --env=NAME. The configuration cannot be read: {problem}"
    return (
        f"No environment was given: add --env=NAME, where NAME is one of {', '.join(known)} "
        "(--zkrollback-env=NAME where another plugin owns --env); nothing was contacted and helm did not run."
    )


class RollbackSession:
    """One session with an environment: collects our items, performs the run once, reports its verdicts."""

    def __init__(self, config: pytest.Config, redactor: Redactor) -> None:
        """Validate options and configuration (pytest.UsageError); neutralise what would run things twice."""
        option, typed = config.option, command_line(config)
        guard_streams(redactor.text)  # before anything is said, even about a mistake on the command line
        if option.zkrollback_fleet is None:
            self.request = parse_request(option)
        else:
            from .fleet_member import member_request

            self.request, typed = member_request(config)
        refuse_partial_sessions(option)
        try:
            self.run = Run.create(self.request, config.rootpath, typed, Relay(config.hook), redactor)
        except UsageProblem as problem:
            raise pytest.UsageError(str(problem)) from None
        self.checklist_ids = self.run.checklist_ids
        self.expected_ids = self.run.item_ids
        waivers = [each for each in self.request.waivers if not self.run.may_be_found(each)]
        refuse_unknown("--rollback-waive", "checklist item", waivers, self.checklist_ids)
        if self.request.overrides:
            from ..github.guards import GUARD_IDS as GITHUB_GUARDS

            known = (*GUARD_IDS, *GITHUB_GUARDS)
            refuse_unknown("--rollback-override", "guard", self.request.overrides, known)
        neutralise(option)
        self._user_html: str | None = getattr(option, "htmlpath", None)
        if not option.collectonly:
            # Where nothing can be written pytest-html would end the session before it begins.
            option.htmlpath = str(self.run.store.html_path) if self.run.store.is_writable else None
            option.self_contained_html = True
        self._collect_only = bool(option.collectonly)
        self._config = config
        self._selected: frozenset[str] | None = None  # set by the loop, which primes the run
        self._asked_too_early = False
        self._ran = False
        self._error: BaseException | None = None
        self._own_tests = OwnTests([], self.run.report_own_tests)
        self.result = RunResult(lambda: self.run.redacted)

    def perform(self) -> RunResult:
        """Perform the run, once per process: whoever asks again gets the first result, or its exception.

        Only the loop primes it, after the collection was checked; before that it is a pytest.UsageError.
        Such a question performs nothing, so that the loop still may.
        """
        if self._selected is None:
            self._asked_too_early = True
            raise pytest.UsageError(f"{_ASKED_TOO_EARLY} Helm did not run.")
        if self._error is not None:
            raise self._error
        if not self._ran:
            self._ran = True  # before anything is contacted: whoever asks meanwhile starts nothing
            self._own_tests.list_as_not_run()  # listed now: nobody knows how the run ends
            if self._asked_too_early:
                self.run.note(_ASKED_TOO_EARLY)
            try:
                with real_terminal(self._config, self.run.redactor.text), warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # a host's -W error must not cut helm off
                    self.run.execute(self._selected)
            except BaseException as error:
                self._error = error
                self._own_tests.list_as_not_run("the run ended with an error of its own")
                raise
        return self.result

    def pytest_pycollect_makeitem(self, name: str, obj: object) -> list[pytest.Item] | None:
        """A fleet's test is not of this run."""
        return [] if is_of_fleet(name, obj) else None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Our items, each once, in the runbook's order; after them own tests that ask for our fixture."""
        chosen: dict[str, pytest.Item] = {}
        for item in items:
            item_id = _item_id(item)
            if item_id in self.expected_ids:
                chosen.setdefault(item_id, item)
        own = [item for item in items if asks_for_our_fixture(item)]
        left_out = [item for item in items if not is_ours(item) and not asks_for_our_fixture(item)]
        items[:] = [*(chosen[item_id] for item_id in self.expected_ids if item_id in chosen), *own]
        if left_out:
            config.hook.pytest_deselected(items=left_out)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Prime the run and ask for its fixture first, after a clean and complete collection.

        Here no timeout, socket blocker or autouse fixture of a host stands around helm.
        """
        if not self._collect_only:
            self._check_collection(session)
            own = [item for item in session.items if asks_for_our_fixture(item)]
            self._own_tests = OwnTests(own, self.run.report_own_tests)
            self.run.store.finish_follows = not own
            self._selected = frozenset(_item_id(item) for item in session.items if is_ours(item))
            _ask_for_fixture(session)
            self._leave_out_own_tests(session, why_none_runs(self.run))
            self._add_workloads(session)
        return (yield)

    def _leave_out_own_tests(self, session: pytest.Session, why: str) -> None:
        if not why or not self._own_tests.items:
            return
        self._own_tests.list_as_not_run(why)
        session.items[:] = [item for item in session.items if is_ours(item)]
        session.testscollected = len(session.items)
        session.config.hook.pytest_deselected(items=self._own_tests.items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what becomes of the repository's own tests."""
        self._own_tests.add(report)

    def _add_workloads(self, session: pytest.Session) -> None:
        """Items for the rollouts that the run has found (``workloads = "auto"``), where they belong."""
        ids = [item.id for item in self.run.redacted.items]
        added = [item_id for item_id in ids if item_id not in self.expected_ids]
        beside = next((item.parent for item in session.items if _item_id(item) in self.checklist_ids), None)
        if beside is None or not added:
            return
        for item_id in added:
            name = f"test_checklist[{item_id}]"
            session.items.append(WorkloadItem.from_parent(beside, name=name, checklist_item=item_id))
        session.items.sort(key=lambda item: _place(item, ids))
        session.testscollected = len(session.items)

    def _check_collection(self, session: pytest.Session) -> None:
        try:
            self._require_complete(session)
        except pytest.UsageError:
            _drop_html_report(session.config)
            raise
        # Wrappers of other plugins (--lf, random order) come after modifyitems: our order is set here.
        session.items[:] = [item for item in session.items if is_ours(item) or asks_for_our_fixture(item)]
        session.items.sort(key=lambda item: _place(item, self.expected_ids))

    def _require_complete(self, session: pytest.Session) -> None:
        ids = [_item_id(item) for item in session.items if is_ours(item)]
        missing = [item for item in self.expected_ids if item not in ids]
        if session.testsfailed:
            raise pytest.UsageError(
                f"Collecting failed in {session.testsfailed} place(s): the checklist may be incomplete; "
                "helm did not run."
            )
        if not ids:
            raise pytest.UsageError(
                "The checklist was not collected; helm did not run. Run pytest on checks/, or on a file with "
                "`from pytest_zkrollback.items import *`; without such a file: "
                "pytest --pyargs pytest_zkrollback.items"
            )
        if missing and self.request.changes:
            raise pytest.UsageError(
                f"A rollback needs the complete checklist, and {', '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} left out (-k, -m, --deselect, --lf or a path); "
                "helm did not run."
            )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """An item's report carries the record's word, title and duration."""
        report = yield
        keep_first_line(report, call, self.run.redactor.text)
        report.sections = [(name, self.run.redactor.text(text)) for name, text in report.sections]
        if report.failed:
            report.longrepr = self.run.redactor.text(report.longreprtext)
        if not is_ours(item) or report.when != "call":
            return report
        found = next((entry for entry in self.run.redacted.items if entry.id == _item_id(item)), None)
        if found is not None:
            word = str(found.verdict or "UNVERIFIED")
            vars(report).update(zkrollback_word=word, zkrollback_title=found.title)
            # For a --junitxml of the user's: its cases carry pytest's names and outcomes.
            item.user_properties[:] = [("zkrollback_title", found.title), ("zkrollback_verdict", word)]
            if report.failed and call.excinfo is not None:
                report.longrepr = str(call.excinfo.value)  # the text alone: no crash line, no "Failed:"
            if found.started_at and found.finished_at:
                report.start, report.stop = found.started_at.timestamp(), found.finished_at.timestamp()
                report.duration = max(0.0, report.stop - report.start)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> Any:
        """PASS, FAIL, UNVERIFIED, WAIVED instead of pytest's words; reruns keep theirs."""
        word = getattr(report, "zkrollback_word", None)
        if word is None or report.outcome not in ("passed", "failed", "skipped"):
            return None
        return _WORDS[word]

    @pytest.hookimpl(wrapper=True)
    def pytest_report_header(self) -> Generator[None, list[Any], list[Any]]:
        """What this run is about, in one line; pytest's list of plugins is left out."""
        headers = yield
        impact = self.run.describe_impact()
        said = [f"zkrollback: {impact}"] if impact else []
        return fit_headers(headers, (self.run.describe_start(), *said), self._config)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Redact what anybody logs; escape the environment table, which pytest-html inserts as raw HTML."""
        logging_plugin = session.config.pluginmanager.get_plugin("logging-plugin")
        for name in ("caplog_handler", "report_handler", "log_cli_handler", "log_file_handler"):
            handler = getattr(logging_plugin, name, None)
            if handler is not None:
                handler.addFilter(RedactingFilter(self.run.redactor))
        say_path_once(session.config)
        try:
            from pytest_metadata.plugin import metadata_key
        except ImportError:
            return
        metadata: dict[Any, Any] = session.config.stash.get(metadata_key, {})
        for key in list(metadata):
            metadata[html.escape(str(key))] = _escaped(metadata.pop(key))

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_row(self, report: pytest.TestReport, cells: list[str]) -> None:
        """Our verdict words and titles; ids are escaped (a parametrize id is raw HTML in pytest-html)."""
        word = getattr(report, "zkrollback_word", None)
        title = getattr(report, "zkrollback_title", None)
        if word is not None:
            cells[0] = f'<td class="col-result">{word}</td>'
        shown = report.nodeid if title is None else f"{title} ({report.nodeid.rsplit('::', 1)[-1]})"
        cells[1] = f'<td class="col-testId">{html.escape(shown)}</td>'

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Files, last lines and the exit code, all from the record."""
        try:
            result = yield
        except OSError as error:  # a full disk under pytest-html; the record has its own way out
            self.run.store.note(f"pytest-html could not write its page: {error}")
            result = None
        guard_streams(self.run.redactor.text)
        self._clean_users_junit(session.config)
        if not self._ran:
            if not self._collect_only:
                self.run.store.html_path.unlink(missing_ok=True)  # pytest-html's page of a run that was none
            if not self._collect_only and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED  # somebody ended the session: nothing ran
            if not self._collect_only and session.exitstatus != pytest.ExitCode.USAGE_ERROR:
                said = f"{_ASKED_TOO_EARLY}\n" if self._asked_too_early else ""
                _write_last(session, f"{said}HELM DID NOT RUN: the session ended before the rollback.")
            return result
        # What draws the finished report is imported when there is one.
        from ..report.revision_table import render_rows_of_run
        from ..run.ci_summary import publish

        record = self.run.redacted
        path = self.run.store.finish(record, _complete_page)
        self._copy_for_user(path)
        published = publish(record, os.environ, self.run.store)
        bundle = self.run.store.write_bundle(record) if self.request.bundle else None
        hints = [*published, *self.run.hints, *([f"Bundle: {bundle}"] if bundle is not None else [])]
        if self._asked_too_early:
            hints.append(f"{_ASKED_TOO_EARLY} Whoever asked got an error.")
        shown = str(path.resolve()) if path.exists() else NONE_WRITTEN
        last = render_last_lines(record, shown, self.run.shell)
        before = "\n".join([*hints, *self.run.store.problems])
        text = "\n\n".join(filter(None, (before, last)))
        _write_last(session, text, partial(render_rows_of_run, record))
        if session.exitstatus != pytest.ExitCode.INTERNAL_ERROR:
            session.exitstatus = self._exit_status(session)
        return result

    def _exit_status(self, session: pytest.Session) -> int:
        """From the record; own tests that failed or did not run take a green exit away, and no verdict."""
        record = self.run.redacted
        if self.run.was_misused:
            return int(pytest.ExitCode.USAGE_ERROR)
        code = _EXIT.get(record.outcome, 1)
        if code == 0 and failed_own_tests(record):
            interrupted = session.exitstatus == pytest.ExitCode.INTERRUPTED
            return int(pytest.ExitCode.INTERRUPTED if interrupted else pytest.ExitCode.TESTS_FAILED)
        return code

    def _clean_users_junit(self, config: pytest.Config) -> None:
        """pytest's own --junitxml also holds what did not pass our reports, such as an internal error."""
        path = getattr(config.option, "xmlpath", None)
        if not path or self._collect_only:
            return
        try:
            text = Path(path).read_text(encoding="utf-8")
            clean = self.run.redactor.text(text)
            if clean != text:
                replace_file(Path(path), clean.encode())
        except (OSError, UnicodeDecodeError) as error:
            self.run.store.note(f"--junitxml={path} could not be read again: {error}")

    def _copy_for_user(self, path: Path) -> None:
        """The path that the user gave with --html gets a copy."""
        if self._user_html is not None:
            copy_for_user(path, self._user_html, self.run.store.note)


def _write_last(
    session: pytest.Session, text: str, render: Callable[[int], list[Line]] = lambda _: []
) -> None:
    write_last(session.config.pluginmanager.get_plugin("terminalreporter"), render, text)


def _ask_for_fixture(session: pytest.Session) -> None:
    """Ask for the plugin's own fixture in the session's name, as a test would that asks for nothing else.

    By its definition, not by its name: a repository's fixture of the same name is not asked, and no autouse
    fixture. What somebody was told who asked too early is forgotten. The session stays set up, so that the
    fixture's value lasts until its end.
    """
    manager = session._fixturemanager  # noqa: SLF001 - pytest has no public way to ask outside of a test
    ours = next(each for each in manager.getfixturedefs(FIXTURE, session) or () if is_our_fixture(each))
    info = FuncFixtureInfo(
        argnames=(FIXTURE,),
        initialnames=(FIXTURE,),
        names_closure=[FIXTURE],
        name2fixturedefs={FIXTURE: [ours]},
    )
    asker = pytest.Function.from_parent(session, name=FIXTURE, callobj=lambda: None, fixtureinfo=info)
    ours.finish(cast("SubRequest", asker._request))  # noqa: SLF001
    state = session._setupstate  # noqa: SLF001
    session_alone = cast("pytest.Item", session)
    state.teardown_exact(session_alone)  # whatever somebody has set up by force
    state.setup(asker)
    state.teardown_exact(session_alone)


def _place(item: pytest.Item, ids: Sequence[str]) -> int:
    """Where the item stands among ours; own tests come last, in the order in which they were collected."""
    return ids.index(_item_id(item)) if is_ours(item) else len(ids)


def _complete_page(path: Path, record: Record, redactor: Redactor) -> str:
    from .html_report import complete_page

    return complete_page(path, record, redactor)


def _drop_html_report(config: pytest.Config) -> None:
    """A usage error leaves no page: take pytest-html's reporter out before it writes one."""
    for plugin in list(config.pluginmanager.get_plugins()):
        if type(plugin).__module__.startswith("pytest_html."):
            config.pluginmanager.unregister(plugin)


def _item_id(item: pytest.Item) -> str:
    if isinstance(item, WorkloadItem):
        return item.checklist_item
    if not is_ours(item):
        return ""
    function = cast("pytest.Function", item)
    name = function.originalname or function.name
    if name == "test_checklist":
        return str(function.callspec.params["checklist_item"])
    return _BY_FUNCTION.get(name, "")


def refuse_partial_sessions(option: Any) -> None:
    """Raises pytest.UsageError for options with which pytest runs no test, or the same again and again."""
    for dest, flag in (
        ("looponfail", "-f (--looponfail)"),
        ("setuponly", "--setup-only"),
        ("setupplan", "--setup-plan"),
        ("setupshow", "--setup-show"),
    ):
        if getattr(option, dest, False):
            raise pytest.UsageError(f"{flag} does not go with an environment; helm did not run.")


def refuse_unknown(flag: str, kind: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raises pytest.UsageError where a name that was given is none of ``known``."""
    for name in given:
        if name not in known:
            raise pytest.UsageError(
                f"{flag}={name}=...: there is no such {kind}; known are {', '.join(known)}; helm did not run."
            )


def neutralise(option: Any) -> None:
    """What would run things twice, stop before the last verdict, or say everything twice."""
    for dest, value in (
        ("numprocesses", 0),
        ("dist", "no"),
        ("tx", []),
        ("distload", False),
        ("maxfail", 0),
        ("stepwise", False),
        ("stepwise_skip", False),
    ):
        if hasattr(option, dest):
            setattr(option, dest, value)
    # Our last lines say what is red, once; a -r or --tb of the user's stays.
    if getattr(option, "reportchars", "") == _DEFAULT_REPORTCHARS:
        option.reportchars = ""
    if getattr(option, "tbstyle", "") == "auto":
        option.tbstyle = "no"


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {html.escape(str(key)): _escaped(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_escaped(entry) for entry in value]
    return html.escape(str(value))
