"""docs/forecast.md says how often the forecast was right, as benchmarks/forecast.py counted it."""

import json
import re

from support.scripts import ROOT

RESULTS = ROOT / "benchmarks" / "results"


def test_the_page_has_the_numbers_that_were_counted():
    result = json.loads((RESULTS / "forecast.json").read_text(encoding="utf-8"))
    page = " ".join((ROOT / "docs" / "forecast.md").read_text(encoding="utf-8").split())
    said = re.search(r"Of (\d+) forecasts reality contradicted (\d+), and (\d+) said unknown", page)
    counted = (result["forecasts"], len(result["contradictions"]), result["words"]["unknown"])
    assert tuple(map(int, said.groups())) == counted


def test_the_table_has_a_row_for_each_forecast():
    result = json.loads((RESULTS / "forecast.json").read_text(encoding="utf-8"))
    table = (RESULTS / "forecast.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `([^`]+)`: .*? \| ([34]) \| ([a-z ]+) \| (applied|failed) \|", table, re.MULTILINE
    )
    assert rows == [
        (
            row["situation"],
            str(row["helm"]),
            row["forecast"]["will"],
            "applied" if row["applied"] else "failed",
        )
        for row in result["rows"]
    ]
