"""What could bring back what was rolled back from: the runbook's auto-staging first, then owners, then queued deploys."""

import pytest

from pytest_zkrollback.domain.github import Github, PullRequest
from pytest_zkrollback.domain.record import Helm, Mode, Outcome, Plan
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.release.gitops import ARGO, FLUX_HELM, GitOpsOwner
from pytest_zkrollback.rollback.redeploy_risks import (
    Branch,
    QueuedDeploy,
    find_rolled_back_from,
    judge_redeploy_risks,
)
from support.example_records import rehearsal, revision, verified
from support.run_states import state_of

BAD = revision(6, "superseded", 760, "1.9.0-a7d20c4")
ON_MAIN = (
    "Commit a7d20c4 of revision 6 is on origin/main: the next merge ships it again. First: git revert a7d20c4"
)
PROBABLY = (
    "Commit a7d20c4 of revision 6 is probably still on main: then the next merge ships it again. "
    "First: git revert a7d20c4"
)


def record(bad=BAD, **changes):
    return verified(**{"plan": Plan(rolled_back_from=bad), **changes})


def risks(record, *branch, **found):
    """What a run with this record says: nothing while the target does not stand verified."""
    if not state_of(record).stands_verified():
        return ()
    pull = record.github.pull_request if record.github is not None else None
    return judge_redeploy_risks(
        record.plan,
        through_github=record.mode is Mode.GITHUB,
        pull_request=pull,
        **dict(zip(["branch"], branch, strict=False)),
        **found,
    )


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
        (record(mode=Mode.RECOVER), Branch(), (PROBABLY,)),
        (record(bad=None), Branch(), ()),
        (rehearsal(), Branch(), ()),
    ],
)
def test_the_bad_commit_that_ships_with_the_next_merge(found, branch, sentences):
    assert risks(found, branch) == sentences


def through_github(state):
    pull = PullRequest(number=7, url="https://github.example/o/r/pull/7", head="abc", state=state)
    return record(mode=Mode.GITHUB, github=Github(repository="o/r", branch="main", pull_request=pull))


@pytest.mark.parametrize(
    ("state", "sentences"),
    [
        ("merged", ()),
        ("open", ("Pull request #7 is not merged: until it is, main ships what was rolled back.",)),
    ],
)
def test_through_github_the_merge_takes_it_off_main(state, sentences):
    assert risks(through_github(state)) == sentences


def test_owners_and_queued_deploys_follow():
    owners = (
        GitOpsOwner(ARGO, "shop", "argocd", "Deployment/web", "annotation"),
        GitOpsOwner(
            FLUX_HELM, "web", "flux-system", "Deployment/web", "label", suspended_reason="it is suspended"
        ),
    )
    queued = [QueuedDeploy(f"https://github.example/runs/{n}", "waiting", "a7d20c4ffff") for n in range(5)]
    assert risks(record(), Branch("origin/main", True), owners=owners, queued=queued)[:4] == (
        ON_MAIN,
        "Argo CD Application argocd/shop puts back what its source says, perhaps within minutes. First: suspend it, "
        "or revert there.",
        "Flux HelmRelease flux-system/web puts back what its source says once it acts again (it is suspended). "
        "First: revert there.",
        "A deploy of commit a7d20c4 is waiting: https://github.example/runs/0. First: cancel it, unless it is the "
        "one that mends it.",
    )
    assert len(risks(record(), Branch(), owners=owners, queued=queued)) == 6


BY_HAND = revision(7, "deployed", 60, "1.8.0", rollback_of=5)
UPGRADED = revision(7, "deployed", 60, "1.10.0")
GOOD = revision(5, "superseded", 900, "1.8.0-0dd5af3")
GREEN = {"helm": Helm(), "mode": Mode.VERIFY, "revision_before": 7, "revision_after": 7}


def running(found, **verdicts):
    """In the middle of a run: these items have a verdict already, the others have passed."""
    changed = tuple(
        item.model_copy(update={"verdict": verdicts.get(item.id.replace("-", "_"), item.verdict)})
        for item in found.items
    )
    return found.model_copy(update={"outcome": Outcome.RUNNING, "items": changed})


LATER = revision(7, "deployed", 60, "1.8.0", rollback_of=5)
SAME_COMMIT = revision(5, "superseded", 900, "1.9.0-a7d20c4")


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(
            Plan(compared_with=BAD, target=SAME_COMMIT, history=(SAME_COMMIT, BAD)),
            id="only its values were bad",
        ),
        pytest.param(
            Plan(compared_with=LATER, target=BAD, history=(GOOD, BAD, LATER)),
            id="a rollback is taken back: forward again",
        ),
    ],
)
def test_no_commit_is_reverted_that_the_target_holds_or_is_built_on(plan):
    before = plan.compared_with.revision
    found = record(plan=plan, revision_before=before, revision_after=before + 1)
    assert risks(found, Branch("main", True)) == ()


@pytest.mark.parametrize(
    ("found", "says"),
    [
        pytest.param(record(plan=Plan(rolled_back_from=BAD), **GREEN), True, id="by hand"),
        pytest.param(
            record(plan=Plan(compared_with=GOOD, history=(GOOD, UPGRADED)), **GREEN),
            False,
            id="an ordinary deploy",
        ),
        pytest.param(
            record(
                plan=Plan(compared_with=GOOD, history=(GOOD, BAD)), helm=Helm(skipped_reason="it is live")
            ),
            False,
            id="asked for what is live, which is no rollback",
        ),
        pytest.param(
            record(plan=Plan(compared_with=GOOD, history=(GOOD, BAD))),
            False,
            id="helm repaired what is no rollback",
        ),
        pytest.param(record(), True, id="verified"),
        pytest.param(record(outcome=Outcome.VERIFIED_WITH_WAIVERS), True, id="waived"),
        *(
            pytest.param(record(outcome=outcome), False, id=outcome)
            for outcome in Outcome
            if outcome not in (Outcome.VERIFIED, Outcome.VERIFIED_WITH_WAIVERS, Outcome.RUNNING)
        ),
        pytest.param(
            record(plan=Plan(rolled_back_from=BAD), **GREEN, outcome=Outcome.UNVERIFIED),
            False,
            id="by hand, unverified",
        ),
        pytest.param(running(record(), notify=None), True, id="all but the telling is green"),
        pytest.param(running(record(), notify=None, smoke=None), False, id="one is not judged yet"),
        pytest.param(running(record(), notify=None, logs=Verdict.FAIL), False, id="one failed"),
        pytest.param(running(record(), notify=None, logs=Verdict.UNVERIFIED), False, id="one is unverified"),
    ],
)
def test_nothing_is_called_bad_unless_it_was_rolled_away_from_and_the_target_stands(found, says):
    """A good commit that is reverted on this advice takes the service down."""
    assert bool(risks(found, Branch("main", True))) is says


@pytest.mark.parametrize(
    ("head", "compared_with", "helm_ran", "left"),
    [
        pytest.param(BAD, BAD, True, BAD, id="helm went from it"),
        pytest.param(BAD, BAD, False, None, id="helm has not run"),
        pytest.param(BY_HAND, BAD, False, BAD, id="the current revision is a rollback"),
        pytest.param(BY_HAND, BAD, True, BAD, id="helm repaired a rollback"),
        pytest.param(UPGRADED, GOOD, False, None, id="an ordinary deploy"),
        pytest.param(UPGRADED, GOOD, True, None, id="helm repaired what is no rollback"),
        pytest.param(BY_HAND, BY_HAND, False, None, id="from a rollback, not yet"),
        pytest.param(BY_HAND, None, True, None, id="nothing to compare with"),
    ],
)
def test_what_was_rolled_back_from(head, compared_with, helm_ran, left):
    assert find_rolled_back_from(head, compared_with, helm_ran=helm_ran) == left
