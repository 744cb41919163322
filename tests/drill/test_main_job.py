"""The command of half past two, on a real cluster with a real helm: outcomes, exit codes, files, revisions."""

import base64
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.checkout import WITH_ALL_PLUGINS
from support.incident import BOTH, HELM_3_IN_CAMPAIGN, Incident

CHECKLIST = [
    "rollout-backend",
    "rollout-frontend",
    "smoke",
    "logs",
    "health-database",
    "events",
    "migration",
    "notify",
]
BEFORE = ["preflight", "rollback", "release-equivalence"]


@pytest.fixture(scope="module")
def bad(running_cluster, binaries, tmp_path_factory):
    """Revision 6 is live and bad; tests that use this leave it so."""
    found = Incident(running_cluster, tmp_path_factory.mktemp("bad"), binaries["helm"])
    yield found
    assert found.head() == 6, "a test that must not roll back did"
    found.close()


def slow_helm(incident, seconds):
    """The real helm, which takes its time before it begins: the window in which signals arrive."""
    path = incident.folder / "slow-helm"
    path.write_text(
        f'#!/bin/sh\ncase "$1" in rollback) sleep {seconds};; esac\nexec {incident.helm_path} "$@"\n'
    )
    path.chmod(0o755)
    incident.configure(helm=str(path))


def wait_for(condition, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("major", ["helm", "helm3"])
def test_the_main_job_and_fault_16_the_same_command_again(running_cluster, binaries, helm3, tmp_path, major):
    incident = Incident(running_cluster, tmp_path, {**binaries, "helm3": helm3}[major])
    result = incident.run(
        "--rollback-to=5",
        "--rollback-reason=backend cannot open its database",
        "--rollback-incident=INC-42",
        "--rollback-next-steps=revert a7d20c4",
    )
    assert result.code == 0, result.output
    record = result.record
    assert record["outcome"] == "verified"
    assert (record["revision_before"], record["target_revision"], record["revision_after"]) == (6, 5, 7)
    assert result.verdicts() == dict.fromkeys(BEFORE + CHECKLIST, "PASS")
    assert [item["id"] for item in record["items"]] == BEFORE + CHECKLIST
    assert record["helm"]["ran"] is True
    assert record["helm"]["exit_code"] == 0

    revisions = incident.revisions()
    assert [revision for revision, _, _ in revisions] == [1, 2, 3, 4, 5, 6, 7]
    assert [status for _, status, _ in revisions if status == "deployed"] == ["deployed"]
    said = "Rollback to 5: backend cannot open its database INC-42" if major == "helm" else "Rollback to 5"
    assert revisions[-1] == (7, "deployed", said)

    start, message = incident.messages()
    assert start["message"]["text"].startswith("STARTED: test, rollback of zkprova to revision 5.")
    told = json.dumps(message)
    for fact in (
        "test",
        "from 6",
        "to 5",
        "now 7",
        "backend cannot open its database",
        "revert a7d20c4",
        "INC-42",
    ):
        assert fact in told, fact

    files = sorted(path.name for path in (incident.folder / "reports").iterdir())
    stem = next(name for name in files if name[0].isdigit()).partition(".")[0]
    assert files == sorted(
        [f"{stem}{suffix}" for suffix in (".html", ".json", ".md", ".xml")]
        + [f"latest{suffix}" for suffix in (".html", ".json", ".md", ".xml")]
    )
    page = (incident.folder / "reports" / "latest.html").read_text()
    for fact in ("VERIFIED", "INC-42", "revert a7d20c4", *CHECKLIST):
        assert fact in page, fact
    everything = result.output + page + json.dumps(record)
    assert "tokenoftheincident" not in everything

    last = result.output.strip().splitlines()
    assert any(line.startswith("HELM RAN: once, exit code 0") for line in last)
    assert any(line.startswith("Live now: Revision 7") for line in last)
    assert last[-1] == f"Report: {incident.folder.resolve()}/reports/{stem}.html"

    # the same command again verifies and adds no revision
    again = incident.run("--rollback-to=5")
    assert (again.code, again.record["outcome"]) == (0, "verified")
    assert again.record["helm"]["ran"] is False
    assert again.item("rollback")["observed"] == (
        "helm was not run: revision 7 already is revision 5, in history and in the live objects"
    )
    assert "HELM DID NOT RUN" in again.output
    assert incident.head() == 7
    incident.close()


def test_verifying_after_a_rollback_by_hand(incident):
    incident.helm("rollback", "zkprova", "5")
    result = incident.run()
    assert result.code == 0, result.output
    assert result.record["mode"] == "verify"
    assert result.record["target_revision"] == 5
    assert result.verdicts() == dict.fromkeys(["preflight", "release-equivalence", *CHECKLIST], "PASS")
    assert result.record["plan"]["compared_with"]["revision"] == 6
    assert incident.head() == 7


def test_verifying_while_the_bad_revision_is_live(bad):
    result = bad.run()
    assert result.code == 1
    assert result.record["outcome"] == "failed"
    assert result.verdicts() == {
        "preflight": "PASS",
        "release-equivalence": "PASS",
        "rollout-backend": "FAIL",
        "rollout-frontend": "PASS",
        "smoke": "FAIL",
        "logs": "FAIL",
        "health-database": "FAIL",
        "events": "FAIL",
        "migration": "UNVERIFIED",
        "notify": "PASS",
    }
    assert "HELM DID NOT RUN" in result.output


def test_rolling_back_to_the_bad_revision_is_red(bad):
    result = bad.run("--rollback-to=6")
    assert result.code == 1
    assert result.verdicts()["rollout-backend"] == result.verdicts()["health-database"] == "FAIL"


def test_pods_that_crash_after_they_were_ready_overturn_the_rollouts_pass(incident):
    incident.helm("rollback", "zkprova", "5")
    result = incident.run("--rollback-to=6", "--rollback-override=target=it has to crash here")
    assert (result.code, result.record["outcome"], incident.head()) == (1, "failed", 8)
    assert result.verdicts()["rollout-backend"] == "FAIL"
    seen = result.item("rollout-backend")["observed"]
    assert "crash-loops: exit code 1" in seen
    assert "its log ends: " in seen
    assert "; event of zkprova-zkprova-backend-" in seen


def test_without_a_url_health_and_smoke_are_unverified_and_the_rest_is_judged(bad):
    bad.configure(url=None)
    result = bad.run()
    bad.configure()
    assert result.code == 1
    assert result.verdicts()["health-database"] == result.verdicts()["smoke"] == "UNVERIFIED"
    assert result.verdicts()["rollout-frontend"] == "PASS"
    assert "Exception in thread" not in result.output


def test_all_refusals_are_shown_at_once_even_without_a_cluster(bad):
    bad.configure(kubeconfig="no-such-file", protected=True)
    result = bad.run("--rollback-to=5")
    bad.configure()
    assert [guard["id"] for guard in result.record["guards"] if guard["state"] == "refused"] == [
        "cluster",
        "protected",
    ]


def test_fault_67_a_checklist_with_items_left_out_is_not_green(incident):
    incident.helm("rollback", "zkprova", "5")
    result = incident.run("-k", "smoke")
    assert (result.code, result.record["outcome"]) == (1, "unverified")
    assert result.verdicts()["smoke"] == "PASS"
    assert "UNVERIFIED release-equivalence, rollout-backend" in result.output
    assert "logs, health-database and 3 more: left out on the command line" in result.output


def test_fault_67_x_does_not_stop_the_report_early(bad):
    result = bad.run("-x", "--maxfail=1")
    assert result.code == 1
    assert "6 failed, 4 passed" in result.output


def test_xdist_and_reruns_make_one_rollback_and_a_red_item_stays_red(incident):
    asked = (*WITH_ALL_PLUGINS, "-n", "4", "--reruns", "2", "--rollback-to=5")
    result = incident.run(*asked, SLACK_WEBHOOK_URL=None)
    assert result.code == 1
    assert incident.head() == 7
    assert result.verdicts() == {**dict.fromkeys(BEFORE + CHECKLIST, "PASS"), "notify": "UNVERIFIED"}
    assert "SLACK_WEBHOOK_URL" in result.item("notify")["observed"]


def test_a_waiver_is_audited_and_waiving_everything_is_not_green(incident):
    incident.helm("rollback", "zkprova", "5")
    result = incident.run("--rollback-waive=notify=the team sits beside me")
    assert (result.code, result.record["outcome"]) == (0, "verified-with-waivers")
    assert result.verdicts()["notify"] == "WAIVED"
    assert result.record["overrides"] == [
        {"id": "notify", "kind": "item", "reason": "the team sits beside me"}
    ]
    assert incident.messages() == []
    everything = incident.run(*(f"--rollback-waive={item}=no" for item in CHECKLIST))
    assert (everything.code, everything.record["outcome"]) == (1, "unverified")


OFFERED = {
    "target": "pytest --env=test --rollback-to=5",
    "release": "helm list --all-namespaces",
    "identity": "with the context or the pin in the configuration mended",
    "protected": "pytest --env=test --rollback-to=5 --rollback-confirm=test",
    "helm-version": "with a helm that works",
}


@pytest.mark.parametrize(
    ("args", "keys", "tables", "guard", "evidence"),
    [
        pytest.param(
            ["--rollback-to=99"],
            {},
            "",
            "target",
            "revision 99 does not exist; there are 1 to 6",
            id="fault-12-revision-missing",
        ),
        pytest.param(
            ["--rollback-to=3"],
            {},
            "",
            "target",
            "revision 3 is failed: Upgrade",
            id="fault-15-target-failed",
        ),
        pytest.param(
            ["--rollback-to=5"],
            {"release": "zkprov"},
            "",
            "release",
            "There is no release zkprov in namespace",
            id="fault-11-release-missing",
        ),
        pytest.param(
            ["--rollback-to=5"],
            {"namespace": "no-such-namespace"},
            "",
            "release",
            "There is no namespace no-such-namespace in this cluster.",
            id="fault-10-namespace-missing",
        ),
        pytest.param(
            ["--rollback-to=5"],
            {},
            '[environments.test.identity]\nkube_system_uid = "another"\n',
            "identity",
            "but another is pinned",
            id="fault-9-another-server",
        ),
        pytest.param(
            ["--rollback-to=5"],
            {"protected": True},
            "",
            "protected",
            "environment 'test' is protected",
            id="protected-unconfirmed",
        ),
        pytest.param(
            ["--rollback-to=5", "--rollback-confirm=production"],
            {},
            "",
            "protected",
            "--rollback-confirm=production names another environment than --env=test",
            id="confirmed-another",
        ),
        pytest.param(
            ["--rollback-to=5"],
            {"helm": "no-such-helm"},
            "",
            "helm-version",
            "There is no 'no-such-helm' of the configuration",
            id="fault-32-helm-missing",
        ),
    ],
)
def test_refused_before_helm_runs(bad, args, keys, tables, guard, evidence):
    bad.configure(tables, **keys)
    told = len(bad.messages())
    result = bad.run(*args)
    bad.configure()
    assert (result.code, result.record["outcome"]) == (1, "refused"), result.output
    assert result.guard(guard)["state"] == "refused"
    assert evidence in result.guard(guard)["evidence"]
    verdicts = result.verdicts()
    assert verdicts.pop("preflight") == "FAIL"
    assert set(verdicts.values()) == {"UNVERIFIED"}
    assert "HELM DID NOT RUN" in result.output
    following = "\n".join(result.record["next_commands"])
    assert OFFERED[guard] in following
    assert "helm rollback" not in following  # what was refused is not handed out to be done by hand
    assert len(bad.messages()) == told
    assert "Traceback" not in result.output


def test_fault_17_a_pending_release_is_refused(bad):
    bad.helm("rollback", "zkprova", "6", "--dry-run=client")  # proves that helm itself answers
    secret = "sh.helm.release.v1.zkprova.v6"
    release = json.loads(bad.kubectl("get", "secret", secret, "-o", "json"))
    bad.kubectl("label", "secret", secret, "status=pending-upgrade", "--overwrite")
    import gzip

    content = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(release["data"]["release"]))))
    content["info"]["status"] = "pending-upgrade"
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(content).encode()))).decode()
    bad.kubectl("patch", "secret", secret, "-p", json.dumps({"data": {"release": packed}}))
    try:
        result = bad.run("--rollback-to=5")
    finally:
        bad.kubectl("patch", "secret", secret, "-p", json.dumps({"data": release["data"]}))
        bad.kubectl("label", "secret", secret, "status=deployed", "--overwrite")
    assert (result.code, result.record["outcome"]) == (1, "refused")
    assert "revision 6 is pending-upgrade since" in result.guard("pending")["evidence"]


@pytest.mark.parametrize("silent", [False, True], ids=["refuses", "accepts-and-never-answers"])
def test_fault_1_an_unreachable_server_is_refused_within_5_s_of_the_runs_start(bad, silent):
    """helm alone needs 10 s for the second, whatever its --timeout (docs/helm-facts.md, 1).

    The budget is 5 s; what is above it is a loaded machine's.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}" if silent else "127.0.0.1:9"
        kubeconfig = bad.folder / "elsewhere"
        text = bad.cluster.kubeconfig.read_text().replace(bad.cluster.server, f"https://{address}")
        kubeconfig.write_text(text)
        bad.configure(kubeconfig=str(kubeconfig), preflight_budget_s=5)
        result = bad.run("--rollback-to=5")
        bad.configure()
    assert (result.code, result.record["outcome"]) == (1, "refused")
    assert "helm rollback zkprova 5" in result.output
    began, ended = (datetime.fromisoformat(result.record[key]) for key in ("started_at", "finished_at"))
    assert (ended - began).total_seconds() < 9
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("incident", "number"),
    [("helm", signal.SIGINT), ("helm", signal.SIGTERM), ("helm", signal.SIGHUP), ("helm3", signal.SIGINT)],
    indirect=["incident"],
)
def test_fault_23_a_signal_while_helm_runs(incident, number):
    slow_helm(incident, 3)
    process = incident.start("--rollback-to=5")
    wait_for(lambda: (incident.latest() or {}).get("helm", {}).get("pid"))
    time.sleep(0.3)
    process.send_signal(number)
    began = time.monotonic()
    wait_for(lambda: incident.latest()["outcome"] == "interrupted", 2)
    assert time.monotonic() - began < 2
    record = incident.latest()
    assert record["helm"]["running"] is True
    assert Path(f"/proc/{record['helm']['pid']}").exists()
    output, _ = process.communicate(timeout=60)
    record = incident.latest()
    assert process.returncode == 2, output
    assert record["outcome"] == "interrupted"
    assert (record["helm"]["running"], record["helm"]["exit_code"]) == (False, 0)
    assert record["revision_after"] == 7
    assert incident.head() == 7
    assert "HELM RAN: once" in output
    again = incident.run("--rollback-to=5")
    assert (again.code, incident.head()) == (0, 7)


@HELM_3_IN_CAMPAIGN
def test_fault_24_a_second_signal_ends_the_waiting(incident):
    slow_helm(incident, 6)
    process = incident.start("--rollback-to=5")
    wait_for(lambda: (incident.latest() or {}).get("helm", {}).get("pid"))
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    wait_for(lambda: incident.latest()["outcome"] == "interrupted", 2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=10)  # 5 s of it may be telling
    record = incident.latest()
    assert process.returncode == 2, output
    assert (record["outcome"], record["helm"]["running"]) == ("interrupted", True)
    assert record["revision_after"] is None
    assert result_of(record, "rollback")["verdict"] == "UNVERIFIED"
    assert f"pid {record['helm']['pid']}" in result_of(record, "rollback")["observed"]
    wait_for(lambda: incident.head() == 7, 30)  # helm itself was left to finish
    wait_for(lambda: incident.revisions()[-1][1] == "deployed", 30)


def result_of(record, item):
    return next(entry for entry in record["items"] if entry["id"] == item)


@BOTH
def test_fault_25_killed_while_helm_runs_the_next_run_does_not_roll_back_twice(incident):
    slow_helm(incident, 2)
    process = incident.start("--rollback-to=5")
    wait_for(lambda: (incident.latest() or {}).get("helm", {}).get("pid"))
    process.kill()
    process.communicate(timeout=10)
    record = incident.latest()
    assert (record["outcome"], record["helm"]["ran"]) == ("running", True)
    page = (incident.folder / "reports" / "latest.html").read_text()
    assert "VERIFIED" not in page.replace("UNVERIFIED", "").replace("NOT VERIFIED", "")
    wait_for(lambda: incident.head() == 7 and incident.revisions()[-1][1] == "deployed", 30)
    result = incident.run("--rollback-to=5")
    assert (result.code, result.record["outcome"], result.record["helm"]["ran"]) == (0, "verified", False)
    assert incident.head() == 7
    [said] = [event["event"] for event in result.record["timeline"] if event["source"] == "journal"]
    assert said.startswith(f"run {record['run_id']} of {record['operator']}, begun at ")
    assert said.endswith("did not record how helm ended: it made revision 7, which is now deployed")
    assert result.guard("lock")["state"] == "warned"
    assert journal(incident)["entries"][-1]["verified_revision"] == 7


def journal(incident):
    secret = json.loads(incident.kubectl("get", "secret", "zkrollback.v1.zkprova", "-o", "json"))
    return json.loads(base64.b64decode(secret["data"]["state"]))


def its_record(incident, folder):
    [path] = (incident.folder / folder).glob("2*.json")
    return json.loads(path.read_text())


def helm_that_waits(incident):
    """The real helm, which rolls back only once the returned file is there."""
    path, go = incident.folder / "helm-that-waits", incident.folder / "go"
    path.write_text(
        f'#!/bin/sh\ncase "$1" in rollback) while [ ! -e {go} ]; do sleep 0.05; done;; esac\n'
        f'exec {incident.helm_path} "$@"\n'
    )
    path.chmod(0o755)
    incident.configure(helm=str(path))
    return go


def waits_for_the_lock(incident):
    record = incident.latest() or {"timeline": ()}
    return any(entry["event"].startswith("waiting up to 10 s") for entry in record["timeline"])


def one_after_the_other(incident, *targets):
    """The second operator meets the first one's lock: the first one's record; exit code and output of the
    second."""
    go = helm_that_waits(incident)
    first = incident.start(f"--rollback-to={targets[0]}", "--zkrollback-report-dir=reports-a")
    wait_for(lambda: has_lock(incident), 60)
    second = incident.start(f"--rollback-to={targets[1]}")
    wait_for(lambda: waits_for_the_lock(incident), 60)
    go.touch()
    output, _ = second.communicate(timeout=120)
    first.communicate(timeout=120)
    return its_record(incident, "reports-a"), second.returncode, output


@HELM_3_IN_CAMPAIGN
def test_fault_19_two_operators_at_the_same_instant_make_one_rollback_and_both_verify_it(incident):
    slow_helm(incident, 1)
    processes = [
        incident.start("--rollback-to=5", f"--zkrollback-report-dir=reports-{name}") for name in "ab"
    ]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert incident.head() == 7
    assert [process.returncode for process in processes] == [0, 0], outputs
    records = [its_record(incident, f"reports-{name}") for name in "ab"]
    second, first = sorted(records, key=lambda record: record["helm"]["ran"])
    assert (first["helm"]["ran"], second["helm"]["ran"]) == (True, False)
    assert (first["outcome"], second["outcome"]) == ("verified", "verified")
    assert (second["revision_after"], second["target_revision"]) == (7, 5)
    why = second["helm"]["skipped_reason"]
    who = f"{first['operator']} (run {first['run_id']}) held the lock, and revision 7 now holds revision 5"
    assert why in (who, "revision 7 (Rollback to 5) appeared since the plan, made at 6, and holds revision 5")
    state = journal(incident)
    assert state["lock"] is None
    done = next(entry for entry in state["entries"] if entry["run_id"] == first["run_id"])
    assert (done["outcome"], done["head_before"], done["head_after"], done["target"]) == ("done", 6, 7, 5)


def has_lock(incident):
    try:
        return journal(incident)["lock"] is not None
    except AssertionError:  # there is no Secret yet
        return False


def test_a_second_operator_who_wants_something_else_is_refused_with_what_happened(incident):
    first, code, output = one_after_the_other(incident, 4, 5)
    refused = incident.newest()
    assert (code, refused["outcome"], refused["helm"]["ran"]) == (1, "refused", False), output
    [guard] = [each for each in refused["guards"] if each["state"] == "refused"]
    who = f"{first['operator']} (run {first['run_id']})"
    now = "revision 7 is deployed now (Rollback to 4)"
    assert guard["evidence"] == f"{who} held the lock; {now}, which is not revision 5"
    assert f"waiting up to 10 s for the lock, Ctrl-C stops: {first['operator']} holds" in output
    assert incident.head() == 7


def test_previous_means_what_it_meant_before_the_other_run(incident):
    """After it, ``previous`` of the new revision would be the bad one."""
    first, code, output = one_after_the_other(incident, "previous", "previous")
    second = incident.latest()
    assert (code, second["helm"]["ran"], second["target_revision"]) == (0, False, 5), output
    assert (incident.head(), first["outcome"], second["outcome"]) == (7, "verified", "verified")


def test_ctrl_c_while_the_lock_is_waited_for_is_an_interruption_before_helm(incident):
    hold_lock(incident, 100)
    process = incident.start("--rollback-to=5")

    wait_for(lambda: waits_for_the_lock(incident), 60)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    record = incident.newest()
    assert (process.returncode, record["outcome"]) == (2, "interrupted"), output
    assert record["helm"]["ran"] is False
    assert record["summary"].startswith("Interrupted before helm ran: nothing was changed"), record["summary"]
    assert incident.head() == 6
    assert journal(incident)["lock"]["run_id"] == "0badcafe"


def hold_lock(incident, expires_in_s):
    now = datetime.now(UTC)
    lock = {
        "run_id": "0badcafe",
        "operator": "ann@laptop",
        "taken_at": (now - timedelta(seconds=40)).isoformat(),
        "expires_at": (now + timedelta(seconds=expires_in_s)).isoformat(),
    }
    state = json.dumps({"schema": "zkrollback.journal/1", "lock": lock, "entries": []})
    incident.kubectl("delete", "secret", "zkrollback.v1.zkprova", "--ignore-not-found")
    incident.kubectl("create", "secret", "generic", "zkrollback.v1.zkprova", f"--from-literal=state={state}")


@HELM_3_IN_CAMPAIGN
def test_fault_20_a_live_lock_refuses_and_an_expired_one_is_taken_over(incident):
    hold_lock(incident, 100)
    (incident.folder / "reports").mkdir()
    (incident.folder / "reports" / "latest.html").write_text("of the run that goes on")
    result = incident.run("--rollback-to=5")
    assert result.code == 1
    assert "ann@laptop holds the lock for " in result.output
    assert "HELM DID NOT RUN" in result.output
    assert incident.head() == 6
    assert (incident.folder / "reports" / "latest.html").read_text() == "of the run that goes on"

    hold_lock(incident, -1)
    result = incident.run("--rollback-to=5")
    assert (result.code, result.record["outcome"], incident.head()) == (0, "verified", 7)
    events = [entry["event"] for entry in result.record["timeline"]]
    assert "lock taken over from ann@laptop (run 0badcafe): it had expired" in events


@HELM_3_IN_CAMPAIGN
def test_fault_21_the_head_moved_between_plan_and_run(incident):
    path = incident.folder / "helm-that-is-late"
    path.write_text(
        "#!/bin/sh\n"  # a colleague's upgrade lands while our preflight asks for helm's version
        f'case "$1" in version) sleep 1; {incident.helm_path} rollback zkprova 4 -n {incident.namespace} --kube-context '
        f"{incident.cluster.context} --kubeconfig {incident.cluster.kubeconfig} >/dev/null;; esac\n"
        f'exec {incident.helm_path} "$@"\n'
    )
    path.chmod(0o755)
    incident.configure(helm=str(path))
    result = incident.run("--rollback-to=5")
    assert (result.code, result.record["outcome"]) == (1, "refused"), result.output
    guard = result.guard("head")
    assert guard["evidence"] == "revision 7 (Rollback to 4) appeared since the plan, made at 6"
    assert incident.head() == 7
    assert journal(incident)["lock"] is None


@pytest.mark.parametrize(
    ("scenario", "red"),
    [
        ("bad-image", {"release-equivalence", "rollout-backend", "events", "migration"}),
        ("failing-readiness", {"release-equivalence", "rollout-backend", "events", "migration"}),
    ],
)
def test_other_scenarios_are_red_while_bad_and_green_after(
    running_cluster, binaries, tmp_path, scenario, red
):
    incident = Incident(running_cluster, tmp_path, binaries["helm"], scenario)
    incident.configure(rollout_timeout_s=5)
    result = incident.run()
    assert result.code == 1
    verdicts = result.verdicts()
    assert verdicts["rollout-backend"] == "FAIL"
    assert {name for name, verdict in verdicts.items() if verdict != "PASS"} >= red - {"release-equivalence"}
    incident.configure()
    result = incident.run("--rollback-to=5")
    assert (result.code, result.record["outcome"]) == (0, "verified"), result.output
    incident.close()


@pytest.fixture
def temporary():
    """The drill's own temporary folder: a short path, because a socket's name has to fit behind it."""
    with tempfile.TemporaryDirectory(prefix="zk-") as folder:
        yield Path(folder)


def drill_processes(temporary):
    """Those of the drill that lies in this folder, and of no other that may run beside it."""
    listed = subprocess.run(["ps", "-eo", "args", "-ww"], capture_output=True, text=True, check=True)
    return {line for line in listed.stdout.splitlines() if f"{temporary}/zkrollback-drill-" in line}


def test_pytest_env_drill_does_all_of_it_and_leaves_nothing_running(tmp_path, temporary, running_cluster):
    root = Path(__file__).parents[2]
    argv = [str(root / ".venv" / "bin" / "pytest"), "--env=drill", "--rollback-to=5"]
    argv.append(f"--zkrollback-report-dir={tmp_path / 'reports'}")
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "TMPDIR": str(temporary)}
    done = subprocess.run(argv, cwd=root, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout
    record = json.loads((tmp_path / "reports" / "latest.json").read_text())
    assert (record["outcome"], record["target_revision"], record["revision_after"]) == ("verified", 5, 7)
    assert {item["verdict"] for item in record["items"]} == {"PASS"}
    assert record["deliveries"][0]["ok"] is True
    migration = next(item for item in record["items"] if item["id"] == "migration")
    assert "No hook, Job or init container ran in revision 6." in migration["observed"]
    wait_for(lambda: not drill_processes(temporary), 10)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name
)
def test_a_drill_that_is_ended_leaves_nothing_running(tmp_path, temporary, running_cluster, number):
    root = Path(__file__).parents[2]
    argv = [str(root / ".venv" / "bin" / "pytest"), "--env=drill", "--rollback-to=5"]
    argv.append(f"--zkrollback-report-dir={tmp_path / 'reports'}")
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "TMPDIR": str(temporary)}
    process = subprocess.Popen(
        argv, cwd=root, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wait_for(lambda: any("kube-scheduler" in line for line in drill_processes(temporary)), 120)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == (-9 if number == signal.SIGKILL else 2), output
    wait_for(lambda: not drill_processes(temporary), 10)
    record = json.loads((tmp_path / "reports" / "latest.json").read_text())
    assert record["helm"]["ran"] is False
    if number != signal.SIGKILL:
        assert record["outcome"] == "interrupted"
        assert "HELM DID NOT RUN" in output
