"""The steps at GitHub without a cluster: what GithubWay asks and does, with the record on disk.

Also a program of its own (``python github_operator.py FOLDER JSON``), so that a test can kill it.
"""

import json
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.errors import ZkRollbackError
from pytest_zkrollback.domain.record import Mode, Record
from pytest_zkrollback.domain.request import Request
from pytest_zkrollback.preflight.probe import Facts
from pytest_zkrollback.report.file_names import file_stem
from pytest_zkrollback.report.files import Store
from pytest_zkrollback.report.recorder import Recorder
from pytest_zkrollback.report.redaction import Redactor
from pytest_zkrollback.run.github_step import GithubDeployment
from pytest_zkrollback.run.results import RunState


@dataclass
class Result:
    guards: dict
    record: Record
    error: ZkRollbackError | None = None
    run: object = None
    explained: str = ""

    @property
    def github(self):
        return self.record.github

    def state(self, name):
        return self.guards[name].state


class _Scene:
    """As much of a context as GithubWay needs before the cluster is read."""

    def __init__(self, request, env, token, clock=None):
        self.request, self.env, self.clock = request, env, clock or SystemClock()
        self.variables = {"GITHUB_TOKEN": token}
        self.said = []
        redactor = self.redactor = Redactor()
        redactor.add(token, "GITHUB_TOKEN")
        from pytest_zkrollback.domain.record import Item

        record = Record(
            run_id=f"{id(self) & 0xFFFFFFFF:08x}",
            mode=Mode.GITHUB,
            environment=env.name,
            release=env.release,
            reason=request.reason,
            incident=request.incident,
            operator="ada@host",
            started_at=self.clock.now(),
            items=(Item(id="preflight", title=""), Item(id="rollback", title="")),
        )
        self.run_id = record.run_id
        self.store = Store(Path(request.report_dir), file_stem(record), redactor)
        write = self.store.write if clock is None else lambda record: None
        self.recorder = Recorder(record, self.clock, write, redactor.record)
        self.display = self

    def status(self, text):
        self.said.append(text)

    def changed(self):
        pass


def table(url, environment="staging", **more):
    usual = {
        "repository": "zkprova/zkprova",
        "api_url": url,
        "deploy": "push" if environment == "staging" else "dispatch",
        "inputs": {"environment": "{environment}", "rollback": "{intent}"},
        "poll_s": 0.05,
        "timeout_s": 15,
        "start_timeout_s": 30,
        "approval_timeout_s": 30,
        "run_timeout_s": 60,
    }
    if environment == "production":
        usual["after"] = "staging"
    return {**usual, **more}


def operate(url, folder, token, *, environment="staging", overrides=(), clock=None, **asked):
    """One command at GitHub: preflight, then the steps unless a guard refuses.

    With a ``clock`` of the caller's nothing is written on the disk.
    """
    settings = asked.pop("settings", {})
    request = Request(
        environment=environment,
        report_dir=str(folder / "reports"),
        overrides=dict.fromkeys(overrides, "tested"),
        **asked,
    )
    env = Environment(
        name=environment,
        context="test",
        workloads={"backend": "deployment/x"},
        preflight_budget_s=10,
        github=table(url, environment, **settings),
    )
    context = _Scene(request, env, token, clock)
    deployment = GithubDeployment(context, RunState(("preflight", "rollback")))
    guards = {guard.id: guard for guard in deployment.judge(Facts())}
    refused = [guard for guard in guards.values() if guard.state == "refused" and guard.id not in overrides]
    result = Result(guards, context.recorder.record)
    if not refused:
        try:
            deployed = deployment._deploy()
            if deployed is not None:
                result.run, result.explained = deployed.run, deployed.explained
        except ZkRollbackError as error:
            result.error = error
    context.recorder.update(finished_at=context.clock.now())
    result.record, result.said = context.recorder.record, context.said
    return result


def verified(result, folder):
    """What a run on the cluster would have left in the report folder, had every item passed."""
    record = result.record.model_copy(update={"outcome": "verified"})
    Store(folder / "reports", file_stem(record), Redactor()).write(record)


if __name__ == "__main__":
    arguments = json.loads(sys.argv[2])
    done = operate(arguments.pop("url"), Path(sys.argv[1]), arguments.pop("token"), **arguments)
    print(done.error or done.explained or [guard.evidence for guard in done.guards.values()])
    assert threading.active_count() >= 1
    sys.exit(0 if done.run is not None and done.run.conclusion == "success" else 1)
