"""An operator who does exactly what the last lines say, in random incidents: nothing gets worse by it.

`make campaign` plays thirty of them (benchmarks/incidents.py).
"""

import pytest

from support.random_incidents import Operator


@pytest.mark.parametrize("seed", [0, pytest.param(3, marks=pytest.mark.campaign)])
def test_whatever_is_proposed_makes_nothing_worse(running_cluster, binaries, helm3, tmp_path, seed):
    name, helm = (("helm", binaries["helm"]), ("helm3", helm3))[seed % 2]
    story = Operator(running_cluster, tmp_path / "incident", seed, name, helm).play()
    assert story.wrong == [], story
    assert story.end == "restored" or story.steps[-1].said, story
