"""The fields of a post-mortem: empty ones are said, with the command that fills them in."""

import pytest

from pytest_zkrollback.domain.notes import AddedNote, NoteKind
from pytest_zkrollback.domain.record import Mode, Outcome, Plan
from pytest_zkrollback.report.html import render_record
from pytest_zkrollback.report.markdown import render_markdown
from pytest_zkrollback.report.post_mortem import spoken
from support.example_records import ALL, HISTORY, at, failed, revision, running, verified
from support.html_page import HOSTILE, Page

FILE = "20261123T115039Z-drill-1a2b3c4d.json"


def note(kind, text="", **more):
    return AddedNote(at=at(3600), author="ada@laptop", kind=NoteKind(kind), text=text, **more)


FILLED = (
    note("severity", "SEV3"),
    note("severity", "SEV2"),
    note("detected", "the error-rate alert", detected_at=at(-600)),
    note("root-cause", "POOL_SIZE was 0"),
    note("lesson", "The chart takes any number"),
    note("lesson", "Nobody watched the deploy"),
    note("action", "check the number in the chart", owner="grace", due="2026-12-15"),
    note("note", "Support has told the two customers"),
)


def test_what_nobody_filled_in_is_said_with_the_command():
    page, markdown = (
        Page(render_record(verified(run_id="1a2b3c4d"))),
        render_markdown(verified(run_id="1a2b3c4d")),
    )
    command = (
        f'python -m pytest_zkrollback.report note {FILE} --severity "..." --detected "..." --detected-at 02:11 '
        '--root-cause "..." --lesson "..." --action "OWNER: ..." --due 2026-12-15'
    )
    for name in ("Severity", "Detected", "Root cause", "Lessons", "Action items"):
        assert f"{name} none given yet" in page.text
        assert f"\n- {name}: none given yet\n" in markdown
    assert command in page.text
    assert f"```sh\n{command}\n```\n" in markdown


def test_what_was_filled_in_stands_with_author_and_time_and_the_newest_counts():
    record = verified(run_id="1a2b3c4d", notes=FILLED)
    by = "ada@laptop, 2026-11-23 12:50:39 UTC"
    page, markdown = Page(render_record(record)), render_markdown(record)
    assert (
        f"Severity SEV2 {by} Detected by the error-rate alert, at 2026-11-23 11:40:39 UTC {by} " in page.text
    )
    assert "SEV3" not in page.text + markdown
    assert (
        f"Lessons The chart takes any number {by} Nobody watched the deploy {by} "
        f"Action items 1 in To do Notes Support has told the two customers {by}" in page.text
    )
    assert "\n- Action items: 1 in To do\n" in markdown
    assert f"check the number in the chart action item, added by {by} grace 2026-12-15" in page.text  # To do
    assert "none given yet" not in page.text + markdown
    assert f"\n- Root cause: POOL_SIZE was 0 ({by})\n" in markdown.replace("@&#8203;", "@")
    assert "instead of the dots" not in page.text
    assert f'python -m pytest_zkrollback.report note {FILE} "..."' in page.text  # to add more, folded


def test_only_what_is_missing_is_asked_for():
    record = verified(run_id="1a2b3c4d", notes=[each for each in FILLED if each.kind != "action"])
    said = f'python -m pytest_zkrollback.report note {FILE} --action "OWNER: ..." --due 2026-12-15'
    assert f"in the folder of this report's files: {said} " in Page(render_record(record)).text


@pytest.mark.parametrize(
    ("record", "wanted"),
    [
        (failed(), True),
        (verified(), True),
        (ALL["refused"](), True),
        (verified(mode=Mode.VERIFY, plan=Plan(rolled_back_from=revision(6, "superseded", 760, "6"))), True),
        (verified(mode=Mode.VERIFY, plan=Plan(history=HISTORY)), False),
        (verified(mode=Mode.PLAN, outcome=Outcome.PLANNED), False),
        (running(), False),
        (verified(mode=Mode.PLAN, outcome=Outcome.PLANNED, notes=FILLED), True),
    ],
)
def test_it_is_asked_for_where_there_was_an_incident(record, wanted):
    assert ("zkr-post-mortem" in render_record(record)) is wanted
    assert ("### Post-mortem" in render_markdown(record)) is wanted


def test_foreign_words_stay_text():
    hostile = tuple(note("lesson", text) for text in HOSTILE[:8])
    page = Page(render_record(verified(notes=(*hostile, note("action", HOSTILE[0], owner=HOSTILE[1])))))
    assert not any(tag in ("script", "img") for tag, _ in page.tags)


def test_each_is_a_few_words_for_a_message():
    assert [spoken(each) for each in FILLED[1:4] + FILLED[5:]] == [
        "severity: SEV2",
        "detected by the error-rate alert, at 2026-11-23 11:40:39 UTC",
        "root cause: POOL_SIZE was 0",
        "lesson: Nobody watched the deploy",
        "action item for grace: check the number in the chart (due 2026-12-15)",
        "Support has told the two customers",
    ]
