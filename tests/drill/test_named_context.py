"""The drill on a cluster that is there already, where it may touch one namespace and nothing else.

The cluster is a second control plane, started apart from the drill: a stranger's, with a name of its own for the
context. Its pods are played by kwok, which pulls nothing; what only a kubelet shows is in test_kubelet_context.py.
"""

import base64
import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from pytest_zkrollback.drill.drill_namespace import CHECKOUT, LEASE, TOOL, checkout_id
from pytest_zkrollback.drill.local_cluster import start_cluster
from support.stranger import CLASS, CLASSES, make_stranger, plain, wait_for
from support.terminal import asked, at_a_terminal

# No Service leads anywhere on kwok, and so nothing can be asked of the application.
UNREACHABLE = [f"--rollback-waive={item}=kwok" for item in ("smoke", "health-database", "migration")]


@pytest.fixture(scope="module")
def cluster_of_a_stranger(binaries, tmp_path_factory):
    running = start_cluster(binaries)
    assert running.api.send("POST", CLASSES, CLASS)[0] == 201
    yield running
    running.close()


@pytest.fixture
def stranger(cluster_of_a_stranger, binaries, tmp_path):
    found = make_stranger(cluster_of_a_stranger, binaries, tmp_path, "--drill-image=zkprova")
    found.add_volume()
    yield found
    found.remove()


@pytest.fixture
def quiet(stranger):
    """A function that says which writes were made since the fixture began."""
    return stranger.audit()


def configure(stranger, *environments):
    text = '[defaults]\nworkloads = { backend = "deployment/zkprova-zkprova-backend" }\n'
    for number, (keys, pin) in enumerate(environments):
        text += f"[environments.live{number}]\n"
        text += "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
        if pin is not None:
            text += f"[environments.live{number}.identity]\nkube_system_uid = {json.dumps(pin)}\n"
    (stranger.folder / "zkrollback.toml").write_text(text)


def kubeconfig(stranger, server=None, ca=None):
    """Another kubeconfig, in which the same cluster or parts of it are called ``users``."""
    config = yaml.safe_load((stranger.folder / "kubeconfig").read_text())
    cluster = config["clusters"][0]["cluster"]
    cluster["server"] = server or cluster["server"]
    if ca is not None:
        cluster["certificate-authority-data"] = base64.b64encode(ca.encode()).decode()
    config["contexts"][0]["name"] = "users"
    path = stranger.folder / "users.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return str(path)


def kube_system(stranger):
    return stranger.api.get("/api/v1/namespaces/kube-system")[1]["metadata"]["uid"]


ANOTHER_CA = """-----BEGIN CERTIFICATE-----
MIIBITCByKADAgECAgEBMAoGCCqGSM49BAMCMA0xCzAJBgNVBAMMAmNhMB4XDTI2
-----END CERTIFICATE-----
"""


@pytest.mark.parametrize("port", ["", "localhost"])
def test_the_same_server_address_is_refused_whatever_the_context_is_called(stranger, quiet, port):
    server = stranger.running.cluster.server
    elsewhere = server.replace("127.0.0.1", port) if port else server
    users = kubeconfig(stranger, server=elsewhere, ca=ANOTHER_CA)
    configure(stranger, ({"context": "users", "kubeconfig": users}, "another-uid"))
    code, output = stranger.run("--rollback-to=5", "--rollback-confirm=stranger")
    assert code == 4
    assert (
        "--drill-context=stranger is the cluster of the environment 'live0': its API server's address is the"
        f" same, {server}." in output
    )
    assert quiet() == []


def test_the_same_certificate_authority_is_refused_at_another_address(stranger, quiet):
    users = kubeconfig(stranger, server="https://10.9.8.7:6443")
    configure(stranger, ({"context": "users", "kubeconfig": users}, "another-uid"))
    code, output = stranger.run("--rollback-to=5", "--rollback-confirm=stranger")
    assert code == 4
    assert "environment 'live0': its certificate authority is the same." in output
    assert quiet() == []


def test_the_same_kube_system_uid_is_refused_where_no_kubeconfig_tells(stranger, quiet):
    uid = kube_system(stranger)
    configure(stranger, ({"context": "nowhere"}, "another-uid"), ({"context": "nowhere"}, uid))
    code, output = stranger.run("--rollback-to=5", "--rollback-confirm=stranger")
    assert code == 4
    assert f"environment 'live1': its kube-system namespace has the same UID, {uid}." in plain(output)
    assert "HELM DID NOT RUN" in output
    assert quiet() == []


@pytest.mark.parametrize(
    ("environments", "sentence"),
    [
        ((), "no configuration here pins the clusters that people use"),
        (
            (({"context": "nowhere"}, None), ({"context": "nowhere"}, "another-uid")),
            "zkrollback.toml does not pin the cluster of live0 (identity.kube_system_uid), so nothing says",
        ),
    ],
)
def test_without_pins_the_name_has_to_be_given_twice(stranger, quiet, environments, sentence):
    if environments:
        configure(stranger, *environments)
    code, output = stranger.run("--rollback-to=5")
    assert code == 4
    assert sentence in plain(output)
    assert "needs its name a second time, --rollback-confirm=stranger: " in plain(output)
    assert quiet() == []


def test_at_a_terminal_the_name_is_asked_for(stranger, quiet):
    code, shown, record = at_a_terminal(stranger, ["kind-stranger\n"], "--rollback-to=5")
    assert code == 4
    assert "No configuration here pins the clusters that people use" in plain(shown)
    question = "Type the context's name, stranger, to drill there; anything else stops."
    assert asked(record) == [f'asked at the terminal: {question} Answer: "kind-stranger"']
    assert quiet() == []
    code, _, record = at_a_terminal(stranger, ["stranger\n"], "--rollback-to=5", "--rollback-plan")
    assert (code, record["outcome"]) == (0, "planned")
    assert stranger.is_going()


def test_another_name_is_a_slip(stranger, quiet):
    code, output = stranger.run("--rollback-to=5", "--rollback-confirm=drill")
    assert code == 4
    assert "--rollback-confirm=drill names another context than --drill-context=stranger" in output
    assert quiet() == []


def test_a_context_that_is_not_there(stranger):
    code, output = stranger.run("--rollback-to=5", KUBECONFIG=str(stranger.folder / "none"))
    assert code == 4
    assert "--drill-context=stranger: There is no kubeconfig:" in output


@pytest.mark.parametrize(
    ("labels", "lease", "sentence"),
    [
        ({}, None, "which no drill of this checkout made"),
        ({**TOOL, CHECKOUT: "0badcafe"}, timedelta(hours=9), "which no drill of this checkout made"),
        ({CHECKOUT: "own"}, timedelta(hours=9), "which no drill of this checkout made"),
        ({**TOOL, CHECKOUT: "own"}, None, "is this checkout's and has no Lease"),
        ({**TOOL, CHECKOUT: "own"}, timedelta(seconds=5), "a drill of this checkout lives in the namespace"),
    ],
)
def test_a_namespace_that_may_be_in_use_is_named_and_left(stranger, quiet, labels, lease, sentence):
    own = checkout_id(stranger.folder)
    uid = stranger.create_namespace({key: value.replace("own", own) for key, value in labels.items()})
    if lease is not None:
        stranger.create_lease(datetime.now(UTC) - lease)
    code, output = stranger.run("--rollback-to=5", "--rollback-confirm=stranger")
    assert code == 1
    assert sentence in plain(output)
    assert stranger.namespace in output
    assert (stranger.uid(), stranger.is_going()) == (uid, False)
    assert quiet() == []


def test_without_rights_they_are_said_together(stranger, quiet):
    stranger.api.send("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "guest"}})
    path = "/api/v1/namespaces/default/serviceaccounts/guest/token"
    token = stranger.api.send("POST", path, {})[1]["status"]["token"]
    config = yaml.safe_load((stranger.folder / "kubeconfig").read_text())
    config["users"][0]["user"] = {"token": token}
    (stranger.folder / "kubeconfig").write_text(yaml.safe_dump(config))
    code, output = stranger.run("--rollback-to=5", "--rollback-confirm=stranger")
    assert code == 1
    assert "lack rights that a drill needs for its own namespace" in plain(output)
    said = stranger.latest()["guards"][0]["evidence"]
    for right in ("create namespaces", "list storageclasses.storage", "get pods/log", "create leases.coord"):
        assert right in said
    assert token not in output
    assert quiet() == []


def test_without_a_default_storage_class_nothing_is_made(stranger, quiet):
    stranger.api.send("DELETE", f"{CLASSES}/local", {})
    try:
        code, output = stranger.run("--rollback-to=5", "--rollback-confirm=stranger")
    finally:
        assert stranger.api.send("POST", CLASSES, CLASS)[0] == 201
    assert code == 1
    assert "has no default StorageClass (it has: none)" in plain(output)
    assert quiet() == []


def test_a_missing_helm_is_said(stranger, quiet):
    (stranger.programs / "helm").unlink()
    path = f"{stranger.programs}:/usr/bin:/bin"
    code, output = stranger.run("--rollback-to=5", "--rollback-confirm=stranger", PATH=path)
    assert code == 1
    assert "needs helm on PATH (helm 3 or 4, and kubectl), and there is none" in plain(output)
    assert quiet() == []


def test_without_go_there_is_one_sentence(stranger, quiet, tmp_path):
    stranger.images = "--drill-load=true {archive}"
    path = f"{stranger.programs}:/usr/bin:/bin"
    code, output = stranger.run(
        "--rollback-to=5", "--rollback-confirm=stranger", PATH=path, XDG_CACHE_HOME=str(tmp_path)
    )
    assert code == 1
    assert "there is no go command" in plain(output)
    assert "named with --drill-image" in stranger.latest()["guards"][0]["evidence"]
    assert quiet() == []


def with_a_credential_plugin(stranger):
    """KUBECONFIG of two files: the cluster in one, and in the other a user whose token a program gives."""
    config = yaml.safe_load((stranger.folder / "kubeconfig").read_text())
    user = config["users"][0]
    status = {"token": user["user"]["token"]}
    kind = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    answer = stranger.folder / "credential.json"
    answer.write_text(json.dumps({**kind, "status": status}))
    plugin = {
        "apiVersion": kind["apiVersion"],
        "interactiveMode": "Never",
        "command": "cat",
        "args": [str(answer)],
    }
    users = {"users": [{"name": user["name"], "user": {"exec": plugin}}], "contexts": config["contexts"]}
    paths = []
    for name, part in (("clusters", {"clusters": config["clusters"]}), ("users", users)):
        path = stranger.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **part}))
        paths.append(str(path))
    return ":".join(paths)


def test_only_its_namespace_is_touched_and_what_a_dead_drill_left_goes_first(stranger, quiet):
    """A whole drill, of which the audit log of the cluster tells."""
    own = checkout_id(stranger.folder)
    left = stranger.create_namespace({**TOOL, CHECKOUT: own})
    stranger.create_lease(datetime.now(UTC) - timedelta(seconds=70))
    other = {"name": "zkrollback-drill-0badcafe", "labels": {**TOOL, CHECKOUT: "0badcafe"}}
    assert stranger.api.send("POST", "/api/v1/namespaces", {"metadata": other})[0] == 201
    configure(stranger, ({"context": "nowhere"}, "another-uid"))  # pinned elsewhere: nothing is asked
    code, output = stranger.run(
        "--rollback-to=5", *UNREACHABLE, KUBECONFIG=with_a_credential_plugin(stranger)
    )
    assert code == 0, output
    found = quiet()
    deleted = [
        event["requestObject"]["preconditions"]["uid"]
        for event in found
        if event["verb"] == "delete" and event["requestURI"] == stranger.path
    ]
    assert deleted[0] == left
    assert len(set(deleted)) == 2
    created = [
        event["requestObject"]["metadata"] for event in found if event["requestURI"] == "/api/v1/namespaces"
    ]
    assert [metadata["name"] for metadata in created] == [stranger.namespace]
    assert {**TOOL, CHECKOUT: own}.items() <= created[0]["labels"].items()
    assert len(found) > 30
    assert stranger.outside(found) == []
    assert "other checkouts' drills: zkrollback-drill-0badcafe" in output
    assert stranger.is_going()


def lives(stranger):
    path = f"/apis/coordination.k8s.io/v1/namespaces/{stranger.namespace}/leases/{LEASE}"
    return stranger.api.get(path)[0] == 200


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 2), (signal.SIGKILL, -signal.SIGKILL)])
def test_the_namespace_goes_also_when_the_run_is_ended(stranger, number, code):
    run = stranger.start("--rollback-to=5", "--rollback-confirm=stranger")
    try:
        wait_for(lambda: lives(stranger))
        assert not stranger.is_going()
        run.send_signal(number)
        run.communicate(timeout=60)
        wait_for(stranger.is_going)
    finally:
        run.kill()
    assert run.returncode == code


def test_a_kept_drill_renews_its_lease_until_it_is_stopped(stranger):
    code, output = stranger.run(
        "--rollback-to=5", "--rollback-confirm=stranger", "--drill-keep", *UNREACHABLE
    )
    try:
        assert code == 0, output
        uid, first = stranger.uid(), renewed(stranger)
        wait_for(lambda: renewed(stranger) != first)
        code, output = stranger.run(*UNREACHABLE)
        assert "Using the kept drill" in output
        assert code == 0, output
        code, output = stranger.run("--drill-scenario=bad-image")
        assert code == 4
        assert (stranger.uid(), stranger.is_going()) == (uid, False)
    finally:
        stop = subprocess.run(
            [sys.executable, "-m", "pytest", "--drill-stop"],
            cwd=stranger.folder,
            env=stranger.environ(),
            capture_output=True,
            text=True,
            check=False,
        )
    assert "The kept drill has ended" in stop.stdout
    assert stranger.is_going()


def renewed(stranger):
    path = f"/apis/coordination.k8s.io/v1/namespaces/{stranger.namespace}/leases/{LEASE}"
    return stranger.api.get(path)[1]["spec"]["renewTime"]
