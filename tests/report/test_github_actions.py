"""GitHub Actions: what becomes an annotation, its escaping, and the size of the job's summary."""

import re

import pytest

from pytest_zkrollback.domain.record import Guard, Outcome
from pytest_zkrollback.report.github_actions import (
    MOST_ANNOTATIONS,
    SUMMARY_LIMIT_BYTES,
    render_annotations,
    render_job_summary,
)
from support.example_records import failed, refused, rehearsal, running, unverified, verified, waived

WARNED = (
    "::warning title=target::Revision 5 was rolled back away from once.",
    "::warning title=identity-unpinned::This environment pins no cluster identity.",
)

# As the runner reads a line: "::name key=value,...::message"; see actions/runner, ActionCommand.cs.
COMMAND = re.compile(r"::(error|warning) title=([^,:\r\n]*)::([^\r\n]*)")


def read(line):
    """(kind, title, message) as the runner would unescape them."""
    kind, title, message = COMMAND.fullmatch(line).groups()
    for escape, sign in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        title = title.replace(escape, sign)
        if sign not in ":,":
            message = message.replace(escape, sign)
    return kind, title, message


@pytest.mark.parametrize(
    ("record", "lines"),
    [
        (verified(), [*WARNED]),
        (rehearsal(), [*WARNED]),
        (waived(), [*WARNED, "::warning title=item smoke overridden::the staging host is being moved"]),
        (
            refused(),
            [
                "::error title=REFUSED::Not rolled back: revision 6 is pending-upgrade since 11:48:02 UTC, by helm v4.3.1 of "
                "ci-runner-7. Nothing was changed.",
                *WARNED,
            ],
        ),
        (
            unverified(),
            [
                "::error title=UNVERIFIED logs::pods/log is forbidden for system:serviceaccount:ci:deployer in "
                "zkprova.",
                "::error title=UNVERIFIED events::The API server did not answer within 15 s (3 attempts).",
                *WARNED,
            ],
        ),
    ],
    ids=["verified", "plan", "waived", "refused", "unverified"],
)
def test_what_is_red_is_an_error_and_what_warned_a_warning(record, lines):
    assert render_annotations(record) == lines


def test_what_is_too_long_ends_with_a_sentence():
    said = "revision 3 cannot be applied. " + "Its memory is no quantity; " * 30
    record = verified(guards=(Guard(id="forecast", state="warned", evidence=said),))
    assert render_annotations(record) == [
        "::warning title=forecast::revision 3 cannot be applied. "
        + "Its memory is no quantity; " * 21
        + "..."
    ]


def test_a_run_that_ended_without_a_verdict_is_an_error():
    lost = running().model_copy(update={"outcome": Outcome.INTERRUPTED, "items": ()})
    assert [read(line)[:2] for line in render_annotations(lost)] == [
        ("error", "INTERRUPTED"),
        ("warning", "target"),
        ("warning", "identity-unpinned"),
    ]


def test_fault_47_nothing_ends_an_annotation_or_begins_another_one():
    hostile = "50% a, b: c\r\n::set-env name=X::y\n##[add-mask]z ::error::\x1b[31m"
    record = verified(guards=(Guard(id=hostile, state="warned", evidence=hostile),))
    [line] = render_annotations(record)
    assert "\n" not in line and "\r" not in line and "\x1b" not in line
    seen = "50% a, b: c ::set-env name=X::y ##[add-mask]z ::error::"
    assert read(line) == ("warning", seen, seen)


def test_no_more_than_github_shows_and_the_last_one_says_so():
    guards = tuple(Guard(id=f"g{n}", state="warned", evidence="seen") for n in range(25))
    lines = render_annotations(verified(guards=guards))
    assert len(lines) == MOST_ANNOTATIONS
    assert lines[-1] == "::warning title=and more::16 more are in the job's summary"


def test_the_summary_is_the_markdown_record_and_fits():
    text = render_job_summary(failed())
    assert text.startswith("## FAILED: ")
    assert "### Checks" in text
    many = tuple(
        item.model_copy(update={"id": f"x-{n}", "observed": "\U0001f600" * 300, "title": "\U0001f600" * 120})
        for n in range(3000)
        for item in failed().items[:1]
    )
    huge = render_job_summary(failed().model_copy(update={"items": many}))
    assert 100_000 < len(huge.encode()) <= SUMMARY_LIMIT_BYTES


def test_a_summary_that_is_full_already_gets_nothing():
    assert render_job_summary(failed(), 5000) == ""
