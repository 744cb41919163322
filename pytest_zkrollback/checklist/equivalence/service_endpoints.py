"""Who serves behind the target's Services beside the pods of its own workloads. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...domain.checks import JsonObject
from ...domain.kube_objects import (
    controller,
    controller_uid,
    is_alive,
    is_ready,
    is_terminating,
    namespace_of,
    uid,
)
from ...domain.verdict import Verdict
from ...release.manifest import (
    ObjectKey,
    container_images,
    identity,
    in_namespace,
    manifest_images,
    manifest_workloads,
    pod_template,
)
from .model import Cluster, Expectation, PodProblem, Words, owned_pods, owner_kind, pod_name, show_pod

_SERVICE = "kubernetes.io/service-name"
# What decides what a container does.
_STATED = ("image", "command", "args", "env", "envFrom")


def judge_servers(expected: Expectation, seen: Cluster) -> tuple[PodProblem, ...]:
    """Orphans and pods of other revisions that serve, and those that go and are still in the endpoints."""
    owned = owned_pods(expected.target, seen)
    mine = {uid(pod) for pods in owned.values() for pod in pods}
    return (*_foreign_servers(expected, seen, mine), *_still_in_endpoints(expected, seen, owned))


def leaves_too_late(expected: Expectation, seen: Cluster) -> bool:
    """Whether a pod that is no longer wanted is terminating: only then are endpoints worth a request."""
    owned = owned_pods(expected.target, seen)
    return any(_is_old(item, pod, expected) for item, pod in _terminating(expected, seen, owned))


def _foreign_servers(expected: Expectation, seen: Cluster, mine: set[str]) -> Iterator[PodProblem]:
    """Pods behind the target's Services that are none of its workloads': orphans, and other revisions'."""
    # One without an owner was left by a Deployment that is gone (--cascade=orphan): its pods are nobody's.
    controllers = {uid(item) for item in seen.replicasets if controller_uid(item)}
    controllers |= {uid(answer.item) for answer in seen.live if answer.item is not None}
    for pod in seen.pods:
        if uid(pod) in mine or not is_alive(pod) or not is_ready(pod):
            continue
        service = next(iter(_services_of(expected.target, pod)), None)
        if service is None:
            continue
        gone = sorted(expected.removed_images.intersection(container_images(pod).values()))
        if gone:
            yield PodProblem(
                f"Pod {pod_name(pod)} of a rolled-away revision runs {gone[0]} and serves Service/{service}"
                f"{expected.place(pod)}",
                shows=(show_pod(pod), _show_endpoints(pod, service)),
            )
        elif not controller_uid(pod) or (
            owner_kind(pod) == "ReplicaSet" and controller_uid(pod) not in controllers
        ):
            yield PodProblem(
                f"Pod {pod_name(pod)} belongs to no workload and serves Service/{service}"
                f"{expected.place(pod)}",
                shows=(show_pod(pod), _show_endpoints(pod, service)),
            )
        elif _shares_traffic(expected.target, pod) and not _is_known(expected, seen, pod):
            owner = controller(pod) or {}
            yield PodProblem(
                f"Pod {pod_name(pod)} of {owner.get('kind')}/{owner.get('name')}, which is not of the target "
                f"revision, serves Service/{service}{expected.place(pod)} beside its "
                "pods: what it runs is not known",
                Verdict.UNVERIFIED,
                shows=(show_pod(pod), _show_endpoints(pod, service)),
            )


def _shares_traffic(target: Sequence[JsonObject], pod: JsonObject) -> bool:
    """Whether a Service that selects the pod also selects those of a workload of the target.

    One that selects none is for somebody else's pods (a chart that scrapes the cluster's own components).
    """
    for service in _selecting(target, pod):
        near = manifest_workloads(in_namespace(target, identity(service).namespace))
        if any(any(services_that_select([service], _labels(item))) for item in near):
            return True
    return False


def _is_known(expected: Expectation, seen: Cluster, pod: JsonObject) -> bool:
    """Whether an object of the target made the pod (a Job, a custom resource), or it runs its template.

    What another Deployment runs there (a canary, say) is somebody's plan.
    """
    ours = {uid(answer.item) for answer in seen.live if answer.item is not None}
    owner = controller(pod) or {}
    if owner.get("kind") == "ReplicaSet" or owner.get("uid") in ours - {""}:
        return True
    near = in_namespace(expected.target, namespace_of(pod) or expected.namespace)
    if owner.get("kind") == "Job":
        return any(is_job_of(item, str(owner.get("name"))) for item in near)
    return any(runs_template(pod, item) for item in manifest_workloads(near))


def is_job_of(cron_job: JsonObject, job: str) -> bool:
    """Whether a Job of this name is one that this CronJob starts by its schedule."""
    name = re.escape(identity(cron_job).name)
    return cron_job["kind"] == "CronJob" and re.fullmatch(rf"{name}-\d+", job) is not None


def runs_template(pod: JsonObject, item: JsonObject, *, exactly: bool = False) -> bool:
    """Whether the pod runs what the object's template states: a controller may make copies (Flagger).

    ``exactly``: and nothing besides that decides what a container does.
    """
    running = {each.get("name"): each for each in (pod.get("spec") or {}).get("containers") or ()}
    stated = ((pod_template(item) or {}).get("spec") or {}).get("containers") or ()
    return bool(stated) and all(
        (there := running.get(each.get("name"))) is not None
        and all(
            (there.get(key) or None) == (each.get(key) or None) if exactly else there.get(key) == each[key]
            for key in _STATED
            if exactly or key in each
        )
        for each in stated
    )


def _still_in_endpoints(
    expected: Expectation, seen: Cluster, owned: Mapping[ObjectKey, Sequence[JsonObject]]
) -> Iterator[PodProblem]:
    ready = {
        str((endpoint.get("targetRef") or {}).get("uid")): _service_of_slice(slice_)
        for slice_ in seen.endpointslices
        for endpoint in slice_.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
    }
    for item, pod in _terminating(expected, seen, owned):
        if uid(pod) in ready and _is_old(item, pod, expected):
            yield PodProblem(
                f"Pod {pod_name(pod)} is terminating and still in the endpoints of Service/{ready[uid(pod)]}"
                f"{expected.place(pod)}",
                shows=(show_pod(pod), _show_endpoints(pod, ready[uid(pod)])),
            )


def _terminating(
    expected: Expectation, seen: Cluster, owned: Mapping[ObjectKey, Sequence[JsonObject]]
) -> Iterator[tuple[JsonObject | None, JsonObject]]:
    """(its workload, the pod) of every terminating pod that a Service of the target selects."""
    workloads = {identity(item): item for item in expected.target}
    whose = {uid(pod): workloads[key] for key, pods in owned.items() for pod in pods}
    for pod in seen.pods:
        if is_terminating(pod) and any(_services_of(expected.target, pod)):
            yield whose.get(uid(pod)), pod


def _is_old(item: JsonObject | None, pod: JsonObject, expected: Expectation) -> bool:
    images = container_images(pod)
    if item is None:
        return bool(expected.removed_images.intersection(images.values()))
    return any(
        images.get(name) != image for name, image in container_images(pod_template(item) or {}).items()
    )


def images_rolled_away(target: Sequence[JsonObject], later: Iterable[Sequence[JsonObject]]) -> frozenset[str]:
    """The images that only the rolled-away revisions have."""
    return frozenset(image for objects in later for image in manifest_images(objects)) - frozenset(
        manifest_images(target)
    )


def services_that_select(target: Iterable[JsonObject], labels: Mapping[str, str]) -> Iterator[JsonObject]:
    """The Services among these objects that send requests to pods with these labels."""
    for item in target:
        selector = (item.get("spec") or {}).get("selector") if item["kind"] == "Service" else None
        if isinstance(selector, dict) and selector and selector.items() <= labels.items():
            yield item


def _selecting(target: Sequence[JsonObject], pod: JsonObject) -> Iterator[JsonObject]:
    """The target's Services that send requests to this pod: they stand in its namespace."""
    there = namespace_of(pod)
    near = in_namespace(target, there) if there else target
    return services_that_select(near, pod["metadata"].get("labels") or {})


def _services_of(target: Sequence[JsonObject], pod: JsonObject) -> Iterator[str]:
    for item in _selecting(target, pod):
        yield identity(item).name


def _labels(workload: JsonObject) -> Mapping[str, str]:
    return ((pod_template(workload) or {}).get("metadata") or {}).get("labels") or {}


def _service_of_slice(slice_: JsonObject) -> str:
    labels = slice_["metadata"].get("labels") or {}
    return str(labels.get(_SERVICE) or "?")


def _show_endpoints(pod: JsonObject, service: str) -> Words:
    return Words.about(pod, "get", "endpointslices", "-l", f"{_SERVICE}={service}", "-o", "wide")
