"""Writes down what is done at GitHub, before it is done; and reads what earlier runs wrote.

The journal is the record itself: a killed run's record says which step it had begun. GitHub is always looked
at first; the journal only tells which of several runs of the workflow was ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from ..domain.github import Github, GithubStep, WorkflowRun
from ..domain.record import Record
from ..report.recorder import Recorder

BEGUN, DONE, FOUND, WAITING, FAILED = "begun", "done", "found", "waiting", "failed"


class Journal:
    """Steps go into the record's ``github`` part, one after the other; each is on disk before it is sent."""

    def __init__(
        self,
        recorder: Recorder,
        github: Github,
        now: Callable[[], datetime],
        say: Callable[[str], object],
    ) -> None:
        """``github`` is the part so far; ``now`` GitHub's clock; ``say`` shows what is going on."""
        self._recorder = recorder
        self._github = github
        self._now = now
        self._say = say

    @property
    def record(self) -> Record:
        """The record so far, without secrets: parts of it are written at GitHub."""
        return self._recorder.redacted

    @property
    def github(self) -> Github:
        """The record's part so far."""
        return self._github

    def update(self, **changes: Any) -> None:
        """Replace fields of the part."""
        deployed, self._github = self._github.deploys, self._github.model_copy(update=changes)
        # From here on a workflow may make a revision: what was read before is no longer what is live.
        live = {"revision_after": None} if self._github.deploys and not deployed else {}
        self._recorder.update(github=self._github, **live)

    def begin(self, name: str, detail: str) -> None:
        """What is about to be asked for or waited for."""
        step = GithubStep(name=name, state=BEGUN, detail=detail, began_at=self._now())
        self.update(steps=(*self.github.steps, step))
        self._say(f"GitHub: {detail}")

    def end(self, state: str, detail: str, url: str = "") -> None:
        """What became of the step that was begun last."""
        *before, last = self.github.steps
        finished = None if state == WAITING else self._now()
        changes = {"state": state, "detail": detail, "url": url, "finished_at": finished}
        if (last.state, last.detail, last.url) == (state, detail, url):
            return
        self.update(steps=(*before, last.model_copy(update=changes)))
        self._recorder.event(detail, "github")
        self._say(f"GitHub: {detail}")

    def run(self, run: WorkflowRun) -> None:
        """What a watched run looks like now."""
        others = tuple(each for each in self.github.runs if each.id != run.id)
        if (*others, run) != self.github.runs:
            self.update(runs=(*others, run), deployed=run.head_sha)


class Earlier:
    """What the records of earlier runs say of the deploys of one commit to one environment."""

    def __init__(self, records: Sequence[Record], environment: str, repository: str, commit: str) -> None:
        """``records`` are those of the earlier runs that were found."""
        self._ended: set[int] = set()
        self._open: set[int] = set()
        self._sent: list[datetime] = []
        for each in records:
            github = each.github
            if github is None or each.environment != environment or github.repository != repository:
                continue
            ids = {run.id for run in github.runs if run.head_sha == commit}
            (self._ended if each.finished_at else self._open).update(ids)
            self._sent += [
                step.began_at
                for step in github.steps
                if step.name == "dispatch" and step.state == BEGUN and commit in step.detail
            ]

    def watched(self, run_id: int) -> bool:
        """Whether an earlier run of this tool watched that run."""
        return run_id in self._ended or run_id in self._open

    def concluded(self, run_id: int) -> bool:
        """Whether the run that watched it came to its own end."""
        return run_id in self._ended

    def may_have_sent(self, created_at: datetime) -> bool:
        """Whether an earlier run of this tool was cut off in the dispatch that may have made it."""
        return any(-5 <= (created_at - sent).total_seconds() <= 120 for sent in self._sent)
