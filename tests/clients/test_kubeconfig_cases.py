"""Kubeconfigs that kubectl takes, and those that nobody can take: one sentence each, never a traceback."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from pytest_zkrollback.clients.kube import proxies
from pytest_zkrollback.clients.kube.access import Access
from pytest_zkrollback.clients.kube.kubeconfig import read_access
from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.domain.errors import Unreachable
from pytest_zkrollback.domain.ports import Finished


class Plugin:
    """A Processes port that knows one command, and remembers what it was given."""

    def __init__(self, *, stdout: str = "", exit_code: int = 0, stderr: str = "") -> None:
        self.ended = {"stdout": stdout, "exit_code": exit_code, "stderr": stderr, "output": stdout}
        self.argv: list[str] = []
        self.env: dict[str, str] = {}

    def run(self, argv, *, timeout_s, env=None, **_: Any) -> Finished:
        assert all(isinstance(each, str) for each in (*argv, *env.values()))
        self.argv, self.env = list(argv), dict(env)
        return Finished(argv=tuple(argv), duration_s=0.1, **self.ended)


TOKEN = json.dumps({"kind": "ExecCredential", "status": {"token": "fresh"}})
SERVER = "https://k8s.corp.example:6443"


def kubeconfig(folder: Path, user: Any, cluster: Any = None) -> str:
    content = {
        "clusters": [{"name": "c", "cluster": {"server": SERVER, **(cluster or {})}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "c", "user": "u"}}],
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(content))
    return str(path)


@pytest.fixture(scope="module")
def pems(tmp_path_factory) -> tuple[str, str]:
    """A certificate that signed itself, and its key."""
    folder = tmp_path_factory.mktemp("pem")
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "2"]
    subprocess.run([*argv, "-keyout", "key", "-out", "cert"], cwd=folder, check=True, capture_output=True)
    return (folder / "cert").read_text(), (folder / "key").read_text()


def encoded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


# --- what kubectl takes


def test_case_a11_base64_in_lines_is_read_as_go_does(tmp_path, pems) -> None:
    whole = encoded(pems[0])
    lines = "\n".join(whole[at : at + 64] for at in range(0, len(whole), 64)) + "\r\n"
    access = read_access("it", kubeconfig(tmp_path, {}, {"certificate-authority-data": lines}))
    assert access.ca == pems[0].strip()
    assert access.tls().verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    "around",
    [
        ("", ""),
        ("Zertifikat der Prüfstelle\n", "\n# fin\n"),
        ("\N{CJK UNIFIED IDEOGRAPH-8BC1}\N{CJK UNIFIED IDEOGRAPH-4E66}\n", ""),
        # Go passes over a block that is no certificate, and one that it cannot read, while one is of use.
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ""),
        ("-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n", ""),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_case_p23_only_the_pem_blocks_of_a_ca_count(tmp_path, pems, around, encoding) -> None:
    before, after = around
    (tmp_path / "ca.pem").write_bytes(before.encode(encoding) + pems[0].encode() + after.encode(encoding))
    access = read_access("it", kubeconfig(tmp_path, {}, {"certificate-authority": "ca.pem"}))
    assert [cert["subject"] for cert in access.tls().get_ca_certs()] == [((("commonName", "test"),),)]


@pytest.mark.parametrize(
    "text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_a_ca_without_a_certificate_is_said(tmp_path, text) -> None:
    (tmp_path / "ca.pem").write_text(text or "\n")
    access = read_access("it", kubeconfig(tmp_path, {}, {"certificate-authority": "ca.pem"}))
    with pytest.raises(Unreachable, match="The certificates of context 'it' are of no use: "):
        access.tls()


def test_case_a17_a_client_certificate_needs_no_disk(tmp_path, pems, monkeypatch) -> None:
    cert, key = pems
    user = {"client-certificate-data": encoded(cert), "client-key-data": encoded(f"\N{EM DASH}\n{key}")}
    access = read_access("it", kubeconfig(tmp_path, user))
    monkeypatch.setenv("TMPDIR", "/nonexistent")
    monkeypatch.setattr("tempfile.tempdir", None)
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert isinstance(access.tls(), ssl.SSLContext)
    assert len(list(Path("/proc/self/fd").iterdir())) == before, "a descriptor with the key is still open"


def test_a_certificate_without_its_key_is_said(tmp_path, pems) -> None:
    with pytest.raises(Unreachable, match="has a client-certificate and no client-key"):
        read_access("it", kubeconfig(tmp_path, {"client-certificate-data": encoded(pems[0])}))


def test_case_p25_a_null_in_a_plugins_environment_is_an_empty_text(tmp_path) -> None:
    plugin = Plugin(stdout=TOKEN)
    user = {
        "exec": {
            "command": "login",
            "args": ["a", None],
            "env": [{"name": "AWS_PROFILE", "value": None}, {"name": "B", "value": "b"}],
        }
    }
    assert read_access("it", kubeconfig(tmp_path, user), processes=plugin, environ={}).authorization
    assert plugin.argv == ["login", "a", ""]
    assert (plugin.env["AWS_PROFILE"], plugin.env["B"]) == ("", "b")


def test_case_p25_whom_to_impersonate_is_sent_whole(tmp_path) -> None:
    user = {
        "token": "t",
        "as": "jane",
        "as-uid": "7-7",
        "as-groups": ["dev", "ops"],
        "as-user-extra": {"acme.com/project": ["a", "b"], "scopes": ["view"]},
    }
    assert list(read_access("it", kubeconfig(tmp_path, user)).headers()) == [
        ("Authorization", "Bearer t"),
        ("Impersonate-User", "jane"),
        ("Impersonate-Uid", "7-7"),
        ("Impersonate-Group", "dev"),
        ("Impersonate-Group", "ops"),
        ("Impersonate-Extra-acme.com%2Fproject", "a"),
        ("Impersonate-Extra-acme.com%2Fproject", "b"),
        ("Impersonate-Extra-scopes", "view"),
    ]


def test_a_plugin_is_told_of_its_cluster_also_where_the_ca_is_a_file(tmp_path, pems) -> None:
    (tmp_path / "ca.pem").write_text(pems[0])
    plugin = Plugin(stdout=TOKEN)
    user = {"exec": {"command": "login", "apiVersion": "v", "provideClusterInfo": True}}
    cluster = {
        "certificate-authority": "ca.pem",
        "tls-server-name": "k8s",
        "proxy-url": "http://proxy:1",
        "extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {"audience": "a"}}],
    }
    read_access("it", kubeconfig(tmp_path, user, cluster), processes=plugin, environ={})
    told = json.loads(plugin.env["KUBERNETES_EXEC_INFO"])["spec"]["cluster"]
    assert base64.b64decode(told.pop("certificate-authority-data")).decode() == pems[0].strip()
    assert told == {
        "server": SERVER,
        "tls-server-name": "k8s",
        "proxy-url": "http://proxy:1",
        "config": {"audience": "a"},
    }


def test_a_token_file_that_is_gone_leaves_the_token(tmp_path) -> None:
    access = read_access("it", kubeconfig(tmp_path, {"token": "t", "tokenFile": "gone"}))
    assert access.authorization == "Bearer t"


EKS_ARGS = ["--region", "eu-west-1", "eks", "get-token", "--cluster-name", "prod", "--output", "json"]
SHAPES = {
    "eks": {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "args": EKS_ARGS,
            "command": "aws",
            "env": [{"name": "AWS_PROFILE", "value": "prod"}],
        }
    },
    "eks-without-env": {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "args": EKS_ARGS,
            "command": "aws",
            "env": None,
        }
    },
    "gke": {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "command": "gke-gcloud-auth-plugin",
            "installHint": "Install gke-gcloud-auth-plugin\n",
            "provideClusterInfo": True,
        }
    },
    "aks": {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "args": [
                "get-token",
                "--login",
                "azurecli",
                "--server-id",
                "6dae42f8-4368-4678-94ff-3960e28e3630",
            ],
            "command": "kubelogin",
            "env": None,
            "installHint": "kubelogin is not installed",
            "provideClusterInfo": False,
        }
    },
    "teleport": {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "args": ["kube", "credentials", "--kube-cluster=prod", "--teleport-cluster=t", "--proxy=t:443"],
            "command": "/usr/local/bin/tsh",
            "env": None,
            "provideClusterInfo": False,
        }
    },
    "oidc-login": {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "args": ["oidc-login", "get-token", "--oidc-client-secret=0123456789abcdef"],
            "command": "kubectl",
            "interactiveMode": "IfAvailable",
        }
    },
    "oidc-provider": {
        "auth-provider": {
            "name": "oidc",
            "config": {"id-token": "fresh", "idp-issuer-url": "https://i", "extra-scopes": None},
        }
    },
    "rancher": {"token": "fresh"},
    "with-an-empty-exec": {"token": "fresh", "exec": None, "auth-provider": None},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_shapes_that_clouds_and_tools_write(tmp_path, shape) -> None:
    path = kubeconfig(tmp_path, SHAPES[shape])
    text = Path(path).read_text() + "current-context: it\nkind: Config\npreferences: {}\nextensions: null\n"
    Path(path).write_text(text)
    access = read_access("it", path, processes=Plugin(stdout=TOKEN), environ={})
    assert (access.server, access.authorization) == (SERVER, "Bearer fresh")


@pytest.mark.parametrize("shape", ["kind", "k3s"])
def test_the_shapes_with_a_client_certificate(tmp_path, pems, shape) -> None:
    cert, key = pems
    user = {"client-certificate-data": encoded(cert), "client-key-data": encoded(key)}
    cluster = {"certificate-authority-data": encoded(cert)}
    access = read_access("it", kubeconfig(tmp_path, user, cluster))
    assert (access.client_cert, access.client_key) == (cert, key)
    assert access.tls().get_ca_certs()


# --- proxies


@pytest.mark.parametrize(
    ("address", "taken"),
    [
        ("http://p:3128", True),
        ("https://u:p@p", True),
        ("socks5://127.0.0.1:1080", True),
        ("socks4://p", False),
        ("p:3128", False),
        ("http://", False),
        ("http://[::1", False),
        ("http://p:99999", False),
    ],
)
def test_case_p22_the_proxy_of_a_cluster_is_one_or_is_said_not_to_be(tmp_path, address, taken) -> None:
    path = kubeconfig(tmp_path, {}, {"proxy-url": address})
    if taken:
        assert read_access("it", path).proxy == address
        return
    with pytest.raises(Unreachable) as caught:
        read_access("it", path)
    assert str(caught.value) == (
        f"The proxy-url of context 'it' in {path} is no address of a proxy: it has to begin with http://, https:// or"
        " socks5://. Repair it, or take it out."
    )


# Each row as golang.org/x/net/http/httpproxy decides it (its own test cases are among them).
@pytest.mark.parametrize(
    ("server", "no_proxy", "through"),
    [
        (SERVER, "", True),
        (SERVER, "*", False),
        (SERVER, "*.corp.example", False),
        (SERVER, ".corp.example", False),
        (SERVER, "corp.example", False),
        (SERVER, "CORP.example , other", False),
        (SERVER, "k8s.corp.example:6443", False),
        (SERVER, "k8s.corp.example:443", True),
        (SERVER, "8s.corp.example", True),
        (SERVER, "k8s", True),
        ("https://corp.example", ".corp.example", True),
        ("https://corp.example", "*.corp.example", True),
        ("https://corp.example", "corp.example:443", False),
        ("https://10.1.2.3:6443", "10.0.0.0/8", False),
        ("https://10.1.2.3:6443", "10.1.2.3", False),
        ("https://10.1.2.3:6443", "10.1.2.3:443", True),
        ("https://10.1.2.3:6443", "10.1.2", True),
        ("https://[fd00::7]:6443", "fd00::/8", False),
        ("https://[fd00::7]:6443", "[fd00::7]:6443", False),
        ("https://[fd00::7]:6443", "fd00::7", False),
        ("https://127.0.0.1:6443", "", False),
        ("https://[::1]:6443", "", False),
        ("https://localhost:6443", "", False),
        (SERVER, "10.0.0.0/99,[,:,/,", True),
    ],
)
def test_case_p24_no_proxy_is_read_as_go_reads_it(server, no_proxy, through) -> None:
    environ = {"HTTPS_PROXY": "proxy:3128", "HTTP_PROXY": "http://other", "NO_PROXY": no_proxy}
    assert proxies.proxy_of_environment(server, environ) == ("http://proxy:3128" if through else None)


def test_all_proxy_says_nothing_to_go_and_small_letters_count() -> None:
    assert proxies.proxy_of_environment(SERVER, {"ALL_PROXY": "http://p", "HTTP_PROXY": "http://p"}) is None
    assert proxies.proxy_of_environment(SERVER, {"https_proxy": "http://p", "no_proxy": "x"}) == "http://p"


# --- what nobody can take


CASE_A10 = {
    "exec is no mapping": {"users": [{"name": "u", "user": {"exec": "aws"}}]},
    "exec is a list": {"users": [{"name": "u", "user": {"exec": ["aws"]}}]},
    "auth-provider is no mapping": {"users": [{"name": "u", "user": {"auth-provider": 7}}]},
    "its config is no mapping": {"users": [{"name": "u", "user": {"auth-provider": {"config": [1]}}}]},
    "args are a text": {"users": [{"name": "u", "user": {"exec": {"command": "x", "args": "a b"}}}]},
    "args hold a number": {"users": [{"name": "u", "user": {"exec": {"command": "x", "args": [1]}}}]},
    "env is a mapping": {"users": [{"name": "u", "user": {"exec": {"command": "x", "env": {"A": "b"}}}}]},
    "env holds a text": {"users": [{"name": "u", "user": {"exec": {"command": "x", "env": ["A=b"]}}}]},
    "a value of env is a number": {
        "users": [{"name": "u", "user": {"exec": {"env": [{"name": "A", "value": 1}]}}}]
    },
    "a command of another type": {"users": [{"name": "u", "user": {"exec": {"command": ["x"]}}}]},
    "no command": {"users": [{"name": "u", "user": {"exec": {}}}]},
    "NUL in a command": {"users": [{"name": "u", "user": {"exec": {"command": "x\0y"}}}]},
    "NUL in a path": {"users": [{"name": "u", "user": {"tokenFile": "x\0y"}}]},
    "a path that is a folder": {"users": [{"name": "u", "user": {"tokenFile": "."}}]},
    "a token that is a number": {"users": [{"name": "u", "user": {"token": 5}}]},
    "groups that are a text": {"users": [{"name": "u", "user": {"as-groups": "dev"}}]},
    "extra that is a list": {"users": [{"name": "u", "user": {"as-user-extra": ["a"]}}]},
    "a server that is a list": {"clusters": [{"name": "c", "cluster": {"server": ["x"]}}]},
    "a flag that is a text": {
        "clusters": [{"name": "c", "cluster": {"server": SERVER, "insecure-skip-tls-verify": "yes"}}]
    },
    "a context that is a text": {"contexts": [{"name": "it", "context": "c"}]},
    "users that are a mapping": {"users": {"u": {"token": "t"}}},
}


@pytest.mark.parametrize("broken", CASE_A10)
def test_case_a10_what_is_wrong_is_one_sentence(tmp_path, broken) -> None:
    content = yaml.safe_load(Path(kubeconfig(tmp_path, {})).read_text()) | CASE_A10[broken]
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(Unreachable) as caught:
        read_access("it", str(path), processes=LocalProcesses(), environ={"PATH": ""})
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "current-context: 2026-13-45\n",
        f"current-context: {'9' * 5000}\n",
        f"preferences: {'[' * 3000}{']' * 3000}\n",
        "a: &a [x]\nb: &b [*a, *a]\n"
        + "".join(f"c{n}: &c{n} [*{'b' if not n else f'c{n - 1}'}, *b]\n" for n in range(9)),
        "name: \x00\n",
        "? [a]\n: b\n",
    ],
)
def test_case_a10_scalars_and_depths_are_read_or_said(tmp_path, text) -> None:
    path = Path(kubeconfig(tmp_path, {"token": "t"}))
    path.write_text(path.read_text() + text)
    try:
        assert read_access("it", str(path)).authorization == "Bearer t"
    except Unreachable as problem:
        assert str(path) in str(problem)


@pytest.mark.parametrize(
    "printed",
    [
        "7", "[" * 3000, '{"status": [1]}', '{"status": {"token": 7}}', '{"status": {"token": ["t"]}}',
        '{"status": {"clientCertificateData": "only this"}}', '{"status": {"clientKeyData": "only this"}}',
        "\ud800", f'{{"status": {"9" * 5000}}}',
    ],
)  # fmt: skip
def test_case_a10_what_a_plugin_prints_is_a_credential_or_is_said(tmp_path, printed) -> None:
    path = kubeconfig(tmp_path, {"exec": {"command": "/bin/login"}})
    with pytest.raises(
        Unreachable, match="The credential plugin 'login' of context 'it' printed no credential"
    ):
        read_access("it", path, processes=Plugin(stdout=printed), environ={})


def test_case_a14_what_a_plugin_is_given_is_known_before_it_can_repeat_it(tmp_path) -> None:
    told: list[str] = []

    class Repeats(Plugin):
        def run(self, argv, **kwargs: Any) -> Finished:
            assert told == ["s3cr3t-of-env", "s3cr3t-of-args", "Zm9vYmFyYmF6MTIzNDU2Nzg5"]
            return super().run(argv, **kwargs)

    user = {
        "exec": {
            "command": "login",
            "args": [
                "get-token",
                "--client-secret=s3cr3t-of-args",
                "--cluster",
                "prod-eu-1",
                "Zm9vYmFyYmF6MTIzNDU2Nzg5",
            ],
            "env": [{"name": "LOGIN", "value": "s3cr3t-of-env"}, {"name": "AWS_PROFILE", "value": "prod"}],
        }
    }
    plugin = Repeats(exit_code=1, stderr="no: s3cr3t-of-env")
    with pytest.raises(Unreachable):
        read_access("it", kubeconfig(tmp_path, user), processes=plugin, environ={}, keep_secret=told.append)


@pytest.mark.parametrize("what", ["empty", "binary", "huge", "a folder"])
def test_a_file_that_is_no_kubeconfig_is_said(tmp_path, what) -> None:
    path = tmp_path / "config"
    if what == "a folder":
        path.mkdir()
    else:
        path.write_bytes({"empty": b"", "binary": b"\xff\xfe\x00", "huge": b"#" * (9 << 20)}[what])
    with pytest.raises(Unreachable) as caught:
        read_access("it", str(path))
    assert str(path) in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def sometimes(plain: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return plain | plain | plain | JSON


def mapping(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    named = {key.rstrip("_").replace("_", "-"): value for key, value in keys.items()}
    named = {{"token-file": "tokenFile"}.get(key, key): value for key, value in named.items()}
    return sometimes(st.fixed_dictionaries({}, optional=named))


TEXT = sometimes(
    st.sampled_from(["", "a", "t0ken", "Zm9v", "%%%", ".", "/nonexistent", "x\0y", SERVER, "socks5://p:1"])
)
PLUGIN = mapping(
    command=TEXT, args=sometimes(st.lists(TEXT, max_size=3)), interactiveMode=TEXT, apiVersion=TEXT,
    env=sometimes(st.lists(mapping(name=TEXT, value=TEXT), max_size=2)), provideClusterInfo=sometimes(st.booleans()),
)  # fmt: skip
USER = mapping(
    token=TEXT, token_file=TEXT, username=TEXT, password=TEXT, client_certificate_data=TEXT, client_key_data=TEXT,
    client_certificate=TEXT, as_=TEXT, as_uid=TEXT, as_groups=sometimes(st.lists(TEXT, max_size=2)), exec=PLUGIN,
    as_user_extra=sometimes(st.dictionaries(st.text(max_size=3), st.lists(TEXT, max_size=2), max_size=2)),
    auth_provider=mapping(config=mapping(id_token=TEXT)),
)  # fmt: skip
CLUSTER = mapping(
    server=st.sampled_from([SERVER, SERVER, "http://x", "x"]), certificate_authority_data=TEXT, proxy_url=TEXT,
    certificate_authority=TEXT, insecure_skip_tls_verify=sometimes(st.booleans()), tls_server_name=TEXT,
    extensions=sometimes(st.lists(mapping(name=TEXT, extension=JSON), max_size=1)),
)  # fmt: skip


def entry(kind: str, value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    name = st.sampled_from(["it", "it", "it", "other"])
    return sometimes(st.lists(sometimes(st.fixed_dictionaries({"name": name, kind: value})), max_size=2))


FILES = mapping(
    clusters=entry("cluster", CLUSTER), users=entry("user", USER),
    contexts=entry("context", mapping(cluster=st.just("it"), user=st.just("it"))),
)  # fmt: skip
# Of what is broken anywhere hardly ever comes an access: half of the files have a whole frame.
WHOLE = st.fixed_dictionaries(
    {
        "clusters": st.fixed_dictionaries(
            {"server": st.just(SERVER)},
            optional={
                "insecure-skip-tls-verify": st.booleans(), "tls-server-name": TEXT,
                "proxy-url": st.sampled_from(["http://p:3128", "https://p", "p", 7]),
            },
        ).map(lambda cluster: [{"name": "it", "cluster": cluster}]),
        "users": USER.map(lambda user: [{"name": "it", "user": user}]),
        "contexts": st.just([{"name": "it", "context": {"cluster": "it", "user": "it"}}]),
    }
)  # fmt: skip
PRINTED = st.sampled_from([TOKEN, "", "7", "{}", '{"status": {"token": "a\\nb"}}'])


@settings(
    max_examples=int(os.environ.get("ZKROLLBACK_KUBECONFIGS", "300")), deadline=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(content=FILES | WHOLE, printed=PRINTED)
def test_case_a10_of_any_file_comes_an_access_or_one_sentence(tmp_path_factory, content, printed) -> None:
    path = tmp_path_factory.getbasetemp() / "generated"
    path.write_text(yaml.safe_dump(content))
    told: list[str] = []
    try:
        access = read_access(
            "it", str(path), processes=Plugin(stdout=printed), environ={"PATH": ""}, keep_secret=told.append
        )
    except Unreachable as problem:
        assert "\n" not in str(problem)
        event("one sentence")
        return
    event("an access")
    assert isinstance(access, Access) and access.server.startswith("http")
    assert all(isinstance(each, str) for pair in access.headers() for each in pair)
    assert set(access.secrets) <= set(told)
