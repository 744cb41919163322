"""Jobs that a rolled-away revision started and that still run. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ...domain.checks import JsonObject
from ...domain.kube_objects import controller, is_alive, namespace_of
from ...release.manifest import container_images, identity, in_namespace, pod_template
from .model import Cluster, Expectation, PodProblem, Words, pod_name, show_pod
from .service_endpoints import is_job_of, runs_template

_KINDS = ("CronJob", "Job")


def judge_left_jobs(expected: Expectation, seen: Cluster) -> Iterator[PodProblem]:
    """helm takes the CronJob back; what it started before that goes on.

    It may end by itself, and is waited for.
    """
    for pod in seen.pods:
        owner = controller(pod) or {}
        if owner.get("kind") != "Job" or not is_alive(pod):
            continue
        near = in_namespace(expected.target, namespace_of(pod) or expected.namespace)
        if any(runs_template(pod, item, exactly=True) for item in near if item["kind"] in _KINDS):
            continue
        away = (item for objects in expected.rolled_away for item in objects)
        source = next((item for item in away if _made(item, pod)), None)
        if source is None:
            continue
        removed = sorted(expected.removed_images.intersection(container_images(pod).values()))
        if not removed and not runs_template(pod, source, exactly=True):
            continue
        name = str(owner.get("name"))
        what = f"runs {removed[0]}" if removed else "runs what it states"
        from_ = f" of {expected.label(source)}" if source["kind"] == "CronJob" else ""
        yield PodProblem(
            f"Job/{name}{from_}, started by a rolled-away revision, {what} in pod {pod_name(pod)}"
            f"{expected.place(pod)}",
            shows=(Words.about(pod, "get", f"job/{name}", "-o", "wide"), show_pod(pod)),
        )


def _made(item: JsonObject, pod: JsonObject) -> bool:
    """Whether it is the CronJob of the pod's Job, by name, or the pod has its template's labels."""
    there = namespace_of(pod)
    if item["kind"] not in _KINDS or (there and not in_namespace([item], there)):
        return False
    job = str((controller(pod) or {}).get("name"))
    if is_job_of(item, job) or (item["kind"] == "Job" and identity(item).name == job):
        return True
    labels = ((pod_template(item) or {}).get("metadata") or {}).get("labels") or {}
    return bool(labels) and labels.items() <= (pod["metadata"].get("labels") or {}).items()
