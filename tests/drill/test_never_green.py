"""What an attacker found, and what must never be green: each on a real cluster with a real helm."""

import base64
import json
import signal
import time

import pytest
import yaml

from support.incident import BOTH, HELM_3_IN_CAMPAIGN, upgrade_with


def smoke_that(incident, *lines):
    """The smoke test is where somebody else can act while we verify."""
    script = incident.folder / "smoke.sh"
    script.write_text("\n".join(["set -e", *lines]) + "\n")
    incident.configure(f"[environments.test.smoke]\ncommand = {json.dumps(['bash', str(script)])}\n")


def shell(incident, tool, *words):
    kubeconfig = ["--kubeconfig", str(incident.cluster.kubeconfig)]
    if tool == "helm":
        argv = [str(incident.helm_path), *words, "--kube-context", incident.cluster.context]
    else:
        argv = [str(incident.cluster.binaries["kubectl"]), *words, "--context", incident.cluster.context]
    return " ".join([*argv, "-n", incident.namespace, *kubeconfig, ">/dev/null"])


@BOTH
def test_fault_28_a_release_that_helm_left_failed_is_not_green_on_the_next_run(incident):
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "after", "annotations": {"helm.sh/hook": "post-rollback"}},
        "spec": {
            "backoffLimit": 0,
            "template": {
                "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "zkprova/none:1"}]}
            },
        },
    }
    incident.helm("rollback", "zkprova", "5")
    upgrade_with(incident, "hook", job)
    target = incident.head()
    incident.helm("rollback", "zkprova", "4")
    incident.configure(helm_timeout_s=2)
    result = incident.run(f"--rollback-to={target}", "--rollback-override=target=its hook has to fail here")
    assert result.code == 1
    assert result.verdicts()["rollback"] == "FAIL"
    assert result.record["helm"]["exit_code"] == 1
    again = incident.run("--rollback-migration-assessed=looked at")
    assert (again.code, again.verdicts()["release-equivalence"]) == (1, "UNVERIFIED"), again.output
    assert "pending-rollback" in again.item("release-equivalence")["observed"]


def test_fault_44_what_only_the_bad_revision_has_and_still_serves_is_red(incident):
    canary = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "canary", "annotations": {"helm.sh/resource-policy": "keep"}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "canary"}},
            "template": {
                "metadata": {"labels": {"app": "canary"}},
                "spec": {"containers": [{"name": "a", "image": "zkprova/backend:1.9.0-a7d20c4"}]},
            },
        },
    }
    upgrade_with(incident, "canary", canary)
    result = incident.run("--rollback-to=5")
    assert (result.code, result.record["outcome"]) == (1, "failed")
    assert result.item("release-equivalence")["observed"].startswith(
        "Deployment/canary, which revision 5 does not have, is still live"
    )


@HELM_3_IN_CAMPAIGN
def test_fault_22_a_foreign_change_while_we_verify_is_superseded_and_slack_is_not_told_verified(incident):
    incident.helm("rollback", "zkprova", "5")
    smoke_that(incident, shell(incident, "helm", "rollback", "zkprova", "4"))
    result = incident.run()
    assert (result.code, result.record["outcome"]) == (1, "superseded"), result.output
    assert result.verdicts()["release-equivalence"] == "FAIL"
    assert result.record["revision_after"] == 8
    [message] = incident.messages()
    assert "VERIFIED" not in json.dumps(message)
    assert "SUPERSEDED" in json.dumps(message)


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        (("delete", "secret", "-l", "owner=helm"), "UNVERIFIED"),
        (("delete", "configmap", "zkprova-zkprova-config"), "FAIL"),
        (("delete", "service", "zkprova-zkprova-backend"), "FAIL"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_what_vanishes_while_we_verify_is_seen_by_the_last_look(incident, words, verdict):
    incident.helm("rollback", "zkprova", "5")
    smoke_that(incident, "sleep 0.5", shell(incident, "kubectl", *words))
    result = incident.run()
    assert result.code == 1, result.output
    assert result.verdicts()["release-equivalence"] == verdict


def test_no_pass_is_older_than_the_failure_beside_it(incident):
    """``logs`` and ``events`` passed while the pods had not crashed yet; the rollout failed 3 s later."""
    assert incident.run("--rollback-to=5", "--rollback-soak=0").code == 0
    failed = incident.run("--rollback-to=6", "--rollback-override=target=an exercise")
    found = {item["id"]: item for item in failed.record["items"]}
    assert found["rollout-backend"]["verdict"] == "FAIL", failed.output
    for name in ("logs", "events", "rollout-frontend", "release-equivalence"):
        item = found[name]
        assert item["finished_at"] >= found["rollout-backend"]["finished_at"] or item["limits"], item
    assert {found["logs"]["verdict"], found["events"]["verdict"]} == {"FAIL"}, failed.output
    told = [entry["event"] for entry in failed.record["timeline"]]
    assert told.index("rollout-backend: FAIL") < told.index("events: FAIL") < told.index("notify: PASS")


def test_after_a_smoke_test_that_failed_health_is_not_waited_for(incident):
    """The rollouts have settled: 30 s more of ``/health`` would say nothing that is not known."""
    incident.helm("rollback", "zkprova", "5")
    tables = "[environments.test.smoke]\ncommand = ['false']\n[environments.test.health]\npath = '/nowhere'\n"
    incident.configure(tables)
    result = incident.run()
    assert (result.code, result.record["outcome"]) == (1, "failed"), result.output
    found = {item["id"]: item for item in result.record["items"]}
    health = found["health-database"]
    assert health["verdict"] == "UNVERIFIED"
    assert health["observed"].startswith("not waited for: smoke had failed; last seen: HTTP 404")
    assert found["rollout-backend"]["verdict"] == found["logs"]["verdict"] == "PASS"
    assert found["logs"]["finished_at"] > found["smoke"]["finished_at"]


def test_a_service_without_http_is_verified_by_its_rollouts_and_the_rest_is_said(incident):
    incident.configure(url=False, smoke=False, health=False)
    result = incident.run("--rollback-to=5")
    assert (result.code, result.record["outcome"]) == (0, "verified-with-waivers"), result.output
    assert {name for name, word in result.verdicts().items() if word == "WAIVED"} == {
        "smoke",
        "health-database",
    }
    said = "smoke test (switched off in the configuration), database via /health (switched off in the configuration)"
    assert said in result.record["summary"], result.record["summary"]
    assert not [point for point in result.record["samples"] if point["series"] == "health"]


@HELM_3_IN_CAMPAIGN
def test_fault_24_two_signals_do_not_cut_helm_in_half_even_if_it_has_something_to_say(incident):
    """Helm prints the API server's warnings in mid-rollback: its outputs must not be our pipes."""
    incident.kubectl("label", "namespace", incident.namespace, "pod-security.kubernetes.io/warn=restricted")
    path = incident.folder / "slow-helm"
    path.write_text(f'#!/bin/sh\ncase "$1" in rollback) sleep 3;; esac\nexec {incident.helm_path} "$@"\n')
    path.chmod(0o755)
    incident.configure(helm=str(path))
    process = incident.start("--rollback-to=5")
    deadline = time.monotonic() + 30
    while not ((incident.latest() or {}).get("helm", {}).get("pid")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    while incident.revisions()[-1][:2] != (7, "deployed"):
        assert time.monotonic() < deadline + 30, incident.revisions()
        time.sleep(0.2)


def test_fault_49_secrets_of_environment_and_release_are_nowhere(incident):
    secret = json.loads(incident.kubectl("get", "secret", "zkprova-zkprova-database", "-o", "json"))
    of_release = base64.b64decode(next(iter(secret["data"].values()))).decode()
    incident.helm("rollback", "zkprova", "5")
    token = "tk-9f8e7d6c5b4a3921"
    encoded = base64.b64encode(token.encode()).decode()
    smoke_that(
        incident,
        "echo token $DEPLOY_API_TOKEN",
        f"echo {encoded}",
        f"echo {of_release}",
        r"printf '\033]0;x\007'",
    )
    result = incident.run(DEPLOY_API_TOKEN=token)
    assert result.code == 0, result.output
    everything = result.output + json.dumps(incident.messages())
    for path in (incident.folder / "reports").iterdir():
        everything += path.read_text()
    for leak in (token, encoded, of_release):
        assert leak not in everything
    assert "\x1b" not in result.output
    assert result.record["redactions"] > 0


def test_fault_8_a_missing_delete_is_refused_and_an_unneeded_create_is_not(incident):
    account = "deployer"
    incident.kubectl("create", "serviceaccount", account)
    rules = [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "create", "update", "patch"]},
        {
            "apiGroups": ["", "apps"],
            "resources": ["configmaps", "services", "serviceaccounts", "deployments"],
            "verbs": ["get", "list", "watch", "patch", "update"],
        },
        {
            "apiGroups": ["", "apps"],
            "resources": ["pods", "pods/log", "events", "replicasets", "statefulsets", "daemonsets"],
            "verbs": ["get", "list", "watch"],
        },
    ]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "r"},
        "rules": rules,
    }
    path = incident.folder / "role.yaml"
    path.write_text(yaml.safe_dump(role))
    incident.kubectl("apply", "-f", str(path))
    incident.kubectl(
        "create", "rolebinding", "r", "--role=r", f"--serviceaccount={incident.namespace}:{account}"
    )
    token = incident.kubectl("create", "token", account).strip()
    config = yaml.safe_load(incident.cluster.kubeconfig.read_text())
    config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": {"token": token}}]
    kubeconfig = incident.folder / "narrow"
    kubeconfig.write_text(yaml.safe_dump(config))
    kubeconfig.chmod(0o600)

    extra = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "extra"},
        "spec": {"ports": [{"port": 1}]},
    }
    upgrade_with(incident, "extra", extra)
    incident.configure(kubeconfig=str(kubeconfig))
    result = incident.run("--rollback-to=5")
    assert (result.code, result.record["outcome"]) == (1, "refused"), result.output
    assert result.guard("permissions")["evidence"] == "you may not: delete services"
    incident.configure()
    incident.helm("rollback", "zkprova", "6")
    incident.configure(kubeconfig=str(kubeconfig))
    result = incident.run("--rollback-to=5")
    assert (result.code, result.record["outcome"]) == (0, "verified"), result.output


def test_waiving_all_but_the_message_is_not_green(incident):
    items = ["rollout-backend", "rollout-frontend", "smoke", "logs", "health-database", "events", "migration"]
    result = incident.run(*(f"--rollback-waive={item}=no" for item in items))
    assert result.verdicts()["notify"] == "PASS"
    assert (result.code, result.record["outcome"]) == (1, "unverified")
