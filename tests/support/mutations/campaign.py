"""Seeds, the command that judges, and what came of it.

Only this module of the folder knows the command: it runs it as an operator does, and reads its record.
"""

import contextlib
import io
import json
import os
import random
import threading
import time
import traceback
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

from pytest_zkrollback.domain.request import Request
from pytest_zkrollback.report.redaction import Redactor
from pytest_zkrollback.run.run import Run

from .api import Refused
from .chart import RELEASE
from .harmful import HARMFUL
from .harmless import HARMLESS
from .scene import Again, Scene

EACH = 50  # seeds of either side on one release
SIDES = {"harmful": HARMFUL, "harmless": HARMLESS}
_GREEN = ("verified", "verified-with-waivers")
_NO_HOOKS = SimpleNamespace(answers=lambda hook, **facts: ())
_DRAWS = 12
_OPENED = 3  # times in a row


@dataclass
class Seed:
    """One seed, what was done, and what the command said. ``drawn``: how many were refused before."""

    seed: int
    side: str
    kind: str = ""
    said: str = ""
    outcome: str = ""
    items: dict = field(default_factory=dict)
    drawn: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    trouble: str = ""

    @property
    def is_wrong(self):
        """A false green, or anything but green where nothing is wrong."""
        return bool(self.trouble) or (self.outcome in _GREEN) == (self.side == "harmful")

    @property
    def verdict(self):
        """Of the whole run, as the items have it."""
        words = {each[0] for each in self.items.values()}
        if self.trouble:
            return "broken"
        return "PASS" if self.outcome in _GREEN else "FAIL" if "FAIL" in words else "UNVERIFIED"

    def as_json(self):
        return {**asdict(self), "verdict": self.verdict}


class _Healthy(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"database": "ok"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Command:
    """The operator's command on one release, in this process."""

    def __init__(self, scene):
        self.folder = scene.folder
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _Healthy)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        keys = {
            "context": scene.access.context,
            "kubeconfig": str(scene.access.kubeconfig),
            "namespace": scene.namespace,
            "release": RELEASE,
            "helm": str(scene.helm_path),
            "workloads": "auto",
            "url": f"http://127.0.0.1:{self.server.server_port}",
            "soak_s": 0,
            "rollout_timeout_s": 12,
            "preflight_budget_s": 30,
            "slack": False,
            "field_managers": ["platform-injector"],
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        lines += ["[environments.campaign.smoke]", 'command = ["true"]']
        # There are no metrics on the drill.
        silent = ["FailedGetResourceMetric", "FailedComputeMetricsReplicas", "FailedUpdateStatus"]
        lines += ["[environments.campaign.events]", f"harmless = {json.dumps(silent)}"]
        text = "[environments.campaign]\n" + "\n".join(lines) + "\n"
        (self.folder / "zkrollback.toml").write_text(text)

    def run(self, target=None):
        """The record; ``target``: roll back first."""
        request = Request(
            environment="campaign",
            target=target,
            migration_assessed="nothing migrates here",
            report_dir=str(self.folder / "reports"),
        )
        with contextlib.redirect_stdout(io.StringIO()):
            run = Run.create(request, self.folder, "campaign", _NO_HOOKS, Redactor())
            run.execute(frozenset(run.item_ids))
        return run.redacted

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def not_green(record):
    """Item -> [verdict, first words] of what was not passed."""
    return {
        item.id: [str(item.verdict), item.observed[:300]]
        for item in record.items
        if str(item.verdict) not in ("PASS", "WAIVED")
    }


class Batch:
    """Seeds that follow each other on one release; ``number`` decides on the chart and on how it got there.

    ``kind``: this one alone.
    """

    def __init__(self, access, folder, number, kind=None):
        self.access, self.folder, self.number, self.kind = access, folder, number, kind
        self.scene = self.command = None
        self.times = self.failed = 0

    def open(self):
        """A new release of the same chart, in a namespace of its own."""
        self.close()
        self.times += 1
        name = f"m{self.number}-{self.times}"
        place = self.folder / name
        place.mkdir(parents=True)
        helm = "helm3" if self.number % 4 >= 2 and "helm3" in self.access.binaries else "helm"
        rolled_back = self.number % 2 == 1
        self.scene = Scene(self.access, name, place, self.number, helm=helm, rolled_back=rolled_back)
        self.command = Command(self.scene)
        self.scene.prepare()
        self.require_green()

    def require_green(self):
        record = self.command.run()
        assert str(record.outcome) in _GREEN, f"not healthy: {record.outcome} {not_green(record)}"

    def close(self):
        if self.command is not None:
            self.command.close()
            with contextlib.suppress(Refused, OSError):
                for name in self.scene.namespaces:
                    self.scene.api.delete(f"/api/v1/namespaces/{name}")
            self.scene.api.close()
        self.scene = self.command = None

    def play(self, side, seed):
        """One seed; the release is healthy again afterwards, or the next one gets a new release."""
        found = Seed(seed, side)
        began, cpu = time.monotonic(), time.process_time()
        try:
            if self.scene is None:
                assert self.failed < _OPENED, "no healthy release could be had"
                self.failed += 1
                self.open()
                self.failed = 0
            began, cpu = time.monotonic(), time.process_time()
            self._change(found)
            record = self.command.run()
            found.outcome, found.items = str(record.outcome), not_green(record)
        except Exception:  # noqa: BLE001 - one seed's trouble is no other's
            found.trouble = traceback.format_exc()[-1500:]
        found.cpu_s = round(time.process_time() - cpu, 2)
        try:
            if self.scene is not None:
                self.scene.restore()
                if found.side == "harmless" and found.outcome not in _GREEN and not found.trouble:
                    self.require_green()  # else it was the one before
        except Exception:  # noqa: BLE001
            found.trouble = found.trouble or "not undone: " + traceback.format_exc()[-1500:]
        if found.trouble:
            self.close()
        found.seconds = round(time.monotonic() - began, 2)
        return found

    def _change(self, found):
        chance = random.Random(f"{found.side} {found.seed}")
        kinds = SIDES[found.side]
        names, weights = list(kinds), [weight for _, weight in kinds.values()]
        for found.drawn in range(_DRAWS):
            found.kind = self.kind or chance.choices(names, weights)[0]
            self.scene.random = random.Random(chance.random())
            try:
                kinds[found.kind][0](self.scene)
            except (Again, Refused):
                self.scene.restore()
            else:
                found.said = "; ".join(self.scene.said)
                return
        raise AssertionError("nothing could be had")


def play_batch(access, folder, number, wanted, say=lambda _: None, kind=None):
    """Every (side, seed) of one batch, in this order; a list of Seed."""
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
    batch = Batch(access, folder / f"batch-{number}-{time.monotonic_ns()}", number, kind)
    found = []
    for side, seed in wanted:
        one = batch.play(side, seed)
        if one.trouble:  # once more, on a new release
            one = batch.play(side, seed)
        found.append(one)
        say(one)
    batch.close()
    return found
