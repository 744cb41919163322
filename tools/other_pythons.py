"""Runs the tests without a cluster on another CPython >= 3.11, the farthest that is found (PATH, pyenv)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).with_name("uv")
# What a cluster, a browser or Go decides is the same on every Python, and so is what docs and code say.
ELSEWHERE = {"browser", "differential", "drill", "project"}
SUITES = sorted({path.parent.name for path in ROOT.glob("tests/*/test_*.py")} - ELSEWHERE)
# As in the Makefile.
OPTIONS = ("-n", "2", "--dist", "loadfile", "--reruns", "1")
ASK = "import sys; print('%d.%d' % sys.version_info[:2], sys.implementation.name, sys.executable)"


def found() -> dict[str, str]:
    """Version ('3.12') -> interpreter, without the one that runs this."""
    names = [f"python3.{minor}" for minor in range(11, 20)]
    candidates = [path for name in names if (path := shutil.which(name))]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates += [str(path) for name in names for path in sorted(pyenv.glob(f"*/bin/{name}"))]
    interpreters: dict[str, str] = {}
    for candidate in candidates:
        # A pyenv shim may exist and still not run.
        answer = subprocess.run([candidate, "-c", ASK], capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            version, implementation, executable = answer.stdout.split(maxsplit=2)
            if implementation == "cpython":
                interpreters.setdefault(version, executable.strip())
    interpreters.pop(f"{sys.version_info.major}.{sys.version_info.minor}", None)
    return interpreters


def main() -> int:
    """0 if the tests are green there; the interpreter gets a .venv-3.N of its own."""
    interpreters = found()
    if not interpreters:
        print("No other Python >= 3.11 was found: the tests run on this one only.")
        return 0
    # What breaks in the middle of the range breaks at an end, too: this one and the farthest are tried.
    here = sys.version_info.minor
    version = max(interpreters, key=lambda each: abs(int(each.partition(".")[2]) - here))
    print(f"--- tests without a cluster on Python {version}", flush=True)
    venv = ROOT / f".venv-{version}"
    if not (venv / "bin" / "python").exists():
        subprocess.run([UV, "venv", "--quiet", "--python", interpreters[version], venv], check=True)
    python = str(venv / "bin" / "python")
    install = [UV, "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    subprocess.run([*install, "--require-hashes", "-r", ROOT / "requirements" / "dev.txt"], check=True)
    subprocess.run([*install, "--no-deps", "--no-build-isolation", "--editable", ROOT], check=True)
    return run_tests(python)


def run_tests(python: str) -> int:
    """The exit code of the tests without a cluster, run by this interpreter."""
    argv = [python, "-m", "pytest", "-q", *(f"tests/{name}" for name in SUITES), *OPTIONS]
    env = {**os.environ, "ZKROLLBACK_PROFILE": "few"}
    return subprocess.run(argv, cwd=ROOT, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
