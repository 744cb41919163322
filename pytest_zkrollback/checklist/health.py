"""``/health``: strict JSON that says that the database is ok, several times in a row."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ..config.environment import Environment, Health
from ..domain.checks import History, Sample
from ..domain.health_answer import BODY_LIMIT_BYTES, HealthAnswer, parse_health
from ..domain.item_ids import HEALTH
from ..domain.ports import Http, Stage
from ..domain.verdict import CheckResult, Evidence, Judgement, Pending, Verdict, evidence
from .titles import TITLES

_SHOWN_ANSWERS = 20


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """The runbook's line: hit /health and confirm "database": "ok".

    Observed from the beginning of the run (the early samples date the recovery), judged once the
    rollouts settled: leftover pods of the good revision answer "ok" before that.
    """

    env: Environment
    http: Http
    id: str = field(default=HEALTH, init=False)
    title: str = field(default=TITLES[HEALTH], init=False)
    stage: Stage = field(default=Stage.OBSERVED_EARLY, init=False)
    follows: None = field(default=None, init=False)
    gates_others: bool = field(default=False, init=False)
    rechecked_at_end: bool = field(default=False, init=False)
    rechecked_on_failure: bool = field(default=True, init=False)
    failure_ends_waiting: bool = field(default=True, init=False)
    waiting_may_end: bool = field(default=True, init=False)

    @property
    def expected(self) -> str:
        """Passes in a row, path and members; that it is left out, where it is."""
        if self.left_out:
            return "nothing: it is left out by configuration"
        members = ", ".join(f'"{k}": {json.dumps(v)}' for k, v in self._table.expect.items())
        return f"{self._table.passes} answers in a row of {self._table.path} are JSON with {members}"

    @property
    def left_out(self) -> str:
        """Why the configuration leaves it out; empty: it does not."""
        off = self.env.health_off
        where = f"in [environments.{self.env.name}]"
        return f"/health is left out by configuration ({off} = false {where})." if off else ""

    @property
    def _table(self) -> Health:
        """The configuration's; where it is left out nothing is asked, whatever the defaults say."""
        return self.env.health or Health()

    @property
    def command(self) -> str:
        """curl with the same rules: no redirect, a total deadline, this CA and proxy only."""
        if self._url is None:
            return ""
        argv = ["curl", "-sS", "-i", "--max-time", f"{self._table.timeout_s:g}"]
        if self.env.ca_file:
            argv += ["--cacert", self.env.ca_file]
        argv += ["--proxy", self.env.proxy] if self.env.proxy else ["--noproxy", "*"]
        return shlex.join([*argv, self._url])

    @property
    def deadline_s(self) -> float:
        """From the configuration."""
        return self._table.deadline_s

    @property
    def interval_s(self) -> float | None:
        """From the configuration; without a url there is nothing to ask."""
        return self._table.interval_s if self._url else None

    @property
    def soak_interval_s(self) -> float | None:
        """The same: every answer feeds the recovery clock."""
        return self.interval_s

    @property
    def _url(self) -> str | None:
        if self.left_out or not self.env.url:
            return None
        return f"{self.env.url.rstrip('/')}{self._table.path}"

    def observe(self) -> HealthAnswer | None:
        """One GET; None if no url is configured. Raises HttpProblem if no answer came."""
        if self._url is None:
            return None
        answer = self.http.get(self._url, timeout_s=self._table.timeout_s, limit_bytes=BODY_LIMIT_BYTES)
        return parse_health(answer, self._table.expect)

    def judge(self, history: History, now: datetime) -> Judgement:  # noqa: ARG002 - the schedule owns the deadline
        """PASS after N passes in a row; at once no pass only where the rollouts failed too.

        WAIVED where the configuration leaves it out.
        """
        if self.left_out:
            return CheckResult(word=Verdict.WAIVED, observed=self.left_out)
        if self._url is None:
            return CheckResult(
                word=Verdict.UNVERIFIED,
                observed=f"No url is configured for environment {self.env.name}, so /health was not asked: "
                f'set url = "https://..." in [environments.{self.env.name}].',
            )
        if history.judged_from is None:
            return Pending(observed="Waiting for the rollouts to settle", seen=False)
        judged = history.judged
        if not judged:
            return Pending(observed="No answer yet", seen=False)
        wanted = self._table.passes
        shown = _evidence(history)
        run = _passes_in_a_row(judged)
        if run >= wanted:
            return CheckResult(
                word=Verdict.PASS,
                observed=f"{wanted} passes in a row; the last took {_ms(judged[-1].value)}.",
                evidence=shown,
            )
        recent = judged[-wanted:]
        trouble = _trouble(judged[-1])
        if (
            history.rollouts_passed is False
            and len(recent) == wanted
            and not any(_passed(sample) for sample in recent)
        ):
            answered = any(sample.error is None for sample in recent)
            what = "failed" if answered else "could not be asked"
            return CheckResult(
                word=Verdict.FAIL if answered else Verdict.UNVERIFIED,
                observed=f"{self._table.path} {what} {wanted} times in a row; a rollout had failed "
                f"already. Last: {trouble}",
                evidence=shown,
            )
        if run:
            said = f"{run} of {wanted} passes in a row"
            if failed := [s for s in judged if not _passed(s)]:
                said += f"; before: {_trouble(failed[-1])}"
        else:
            said = trouble
        # Where no answer ever came, the service was not seen: a wrong url, DNS and a proxy look the same.
        return Pending(observed=said, seen=any(sample.error is None for sample in judged), evidence=shown)


def _passed(sample: Sample) -> bool:
    return sample.error is None and isinstance(sample.value, HealthAnswer) and sample.value.ok


def _passes_in_a_row(samples: tuple[Sample, ...]) -> int:
    count = 0
    for sample in reversed(samples):
        if not _passed(sample):
            break
        count += 1
    return count


def _trouble(sample: Sample) -> str:
    return f"no answer: {sample.error}" if sample.error is not None else str(sample.value.trouble)


def _ms(answer: HealthAnswer) -> str:
    return f"{answer.duration_s * 1000:.0f} ms"


def _evidence(history: History) -> tuple[Evidence, ...]:
    lines = []
    for sample in history.samples[-_SHOWN_ANSWERS:]:
        at = sample.at.astimezone(UTC).strftime("%H:%M:%S.%f")[:-3]
        if sample.error is not None:
            lines.append(f"{at}  no answer: {sample.error}")
        else:
            value: HealthAnswer = sample.value
            lines.append(f"{at}  HTTP {value.status}  {_ms(value)}  {value.trouble or 'pass'}")
    found = [evidence(f"Last {len(lines)} answers (UTC)", "\n".join(lines))]
    answered = [sample.value for sample in history.samples if sample.error is None]
    if answered:
        found.append(evidence("Body of the last answer", answered[-1].body))
    return tuple(found)
