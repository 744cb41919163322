"""The command beside a failed item, typed by an operator, shows what the item saw: real API server, real helm."""

import os
import re
import shutil
import subprocess

import pytest

from support.incident import CHART, Incident

BACKEND, FRONTEND = "zkprova-zkprova-backend", "zkprova-zkprova-frontend"


def typed(incident, command):
    """What the operator's shell shows, with kubectl and helm from PATH."""
    programs = {incident.cluster.binaries["kubectl"].parent, incident.helm_path.parent}
    path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def bad(running_cluster, binaries, tmp_path_factory):
    """Revision 6 is live and crashes; nobody has rolled it back."""
    found = Incident(running_cluster, tmp_path_factory.mktemp("byhand"), binaries["helm"])
    yield found
    found.close()


@pytest.fixture(scope="module")
def checked(bad):
    return bad.run()


@pytest.mark.parametrize(
    ("item", "begins", "shows"),
    [
        ("rollout-backend", rf"kubectl describe pod/{BACKEND}-\S+ ", r"Reason:\s+CrashLoopBackOff"),
        (
            "logs",
            rf"kubectl logs {BACKEND}-\S+ -c backend --since-time=\S+ ",
            r"FATAL: unable to open database file",
        ),
        (
            "events",
            r"kubectl get events --field-selector involvedObject\.kind=Pod,involvedObject\.name=\S+ ",
            r"BackOff",
        ),
    ],
)
def test_a_crash_loop_is_seen_by_hand(bad, checked, item, begins, shows):
    found = checked.item(item)
    # Once the other items have failed, nobody waits until the events are red, too.
    assert found["verdict"] == "FAIL" or (item, found["verdict"]) == ("events", "UNVERIFIED"), checked.output
    assert re.match(begins, found["command"]), found["command"]
    assert re.search(shows, typed(bad, found["command"]))


def failed_equivalence(incident, *args):
    result = incident.run(*args)
    found = result.item("release-equivalence")
    assert found["verdict"] == "FAIL", result.output
    return found


def test_what_the_manifest_does_not_state_is_seen_by_hand(incident):
    """Issue 16, 11a: kubectl diff printed nothing and exited 0 while the item failed."""
    assert incident.run("--rollback-to=5", "--rollback-migration-assessed=looked at").code == 0
    incident.kubectl("set", "env", f"deployment/{FRONTEND}", "LEFT_BY_HAND=1")
    found = failed_equivalence(incident)
    assert "LEFT_BY_HAND" in found["observed"]
    assert "LEFT_BY_HAND" in typed(incident, found["command"]), found["command"]
    incident.kubectl("set", "env", f"deployment/{FRONTEND}", "LEFT_BY_HAND-")
    incident.kubectl("scale", f"deployment/{FRONTEND}", "--replicas=1")
    found = failed_equivalence(incident)
    assert "spec.replicas" in found["observed"]
    shown = typed(incident, found["command"])
    assert re.search(r"^-\s+replicas: 1$", shown, re.MULTILINE), shown
    assert re.search(r"^\+\s+replicas: 2$", shown, re.MULTILINE), shown


def test_a_pod_that_was_not_restarted_is_seen_by_hand(incident, tmp_path):
    """Issue 16, 11a: what it read at its start was changed back afterwards; no object differs."""
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart)
    for name in ("backend", "frontend"):
        template = chart / "templates" / f"{name}.yaml"
        lines = template.read_text().splitlines(keepends=True)
        template.write_text(
            "".join(line for line in lines if "checksum/" not in line and "annotations:" not in line)
        )
    upgrade = ("upgrade", "zkprova", str(chart), "--reset-values", "--wait")
    incident.helm(*upgrade, "--set", "config.LOG_LEVEL=info")
    incident.helm(*upgrade, "--set", "config.LOG_LEVEL=debug")
    incident.kubectl("delete", "pod", "-l", "app=zkprova-backend")
    incident.kubectl("rollout", "status", f"deployment/{BACKEND}", "--timeout=30s")
    found = failed_equivalence(incident, "--rollback-to=7", "--rollback-override=target=of the test")
    assert "was not restarted" in found["observed"]
    pods = re.search(rf"Pod ({BACKEND}-\S+) of", found["observed"])
    shown = typed(incident, found["command"])
    assert re.search(rf"^{pods.group(1)}\s+20\d\d-\S+Z\s+zkprova/backend", shown, re.MULTILINE), shown
    assert re.search(r"^20\d\d-\S+Z helm", shown, re.MULTILINE), shown
