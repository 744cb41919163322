"""The guards that look at what helm would take away from others, or for good. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...domain.errors import Forbidden
from ...domain.record import Guard, GuardReason
from ...release.manifest import ObjectKey, identity, is_kept, release_of
from ...report.by_hand import kubectl
from ...report.failures import listed
from ..node_images import MOST_LISTED, ImagesSeen
from ..overrides import override_option
from ..probe import OK, REFUSED, WARNED, Facts, ProbeResult

if TYPE_CHECKING:
    from ...config.environment import Environment
    from ...domain.checks import JsonObject
    from ...release.drift import LiveObject

_FEW = 4
_KEEP = "helm.sh/resource-policy=keep"
# With these more is deleted than the object: data, or every object of a kind or in a namespace.
HOLDERS = ("PersistentVolumeClaim", "CustomResourceDefinition", "Namespace")
_NO_NAMESPACE = ("CustomResourceDefinition", "Namespace")
# helm's delete policies spare a CustomResourceDefinition (pkg/action/hooks.go).
_LOST_AS_HOOKS = ("PersistentVolumeClaim", "Namespace")


def judge_images(answer: ProbeResult[ImagesSeen]) -> Guard:
    """Every image of the target is on a node, or in a pod that runs; no registry is asked, so this only
    warns.
    """
    seen = answer.value
    if seen is None:
        why, error = answer.why, answer.error
        if isinstance(error, Forbidden):
            why = f"the right to {error.verb} {error.resource} is missing"
        return Guard.not_known("images", f"not looked at whether the target's images are on a node: {why}")
    if not seen.missing:
        return Guard(id="images", state=OK, evidence="every image of the target is on a node")
    more = [f"{len(seen.missing) - _FEW} more"] if len(seen.missing) > _FEW else []
    many = len(seen.missing) > 1
    images = f"image{'s' if many else ''} {listed([*seen.missing[:_FEW], *more])}"
    whether = f"whether {images} of the target {'are' if many else 'is'} on a node is not known"
    if not seen.nodes:
        return Guard.not_known("images", f"{whether}: no node lists its images")
    if seen.cut:
        return Guard.not_known(
            "images",
            f"{whether}: {seen.cut} of {seen.nodes} nodes "
            f"name {MOST_LISTED} images or more, and perhaps not all",
        )
    are = "are" if len(seen.missing) > 1 else "is"
    return Guard(
        id="images",
        state=WARNED,
        reason=GuardReason.IMAGE_ON_NO_NODE,
        evidence=f"revision {seen.revision}'s {images} {are} on no node",
        consequence="If the registry has deleted it, the rollback cannot start. The registry was not asked.",
    )


def judge_ownership(facts: Facts) -> Guard:
    """No object that helm would delete, change or make belongs to another release."""
    touched, history = facts.touched.value, facts.history.value
    if touched is None or history is None:
        why = f"whether another release owns one of the objects is unknown: {facts.touched.why}"
        return Guard.not_known("ownership", why)
    ours = (history.name, history.namespace)
    found = [
        f"{key.label} belongs to release {'/'.join(reversed(owner))} and would be {what}"
        for what, objects in (
            ("deleted", touched.deleted),
            ("overwritten", touched.applied),
            ("deleted and made anew as a hook", touched.hooks),
        )
        for key, live in objects.items()
        if live.item is not None and (owner := release_of(live.item, ours)) != ours
    ]
    if found:
        return Guard(
            id="ownership",
            state=REFUSED,
            reason=GuardReason.OTHER_OWNER,
            evidence=_listed(found),
            consequence="That release loses it, with what is in it, and nobody there is told. Helm does not "
            "look at whose it is.",
            override=override_option("ownership"),
        )
    unread = [
        key.label
        for key, live in {**touched.deleted, **touched.applied, **touched.hooks}.items()
        if live.error is not None
    ]
    if unread:
        return Guard.not_known(
            "ownership", f"whether another release owns {_listed(unread, ', ')} is unknown: not read"
        )
    if touched.unread:
        why = f"whether another release owns something in it is unknown: {_listed(list(touched.unread))}"
        return Guard.not_known("ownership", why)
    return Guard(id="ownership", state=OK, evidence="no object that helm would touch names another release")


def judge_data_loss(facts: Facts, env: Environment, target: Sequence[JsonObject] = ()) -> Guard:
    """Nothing is deleted that takes data along, or every object of a kind or in a namespace.

    ``target``: the target's objects, which may ask for fewer replicas.
    """
    touched = facts.touched.value
    if touched is None:
        why = f"what helm would delete is unknown: {facts.touched.why}"
        return Guard.not_known("data-loss", why)
    known: Mapping[ObjectKey, str] = facts.contents.value or {}
    losing = {
        key: live.item
        for key, live in touched.deleted.items()
        if live.item and _loses(key, live.item, known.get(key, ""))
    }
    said = [f"{key.label} would be deleted{_with(key, known.get(key, ''))}" for key in losing]
    others = [*_lost_hooks(touched.hooks), *_scaled_away(touched.applied, target)]
    said += others
    if said:
        curable = not others and all(_is_curable(facts, key, item) for key, item in losing.items())
        return Guard(
            id="data-loss",
            state=REFUSED,
            reason=GuardReason.DATA_LOSS,
            evidence=_listed(said),
            consequence="What is in it is gone for good: no other rollback brings it back.",
            override=override_option("data-loss"),
            commands=tuple(_keep(env, key) for key in losing) if curable else (),
        )
    unread = [key.label for key, live in touched.deleted.items() if live.error and key.kind in HOLDERS]
    if unread:
        why = f"what becomes of {_listed(unread, ', ')}, which the target does not have, is unknown: not read"
        return Guard.not_known("data-loss", why)
    if touched.unread:
        why = f"whether more would be deleted is unknown: {_listed(list(touched.unread))}"
        return Guard.not_known("data-loss", why)
    return Guard(
        id="data-loss", state=OK, evidence="no PersistentVolumeClaim, kind or namespace would be deleted"
    )


def _loses(key: ObjectKey, item: JsonObject, contents: str) -> bool:
    """A StatefulSet takes claims along by its policy, or by owner references that an older policy left."""
    owns = _takes_claims_along(item) or (key.kind == "StatefulSet" and bool(contents))
    return not is_kept(item) and (key.kind in HOLDERS or owns)


def _is_curable(facts: Facts, key: ObjectKey, item: JsonObject) -> bool:
    """Whether it may be told to stay: it is ours, and no StatefulSet, whose pods would stay, too."""
    history = facts.history.value
    ours = (history.name, history.namespace) if history is not None else ("", "")
    return key.kind in HOLDERS and release_of(item, ours) == ours


def _lost_hooks(hooks: Mapping[ObjectKey, LiveObject]) -> list[str]:
    """Hooks that hold data: helm deletes them before it makes them anew, whatever their policy says."""
    return [
        f"{key.label} would be deleted and made anew as a hook"
        for key, live in hooks.items()
        if live.item is not None and (key.kind in _LOST_AS_HOOKS or _takes_claims_along(live.item))
    ]


def _takes_claims_along(item: JsonObject) -> bool:
    """A StatefulSet whose claims go with it. Source: apps/v1, persistentVolumeClaimRetentionPolicy."""
    return item.get("kind") == "StatefulSet" and _claims_go(item, "whenDeleted")


def _claims_go(item: JsonObject, when: str) -> bool:
    spec = item.get("spec") or {}
    policy = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    return bool(policy.get(when) == "Delete" and spec.get("volumeClaimTemplates"))


def _scaled_away(applied: Mapping[ObjectKey, LiveObject], target: Sequence[JsonObject]) -> list[str]:
    """StatefulSets that the target gives fewer replicas, and whose claims go with the pods."""
    found = []
    for item in target:
        live = applied.get(identity(item)) if item["kind"] == "StatefulSet" else None
        if live is None or live.item is None:
            continue
        wanted, now = ((each.get("spec") or {}).get("replicas") for each in (item, live.item))
        if (
            isinstance(wanted, int)
            and isinstance(now, int)
            and wanted < now
            and _claims_go(item, "whenScaled")
        ):
            claims = f"the PersistentVolumeClaims of {now - wanted} pods would be deleted with them"
            found.append(f"{identity(item).label} goes from {now} to {wanted} replicas, and {claims}")
    return found


def _with(key: ObjectKey, contents: str) -> str:
    if key.kind not in HOLDERS:
        return f", and its PersistentVolumeClaims with it{f' ({contents})' if contents else ''}"
    return f" ({contents})" if contents else "; what is in it is not known"


def _keep(env: Environment, key: ObjectKey) -> str:
    """The command after which helm leaves it where it is; it changes nothing else."""
    words = ("annotate", key.kind.lower(), key.name, _KEEP, "--overwrite")
    return kubectl(env, *words, namespace="" if key.kind in _NO_NAMESPACE else key.namespace)


def _listed(sentences: list[str], between: str = "; ") -> str:
    more = [f"{len(sentences) - _FEW} more"] if len(sentences) > _FEW else []
    return between.join([*sentences[:_FEW], *more])
