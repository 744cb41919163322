"""Targets by version, with the real helm: one new revision however often a command is typed, by the audit log."""

import time
from pathlib import Path

from support.audited_release import AuditedRelease
from support.incident import HELM_3_IN_CAMPAIGN

GOOD = "--rollback-to=app:1.8.0-3f9c2e1"


def wait_for(condition, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@HELM_3_IN_CAMPAIGN
def test_a_version_typed_twice_is_one_helm_and_another_version_is_another_intent(incident):
    audited = AuditedRelease(incident)
    mark = audited.mark()
    plan = incident.run("--rollback-plan")
    assert (plan.code, plan.record["outcome"], plan.record["target_revision"]) == (0, "planned", 5), (
        plan.output
    )
    assert "pytest --env=test --rollback-to=5" in plan.record["next_commands"]
    assert plan.record["plan"]["change_summary"]["asked"] == "previous"

    for target, evidence in (
        ("app:1.8.0", "app version 1.8.0; did you mean app:1.8.0-3f9c2e1 (revision 5)"),
        ("app:1.7.0-5d90aa3", "app version 1.7.0-5d90aa3 is left; not taken: revision 3 is failed: Upgrade"),
    ):
        refused = incident.run(f"--rollback-to={target}")
        assert (refused.code, refused.record["outcome"]) == (1, "refused"), refused.output
        assert evidence in refused.guard("target")["evidence"]
    assert audited.revisions_made(mark) == []

    first = incident.run(GOOD, "--rollback-impact-since=20m")
    assert (first.code, first.record["outcome"], first.record["target_revision"]) == (0, "verified", 5), (
        first.output
    )
    assert "zkrollback: users are affected since " in first.output
    for target in (GOOD, "--rollback-to=chart:1.8.0"):
        again = incident.run(target)
        ran = again.record["helm"]["ran"]
        assert (again.code, again.record["outcome"], ran) == (0, "verified", False), again.output
    assert audited.revisions_made(mark) == [7]

    other = incident.run("--rollback-to=app:1.7.0-6e13c4b")
    assert (other.record["target_revision"], other.record["helm"]["ran"]) == (4, True), other.output
    assert audited.revisions_made(mark) == [7, 8]


def test_the_version_that_is_current_is_verified_and_helm_does_not_run(incident):
    """It is bad, and that is what is said of it: whoever wants another revision has to say which."""
    audited = AuditedRelease(incident)
    mark = audited.mark()
    incident.configure(rollout_timeout_s=5)
    result = incident.run("--rollback-to=chart:1.9.0")
    assert (result.code, result.record["outcome"], result.record["target_revision"]) == (1, "failed", 6)
    assert result.record["helm"]["ran"] is False, result.output
    assert audited.revisions_made(mark) == []


@HELM_3_IN_CAMPAIGN
def test_a_version_killed_while_helm_works_and_typed_again_is_one_helm(incident):
    audited = AuditedRelease(incident)
    mark = audited.mark()
    path = incident.folder / "slow-helm"
    path.write_text(f'#!/bin/sh\ncase "$1" in rollback) sleep 1;; esac\nexec {incident.helm_path} "$@"\n')
    path.chmod(0o755)
    incident.configure(helm=str(path))
    process = incident.start(GOOD)
    wait_for(lambda: (incident.latest() or {"helm": {"pid": None}})["helm"]["pid"])
    pid = incident.latest()["helm"]["pid"]
    process.kill()
    process.communicate()
    assert audited.revisions_made(mark) == []
    wait_for(lambda: not Path(f"/proc/{pid}").exists())  # helm outlives its run
    assert audited.revisions_made(mark) == [7]

    again = incident.run(GOOD)
    assert (again.code, again.record["outcome"], again.record["target_revision"]) == (0, "verified", 5), (
        again.output
    )
    assert again.record["helm"]["ran"] is False
    assert (
        "already went back to 5 and made revision 7"
        in again.record["plan"]["change_summary"]["chosen_because"]
    )
    assert audited.revisions_made(mark) == [7]
