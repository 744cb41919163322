"""The drill as a run sees it, and a drill that is kept for the next run."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.clients.state_dir import state_folder
from pytest_zkrollback.domain.errors import DrillProblem, UsageProblem
from pytest_zkrollback.drill import persistence as kept_drill
from pytest_zkrollback.drill.drill import scenario_to_play, start_drill, stop_drill
from pytest_zkrollback.drill.drill_namespace import checkout_id
from pytest_zkrollback.drill.local_cluster import start_cluster
from pytest_zkrollback.drill.persistence import SavedDrill

HERE = Path()  # the checkout: where pytest runs, and what is started from here
NOTHING_TO_STOP = "No drill is kept: there is nothing to stop."
START_AND_KEEP = """
from pathlib import Path
from pytest_zkrollback.drill.drill import start_drill
drill = start_drill(keep=True, scenario="bad-image", progress=lambda text: None, checkout=Path())
drill.close()
print(drill.kept, *drill.hints, sep="\\n")
"""


@pytest.fixture(scope="module")
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder of our own, so that the user's kept drill stays out of it; nothing is left in it."""
    before = os.environ.get("XDG_STATE_HOME")
    home = tmp_path_factory.mktemp("state")
    os.environ["XDG_STATE_HOME"] = str(home)
    yield home
    stop_drill(HERE)
    os.environ.pop("XDG_STATE_HOME")
    if before is not None:
        os.environ["XDG_STATE_HOME"] = before


@pytest.fixture
def say_nothing() -> Callable[[str], None]:
    return lambda text: None


@pytest.fixture
def kept_cluster(state_home: Path, binaries: dict[str, Path]) -> Iterator[SavedDrill]:
    """A kept cluster without a release: enough to live, die and be stopped."""
    stop_drill(HERE)
    running = start_cluster(binaries)
    kept = SavedDrill(
        running.cluster, "crash-loop", "http://127.0.0.1:1", "http://127.0.0.1:1/services/T0/B0/x", "uid"
    )
    kept_drill.save(own_folder(), kept)
    running.keep()
    yield kept
    with contextlib.suppress(DrillProblem):
        stop_drill(HERE)


def own_folder() -> Path:
    """Where this checkout's kept drill is remembered."""
    folder = state_folder("drill") / checkout_id(HERE)
    folder.mkdir(exist_ok=True)
    return folder


def refuse_crash_loop() -> None:
    scenario_to_play(HERE, "crash-loop")


def supervisor_of(kept: SavedDrill) -> int:
    return int((kept.cluster.data_dir / "alive").read_text())


def processes_of(data_dir: Path) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "pid,args", "-ww"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if str(data_dir) in line]


def wait_for(done: Callable[[], bool], timeout_s: float = 10) -> bool:
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_drill_of_its_own_ends_with_its_run(state_home: Path, say_nothing) -> None:
    stop_drill(HERE)
    drill = start_drill(keep=False, scenario="bad-image", progress=say_nothing, checkout=HERE)
    try:
        environment = drill.environment
        data_dir = Path(environment.kubeconfig).parent
        assert (drill.kept, drill.hints) == (False, ())
        assert environment.workloads == {
            "backend": "deployment/zkprova-zkprova-backend",
            "frontend": "deployment/zkprova-zkprova-frontend",
        }
        assert (Path(environment.base_dir) / environment.smoke.cwd / environment.smoke.command[1]).is_file()
        assert list(drill.secrets) == [environment.slack.webhook_env, environment.migrations.database_env]
        history = subprocess.run(
            [environment.helm, "history", environment.release, "--kubeconfig", environment.kubeconfig],
            capture_output=True,
            text=True,
            check=True,
        )
        assert len(history.stdout.splitlines()) == 1 + 6
        assert drill.fetch_slack_messages() == []
        assert not list(state_home.rglob("state.json"))
    finally:
        drill.close()
    assert not processes_of(data_dir)
    assert not data_dir.exists()


def test_two_runs_that_keep_at_once_share_one_drill_and_hold_no_pipe(state_home: Path, say_nothing) -> None:
    stop_drill(HERE)
    command = f"\"{sys.executable}\" -c '{START_AND_KEEP}' | cat"
    runs = [
        subprocess.Popen(
            ["/bin/sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(2)
    ]
    told = [run.communicate(timeout=90)[0] for run in runs]
    assert told[0] == told[1]
    kept, kubeconfig, path = told[0].splitlines()
    assert kept == "True"
    assert kubeconfig.startswith("export KUBECONFIG=/")
    assert path.endswith(":$PATH")
    data_dir = Path(kubeconfig.partition("=")[2]).parent
    assert len(processes_of(data_dir)) == 9  # six servers, their supervisor, demo application, Slack
    (state,) = state_home.rglob("state.json")
    assert stat.S_IMODE(state.stat().st_mode) == 0o600

    drill = start_drill(keep=False, scenario=None, progress=say_nothing, checkout=HERE)
    assert (drill.kept, drill.environment.kubeconfig) == (True, str(data_dir / "kubeconfig"))
    assert drill.fetch_slack_messages() == []
    drill.close()
    assert len(processes_of(data_dir)) == 9

    for ask in (
        lambda: start_drill(keep=True, scenario="crash-loop", progress=say_nothing, checkout=HERE),
        refuse_crash_loop,
    ):
        with pytest.raises(UsageProblem) as caught:
            ask()
        assert str(caught.value) == (
            "The kept drill plays the scenario 'bad-image', not 'crash-loop': end it first, with"
            " `pytest --drill-stop`, or leave --drill-scenario away; helm did not run."
        )

    said = stop_drill(HERE)
    assert said == f"The kept drill has ended: its processes are gone, and so is {data_dir}."
    assert not processes_of(data_dir)
    assert not data_dir.exists()
    assert stop_drill(HERE) == NOTHING_TO_STOP


def test_stop_says_plainly_that_none_is_kept(state_home: Path) -> None:
    stop_drill(HERE)
    assert stop_drill(HERE) == NOTHING_TO_STOP


@pytest.mark.parametrize("victim", ["supervisor", "kube-apiserver"])
def test_a_dead_one_is_not_used_and_its_rest_is_removed(kept_cluster: SavedDrill, victim: str) -> None:
    data_dir = kept_cluster.cluster.data_dir
    assert kept_drill.is_alive(kept_cluster)
    assert kept_drill.answers(kept_cluster, LocalProcesses())
    pids = {line.split()[1].rpartition("/")[2]: int(line.split()[0]) for line in processes_of(data_dir)}
    os.kill(pids.get(victim, supervisor_of(kept_cluster)), signal.SIGKILL)
    assert wait_for(lambda: not kept_drill.is_alive(kept_cluster))
    assert wait_for(lambda: not processes_of(data_dir)), processes_of(data_dir)
    assert stop_drill(HERE) == "The kept drill had ended already; what it left was removed."
    assert not data_dir.exists()


def test_a_half_dead_one_is_ended_and_replaced(kept_cluster: SavedDrill, say_nothing, monkeypatch) -> None:
    data_dir = kept_cluster.cluster.data_dir
    apiserver = next(line for line in processes_of(data_dir) if "/kube-apiserver " in line)
    os.kill(int(apiserver.split()[0]), signal.SIGSTOP)  # it lives, and answers nobody
    monkeypatch.setattr(kept_drill, "_ANSWER_S", 0.5)
    replaced = object()
    monkeypatch.setattr("pytest_zkrollback.drill.drill._start", lambda *_: replaced)
    said: list[str] = []
    assert start_drill(keep=False, scenario=None, progress=said.append, checkout=HERE) is replaced
    assert said == ["The kept drill does not live any more; removing what it left"]
    assert not processes_of(data_dir)
    assert not data_dir.exists()
    assert stop_drill(HERE) == NOTHING_TO_STOP


def test_another_checkout_leaves_it_alone(kept_cluster: SavedDrill, tmp_path: Path) -> None:
    assert stop_drill(tmp_path).startswith(NOTHING_TO_STOP)
    assert kept_drill.is_alive(kept_cluster)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "not json", '{"cluster": 3}'])
def test_a_damaged_state_file_is_as_good_as_none(state_home: Path, text: str) -> None:
    stop_drill(HERE)
    (own_folder() / "state.json").write_text(text)
    assert stop_drill(HERE) == NOTHING_TO_STOP


def test_what_a_state_file_names_is_not_removed_if_it_is_not_a_drills_folder(
    kept_cluster: SavedDrill, tmp_path: Path
) -> None:
    foreign = tmp_path / "precious"
    foreign.mkdir()
    cluster = kept_cluster.cluster
    fields = {name: getattr(cluster, name) for name in cluster.__dataclass_fields__}
    other = SavedDrill(type(cluster)(**{**fields, "data_dir": foreign}), "s", "u", "w", "i")
    kept_drill.end(other, SystemClock())
    assert foreign.is_dir()


def test_a_scenario_that_is_not_known_starts_nothing(state_home: Path, say_nothing) -> None:
    with pytest.raises(UsageProblem):
        start_drill(keep=False, scenario="nonsense", progress=say_nothing, checkout=HERE)


def test_a_state_folder_that_cannot_be_made_is_named_if_it_is_needed(
    tmp_path: Path, say_nothing, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(DrillProblem, match="Set XDG_STATE_HOME to a folder that you can write"):
        start_drill(keep=True, scenario=None, progress=say_nothing, checkout=HERE)


def test_an_interrupt_while_the_scenario_is_told_leaves_nothing(
    state_home: Path, say_nothing, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_drill(HERE)
    seen: list[Path] = []

    def interrupted(cluster, **_: object) -> None:
        seen.append(cluster.data_dir)
        raise KeyboardInterrupt

    monkeypatch.setattr("pytest_zkrollback.drill.drill.build_scenario", interrupted)
    with pytest.raises(KeyboardInterrupt):
        start_drill(keep=True, scenario=None, progress=say_nothing, checkout=HERE)
    assert not processes_of(seen[0])
    assert not seen[0].exists()
    assert stop_drill(HERE) == NOTHING_TO_STOP
