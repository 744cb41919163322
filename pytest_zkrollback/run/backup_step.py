"""The release's Secrets are saved while the lock is taken; helm waits for that at most 2 s."""

from __future__ import annotations

import threading

from ..clients.state_dir import state_folder
from ..domain.errors import ZkRollbackError
from ..domain.record import Backup
from ..release.history import ReleaseHistory
from ..rollback.backup import save_backup
from .context import RunContext

LIMIT_S = 2.0


class BackupThread:
    """Saves in a daemon thread from its making on; a failure is said and delays nothing further."""

    def __init__(self, context: RunContext, history: ReleaseHistory) -> None:
        """Begin; ``history`` tells how large the records are."""
        self._context = context
        self._each_bytes = max(release.size_bytes for release in history.releases)
        self._backup: Backup | None = None
        self._problem = f"it took longer than {LIMIT_S:g} s"
        self._thread = threading.Thread(target=self._save, daemon=True, name="backup")
        self._thread.start()

    def note(self) -> None:
        """Wait for it, at most 2 s, and put it into the record."""
        self._thread.join(LIMIT_S)
        recorder = self._context.recorder
        if self._backup is not None:
            recorder.update(backup=self._backup)
            recorder.event(f"{self._backup.revisions} revisions of the release saved", "zkrollback")
        else:
            recorder.event(f"no backup of the release's history was made: {self._problem}", "zkrollback")

    def _save(self) -> None:
        context, env = self._context, self._context.env
        try:
            self._backup = save_backup(
                context.kube,
                env.namespace,
                env.release,
                state_folder("backups"),
                context.clock.now(),
                context.run_id,
                self._each_bytes,
            )
        except (ZkRollbackError, OSError) as error:
            self._problem = str(error)
