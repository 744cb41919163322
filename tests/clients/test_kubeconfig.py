import base64
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_zkrollback.clients.kube.access import Access
from pytest_zkrollback.clients.kube.kubeconfig import read_access
from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.domain.errors import KubeconfigProblem, ProcessProblem, Unreachable
from pytest_zkrollback.domain.ports import Finished


def written(path: Path, **parts: Any) -> Path:
    names = {"clusters": "cluster", "users": "user", "contexts": "context"}
    content = {
        plural: [{"name": name, names[plural]: value} for name, value in parts.get(plural, {}).items()]
        for plural in names
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **content}))
    return path


def config(tmp_path: Path, user: Mapping[str, Any], cluster: Mapping[str, Any] | None = None) -> str:
    path = written(
        tmp_path / "config",
        clusters={"c": {"server": "https://127.0.0.1:6443/", **(cluster or {})}},
        users={"u": dict(user)},
        contexts={"staging": {"cluster": "c", "user": "u"}},
    )
    return str(path)


class Plugin:
    """A Processes port that knows one command."""

    def __init__(self, **ended: Any) -> None:
        self.ended = ended
        self.argv: list[str] = []
        self.env: dict[str, str] = {}

    def run(self, argv: Sequence[str], *, timeout_s: float, env: Mapping[str, str] | None = None, **_: Any):
        assert timeout_s == 10
        self.argv, self.env = list(argv), dict(env or {})
        said = {"exit_code": 0, "output": "", "stdout": "", "stderr": "", "duration_s": 0.1, **self.ended}
        return Finished(argv=tuple(argv), **said)


def test_several_files_are_merged_first_wins_missing_are_passed_over(tmp_path):
    one = written(
        tmp_path / "one" / "config",
        clusters={"c": {"server": "https://one"}},
        contexts={"staging": {"cluster": "c", "user": "u"}},
    )
    two = written(
        tmp_path / "two" / "config",
        clusters={"c": {"server": "https://two"}, "d": {"server": "https://d"}},
        users={"u": {"tokenFile": "token"}},
        contexts={"staging": {"cluster": "d", "user": "u"}, "other": {"cluster": "d"}},
    )
    (tmp_path / "two" / "token").write_text("from-a-file\n")
    environ = {"KUBECONFIG": f"{tmp_path / 'missing'}:{one}:{two}"}
    access = read_access("staging", None, environ=environ)
    assert (access.server, access.authorization) == ("https://one", "Bearer from-a-file")
    assert access.secrets == ("from-a-file",)
    assert read_access("other", None, environ=environ) == Access("context 'other'", "https://d")


def test_home_is_used_without_kubeconfig(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(KubeconfigProblem) as caught:
        read_access("staging", None, environ={})
    assert str(caught.value) == (
        f"There is no kubeconfig: {tmp_path}/.kube/config does not exist. Set KUBECONFIG, or name the file "
        "as `kubeconfig` in the environment's table."
    )


def test_a_missing_context_names_those_that_exist(tmp_path):
    path = config(tmp_path, {})
    with pytest.raises(KubeconfigProblem) as caught:
        read_access("stagign", path)
    assert str(caught.value) == f"The kubeconfig {path} has no context 'stagign'; it has staging."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: b: c", "is no YAML in line 1: "),
        ("\t", "is no YAML in line 1: "),
        ("just text", "is YAML but no kubeconfig"),
        ("[1, 2]", "is YAML but no kubeconfig"),
        ("clusters: {a: b}", "is YAML but no kubeconfig"),
        ("clusters: [{name: a, cluster: text}]", "is YAML but no kubeconfig"),
        ("clusters: [{name: 7}]", "clusters[0].name has to be a text (in quotes, if it looks like a number)"),
        ("users: [{name: u, user: {token: [t]}}]", "users[0].user.token has to be a text"),
        ("clusters: [{name: a}, {name: a}]", "names cluster 'a' twice"),
        ("clusters: [{cluster: {server: x}}]", "has no context 'staging'; it has none at all"),
        ("", "has no context 'staging'; it has none at all"),
        ("{}", "has no context 'staging'; it has none at all"),
    ],
)
def test_garbage_is_said_in_a_sentence(tmp_path, text, said):
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(KubeconfigProblem) as caught:
        read_access("staging", str(path))
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_what_a_context_names_has_to_exist(tmp_path):
    path = written(tmp_path / "config", contexts={"staging": {"cluster": "c", "user": "u"}})
    with pytest.raises(KubeconfigProblem) as caught:
        read_access("staging", str(path))
    assert str(caught.value) == (
        f"Context 'staging' names cluster 'c', which the kubeconfig {path} does not have; it has none at all."
    )


def test_a_server_without_a_scheme_is_refused(tmp_path):
    with pytest.raises(Unreachable, match="has no server URL"):
        read_access("staging", config(tmp_path, {}, {"server": "1.2.3.4:6443"}))


@pytest.mark.parametrize(
    ("user", "authorization", "secrets"),
    [
        ({"token": "t0ken"}, "Bearer t0ken", ("t0ken",)),
        ({"username": "me", "password": "pw"}, "Basic bWU6cHc=", ("bWU6cHc=", "pw")),
        ({"auth-provider": {"name": "oidc", "config": {"id-token": "jwt"}}}, "Bearer jwt", ("jwt",)),
        ({}, None, ()),
    ],
)
def test_credentials(tmp_path, user, authorization, secrets):
    access = read_access("staging", config(tmp_path, user))
    assert (access.authorization, access.secrets) == (authorization, secrets)
    assert access.server == "https://127.0.0.1:6443"


def test_repr_holds_no_secret(tmp_path):
    data = base64.b64encode(b"KEY").decode()
    access = read_access("staging", config(tmp_path, {"token": "t0ken", "client-key-data": data}))
    assert "t0ken" not in repr(access) and "KEY" not in repr(access)
    assert access.secrets == ("t0ken", "KEY")


def test_impersonation_is_kept(tmp_path):
    access = read_access("staging", config(tmp_path, {"token": "t", "as": "jane", "as-groups": ["a", "b"]}))
    assert (access.impersonate_user, access.impersonate_groups) == ("jane", ("a", "b"))


def test_certificates_that_are_none_are_said(tmp_path):
    data = base64.b64encode(b"no pem").decode()
    access = read_access("staging", config(tmp_path, {}, {"certificate-authority-data": data}))
    with pytest.raises(Unreachable, match="The certificates of context 'staging' are of no use"):
        access.tls()
    with pytest.raises(Unreachable, match="certificate-authority-data of context 'staging' is not base64"):
        read_access("staging", config(tmp_path, {}, {"certificate-authority-data": "%%%"}))
    with pytest.raises(Unreachable, match="cannot be read: No such file"):
        read_access("staging", config(tmp_path, {}, {"certificate-authority": "gone.pem"}))


EXEC = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "command": "./bin/login",
    "args": ["--cluster", "x; rm -rf /"],
    "env": [{"name": "REGION", "value": "r"}],
    "provideClusterInfo": True,
}


def test_a_credential_plugin_gives_the_token(tmp_path):
    plugin = Plugin(stdout=json.dumps({"kind": "ExecCredential", "status": {"token": "fresh"}}))
    access = read_access("staging", config(tmp_path, {"exec": EXEC}), processes=plugin, environ={"PATH": "p"})
    assert access.authorization == "Bearer fresh"
    assert access.secrets == ("fresh",)
    assert plugin.argv == [str(tmp_path / "bin" / "login"), "--cluster", "x; rm -rf /"]
    info = json.loads(plugin.env.pop("KUBERNETES_EXEC_INFO"))
    assert plugin.env == {"PATH": "p", "REGION": "r"}
    assert info["spec"] == {"interactive": False, "cluster": {"server": "https://127.0.0.1:6443/"}}


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        ({"exit_code": None, "timed_out": True}, "did not end in 10 s (it cannot ask here)"),
        ({"exit_code": 1, "stderr": "x\nlogin expired\n"}, "ended with exit code 1: login expired"),
        ({"exit_code": 2}, "ended with exit code 2: it said nothing"),
        ({"stdout": "no json"}, "printed no credential"),
        ({"stdout": "[]"}, "printed no credential"),
        ({"stdout": '{"status": null}'}, "printed no credential"),
        ({"stdout": '{"status": {}}'}, "printed no credential"),
    ],
)
def test_a_plugin_that_fails_hangs_or_asks_fault_65(tmp_path, ended, said):
    with pytest.raises(Unreachable) as caught:
        read_access("staging", config(tmp_path, {"exec": EXEC}), processes=Plugin(**ended), environ={})
    assert str(caught.value).startswith(f"The credential plugin 'login' of context 'staging' {said}")
    assert "Run any kubectl command with this context by hand" in str(caught.value)


def test_a_plugin_that_cannot_be_started_or_needs_a_terminal_fault_65(tmp_path):
    class Missing(Plugin):
        def run(self, argv, **_):
            raise ProcessProblem("login was not started: there is no such file.")

    with pytest.raises(Unreachable, match="could not be started: login was not started"):
        read_access("staging", config(tmp_path, {"exec": EXEC}), processes=Missing(), environ={})
    asking = {**EXEC, "interactiveMode": "Always"}
    with pytest.raises(Unreachable, match="wants a terminal"):
        read_access("staging", config(tmp_path, {"exec": asking}), processes=Plugin(), environ={})


def test_only_what_another_kubeconfig_would_mend_is_its_problem(tmp_path):
    """A folder may be called kubeconfig, and a plugin may speak of one."""
    folder = tmp_path / "kubeconfig"
    folder.mkdir()
    plugin = Plugin(exit_code=1, stderr="kubeconfig: log in")
    with pytest.raises(Unreachable) as caught:
        read_access("staging", config(folder, {"exec": EXEC}), processes=plugin, environ={})
    assert "kubeconfig" in str(caught.value)
    assert not isinstance(caught.value, KubeconfigProblem)
    unread = folder / "unread"
    unread.write_bytes(b"\xff")
    with pytest.raises(KubeconfigProblem, match="is no text"):
        read_access("staging", str(unread))


def test_in_cluster(tmp_path):
    (tmp_path / "token").write_text("sa-token\n")
    (tmp_path / "ca.crt").write_text("CA")
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    access = read_access(None, None, environ=environ, service_account=tmp_path)
    assert (access.server, access.ca, access.authorization) == (
        "https://[fd00::1]:6443",
        "CA",
        "Bearer sa-token",
    )
    assert access.secrets == ("sa-token",)
    with pytest.raises(Unreachable, match="This is not a pod"):
        read_access(None, None, environ={}, service_account=tmp_path)


def script(tmp_path: Path, body: str) -> dict[str, Any]:
    path = tmp_path / "login"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./login"}}


def test_a_real_plugin_that_hangs_is_ended_and_one_that_asks_reads_nothing_fault_65(tmp_path, monkeypatch):
    monkeypatch.setattr("pytest_zkrollback.clients.kube.credential_plugin.PLUGIN_TIMEOUT_S", 0.2)
    user = script(tmp_path, "sleep 60")
    begun = time.monotonic()
    with pytest.raises(Unreachable, match=r"did not end in 0\.2 s"):
        read_access("staging", config(tmp_path, user), processes=LocalProcesses())
    assert time.monotonic() - begun < 5
    monkeypatch.setattr("pytest_zkrollback.clients.kube.credential_plugin.PLUGIN_TIMEOUT_S", 10)
    user = script(tmp_path, 'read answer; echo "{\\"status\\": {\\"token\\": \\"got:$answer\\"}}"')
    access = read_access("staging", config(tmp_path, user), processes=LocalProcesses())
    assert access.authorization == "Bearer got:"
