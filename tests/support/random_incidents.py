"""Random incidents on a real cluster, and an operator who does exactly what the last lines say.

Judged by what serves and by the API server's audit log, never by this tool's own words.
"""

import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field

from pytest_zkrollback.drill.scenarios import SCENARIOS
from support.incident import Incident

MOST_STEPS = 5
GREEN = ("verified", "verified-with-waivers")
_WRITES = ("create", "update", "patch", "delete", "deletecollection")
# What this tool writes for itself, and asks without changing anything.
_OWN = re.compile(r"^(secrets/zkrollback\.|selfsubject|leases/)")
_LOOKS = re.compile(
    r"^(kubectl (get|describe|logs|diff|rollout status|events)|helm (history|status|get|list)|curl) "
)
_SETTLED_S = 15.0


@dataclass
class Step:
    """One command that the operator typed, and what it did."""

    command: str
    exit_code: int
    outcome: str
    serves_before: bool
    serves_after: bool
    releases_written: int
    said: str


@dataclass
class Story:
    """One incident from its beginning to its end. ``wrong`` are sentences; empty is what is wanted."""

    seed: int
    helm: str
    scenario: str
    twists: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    end: str = ""
    wrong: list[str] = field(default_factory=list)


class Operator:
    """Meets one incident, types a first command, and then what is proposed."""

    def __init__(self, running, folder, seed, helm_name, helm):
        self.random = random.Random(seed)
        self.story = Story(seed, helm_name, self.random.choice(list(SCENARIOS)))
        folder.mkdir()
        self.incident = Incident(running, folder, helm, self.story.scenario)
        self.incident.configure(rollout_timeout_s=15)

    def play(self):
        """From the twists to the end."""
        try:
            for twist in self.random.sample(self._twists(), self.random.choice([0, 1, 1, 2])):
                self.story.twists.append(twist.__name__.strip("_"))
                twist()
            self._follow(self._first())
        finally:
            self.incident.close()
        return self.story

    def _twists(self):
        return [
            self._rolled_back_by_hand,
            self._rolled_back_with_the_tool,
            self._rolled_back_to_the_wrong_one,
            self._an_upgrade_failed,
            self._stranded,
            self._changed_by_hand,
            self._pruned,
        ]

    def _rolled_back_by_hand(self):
        self._helm("rollback", "zkprova", "5")

    def _rolled_back_with_the_tool(self):
        self.incident.run("--rollback-to=5", "--rollback-migration-assessed=looked at")

    def _rolled_back_to_the_wrong_one(self):
        self._helm("rollback", "zkprova", "4")
        self._helm("rollback", "zkprova", "6")

    def _an_upgrade_failed(self):
        self._helm("rollback", "zkprova", "3")  # its manifest is refused

    def _stranded(self):
        process = self._start_helm("rollback", "zkprova", "6", "--wait", "--timeout", "60s")
        deadline = time.monotonic() + 20
        while not self.incident.revisions()[-1][1].startswith("pending"):
            if process.poll() is not None or time.monotonic() > deadline:
                return
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def _changed_by_hand(self):
        self.incident.kubectl("scale", "deployment/zkprova-zkprova-frontend", "--replicas=1")

    def _pruned(self):
        self.incident.kubectl("delete", "secret", "sh.helm.release.v1.zkprova.v4", "--ignore-not-found")

    def _start_helm(self, *words):
        scope = ["-n", self.incident.namespace, "--kube-context", self.incident.cluster.context]
        argv = [str(self.incident.helm_path), *words, *scope]
        return subprocess.Popen(
            [*argv, "--kubeconfig", str(self.incident.cluster.kubeconfig)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _helm(self, *words):
        """By hand, whatever comes of it."""
        self._start_helm(*words, "--history-max", "0").wait(timeout=90)

    def _first(self):
        head = self.incident.head()
        words = self.random.choice(
            [
                *[["--rollback-to=5"]] * 3,
                ["--rollback-to=previous"],
                ["--rollback-to=last-verified"],
                [f"--rollback-to={head - 1}"],
                ["--rollback-to=6"],
                ["--rollback-to=3"],
                ["--rollback-to=99"],
                ["--rollback-to=5", "--rollback-plan"],
                ["--rollback-recover"],
                [],
            ]
        )
        return shlex.join(["pytest", "--env=test", *words])

    def _follow(self, command):
        for _ in range(MOST_STEPS):
            record = self._do(command)
            if record is None:
                self.story.end = "it left no record"
                self.story.wrong.append(f"no record after: {command}")
                return
            if record["outcome"] in GREEN:
                break
            # A note to the team needs the operator's own words, and leaves no record of its own.
            proposed = [line for line in record["next_commands"] if not line.startswith(("#", "python "))]
            if not proposed:
                break
            # Mostly the first line; the others are proposed as well.
            command = proposed[0] if self.random.random() < 0.7 else self.random.choice(proposed)
            for _ in range(2):  # a look or a cure leaves no record: the operator takes the next line
                if command.startswith("pytest "):
                    break
                self._do(command)
                following = proposed[proposed.index(command) + 1 :]
                command = following[0] if following else "pytest --env=test"
        served = self._serves()
        green = record["outcome"] in GREEN
        self.story.end = "restored" if served and green else f"serves: {served}; {record['summary']}"
        if green and not served:
            self.story.wrong.append(f"{record['outcome']} and nothing serves")
        if not (served and green) and not record["summary"].strip():
            self.story.wrong.append("not restored, and no sentence says why not")

    def _do(self, command):
        """Type it; returns the newest record, None where a run left none."""
        before, mark = self._serves(), self._mark()
        known = set((self.incident.folder / "reports").glob("2*.json"))
        words = shlex.split(command) if command.startswith("pytest ") else []
        done = subprocess.run(
            [sys.executable, "-m", *words] if words else ["bash", "-c", command],
            cwd=self.incident.folder,
            env=self._environ(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        new = set((self.incident.folder / "reports").glob("2*.json")) - known
        record = json.loads(max(new).read_text()) if new else None
        after = self._serves() or (before and self._serves_soon())
        writes = self._writes(mark)
        releases = [each for each in writes if re.match(r"create secrets/sh\.helm\.release", each)]
        said = record["summary"] if record else (done.stdout + done.stderr).strip()[-200:]
        outcome = record["outcome"] if record else ""
        step = Step(command, done.returncode, outcome, before, after, len(releases), said)
        self.story.steps.append(step)
        if before and not after and writes:  # what changed nothing took nothing: a rollout was under way
            self.story.wrong.append(f"it served before, and not after: {command}")
        if len(releases) > 1:
            self.story.wrong.append(f"helm {len(releases)} times: {command}")
        acts = "--rollback-to" in command or "--rollback-recover" in command
        if writes and words and (not acts or "--rollback-plan" in command):
            self.story.wrong.append(f"it wrote {writes[:3]}: {command}")
        if _LOOKS.match(command) and writes:
            self.story.wrong.append(f"a look that wrote {writes[:3]}: {command}")
        return record

    def _environ(self):
        programs = {self.incident.cluster.binaries["kubectl"].parent, self.incident.helm_path.parent}
        path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
        return self.incident.environ(PATH=path)

    def _mark(self):
        """Where the audit log stands now."""
        mark = f"mark-{uuid.uuid4().hex}"
        self.incident.running.api.get(f"/api/v1/namespaces/{mark}")
        return mark

    def _writes(self, since):
        """What helm, kubectl and this tool changed since that mark: ``create secrets/NAME``."""
        end = self._mark()
        deadline = time.monotonic() + 20
        while end not in (log := self._audit_log(since)):
            assert time.monotonic() < deadline, "the audit log stands still"
            time.sleep(0.05)
        found = []
        for line in log[log.index(since) :].splitlines()[1:]:
            event = json.loads(line)
            about = event.get("objectRef") or {}
            agent = event.get("userAgent", "")
            if event["verb"] not in _WRITES or "dryRun=All" in event["requestURI"]:
                continue
            if about.get("namespace") != self.incident.namespace or agent.startswith(("kube-", "kwok")):
                continue
            if event.get("responseStatus", {}).get("code", 0) >= 300:
                continue
            what = f"{about.get('resource')}/{about.get('name', '')}"
            if not _OWN.match(what) and (
                "helm" in agent.lower() or "kubectl" in agent or "zkrollback" in agent
            ):
                found.append(f"{event['verb']} {what}")
        return found

    def _audit_log(self, since):
        """From that mark on; the API server begins a new file when one is full."""
        newest = self.incident.cluster.audit_log
        log = newest.read_text()
        if since in log:
            return log
        older = sorted(newest.parent.glob(f"{newest.stem}-*{newest.suffix}"))
        return older[-1].read_text() + log if older else log

    def _serves(self):
        """Whether users can place and find an order, three times in a row: each request takes another pod."""
        return all(self._one_order() for _ in range(3))

    def _serves_soon(self):
        deadline = time.monotonic() + _SETTLED_S
        while time.monotonic() < deadline:
            time.sleep(0.5)
            if self._serves():
                return True
        return False

    def _one_order(self):
        order = json.dumps({"item": "probe", "quantity": 1}).encode()
        ask = urllib.request.Request(f"{self.incident.url}/api/orders", order)
        try:
            with urllib.request.urlopen(f"{self.incident.url}/health", timeout=3) as answer:
                healthy = json.load(answer)["status"] == "ok"
            with urllib.request.urlopen(ask, timeout=3) as answer:
                placed = answer.status == 201
            with urllib.request.urlopen(f"{self.incident.url}/api/search?q=probe", timeout=3) as answer:
                return healthy and placed and answer.status == 200
        except (urllib.error.URLError, OSError, ValueError):
            return False
