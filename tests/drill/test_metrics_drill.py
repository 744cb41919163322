"""The scenario that only a metric shows, with a real Prometheus: the operator's commands and the page."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from datetime import datetime
from pathlib import Path

import pytest

from pytest_zkrollback.domain.timestamps import parse_time
from support.checkout import make_checkout
from support.chromium import dom_of
from support.incident import Incident, Result

METRIC = "metric-error-rate"


class Checkout:
    """The operator's folder, whose drill is kept from one command to the next."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_checkout(folder)

    def run(self, *args: str) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *args],
            cwd=self.folder,
            env={**os.environ, "XDG_STATE_HOME": str(self.folder / "state")},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        latest = self.folder / "reports" / "latest.json"
        record = json.loads(latest.read_text()) if latest.exists() else None
        return Result(done.returncode, done.stdout + done.stderr, record)

    def kept(self) -> dict:
        [state] = (self.folder / "state").rglob("state.json")
        return json.loads(state.read_text())


@pytest.fixture
def checkout(binaries, tmp_path):
    found = Checkout(tmp_path)
    yield found
    found.run("--drill-stop")


@pytest.fixture
def incident(running_cluster, binaries, tmp_path):
    found = Incident(running_cluster, tmp_path, binaries["helm"], "error-rate")
    yield found
    found.close()


def not_passed(result: Result) -> dict[str, str]:
    return {key: verdict for key, verdict in result.verdicts().items() if verdict != "PASS"}


def test_the_metric_alone_is_red_before_the_rollback_and_green_after_it(checkout, tmp_path):
    bad = checkout.run("--env=drill", "--drill-keep", "--drill-scenario=error-rate")
    assert bad.code == 1, bad.output
    assert not_passed(bad) == {METRIC: "FAIL"}, bad.output
    assert "# if revision 6 is the cause: revision 5 " in bad.record["next_commands"][0]
    assert bad.record["next_commands"][1].endswith(" --rollback-to=5")

    # The kept drill has its own scenario's checks, whether it is named again or not.
    good = checkout.run("--env=drill", "--rollback-to=5")
    assert good.code == 0, good.output
    assert good.item(METRIC)["verdict"] == "PASS"
    assert "metrics are watched until" in good.output
    [series] = good.record["metrics"]
    assert [point for point in series["points"] if point["within"] is False]
    assert good.record["provisional_at"] < series["points"][-1]["at"]
    assert series["count"]["value"] > 20

    kept = checkout.kept()
    page = (checkout.folder / "reports" / "latest.html").read_text()
    assert len(page.encode()) < 300_000
    assert_curve_is_prometheus_own(dom_of(page, tmp_path), series["query"], kept["prometheus"])

    # Monitoring that dies takes nothing with it.
    os.kill(process_of(kept, "prometheus"), signal.SIGKILL)
    os.kill(process_of(kept, "load"), signal.SIGKILL)
    time.sleep(1)
    listed = checkout.run("--env=drill", "--rollback-list")
    assert listed.code == 0, listed.output
    stopped = checkout.run("--drill-stop")
    assert "The kept drill has ended: its processes are gone" in stopped.output
    assert not Path(kept["cluster"]["data_dir"]).exists()


def process_of(kept: dict, name: str) -> int:
    listed = subprocess.run(["ps", "-eo", "pid,args", "-ww"], capture_output=True, text=True, check=True)
    marks = {"prometheus": kept["cluster"]["data_dir"], "load": f" load --url {kept['url']}"}
    [pid] = [
        int(line.split()[0])
        for line in listed.stdout.splitlines()
        if marks[name] in line and f"/{'zkprova' if name == 'load' else name} " in line
    ]
    return pid


def assert_curve_is_prometheus_own(dom: str, query: str, prometheus: str) -> None:
    """Five points of the page's curve, over its whole length, against a range query of our own."""
    svg = re.search(r"<svg[^>]*data-metric=[^>]*>", dom)[0]
    data = dict(re.findall(r'data-(\w+)="([^"]*)"', svg))
    start = datetime.fromisoformat(data["start"]).timestamp()
    pairs = zip(data["seconds"].split(","), data["values"].split(","), strict=True)
    curve = [(start + float(second), float(value)) for second, value in pairs if value]
    assert max(value for _, value in curve) > 20
    for number in range(5):
        at, shown = curve[number * (len(curve) - 1) // 4]
        asked = urllib.parse.urlencode({"query": query, "start": at, "end": at, "step": 1})
        with urllib.request.urlopen(f"{prometheus}/api/v1/query_range?{asked}", timeout=5) as answer:
            [told] = json.load(answer)["data"]["result"]
        assert shown == pytest.approx(float(told["values"][0][1]), rel=1e-3, abs=1e-3)


def test_a_prometheus_that_is_killed_leaves_the_item_alone_unverified_within_its_deadline(incident):
    incident.configure(metrics={"settle_s": 2, "for_s": 4, "deadline_s": 12})
    process = incident.start("--rollback-to=5")
    ends = time.monotonic() + 60
    while not ((incident.latest() or {}).get("helm") or {}).get("ran"):
        assert process.poll() is None and time.monotonic() < ends
        time.sleep(0.05)
    incident.kill(incident.monitoring.prometheus)
    output, _ = process.communicate(timeout=120)
    found = Result(process.returncode, output, incident.latest())
    assert (found.code, found.record["outcome"]) == (1, "unverified"), output
    assert not_passed(found) == {METRIC: "UNVERIFIED"}
    ended = parse_time(found.item(METRIC)["finished_at"]) - parse_time(found.record["helm"]["finished_at"])
    assert ended.total_seconds() < 12 + 3
