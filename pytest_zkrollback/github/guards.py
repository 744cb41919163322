"""The questions before anything is changed at GitHub: pure judgement, all shown at once."""

from __future__ import annotations

from collections.abc import Sequence

from ..config.environment import GithubActions
from ..domain.record import GREEN_OUTCOMES, Guard, GuardReason, GuardState, Record
from .state import BRANCH_PREFIX, GithubState, describe
from .texts import short, some

# Every guard of this way, as shown, and what it protects from; docs/guards.md says the same.
GUARDS = {
    "github": "changing a branch that nobody could look at",
    "commit": "going back to what never was on the branch",
    "branch": "deploying another state than the one you mean",
    "token": "stopping halfway because the token may not go on",
    "workflow": "a merge that nothing deploys",
    "workflow-files": "a push that GitHub rejects because workflow files change",
    "branch-rules": "a pull request that this tool may not merge",
    "reviews": "waiting for an approval that nobody was asked for",
    "deploys": "a deploy that a newer run of its concurrency group cancels",
    "other-rollback": "two rollbacks, of which the one merged last counts",
    "verified-before": "giving users what no other environment has run",
}
GUARD_IDS = tuple(GUARDS)


def _override_option(guard_id: str) -> str:
    return f"--rollback-override={guard_id}=REASON"


def judge_github(
    state: GithubState, table: GithubActions, token: str, verified: Record | None, *, merges: bool = True
) -> tuple[Guard, ...]:
    """Every guard of this way. ``token`` is looked at for its kind only; ``verified`` is the record of the
    environment that has to come first, with this very tree. ``merges``: the pull request is to be merged."""
    guards = [_commit(state, table), _token(state, table, token), _workflow(state, table)]
    if state.good is not None:
        guards.append(_other_rollback(state))
        if table.deploy == "dispatch":
            guards.append(_branch(state, table))
        else:
            guards.append(_workflow_files(state, table, token))
            if merges and not state.restored:
                guards.append(_branch_rules(state, table, token))
            guards.append(_reviews(state))
    if table.after is not None and state.good is not None:
        guards.append(_verified_before(state, table.after, verified))
    return (*guards, _deploys(state))


def unreadable(evidence: str) -> Guard:
    """The guard that refuses where GitHub's answers are missing."""
    return Guard(
        id="github",
        state=GuardState.REFUSED,
        reason=GuardReason.NO_ANSWER,
        unknown=True,
        evidence=evidence,
        consequence="What a rollback through GitHub would undo is unknown.",
    )


def _commit(state: GithubState, table: GithubActions) -> Guard:
    if state.missing:
        return Guard(
            id="commit",
            state=GuardState.REFUSED,
            reason=GuardReason.NO_SUCH_COMMIT,
            evidence=f"{table.repository} has no such commit ({state.missing})",
            consequence="There is nothing to go back to.",
        )
    if state.good is None:
        return Guard(
            id="commit", state=GuardState.OK, evidence=f"{table.branch}'s tip is {short(state.head_sha)}"
        )
    sha, compared = short(state.target_sha), state.comparison
    if compared is None or compared.status not in ("ahead", "identical"):
        status = compared.status if compared else "nothing"
        return Guard(
            id="commit",
            state=GuardState.REFUSED,
            reason=GuardReason.NOT_AN_ANCESTOR,
            evidence=f"commit {sha} is no ancestor of {table.branch} (GitHub says {status})",
            consequence=f"What never was on {table.branch} was never deployed from it.",
        )
    undone = some(compared.total_commits, "commit")
    said = "whose tree it already has" if state.restored else f"{undone} back"
    return Guard(
        id="commit", state=GuardState.OK, evidence=f"commit {sha} is an ancestor of {table.branch}, {said}"
    )


def _token(state: GithubState, table: GithubActions, token: str) -> Guard:
    name, scopes = table.token_env, state.scopes
    if scopes is not None and not scopes & {"repo", "public_repo"}:
        evidence = f"the token in {name} lacks the scope repo (it has {', '.join(sorted(scopes)) or 'none'})"
        return _weak_token(evidence)
    may = state.repository.permissions
    if not token.startswith("ghs_") and may is not None and not may.push:
        return _weak_token(f"the token in {name} may not write to {table.repository}")
    if state.repository.archived:
        return Guard(
            id="token",
            state=GuardState.REFUSED,
            reason=GuardReason.ARCHIVED,
            evidence=f"{table.repository} is archived: read-only",
        )
    if scopes is not None:
        return Guard(id="token", state=GuardState.OK, evidence=f"the token in {name} has the scope repo")
    needs = (
        "actions=write"
        if table.deploy == "dispatch" or state.good is None
        else ("contents=write, pull_requests=write and actions=write")
    )
    return Guard.not_known("token", f"GitHub does not tell what the token in {name} may do; it needs {needs}")


def _weak_token(evidence: str) -> Guard:
    return Guard(
        id="token",
        state=GuardState.REFUSED,
        reason=GuardReason.WEAK_TOKEN,
        evidence=evidence,
        consequence="The rollback would stop halfway.",
        override=_override_option("token"),
    )


def _workflow(state: GithubState, table: GithubActions) -> Guard:
    workflow = state.workflow
    if workflow is None:
        known = ", ".join(each.name for each in state.workflows) or "none"
        return Guard(
            id="workflow",
            state=GuardState.REFUSED,
            reason=GuardReason.NO_WORKFLOW,
            evidence=f"{table.repository} has no workflow '{table.workflow}'; it has: {known}",
            consequence="Nothing would deploy the commit.",
        )
    if workflow.state != "active":
        return Guard(
            id="workflow",
            state=GuardState.REFUSED,
            reason=GuardReason.WORKFLOW_DISABLED,
            evidence=f"workflow {workflow.name} is {workflow.state}: enable it under Actions",
            consequence="Nothing would deploy the commit.",
        )
    return Guard(id="workflow", state=GuardState.OK, evidence=f"{workflow.name} ({workflow.path}) is active")


def _workflow_files(state: GithubState, table: GithubActions, token: str) -> Guard:
    found = describe(state, table)
    files = found.workflow_files
    if not files and not state.restored and not found.all_files:
        return Guard(
            id="workflow-files",
            state=GuardState.WARNED,
            reason=GuardReason.NOT_ALL_FILES,
            unknown=True,
            evidence=f"not all files are shown: GitHub lists {len(found.files)} that change, and no workflow "
            "file is among them",
            consequence="If one changes, GitHub refuses it to a token without workflows=write.",
        )
    if not files or state.restored:
        return Guard(id="workflow-files", state=GuardState.OK, evidence="no workflow file changes")
    evidence = f"workflow files change too: {', '.join(files)}"
    if state.scopes is not None and "workflow" not in state.scopes:
        return Guard(
            id="workflow-files",
            state=GuardState.REFUSED,
            reason=GuardReason.WORKFLOW_FILES,
            evidence=f"{evidence}; the token in {table.token_env} lacks the scope workflow",
            consequence="GitHub would refuse the branch or the merge.",
            override=_override_option("workflow-files"),
        )
    hint = "; the token needs the permission workflows=write, which GITHUB_TOKEN never has"
    return Guard(
        id="workflow-files",
        state=GuardState.WARNED,
        reason=GuardReason.WORKFLOW_FILES,
        evidence=evidence + (hint if token.startswith("ghs_") else ""),
    )


def _branch_rules(state: GithubState, table: GithubActions, token: str) -> Guard:
    """Rules under which asking to merge is in vain, however long this tool would wait."""
    name = table.branch
    if state.has_rule("merge_queue"):
        return Guard(
            id="branch-rules",
            state=GuardState.REFUSED,
            reason=GuardReason.MERGE_QUEUE,
            evidence=f"{name} has a merge queue, which alone merges there",
            consequence="The pull request would wait in vain. Open it with --rollback-no-merge, put it into "
            "the queue at GitHub, and type this command again once it is merged.",
            override=_override_option("branch-rules"),
        )
    if state.has_rule("required_signatures"):
        # GitHub signs what an App commits and what it squashes itself, not what a user's token commits.
        signed = token.startswith("ghs_") or state.merge_method == "squash"
        return Guard(
            id="branch-rules",
            state=GuardState.WARNED if signed else GuardState.REFUSED,
            reason=GuardReason.SIGNATURES,
            evidence=f"{name} takes signed commits only"
            + ("" if signed else f"; GitHub does not sign what the token in {table.token_env} commits"),
            consequence="" if signed else "GitHub would refuse the merge, and nothing would be deployed.",
            override="" if signed else _override_option("branch-rules"),
        )
    if state.rules is None:
        return Guard.not_known(
            "branch-rules",
            f"which rules {name} has is not shown: it may have a merge queue or want signed commits",
        )
    if state.has_classic_rule:
        return Guard.not_known(
            "branch-rules", f"not known: {name} is protected by a classic rule, which may want signed commits"
        )
    return Guard(id="branch-rules", state=GuardState.OK, evidence="no merge queue, no signatures wanted")


def _reviews(state: GithubState) -> Guard:
    count = state.approvals
    if count is None and state.has_classic_rule:
        return Guard.not_known(
            "reviews",
            "not known: the branch is protected by a classic rule, whose reviews are not shown",
            consequence="The merge may wait for an approval.",
        )
    if count is None:
        return Guard.not_known("reviews", "which reviews the branch asks for is not shown")
    if count and not state.restored:
        asked = some(count, "approving review")
        return Guard(
            id="reviews",
            state=GuardState.WARNED,
            reason=GuardReason.REVIEWS_NEEDED,
            evidence=f"the branch asks for {asked}: the merge waits",
        )
    return Guard(id="reviews", state=GuardState.OK, evidence="the branch's rules ask for no review")


def _deploys(state: GithubState) -> Guard:
    if not state.under_way:
        return Guard(id="deploys", state=GuardState.OK, evidence="no run of the workflow is under way")
    runs = "; ".join(
        f"{run.html_url} ({run.event}, {run.status}, commit {short(run.head_sha)})"
        for run in state.under_way[:3]
    )
    return Guard(
        id="deploys",
        state=GuardState.WARNED,
        reason=GuardReason.WORKFLOW_RUNNING,
        evidence=f"the workflow runs already: {runs}; in one concurrency group a newer run waits or cancels",
    )


def _other_rollback(state: GithubState) -> Guard:
    ours = f"{BRANCH_PREFIX}{state.target_sha[:12]}"
    others = [
        pull
        for pull in state.pulls
        if pull.head.ref.startswith(BRANCH_PREFIX) and not _is_named(pull.head.ref, ours)
    ]
    if not others:
        return Guard(id="other-rollback", state=GuardState.OK, evidence="no other rollback is open")
    shown = ", ".join(f"#{pull.number} ({pull.head.ref})" for pull in others)
    return Guard(
        id="other-rollback",
        state=GuardState.REFUSED,
        reason=GuardReason.OTHER_ROLLBACK,
        evidence=f"another rollback is open: {shown}",
        consequence="Whichever is merged last decides what is deployed.",
        override=_override_option("other-rollback"),
    )


def _is_named(ref: str, ours: str) -> bool:
    return ref == ours or ref.startswith(f"{ours}-")


def _branch(state: GithubState, table: GithubActions) -> Guard:
    if state.restored:
        return Guard(
            id="branch", state=GuardState.OK, evidence=f"{table.branch}'s tip has the tree to deploy"
        )
    first = f"roll {table.after} back first" if table.after else "merge the rollback first"
    return Guard(
        id="branch",
        state=GuardState.REFUSED,
        reason=GuardReason.OTHER_TREE,
        evidence=f"{table.branch}'s tip {short(state.head_sha)} does not have the tree of "
        f"{short(state.target_sha)}: {first}",
        consequence="The workflow deploys the branch's tip, which is another state than the one you mean.",
    )


def _verified_before(state: GithubState, before: str, verified: Record | None) -> Guard:
    if verified is not None and verified.github is not None and verified.github.tree == state.target_tree:
        at = f"{verified.finished_at:%Y-%m-%d %H:%M:%S} UTC" if verified.finished_at else "time not known"
        return Guard(
            id="verified-before",
            state=GuardState.OK,
            evidence=f"{before} was verified with this very tree (run {verified.run_id}, {at})",
        )
    return Guard(
        id="verified-before",
        state=GuardState.REFUSED,
        reason=GuardReason.NOT_VERIFIED_BEFORE,
        evidence=f"no record in the report folder says that {before} was verified with this tree: "
        f"pytest --env={before} --rollback-to-commit={short(state.target_sha)}",
        consequence="What no other environment has run goes to users here.",
        override=_override_option("verified-before"),
    )


def newest_verified(records: Sequence[Record], environment: str, repository: str, tree: str) -> Record | None:
    """The newest record that verified this tree in that environment; ``records`` are newest first."""
    for record in records:
        github = record.github
        if (
            github is not None
            and record.environment == environment
            and record.outcome in GREEN_OUTCOMES
            and (github.repository, github.tree) == (repository, tree)
        ):
            return record
    return None
