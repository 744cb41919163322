"""Source: hooks, Jobs and init containers of the revisions after the target, and what became of them.

What a release itself can run beside its application is all here. What the application does at its own
start is not: a chart whose service migrates when it starts needs another source or an assessment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from ..domain.checks import JsonObject
from ..domain.migration import MigrationFinding, RevisionContent, Span
from ..domain.verdict import evidence
from ..domain.yaml_as_go import YamlProblem, load_all

SOURCE = "hooks, Jobs and init containers"
NOT_LOOKED_INTO = "Not checked: migrations that the application runs at start-up."

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
class _Thing:
    """Something that could have migrated: True it ran, None not known, False it did not run.

    ``name`` as the manifest has it; ``ended_well`` unless it is known that it did not.
    """

    ran: bool | None
    said: str
    name: str = ""
    ended_well: bool = True


def judge_hooks(span: Span, accounted_for: Collection[str] = ()) -> MigrationFinding:
    """Whether anything in a revision after the target, up to the bad one, could migrate.

    False only if nothing ran; True if a hook or Job ran that the target does not have in the same form; None
    if it cannot be told (an unchanged hook, a Job that is gone, an init container, a revision missing from
    the history). What is ``accounted_for`` by name and did not fail is left to the other sources.
    """
    target, later = span.target, span.later
    if not later:
        return MigrationFinding(
            SOURCE,
            None,
            "Nothing has been rolled back yet, so there is no deploy to look for migrations in. "
            "After a rollback this is judged by itself.",
        )
    looked: list[str] = []
    things: list[_Thing] = []
    missing = set(range(target.revision + 1, max(one.revision for one in later))) - {
        one.revision for one in later
    }
    for number in sorted(missing):
        # Pruned, or older than what is read of a long history.
        things.append(_Thing(None, f"revision {number} could not be looked into: its record was not read"))
        looked.append(f"revision {number}: its record was not read")
    known = dict(_hook_shapes(target))
    for one in sorted(later, key=lambda content: content.revision):
        found = [*_hooks(one, known), *_jobs(one, target, span.jobs), *_init_containers(one, span.pods)]
        found = [_left_to_others(thing, accounted_for) for thing in found]
        things += found
        looked += _rows(f"revision {one.revision}", found)
    own = [_left_to_others(thing, accounted_for) for thing in _hooks_of_the_rollback(target)]
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
    other = "other " if any(thing.name in accounted_for for thing in things) else ""
    said = f"No {other}hook, Job or init container ran in {where}. {NOT_LOOKED_INTO}"
    return MigrationFinding(SOURCE, False, said, shown, whole=False, limits=(NOT_LOOKED_INTO,))


def _left_to_others(thing: _Thing, accounted_for: Collection[str]) -> _Thing:
    if thing.ran is False or thing.name not in accounted_for or not thing.ended_well:
        return thing
    return replace(thing, ran=False, said=f"accounted for by the configuration: {thing.said}")


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
                str(hook.get("name")),
            )


def rollback_hook_specs(target: RevisionContent) -> Iterator[tuple[str, JsonObject]]:
    """Name and pod's spec of each hook that helm runs when it goes back to ``target``."""
    for hook in target.hooks:
        if set(hook.get("events") or ()).intersection(_ROLLBACK):
            made = _parsed(hook)
            spec = pod_spec(made) if made is not None else None
            if spec is not None:
                yield str(hook.get("name")), spec


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
        well = phase == "Succeeded"
        if not well:
            phase += ", so part of it may be applied"
        if shape is not None and known.get(f"{kind}/{hook.get('name')}") == shape:
            said = f"{name} ran ({phase}), in the same form as in the target: {what}"
            yield _Thing(None, said, str(hook.get("name")), well)
        else:
            yield _Thing(True, f"{name} ran ({phase}): {what}", str(hook.get("name")), well)


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
    return pod_spec(made) or made.get("spec")


def _parsed(hook: JsonObject) -> JsonObject | None:
    try:
        documents = load_all(str(hook.get("manifest") or ""))
    except YamlProblem:
        return None
    return next((one for one in documents if isinstance(one, dict)), None)


def _what_it_runs(hook: JsonObject) -> str:
    made = _parsed(hook)
    spec = pod_spec(made) if made is not None else None
    if spec is None:
        return "its manifest does not say what it runs"
    return _all_run(spec)


def _all_run(spec: JsonObject) -> str:
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    return "; ".join(_runs(one) for one in containers)


def _jobs(
    content: RevisionContent, target: RevisionContent, live: Mapping[str, JsonObject]
) -> Iterator[_Thing]:
    """Jobs and Pods of the manifest itself: Helm records nothing of them, so the live Job is looked at."""
    before = {
        item["metadata"]["name"]: pod_spec(item) for item in target.objects if item.get("kind") == "Job"
    }
    for item in content.objects:
        if item.get("kind") not in ("Job", "Pod"):
            continue
        name = str(item["metadata"]["name"])
        spec = pod_spec(item) or {}
        runs = "; ".join(
            _runs(one) for one in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
        )
        what = f"{item['kind']} {name} of revision {content.revision}"
        job = live.get(name) if item["kind"] == "Job" else None
        if job is None or not _same_images(job, spec):
            yield _Thing(
                None, f"{what} is no hook, so Helm does not record what became of it: {runs}", name, True
            )
            continue
        became, well = _became(job)
        same = before.get(name) == pod_spec(item)
        form = ", in the same form as in the target" if same else ""
        yield _Thing(None if same else True, f"{what} {became}{form}: {runs}", name, well)


def _same_images(job: JsonObject, spec: JsonObject) -> bool:
    """Whether the live Job is this revision's; another one's of the same name says nothing of it."""
    live = pod_spec(job) or {}
    return [one.get("image") for one in live.get("containers") or ()] == [
        one.get("image") for one in spec.get("containers") or ()
    ]


def _became(job: JsonObject) -> tuple[str, bool]:
    """What a live Job says of itself, and whether that is a good end."""
    status = job.get("status") or {}
    ended = {one.get("type") for one in status.get("conditions") or () if one.get("status") == "True"}
    if "Complete" in ended:
        return "ran (completed)", True
    if "Failed" in ended or status.get("failed"):
        return f"ran ({status.get('failed', 1)} pods failed, so part of it may be applied)", False
    return "was started and has not ended, so part of it may be applied", False


def has_init_containers(item: JsonObject) -> bool:
    """Whether a workload of a manifest runs something before its containers."""
    return any(True for _ in _before_start(item))


def _before_start(item: JsonObject) -> Iterator[JsonObject]:
    spec = pod_spec(item)
    if spec is not None and item.get("kind") not in ("Job", "Pod", "CronJob"):
        for one in spec.get("initContainers") or ():
            if one.get("restartPolicy") != "Always":  # that would be a sidecar: part of the application
                yield one


def _init_containers(content: RevisionContent, pods: Mapping[str, JsonObject]) -> Iterator[_Thing]:
    for item in content.objects:
        for one in _before_start(item):
            became, well = _ended(one, pods.values())
            yield _Thing(
                None,
                f"init container {one.get('name')} of {item['kind']} {item['metadata']['name']} in revision "
                f"{content.revision}{became}: {_runs(one)}",
                str(one.get("name")),
                well,
            )


def _ended(container: JsonObject, pods: Iterable[JsonObject]) -> tuple[str, bool]:
    """What live pods say of an init container with this name, image and command; whether none failed."""
    alike = ("name", "image", "command", "args")
    good = bad = 0
    for pod in pods:
        spec, status = pod.get("spec") or {}, pod.get("status") or {}
        if not any(
            all(one.get(key) == container.get(key) for key in alike)
            for one in spec.get("initContainers") or ()
        ):
            continue
        for one in status.get("initContainerStatuses") or ():
            if one.get("name") == container.get("name"):
                ends = [(one.get(key) or {}).get("terminated") for key in ("state", "lastState")]
                codes = [end.get("exitCode") for end in ends if end]
                good += bool(codes) and codes[0] == 0
                bad += bool(codes) and codes[0] != 0
    if bad:
        return f" (failed in {bad} pod{'' if bad == 1 else 's'}, so part of it may be applied)", False
    return (f" (ended well in {good} pod{'' if good == 1 else 's'})" if good else ""), True


def pod_spec(item: JsonObject) -> JsonObject | None:
    """The spec of the pods that an object makes, or is; None: it makes none."""
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
