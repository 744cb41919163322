"""The runbook's smoke test: the configured argv, in a process group of its own, with a deadline."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ..config.environment import Environment, Smoke
from ..domain.checks import History
from ..domain.item_ids import SMOKE
from ..domain.ports import Finished, Processes, Stage
from ..domain.verdict import EVIDENCE_LIMIT_BYTES, CheckResult, Judgement, Pending, Verdict, evidence
from .titles import TITLES

# What a shell answers if there is nothing to run: not executable, not found.
_NOT_RUN = (126, 127)
_KILL_GRACE_S = 10.0
# Less than evidence holds: cut twice, it would no longer say how much the program wrote.
_OUTPUT_BYTES = EVIDENCE_LIMIT_BYTES - 4096


@dataclass(frozen=True, kw_only=True)
class SmokeCheck:
    """The runbook's line: bash scripts/smoke-test.sh <deploy-url>.

    ``on_line`` hears each line of output while it runs (for the terminal's status).
    """

    env: Environment
    processes: Processes
    on_line: Callable[[str], None] | None = None
    id: str = field(default=SMOKE, init=False)
    title: str = field(default=TITLES[SMOKE], init=False)
    stage: Stage = field(default=Stage.AFTER_ROLLOUTS, init=False)
    interval_s: float | None = field(default=None, init=False)
    soak_interval_s: float | None = field(default=None, init=False)
    follows: None = field(default=None, init=False)
    gates_others: bool = field(default=False, init=False)
    rechecked_at_end: bool = field(default=False, init=False)
    rechecked_on_failure: bool = field(default=False, init=False)
    failure_ends_waiting: bool = field(default=True, init=False)
    waiting_may_end: bool = field(default=False, init=False)

    @property
    def expected(self) -> str:
        """Exit code and time limit; that it is left out, where it is."""
        if self.left_out:
            return "nothing: it is left out by configuration"
        return f"the smoke test exits 0 within {self._table.timeout_s:g} s"

    @property
    def left_out(self) -> str:
        """Why the configuration leaves it out; empty: it does not."""
        off = "smoke" if self.env.smoke is False else "url" if self._url_missing else ""
        if not off or (off == "url" and self.env.url is None):
            return ""
        where = f"in [environments.{self.env.name}]"
        return f"The smoke test is left out by configuration ({off} = false {where})."

    @property
    def _table(self) -> Smoke:
        """The configuration's; where it is left out nothing is run, whatever the defaults say."""
        return self.env.smoke or Smoke()

    @property
    def argv(self) -> tuple[str, ...]:
        """The command with ``{url}`` put in: each element stays one element, no shell reads it."""
        return tuple(word.replace("{url}", self.env.url or "{url}") for word in self._table.command)

    @property
    def command(self) -> str:
        """The same, quoted for a shell, from the configured folder; empty if it lacks its url."""
        if self.left_out or self._url_missing:
            return ""
        line, folder = shlex.join(self.argv), self._folder.resolve()
        return line if folder == Path.cwd() else f"(cd {shlex.quote(str(folder))} && {line})"

    @property
    def _folder(self) -> Path:
        return Path(self.env.base_dir) / self._table.cwd

    @property
    def deadline_s(self) -> float:
        """The command's own time limit, and the time to end its process group."""
        return self._table.timeout_s + _KILL_GRACE_S

    @property
    def _url_missing(self) -> bool:
        return not self.env.url and any("{url}" in word for word in self._table.command)

    def observe(self) -> Finished | None:
        """Run it; None if it is left out, or needs a url and there is none. Raises ProcessProblem."""
        if self.left_out or self._url_missing:
            return None
        return self.processes.run(
            self.argv,
            timeout_s=self._table.timeout_s,
            cwd=self._folder,
            on_line=self.on_line,
            limit_bytes=_OUTPUT_BYTES,
        )

    def judge(self, history: History, now: datetime) -> Judgement:  # noqa: ARG002 - one run, no clock
        """PASS on exit 0; FAIL on another exit or the time limit; UNVERIFIED if it could not run.

        WAIVED where the configuration leaves it out.
        """
        if self.left_out:
            return CheckResult(word=Verdict.WAIVED, observed=self.left_out)
        if self._url_missing:
            return CheckResult(
                word=Verdict.UNVERIFIED,
                observed=f"The smoke test was not run: its command needs {{url}}, and environment "
                f'{self.env.name} has none. Set url = "https://..." in [environments.{self.env.name}].',
            )
        sample = history.last
        if sample is None:
            return Pending(observed="The smoke test has not ended", seen=False)
        if sample.error is not None:
            return CheckResult(
                word=Verdict.UNVERIFIED, observed=f"The smoke test could not be run: {sample.error}"
            )
        return _judge_finished(sample.value, self._table.timeout_s)


def _judge_finished(done: Finished, timeout_s: float) -> CheckResult:
    took = f"{done.duration_s:.1f} s"
    shown = (
        evidence(
            "Output of the smoke test",
            f"$ {shlex.join(done.argv)}\n{done.output}\n[exit code {done.exit_code}, {took}]",
            kind="log",
        ),
    )
    if done.timed_out or done.exit_code is None:
        return CheckResult(
            word=Verdict.FAIL,
            observed=f"The smoke test did not end within {timeout_s:g} s; it and its children were ended."
            f"{_last_line(done)}",
            evidence=shown,
        )
    if done.exit_code in _NOT_RUN:
        return CheckResult(
            word=Verdict.UNVERIFIED,
            observed=f"The smoke test could not be run: exit code {done.exit_code} says that a command "
            f"was not found or is not executable.{_last_line(done)}",
            evidence=shown,
        )
    if done.exit_code != 0:
        return CheckResult(
            word=Verdict.FAIL,
            observed=f"The smoke test ended with exit code {done.exit_code} after {took}.{_last_line(done)}",
            evidence=shown,
        )
    leftover = " A child that it left behind still held its output; it was not waited for."
    return CheckResult(
        word=Verdict.PASS,
        observed=f"Exit code 0 after {took}.{leftover if done.leftover_child else ''}",
        evidence=shown,
    )


def _last_line(done: Finished) -> str:
    lines = [line.strip() for line in done.output.splitlines() if line.strip()]
    return f" Last line: {lines[-1][:200]}" if lines else ""
