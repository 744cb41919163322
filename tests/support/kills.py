"""Runs that are killed or told to stop at a random moment, and what their files must say then."""

import json
import random
import signal
import time
from dataclasses import dataclass, field
from datetime import datetime

from support.audited_release import AuditedRelease
from support.fault_proxy import FaultProxy

KINDS = ("json", "html", "md", "xml")
OLD = "01dgreen"  # the run id of an older run's green
HELM_TAKES_S = 0.7
SLOW_ROUND_TRIP_S = 0.1  # makes a preflight last: on this machine's own cluster it is over within 0.2 s
PREFLIGHT, HELM_RUNS, HELM_ENDED = "preflight", "while helm ran", "helm has ended"


@dataclass
class Tally:
    """What a campaign reports; ``wrong`` is what a file said that was not so."""

    kills: int = 0
    moments: dict = field(default_factory=dict)
    helm_made_a_revision: int = 0
    wrong: list = field(default_factory=list)
    report_s: list = field(default_factory=list)


def lasted_s(record):
    """From its start to its end."""
    began, ended = (datetime.fromisoformat(record[key]) for key in ("started_at", "finished_at"))
    return (ended - began).total_seconds()


class Killer:
    """One incident whose runs are ended from outside, again and again."""

    def __init__(self, incident, seed, tally):
        self.incident, self.random, self.tally = incident, random.Random(seed), tally
        self.audited = AuditedRelease(incident)
        self.reports = incident.folder / "reports"
        self.began, self.ended = incident.folder / "helm-began", incident.folder / "helm-ended"
        path = incident.folder / "slow-helm"
        path.write_text(
            f'#!/bin/sh\nif [ "$1" != rollback ]; then exec {incident.helm_path} "$@"; fi\n'
            f': > {self.began}\nsleep {HELM_TAKES_S}\n{incident.helm_path} "$@"\ncode=$?\n: > {self.ended}\nexit $code\n'
        )
        path.chmod(0o755)
        self.slow_helm = str(path)
        incident.configure(helm=self.slow_helm)
        first = incident.run("--rollback-to=5")
        assert first.code == 0, first.output
        self.lasts_s = lasted_s(first.record)
        self.green = {
            kind: (self.reports / f"latest.{kind}").read_text().replace(first.record["run_id"], OLD)
            for kind in KINDS
        }

    def kill(self, moment=None):
        """One run, SIGKILLed: what its files say agrees with the API server's audit log.

        ``moment``: as soon as it is there; None: a random one.
        """
        if moment != PREFLIGHT:
            self._kill(moment)
            return
        with FaultProxy(self.incident.cluster, SLOW_ROUND_TRIP_S) as proxy:
            slow = proxy.kubeconfig(self.incident.folder)
            self.incident.configure(helm=self.slow_helm, kubeconfig=str(slow))
            self._kill(moment)
        self.incident.configure(helm=self.slow_helm)

    def _kill(self, moment):
        process, before, seen, known = self._start()
        if moment is None:
            self._wait_for_a_moment(process)
        else:
            self._wait_until(moment, process, known)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        own = self._own(known)
        self._let_helm_end(own)
        made = self.audited.revisions_made(seen)
        moment = moment_of(own)
        self.tally.kills += 1
        self.tally.moments[moment] = self.tally.moments.get(moment, 0) + 1
        if moment == "finished":  # too late to be of interest: the next moments come sooner
            self.lasts_s = min(self.lasts_s, lasted_s(own))
        self.tally.helm_made_a_revision += bool(made)
        self._judge(own, before, made, moment)

    def stop(self):
        """One run, told to stop by SIGTERM: seconds until its page and its record say so."""
        process, _, _, known = self._start()
        self._wait_for_a_moment(process)
        began, moment = time.monotonic(), moment_of(self._own(known))
        process.send_signal(signal.SIGTERM)
        while time.monotonic() - began < 20 and not self._says_interrupted() and process.poll() is None:
            time.sleep(0.02)
        took_s = time.monotonic() - began
        process.communicate(timeout=60)
        self._let_helm_end(self._own(known))
        if self._says_interrupted():
            self.tally.report_s.append((moment, round(took_s, 2)))
        elif moment not in ("before its record", "finished"):
            self.tally.wrong.append(f"SIGTERM while {moment}: no report that says so within {took_s:.1f} s")

    def _start(self):
        self.incident.kubectl("delete", "secret", "zkrollback.v1.zkprova", "--ignore-not-found")
        for kind, text in self.green.items():
            (self.reports / f"latest.{kind}").write_text(text)
        self.began.unlink(missing_ok=True)
        self.ended.unlink(missing_ok=True)
        before = self.incident.head()
        target = 4 if before % 2 else 5
        known = self._records()
        meant = "--rollback-override=target=there and back again"
        return self.incident.start(f"--rollback-to={target}", meant), before, self.audited.mark(), known

    def _wait_until(self, moment, process, known):
        deadline = time.monotonic() + 60
        while not self._has_come(moment, known):
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()
            time.sleep(0.002)

    def _has_come(self, moment, known):
        """The record says it, or helm itself: of that the record says it a little later."""
        if moment == PREFLIGHT:
            return moment_of(self._own(known)) == moment
        return (self.began if moment == HELM_RUNS else self.ended).exists()

    def _wait_for_a_moment(self, process):
        """Every tenth within start-up; the others somewhere between the first word on disk and the end."""
        if self.random.random() < 0.1:
            time.sleep(self.random.uniform(0, 1))
            return
        known = self._records()
        deadline = time.monotonic() + 30
        while self._records() == known and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        end = time.monotonic() + self.random.random() * self.lasts_s
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.002)

    def _records(self):
        return frozenset(self.reports.glob("2*.json"))

    def _own(self, known):
        new = self._records() - known
        assert len(new) <= 1, new
        return json.loads(next(iter(new)).read_text()) if new else None

    def _let_helm_end(self, own):
        """helm outlives its run: until it has written what it writes."""
        deadline = time.monotonic() + 60
        if own and own["helm"]["ran"] and not self.began.exists():
            time.sleep(HELM_TAKES_S)  # killed on the way to its start: perhaps it comes
        while self.began.exists() and not self.ended.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        while any("pending" in status for _, status, _ in self.incident.revisions()):
            assert time.monotonic() < deadline, self.incident.revisions()
            time.sleep(0.1)

    def _says_interrupted(self):
        record, page = self.incident.latest(), self.reports / "latest.html"
        return (
            record is not None
            and (record["run_id"] != OLD, record["outcome"]) == (True, "interrupted")
            and page.exists()
            and "<h1>INTERRUPTED</h1>" in page.read_text()
        )

    def _judge(self, own, before, made, moment):
        def wrong(text):
            self.tally.wrong.append(f"kill {self.tally.kills}, {moment}: {text}; helm made {made}")

        for path in self.reports.glob("*.json"):
            try:
                json.loads(path.read_text())
            except ValueError:
                wrong(f"{path.name} is no JSON")
        latest = {kind: self.reports / f"latest.{kind}" for kind in KINDS}
        if own is None:
            if made:
                wrong("no record, but helm ran")
            return
        for kind, path in latest.items():
            text = path.read_text() if path.exists() else ""
            if text and OLD in text:
                wrong(f"latest.{kind} is the older run's green")
            elif text and own["run_id"] not in text:
                wrong(f"latest.{kind} is not this run's")
        helm = own["helm"]
        if own["revision_before"] not in (None, before):
            wrong(f"revision_before is {own['revision_before']}, it was {before}")
        if not helm["ran"] and made:
            wrong("helm is said not to have run")
        if helm["ran"] and made not in ([], [before + 1]):
            wrong("helm ran more than once")
        if helm["ran"] and not made and not helm["running"]:
            wrong("helm is said to have ended, and made nothing")
        ended = helm["ran"] and not helm["running"]
        allowed = (before, before + 1) if ended else (None, before)
        if own["revision_after"] not in allowed:
            wrong(f"revision_after is {own['revision_after']} after {before}")
        if own["outcome"] == "verified" and (own["revision_after"], made) != (before + 1, [before + 1]):
            wrong("verified, but not what the audit log says")


def moment_of(own):
    """In which part of the run it was, by its own record."""
    if own is None:
        return "before its record"
    if own["finished_at"]:
        return "finished"
    if own["helm"]["running"]:
        return HELM_RUNS
    if own["helm"]["ran"]:
        return "verifying"
    return PREFLIGHT if own["revision_before"] is None else "between preflight and helm"
