"""Runs the tests without a cluster with the oldest versions that pyproject.toml allows, on another Python.

One run holds both, the lower bounds and the other Python: each costs minutes. A bound is true only if it
holds on every Python that we name: a version that cannot be installed on one of them is no bound.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

from other_pythons import ROOT, UV, found, run_tests

VENV = ROOT / ".venv-lowest"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, GROUPS = PYPROJECT["project"], PYPROJECT["dependency-groups"]
EXTRAS = PROJECT["optional-dependencies"]
PYTHONS = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["classifiers"]))


def tools() -> list[str]:
    """What the tests themselves need, at the locked versions; our own dependencies are left out."""
    lines = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    # The site is made on one Python; its tools have other locked versions on others.
    groups = [group for name, group in GROUPS.items() if name != "docs"]
    wanted = {_name(each) for group in groups for each in group if isinstance(each, str)}
    wanted -= {_name(each) for extra in (PROJECT["dependencies"], *EXTRAS.values()) for each in extra}
    locked = re.findall(r"^(([\w.-]+)==[^\s;]+)", lines, re.MULTILINE)
    return [pinned for pinned, name in locked if name in wanted]


def _name(requirement: str) -> str:
    return re.split(r"[\[>=<!~; ]", requirement)[0].lower()


def main() -> int:
    """0 if the tests are green there."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    others = {version: path for version, path in found().items() if version in PYTHONS}
    # What breaks in the middle of the range breaks at an end, too.
    version = max(others, key=lambda each: abs(int(each[2:]) - sys.version_info.minor), default=here)
    print(f"--- tests without a cluster with the lowest versions, on Python {version}", flush=True)
    python = str(VENV / "bin" / "python")
    make = [UV, "venv", "--quiet", "--clear", "--python", others.get(version, sys.executable), VENV]
    subprocess.run(make, check=True)
    install = [UV, "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    ours = ["--editable", f"{ROOT}[{','.join(EXTRAS)}]"]
    subprocess.run([*install, "--resolution", "lowest-direct", *ours, *tools()], check=True)
    return run_tests(python)


if __name__ == "__main__":
    sys.exit(main())
