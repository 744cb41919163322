"""Keeps the run's record: whatever is known is on disk before helm is started, and while it runs.

Before that and once helm has ended nothing is changed: the disk follows, and only who tells others waits.
While the checklist is judged, following takes a part of the time only: each record is redacted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from ..domain.ports import Clock
from ..domain.record import (
    GREEN_OUTCOMES,
    Delivery,
    Guard,
    Item,
    Outcome,
    Override,
    Record,
    SamplePoint,
    TimelineEntry,
)
from ..domain.verdict import Verdict

# While nobody waits for it: how many times as long as a write took the thread pauses, at most so long.
_REST = 3.0
_LONGEST_REST_S = 1.0
# Changes come in bursts: so long it waits for more of one.
_GATHER_S = 0.25


class Recorder:
    """The one owner of the record. Threads may write; readers get a frozen model."""

    def __init__(
        self,
        record: Record,
        clock: Clock,
        write: Callable[[Record], None],
        clean: Callable[[Record], Record] = lambda record: record,
    ) -> None:
        """``write`` puts a record on disk (redacted, atomically) and never raises; ``clean`` redacts one."""
        self._record = record
        self._clean = clean
        self._clock = clock
        self._write = write
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._follower: threading.Thread | None = None
        self._ending = False
        self._gathers = False
        self._waiting = 0  # how many wait for what has changed so far
        self._changes = self._written = 0

    @property
    def record(self) -> Record:
        """The record as it stands, to render it: no step of a run decides by it."""
        return self._record

    @property
    def redacted(self) -> Record:
        """The record as it stands, without secrets: what everything outside of a run sees."""
        return self._clean(self._record)

    def snapshot(self) -> Callable[[], Record]:
        """The record of this moment, redacted by whoever calls it: that takes time with many secrets."""
        return partial(self._clean, self._record)

    def write_async(self, *, gathers: bool = False) -> None:
        """From now on a thread writes what has changed, as soon as the disk has taken the last change.

        ``gathers``: a little later, with what comes meanwhile; where somebody waits for it, at once. Where no
        thread is to be had all stays as it was.
        """
        with self._lock, suppress(RuntimeError):
            self._gathers = gathers
            if self._follower is None:
                follower = threading.Thread(target=self._follow, name="zkrollback-record", daemon=True)
                follower.start()
                self._follower = follower

    def wait_written(self, timeout_s: float = 2.0) -> None:
        """Before others are told: wait until what has changed so far is on disk, at most ``timeout_s``."""
        with self._news:
            so_far = self._changes
            self._waiting += 1
            self._news.notify_all()
            self._news.wait_for(lambda: self._follower is None or self._written >= so_far, timeout_s)
            self._waiting -= 1

    def flush(self) -> None:
        """Wait until all is on disk; from now on every change is waited for again."""
        with self._news:
            follower = self._follower
            self._ending = True
            self._news.notify_all()
        if follower is not None:
            follower.join()
        with self._news:
            self._follower, self._ending = None, False
            if self._written < self._changes:  # once more meanwhile, or the thread failed
                self._write_now()

    def update(self, **changes: Any) -> None:
        """Replace fields of the record and write it."""
        with self._lock:
            self._replace(**changes)

    def update_helm(self, **changes: Any) -> None:
        """Replace fields of what became of helm and write it."""
        with self._lock:
            self._replace(helm=self._record.helm.model_copy(update=changes))

    def add(
        self,
        *,
        guards: Sequence[Guard] = (),
        overrides: Sequence[Override] = (),
        versions: Mapping[str, str] | None = None,
    ) -> None:
        """Add to what is there and write it."""
        with self._lock:
            self._replace(
                guards=(*self._record.guards, *guards),
                overrides=(*self._record.overrides, *overrides),
                versions={**self._record.versions, **(versions or {})},
            )

    def insert_items(self, added: Sequence[Item], before: str) -> None:
        """Put these items into the checklist before that one."""
        with self._lock:
            items = list(self._record.items)
            place = next(index for index, item in enumerate(items) if item.id == before)
            self._replace(items=(*items[:place], *added, *items[place:]))

    def close_items(self, why: Callable[[str], str]) -> None:
        """Every item without a verdict ends UNVERIFIED. ``why`` gives the sentence for an item's id."""
        now = self._clock.now()
        self.items(
            {
                item.id: {"verdict": Verdict.UNVERIFIED, "observed": why(item.id), "finished_at": now}
                for item in self._record.items
                if item.verdict is None
            }
        )

    def end(self, outcome: Outcome, at: datetime, *, recovered_at: datetime | None = None) -> None:
        """Write down how the run ended; ``recovered_at``, since when all is green, only if it still is."""
        entry = TimelineEntry(at=at, event=f"run ended: {outcome}", source="zkrollback")
        with self._lock:
            self._replace(
                outcome=outcome,
                finished_at=at,
                recovered_at=recovered_at if outcome in GREEN_OUTCOMES else None,
                timeline=(*self._record.timeline, entry),
            )

    def item(self, item_id: str, *, said: TimelineEntry | None = None, **changes: Any) -> None:
        """Replace fields of one item, add ``said`` to the timeline, and write, all at once.

        An unknown id is a bug (KeyError).
        """
        self.items({item_id: changes}, said)

    def items(self, changes: Mapping[str, Mapping[str, Any]], said: TimelineEntry | None = None) -> None:
        """The same for several items, by id: a write takes time, and there may be ten of them."""
        with self._lock:
            items = {item.id: item for item in self._record.items}
            for item_id, fields in changes.items():
                items[item_id] = items[item_id].model_copy(update=fields)
            timeline = self._record.timeline if said is None else (*self._record.timeline, said)
            self._replace(items=tuple(items.values()), timeline=timeline)

    def event(self, text: str, source: str, at: datetime | None = None) -> None:
        """Add a line to the timeline; ``source`` says whose word it is."""
        entry = TimelineEntry(at=at or self._clock.now(), event=text, source=source)
        with self._lock:
            self._replace(timeline=(*self._record.timeline, entry))

    def delivery(self, delivery: Delivery) -> None:
        """Add what became of a message."""
        with self._lock:
            self._replace(deliveries=(*self._record.deliveries, delivery))

    def move(self, by: timedelta) -> None:
        """Move all times so far: they were written before the server's clock was known."""
        with self._lock:
            timeline = tuple(
                entry.model_copy(update={"at": entry.at + by}) for entry in self._record.timeline
            )
            self._replace(timeline=timeline, started_at=self._record.started_at + by)

    def samples(self, points: tuple[SamplePoint, ...]) -> None:
        """Replace the points of the pictures; on disk with the next change of state."""
        with self._lock:
            self._record = self._record.model_copy(update={"samples": points})

    def _replace(self, **changes: Any) -> None:
        """Replace fields and see to it that they are written; the lock is held."""
        self._record = self._record.model_copy(update=changes)
        self._changes += 1
        if self._follower is None:
            self._write_now()
        else:
            self._news.notify_all()

    def _write_now(self) -> None:
        self._write(self._record)
        self._written = self._changes

    def _follow(self) -> None:
        try:
            while True:
                with self._news:
                    self._news.wait_for(lambda: self._written < self._changes or self._ending)
                    if self._written == self._changes:
                        return
                    if self._gathers:
                        self._news.wait_for(lambda: self._waiting or self._ending, _GATHER_S)
                    record, change = self._record, self._changes
                begun_s = self._clock.monotonic_s()
                self._write(record)
                rest_s = min(_REST * (self._clock.monotonic_s() - begun_s), _LONGEST_REST_S)
                with self._news:
                    self._written = change
                    self._news.notify_all()
                    if self._gathers:
                        self._news.wait_for(lambda: self._waiting or self._ending, rest_s)
        except BaseException:  # a defect: no change may be left to a thread that is gone
            with self._news:
                self._follower = None
                self._news.notify_all()
            raise
