"""Telling by a comment on GitHub, against GitHub's own description of the operation."""

import pytest

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.config.environment import GithubActions, Notify
from pytest_zkrollback.domain.errors import NotifyProblem
from pytest_zkrollback.domain.github import Github, PullRequest
from pytest_zkrollback.domain.notification import Notification
from pytest_zkrollback.domain.record import NotificationEvent, Outcome
from pytest_zkrollback.domain.verdict import evidence
from pytest_zkrollback.notify.github_comment import choose_github_comment, choose_number, render_comment
from support.example_records import failed, running, verified
from support.fake_github import REPOSITORY, TOKEN, FakeGitHub
from support.github_operator import table

PULL = Github(
    repository=REPOSITORY,
    branch="main",
    pull_request=PullRequest(number=42, url="https://github.example/p", head="abc", state="merged"),
)


@pytest.fixture
def github(tmp_path):
    with FakeGitHub(tmp_path) as fake:
        yield fake


def channel(github, issue=12, timeout_s=5.0):
    actions = GithubActions(**{**table(github.url), "token_env": "TOKEN"})
    notify = Notify(github_issue=issue, timeout_s=timeout_s)
    return choose_github_comment(actions, notify, {"TOKEN": TOKEN}, SystemClock(), lambda text: None)


def news(event=NotificationEvent.VERDICT, record=None, **more):
    return Notification(event=event, record=record or verified(), **more)


def test_start_verdict_and_change_are_three_comments(github):
    told = channel(github)
    told.tell(news(NotificationEvent.START, running()))
    delivery = told.tell(news())
    told.tell(news(NotificationEvent.CHANGED, failed(), before=Outcome.VERIFIED))
    assert [number for number, _ in github.comments] == [12, 12, 12]
    start, verdict, changed = (body for _, body in github.comments)
    assert start.startswith("**STARTED: drill, rollback of zkprova to revision 5**\n")
    assert "| Who | ada@&#8203;workstation |" in start
    assert verdict.startswith("**VERIFIED: drill, rollback of zkprova to revision 5**\n\n## VERIFIED: ")
    assert changed.startswith("**FAILED, no longer VERIFIED: drill, rollback of zkprova to revision 5**\n")
    assert "This corrects the earlier message, which said VERIFIED." in changed
    assert delivery.answer == f"https://github.example/{REPOSITORY}/issues/12#issuecomment-2"


def test_fault_47_a_huge_and_hostile_record_fits_and_mentions_nobody(github):
    text = "@octocat <script>alert(1)</script> #1 [x](https://evil.example) `\n" * 4000
    items = tuple(
        item.model_copy(update={"observed": text, "evidence": (evidence(text[:200], text),)})
        for item in failed().items
    )
    record = failed().model_copy(update={"items": items * 3, "reason": text})
    channel(github).tell(news(record=record))
    [(_, body)] = github.comments
    assert 30_000 < len(body) <= 60_000
    outside = "".join(body.split("```")[::2])
    assert "<script>" not in outside
    assert "@octocat" not in outside


@pytest.mark.parametrize(
    ("issue", "incident", "github", "number"),
    [
        (7, "INC-1", None, 7),
        ("incident", "#12", None, 12),
        ("incident", f"https://github.com/{REPOSITORY}/issues/12", None, 12),
        ("incident", f"https://ghe.example/{REPOSITORY.upper()}/pull/12#discussion", None, 12),
        ("incident", "https://github.com/somebody/else/issues/12", None, None),
        ("incident", "INC-4711", None, None),
        ("incident", "INC-4711", PULL, 42),
        ("incident", "#12", PULL, 12),
    ],
)
def test_which_issue_is_commented_on(issue, incident, github, number):
    record = verified(incident=incident, github=github)
    assert choose_number(issue, REPOSITORY, record) == number


def test_where_a_run_names_no_issue_there_is_nothing_to_tell(github):
    assert channel(github, "incident").tell(news(record=verified(incident="INC-1"))) is None
    assert github.requests == []


@pytest.mark.parametrize(
    ("prepare", "said", "maybe"),
    [
        (lambda github: github.permissions.pop("issues"), "needs issues=write", False),
        (lambda github: github.answers.append(("POST", (410, {"message": "locked"}, {}))), "HTTP 410", False),
        (
            lambda github: github.answers.append(("POST", (502, {"message": "bad"}, {}))),
            "GitHub failed",
            True,
        ),
        (lambda github: github.lost.append("POST"), "It may have been carried out all the same.", True),
    ],
    ids=["no-permission", "locked", "5xx", "no-answer"],
)
def test_what_github_answers_is_said_and_never_sent_twice(github, prepare, said, maybe):
    prepare(github)
    with pytest.raises(NotifyProblem) as raised:
        channel(github).tell(news())
    assert said in str(raised.value)
    assert raised.value.maybe_sent is maybe
    assert len(github.requests) == 1


def test_the_comment_of_a_verdict_links_to_the_report():
    body = render_comment(news(record=verified(report="https://ci.example/r.html")))
    assert "\nReport: https://ci.example/r.html\n" in body
