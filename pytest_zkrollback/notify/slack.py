"""The Slack message: Block Kit, within Slack's limits, with nothing in it that a stranger's text can steer.

Everything goes into ``plain_text``, which knows no markup, links or mentions. Only the ``text`` fallback
(notifications, screen readers) is read as mrkdwn by Slack: there ``&``, ``<`` and ``>`` are escaped, after
shortening. Limits: Slack's Block Kit reference, and 13,200 characters in all (slackapi/bolt-js#2509).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

from ..domain.model import Delivery, Item, Mode, Outcome, Record, Revision
from ..domain.observation import JsonObject
from ..domain.verdict import Word
from ..record.facts import decided
from ..record.inert import inert, inert_line

HEADER_LIMIT = 150
SECTION_LIMIT = 3000
FIELD_LIMIT = 2000
TOTAL_LIMIT = 12_000

_HEADLINES = {
    Outcome.RUNNING: "NOT FINISHED",
    Outcome.PLANNED: "PLAN ONLY",
    Outcome.VERIFIED: "VERIFIED",
    Outcome.VERIFIED_WITH_WAIVERS: "VERIFIED WITH WAIVERS",
    Outcome.FAILED: "FAILED",
    Outcome.UNVERIFIED: "NOT VERIFIED",
    Outcome.SUPERSEDED: "SUPERSEDED BY ANOTHER CHANGE",
    Outcome.REFUSED: "REFUSED",
    Outcome.INTERRUPTED: "INTERRUPTED",
}
_MARKS = {
    Word.PASS: "\N{WHITE HEAVY CHECK MARK}",
    Word.FAIL: "\N{CROSS MARK}",
    Word.UNVERIFIED: "\N{BLACK QUESTION MARK ORNAMENT}",
    Word.WAIVED: "\N{WHITE HEAVY CHECK MARK}",
}


def render_slack_message(record: Record, *, protected: bool = False) -> JsonObject:
    """The message for an incoming webhook: ``text`` and ``blocks``, at most 12,000 characters as JSON.

    ``protected`` marks it as about a protected environment.
    """
    message = _render(record, protected, 1.0)
    for share in (0.6, 0.35, 0.2, 0.1):
        if characters(json.dumps(message, ensure_ascii=False)) <= TOTAL_LIMIT:
            break
        message = _render(record, protected, share)
    return message


def deliver_to_slack(
    record: Record, send: Callable[[JsonObject], str], *, protected: bool = False
) -> Delivery:
    """Render, send once, and say what became of it; raises what ``send`` raises (NotifyProblem)."""
    message = render_slack_message(record, protected=protected)
    return Delivery(to="slack", ok=True, answer=send(message), message=message)


def characters(text: str) -> int:
    """Length as Slack's documents leave it open: the larger measure, UTF-16 code units."""
    return len(text.encode("utf-16-le", errors="surrogatepass")) // 2


def _render(record: Record, protected: bool, share: float) -> JsonObject:
    def cut(text: str, limit: int) -> str:
        return shortened(text, max(20, int(limit * share)))

    headline = _headline(record, protected)
    fields = [f"{name}\n{cut(value, 300)}" for name, value in _fields(record, protected)]
    blocks: list[JsonObject] = [
        {"type": "header", "text": _plain(shortened(headline, HEADER_LIMIT))},
        {"type": "section", "fields": [_plain(field) for field in fields]},
        {"type": "section", "text": _plain(f"Reason\n{cut(record.reason.strip() or 'not given', 1200)}")},
        {"type": "section", "text": _plain(f"Next steps\n{cut(_next_steps(record), 1500)}")},
    ]
    if record.summary.strip():
        blocks.insert(1, {"type": "section", "text": _plain(cut(record.summary, 600))})
    if lines := _item_lines(record, share):
        blocks.append({"type": "section", "text": _plain(lines)})
    if said := decided(record):
        why = " ".join(record.decision.reasons) if record.decision else ""
        blocks.insert(-1, {"type": "section", "text": _plain(f"Decision\n{cut(f'{said}. {why}', 900)}")})
    if record.overrides:
        said = "\n".join(
            f"{one.kind} {inert_line(one.id, 60)}: {inert_line(one.reason, int(200 * share) + 10)}"
            for one in record.overrides
        )
        blocks.append({"type": "section", "text": _plain(f"Set aside\n{cut(said, 1000)}")})
    foot = f"pytest-zkrollback run {record.run_id} \N{MIDDLE DOT} {_helm_says(record)}"
    blocks.append({"type": "context", "elements": [_plain(cut(foot, 300))]})
    fallback = (
        f"{headline}. Reason: {inert_line(record.reason)}. Next steps: {inert_line(_next_steps(record))}"
    )
    return {
        "text": escaped(cut(fallback, 800)),
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def shortened(text: str, limit: int) -> str:
    """``text`` made inert, with at most ``limit`` characters (see :func:`characters`), never empty."""
    clean = inert(text).strip() or "-"
    if characters(clean) <= limit:
        return clean
    room = limit - 3
    kept = clean[:room]
    while characters(kept) > room:
        kept = kept[: len(kept) - max(1, (characters(kept) - room) // 2)]
    return f"{kept.rstrip()}..."


def escaped(text: str) -> str:
    """Slack's three control characters, escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str) -> JsonObject:
    return {"type": "plain_text", "text": text, "emoji": False}


def _headline(record: Record, protected: bool) -> str:
    mark = "[PROTECTED] " if protected else ""
    what = {
        Mode.VERIFY: "rollback check",
        Mode.PLAN: "rollback plan",
        Mode.RECOVER: "recovery",
    }.get(record.mode, "rollback")
    to = f" to revision {record.target_revision}" if record.target_revision is not None else ""
    release = shortened(inert_line(record.release), 40)
    environment = shortened(inert_line(record.environment), 30)
    return f"{_HEADLINES[record.outcome]}: {mark}{environment}, {what} of {release}{to}"


def _fields(record: Record, protected: bool) -> list[tuple[str, str]]:
    where = f"{record.environment}{' (protected)' if protected else ''}"
    if record.namespace:
        where += f", namespace {record.namespace}"
    return [
        ("Environment", where),
        ("Release", record.release),
        ("Revision", _revisions(record)),
        ("Helm", _helm_says(record)),
        ("Who", record.operator or "not known"),
        ("How long", _how_long(record)),
        ("Incident", record.incident or "none given"),
    ]


def _revisions(record: Record) -> str:
    bad = record.plan.bad.revision if record.plan.bad else record.revision_before
    parts = []
    if bad is not None:
        parts.append(f"from {bad}{_chart(record.plan.bad)}")
    if record.target_revision is not None:
        parts.append(f"to {record.target_revision}{_chart(record.plan.target)}")
    if record.revision_after is not None:
        parts.append(f"now {record.revision_after}")
    return ", ".join(parts) or "not known"


def _chart(revision: Revision | None) -> str:
    return f" ({revision.chart})" if revision is not None else ""


def _helm_says(record: Record) -> str:
    helm = record.helm
    if not helm.ran:
        if helm.skipped_reason:
            return f"HELM DID NOT RUN: {helm.skipped_reason}"
        return "HELM DID NOT RUN"
    if helm.running:
        return "HELM RAN, and its end was not seen"
    return f"HELM RAN, exit code {'not known' if helm.exit_code is None else helm.exit_code}"


def _how_long(record: Record) -> str:
    ends = [item.finished_at for item in record.items if item.finished_at is not None]
    end: datetime | None = record.recovered_at or record.finished_at or max(ends, default=None)
    if end is None:
        return "not ended"
    start = record.helm.started_at or record.started_at
    seconds = max(0.0, (end - start).total_seconds())
    since = "helm's start" if record.helm.started_at else "the run's start"
    return f"{seconds:.0f} s from {since}"


def _next_steps(record: Record) -> str:
    return record.next_steps.strip() or "none given"


def _item_lines(record: Record, share: float) -> str:
    items = [item for item in record.items if item.id != "notify"]
    limit = max(60, int(170 * share))
    room = int(SECTION_LIMIT * max(share, 0.3))
    lines: list[str] = []
    # What is not well comes first, so that nothing red is lost where there are more items than room.
    for item in sorted(items, key=lambda one: one.verdict in (Word.PASS, Word.WAIVED)):
        line = _item_line(item, limit)
        if characters("\n".join([*lines, line])) > room - 40:
            lines.append(f"and {len(items) - len(lines)} more items in the report")
            break
        lines.append(line)
    return "\n".join(lines)


def _item_line(item: Item, limit: int) -> str:
    name = shortened(inert_line(item.id), 40)
    if item.verdict is None:
        return f"\N{HOURGLASS} no verdict: {name}"
    observed = f" \N{EM DASH} {shortened(inert_line(item.observed), limit)}" if item.observed.strip() else ""
    return f"{_MARKS[item.verdict]} {item.verdict}: {name}{observed}"
