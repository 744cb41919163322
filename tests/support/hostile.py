"""News with content that somebody would like Slack to act on, or that is longer than it takes."""

import random
from datetime import UTC, datetime, timedelta

from pytest_zkrollback.domain.notification import Notification
from pytest_zkrollback.domain.record import (
    Helm,
    Item,
    Mode,
    NotificationEvent,
    Outcome,
    Override,
    Plan,
    Revision,
)
from pytest_zkrollback.domain.verdict import Verdict
from support.example_records import ALL

T0 = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
PIECES = (
    *(
        "<!channel>",
        "<!here>",
        "<@U123>",
        "<#C123|general>",
        "<https://evil.example|click>",
        "<mailto:a@b|c>",
    ),
    *("*bold*", "_it_", "~gone~", "`code`", "```\nblock\n```", "> quote", ":tada:", "@here", "#general"),
    *(
        "&amp;",
        "&lt;!channel&gt;",
        "&",
        "<",
        ">",
        "|",
        '"',
        "\\",
        "\\n",
        "\n",
        "\t",
        "\0",
        "\x1b[31m",
        "\x1b]0;t\x07",
    ),
    *("\u202e", "\u2066", "\u200f", "\ud800", "\ufffe", "\U0001f600", "e\u0301", "日本語", "ü", " ", ""),
    *(
        "https://tracker.example/INC-1?a=1&b=2",
        "javascript:alert(1)",
        "${jndi:ldap://x}",
        "{{7*7}}",
        "$(reboot)",
    ),
)


def text(rng):
    """Mostly short, sometimes far longer than any limit."""
    length = rng.choice((0, 1, 3, 8, 40, 400))
    many = rng.choice((1, 1, 1, 1, 30))
    return "".join(rng.choice(PIECES) for _ in range(length)) * many


def revision(rng):
    return Revision(revision=rng.randint(0, 10**6), status=text(rng), chart=text(rng), deployed_at=T0)


def item(rng):
    verdict = rng.choice((None, *Verdict))
    ends = T0 + timedelta(seconds=rng.randint(0, 10**5)) if verdict else None
    return Item(id=text(rng) or "x", title=text(rng), verdict=verdict, observed=text(rng), finished_at=ends)


def hostile_news(seed):
    """One of infinitely many, always the same for the same seed."""
    rng = random.Random(seed)
    changes = {
        name: text(rng)
        for name in (
            "reason",
            "next_steps",
            "environment",
            "release",
            "namespace",
            "operator",
            "incident",
            "summary",
        )
    }
    changes |= {
        "mode": rng.choice(list(Mode)),
        "outcome": rng.choice(list(Outcome)),
        "protected": rng.random() < 0.5,
        "report": rng.choice(
            ("", "https://ci.example/a b", f"https://ci.example/{'x' * rng.randint(1, 900)}?a&b")
        ),
        "redeploy_risks": tuple(text(rng) for _ in range(rng.randint(0, 6))),
        "items": tuple(item(rng) for _ in range(rng.choice((0, 1, 11, 80)))),
        "overrides": tuple(
            Override(id=text(rng), kind=text(rng), reason=text(rng)) for _ in range(rng.choice((0, 1, 30)))
        ),
        "plan": Plan(target=revision(rng), compared_with=revision(rng), rolled_back_from=revision(rng)),
        "helm": Helm(
            ran=rng.random() < 0.5, skipped_reason=text(rng), exit_code=rng.choice((None, 0, 1, 137))
        ),
    }
    record = rng.choice(list(ALL.values()))().model_copy(update=changes)
    return Notification(
        event=rng.choice(list(NotificationEvent)),
        record=record,
        before=rng.choice((None, *Outcome)),
        provisional=rng.random() < 0.3,
    )
