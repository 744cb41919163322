"""The recovery timeline: pods and ``/health`` from helm's start on, until the last verdict."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Final

from ..checklist.health import HealthCheck
from ..clients.threads import start_thread
from ..domain.checks import Sample
from ..domain.errors import ZkRollbackError
from ..domain.health_answer import HealthAnswer
from ..domain.item_ids import EVENTS, rollout_id
from ..domain.kube_objects import WorkloadName
from ..engine.cluster_watch import NamespaceWatches
from ..engine.recovery_series import Samples
from .context import RunContext

if TYPE_CHECKING:
    from ..checklist.events.grouping import EventGroup

_EVERY_S: Final = 0.2


class RecoveryTimeline:
    """Who served, when. From :meth:`begin` to :meth:`hand_over` it looks itself, then the schedule does."""

    def __init__(self, context: RunContext, watch: NamespaceWatches) -> None:
        """Nothing is contacted before :meth:`begin`."""
        self.first_warning: EventGroup | None = None  # about the release's objects, with a time
        self.samples = Samples(context.env.named_workloads.values())
        self._watch = watch
        here = context.env.namespace
        # Where the workload of each rollout stands; all of them, while no item looks.
        self._places = {
            rollout_id(item): WorkloadName.parse(workload, here).namespace
            for item, workload in context.env.named_workloads.items()
        }
        self._health = HealthCheck(env=context.env, http=context.http())
        self._clock = context.clock
        self._over = Event()

    def begin(self) -> None:
        """Look at pods and ``/health`` in daemon threads: helm must not wait for a slow answer."""
        for look, every_s in ((self._add_snapshots, _EVERY_S), (self._ask_health, self._health.interval_s)):
            if every_s is not None:
                start_thread("zkrollback-picture", partial(self._keep, look, every_s))

    def hand_over(self) -> None:
        """The schedule's samples serve from here on: see :meth:`add`."""
        self._over.set()

    def add(self, item_id: str, sample: Sample) -> None:
        """A sample of the schedule; called in the observing threads."""
        if item_id in self._places:
            self._add_snapshot(self._places[item_id])
        elif item_id == EVENTS:
            self._note_warning(sample.value)
        elif item_id == self._health.id and (sample.error, sample.value) != (None, None):
            self.samples.add_health(sample.at, isinstance(sample.value, HealthAnswer) and sample.value.ok)

    def _note_warning(self, seen: object) -> None:
        from ..checklist.events.check import EventsSeen, find_first_warning  # not before helm

        if isinstance(seen, EventsSeen):
            self.first_warning = self.first_warning or find_first_warning(seen)

    def _keep(self, look: Callable[[], None], every_s: float) -> None:
        while not self._over.is_set():
            look()
            self._over.wait(every_s)

    def _add_snapshots(self) -> None:
        for namespace in set(self._places.values()):
            self._add_snapshot(namespace)

    def _add_snapshot(self, namespace: str) -> None:
        own = self._watch.namespaces[0]
        self.samples.add_snapshot(self._watch.snapshot(namespace), "" if namespace == own else namespace)

    def _ask_health(self) -> None:
        at = self._clock.now()
        try:
            answer = self._health.observe()
        except ZkRollbackError:
            answer = None
        if not self._over.is_set():
            self.samples.add_health(at, answer is not None and answer.ok)
