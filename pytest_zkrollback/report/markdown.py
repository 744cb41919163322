"""The record as Markdown, for a ticket's comment, a pull request or a job's summary."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple

from ..domain.decision import Decision
from ..domain.notes import AddedNote, NoteKind
from ..domain.record import GuardState, Item, Record
from . import commits_section, earlier_runs, github_section, post_mortem
from .change_section import change_heading, changed_lines, parts_of_report
from .course import count_words, find_course, near, offset
from .failures import failed_items, failures_first, word_of
from .formatting import clock_time, moment, reader_zone
from .incident_facts import commit_url, find_history, find_links
from .metric_facts import find_metrics
from .metric_words import metric_words
from .revision_table import notes_of_run, verdicts_of_run
from .sanitize import escape_control_characters, inert_line
from .service_line import service_line
from .summary import (
    ROLES,
    Row,
    banners,
    headline,
    lead,
    mode_label,
    own_tests_line,
    rows,
    times_line,
    typed_where,
)
from .todo import Todo, alternatives, do_now, find_todos, remarks

# GitHub refuses a comment above 65,536 characters, and Jira one above 32,767.
LIMIT = 32_000
_CELL_LIMIT = 300
_EVIDENCE_LIMIT = 2_000
_DIFF_LIMIT = 6_000
_CHANGED_LIMIT = 3_000
_LINES_OF_A_KIND = 12
_OWN_TESTS = 20
_IGNORED = 20
_REVISIONS = 12
_COMMITS = 20
_NOTES = 12
_NOTES_LIMIT = 300

_SPECIAL = re.compile(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])")
_LINK = re.compile(r"https?://[\w./?=%:+~-]+")
_GLYPHS = {
    "PASS": "✅",
    "VERIFIED": "✅",
    "FAILED": "❌",
    "FAIL": "❌",
    "UNVERIFIED": "❓",
    "WAIVED": "⚪",
    "WAITING": "⏳",
    "NO VERDICT": "❓",
}


def render_markdown(record: Record, limit: int = LIMIT) -> str:
    """Markdown of at most ``limit`` characters: the verdict, the checklist, what failed, what comes next."""
    with reader_zone(record.report_timezone):
        return _render(record, limit)


def _render(record: Record, limit: int) -> str:
    foot = f"\n---\nRun {code(record.run_id)}, {code(record.schema_)}" + (
        f", {record.redactions} places blanked (known or likely secrets)" if record.redactions else ""
    )
    parts = [_Part(text, urgency) for urgency, texts in _parts(record) for text in texts if text]
    left = limit - len(foot) - 100
    kept: set[int] = set()
    for index in sorted(range(len(parts)), key=lambda each: parts[each].urgency):
        if parts[index].urgency is _Urgency.ALWAYS or len(parts[index].text) <= left:
            kept.add(index)
            left -= len(parts[index].text)
    shown = [part.text for index, part in enumerate(parts) if index in kept]
    if len(shown) < len(parts):
        shown.append(f"\n_{len(parts) - len(shown)} more parts are in the HTML and JSON files._\n")
    return _cut("".join(shown), limit - len(foot) - 2) + foot + "\n"


class _Urgency(IntEnum):
    """What is kept where not all of it fits."""

    ALWAYS = 0
    FACTS = 1
    DETAILS = 2


class _Part(NamedTuple):
    text: str
    urgency: _Urgency


def _parts(record: Record) -> tuple[tuple[_Urgency, list[str]], ...]:
    """Everything in the page's order."""
    written = _post_mortem(record)
    return (
        (_Urgency.ALWAYS, [_head(record), _todo(record), *(written if record.notes else [])]),
        (
            _Urgency.FACTS,
            [*_timeline(record), *_metrics(record), *_change_summary(record), *_commits(record)],
        ),
        (_Urgency.ALWAYS, [_checklist(record), _ignored(record), _own_tests(record)]),
        (_Urgency.FACTS, [*_decision(record), *_guards(record), *_github(record), *_history(record)]),
        (_Urgency.DETAILS, [*_evidence(record), *_diff(record), *_earlier_runs(record)]),
        (_Urgency.FACTS, [] if record.notes else written),
    )


def escaped(text: str, limit: int = 0) -> str:
    """``text`` on one line: nothing that Markdown or HTML acts on, no mention, no link, no reference."""
    line = inert_line(text, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _SPECIAL.sub(lambda found: "\\" + found.group(), line)
    return re.sub(r"@(?=\w)|#(?=\d)|:(?=//)", lambda found: found.group() + "&#8203;", line)


def code(text: str, limit: int = 0) -> str:
    """``text`` as a code span that its own backticks cannot end."""
    line = inert_line(text, limit)
    if not line:
        return ""
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _cell(text: str, limit: int = 0) -> str:
    return code(text, limit).replace("|", "\\|")


def block(text: str, language: str, limit: int) -> str:
    """``text`` as a fenced block that its own backticks cannot end, cut in the middle."""
    shown = escape_control_characters(text)
    if len(shown) > limit:
        half = limit // 2
        shown = f"{shown[:half]}\n[... {len(shown) - 2 * half} characters left out ...]\n{shown[-half:]}"
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    return f"{fence}{language}\n{shown.rstrip()}\n{fence}\n"


def _head(record: Record) -> str:
    lines = [f"## {headline(record)}: {escaped(mode_label(record), 200)}", ""]
    lines += [f"> {escaped(banner, 300)}" for banner in banners(record)]
    lines += [""] if banners(record) else []
    lines += [f"**{escaped(service_line(record))}** {escaped(lead(record), 600)}", ""]
    if own := own_tests_line(record):
        lines += [f"**{escaped(own, 600)}**", ""]
    lines += _do_now(record)
    lines += ["| | |", "|---|---|"]
    lines += [f"| {row.name} | {_fact(row)} |" for row in rows(record)]
    lines += [each for line in (times_line(record), links_line(record)) if line for each in ("", line)]
    return "\n".join(lines) + "\n"


def links_line(record: Record) -> str:
    """``Links: [dashboard](<https://...>), [logs](<https://...>)``; empty where none is configured."""
    found = find_links(record)
    return f"Links: {', '.join(link(each.name, each.url) for each in found)}" if found else ""


def link(text: str, url: str) -> str:
    """``text`` as a link; an address in angle brackets cannot be ended by its own parentheses."""
    return f"[{escaped(text)}](<{url}>)"


def _fact(row: Row) -> str:
    if row.key == "incident" and _LINK.fullmatch(row.text):
        return row.text
    return _cell(row.text, 200) if row.key == "environment" else escaped(row.text, 1000)


def _do_now(record: Record) -> list[str]:
    urgent = do_now(record)
    if urgent is None:
        return []
    said = [f"# {urgent.why}"] if urgent.why else []
    return ["**Do now:**", "", block("\n".join([*said, urgent.command]), "sh", 3000)]


def _todo(record: Record) -> str:
    todos, urgent = find_todos(record), do_now(record)
    lines = ["", "### To do", ""]
    if todos:
        lines += ["| | What | Why | Owner | By when |", "|---|---|---|---|---|"]
        lines += [
            f"| {number} | {escaped(each.what, 400)} | {escaped(each.why, _CELL_LIMIT)} "
            f"| {escaped(each.owner, 80)} | {escaped(each.due, 40)} |"
            for number, each in enumerate(todos, 1)
        ]
        lines += [""]
    else:
        lines += [f"Nothing{' else' if urgent else ''} is left to do.", ""]
    numbered = [(number, each) for number, each in enumerate(todos, 1) if each.command]
    looks = [line for number, each in numbered if not each.changes for line in _numbered(number, each)]
    # What changes the release stands alone, so that nobody copies two of them.
    lines += [block("\n".join(_numbered(*each)), "sh", 6000) for each in numbered if each[1].changes]
    lines += [block("\n".join(looks), "sh", 6000)] if looks else []
    if instead := alternatives(record):
        lines += ["Instead, if that does not help:", ""]
        lines += [block("\n".join([f"# {each.why}", each.command]), "sh", 3000) for each in instead]
    lines += [f"{escaped(remark, 600)}\n" for remark in remarks(record)]
    if record.undo_command:
        said = f"This brings revision {record.revision_before} back, with the same guards and checks:"
        lines += ["<details><summary>If the rollback itself was wrong</summary>", "", said, ""]
        lines += [block(record.undo_command, "sh", 3000), "</details>", ""]
    if record.next_commands or record.undo_command:
        lines += [f"{escaped(typed_where(record))}", ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _numbered(number: int, todo: Todo) -> list[str]:
    return [f"# {number}. {inert_line(todo.what, 200)}", todo.command]


def _checklist(record: Record) -> str:
    lines = ["", "### Checks", "", "| Verdict | Item | Observed | At (UTC) |", "|---|---|---|---|"]
    for item in (each for group in failures_first(record) for each in group):
        word = word_of(item, record)
        name = f"{escaped(item.title, 120)}<br>{_cell(item.id, 60)}"
        observed = escaped(item.observed, _CELL_LIMIT)
        lines.append(f"| {_GLYPHS[word]} {word} | {name} | {observed} | {clock_time(item.finished_at)} |")
    return "\n".join(lines) + "\n"


def _post_mortem(record: Record) -> list[str]:
    if not post_mortem.is_wanted(record):
        return []
    lines = []
    for field in post_mortem.fields(record):
        if not field.notes:
            lines.append(f"- {field.name}: {post_mortem.NONE_YET}")
        elif field.kind is NoteKind.ACTION:
            lines.append(f"- {field.name}: {len(field.notes)} in To do")
        elif len(field.notes) == 1:
            lines.append(f"- {field.name}: {_note(field.notes[0])}")
        else:
            lines += [f"- {field.name}:", *(f"  - {_note(each)}" for each in field.notes[-_NOTES:])]
    text = "\n### Post-mortem\n\n" + "\n".join(lines) + "\n"
    if not post_mortem.is_complete(record):
        text += "\nTo fill in what is missing, with your words, in the folder of the report's files:\n\n"
        text += block(post_mortem.command(record), "sh", 1000)
    return [text]


def _note(note: AddedNote) -> str:
    return f"{escaped(post_mortem.words(note), 2000)} ({escaped(post_mortem.added_by(note), 120)})"


def _ignored(record: Record) -> str:
    found = [each for item in record.items for each in item.ignored]
    if not found:
        return ""
    rows = []
    for each in found[:_IGNORED]:
        live = f"{each.live} (set by {each.by})" if each.by else each.live
        field = _cell(f"{each.what} {each.path}", 200)
        stated = f"{escaped(each.expected, 200)} | {escaped(live, 300)}"
        rows.append(f"| {field} | {stated} | {_cell(each.entry, 300)} |")
    if len(found) > len(rows):
        rows.append(f"| {len(found) - len(rows)} more | | | |")
    head = "| Field | Stated | Live | Entry of `ignore` |\n|---|---|---|---|\n"
    return "\n### Ignored by configuration\n\n" + head + "\n".join(rows) + "\n"


def _own_tests(record: Record) -> str:
    if not record.own_tests:
        return ""
    shown = record.own_tests[:_OWN_TESTS]
    rows = [
        f"| {test.outcome.replace('-', ' ')} | {_cell(test.node_id, 200)} "
        f"| {escaped(test.first_line, _CELL_LIMIT)} |"
        for test in shown
    ]
    if len(record.own_tests) > len(shown):
        rows.append(f"| | {len(record.own_tests) - len(shown)} more | |")
    return "\n### Own tests\n\n| Outcome | Test | Observed |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _recommended(decision: Decision) -> str:
    if decision.in_doubt:
        return "In doubt: **rollback**"
    return f"The runbook recommends **{escaped(decision.recommendation.replace('-', ' '))}**"


def _decision(record: Record) -> list[str]:
    found = record.decision
    if found is None:
        return []
    rows = [
        f"| {escaped(one.question, 120)} | {one.answer} | {(one.speaks or 'nothing').replace('-', ' ')} "
        f"| {escaped(': '.join(filter(None, (one.source, one.evidence))), _CELL_LIMIT)} |"
        for one in found.signals
    ]
    return [
        f"\n### Decision\n\n{_recommended(found)}; the operator chose to {escaped(found.choice, 200)}. "
        f"{escaped(' '.join(found.reasons), 600)}\n\n"
        "| Signal | Answer | Speaks for | Source and evidence |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    ]


def _guards(record: Record) -> list[str]:
    reasons = {each.id: each.reason for each in record.overrides if each.kind == "guard"}
    lines = []
    for guard in (each for each in record.guards if each.state != GuardState.OK):
        line = (
            f"- {escaped(guard.state.upper())} {code(guard.id)}: {escaped(guard.evidence.rstrip('.'), 600)}."
        )
        line += f" What could happen: {escaped(guard.consequence, 300)}" if guard.consequence else ""
        if guard.state is GuardState.OVERRIDDEN:
            line += f" Overridden by the operator: {escaped(reasons.pop(guard.id, 'no reason'), 600)}"
        lines.append(line)
    lines += [
        f"- OVERRIDDEN {code(each.id)} ({escaped(each.kind)}): {escaped(each.reason, 600)}"
        for each in record.overrides
        if each.kind != "guard" or each.id in reasons
    ]
    return ["\n### Guards and overrides\n\n" + "\n".join(lines) + "\n"] if lines else []


def _metrics(record: Record) -> list[str]:
    found = [
        (series, metric_words(facts, series, record))
        for series, facts in zip(record.metrics, find_metrics(record), strict=True)
    ]
    rows = [
        f"| {escaped(series.title, 120)}<br>{_cell(series.id, 60)} | {escaped(' '.join(words), 800)} |"
        for series, words in found
    ]
    if not rows:
        return []
    head = "\n### Metrics over the incident\n\n| Metric | What was seen |\n|---|---|\n"
    return [head + "\n".join(rows) + "\n"]


def _change_summary(record: Record) -> list[str]:
    lines = [
        f"- {heading}: {escaped(line, _CELL_LIMIT)}"
        for heading, found in parts_of_report(record)
        for line in found[:_LINES_OF_A_KIND]
    ]
    changed = [
        text
        for what, found in changed_lines(record.plan.diff)
        for text in (*([f"@@ {what} @@"] if what else []), *(line for _, line in found))
    ]
    shown = ["", block("\n".join(changed), "diff", _CHANGED_LIMIT)] if changed else []
    text = "\n".join([*lines, *shown])
    return [f"\n### {change_heading(record)}\n\n{text.rstrip()}\n"] if text else []


def _commits(record: Record) -> list[str]:
    found = record.commits
    if found is None:
        return []
    lines = [
        f"- {_sha(record, each.sha)} {escaped(each.subject, _CELL_LIMIT)} ({escaped(each.author, 60)}"
        f"{f', {moment(each.at)}' if each.at else ''})"
        for each in found.commits[:_COMMITS]
    ]
    if len(found.commits) > _COMMITS:
        lines.append(f"- {len(found.commits) - _COMMITS} more in the HTML and JSON files")
    lines += [escaped(line, 400) for line in commits_section.remarks(found)]
    counted = commits_section.count_line(found)
    lines = [*([counted, ""] if counted else []), *lines]
    return [f"\n### {commits_section.heading(found)}\n\n" + "\n".join(lines) + "\n"]


def _sha(record: Record, sha: str) -> str:
    url = commit_url(record, sha)
    return link(sha[:10], url) if url else code(sha[:10])


def _github(record: Record) -> list[str]:
    rows = [
        f"| {escaped(name)} | {escaped(value, _EVIDENCE_LIMIT)} |"
        for name, value in github_section.rows(record)
    ]
    if not rows:
        return []
    text = "\n### GitHub\n\n| What | Where |\n|---|---|\n" + "\n".join(rows) + "\n"
    commands = github_section.reland(record)
    if commands:
        shown = "\n".join(f"- {code(line)}" for line in commands)
        text += f"\nTo bring the undone work back, once it is mended:\n\n{shown}\n"
    return [text]


def _timeline(record: Record) -> list[str]:
    rows = [
        f"| {offset(record, each.at)} | {near(record, each.at)} | {escaped(each.event, _CELL_LIMIT)} "
        f"| {escaped(each.source, 60)} |"
        for each in find_course(record)[-60:]
    ]
    if not rows:
        return []
    head = "| Since | Time | What | Source |\n|---|---|---|---|\n"
    return [f"\n### What happened\n\n{count_words(record)}\n\n{head}" + "\n".join(rows) + "\n"]


def _history(record: Record) -> list[str]:
    notes, judged = notes_of_run(record), verdicts_of_run(record)

    def known(revision: int) -> str:
        said = escaped("; ".join(notes.get(revision, ())), _NOTES_LIMIT)
        return " ".join(filter(None, (_GLYPHS.get(judged.get(revision, "")), said)))

    lines = [
        f"| {row.revision}{f' ({ROLES[row.role]})' if row.role else ''} | {escaped(row.status, 40)} "
        f"| {escaped(row.chart, 60)} | {moment(row.deployed_at)} | {escaped(row.description, 160)} "
        f"| {known(row.revision)} |"
        for row in find_history(record)[:_REVISIONS]
    ]
    if not lines:
        return []
    head = "| Revision | Status | Chart | Deployed | Description | Known of it |\n|---|---|---|---|---|---|\n"
    return ["\n### History of the release, newest first\n\n" + head + "\n".join(lines) + "\n"]


def _earlier_runs(record: Record) -> list[str]:
    if not record.earlier_runs:
        return []
    rows = [
        f"| {moment(run.started_at)} | {earlier_runs.what_was_done(run)} "
        f"| {escaped(earlier_runs.outcome(run), 60)} | {earlier_runs.affected(run)} "
        f"| {earlier_runs.recovered(run)} "
        f"| {'this run' if run.run_id == record.run_id else code(run.run_id)} |"
        for run in earlier_runs.listed(record)
    ]
    words = earlier_runs.trend_words(record)
    head = "| Began | What | Outcome | Users affected | Recovered after | Run |\n|---|---|---|---|---|---|\n"
    said = f"{words}\n\n" if words else ""
    return [f"\n### Earlier runs of this release\n\n{said}{head}" + "\n".join(rows) + "\n"]


def _evidence(record: Record) -> list[str]:
    return [
        f"\n<details><summary>{word_of(item, record)} {escaped(item.id)}: evidence</summary>\n\n"
        f"{_item(item)}\n</details>\n"
        for item in failed_items(record)
        if item.evidence
    ]


def _item(item: Item) -> str:
    lines = [f"Expected: {escaped(item.expected, 500)}\n", f"Repeat by hand: {code(item.command, 500)}\n"]
    for piece in item.evidence:
        language = "diff" if piece.kind == "diff" else ""
        lines += [f"{escaped(piece.title, 120)}\n", block(piece.text, language, _EVIDENCE_LIMIT)]
    return "\n".join(lines)


def _diff(record: Record) -> list[str]:
    if not record.plan.diff:
        return []
    diff = block(record.plan.diff, "diff", _DIFF_LIMIT)
    return [f"\n<details><summary>Manifest diff</summary>\n\n{diff}\n</details>\n"]


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 40] + "\n\n_cut: see the HTML file_\n"
