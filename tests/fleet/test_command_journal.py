"""The journal of a fleet's command: what is read back, also from a file that a killed command left half."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pytest_zkrollback.fleet.command_journal import (
    FILE,
    RESUMED_WITHIN,
    FleetJournal,
    Wanted,
    find_unfinished,
)

WAVES = (("eu-1",), ("eu-2", "us-1"))
WANTED = Wanted("prod", "rollback", "app:1", WAVES)
NOW = datetime(2026, 12, 1, 3, 30, tzinfo=UTC)
BEGUN = {
    "fleet": "prod",
    "mode": "rollback",
    "target": "app:1",
    "waves": WAVES,
    "fleet_run_id": "50af01e1",
    "started_at": "2026-12-01T03:00:00+00:00",
}


@pytest.fixture
def journal(tmp_path):
    found = FleetJournal(tmp_path / "20261201T030000Z-fleet-prod-50af01e1")
    assert found.open()
    found.note("begun", **BEGUN)
    yield found
    found.close()


def begin(journal, member, run_id, phase="run"):
    journal.note("member-begun", member=member, phase=phase, run_id=run_id)


def test_what_began_and_has_no_end_is_found(journal, tmp_path):
    begin(journal, "eu-1", "p0000000", "plan")
    begin(journal, "eu-1", "a0000000")
    journal.note("member-ended", member="eu-1", run_id="a0000000", exit_code=0)
    begin(journal, "eu-2", "b0000000")
    found = find_unfinished(tmp_path, WANTED, NOW)
    assert found.fleet_run_id == "50af01e1"
    assert dict(found.runs) == {"eu-1": ("a0000000",), "eu-2": ("b0000000",)}
    assert dict(found.open) == {"eu-2": "b0000000"}


def test_one_that_ended_or_asked_for_something_else_is_passed_over(journal, tmp_path):
    assert find_unfinished(tmp_path, Wanted("prod", "rollback", "app:2", WAVES), NOW) is None
    assert find_unfinished(tmp_path, Wanted("prod", "verify", "", WAVES), NOW) is None
    journal.note("ended", outcome="failed")
    assert find_unfinished(tmp_path, WANTED, NOW) is None


@pytest.mark.parametrize("waves", [(("eu-1",), ("eu-2",)), (("eu-1", "eu-2", "us-1"),)])
def test_a_fleet_that_was_edited_meanwhile_is_another_one(journal, tmp_path, waves):
    begin(journal, "us-1", "a0000000")
    assert find_unfinished(tmp_path, replace(WANTED, waves=waves), NOW) is None
    assert find_unfinished(tmp_path, WANTED, NOW) is not None


def test_one_that_was_killed_long_ago_belongs_to_another_incident(journal, tmp_path):
    os.utime(journal.folder / FILE, (NOW.timestamp(), NOW.timestamp()))
    assert find_unfinished(tmp_path, WANTED, NOW + RESUMED_WITHIN) is not None
    assert find_unfinished(tmp_path, WANTED, NOW + RESUMED_WITHIN + timedelta(seconds=1)) is None
    assert find_unfinished(tmp_path, WANTED, None) is not None


def test_an_older_unfinished_one_is_not_taken_up_behind_one_that_ended(journal, tmp_path):
    later = FleetJournal(tmp_path / "20261201T040000Z-fleet-prod-60af01e1")
    later.open()
    later.note("begun", **BEGUN | {"fleet_run_id": "60af01e1"})
    later.note("ended", outcome="verified")
    later.close()
    assert find_unfinished(tmp_path, WANTED, NOW) is None


@pytest.mark.parametrize("rest", ['{"event": "member-beg', "", "\x00\x00", "[1]\nnull\n3\n"])
def test_a_last_line_that_is_half_or_no_line_of_ours_hides_nothing(journal, tmp_path, rest):
    begin(journal, "eu-1", "a0000000")
    with (journal.folder / FILE).open("a") as file:
        file.write(rest)
    assert dict(find_unfinished(tmp_path, WANTED, NOW).open) == {"eu-1": "a0000000"}


def test_what_is_written_after_a_killed_commands_half_line_is_read(journal, tmp_path):
    begin(journal, "eu-1", "a0000000")
    journal.close()
    with (journal.folder / FILE).open("a") as file:
        file.write('{"event": "member-beg')
    again = FleetJournal(journal.folder)
    assert again.open()
    begin(again, "eu-2", "b0000000")
    again.close()
    assert dict(find_unfinished(tmp_path, WANTED, NOW).open) == {"eu-1": "a0000000", "eu-2": "b0000000"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        pytest.param("[" * 100_000, id="deep"),
        '{"event": "begun"}',
        '{"event": "begun", "fleet": 3}',
        json.dumps({"event": "begun", **BEGUN, "started_at": "2026-12-01T03:00:00"}),
        "no JSON",
    ],
)
def test_what_is_no_journal_is_passed_over(tmp_path, text):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / FILE).write_text(text)
    assert find_unfinished(tmp_path, WANTED, NOW) is None


def test_a_second_command_cannot_have_it_and_a_dead_ones_can_be_had(journal):
    assert FleetJournal(journal.folder).open() is False
    journal.close()
    died = (
        "import os, sys, pathlib; from pytest_zkrollback.fleet.command_journal import FleetJournal;"
        f"FleetJournal(pathlib.Path({str(journal.folder)!r})).open(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", died], check=False, timeout=60)
    again = FleetJournal(journal.folder)
    assert again.open() is True
    again.close()


def test_every_line_is_on_disk_when_it_was_noted(journal):
    begin(journal, "eu-1", "a0000000")
    last = (journal.folder / FILE).read_text().splitlines()[-1]
    assert json.loads(last) == {
        "event": "member-begun",
        "member": "eu-1",
        "phase": "run",
        "run_id": "a0000000",
    }


def test_where_nothing_can_be_written_it_goes_on_and_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    journal = FleetJournal(tmp_path / "file" / "folder")
    assert journal.open() is True
    journal.note("begun", **BEGUN)
    assert "cannot be written" in journal.problem
