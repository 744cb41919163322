"""A stranded release, real helms of both majors: found, explained, led out once, and proven; never by itself."""

import json
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from support import stored_release
from support.incident import BOTH, HELM_3_IN_CAMPAIGN

HOOK = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {
        "name": "zkprova-hook",
        "annotations": {"helm.sh/hook": "pre-rollback", "helm.sh/hook-delete-policy": "before-hook-creation"},
    },
    "spec": {
        "backoffLimit": 0,
        "template": {
            "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "zkprova/none:1"}]}
        },
    },
}


def wait_for(condition, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def hook_of_revision_5(incident, job=HOOK):
    """Revision 5 gets a hook that never ends: on kwok no Job's pod completes."""
    content = stored_release.read(incident, 5)
    content["hooks"] = [
        {
            "name": "zkprova-hook",
            "kind": "Job",
            "path": "zkprova/templates/hook.yaml",
            "manifest": json.dumps(job),
            "events": ["pre-rollback"],
            "delete_policies": ["before-hook-creation"],
        }
    ]
    stored_release.write(incident, 5, content)


def start_helm(incident, *words):
    argv = [str(incident.helm_path), *words, "-n", incident.namespace]
    argv += ["--kube-context", incident.cluster.context, "--kubeconfig", str(incident.cluster.kubeconfig)]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@BOTH
def test_fault_18_and_27_a_stranded_release_is_explained_and_led_out_by_the_explicit_recovery(incident):
    hook_of_revision_5(incident)
    helm = start_helm(incident, "rollback", "zkprova", "5", "--timeout", "60s")
    wait_for(lambda: "zkprova-hook" in incident.kubectl("get", "jobs", "-o", "name"))
    helm.send_signal(signal.SIGKILL)
    helm.wait()
    assert incident.revisions()[-1][:2] == (7, "pending-rollback")

    fresh = incident.run("--rollback-to=5")
    assert (fresh.code, fresh.record["helm"]["ran"]) == (1, False)
    assert "a helm probably still works on it" in fresh.guard("pending")["evidence"]
    assert incident.run("--rollback-recover").guard("pending")["state"] == "refused"

    stored_release.age(incident, 7, minutes=20)
    stale = incident.run("--rollback-to=5")
    assert (stale.code, stale.record["helm"]["ran"]) == (1, False)
    assert "stranded" in stale.guard("pending")["evidence"]
    assert "pytest --env=test --rollback-recover" in stale.record["next_commands"]

    hook = incident.run("--rollback-recover")
    assert (hook.code, hook.record["helm"]["ran"]) == (1, False)
    assert "zkprova-hook of a hook still runs" in hook.guard("hook-running")["evidence"]
    assert incident.head() == 7

    done = incident.run(
        "--rollback-recover",
        "--rollback-override=hook-running=it only waits",
        "--rollback-migration-assessed=the hook only waits",
    )
    assert (done.code, done.record["mode"], done.record["outcome"]) == (0, "recover", "verified")
    assert done.record["target_revision"] == 5
    assert "--no-hooks" in done.record["helm"]["argv"]
    assert {one["id"] for one in done.record["overrides"]} == {"pending", "hook-running"}
    assert [row[:2] for row in incident.revisions()][-3:] == [
        (6, "superseded"),
        (7, "pending-rollback"),
        (8, "deployed"),
    ]
    again = incident.run("--rollback-recover")
    assert (again.code, again.record["helm"]["ran"]) == (1, False)
    assert again.guard("stranded")["evidence"].startswith(
        "there is nothing to recover: revision 8 is deployed"
    )
    assert incident.head() == 8


def immutable_selector(incident):
    """Let revision 5's manifest have another selector for the backend: the API server refuses that change."""
    content = stored_release.read(incident, 5)
    before = content["manifest"]
    content["manifest"] = before.replace(
        "  selector:\n    matchLabels:\n      app: zkprova-backend",
        "  selector:\n    matchLabels:\n      more: zkprova\n      app: zkprova-backend",
    ).replace(
        "      labels:\n        app: zkprova-backend",
        "      labels:\n        more: zkprova\n        app: zkprova-backend",
    )
    assert content["manifest"] != before
    stored_release.write(incident, 5, content)


@BOTH
def test_fault_31_half_applied_is_said_object_by_object_and_led_out(incident):
    immutable_selector(incident)
    refused = incident.run("--rollback-to=5")
    assert (refused.code, refused.record["helm"]["ran"]) == (1, False)
    assert "Deployment/zkprova-zkprova-backend: immutable" in refused.guard("forecast")["evidence"]
    failed = incident.run("--rollback-to=5", "--rollback-override=forecast=to see it fail")
    rollback = failed.item("rollback")
    assert (failed.code, rollback["verdict"]) == (1, "FAIL")
    assert "field is immutable" in json.dumps(failed.record["helm"])
    assert "as in revision 5" in rollback["observed"]
    assert "as in revision 6" in rollback["observed"]
    table = next(e["text"] for e in rollback["evidence"] if e["title"].startswith("Which revision runs"))
    lines = dict(line.split(None, 1) for line in table.splitlines())
    assert lines["Deployment/zkprova-zkprova-backend"] == "as in revision 6"
    assert lines["Deployment/zkprova-zkprova-frontend"] == "as in revision 5"
    assert "--rollback-recover" in "\n".join(failed.record["next_commands"])
    assert not [row for row in incident.revisions() if row[1] == "deployed"]

    done = incident.run("--rollback-recover", "--rollback-to=4")
    assert (done.code, done.record["outcome"]) == (0, "verified"), done.output
    assert incident.revisions()[-1][:2] == (8, "deployed") or incident.revisions()[-1][1] == "deployed"


def test_the_history_is_saved_before_helm_runs_and_put_back_by_the_documented_commands(incident, tmp_path):
    state = tmp_path / "state"
    done = incident.run("--rollback-to=5", XDG_STATE_HOME=str(state))
    assert done.code == 0
    saved = done.record["backup"]
    file = Path(saved["path"])
    assert file.parent == state / "pytest-zkrollback" / "backups"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert saved["revisions"] == 6
    digest = subprocess.run(["sha256sum", file], capture_output=True, text=True, check=True).stdout.split()[0]
    assert digest == saved["digest"]
    before = incident.revisions()
    incident.kubectl("delete", "secrets", "-l", "owner=helm,name=zkprova,version in (1,2,3)")
    assert len(incident.revisions()) == 4
    text = (Path(__file__).parents[2] / "docs" / "backup.md").read_text()
    for command in ("get -f FILE --ignore-not-found", "create -n NAMESPACE -f FILE"):
        assert f"kubectl {command}" in text
    assert incident.kubectl("get", "-f", str(file), "--ignore-not-found", "-o", "name").count("secret/") == 3
    with pytest.raises(AssertionError, match="already exists"):  # those that were still there
        incident.kubectl("create", "-f", str(file))
    assert incident.revisions() == before
    stored_release.write(incident, 5, {**stored_release.read(incident, 5), "manifest": "damaged"})
    assert "kubectl replace --force -n NAMESPACE -f FILE" in text
    incident.kubectl("replace", "--force", "-f", str(file))
    assert "damaged" not in stored_release.read(incident, 5)["manifest"]
    assert [row[:2] for row in incident.revisions()][:5] == [row[:2] for row in before][:5]


def test_a_backup_that_fails_warns_and_does_not_hold_the_rollback_back(incident, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    done = incident.run("--rollback-to=5", XDG_STATE_HOME=str(blocked))
    assert (done.code, done.record["backup"]) == (0, None)
    assert any("no backup of the release's history was made" in e["event"] for e in done.record["timeline"])


def hook_that_fails(incident, event, *, hangs=False):
    """Revision 5 gets a hook whose Job fails after 1 s, or never ends: on kwok no Job's pod completes."""
    job = json.loads(json.dumps(HOOK))
    job["metadata"]["annotations"]["helm.sh/hook"] = event
    if not hangs:
        job["spec"]["activeDeadlineSeconds"] = 1
    hook_of_revision_5(incident, job)
    content = stored_release.read(incident, 5)
    content["hooks"][0]["events"] = [event]
    stored_release.write(incident, 5, content)


@BOTH
@pytest.mark.parametrize(
    ("event", "runs"), [("pre-rollback", "as in revision 6"), ("post-rollback", "as in revision 5")]
)
def test_fault_30_a_failed_hook_is_named_and_what_runs_is_read_again(incident, event, runs):
    hook_that_fails(incident, event)
    failed = incident.run("--rollback-to=5", "--rollback-migration-assessed=none")
    rollback = failed.item("rollback")
    assert (failed.code, rollback["verdict"]) == (1, "FAIL")
    assert incident.revisions()[-1][:2] == (7, "pending-rollback")
    assert "revision 7 is pending-rollback" in rollback["observed"]
    assert "a hook's Job failed" in rollback["observed"]
    table = next(e["text"] for e in rollback["evidence"] if e["title"].startswith("Which revision runs"))
    lines = dict(line.split(None, 1) for line in table.splitlines())
    assert lines["Deployment/zkprova-zkprova-backend"] == runs
    ended = f"--rollback-override=pending=the helm of run {failed.record['run_id']} has ended"
    recover = "pytest --env=test --rollback-migration-assessed=none --rollback-recover"
    assert f"{recover} '{ended}'" in failed.record["next_commands"]


@HELM_3_IN_CAMPAIGN
def test_a_hook_that_hangs_ends_with_helms_own_timeout_and_its_job_is_named(incident):
    """docs/helm-facts.md, 3: the release is stranded, and the Job goes on."""
    hook_that_fails(incident, "post-rollback", hangs=True)
    incident.configure(helm_timeout_s=2)
    failed = incident.run("--rollback-to=5", "--rollback-migration-assessed=none")
    rollback = failed.item("rollback")
    assert (failed.code, rollback["verdict"]) == (1, "FAIL")
    assert "a hook did not end within helm's own --timeout, and its Job may still run" in rollback["observed"]
    assert incident.revisions()[-1][:2] == (7, "pending-rollback")
    assert "as in revision 5" in rollback["observed"]  # post: the objects are rolled back already
    stored_release.age(incident, 7, minutes=20)
    hook = incident.run("--rollback-recover").guard("hook-running")
    assert "Job zkprova-hook of a hook still runs" in hook["evidence"]


def helm_that(incident, *lines):
    """A helm that does something else before, or instead of, rolling back."""
    path = incident.folder / "odd-helm"
    script = "\n".join(lines).replace("HELM", str(incident.helm_path))
    path.write_text(
        f'#!/bin/sh\nif [ "$1" = rollback ]; then\n{script}\nfi\nexec {incident.helm_path} "$@"\n'
    )
    path.chmod(0o755)
    incident.configure(helm=str(path))


@HELM_3_IN_CAMPAIGN
def test_fault_29_helm_fails_and_yet_the_revision_is_deployed(incident):
    helm_that(incident, 'HELM "$@"', 'echo "Error: lost the connection" >&2', "exit 1")
    done = incident.run("--rollback-to=5")
    assert (done.code, done.record["outcome"], done.record["helm"]["exit_code"]) == (0, "verified", 1)
    assert done.item("rollback")["observed"] == (
        "helm ended with exit code 1, and yet revision 7 is deployed (back to 5)"
    )
    assert "lost the connection" in done.record["helm"]["stderr_tail"]


@HELM_3_IN_CAMPAIGN
def test_fault_28_helm_succeeds_and_the_revision_is_not_there(incident):
    helm_that(incident, 'echo "Rollback was a success! Happy Helming!"', "exit 0")
    done = incident.run("--rollback-to=5")
    assert (done.code, done.item("rollback")["verdict"]) == (1, "FAIL")
    assert "made no revision: 6 is still the current revision" in done.item("rollback")["observed"]


@HELM_3_IN_CAMPAIGN
def test_fault_33_a_helm_that_writes_50_mb_of_anything_is_bounded_in_the_record(incident):
    helm_that(incident, "head -c 50000000 /dev/urandom >&2", 'exec HELM "$@"')
    done = incident.run("--rollback-to=5")
    assert (done.code, done.record["outcome"], incident.head()) == (0, "verified", 7), done.output[-2000:]
    assert len(done.record["helm"]["stderr_tail"]) <= 4000
    assert (incident.folder / "reports" / "latest.html").stat().st_size < 2_000_000


@HELM_3_IN_CAMPAIGN
def test_fault_26_a_helm_that_hangs_is_ended_after_its_own_timeout_and_named(incident):
    helm_that(incident, "trap '' TERM", "sleep 300")
    incident.configure(helm=str(incident.folder / "odd-helm"), helm_timeout_s=1)
    done = incident.run("--rollback-to=5", timeout=180)
    assert (done.code, done.item("rollback")["verdict"]) == (1, "FAIL")
    assert "was ended by us after" in done.item("rollback")["observed"]
    assert "6 is still the current revision" in done.item("rollback")["observed"]
    assert done.record["helm"]["running"] is False
    assert not (Path("/proc") / str(done.record["helm"]["pid"])).exists()
