"""The drill's README says what benchmarks/drill_venues.py measured, and the places agree."""

import json

import pytest

from support.scripts import load_script


@pytest.fixture(scope="module")
def drill_venues():
    return load_script("benchmarks/drill_venues.py")


@pytest.fixture(scope="module")
def result(drill_venues):
    return json.loads(drill_venues.OUT.read_text())


def test_the_drills_readme_has_the_tables_of_the_newest_measurement(drill_venues, result):
    told = drill_venues.README.read_text().split(drill_venues.BEGIN)[1].split(drill_venues.END)[0]
    assert told.strip() == drill_venues.render_tables(result).strip()


def test_every_scenario_was_played_on_kwok_and_on_a_kubelet_with_the_same_verdicts(drill_venues, result):
    for name in ("kwok", "kubelet"):
        assert set(result["venues"][name]["scenarios"]) == set(drill_venues.PLAYED)
        assert result["venues"][name]["times_s"]
    assert drill_venues.differences(result) == []


def test_another_verdict_and_another_outcome_are_differences(drill_venues, result):
    run = result["venues"]["kubelet"]["scenarios"]["crash-loop"]
    told = {**run, "verdicts": {**run["verdicts"], "events": "FAIL"}, "outcome": "failed"}
    venues = {"kwok": result["venues"]["kwok"], "kubelet": {"scenarios": {"crash-loop": told}}}
    assert [line.partition(":")[0] for line in drill_venues.differences({"venues": venues})] == [
        "crash-loop",
        "crash-loop in kubelet",
    ]
