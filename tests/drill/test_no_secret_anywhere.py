"""A secret of the release and one of the operator, planted in twelve places, looked for in every output (fault 49)."""

import base64
import json
import os
import pty
import shutil
import subprocess
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from support.http_server import LoopbackHttpServer, QuietHandler

CHART = Path(__file__).parents[2] / "pytest_zkrollback" / "drill" / "chart" / "zkprova"
OF_RELEASE = "Zk7/qW3r+T9yU&1pL5'mN8"
OF_OPERATOR = 'op-51b0"c7<e2>f9%d3 a8'
COMMON = {"flag": "true", "database": "zkprova", "port": "5432", "host": "zkprova-zkprova-backend"}


def forms(secret):
    return {
        "plain": secret,
        "base64": base64.b64encode(secret.encode()).decode(),
        "url": quote(secret, safe=""),
        "json": json.dumps(secret)[1:-1],
    }


FORMS = {
    (name, kind): form
    for name in ("OF_RELEASE", "OF_OPERATOR")
    for kind, form in forms(globals()[name]).items()
}
PLANTED = " ".join(FORMS.values())


@pytest.fixture
def health():
    """A /health that tells what it should not, and the header that it was sent."""

    class Handler(QuietHandler):
        def do_GET(self):
            said = {"database": "ok", "status": PLANTED, "sent": self.headers.get("Authorization")}
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with LoopbackHttpServer(Handler) as server:
        yield f"http://operator:{quote(OF_OPERATOR, safe='')}@127.0.0.1:{server.server_port}"


def deploy(incident, text):
    """A revision with the secret in a Secret, a ConfigMap (JSON inside JSON) and an environment variable."""
    chart = incident.folder / "chart"
    shutil.rmtree(chart, ignore_errors=True)
    shutil.copytree(CHART, chart)
    inner = json.dumps(
        {"database": {"url": f"postgres://zk:{OF_RELEASE}@db/zk", "note": f"{text} {PLANTED}"}}
    )
    for kind, data in (
        ("Secret", {"key": OF_RELEASE, **COMMON}),
        ("ConfigMap", {"app.json": json.dumps({"inner": inner})}),
    ):
        name = f"planted-{kind.lower()}"
        made = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}
        made["stringData" if kind == "Secret" else "data"] = data
        (chart / "templates" / f"{name}.yaml").write_text(yaml.safe_dump(made))
    values = incident.folder / "values.yaml"
    values.write_text(yaml.safe_dump({"backend": {"databasePath": f"/var/lib/zkprova/{text} {PLANTED}"}}))
    incident.helm("upgrade", "zkprova", str(chart), "--reuse-values", "-f", str(values))


def plant(incident, url):
    deploy(incident, "good")
    deploy(incident, "bad")
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "planted"},
        "involvedObject": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "zkprova-zkprova-backend",
            "namespace": incident.namespace,
        },
        "type": "Warning",
        "reason": "FailedMount",
        "message": f"MountVolume failed: {PLANTED}",
        "lastTimestamp": (datetime.now(UTC) + timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    for name, text in (
        ("event.json", json.dumps(event)),
        ("planted.txt", PLANTED),
        ("smoke.sh", 'cat planted.txt; echo "env $DEPLOY_API_TOKEN"; env >&2; echo "argv $1"; exit 1\n'),
        ("loud-helm", f'#!/bin/sh\ncat {incident.folder}/planted.txt >&2\nexec {incident.helm_path} "$@"\n'),
    ):
        (incident.folder / name).write_text(text)
    (incident.folder / "loud-helm").chmod(0o755)
    incident.kubectl("create", "-f", str(incident.folder / "event.json"))
    (incident.folder / "checks" / "conftest.py").write_text(
        "import logging, pathlib, pytest\n"
        f"text = pathlib.Path({str(incident.folder / 'planted.txt')!r}).read_text()\n"
        "@pytest.fixture(autouse=True)\n"
        "def raises(request):\n"
        "    yield\n"
        "    logging.getLogger('httpx').debug(text)\n"
        "    if 'events' in request.node.name:\n"
        "        raise ValueError(text)\n"
    )
    smoke = json.dumps(["bash", "smoke.sh", f"--token={PLANTED}"])
    incident.configure(
        f"[environments.test.smoke]\ncommand = {smoke}\ncwd = {json.dumps(str(incident.folder))}\n",
        url=url,
        helm=str(incident.folder / "loud-helm"),
    )


def on_a_pty(incident, *args, **env):
    master, slave = pty.openpty()
    argv, place = incident.argv(*args), incident.environ(TERM="xterm-256color", COLUMNS="100", **env)
    said = b""
    with subprocess.Popen(
        argv, cwd=incident.folder, env=place, stdin=slave, stdout=slave, stderr=slave
    ) as ran:
        os.close(slave)
        try:
            while more := os.read(master, 65536):
                said += more
        except OSError:  # nobody has it open any more
            pass
        ran.wait(60)
    os.close(master)
    return said.decode(errors="replace")


def outputs(incident, state):
    """Every file that the runs left, the bundle's too, and what the cluster and Slack were given."""
    found = {}
    for path in [*(incident.folder / "reports").iterdir(), *(incident.folder / "out").iterdir()]:
        found[path.name] = path.read_bytes()
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as bundle:
                found |= {f"{path.name}!{name}": bundle.read(name) for name in bundle.namelist()}
    for path in (state / "pytest-zkrollback" / "journal").iterdir():
        found[path.name] = path.read_bytes()
    lock = json.loads(incident.kubectl("get", "secret", "zkrollback.v1.zkprova", "-o", "json"))
    found["lock"] = base64.b64decode(lock["data"]["state"])
    found["slack"] = json.dumps(incident.messages()).encode()
    found["helm history"] = json.dumps(incident.revisions()).encode()
    return {name: content.decode(errors="replace") for name, content in found.items()}


def test_fault_49_known_secrets_in_twelve_places_are_in_no_output(incident, health, tmp_path):
    plant(incident, health)
    state = tmp_path / "state"
    env = {"DEPLOY_API_TOKEN": OF_OPERATOR, "XDG_STATE_HOME": str(state)}
    args = [
        "--rollback-to=7",
        f"--rollback-reason=because {PLANTED}",
        "--zkrollback-bundle",
        "-vv",
        "--showlocals",
    ]
    args += [
        "--log-cli-level=DEBUG",
        "--log-file=out/log.txt",
        "--html=out/mine.html",
        "--junitxml=out/junit.xml",
    ]
    result = incident.run(*args, **env)
    assert result.record is not None, result.output
    assert result.record["helm"]["ran"], result.output
    found = {"piped": result.output, "pty": on_a_pty(incident, f"--rollback-next-steps={PLANTED}", **env)}
    found |= outputs(incident, state)
    assert {
        "slack",
        "lock",
        "log.txt",
        "mine.html",
        "junit.xml",
        "latest.html",
        "latest.md",
        "latest.xml",
    } <= set(found)
    assert any(".zip!evidence/" in name for name in found)
    leaked = sorted(
        {(where, *which) for where, text in found.items() for which, form in FORMS.items() if form in text}
    )
    assert leaked == []

    # It was there to be taken out, in each of the twelve places ...
    record = result.record
    proof = {item["id"]: json.dumps(item) for item in record["items"]}
    places = {
        "log": proof["logs"],
        "event": proof["events"],
        "env and smoke output": proof["smoke"],
        "argv": json.dumps(record["helm"]["argv"]),
        "URL": json.dumps(record["items"]),
        "Secret and ConfigMap": record["plan"]["diff"],
        "stderr": record["helm"]["stderr_tail"],
        "exception": found["junit.xml"].partition("ValueError")[2],
        "health body": proof["health-database"],
        "reason": record["reason"],
        "command line": record["command_line"],
    }
    assert [place for place, text in places.items() if "[redacted" not in text] == []
    # ... and what is common is still said.
    assert record["release"] == "zkprova"
    assert "zkprova-zkprova-backend" in proof["rollout-backend"]
    assert record["helm"]["argv"][1:4] == ["rollback", "zkprova", "7"]
