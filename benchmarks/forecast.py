"""Forecast against reality: every situation with both majors of helm, on the drill cluster.

Writes benchmarks/results/forecast.json and forecast.md beside it. A contradiction is a "will apply" that
fails, a "will fail" that applies, or one that fails on other objects. Names of situations may be given.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from pytest_zkrollback.drill.binaries import find_binaries  # noqa: E402
from pytest_zkrollback.drill.local_cluster import start_cluster  # noqa: E402
from pytest_zkrollback.drill.programs import HELM3, TOOLS  # noqa: E402
from support.forecast_reality import Outcome, play  # noqa: E402
from support.forecast_situations import SITUATIONS  # noqa: E402

_HEAD = """# Forecast against reality

Made by `benchmarks/forecast.py`: each situation was made on the drill cluster with the real helm, forecast by
server-side dry runs, and then really rolled back. A forecast says "will apply", "will fail" (and on which
objects), or "unknown" where no dry run can tell. Contradicted by reality: {wrong} of {total}. Unknown:
{unknown}.

| Situation | Helm | Forecast | Reality | On what, and why |
|---|---|---|---|---|
"""


def row(each: Outcome) -> str:
    """One line of the table."""
    why = "; ".join(
        dict.fromkeys(
            [f"`{one.what}`: {one.cause}" for one in each.forecast.failing] + [*each.forecast.unknown]
        )
    )
    why = why.replace("|", "\\|").replace("\n", " ")
    reality = "applied" if each.applied else "failed"
    about = each.about.replace("|", "\\|")
    return f"| `{each.situation}`: {about} | {each.major} | {each.forecast.will} | {reality} | {why} |"


def main() -> int:
    """0 without a contradiction."""
    wanted = sys.argv[1:]
    binaries = find_binaries(tools=(*TOOLS, HELM3), progress=print)
    running = start_cluster(binaries)
    found: list[Outcome] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for situation in SITUATIONS:
                if wanted and situation.name not in wanted:
                    continue
                for major in situation.majors:
                    outcome = play(situation, running.cluster, major, Path(folder))
                    found.append(outcome)
                    state = outcome.contradiction or f"{outcome.forecast.will}, {outcome.applied=}"
                    print(f"{situation.name} helm {major}: {state}"[:600], flush=True)
    finally:
        running.close()
    wrong = [each for each in found if each.contradiction]
    unknown = [each for each in found if each.forecast.will == "unknown"]
    print(f"{len(found)} forecasts, {len(wrong)} contradicted, {len(unknown)} unknown")
    if not wanted:
        result = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "situations": len(SITUATIONS),
            "forecasts": len(found),
            "words": Counter(str(each.forecast.will) for each in found),
            "contradictions": [[each.situation, each.major, each.contradiction] for each in wrong],
            "rows": [
                {
                    "situation": each.situation,
                    "helm": each.major,
                    "forecast": each.forecast.model_dump(mode="json"),
                    "applied": each.applied,
                    "restarts": each.forecast.restarts,
                }
                for each in found
            ],
        }
        out = ROOT / "benchmarks" / "results" / "forecast.json"
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        head = _HEAD.format(wrong=len(wrong), total=len(found), unknown=len(unknown))
        table = "\n".join(row(each) for each in found)
        out.with_suffix(".md").write_text(f"{head}{table}\n", encoding="utf-8")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
