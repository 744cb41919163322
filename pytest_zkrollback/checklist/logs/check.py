"""Application logs: every container of every pod of the selector, since the rollback."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from ...clients.threads import submit_each
from ...config.environment import Environment
from ...domain.checks import History, JsonObject
from ...domain.errors import ClusterError
from ...domain.item_ids import LOGS
from ...domain.ports import Kube, Stage
from ...domain.verdict import CheckResult, Evidence, Judgement, Pending, Verdict, evidence
from ...report.by_hand import kubectl
from ...report.formatting import moment
from .lines import (
    ContainerLog,
    LogReading,
    LogsSeen,
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
PARALLEL = 4
_EVIDENCE_BYTES = 8 * 1024
_SHOWN_CONTAINERS = 20
_LAST_LINES = 500


@dataclass(frozen=True, kw_only=True)
class LogsCheck:
    """The runbook's line: kubectl logs -l <selector> --tail=50, but complete.

    ``since`` is when the rollback began (verify-only: when the head was deployed), server time; only
    lines after it are judged. ``workload_pods`` gives the pods where the selector is ``auto``. Source:
    GET .../pods/NAME/log with timestamps, and ``previous`` where a container restarted since.
    """

    env: Environment
    kube: Kube
    since: datetime
    workload_pods: Callable[[], Sequence[JsonObject]] = tuple
    id: str = field(default=LOGS, init=False)
    title: str = field(default="Check application logs", init=False)
    stage: Stage = field(default=Stage.AFTER_ROLLOUTS, init=False)
    interval_s: float | None = field(default=None, init=False)
    soak_interval_s: float | None = field(default=5.0, init=False)
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
        if not self._auto:
            return kubectl(self.env, "logs", "-l", self.env.logs.selector, *more)
        each = self.env.named_workloads.values()
        return "; ".join(kubectl(self.env, "logs", name, "--all-pods", *more) for name in each)

    @property
    def _auto(self) -> bool:
        return self.env.logs.selector == "auto"

    @property
    def _which(self) -> str:
        return "of the release's workloads" if self._auto else self.env.logs.selector

    @property
    def deadline_s(self) -> float:
        """Listing the pods and reading the logs have ``timeout_s`` each."""
        return 2 * self.env.logs.timeout_s + 2

    def observe(self) -> LogsSeen:
        """Read all logs side by side; raises ClusterError if the pods cannot be listed."""
        timeout_s = self.env.logs.timeout_s
        path = f"/api/v1/namespaces/{self.env.namespace}/pods"
        query = {"labelSelector": self.env.logs.selector}
        pods = self.workload_pods() if self._auto else self.kube.list(path, query, timeout_s=timeout_s)
        left_out, taken = [], []
        for pod in pods:
            name, gone = pod["metadata"]["name"], why_left_out(pod, self.since)
            if gone:
                left_out.append(f"{name} ({gone})")
            else:
                taken.append(pod)
        wanted = [one for pod in taken for one in wanted_logs(pod, self.since)]
        return LogsSeen(self._read_all(wanted, timeout_s), len(taken), tuple(left_out))

    def _read_all(self, wanted: list[WantedLog], timeout_s: float) -> tuple[ContainerLog, ...]:
        read = submit_each("zkrollback-logs", lambda one: self._read(one, timeout_s), wanted, PARALLEL)
        # A log that comes later is not taken any more.
        in_time = wait(read, timeout_s).done
        late = f"not read within {timeout_s:g} s"
        return tuple(
            log.result() if log in in_time else ContainerLog(one.pod, one.container, trouble=late)
            for one, log in zip(wanted, read, strict=True)
        )

    def _read(self, one: WantedLog, timeout_s: float) -> ContainerLog:
        reading = LogReading(one.since, self.env.logs.patterns, self.env.logs.tail)
        troubles = [f"it is still waiting ({one.waiting})"] if one.waiting else []
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
        )

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
            f"/api/v1/namespaces/{self.env.namespace}/pods/{one.pod}/log",
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
        whole = kubectl(self.env, *words)
        return f"{whole}; {kubectl(self.env, *words, '--previous')}" if first.previous else whole


def _judge_logs(seen: LogsSeen, selector: str, since: str) -> CheckResult:
    out = f" Left out: {', '.join(seen.left_out)}." if seen.left_out else ""
    if not seen.pods:
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
            observed=f"{_count(lines, 'bad line')} since {since}. {first.pod}/{first.container}: "
            f"{stamped(first.matches[0])[1].strip()[:200]}{out}",
            evidence=shown,
        )
    if unread:
        first = unread[0]
        more = f" (and {len(unread) - 1} more)" if len(unread) > 1 else ""
        why = first.trouble.rstrip(".")
        return CheckResult(
            word=Verdict.UNVERIFIED,
            observed=f"The log of {first.pod}/{first.container}{more} is not known: {why}.{out}",
            evidence=shown,
        )
    lines = sum(log.line_count for log in seen.logs)
    what = (
        f"no bad one among {_count(lines, 'line')} since {since}"
        if lines
        else f"readable, and no line was written since {since}"
    )
    where = f"{_count(len(seen.logs), 'container')} of {_count(seen.pods, 'pod')}"
    return CheckResult(word=Verdict.PASS, observed=f"{where}: {what}.{out}", evidence=shown)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _logs_evidence(seen: LogsSeen, since: str) -> tuple[Evidence, ...]:
    matches = [f"{log.pod}/{log.container}: {line}" for log in seen.logs for line in log.matches]
    found = [evidence(f"Bad lines since {since}", "\n".join(matches), kind="log")] if matches else []
    # Those with trouble first: with many pods only the first ones are shown.
    ordered = sorted(seen.logs, key=lambda log: (not log.match_count, not log.trouble))
    for log in ordered[:_SHOWN_CONTAINERS]:
        text = "\n".join(log.tail) or "(no line)"
        if log.trouble:
            text = f"[{log.trouble}]\n{text}"
        title = f"Last lines of {log.pod}/{log.container}"
        found.append(evidence(title, text, kind="log", limit_bytes=_EVIDENCE_BYTES))
    if len(ordered) > _SHOWN_CONTAINERS:
        rest = "\n".join(
            f"{log.pod}/{log.container}: {log.line_count} lines" for log in ordered[_SHOWN_CONTAINERS:]
        )
        found.append(evidence("Other containers", rest))
    return tuple(found)
