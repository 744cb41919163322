"""Roll back or fix forward: asks the signals inside the preflight and writes the decision down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import quote

from ..clients.git import GitCheckout
from ..clients.prometheus import PrometheusClient
from ..domain.decision import Answer, Decision, SignalName, SignalReading
from ..domain.errors import ProcessProblem
from ..domain.migration import MigrationFinding
from ..domain.record import Guard
from ..preflight import probe
from ..preflight.decision import UNKNOWN, decide
from ..preflight.facts import ask_all
from ..preflight.guards.release import judge_migration_guard
from ..preflight.impact import fetch_users_impacted, judge_many_commits
from ..preflight.release_view import ReleaseView
from .context import RunContext
from .source_commits import commit_name, git_checkout, resolve_commit

# Of the preflight's budget; the rest is for reading the history before.
_SHARE = 0.7


def outside_questions(context: RunContext, view: ReleaseView) -> dict[str, Callable[[], SignalReading]]:
    """What can be asked outside, by signal; nothing of it is asked of the operator."""
    http = context.http()
    table = context.env.metrics
    prometheus = PrometheusClient(table, context.variables, context.clock) if table else None
    return {
        SignalName.USERS_IMPACTED: lambda: fetch_users_impacted(
            context.env, context.kube, http, prometheus, view.reads
        ),
        SignalName.MIGRATION_IRREVERSIBLE: lambda: fetch_irreversible(context, view),
        SignalName.MANY_COMMITS: lambda: _many_commits(context, view),
    }


def note_decision(
    context: RunContext,
    answers: Mapping[str, probe.ProbeResult[SignalReading]],
    target: int | str | None,
) -> Guard:
    """The decision, in the record; the guard that refuses where a migration cannot be undone."""
    decision = _decision(context, answers, target)
    context.recorder.update(decision=decision)
    context.recorder.event(
        f"the runbook recommends {decision.recommendation.replace('-', ' ')}; chosen: {decision.choice}",
        "zkrollback",
    )
    migrations = answers[SignalName.MIGRATION_IRREVERSIBLE].value
    return judge_migration_guard(decision, migrations.start_problem if migrations is not None else "")


def _decision(
    context: RunContext,
    answers: Mapping[str, probe.ProbeResult[SignalReading]],
    target: int | str | None,
) -> Decision:
    request = context.request
    seen = {
        SignalName(name): answer.value or SignalReading(UNKNOWN, "preflight", f"not known: {answer.why}")
        for name, answer in answers.items()
    }
    said = {SignalName(name): Answer(word) for name, word in request.signals.items()}
    verb = "plan a rollback" if request.plan else "roll back"
    return decide(seen, said, f"{verb} to revision {target}")


def _many_commits(context: RunContext, view: ReleaseView) -> SignalReading:
    history, target = view.history(), view.choice().revision
    if target is None:
        raise ProcessProblem("the target is not known")
    counters: dict[str, Callable[[str, str], int]] = {}
    checkout = git_checkout(context)
    if checkout is not None:
        counters["git"] = partial(_count_in_checkout, context, checkout)
    if context.env.github is not None:
        counters["GitHub"] = partial(count_at_github, context)
    bad = history.head.revision.revision
    name = partial(commit_name, context.env.git, namespace=context.env.namespace)
    return judge_many_commits(history, target, bad, counters, name)


def _count_in_checkout(context: RunContext, checkout: GitCheckout, good: str, bad: str) -> int:
    git = context.env.git
    assert git is not None  # noqa: S101 - there is no checkout without it
    return checkout.count_commits(*(resolve_commit(git, checkout, one) for one in (good, bad)))


def count_at_github(context: RunContext, good: str, bad: str) -> int:
    """GitHub's own comparison. Raises GithubProblem, or UsageProblem without a token."""
    from ..clients.github import GithubClient, choose_token
    from ..domain.github_answers import Comparison

    table = context.env.github
    assert table is not None  # noqa: S101 - asked only where it is configured
    api = GithubClient(table, choose_token(table, context.variables), context.clock, patience_s=0, say=str)
    return api.get(f"compare/{quote(good, safe='')}...{quote(bad, safe='')}", Comparison).ahead_by


def fetch_irreversible(context: RunContext, view: ReleaseView) -> SignalReading:
    """Whether a migration that cannot be undone came with the head. Raises ZkRollbackError."""
    # What reads migrations is imported here, beside the waiting for the cluster.
    from .migration_sources import judge_irreversible, later_contents, migration_sources, revision_content

    history, target = view.history(), view.target
    if target is None:
        raise ProcessProblem("the target is not known")
    wanted = view.choice().revision or target.revision.revision
    namespace = context.env.namespace
    head = history.head.revision.revision
    later = later_contents(history, wanted, head, namespace)
    content = revision_content(target, namespace, wanted)
    sources = migration_sources(context, history, content, later, rolled_out=None, compared_with=head)
    # Side by side: a database that hangs must not hide what the files say.
    questions = {str(number): source for number, source in enumerate(sources)}
    answers = ask_all(questions, context.env.preflight_budget_s * _SHARE, context.clock)
    late = MigrationFinding("migrations", None, "One source did not answer in time.")
    return judge_irreversible([answer.value or late for answer in answers.values()])
