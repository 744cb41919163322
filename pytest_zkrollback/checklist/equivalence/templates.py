"""Of which template is a pod? By its controller's own mark, never by its image or its age. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from ...domain.checks import JsonObject
from ...domain.kube_objects import (
    controller_uid,
    is_observed,
    namespace_of,
    ordinal,
    partition_of,
    replaces_by_hand,
    uid,
)
from ...domain.timestamps import parse_time
from ...domain.verdict import Verdict
from ...release.drift import Difference, LiveObject, compare
from ...release.manifest import identity, pod_template
from .model import Cluster, DeployedInterval, Expectation, PodProblem, Words, pod_name, show_pod

_HASH = "controller-revision-hash"
_RUN_WITH = ("command", "args", "workingDir", "env", "envFrom", "volumeMounts")


@dataclass(frozen=True)
class Remark:
    """A sentence about a pod that is as it was meant: a partition keeps it at an older revision."""

    text: str


def judge_templates(
    item: JsonObject,
    live: JsonObject | None,
    pods: Iterable[JsonObject],
    expected: Expectation,
    seen: Cluster,
) -> Iterator[PodProblem | Remark]:
    """Every pod of a StatefulSet that is not made of the template which is live now.

    A Deployment's pods are told by their ReplicaSet, and the rollout waits until the old ones are gone; a
    DaemonSet's status counts them there.
    """
    if live is None or item["kind"] != "StatefulSet" or not is_observed("statefulset", live):
        return
    newest = (live.get("status") or {}).get("updateRevision")
    others = [pod for pod in pods if newest and _revision(pod) not in ("", newest)]
    names = sorted(map(pod_name, others))  # one deletion for all, as the rollout proposes it
    for pod in others:
        subject = f"Pod {pod_name(pod)} of {expected.label(item)}"
        if replaces_by_hand(live):
            yield PodProblem(
                f"{subject} still runs another revision's template: the strategy OnDelete replaces it only "
                "when it is deleted",
                waits=False,
                shows=(show_pod(pod),),
                restart=Words.about(item, "delete", "pod", *names),
            )
        elif ordinal(pod) >= partition_of(live):
            yield PodProblem(f"{subject} runs another revision's template", shows=(show_pod(pod),))
        else:
            yield _kept(subject, pod, item, partition_of(live), expected, seen.revisions)


def other_containers(
    item: JsonObject,
    live: JsonObject | None,
    pods: Iterable[JsonObject],
    expected: Expectation,
    made: JsonObject | None,
) -> Iterator[PodProblem]:
    """Pods whose containers do not run as the template states it: a controller adopts who has its labels.

    What else is there may come from an injector; ``made``: so may what a fresh pod has as well (None: that
    was not tried). Pods that are kept at another revision are judged by that.
    """
    if live is None or (item["kind"] == "DaemonSet" and replaces_by_hand(live)):
        return
    newest = (live.get("status") or {}).get("updateRevision") if item["kind"] == "StatefulSet" else None
    stated = _containers(pod_template(item) or {})
    allowed = {(one.path, one.live) for one in _differing(stated, made)} if made is not None else set()
    for pod in pods:
        if newest and _revision(pod) not in ("", newest):
            continue
        found = [one for one in _differing(stated, pod) if (one.path, one.live) not in allowed]
        if found:
            text = f"Pod {pod_name(pod)} of {expected.label(item)} is not made of its template"
            differs = f"{found[0].path}: expected {found[0].expected}, live {found[0].live}"
            yield PodProblem(f"{text}: {differs}", shows=(show_pod(pod),))


def _differing(stated: _Containers, pod: JsonObject) -> tuple[Difference, ...]:
    """Of the containers that both have: one that is missing is said with its image."""
    live = _containers(pod)
    both = {key: value for key, value in stated.items() if key in live}
    return compare([_as_pod(both)], [LiveObject(_as_pod(live))])


_Containers = dict[tuple[str, str], JsonObject]  # by (kind, name)


def _containers(template: JsonObject) -> _Containers:
    """What its containers run with, and nothing that is resized, placed or probed by others."""
    spec = template.get("spec") or {}
    return {
        (kind, str(each.get("name"))): {key: each[key] for key in _RUN_WITH if each.get(key) is not None}
        for kind in ("initContainers", "containers")
        for each in spec.get(kind) or ()
    }


def _as_pod(containers: _Containers) -> JsonObject:
    spec: dict[str, list[JsonObject]] = {}
    for (kind, name), each in containers.items():
        spec.setdefault(kind, []).append({"name": name, **each})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}


def _revision(pod: JsonObject) -> str:
    return str((pod["metadata"].get("labels") or {}).get(_HASH) or "")


def template_made_at(item: JsonObject, pod: JsonObject, seen: Cluster) -> datetime | None:
    """When the ReplicaSet or ControllerRevision of which this pod is was made; None: that is not known, or it
    states another template than the manifest."""
    owner = controller_uid(pod)
    made = next((each for each in seen.replicasets if uid(each) == owner), None)
    template = ((made or {}).get("spec") or {}).get("template")
    if made is None:
        revision, key = _revision(pod), identity(item)
        named = (revision, f"{key.name}-{revision}")  # a DaemonSet's pods have the hash alone
        made = next(
            (
                each
                for each in seen.revisions
                if each["metadata"].get("name") in named and namespace_of(each) == key.namespace
            ),
            None,
        )
        template = (((made or {}).get("data") or {}).get("spec") or {}).get("template")
    if made is None or template is None or not _states(item, template):
        return None
    return parse_time(made["metadata"].get("creationTimestamp"))


def is_partitioned(live: JsonObject | None) -> bool:
    """Whether it is a StatefulSet that keeps some of its pods at their revision."""
    return live is not None and live.get("kind") == "StatefulSet" and partition_of(live) > 0


def _kept(
    subject: str,
    pod: JsonObject,
    item: JsonObject,
    partition: int,
    expected: Expectation,
    revisions: Sequence[JsonObject],
) -> PodProblem | Remark:
    """A pod below the partition: when it is deleted, it comes back of the same revision."""
    keeps = f"partition {partition} keeps it there"
    older = Remark(f"{subject} is of an older revision: {keeps}")
    name = pod["metadata"]["labels"][_HASH]
    made = next((each for each in revisions if each["metadata"].get("name") == name), None)
    template = (((made or {}).get("data") or {}).get("spec") or {}).get("template")
    if template is None:
        text = f"{subject} is of a revision that is not known (ControllerRevision {name}): {keeps}"
        return PodProblem(text, Verdict.UNVERIFIED, waits=False, shows=(show_pod(pod),))
    if _states(item, template):
        return older
    if _one_states(expected.rolled_away, item, template):
        return PodProblem(
            f"{subject} still runs the template of a revision that was rolled away from: {keeps}; it is "
            "replaced once the partition is 0",
            waits=False,
            shows=(show_pod(pod),),
        )
    earlier = expected.earlier()
    if _is_older_than(pod, (*earlier, *expected.intervals)):
        return older
    if _one_states([each.objects for each in earlier], item, template):
        return older
    text = f"{subject} runs a template that no known revision states (ControllerRevision {name}): {keeps}"
    return PodProblem(text, Verdict.UNVERIFIED, waits=False, shows=(show_pod(pod),))


def _one_states(contents: Iterable[Sequence[JsonObject]], item: JsonObject, template: JsonObject) -> bool:
    namesakes = (one for objects in contents for one in objects if identity(one) == identity(item))
    return any(_states(one, template) for one in namesakes)


def _is_older_than(pod: JsonObject, known: Sequence[DeployedInterval]) -> bool:
    """Whether it was made before everything that the history still has.

    Its ControllerRevision tells less: it is used again where the same template comes back.
    """
    born = parse_time(pod["metadata"].get("creationTimestamp"))
    return born is not None and bool(known) and born < known[0].earliest


def _states(item: JsonObject, template: JsonObject) -> bool:
    """Whether the template that a controller keeps is the one that this manifest states."""
    live = {**item, "spec": {**(item.get("spec") or {}), "template": template}}
    return not compare([item], [LiveObject(live)])
