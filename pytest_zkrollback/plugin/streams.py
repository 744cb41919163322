"""Standard output and error that cannot stop a run and say no secret: telling is not acting."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TextIO, cast

import pytest

from ..report.formatting import fitted
from ..report.styled_lines import Line, plain

# What pytest calls a style that rich has by another name.
_PYTESTS = {"dim": "light", "magenta": "purple"}
# What a line of the last ones begins with, as pytest's reporter colours it.
_COLOURS = {
    "VERIFIED": "green",
    "FAILED": "red",
    "FAIL": "red",
    "REFUSED": "red",
    "UNVERIFIED": "purple",
    "INTERRUPTED": "purple",
}


class _Guarded:
    """Hands everything on to a stream, without secrets, and swallows what it cannot write."""

    def __init__(self, stream: TextIO, descriptor: int) -> None:
        self._stream = stream
        self._descriptor = descriptor
        self.clean: Callable[[str], str] = str

    def write(self, text: str) -> int:
        try:
            return self._stream.write(self.clean(text))
        except (OSError, ValueError):
            self._give_up()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._give_up()

    def _give_up(self) -> None:
        """Nobody listens any more; the interpreter's own last flush must not fail either."""
        self._stream = io.StringIO()
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._descriptor)
            os.close(null)
        except OSError:
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard_streams(clean: Callable[[str], str]) -> None:
    """No word that cannot be written ends the session, and none is written that ``clean`` takes out.

    Called before pytest's reporter is made, and again whenever pytest's capture has put its own streams back.
    """
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        setattr(sys, name, guarded(getattr(sys, name), descriptor, clean))


@contextmanager
def real_terminal(config: pytest.Config, clean: Callable[[str], str]) -> Iterator[None]:
    """The terminal itself, at the beginning of a line: capture is suspended as for pytest's live log."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    capture = config.pluginmanager.get_plugin("capturemanager")
    with nullcontext() if capture is None else capture.global_and_fixture_disabled():
        guard_streams(clean)
        if reporter is not None:
            reporter.ensure_newline()
        yield


def guarded(stream: TextIO | None, descriptor: int, clean: Callable[[str], str]) -> TextIO:
    """``stream`` (None: nobody listens) with a guard, one at most."""
    if not isinstance(stream, _Guarded):
        stream = cast("TextIO", _Guarded(stream if stream is not None else io.StringIO(), descriptor))
    cast("_Guarded", stream).clean = clean
    return stream


def write_styled(render: Callable[[int], list[Line]]) -> None:
    """Lines on standard output: on a terminal in colours and fitted to its width, else plain."""
    if not sys.stdout.isatty():
        sys.stdout.write(f"{plain(render(0))}\n")
    else:
        from rich.console import Console
        from rich.text import Text

        console = Console(file=sys.stdout, highlight=False)
        for line in render(shutil.get_terminal_size().columns):
            console.print(Text.assemble(*line), soft_wrap=True)
    sys.stdout.flush()


def write_last(reporter: Any, render: Callable[[int], list[Line]], text: str) -> None:
    """A table, where there is one, and the last lines, by pytest's reporter if there is one; on a terminal
    sentences break between words."""
    if reporter is None:
        sys.stdout.write("".join(f"{part}\n" for part in (plain(render(0)), text) if part))
        return
    reporter.ensure_newline()
    width = _width(reporter)
    table = render(width)
    for line in [(), *table, *([()] if table else [])]:
        for span in line:
            reporter.write(span.text, **{_PYTESTS.get(name, name): True for name in span.style.split()})
        reporter.write("\n")
    for said in text.splitlines():
        word, written = said.partition(" ")[0].rstrip(":"), "\n".join(_fitted(said, width))
        reporter.write(word, **({_COLOURS[word]: True, "bold": True} if word in _COLOURS else {}))
        reporter.write(f"{written[len(word) :]}\n")


def fit_headers(headers: list[Any], ours: Sequence[str], config: pytest.Config) -> list[Any]:
    """pytest's header without its list of plugins, and our lines; pytest shows the last ones first."""
    kept = [
        each if isinstance(each, str) else [line for line in each if not line.startswith("plugins: ")]
        for each in headers
    ]
    return [*kept, *(fit_header(line, config) for line in reversed(ours))]


def copy_for_user(path: Path, wanted: str, note: Callable[[str], object]) -> None:
    """Copy the page to where the user's --html says; what is wrong is noted."""
    try:
        Path(wanted).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, wanted)
    except OSError as error:
        note(f"--html={wanted} could not be written: {error}")


def fit_header(text: str, config: pytest.Config) -> list[str]:
    """A line of pytest's header, broken between words where it is longer than the terminal is wide."""
    return _fitted(text, _width(config.pluginmanager.get_plugin("terminalreporter")))


def _fitted(text: str, width: int) -> list[str]:
    return (fitted(text, width) if width else text).splitlines()


def _width(reporter: Any) -> int:
    """The terminal's columns; 0: what pytest says goes elsewhere."""
    isatty = getattr(reporter, "isatty", False)  # a method; before pytest 8.4 a boolean
    return shutil.get_terminal_size().columns if (isatty() if callable(isatty) else isatty) else 0
