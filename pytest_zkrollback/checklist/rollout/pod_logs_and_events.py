"""What pods in trouble say themselves: their last log lines and events, read beside the shared snapshot.

A rollout is judged from objects; this is why it fails, in the words of the container and the kubelet, and
what only events tell: that a node is being added, that a Secret of a volume is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import Future, wait
from datetime import timedelta
from functools import partial
from threading import Lock
from typing import Final
from urllib.parse import quote

from ...clients.threads import submit
from ...domain.checks import JsonObject, PodDiagnostics
from ...domain.errors import ZkRollbackError
from ...domain.kube_objects import is_ready, namespace_of, plural_of, uid
from ...domain.ports import Clock, Kube
from ...domain.timestamps import parse_time
from ..events.grouping import by_time
from .workload import Workload, worst_container

# What is new is waited for so long, then judged without; a red may not come later for it.
WAIT_S: Final = 0.3
# A stack trace is long, and what it is about stands before it.
TAIL_LINES: Final = 100
_TIMEOUT_S: Final = 2.0
# A pod that merely starts says nothing of interest yet.
_PATIENCE_S: Final = 3.0
_AGAIN_S: Final = 3.0
_PODS: Final = 3
_EVENTS: Final = 20
_LOG_BYTES: Final = 16 * 1024
_MISSING: Final = re.compile(r"^(configmap|secret) \"([^\"]+)\" not found$")


class PodDiagnosticsReader:
    """Reads, in daemon threads, what is known of a workload's pods in trouble; each state of one once.

    While a pod waits (for a node, for a volume) its events are read again every 3 s; so are those of a
    StatefulSet or DaemonSet that lacks pods, which tells nowhere else why. ``namespace`` is the release's
    own, for what says none.
    """

    def __init__(self, kube: Kube, namespace: str, clock: Clock) -> None:
        """Nothing is read before :meth:`fetch`."""
        self._kube = kube
        self._namespace = namespace
        self._clock = clock
        self._lock = Lock()
        self._known: dict[str, PodDiagnostics] = {}
        self._restarts: dict[str, int] = {}
        self._asked: dict[str, tuple[tuple[object, ...], float]] = {}
        self._calm: dict[str, Workload] = {}  # UID of the workload -> as it was when all was well

    def fetch(self, workload: Workload) -> dict[str, PodDiagnostics]:
        """UID -> what is known; blocks for :data:`WAIT_S` at most, where something new is wrong."""
        if self._calm.get(uid(workload.item)) is workload:
            asked = []
        else:
            asked = [*([workload.item] if workload.lacks_pods else []), *self._worst(workload.current)]
            if not asked and all(map(is_ready, workload.current)):
                self._calm[uid(workload.item)] = workload
        wait([reading for item in asked if (reading := self._ask(item)) is not None], WAIT_S)
        with self._lock:
            return dict(self._known)

    def _worst(self, pods: Iterable[JsonObject]) -> list[JsonObject]:
        """A few: in trouble, restarted while we watched, or slow; most restarts first."""
        late = self._clock.now() - timedelta(seconds=_PATIENCE_S)
        chosen = []
        for pod in pods:
            found = worst_container(pod)
            restarted = found.restarts > self._restarts.setdefault(uid(pod), found.restarts)
            slow = (parse_time(pod["metadata"].get("creationTimestamp")) or late) < late
            if restarted or (not is_ready(pod) and (found.is_failing or slow)):
                chosen.append(pod)
        return sorted(chosen, key=lambda pod: (is_ready(pod), -worst_container(pod).restarts))[:_PODS]

    def _ask(self, pod: JsonObject) -> Future[None] | None:
        """Read it if its state is new, or if it waits; the reading, where it is worth waiting for."""
        found = worst_container(pod)
        state = (found.container, found.reason, found.restarts)
        before, asked_s = self._asked.get(uid(pod), ((), 0.0))
        now_s = self._clock.monotonic_s()
        if before == state and (found.restarts or now_s - asked_s < _AGAIN_S):
            return None
        self._asked[uid(pod)] = (state, now_s)
        reading = submit("zkrollback-notes", partial(self._read, pod))
        return reading if before != state and found.is_failing else None

    def _read(self, pod: JsonObject) -> None:
        events, log = self._events(pod), self._log(pod)
        found = PodDiagnostics(events=events, log=log, settings_came=self._settings_came(pod))
        with self._lock:
            self._known[uid(pod)] = found

    def _place(self, item: JsonObject) -> str:
        return f"/api/v1/namespaces/{namespace_of(item) or self._namespace}"

    def _events(self, of: JsonObject) -> tuple[JsonObject, ...]:
        path, query = f"{self._place(of)}/events", {"fieldSelector": f"involvedObject.uid={uid(of)}"}
        try:
            found = self._kube.list(path, query, timeout_s=_TIMEOUT_S)
        except ZkRollbackError:
            return ()  # the events' own item says why they cannot be read
        return tuple(by_time(found)[-_EVENTS:])

    def _settings_came(self, pod: JsonObject) -> bool:
        """Whether what a container waits for has come since: a kubelet looks again after 10 to 15 s only."""
        missing = _MISSING.search(worst_container(pod).message)
        if missing is None:
            return False
        kind, name = missing.groups()
        path = f"{self._place(pod)}/{plural_of(kind)}/{quote(name, safe='')}"
        try:
            self._kube.get(path, timeout_s=_TIMEOUT_S)
        except ZkRollbackError:
            return False
        return True

    def _log(self, pod: JsonObject) -> str:
        """The last lines of the container in trouble, before its restart if it had one; may be empty."""
        found = worst_container(pod)
        if not found.ran:
            return ""
        query = {"container": found.container, "tailLines": str(TAIL_LINES)}
        if found.restarts and not found.ended:
            query["previous"] = "true"
        path = f"{self._place(pod)}/pods/{pod['metadata']['name']}/log"
        try:
            return self._kube.text(path, query, timeout_s=_TIMEOUT_S, limit_bytes=_LOG_BYTES)
        except ZkRollbackError:
            return ""
