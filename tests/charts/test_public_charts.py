"""The results of benchmarks/public_charts.py: charts of the list, with no wrong verdict."""

import json
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = json.loads((ROOT / "benchmarks" / "results" / "public_charts.json").read_text())
CHARTS = tomllib.loads((Path(__file__).parent / "charts.toml").read_text())["chart"]


def test_both_helms_were_tried_and_every_chart_is_one_of_the_list():
    assert {each["helm"] for each in RESULTS} == {"3", "4"}
    assert {each["chart"] for each in RESULTS} <= {each["name"] for each in CHARTS}
    assert len({each["name"] for each in CHARTS}) == len(CHARTS)


@pytest.mark.parametrize("result", RESULTS, ids=[f"{each['chart']}-helm{each['helm']}" for each in RESULTS])
def test_no_verdict_was_wrong(result):
    assert result["wrong"] == []
