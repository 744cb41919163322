"""Which settings did the containers that run read? By when they started, on the API server's clock. Pure.

A pod that the rollback did not restart is right where it started while the target's settings were live, or
after they were put back. What proves it: nobody wrote them since (managedFields); or the pod's ReplicaSet or
ControllerRevision states the target's template and was made in its time, and the container started before the
next revision's deploy. helm applies ConfigMaps and Secrets before the workloads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial

from ...domain.checks import JsonObject
from ...domain.kube_objects import uid
from ...domain.verdict import Verdict
from ...release.managed_fields import data_taken, data_written
from ...release.manifest import identity, in_namespace, pod_template
from ...report.formatting import moment
from .model import (
    APPLIED,
    CLOCK_SKEW,
    Cluster,
    DeployedInterval,
    Expectation,
    PodProblem,
    Words,
    pod_name,
    show_pod,
)
from .start_times import Span, start_span
from .startup_config import Source, only_removes, read_as_files, read_at_start, settings_changed
from .templates import Remark, template_made_at

# The kubelet brings changed files within its sync period (60 s) and its cache's delay.
RELOADED_S = 90.0


@dataclass(frozen=True)
class _Read:
    """A container, and the settings that it may have read as the target does not state them.

    ``as_told``: those of them that it may have read so if its node's clock is right; ``surely``: those that
    it has then read so.
    """

    pod: JsonObject
    container: str
    sources: frozenset[Source]
    as_told: frozenset[Source]
    surely: frozenset[Source]


def judge_start_values(
    item: JsonObject, pods: Iterable[JsonObject], expected: Expectation, seen: Cluster
) -> Iterator[PodProblem]:
    """Pods that read, at their start, what the rollback changed afterwards (fault 68)."""
    workload = f"{item['kind'].lower()}/{identity(item).name}"
    told: set[str] = set()
    for each in _read(item, pods, expected, seen, read_at_start(pod_template(item) or {})):
        name = pod_name(each.pod)
        if name in told:
            continue
        told.add(name)
        what = sorted(f"{kind}/{source}" for kind, source in each.surely or each.sources)
        subject = f"Pod {name} of {expected.label(item)} was not restarted"
        cure = f"(kubectl rollout restart {workload}{expected.flag(item)})"
        text = (
            f"{subject}: its container {each.container} read {', '.join(what)} at its start, before the "
            f"rollback changed it back {cure}"
        )
        if not each.surely:
            why = (
                f"it started less than {APPLIED.total_seconds() / 60:g} min after helm began, which may not "
                "yet have written it"
                if each.as_told
                else f"its node's clock may differ by {CLOCK_SKEW.total_seconds():g} s from the API server's"
            )
            text = (
                f"{subject}, and whether its container {each.container} read {', '.join(what)} as the target "
                f"has it is not known: {why} {cure}"
            )
        yield PodProblem(
            text,
            Verdict.FAIL if each.surely else Verdict.UNVERIFIED,
            waits=False,
            shows=(show_pod(each.pod), *_show_changes(each.pod, what)),
            restart=Words.about(item, "rollout", "restart", workload),
        )


def judge_taken_values(
    item: JsonObject, pods: Iterable[JsonObject], expected: Expectation, seen: Cluster
) -> Iterator[PodProblem]:
    """Pods that may have read, at their start, what somebody wrote by hand and has put back since."""
    key, workload = identity(item), f"{item['kind'].lower()}/{identity(item).name}"
    read_by = read_at_start(pod_template(item) or {})
    wanted = {source for sources in read_by.values() for source in sources}
    taken: dict[Source, tuple[datetime, str]] = {}
    # Of a thousand objects a workload reads a few.
    for each, answer in zip(expected.target, seen.live, strict=True) if wanted else ():
        source = each["kind"], identity(each).name
        here = source in wanted and identity(each).namespace == key.namespace
        found = data_taken(each, answer.item, expected.trusted) if here and answer.item is not None else None
        if found is not None:
            taken[source] = found
    for pod in pods:
        written = seen.status_written.get(uid(pod))
        for container, sources in read_by.items():
            span = start_span(pod, container, expected.now, written)
            old = sorted(each for each in sources & taken.keys() if span and span.earliest <= taken[each][0])
            if old:
                what, (when, who) = "/".join(old[0]), taken[old[0]]
                subject = f"Pod {pod_name(pod)} of {expected.label(item)} was not restarted"
                yield PodProblem(
                    f"{subject} since {who} wrote {what} at {moment(when)}: what its container "
                    f"{container} read of it at its start is not known "
                    f"(kubectl rollout restart {workload}{expected.flag(item)})",
                    Verdict.UNVERIFIED,
                    waits=False,
                    shows=(show_pod(pod), *_show_changes(pod, [what])),
                    restart=Words.about(item, "rollout", "restart", workload),
                )
                break


def judge_files(
    item: JsonObject, pods: Sequence[JsonObject], expected: Expectation, seen: Cluster
) -> Iterator[PodProblem | Remark]:
    """Files of ConfigMaps and Secrets that changed under a running process: nobody saw it read them again."""
    if expected.since is None or expected.now is None or not expected.is_fresh:
        return
    stale: dict[Source, JsonObject] = {}
    for each in _read(item, pods, expected, seen, read_as_files(pod_template(item) or {})):
        stale |= dict.fromkeys(each.sources, each.pod)
    workload = f"{item['kind'].lower()}/{identity(item).name}"
    age_s = (expected.now - expected.since).total_seconds()
    for (kind, source), pod in sorted(stale.items(), key=lambda each: each[0]):
        files = f"the files of {kind}/{source}"
        if (kind, source) not in expected.reloads:
            key = f'reloads = [{{ kind = "{kind}", name = "{source}" }}]'
            yield PodProblem(
                f"{expected.label(item)} was not restarted, and nobody saw it read {files} again; if it does "
                f"that by itself: {key}",
                Verdict.UNVERIFIED,
                waits=False,
                shows=(show_pod(pod), *_show_changes(pod, [f"{kind}/{source}"])),
                restart=Words.about(item, "rollout", "restart", workload),
            )
        elif age_s < RELOADED_S:
            text = f"{expected.label(item)} reads {files} again by itself, in up to {RELOADED_S:g} s"
            yield PodProblem(text, Verdict.UNVERIFIED, shows=(show_pod(pod),))
        else:
            yield Remark(f"{expected.label(item)} reads {files} again by itself (reloads)")


def _show_changes(pod: JsonObject, sources: Iterable[str]) -> Iterator[Words]:
    """When each of them was changed last, by whom: beside the pod's start it shows that this came later."""
    template = '{range .metadata.managedFields[*]}{.time} {.manager}{"\\n"}{end}'
    for source in sources:
        yield Words.about(pod, "get", source.lower(), "--show-managed-fields", "-o", f"jsonpath={template}")


def _read(
    item: JsonObject,
    pods: Iterable[JsonObject],
    expected: Expectation,
    seen: Cluster,
    read_by: Mapping[str, set[Source]],
) -> Iterator[_Read]:
    """Every container of these pods that may have read what is not the target's."""
    wanted = {source for sources in read_by.values() for source in sources}
    if expected.since is None or not expected.before or not wanted:
        return
    written = _written(expected, seen, identity(item).namespace, wanted)
    since = expected.since.replace(microsecond=0)  # API times are whole seconds
    changed = cache(partial(_changed, item, expected))  # pods that came together started together

    def old(
        sources: set[Source], span: Span, made: datetime | None, *, surely: bool = False
    ) -> frozenset[Source]:
        found = sources & changed(span, made, surely)
        return frozenset(each for each in found if span.earliest < _put_back(written.get(each), since))

    for pod in pods:
        made = template_made_at(item, pod, seen)
        for container, sources in read_by.items():
            span = start_span(pod, container, expected.now, seen.status_written.get(uid(pod)))
            if span is None or not (found := old(sources, span, made)):
                continue
            told = span.as_told
            as_told = old(sources, told, made) if told else frozenset()
            surely = old(sources, told, made, surely=True) if told else frozenset()
            yield _Read(pod, container, found, as_told, surely)


def _put_back(written: datetime | None, since: datetime) -> datetime:
    """From when on a container read what is live: since that was written last; where this is not known, or
    was later than any rollback takes, since the rollback began."""
    return written if written is not None and written < since + APPLIED else since


def _written(
    expected: Expectation, seen: Cluster, namespace: str, wanted: set[Source]
) -> dict[Source, datetime]:
    """When the data of the target's ConfigMaps and Secrets there was last written, where that can be told.

    An update that only takes keys away leaves no time (see data_written).
    """
    found: dict[Source, datetime] = {}
    held = [each.objects for each in expected.intervals] or [expected.before]
    steps = [in_namespace(each, namespace) for each in (*held, expected.target)]
    for item, answer in zip(expected.target, seen.live, strict=True):
        source = (item["kind"], identity(item).name)
        here = source in wanted and identity(item).namespace == namespace
        last = data_written(answer.item) if here and answer.item is not None else None
        if last is not None and (last.by_apply or not only_removes(steps, source)):
            found[source] = last.at
    return found


def _changed(
    item: JsonObject, expected: Expectation, span: Span, made: datetime | None, surely: bool
) -> set[Source]:
    """The settings of which a container that started then may have read another value than the target's.

    ``surely``: those of the revision alone whose deploy began last before it. Whether helm had applied it by
    then is not known where the one before it held another value.
    """
    lived = _lived(item, expected.intervals, span, made)
    if not lived and expected.intervals:  # what was live before the target may have held the same
        lived = _lived(item, (*expected.earlier(), *expected.intervals), span, made)
    namespace = identity(item).namespace
    target = in_namespace(expected.target, namespace)
    sides = [interval.objects for interval in lived] or [expected.before]
    sides = sides[-1:] if surely else sides
    return {source for side in sides for source in settings_changed(in_namespace(side, namespace), target)}


def _lived(
    item: JsonObject, intervals: Sequence[DeployedInterval], span: Span, made: datetime | None
) -> tuple[DeployedInterval, ...]:
    """All that may have been live within the span; none: not known, for that may be older than the first.

    Times that are not in order are those of clocks that cannot be compared.
    """
    for times in ([each.earliest for each in intervals], [each.latest for each in intervals]):
        if times != sorted(times):
            return ()
    there = [
        number
        for number, each in enumerate(intervals)
        if (each.applied and each.latest + APPLIED <= span.earliest) or _brought(each, item, made)
    ]
    if not there:
        return ()
    return tuple(each for each in intervals[there[-1] :] if each.earliest <= span.latest)


def _brought(interval: DeployedInterval, item: JsonObject, made: datetime | None) -> bool:
    """Whether the pod's template, made then, came with this revision, whose settings helm applies before."""
    if made is None or made < interval.earliest:
        return False
    key, template = identity(item), pod_template(item)
    return any(identity(one) == key and pod_template(one) == template for one in interval.objects)
