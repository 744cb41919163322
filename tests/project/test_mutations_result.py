"""What benchmarks/mutations.py last wrote: a thousand seeds of either side, and none judged wrongly."""

import json

import pytest

from support.scripts import load_script


@pytest.fixture(scope="module")
def campaign():
    return load_script("benchmarks/mutations.py")


@pytest.fixture(scope="module")
def result(campaign):
    return json.loads(campaign.OUT.read_text())


@pytest.mark.parametrize("side", ["harmful", "harmless"])
def test_a_thousand_seeds_of_every_kind_were_played(campaign, result, side):
    found = result[side]
    assert found["seeds"] == 1000
    assert found["kinds"].keys() == set(campaign.SIDES[side])
    assert all(each["seeds"] for each in found["kinds"].values())
    assert sum(found["verdicts"].values()) == 1000


def test_nothing_that_is_wrong_was_green_and_nothing_that_is_right_failed(result):
    assert [result[name] for name in ("false_greens", "false_failures", "not_played")] == [0, 0, 0]
