"""Killed at random moments (faults 23 and 25): the whole is benchmarks/kills.py."""

from support.incident import Incident
from support.kills import Killer, Tally


def test_fault_25_killed_anywhere_the_files_agree_with_the_audit_log(running_cluster, binaries, tmp_path):
    incident = Incident(running_cluster, tmp_path, binaries["helm"])
    tally = Tally()
    killer = Killer(incident, seed=1, tally=tally)
    for part in (0.2, 0.5, 0.8):
        killer.kill(part)
    incident.close()
    assert tally.wrong == []
    assert tally.helm_made_a_revision > 0
    assert len(tally.moments) > 1
