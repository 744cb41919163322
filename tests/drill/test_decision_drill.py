"""The decision on a real release: asked before helm, in the record, in every report, in Slack; its guard."""

import json

import pytest

from support.incident import Incident


@pytest.fixture
def bad(running_cluster, binaries, tmp_path):
    found = Incident(running_cluster, tmp_path, binaries["helm"])
    yield found
    found.close()


def signals(record):
    return {one["name"]: one["answer"] for one in record["decision"]["signals"]}


def test_an_irreversible_migration_refuses_until_it_is_set_aside_and_all_see_the_decision(bad):
    said = ("--rollback-signal=migration-irreversible=yes", "--rollback-signal=fix-obvious=no")
    refused = bad.run("--rollback-to=5", *said)
    assert refused.code == 1
    assert bad.head() == 6
    assert refused.guard("migration")["state"] == "refused"
    assert "the operator says yes" in refused.guard("migration")["evidence"]
    assert "--rollback-override=migration=" in refused.output
    assert bad.messages() == []

    done = bad.run("--rollback-to=5", *said, "--rollback-override=migration=the column was empty")
    assert done.record["helm"]["ran"]
    assert done.guard("migration")["state"] == "overridden"
    assert [(one["id"], one["reason"]) for one in done.record["overrides"]] == [
        ("migration", "the column was empty")
    ]
    decision = done.record["decision"]
    assert signals(done.record) == {
        "users-impacted": "yes",  # revision 6 crash-loops
        "root-cause-unclear": "unknown",
        "fix-obvious": "no",
        "migration-irreversible": "yes",
        "many-commits": "unknown",
    }
    assert decision["recommendation"] == "rollback"
    assert decision["choice"] == "roll back to revision 5"
    users = decision["signals"][0]
    assert "0 of 3 replicas of zkprova-zkprova-backend available" in users["evidence"]
    assert "/health answers HTTP 503" in users["evidence"]
    for name in ("latest.html", "latest.md"):
        assert "In doubt: " in (bad.folder / "reports" / name).read_text()
    told = json.dumps(bad.messages()[-1]["message"])
    assert (
        "in doubt: rollback (users-impacted speaks for rollback; migration-irreversible speaks for hotfix"
        in told
    )
    assert "the column was empty" in told
