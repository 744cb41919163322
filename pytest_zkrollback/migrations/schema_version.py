"""Source: the version of the schema that the database (or the restored application) reports. Pure.

It is held against what the target expects: its migration files, or a value in its own manifest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..domain.checks import JsonObject
from ..domain.errors import MigrationProblem
from ..domain.health_answer import find_members, parse_strict_json
from ..domain.migration import MigrationFinding
from ..domain.verdict import evidence
from .base import Applied, Tool, Tree, describe_ran, differ, names, natural


def judge_applied(
    tool: Tool, source: str, target: Tree, bad: Tree, applied: Applied, checkout: str
) -> MigrationFinding:
    """What of the bad revision's migrations the database has. False only if it has exactly the target's."""
    new, _, _ = differ(target, bad)
    versioned = {key for key, one in target.scripts.items() if not one.repeats}
    ran = [one for one in new if one.id in applied.ids and not one.repeats]
    strange = sorted(applied.ids - set(target.scripts) - set(bad.scripts), key=natural)
    missing = sorted(versioned - applied.ids, key=natural)
    said = f"the database is at {applied.shown}, the target expects {target.version}"
    shown = (evidence(source, said),)
    if applied.broken:
        words = f"{said}; migration {applied.broken} broke off, and part of it may be applied."
        return MigrationFinding(source, True, f"{tool.name}: {words}", shown)
    if ran:
        left = [one for one in new if not one.repeats and one.id not in applied.ids]
        partly = f"; only {len(ran)} of {len(ran) + len(left)} new migrations" if left else ""
        extra = f"; it also lacks {', '.join(missing)}" if missing else ""
        found = describe_ran(tool, source, (target, bad), ran, f"{said}{partly}{extra}", checkout)
        verb = "is" if len(ran) == 1 else "are"
        # How to undo them the files' source says already; here it is in the evidence.
        return replace(found, observed=f"{tool.name}: {said}{partly}{extra}: {names(ran)} {verb} applied.")
    if strange:
        words = f"{said}; {', '.join(strange)} is in no commit that was read, so what it did is not known."
        return MigrationFinding(source, True, f"{tool.name}: {words}", shown)
    if missing:
        words = f"{said}: the target is newer than the schema, {', '.join(missing)} is not applied."
        return MigrationFinding(source, True, f"{tool.name}: {words}", shown)
    if applied.outside:
        words = (
            f"the database is at {applied.shown}, as the target expects, and also has migrations of "
            f"{', '.join(applied.outside)}, which are in no folder that was read: whether the target knows "
            "them is not known."
        )
        return MigrationFinding(source, None, f"{tool.name}: {words}", shown)
    return MigrationFinding(
        source, False, f"{tool.name}: the database is at {applied.shown}, as the target expects.", shown
    )


def judge_version(source: str, reported: str, expected: str, where: str) -> MigrationFinding:
    """A reported version against the one that the target's manifest names (``where``)."""
    said = f"the schema is at {reported}, the target expects {expected} ({where})"
    shown = (evidence(source, said),)
    if reported == expected:
        return MigrationFinding(
            source, False, f"The schema is at {reported}, as the target expects ({where}).", shown
        )
    numbers = reported.isdigit() and expected.isdigit()
    if numbers and int(reported) < int(expected):
        return MigrationFinding(source, True, f"The target is newer than the schema: {said}.", shown)
    word = "A migration ran" if numbers else "The schema is not the target's"
    return MigrationFinding(
        source, True, f"{word}: {said}; whether it can be undone is not known from here.", shown
    )


def expected_version(objects: Iterable[JsonObject], reference: str) -> str:
    """The value that ``ConfigMap/NAME/KEY`` has in a manifest. Raises MigrationProblem."""
    kind, name, key = reference.split("/", 2)
    for item in objects:
        if item.get("kind") == kind and item["metadata"]["name"] == name:
            value = (item.get("data") or {}).get(key)
            if value is not None:
                return str(value)
    raise MigrationProblem(f"The target's manifest has no {reference}, so the expected schema is not known.")


def reported_member(status: int, body: bytes, member: str) -> str:
    """The schema's version out of an answer of ``/health``. Raises MigrationProblem."""
    if status != 200:
        raise MigrationProblem(f"/health answers HTTP {status}.")
    try:
        value = parse_strict_json(body)
    except (ValueError, RecursionError):
        raise MigrationProblem("/health answers no JSON.") from None
    found, _ = find_members(value, member)
    if len(found) != 1 or isinstance(found[0], bool) or not isinstance(found[0], str | int):
        raise MigrationProblem(f"/health has no version at {member!r}.")
    return str(found[0])
