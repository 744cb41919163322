"""Builds the drill's programs with the ordinary go command, from the committed go.mod and go.sum."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..domain.errors import DrillProblem, ProcessProblem
from ..domain.ports import Clock, Processes
from .locks import exclusive
from .programs import MODULES, Tool

_BUILD_S = 3600.0
_PROGRESS_EVERY_S = 5.0


class Build:
    """Builds into the cache, one at a time; a second run waits and then finds the work done."""

    def __init__(
        self,
        cache: Path,
        processes: Processes,
        clock: Clock,
        progress: Callable[[str], None],
        environ: Mapping[str, str],
    ) -> None:
        """``cache``: where each program is moved to (:func:`place`), complete or not at all."""
        self._cache = cache
        self._processes = processes
        self._clock = clock
        self._progress = progress
        self._environ = environ

    def run(self, missing: Sequence[Tool], unfit: Sequence[str]) -> dict[str, Path]:
        """Build ``missing``; ``unfit`` says which programs were found and do not serve."""
        go = shutil.which("go", path=self._environ.get("PATH"))
        if go is None:
            raise DrillProblem(_no_go(missing, unfit))
        compiler = self._environ.get("CC", "gcc")
        for tool in missing:
            if tool.cgo and shutil.which(compiler, path=self._environ.get("PATH")) is None:
                raise DrillProblem(
                    f"The drill's {tool.name} has C code and there is no {compiler} to build it: install gcc"
                    " and the C library's headers (Debian: apt-get install gcc libc6-dev)."
                )
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            with exclusive(
                self._cache.with_name(f"{self._cache.name}.lock"),
                lambda: self._progress("Another run is building the drill's programs; waiting for it"),
            ):
                self._build(go, [tool for tool in missing if not place(self._cache, tool).exists()])
        except OSError as error:
            raise DrillProblem(
                f"The drill's programs cannot be built into {self._cache}: {error.strerror}. Set"
                " XDG_CACHE_HOME to a folder with 1 GB of room."
            ) from None
        return {tool.name: place(self._cache, tool) for tool in missing}

    def _build(self, go: str, tools: Sequence[Tool]) -> None:
        begun = self._clock.monotonic_s()
        # Under the lock there is no other: what lies here was left by a build that was killed.
        work = self._cache.with_name(f"{self._cache.name}.building")
        shutil.rmtree(work, ignore_errors=True)
        try:
            for number, tool in enumerate(tools, 1):
                folder = work / tool.folder
                if not folder.exists():
                    shutil.copytree(MODULES / tool.folder, folder)
                what = f"Building {tool.name} {tool.version} ({number} of {len(tools)})"
                shown = _Progress(what, _usual(tools), begun, self._clock, self._progress)
                self._go_build(go, tool, folder, shown)
                target = place(self._cache, tool)
                target.parent.mkdir(exist_ok=True)
                (folder / tool.name).replace(target)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _go_build(self, go: str, tool: Tool, folder: Path, progress: _Progress) -> None:
        argv = [go, "build", "-v", *tool.build_flags, "-o", tool.name, tool.package]
        env = go_env(self._environ) | ({"CGO_ENABLED": "1"} if tool.cgo else {})
        env |= {"GOOS": tool.system} if tool.system else {}
        try:
            done = self._processes.run(argv, timeout_s=_BUILD_S, env=env, cwd=folder, on_line=progress.line)
        except ProcessProblem as problem:
            raise DrillProblem(f"The drill's {tool.name} could not be built: {problem}") from None
        if done.exit_code != 0:
            ended = "was ended after an hour" if done.timed_out else f"ended with exit code {done.exit_code}"
            last = "\n".join(f"  {line}" for line in done.stderr.splitlines()[-12:])
            raise DrillProblem(
                f"The drill's {tool.name} could not be built: go build {ended}. Go 1.26 or newer, its module"
                f" proxy and about 8 GB of room for its caches are needed. Its last words:\n{last}"
            )


def place(cache: Path, tool: Tool) -> Path:
    """Where a program lies in the cache: what goes into it names its folder."""
    return cache / tool.digest / tool.name


class _Progress:
    """go's output, condensed to a line every few seconds."""

    def __init__(
        self, what: str, usual: str, begun: float, clock: Clock, progress: Callable[[str], None]
    ) -> None:
        self._what = what
        self._usual = usual
        self._begun = begun
        self._clock = clock
        self._progress = progress
        self._packages = self._downloads = 0
        self._next = clock.monotonic_s()
        self._show()

    def line(self, line: str) -> None:
        if line.startswith("go: downloading "):
            self._downloads += 1
        else:
            self._packages += 1
        if self._clock.monotonic_s() >= self._next:
            self._show()

    def _show(self) -> None:
        now = self._clock.monotonic_s()
        self._next = now + _PROGRESS_EVERY_S
        done = f"{self._packages} packages compiled" if self._packages else "begun"
        if self._downloads and not self._packages:
            done = f"{self._downloads} modules downloaded"
        self._progress(f"{self._what}: {done}; {now - self._begun:.0f} s in all so far, {self._usual}")


def _usual(tools: Sequence[Tool]) -> str:
    """How long a first build takes; what has no module is ours, and small."""
    folders = {tool.folder for tool in tools if tool.module}
    if not folders:
        return "usually less than a minute on 2 cores, once"
    if folders == {"prometheus"}:
        return "usually 2 to 6 minutes on 2 cores, once"
    few, many = ("10", "25") if any(tool.folder == "node" for tool in tools) else ("7", "20")
    return f"usually {few} to {many} minutes on 2 cores, once"


def go_env(environ: Mapping[str, str]) -> dict[str, str]:
    """The user's environment without what would build something else.

    GOFLAGS is not empty, because an empty one lets a ``go env -w GOFLAGS=...`` through.
    """
    kept = {name: value for name, value in environ.items() if name not in ("GOOS", "GOARCH", "GOBIN")}
    return {**kept, "GOWORK": "off", "GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0", "GO111MODULE": "on"}


def _no_go(missing: Sequence[Tool], unfit: Sequence[str]) -> str:
    names = ", ".join(f"{tool.name} {tool.wanted}" for tool in missing)
    found = f" (found, but it does not serve: {'; '.join(unfit)})" if unfit else ""
    return (
        f"The drill needs {names}{found}, and there is no go command to build what is missing: install Go"
        f" 1.26 or newer (it is then built, {_usual(missing)}), or put these programs on PATH or into the"
        " folder that KUBEBUILDER_ASSETS names."
    )
