"""Helm at most once per intent, and no wrong claim, whatever happens in between: 120 random sequences.

`make campaign` plays 10,000 (benchmarks/sequences.py).
"""

import time

import pytest

from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.rollback.lock import ReleaseLock
from support.sequences import Tally, World, play


def test_whatever_happens_there_is_no_double_rollback_and_no_wrong_claim(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    tally = play(range(120), tmp_path)
    assert tally.double_rollbacks == []
    assert tally.wrong_claims == []
    assert tally.slips == []
    # The sequences are worth something: helm ran often, we were killed often, and others were refused.
    assert tally.helm > 120
    assert tally.kills > 20
    assert tally.refused > 40


def test_a_version_that_runs_is_not_gone_back_to_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    tally = play(range(120), tmp_path, versions=True)
    assert tally.double_rollbacks == []
    assert tally.wrong_claims == []
    assert tally.slips == []
    assert tally.by_version > 60
    assert tally.kills > 20


@pytest.mark.parametrize("threads", [True, False])
def test_helms_end_is_on_disk_before_the_lock_is_given_back(tmp_path, monkeypatch, threads):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    helm = tmp_path / "helm"
    helm.touch(mode=0o755)
    world = World(0, helm, Tally())
    on_disk = []
    recorder, give_back = world._recorder, ReleaseLock.release_lock

    def slow(*args):
        made = recorder(*args)
        write = made._write
        made._write = lambda record: (time.sleep(0.02), write(record))
        if not threads:
            made.write_async = lambda **_: None  # as where none is to be had
        return made

    def look(self, run_id, outcome):
        rollback = next(item for item in world.on_disk.items if item.id == "rollback")
        on_disk.append((world.on_disk.helm.running, world.on_disk.helm.exit_code, rollback.verdict))
        return give_back(self, run_id, outcome)

    monkeypatch.setattr(world, "_recorder", slow)
    monkeypatch.setattr(ReleaseLock, "release_lock", look)
    world.run("ann", 2)
    assert on_disk == [(False, 0, Verdict.PASS)]
