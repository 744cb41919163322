"""The table of revisions: in a refusal of the target, in a rehearsal, in the report, and in a terminal's colours."""

import io
import sys
from datetime import timedelta

import pytest
from _pytest._io import TerminalWriter

from pytest_zkrollback.domain.record import (
    Guard,
    GuardReason,
    GuardState,
    Mode,
    Objection,
    ObjectionKind,
    Outcome,
    Plan,
    Revision,
    RevisionFacts,
    Verification,
)
from pytest_zkrollback.domain.revision_list import merge_rows
from pytest_zkrollback.plugin.streams import write_last, write_styled
from pytest_zkrollback.report.html import render_page
from pytest_zkrollback.report.markdown import render_markdown
from pytest_zkrollback.report.revision_table import (
    notes_of_run,
    render_rows,
    render_rows_of_run,
)
from pytest_zkrollback.report.styled_lines import plain
from support.example_records import START, failed, verified

REFUSED = Guard(
    id="target", state=GuardState.REFUSED, reason=GuardReason.NO_TARGET, evidence="no revision to go back to"
)


def revisions(count):
    return tuple(
        Revision(
            revision=number,
            status="superseded" if number < count else "deployed",
            chart=f"web-1.{number}.0",
            deployed_at=START - timedelta(hours=count - number + 1),
        )
        for number in range(1, count + 1)
    )


def plan(count, **more):
    return Plan(history=revisions(count), **more)


def refused(count, **more):
    changes = {"outcome": Outcome.REFUSED, "guards": (REFUSED,), "items": (), "finished_at": START}
    return verified(**(changes | {"plan": plan(count)} | more))


def numbers(record):
    return [line.split()[0] for line in plain(render_rows_of_run(record)).splitlines() if "web-1" in line]


def test_a_refused_target_comes_with_the_newest_ten_and_what_was_asked_for():
    record = refused(14, target_revision=2)
    assert numbers(record) == [*map(str, range(14, 4, -1)), "2"]
    assert plain(render_rows_of_run(record)).splitlines()[-1] == (
        "3 older ones are left out: --rollback-list shows all."
    )
    assert numbers(refused(3)) == ["3", "2", "1"]
    assert "left out" not in plain(render_rows_of_run(refused(3)))


def test_a_rehearsal_has_it_too_and_no_other_run():
    assert numbers(refused(2, mode=Mode.PLAN, outcome=Outcome.PLANNED, guards=())) == ["2", "1"]
    assert render_rows_of_run(refused(2, guards=())) == []
    assert render_rows_of_run(refused(0)) == []
    assert render_rows_of_run(verified()) == []


def test_what_the_run_wrote_down_is_what_the_table_says():
    facts = (
        RevisionFacts(revision=2, deployed_by="jane", new_images=("web:2",)),
        RevisionFacts(
            revision=1,
            deployed_for_s=3600,
            verified=Verification(run_id="ab12cd34", at=START - timedelta(hours=1)),
            taken_by=("previous",),
        ),
    )
    bad = Objection(revision=2, kind=ObjectionKind.JUDGED_FAILED, text="failed smoke")
    record = refused(2, plan=plan(2, revision_facts=facts, objections=(bad,)))
    assert plain(render_rows_of_run(record)).splitlines() == [
        "REV  STATUS      AGE         DEPLOYED FOR  CHART",
        "  2  deployed    1 h 00 min  1 h 00 min    web-1.2.0",
        "     the current revision; deployed by jane",
        "     new images: web:2",
        "     against it: failed smoke",
        "  1  superseded  2 h 00 min  1 h 00 min    web-1.1.0",
        "     what previous would take",
        f"     verified by this tool at {START - timedelta(hours=1):%Y-%m-%d %H:%M:%S} UTC (run ab12cd34)",
    ]


def test_what_helm_itself_said_of_a_failure_is_said_once():
    text = 'Upgrade "web" failed: timed out'
    row = Revision(revision=1, status="failed", chart="web-1.0.0", deployed_at=START, description=text)
    against = Objection(revision=1, kind=ObjectionKind.FAILED, text=f"is failed: {text}")
    assert plain(render_rows(merge_rows((row,), (), (against,), START))).splitlines() == [
        "REV  STATUS  AGE    DEPLOYED FOR  CHART",
        "  1  failed  0.0 s  -             web-1.0.0",
        "     the current revision",
        f"     against it: failed: {text}",
    ]
    assert plain(render_rows(merge_rows((row,), (), (), START))).count(f"description: {text}") == 1


def test_a_hostile_description_is_one_harmless_line():
    said = "a\x1b[31mb\nREV \u202eSTATUS"
    row = Revision(revision=1, status="deployed", chart="web-1.0.0", deployed_at=START, description=said)
    assert plain(render_rows(merge_rows((row,), (), (), START))).splitlines()[3:] == [
        "     description: ab REV [U+202E]STATUS"
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_fact_is_cut_at_any_width(width):
    images = tuple(f"registry.example/team/service-{n}:1.0" for n in range(12))
    facts = (RevisionFacts(revision=2, new_images=images),)
    rows = merge_rows(revisions(2), facts, (), START)
    assert " ".join(plain(render_rows(rows, width)).split()) == " ".join(plain(render_rows(rows)).split())
    assert all(
        len(line) <= width
        for line in plain(render_rows(rows, width)).splitlines()[1:]
        if "STATUS" not in line
    )


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_it_is_coloured_and_on_a_pipe_plain(monkeypatch):
    record = refused(
        1, plan=plan(1, objections=(Objection(revision=1, kind=ObjectionKind.FAILED, text="bad"),))
    )
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        monkeypatch.setattr(sys, "stdout", stream)
        write_styled(lambda width: render_rows_of_run(record, width))
    assert "\x1b[31magainst it: bad\x1b[0m" in terminal.getvalue()
    assert pipe.getvalue() == plain(render_rows_of_run(record)) + "\n"


class Reporter:
    def __init__(self, *, isatty):
        self.isatty, self.written = isatty, []
        self.writer = TerminalWriter(io.StringIO())

    def ensure_newline(self):
        pass

    def write(self, text, **markup):
        self.writer.write(text, **markup)  # raises for a style that pytest does not know
        self.written.append((text, markup))

    def write_line(self, text):
        self.write(text)


def test_in_a_run_it_stands_before_the_last_lines_in_the_reporters_colours():
    against = (Objection(revision=1, kind=ObjectionKind.FAILED, text="bad"),)
    record = refused(1, plan=plan(1, objections=against))
    reporter = Reporter(isatty=True)
    write_last(reporter, lambda width: render_rows_of_run(record, width), "REFUSED")
    assert ("against it: bad", {"red": True}) in reporter.written
    assert "".join(text for text, _ in reporter.written).startswith("\nREV  STATUS")
    assert reporter.written[-4:] == [
        ("\n", {}),
        ("\n", {}),
        ("REFUSED", {"red": True, "bold": True}),
        ("\n", {}),
    ]


def test_pytest_knows_each_style_of_the_table():
    rolled = (Verification(run_id="ab12cd34"), Objection(revision=13, kind=ObjectionKind.FAILED, text="bad"))
    facts = (RevisionFacts(revision=12, verified=rolled[0]),)
    record = refused(14, plan=plan(14, revision_facts=facts, objections=rolled[1:]))
    reporter = Reporter(isatty=True)
    write_last(reporter, lambda width: render_rows_of_run(record, width), "REFUSED")
    assert ("4 older ones are left out: --rollback-list shows all.", {"light": True}) in reporter.written


def test_the_reports_history_says_what_was_known_and_what_this_run_found():
    facts = (RevisionFacts(revision=5, verified=Verification(run_id="ab12cd34"), new_images=("web:5",)),)
    against = (
        Objection(revision=6, kind=ObjectionKind.JUDGED_FAILED, text="failed smoke"),
        Objection(revision=5, kind=ObjectionKind.SAME_AS_CURRENT, text="holds the same as revision 6"),
    )
    plan = verified().plan.model_copy(update={"revision_facts": facts, "objections": against})
    record = verified(plan=plan)
    notes = notes_of_run(record)
    assert (notes[7], notes[6], notes[5]) == (
        ("verified by this run",),
        ("against it: failed smoke",),
        ("new images: web:5", "verified by this tool (run ab12cd34)"),
    )
    row = next(line for line in render_markdown(record).splitlines() if line.startswith("| 7 "))
    assert row.endswith("| ✅ verified by this run |")
    assert ">new images: web:5<br>verified by this tool (run ab12cd34)</td>" in render_page(record)
    assert notes_of_run(failed())[7] == (
        "failed release-equivalence, rollout-backend and health-database in this run",
    )


@pytest.mark.parametrize(
    ("new", "removed", "said"),
    [
        (("r:5000/a/web:2",), ("r:5000/a/web:1",), ["images: r:5000/a/web 1 -> 2"]),
        (("web",), ("web:1",), ["images: web 1 -> (no tag)"]),
        (("a/web:2", "a/api:2"), ("a/web:1", "a/api:1"), ["images: a/web and a/api 1 -> 2"]),
        (("a/web:2", "a/api:3"), ("a/web:1", "a/api:1"), ["images: a/web 1 -> 2; a/api 1 -> 3"]),
        (("web:1@sha256:b",), ("web:1@sha256:a",), ["images: web 1@sha256:a -> 1@sha256:b"]),
        (("web:2", "web:3"), ("web:1",), ["new images: web:2, web:3", "no longer: web:1"]),
        (("other/web:2",), ("web:1",), ["new images: other/web:2", "no longer: web:1"]),
        ((), (), []),
    ],
)
def test_an_image_whose_tag_alone_changed_is_said_once(new, removed, said):
    facts = (RevisionFacts(revision=1, new_images=new, removed_images=removed),)
    rows = merge_rows(revisions(1), facts, (), START)
    assert [line.strip() for line in plain(render_rows(rows)).splitlines()[3:]] == said
