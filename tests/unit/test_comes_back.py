"""What brings the bad version back: the runbook's auto-staging first, then owners, then queued deploys."""

import pytest
from example_records import checked_only, rehearsal, revision, verified

from pytest_zkrollback.domain.github import Github, PullRequest
from pytest_zkrollback.domain.model import Mode, Plan
from pytest_zkrollback.release.owners import ARGO, FLUX_HELM, Owner
from pytest_zkrollback.rollback.comes_back import Branch, QueuedDeploy, judge_comes_back

BAD = revision(6, "superseded", 760, "1.9.0-a7d20c4")
ON_MAIN = (
    "Commit a7d20c4 of revision 6 is on origin/main: the next merge ships it again. First: git revert a7d20c4"
)
PROBABLY = (
    "Commit a7d20c4 of revision 6 is probably still on main: then the next merge ships it again. "
    "First: git revert a7d20c4"
)


def record(bad=BAD, **changes):
    return verified(plan=Plan(bad=bad), **changes)


@pytest.mark.parametrize(
    ("found", "branch", "sentences"),
    [
        (record(), Branch("origin/main", True), (ON_MAIN,)),
        (record(), Branch("origin/main", False), ()),
        (record(), Branch(), (PROBABLY,)),
        (
            record(),
            Branch("origin/main", None, "The git checkout does not know a7d20c4: fetch it"),
            (
                "Commit a7d20c4 of revision 6 is probably still on origin/main: then the next merge ships it again "
                "(The git checkout does not know a7d20c4: fetch it). First: git revert a7d20c4",
            ),
        ),
        (
            record(revision(6, "superseded", 760, "1.9.0")),
            Branch(),
            (
                "The commit of revision 6 is probably still on main: then the next merge ships it again. "
                "First: revert it there.",
            ),
        ),
        (record(mode=Mode.VERIFY), Branch(), (PROBABLY,)),
        (record(mode=Mode.RECOVER), Branch(), (PROBABLY,)),
        (record(bad=None), Branch(), ()),
        (rehearsal(), Branch(), ()),
    ],
)
def test_the_bad_commit_that_ships_with_the_next_merge(found, branch, sentences):
    assert judge_comes_back(found, branch) == sentences


def through_github(state):
    pull = PullRequest(number=7, url="https://github.example/o/r/pull/7", head="abc", state=state)
    return record(mode=Mode.GITHUB, github=Github(repository="o/r", branch="main", pull_request=pull))


@pytest.mark.parametrize(
    ("state", "sentences"),
    [
        ("merged", ()),
        ("open", ("Pull request #7 is not merged: main ships the bad commit until it is.",)),
    ],
)
def test_through_github_the_merge_takes_it_off_main(state, sentences):
    assert judge_comes_back(through_github(state)) == sentences


def test_owners_and_queued_deploys_follow():
    owners = (
        Owner(ARGO, "shop", "argocd", "Deployment/web", "annotation"),
        Owner(FLUX_HELM, "web", "flux-system", "Deployment/web", "label", idle="it is suspended"),
    )
    queued = [QueuedDeploy(f"https://github.example/runs/{n}", "waiting", "a7d20c4ffff") for n in range(5)]
    assert judge_comes_back(record(), Branch("origin/main", True), owners, queued)[:4] == (
        ON_MAIN,
        "Argo CD Application argocd/shop puts back what its source says, perhaps within minutes. First: suspend it, "
        "or revert there.",
        "Flux HelmRelease flux-system/web puts back what its source says once it acts again (it is suspended). "
        "First: revert there.",
        "A deploy of commit a7d20c4 is waiting: https://github.example/runs/0. First: cancel it, unless that is the "
        "good commit.",
    )
    assert len(judge_comes_back(record(), Branch(), owners, queued)) == 6


def test_after_a_rollback_by_hand_the_bad_revision_is_the_one_before():
    assert judge_comes_back(checked_only())[0].startswith(
        "The commit of revision 6 is probably still on main"
    )
