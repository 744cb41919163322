"""What benchmarks/kubelet_leftovers.py last wrote: twenty kubelet drills in a row, and nothing of them stayed."""

import json

from support.scripts import load_script


def test_twenty_runs_were_verified_and_nothing_stayed():
    result = json.loads(load_script("benchmarks/kubelet_leftovers.py").OUT.read_text())
    assert (result["runs"], result["verified"]) == (20, 20)
    assert (result["left"], result["gone"]) == ({}, {})
