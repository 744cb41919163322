"""Jobs that a rolled-away revision started and that still run. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...domain.checks import JsonObject
from ...domain.kube_objects import controller, is_alive, namespace_of
from ...release.manifest import container_images, identity, in_namespace, pod_template
from .model import Cluster, Expectation, PodProblem, Words, pod_name, show_pod

_KINDS = ("CronJob", "Job")
# What decides what a container does.
_STATED = ("image", "command", "args", "env", "envFrom")


def judge_left_jobs(expected: Expectation, seen: Cluster) -> Iterator[PodProblem]:
    """helm takes the CronJob back; what it started before that goes on.

    It may end by itself, and is waited for.
    """
    for pod in seen.pods:
        owner = controller(pod) or {}
        if owner.get("kind") != "Job" or not is_alive(pod):
            continue
        near = in_namespace(expected.target, namespace_of(pod) or expected.namespace)
        if any(_runs_exactly(pod, item) for item in near if item["kind"] in _KINDS):
            continue
        away = (item for objects in expected.rolled_away for item in objects)
        source = next((item for item in away if _made(item, pod)), None)
        if source is None:
            continue
        removed = sorted(expected.removed_images.intersection(container_images(pod).values()))
        if not removed and not _runs_exactly(pod, source):
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
    name, job = re.escape(identity(item).name), str((controller(pod) or {}).get("name"))
    if re.fullmatch(rf"{name}-\d+" if item["kind"] == "CronJob" else name, job):
        return True
    labels = ((pod_template(item) or {}).get("metadata") or {}).get("labels") or {}
    return bool(labels) and labels.items() <= (pod["metadata"].get("labels") or {}).items()


def _runs_exactly(pod: JsonObject, item: JsonObject) -> bool:
    """Whether the pod's containers run what the template states, and nothing besides that decides."""
    running = {each.get("name"): each for each in (pod.get("spec") or {}).get("containers") or ()}
    stated = ((pod_template(item) or {}).get("spec") or {}).get("containers") or ()
    return bool(stated) and all(
        (there := running.get(each.get("name"))) is not None
        and all((there.get(key) or None) == (each.get(key) or None) for key in _STATED)
        for each in stated
    )
