"""Small programs around kubectl's and helm's own code, built with the drill's pinned modules."""

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


def build(source: Path) -> Path:
    """The program; go's own cache makes every build but the first one quick."""
    go = shutil.which("go")
    assert go is not None, "Go 1.26 or newer is needed (https://go.dev/dl), as for the drill"
    with TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("go.mod", "go.sum"):  # those of the drill's kubectl: the same code, compiled already
            shutil.copy(MODULES / "cluster" / part, folder)
        shutil.copy(source, folder)
        program = cache_folder(os.environ) / "test-tools" / source.stem.replace("_", "-")
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


def ask(program: Path, questions: Iterable[dict[str, Any]], *arguments: str) -> list[Any]:
    """The program's answer to each line of JSON, in order."""
    lines = "".join(json.dumps(each) + "\n" for each in questions)
    done = subprocess.run(
        [str(program), *arguments], input=lines, capture_output=True, text=True, timeout=120, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
