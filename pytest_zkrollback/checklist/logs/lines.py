"""What is wanted of a pod's logs, how they are gone through, and what stands in them: no IO."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ...domain.checks import JsonObject
from ...domain.errors import BadAnswer, ClusterError, NotFound, ZkRollbackError
from ...domain.kube_objects import controller, has_ended, is_terminating
from ...domain.timestamps import parse_time

# The kubelet keeps 10 Mi of a container's log by default before it rotates, so this is all there is.
PAGES = 12
_KEPT_MATCHES = 50
# All lines of a pod that was made after the rollback are of interest, whatever its node takes for the time.
_NODE_BEHIND = timedelta(hours=1)
# What a kubelet sends, with status 200, instead of a log that it no longer has (recorded).
_LOST = re.compile(r"unable to retrieve container logs for \S+")
# The status with which it says that a container, or its run before this one, is not there any more.
_NO_LOG = 400
_KEPT_LINE_CHARACTERS = 2000
# Who makes another pod for one that is over.
_REPLACING = frozenset({"ReplicaSet", "StatefulSet", "DaemonSet"})
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d) ?")


@dataclass(frozen=True)
class ContainerLog:
    """What was read of one container's log.

    ``matches`` are bad lines since the rollback (the first 50), ``tail`` the last lines of all.
    ``trouble`` is why it is not, or not wholly, known; empty if all of it was read. ``previous``: lines from
    before a restart are among them. ``namespace`` is empty in the release's own. ``gone``: why
    there is no log any more, where that is no trouble: its pod was replaced, or deleted.
    """

    pod: str
    container: str
    matches: tuple[str, ...] = ()
    match_count: int = 0
    line_count: int = 0
    tail: tuple[str, ...] = ()
    trouble: str = ""
    previous: bool = False
    namespace: str = ""
    gone: str = ""

    @property
    def label(self) -> str:
        """``pod/container``, or ``namespace/pod/container`` in another namespace."""
        return "/".join(filter(None, (self.namespace, self.pod, self.container)))


@dataclass(frozen=True)
class LogsSeen:
    """The containers' logs, and the pods that were left out because they are going or had gone.

    ``unread``: why the pods of a namespace could not be listed, or those of some workload in it. ``read_s``:
    how long it took where there are so many that it took long; else 0.
    """

    logs: tuple[ContainerLog, ...]
    pods: int
    left_out: tuple[str, ...] = ()
    unread: Mapping[str, ZkRollbackError] = field(default_factory=dict)
    read_s: float = 0.0


@dataclass(frozen=True)
class WantedLog:
    """One container whose log is to be read, and which parts of it exist."""

    pod: str
    container: str
    waiting: str  # reason, empty if the container runs or ran
    current: bool
    previous: bool
    older_lines: bool  # it started before the rollback, so its last lines may be older
    since: datetime  # lines from then on count, by the node's clock
    namespace: str = ""  # empty: the release's own
    replaced: bool = False  # its pod is over (evicted, say), and its controller makes another one


class LogReading:
    """Goes through lines; keeps what matches and the last ones."""

    def __init__(self, since: datetime, patterns: tuple[str, ...], tail: int) -> None:
        """Lines from ``since`` on count; ``tail`` of them are kept."""
        self.since = since
        self.patterns = [re.compile(pattern) for pattern in patterns]
        self.matches: list[str] = []
        self.match_count = 0
        self.line_count = 0
        self.tail: deque[str] = deque(maxlen=tail)

    def take(self, text: str) -> None:
        """Judge the lines of ``text``; each begins with its RFC 3339 time (``timestamps=true``)."""
        for line in text.split("\n"):
            at, rest = stamped(line)
            # A line without a time is judged: better a false red than a false green.
            if not line or (at is not None and at < self.since):
                continue
            self.line_count += 1
            self.tail.append(shortened(line))
            found = next((hit for pattern in self.patterns if (hit := pattern.search(rest))), None)
            if found is not None:
                self.match_count += 1
                if len(self.matches) < _KEPT_MATCHES:
                    offset = len(line) - len(rest)
                    self.matches.append(shortened(line, offset + found.start()))


class LostLog(str):
    """Why a log is not known: its kubelet no longer has it."""

    __slots__ = ()


def read_pages(
    ask: Callable[[Mapping[str, str]], str], since: datetime, take: Callable[[str], None], limit_bytes: int
) -> str:
    """Hand every line from ``since`` on to ``take``; returns why there are others, empty if there are none.

    ``ask`` brings at most ``limit_bytes``, the oldest lines first. A kubelet leaves out, line by line, what
    is older than the second asked from. So what was cut is asked for from the second before its last whole
    line (two streams write it, out of order a little): then what was taken of that time stands at the
    beginning once more, unless the log was rotated.
    """
    start = since.astimezone(UTC).replace(microsecond=0)
    known: list[str] = []
    for _ in range(PAGES):
        try:
            text = ask({"sinceTime": start.strftime("%Y-%m-%dT%H:%M:%SZ")})
        except ClusterError as error:
            text = f"could not be read: {error}"
            answered = isinstance(error, NotFound) or (
                isinstance(error, BadAnswer) and error.status == _NO_LOG
            )
            return LostLog(text) if answered else text
        if is_lost(text):
            return LostLog(f"could not be read: {text.strip()}")
        lines = text.split("\n")
        if lines[: len(known)] != known:
            return "was rotated while it was read, and a part of it is missing"
        times = [stamped(line)[0] for line in lines]
        newest = next((at for at in reversed(times[:-1]) if at is not None), start)
        end = newest.astimezone(UTC).replace(microsecond=0) - timedelta(seconds=1)
        if not _may_be_cut(text, limit_bytes) or end <= start:
            take("\n".join(lines[len(known) :]))
            cut = _may_be_cut(text, limit_bytes)
            return f"has more than {limit_bytes} bytes within 2 s, read up to there only" if cut else ""
        take("\n".join(lines[len(known) : -1]))
        known = [line for line, at in zip(lines[:-1], times, strict=False) if at is None or at >= end]
        start = end
    return f"is longer than {PAGES * limit_bytes} bytes and was read up to there only"


def reaches_back(text: str, since: datetime, limit_bytes: int) -> bool:
    """Whether the last lines of a log hold all since ``since``: they begin before it, or there are none."""
    if is_lost(text) or _may_be_cut(text, limit_bytes):
        return False
    first = stamped(text)[0]  # two streams write it: their lines may be out of order a little
    return not text or (first is not None and first < since - timedelta(seconds=1))


def _may_be_cut(text: str, limit_bytes: int) -> bool:
    """Never "no" of one that is: what was no UTF-8 became a character of three bytes, its longest."""
    return len(text.encode()) >= limit_bytes


def is_lost(text: str) -> bool:
    """Whether the kubelet says in the log's place that it no longer has it."""
    return _LOST.fullmatch(text.strip()) is not None


def stamped(line: str) -> tuple[datetime | None, str]:
    """The time at a line's beginning (None if there is none) and the rest of the line."""
    stamp = _STAMP.match(line)
    if stamp is None:
        return None, line
    at = parse_time(stamp.group().strip())
    return (None, line) if at is None else (at, line[stamp.end() :])


def shortened(line: str, around: int = 0) -> str:
    """A line of bearable length, with the place ``around`` in it."""
    if len(line) <= _KEPT_LINE_CHARACTERS:
        return line
    start = max(0, around - 200)
    part = line[start : start + _KEPT_LINE_CHARACTERS]
    before = "\N{HORIZONTAL ELLIPSIS}" if start else ""
    return f"{before}{part}\N{HORIZONTAL ELLIPSIS} [line of {len(line)} characters]"


def why_left_out(pod: JsonObject, since: datetime) -> str:
    """Why a pod's log is not the rollback's business; empty if it is."""
    if is_terminating(pod):
        return "terminating"
    if has_ended(pod):
        times = [
            status.get("state", {}).get("terminated", {}).get("finishedAt")
            for status in pod["status"].get("containerStatuses") or []
        ] or [pod["metadata"].get("creationTimestamp")]
        ends = [parse_time(text) for text in times]
        if all(end is not None and end < since.replace(microsecond=0) for end in ends):
            return "ended before the rollback"
    return ""


def wanted_logs(pod: JsonObject, since: datetime) -> list[WantedLog]:
    """Every container of a pod, init containers too (sources: spec, status.*ContainerStatuses)."""
    spec, status = pod.get("spec", {}), pod.get("status", {})
    statuses = {
        one["name"]: one
        for key in ("initContainerStatuses", "containerStatuses")
        for one in status.get(key) or []
    }
    wanted = []
    # By the API server's clock, as the beginning of the rollback is; a node's may be behind it.
    made = parse_time(pod["metadata"].get("creationTimestamp"))
    new = made is not None and made >= since.replace(microsecond=0)
    once_only = [(each, True) for each in spec.get("initContainers") or ()]
    for container, once in [*once_only, *((each, False) for each in spec.get("containers") or ())]:
        name = container["name"]
        one = statuses.get(name, {})
        state = one.get("state") or {}
        waiting = ""
        if "running" not in state and "terminated" not in state:
            waiting = (state.get("waiting") or {}).get("reason") or "not created"
        began = (state.get("running") or state.get("terminated") or {}).get("startedAt")
        started = parse_time(began)
        last = (one.get("lastState") or {}).get("terminated")
        # API times are whole seconds. A restart that ended before the rollback is not its business.
        ended = parse_time(last.get("finishedAt")) if last else None
        previous = last is not None and (ended is None or ended >= since.replace(microsecond=0))
        over = parse_time((state.get("terminated") or {}).get("finishedAt"))
        if once and over is not None and over < since.replace(microsecond=0):
            continue  # an init container that ended before the rollback: the runtime may have removed its log
        wanted.append(
            WantedLog(
                pod=pod["metadata"]["name"],
                container=name,
                waiting=waiting,
                current=not waiting,
                previous=previous,
                older_lines=not new and (started is None or started < since.replace(microsecond=0)),
                since=since - _NODE_BEHIND if new else since,
                replaced=has_ended(pod) and (controller(pod) or {}).get("kind") in _REPLACING,
            )
        )
    return wanted
