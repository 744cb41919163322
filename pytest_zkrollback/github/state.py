"""What GitHub says before anything is done. Read-only, all questions at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..clients.threads import fetch_each
from ..config.environment import GithubActions
from ..domain.checks import JsonObject
from ..domain.errors import GithubProblem, ZkRollbackError
from ..domain.github import Commit, Github
from ..domain.ports import GithubApi

BRANCH_PREFIX = "hotfix/rollback-"
WORKFLOWS = ".github/workflows/"
_MIGRATION = re.compile(r"(?i)(^|/)(migrations?|migrate|alembic|flyway|liquibase)(/|$)|\.sql$")


@dataclass(frozen=True)
class GithubState:
    """GitHub's answers. ``good`` is None where the branch's tip is to be redeployed.

    ``comparison`` is from the good commit to the tip; ``missing`` GitHub's words where there is no such
    commit; ``rules`` is None where the branch's rules could not be read.
    """

    repository: JsonObject
    tip: JsonObject
    workflows: tuple[JsonObject, ...]
    workflow: JsonObject | None
    rules: tuple[JsonObject, ...] | None
    pulls: tuple[JsonObject, ...]
    under_way: tuple[JsonObject, ...]
    scopes: frozenset[str] | None
    good: JsonObject | None = None
    comparison: JsonObject | None = None
    missing: str = ""

    @property
    def head_sha(self) -> str:
        """The branch's newest commit."""
        return str(self.tip["commit"]["sha"])

    @property
    def head_tree(self) -> str:
        """The tree of the branch's newest commit."""
        return str(self.tip["commit"]["commit"]["tree"]["sha"])

    @property
    def target_sha(self) -> str:
        """The full SHA to go back to; empty: none."""
        return str(self.good["sha"]) if self.good else ""

    @property
    def target_tree(self) -> str:
        """The tree that has to be live in the end."""
        return str(self.good["commit"]["tree"]["sha"]) if self.good else self.head_tree

    @property
    def restored(self) -> bool:
        """Whether the branch's tip already has the good tree."""
        return self.head_tree == self.target_tree

    @property
    def approvals(self) -> int | None:
        """How many approving reviews the branch's rules ask for; None: not known."""
        if self.rules is None:
            return None
        pull_rules = [rule.get("parameters", {}) for rule in self.rules if rule.get("type") == "pull_request"]
        return max((int(each.get("required_approving_review_count", 0)) for each in pull_rules), default=0)

    @property
    def merge_method(self) -> str:
        """The first method that the repository and the branch's rules allow: merge, squash, rebase."""
        rules = self.rules or ()
        linear = any(rule.get("type") == "required_linear_history" for rule in rules)
        allowed = [rule.get("parameters", {}).get("allowed_merge_methods") for rule in rules]
        for method, key in (
            ("merge", "merge_commit"),
            ("squash", "squash_merge"),
            ("rebase", "rebase_merge"),
        ):
            by_rules = all(method in each for each in allowed if each)
            if self.repository.get(f"allow_{key}", True) and by_rules and not (linear and method == "merge"):
                return method
        return "merge"


def fetch_github_state(api: GithubApi, table: GithubActions, sha: str | None) -> GithubState:
    """Ask everything; ``sha`` is as typed, None: redeploy the tip. Raises GithubProblem with all problems."""
    questions: dict[str, Callable[[], Any]] = {
        "repository": lambda: api.get(""),
        "tip": lambda: api.get(f"branches/{table.branch}"),
        "workflows": lambda: tuple(api.pages("actions/workflows", "workflows")),
        "rules": lambda: _rules(api, table.branch),
        "pulls": lambda: tuple(api.pages("pulls", query={"state": "open", "base": table.branch})),
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
        compared = api.get(f"compare/{good['sha']}...{answers['tip']['commit']['sha']}", {"per_page": "100"})
        answers |= {"good": good, "comparison": compared}
    workflow = choose_workflow(answers["workflows"], table.workflow)
    running: list[JsonObject] = []
    if workflow is not None:
        path = f"actions/workflows/{workflow['id']}/runs"
        newest = api.get(path, {"branch": table.branch, "per_page": "20"})["workflow_runs"]
        running = [run for run in newest if run["status"] != "completed"]
    return GithubState(**answers, workflow=workflow, under_way=tuple(running), scopes=api.scopes)


def choose_workflow(workflows: Sequence[JsonObject], wanted: str) -> JsonObject | None:
    """The workflow of that name, or of that file."""
    for workflow in workflows:
        if wanted in (workflow["name"], workflow["path"], workflow["path"].rsplit("/", 1)[-1]):
            return workflow
    return None


def describe(state: GithubState, table: GithubActions) -> Github:
    """What the record says of it."""
    workflow, compared = state.workflow, state.comparison or {}
    files = sorted({str(entry["filename"]) for entry in compared.get("files") or ()})
    return Github(
        repository=table.repository,
        branch=table.branch,
        workflow=f"{workflow['name']} ({workflow['path']})" if workflow else "",
        target_commit=state.target_sha,
        tree=state.target_tree,
        head_commit=state.head_sha,
        reverted_commits=tuple(_undone(entry) for entry in compared.get("commits") or ()),
        reverted_count=int(compared.get("total_commits", 0)),
        files=tuple(files),
        workflow_files=tuple(name for name in files if name.startswith(WORKFLOWS)),
        migrations=tuple(name for name in files if _MIGRATION.search(name)),
    )


def _undone(entry: JsonObject) -> Commit:
    author = (entry.get("author") or {}).get("login") or entry["commit"]["author"]["name"]
    title = str(entry["commit"]["message"]).partition("\n")[0]
    return Commit(sha=entry["sha"], author=str(author), title=title[:200])


def _commit(api: GithubApi, sha: str | None) -> Any:
    """The commit; GitHub's words where it has none of that name; None where none is wanted."""
    if sha is None:
        return None
    try:
        return api.get(f"commits/{sha}")
    except GithubProblem as problem:
        if problem.status not in (404, 422):
            raise
        return problem.said or "not found"


def _rules(api: GithubApi, branch: str) -> tuple[JsonObject, ...] | None:
    """The branch's rules; None where this server or this token does not show them."""
    try:
        return tuple(api.pages(f"rules/branches/{branch}"))
    except GithubProblem as problem:
        if problem.status not in (403, 404):
            raise
        return None
