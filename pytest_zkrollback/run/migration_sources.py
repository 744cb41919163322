"""Puts the migration sources together: what each is asked about, before helm and after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import quote

from ..clients.database import fetch_rows
from ..clients.git import GitCheckout
from ..config.environment import Environment
from ..config.repository import Migrations
from ..domain.decision import Answer, SignalReading
from ..domain.errors import MigrationProblem, ZkRollbackError
from ..domain.migration import MigrationFinding, RevisionContent, Span
from ..migrations.base import Rows, Tool, Tree, judge_files
from ..migrations.custom import OwnSource, ask_own
from ..migrations.hooks import SOURCE as HOOKS
from ..migrations.hooks import has_init_containers, judge_hooks
from ..migrations.schema_version import expected_version, judge_applied, judge_version, reported_member
from ..migrations.start import (
    find_start_migration,
    find_start_problem,
    with_start_by_database,
    with_start_by_files,
)
from ..migrations.tools import find_tool
from ..preflight.release_view import CachedProbe
from ..release.helm_secret import Release
from ..release.history import ReleaseHistory, fetch_history
from ..report.failures import listed
from .context import RunContext
from .forward_deploy import find_direction
from .source_commits import git_checkout, with_commits

DATABASE = "schema in the database"
HEALTH = "schema that /health reports"

_MOST_BETWEEN = 100

Source = Callable[[], MigrationFinding]


def migration_sources(
    context: RunContext,
    history: ReleaseHistory,
    target: RevisionContent,
    later: Sequence[RevisionContent],
    *,
    rolled_out: Callable[[], bool] | None,
    compared_with: int | None = None,
    deploy: Source | None = None,
) -> tuple[Source, ...]:
    """Every source, ready to be asked whether a migration ran since ``target``, up to ``compared_with``.

    ``later`` is everything after the target that could be read; where ``compared_with`` is not in it,
    nobody's "no" is about that deploy, and that is a finding, too. A source that cannot answer says why.
    ``rolled_out`` says whether the restored application has rolled out; None before helm: then nothing is
    asked of it. Making the sources contacts nothing. ``deploy``: see :func:`deploy_source`; then only those
    are asked besides that need no deploy to look into, and where it settles the question it names the others.
    """
    env, table = context.env, context.env.migrations

    def read_span() -> Span:
        between = _read_between(context, history, target, later) if rolled_out is not None else ()
        return _span(context, history, target, (*between, *later))

    span = CachedProbe(read_span)
    if deploy is not None:
        reading = _reading(context, table, span, rolled_out) if table is not None else {}
        compared = reading if table is not None and table.kind is None else {}
        left_out = (*(name for name in reading if name not in compared), *context.own_sources)
        asked: dict[str, Source] = {"deploy": lambda: _naming(deploy(), left_out), **compared}
        return tuple(partial(_ask, name, question) for name, question in asked.items())
    accounted_for = table.accounted_for if table is not None else ()
    asked = {HOOKS: lambda: judge_hooks(_with_live(context, span()), accounted_for)}
    if table is not None:
        asked |= _reading(context, table, span, rolled_out)
    for name, ask in context.own_sources.items():
        # One that has the name of one of ours is asked beside it, not in its place.
        asked[f"{name} (own)" if name in asked else name] = partial(_own, ask, span)
    if compared_with is not None and later and all(one.revision != compared_with for one in later):
        asked[f"revision {compared_with}"] = partial(_unreadable, compared_with)
    for content in (target, *later):
        if content.unread:
            asked[f"revision {content.revision}"] = partial(_unread, content)
    if table is None and not context.own_sources:
        asked["configuration"] = partial(_nothing_configured, env)
    return tuple(partial(_ask, name, question) for name, question in asked.items())


def deploy_source(context: RunContext, history: ReleaseHistory, head: int, replaced: int | None) -> Source:
    """Whether revision ``head``, which is no rollback by Helm's history, is one by its content.

    Helm's history does not tell an ordinary deploy from a redeploy of an older commit. So the operator says
    it, or the service's commits show it; what they show else is said beside the question. ``replaced``: the
    revision before it that differs; None: none is known.
    """
    return partial(_judge_deploy, context, history, head, replaced)


def _naming(deploy: MigrationFinding, left_out: Sequence[str]) -> MigrationFinding:
    if not deploy.settles or not left_out:
        return deploy
    said = f"Not checked: {listed(left_out)}, because no migration has to be undone."
    return replace(deploy, limits=(*deploy.limits, said))


def gate_word(context: RunContext) -> str:
    """How the operator said that this verifies an ordinary deploy; empty: nobody said it."""
    if context.request.gate:
        return "--zkrollback-gate"
    return f"gate = true in [environments.{context.env.name}]" if context.env.gate else ""


def _judge_deploy(
    context: RunContext, history: ReleaseHistory, head: int, replaced: int | None
) -> MigrationFinding:
    env = context.env
    if how := gate_word(context):
        said = f"This is no rollback, by the operator's word ({how}), so no migration has to be undone."
        return MigrationFinding("deploy", False, said, settles=True)
    said = "no older revision that differs is known"
    if replaced is not None:
        direction = find_direction(context, history, replaced, head)
        if direction.is_forward:
            said = (
                f"Revision {head} is an ordinary deploy: {direction.said}. So no migration has to be undone."
            )
            return MigrationFinding("deploy", False, said, settles=True)
        said = direction.said
    text = (
        f"Whether revision {head} is an ordinary deploy or a redeploy of an older commit is not known: "
        f"{said}. If it is an ordinary deploy: --zkrollback-gate, or gate = true in "
        f"[environments.{env.name}]."
    )
    return MigrationFinding("deploy", None, text)


def _reading(
    context: RunContext, table: Migrations, span: Callable[[], Span], rolled_out: Callable[[], bool] | None
) -> dict[str, Source]:
    """The configured sources that read files, the database or ``/health``."""
    asked: dict[str, Source] = {}
    readers: dict[str, Callable[[], Rows]] = {}
    if table.database_env is not None:
        readers[DATABASE] = lambda: fetch_versions(table, context.variables, Path(context.env.base_dir))
    if table.health is not None and rolled_out is not None:
        readers[HEALTH] = lambda: ((_reported(context, table.health, rolled_out),),)
    tool = find_tool(table.kind) if table.kind is not None else None
    trees = CachedProbe(lambda: _read_trees(context, tool, table, span()))
    if tool is not None:
        asked[f"{tool.name} files"] = lambda: _files(tool, trees())
    for name, read in readers.items():
        if tool is not None:
            asked[name] = partial(_applied, tool, trees, read, name)
        else:
            asked[name] = partial(_compared, span, str(table.expected), read, name)
    return asked


def _own(ask: OwnSource, span: Callable[[], Span]) -> MigrationFinding:
    return ask_own(ask, span())


def _ask(name: str, question: Source) -> MigrationFinding:
    """One source's answer; what it cannot find out is unknown, and the others are asked all the same."""
    try:
        return question()
    except ZkRollbackError as error:
        return MigrationFinding(name, None, f"{name[0].upper()}{name[1:]}: not known. {error}")


def _unreadable(revision: int) -> MigrationFinding:
    raise MigrationProblem(f"What revision {revision} holds cannot be read: a migration may be in it.")


def _unread(content: RevisionContent) -> MigrationFinding:
    more = f" (and {len(content.unread) - 1} more)" if len(content.unread) > 1 else ""
    raise MigrationProblem(
        f"A migration may be in what cannot be read of revision {content.revision}: "
        f"{content.unread[0]}{more}."
    )


def _nothing_configured(env: Environment) -> MigrationFinding:
    said = (
        f"How this service migrates its database is not configured ([environments.{env.name}.migrations], "
        "docs/migrations.md), and what the application does at its own start is not seen from outside."
    )
    return MigrationFinding("configuration", None, said)


def later_contents(history: ReleaseHistory, target: int, last: int, namespace: str) -> list[RevisionContent]:
    """What every revision after the target holds, up to ``last``."""
    return [
        revision_content(release, namespace)
        for release in history.releases
        if target < release.revision.revision <= last
    ]


def revision_content(release: Release, namespace: str, number: int | None = None) -> RevisionContent:
    """What a revision holds, as far as it can be read. ``number``: as which it counts; None: its own."""
    found = release.read(namespace)
    return RevisionContent(
        revision=number if number is not None else release.revision.revision,
        objects=found.objects,
        hooks=release.hooks,
        unread=tuple(map(str, found.unread)),
    )


def judge_irreversible(findings: Sequence[MigrationFinding]) -> SignalReading:
    """The signal on all findings: yes where one ran that cannot be undone, no where all say that none is."""
    problem = find_start_problem(findings)
    cannot = [finding for finding in findings if finding.ran and finding.reversible is False]
    if cannot:
        said = " ".join(finding.observed for finding in cannot)
        return SignalReading(Answer.YES, cannot[0].source, said, problem)
    said = " ".join(finding.observed for finding in findings)
    harmless = [finding.ran is False or finding.reversible is True for finding in findings]
    answer = Answer.NO if findings and all(harmless) else Answer.UNKNOWN
    return SignalReading(answer, "migrations", said, problem)


def _read_between(
    context: RunContext, history: ReleaseHistory, target: RevisionContent, later: Sequence[RevisionContent]
) -> list[RevisionContent]:
    """What a long history holds between the target and the revisions that were read: the newest hundred.

    Before helm nobody waits for that. What cannot be read in whole is missing, and said so.
    """
    last = max((one.revision for one in later), default=0)
    missing = [number for number in history.older if target.revision < number < last][-_MOST_BETWEEN:]
    if not missing:
        return []
    env = context.env
    found = fetch_history(context.kube, env.namespace, env.release, also=missing, known=history)
    contents = [
        revision_content(release, env.namespace)
        for number in missing
        if (release := found.get(number)) is not None
    ]
    return [content for content in contents if not content.unread]


def _span(
    context: RunContext, history: ReleaseHistory, target: RevisionContent, later: Sequence[RevisionContent]
) -> Span:
    first, *rest = with_commits(context, history, (target, *later)) if context.env.git else (target, *later)
    return Span(first, tuple(rest))


def _with_live(context: RunContext, span: Span) -> Span:
    """The span with live Jobs and pods: those of now, and those that were there before helm deleted them.

    What cannot be read is not there: then nothing is known of what became of it, and said so.
    """
    objects = [item for one in span.later for item in one.objects]
    namespace, seen = quote(context.env.namespace, safe=""), context.seen_workers
    if any(item["kind"] == "Job" for item in objects):
        with suppress(ZkRollbackError):
            seen.add_jobs(context.kube.list(f"/apis/batch/v1/namespaces/{namespace}/jobs"))
    if any(has_init_containers(item) for item in objects):
        with suppress(ZkRollbackError):
            seen.add_pods(context.kube.list(f"/api/v1/namespaces/{namespace}/pods"))
    return replace(span, jobs=seen.jobs, pods=seen.pods)


@dataclass(frozen=True)
class _Trees:
    """The migrations of the target's commit and of the later ones; ``where`` and ``checkout`` name them.

    ``start``: what of the target migrates when it starts, in words; empty: nothing that is known.
    """

    target: Tree
    bad: Tree
    where: str
    checkout: str
    start: str


def _read_trees(context: RunContext, tool: Tool | None, table: Migrations, span: Span) -> _Trees:
    """Raises MigrationProblem where a commit is not known, ProcessProblem where it cannot be read."""
    checkout, bad = git_checkout(context), span.bad
    if checkout is None or tool is None:
        raise MigrationProblem("There is no git checkout to read migration files in.")
    if bad is None:
        raise MigrationProblem("Nothing has been rolled back yet, so there is no deploy to look into.")
    for one in (span.target, *span.later):
        if one.commit is None:
            raise MigrationProblem(f"The commit of revision {one.revision} is not known: {one.no_commit}")
    commits = dict.fromkeys(str(one.commit) for one in (span.target, *span.later))
    by_path = {path: {each: _files_of(checkout, path, each) for each in commits} for path in table.paths}
    for path, found in by_path.items():
        if not any(found.values()):  # beside one that is right it would hide what came
            raise MigrationProblem(f"There is nothing at {path} in any of these commits. Is the path right?")
    files = {
        commit: {name: text for found in by_path.values() for name, text in found[commit].items()}
        for commit in commits
    }
    later: dict[str, str] = {}
    for one in sorted(span.later, key=lambda content: content.revision):
        later |= files[str(one.commit)]
    good, worse = str(span.target.commit)[:10], str(bad.commit)[:10]
    where = (
        f"between {good} (revision {span.target.revision}) and {worse} (revision {bad.revision}) "
        f"in {', '.join(table.paths)}"
    )
    start = find_start_migration(tool, span.target)
    return _Trees(tool.parse(files[str(span.target.commit)]), tool.parse(later), where, worse, start)


def _files_of(checkout: GitCheckout, path: str, commit: str) -> dict[str, str]:
    folder = path.strip("/")
    files = checkout.read_files(commit, folder)
    return {name if folder in ("", ".") else f"{folder}/{name}": text for name, text in files.items()}


def _files(tool: Tool, trees: _Trees) -> MigrationFinding:
    found = judge_files(tool, trees.target, trees.bad, trees.where, trees.checkout)
    return with_start_by_files(found, trees.start, trees.target, trees.bad)


def _applied(
    tool: Tool, trees: Callable[[], _Trees], read: Callable[[], Rows], source: str
) -> MigrationFinding:
    known = trees()
    # What the bad revision brought is in its own tree alone.
    applied = tool.applied(known.bad if known.bad.scripts else known.target, read())
    found = judge_applied(tool, source, known.target, known.bad, applied, known.checkout)
    return with_start_by_database(found, known.start, known.target, applied)


def _compared(
    span: Callable[[], Span], reference: str, read: Callable[[], Rows], source: str
) -> MigrationFinding:
    target = span().target
    expected = expected_version(target.objects, reference)
    return judge_version(source, _only(read()), expected, f"{reference} of revision {target.revision}")


def fetch_versions(table: Migrations, variables: Mapping[str, str], base_dir: Path) -> Rows:
    """The rows of the configured query, read-only; ``variables`` hold the database's URL.

    Raises MigrationProblem.
    """
    url = variables.get(table.database_env or "", "").strip()
    if not url:
        raise MigrationProblem(f"The variable {table.database_env}, which names the database, is not set.")
    query = table.query or find_tool(str(table.kind)).query
    return fetch_rows(url, query, timeout_s=table.timeout_s, base_dir=base_dir)


def _only(rows: Rows) -> str:
    if len(rows) != 1 or not rows[0] or rows[0][0] is None:
        raise MigrationProblem(f"The query has to bring one version, and brought {len(rows)} rows.")
    return str(rows[0][0])


def _reported(context: RunContext, member: str | None, rolled_out: Callable[[], bool]) -> str:
    """The restored application's word. Before its own pods serve, nothing is asked of it."""
    if not rolled_out():
        raise MigrationProblem("/health was not asked: the restored application has not rolled out.")
    env = context.env
    if not env.url or env.health is False:
        raise MigrationProblem("/health was not asked: no url is configured.")
    answer = context.http().get(env.url.rstrip("/") + env.health.path, timeout_s=env.health.timeout_s)
    return reported_member(answer.status, answer.body, str(member))
