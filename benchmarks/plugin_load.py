"""What the installed plugin costs a project that does not use it: `pytest --collect-only`, paired.

Prints, and writes to benchmarks/results/plugin_load.json, the time of `pytest --collect-only -q` in an
unrelated project with the plugin and with `-p no:zkrollback`, run in turn. The claim: at most 30 ms more,
in the median.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

RUNS = 40
WARM_UP = 5
LIMIT_MS = 30


def collect_ms(folder: str, *args: str) -> float:
    """Wall milliseconds of one `pytest --collect-only`."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *args]
    subprocess.run(argv, cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


def main() -> int:
    """0 if the claim holds."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_one.py").write_text("def test_one():\n    pass\n", encoding="utf-8")
        pairs = []
        for number in range(WARM_UP + RUNS):
            pair = (collect_ms(folder), collect_ms(folder, "-p", "no:zkrollback"))
            if number >= WARM_UP:
                pairs.append(pair)
    differences = [with_us - without for with_us, without in pairs]
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "runs": RUNS,
        "with_plugin_median_ms": round(statistics.median(pair[0] for pair in pairs), 1),
        "without_plugin_median_ms": round(statistics.median(pair[1] for pair in pairs), 1),
        "difference_median_ms": round(statistics.median(differences), 1),
        "difference_quartiles_ms": [round(value, 1) for value in statistics.quantiles(differences, n=4)],
        "limit_ms": LIMIT_MS,
        "pairs_ms": [[round(value, 1) for value in pair] for pair in pairs],
    }
    out = Path(__file__).parent / "results" / "plugin_load.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({key: value for key, value in result.items() if key != "pairs_ms"}, indent=2))
    return 0 if result["difference_median_ms"] <= LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
