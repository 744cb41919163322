"""The last run of benchmarks/public_charts.py: every chart of the list, with no wrong verdict."""

import json
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = json.loads((ROOT / "benchmarks" / "results" / "public_charts.json").read_text())
CHARTS = tomllib.loads((Path(__file__).parent / "charts.toml").read_text())["chart"]


def test_every_chart_of_the_list_was_tried_with_both_helms():
    assert len(CHARTS) >= 12
    tried = {(each["chart"], each["helm"]) for each in RESULTS}
    assert tried == {(each["name"], major) for each in CHARTS for major in ("3", "4")}


@pytest.mark.parametrize("result", RESULTS, ids=[f"{each['chart']}-helm{each['helm']}" for each in RESULTS])
def test_no_verdict_was_wrong(result):
    assert result["wrong"] == []
