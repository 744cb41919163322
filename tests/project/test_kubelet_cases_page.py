"""docs/kubelet-cases.md says what benchmarks/kubelet_cases.py measured, and nothing in it was judged wrongly."""

import json

import pytest

from support.scripts import load_script


@pytest.fixture(scope="module")
def kubelet_cases():
    return load_script("benchmarks/kubelet_cases.py")


@pytest.fixture(scope="module")
def result(kubelet_cases):
    return json.loads(kubelet_cases.OUT.read_text())


def test_the_page_has_the_newest_measurement(kubelet_cases, result):
    assert kubelet_cases.PAGE.read_text() == kubelet_cases.render_page(result)


def test_every_case_was_played_again_and_again_and_judged_rightly(kubelet_cases, result):
    assert {each["case"] for each in result["cases"]} == set(kubelet_cases.CASES)
    assert {len(each["runs"]) for each in result["cases"]} == {3}
    assert result["counts"] == kubelet_cases.counts(result["cases"])
    wrong = ("false_greens", "false_failures", "needless_unverified", "otherwise_wrong")
    assert [result["counts"][name] for name in wrong] == [0, 0, 0, 0]
