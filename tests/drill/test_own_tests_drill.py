"""A repository's own tests after a real rollback: when they run, and what a failed one does not take back."""

import json

from support.checkout import WITH_ALL_PLUGINS

OWN = """
import json
from pathlib import Path

def test_cart(rollback):
    Path("seen.json").write_text(rollback.record.model_dump_json())
    assert rollback.verdict("health-database")[0] == "PASS"
    raise AssertionError("the cart is empty")
"""
PASSES = "def test_own(rollback):\n    assert rollback.record.helm.ran\n"


def rollbacks(incident):
    return [description for _, _, description in incident.revisions() if description.startswith("Rollback")]


def test_a_failed_own_test_takes_back_neither_the_verdict_nor_last_verified(incident):
    (incident.folder / "checks" / "test_a_shop.py").write_text(OWN)
    before = incident.run("--rollback-to=last-verified", "--rollback-plan")
    assert (before.code, before.record["target_revision"]) == (1, None), before.output
    done = incident.run("--rollback-to=5")
    assert (done.code, done.record["outcome"], incident.head()) == (1, "verified", 7), done.output
    assert [(test["outcome"], test["first_line"]) for test in done.record["own_tests"]] == [
        ("failed", "AssertionError: the cart is empty")
    ]
    assert "Verified. 1 own test failed: checks/test_a_shop.py::test_cart" in done.output
    seen = json.loads((incident.folder / "seen.json").read_text())
    assert seen["finished_at"] is not None
    assert [(each["event"], each["ok"]) for each in seen["deliveries"]] == [
        ("start", True),
        ("verdict", True),
    ]
    assert len(incident.messages()) == 2  # the own test is told to nobody
    after = incident.run("--rollback-to=last-verified", "--rollback-plan")
    assert after.record["target_revision"] == 5, after.output


def test_reruns_workers_and_a_red_last_item_make_no_second_rollback(incident):
    (incident.folder / "checks" / "test_a_shop.py").write_text(PASSES)
    nobody = "http://127.0.0.1:9/services/T0/B0/nobody-listens-here"
    asked = (*WITH_ALL_PLUGINS, "--rollback-to=5", "--reruns=2", "-n", "2")
    done = incident.run(*asked, SLACK_WEBHOOK_URL=nobody)
    assert (done.code, incident.head()) == (1, 7), done.output
    assert done.record["items"][-1]["id"] == "notify"
    assert done.verdicts()["notify"] != "PASS"
    assert [test["outcome"] for test in done.record["own_tests"]] == ["passed"]
    assert rollbacks(incident) == ["Rollback to 5"]
