"""What is added later: in the record, and on the page, Markdown and bundle beside it; nothing else changes."""

import io
import json
import multiprocessing
import threading
import zipfile
from pathlib import Path

import pytest

from pytest_zkrollback.domain.notes import AddedNote, NoteKind
from pytest_zkrollback.domain.record import Record
from pytest_zkrollback.report import note_files
from pytest_zkrollback.report.file_names import file_stem
from pytest_zkrollback.report.files import Store
from pytest_zkrollback.report.html import render_again, render_page
from pytest_zkrollback.report.note_files import add_to_record
from support.example_records import at, failed, verified


def note(text, kind=NoteKind.NOTE):
    return AddedNote(at=at(3600), author="ada@laptop", kind=kind, text=text)


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

    def held(path, record, **how):
        if record.notes[-1].text == "first" and not reached.is_set():
            reached.set()
            assert go_on.wait(20)
        write(path, record, **how)

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
