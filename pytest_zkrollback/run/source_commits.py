"""The service's commits: which one a revision of the release was made of, in the configured git checkout."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ..clients.git import GitCheckout
from ..config.repository import Git
from ..domain.errors import ProcessProblem
from ..domain.migration import RevisionContent
from ..release.helm_secret import Release
from ..release.history import ReleaseHistory
from ..release.source_commit import annotated_commit, commit_of, tag_of
from .context import RunContext


def git_checkout(context: RunContext) -> GitCheckout | None:
    """The configured checkout of the service, if any."""
    git = context.env.git
    if git is None:
        return None
    return GitCheckout(Path(context.env.base_dir) / Path(git.checkout).expanduser(), context.processes)


def commit_name(git: Git | None, release: Release, namespace: str) -> str | None:
    """The commit, tag or branch that a revision names as its origin, unresolved; None if it names none."""
    if git is None:
        return commit_of(release.revision)
    if git.ref is not None:
        name = git.ref
        for key, word in (("app_version", release.revision.app_version), ("tag", tag_of(release.revision))):
            if f"{{{key}}}" in name and not word:
                return None
            name = name.replace(f"{{{key}}}", word or "")
        return name
    objects = release.read(namespace).objects
    return annotated_commit(objects, git.revision_annotation) or commit_of(release.revision)


def resolve_commit(git: Git, checkout: GitCheckout, name: str) -> str:
    """The full SHA of what :func:`commit_name` said. Raises ProcessProblem."""
    return checkout.resolve_ref(name) if git.ref is not None else checkout.resolve(name)


def with_commits(
    context: RunContext, history: ReleaseHistory, contents: Iterable[RevisionContent]
) -> tuple[RevisionContent, ...]:
    """The same with their commits, or with why none is known."""
    return tuple(_with_commit(context, history, content) for content in contents)


def _with_commit(context: RunContext, history: ReleaseHistory, content: RevisionContent) -> RevisionContent:
    git, checkout, release = context.env.git, git_checkout(context), history.content_of(content.revision)
    if git is None or checkout is None:
        return replace(content, no_commit="no git checkout is configured.")
    name = commit_name(git, release, context.env.namespace) if release is not None else None
    if name is None:
        why = "what its image tags, appVersion and annotations say names none."
        return replace(content, no_commit=why)
    try:
        return replace(content, commit=resolve_commit(git, checkout, name))
    except ProcessProblem as problem:
        return replace(content, no_commit=str(problem))
