"""Random sequences on a real cluster, with real processes and the real helm, and what must be true after each."""

import itertools
import json
import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pytest_zkrollback.rollback.lock import parse_state, render_state

ROLLED = "Rollback to "


@dataclass
class Tally:
    """What a campaign reports."""

    sequences: int = 0
    runs: int = 0
    kills: int = 0
    refused: int = 0
    helm: int = 0
    double_rollbacks: list = field(default_factory=list)
    wrong_claims: list = field(default_factory=list)
    foreign: set = field(default_factory=set)


def origins(rows):
    """{revision: the revision whose content it has}."""
    found = {}
    for number, _, text in rows:
        back = int(text.removeprefix(ROLLED).split(":")[0]) if text.startswith(ROLLED) else None
        found[number] = found.get(back, back) if back else number
    return found


def doubled(rows):
    """Rollbacks to what the revision before them already was, deployed: helm twice for one intent."""
    content, found = origins(rows), []
    for (before, status, _), (after, _, text) in itertools.pairwise(rows):
        if (
            text.startswith(ROLLED)
            and content[before] == content[after]
            and status in ("deployed", "superseded")
        ):
            found.append((before, after))
    return found


class Player:
    """Operators, a pipeline and a killer at one incident; sequences follow each other on its release."""

    def __init__(self, incident, seed, tally):
        self.incident, self.random, self.seed, self.tally = incident, random.Random(seed), seed, tally
        self.trail = []
        self.numbers = iter(range(10**6))

    def play(self, steps=3):
        for _ in range(steps):
            step = self.random.choices(
                [self.run, self.rerun, self.kill, self.two, self.upgrade, self.prune], [4, 2, 3, 2, 1, 1]
            )[0]
            self.trail.append(step.__name__)
            step()
            self._settle()
            known = [pair for _, _, pair in self.tally.double_rollbacks]
            for pair in doubled(self.incident.revisions()):
                if pair not in known and pair[1] not in self.tally.foreign:
                    self.tally.double_rollbacks.append((self.seed, tuple(self.trail), pair))
        self.tally.sequences += 1

    def _target(self):
        known = [row[0] for row in self.incident.revisions() if row[0] in (1, 2, 3, 4, 5)]
        self.target = self.random.choice([*known, known[-1], known[-1]])
        return self.target

    def _start(self, target):
        folder = f"reports-{self.seed}-{next(self.numbers)}"
        # What a rollback left is refused, and these sequences go to and fro; revision 3 failed, and stays refused.
        back = () if target == 3 else ("--rollback-override=target=to and fro",)
        process = self.incident.start(f"--rollback-to={target}", f"--zkrollback-report-dir={folder}", *back)
        return process, self.incident.folder / folder

    def _end(self, process, folder, *, alone=True):
        output = process.communicate(timeout=120)[0]
        self.tally.runs += 1
        self._judge(process.returncode, self._record(folder), output, alone=alone)

    def _record(self, folder):
        return json.loads(max(folder.glob("2*.json")).read_text())

    def run(self):
        self._end(*self._start(self._target()))

    def rerun(self):
        target = self._target()
        self._end(*self._start(target))
        self._end(*self._start(target))

    def two(self):
        target = self._target()
        both = [self._start(target), self._start(target)]
        for process, folder in both:
            self._end(process, folder, alone=False)

    def kill(self):
        process, folder = self._start(self._target())
        time.sleep(self.random.uniform(0.5, 3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        self.tally.kills += 1
        if not list(folder.glob("2*.json")):
            return  # it did not even begin
        record = self._record(folder)
        if record["helm"]["running"] and record["helm"]["pid"]:
            self._wait_for_end(record["helm"]["pid"])

    def upgrade(self):
        """A pipeline brings the release of revision 6 again: bad, and not ours."""
        self.incident.helm("rollback", "zkprova", "6", "--history-max", "0")
        self.tally.foreign.add(self.incident.head())

    def prune(self):
        rows = self.incident.revisions()
        if len(rows) > 3 and rows[0][1] != "deployed" and rows[0][0] not in (5, 6):
            self.incident.kubectl("delete", "secret", f"sh.helm.release.v1.zkprova.v{rows[0][0]}")

    def _wait_for_end(self, pid):
        deadline = time.monotonic() + 30
        while _is_alive(pid):
            assert time.monotonic() < deadline, "helm never ended"
            time.sleep(0.05)

    def _settle(self):
        """Hours pass: whoever holds the lock is dead, and its lease is over."""
        name = "zkrollback.v1.zkprova"
        try:
            secret = json.loads(self.incident.kubectl("get", "secret", name, "-o", "json"))
        except AssertionError:
            return
        state = parse_state(secret)
        if state.holder is None:
            return
        holder = type(state.holder)(
            state.holder.run_id,
            state.holder.operator,
            state.holder.taken_at,
            datetime.now(UTC) - timedelta(seconds=30),
        )
        expired = type(state)(holder, state.entries)
        self.incident.kubectl(
            "patch", "secret", name, "-p", json.dumps({"data": {"state": render_state(expired)}})
        )

    def _judge(self, code, record, output, *, alone):
        rows = self.incident.revisions()
        content = origins(rows)
        number, status, _ = rows[-1]
        if record["helm"]["ran"]:
            self.tally.helm += 1
        if record["outcome"] == "refused":
            self.tally.refused += 1
        wrong = []
        if "Traceback" in output:
            wrong.append("traceback")
        if alone and record["revision_after"] not in (None, number):
            wrong.append(("head", record["revision_after"], number))
        if (
            code == 0
            and alone
            and not (status == "deployed" and content[number] == content.get(self.target, self.target))
        ):
            wrong.append(("green", number, status, self.target))
        if code == 0 and alone and not self._is_live(self.target):
            wrong.append(("green, and not live", self.target))
        if (code == 0) != (record["outcome"] in ("verified", "verified-with-waivers")):
            wrong.append(("exit code", code, record["outcome"]))
        self.tally.wrong_claims += [(self.seed, tuple(self.trail), one) for one in wrong]

    def _is_live(self, target):
        """Whether the backend runs the image that the target's manifest names, by kubectl and helm alone."""
        manifest = self.incident.helm("get", "manifest", "zkprova", "--revision", str(target))
        live = self.incident.kubectl(
            "get",
            "deployment",
            "zkprova-zkprova-backend",
            "-o",
            "jsonpath={.spec.template.spec.containers[0].image}",
        )
        return live in manifest


def _is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(stat.stdout.strip()) and not stat.stdout.strip().startswith("Z")


def two_at_once(incident, target, *more):
    """Two operators press Enter at the same instant: the two records, and how long the second one took.

    Returns ``(first, second, seconds)``; the first ran helm, and seconds are from the other's first look to
    its end.
    """
    folders = [incident.folder / f"reports-{target}-{time.monotonic_ns()}-{name}" for name in "ab"]
    processes = [
        incident.start(f"--rollback-to={target}", f"--zkrollback-report-dir={folder.name}", *more)
        for folder in folders
    ]
    for process in processes:
        process.communicate(timeout=120)
    records = [json.loads(max(folder.glob("2*.json")).read_text()) for folder in folders]
    records.sort(key=lambda record: not record["helm"]["ran"])
    began, ended = (datetime.fromisoformat(records[1][key]) for key in ("started_at", "finished_at"))
    return (*records, (ended - began).total_seconds())
