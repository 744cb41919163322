"""A lock that is held for longer than its lease: somebody else's pipeline is waited for."""

from __future__ import annotations

import threading
from typing import Self

from ..clients.threads import start_thread
from ..domain.errors import LockHeld, ZkRollbackError
from ..rollback.lock import ReleaseLock
from .context import RunContext

# Of the lease: one renewal may fail and the lock is still ours.
_SHARE = 1 / 3


class LockKeeper:
    """Renews the lock in a thread while it is entered; :meth:`require` is asked before each change."""

    def __init__(self, context: RunContext, lock: ReleaseLock) -> None:
        """The lock has just been acquired."""
        self._context = context
        self._lock = lock
        self._ended = threading.Event()
        self._one_at_a_time = threading.Lock()
        self._sure_until_s = context.clock.monotonic_s() + lock.lease_s

    def __enter__(self) -> Self:
        """Begin to renew. Where no thread is to be had, each change still renews."""
        try:
            start_thread("lock", self._renew_until_ended)
        except RuntimeError as error:
            self._context.recorder.event(f"the lock is renewed before changes only: {error}", "zkrollback")
        return self

    def __exit__(self, *_: object) -> None:
        """Renew no more; a renewal under way is waited for."""
        with self._one_at_a_time:
            self._ended.set()

    def require(self) -> None:
        """Raises ZkRollbackError where the lock is another run's by now, or nobody knows."""
        try:
            self._renew()
        except LockHeld as error:
            raise LockHeld(
                f"The release's lock was taken over while this run was at work ({error}): nothing more was "
                "sent.",
                run_id=error.run_id,
                operator=error.operator,
            ) from None
        except ZkRollbackError as error:
            if self._context.clock.monotonic_s() >= self._sure_until_s:
                raise ZkRollbackError(
                    f"Whether the release's lock is still ours is unknown ({error}): nothing more was sent."
                ) from None

    def _renew(self) -> None:
        """Raises ClusterError; a lock that nobody holds is none that somebody took."""
        with self._one_at_a_time:
            if self._ended.is_set():
                return
            begun_s = self._context.clock.monotonic_s()
            try:
                self._lock.renew(self._context.run_id)
            except LockHeld as error:
                if error.run_id:
                    raise
            self._sure_until_s = begun_s + self._lock.lease_s

    def _renew_until_ended(self) -> None:
        while not self._ended.wait(self._lock.lease_s * _SHARE):
            try:
                self._renew()
            except ZkRollbackError as error:
                self._context.recorder.event(f"the lock could not be renewed: {error}", "zkrollback")
                if isinstance(error, LockHeld):
                    return
