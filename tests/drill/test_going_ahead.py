"""Rehearsing, and going ahead against a refusal: on a real cluster, with the real helm, at a real terminal."""

import json
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from pytest_zkrollback.run.consent import CONSENT
from support.incident import Incident
from support.terminal import asked, at_a_terminal

_WRITES = ("create", "update", "patch", "delete", "deletecollection")
_REVIEWS = ("selfsubjectaccessreviews", "selfsubjectrulesreviews")


@pytest.fixture(scope="module")
def bad(running_cluster, binaries, tmp_path_factory):
    """Revision 6 is live and bad; tests that use this leave it so."""
    found = Incident(running_cluster, tmp_path_factory.mktemp("bad"), binaries["helm"])
    yield found
    assert found.head() == 6, "a test that must not roll back did"
    found.close()


def wait_for(condition, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def audited(incident):
    """The API server's audit log, complete up to a mark that is set now."""
    mark = f"mark-{uuid.uuid4().hex}"
    status, body = incident.running.api.get(f"/api/v1/namespaces/{mark}")
    assert status == 404, body
    wait_for(lambda: mark in incident.cluster.audit_log.read_text())
    return [json.loads(line) for line in incident.cluster.audit_log.read_text().splitlines()]


def ours(events, seen):
    """What the tool asked for after ``seen`` events, as (verb, resource, dry run)."""
    return [
        (event["verb"], event["objectRef"].get("resource"), "dryRun=All" in event["requestURI"])
        for event in events[seen:]
        if "pytest-zkrollback" in event.get("userAgent", "") or "helm" in event.get("userAgent", "").lower()
        if "objectRef" in event
    ]


def test_a_plan_only_reads_reviews_and_tries(bad):
    seen = len(audited(bad))
    told = len(bad.messages())
    result = bad.run("--rollback-to=5", "--rollback-plan")
    assert (result.code, result.record["mode"], result.record["outcome"]) == (0, "plan", "planned")
    assert result.verdicts() == {"preflight": "PASS"}
    assert result.record["helm"]["ran"] is False
    assert result.record["next_commands"] == ["# to do it:", "pytest --env=test --rollback-to=5"]
    asked = ours(audited(bad), seen)
    assert len(asked) > 5
    writes = [one for one in asked if one[0] in _WRITES and one[1] not in _REVIEWS and not one[2]]
    assert writes == []
    assert len(bad.messages()) == told
    refused = bad.run("--rollback-to=9", "--rollback-plan")
    assert (refused.code, refused.record["outcome"]) == (1, "refused")


def hold_lock(incident):
    now = datetime.now(UTC)
    lock = {
        "run_id": "0badcafe",
        "operator": "ann@laptop",
        "taken_at": (now - timedelta(seconds=40)).isoformat(),
        "expires_at": (now + timedelta(seconds=300)).isoformat(),
    }
    state = json.dumps({"schema": "zkrollback.journal/1", "lock": lock, "entries": []})
    incident.kubectl("create", "secret", "generic", "zkrollback.v1.zkprova", f"--from-literal=state={state}")


def test_all_refusals_at_once_then_break_glass_goes_ahead_and_takes_the_lock_over(incident):
    incident.configure(protected=True)
    hold_lock(incident)
    assert incident.run("--rollback-to=5").code == 1
    record = incident.newest()
    refused = {guard["id"]: guard["evidence"] for guard in record["guards"] if guard["state"] == "refused"}
    assert set(refused) == {"identity", "protected", "lock"}
    assert "ann@laptop" in refused["lock"]
    assert incident.latest() is None
    assert incident.head() == 6
    assert record["next_commands"] == [
        "# when that run has ended:",
        "pytest --env=test --rollback-to=5 --rollback-confirm=test --rollback-override=identity=accepted",
        "# --rollback-override=lock=REASON goes ahead against it, recorded: "
        + next(each["consequence"] for each in record["guards"] if each["id"] == "lock")
        .split(". ")[0]
        .rstrip(".")
        + ".",
    ]

    done = incident.run("--rollback-to=5", "--rollback-break-glass=all is down, INC-42")
    assert (done.code, done.record["outcome"]) == (0, "verified")
    assert incident.head() == 7
    assert {one["id"]: one["reason"] for one in done.record["overrides"]} == dict.fromkeys(
        ("identity", "protected", "lock"), "break-glass: all is down, INC-42"
    )
    assert {g["id"] for g in done.record["guards"] if g["state"] == "overridden"} == {
        "identity",
        "protected",
        "lock",
    }
    assert "OVERRIDDEN lock" in done.output
    start, verdict = incident.messages()
    for message in (start, verdict):
        assert "all is down, INC-42" in json.dumps(message)


def test_a_lock_that_cannot_be_read_refuses_and_can_be_overridden(incident):
    incident.kubectl("create", "secret", "generic", "zkrollback.v1.zkprova", "--from-literal=state=garbage")
    assert incident.run("--rollback-to=5").code == 1
    record = incident.newest()
    assert [guard["id"] for guard in record["guards"] if guard["state"] == "refused"] == ["lock"]
    assert incident.head() == 6
    done = incident.run("--rollback-to=5", "--rollback-override=lock=everybody else is asleep")
    assert (done.code, done.record["outcome"], incident.head()) == (0, "verified", 7), done.output
    # the journal has begun anew
    again = incident.run("--rollback-to=last-verified", "--rollback-plan")
    assert (again.record["target_revision"], again.guard("lock")["state"]) == (5, "ok")


def test_what_is_impossible_stays_refused(bad):
    result = bad.run("--rollback-to=9", "--rollback-override=target=I know", "--rollback-break-glass=now")
    assert (result.code, result.record["outcome"]) == (1, "refused")
    assert result.guard("target")["state"] == "refused"


def test_one_key_off_from_a_verified_rollback_is_refused_and_helm_does_not_run(incident):
    """6 for 5, the same command a minute later: it was a warning inside a line that said PASS, and took all down."""
    assert incident.run("--rollback-to=5").code == 0
    slip = incident.run("--rollback-to=6")
    assert (slip.code, slip.record["outcome"], slip.record["helm"]["ran"]) == (1, "refused", False)
    assert incident.head() == 7
    guard = slip.guard("target")
    assert (guard["state"], guard["reason"]) == ("refused", "rolled-away-from")
    assert guard["evidence"].startswith(
        "revision 6 holds what revision 7 (Rollback to 5) rolled back away from at "
    )
    assert ", and this tool verified what revision 7 holds; revision 6 is superseded: " in guard["evidence"]
    assert guard["consequence"] == (
        "Revision 6 was probably bad, and this would bring it back. Override this guard only if that rollback was "
        "wrong."
    )
    assert "revision 6 holds what revision 7 (Rollback to 5) rolled back away from" in slip.output
    again = incident.run("--rollback-to=5")  # no slip: it is there already
    assert (again.code, again.record["helm"]["ran"], again.guard("target")["state"]) == (0, False, "ok")

    meant = incident.run("--rollback-to=6", "--rollback-override=target=6 was right after all")
    assert (meant.record["helm"]["ran"], incident.head()) == (True, 8)
    assert meant.record["outcome"] == "failed"  # it is the one that crashes
    failed = meant.record["items"]
    assert {item["id"] for item in failed if item["verdict"] == "FAIL"} >= {"rollout-backend"}
    # Now the rollback was the mistake: what was left goes on without a word of ours, and is no offer of `previous`.
    plan = incident.run("--rollback-to=5", "--rollback-plan")
    assert (plan.code, plan.guard("target")["state"]) == (0, "warned")
    assert ", but revision 8 failed " in plan.guard("target")["evidence"]
    kinds = {each["revision"]: each["kind"] for each in plan.record["plan"]["objections"]}
    assert kinds.pop(3) == "failed"
    assert kinds == {8: "judged-failed", 7: "rolled-away-from", 6: "judged-failed", 5: "rolled-away-from"}
    back = incident.run("--rollback-to=5")
    assert (back.code, incident.head()) == (0, 9)


def test_what_a_verification_ends_with_is_remembered(incident):
    assert incident.run().code == 1  # 6 is live and bad
    incident.helm("rollback", "zkprova", "5", "--history-max", "0")
    assert incident.run().code == 0
    incident.helm("rollback", "zkprova", "6", "--history-max", "0")
    chart = incident.cluster.data_dir / "scenarios" / incident.namespace / "5"
    incident.helm("upgrade", "zkprova", str(chart / "zkprova"), "--values", str(chart / "values.json"))
    plan = incident.run("--rollback-to=previous", "--rollback-plan")
    assert plan.record["target_revision"] == 4
    skipped = {each["revision"]: each["reason"] for each in plan.record["plan"]["change_summary"]["skipped"]}
    assert skipped[8].startswith("holds the same as revision 6, which failed ")
    assert skipped[6].startswith("failed ")
    assert "rollout-backend" in skipped[6]
    assert plan.record["plan"]["verified_revisions"] == [7, 5]


ASKED = f"asked at the terminal: {CONSENT} Answer: "
ASKED_NAME = (
    "asked at the terminal: Type the environment's name, test, to go ahead; anything else stops. Answer: "
)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [("yes the pin comes tomorrow", "the pin comes tomorrow"), ("yes", "not given")],
    ids=["with a reason", "yes alone"],
)
def test_refusals_are_accepted_in_the_same_run_at_a_terminal(incident, answer, reason):
    incident.configure(protected=True)
    code, shown, record = at_a_terminal(incident, ["test\n", f"{answer}\n"], "--rollback-to=5")
    assert (code, record["outcome"]) == (0, "verified"), shown
    assert {one["id"]: one["reason"] for one in record["overrides"]} == {
        "protected": "its name was typed at the terminal",
        "identity": reason,
    }
    assert asked(record) == [f'{ASKED_NAME}"test"', f'{ASKED}"{answer}"']
    assert incident.head() == 7


@pytest.mark.parametrize(
    ("answers", "events"),
    [
        pytest.param(["\n"], [f'{ASKED_NAME}""'], id="Enter at the name"),
        pytest.param(["tset\n"], [f'{ASKED_NAME}"tset"'], id="a slip in the name"),
        *(
            pytest.param(
                ["test\n", f"{word}\n"], [f'{ASKED_NAME}"test"', f'{ASKED}"{word}"'], id=word or "Enter"
            )
            for word in ("", "no", "n", "q", "y", "because I say so", "no yes")
        ),
        pytest.param(
            ["test\n", "\x04"], [f'{ASKED_NAME}"test"', f"{ASKED}the input ended"], id="end of input"
        ),
    ],
)
def test_anything_but_yes_at_the_terminal_refuses(bad, answers, events):
    bad.configure(protected=True)
    code, shown, record = at_a_terminal(bad, answers, "--rollback-to=5")
    assert (code, record["outcome"], record["overrides"]) == (1, "refused", []), shown
    assert asked(record) == events
    assert "Type the environment's name, test, to go ahead; anything else stops." in shown


def test_case_b2_what_was_pasted_before_the_question_is_no_answer(bad):
    bad.configure(protected=True)
    code, shown, record = at_a_terminal(
        bad, ["test\n", "n\n"], "--rollback-to=5", before=b"test\nyes I pasted too much\nyes\n"
    )
    assert (code, record["outcome"], record["overrides"]) == (1, "refused", []), shown
    assert asked(record) == [f'{ASKED_NAME}"test"', f'{ASKED}"n"']


def test_a_second_question_may_be_answered_by_nobody_within_the_one_limit(bad, monkeypatch):
    """Silence stops as well; the limit of 60 s is for both questions together."""
    bad.configure(protected=True)
    (bad.folder / "sitecustomize.py").write_text("import pytest_zkrollback.run.consent as p\np.ASK_S = 3\n")
    monkeypatch.setenv("PYTHONPATH", str(bad.folder))
    try:
        code, shown, record = at_a_terminal(bad, ["test\n"], "--rollback-to=5")
    finally:
        (bad.folder / "sitecustomize.py").unlink()
    assert (code, record["outcome"], record["overrides"]) == (1, "refused", []), shown
    assert asked(record) == [f'{ASKED_NAME}"test"', f"{ASKED}no answer in time"]
    assert "(no answer in time)" in shown
