"""What the operator sees of a fleet: a live table, or a line per member that came further."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Self

from rich.console import Console, RenderableType
from rich.live import Live

from ..clients.threads import start_thread
from ..domain.fleet import FleetRecord, MemberState
from ..domain.ports import Clock
from ..report.fleet.fleet_terminal import render_fleet_live, render_member_line
from ..report.sanitize import inert_line

_REFRESH_PER_S = 4
_SAID_EVERY_S = 10.0
_SILENT = (MemberState.WAITING, MemberState.PREFLIGHT, MemberState.NOT_STARTED)


class FleetDisplay:
    """Draws the record that ``fetch`` gives, which is redacted, as everything that ``describe`` says is."""

    def __init__(
        self,
        fetch: Callable[[], FleetRecord],
        describe: Callable[[str], str],
        clock: Clock,
        stream: IO[str],
    ) -> None:
        """``stream`` is the real terminal; ``describe`` says what a running member is at."""
        self._fetch = fetch
        self._describe = describe
        self._clock = clock
        self._stream = stream
        self._status = ""
        self._said: dict[str, str] = {}
        self._over = threading.Event()
        self._live: Live | None = None
        if stream.isatty():
            console = Console(file=stream, highlight=False)
            if not console.is_dumb_terminal:
                self._live = Live(
                    get_renderable=self._render,
                    console=console,
                    refresh_per_second=_REFRESH_PER_S,
                    redirect_stdout=False,
                    redirect_stderr=False,
                )

    def __enter__(self) -> Self:
        """Begin on a line of its own."""
        self._line("")
        if self._live is not None:
            self._live.start()
        else:
            start_thread("zkrollback-fleet", self._say_what_is_waited_for)
        return self

    def __exit__(self, *_: object) -> None:
        """Draw the last state, which stays on the screen."""
        self._status = ""
        self.changed("")
        self._over.set()
        if self._live is not None:
            self._live.stop()

    def changed(self, status: str) -> None:
        """Somebody may have come further; ``status``: what is going on now, empty: nothing beside that."""
        if self._live is not None:
            self._status = status or self._status
            return
        if status and status.partition(" in ")[0] != self._status.partition(" in ")[0]:
            self._status = status
            self._line(inert_line(status))
        record = self._fetch()
        for member in record.members:
            line = render_member_line(member, record, self._clock.now())
            news = line.partition("(")[0].lstrip().partition("  ")[2]  # neither the time nor who else is done
            if member.state not in _SILENT and self._said.get(member.environment) != news:
                self._said[member.environment] = news
                self._line(line)

    def _say_what_is_waited_for(self) -> None:
        """On a pipe, so that nobody takes a run that waits for one that hangs."""
        while not self._over.wait(_SAID_EVERY_S):
            record = self._fetch()
            going = (MemberState.RUNNING, MemberState.PREFLIGHT)
            names = [each.environment for each in record.members if each.state in going]
            if names:
                said = self._describe(names[0])
                more = f" and {len(names) - 1} more" if len(names) > 1 else ""
                self._line(f"waits for {inert_line(names[0])}{more}" + (f": {said}" if said else ""))

    def _render(self) -> RenderableType:
        return render_fleet_live(self._fetch(), self._clock.now(), self._status, self._describe)

    def _line(self, text: str) -> None:
        # A closed terminal must not end the run.
        with suppress(OSError, ValueError):
            self._stream.write(f"{text}\n")
            self._stream.flush()
