"""One fact, worked out once: what is live, who is affected since when and by what, what the history is."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from pytest_zkrollback.domain.notification import Notification
from pytest_zkrollback.domain.record import (
    Delivery,
    Guard,
    GuardReason,
    Helm,
    Mode,
    NotificationEvent,
    Outcome,
    Override,
    Plan,
    Record,
    SamplePoint,
)
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.notify import text as words
from pytest_zkrollback.notify.github_comment import render_comment
from pytest_zkrollback.notify.slack_message import render_slack_message
from pytest_zkrollback.notify.teams import render_card
from pytest_zkrollback.report.change_section import changed_lines, split_diff
from pytest_zkrollback.report.files import render_json
from pytest_zkrollback.report.html import render_page
from pytest_zkrollback.report.incident_facts import (
    HistoryRole,
    LiveState,
    NotCheckedKind,
    Source,
    find_affected,
    find_facts,
    find_history,
    find_live,
    find_not_checked,
    find_window,
)
from pytest_zkrollback.report.markdown import render_markdown
from pytest_zkrollback.report.summary import (
    EVENTS,
    banners,
    live_now,
    redeploy_risks_title,
    render_summary,
    told_line,
    users_affected,
    warned_line,
)
from support.example_records import (
    ALL,
    HISTORY,
    at,
    failed,
    items,
    refused,
    revision,
    verified,
    waived,
)
from support.html_page import Page
from support.seen_samples import FALL, WELL, points, well_before


def test_what_this_rollback_caused_is_said() -> None:
    record = well_before(
        outcome=Outcome.FAILED,
        samples=FALL,
        recovered_at=None,
        items=items(smoke=(Verdict.FAIL, "exit code 1")),
        summary="",
    )
    found = find_affected(record)
    assert (found.by_this_rollback, found.now, found.until) == (True, True, None)
    assert found.since is not None
    assert (found.since.at, found.since.source) == (at(2.5), Source.HEALTH)
    assert users_affected(record) == (
        "Affected now, since 2026-11-23 11:50:41 UTC, by this rollback (/health). Before helm: "
        f"{WELL}. Since helm began: /health failed 2 of 2 times, backend has 0 of 2 ready pods."
    )
    assert render_summary(record).endswith(" Users are affected since 11:50:41 UTC, by this rollback.")


@pytest.mark.parametrize(
    ("samples", "since"),
    [
        # One image taking over from the other within one look is no outage.
        (
            (*points("replicas/b/6", (0.4, 2), (2.4, 0)), *points("replicas/b/5", (0.4, 0), (2.4, 2))),
            None,
        ),
        (points("replicas/b/6", (0.4, 2), (2.4, 0)), (2.4, Source.PODS)),
        # It had no ready pod before: nothing broke.
        (points("replicas/b/6", (0.4, 0), (2.4, 0)), None),
        (points("health", (1.0, 1), (1.5, 0), (2.0, 1)), (1.5, Source.HEALTH)),
        # Before helm: not by this run.
        (points("health", (0.5, 0), (2.0, 0)), None),
        (points("health", (1.0, 1), (2.0, 1)), None),
        # Whatever came first.
        (
            (*points("replicas/b/6", (0.4, 2), (2.2, 0)), *points("health", (1.0, 1), (2.4, 0))),
            (2.2, Source.PODS),
        ),
    ],
)
def test_by_this_rollback_only_what_broke_after_helm_began(
    samples: tuple[SamplePoint, ...], since: tuple[float, Source] | None
) -> None:
    found = find_affected(well_before(samples=samples))
    assert found.by_this_rollback is (since is not None)
    if since is not None:
        assert found.since is not None
        assert (found.since.at, found.since.source) == (at(since[0]), since[1])


def test_not_by_this_rollback_where_helm_did_not_run_or_it_was_broken_before() -> None:
    assert not find_affected(well_before(samples=FALL, helm=Helm())).by_this_rollback
    assert not find_affected(verified(samples=FALL, impact_since=None)).by_this_rollback


def test_the_operators_word_stands_beside_the_history_and_health() -> None:
    late = verified(impact_since=at(-900), samples=())
    assert users_affected(late) == (
        "15 min 05 s by the operator's word: from 2026-11-23 11:35:39 UTC to 11:50:43 UTC (/health passes). "
        "By Helm's history revision 6 was live only from 11:37:59 UTC: 12 min 45 s. "
        "Before helm: /health answers HTTP 503."
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"impact_since": None},
            "At most 12 min 45 s, if revision 6 (zkprova-1.6.0) was the cause: it was deployed "
            "2026-11-23 11:37:59 UTC; /health passes since 11:50:43 UTC. Since when was not said.",
        ),
        (
            {"impact_since": None, "served_again_at": None},
            "At most 12 min 48 s, if revision 6 (zkprova-1.6.0) was the cause: it was deployed "
            "2026-11-23 11:37:59 UTC; all checks passed 11:50:46 UTC. Since when was not said.",
        ),
        (
            {"mode": Mode.VERIFY, "helm": Helm(), "impact_since": None, "served_again_at": None},
            "Not known: since when was not said; revision 6 (zkprova-1.6.0) was deployed "
            "2026-11-23 11:37:59 UTC.",
        ),
    ],
)
def test_since_when_was_not_said(changes: dict[str, Any], said: str) -> None:
    assert users_affected(verified(samples=(), **changes)).startswith(said)


def test_well_before_and_after_is_no_harm_seen() -> None:
    calm = well_before(samples=points("health", (1.0, 1), (2.0, 1)))
    assert users_affected(calm) == (
        f"No harm was seen. Before helm: {WELL}. Since helm began: /health failed 0 of 1 times."
    )


def pending() -> Record:
    history = (*HISTORY, revision(7, "pending-upgrade", 17, "2026.11.6"))
    return refused().model_copy(
        update={
            "revision_before": 7,
            "summary": "",
            "plan": Plan(target=HISTORY[2], compared_with=history[-1], history=history),
            "guards": (
                Guard(
                    id="pending",
                    state="refused",
                    reason=GuardReason.UNDER_WAY,
                    evidence="revision 7 is pending-upgrade since 11:50:22",
                ),
            ),
        }
    )


def test_a_pending_revision_is_not_called_live() -> None:
    live = find_live(pending())
    assert (live.state, live.revision, live.finished) == (LiveState.IN_BETWEEN, 7, 6)
    assert live_now(pending()) == (
        "In between: revision 6 (zkprova-1.6.0) is Helm's last finished one; revision 7 (zkprova-1.7.0) is "
        "pending-upgrade since 2026-11-23 11:50:22 UTC, not changed by this run"
    )
    assert render_summary(pending()) == (
        "Not rolled back: another deployment of zkprova (zkprova-1.7.0, revision 7) began at 11:50:22 UTC and is "
        "still running. Users are affected: /health answers HTTP 503. Nothing was changed."
    )
    roles = {row.revision: row.role for row in find_history(pending())}
    assert (roles[6], roles[7]) == (HistoryRole.LIVE, HistoryRole.NONE)
    assert "Revision 7 (zkprova-1.7.0) began to be deployed" in users_affected(pending())


def test_the_history_has_the_revision_that_is_live_on_top_and_nothing_is_called_bad() -> None:
    plan = verified().plan.model_copy(update={"rolled_back_from": HISTORY[3]})
    rows = find_history(verified(plan=plan))
    assert [(row.revision, row.status, row.role) for row in rows] == [
        (7, "deployed", HistoryRole.LIVE),
        (6, "superseded", HistoryRole.ROLLED_BACK_FROM),
        (5, "superseded", HistoryRole.WENT_BACK_TO),
        (4, "superseded", HistoryRole.NONE),
        (3, "superseded", HistoryRole.NONE),
    ]
    assert rows[0].description == "Rollback to 5, by this run"
    for text in (Page(render_page(verified(plan=plan))).text, render_markdown(verified(plan=plan))):
        assert "live now" in text
        assert "rolled back from" in text
        assert not re.search(r"bad (revision|version)|the bad\b|\d bad\b", text)


def test_a_rollback_that_failed_is_not_called_live() -> None:
    record = verified(items=items(rollback=(Verdict.FAIL, "helm exited 1")))
    row = find_history(record)[0]
    assert (row.revision, row.status, row.role) == (7, "", HistoryRole.NEWEST)
    assert find_history(record)[1].status == "deployed"


def test_the_plan_says_where_it_would_go() -> None:
    planned = verified(mode=Mode.PLAN, helm=Helm(), revision_after=None, outcome=Outcome.PLANNED, items=())
    roles = {row.revision: row.role for row in find_history(planned)}
    assert (roles[6], roles[5]) == (HistoryRole.LIVE, HistoryRole.TARGET)
    assert banners(planned) == ("REHEARSAL: nothing was changed.",)


def test_what_could_come_back_is_named_by_what_tells_it_apart() -> None:
    plan = verified().plan.model_copy(update={"rolled_back_from": HISTORY[3]})
    assert redeploy_risks_title(verified(plan=plan)) == "What could bring zkprova-1.6.0 back"
    same = HISTORY[3].model_copy(update={"chart": HISTORY[2].chart})
    plan = plan.model_copy(update={"rolled_back_from": same})
    assert redeploy_risks_title(verified(plan=plan)) == "What could bring revision 6 back"


DIFF = """--- Deployment/web (live before)
+++ Deployment/web (target)
@@ -1,6 +1,6 @@
-    helm.sh/chart: web-2
+    helm.sh/chart: web-1
@@ -30,7 +30,7 @@
         - name: DATABASE_PATH
-          value: /new
+          value: /old
         - name: OTHER
-        image: web:2
+        image: web:1
--- Service/web (live before)
+++ Service/web (target)
-    app.kubernetes.io/version: 2
+    app.kubernetes.io/version: 1
--- Secret/gone (live before)
+++ /dev/null
-kind: Secret
"""


def test_what_changed_is_shown_without_the_labels_of_the_version() -> None:
    assert list(changed_lines(DIFF)) == [
        (
            "Deployment/web",
            (
                ("same", "  - name: DATABASE_PATH"),
                ("del", "- value: /new"),
                ("add", "+ value: /old"),
                ("del", "- image: web:2"),
                ("add", "+ image: web:1"),
            ),
        ),
        ("Secret/gone", (("del", "- kind: Secret"),)),
    ]


def test_the_full_diff_is_told_apart_from_objects_whose_labels_alone_change() -> None:
    meant, labels = split_diff(DIFF)
    assert labels == (
        "--- Service/web (live before)\n+++ Service/web (target)\n"
        "-    app.kubernetes.io/version: 2\n+    app.kubernetes.io/version: 1"
    )
    assert "Service/web" not in meant
    assert meant.splitlines() == [line for line in DIFF.splitlines() if line not in labels.splitlines()]
    assert split_diff("") == ("", "")


def test_whom_was_told_what_and_whether_it_arrived() -> None:
    told = (
        Delivery(to="slack", event=NotificationEvent.START, at=at(1.5), ok=True),
        Delivery(to="slack", event=NotificationEvent.VERDICT, at=at(7.5), ok=False, refused=True),
        Delivery(to="teams", event=NotificationEvent.VERDICT, at=at(7.5), ok=False),
    )
    assert set(NotificationEvent) - {NotificationEvent.WAVE} == set(EVENTS)  # a wave is a fleet's alone
    record = verified(deliveries=told)
    assert told_line(find_facts(record).told, record) == (
        "slack: the start 11:50:40, the verdict 11:50:46 (NOT received); "
        "teams: the verdict 11:50:46 (not known whether received)"
    )
    assert told_line((), refused()) == "nobody: after a refusal nobody is told"


def test_what_warned_and_who_overrode_it() -> None:
    guards = (
        Guard(id="target", state="warned", evidence="it failed once.", consequence="It may fail."),
        Guard(id="gitops", state="overridden", evidence="Flux is active", consequence="It comes back."),
        Guard(id="identity", state="warned", evidence="not pinned", unknown=True),
    )
    record = verified(
        guards=guards, overrides=(Override(id="gitops", kind="guard", reason="paused by hand"),)
    )
    assert warned_line(find_facts(record).warned, record) == (
        "before the change, and it went ahead: target: it failed once; "
        "gitops: Flux is active (refused, overridden by ada@workstation: paused by hand)"
    )
    assert [(each.id, each.kind) for each in find_not_checked(record)] == [("identity", NotCheckedKind.GUARD)]


def test_a_waiver_says_who_left_what_out_and_claims_no_more() -> None:
    record = waived().model_copy(update={"summary": ""})
    assert render_summary(record) == (
        "Release zkprova, environment drill, is back on revision 5 (zkprova-1.5.0), live as revision 7: "
        "10 of 11 checks passed. "
        "Not checked: smoke test (skipped by ada@workstation: the staging host is being moved)."
    )


def test_a_cluster_that_is_not_proven_and_an_exercise_are_said_first() -> None:
    guards = (Guard(id="identity", state="warned", reason=GuardReason.NOT_PINNED, evidence="not pinned"),)
    assert banners(verified(guards=guards, environment="staging", drill="kept")) == (
        "EXERCISE: a drill's cluster. No real users.",
        "It was not proven that this cluster is staging: see guard identity.",
    )
    assert banners(verified()) == ()


@pytest.mark.parametrize("name", ALL)
def test_the_json_holds_the_facts_that_are_said_and_reads_back_without_them(name: str) -> None:
    record = ALL[name]()
    data = json.loads(render_json(record))
    assert data["facts"] == json.loads(find_facts(record).model_dump_json())
    assert Record.model_validate(data) == record


def test_facts_in_a_file_are_not_believed() -> None:
    data = json.loads(render_json(failed()))
    data["facts"]["affected"]["now"] = False
    assert find_affected(Record.model_validate(data)).now is True


def window_ms(record: Record) -> tuple[float, float]:
    """Seconds from the story's beginning."""
    found = find_window(record)
    return (found.since - at(0)).total_seconds(), (found.until - at(0)).total_seconds()


def test_the_window_begins_with_what_is_known_of_the_incident() -> None:
    end = (verified().finished_at - at(0)).total_seconds()
    assert window_ms(verified(impact_since=at(-9000))) == (-9000, end)
    assert window_ms(verified(impact_since=at(-300))) == (-760, end)  # with the deploy just before
    assert window_ms(verified(impact_since=None)) == (-760, end)  # revision 6 was deployed
    unknown = verified(impact_since=None, plan=Plan(), samples=(), decision=None)
    assert window_ms(unknown) == (0, end)
    wrong = verified(impact_since=at(20), plan=Plan())  # never an empty window
    assert window_ms(wrong) == (0, end)
    last = max(each.at for each in verified().timeline)
    assert find_window(verified(finished_at=None)).until == last


def test_links_have_their_values_and_stand_everywhere() -> None:
    links = {
        "dashboard": "https://g.example/d/x?from={from_ms}&to={to_ms}&var-ns={namespace}",
        "logs": "https://l.example/{release}/{revision}",
        "commit": "https://c.example/{commit}",
    }
    record = verified(links=links, impact_since=at(-9000), finished_at=at(7), namespace="a b&c", incident="")
    ms = [round(at(second).timestamp() * 1000) for second in (-9000, 7)]
    dashboard = f"https://g.example/d/x?from={ms[0]}&to={ms[1]}&var-ns=a%20b%26c"
    logs = "https://l.example/zkprova/6"
    assert [(each.name, each.url) for each in find_facts(record).links] == [
        ("dashboard", dashboard),
        ("logs", logs),
    ]
    found = [
        (attrs.get("href"), attrs.get("rel")) for tag, attrs in Page(render_page(record)).tags if tag == "a"
    ]
    assert (dashboard, "noreferrer noopener") in found and (logs, "noreferrer noopener") in found
    assert f"Links: [dashboard](<{dashboard}>), [logs](<{logs}>)\n" in render_markdown(record)
    written = json.loads(render_json(record))
    assert written["facts"]["links"][1] == {"name": "logs", "url": logs}
    news = Notification(event=NotificationEvent.VERDICT, record=record)
    assert [each for each in words.links(news.record) if each[0] != "Report"] == [
        ("Dashboard", dashboard),
        ("Logs", logs),
    ]
    assert f"Dashboard: <{dashboard.replace('&', '&amp;')}>" in json.dumps(render_slack_message(news))
    assert dashboard in json.dumps(render_card(news))
    started = Notification(event=NotificationEvent.START, record=record)
    assert f"[dashboard](<{dashboard}>)" in render_comment(started)
    assert f"[dashboard](<{dashboard}>)" in render_comment(news)


def test_a_record_from_elsewhere_makes_no_other_links() -> None:
    links = {"a": "javascript:alert(1)", "b": 'https://x.example/"><b>', "c": "https://x.example/{nothing}"}
    record = verified(links=links, incident="")
    assert find_facts(record).links == ()
    assert "noreferrer" not in render_page(record)
    assert "Links:" not in render_markdown(record)
