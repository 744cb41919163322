"""Source: hooks, Jobs and init containers of the revisions after the target, and what became of them.

What a release itself can run beside its application is all here. What the application does at its own
start is not: a chart whose service migrates when it starts needs another source or an assessment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml

from ..domain.migration import MigrationFinding
from ..domain.observation import JsonObject
from ..domain.verdict import evidence

SOURCE = "hooks, Jobs and init containers"
NOT_LOOKED_INTO = "What the application itself does when it starts is not looked into."

_FORWARD = ("pre-install", "post-install", "pre-upgrade", "post-upgrade", "pre-rollback", "post-rollback")
_ROLLBACK = ("pre-rollback", "post-rollback")
# Objects that hooks make and that run no code.
_INERT = frozenset(
    {
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "Role",
        "RoleBinding",
        "Secret",
        "Service",
        "ServiceAccount",
    }
)


@dataclass(frozen=True)
class RevisionContent:
    """What a revision of the release holds.

    ``objects`` is its parsed manifest, ``hooks`` are Helm's hook entries as its release record has them
    (``name``, ``kind``, ``events``, ``manifest`` in YAML, ``last_run.phase``).
    """

    revision: int
    objects: tuple[JsonObject, ...]
    hooks: tuple[JsonObject, ...]


@dataclass(frozen=True)
class _Thing:
    """Something that could have migrated: True it ran, None not known, False it did not run."""

    ran: bool | None
    said: str


def judge_hooks(target: RevisionContent, later: Sequence[RevisionContent]) -> MigrationFinding:
    """Whether anything in ``later`` (every revision after the target, up to the bad one) could migrate.

    False only if nothing ran; True if a hook ran that the target does not have in the same form; None if
    it cannot be told (an unchanged hook, a Job, an init container, a revision missing from the history).
    """
    if not later:
        return MigrationFinding(
            SOURCE,
            None,
            "Nothing has been rolled back yet, so there is no bad deploy to look for migrations in. "
            "After a rollback this is judged by itself.",
        )
    looked: list[str] = []
    things: list[_Thing] = []
    missing = set(range(target.revision + 1, max(one.revision for one in later))) - {
        one.revision for one in later
    }
    for number in sorted(missing):
        things.append(_Thing(None, f"revision {number} is not in Helm's history any more"))
        looked.append(f"revision {number}: not in Helm's history any more")
    known = dict(_hook_shapes(target))
    for one in sorted(later, key=lambda content: content.revision):
        found = [*_hooks(one, known), *_jobs(one), *_init_containers(one)]
        things += found
        looked += _rows(f"revision {one.revision}", found)
    own = list(_hooks_of_the_rollback(target))
    things += own
    looked += _rows(f"revision {target.revision} (target), hooks of a rollback", own)
    shown = (evidence(f"Looked at: {SOURCE}", "\n".join([*looked, NOT_LOOKED_INTO])),)
    numbers = ", ".join(str(one.revision) for one in sorted(later, key=lambda content: content.revision))
    where = f"revision{'' if len(later) == 1 else 's'} {numbers}"
    if ran := [thing for thing in things if thing.ran]:
        more = f" (and {len(ran) - 1} more)" if len(ran) > 1 else ""
        said = f"{ran[0].said[0].upper()}{ran[0].said[1:]}"
        return MigrationFinding(SOURCE, True, f"{said}{more}.", shown)
    if unknown := [thing for thing in things if thing.ran is None]:
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        return MigrationFinding(
            SOURCE, None, f"It is not known whether a migration ran: {unknown[0].said}{more}.", shown
        )
    return MigrationFinding(
        SOURCE, False, f"No hook, Job or init container ran in {where}. {NOT_LOOKED_INTO}", shown
    )


def _rows(title: str, things: list[_Thing]) -> list[str]:
    words = {True: "RAN", False: "did not run", None: "unknown"}
    return [f"{title}: {words[thing.ran]}: {thing.said}" for thing in things] or [f"{title}: none"]


def _hooks_of_the_rollback(target: RevisionContent) -> Iterator[_Thing]:
    """Helm runs the target's rollback hooks; the run is recorded in the new revision, not in the target."""
    for hook in target.hooks:
        fired = [event for event in hook.get("events") or () if event in _ROLLBACK]
        if fired and hook.get("kind") not in _INERT:
            name = f"hook {hook.get('kind')} {hook.get('name')} ({', '.join(fired)})"
            yield _Thing(
                None,
                f"{name} of the target runs with the rollback and may have changed the database: "
                f"{_what_it_runs(hook)}",
            )


def _hooks(content: RevisionContent, known: dict[str, object]) -> Iterator[_Thing]:
    for hook in content.hooks:
        fired = [event for event in hook.get("events") or () if event in _FORWARD]
        kind = str(hook.get("kind", ""))
        if not fired or kind in _INERT:
            continue
        name = f"hook {kind} {hook.get('name')} ({', '.join(fired)}) of revision {content.revision}"
        phase = (hook.get("last_run") or {}).get("phase") or ""
        if not phase:
            yield _Thing(False, f"{name}: Helm recorded no run of it")
            continue
        shape = _shape(hook)
        what = _what_it_runs(hook)
        if shape is not None and known.get(f"{kind}/{hook.get('name')}") == shape:
            yield _Thing(None, f"{name} ran ({phase}), in the same form as in the target: {what}")
        else:
            yield _Thing(True, f"{name} ran ({phase}): {what}")


def _hook_shapes(content: RevisionContent) -> Iterator[tuple[str, object]]:
    for hook in content.hooks:
        shape = _shape(hook)
        if shape is not None:
            yield f"{hook.get('kind')}/{hook.get('name')}", shape


def _shape(hook: JsonObject) -> object:
    """What decides what a hook does: its pod's spec, or all of its spec; None if it cannot be read."""
    made = _parsed(hook)
    if made is None:
        return None
    return _pod_spec(made) or made.get("spec")


def _parsed(hook: JsonObject) -> JsonObject | None:
    try:
        made = yaml.safe_load(hook.get("manifest") or "")
    except yaml.YAMLError:
        return None
    return made if isinstance(made, dict) else None


def _what_it_runs(hook: JsonObject) -> str:
    made = _parsed(hook)
    spec = _pod_spec(made) if made is not None else None
    if spec is None:
        return "its manifest does not say what it runs"
    return "; ".join(
        _runs(one) for one in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    )


def _jobs(content: RevisionContent) -> Iterator[_Thing]:
    for item in content.objects:
        if item.get("kind") in ("Job", "Pod"):
            spec = _pod_spec(item) or {}
            runs = "; ".join(_runs(one) for one in spec.get("containers") or ())
            yield _Thing(
                None,
                f"{item['kind']} {item['metadata']['name']} of revision {content.revision} is no hook, so "
                f"Helm does not record what became of it: {runs}",
            )


def _init_containers(content: RevisionContent) -> Iterator[_Thing]:
    for item in content.objects:
        spec = _pod_spec(item)
        if spec is None or item.get("kind") in ("Job", "Pod", "CronJob"):
            continue
        for one in spec.get("initContainers") or ():
            if one.get("restartPolicy") == "Always":
                continue  # a sidecar: part of the application
            yield _Thing(
                None,
                f"init container {one.get('name')} of {item['kind']} {item['metadata']['name']} in revision "
                f"{content.revision}: {_runs(one)}",
            )


def _pod_spec(item: JsonObject) -> JsonObject | None:
    spec = item.get("spec") or {}
    if item.get("kind") == "Pod":
        return dict(spec)
    if item.get("kind") == "CronJob":
        spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    template = spec.get("template")
    return template.get("spec") if isinstance(template, dict) else None


def _runs(container: JsonObject) -> str:
    words = [str(word) for word in [*(container.get("command") or ()), *(container.get("args") or ())]]
    command = " ".join(words)[:300] or "the image's own command"
    return f"{container.get('image')} runs {command}"
