"""What happens after the first green, and ``workloads = "auto"``: a real helm, a real API server."""

import json
import re
import signal
import time

import pytest

from support.incident import Incident

WORKLOADS = ("rollout-zkprova-zkprova-backend", "rollout-zkprova-zkprova-frontend")
SOAK = "--rollback-soak=60"  # ended by what happens in it, never by the clock
ASSESSED = "--rollback-migration-assessed=looked at"


@pytest.fixture(scope="module")
def incident(running_cluster, binaries, tmp_path_factory):
    found = Incident(running_cluster, tmp_path_factory.mktemp("soak"), binaries["helm"])
    found.configure(workloads="auto")
    yield found
    found.close()


@pytest.fixture(scope="module")
def restored(incident):
    """The run that restores the service; the others verify it."""
    return incident.run("--rollback-to=5", "--rollback-soak=1", ASSESSED)


def provisional(incident, *args):
    """A run that has just told its first, provisional green."""
    process = incident.start(*args)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        record = incident.latest()
        if record and record["outcome"] == "running" and record["provisional_at"] and notified(record):
            return process
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    raise AssertionError("no provisional green")


def notified(record):
    return next(item["verdict"] for item in record["items"] if item["id"] == "notify")


def ended(process, within_s):
    begun = time.monotonic()
    output, _ = process.communicate(timeout=within_s)
    return process.returncode, output, time.monotonic() - begun


def test_auto_names_every_workload_of_the_targets_manifest(restored):
    assert restored.code == 0, restored.output
    ids = [item["id"] for item in restored.record["items"]]
    assert ids == [
        "preflight",
        "rollback",
        "release-equivalence",
        *WORKLOADS,
        *("smoke", "logs", "health-database", "events", "migration", "notify"),
    ]
    assert "11 passed" in restored.output
    assert {restored.verdicts()[item] for item in WORKLOADS} == {"PASS"}


def test_the_recovery_clock_runs_from_helms_start(restored):
    record = restored.record
    assert record["helm"]["started_at"] < record["served_again_at"] < record["recovered_at"]
    # The soak's last look does not move the recovery; the items say what that look saw, and when.
    assert record["recovered_at"] <= record["provisional_at"] < record["watched_until"]
    items = {item["id"]: item for item in record["items"]}
    for name in (*WORKLOADS, "release-equivalence", "logs", "events", "health-database"):
        assert record["provisional_at"] < items[name]["finished_at"] <= record["watched_until"], name
    assert items["smoke"]["finished_at"] <= record["provisional_at"]
    assert "/health passes since" in restored.output
    assert re.search(r"and still at [\d:]+ UTC, when watching ended\.", restored.output)
    events = [entry["event"] for entry in record["timeline"]]
    assert "all checks passed; watched for 1 s from here" in events
    assert "watching has ended: every item was looked at once more" in events


def test_a_waiver_of_a_workload_that_there_is_not_is_refused_with_the_names(incident, restored):
    result = incident.run("--rollback-waive=rollout-zkprova=not ours")
    assert result.code == 4
    assert f"known are {', '.join(WORKLOADS)}" in " ".join(result.output.split())


def test_a_crash_in_the_soak_is_red_at_once_and_the_team_had_the_first_verdict(incident, restored):
    process = provisional(incident, SOAK, ASSESSED)
    pods = json.loads(incident.kubectl("get", "pods", "-l", "app=zkprova-backend", "-o", "json"))["items"]
    status = pods[0]["status"]["containerStatuses"][0]
    status |= {
        "restartCount": 1,
        "ready": True,
        "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}},
    }
    patch = json.dumps({"status": {"containerStatuses": [status]}})
    name = pods[0]["metadata"]["name"]
    incident.kubectl("patch", "pod", name, "--subresource=status", "--type=merge", "-p", patch)
    code, output, _ = ended(process, 20)
    record = incident.latest()
    assert code == 1, output
    backend = next(item for item in record["items"] if item["id"] == WORKLOADS[0])
    assert backend["verdict"] == "FAIL"
    assert "crashed after it was green: exit code 3, 1 restart" in backend["observed"]
    assert "no longer at the end)" in record["summary"]
    assert notified(record) == "PASS"
    incident.kubectl("delete", "pod", name)  # the crash that was made up has no log to read later
    incident.kubectl("rollout", "status", "deployment/zkprova-zkprova-backend", "--timeout=30s")


def test_a_signal_in_the_soak_is_an_interruption_and_no_green(incident, restored):
    process = provisional(incident, SOAK, ASSESSED)
    process.send_signal(signal.SIGTERM)
    code, output, took_s = ended(process, 20)
    record = incident.latest()
    assert (code, record["outcome"]) == (2, "interrupted"), output
    assert took_s < 10
    assert record["recovered_at"] is None
    assert "then the run was stopped while it went on watching" in record["summary"]


def test_fault_22_a_foreign_upgrade_in_the_soak_is_superseded_by_its_revision(incident, restored):
    process = provisional(incident, SOAK, ASSESSED)
    incident.helm("rollback", "zkprova", "4")
    code, output, _ = ended(process, 30)
    record = incident.latest()
    assert (code, record["outcome"]) == (1, "superseded"), output
    head = incident.head()
    assert record["revision_after"] == head
    assert f"the current revision is {head}" in record["summary"]


def test_fault_22_is_seen_where_nobody_compares_the_release(incident, restored):
    incident.helm("rollback", "zkprova", "5")
    smoke = incident.folder / "smoke.sh"
    helm = [str(incident.helm_path), "rollback", "zkprova", "4", "-n", incident.namespace]
    where = ["--kubeconfig", str(incident.cluster.kubeconfig), "--kube-context", incident.cluster.context]
    smoke.write_text(" ".join([*helm, *where]) + " >/dev/null\n")
    table = f"[environments.test.smoke]\ncommand = {json.dumps(['bash', str(smoke)])}\n"
    incident.configure(table, workloads="auto")
    # It cannot be waived; left out, nobody reads the history for it.
    result = incident.run("-k", "not release_equivalence", ASSESSED)
    assert (result.code, result.record["outcome"]) == (1, "superseded"), result.output
