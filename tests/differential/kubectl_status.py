"""kubectl's own answers, from its own code: ``kubectl_status.go``, built with the drill's pinned modules."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pytest_zkrollback.drill.binaries import cache_folder
from pytest_zkrollback.drill.build import go_env
from pytest_zkrollback.drill.programs import MODULES

_SOURCE = Path(__file__).with_suffix(".go")


def build() -> Path:
    """The program; go's own cache makes every build but the first one quick."""
    go = shutil.which("go")
    assert go is not None, "Go 1.26 or newer is needed (https://go.dev/dl), as for the drill"
    with TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("go.mod", "go.sum"):  # those of the drill's kubectl: the same code, compiled already
            shutil.copy(MODULES / "cluster" / part, folder)
        shutil.copy(_SOURCE, folder)
        program = cache_folder(os.environ) / "test-tools" / "kubectl-status"
        argv = [go, "build", "-trimpath", "-ldflags", "-s -w", "-o", str(program), "."]
        done = subprocess.run(
            argv,
            cwd=folder,
            env=go_env(os.environ),
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return program


def ask(program: Path, objects: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """``{message, done, error}`` for each object, in order."""
    lines = "".join(json.dumps(each) + "\n" for each in objects)
    done = subprocess.run(
        [str(program)], input=lines, capture_output=True, text=True, timeout=120, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
