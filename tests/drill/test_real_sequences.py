"""Random sequences and simultaneous operators with real processes and the real helm; and the fake helm's honesty.

`make campaign` plays 300 sequences and 50 pairs of operators (benchmarks/sequences.py).
"""

import json
import random
import re

import pytest

from support.fake_release import OBJECTS, Clock, Helm, Release
from support.incident import Incident
from support.real_sequences import Player, Tally, two_at_once

CHART = {"apiVersion": "v2", "name": "app", "version": "1.0.0", "appVersion": "1"}
TEMPLATE = """
{{- range list "one" "two" }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ . }}}
data: {content: {{ $.Values.content | quote }}}
{{- end }}
"""


@pytest.mark.campaign
def test_six_random_sequences_make_no_double_rollback_and_no_wrong_claim(incident, binaries, helm3):
    """Both majors in turn, on one release."""
    tally = Tally()
    for seed in range(6):
        incident.use((binaries["helm"], helm3)[seed % 2])
        Player(incident, seed, tally).play(steps=2)
    assert tally.double_rollbacks == []
    assert tally.wrong_claims == []
    assert tally.helm >= 3
    assert tally.kills >= 1


def test_fault_19_two_operators_at_once_twice(incident):
    slow = incident.folder / "slow-helm"
    slow.write_text(f'#!/bin/sh\ncase "$1" in rollback) sleep 1;; esac\nexec {incident.helm_path} "$@"\n')
    slow.chmod(0o755)
    incident.configure(helm=str(slow))
    for number, target in enumerate((5, 4), start=7):
        # The number is not a slip: each time the other one is gone back to, from what was verified.
        first, second, _ = two_at_once(incident, target, "--rollback-override=target=the test wants it")
        assert incident.head() == number
        assert (first["helm"]["ran"], first["outcome"]) == (True, "verified")
        assert (second["helm"]["ran"], second["outcome"]) == (False, "verified")
        assert f"revision {number}" in second["helm"]["skipped_reason"]


def commands(seed):
    """A random sequence of what helm is asked for: ``("upgrade",)``, ``("rollback", N)``, ``("prune",)``."""
    chance, head = random.Random(seed), 3
    yield from [("upgrade",)] * 3
    for _ in range(6):
        kind = chance.choice(["upgrade", "rollback", "rollback", "rollback", "prune"])
        yield (kind, chance.randint(1, head + 1)) if kind == "rollback" else (kind,)
        head += kind != "prune"


class Real:
    """The real helm on the real cluster, with the same two objects."""

    def __init__(self, cluster, helm, namespace, folder):
        self.incident = Incident.__new__(Incident)
        self.incident.cluster, self.incident.helm_path, self.incident.namespace = cluster, helm, namespace
        self.chart = folder / "chart"
        (self.chart / "templates").mkdir(parents=True)
        (self.chart / "Chart.yaml").write_text(json.dumps(CHART))
        (self.chart / "templates" / "all.yaml").write_text(TEMPLATE)
        self.next = 1

    def upgrade(self):
        number = self.rows()[-1][0] + 1 if self.next > 1 else 1
        self.next = 2
        self.incident.helm("upgrade", "--install", "app", str(self.chart), "--set", f"content=r{number}")

    def rollback(self, target):
        try:
            self.incident.helm("rollback", "app", str(target), "--history-max", "0")
        except AssertionError as error:
            return str(error).splitlines()[0].strip()
        return ""

    def prune(self):
        rows = self.rows()
        if len(rows) > 2 and rows[0][1] != "deployed":
            self.incident.kubectl("delete", "secret", f"sh.helm.release.v1.app.v{rows[0][0]}")

    def rows(self):
        found = json.loads(self.incident.helm("history", "app", "-o", "json", "--max", "100"))
        back = [re.fullmatch(r"Rollback to (\d+)", row["description"]) for row in found]
        return [
            (row["revision"], row["status"], int(match[1]) if match else None)
            for row, match in zip(found, back, strict=True)
        ]

    def live(self):
        items = json.loads(self.incident.kubectl("get", "configmaps", *OBJECTS, "-o", "json"))["items"]
        return {item["metadata"]["name"]: item["data"]["content"] for item in items}


class Fake:
    """The same commands for the fake that 300 sequences in process rely on."""

    def __init__(self):
        clock = Clock()
        self.release = Release(clock, lambda when: None)
        self.helm = Helm(self.release)

    def rollback(self, target):
        argv = ["helm", "rollback", "app", str(target), "--history-max", "0"]
        done = self.helm.run(argv, timeout_s=1)
        return done.output if done.exit_code else ""


@pytest.mark.parametrize("major", ["helm 4", "helm 3"])
def test_the_fake_helm_does_what_the_real_one_does(cluster, binaries, helm3, namespace, tmp_path, major):
    real = Real(cluster, helm3 if major == "helm 3" else binaries["helm"], namespace, tmp_path)
    fake = Fake()
    for seed in range(3):
        if seed:
            real.incident.helm("uninstall", "app")
            real.next = 1
            fake = Fake()
        for command, *words in commands(seed):
            if command == "rollback":
                assert real.rollback(*words) == fake.rollback(*words), (seed, words)
            else:
                getattr(real, command)()
                getattr(fake.release, command)()
            assert real.rows() == fake.release.revisions(), (seed, command, words)
            assert real.live() == fake.release.live(), (seed, command, words)
