"""GitHub Actions: the job's summary, and annotations for what is not green or only warned. Pure.

Limits and escaping: GitHub's "Workflow commands for GitHub Actions", and actions/toolkit, command.ts.
"""

from __future__ import annotations

from ..domain.record import GuardState, Record
from .failures import failed_own_tests, failures
from .markdown import render_markdown
from .sanitize import inert_facts, inert_line
from .summary import GREEN, headline, lead

# GitHub shows ten of a kind for each step, and keeps a step's summary up to 1024 k.
MOST_ANNOTATIONS = 10
SUMMARY_LIMIT_BYTES = 1024 * 1000
_TEXT_LIMIT = 600
# A character of Markdown is at most four bytes.
_CHARACTERS = SUMMARY_LIMIT_BYTES // 4


def render_annotations(record: Record) -> list[str]:
    """Workflow commands: ``::error`` for what is not green, ``::warning`` for what warned."""
    reds = [(f"{each.word} {each.names()}", each.text or "nothing was seen") for each in failures(record)]
    if record.outcome not in GREEN and not reds:
        reds = [(headline(record), lead(record))]
    reds += [
        (f"own test {test.node_id}", test.first_line or "it failed") for test in failed_own_tests(record)
    ]
    warnings = [(guard.id, guard.evidence) for guard in record.guards if guard.state == GuardState.WARNED]
    warnings += [(f"{one.kind} {one.id} overridden", one.reason) for one in record.overrides]
    return [*_commands("error", reds), *_commands("warning", warnings)]


def render_job_summary(record: Record, room_bytes: int = SUMMARY_LIMIT_BYTES) -> str:
    """The Markdown record, at most ``room_bytes`` in UTF-8; empty if there is no room for one."""
    characters = min(_CHARACTERS, room_bytes // 4)
    return render_markdown(record, characters) + "\n" if characters > 2000 else ""


def _commands(kind: str, said: list[tuple[str, str]]) -> list[str]:
    shown = said[:MOST_ANNOTATIONS]
    if len(said) > MOST_ANNOTATIONS:
        more = len(said) - MOST_ANNOTATIONS + 1
        shown = [*said[: MOST_ANNOTATIONS - 1], ("and more", f"{more} more are in the job's summary")]
    return [
        f"::{kind} title={_property(inert_line(title, 120))}::{_data(inert_facts(text, _TEXT_LIMIT))}"
        for title, text in shown
    ]


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
