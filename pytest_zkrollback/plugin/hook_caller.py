"""Asks the repository's hooks on behalf of a run, which knows no pytest."""

from __future__ import annotations

import traceback
from functools import partial
from pathlib import Path
from typing import Any

from ..clients.threads import submit
from ..domain.errors import HookProblem


class Relay:
    """The hooks of ``hookspecs.py``; ``hook`` is pytest's ``config.hook``."""

    def __init__(self, hook: Any) -> None:
        """Nothing is asked yet."""
        self._hook = hook

    def answers(self, hook: str, timeout_s: float = 10.0, **facts: object) -> tuple[object, ...]:
        """What each implementation gave, in the order of their registration; none: empty.

        Raises HookProblem that names the place if one of them raises, whatever it raises, and if they take
        longer than ``timeout_s``: they are asked in a thread, for helm waits for no hook.
        """
        called = getattr(self._hook, hook)
        without = _without(called, facts.get("environment"))
        heard = submit(f"zkrollback-{hook}", partial(called, **facts))
        try:
            error = heard.exception(timeout=timeout_s)
        except TimeoutError:
            raise HookProblem(f"{hook} gave no answer within {timeout_s:g} s", without) from None
        if error is not None:
            where = _first_frame_of_the_hook(error)
            name, place = type(error).__name__, f"{Path(where.filename).name}, line {where.lineno}"
            raise HookProblem(f"{hook} raised {name} in {place}: {error}", without)
        return tuple(reversed(heard.result()))  # pluggy asks the newest first


def _without(called: Any, environment: object) -> str:
    """The options that leave out whoever implements the hook (pluggy's HookCaller)."""
    names = [each.plugin_name for each in getattr(called, "get_hookimpls", list)()]
    plugins = [name for name in names if Path(name).name != "conftest.py"]
    options = [f"-p no:{name}" for name in plugins]
    if len(plugins) < len(names):  # --env is a conftest.py's, too
        options.insert(0, f"--noconftest --zkrollback-env={environment}")
    return " ".join(options)


def _first_frame_of_the_hook(error: BaseException) -> traceback.FrameSummary:
    """Where the hook's own code stood: below pluggy, above whatever it called."""
    frames = traceback.extract_tb(error.__traceback__)
    pluggys = [index for index, frame in enumerate(frames) if Path(frame.filename).parent.name == "pluggy"]
    return frames[min(max(pluggys, default=-1) + 1, len(frames) - 1)]
