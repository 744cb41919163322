"""The one timeline: from the bad deploy on, counted from helm's start."""

from __future__ import annotations

from typing import Any

from pytest_zkrollback.domain.record import Helm, Outcome, Plan, Record, TimelineEntry
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.report.course import count_words, find_course, near, offset
from pytest_zkrollback.report.html import render_record
from pytest_zkrollback.report.markdown import render_markdown
from support.example_records import HISTORY, at, failed, revision, verified, with_metrics
from support.html_page import Page
from support.seen_samples import FALL, points, well_before


def said(record: Record, *sources: str) -> list[tuple[Any, str]]:
    return [(each.at, each.event) for each in find_course(record) if each.source in sources]


def test_it_begins_with_the_deploy_and_has_what_was_seen() -> None:
    assert said(well_before(samples=FALL), "helm history", "/health", "pods") == [
        (at(-2 * 86400), "revision 5 (zkprova-1.5.0) was deployed: Upgrade complete"),
        (at(-760), "revision 6 (zkprova-1.6.0) was deployed: Upgrade complete"),
        (at(0.4), "backend: 2 of 2 pods ready"),
        (at(0.5), "/health passes when first asked"),
        (at(2.5), "/health fails from here on"),
        (at(2.9), "backend: 0 of 2 pods ready"),
    ]


def test_where_the_rollback_broke_it_the_story_begins_with_what_it_brought_back() -> None:
    history = (
        revision(4, "superseded", 900, "4", description="a7d20c4 move the data folder"),
        revision(5, "superseded", 800, "5"),
        revision(6, "deployed", 700, "6"),
    )
    plan = Plan(target=history[0], compared_with=history[2], rolled_back_from=history[2], history=history)
    record = well_before(samples=FALL, plan=plan, outcome=Outcome.FAILED)
    assert said(record, "helm history")[0] == (
        at(-900),
        "revision 4 (zkprova-1.4.0) was deployed: a7d20c4 move the data folder",
    )
    assert len(said(record, "helm history")) == 3
    assert HISTORY[3].deployed_at == at(-760)


def test_pods_stand_where_their_number_turns_ends_or_falls_below_what_is_wanted() -> None:
    rolling = (
        *points("wanted/web", (0, 3)),
        *points("replicas/web/5", (0, 3), (3, 2), (4, 1), (5, 0)),
        *points("replicas/web/6", (1, 1), (2, 3), (6, 2), (7, 1), (8, 0)),
    )
    assert [event for _, event in said(verified(samples=rolling), "pods")] == [
        "web: 3 of 3 pods ready",
        "web: 6 ready pods, 3 wanted: old and new ones",
        "web: 2 of 3 pods ready",
        "web: 0 of 3 pods ready",
    ]
    unknown = points("replicas/web/5", (0, 1), (1, 2))
    assert [event for _, event in said(verified(samples=unknown), "pods")] == [
        "web: 1 ready pod",
        "web: 2 ready pods",
    ]


def test_the_first_restart_of_each_version_stands_there() -> None:
    restarts = (*points("restarts/web/6", (3, 1), (4, 5)), *points("restarts/web/5", (5, 1)))
    assert said(verified(samples=restarts), "pods") == [
        (at(3), "web: first restart of a container of 6"),
        (at(5), "web: first restart of a container of 5"),
    ]


def verdict(second: float, item: str, word: Verdict) -> TimelineEntry:
    return TimelineEntry(at=at(second), event=f"{item}: {word}", source="zkrollback", item=item, verdict=word)


def test_verdicts_with_nothing_between_them_are_one_line() -> None:
    told = TimelineEntry(at=at(5), event="slack was told: verdict", source="zkrollback")
    entries = (
        verdict(2, "logs", Verdict.PASS),
        verdict(3, "smoke", Verdict.FAIL),
        verdict(4, "events", Verdict.PASS),
        told,
        verdict(6, "notify", Verdict.PASS),
    )
    record = verified(samples=(), timeline=entries)
    assert [(each.at, each.event) for each in find_course(record)][1:] == [
        (at(2), "FAIL: smoke; PASS: logs and events"),
        (at(5), "slack was told: verdict"),
        (at(6), "notify: PASS"),
    ]


def test_a_verdict_that_came_later_has_its_own_line_and_time() -> None:
    entries = (verdict(2, "notify", Verdict.PASS), verdict(22, "metric-error-rate", Verdict.PASS))
    assert [(each.at, each.event) for each in find_course(verified(samples=(), timeline=entries))][1:] == [
        (at(2), "notify: PASS"),
        (at(22), "metric-error-rate: PASS"),
    ]


def test_a_metric_says_when_it_went_out_of_bounds_and_when_it_no_longer_was() -> None:
    limit = "(limit: at most 1 %)"
    assert said(with_metrics(), "metrics") == [
        (at(-750), f"metric-error-rate: out of bounds from here on {limit}"),
        (at(120), "metric-error-rate: in order again"),
    ]


def test_times_are_counted_from_helm_and_the_date_is_said_once() -> None:
    record = verified()
    assert count_words(record) == "Times are UTC, of 2026-11-23. 0 is helm's start, 11:50:40."
    assert [offset(record, at(second)) for second in (0, 1.2, 1.21, 62)] == [
        "-1.2 s",
        "+0.0 s",
        "+0.0 s",
        "+1 min 01 s",
    ]
    assert (near(record, at(2.34)), near(record, at(-86400))) == ("11:50:41.3", "2026-11-22 11:50:39 UTC")
    without = verified(helm=Helm())
    assert count_words(without) == "Times are UTC, of 2026-11-23. 0 is the run's start, 11:50:39."
    table = render_record(record)
    table = table[table.index('<table class="cards timeline">') :]
    assert "2026-11-23" not in Page(table[: table.index("</table>") + len("</table>")]).text


def test_markdown_has_the_same_lines_in_the_same_order() -> None:
    text = render_markdown(failed())
    places = [text.index(f"| {near(failed(), each.at)} | ") for each in find_course(failed())]
    assert places == sorted(places)
    assert "### What happened\n\nTimes are UTC, of 2026-11-23. 0 is helm's start, 11:50:40.\n" in text
