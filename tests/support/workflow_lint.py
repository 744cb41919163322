"""zizmor and actionlint, as they find workflows and actions."""

import os
import subprocess
import sys
from pathlib import Path

ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"


def zizmor(files):
    """What it did with these files."""
    argv = [str(Path(sys.executable).with_name("zizmor")), "--offline", "--no-progress", "--no-config"]
    argv += map(str, files)
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def actionlint(files):
    """The same; it is run by go."""
    env = {**os.environ, "GOWORK": "off", "GOFLAGS": ""}
    argv = ["go", "run", ACTIONLINT, *map(str, files)]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)
