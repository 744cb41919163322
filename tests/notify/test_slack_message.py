from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_zkrollback.domain.notification import Notification
from pytest_zkrollback.domain.record import (
    Helm,
    Item,
    Mode,
    NotificationEvent,
    Outcome,
    Override,
    Plan,
    Record,
    Revision,
)
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.notify.slack_message import escaped, render_slack_message
from pytest_zkrollback.notify.text import characters, shortened
from support.example_records import at
from support.fake_slack import breach

T0 = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def revision(number: int) -> Revision:
    return Revision(revision=number, status="superseded", chart=f"zkprova-1.{number}.0", deployed_at=T0)


def item(id_: str, verdict: Verdict | None, observed: str = "") -> Item:
    return Item(id=id_, title=id_, verdict=verdict, observed=observed, finished_at=T0 + timedelta(seconds=42))


def record(**more: Any) -> Record:
    story: dict[str, Any] = {
        "run_id": "0a1b2c3d",
        "mode": Mode.ROLLBACK,
        "outcome": Outcome.VERIFIED,
        "summary": "zkprova runs revision 5 again and every item passed.",
        "environment": "staging",
        "namespace": "zkprova",
        "release": "zkprova",
        "revision_before": 6,
        "target_revision": 5,
        "revision_after": 7,
        "reason": "Backend <crashes> & burns",
        "next_steps": "Revert the commit on main",
        "incident": "INC-4711",
        "operator": "ada@laptop",
        "started_at": T0 - timedelta(seconds=3),
        "plan": Plan(target=revision(5), compared_with=revision(6)),
        "helm": Helm(ran=True, exit_code=0, started_at=T0),
        "items": (
            item("rollout-backend", Verdict.PASS, "3 of 3 pods are ready."),
            item("smoke", Verdict.FAIL, "The smoke test ended with exit code 1."),
            item("events", Verdict.UNVERIFIED, "Forbidden."),
            item("logs", Verdict.WAIVED, "waived: known noise"),
            item("notify", None),
        ),
    }
    return Record(**{**story, **more})


def rendered(event: NotificationEvent = NotificationEvent.VERDICT, **more: Any) -> dict[str, Any]:
    return render_slack_message(Notification(event=event, record=record(**more)))


def texts(message: dict[str, Any]) -> list[str]:
    found = []
    for block in message["blocks"]:
        parts = [block["text"]] if "text" in block else []
        parts += block.get("fields", []) + block.get("elements", [])
        found += [part["text"] for part in parts]
    return found


def test_the_whole_message() -> None:
    plain = {"type": "plain_text", "emoji": False}
    assert rendered(
        overrides=(Override(id="logs", kind="item", reason="known noise"),),
        redeploy_risks=("commit a7d20c4 of revision 6 is on main: the next merge ships it again",),
        report="https://ci.example/reports/20261123.html?a=1&b=2",
    ) == {
        "text": "VERIFIED: staging, rollback of zkprova to revision 5. Reason: Backend &lt;crashes&gt; &amp; "
        "burns. Next steps: Revert the commit on main",
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": [
            {
                "type": "header",
                "text": {**plain, "text": "VERIFIED: staging, rollback of zkprova to revision 5"},
            },
            {
                "type": "section",
                "text": {**plain, "text": "zkprova runs revision 5 again and every item passed."},
            },
            {
                "type": "section",
                "fields": [
                    {**plain, "text": "Environment\nstaging, namespace zkprova"},
                    {**plain, "text": "Release\nzkprova"},
                    {**plain, "text": "Revision\nfrom 6 (zkprova-1.6.0), to 5 (zkprova-1.5.0), now 7"},
                    {**plain, "text": "Helm\nHELM RAN, exit code 0"},
                    {**plain, "text": "Who\nada@laptop"},
                    {**plain, "text": "Incident\nINC-4711"},
                    {
                        **plain,
                        "text": "Users affected\nNot known: since when was not said; revision 6 (zkprova-1.6.0) "
                        "was deployed 2026-11-23 10:00:00 UTC.",
                    },
                    {**plain, "text": "Live now\nRevision 7 (a rollback to 5, zkprova-1.5.0)"},
                    {
                        **plain,
                        "text": "Not checked\napplication logs (waived); events (unverified); "
                        "telling the team (no verdict)",
                    },
                ],
            },
            {"type": "section", "text": {**plain, "text": "Reason\nBackend <crashes> & burns"}},
            {"type": "section", "text": {**plain, "text": "Next steps\nRevert the commit on main"}},
            {
                "type": "section",
                "text": {
                    **plain,
                    "text": "What could bring it back\n\u2022 commit a7d20c4 of revision 6 is on main: "
                    "the next merge ships it again",
                },
            },
            {
                "type": "section",
                "text": {
                    **plain,
                    "text": "\u274c FAIL: smoke \u2014 The smoke test ended with exit code 1.\n"
                    "\u2753 UNVERIFIED: events \u2014 Forbidden.\n"
                    "\u2705 PASS: rollout-backend \u2014 3 of 3 pods are ready.\n"
                    "\u2705 WAIVED: logs \u2014 waived: known noise",
                },
            },
            {"type": "section", "text": {**plain, "text": "Overridden or skipped\nitem logs: known noise"}},
            {
                "type": "section",
                "text": {
                    "type": "mrkdwn",
                    "text": "Report: <https://ci.example/reports/20261123.html?a=1&amp;b=2>",
                    "verbatim": True,
                },
            },
            {"type": "context", "elements": [{**plain, "text": "pytest-zkrollback run 0a1b2c3d"}]},
        ],
    }


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome.VERIFIED, "VERIFIED: "),
        (Outcome.VERIFIED_WITH_WAIVERS, "VERIFIED WITH WAIVERS: "),
        (Outcome.FAILED, "FAILED: "),
        (Outcome.UNVERIFIED, "NOT VERIFIED: "),
        (Outcome.SUPERSEDED, "SUPERSEDED BY ANOTHER CHANGE: "),
        (Outcome.REFUSED, "REFUSED: "),
        (Outcome.INTERRUPTED, "INTERRUPTED: "),
        (Outcome.RUNNING, "NOT FINISHED: "),
        (Outcome.PLANNED, "PLAN ONLY: "),
    ],
)
def test_the_headline_says_how_it_stands(outcome: Outcome, words: str) -> None:
    assert texts(rendered(outcome=outcome))[0].startswith(words)


@pytest.mark.parametrize(
    ("helm", "said"),
    [
        (Helm(), "HELM DID NOT RUN"),
        (
            Helm(skipped_reason="revision 5 is live already"),
            "HELM DID NOT RUN: revision 5 is live already",
        ),
        (Helm(ran=True, exit_code=1), "HELM RAN, exit code 1"),
        (Helm(ran=True), "HELM RAN, exit code not known"),
        (Helm(ran=True, running=True, pid=7), "HELM RAN, and its end was not seen"),
    ],
)
def test_whether_helm_ran_is_said_truthfully(helm: Helm, said: str) -> None:
    assert f"Helm\n{said}" in texts(rendered(helm=helm))


def test_what_is_missing_is_said() -> None:
    bare = Record(
        run_id="00000000", mode=Mode.VERIFY, environment="dev", release="zkprova", started_at=T0, reason=" "
    )
    assert texts(render_slack_message(Notification(event=NotificationEvent.VERDICT, record=bare))) == [
        "NOT FINISHED: dev, rollback check of zkprova",
        "Environment\ndev",
        "Release\nzkprova",
        "Revision\nnot known",
        "Helm\nHELM DID NOT RUN",
        "Who\nnot known",
        "Incident\nnone given",
        "Users affected\nNot known: since when was not said.",
        "Live now\nNot known: the release's history was not read.",
        "Not checked\nanything: no item was judged",
        "Reason\nnot given",
        "Next steps\nnone given",
        "pytest-zkrollback run 00000000",
    ]


def test_protected_environments_are_marked() -> None:
    said = texts(rendered(protected=True))
    assert said[0] == "VERIFIED: [PROTECTED] staging, rollback of zkprova to revision 5"
    assert "Environment\nstaging (protected), namespace zkprova" in said


def test_fault_47_nothing_steers_slack_or_a_terminal() -> None:
    hostile = "<!channel> <https://evil|click> *b* `c` :tada: @here \x1b[31mred \u202eabc \ud800 & \0"
    message = rendered(reason=hostile, next_steps=hostile, operator=hostile, incident=hostile)
    assert "<" not in message["text"]
    assert "\x1b" not in json.dumps(message, ensure_ascii=False)
    assert "\u202e" not in json.dumps(message, ensure_ascii=False)
    json.dumps(message, ensure_ascii=False).encode()
    for block in message["blocks"]:
        for part in [block.get("text"), *block.get("fields", []), *block.get("elements", [])]:
            assert part is None or (part["type"], part["emoji"]) == ("plain_text", False)


def test_many_items_keep_the_red_ones() -> None:
    many = (
        *(item(f"custom-{n}", Verdict.PASS, "fine " * 40) for n in range(60)),
        item("smoke", Verdict.FAIL, "x" * 999),
    )
    lines = next(text for text in texts(rendered(items=many)) if "smoke" in text).split("\n")
    assert lines[0].startswith("\u274c FAIL: smoke \u2014 xxx")
    assert lines[-1].endswith(" more items in the report")
    assert len(lines) - 1 + int(lines[-1].split()[1]) == 61


ODD = st.one_of(
    st.text(max_size=300),
    st.sampled_from(
        ["<!channel>", "&", '"', "\\", "\n", "\0", "\x1b[0m", "\U0001f600", "\ud800", " "]
    ).flatmap(lambda piece: st.integers(0, 6000).map(lambda n: piece * n)),
)
ITEMS = st.lists(
    st.builds(
        Item,
        id=ODD.map(lambda text: text or "x"),
        title=st.just("t"),
        verdict=st.sampled_from([None, *Verdict]),
        observed=ODD,
    ),
    max_size=40,
).map(tuple)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.fixed_dictionaries(
        {
            "reason": ODD,
            "next_steps": ODD,
            "summary": ODD,
            "environment": ODD,
            "release": ODD,
            "namespace": ODD,
            "operator": ODD,
            "incident": ODD,
            "items": ITEMS,
            "outcome": st.sampled_from(list(Outcome)),
            "mode": st.sampled_from(list(Mode)),
            "helm": st.builds(
                Helm, ran=st.booleans(), skipped_reason=ODD, exit_code=st.none() | st.integers()
            ),
            "redeploy_risks": st.lists(ODD, max_size=10).map(tuple),
            "report": ODD,
            "protected": st.booleans(),
            "overrides": st.lists(st.builds(Override, id=ODD, kind=ODD, reason=ODD), max_size=20).map(tuple),
        }
    ),
    st.sampled_from(list(NotificationEvent)),
    st.sampled_from([None, *Outcome]),
    st.booleans(),
)
def test_fault_47_hostile_and_over_long_content_stays_within_slacks_limits(
    content: dict[str, Any], event: NotificationEvent, before: Outcome | None, provisional: bool
) -> None:
    news = Notification(event=event, record=record(**content), before=before, provisional=provisional)
    assert breach(render_slack_message(news)) is None


@given(ODD, st.integers(10, 500))
def test_shortened_never_exceeds_and_never_is_empty(text: str, limit: int) -> None:
    short = shortened(text, limit)
    assert 1 <= characters(short) <= limit


def test_shortening_comes_before_escaping() -> None:
    assert escaped(shortened("&" * 50, 10)) == "&amp;" * 7 + "..."


def test_the_start_says_who_and_what_and_holds_no_verdict() -> None:
    said = texts(
        rendered(
            NotificationEvent.START,
            outcome=Outcome.RUNNING,
            revision_after=6,
            helm=Helm(ran=True, running=True),
        )
    )
    assert said == [
        "STARTED: staging, rollback of zkprova to revision 5",
        "helm rollback runs now; what comes of it follows here. Nobody else needs to start one.",
        "Environment\nstaging, namespace zkprova",
        "Release\nzkprova",
        "Revision\nfrom 6 (zkprova-1.6.0), to 5 (zkprova-1.5.0)",
        "Who\nada@laptop",
        "Incident\nINC-4711",
        "Reason\nBackend <crashes> & burns",
        "Next steps\nRevert the commit on main",
        "pytest-zkrollback run 0a1b2c3d",
    ]


def test_a_verdict_that_changed_says_what_was_told_before() -> None:
    news = Notification(
        event=NotificationEvent.CHANGED, record=record(outcome=Outcome.FAILED), before=Outcome.VERIFIED
    )
    said = texts(render_slack_message(news))
    assert said[0] == "FAILED, no longer VERIFIED: staging, rollback of zkprova to revision 5"
    assert said[1].endswith("This corrects the earlier message, which said VERIFIED.")


def test_a_provisional_verdict_says_that_it_is_none_yet() -> None:
    green = record(soak_s=10, provisional_at=at(7.5))
    news = Notification(event=NotificationEvent.VERDICT, record=green, provisional=True)
    said = texts(render_slack_message(news))
    assert said[0].startswith("VERIFIED AT 11:50:46 UTC: ")
    assert said[1].endswith("It is watched for 10 s from then; only a change is told here.")


@pytest.mark.parametrize(
    ("incident", "links"),
    [
        ("https://tracker.example/INC-1", ["Incident: <https://tracker.example/INC-1>"]),
        ("https://tracker.example/?a=1&b=2", ["Incident: <https://tracker.example/?a=1&amp;b=2>"]),
        ("see https://tracker.example/INC-1", []),
        ("https://evil|click", []),
        ("https://x><!channel>", []),
        ("javascript:alert(1)", []),
        ("INC-1", []),
    ],
)
def test_only_what_is_an_address_and_nothing_else_can_be_clicked(incident: str, links: list[str]) -> None:
    blocks = rendered(incident=incident)["blocks"]
    found = [b["text"]["text"] for b in blocks if b.get("text", {}).get("type") == "mrkdwn"]
    assert found == links
