"""What the operator sees while the run waits: a live table on a terminal, one line per change elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Self

from ..clients.threads import start_thread
from ..domain.ports import Clock
from ..domain.record import Mode, Outcome, Record
from ..domain.verdict import Verdict
from ..report.outcome import choose_outcome
from ..report.sanitize import inert_line
from ..report.terminal import render_progress_line, render_waiting_line, render_warning_lines

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

_REFRESH_PER_S = 8
_SAID_EVERY_S = 10.0
# Verdicts come in bursts, and each picture has to be redacted: while they are judged that is not done more
# often, and takes a quarter of the time at most.
_DRAWN_EVERY_S = 0.25
_REST = 3.0


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
        self._judged: dict[str, Verdict | None] = {}  # what was said of each item
        self._lock = threading.Lock()
        self._drawing = threading.Lock()
        self._news = threading.Event()
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
        with suppress(RuntimeError):  # no thread to be had: what is new is said with the next status
            start_thread("zkrollback-display", self._keep_drawing)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Draw the last state, which stays on the screen; an exception of ``kind`` ended the run."""
        self._catch_up()
        self._ended = True
        self._over.set()
        self._news.set()
        self._error = kind
        if self._live is not None:
            self._live.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The terminal is somebody else's, to ask a question on it."""
        self._catch_up()
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
            self._catch_up()  # what came before is said before
            self._line(text)

    def changed(self) -> None:
        """The record changed: a terminal redraws by itself, elsewhere a line says what is new.

        What warned has a line of its own, on a terminal above what is redrawn. Nobody waits for that: a
        thread does it a little later.
        """
        self._news.set()

    def _catch_up(self) -> None:
        """Say what is new, if that was not done yet."""
        with self._drawing:
            if self._news.is_set() and not self._over.is_set() and not self._asking:
                self._news.clear()
                self._draw()

    def _keep_drawing(self) -> None:
        """Say what is new, and on a pipe what is waited for, lest it seem to hang."""
        waiting_s = _SAID_EVERY_S if self._live is None else None
        said_s = self._clock.monotonic_s()
        while not self._over.is_set():
            left_s = None if waiting_s is None else max(0.0, said_s + waiting_s - self._clock.monotonic_s())
            if self._news.wait(left_s):
                self._over.wait(_DRAWN_EVERY_S)
                begun_s = self._clock.monotonic_s()
                self._catch_up()
                self._over.wait(_REST * (self._clock.monotonic_s() - begun_s))
            else:
                said_s = self._clock.monotonic_s()
                if not self._asking:
                    self._line(render_waiting_line(self._fetch(), self._clock.now(), self._status))

    def _draw(self) -> None:
        record = self._fetch()
        for warning in render_warning_lines(record):
            if warning not in self._warned:
                self._warned.add(warning)
                self._line(warning)
        for each in self._states(record) if self._live is None else ():
            text = render_progress_line(each, self._clock.now())
            news = text.rpartition(" (")[0]  # an item that is looked at anew changes no more than the count
            if news != self._last_change:
                self._last_change = news
                self._line(text)

    def _states(self, record: Record) -> Iterator[Record]:
        """The record as it was after each new verdict: a line tells the newest one alone."""
        new = [
            item
            for item in record.items
            if item.finished_at and self._judged.get(item.id) is not item.verdict
        ]
        self._judged = {item.id: item.verdict for item in record.items}
        later = sorted(new, key=lambda item: item.finished_at or record.started_at)[1:]
        while later:
            open_ = {item.id: item.model_copy(update={"verdict": None}) for item in later}
            items = tuple(open_.get(item.id, item) for item in record.items)
            yield record.model_copy(update={"items": items, "provisional_at": None})
            del later[0]
        yield record

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
