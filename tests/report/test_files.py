"""The store: whole files or none, latest.* never older than the run, never an exception into the run."""

from __future__ import annotations

import errno
import json
import os
import stat
import tempfile
import threading
import time
from pathlib import Path

import pytest

from pytest_zkrollback.domain.record import Record
from pytest_zkrollback.report import files as store_module
from pytest_zkrollback.report.file_names import file_stem
from pytest_zkrollback.report.files import Store
from pytest_zkrollback.report.redaction import Redactor
from support.example_records import at, running, verified

STEM = "20261123T115039Z-drill-1a2b3c4d"
ALL = [f"{STEM}.html", f"{STEM}.json", f"{STEM}.md", f"{STEM}.xml"]
LATEST = ["latest.html", "latest.json", "latest.md", "latest.xml"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def make(folder: Path) -> Store:
    return Store(folder, file_stem(running()), Redactor())


def test_names() -> None:
    assert file_stem(verified()) == STEM
    assert file_stem(verified(environment="a/../b\nc", run_id="x")) == "20261123T115039Z-a_.._b_c-x"


def test_a_running_record_replaces_every_latest_so_that_no_old_green_is_attached(tmp_path: Path) -> None:
    for name in LATEST:
        (tmp_path / name).write_text("VERIFIED yesterday", encoding="utf-8")
    store = make(tmp_path)
    store.write(running())
    assert names(tmp_path) == sorted([f"{STEM}.json", *LATEST])
    for name in LATEST:
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert "VERIFIED yesterday" not in text
        assert "NOT FINISHED" in text or '"running"' in text
    assert json.loads((tmp_path / "latest.json").read_text()) == json.loads(store.json_path.read_text())


@pytest.mark.parametrize("make_it", [os.mkfifo, Path.mkdir])
def test_case_a12_what_is_no_file_is_left_as_it_is_and_said(tmp_path: Path, make_it) -> None:
    make_it(tmp_path / "latest.html")
    store = make(tmp_path)
    store.write(running())
    store.finish(verified())
    store.give_back_latest()
    path = tmp_path / "latest.html"
    assert not path.is_file() and path.exists()
    assert store.problems == (
        f"{path} is no file (a folder or a pipe): it was left as it is. This run's are {STEM}.*.",
    )
    assert names(tmp_path) == sorted([*ALL, "latest.html"])


def test_every_write_is_on_disk_and_redacted(tmp_path: Path) -> None:
    store = Store(tmp_path, STEM, Redactor({"A": "s3cr3t-value"}))
    store.write(running())
    store.write(running().model_copy(update={"reason": "s3cr3t-value"}))
    record = Record.model_validate_json(store.json_path.read_bytes())
    assert (record.reason, record.redactions) == ("[redacted A]", 1)
    assert (tmp_path / "latest.json").read_bytes() == store.json_path.read_bytes()


def test_finish_writes_all_files(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.write(running())
    assert store.finish(verified()) == store.html_path
    assert names(tmp_path) == sorted([*ALL, *LATEST])
    for suffix in (".html", ".json", ".md", ".xml"):
        assert (tmp_path / f"latest{suffix}").read_bytes() == store.path(suffix).read_bytes()
    assert "VERIFIED" in store.html_path.read_text(encoding="utf-8")
    assert store.problems == ()
    assert stat.S_IMODE(store.json_path.stat().st_mode) & stat.S_IRUSR


def test_finish_completes_the_page_that_pytest_html_wrote(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.html_path.write_text("pytest-html", encoding="utf-8")

    def complete(path: Path, record: Record, redactor: Redactor) -> str:
        path.write_text(f"completed {record.outcome}", encoding="utf-8")
        return "It is another page."

    store.finish(verified(), complete)
    assert store.problems == ("It is another page.",)
    assert store.html_path.read_text() == (tmp_path / "latest.html").read_text() == "completed verified"


def test_a_failing_completion_falls_back_to_the_standalone_page(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.html_path.write_text("pytest-html", encoding="utf-8")

    def complete(path: Path, record: Record, redactor: Redactor) -> str:
        raise RuntimeError("boom")

    store.finish(verified(), complete)
    assert "Incident report" in store.html_path.read_text(encoding="utf-8")
    assert store.problems == ("pytest-html's page could not be completed (RuntimeError: boom).",)


def test_fault_64_unwritable_folder_falls_back_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", encoding="utf-8")
    store = make(blocked / "reports")
    store.write(running())
    path = store.finish(verified())
    assert path.parent.parent == tmp_path
    assert names(path.parent) == sorted([*ALL, *LATEST])
    assert store.problems == (
        f"{blocked / 'reports'} could not be written (Not a directory); this run's files are in {path.parent}.",
    )


def test_fault_64_disk_full_in_mid_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    reports = tmp_path / "reports"
    store = make(reports)
    (reports / "latest.json").write_text('{"outcome": "verified"}', encoding="utf-8")
    store.write(running())
    real = store_module.replace_file

    def full(path: Path, content: bytes, *, durable: bool = True) -> None:
        if path.parent == reports:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real(path, content, durable=durable)

    monkeypatch.setattr(store_module, "replace_file", full)
    path = store.finish(verified())
    assert names(path.parent) == sorted([*ALL, *LATEST])
    assert names(reports) == [f"{STEM}.json"]  # no latest.* there that could pass for this run's
    assert store.problems == (
        f"{reports} could not be written (No space left on device); this run's files are in {path.parent}.",
    )


def test_fault_64_nothing_can_be_written_then_it_is_known_why_and_nothing_is_said_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def full(path: Path, content: bytes, *, durable: bool = True) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(store_module, "replace_file", full)
    store = make(tmp_path / "reports")
    store.write(running())
    assert not store.finish(verified()).exists()
    assert capsys.readouterr().out == ""  # the session's last lines say it
    assert "No space left on device" in store.problems[0]


def test_a_defect_in_a_rendering_costs_only_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def render_broken(record: Record) -> str:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(store_module, "RENDERINGS", ((".md", render_broken), (".xml", lambda record: "<x/>")))
    store = make(tmp_path)
    store.finish(verified())
    assert "\nVERIFIED: " in (tmp_path / f"{STEM}.md").read_text()
    assert (tmp_path / f"{STEM}.xml").read_text() == "<x/>"
    assert store.problems == ("render_broken failed (ZeroDivisionError: oops); the JSON is complete.",)


def test_a_record_that_cannot_be_redacted_is_not_written(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.write(verified().model_copy(update={"started_at": "no time"}))
    assert names(tmp_path) == []
    assert store.problems == ("The record could not be redacted (ValidationError), so it was not written.",)


def test_fault_19_a_run_that_the_lock_refused_gives_latest_back(tmp_path: Path) -> None:
    for name in LATEST:
        (tmp_path / name).write_text(f"the other run's {name}", encoding="utf-8")
    store = make(tmp_path)
    store.write(running())
    (tmp_path / "latest.md").write_text("the other run goes on", encoding="utf-8")
    store.give_back_latest()
    store.finish(verified())
    assert (tmp_path / "latest.json").read_text() == "the other run's latest.json"
    assert (tmp_path / "latest.md").read_text() == "the other run goes on"
    assert store.json_path.exists()


def test_what_killed_runs_left_half_written_goes_after_an_hour_and_nothing_else_does(tmp_path: Path) -> None:
    old, new = ".latest.html.4711-3.tmp", ".20261126T023000Z-staging-1a2b3c4d.json.4712-0.tmp"
    others = [".gitignore", ".notes.tmp", "latest.html.tmp", ".x.txt.1-1.tmp"]
    for name in [old, new, *others]:
        (tmp_path / name).write_text("half")
    for name in [old, *others]:
        os.utime(tmp_path / name, (time.time() - 3700,) * 2)
    make(tmp_path)
    assert names(tmp_path) == sorted([new, *others])


def test_writes_from_many_threads_leave_one_whole_record(tmp_path: Path) -> None:
    store = make(tmp_path)
    threads = [
        threading.Thread(target=store.write, args=(running().model_copy(update={"finished_at": at(index)}),))
        for index in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Record.model_validate_json(store.json_path.read_bytes())
    assert names(tmp_path) == sorted([f"{STEM}.json", *LATEST])
