"""The lock and the journal: one Secret beside the release, changed only by compare-and-swap.

helm takes no lock (docs/helm-facts.md, 6), so two operators make two rollbacks. The Secret needs no right
that helm does not have. Its name is ``zkrollback.v1.RELEASE``; its one key ``state`` holds JSON:
``{"schema", "lock": {run_id, operator, taken_at, expires_at} or null, "entries": [...]}``.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from ..clients.retry import SHORTEST_PAUSE_S, retry
from ..domain.checks import JsonObject
from ..domain.errors import BadAnswer, LockHeld, NotFound, Unreachable
from ..domain.ports import Clock, Kube
from ..domain.timestamps import require_time
from .journal import FAILED, MIGRATION_WORD, STARTED, VERIFIED, LocalJournal

SCHEMA = "zkrollback.journal/1"
KEPT_ENTRIES = 20
# Beyond helm's own --timeout and the grace in which we end it: only a holder that died is ever expired.
EXPIRY_MARGIN_S = 60
_TRIES = 5
_CONFLICT = 409
_BUSY = 429
_BUSY_S = 10.0  # how long a server that is too busy is asked again


@dataclass(frozen=True)
class Holder:
    """Who holds the lock. ``expires_at`` by the API server's clock."""

    run_id: str
    operator: str
    taken_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class LockState:
    """What the Secret says. ``version`` is its resourceVersion; empty: there is none yet."""

    holder: Holder | None = None
    entries: tuple[JsonObject, ...] = ()
    version: str = ""


@dataclass(frozen=True)
class AcquiredLock:
    """A lock that is ours. ``previous`` is the holder that it was taken over from, if any.

    ``entries`` are the journal's, our own intent the last of them.
    """

    run_id: str
    previous: Holder | None = None
    entries: tuple[JsonObject, ...] = ()


class HolderWatch:
    """Since when, by our own monotonic clock, a holder's record has not changed: no other clock is in it."""

    def __init__(self) -> None:
        """None was seen yet."""
        self._seen: tuple[str, datetime, float] | None = None

    def unchanged_s(self, holder: Holder, now_s: float) -> float:
        """Seconds since this very record was first seen; ``now_s`` is monotonic."""
        if self._seen is None or self._seen[:2] != (holder.run_id, holder.expires_at):
            self._seen = (holder.run_id, holder.expires_at, now_s)
        return now_s - self._seen[2]


class ReleaseLock:
    """The lock of one release. All methods raise ClusterError.

    A holder is dead when its lease is over by the API server's clock and by this machine's, or when its
    record did not change for a lease: then no clock of anybody else is needed.
    """

    def __init__(
        self,
        kube: Kube,
        clock: Clock,
        namespace: str,
        release: str,
        lease_s: float,
        local: LocalJournal | None = None,
        watch: HolderWatch | None = None,
    ) -> None:
        """``local``: where this machine keeps a copy of the journal, for the day when the Secret is gone.

        ``watch``: what this run saw of holders so far.
        """
        self.kube = kube
        self.clock = clock
        self.namespace = namespace
        self.release = release
        self.lease_s = lease_s
        # Whether acquire() got it; an operator may go on without.
        self.is_acquired = False
        self.local = local
        self.watch = watch or HolderWatch()
        self._path = f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets"
        # Changed again without being read first, for compare-and-swap finds out if it is old.
        self._last_written: LockState | None = None

    @property
    def name(self) -> str:
        """The Secret's name."""
        return f"zkrollback.v1.{self.release}"

    def fetch(self) -> LockState:
        """The state now."""
        return self._fetch()

    def _fetch(self, *, unreadable_is_free: bool = False) -> LockState:
        try:
            secret = self.kube.get(f"{self._path}/{self.name}")
        except NotFound:
            return LockState(entries=self._copy())
        try:
            return parse_state(secret)
        except BadAnswer:
            if not unreadable_is_free:
                raise
            version = str(secret.get("metadata", {}).get("resourceVersion", ""))
            return LockState(entries=self._copy(), version=version)

    def _copy(self) -> tuple[JsonObject, ...]:
        return self.local.read() if self.local is not None else ()

    def _keep_copy(self, entries: tuple[JsonObject, ...]) -> None:
        if self.local is not None:
            self.local.write(entries[-KEPT_ENTRIES:])

    def require_free(self, state: LockState) -> LockState:
        """The same state, if nobody alive holds the lock; raises LockHeld."""
        if state.holder is not None and not self._is_dead(state.holder):
            raise self._held(state.holder)
        return state

    def _is_dead(self, holder: Holder) -> bool:
        """One clock may be far off, the API server's too: one alone takes no lock from anybody."""
        its_lease_s = (holder.expires_at - holder.taken_at).total_seconds()
        unchanged_s = self.watch.unchanged_s(holder, self.clock.monotonic_s())
        if unchanged_s >= max(self.lease_s, its_lease_s):
            return True
        own = self.clock.own_now()
        # So long before the lock was taken: this machine's clock is behind, and says nothing.
        own_is_behind = own < holder.taken_at - timedelta(seconds=EXPIRY_MARGIN_S)
        return holder.expires_at <= self.clock.now() and (own_is_behind or holder.expires_at <= own)

    def _held(self, holder: Holder) -> LockHeld:
        now = self.clock.now()
        age_s, left_s = (now - holder.taken_at).total_seconds(), (holder.expires_at - now).total_seconds()
        ends = f"it expires in {left_s:.0f} s at the latest"
        if left_s <= 0:
            own_s = (holder.expires_at - self.clock.own_now()).total_seconds()
            ends = (
                f"by the API server's clock it expired {-left_s:.0f} s ago, by this machine's it expires in "
                f"{own_s:.0f} s: one of them is wrong"
            )
        return LockHeld(
            f"{holder.operator} holds the lock for {age_s:.0f} s (run {holder.run_id}); {ends}",
            run_id=holder.run_id,
            operator=holder.operator,
        )

    def acquire(
        self,
        run_id: str,
        operator: str,
        intent: JsonObject,
        *,
        force: bool = False,
        expected_holder: str = "",
        known: LockState | None = None,
    ) -> AcquiredLock:
        """Acquire the lock and write the intent down, in one step; an expired holder is replaced.

        Raises LockHeld if a live holder has it, unless that is the run ``expected_holder``: the operator said
        to take the lock from it. ``force``: a Secret that cannot be read is overwritten. ``known``: as it was
        read a moment ago; it is read again where somebody holds it, or it has changed.
        """
        lost, previous = False, None
        if known is not None and known.holder is not None:
            known = None
        for _ in range(_TRIES):
            state = known or self._fetch(unreadable_is_free=force)
            known, now = None, self.clock.now()
            if state.holder is not None and state.holder.run_id == run_id:
                self._keep_copy(state.entries)
                self.is_acquired = True
                return AcquiredLock(run_id, previous, state.entries)  # a write of ours whose answer was lost
            if state.holder is not None and state.holder.run_id != expected_holder:
                self.require_free(state)
            holder = Holder(run_id, operator, now, now + timedelta(seconds=self.lease_s))
            entry = {"run_id": run_id, "operator": operator, "at": _text(now), "outcome": STARTED, **intent}
            entries = (*state.entries, entry)
            try:
                written = self._write(LockState(holder, entries, state.version))
            except Unreachable:
                if lost:
                    raise
                # It may have been written: look, rather than leave a lock of ours behind.
                lost, previous = True, state.holder
                continue
            if written:
                self.is_acquired = True
                return AcquiredLock(run_id, state.holder, entries)
        raise BadAnswer(f"The Secret {self.name} changed {_TRIES} times while the lock was taken.")

    def release_lock(self, run_id: str, outcome: JsonObject) -> None:
        """Release the lock and close the journal's entry with ``outcome``; another's lock is left alone."""

        def change(state: LockState) -> LockState:
            ours = state.holder is not None and state.holder.run_id == run_id
            entries = _amended(state.entries, {run_id: outcome})
            return LockState(None if ours else state.holder, entries, state.version)

        self._change(change, "given back")

    def annotate_entries(self, found: Mapping[str, JsonObject]) -> None:
        """Add to entries, by their run id, what was found out about them later."""
        self._change(
            lambda state: LockState(state.holder, _amended(state.entries, found), state.version), "amended"
        )

    def note_verified(
        self,
        run_id: str,
        operator: str,
        revision: int,
        installed: str = "",
        migration: JsonObject | None = None,
    ) -> None:
        """Write down that this run verified ``revision`` of the release first deployed at ``installed``.

        Judging the same revision again replaces the note, so that it pushes no rollback out of the journal.
        ``migration``: the operator's word on the migration; it stays when the note is replaced.
        """
        entry = {"run_id": run_id, "operator": operator, "outcome": VERIFIED}
        word = {MIGRATION_WORD: migration} if migration else {}
        self._note_judged(entry, {"verified_revision": revision, **word}, installed)

    def note_failed(
        self, run_id: str, operator: str, revision: int, items: Sequence[str], installed: str = ""
    ) -> None:
        """Write down that ``items`` failed on ``revision``, as :meth:`note_verified` does that none did."""
        entry = {"run_id": run_id, "operator": operator, "outcome": FAILED}
        self._note_judged(entry, {"failed_revision": revision, "failed_items": list(items)}, installed)

    def _note_judged(self, alone: JsonObject, judged: JsonObject, installed: str) -> None:
        """Add ``judged`` to the run's entry; where it has none, it gets the entry ``alone``."""
        run_id, outcome = alone["run_id"], alone["outcome"]
        revision = judged[f"{outcome}_revision"]

        def change(state: LockState) -> LockState:
            at = _text(self.clock.now())
            note = {**judged, f"{outcome}_at": at, **({"installed": installed} if installed else {})}
            entries = [entry for entry in state.entries if not _is_note(entry, revision)]
            said = [each for each in state.entries if _is_note(each, revision) and MIGRATION_WORD in each]
            if said:
                note = {MIGRATION_WORD: said[-1][MIGRATION_WORD], **note}
            if any(entry.get("run_id") == run_id for entry in entries):
                entries = [{**each, **note} if each.get("run_id") == run_id else each for each in entries]
            else:
                entries.append({**alone, "at": at, **note})
            return LockState(state.holder, tuple(entries), state.version)

        self._change(change, "written to")

    def renew(self, run_id: str) -> None:
        """Push the lock's expiry out again while helm runs. Raises LockHeld if it is no longer ours."""

        def change(state: LockState) -> LockState:
            now = self.clock.now()
            if state.holder is None or state.holder.run_id != run_id:
                raise LockHeld("nobody holds the lock") if state.holder is None else self._held(state.holder)
            holder = replace(state.holder, expires_at=now + timedelta(seconds=self.lease_s))
            return LockState(holder, state.entries, state.version)

        self._change(change, "renewed")

    def _change(self, change: Callable[[LockState], LockState], what: str) -> None:
        lost = False
        for _ in range(_TRIES):
            try:
                known, self._last_written = self._last_written, None
                if self._write(change(known or self.fetch())):
                    return
            except Unreachable:
                if lost:
                    raise
                lost = True  # a change that was written is none when it is made again
        raise BadAnswer(f"The Secret {self.name} changed {_TRIES} times while the lock was {what}.")

    def _write(self, state: LockState) -> bool:
        """Whether the state could be written over the version that it was made from."""
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": {"app.kubernetes.io/managed-by": "pytest-zkrollback"},
            },
            "type": "Opaque",
            "data": {"state": render_state(state)},
        }
        try:
            if state.version:
                body["metadata"]["resourceVersion"] = state.version
                answer = self._send("PUT", f"{self._path}/{self.name}", body)
            else:
                answer = self._send("POST", self._path, body)
        except BadAnswer as error:
            if error.status == _CONFLICT:
                return False
            raise
        except NotFound:
            return False  # deleted meanwhile: read again and create it
        version = str((answer.get("metadata") or {}).get("resourceVersion") or "")
        kept = replace(state, entries=state.entries[-KEPT_ENTRIES:], version=version)
        self._last_written = kept if version else None
        self._keep_copy(state.entries)
        return True

    def _send(self, method: str, path: str, body: JsonObject) -> JsonObject:
        """Sent again where the API server is too busy: with 429 it has done nothing."""
        return retry(
            lambda: self.kube.send(method, path, body),
            on=lambda error: isinstance(error, BadAnswer) and error.status == _BUSY,
            wait_s=lambda error, _: max(SHORTEST_PAUSE_S, getattr(error, "retry_after_s", None) or 0.0),
            clock=self.clock,
            end_s=self.clock.monotonic_s() + _BUSY_S,
        )


def _amended(entries: tuple[JsonObject, ...], found: Mapping[str, JsonObject]) -> tuple[JsonObject, ...]:
    return tuple({**entry, **found.get(str(entry.get("run_id")), {})} for entry in entries)


def _is_note(entry: JsonObject, revision: int) -> bool:
    """Whether all that the entry says is that this revision was verified, or failed."""
    outcome = entry.get("outcome")
    return outcome in (VERIFIED, FAILED) and entry.get(f"{outcome}_revision") == revision


def parse_state(secret: JsonObject) -> LockState:
    """The state in a Secret. Raises BadAnswer if it is not ours or cannot be read."""
    version = str(secret.get("metadata", {}).get("resourceVersion", ""))
    try:
        state = json.loads(base64.b64decode(secret["data"]["state"]))
        if state["schema"] != SCHEMA:
            raise ValueError(state["schema"])
        lock = state["lock"]
        holder = lock and Holder(
            str(lock["run_id"]),
            str(lock["operator"]),
            require_time(lock["taken_at"]),
            require_time(lock["expires_at"]),
        )
        return LockState(holder, tuple(dict(entry) for entry in state["entries"]), version)
    except (KeyError, TypeError, ValueError, binascii.Error):
        name = secret.get("metadata", {}).get("name", "")
        raise BadAnswer(
            f"The Secret {name} holds no lock that can be read: look at it, "
            "and delete it if no rollback runs."
        ) from None


def render_state(state: LockState) -> str:
    """The Secret's value, base64; the oldest entries go beyond 20."""
    lock = state.holder and {
        "run_id": state.holder.run_id,
        "operator": state.holder.operator,
        "taken_at": _text(state.holder.taken_at),
        "expires_at": _text(state.holder.expires_at),
    }
    entries = list(state.entries[-KEPT_ENTRIES:])
    text = json.dumps({"schema": SCHEMA, "lock": lock, "entries": entries})
    return base64.b64encode(text.encode()).decode()


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
