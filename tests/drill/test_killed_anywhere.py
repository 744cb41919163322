"""Killed in each part of a run (faults 23 and 25); at random moments: benchmarks/kills.py."""

from support.incident import Incident
from support.kills import HELM_ENDED, HELM_RUNS, PREFLIGHT, Killer, Tally


def test_fault_25_killed_anywhere_the_files_agree_with_the_audit_log(running_cluster, binaries, tmp_path):
    incident = Incident(running_cluster, tmp_path, binaries["helm"])
    tally = Tally()
    killer = Killer(incident, seed=1, tally=tally)
    for moment in (PREFLIGHT, HELM_RUNS, HELM_ENDED):
        killer.kill(moment)
    incident.close()
    assert tally.wrong == []
    assert tally.helm_made_a_revision == 2
    assert (tally.kills, tally.moments[PREFLIGHT]) == (3, 1)
