"""The hooks by which a repository adds parts of its own. Loaded in every pytest run: nothing heavy here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ..api import Channel, CustomItem
    from ..domain.migration import MigrationFinding, Span


@pytest.hookspec
def pytest_zkrollback_items(environment: str) -> Sequence[CustomItem]:  # type: ignore[empty-body]
    """Checklist items of the repository's own, judged beside the runbook's, before ``notify``.

    Called once, before anything is contacted, with the environment's name (as in ``--env``); what raises,
    or gives something else than :class:`~pytest_zkrollback.api.CustomItem`, ends with exit 4 before helm.
    A ``conftest.py`` that implements it has to be found at start: at the root, or beside the checklist's
    file. docs/own-items.md has a complete example.
    """


@pytest.hookspec
def pytest_zkrollback_notify(environment: str) -> Sequence[Channel]:  # type: ignore[empty-body]
    """Channels of the repository's own by which the team is told, beside the configured ones.

    Called once, before helm, with the environment's name. What raises, or gives something else than
    :class:`~pytest_zkrollback.api.Channel`, is said at preflight, and ``notify`` does not pass; it never
    stops a rollback. docs/notify.md has a complete example.
    """


@pytest.hookspec
def pytest_zkrollback_migration_sources(  # type: ignore[empty-body]
    environment: str,
) -> Mapping[str, Callable[[Span], MigrationFinding]]:
    """Sources of the repository's own that say what migrated: name -> function, asked beside ours.

    Called once, before anything is contacted; what raises, or gives something else, ends with exit 4 before
    helm. Each function is asked before helm for the decision, within the preflight's budget, and after it
    for the item ``migration``: it must not ask the application, which may be the broken one. What it raises
    counts as not known. docs/migrations.md has an example.
    """
