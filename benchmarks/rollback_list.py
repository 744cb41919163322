"""`--rollback-list` on a release with 300 revisions, of which 10 have a Secret of 1 MB: seconds and memory.

A server on loopback pages helm's Secrets out as the API server does. Measured are the seconds from its first
request to the command's last line, and the command's peak memory above that of `pytest --version`, run in
turn. Prints, and writes to benchmarks/results/rollback_list.json. The claim: below 1 s, at most 40 MB.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

OUT = Path(__file__).parent / "results" / "rollback_list.json"
REVISIONS, LARGE, LARGE_BYTES = 300, 10, 1 << 20
RUNS, LIMIT_S, LIMIT_MB = 7, 1.0, 40
RELEASE, NAMESPACE = "shop", "production"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
SERVICES = ("backend", "frontend", "worker")
NOISE = random.Random(300)
WORDS = ["".join(NOISE.choices("etaoinshrdlucmfwyp", k=NOISE.randint(2, 11))) for _ in range(4000)]
WORDS += ["image", "imagePullPolicy", "containers", "description", "string", "object"] * 40


def prose(size: int) -> str:
    """Words as descriptions hold them; they pack to about a third."""
    words: list[str] = []
    while size > 0:
        words.append(NOISE.choice(WORDS))
        size -= len(words[-1]) + 1
    return " ".join(words)


def workload(name: str, number: int) -> str:
    env = "".join(f"            - name: SETTING_{n}\n              value: {WORDS[n]}\n" for n in range(12))
    return f"""---
# Source: shop/templates/{name}.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {RELEASE}-{name}
  labels: {{app.kubernetes.io/name: {name}, app.kubernetes.io/managed-by: Helm}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app.kubernetes.io/name: {name}}}}}
  template:
    metadata: {{labels: {{app.kubernetes.io/name: {name}}}}}
    spec:
      containers:
        - name: {name}
          image: registry.example.com/shop/{name}:1.{number}.0
          ports: [{{name: http, containerPort: 8080}}]
          readinessProbe: {{httpGet: {{path: /health, port: http}}, periodSeconds: 5}}
          resources: {{requests: {{cpu: 100m, memory: 128Mi}}, limits: {{memory: 256Mi}}}}
          env:
{env}---
apiVersion: v1
kind: Service
metadata: {{name: {RELEASE}-{name}}}
spec: {{selector: {{app.kubernetes.io/name: {name}}}, ports: [{{port: 80, targetPort: http}}]}}
"""


REST = "".join(
    f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {RELEASE}-{n}}}\n"
    f"data:\n  text: |\n    {prose(900)}\n"
    for n in range(12)
) + (
    f"---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {RELEASE}-database}}\n"
    f"data: {{password: {base64.b64encode(b'correct-horse-battery').decode()}}}\n"
)
TEMPLATES = [
    {"name": f"templates/{n}.yaml", "data": base64.b64encode(prose(1500).encode()).decode()}
    for n in range(20)
]


def definition(size: int) -> str:
    """A CustomResourceDefinition: what makes releases large."""
    fields = "".join(
        f"{' ' * 16}field{n}:\n{' ' * 18}description: {prose(160)}\n{' ' * 18}type: string\n"
        for n in range(size // 240)
    )
    return (
        "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
        "metadata:\n  name: things.example.com\nspec:\n  group: example.com\n  versions:\n    - name: v1\n"
        f"      schema:\n        openAPIV3Schema:\n          properties:\n            spec:\n"
        f"              properties:\n{fields}"
    )


def secret(number: int, more: str) -> bytes:
    """One Secret as the API server answers it."""
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number)
    is_last = number == REVISIONS
    content = {
        "name": RELEASE,
        "namespace": NAMESPACE,
        "version": number,
        "info": {
            "first_deployed": "2026-01-01T00:00:00Z",
            "last_deployed": at.isoformat(),
            "status": "deployed" if is_last else "superseded",
            "description": f'Upgrade "{RELEASE}" failed: timed out'
            if number % 20 == 0 and not is_last
            else "Upgrade complete",
            "notes": prose(600),
        },
        "chart": {
            "metadata": {"name": RELEASE, "version": f"1.{number}.0", "appVersion": f"1.{number}.0"},
            "templates": TEMPLATES,
            "values": {name: {"replicas": 3, "note": prose(200)} for name in SERVICES},
        },
        "config": {name: {"image": f"1.{number}.0"} for name in SERVICES},
        "manifest": "".join(workload(name, number) for name in SERVICES) + REST + more,
        "hooks": [{"name": "migrate", "kind": "Job", "events": ["pre-upgrade"], "manifest": prose(700)}],
    }
    packed = base64.b64encode(gzip.compress(json.dumps(content).encode()))
    assert len(packed) <= LARGE_BYTES, len(packed)
    name = f"sh.helm.release.v1.{RELEASE}.v{number}"
    labels = {"owner": "helm", "name": RELEASE, "version": str(number), "status": content["info"]["status"]}
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels, "uid": f"uid-{number}"}
    metadata |= {
        "resourceVersion": str(1000 + number),
        "creationTimestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    data = {"release": base64.b64encode(packed).decode()}
    return json.dumps({"metadata": metadata, "type": "helm.sh/release.v1", "data": data}).encode()


def secrets() -> list[bytes]:
    """In the API server's order, by name; the large ones stand one beside the other, as they do after a chart
    has got definitions."""
    more = definition(2_250_000)
    large = range(REVISIONS // 2, REVISIONS // 2 + LARGE)
    numbers = sorted(range(1, REVISIONS + 1), key=str)
    return [secret(number, more if number in large else "") for number in numbers]


def serve() -> None:
    """Print the address, then each request with its moment, one a line."""
    items = secrets()
    sizes = sorted(map(len, items))
    print(json.dumps({"median": statistics.median(sizes), "large": sizes[-LARGE:]}), flush=True)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            print(json.dumps({"at": time.monotonic(), "path": self.path}), flush=True)
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            if parts.path != SECRETS:
                body = b'{"kind": "Status", "message": "not found", "code": 404}'
            else:
                start, limit = int(query.get("continue", "0")), int(query.get("limit", "500"))
                end = start + limit
                metadata = {"resourceVersion": "2000"} | ({"continue": str(end)} if end < len(items) else {})
                head = {"kind": "SecretList", "apiVersion": "v1", "metadata": metadata}
                body = json.dumps(head).encode()[:-1] + b', "items": [' + b",".join(items[start:end]) + b"]}"
            self.send_response(200 if parts.path == SECRETS else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


def peak_mb(argv: list[str], folder: Path) -> tuple[float, float, float, list[str]]:
    """(MB, seconds of processor, the moment of the last line, lines) of a command.

    This process is smaller than any pytest: the kernel counts a child's memory from before its program, too.
    """
    env = {**os.environ, "XDG_STATE_HOME": str(folder), "NO_PROXY": "127.0.0.1"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen(
        argv, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    lines, last = [], 0.0
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        last = time.monotonic()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, "\n".join(lines)
    return usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime, last, lines


def main() -> int:
    """0 if the claim holds."""
    # Of a page that is too large the client leaves the rest: the server's threads would say so.
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen([sys.executable, __file__, "serve"], text=True, **quiet)
    assert server.stdout is not None
    try:
        sizes = json.loads(server.stdout.readline())
        url = server.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as name:
            return measure(Path(name), url, sizes, server)
    finally:
        server.kill()
        server.wait()


def measure(folder: Path, url: str, sizes: dict[str, object], server: subprocess.Popen[str]) -> int:
    (folder / "kubeconfig").write_text(
        json.dumps(
            {
                "clusters": [{"name": "c", "cluster": {"server": url}}],
                "users": [{"name": "u", "user": {"token": "t0ken"}}],
                "contexts": [{"name": "production", "context": {"cluster": "c", "user": "u"}}],
            }
        )
    )
    (folder / "zkrollback.toml").write_text(
        f'[environments.production]\ncontext = "production"\nkubeconfig = "{folder}/kubeconfig"\n'
        f'namespace = "{NAMESPACE}"\nrelease = "{RELEASE}"\nworkloads = "auto"\nurl = false\n'
    )
    pytest = [sys.executable, "-m", "pytest"]
    ask = [*pytest, "--zkrollback-env=production", "--rollback-list"]
    seconds, processor, more_mb, requests = [], [], [], []
    for number in range(RUNS + 1):
        plain_mb, _, _, _ = peak_mb([*pytest, "--version"], folder)
        list_mb, processor_s, end, lines = peak_mb(ask, folder)
        assert sum(" superseded " in line for line in lines) == REVISIONS - 1, lines
        asked = requests_of(server)
        if number:  # the first one compiles
            seconds.append(end - asked[0]["at"])
            processor.append(processor_s)
            more_mb.append(list_mb - plain_mb)
            requests.append(len(asked))
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "revisions": REVISIONS,
        "large": LARGE,
        "bytes_of_a_secret": sizes,
        "runs": RUNS,
        "requests": requests,
        "seconds": [round(each, 3) for each in seconds],
        "seconds_median": round(statistics.median(seconds), 3),
        "limit_s": LIMIT_S,
        "processor_s_median": round(statistics.median(processor), 3),
        "more_mb": [round(each, 1) for each in more_mb],
        "more_mb_max": round(max(more_mb), 1),
        "limit_mb": LIMIT_MB,
    }
    OUT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))
    return 0 if result["seconds_median"] < LIMIT_S and result["more_mb_max"] <= LIMIT_MB else 1


def requests_of(server: subprocess.Popen[str]) -> list[dict[str, float]]:
    """Those since the last time; the last of a command is for the journal."""
    assert server.stdout is not None
    found: list[dict[str, float]] = []
    while not found or "zkrollback.v1." not in str(found[-1]["path"]):
        found.append(json.loads(server.stdout.readline()))
    return found


if __name__ == "__main__":
    sys.exit(serve() if sys.argv[1:] == ["serve"] else main())
