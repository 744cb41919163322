"""Are the pods that run, and those that serve, the target's? Pure: what was read is given.

A pod counts by its controller, not by its labels; one that is terminating and out of the endpoints, or has
finished, serves nobody any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...domain.checks import JsonObject
from ...domain.kube_objects import is_alive
from ...domain.timestamps import parse_time
from ...domain.verdict import Verdict
from ...release.manifest import (
    WORKLOAD_KINDS,
    ObjectKey,
    container_images,
    identity,
    is_workload,
    pod_template,
)
from ...report.by_hand import resource_name
from ...report.formatting import moment
from .left_jobs import judge_left_jobs
from .model import (
    Cluster,
    Expectation,
    PodProblem,
    Words,
    owned_pods,
    pod_name,
    show_pod,
    started_before,
)
from .read_settings import judge_files, judge_start_values, judge_taken_values
from .service_endpoints import judge_servers
from .startup_config import settings_changed
from .templates import Remark, judge_templates, other_containers

_DIGEST = re.compile(r"sha256:[0-9a-f]{12,}$")


@dataclass(frozen=True)
class PodsJudged:
    """How many pods the target's workloads run, what is wrong, a line for each pod, whose are strays.

    ``remarks``: what is as it was meant, but worth knowing.
    """

    count: int
    strays: tuple[PodProblem, ...]
    table: tuple[str, ...]
    other_images: tuple[ObjectKey, ...]
    remarks: tuple[str, ...] = ()


def judge_pods(expected: Expectation, seen: Cluster) -> PodsJudged:
    """Every pod of the target's workloads, and every other one that serves behind the target's Services."""
    owned = owned_pods(expected.target, seen)
    strays: list[PodProblem] = []
    table: list[str] = []
    others: list[ObjectKey] = []
    remarks: list[str] = []
    for item, answer in zip(expected.target, seen.live, strict=True):
        if not is_workload(item):
            if item["kind"] in WORKLOAD_KINDS:
                remarks.append(f"the pods of {expected.label(item)} ({item['apiVersion']}) were not judged")
            continue
        key, label = identity(item), expected.label(item)
        pods = [pod for pod in owned.get(key, ()) if is_alive(pod)]
        made = {  # what admission makes of an image is right, unless it is one that was rolled away
            name: image
            for name, image in seen.made_images.get(key, {}).items()
            if image not in expected.removed_images
        }
        wrong = list(_wrong_images(item, label, pods, made))
        wrong = wrong or list(other_containers(item, answer.item, pods, expected, seen.made_pods.get(key)))
        others += [key] * bool(wrong)
        strays += wrong
        for each in (
            *judge_templates(item, answer.item, pods, expected, seen),
            *judge_files(item, pods, expected, seen),
        ):
            if isinstance(each, Remark):
                remarks.append(each.text)
            else:
                strays.append(each)
        strays += judge_start_values(item, pods, expected, seen)
        strays += judge_taken_values(item, pods, expected, seen)
        strays += _two_builds(label, pods)
        table += [_row(label, pod) for pod in pods]
        wanted = _pods_wanted(answer.item)
        if wanted and not pods and key.namespace not in seen.unread:
            shown = Words.about(item, "describe", resource_name(item))
            strays.append(PodProblem(f"{label} runs no pod, and wants {wanted}", shows=(shown,)))
    strays += _unmoved(expected, owned)
    strays += judge_servers(expected, seen)
    strays += judge_left_jobs(expected, seen)
    return PodsJudged(len(table), tuple(strays), tuple(table), tuple(others), tuple(remarks))


def _wrong_images(
    item: JsonObject, label: str, pods: Iterable[JsonObject], made: Mapping[str, str]
) -> Iterator[PodProblem]:
    """More containers than the template's (an injected sidecar) are fine, another image is not.

    ``made``: where admission rewrites images, what a fresh pod would get is right, too.
    """
    for pod in pods:
        running = container_images(pod)
        for name, image in container_images(pod_template(item) or {}).items():
            if running.get(name) not in (image, made.get(name, image)):
                what = running.get(name, "no container")
                yield PodProblem(
                    f"Pod {pod_name(pod)} of {label} runs {what} as {name}, not {image}",
                    shows=(show_pod(pod),),
                )


def _two_builds(label: str, pods: Iterable[JsonObject]) -> Iterator[PodProblem]:
    """One image name and several digests among the pods of one workload: which is right is not known.

    A node that pulled an image tells its manifest's digest, one that imported it its configuration's: those
    of two kinds say nothing about each other, and count only where the tag is one that moves.
    """
    digests: dict[tuple[str, bool], dict[str, str]] = {}
    for pod in pods:
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            digest = _DIGEST.search(str(status.get("imageID") or ""))
            image = container_images(pod).get(str(status.get("name")))
            if digest and image:
                pulled = not _moves(image) and "@" in str(status.get("imageID"))
                digests.setdefault((image, pulled), {}).setdefault(digest.group(), pod_name(pod))
    for (image, _), builds in digests.items():
        if len(builds) > 1:
            which = " and ".join(f"{digest[:19]} ({pod})" for digest, pod in builds.items())
            text = f"The pods of {label} run different builds of {image}: {which}"
            shown = tuple(show_pod(pod) for pod in pods if pod_name(pod) in builds.values())
            yield PodProblem(text, Verdict.UNVERIFIED, waits=False, shows=shown)


def _unmoved(expected: Expectation, owned: Mapping[ObjectKey, Sequence[JsonObject]]) -> Iterator[PodProblem]:
    """A rollback that changes no pod template, under a tag that moves: what runs is not known (fault 68)."""
    workloads = [item for item in expected.target if is_workload(item)]
    before = {identity(item): pod_template(item) for item in expected.before}
    if expected.since is None or not expected.before or settings_changed(expected.before, expected.target):
        return
    if any(before.get(identity(item)) != pod_template(item) for item in workloads):
        return
    for item in workloads:
        for pod in owned.get(identity(item), ()):
            for name, image in container_images(pod_template(item) or {}).items():
                # No deploy tells when such a tag was moved, and so the time of the pod does not either.
                if is_alive(pod) and _moves(image) and started_before(pod, name, expected.since):
                    yield PodProblem(
                        f"Pod {pod_name(pod)} of {expected.label(item)} was not restarted, and {image} is "
                        "the same text in both revisions: which build runs is not known",
                        Verdict.UNVERIFIED,
                        waits=False,
                        shows=(show_pod(pod),),
                    )


def _row(label: str, pod: JsonObject) -> str:
    """A pod, when it started, and what its containers run."""
    statuses = {
        str(status.get("name")): str(status.get("imageID") or "")
        for status in (pod.get("status") or {}).get("containerStatuses") or ()
    }
    images = [
        f"{name}={image}"
        + (f" ({digest.group()[:19]})" if (digest := _DIGEST.search(statuses.get(name, ""))) else "")
        for name, image in container_images(pod).items()
    ]
    began = parse_time((pod.get("status") or {}).get("startTime"))
    return f"{label}  {pod_name(pod)}  started {moment(began) if began else '?'}  {'  '.join(images)}"


def _moves(image: str) -> bool:
    """Whether the tag is one that is used again: none, or one without a number; never with a digest."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return not digest and not any(character.isdigit() for character in tag)


def _pods_wanted(workload: JsonObject | None) -> int:
    if workload is None:
        return 0
    if workload.get("kind") == "DaemonSet":
        return int((workload.get("status") or {}).get("desiredNumberScheduled") or 0)
    return int((workload.get("spec") or {}).get("replicas") or 0)
