"""The drill tests that pods decide, on a kubelet and containerd of our own: `make kubelet-test`.

    python benchmarks/kubelet_tests.py

Needs Linux and root. What each test said and took is written to benchmarks/results/kubelet_tests.json, with
the machine and the date. The exit code is pytest's.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
OUT = Path(__file__).parent / "results" / "kubelet_tests.json"
FILES = (
    "test_on_both.py",
    "test_helm_wait.py",
    "test_kubelet_node.py",
    "test_kubelet_context.py",
    "test_kubelet_cases.py",
)


def main() -> int:
    """Run them and keep the result."""
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder, "junit.xml")
        argv = [sys.executable, "-m", "pytest", "--cluster=kubelet", f"--junitxml={junit}"]
        argv += [f"tests/drill/{name}" for name in FILES]
        code = subprocess.run(argv, cwd=ROOT, check=False).returncode
        cases = ET.parse(junit).getroot().iter("testcase")
        tests = [
            {
                "test": f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}",
                "outcome": next((child.tag for child in case if child.tag != "properties"), "passed"),
                "seconds": round(float(case.get("time", 0)), 1),
            }
            for case in cases
        ]
    result = {
        "at": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "passed": sum(each["outcome"] == "passed" for each in tests),
        "tests": tests,
    }
    OUT.write_text(json.dumps(result, indent=1) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
