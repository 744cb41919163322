"""Application logs: every container of every pod of the selector, since the rollback."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from ...clients.threads import fetch_each, submit_each
from ...config.environment import Environment
from ...domain.checks import History, JsonObject
from ...domain.errors import ClusterError, NotFound, ZkRollbackError
from ...domain.item_ids import LOGS
from ...domain.kube_objects import WorkloadName
from ...domain.ports import Kube, Stage
from ...domain.verdict import CheckResult, Evidence, Judgement, Pending, Verdict, evidence
from ...report.by_hand import kubectl
from ...report.formatting import moment
from ..titles import TITLES
from .lines import (
    ContainerLog,
    LogReading,
    LogsSeen,
    LostLog,
    WantedLog,
    reaches_back,
    read_pages,
    shortened,
    stamped,
    wanted_logs,
    why_left_out,
)

# Of one answer.
LIMIT_BYTES = 1_000_000
PARALLEL = 8
# It goes on up to so many times `timeout_s` where there are many, as long as each is well and more come in
# every third of it.
LONGEST = 10
_EVIDENCE_BYTES = 8 * 1024
_SHOWN_CONTAINERS = 20
_LAST_LINES = 500
# An API server that is so far ahead of this machine may be ahead of the nodes, too.
_AHEAD_S = 60.0


@dataclass(frozen=True, kw_only=True)
class LogsCheck:
    """The runbook's line: kubectl logs -l <selector> --tail=50, but complete.

    ``since`` is when the rollback began (verify-only: when the head was deployed), server time; only
    lines after it are judged. ``workload_pods`` gives the pods where the selector is ``auto``, ``elsewhere``
    those of every other namespace that the release has workloads in (a selector is asked for there, too).
    ``ahead_s``: by how much the clock that told ``since`` is ahead of this machine's.
    Source: GET .../pods/NAME/log with timestamps, and ``previous`` where a container restarted since.
    """

    env: Environment
    kube: Kube
    since: datetime
    workload_pods: Callable[[], Sequence[JsonObject]] = tuple
    elsewhere: Mapping[str, Callable[[], Sequence[JsonObject]]] = field(default_factory=dict)
    ahead_s: Callable[[], float] = float
    id: str = field(default=LOGS, init=False)
    title: str = field(default=TITLES[LOGS], init=False)
    stage: Stage = field(default=Stage.AFTER_ROLLOUTS, init=False)
    interval_s: float | None = field(default=None, init=False)
    soak_interval_s: float | None = field(default=5.0, init=False)
    follows: None = field(default=None, init=False)
    gates_others: bool = field(default=False, init=False)
    rechecked_at_end: bool = field(default=False, init=False)
    rechecked_on_failure: bool = field(default=True, init=False)
    failure_ends_waiting: bool = field(default=True, init=False)
    waiting_may_end: bool = field(default=False, init=False)

    @property
    def expected(self) -> str:
        """Which containers, since when, and what must not stand there."""
        return (
            f"every container of the pods {self._which} is readable, and no line since "
            f"{moment(self.since)} matches {' or '.join(self.env.logs.patterns) or '(no pattern)'}"
        )

    @property
    def command(self) -> str:
        """The runbook's command, with every container."""
        more = (f"--tail={self.env.logs.tail}", "--all-containers", "--prefix")
        here = self.env.namespace
        if self._auto:
            names = (WorkloadName.parse(each, here) for each in self.env.named_workloads.values())
            asked = [(each.namespace, each.label, "--all-pods") for each in names]
        else:
            asked = [(each, "-l", self.env.logs.selector) for each in (here, *self.elsewhere)]
        return "; ".join(
            kubectl(self.env, "logs", *words, *more, namespace=namespace) for namespace, *words in asked
        )

    @property
    def _auto(self) -> bool:
        return self.env.logs.selector == "auto"

    @property
    def _which(self) -> str:
        return "of the release's workloads" if self._auto else self.env.logs.selector

    @property
    def deadline_s(self) -> float:
        """Listing the pods has ``timeout_s``; reading very many logs ten times that."""
        return (1 + LONGEST) * self.env.logs.timeout_s + 2

    def observe(self) -> LogsSeen:
        """Read all logs side by side; raises ClusterError if the release's own pods cannot be listed."""
        places = {self.env.namespace: self.workload_pods, **self.elsewhere}
        listed = dict(
            zip(places, fetch_each(lambda place: self._list(*place), tuple(places.items())), strict=True)
        )
        unread = {place: found for place, found in listed.items() if isinstance(found, ZkRollbackError)}
        if self.env.namespace in unread:
            raise unread[self.env.namespace]
        left_out, wanted, count = [], [], 0
        for place, pods in listed.items():
            namespace = "" if place == self.env.namespace else place
            for pod in () if isinstance(pods, ZkRollbackError) else pods:
                name, gone = pod["metadata"]["name"], why_left_out(pod, self.since)
                if gone:
                    left_out.append(f"{namespace}/{name} ({gone})" if namespace else f"{name} ({gone})")
                    continue
                count += 1
                wanted += [replace(one, namespace=namespace) for one in wanted_logs(pod, self.since)]
        timeout_s = self.env.logs.timeout_s
        logs, read_s = self._read_all(wanted, timeout_s)
        return LogsSeen(logs, count, tuple(left_out), unread, read_s if read_s > timeout_s else 0.0)

    def _list(
        self, namespace: str, workload_pods: Callable[[], Sequence[JsonObject]]
    ) -> Sequence[JsonObject]:
        if self._auto:
            return workload_pods()
        path, query = f"/api/v1/namespaces/{namespace}/pods", {"labelSelector": self.env.logs.selector}
        return self.kube.list(path, query, timeout_s=self.env.logs.timeout_s)

    def _read_all(self, wanted: list[WantedLog], timeout_s: float) -> tuple[tuple[ContainerLog, ...], float]:
        """The logs, and how long they were waited for."""
        read = submit_each(
            "zkrollback-logs",
            lambda job: _without_lines(self._read(job[1], timeout_s), place=job[0]),
            list(enumerate(wanted)),
            PARALLEL,
        )
        in_time, waited_s = _in_time(read, timeout_s)
        late = f"not read within {waited_s:.3g} s"
        logs = tuple(
            log.result()
            if log in in_time
            else ContainerLog(one.pod, one.container, trouble=late, namespace=one.namespace)
            for one, log in zip(wanted, read, strict=True)
        )
        return logs, waited_s

    def _read(self, one: WantedLog, timeout_s: float) -> ContainerLog:
        reading = LogReading(one.since, self.env.logs.patterns, self.env.logs.tail)
        troubles = [f"it is still waiting ({one.waiting})"] if one.waiting else []
        gone = ""
        last = self._last_lines(one, timeout_s) if one.older_lines and not one.previous else None
        if last is not None:
            reading.take(last)
        for wanted, query, what in (
            (one.previous, {"previous": "true"}, "its log before the restart"),
            (one.current and last is None, {}, "its log"),
        ):
            if wanted:
                ask = partial(self._text, one, timeout_s, query)
                trouble = read_pages(ask, one.since, reading.take, LIMIT_BYTES)
                if one.replaced and isinstance(trouble, LostLog):
                    gone = "its pod was replaced, and its log is gone"
                    continue
                if isinstance(trouble, LostLog) and self._is_deleted(one):
                    gone = "its pod was deleted meanwhile"
                    continue
                troubles += [f"{what} {trouble}"] if trouble else []
        tail = tuple(reading.tail)
        if last is not None:  # the runbook's last lines, whatever their age
            tail = tuple(shortened(line) for line in last.split("\n") if line)[-self.env.logs.tail :]
        return ContainerLog(
            pod=one.pod,
            container=one.container,
            matches=tuple(reading.matches),
            match_count=reading.match_count,
            line_count=reading.line_count,
            tail=tail,
            trouble="; ".join(troubles),
            previous=one.previous,
            namespace=one.namespace,
            gone=gone,
        )

    def _is_deleted(self, one: WantedLog) -> bool:
        """Whether the pod is not there any more: a moment ago it was not terminating yet."""
        try:
            self.kube.get(f"/api/v1/namespaces/{one.namespace or self.env.namespace}/pods/{one.pod}")
        except ClusterError as error:
            return isinstance(error, NotFound)
        return False

    def _last_lines(self, one: WantedLog, timeout_s: float) -> str | None:
        """The last lines of a container that started before the rollback: one answer is enough where they
        reach back to it. None: they do not, or could not be read."""
        if not one.current:
            return None
        lines = max(self.env.logs.tail, _LAST_LINES)
        try:
            text = self._text(one, timeout_s, {"tailLines": str(lines)}, {})
        except ClusterError:
            return None
        return text if reaches_back(text, self.since, LIMIT_BYTES) else None

    def _text(
        self, one: WantedLog, timeout_s: float, query: Mapping[str, str], more: Mapping[str, str]
    ) -> str:
        where = {"container": one.container, "timestamps": "true", "limitBytes": str(LIMIT_BYTES)}
        return self.kube.text(
            f"/api/v1/namespaces/{one.namespace or self.env.namespace}/pods/{one.pod}/log",
            {**query, **more, **where},
            timeout_s=timeout_s,
            limit_bytes=LIMIT_BYTES,
        )

    def judge(self, history: History, now: datetime) -> Judgement:  # noqa: ARG002 - one reading, no clock
        """FAIL on a bad line, UNVERIFIED on anything unread, else PASS (also without any line)."""
        sample = history.last
        if sample is None:
            return Pending(observed="The logs are being read", seen=False)
        selector = self._which
        if sample.error is not None:
            return CheckResult(
                word=Verdict.UNVERIFIED, observed=f"The pods {selector} could not be listed: {sample.error}"
            )
        seen: LogsSeen = sample.value
        found = _judge_logs(seen, selector if self._auto else f"matches {selector}", moment(self.since))
        read = sum(log.line_count for log in seen.logs)
        if found.word is Verdict.PASS and not read and (ahead_s := self.ahead_s()) >= _AHEAD_S:
            # Both may be of a node that goes by this machine's time: then every line looks older.
            text = (
                f"No line was written since {moment(self.since)}, by the API server's clock, which is "
                f"{ahead_s:.0f} s ahead of this machine's: which of the two the nodes go by is not known."
            )
            found = found.model_copy(update={"word": Verdict.UNVERIFIED, "observed": text})
        return found.model_copy(update={"by_hand": self._shows(seen)})

    def _shows(self, seen: LogsSeen) -> str:
        """The log that decided, since the rollback: the last lines may not hold what counts."""
        first = next((log for log in seen.logs if log.match_count), None) or next(
            (log for log in seen.logs if log.trouble), None
        )
        if first is None:
            return ""
        since = f"--since-time={self.since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        words = ("logs", first.pod, "-c", first.container, since)
        asked = [words, (*words, "--previous")] if first.previous else [words]
        return "; ".join(kubectl(self.env, *each, namespace=first.namespace or None) for each in asked)


def _without_lines(log: ContainerLog, place: int) -> ContainerLog:
    """The log, without its last lines where they are not shown: thousands of logs are tens of megabytes."""
    is_shown = place < _SHOWN_CONTAINERS or log.match_count or log.trouble
    return log if is_shown else replace(log, tail=())


def _in_time(
    read: Sequence[Future[ContainerLog]], timeout_s: float
) -> tuple[set[Future[ContainerLog]], float]:
    """Those that came, and how long was waited for them; what was not begun by then is not asked for."""
    done, waiting = wait(read, timeout_s)
    came, waited_s = set(done), timeout_s
    while waiting and done and waited_s < LONGEST * timeout_s and all(map(_is_well, done)):
        done, waiting = wait(waiting, timeout_s / 3)
        came |= done
        waited_s += timeout_s / 3
    for each in waiting:
        each.cancel()
    return came, waited_s


def _is_well(read: Future[ContainerLog]) -> bool:
    """Whether nothing speaks against what was read: else the verdict does not depend on the rest."""
    return read.exception() is None and not read.result().trouble and not read.result().match_count


def _judge_logs(seen: LogsSeen, selector: str, since: str) -> CheckResult:
    gone = [f"{log.label} ({log.gone})" for log in seen.logs if log.gone]
    left_out = (*seen.left_out, *gone)
    out = f" Left out: {', '.join(left_out)}." if left_out else ""
    if not seen.pods and not seen.unread:
        return CheckResult(
            word=Verdict.UNVERIFIED,
            observed=f"No pod {selector}, so no log was read. Is logs.selector right?{out}",
        )
    shown = _logs_evidence(seen, since)
    bad = [log for log in seen.logs if log.match_count]
    unread = [log for log in seen.logs if log.trouble]
    if bad:
        lines = sum(log.match_count for log in bad)
        first = bad[0]
        return CheckResult(
            word=Verdict.FAIL,
            observed=f"{_count(lines, 'bad line')} since {since}. {first.label}: "
            f"{stamped(first.matches[0])[1].strip()[:200]}{out}",
            evidence=shown,
        )
    if seen.unread:
        namespace, error = next(iter(seen.unread.items()))
        text = f"The pods in namespace {namespace}, whose logs count, could not be listed: {error}{out}"
        return CheckResult(word=Verdict.UNVERIFIED, observed=text, evidence=shown)
    if unread:
        first = unread[0]
        more = f" (and {len(unread) - 1} more)" if len(unread) > 1 else ""
        why = first.trouble.rstrip(".")
        return CheckResult(
            word=Verdict.UNVERIFIED,
            observed=f"The log of {first.label}{more} is not known: {why}.{out}",
            evidence=shown,
        )
    if seen.logs and all(log.gone for log in seen.logs):
        text = f"No pod {selector} any more, so no log was read.{out}"
        return CheckResult(word=Verdict.UNVERIFIED, observed=text, evidence=shown)
    lines = sum(log.line_count for log in seen.logs)
    what = (
        f"no bad one among {_count(lines, 'line')} since {since}"
        if lines
        else f"readable, and no line was written since {since}"
    )
    read = sum(not log.gone for log in seen.logs)
    where = f"{_count(read, 'container')} of {_count(seen.pods, 'pod')}"
    # What the first ones wrote meanwhile is not among it, nor are pods that were made meanwhile.
    slow = f" To read them all took {seen.read_s:.0f} s." if seen.read_s else ""
    return CheckResult(word=Verdict.PASS, observed=f"{where}: {what}.{slow}{out}", evidence=shown)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _logs_evidence(seen: LogsSeen, since: str) -> tuple[Evidence, ...]:
    matches = [f"{log.label}: {line}" for log in seen.logs for line in log.matches]
    found = [evidence(f"Bad lines since {since}", "\n".join(matches), kind="log")] if matches else []
    # Those with trouble first: with many pods only the first ones are shown.
    ordered = sorted(seen.logs, key=lambda log: (not log.match_count, not log.trouble))
    for log in ordered[:_SHOWN_CONTAINERS]:
        text = "\n".join(log.tail) or "(no line)"
        if log.trouble:
            text = f"[{log.trouble}]\n{text}"
        title = f"Last lines of {log.label}"
        found.append(evidence(title, text, kind="log", limit_bytes=_EVIDENCE_BYTES))
    if len(ordered) > _SHOWN_CONTAINERS:
        rest = "\n".join(f"{log.label}: {log.line_count} lines" for log in ordered[_SHOWN_CONTAINERS:])
        found.append(evidence("Other containers", rest))
    return tuple(found)
