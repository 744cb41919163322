"""What the schedule's looks add to the timeline: the cluster's first warning about the release."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pytest_zkrollback.checklist.events.check import EventsSeen
from pytest_zkrollback.domain.checks import Sample
from pytest_zkrollback.domain.item_ids import EVENTS
from pytest_zkrollback.run.recovery_timeline import RecoveryTimeline
from support.workload_objects import at, environment


def _seen(*reasons: str) -> EventsSeen:
    warnings = tuple(
        {
            "type": "Warning",
            "reason": reason,
            "message": "m",
            "metadata": {"name": reason, "namespace": "ns"},
            "involvedObject": {"kind": "Deployment", "name": "web", "uid": "u"},
            "firstTimestamp": at(index).isoformat(),
            "lastTimestamp": at(index).isoformat(),
        }
        for index, reason in enumerate(reasons)
    )
    return EventsSeen(at(0), warnings, warnings, len(warnings), {}, owned=frozenset({("Deployment", "web")}))


def test_the_first_warning_that_was_seen_stays_the_first() -> None:
    context: Any = SimpleNamespace(env=environment(), http=lambda: None, clock=None)
    watch: Any = SimpleNamespace(namespaces=("ns",))
    timeline = RecoveryTimeline(context, watch)
    timeline.add(EVENTS, Sample(at=at(1), value=_seen()))
    assert timeline.first_warning is None
    timeline.add(EVENTS, Sample(at=at(2), value=_seen("BackOff", "Unhealthy")))
    timeline.add(EVENTS, Sample(at=at(3), value=_seen("FailedMount")))
    assert timeline.first_warning is not None
    assert (timeline.first_warning.reason, timeline.first_warning.first) == ("BackOff", at(0))
