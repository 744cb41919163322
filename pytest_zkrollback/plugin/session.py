"""pytest's hooks for a session with an environment. Loaded only when an option of ours was given."""

from __future__ import annotations

import html
import os
import shlex
import shutil
import sys
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any, cast

import pytest

from ..config import loader as configuration
from ..domain.errors import UsageProblem
from ..github.guards import GUARD_IDS as GITHUB_GUARDS
from ..preflight.guards import GUARD_IDS
from ..report.files import replace_file
from ..report.redaction import RedactingFilter, Redactor
from ..report.terminal import render_last_lines
from ..run.ci_summary import publish
from ..run.run import Run
from .checklist_tests import WorkloadItem, is_ours
from .fixtures import RECORD_KEY
from .hook_caller import Relay
from .html_report import complete_page
from .options import parse_request
from .streams import guard_streams, write_last

_BY_FUNCTION = {
    "test_preflight": "preflight",
    "test_rollback": "rollback",
    "test_release_equivalence": "release-equivalence",
}
_WORDS = {
    "PASS": ("passed", ".", ("PASS", {"green": True})),
    "FAIL": ("failed", "F", ("FAIL", {"red": True})),
    "UNVERIFIED": ("failed", "U", ("UNVERIFIED", {"red": True})),
    "WAIVED": ("skipped", "w", ("WAIVED", {"yellow": True})),
}
_DEFAULT_REPORTCHARS = "fE"
_EXIT = {"verified": 0, "verified-with-waivers": 0, "planned": 0, "interrupted": 2}


def stop_kept_drill(config: pytest.Config) -> int:
    """``--drill-stop``: end a kept drill and nothing else."""
    from ..drill.session import stop_drill

    if config.option.zkrollback_env or config.option.rollback_to:
        raise pytest.UsageError("--drill-stop ends the kept drill and does nothing else: give it alone.")
    sys.stdout.write(stop_drill() + "\n")
    return 0


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
    """One session with an environment: collects our items, runs the run once, reports its verdicts."""

    def __init__(self, config: pytest.Config, redactor: Redactor) -> None:
        """Validate options and configuration (pytest.UsageError); neutralise what would run things twice."""
        option = config.option
        guard_streams(redactor.text)  # before anything is said, even about a mistake on the command line
        self.request = parse_request(option)
        _refuse_partial_sessions(option)
        try:
            self.run = Run.create(
                self.request, config.rootpath, _command_line(config), Relay(config.hook), redactor
            )
        except UsageProblem as problem:
            raise pytest.UsageError(str(problem)) from None
        self.checklist_ids = self.run.checklist_ids
        self.expected_ids = self.run.item_ids
        waivers = [each for each in self.request.waivers if not self.run.may_be_found(each)]
        _refuse_unknown("--rollback-waive", "checklist item", waivers, self.checklist_ids)
        _refuse_unknown("--rollback-override", "guard", self.request.overrides, (*GUARD_IDS, *GITHUB_GUARDS))
        _neutralise(option)
        self._user_html: str | None = getattr(option, "htmlpath", None)
        if not option.collectonly:
            option.htmlpath = str(self.run.store.html_path)
            option.self_contained_html = True
        self._collect_only = bool(option.collectonly)
        self._ran = False
        config.stash[RECORD_KEY] = lambda: self.run.redacted

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Only our items, each once, in the runbook's order."""
        chosen: dict[str, pytest.Item] = {}
        for item in items:
            item_id = _item_id(item)
            if item_id in self.expected_ids:
                chosen.setdefault(item_id, item)
        left_out = [item for item in items if not is_ours(item)]
        items[:] = [chosen[item_id] for item_id in self.expected_ids if item_id in chosen]
        if left_out:
            config.hook.pytest_deselected(items=left_out)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """The run, before the first item, after a clean and complete collection."""
        if not self._collect_only:
            self._check_collection(session)
            self._ran = True
            guard_streams(self.run.redactor.text)
            self.run.execute(frozenset(_item_id(item) for item in session.items))
            self._add_workloads(session)
        return (yield)

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
        session.items.sort(key=lambda item: ids.index(_item_id(item)))
        session.testscollected = len(session.items)

    def _check_collection(self, session: pytest.Session) -> None:
        try:
            self._require_complete(session)
        except pytest.UsageError:
            _drop_html_report(session.config)
            raise
        # Wrappers of other plugins (--lf, random order) come after modifyitems: our order is set here.
        session.items.sort(key=lambda item: self.expected_ids.index(_item_id(item)))

    def _require_complete(self, session: pytest.Session) -> None:
        ids = [_item_id(item) for item in session.items]
        missing = [item for item in self.expected_ids if item not in ids]
        if session.testsfailed:
            raise pytest.UsageError(
                f"Collecting failed in {session.testsfailed} place(s): the checklist may be incomplete; "
                "helm did not run."
            )
        if not ids:
            raise pytest.UsageError(
                "The checklist was not collected: run pytest on checks/, or give a file with "
                "`from pytest_zkrollback.items import *`; helm did not run."
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
        report.sections = [(name, self.run.redactor.text(text)) for name, text in report.sections]
        if report.failed:
            report.longrepr = self.run.redactor.text(report.longreprtext)
        found = next((entry for entry in self.run.redacted.items if entry.id == _item_id(item)), None)
        if found is not None and report.when == "call":
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

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Redact what anybody logs; escape the environment table, which pytest-html inserts as raw HTML."""
        logging_plugin = session.config.pluginmanager.get_plugin("logging-plugin")
        for name in ("caplog_handler", "report_handler", "log_cli_handler", "log_file_handler"):
            handler = getattr(logging_plugin, name, None)
            if handler is not None:
                handler.addFilter(RedactingFilter(self.run.redactor))
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
            return result
        record = self.run.redacted
        path = self.run.store.finish(record, complete_page)
        self._copy_for_user(path)
        published = publish(record, os.environ, self.run.store)
        bundle = self.run.store.write_bundle(record) if self.request.bundle else None
        hints = [*published, *self.run.hints, *([f"Bundle: {bundle}"] if bundle is not None else [])]
        lines = [*hints, *self.run.store.problems, render_last_lines(record, str(path))]
        write_last(session.config.pluginmanager.get_plugin("terminalreporter"), "\n".join(lines))
        if session.exitstatus != pytest.ExitCode.INTERNAL_ERROR:
            session.exitstatus = _EXIT.get(str(record.outcome), 1)
        return result

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
        if self._user_html is None:
            return
        try:
            Path(self._user_html).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, self._user_html)
        except OSError as error:
            self.run.store.note(f"--html={self._user_html} could not be written: {error}")


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


def _refuse_partial_sessions(option: Any) -> None:
    for dest, flag in (
        ("looponfail", "-f (--looponfail)"),
        ("setuponly", "--setup-only"),
        ("setupplan", "--setup-plan"),
        ("setupshow", "--setup-show"),
    ):
        if getattr(option, dest, False):
            raise pytest.UsageError(f"{flag} does not go with an environment; helm did not run.")


def _refuse_unknown(flag: str, kind: str, given: Iterable[str], known: Iterable[str]) -> None:
    for name in given:
        if name not in known:
            raise pytest.UsageError(
                f"{flag}={name}=...: there is no such {kind}; known are {', '.join(known)}; helm did not run."
            )


def _neutralise(option: Any) -> None:
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


def _command_line(config: pytest.Config) -> str:
    return shlex.join(["pytest", *(str(arg) for arg in config.invocation_params.args)])
