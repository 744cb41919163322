"""Members as pods of indexed Jobs: what is begun, what comes back, and what nobody may conclude."""

import gzip
import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.config.fleet import KubernetesEngineTable
from pytest_zkrollback.config.loader import load_fleet
from pytest_zkrollback.domain.errors import UsageProblem
from pytest_zkrollback.fleet.engines.interface import EnginePlace, MemberJob, Phase
from pytest_zkrollback.fleet.engines.kubernetes import KubernetesEngine
from pytest_zkrollback.fleet.fleet_run import _kubernetes_engine
from pytest_zkrollback.fleet.member_pod import INDEX, ORDER, PodOrder, pack_record, unpack_log
from pytest_zkrollback.report.files import render_json
from support.example_fleets import member_record
from support.fake_jobs import FakeJobs
from support.stepping_clock import SteppingClock

NAMES = ["eu-1", "eu-2", "eu-3", "eu-4"]
IDS = {name: f"0000000{number}" for number, name in enumerate(NAMES, 1)}
CONFIG = "[fleets.shop]\n"


@pytest.fixture
def cluster():
    return FakeJobs()


@pytest.fixture
def engine(tmp_path, cluster):
    return make(tmp_path, cluster)


def make(folder, cluster, **keys):
    config = folder / "zkrollback.toml"
    config.write_text(CONFIG)
    keys = {"image": "registry.example/zkrollback:1", "kubeconfig_secret": "clusters", **keys}
    table = KubernetesEngineTable(**keys)
    reports, own = folder / "reports", folder / "reports" / "run"
    return KubernetesEngine(reports, own, SteppingClock(), table, config, "f1ee7000", kube=lambda: cluster)


def job(name, phase=Phase.RUN, run_id=""):
    words = (
        f"--zkrollback-fleet-member={name}",
        "--zkrollback-fleet=shop",
        "--zkrollback-config=mine.toml",
        "--rollback-to=app:1",
    )
    run_id = run_id or IDS[name]
    environ = {"ZKROLLBACK_RUN_ID": run_id, "ZKROLLBACK_FLEET_RUN_ID": "f1ee7000"}
    return MemberJob(name, run_id, phase, 2, words, environ)


def log_of(name, kind="verified", run_id=""):
    record = member_record(name, kind, 2, run_id=run_id or IDS[name])
    return "collected 12 items\n" + pack_record(record.run_id, render_json(record).encode())


def start(engine, *names, at_once=2):
    engine.start([job(name) for name in names], at_once)


def end(cluster, name, kind="verified"):
    cluster.end(name, 0 if kind == "verified" else 1, log_of(name, kind, cluster.run_id(name)))


def ended(engine):
    return {each.member: each for each in engine.poll(0)}


def test_a_wave_is_one_indexed_job_whose_failed_indexes_are_not_begun_again(engine, cluster):
    start(engine, *NAMES)
    [made] = cluster.made
    spec, pod = made["spec"], made["spec"]["template"]["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 4, 2)
    assert spec["backoffLimitPerIndex"] == 0 and pod["restartPolicy"] == "Never"
    assert spec["podReplacementPolicy"] == "Failed" and "maxFailedIndexes" not in spec
    assert "activeDeadlineSeconds" not in spec  # it would end pods in the middle of helm
    [container] = pod["containers"]
    assert container["image"] == "registry.example/zkrollback:1"
    env = {each["name"]: each["value"] for each in container["env"]}
    assert env["KUBECONFIG"] == "/etc/zkrollback/kubeconfig"
    assert pod["automountServiceAccountToken"] is False
    order = json.loads(env[ORDER])
    assert order["members"] == [[name, IDS[name]] for name in NAMES]
    assert order["words"] == [
        "--pyargs",
        "pytest_zkrollback.items",
        "--zkrollback-fleet=shop",
        "--rollback-to=app:1",
    ]
    assert order["environ"] == {"ZKROLLBACK_FLEET_RUN_ID": "f1ee7000"}
    assert order["config"] == CONFIG
    assert cluster.running() == ["eu-1", "eu-2"]


def test_members_end_with_their_records_and_files(engine, cluster, tmp_path):
    start(engine, *NAMES)
    assert ended(engine) == {}
    end(cluster, "eu-1")
    end(cluster, "eu-2", "failed")
    found = ended(engine)
    assert {name: (each.exit_code, str(each.run.outcome)) for name, each in found.items()} == {
        "eu-1": (0, "verified"),
        "eu-2": (1, "failed"),
    }
    assert {"eu-3", "eu-4"} == set(cluster.running())
    for each in found.values():
        assert (tmp_path / "reports" / each.run.record).is_file()
        assert (tmp_path / "reports" / each.run.page).is_file()
    assert not list((tmp_path / "reports").glob("latest*"))
    assert "collected 12 items" in (tmp_path / "reports" / "run" / f"{IDS['eu-1']}.out").read_text()
    assert ended(engine) == {}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda log: log[: len(log) // 2],
        lambda log: log.replace("zkrollback-record-end", "x"),
        lambda log: log.replace("A", "B", 40),
        lambda log: log_of("eu-2", run_id=IDS["eu-1"]),
        lambda log: "",
    ],
    ids=["cut off", "no end", "changed", "of another member", "empty"],
)
def test_a_record_that_did_not_come_whole_is_no_record_and_exit_code_0_does_not_help(engine, cluster, spoil):
    start(engine, "eu-1")
    cluster.end("eu-1", 0, spoil(log_of("eu-1")))
    found = ended(engine)["eu-1"]
    assert found.run is None and found.problem


def test_a_log_that_cannot_be_read_is_asked_for_again_and_then_given_up(engine, cluster):
    start(engine, "eu-1", "eu-2")
    for name in ("eu-1", "eu-2"):
        end(cluster, name)
    logs, cluster.logs = cluster.logs, {}
    assert ended(engine) == {}
    cluster.logs = {key: value for key, value in logs.items() if key.endswith("-0")}
    assert set(ended(engine)) == {"eu-1"}
    for _ in range(60):
        found = ended(engine)
        if found:
            break
    assert found["eu-2"].run is None and "log cannot be read" in found["eu-2"].problem


def test_a_pod_that_is_gone_is_unknown(engine, cluster):
    start(engine, "eu-1", "eu-2")
    assert ended(engine) == {}
    del cluster.pods[cluster.pod_of("eu-1")["metadata"]["name"]]
    found = ended(engine)
    assert set(found) == {"eu-1"}
    assert (found["eu-1"].run, found["eu-1"].exit_code) == (None, None)
    assert "its pod is gone" in found["eu-1"].problem


def test_a_stop_begins_nobody_else_and_ends_nobody(engine, cluster):
    start(engine, *NAMES)
    before = cluster.running()
    assert engine.hold() == ["eu-3", "eu-4"]
    assert cluster.running() == before and not cluster.deleted
    end(cluster, "eu-1", "failed")
    end(cluster, "eu-2")
    assert set(ended(engine)) == {"eu-1", "eu-2"}
    assert cluster.running() == [] and ended(engine) == {}


def test_who_has_begun_while_the_job_was_shortened_is_not_said_to_wait(engine, cluster):
    start(engine, *NAMES)
    end(cluster, "eu-1", "failed")  # and eu-3 begins
    assert engine.hold() == ["eu-4"]


def test_interrupting_ends_no_pod(engine, cluster):
    start(engine, "eu-1", "eu-2")
    engine.interrupt()
    assert cluster.running() == ["eu-1", "eu-2"]


def test_a_pod_that_never_begins_is_given_up_and_says_why(tmp_path, cluster):
    engine = make(tmp_path, cluster, start_timeout_s=60)
    start(engine, "eu-1", "eu-2")
    waiting = {"name": "member", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    cluster.pod_of("eu-1")["status"] = {"phase": "Pending", "containerStatuses": [waiting]}
    for _ in range(30):
        assert ended(engine) == {}
    assert not cluster.deleted
    assert "ImagePullBackOff" in engine.describe("eu-1")
    found = {}
    for _ in range(60):
        found |= ended(engine)
    assert set(found) == {"eu-1"} and "ImagePullBackOff" in found["eu-1"].problem
    assert cluster.running() == ["eu-2"]


def test_a_job_that_is_refused_has_begun_nobody(engine, cluster):
    cluster.refuses = True
    start(engine, "eu-1", "eu-2")
    found = ended(engine)
    assert set(found) == {"eu-1", "eu-2"}
    assert all("could not be started" in each.problem for each in found.values())


def test_a_job_whose_answer_was_lost_is_followed_and_not_made_twice(engine, cluster):
    cluster.loses_answer = True
    start(engine, "eu-1")
    end(cluster, "eu-1")
    assert ended(engine)["eu-1"].run is not None
    assert len(cluster.made) == 1


def test_a_management_cluster_that_is_down_ends_nobody(engine, cluster):
    start(engine, "eu-1")
    cluster.down = True
    for _ in range(100):
        assert ended(engine) == {}
    assert "does not answer" in engine.describe("eu-1")
    cluster.down = False
    end(cluster, "eu-1")
    assert set(ended(engine)) == {"eu-1"}


def test_a_command_that_goes_on_waits_for_pods_and_does_not_run_finished_indexes_again(tmp_path, cluster):
    killed = make(tmp_path, cluster)
    start(killed, *NAMES)
    end(cluster, "eu-1")  # and eu-3 begins; nobody follows any more
    engine = make(tmp_path, cluster)
    assert engine.wait_for_orphans(IDS, 0) == ["eu-2", "eu-3"]
    end(cluster, "eu-2", "failed")
    assert engine.wait_for_orphans(IDS, 0) == ["eu-3"]
    end(cluster, "eu-3")
    assert engine.wait_for_orphans(IDS, 0) == []  # eu-4 was not let begin
    assert cluster.pod_of("eu-4") is None
    engine.start([job(name, run_id=f"1{IDS[name][1:]}") for name in NAMES], 4)
    found = ended(engine)
    assert {name: each.run_id for name, each in found.items()} == {"eu-1": IDS["eu-1"], "eu-3": IDS["eu-3"]}
    assert all(each.exit_code == 0 for each in found.values())
    assert cluster.running() == ["eu-2", "eu-4"]


def test_while_nobody_answers_everybody_may_still_run(tmp_path, cluster):
    cluster.down = True
    assert set(make(tmp_path, cluster).wait_for_orphans(IDS, 0)) == set(IDS)


def test_jobs_of_another_fleet_run_are_not_ours(tmp_path, cluster, engine):
    start(engine, "eu-1")
    end(cluster, "eu-1")
    other = make(tmp_path, cluster)
    other._fleet_run_id = "0ther000"
    assert other.wait_for_orphans(IDS, 0) == []
    start(other, "eu-1")
    assert len(cluster.made) == 2


@given(st.binary(max_size=20_000), st.text(max_size=200), st.integers(0, 60))
def test_what_goes_into_a_log_comes_out_of_it(record, said, cut):
    log = said + pack_record("0a1b2c3d", record) + "bye\n"
    assert unpack_log(log, "0a1b2c3d").record == record
    assert unpack_log(log, "0a1b2c3e").record is None
    assert unpack_log(log[: len(log) - 5 - cut], "0a1b2c3d").record in (None, record)


def test_a_record_of_a_megabyte_fits_a_log():
    record = json.dumps(
        [{"revision": number, "manifest": os.urandom(8).hex()} for number in range(20_000)]
    ).encode()
    assert len(record) > 1_000_000
    log = pack_record("0a1b2c3d", record)
    assert len(log) < len(gzip.compress(record)) * 1.4 and max(map(len, log.splitlines())) < 16_384
    assert unpack_log(log, "0a1b2c3d").record == record


def test_the_pod_runs_its_index_and_prints_the_record(tmp_path):
    stand_in = tmp_path / "pytest" / "__main__.py"
    stand_in.parent.mkdir()
    stand_in.with_name("__init__.py").write_text("")
    stand_in.write_text(
        "import os, sys, pathlib\n"
        "given = dict(word.split('=', 1) for word in sys.argv[1:] if '=' in word)\n"
        "folder = pathlib.Path(given['--zkrollback-report-dir']); folder.mkdir()\n"
        "config = pathlib.Path(given['--zkrollback-config'])\n"
        "text = given['--zkrollback-fleet-member'] + ' ' + config.name + ' ' + config.read_text()\n"
        "(folder / ('2-' + os.environ['ZKROLLBACK_RUN_ID'] + '.json')).write_text(text)\n"
        "sys.exit(3)\n"
    )
    order = PodOrder(
        [("eu-1", "00000001"), ("eu-2", "00000002")],
        ["--zkrollback-fleet=shop"],
        {},
        "zkrollback.toml",
        CONFIG,
    )
    env = {
        **os.environ,
        ORDER: order.as_text(),
        INDEX: "1",
        "PYTHONPATH": str(tmp_path),
        "TMPDIR": str(tmp_path),
    }
    argv = [sys.executable, "-m", "pytest_zkrollback.fleet.member_pod"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3, done.stderr
    assert unpack_log(done.stdout, "00000002").record == f"eu-2 zkrollback.toml {CONFIG}".encode()


def test_without_its_table_the_engine_is_refused(tmp_path):
    path = tmp_path / "zkrollback.toml"
    path.write_text('[defaults]\nworkloads = "auto"\n[environments.a]\n[fleets.shop]\nwaves = [["a"]]\n')
    place = EnginePlace(
        tmp_path, tmp_path, tmp_path, SteppingClock(), {}, load_fleet(path, "shop"), path, "f1ee7000"
    )
    with pytest.raises(UsageProblem, match=r"needs a table \[fleets\.shop\.kubernetes\].*helm did not run"):
        _kubernetes_engine(place)
