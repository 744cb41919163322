"""GitHub's answers for one deploy by push or by dispatch, without a server and without git: any one can be bent.

``CannedGithub`` stands in the place of the HTTP client. What it was asked to change it remembers.
"""

import json
import re
from datetime import UTC, datetime

import pytest

from pytest_zkrollback.clients import github as client
from pytest_zkrollback.domain.ports import HttpAnswer
from support.github_operator import operate
from support.stepping_clock import SteppingClock

GOOD, BAD, OURS, MERGE = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)
GOOD_TREE, BAD_TREE = "1" * 40, "2" * 40
PAGE = "https://github.example/o/r"


def commit(sha, tree):
    text = {"message": "one\n\ntwo", "tree": {"sha": tree}, "author": {"name": "Ada"}}
    return {"sha": sha, "commit": text, "author": {"login": "ada"}}


def git_commit(sha):
    tree = BAD_TREE if sha == BAD else GOOD_TREE
    return {"sha": sha, "tree": {"sha": tree}, "parents": [{"sha": BAD}]}


class CannedGithub:
    """``bend``: (pattern of "METHOD path", status, body as bytes or None for the good one bent by ``change``)."""

    def __init__(self, pattern="", status=200, body=None, change=None, headers=None, most=10_000, skip=0):
        self.pattern, self.status, self.body, self.change = pattern, status, body, change
        self.headers, self.most, self.skip = headers or {}, most, skip
        self.sent, self.done, self.bent = [], [], 0
        self.branch = self.pull = self.merged = self.refused_once = False
        self.dispatched = 0
        self.looked = 0

    def send(self, method, url, body=None, **_):
        path = url.partition("/repos/o/r")[2].partition("?")[0].lstrip("/")
        query = url.partition("?")[2]
        line = f"{method} {path}"
        if method != "GET":
            self.sent.append(line)
        bends = bool(self.pattern) and re.fullmatch(self.pattern, line) and self.bent < self.most
        if bends and self.skip:
            self.skip, bends = self.skip - 1, False
        refuses = bends and (300 <= self.status < 500)  # then nothing was carried out
        status, good = (0, None) if refuses else self._answer(method, path, query)
        if method != "GET" and not refuses:
            self.done.append(line)
        data, headers = json.dumps(good).encode(), {}
        if bends:
            self.bent += 1
            status, headers = self.status or status, self.headers
            data = self.body if self.body is not None else json.dumps(self.change(good)).encode()
        return HttpAnswer(status, headers, data, truncated=False, duration_s=0.0)

    def _answer(self, method, path, query):
        for kind, pattern, answer in ROUTES:
            found = re.fullmatch(pattern, path)
            if kind == method and found:
                return answer(self, query, *found.groups())
        return 404, {"message": "Not Found"}  # a number that only a bent answer named

    def shown_pull(self):
        return {
            "number": 42,
            "html_url": f"{PAGE}/pull/42",
            "state": "closed" if self.merged else "open",
            "head": {"ref": "hotfix/rollback-aaaaaaaaaaaa", "sha": OURS},
            "merged": self.merged,
            "merged_at": "2026-11-29T02:30:00Z" if self.merged else None,
            "merge_commit_sha": MERGE if self.merged else None,
            "mergeable_state": "clean",
        }

    def runs(self, query):
        event = "workflow_dispatch" if self.dispatched else "push"
        shown = self.dispatched or (self.merged and "event=" not in query)
        return 200, {"total_count": 1, "workflow_runs": [self.shown_run(event)] if shown else []}

    def shown_run(self, event=None):
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.looked += 1
        ended = self.looked > 3
        return {
            "id": 1000,
            "html_url": f"{PAGE}/actions/runs/1000",
            "event": event or ("workflow_dispatch" if self.dispatched else "push"),
            "head_sha": MERGE if self.merged else BAD,
            "status": "completed" if ended else "waiting",
            "conclusion": "success" if ended else None,
            "created_at": at,
            "updated_at": at,
            "run_attempt": 1,
            "display_title": "Deploy",
        }

    def post_ref(self, _query):
        self.branch = True
        return 201, {"object": {"sha": OURS}}

    def post_pull(self, _query):
        self.pull = True
        return 201, self.shown_pull()

    def get_ref(self, _query, name):
        if name == "main":
            return 200, {"object": {"sha": MERGE if self.merged else BAD}}
        return (200, {"object": {"sha": OURS}}) if self.branch else (404, {"message": "Not Found"})

    def put_merge(self, _query):
        if not self.refused_once:
            self.refused_once = True
            return 405, {"message": "At least 1 approving review is required."}
        assert not self.merged, "merged twice"
        self.merged = True
        return 200, {"sha": MERGE, "merged": True}

    def post_dispatch(self, _query):
        self.dispatched += 1
        return 200, {"workflow_run_id": 1000, "html_url": f"{PAGE}/actions/runs/1000"}


C = CannedGithub
JOB = {"name": "deploy", "status": "completed", "conclusion": "success", "html_url": f"{PAGE}/job/1"}
PENDING = {"environment": {"name": "staging"}, "wait_timer": 5, "reviewers": [
    {"type": "User", "reviewer": {"login": "grace"}}, {"type": "Team", "reviewer": {"name": "ops", "slug": "ops"}},
]}  # fmt: skip
COMPARED = {
    "status": "ahead", "ahead_by": 1, "total_commits": 1, "commits": [commit(BAD, BAD_TREE)],
    "files": [{"filename": "migrations/1.sql"}],
}  # fmt: skip
REPOSITORY = {"archived": False, "permissions": {"push": True}, "allow_merge_commit": True}
RULE = {"type": "pull_request", "parameters": {"required_approving_review_count": 1}}
WORKFLOW = {"id": 8, "name": "Deploy", "path": ".github/workflows/deploy.yml", "state": "active"}
ROUTES = [
    ("GET", r"", lambda self, _: (200, REPOSITORY)),
    ("GET", r"branches/main", lambda self, _: (200, {"commit": commit(BAD, BAD_TREE), "protected": True})),
    ("GET", r"actions/workflows", lambda self, _: (200, {"workflows": [WORKFLOW]})),
    ("GET", r"rules/branches/main", lambda self, _: (200, [RULE])),
    ("GET", r"pulls", lambda self, _: (200, [self.shown_pull()] if self.pull else [])),
    ("GET", r"commits/\w+", lambda self, _: (200, commit(GOOD, GOOD_TREE))),
    ("GET", r"compare/.*", lambda self, _: (200, COMPARED)),
    ("GET", r"actions/workflows/8/runs", C.runs),
    ("GET", r"git/ref/heads/(.*)", C.get_ref),
    ("GET", r"git/commits/(\w+)", lambda self, _, sha: (200, git_commit(sha))),
    ("POST", r"git/commits", lambda self, _: (201, git_commit(OURS))),
    ("POST", r"git/refs", C.post_ref),
    ("POST", r"pulls", C.post_pull),
    ("GET", r"pulls/42", lambda self, _: (200, self.shown_pull())),
    ("GET", r"pulls/42/reviews", lambda self, _: (200, [{"state": "APPROVED", "user": {"login": "grace"}}])),
    ("GET", r"pulls/42/requested_reviewers", lambda self, _: (
        200, {"users": [{"login": "linus"}], "teams": [{"name": "ops", "slug": "ops"}]})),
    ("PUT", r"pulls/42/merge", C.put_merge),
    ("GET", r"actions/runs/1000", lambda self, _: (200, self.shown_run())),
    ("GET", r"actions/runs/1000/jobs", lambda self, _: (200, {"jobs": [
        {**JOB, "steps": [{"name": "helm upgrade", "conclusion": "success"}]}]})),
    ("GET", r"actions/runs/1000/pending_deployments", lambda self, _: (200, [PENDING])),
    ("POST", r"actions/workflows/8/dispatches", C.post_dispatch),
    ("POST", r"issues/12/comments", lambda self, _: (201, {"html_url": f"{PAGE}/issues/12#1"})),
]  # fmt: skip


def operated(canned, token="ghs_token", **asked):
    """The command, with these answers."""
    clock = SteppingClock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "HttpClient", lambda **_: canned)
        return operate(
            "https://api.example", asked.pop("folder"), token, clock=clock,
            settings={"repository": "o/r", "start_timeout_s": 1, "approval_timeout_s": 60, "run_timeout_s": 60,
                      "poll_s": 1},
            **asked,
        )  # fmt: skip
