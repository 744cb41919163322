"""What a rollback would take from another release, or for good (cases A3, B1, B6): real helm of both majors."""

import shlex
import subprocess
import time

import yaml

from support.incident import BOTH, HELM_3_IN_CAMPAIGN, upgrade_with

MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}, "data": {"whose": "zkprova"}}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def take_over(incident, *objects):
    """Another team's release that takes these objects over, as they do who split a chart in two."""
    chart = incident.folder / "chart-ownb"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: ownb\nversion: 1.0.0\n")
    (chart / "templates" / "all.yaml").write_text(yaml.safe_dump_all(objects))
    incident.helm("install", "ownb", str(chart), "--take-ownership")


def owner(incident, kind, name):
    path = r"jsonpath={.metadata.annotations.meta\.helm\.sh/release-name}"
    return incident.kubectl("get", kind, name, "-o", path)


def refusals(result):
    return {each["id"]: each["evidence"] for each in result.record["guards"] if each["state"] == "refused"}


def typed(incident, command):
    """A proposed command exactly as it stands there, at a shell."""
    binaries = incident.cluster.binaries
    line = command.replace("kubectl ", f"{shlex.quote(str(binaries['kubectl']))} ")
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@BOTH
def test_case_b1_what_another_release_took_over_is_not_deleted(incident):
    upgrade_with(incident, "shared", MAP)
    take_over(incident, {**MAP, "data": {"whose": "ownb"}})
    refused = incident.run("--rollback-to=5")
    assert (refused.code, refused.record["outcome"], refused.record["helm"]["ran"]) == (1, "refused", False)
    place = incident.namespace
    assert refusals(refused) == {
        "ownership": f"ConfigMap/shared belongs to release {place}/ownb and would be deleted"
    }
    assert (owner(incident, "configmap", "shared"), incident.head()) == ("ownb", 7)
    assert refused.record["next_commands"] == [
        "# when that release has given it up:",
        "pytest --env=test --rollback-to=5",
        "# --rollback-override=ownership=REASON goes ahead against it, recorded: "
        + refused.guard("ownership")["consequence"].split(". ")[0].rstrip(".")
        + ".",
    ]
    done = incident.run("--rollback-to=5", "--rollback-override=ownership=ownb is gone already")
    assert (done.code, done.record["outcome"], incident.head()) == (0, "verified", 8), done.output
    assert {each["id"] for each in done.record["overrides"]} == {"ownership"}


@HELM_3_IN_CAMPAIGN
def test_case_b1_what_another_release_has_now_is_not_overwritten(incident):
    upgrade_with(incident, "shared", MAP)
    incident.helm("rollback", "zkprova", "6")
    take_over(incident, {**MAP, "data": {"whose": "ownb"}})
    refused = incident.run("--rollback-to=7", "--rollback-override=target=it is what the test needs")
    assert (refused.code, refused.record["helm"]["ran"]) == (1, False)
    place = incident.namespace
    evidence = refusals(refused)
    assert (
        evidence["ownership"] == f"ConfigMap/shared belongs to release {place}/ownb and would be overwritten"
    )
    assert incident.kubectl("get", "configmap", "shared", "-o", "jsonpath={.data.whose}") == "ownb"


@HELM_3_IN_CAMPAIGN
def test_case_b1_a_rolled_away_object_that_another_release_has_is_no_leftover(incident):
    upgrade_with(incident, "shared", MAP)
    incident.helm("rollback", "zkprova", "5")
    take_over(incident, MAP)
    result = incident.run()
    assert result.code == 0, result.output
    assert (
        "stays where it is: ConfigMap/shared (belongs to release"
        in result.item("release-equivalence")["observed"]
    )


@HELM_3_IN_CAMPAIGN
def test_case_b6_a_claim_of_the_bad_revision_is_kept_by_what_next_says(incident):
    upgrade_with(incident, "claim", CLAIM)
    refused = incident.run("--rollback-to=5")
    assert (refused.code, refused.record["helm"]["ran"], incident.head()) == (1, False, 7)
    [(name, evidence)] = refusals(refused).items()
    assert name == "data-loss"
    assert evidence.startswith("PersistentVolumeClaim/data would be deleted (made 20")
    assert evidence.endswith("Z, Pending, bound to no volume so far)")
    keep, again = (line for line in refused.record["next_commands"] if not line.startswith("#"))
    assert again == "pytest --env=test --rollback-to=5"
    assert refused.record["next_commands"][-1].startswith("# --rollback-override=data-loss=REASON goes ahead")
    typed(incident, keep)
    done = incident.run("--rollback-to=5")
    assert (done.code, done.record["outcome"], incident.head()) == (0, "verified", 8), done.output
    observed = done.item("release-equivalence")["observed"]
    assert observed.endswith("; stays where it is: PersistentVolumeClaim/data (kept by its policy)"), observed
    assert (
        incident.kubectl("get", "persistentvolumeclaim", "data", "-o", "name")
        == "persistentvolumeclaim/data\n"
    )


def test_case_b6_the_override_deletes_it_and_says_so(incident):
    upgrade_with(incident, "claim", CLAIM)
    done = incident.run("--rollback-to=5", "--rollback-override=data-loss=nothing was written")
    assert (done.code, done.record["outcome"]) == (0, "verified"), done.output
    assert done.guard("data-loss")["state"] == "overridden"
    assert incident.kubectl("get", "persistentvolumeclaims", "-o", "name") == ""
    assert "OVERRIDDEN data-loss" in done.output


@HELM_3_IN_CAMPAIGN
def test_case_b6_a_claim_that_is_a_hook_is_deleted_by_helm_whatever_its_policy_says(incident):
    notes = {"helm.sh/hook": "pre-upgrade,pre-rollback", "helm.sh/resource-policy": "keep"}
    upgrade_with(incident, "claim", {**CLAIM, "metadata": {"name": "data", "annotations": notes}})
    incident.helm("rollback", "zkprova", "6", "--no-hooks")
    refused = incident.run("--rollback-to=7", "--rollback-plan")
    assert refusals(refused)["data-loss"] == (
        "PersistentVolumeClaim/data would be deleted and made anew as a hook"
    )
    path = ("get", "persistentvolumeclaim", "data", "-o", "jsonpath={.metadata.uid}")
    before = incident.kubectl(*path)
    incident.helm("rollback", "zkprova", "7")
    assert incident.kubectl(*path) != before  # what the guard protects from


DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.{}.example.org"},
    "spec": {
        "scope": "Namespaced",
        "group": "{}.example.org",
        "names": {"plural": "things", "singular": "thing", "kind": "Thing"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                },
            }
        ],
    },
}


@HELM_3_IN_CAMPAIGN
def test_case_b6_a_kind_and_a_namespace_go_with_everything_in_them(incident):
    group = f"{incident.namespace}.example.org"
    definition = yaml.safe_load(yaml.safe_dump(DEFINITION).replace("{}.example.org", group))
    place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{incident.namespace}-extra"}}
    upgrade_with(incident, "more", yaml.safe_dump_all([definition, place]))
    incident.kubectl("wait", "--for=condition=Established", f"crd/things.{group}", "--timeout=30s")
    thing = {"apiVersion": f"{group}/v1", "kind": "Thing", "metadata": {"name": "one"}}
    path = incident.folder / "thing.yaml"
    path.write_text(yaml.safe_dump(thing))
    incident.kubectl("create", "-f", str(path))
    refused = incident.run("--rollback-to=5", "--rollback-plan")
    assert refusals(refused) == {
        "data-loss": f"Namespace/{incident.namespace}-extra would be deleted (with 0 pods, 0 "
        f"PersistentVolumeClaims in it); CustomResourceDefinition/things.{group} would be deleted (with 1 of its "
        "kind in all namespaces)"
    }


HOOK = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "farewell", "annotations": {"helm.sh/hook": "pre-delete"}},
    "spec": {
        "template": {
            "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "zkprova/none:1"}]}
        },
    },
}


@HELM_3_IN_CAMPAIGN
def test_case_a3_a_release_that_is_being_uninstalled_is_not_rolled_back(incident):
    upgrade_with(incident, "farewell", HOOK)
    argv = [str(incident.helm_path), "uninstall", "zkprova", "-n", incident.namespace]
    argv += ["--kube-context", incident.cluster.context, "--kubeconfig", str(incident.cluster.kubeconfig)]
    uninstall = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: incident.revisions()[-1][1] == "uninstalling")
        refused = incident.run("--rollback-to=5")
        assert (refused.code, refused.record["helm"]["ran"]) == (1, False)
        guard = refused.guard("pending")
        assert guard["state"] == "refused"
        assert guard["evidence"].startswith("revision 7 is uninstalling since 20")
        assert guard["evidence"].endswith("still waits, for instance for a pre-delete hook")
        assert refused.record["next_commands"][:2] == [
            "# when that operation has ended:",
            "pytest --env=test --rollback-to=5",
        ]
        verified = incident.run()
        assert verified.code == 1
        assert verified.verdicts()["release-equivalence"] == "UNVERIFIED"
        assert "helm calls revision 7 uninstalling" in verified.item("release-equivalence")["observed"]
        recover = incident.run("--rollback-recover")
        assert (recover.code, recover.record["helm"]["ran"]) == (1, False)
    finally:
        uninstall.kill()
        uninstall.wait()
    # Nobody can see from here that it was ended: the way is open, and it stays red (issue 19, item 1).
    done = incident.run("--rollback-to=5", "--rollback-override=pending=that helm was ended")
    assert (done.code, done.record["outcome"]) == (1, "failed"), done.output
    assert {name for name, verdict in done.verdicts().items() if verdict != "PASS"} == {"rollback"}
    assert (done.record["helm"]["beside"], incident.head()) == ([7], 8)
    assert (
        "beside revision 8 there is revision 7 (zkprova-0.0.0, uninstalling: "
        in done.item("rollback")["observed"]
    )


def wait_for(condition, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
