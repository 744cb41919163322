"""The forecast: every object of both revisions is tried by dry run, exactly as this helm would apply it.

helm goes through the target's objects in their order, then deletes what only the head has; the first change
that fails leaves a release of which half is applied and nothing deployed (docs/helm-facts.md, 4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..clients.threads import fetch_each
from ..domain.checks import JsonObject
from ..domain.errors import BadAnswer, ClusterError, NotFound, ZkRollbackError
from ..domain.forecast import (
    ApplyOutcome,
    FieldConflict,
    Forecast,
    ForecastCause,
    ForecastWarning,
    ObjectForecast,
    WarningKind,
)
from ..domain.ports import Kube
from ..release.ca_bundles import ca_bundles, is_certificate
from ..release.diff import by_identity, is_secret_name, pod_references
from ..release.drift import LiveObject, compare, fetch_live
from ..release.dry_run import is_custom, manager_of, stamped, try_apply, try_create, try_delete, try_patch
from ..release.external_references import outer_references
from ..release.field_paths import shown_path
from ..release.helm_secret import Release, rollback_hooks
from ..release.hook_objects import hook_objects
from ..release.managed_fields import HELM
from ..release.manifest import WORKLOAD_KINDS, ObjectKey, identity, is_kept, pod_template
from .dry_run_answer import judge_answer
from .permissions import Granted

if TYPE_CHECKING:
    from ..release.shared_reads import SharedReads
    from .release_view import ReleaseView, UnreadPart

_CONFLICT = 409
_SHOWN_CHARS = 200  # an image with its digest
_WORKERS = 14


@dataclass
class Forecaster:
    """One dry run through all objects. ``server_side``: Helm 4 on a target that was applied so."""

    kube: Kube
    namespace: str
    release: str
    major: int
    server_side: bool
    timeout_s: float
    before: Mapping[ObjectKey, JsonObject]
    defined: frozenset[tuple[str, str]]  # (API version, kind) of the target's own definitions
    namespaces: frozenset[str]  # that the target itself makes
    reads: SharedReads
    granted: Granted
    after: dict[ObjectKey, JsonObject] = field(default_factory=dict)  # as they would be
    live: dict[ObjectKey, JsonObject] = field(default_factory=dict)

    def apply(self, key: ObjectKey, item: JsonObject) -> ObjectForecast:
        """What helm does with an object of the target."""
        try:
            folder, path = self._paths(key)
        except ClusterError as error:
            return self._not_built(key, error)
        wanted = stamped(item, self.release, self.namespace)
        action = "change"
        try:
            live = self._live(key, path)
            if live is None:
                action = "create"
                created = (
                    try_apply(self.kube, path, wanted, self.timeout_s)
                    if self.server_side
                    else try_create(self.kube, folder, wanted, self.timeout_s)
                )
                self.after[key] = created
                self.granted.add(key, *(("patch", "create") if self.server_side else ("create",)))
            else:
                self.live[key] = live
                self.after[key] = self._change(key, path, wanted, live)
        except ClusterError as error:
            if key.namespace in self.namespaces and judge_answer(error) is ForecastCause.MISSING_NAMESPACE:
                why = f"namespace {key.namespace} is only there once the target's own has been made"
                return ObjectForecast(what=key.label, action=action, will=ApplyOutcome.UNKNOWN, why=why)
            return _failed(key, action, error, self.live.get(key), wanted)
        return ObjectForecast(what=key.label, action=action, will=ApplyOutcome.APPLY)

    def _change(self, key: ObjectKey, path: str, wanted: JsonObject, live: JsonObject) -> JsonObject:
        if self.server_side:
            changed = try_apply(self.kube, path, wanted, self.timeout_s)
        else:
            original = self.before.get(key, live)
            changed = try_patch(self.kube, path, original, wanted, live, self.timeout_s)
        if changed is not live:  # else there was nothing to send
            self.granted.add(key, "patch")
        return changed

    def delete(self, key: ObjectKey) -> ObjectForecast:
        """What helm does with an object that only the head has."""
        try:
            live = self._live(key, self._paths(key)[1])
        except NotFound:
            if not is_custom(self.before[key]):
                return self._not_served(key)
            why = (
                f"{key.kind} is no longer served; helm stops at it unless its discovery cache still knows it"
            )
            return ObjectForecast(what=key.label, action="build", will=ApplyOutcome.UNKNOWN, why=why)
        except ClusterError as error:
            why = f"it cannot be read, so helm leaves it where it is: {error}"
            return ObjectForecast(what=key.label, action="keep", will=ApplyOutcome.APPLY, why=why)
        if live is None:
            return ObjectForecast(
                what=key.label, action="keep", will=ApplyOutcome.APPLY, why="it is gone already"
            )
        if is_kept(live):
            return ObjectForecast(
                what=key.label, action="keep", will=ApplyOutcome.APPLY, why="its policy is keep"
            )
        try:
            try_delete(self.kube, self._paths(key)[1], self.timeout_s)
        except NotFound:
            pass
        except ClusterError as error:
            if self.major >= 4:
                return _failed(key, "delete", error, None, {})
            why = f"Helm 3 does not mind that it cannot be deleted: {error}"
            return ObjectForecast(what=key.label, action="keep", will=ApplyOutcome.APPLY, why=why)
        else:
            self.granted.add(key, "delete")
        return ObjectForecast(what=key.label, action="delete", will=ApplyOutcome.APPLY)

    def record(self, number: int) -> ObjectForecast:
        """helm's own Secret, which it writes before anything else."""
        name = f"sh.helm.release.v1.{self.release}.v{number}"
        body: JsonObject = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "type": "helm.sh/release.v1",
            "data": {"release": ""},
        }
        key = ObjectKey("v1", "Secret", self.namespace, name)
        try:
            try_create(self.kube, self._paths(key)[0], body, self.timeout_s)
        except ClusterError as error:
            if isinstance(error, BadAnswer) and error.status == _CONFLICT:
                why = f"revision {number} appeared meanwhile: somebody else is at work"
                return ObjectForecast(what=key.label, action="record", will=ApplyOutcome.UNKNOWN, why=why)
            return _failed(key, "record", error, None, {})
        self.granted.add_records("create")
        return ObjectForecast(what=key.label, action="record", will=ApplyOutcome.APPLY)

    def _paths(self, key: ObjectKey) -> tuple[str, str]:
        """Those of the kind and of the object. Raises NotFound if the server does not serve the kind."""
        folder = self.kube.resource_path(key.api_version, key.kind, key.namespace)
        return folder, f"{folder}/{quote(key.name, safe='')}"

    def _live(self, key: ObjectKey, path: str) -> JsonObject | None:
        try:
            found: JsonObject | None = self.reads.get(path, self.timeout_s)
        except NotFound:
            found = None
        if not self.reads.was_listed(path):  # by the right to list
            self.granted.add(key, "get")
        return found

    def _not_built(self, key: ObjectKey, error: ClusterError) -> ObjectForecast:
        """helm builds the target's objects before it changes anything: a kind that is not served stops it."""
        why = str(error)
        if isinstance(error, NotFound) and (key.api_version, key.kind) in self.defined:
            why = f"{key.kind} is only served once the target's own CustomResourceDefinition is there"
        elif isinstance(error, NotFound):
            return self._not_served(key)
        return ObjectForecast(what=key.label, action="build", will=ApplyOutcome.UNKNOWN, why=why)

    @staticmethod
    def _not_served(key: ObjectKey) -> ObjectForecast:
        why = f"the API server does not serve {key.kind} in {key.api_version}"
        return ObjectForecast(
            what=key.label,
            action="build",
            will=ApplyOutcome.FAIL,
            cause=ForecastCause.MISSING_KIND,
            why=why,
        )


def make_forecast(
    kube: Kube,
    namespace: str,
    view: ReleaseView,
    major: int,
    timeout_s: float = 3.0,
    granted: Granted | None = None,
) -> Forecast | None:
    """The forecast; None where there is no target. Raises the ZkRollbackErrors of the history.

    What the API server carries out for it is noted in ``granted``.
    """
    history, target = view.history(), view.target
    if target is None:
        return None
    head = history.head
    objects = view.objects_of(target)
    before, wanted = by_identity(view.objects_of(head)), by_identity(objects)
    server_side = major >= 4 and target.apply_method == "ssa"
    rehearsal = Forecaster(
        kube,
        namespace,
        history.name,
        major,
        server_side,
        timeout_s,
        before,
        _defined(objects),
        frozenset(str(item["metadata"].get("name")) for item in objects if item["kind"] == "Namespace"),
        view.reads,
        granted or Granted(),
    )
    known = {key.without_version for key in wanted}
    unread = view.unread()
    whole = not view.has_unread(target)  # else what looks gone may be in what was not read
    gone = [key for key in before if whole and key.without_version not in known]
    jobs: list[tuple[str, Any]] = [("record", head.revision.revision + 1)]
    jobs += [("apply", key) for key in wanted] + [("delete", key) for key in gone]

    def work(job: tuple[str, Any]) -> ObjectForecast:
        if job[0] == "record":
            return rehearsal.record(job[1])
        return rehearsal.delete(job[1]) if job[0] == "delete" else rehearsal.apply(job[1], wanted[job[1]])

    found = tuple(each for each in fetch_each(work, jobs, _WORKERS) if isinstance(each, ObjectForecast))
    found += _quota(kube, namespace, found)
    found += tuple(map(_unread, unread))
    unknown = tuple(_unknown(target, found))
    return Forecast(
        will=_whole(found, unknown),
        method="server-side apply" if server_side else "three-way patch",
        objects=found,
        restarts=_restarts(rehearsal, wanted) if len(found) >= len(jobs) and not unread else "",
        unknown=unknown,
        warnings=(*_placeholders(rehearsal, wanted), *_hooks_not_run(kube, namespace, view, target, objects)),
    )


def _unread(part: UnreadPart) -> ObjectForecast:
    """helm builds all objects before it changes one: what it cannot read stops it."""
    if part.helm_fails:
        return ObjectForecast(
            what=part.what,
            action="build",
            will=ApplyOutcome.FAIL,
            cause=ForecastCause.NO_OBJECT,
            why=part.why,
        )
    why = f"{part.why}; helm may read it, and what it does with it is not known"
    return ObjectForecast(what=part.what, action="build", will=ApplyOutcome.UNKNOWN, why=why)


def _placeholders(rehearsal: Forecaster, wanted: Mapping[ObjectKey, JsonObject]) -> Iterator[ForecastWarning]:
    """The CA bundles that helm takes away: it applies the placeholder of the target."""
    for key, after in rehearsal.after.items():
        live, item = rehearsal.live.get(key), wanted[key]
        for one in ca_bundles(item, live, (HELM,)) if live is not None else ():
            path = shown_path(one.path)
            lost = any(not each.is_filled for each in ca_bundles(item, after, ()) if each.path == one.path)
            if one.is_filled and lost:
                why = (
                    f"helm will put the placeholder back into {key.label} {path}, which "
                    f"{one.by or 'somebody'} filled in: until then the API server trusts nobody there"
                )
                yield ForecastWarning(kind=WarningKind.PLACEHOLDER, what=key.label, why=why)


def _hooks_not_run(
    kube: Kube, namespace: str, view: ReleaseView, target: Release, objects: Sequence[JsonObject]
) -> Iterator[ForecastWarning]:
    """What pods of the target read as a later revision's hook left it: helm rollback runs no such hook."""
    history, number = view.history(), target.revision.revision
    away = [each.revision.revision for each in history.releases if each.revision.revision > number]
    made = hook_objects(history.releases, number, away, namespace)
    again = {(hook.get("kind"), hook.get("name")) for hook in rollback_hooks(target)}
    left = [
        (reference, made[key])
        for reference in outer_references(objects)
        if (key := identity(reference.item)) in made and (key.kind, key.name) not in again
    ]
    answers = fetch_live(kube, [reference.item for reference, hook in left if hook.later])
    for (reference, hook), live in zip([each for each in left if each[1].later], answers, strict=True):
        later, item = hook.later[-1]
        by = hook.left_by(live)
        if live.error is not None and compare([hook.made[1]], [LiveObject(item)]):
            by = later
        if by is None or hook.is_as_made(live):
            continue
        label = identity(reference.item).label
        why = (
            f"helm rollback does not run the hook that makes {label}: {reference.user} starts with revision "
            f"{by}'s value, not revision {hook.made[0]}'s"
        )
        yield ForecastWarning(kind=WarningKind.HOOK_NOT_RUN, what=label, why=why)


def _defined(objects: Sequence[JsonObject]) -> frozenset[tuple[str, str]]:
    """(API version, kind) of what the target's own CustomResourceDefinitions define."""
    specs = [item.get("spec") or {} for item in objects if item["kind"] == "CustomResourceDefinition"]
    return frozenset(
        (f"{spec.get('group')}/{version.get('name')}", str((spec.get("names") or {}).get("kind")))
        for spec in specs
        for version in spec.get("versions") or ()
    )


def _whole(found: Sequence[ObjectForecast], unknown: Sequence[str]) -> ApplyOutcome:
    words = {each.will for each in found}
    if ApplyOutcome.FAIL in words:
        return ApplyOutcome.FAIL
    return ApplyOutcome.UNKNOWN if ApplyOutcome.UNKNOWN in words or unknown else ApplyOutcome.APPLY


def _unknown(target: Release, found: Sequence[ObjectForecast]) -> list[str]:
    said = [
        f"hook {hook.get('kind')}/{hook.get('name')}: no dry run says whether it works"
        for hook in rollback_hooks(target)
    ]
    return said + [f"{each.what}: {each.why}" for each in found if each.will is ApplyOutcome.UNKNOWN]


def _failed(
    key: ObjectKey, action: str, error: ClusterError, live: JsonObject | None, wanted: JsonObject
) -> ObjectForecast:
    cause = judge_answer(error)
    conflicts: tuple[FieldConflict, ...] = ()
    if cause is ForecastCause.CONFLICT and isinstance(error, BadAnswer):
        conflicts = tuple(
            FieldConflict(
                manager=manager_of(message),
                field=name,
                live=_value(key, live, name),
                target=_value(key, wanted, name),
                placeholder=name.endswith(".caBundle")
                and is_certificate(_found(live, name))
                and not is_certificate(_found(wanted, name)),
            )
            for name, message in error.causes
        )
    will = ApplyOutcome.UNKNOWN if cause is ForecastCause.UNANSWERED else ApplyOutcome.FAIL
    shown = key.kind != "Secret" or cause in (ForecastCause.FORBIDDEN, ForecastCause.QUOTA)
    why = str(error) if shown else f"{cause} (hidden)"
    return ObjectForecast(what=key.label, action=action, will=will, cause=cause, why=why, conflicts=conflicts)


def _value(key: ObjectKey, item: JsonObject | None, path: str) -> str:
    """The value at ``.spec.containers[name="app"].image``; nothing that is secret by kind or name."""
    if key.kind == "Secret" or item is None or is_secret_name(path):
        return ""
    node = _found(item, path)
    if isinstance(node, dict | list):  # `args`, a whole `env`: no name says what in it is secret
        return f"(a {'map' if isinstance(node, dict) else 'list'}, not shown)"
    text = "" if node is None else str(node)
    # Of a long one no part: the redactor would not find half of a secret.
    return text if len(text) <= _SHOWN_CHARS else f"({len(text)} characters, not shown)"


def _found(item: JsonObject | None, path: str) -> Any:
    """The value at the same path, as it is."""
    node: Any = item
    for name, _, selector in _steps(path):
        if name:
            node = node.get(name) if isinstance(node, dict) else None
        if selector and isinstance(node, list):
            wanted = dict(part.split("=", 1) for part in selector.split(",") if "=" in part)
            node = next(
                (
                    each
                    for each in node
                    if isinstance(each, dict)
                    and all(str(each.get(one)) == value.strip('"') for one, value in wanted.items())
                ),
                None,
            )
    return node


def _steps(path: str) -> list[tuple[str, str, str]]:
    """``(name, "[", selector)`` of each part of a field path."""
    parts: list[tuple[str, str, str]] = []
    rest = path
    while rest:
        if rest.startswith("["):
            inside, _, rest = rest[1:].partition("]")
            parts.append(("", "[", inside))
            continue
        rest = rest.removeprefix(".")
        end = min((at for at in (rest.find("."), rest.find("[")) if at >= 0), default=len(rest))
        parts.append((rest[:end], "", ""))
        rest = rest[end:]
        if not end:
            break
    return parts


def _quota(kube: Kube, namespace: str, found: Sequence[ObjectForecast]) -> tuple[ObjectForecast, ...]:
    """Objects that fit into the quota one by one, and not together; a dry run counts each alone."""
    created = Counter(_counted(each.what) for each in found if each.action in ("create", "record"))
    if any(each.will is ApplyOutcome.FAIL for each in found) or max(created.values(), default=0) < 2:
        return ()
    try:
        quotas = kube.list(f"/api/v1/namespaces/{quote(namespace, safe='')}/resourcequotas")
    except ZkRollbackError as error:
        why = f"whether a quota allows all new objects together: {error}"
        return (ObjectForecast(what="ResourceQuota", action="create", will=ApplyOutcome.UNKNOWN, why=why),)
    for quota in quotas:
        status = quota.get("status") or {}
        for name, hard in (status.get("hard") or {}).items():
            kind = name.removeprefix("count/").partition(".")[0].rstrip("s")
            used = str((status.get("used") or {}).get(name, "0"))
            if str(hard).isdigit() and used.isdigit() and created[kind] > int(hard) - int(used):
                why = f"{created[kind]} are to be created, and {name} allows {int(hard) - int(used)} more"
                label = f"ResourceQuota/{quota['metadata']['name']}"
                return (
                    ObjectForecast(
                        what=label,
                        action="create",
                        will=ApplyOutcome.FAIL,
                        cause=ForecastCause.QUOTA,
                        why=why,
                    ),
                )
    return ()


def _counted(label: str) -> str:
    """``Deployment/api`` as a quota counts it, without its plural: ``deployment``."""
    return label.partition("/")[0].lower().rstrip("s")


def _restarts(rehearsal: Forecaster, wanted: Mapping[ObjectKey, JsonObject]) -> str:
    """Why no pod would restart, so that success would change nothing for users; empty: some would."""
    workloads = [key for key in wanted if key.kind in WORKLOAD_KINDS]
    if not workloads or any(key not in rehearsal.after for key in workloads):
        return ""
    for key in workloads:
        live = rehearsal.live.get(key)
        if live is None or pod_template(live) != pod_template(rehearsal.after[key]):
            return ""
    changed = {
        (key.kind, key.name)
        for key, item in rehearsal.after.items()
        if key.kind in ("ConfigMap", "Secret") and _content(item) != _content(rehearsal.live.get(key) or {})
    }
    read = {pair for key in workloads for pair in pod_references(pod_template(wanted[key]) or {})}
    used = [f"{kind}/{name}" for kind, name in sorted(changed & read)]
    said = "no pod template changes: the same images (a mutable tag?) and settings"
    if used:
        said += f"; {', '.join(used)} changes, and nothing restarts the pods that read it"
    return said


def _content(item: JsonObject) -> tuple[Any, Any]:
    return item.get("data"), item.get("binaryData")
