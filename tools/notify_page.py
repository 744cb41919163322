"""Writes tests/notify/messages.md: what is sent for each kind of outcome, from the code that renders it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "tests" / "notify" / "messages.md"
sys.path.insert(0, str(ROOT / "tests"))

from pytest_zkrollback.domain.notification import Notification  # noqa: E402
from pytest_zkrollback.domain.record import NotificationEvent, Outcome, Record  # noqa: E402
from pytest_zkrollback.notify.json_webhook import render_news  # noqa: E402
from pytest_zkrollback.notify.slack_message import render_slack_message  # noqa: E402
from pytest_zkrollback.notify.teams import render_card  # noqa: E402
from pytest_zkrollback.report.summary import render_summary  # noqa: E402
from support.example_records import (  # noqa: E402
    at,
    checked_only,
    failed,
    interrupted,
    running,
    unverified,
    verified,
    waived,
)

HEAD = """# What is sent

The messages of one example incident, as Slack's webhook gets them, for each event and kind of outcome; then
one verdict as the JSON webhook and as Teams get it. What is told when: [notify.md](../../docs/notify.md).
This page is made by `tools/notify_page.py`.
"""
BACK = (
    "The commit of revision 6 is probably still on main: then the next merge ships it again. "
    "First: revert it there.",
)


def told(record: Record, **changes: object) -> Record:
    """The record as a message gets it: summed up, and with what a run finds out."""
    found = {
        "redeploy_risks": BACK,
        "report": "https://ci.example/reports/20261123T115039Z-drill-1a2b3c4d.html",
    }
    record = record.model_copy(update={**found, **changes})
    return record.model_copy(update={"summary": render_summary(record)})


def start() -> Record:
    """Helm has just been started."""
    helm = running().helm.model_copy(update={"running": True, "exit_code": None, "finished_at": None})
    return told(running(), helm=helm, revision_after=6)


KINDS = {
    "Start: beside helm, once it runs": Notification(NotificationEvent.START, start()),
    "Verified, while the soak goes on": Notification(
        NotificationEvent.VERDICT, told(verified(), soak_s=10, provisional_at=at(7.5)), provisional=True
    ),
    "Verified": Notification(NotificationEvent.VERDICT, told(verified())),
    "Verified with waivers, in a protected environment": Notification(
        NotificationEvent.VERDICT, told(waived(), protected=True)
    ),
    "Failed": Notification(NotificationEvent.VERDICT, told(failed())),
    "Not verified": Notification(NotificationEvent.VERDICT, told(unverified())),
    "Superseded by somebody else's change": Notification(
        NotificationEvent.VERDICT,
        told(verified(), outcome=Outcome.SUPERSEDED, revision_after=8, recovered_at=None),
    ),
    "Interrupted while helm ran": Notification(NotificationEvent.VERDICT, told(interrupted())),
    "Changed: what was verified so far failed in the soak": Notification(
        NotificationEvent.CHANGED, told(failed()), before=Outcome.VERIFIED
    ),
    "A rollback by hand, checked": Notification(NotificationEvent.VERDICT, told(checked_only())),
}


def render_page() -> str:
    """The whole page."""
    parts = [HEAD]
    for title, news in KINDS.items():
        parts.append(_part(title, render_slack_message(news)))
    verdict = KINDS["Verified"]
    parts.append(_part("Verified, as the JSON webhook gets it", render_news(verdict)))
    parts.append(_part("Verified, as Teams gets it", render_card(verdict)))
    return "\n".join(parts)


def _part(title: str, message: object) -> str:
    text = json.dumps(message, indent=1, ensure_ascii=False)
    # Objects of strings and words alone on one line each: the page is for reading.
    text = re.sub(r"\{\n[^{}\[\]]*?\}", lambda found: re.sub(r"\n\s*", " ", found.group()), text)
    return f"## {title}\n\n```json\n{text}\n```\n"


if __name__ == "__main__":
    sys.exit(PAGE.write_text(render_page(), encoding="utf-8") and 0)
