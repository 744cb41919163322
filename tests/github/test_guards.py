"""What the branch's rules and a long comparison say before anything is changed at GitHub (P26 to P28)."""

import pytest

from support import canned_github
from support.canned_github import COMPARED, GOOD, CannedGithub, operated

PULL_RULE = {"type": "pull_request", "parameters": {"required_approving_review_count": 0}}
QUEUE = {"type": "merge_queue", "parameters": {"merge_method": "MERGE", "max_entries_to_build": 5}}
SIGNED = {"type": "required_signatures"}
PROTECTED = {"commit": canned_github.commit(canned_github.BAD, canned_github.BAD_TREE), "protected": True}


def judged(tmp_path, pattern, answer, token="ghp_classic", **asked):
    asked = asked or {"commit": GOOD}
    canned = CannedGithub(f"GET {pattern}", status=0, change=lambda good: answer)
    return canned, operated(canned, folder=tmp_path, token=token, **asked)


def test_case_p26_a_merge_queue_is_known_before_anything_is_done(tmp_path):
    canned, result = judged(tmp_path, "rules/branches/main", [PULL_RULE, QUEUE])
    guard = result.guards["branch-rules"]
    assert (guard.state, guard.reason) == ("refused", "merge-queue")
    assert guard.evidence == "main has a merge queue, which alone merges there"
    assert "--rollback-no-merge" in guard.consequence and guard.override
    assert canned.sent == []


def test_case_p26_the_pull_request_alone_may_be_opened(tmp_path):
    canned, result = judged(tmp_path, "rules/branches/main", [PULL_RULE, QUEUE], commit=GOOD, no_merge=True)
    assert "branch-rules" not in result.guards
    assert canned.sent == ["POST git/commits", "POST git/refs", "POST pulls"]


def test_case_p26_a_queue_that_the_rules_do_not_show_ends_the_waiting(tmp_path):
    canned = CannedGithub(
        "PUT pulls/42/merge", status=405, body=b'{"message": "Changes must be made through the merge queue"}'
    )
    result = operated(canned, folder=tmp_path, commit=GOOD)
    assert "main has a merge queue (Changes must be made through the merge queue)" in str(result.error)
    assert canned.sent.count("PUT pulls/42/merge") == 1
    assert result.github.pull_request.state == "open"


@pytest.mark.parametrize(
    ("rules", "state", "evidence"),
    [
        ([], "warned", "not known: the branch is protected by a classic rule, whose reviews are not shown"),
        (
            [SIGNED],
            "warned",
            "not known: the branch is protected by a classic rule, whose reviews are not shown",
        ),
        ([PULL_RULE], "ok", "the branch's rules ask for no review"),
    ],
)
def test_case_p27_a_classic_rule_is_not_no_rule(tmp_path, rules, state, evidence):
    guard = judged(tmp_path, "rules/branches/main", rules)[1].guards["reviews"]
    assert (guard.state, guard.evidence) == (state, evidence)
    assert guard.unknown is (state == "warned")


def test_case_p27_an_unprotected_branch_asks_for_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(PROTECTED, "protected", False)
    routes = [
        route if route[1] != r"rules/branches/main" else (*route[:2], lambda self, _: (200, []))
        for route in canned_github.ROUTES
    ]
    monkeypatch.setattr(canned_github, "ROUTES", routes)
    guards = judged(tmp_path, "branches/main", PROTECTED)[1].guards
    assert (guards["reviews"].state, guards["branch-rules"].state) == ("ok", "ok")


@pytest.mark.parametrize(
    ("token", "linear", "state"), [("ghp_classic", False, "refused"), ("ghs_app", False, "warned"), ("ghp_classic", True, "warned")]
)  # fmt: skip
def test_required_signatures_are_known_before_anything_is_done(tmp_path, token, linear, state):
    rules = [PULL_RULE, SIGNED, *([{"type": "required_linear_history"}] if linear else [])]
    canned, result = judged(tmp_path, "rules/branches/main", rules, token)
    guard = result.guards["branch-rules"]
    assert (guard.state, guard.reason) == (state, "signatures")
    assert "main takes signed commits only" in guard.evidence
    assert bool(canned.sent) is (state == "warned")


@pytest.mark.parametrize(
    ("files", "state"),
    [
        ([{"filename": f"f{number}"} for number in range(299)], "ok"),
        ([{"filename": f"f{number}"} for number in range(300)], "warned"),
        ([{"filename": "same"}] * 300, "warned"),
        (None, "warned"),
    ],
)
def test_case_p28_a_comparison_that_is_cut_is_not_all(tmp_path, files, state):
    _, result = judged(tmp_path, "compare/.*", {**COMPARED, "files": files})
    guard = result.guards["workflow-files"]
    assert guard.state == state
    if state == "warned":
        assert guard.unknown
        assert guard.evidence.startswith("not all files are shown: GitHub lists ")
        assert result.github.all_files is False
