"""What the operator sees while the run waits: a live table on a terminal, one line per change elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Self

from ..clients.threads import start_thread
from ..domain.ports import Clock
from ..domain.record import Mode, Outcome, Record
from ..report.outcome import choose_outcome
from ..report.sanitize import inert_line
from ..report.terminal import render_progress_line, render_waiting_line, render_warning_lines

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

_REFRESH_PER_S = 8
_SAID_EVERY_S = 10.0


class Display:
    """Draws the record that ``fetch`` gives; every text has passed the redactor before."""

    def __init__(
        self,
        fetch: Callable[[], Record],
        clock: Clock,
        stream: IO[str],
        clean: Callable[[str], str] = lambda text: text,
    ) -> None:
        """``stream`` is the real terminal (pytest's capture is off in the runtestloop wrapper).

        ``clean`` takes secrets out of what :meth:`status` is told.
        """
        self._clean = clean
        self._fetch = fetch
        self._clock = clock
        self._stream = stream
        self._status = ""
        self._last_change = ""
        self._lock = threading.Lock()
        self._live: Live | None = None
        self._warned: set[str] = set()
        self._ended = False
        self._over = threading.Event()
        self._asking = False
        self._error: type[BaseException] | None = None
        if stream.isatty():
            from rich.console import Console

            console = Console(file=stream, highlight=False)
            if not console.is_dumb_terminal:
                self._live = self._drawn_on(console)

    def __enter__(self) -> Self:
        """Begin on a line of its own."""
        self._write("\n")
        if self._live is not None:
            self._live.start()
        else:
            start_thread("zkrollback-waiting", self._say_what_is_waited_for)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Draw the last state, which stays on the screen; an exception of ``kind`` ended the run."""
        self._ended = True
        self._over.set()
        self._error = kind
        if self._live is not None:
            self._live.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The terminal is somebody else's, to ask a question on it."""
        self._asking = True
        if self._live is not None:
            self._live.stop()
        try:
            yield
        finally:
            self._asking = False
            if self._live is not None:
                # A new one: the old one would draw over what stands on the screen since it was stopped.
                self._live = self._drawn_on(self._live.console)
                self._live.start()

    def status(self, text: str) -> None:
        """One line about what is going on now."""
        text = inert_line(self._clean(text))  # a script's own words: no escape sequence reaches the terminal
        self._status = text
        if self._live is None:
            self._line(text)

    def changed(self) -> None:
        """The record changed: a terminal redraws by itself, elsewhere a line says what is new.

        What warned has a line of its own, on a terminal above what is redrawn.
        """
        record = self._fetch()
        for warning in render_warning_lines(record):
            if warning not in self._warned:
                self._warned.add(warning)
                self._line(warning)
        if self._live is None:
            text = render_progress_line(record, self._clock.now())
            news = text.rpartition(" (")[0]  # an item that is looked at anew changes no more than the count
            if news != self._last_change:
                self._last_change = news
                self._line(text)

    def _drawn_on(self, console: Console) -> Live:
        from rich.live import Live

        return Live(
            get_renderable=self._render,
            console=console,
            refresh_per_second=_REFRESH_PER_S,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def _line(self, text: str) -> None:
        with self._lock, suppress(OSError, ValueError):
            if self._live is None:
                self._write(text + "\n")
            else:
                self._live.console.print(text, markup=False, emoji=False, highlight=False)

    def _say_what_is_waited_for(self) -> None:
        """On a pipe, so that nobody takes a run that waits for one that hangs."""
        while not self._over.wait(_SAID_EVERY_S):
            if not self._asking:
                self._line(render_waiting_line(self._fetch(), self._clock.now(), self._status))

    def _render(self) -> RenderableType:
        from rich.console import Group

        from ..report.live_table import render_live, render_status

        record, now = self._fetch(), self._clock.now()
        if not self._ended:
            return Group(render_live(record, now), render_status(self._status))
        if record.outcome is Outcome.RUNNING:  # the run puts its outcome into the record only after this
            record = record.model_copy(update={"outcome": self._outcome(record)})
        return render_live(record, now)

    def _outcome(self, record: Record) -> Outcome:
        if self._error is not None and issubclass(self._error, KeyboardInterrupt):
            return Outcome.INTERRUPTED
        if self._error is not None and record.mode is not Mode.VERIFY:
            return Outcome.REFUSED
        return Outcome.PLANNED if record.mode is Mode.PLAN else choose_outcome(record.items)

    def _write(self, text: str) -> None:
        # A closed terminal must not end the run (design: nothing about telling stops it).
        with suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()
