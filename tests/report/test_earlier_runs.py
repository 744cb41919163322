"""Earlier runs of the release: which ones, how long they took, and the picture with its words."""

import re
from datetime import UTC, datetime

import pytest

from pytest_zkrollback.domain.earlier_run import EarlierRun
from pytest_zkrollback.domain.record import Helm, Mode, Outcome
from pytest_zkrollback.report import earlier_runs
from pytest_zkrollback.report.earlier_runs import (
    fetch_earlier_runs,
    render_trend,
    this_run,
    trend_words,
    what_was_done,
)
from pytest_zkrollback.report.file_names import file_stem
from pytest_zkrollback.report.files import render_json
from pytest_zkrollback.report.html import render_record
from pytest_zkrollback.report.markdown import render_markdown
from pytest_zkrollback.report.previous_runs import fetch_earlier
from support.example_records import at, failed, verified
from support.html_page import Page


def save(folder, number, make=verified, **changes):
    """The record of a run so many days ago, as it was left in the folder."""
    shift = {"run_id": f"{number:08x}", "started_at": at(-86400 * number)}
    record = make().model_copy(update={**shift, **changes})
    (folder / f"{file_stem(record)}.json").write_text(render_json(record), encoding="utf-8")
    return record


def test_the_runs_of_this_release_are_found_newest_first(tmp_path):
    save(tmp_path, 1)
    save(tmp_path, 2, failed)
    save(tmp_path, 3, mode=Mode.PLAN, outcome=Outcome.PLANNED)
    save(tmp_path, 4, environment="staging")
    save(tmp_path, 5, release="other")
    save(tmp_path, 6, namespace="other")
    save(tmp_path, 7, outcome=Outcome.RUNNING, finished_at=None, recovered_at=None)
    now = save(tmp_path, 0)
    (tmp_path / "latest.json").write_text(render_json(now))
    (tmp_path / "20261123T115039Z-drill-zzz.json").write_text("{")
    (tmp_path / "20261123T115039Z-drill-yyy.json").write_text('{"run_id": "1"}')
    (tmp_path / "20261123T115039Z-drill-xxx.json").mkdir()
    found = fetch_earlier_runs(tmp_path, now)
    assert [(run.run_id, run.outcome) for run in found] == [
        ("00000001", "verified"),
        ("00000002", "failed"),
        ("00000007", "running"),
    ]
    assert found[0] == this_run(save(tmp_path, 1))
    assert (round(found[0].recovery_s, 1), found[0].affected_s) == (6.3, 724.75)
    assert (found[1].recovery_s, found[1].affected_s) == (None, None)


def test_a_folder_with_years_of_runs_costs_little(tmp_path, monkeypatch):
    now = save(tmp_path, 0)
    for number in range(1, 40):
        save(tmp_path, number)
    read = []
    monkeypatch.setattr(earlier_runs, "read_regular", lambda path: read.append(path) or path.read_bytes())
    found = fetch_earlier_runs(tmp_path, now)
    assert [run.run_id for run in found] == [f"{number:08x}" for number in range(1, 13)]
    assert len(read) == 13
    assert fetch_earlier_runs(tmp_path / "none", now) == ()


def run(number, recovery_s, outcome="verified", **more):
    times = {"recovery_s": recovery_s, "affected_s": None}
    return EarlierRun(
        run_id=f"{number:08x}",
        mode="rollback",
        outcome=outcome,
        started_at=at(-86400 * number),
        revision_before=6,
        target_revision=5,
        **{**times, **more},
    )


EARLIER = (run(1, 12.0, affected_s=300.0), run(2, None, "failed"), run(3, 41.0), run(4, 20.0))


def test_the_list_and_the_trend_stand_on_page_and_markdown():
    record = verified(earlier_runs=EARLIER)
    words = (
        "Time to recover, from helm's start to all checks passed: 6.3 s in this run. 20.0 s in the middle of 3 "
        "earlier runs, 12.0 s to 41.0 s."
    )
    page, markdown = Page(render_record(record)), render_markdown(record)
    assert words in page.text
    assert words in markdown
    assert "2026-11-22 11:50:39 UTC rollback from 6 to 5 VERIFIED 5 min 00 s 12.0 s 00000001" in page.text
    assert "2026-11-21 11:50:39 UTC rollback from 6 to 5 FAILED - - 00000002" in page.text
    assert "rollback from 6 to 5 VERIFIED 12 min 05 s 6.3 s this run" in page.text
    assert "| 2026-11-21 11:50:39 UTC | rollback from 6 to 5 | FAILED | - | - | `00000002` |\n" in markdown
    svg = str(render_trend(record))
    assert words.replace("'", "&#39;") in svg
    heights = [float(each) for each in re.findall(r'class="bar[^"]*"[^>]* height="([\d.]+)"', svg)]
    assert [round(each / heights[1] * 41) for each in heights] == [20, 41, 12, 6]  # oldest first
    assert svg.count("×") == 1


@pytest.mark.parametrize(
    ("earlier", "words", "drawn"),
    [
        ((run(1, None, "failed"),), "", False),
        (
            (run(1, 9.0),),
            "Time to recover, from helm's start to all checks passed: 6.3 s in this run. 9.0 s in the earlier "
            "one.",
            True,
        ),
    ],
)
def test_with_little_to_compare_little_is_said(earlier, words, drawn):
    record = verified(earlier_runs=earlier)
    assert (trend_words(record), bool(render_trend(record))) == (words, drawn)
    assert "Earlier runs of this release" in Page(render_record(record)).text


def test_a_run_that_did_not_recover_says_so():
    record = failed().model_copy(update={"earlier_runs": EARLIER})
    assert trend_words(record).startswith(
        "Time to recover, from helm's start to all checks passed: not reached in this run. "
    )
    assert str(render_trend(record)).count("×") == 2


def test_what_was_done_is_named():
    assert what_was_done(this_run(verified(mode=Mode.VERIFY, helm=Helm()))) == "check only"
    assert (
        what_was_done(this_run(verified(mode=Mode.GITHUB, target_revision=None)))
        == "rollback through GitHub from 6"
    )
    assert what_was_done(this_run(verified(mode=Mode.RECOVER))) == "recovery from 6 to 5"


def test_without_earlier_runs_nothing_is_said():
    assert "zkr-earlier" not in render_record(verified())
    assert "Earlier runs" not in render_markdown(verified())


def test_an_environment_whose_name_is_no_file_name_has_earlier_runs(tmp_path):
    save(tmp_path, 1, environment="prod eu")
    save(tmp_path, 2, environment="prod us")
    now = verified(environment="prod eu")
    assert [each.run_id for each in fetch_earlier_runs(tmp_path, now)] == ["00000001"]
    assert [each.run_id for each in fetch_earlier(tmp_path, "prod eu")] == ["00000001"]


def test_what_an_earlier_record_claims_has_limits(tmp_path):
    save(tmp_path, 1, recovered_at=datetime.max.replace(tzinfo=UTC))
    long = save(tmp_path, 2)
    path = tmp_path / f"{file_stem(long)}.json"
    path.write_text(path.read_text().replace("00000002", "A" * 200_000), encoding="utf-8")
    found = fetch_earlier_runs(tmp_path, verified())
    assert [(each.run_id, each.recovery_s) for each in found] == [("00000001", None)]
