"""What the target itself migrates when it starts, with a tool that stops at a schema it does not know. Pure.

Alembic's ``upgrade`` looks the database's revision up among its own files, and ends with "Can't locate
revision identified by ..." where it is not there (sqlalchemy/alembic#691): after a rollback no pod starts,
also where each migration has a reverse. Nothing is said of other tools.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from ..domain.checks import JsonObject
from ..domain.migration import MigrationFinding, RevisionContent
from .base import Applied, Tool, Tree, shorten
from .hooks import pod_spec, rollback_hook_specs

# By the tool's name. Flask-Migrate and `python -m alembic` are Alembic, too.
_STOPS_AT_UNKNOWN = {
    "Alembic": re.compile(r"(?s)\balembic\b.{0,200}?\bupgrade\b|\bflask\b.{0,200}?\bdb\s+upgrade\b")
}
_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod")


def find_start_migration(tool: Tool, target: RevisionContent) -> str:
    """What of ``target`` runs the tool's upgrade when it starts, and stops at a schema that it does not know.

    In words; empty: nothing that is known from outside.
    """
    pattern = _STOPS_AT_UNKNOWN.get(tool.name)
    if pattern is None:
        return ""
    for where, container in _what_starts(target):
        words = " ".join(
            str(word) for word in [*(container.get("command") or ()), *(container.get("args") or ())]
        )
        if pattern.search(words):
            return f"{where} of revision {target.revision} runs `{shorten(words, 100)}`"
    return ""


def with_start_by_files(finding: MigrationFinding, start: str, target: Tree, bad: Tree) -> MigrationFinding:
    """``finding`` of the files, with what ``start`` does not know if the newest migrations are applied."""
    unknown = [head for head in bad.heads if head not in target.scripts]
    if not start or not unknown:
        return finding
    return replace(finding, start_problem=f"If it is applied, {_will_not_know(start, unknown)}")


def with_start_by_database(
    finding: MigrationFinding, start: str, target: Tree, applied: Applied
) -> MigrationFinding:
    """``finding`` of the database, with whether ``start`` knows the revisions that it is at."""
    unknown = [head for head in applied.heads if head not in target.scripts]
    if not start:
        return finding
    if not unknown:
        return replace(finding, starts=True)
    return replace(
        finding, starts=False, start_problem=f"The database is there: {_will_not_know(start, unknown)}"
    )


def find_start_problem(findings: Collection[MigrationFinding]) -> str:
    """Why the target's start will fail or may fail; empty: nothing says so, or the database says no."""
    if any(finding.starts for finding in findings):
        return ""
    certain_first = sorted(findings, key=lambda finding: finding.starts is None)
    return next((finding.start_problem for finding in certain_first if finding.start_problem), "")


def _will_not_know(start: str, unknown: Sequence[str]) -> str:
    names = f"revision {unknown[0]}" if len(unknown) == 1 else f"revisions {', '.join(unknown)}"
    it = "it" if len(unknown) == 1 else "them"
    return f"the target's start will not know {names}. {start}, and its files do not have {it}."


def _what_starts(target: RevisionContent) -> Iterator[tuple[str, JsonObject]]:
    for item in target.objects:
        if item.get("kind") in _KINDS:
            spec = pod_spec(item) or {}
            of = f"of {item['kind']} {item['metadata']['name']}"
            for word, member in (("Init container", "initContainers"), ("Container", "containers")):
                for one in spec.get(member) or ():
                    if isinstance(one, dict):
                        yield f"{word} {one.get('name')} {of}", one
    for name, spec in rollback_hook_specs(target):
        for one in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
            yield f"Hook {name}", one
