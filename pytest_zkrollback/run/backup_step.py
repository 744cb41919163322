"""The release's Secrets are saved while the lock is taken; helm waits for that at most 2 s."""

from __future__ import annotations

from ..clients.state_dir import server_digest, state_folder
from ..clients.threads import submit
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
        self._saving = submit("backup", self._save)

    def note(self) -> None:
        """Wait for it, at most 2 s, and put it into the record."""
        recorder = self._context.recorder
        try:
            problem = self._saving.exception(timeout=LIMIT_S)
        except TimeoutError:
            problem = TimeoutError(f"it took longer than {LIMIT_S:g} s")
        if problem is None:
            backup = self._saving.result()
            recorder.update(backup=backup)
            recorder.event(f"{backup.revisions} revisions of the release saved", "zkrollback")
        else:
            recorder.event(f"no backup of the release's history was made: {problem}", "zkrollback")

    def _save(self) -> Backup:
        context, env = self._context, self._context.env
        # Rehearsals never push a real backup out.
        drill = context.drill is not None
        return save_backup(
            context.kube,
            env.namespace,
            env.release,
            state_folder("drill-backups" if drill else "backups"),
            context.clock.now(),
            context.run_id,
            self._each_bytes,
            cluster="drill" if drill else server_digest(context.kube.server),
        )
