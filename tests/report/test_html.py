"""The page: all facts in the DOM, nothing executable from outside, no request to anywhere."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_zkrollback.domain.decision import Decision
from pytest_zkrollback.domain.github import Commit, Github, GithubStep, Job, PullRequest, WorkflowRun
from pytest_zkrollback.domain.record import Delivery, Helm, Record, SamplePoint
from pytest_zkrollback.domain.verdict import evidence
from pytest_zkrollback.report.html import render_page, render_record
from pytest_zkrollback.report.redaction import Redactor
from support.example_records import (
    ALL,
    DECISION,
    SLACK_MESSAGE,
    at,
    failed,
    items,
    refused,
    running,
    verified,
)
from support.html_page import HOSTILE, Page


@pytest.mark.parametrize("name", ALL)
def test_every_fact_is_in_the_page(name: str) -> None:
    record = ALL[name]()
    page = Page(render_page(record))
    assert page.headings[0][0] == 1
    for item in record.items:
        for fact in (item.title, item.id, item.observed, item.expected, item.command):
            assert " ".join(fact.split()) in page.text
        for piece in item.evidence:
            assert " ".join(piece.text.split()) in page.text
            assert piece.sha256 in page.text
    for guard in record.guards:
        assert guard.evidence in page.text
        if guard.state == "refused":
            assert guard.override in page.text
    for entry in record.timeline:
        assert entry.event in page.text
    for command in record.next_commands:
        if not command.startswith("# "):
            assert command in page.first_screen()


@pytest.mark.parametrize("name", ALL)
def test_headings_are_in_order_and_ids_unique(name: str) -> None:
    page = Page(render_page(ALL[name]()))
    levels = [level for level, _ in page.headings]
    assert levels.count(1) == 1
    assert all(following - level <= 1 for level, following in itertools.pairwise(levels))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [
        attrs["href"]
        for tag, attrs in page.tags
        if tag in ("a", "use") and (attrs["href"] or "").startswith("#")
    ]
    assert [link for link in links if link is not None and link[1:] not in ids] == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "verified",
            [
                "VERIFIED",
                "Release zkprova, environment drill, is back on revision 5 (zkprova-1.5.0), live as revision 7: "
                "all 11 checks passed.",
                "Live now Revision 7 (a rollback to 5, zkprova-1.5.0), since 2026-11-23 11:50:40 UTC. "
                "Ready pods: zkprova-zkprova-backend 2 and zkprova-zkprova-frontend 2",
                "12 min 05 s by the operator's word: from 2026-11-23 11:38:39 UTC to 11:50:43 UTC "
                "(/health passes).",
                "HELM RAN: once, exit code 0, took 0.4 s",
                "11 items: 11 PASS. All checks passed at 11:50:46 UTC, 5.9 s after helm; not watched since.",
                "Not checked identity-unpinned: This environment pins no cluster identity",
                "It is over: users are served again since 11:50:43 UTC.",
                "To do What Why Owner By when fix POOL_SIZE, then deploy 2026.11.6 next steps, in the words of "
                "ada@workstation nobody named not said",
                "before 6, target 5, after 7",
                "backend crash-loops since 2026.11.5",
                "ada@workstation",
                "Told slack: the verdict",
                "Operator's next steps fix POOL_SIZE, then deploy 2026.11.6",
            ],
        ),
        (
            "failed",
            [
                "FAILED",
                "12 min 41 s when this run ended; still affected",
                "Not checked smoke test (unverified);",
            ],
        ),
        (
            "unverified",
            [
                "UNVERIFIED",
                "Not known: since when was not said",
                "Not checked application logs and events (unverified);",
                "pods/log is forbidden",
            ],
        ),
        (
            "refused",
            [
                "REFUSED",
                "Not rolled back: revision 6 is pending-upgrade since 11:48:02 UTC",
                "HELM DID NOT RUN: refused (pending-release)",
                "Not checked the whole checklist: after a refusal nothing is run",
                "Revision 6 (zkprova-1.6.0), since 2026-11-23 11:37:59 UTC, not changed by this run",
                "Told nobody: after a refusal nobody is told",
            ],
        ),
        (
            "interrupted",
            [
                "INTERRUPTED",
                "HELM RAN: its end was not seen (process 41712)",
                "Live now Not known",
                "after not known",
            ],
        ),
        ("running", ["NOT FINISHED", "Do not attach this as a result", "(waiting)"]),
        ("waived", ["VERIFIED WITH WAIVERS", "smoke test (waived)"]),
        ("checked-only", ["VERIFIED", "HELM DID NOT RUN: this run verifies only", "(checked only)"]),
    ],
)
def test_the_first_screen_answers(name: str, said: list[str]) -> None:
    first = Page(render_page(ALL[name]())).first_screen()
    for each in said:
        assert each in first


def test_no_green_word_for_a_red_run() -> None:
    for name in ("failed", "unverified", "refused", "interrupted", "running"):
        page = render_page(ALL[name]())
        assert "<h1>VERIFIED" not in page
        assert "is back on" not in Page(page).first_screen()


def test_the_policy_allows_our_style_and_script_and_nothing_else() -> None:
    html = render_page(verified())
    page = Page(html)
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv"))
    hashes = {kind: _hash(page.raw[kind]) for kind in ("style", "script")}
    assert policy == (
        f"default-src 'none'; style-src {hashes['style']}; script-src {hashes['script']}; "
        "img-src data:; media-src data:; base-uri 'none'; form-action 'none'"
    )
    assert html.index("Content-Security-Policy") < html.index("<style>")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.mark.parametrize("name", ALL)
def test_no_request_and_no_inline_style_or_handler(name: str) -> None:
    page = Page(render_page(ALL[name]()))
    for tag, attrs in page.tags:
        assert tag not in ("link", "iframe", "img", "object", "embed", "form", "base")
        assert not [
            attribute for attribute in attrs if attribute.startswith("on") or attribute in ("style", "src")
        ]
        if tag != "a":
            assert (attrs.get("href") or "#").startswith("#")
    assert "url(" not in page.raw["style"]
    assert "@import" not in page.raw["style"]


def _run(text: str) -> WorkflowRun:
    words = dict.fromkeys(("url", "event", "head_sha", "status", "conclusion", "pending_approval"), text)
    job = Job(name=text, status=text, failed_step=text, url=text)
    return WorkflowRun(id=1, created_at=at(0), jobs=(job,), **words)


def hostile_decision(text: str) -> Decision:
    signals = [one.model_copy(update={"source": text, "evidence": text}) for one in DECISION.signals]
    return DECISION.model_copy(update={"reasons": (text,), "choice": text, "signals": tuple(signals)})


def hostile(text: str) -> Record:
    """Every string from outside is ``text``."""
    item = failed().items[3]
    return failed().model_copy(
        update={
            "environment": text,
            "release": text,
            "cluster": text,
            "namespace": text,
            "summary": text,
            "reason": text,
            "next_steps": text,
            "incident": text,
            "operator": text,
            "command_line": text,
            "decision": hostile_decision(text),
            "helm": Helm(ran=True, argv=("helm", text), stdout_tail=text, stderr_tail=text, version=text),
            "items": (
                item.model_copy(
                    update={
                        "id": text,
                        "title": text,
                        "expected": text,
                        "observed": text,
                        "command": text,
                        "evidence": (
                            evidence(text, text),
                            item.evidence[0].model_copy(update={"text": text}),
                        ),
                    }
                ),
            ),
            "samples": tuple(
                SamplePoint(at=at(second), series="replicas/deployment/x/y", value=1).model_copy(
                    update={"series": f"replicas/deployment/{text}/{text}"}
                )
                for second in (0, 5)
            ),
            "deliveries": (
                Delivery(to="slack", ok=False).model_copy(update={"answer": text, "message": {"text": text}}),
            ),
            "github": Github(
                repository=text,
                branch=text,
                target_commit=text,
                reverted_commits=(Commit(sha=text, author=text, title=text),),
                files=(text,),
                pull_request=PullRequest(number=7, url=text, head=text, state=text, pending_approval=text),
                reland=(text,),
                runs=(_run(text),),
                steps=(GithubStep(name=text, state=text, detail=text, url=text, began_at=at(0)),),
            ),
            "next_commands": (text,),
            "versions": {text: text},
            "timeline": (failed().timeline[0].model_copy(update={"event": text, "source": text}),),
        }
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_fault_47_hostile_strings_are_inert(text: str) -> None:
    html = render_page(Redactor().record(hostile(text)))
    page = Page(html.encode().decode())
    plain = Page(render_page(Redactor().record(hostile(re.sub("[^ ]+", "plain", text)))))
    tags = [[tag for tag, _ in each.tags if tag != "title"] for each in (page, plain)]  # of a cut label
    assert tags[0] == tags[1]
    assert page.raw == plain.raw
    for _, attrs in page.tags:
        assert not [attribute for attribute in attrs if attribute.startswith("on")]
        assert not (attrs.get("href") or "").startswith("javascript")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", html)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_fault_47_any_string_leaves_the_page_whole(text: str) -> None:
    page = Page(render_page(Redactor().record(hostile(text))))
    assert page.headings[0] == (1, "FAILED")


def test_what_is_in_words_is_in_the_picture_and_the_other_way_round() -> None:
    html = render_record(verified())
    assert html.count('<svg class="chart wide"') == html.count('<svg class="chart narrow"') == 2
    text = Page(html).text
    assert (
        "zkprova-zkprova-backend, 2026.11.4 (revision 5): ready replicas 0 from 11:50:40, 1 from 11:50:41"
        in text
    )
    assert "Health: 13 of 32 probes ok, ok from 11:50:43 to the end." in text
    assert "rollout-backend: PASS, 4.2 s." in text
    assert "Verdicts: 11 of 11, from 11:50:39 to 11:50:46." in text
    recovery = html[html.index('<svg class="chart wide"') : html.index("<figcaption>")]
    for item in verified().items:
        assert f"<title>{item.id}: PASS, " in recovery


def test_without_samples_it_says_so_and_without_items_there_is_no_chart() -> None:
    assert "The cluster was not sampled in this run." in render_record(verified(samples=()))
    assert "sampled" not in render_record(refused())
    assert 'class="chart' not in render_record(verified(items=(), samples=()))


def test_one_look_is_said_in_words_and_is_no_picture() -> None:
    once = tuple(SamplePoint(at=at(2), series=f"replicas/{name}/1.5.0", value=2) for name in ("a", "b"))
    html = render_record(verified(samples=once))
    assert 'id="zkr-recovery-t"' not in html
    assert "sampled" not in html
    assert "a, 1.5.0: ready replicas 2 from 11:50:41." in Page(html).text


def test_a_waiting_item_is_drawn_as_open() -> None:
    begun = running().items[5].model_copy(update={"started_at": at(5)})
    record = running().model_copy(update={"items": (*running().items[:5], begun)})
    assert "smoke: WAITING, not ended." in render_record(record)


def test_slack_message_is_shown_as_received() -> None:
    text = Page(render_record(verified())).text
    assert (
        "slack, verdict: received Its answer: 200 ok VERIFIED: zkprova rolled back in drill Environment drill"
        in text
    )
    odd = verified(deliveries=(Delivery(to="slack", ok=False, message={"blocks": ["x", {"type": 1}, {}]}),))
    assert '"blocks"' in Page(render_record(odd)).text
    bare = verified(
        deliveries=(Delivery(to="slack", ok=True, message={"text": SLACK_MESSAGE["text"] + " &lt;b&gt;"}),)
    )
    assert "in drill <b>" in Page(render_record(bare)).text


def test_a_link_in_a_message_and_a_comment_on_github_are_shown_as_read() -> None:
    link = {"type": "mrkdwn", "text": "Report: <https://ci.example/r?a=1&amp;b=2>"}
    blocks = {"text": "x", "blocks": [{"type": "section", "text": link}]}
    told = (
        Delivery(to="slack", ok=True, message=blocks),
        Delivery(to="github", ok=True, message={"body": "**VERIFIED**"}),
    )
    text = Page(render_record(verified(deliveries=told))).text
    assert "Report: https://ci.example/r?a=1&b=2 github, verdict: received **VERIFIED**" in text


def test_only_web_addresses_become_links() -> None:
    for incident, linked in (
        ("https://t.example/1", 1),
        ("INC-1", 0),
        ("javascript:alert(1)", 0),
        ("https://a b", 0),
    ):
        html = render_record(verified(incident=incident))
        assert html.count("noreferrer") == linked


@pytest.mark.parametrize("name", ALL)
def test_a_usual_page_is_below_300_kb(name: str) -> None:
    assert len(render_page(ALL[name]()).encode()) < 300_000


def test_fault_46_the_worst_page_is_below_2_mb() -> None:
    wall = evidence("a 10 MB line", "<&>" * 3_500_000, kind="log")
    worst = tuple(item.model_copy(update={"evidence": (wall,) * 6}) for item in items())
    samples = tuple(
        SamplePoint(
            at=at(index / 10),
            series=f"replicas/deployment/d{index % 10}/revision {index % 2}",
            value=index % 3,
        )
        for index in range(5000)
    )
    record = verified(
        items=worst, samples=samples, plan=verified().plan.model_copy(update={"diff": "+<\n" * 200_000})
    )
    html = render_page(record)
    assert len(html.encode()) < 2_000_000
    assert "characters left out here; they are in the JSON file" in html


def test_what_was_not_run_is_folded_and_green_commands_too() -> None:
    page = render_record(refused())
    assert "<strong>10 items</strong>: Not run: the rollback was refused." in page
    green = render_record(verified())
    assert green.count("<summary><h3>") == len(verified().items)


def test_what_failed_stands_first_and_open_and_what_passed_is_one_line_each() -> None:
    html = render_record(failed())
    checks = html[html.index('<section id="zkr-checks">') : html.index('<section id="zkr-guards">')]
    words = re.findall(r'<li id="zkr-item-[\w-]+" class="v-([a-z]+)-row">', checks)
    assert words == sorted(words, key=["fail", "unverified", "waived", "pass"].index)
    assert words[0] == "fail"
    assert checks.count("<summary><h3>") == words.count("pass") > 0


def test_the_sections_stand_in_the_order_of_the_contents_list_and_each_has_an_id() -> None:
    page = Page(render_page(verified()))
    sections = [attrs.get("id") for tag, attrs in page.tags if tag == "section"]
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links[: len(sections)] == [f"#{each}" for each in sections]
    assert sections == [
        f"zkr-{each}"
        for each in (
            *("todo", "happened", "changed", "checks", "guards"),
            *("helm", "told", "evidence", "diff", "post-mortem", "about"),
        )
    ]


@pytest.mark.parametrize(("name", "urgent"), [("failed", True), ("verified", False), ("refused", True)])
def test_do_now_stands_only_where_users_are_not_served(name: str, urgent: bool) -> None:
    assert ("Do now" in Page(render_page(ALL[name]())).text) is urgent


def test_guards_that_found_nothing_are_folded() -> None:
    html = render_record(verified())
    assert "<summary>2 guards found nothing against it</summary>" in html
    assert html.index("WARNED") < html.index("found nothing against it") < html.index("has the pinned UID")


def test_a_duration_of_nothing_is_left_out() -> None:
    item = verified().items[0].model_copy(update={"started_at": at(1), "finished_at": at(1.01)})
    html = render_record(verified(items=(item, *verified().items[1:])))
    checks = html[html.index('id="zkr-checks"') : html.index('id="zkr-guards"')]
    assert "0.0 s" not in checks


def test_the_band_is_explained_where_helm_ran() -> None:
    assert "the shaded band is helm's run" in render_record(verified())
    assert "the shaded band" not in render_record(verified(helm=Helm()))


def test_the_pictures_begin_with_the_first_look_and_show_what_was_wanted() -> None:
    late = verified(started_at=at(-60))
    html = render_record(late)
    assert "Times are UTC, of 2026-11-23. 0 is helm&#39;s start, 11:50:40." in html
    axis = html[html.index('id="zkr-recovery-t"') : html.index('id="zkr-recovery-narrow-t"')]
    marks = re.findall(r'text-anchor="middle">([^<]+)</text>', axis)
    assert marks[:3] == ["-1 s", "0", "1 s"]
    points = (SamplePoint(at=at(0), series="wanted/zkprova-zkprova-backend", value=3), *verified().samples)
    html = render_record(verified(samples=points))
    assert (
        "zkprova-zkprova-backend, 2026.11.4 (revision 5): ready replicas (3 wanted) 0 from" in Page(html).text
    )
    assert re.search(r'text-anchor="end">3</text>', html)


def test_a_drill_that_has_ended_says_so_once() -> None:
    assert "The drill's cluster has ended with its run" in render_record(verified(drill="ended"))
    assert "The drill's cluster" not in render_record(verified(drill="kept"))


def test_labels_of_versions_that_come_and_go_at_once_cover_each_other_nowhere() -> None:
    points = [
        SamplePoint(at=at(second), series=f"replicas/zkprova-zkprova-backend/{tag}", value=value)
        for tag, values in (("1.9.0-a7d20c4", (3, 0, 0)), ("1.8.0-3f9c2e1", (0, 3, 3)))
        for second, value in zip((4.0, 4.2, 9.0), values, strict=True)
    ]
    page = render_page(verified(samples=tuple(points)))
    labels = re.findall(
        r'<text class="sub (?:good|bad|other)[a-z ]*" x="([\d.]+)" y="([\d.]+)">([^<]+)', page
    )
    labels = labels[:2]  # of the wide picture
    (x, y, text), (other_x, other_y, _) = sorted(labels)
    assert float(other_x) < float(x) + 6 * len(text), "they would not meet anyway: the test shows nothing"
    assert abs(float(y) - float(other_y)) >= 12
