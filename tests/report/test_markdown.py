"""Markdown for a ticket: complete, within the limits, and inert."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pytest_zkrollback.domain.record import Outcome
from pytest_zkrollback.domain.verdict import Verdict, evidence
from pytest_zkrollback.report.markdown import LIMIT, block, code, escaped, render_markdown
from pytest_zkrollback.report.redaction import Redactor
from pytest_zkrollback.report.summary import rows
from support.example_records import ALL, failed, items, running, verified, waived


def test_head_and_checklist_as_a_whole() -> None:
    text = render_markdown(waived())
    assert text.startswith(
        "## VERIFIED WITH WAIVERS: zkprova rolled back from 6 to 5 in drill\n"
        "\n"
        "**It is over: users are served again since 11:50:43 UTC, as far as it was checked.** Release "
        "zkprova, environment drill, is back on revision 5 (zkprova-1.5.0), live as revision 7: 10 of "
        "11 checks passed. Not checked: smoke test (skipped by ada@&#8203;workstation: the staging host "
        "is being moved).\n"
        "\n"
        "| | |\n"
        "|---|---|\n"
        "| Users affected | 12 min 05 s by the operator's word: from 2026-11-23 11:38:39 UTC to "
        "11:50:43 UTC (/health passes). Before helm: /health answers HTTP 503. Since helm began: "
        "/health failed 14 of 27 times. |\n"
        "| Live now | Revision 7 (a rollback to 5, zkprova-1.5.0), since 2026-11-23 11:50:40 UTC. Ready "
        "pods: zkprova-zkprova-backend 2 and zkprova-zkprova-frontend 2 |\n"
        "| Rolled back from | Revision 6 (zkprova-1.6.0). Deployed 2026-11-23 11:37:59 UTC. |\n"
        "| Reason | backend crash-loops since 2026.11.5 |\n"
        "| Incident | https://tracker.example/INC-4711 |\n"
        "| Operator | ada@&#8203;workstation |\n"
        "| Told | slack: the verdict |\n"
        "| Warned | before the change, and it went ahead: target: Revision 5 was rolled back away from "
        "once |\n"
        "| Not checked | smoke test (waived); identity-unpinned: This environment pins no cluster "
        "identity |\n"
        "| Checked | 11 items: 10 PASS, 1 WAIVED. All other checks passed at 11:50:46 UTC, 5.9 s after "
        "helm; not watched since. |\n"
        "| Recovery | All checks passed 6.3 s after helm's start; /health passes since 11:50:43 UTC, "
        "3.5 s after it. |\n"
        "| Helm | HELM RAN: once, exit code 0, took 0.4 s |\n"
        "| Operator's next steps | fix POOL_SIZE, then deploy 2026.11.6 |\n"
        "| Environment | `drill (drill (https://127.0.0.1:36443))` |\n"
        "| Release | zkprova in namespace zkprova |\n"
        "| Revisions | before 6, target 5, after 7 |\n"
        "| Run | 2026-11-23 11:50:39 UTC, took 7.6 s |\n"
        "\n"
        "### To do\n"
        "\n"
        "| | What | Why | Owner | By when |\n"
        "|---|---|---|---|---|\n"
        "| 1 | Check what was skipped: smoke test | skipped by ada@&#8203;workstation: the staging host "
        "is being moved | nobody named | not said |\n"
        "| 2 | fix POOL_SIZE, then deploy 2026.11.6 | next steps, in the words of "
        "ada@&#8203;workstation | nobody named | not said |\n"
        "\n"
        "```sh\n"
        "# 1. Check what was skipped: smoke test\n"
        "bash scripts/smoke-test.sh http://127.0.0.1:18080\n"
        "```\n"
    )
    assert (
        "| ⚪ WAIVED | Smoke tests<br>`smoke` | Left out by the operator: the staging host is being moved. "
        "| 11:50:46 |\n"
    ) in text
    assert "- OVERRIDDEN `smoke` (item): the staging host is being moved\n" in text


@pytest.mark.parametrize("name", ALL)
def test_it_says_no_less_than_the_head_of_the_page(name: str) -> None:
    record = ALL[name]()
    text = render_markdown(record)
    for row in rows(record):
        assert f"| {row.name} | " in text
        shown = (row.text, escaped(row.text, 1000), code(row.text, 200).replace("|", "\\|"))
        assert any(each in text for each in shown)


def test_a_running_record_says_that_it_is_no_result() -> None:
    text = render_markdown(running())
    assert text.startswith("## NOT FINISHED: ")
    assert "this is no result" in text


@pytest.mark.parametrize("name", ALL)
def test_every_item_and_verdict_is_there(name: str) -> None:
    record = ALL[name]()
    text = render_markdown(record)
    for item in record.items:
        assert f"`{item.id}`" in text
        assert f" {item.verdict or ''}" in text


def test_evidence_of_what_is_red_only() -> None:
    text = render_markdown(failed())
    assert "<summary>FAIL rollout-backend: evidence</summary>" in text
    assert "rollout-frontend: evidence" not in text


@given(st.text(max_size=80))
def test_fault_47_text_makes_no_markup(text: str) -> None:
    (paragraph,) = MarkdownIt("commonmark").parse(f"x {escaped(text)} x")[1:2]
    kinds = {child.type for child in paragraph.children or ()}
    assert kinds <= {"text", "text_special"}


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("@channel and #12", "@&#8203;channel and #&#8203;12"),
        ("<!channel> <b>", "&lt;!channel&gt; &lt;b&gt;"),
        ("[x](https://y)", "\\[x\\](https:&#8203;//y)"),
        ("**b** `c` a|b ~~d~~ $e$", "\\*\\*b\\*\\* \\`c\\` a\\|b \\~\\~d\\~\\~ \\$e\\$"),
        ("_a_ b_c", "\\_a\\_ b_c"),
        ("a\n\n# b", "a # b"),
    ],
)
def test_fault_47_escapes(text: str, safe: str) -> None:
    assert escaped(text) == safe


def test_code_cannot_be_ended_from_inside() -> None:
    assert code("a`b``c") == "```a`b``c```"
    assert code("`") == "`` ` ``"
    assert block("```\nx", "", 100) == "````\n```\nx\n````\n"
    assert (
        block("a" * 50, "sh", 20) == f"```sh\n{'a' * 10}\n[... 30 characters left out ...]\n{'a' * 10}\n```\n"
    )


def test_it_stays_within_the_limit_and_says_what_is_left_out() -> None:
    wall = tuple(
        item.model_copy(update={"observed": "<" * 900, "evidence": (evidence("e", "<`>" * 9000),) * 9})
        for item in items(logs=(Verdict.FAIL, "x"), smoke=(Verdict.FAIL, "y"), events=(Verdict.FAIL, "z"))
    )
    record = verified(items=wall, outcome=Outcome.FAILED, reason="r" * 100_000, summary="s" * 9000)
    text = render_markdown(record)
    assert len(text) <= LIMIT
    assert "more parts are in the HTML and JSON files" in text
    assert text.endswith("`zkrollback.record/1`, 3 places blanked (known or likely secrets)\n")
    assert len(render_markdown(record, 1500)) <= 1500


def test_fault_47_pipes_do_not_break_the_tables() -> None:
    record = Redactor().record(verified(environment="a|b", operator="c|d"))
    text = render_markdown(record)
    assert "| Environment | `a\\|b (" in text
    assert "| Operator | c\\|d |" in text
