"""What the bad revision brought, on page and Markdown."""

import pytest

from pytest_zkrollback.domain.commit_range import CommitRange, SourceCommit
from pytest_zkrollback.report.html import render_record
from pytest_zkrollback.report.markdown import render_markdown
from support.example_records import at, verified
from support.html_page import HOSTILE, Page

GOOD, BAD = "a" * 40, "b" * 40
LINKS = {"commit": "https://code.example/o/r/commit/{commit}"}


def commits(*subjects, **changes):
    found = tuple(
        SourceCommit(sha=f"{number:040x}", author="Ada Lovelace", at=at(-9000), subject=subject)
        for number, subject in enumerate(subjects, start=0xABC)
    )
    known = {"good": GOOD, "bad": BAD, "count": len(found), "commits": found}
    return CommitRange(good_revision=5, bad_revision=6, **{**known, **changes})


def test_each_commit_stands_with_its_author_and_its_link():
    record = verified(commits=commits("Smaller pool", "Bump"), links=LINKS)
    page = Page(render_record(record))
    assert "New commits in revision 6" in [text for _, text in page.headings]
    sha = f"{0xABC:040x}"
    url = f"https://code.example/o/r/commit/{sha}"
    assert url in [attrs.get("href") for tag, attrs in page.tags if tag == "a"]
    assert f"{sha[:10]} Smaller pool Ada Lovelace, 2026-11-23 09:20:39 UTC" in page.text
    markdown = render_markdown(record)
    assert "### New commits in revision 6\n\n2 commits since revision 5.\n\n- [" in markdown
    assert f"- [{sha[:10]}](<{url}>) Smaller pool (Ada Lovelace, 2026-11-23 09:20:39 UTC)\n" in markdown


def test_without_the_link_commit_they_are_plain():
    record = verified(commits=commits("Smaller pool"))
    assert "code.example" not in render_record(record)
    assert "- `0000000000` Smaller pool (Ada Lovelace, " in render_markdown(record)


@pytest.mark.parametrize(
    ("found", "counted", "remark"),
    [
        (
            commits(count=None, problem="The git checkout does not know bbbbbbb: fetch it."),
            "",
            "The commits are not known. The git checkout does not know bbbbbbb: fetch it.",
        ),
        (
            commits(),
            "No commit since revision 5.",
            "Commit bbbbbbbbbb of revision 6 holds nothing that aaaaaaaaaa does not.",
        ),
        (
            commits(bad=GOOD),
            "No commit since revision 5.",
            "Both revisions are made of commit aaaaaaaaaa.",
        ),
        (
            commits("one", count=61),
            "61 commits since revision 5.",
            "60 older commits not shown here.",
        ),
    ],
)
def test_what_the_list_does_not_show_is_said(found, counted, remark):
    record = verified(commits=found)
    assert f"New commits in revision 6 {counted}".strip() in Page(render_record(record)).text
    assert remark in Page(render_record(record)).text
    assert f"### New commits in revision 6\n\n{counted}" in render_markdown(record)
    assert f"\n{remark}\n" in render_markdown(record)


def test_where_no_checkout_is_configured_nothing_is_said():
    assert "zkr-commits" not in render_record(verified())
    assert "New commits" not in render_markdown(verified())


def test_a_subject_stays_text():
    page = Page(render_record(verified(commits=commits(*HOSTILE[:6]), links=LINKS)))
    assert not any(tag == "script" for tag, _ in page.tags)
    markdown = render_markdown(verified(commits=commits("](https://evil.example) @all #1 <b>")))
    assert "\\](https:&#8203;//evil.example) @&#8203;all #&#8203;1 &lt;b&gt; (Ada" in markdown


def test_without_a_date_a_commit_has_its_author_alone():
    known = commits("Smaller pool")
    record = verified(
        commits=known.model_copy(update={"commits": (known.commits[0].model_copy(update={"at": None}),)})
    )
    assert "Smaller pool Ada Lovelace" in Page(render_record(record)).text
    assert "Smaller pool (Ada Lovelace)\n" in render_markdown(record)
