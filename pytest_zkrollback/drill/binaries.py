"""Finds the drill's programs on this machine; what is missing is built, once."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ..clients.clock import SystemClock
from ..clients.process import LocalProcesses
from ..clients.state_dir import home_folder
from ..domain.errors import DrillProblem, ProcessProblem
from ..domain.ports import Clock, Processes
from .build import Build, place
from .programs import TOOLS, Tool

_VERSION_S = 10.0


def find_binaries(
    *,
    tools: Sequence[Tool] = TOOLS,
    progress: Callable[[str], None] = lambda _: None,
    processes: Processes | None = None,
    clock: Clock | None = None,
    environ: Mapping[str, str] = os.environ,
) -> dict[str, Path]:
    """Name -> file of every one of ``tools``; left out: what a drill on kwok needs (``helm`` is Helm 4).

    Looked for in the folder that KUBEBUILDER_ASSETS names, on PATH (both only where the version serves)
    and in the cache of earlier builds; the rest is built into that cache. Raises DrillProblem.
    """
    processes = processes if processes is not None else LocalProcesses(end_on_error=True)
    cache = cache_folder(environ) / "bin"
    found: dict[str, Path] = {}
    missing: list[Tool] = []
    unfit: list[str] = []
    for tool in tools:
        path = _installed(tool, processes, environ, unfit)
        if path is not None:
            found[tool.name] = path
        elif os.access(place(cache, tool), os.X_OK):
            found[tool.name] = place(cache, tool)
        else:
            missing.append(tool)
    if missing:
        build = Build(cache, processes, clock if clock is not None else SystemClock(), progress, environ)
        found |= build.run(missing, unfit)
    return found


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Our folder in ``$XDG_CACHE_HOME``, or in the system's usual place. Raises DrillProblem."""
    base = Path(environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        try:
            home = home_folder(environ)
        except OSError as problem:
            raise DrillProblem(
                f"The drill's programs are kept in a cache folder, and {problem.strerror}. Set"
                " XDG_CACHE_HOME to a folder that can be written."
            ) from None
        base = home / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return base / "pytest-zkrollback"


def _installed(tool: Tool, processes: Processes, environ: Mapping[str, str], unfit: list[str]) -> Path | None:
    for path in _candidates(tool, environ) if tool.version_args else ():
        try:
            told = processes.run([str(path), *tool.version_args], timeout_s=_VERSION_S, env=environ).stdout
        except ProcessProblem:
            told = ""
        if re.search(tool.serves, told):
            return path
        unfit.append(f"{path} ({_first_line(told) or 'does not tell its version'}; needed: {tool.wanted})")
    return None


def _candidates(tool: Tool, environ: Mapping[str, str]) -> Iterator[Path]:
    assets = environ.get("KUBEBUILDER_ASSETS", "")
    for where in (assets, environ.get("PATH", os.defpath)):
        for name in tool.names:
            path = shutil.which(name, path=where) if where else None
            if path is not None:
                yield Path(path).absolute()


def _first_line(text: str) -> str:
    return next((line.strip()[:80] for line in text.splitlines() if line.strip()), "")
