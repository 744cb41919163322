"""What GitHub says before anything is done. Read-only, all questions at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ..clients.threads import fetch_each
from ..config.environment import GithubActions
from ..domain.errors import GithubProblem, ZkRollbackError
from ..domain.github import Commit, Github
from ..domain.github_answers import (
    BranchAnswer,
    CommitAnswer,
    Comparison,
    Pull,
    Repository,
    Rule,
    RunAnswer,
    RunsAnswer,
    Workflow,
    Workflows,
)
from ..domain.ports import GithubApi

T = TypeVar("T")

_MOST_FILES = 300  # of a comparison, whatever is asked for
BRANCH_PREFIX = "hotfix/rollback-"
WORKFLOWS = ".github/workflows/"
_MIGRATION = re.compile(r"(?i)(^|/)(migrations?|migrate|alembic|flyway|liquibase)(/|$)|\.sql$")


@dataclass(frozen=True)
class GithubState:
    """GitHub's answers. ``good`` is None where the branch's tip is to be redeployed.

    ``comparison`` is from the good commit to the tip; ``missing`` GitHub's words where there is no such
    commit; ``rules`` is None where the branch's rules could not be read.
    """

    repository: Repository
    tip: BranchAnswer
    workflows: tuple[Workflow, ...]
    workflow: Workflow | None
    rules: tuple[Rule, ...] | None
    pulls: tuple[Pull, ...]
    under_way: tuple[RunAnswer, ...]
    scopes: frozenset[str] | None
    good: CommitAnswer | None = None
    comparison: Comparison | None = None
    missing: str = ""

    @property
    def head_sha(self) -> str:
        """The branch's newest commit."""
        return self.tip.commit.sha

    @property
    def head_tree(self) -> str:
        """The tree of the branch's newest commit."""
        return self.tip.commit.commit.tree.sha

    @property
    def target_sha(self) -> str:
        """The full SHA to go back to; empty: none."""
        return self.good.sha if self.good else ""

    @property
    def target_tree(self) -> str:
        """The tree that has to be live in the end."""
        return self.good.commit.tree.sha if self.good else self.head_tree

    @property
    def restored(self) -> bool:
        """Whether the branch's tip already has the good tree."""
        return self.head_tree == self.target_tree

    @property
    def has_classic_rule(self) -> bool:
        """Whether something protects the branch that the rules do not show: a classic protection rule."""
        return self.tip.protected and not self.has_rule("pull_request")

    def has_rule(self, kind: str) -> bool:
        """Whether the branch has a rule of that type."""
        return any(rule.type == kind for rule in self.rules or ())

    @property
    def approvals(self) -> int | None:
        """How many approving reviews the branch's rules ask for; None: not known."""
        if self.rules is None or self.has_classic_rule:
            return None
        pull_rules = [each.parameters for each in self.rules if each.type == "pull_request"]
        return max((each.required_approving_review_count for each in pull_rules if each), default=0)

    @property
    def merge_method(self) -> str:
        """The first method that the repository and the branch's rules allow: merge, squash, rebase."""
        rules, repository = self.rules or (), self.repository
        linear = self.has_rule("required_linear_history")
        limits = [rule.parameters.allowed_merge_methods for rule in rules if rule.parameters]
        for method, allowed in (
            ("merge", repository.allow_merge_commit and not linear),
            ("squash", repository.allow_squash_merge),
            ("rebase", repository.allow_rebase_merge),
        ):
            if allowed and all(method in each for each in limits if each):
                return method
        return "merge"


def fetch_github_state(api: GithubApi, table: GithubActions, sha: str | None) -> GithubState:
    """Ask everything; ``sha`` is as typed, None: redeploy the tip. Raises GithubProblem with all problems."""
    questions: dict[str, Callable[[], Any]] = {
        "repository": lambda: api.get("", Repository),
        "tip": lambda: api.get(f"branches/{table.branch}", BranchAnswer),
        "workflows": lambda: fetch_workflows(api),
        "rules": lambda: _rules(api, table.branch),
        "pulls": lambda: api.pages("pulls", list[Pull], _whole, {"state": "open", "base": table.branch}),
        "good": lambda: _commit(api, sha),
    }
    names = list(questions)
    answers: dict[str, Any] = dict(zip(names, fetch_each(lambda name: questions[name](), names), strict=True))
    problems = {str(answer) for answer in answers.values() if isinstance(answer, ZkRollbackError)}
    if problems:
        raise GithubProblem(" ".join(sorted(problems)))
    good = answers.pop("good")
    if isinstance(good, str):
        answers |= {"good": None, "missing": good}
    elif good is not None:
        commits = f"{good.sha}...{answers['tip'].commit.sha}"
        compared = api.get(f"compare/{commits}", Comparison, {"per_page": "100"})
        answers |= {"good": good, "comparison": compared}
    workflow = choose_workflow(answers["workflows"], table.workflow)
    running: tuple[RunAnswer, ...] = ()
    if workflow is not None:
        newest = fetch_runs(api, workflow.id, {"branch": table.branch, "per_page": "20"})
        running = tuple(run for run in newest if run.status != "completed")
    return GithubState(**answers, workflow=workflow, under_way=running, scopes=api.scopes)


def fetch_workflows(api: GithubApi) -> tuple[Workflow, ...]:
    """All workflows of the repository. Raises GithubProblem."""
    return api.pages("actions/workflows", Workflows, lambda page: page.workflows)


def fetch_runs(api: GithubApi, workflow_id: int, query: Mapping[str, str]) -> tuple[RunAnswer, ...]:
    """The workflow's newest runs, newest first; ``query`` chooses among them. Raises GithubProblem."""
    return api.get(f"actions/workflows/{workflow_id}/runs", RunsAnswer, query).workflow_runs


def choose_workflow(workflows: Sequence[Workflow], wanted: str) -> Workflow | None:
    """The workflow of that name, or of that file."""
    for workflow in workflows:
        if wanted in (workflow.name, workflow.path, workflow.path.rsplit("/", 1)[-1]):
            return workflow
    return None


def describe(state: GithubState, table: GithubActions) -> Github:
    """What the record says of it."""
    workflow, compared = state.workflow, state.comparison
    files = sorted({each.filename for each in (compared.files if compared else None) or ()})
    return Github(
        repository=table.repository,
        branch=table.branch,
        workflow=f"{workflow.name} ({workflow.path})" if workflow else "",
        target_commit=state.target_sha,
        tree=state.target_tree,
        head_commit=state.head_sha,
        reverted_commits=tuple(map(_undone, compared.commits if compared else ())),
        reverted_count=compared.total_commits if compared else 0,
        files=tuple(files),
        all_files=compared is None or (compared.files is not None and len(compared.files) < _MOST_FILES),
        workflow_files=tuple(name for name in files if name.startswith(WORKFLOWS)),
        migrations=tuple(name for name in files if _MIGRATION.search(name)),
    )


def _undone(entry: CommitAnswer) -> Commit:
    title = entry.commit.message.partition("\n")[0]
    return Commit(sha=entry.sha, author=entry.author_name, title=title[:200])


def _whole(page: list[T]) -> list[T]:
    return page


def _commit(api: GithubApi, sha: str | None) -> CommitAnswer | str | None:
    """The commit; GitHub's words where it has none of that name; None where none is wanted."""
    if sha is None:
        return None
    try:
        return api.get(f"commits/{sha}", CommitAnswer)
    except GithubProblem as problem:
        if problem.status not in (404, 422):
            raise
        return problem.said or "not found"


def _rules(api: GithubApi, branch: str) -> tuple[Rule, ...] | None:
    """The branch's rules; None where this server or this token does not show them."""
    try:
        return api.pages(f"rules/branches/{branch}", list[Rule], _whole)
    except GithubProblem as problem:
        if problem.status not in (403, 404):
            raise
        return None
