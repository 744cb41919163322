"""What every message says, in words without any markup; the channels bring it into their own shape."""

from __future__ import annotations

from collections.abc import Callable

from ..domain.checks import JsonObject
from ..domain.item_ids import NOTIFY
from ..domain.links import is_address
from ..domain.notification import Notification
from ..domain.record import Item, Mode, NotificationEvent, Outcome, Record, Revision
from ..domain.verdict import Verdict
from ..report.formatting import capital, clock_time
from ..report.incident_facts import find_links
from ..report.sanitize import escape_control_characters, inert_line
from ..report.summary import HEADLINES as FACTS_HEADLINES
from ..report.summary import decided, live_now, not_checked, redeploy_risks_title, users_affected

# A message stands alone, without the page's shapes: these two say more than its headline.
HEADLINES = FACTS_HEADLINES | {
    Outcome.UNVERIFIED: "NOT VERIFIED",
    Outcome.SUPERSEDED: "SUPERSEDED BY ANOTHER CHANGE",
}
MARKS = {
    Verdict.PASS: "\N{WHITE HEAVY CHECK MARK}",
    Verdict.FAIL: "\N{CROSS MARK}",
    Verdict.UNVERIFIED: "\N{BLACK QUESTION MARK ORNAMENT}",
    Verdict.WAIVED: "\N{WHITE HEAVY CHECK MARK}",
}
# Slack refuses a section above 3,000 characters, and Teams shows six buttons.
_LINKS_ROOM = 2_600
_LINK_LIMIT = 1_000
_MOST_LINKS = 6


def shortened(text: str, limit: int) -> str:
    """``text`` made inert, with at most ``limit`` characters (see :func:`characters`), never empty."""
    clean = escape_control_characters(text).strip() or "-"
    if characters(clean) <= limit:
        return clean
    room = limit - 3
    kept = clean[:room]
    while characters(kept) > room:
        kept = kept[: len(kept) - max(1, (characters(kept) - room) // 2)]
    return f"{kept.rstrip()}..."


def fitted(
    render: Callable[[float], JsonObject], fits: Callable[[JsonObject], bool], *, least: float = 0.1
) -> JsonObject:
    """The message, rendered with so small a share of its room that it ``fits``; with ``least`` at last."""
    message = render(1.0)
    for share in (0.6, 0.35, 0.2, 0.1, 0.05):
        if share < least or fits(message):
            break
        message = render(share)
    return message


def characters(text: str) -> int:
    """Length where nobody says of what: the larger measure, UTF-16 code units."""
    return len(text.encode("utf-16-le", errors="surrogatepass")) // 2


def links(record: Record) -> list[tuple[str, str]]:
    """What there is to click on, as (name, address): the report, the incident, the configuration's links.

    As many as a message has room for: what is left out stands in the report.
    """
    found = [("Report", record.report), ("Incident", record.incident)]
    found += [(capital(each.name), each.url) for each in find_links(record)]
    kept: list[tuple[str, str]] = []
    for name, url in found:
        room = _LINKS_ROOM - sum(len(f"{name}{url}") + 10 for name, url in kept)
        if is_address(url) and len(url) <= min(_LINK_LIMIT, room) and len(kept) < _MOST_LINKS:
            kept.append((name, url))
    return kept


def headline(news: Notification) -> str:
    """``VERIFIED: staging, rollback of zkprova to revision 5``; whether that is new, or not the last word."""
    record = news.record
    mark = "[EXERCISE] " if record.drill else "[PROTECTED] " if record.protected else ""
    what = {
        Mode.VERIFY: "rollback check",
        Mode.PLAN: "rollback plan",
        Mode.RECOVER: "recovery",
    }.get(record.mode, "rollback")
    destination = _destination(record)
    to = f" to {destination}" if destination else ""
    release = shortened(inert_line(record.release), 40)
    environment = shortened(inert_line(record.environment), 30)
    return f"{_stands(news)}: {mark}{environment}, {what} of {release}{to}"


def _destination(record: Record) -> str:
    """Where it goes back to; through GitHub that is a commit, whose revision only the deploy makes."""
    if record.mode is Mode.GITHUB:
        good = record.github.target_commit if record.github is not None else ""
        return f"commit {good[:10]}" if good else ""
    return f"revision {record.target_revision}" if record.target_revision is not None else ""


def _stands(news: Notification) -> str:
    if news.event is NotificationEvent.START:
        return "STARTED"
    if news.event is NotificationEvent.ADDENDUM:
        return f"ADDENDUM to {HEADLINES[news.record.outcome]}"
    word = HEADLINES[news.record.outcome]
    if news.record.outcome is Outcome.RUNNING and news.provisional:
        word = "ALL BUT METRICS PASSED"
    if news.provisional and news.record.provisional_at is not None:
        word += f" AT {clock_time(news.record.provisional_at)} UTC"
    if news.before not in (None, Outcome.RUNNING):
        return f"{word}, no longer {HEADLINES[news.before]}"
    return word


def summary(news: Notification) -> str:
    """One or two sentences under the headline; may be empty."""
    record = news.record
    if news.event is NotificationEvent.START:
        what = "GitHub's workflow is at work" if record.mode is Mode.GITHUB else "helm rollback runs now"
        return f"{what}; what comes of it follows here. Nobody else needs to start one."
    said = [record.summary.strip()]
    if news.provisional and record.outcome is Outcome.RUNNING:
        said.append("The result is told here then, or as soon as something fails.")
    elif news.provisional:
        said.append(f"It is watched for {record.soak_s or 0:g} s from then; only a change is told here.")
    if news.before is Outcome.RUNNING:
        said.append("This completes the earlier message, when metrics were still watched.")
    elif news.before is not None:
        said.append(f"This corrects the earlier message, which said {HEADLINES[news.before]}.")
    return " ".join(filter(None, said))


def fields(news: Notification) -> list[tuple[str, str]]:
    """The short facts, as (name, value)."""
    record = news.record
    where = f"{record.environment}{' (protected)' if record.protected else ''}"
    if record.namespace:
        where += f", namespace {record.namespace}"
    found = [
        ("Environment", where),
        ("Release", record.release),
        ("Revision", _revisions(record)),
        ("Who", record.operator or "not known"),
        ("Incident", record.incident or "none given"),
    ]
    if news.event is not NotificationEvent.START:
        found[3:3] = [("Helm", helm_says(record))]
        found += [
            ("Users affected", users_affected(record)),
            ("Live now", live_now(record)),
            ("Not checked", not_checked(record)),
        ]
    return found


def _revisions(record: Record) -> str:
    left = record.plan.compared_with.revision if record.plan.compared_with else record.revision_before
    parts = []
    if left is not None:
        parts.append(f"from {left}{_chart(record.plan.compared_with)}")
    if record.mode is Mode.GITHUB:
        destination = _destination(record)
        parts += [f"to {destination}"] if destination else []
    elif record.target_revision is not None:
        parts.append(f"to {record.target_revision}{_chart(record.plan.target)}")
    if record.revision_after is not None and record.revision_after != left:
        parts.append(f"now {record.revision_after}")
    return ", ".join(parts) or "not known"


def _chart(revision: Revision | None) -> str:
    return f" ({revision.chart})" if revision is not None else ""


def helm_says(record: Record) -> str:
    """Whether helm ran, truthfully."""
    helm = record.helm
    if not helm.ran:
        if helm.skipped_reason:
            return f"HELM DID NOT RUN: {helm.skipped_reason}"
        return "HELM DID NOT RUN"
    if helm.running:
        return "HELM RAN, and its end was not seen"
    return f"HELM RAN, exit code {'not known' if helm.exit_code is None else helm.exit_code}"


def reason(record: Record) -> str:
    """Why, in the operator's words."""
    return record.reason.strip() or "not given"


def next_steps(record: Record) -> str:
    """What the operator said comes next."""
    return record.next_steps.strip() or "none given"


def redeploy_risks_heading(record: Record) -> str:
    """What that part is called."""
    return shortened(inert_line(redeploy_risks_title(record)), 80)


def redeploy_risks(record: Record) -> str:
    """What could bring back what was left, one line each; empty where nothing is known to."""
    return "\n".join(f"\N{BULLET} {line}" for line in record.redeploy_risks)


def decision(record: Record) -> str:
    """The recommendation, the operator's choice and why; empty where nothing was decided."""
    said = decided(record)
    why = " ".join(record.decision.reasons) if record.decision else ""
    return f"{said}. {why}".strip() if said else ""


def set_aside(record: Record, limit: int) -> str:
    """What was overridden or left out, one line each, at most ``limit`` characters of each reason."""
    return "\n".join(
        f"{one.kind} {inert_line(one.id, 60)}: {inert_line(one.reason, limit)}" for one in record.overrides
    )


def item_lines(record: Record, limit: int, room: int) -> list[str]:
    """A line per item, what is not well first, so that no failure is lost where there is no room for all.

    At most ``limit`` characters of each observation, and ``room`` of all lines together.
    """
    items = record.items_without(NOTIFY)
    lines: list[str] = []
    for item in sorted(items, key=lambda one: one.verdict in (Verdict.PASS, Verdict.WAIVED)):
        line = _item_line(item, limit)
        if characters("\n".join([*lines, line])) > room - 40:
            lines.append(f"and {len(items) - len(lines)} more items in the report")
            break
        lines.append(line)
    return lines


def _item_line(item: Item, limit: int) -> str:
    name = shortened(inert_line(item.id), 40)
    if item.verdict is None:
        return f"\N{HOURGLASS} no verdict: {name}"
    observed = f" \N{EM DASH} {shortened(inert_line(item.observed), limit)}" if item.observed.strip() else ""
    return f"{MARKS[item.verdict]} {item.verdict}: {name}{observed}"


def foot(record: Record) -> str:
    """The last line: which run this is, so that two messages about one can be told to belong together."""
    return f"pytest-zkrollback run {record.run_id}"
