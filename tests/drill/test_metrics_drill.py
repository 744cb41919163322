"""A metric as an item, on a real rollback: the server's answer follows the service's own /health."""

import json
import threading
import time
import urllib.request

import pytest

from support.fake_prometheus import FakePrometheus
from support.incident import Incident

TABLE = """[environments.test.metrics]
url = "URL"
users_impacted = "error-rate"
[[environments.test.metrics.checks]]
id = "error-rate"
title = "Error rate below 1 %"
query = 'sum(rate(errors_total{namespace="{namespace}"}[1m]))'
max = 1
unit = "%"
settle_s = 2
for_s = 4
deadline_s = 20
"""


def follow(fake, health, over):
    """40 % while /health does not answer as it should, else 0.2 %; as old as a scrape may be."""
    while not over.wait(0.2):
        try:
            with urllib.request.urlopen(health, timeout=5) as answer:
                fake.value = 0.2 if json.load(answer)["database"] == "ok" else 40.0
        except (OSError, ValueError, KeyError):
            fake.value = 40.0


@pytest.fixture
def prometheus():
    fake = FakePrometheus(40.0)
    yield fake
    fake.kill()


@pytest.fixture
def incident(running_cluster, binaries, tmp_path, prometheus):
    found = Incident(running_cluster, tmp_path, binaries["helm"])
    found.configure(tables=TABLE.replace("URL", prometheus.url))
    over = threading.Event()
    threading.Thread(target=follow, args=(prometheus, f"{found.url}/health", over), daemon=True).start()
    yield found
    over.set()
    found.close()


def test_the_error_rate_is_red_before_the_rollback_and_green_after_it(incident):
    result = incident.run("--rollback-to=5")
    assert result.code == 0, result.output
    item = result.item("metric-error-rate")
    assert item["verdict"] == "PASS"
    assert item["observed"].startswith("At most 0.2 % in ")
    [series] = result.record["metrics"]
    assert [each for each in series["points"] if each["within"] is False]
    assert result.record["provisional_at"] < series["points"][-1]["at"]
    users = next(each for each in result.record["decision"]["signals"] if each["name"] == "users-impacted")
    # On a busy machine two seconds are too short for its value: tests/preflight/test_decision.py has that.
    assert (users["answer"], users["source"]) == ("yes", "cluster, /health and metrics")
    assert "metrics are watched until" in result.output


def test_a_prometheus_that_dies_while_it_is_bad_leaves_the_item_alone_unverified(incident, prometheus):
    process = incident.start("--rollback-to=5")
    ends = time.monotonic() + 60
    while not ((incident.latest() or {}).get("helm") or {}).get("ran"):
        assert process.poll() is None and time.monotonic() < ends
        time.sleep(0.05)
    prometheus.kill()
    output, _ = process.communicate(timeout=120)
    record = incident.latest()
    assert (process.returncode, record["outcome"]) == (1, "unverified"), output
    words = {item["id"]: item["verdict"] for item in record["items"]}
    assert {key: word for key, word in words.items() if word != "PASS"} == {"metric-error-rate": "UNVERIFIED"}
