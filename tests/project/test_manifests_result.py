"""What benchmarks/manifests.py last wrote: ten thousand manifests, read beside helm's own code and played through."""

import json

from support.scripts import load_script


def test_ten_thousand_manifests_were_read_and_played_and_nothing_was_wrong():
    result = json.loads(load_script("benchmarks/manifests.py").OUT.read_text())
    assert (result["manifests"], result["wrong"]) == (10_000, {})
    assert sum(result["reading"].values()) == sum(result["runs"].values()) == 10_000
