"""Secrets and ConfigMaps that a controller makes of an object of the release, and who read them. Pure.

helm puts a SealedSecret or an ExternalSecret back, its controller then writes the Secret, and nobody restarts
the pods that had read it. A pod is known to have the target's values if it started after they were written; a
controller that writes the same values again writes nothing, by the managedFields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ...domain.checks import JsonObject
from ...domain.kube_objects import is_alive, is_native, owners, uid
from ...domain.timestamps import parse_time
from ...domain.verdict import Verdict
from ...release.drift import LiveObject
from ...release.managed_fields import data_written_at
from ...release.manifest import ObjectKey, identity, manifest_workloads, pod_template
from ...report.by_hand import resource_name
from ...report.formatting import moment
from .model import (
    CLOCK_SKEW,
    Cluster,
    Expectation,
    PodProblem,
    Words,
    intervals_at,
    owned_pods,
    pod_name,
    show_pod,
    started_at,
)
from .startup_config import Source, read_as_files, read_at_start
from .templates import Remark

# Where such objects name what they make, if that has not their own name: ExternalSecret, SealedSecret,
# Certificate (cert-manager), VaultStaticSecret.
_NAMED_AT = (("target", "name"), ("template", "metadata", "name"), ("secretName",), ("destination", "name"))
# How long a kubelet takes to bring changed files.
_RELOADED_S = 90.0


def generated_sources(
    target: Sequence[JsonObject], rolled_away: Sequence[Sequence[JsonObject]]
) -> tuple[JsonObject, ...]:
    """The ConfigMaps and Secrets, of no manifest, that may be made of an object which was changed back.

    Those that the target's pods read, in the namespaces of such objects; none where there are no such ones.
    """
    places = {identity(item).namespace for item in _changed_makers(target, rolled_away)}
    brought = {(item["kind"], identity(item).namespace, identity(item).name) for item in target}
    found = {}
    for item in manifest_workloads(target):
        place = identity(item).namespace
        for kind, name in sorted(_read_by(item)) if place in places else ():
            if (kind, place, name) not in brought:
                metadata = {"name": name, "namespace": place}
                found[kind, place, name] = {"apiVersion": "v1", "kind": kind, "metadata": metadata}
    return tuple(found.values())


def judge_generated(
    expected: Expectation, seen: Cluster, live: Sequence[LiveObject]
) -> Iterator[PodProblem | Remark]:
    """Every pod that may have other values than the target's; ``live``: of :func:`generated_sources`."""
    changed = {identity(item) for item in _changed_makers(expected.target, expected.rolled_away)}
    makers = [
        _Maker(item, answer.item)
        for item, answer in zip(expected.target, seen.live, strict=True)
        if identity(item) in changed and answer.item is not None
    ]
    owned = owned_pods(expected.target, seen)
    sources = generated_sources(expected.target, expected.rolled_away)
    for source, answer in zip(sources, live, strict=True):
        made = answer.item
        maker = next((each for each in makers if made is not None and each.makes(source, made)), None)
        if made is None or maker is None:
            continue
        if maker.is_behind:
            shown = Words.about(maker.item, "get", resource_name(maker.item), "-o", "yaml")
            text = f"{expected.label(source)} is not made yet of {maker.label} as it is now"
            yield PodProblem(text, Verdict.UNVERIFIED, shows=(shown,))
            continue
        for item in manifest_workloads(expected.target):
            if identity(item).namespace == identity(source).namespace:
                yield from _Reader(item, expected, source, maker, data_written_at(made)).judge(owned)


@dataclass(frozen=True)
class _Maker:
    """An object of the target of which a controller makes a Secret or ConfigMap, with the live one."""

    item: JsonObject
    live: JsonObject

    @property
    def label(self) -> str:
        return identity(self.item).label

    def makes(self, source: JsonObject, made: JsonObject) -> bool:
        """By the owner that it has, by its own name, or by the name that the object states."""
        key, name = identity(self.item), identity(source).name
        if key.namespace != identity(source).namespace:
            return False
        if any(owner.get("uid") == uid(self.live) for owner in owners(made)):
            return True
        return name in {key.name, *(_text_at(self.item.get("spec"), path) for path in _NAMED_AT)}

    @property
    def is_behind(self) -> bool:
        """Whether its status says that its controller has not seen it as it is now."""
        status, generation = self.live.get("status") or {}, int(self.live["metadata"].get("generation") or 0)
        seen = [status.get("observedGeneration")]
        seen += [each.get("observedGeneration") for each in status.get("conditions") or ()]
        seen.append(str(status.get("syncedResourceVersion") or "").partition("-")[0])  # of an ExternalSecret
        known = [int(text) for text in map(str, seen) if text.isdecimal()]
        return bool(known) and max(known) < generation

    def was_the_same(self, expected: Expectation, began: datetime | None) -> bool:
        """Whether what was live when a container started stated the same."""
        lived = intervals_at(expected.intervals, began)
        return bool(lived) and all(_is_same(self.item, each.objects) for each in lived)


@dataclass(frozen=True)
class _Reader:
    """A workload beside one Secret or ConfigMap, whose data was ``written`` then (None: not known)."""

    item: JsonObject
    expected: Expectation
    source: JsonObject
    maker: _Maker
    written: datetime | None

    def judge(self, owned: Mapping[ObjectKey, Sequence[JsonObject]]) -> Iterator[PodProblem | Remark]:
        """At most one sentence for each pod that read it at its start, and one for its files."""
        template, key = pod_template(self.item) or {}, (self.source["kind"], identity(self.source).name)
        pods = [pod for pod in owned.get(identity(self.item), ()) if is_alive(pod)]
        at_start = [name for name, sources in read_at_start(template).items() if key in sources]
        for pod in pods:
            stale = next((name for name in at_start if self._is_older(pod, name)), None)
            if stale is not None:
                yield self._problem(pod, stale)
        files = [name for name, sources in read_as_files(template).items() if key in sources]
        older = next((pod for pod in pods if any(self._is_older(pod, name) for name in files)), None)
        if older is not None and self.expected.is_fresh:
            yield self._files(older, key)

    def _is_older(self, pod: JsonObject, container: str) -> bool:
        """Whether this container may have read it before its data was written."""
        began = started_at(pod, container)
        if began is None or self.maker.was_the_same(self.expected, began):
            return False
        if self.written is None:
            return True
        made = parse_time(pod["metadata"].get("creationTimestamp"))  # by the clock that `written` is of
        return not (made is not None and made >= self.written) and began - self.written <= CLOCK_SKEW

    @property
    def _restart(self) -> str:
        return f"{self.item['kind'].lower()}/{identity(self.item).name}"

    def _shows(self, pod: JsonObject) -> tuple[Words, ...]:
        template = '{range .metadata.managedFields[*]}{.time} {.manager}{"\\n"}{end}'
        words = ("get", resource_name(self.source), "--show-managed-fields", "-o", f"jsonpath={template}")
        return show_pod(pod), Words.about(self.source, *words)

    def _problem(self, pod: JsonObject, container: str) -> PodProblem:
        began, written = started_at(pod, container), self.written
        when = f"was written at {moment(written)}" if written else "was written nobody knows when"
        return PodProblem(
            f"Pod {pod_name(pod)} of {self.expected.label(self.item)} may have other values than the "
            f"target's: its container {container} read {identity(self.source).label} at its start, "
            f"{moment(began) if began else '?'}, and the data of that {when}, of {self.maker.label}, "
            f"which changed (kubectl rollout restart {self._restart}{self.expected.flag(self.item)})",
            Verdict.UNVERIFIED,
            waits=False,
            shows=self._shows(pod),
            restart=Words.about(self.item, "rollout", "restart", self._restart),
        )

    def _files(self, pod: JsonObject, key: Source) -> PodProblem | Remark:
        kind, name = key
        label, files = self.expected.label(self.item), f"the files of {kind}/{name}"
        if key in self.expected.reloads:
            now, written = self.expected.now, self.written
            if now and written and (now - written).total_seconds() < _RELOADED_S:
                text = f"{label} reads {files} again by itself, in up to {_RELOADED_S:g} s"
                return PodProblem(text, Verdict.UNVERIFIED, shows=(show_pod(pod),))
            return Remark(f"{label} reads {files} again by itself (reloads)")
        return PodProblem(
            f"{label} was not restarted, and nobody saw it read {files} again, which are made of "
            f"{self.maker.label}; if it does that by itself: "
            f'reloads = [{{ kind = "{kind}", name = "{name}" }}]',
            Verdict.UNVERIFIED,
            waits=False,
            shows=self._shows(pod),
            restart=Words.about(self.item, "rollout", "restart", self._restart),
        )


def _changed_makers(
    target: Sequence[JsonObject], rolled_away: Sequence[Sequence[JsonObject]]
) -> Iterator[JsonObject]:
    """The target's custom resources that a rolled-away revision states otherwise, or not at all."""
    for item in target:
        if not is_native(item) and not all(_is_same(item, objects) for objects in rolled_away):
            yield item


def _is_same(item: JsonObject, objects: Sequence[JsonObject]) -> bool:
    there = next((each for each in objects if identity(each) == identity(item)), None)
    return there is not None and _content(there) == _content(item)


def _content(item: JsonObject) -> JsonObject:
    return {key: value for key, value in item.items() if key not in ("metadata", "status")}


def _read_by(workload: JsonObject) -> set[Source]:
    template = pod_template(workload) or {}
    return {
        source
        for read in (read_at_start(template), read_as_files(template))
        for sources in read.values()
        for source in sources
    }


def _text_at(node: object, path: Sequence[str]) -> str:
    for key in path:
        node = node.get(key) if isinstance(node, dict) else None
    return node if isinstance(node, str) else ""
