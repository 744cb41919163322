"""Puts the migration sources together: what each is asked about, before helm and after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .domain.decision import Answer
from .domain.errors import HelmProblem
from .domain.migration import MigrationFinding
from .migrations.hooks import RevisionContent, judge_hooks
from .release.history import Release, ReleaseHistory
from .release.manifest import parse_manifest
from .rollback.decision import Seen
from .scene import Scene


def migration_sources(
    scene: Scene, target: Release, wanted: int, later: Sequence[RevisionContent]
) -> tuple[Callable[[], MigrationFinding], ...]:
    """Every source, ready to be asked whether a migration ran between revision ``wanted`` and the bad one.

    ``target`` holds what ``wanted`` holds; ``later`` is everything after it. Raises HelmProblem if the
    target's manifest cannot be parsed.
    """
    namespace = scene.env.namespace
    content = RevisionContent(wanted, parse_manifest(target.manifest, namespace), target.hooks)
    return (lambda: judge_hooks(content, later),)


def later_contents(history: ReleaseHistory, target: int, bad: int, namespace: str) -> list[RevisionContent]:
    """What every revision after the target holds, up to the bad one; what cannot be parsed is left out."""
    return [
        content
        for release in history.releases
        if target < release.revision.revision <= bad
        if (content := revision_content(release, namespace)) is not None
    ]


def revision_content(release: Release, namespace: str) -> RevisionContent | None:
    """What a revision holds; None if its manifest cannot be parsed, which counts as missing."""
    try:
        objects = parse_manifest(release.manifest, namespace)
    except HelmProblem:
        return None
    return RevisionContent(revision=release.revision.revision, objects=objects, hooks=release.hooks)


def judge_irreversible(findings: Sequence[MigrationFinding]) -> Seen:
    """The signal on all findings: yes where one ran that cannot be undone, no where all say that none is."""
    cannot = [finding for finding in findings if finding.ran and finding.reversible is False]
    if cannot:
        return Seen(Answer.YES, cannot[0].source, " ".join(finding.observed for finding in cannot))
    said = " ".join(f"{finding.source}: {finding.observed}" for finding in findings)
    harmless = [finding.ran is False or finding.reversible is True for finding in findings]
    return Seen(Answer.NO if findings and all(harmless) else Answer.UNKNOWN, "migrations", said)
