"""What is added later: in the record, and on the page, Markdown and bundle beside it; nothing else changes."""

import io
import json
import multiprocessing
import threading
import time
import zipfile
from pathlib import Path

import pytest

from pytest_zkrollback.domain.notes import AddedNote, NoteKind
from pytest_zkrollback.domain.record import Delivery, NotificationEvent, Outcome, Record
from pytest_zkrollback.report import note_files
from pytest_zkrollback.report.file_locks import alone_in, beside_none_alone_in
from pytest_zkrollback.report.file_names import file_stem
from pytest_zkrollback.report.files import Store
from pytest_zkrollback.report.html import render_again, render_page
from pytest_zkrollback.report.note_files import add_to_record
from support.example_records import at, failed, running, verified


def note(text, kind=NoteKind.NOTE):
    return AddedNote(at=at(3600), author="ada@laptop", kind=kind, text=text)


def reasoned(reason):
    return failed().model_copy(update={"reason": reason})


@pytest.fixture
def finished(tmp_path):
    """The files of a run, its bundle and ``latest.*``."""
    record = failed()
    store = Store(tmp_path, file_stem(record))
    store.write(record)
    store.finish(record)
    store.write_bundle(record)
    return store


def read(path):
    return Record.model_validate_json(path.read_bytes())


@pytest.mark.parametrize("name", ["own", "latest"])
def test_whichever_is_named_all_files_of_the_run_have_it(finished, name):
    folder = finished.folder
    before = json.loads(finished.json_path.read_bytes())
    add_to_record(
        finished.json_path if name == "own" else folder / "latest.json", [note("Told the customers")]
    )
    own, latest = finished.json_path, folder / "latest.json"
    assert [each.text for each in read(own).notes] == ["Told the customers"]
    for suffix in (".json", ".md", ".html"):
        text = own.with_suffix(suffix).read_text()
        assert "Told the customers" in text
        assert text == latest.with_suffix(suffix).read_text()
    with zipfile.ZipFile(io.BytesIO(own.with_suffix(".zip").read_bytes())) as bundle:
        assert "Told the customers" in bundle.read(own.with_suffix(".html").name).decode()
        assert "Told the customers" in bundle.read(own.name).decode()
    after = json.loads(own.read_bytes())
    assert {key for key in after if after[key] != before[key]} == {"notes"}
    assert own.with_suffix(".html").read_text() == render_page(read(own))
    assert not list(folder.glob(".*.tmp"))


def test_the_latest_of_another_run_stays(finished):
    folder, other = finished.folder, verified(run_id="99999999", started_at=at(500))
    store = Store(folder, file_stem(other))
    store.write(other)
    store.finish(other)
    latest = {path.name: path.read_bytes() for path in folder.glob("latest.*")}
    add_to_record(finished.json_path, [note("Told the customers")])
    assert {path.name: path.read_bytes() for path in folder.glob("latest.*")} == latest
    assert read(store.json_path).notes == ()
    assert len(read(finished.json_path).notes) == 1


def test_a_record_alone_stays_alone(tmp_path):
    path = tmp_path / "copy.json"
    store = Store(tmp_path / "elsewhere", "x")
    store.write(failed())
    path.write_bytes((tmp_path / "elsewhere" / "x.json").read_bytes())
    add_to_record(path, [note("Told the customers")])
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["copy.json"]


def add_several(folder, worker):
    for number in range(5):
        add_to_record(Path(folder) / "latest.json", [note(f"{worker}-{number}")])


def test_two_at_once_lose_nothing(finished):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=add_several, args=(str(finished.folder), name)) for name in "abc"]
    for worker in workers:
        worker.start()
    add_several(finished.folder, "d")
    for worker in workers:
        worker.join(60)
    found = [each.text for each in read(finished.json_path).notes]
    assert sorted(found) == [f"{name}-{number}" for name in "abcd" for number in range(5)]
    assert found == [each.text for each in read(finished.folder / "latest.json").notes]


def test_the_second_waits_for_the_first(finished, monkeypatch):
    """Without the lock both would read the same record: here the first is held between reading and writing."""
    reached, go_on = threading.Event(), threading.Event()
    write = note_files._write

    def held(path, record, before, **how):
        if record.notes[-1].text == "first" and not reached.is_set():
            reached.set()
            assert go_on.wait(20)
        write(path, record, before, **how)

    monkeypatch.setattr(note_files, "_write", held)
    threads = []
    for text in ("first", "second"):
        threads.append(threading.Thread(target=add_to_record, args=(finished.json_path, [note(text)])))
        threads[-1].start()
        assert reached.wait(20)
    threads[1].join(0.3)
    assert threads[1].is_alive()
    go_on.set()
    for each in threads:
        each.join(20)
    assert [each.text for each in read(finished.json_path).notes] == ["first", "second"]


def test_a_disk_that_takes_nothing_leaves_all_as_it_was(finished, monkeypatch):
    before = {path.name: path.read_bytes() for path in finished.folder.iterdir()}

    def full(*_, **__):
        raise OSError(28, "No space left on device", str(finished.json_path))

    monkeypatch.setattr(note_files, "replace_file", full)
    with pytest.raises(OSError, match="No space left"):
        add_to_record(finished.json_path, [note("Told the customers")])
    assert {path.name: path.read_bytes() for path in finished.folder.iterdir()} == before


def test_a_page_of_another_version_becomes_the_records_own():
    old = render_page(failed()).replace("<style>", "<style>/* older */").replace(".zkr h2", ".zkr h9")
    record = failed().model_copy(update={"notes": (note("Told the customers"),)})
    assert render_again(old, record) == render_page(record)
    assert render_again("half of a pa", record) == render_page(record)


def test_a_runs_last_record_is_not_replaced_with_an_older_one(tmp_path, monkeypatch):
    """The run says its verdict while a note is being rendered: the note goes into the newer record."""
    store = Store(tmp_path, file_stem(running()))
    store.write(running())
    store._held.release()  # as if on a file system without locks
    render, verdicts = note_files.render_markdown, [failed()]

    def slow(record):
        if verdicts:
            store._note_wait_s = 0.0
            store.finish(verdicts.pop())
        return render(record)

    monkeypatch.setattr(note_files, "render_markdown", slow)
    add_to_record(store.json_path, [note("Told the customers")])
    for path in (store.json_path, tmp_path / "latest.json"):
        assert read(path).outcome is Outcome.FAILED
        assert [each.text for each in read(path).notes] == ["Told the customers"]


def test_what_is_added_while_the_run_still_writes_is_kept(finished):
    """Curves, commits and earlier runs come up to some seconds after the verdict."""
    addendum = Delivery(to="slack", event=NotificationEvent.ADDENDUM, ok=True, at=at(3601))
    add_to_record(finished.folder / "latest.json", [note("Told the customers")])
    finished.write(reasoned("one"))
    add_to_record(finished.json_path, [note("Pool size 0")], [addendum])
    finished.write(reasoned("two"))
    finished.finish(reasoned("three"))
    finished.write_bundle(reasoned("three"))
    for path in (finished.json_path, finished.folder / "latest.json"):
        assert read(path).reason == "three"
        assert [each.text for each in read(path).notes] == ["Told the customers", "Pool size 0"]
        assert read(path).deliveries == (*failed().deliveries, addendum)
        assert "Pool size 0" in path.with_suffix(".md").read_text()
    with zipfile.ZipFile(finished.json_path.with_suffix(".zip")) as bundle:
        assert "Pool size 0" in bundle.read(finished.json_path.name).decode()


def test_a_run_waits_for_a_note_only_briefly_and_only_once(finished):
    with alone_in(finished.folder):
        started = time.monotonic()
        for number in range(20):
            finished.write(reasoned(str(number)))
        assert time.monotonic() - started < 1.5  # each wait would add 0.1 s
    assert read(finished.json_path).reason == "19"
    assert finished.problems == ()


def test_a_run_waits_for_a_note_that_is_nearly_done(finished):
    held, go_on = threading.Event(), threading.Event()

    def hold():
        with alone_in(finished.folder):
            held.set()
            go_on.wait(20)

    finished._note_wait_s = 20.0
    threads = [threading.Thread(target=hold), threading.Thread(target=finished.write, args=(reasoned("x"),))]
    threads[0].start()
    assert held.wait(20)
    threads[1].start()
    threads[1].join(0.3)
    assert read(finished.json_path).reason == failed().reason
    go_on.set()
    for each in threads:
        each.join(20)
    assert read(finished.json_path).reason == "x"


def test_two_runs_do_not_wait_for_each_other(tmp_path):
    with beside_none_alone_in(tmp_path, 0.0) as first, beside_none_alone_in(tmp_path, 0.0) as second:
        assert (first, second) == (True, True)
