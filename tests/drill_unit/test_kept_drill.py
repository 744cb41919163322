"""A kept drill belongs to its checkout: another one neither uses nor ends it."""

import fcntl
from pathlib import Path

import pytest

from pytest_zkrollback.domain.errors import UsageProblem
from pytest_zkrollback.drill import drill as module
from pytest_zkrollback.drill import persistence as kept_drill
from pytest_zkrollback.drill.drill import scenario_to_play, start_drill, stop_drill
from pytest_zkrollback.drill.persistence import SavedDrill
from pytest_zkrollback.drill.venue import ClusterAccess

NOTHING = "No drill is kept: there is nothing to stop."


@pytest.fixture
def ended(monkeypatch):
    """The data folders of the drills that were ended."""
    found = []
    monkeypatch.setattr(kept_drill, "answers", lambda kept, processes: True)
    monkeypatch.setattr(kept_drill, "end", lambda kept, clock: found.append(kept.cluster.data_dir.name))
    monkeypatch.setattr(kept_drill, "namespace_left", lambda kept, processes: "")
    return found


@pytest.fixture
def keep(tmp_path, monkeypatch, ended):
    """Keeps a drill that plays bad-image for a checkout; the drill lives as long as the test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    open_files = []

    def start(keeper, *_):
        data_dir = tmp_path / f"drill-of-{keeper.checkout.name}" if keeper else tmp_path / "own"
        data_dir.mkdir()
        (data_dir / "alive").write_text("4711")
        alive = (data_dir / "alive").open()
        fcntl.flock(alive, fcntl.LOCK_EX)
        open_files.append(alive)
        binaries = {name: Path(f"/bin/{name}") for name in ("helm", "kubectl")}
        access = ClusterAccess(data_dir / "kubeconfig", "drill", data_dir, binaries)
        kept = SavedDrill(access, "bad-image", "http://127.0.0.1:1", "http://127.0.0.1:1/x", "uid")
        if keeper is not None:
            kept_drill.save(keeper.folder, module.replace(kept, checkout=str(keeper.checkout.resolve())))
        return module.Drill(kept, None, stays=keeper is not None)

    monkeypatch.setattr(module, "_start", start)

    def make(name):
        checkout = tmp_path / name
        checkout.mkdir(exist_ok=True)
        run(checkout, keep=True)
        return checkout

    yield make
    for file in open_files:
        file.close()


def run(checkout, *, keep=False, scenario=None):
    """A run in this checkout; the folder of the drill that it used."""
    drill = start_drill(keep=keep, scenario=scenario, progress=lambda text: None, checkout=checkout)
    return Path(drill.environment.kubeconfig).parent.name


def test_each_checkout_uses_and_ends_its_own(keep, tmp_path, ended):
    first, second = keep("first"), keep("second")
    assert [run(first), run(second), run(first, keep=True)] == [
        "drill-of-first",
        "drill-of-second",
        "drill-of-first",
    ]
    assert stop_drill(second).startswith("The kept drill has ended: ")
    assert ended == ["drill-of-second"]
    assert run(first) == "drill-of-first"


def test_another_checkouts_is_neither_used_nor_ended_and_named(keep, tmp_path, ended):
    first, other = keep("first"), tmp_path / "other"
    other.mkdir()
    assert run(other) == "own"
    assert stop_drill(other) == (
        f"{NOTHING} The one of {first} was left alone: `pytest --drill-stop` ends it there."
    )
    assert ended == []
    assert run(first) == "drill-of-first"


def test_a_checkout_is_its_path_by_whatever_name_it_is_reached(keep, tmp_path):
    first = keep("first")
    (tmp_path / "link").symlink_to(first)
    assert run(tmp_path / "link") == "drill-of-first"


def test_another_checkouts_scenario_refuses_nothing(keep, tmp_path):
    first = keep("first")
    assert scenario_to_play(tmp_path / "other", "crash-loop") == "crash-loop"
    assert scenario_to_play(tmp_path / "other", None) == "crash-loop"
    assert scenario_to_play(first, None) == "bad-image"  # its checks are those of its own scenario
    with pytest.raises(UsageProblem, match="The kept drill plays the scenario 'bad-image', not 'crash-loop'"):
        scenario_to_play(first, "crash-loop")


def test_one_whose_checkout_is_gone_is_named_with_what_ends_it(keep, tmp_path):
    gone = keep("gone")
    gone.rmdir()
    assert stop_drill(tmp_path) == (
        f"{NOTHING} The one of {gone}, which is no folder any more, was left alone: `kill 4711` ends it."
    )


def test_where_none_lives_nothing_is_said_of_others(keep, tmp_path, monkeypatch):
    keep("first")
    monkeypatch.setattr(kept_drill, "is_alive", lambda kept: False)
    assert stop_drill(tmp_path) == NOTHING
