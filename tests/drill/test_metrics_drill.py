"""A metric as an item, on a real rollback: the server's answer follows the service's own /health."""

import time
import urllib.error
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


class OfTheService(FakePrometheus):
    """40 % while /health does not answer as it should, else 0.2 %."""

    health = ""

    @property
    def value(self):
        try:
            with urllib.request.urlopen(self.health, timeout=2) as answer:
                return 0.2 if b'"database": "ok"' in answer.read() else 40.0
        except (urllib.error.URLError, OSError):
            return 40.0

    @value.setter
    def value(self, _):
        """It is what the service says."""


@pytest.fixture
def prometheus():
    fake = OfTheService()
    yield fake
    fake.kill()


@pytest.fixture
def incident(running_cluster, binaries, tmp_path, prometheus):
    found = Incident(running_cluster, tmp_path, binaries["helm"])
    prometheus.health = f"{found.url}/health"
    found.configure(tables=TABLE.replace("URL", prometheus.url))
    yield found
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
    assert users["answer"] == "yes"
    assert "metric-error-rate: 40 % (limit: at most 1 %)" in users["evidence"]
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
