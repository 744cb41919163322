"""The run's files: written whole or not at all, after every change of state, and never a reason to fail.

Per run ``<stem>.json|.html|.md|.xml``, and copies as ``latest.*``. The JSON is the record; while the run goes
on the others say that it is not finished, so that an older green cannot be attached by mistake. Files get the
permissions that the umask leaves (usually 0644): they are redacted, and meant to be picked up by others, as
a CI's artifact collector is.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from ..domain.notes import AddedNote
from ..domain.record import Delivery, NotificationEvent, Outcome, Record
from ..domain.regular_files import may_replace, read_regular
from .file_locks import Held, beside_none_alone_in
from .junit import render_junit
from .redaction import Redactor
from .schema import written
from .terminal import render_last_lines
from .unfinished import render_unfinished_markdown, render_unfinished_page


# What draws the finished files is imported when it is wanted: no run waits for it before helm.
def _markdown(record: Record) -> str:
    from .markdown import render_markdown

    return render_markdown(record)


def render_page(record: Record) -> str:
    """The standalone page."""
    from .html import render_page as render

    return render(record)


RENDERINGS: tuple[tuple[str, Callable[[Record], str]], ...] = (
    (".md", _markdown),
    (".xml", render_junit),
    (".html", render_page),
)
_WHILE_IT_RUNS: tuple[tuple[str, Callable[[Record], str]], ...] = (
    (".md", render_unfinished_markdown),
    (".xml", render_junit),
    (".html", render_unfinished_page),
)

_COUNTER = itertools.count()
# Half a file of a run that was killed while it wrote; after this long nobody writes it any more.
SUFFIXES = (".json", *(suffix for suffix, _ in RENDERINGS))
_LEFTOVER = re.compile(rf"\..+({'|'.join(map(re.escape, (*SUFFIXES, '.zip')))})\.[0-9]+-[0-9]+\.tmp")
_LEFTOVER_S = 3600
# No rollback waits for somebody's note.
_NOTE_WAIT_S = 0.1


def render_json(record: Record) -> str:
    """The record as its JSON, with a final new line."""
    return written(record).model_dump_json(by_alias=True, indent=2) + "\n"


# In the place of a path.
NONE_WRITTEN = "none could be written"


class Store:
    """Writes one run's files. No method raises for want of a disk; :attr:`problems` says what happened."""

    def __init__(
        self,
        report_dir: Path,
        stem: str,
        redactor: Redactor | None = None,
        *,
        is_latest: bool = True,
    ) -> None:
        """Files ``stem.*`` in ``report_dir``; if that cannot be written, in a folder for temporary files.

        ``is_latest``: with copies as ``latest.*``; members of a fleet, which run side by side, make none.
        """
        self._is_latest = is_latest
        self.stem = stem
        self._redactor = redactor or Redactor()
        self._lock = threading.RLock()
        self._problems: list[str] = []
        self._before: dict[str, bytes | None] | None = None
        self._ours: dict[str, bytes] = {}
        self._last_json = ""
        self._note_wait_s = _NOTE_WAIT_S
        self._written: object = None
        self._held = Held()
        self._notes: tuple[AddedNote, ...] = ()
        self._addenda: tuple[Delivery, ...] = ()
        self._shown = Outcome.RUNNING
        self._asked = self.folder = report_dir
        self.is_writable = True  # else nobody else needs to try
        self.finish_follows = False  # as soon as the run has ended: then nothing is drawn twice
        problem = _probe(report_dir)
        if problem:
            self._fall_back(problem)

    @property
    def problems(self) -> tuple[str, ...]:
        """What went wrong with files, in sentences, oldest first."""
        return tuple(self._problems)

    @property
    def html_path(self) -> Path:
        """Where this run's page is, or will be; pytest-html is pointed here."""
        return self.path(".html")

    @property
    def json_path(self) -> Path:
        """Where this run's record is."""
        return self.path(".json")

    def path(self, suffix: str) -> Path:
        """This run's file with ``suffix`` (``.json``, ``.html``, ``.md``, ``.xml``)."""
        return self.folder / f"{self.stem}{suffix}"

    def note(self, problem: str) -> None:
        """Remember a problem with files that somebody else had."""
        with self._lock:
            if problem not in self._problems:
                self._problems.append(self._redactor.text(problem))

    def write(self, record: Record) -> None:
        """Write the record as it stands; the first time also say in every ``latest.*`` that a run goes on.

        Where the outcome changed (interrupted, while helm still runs) the other files follow at once.
        """
        with self._lock, self._beside_notes():
            clean = self._clean(record)
            if clean is None:
                return
            self._write_json(clean)
            if clean.outcome is not self._shown and not (clean.finished_at and self.finish_follows):
                self._shown = clean.outcome
                for suffix, render in RENDERINGS:
                    self._put(suffix, self._rendered(render, clean))

    def finish(self, record: Record, complete: Callable[[Path, Record, Redactor], str] | None = None) -> Path:
        """Write all files of the finished record and return the path of the one to look at.

        ``complete`` turns the page that pytest-html wrote to :attr:`html_path` into ours, and returns what to
        say of it; where there is no such page, or it fails, the standalone page is written.
        """
        with self._lock, self._beside_notes():
            clean = self._clean(record)
            if clean is None:
                return self.json_path
            self._write_json(clean)
            page = "" if complete is None else self._completed(complete, clean)
            if not page:
                for folder in {self.folder, self._asked}:  # what pytest-html wrote, half perhaps
                    with suppress(OSError):
                        (folder / self.html_path.name).unlink(missing_ok=True)
            for suffix, render in RENDERINGS:
                if suffix == ".html" and page:
                    self._put(suffix, page, own=False)
                else:
                    self._put(suffix, self._rendered(render, clean))
            return next((path for path in (self.html_path, self.json_path) if path.exists()), self.html_path)

    def write_bundle(self, record: Record) -> Path | None:
        """One zip for the ticket, of what :meth:`finish` wrote; None if it could not be written."""
        with self._lock, self._beside_notes():
            clean = self._clean(record)
            if clean is None:
                return None
            path = self.path(".zip")
            try:
                names = [self.path(suffix) for suffix in SUFFIXES]
                files = {each.name: each.read_bytes() for each in names if each.exists()}
                from .bundle import render_bundle

                replace_file(path, render_bundle(clean, files))
            except Exception as error:  # noqa: BLE001 - the files that it holds are there, whatever happens to it
                reason = _reason(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
                self.note(f"{path} could not be written: {reason}.")
                return None
            return path

    def give_back_latest(self) -> None:
        """Put ``latest.*`` back as they were before this run, where nobody else replaced them since.

        For a run that the lock refused: the other run, which goes on, owns them.
        """
        with self._lock, self._beside_notes():
            for name, before in (self._before or {}).items():
                path = self.folder / name
                try:
                    if not may_replace(path) or (
                        path.exists() and read_regular(path) != self._ours.get(name)
                    ):
                        continue
                    if before is None:
                        path.unlink(missing_ok=True)
                    else:
                        replace_file(path, before)
                except OSError as error:
                    self.note(f"{path} could not be put back: {_reason(error)}.")
            self._before = {}
            self._ours = {}

    def _write_json(self, clean: Record) -> None:
        if self._before is None:
            self._take_latest(clean)
        text = render_json(clean)
        if text != self._last_json:
            self._last_json = text
            self._put(".json", text)
            self._written = _mark(self.json_path)
            if clean.outcome is Outcome.RUNNING:
                self._held.hold(self.json_path)
            else:
                self._held.release()

    @contextmanager
    def _beside_notes(self) -> Iterator[None]:
        """While nobody adds a note; but where one wait was in vain nobody waits again."""
        with beside_none_alone_in(self.folder, self._note_wait_s) as is_so:
            self._note_wait_s = _NOTE_WAIT_S if is_so else 0.0
            yield

    def _with_added(self, record: Record) -> Record:
        """``record`` with what others have added to its file, which the run itself does not know."""
        mark = _mark(self.json_path)
        if mark is not None and mark != self._written:
            with suppress(OSError, ValidationError):
                found = Record.model_validate_json(read_regular(self.json_path))
                if found.run_id == record.run_id:
                    self._written = mark
                    self._notes = found.notes
                    self._addenda = tuple(
                        each for each in found.deliveries if each.event is NotificationEvent.ADDENDUM
                    )
        if not self._notes and not self._addenda:
            return record
        notes = (each for each in self._notes if each not in record.notes)
        addenda = (each for each in self._addenda if each not in record.deliveries)
        added = {"notes": (*record.notes, *notes), "deliveries": (*record.deliveries, *addenda)}
        return record.model_copy(update=added)

    def _clean(self, record: Record) -> Record | None:
        try:
            return self._redactor.record(self._with_added(record))
        except Exception as error:  # noqa: BLE001 - a defect here must not end the run; nothing unredacted is written
            self.note(f"The record could not be redacted ({type(error).__name__}), so it was not written.")
            return None

    def _rendered(self, render: Callable[[Record], str], record: Record) -> str:
        try:
            return render(record)
        except Exception as error:  # noqa: BLE001 - a defect in a rendering must not cost the other files
            self.note(f"{render.__name__} failed ({type(error).__name__}: {error}); the JSON is complete.")
            return render_last_lines(record, str(self.json_path)) + "\n"

    def _completed(self, complete: Callable[[Path, Record, Redactor], str], record: Record) -> str:
        if not self.html_path.exists():
            return ""
        try:
            if said := complete(self.html_path, record, self._redactor):
                self.note(said)
            return self.html_path.read_text(encoding="utf-8")
        except Exception as error:  # noqa: BLE001 - pytest-html's page is an addition, the record is not
            self.note(f"pytest-html's page could not be completed ({type(error).__name__}: {error}).")
            return ""

    def _take_latest(self, record: Record) -> None:
        self._before = {}
        if not self._is_latest:
            return
        for suffix in (".json", *(suffix for suffix, _ in RENDERINGS)):
            try:
                self._before[f"latest{suffix}"] = read_regular(self.folder / f"latest{suffix}")
            except OSError:
                self._before[f"latest{suffix}"] = None
        # All of them before anything of this run is there: it may be killed between two of them.
        self._drop_latest(self._asked)
        for suffix, render in _WHILE_IT_RUNS:
            self._put(suffix, self._rendered(render, record), own=False)

    def _put(self, suffix: str, text: str, own: bool = True) -> None:
        """Replace ``stem.suffix`` (if ``own``) and ``latest.suffix``; on trouble, again in the fall-back."""
        content = text.encode("utf-8", errors="replace")
        for attempt in ("asked", "fall-back"):
            try:
                if own:
                    replace_file(self.path(suffix), content)
                if self._before:
                    self._put_latest(suffix, content)
            except OSError as error:
                if attempt == "asked":
                    self._fall_back(_reason(error))
                    own = True
                else:
                    self.note(f"{self.path(suffix)} could not be written: {_reason(error)}.")
            else:
                return

    def _put_latest(self, suffix: str, content: bytes) -> None:
        path = self.folder / f"latest{suffix}"
        if not may_replace(path):
            self.note(
                f"{path} is no file (a folder or a pipe): it was left as it is. This run's are {self.stem}.*."
            )
            return
        self._ours[path.name] = content
        replace_file(path, content, durable=False)

    def _fall_back(self, reason: str) -> None:
        """Use a fresh folder for temporary files from now on."""
        asked = self.folder
        if self._before:
            self._drop_latest(asked)
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="zkrollback-"))
        except OSError as error:
            self.note(
                f"{asked} could not be written ({reason}), nor could a temporary folder: {_reason(error)}."
            )
            self.is_writable = False
            return
        self.note(f"{asked} could not be written ({reason}); this run's files are in {self.folder}.")
        self._last_json = ""

    @staticmethod
    def _drop_latest(folder: Path) -> None:
        # Removing works on a full disk: better no latest.* than an older run's green.
        for suffix in SUFFIXES:
            path = folder / f"latest{suffix}"
            with suppress(OSError):
                if may_replace(path):
                    path.unlink(missing_ok=True)


def _mark(path: Path) -> tuple[int, int, int] | None:
    """What differs once a file was replaced; None: there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def replace_file(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Put ``content`` at ``path``: whole or not at all. Raises OSError.

    ``durable``: it outlives a power failure when this returns, as does what else was done in its folder.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{next(_COUNTER)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if not durable:
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def free_bytes(folder: Path) -> int:
    """How much can be written there, as far as one sees without writing; it need not exist yet."""
    try:
        there = next(each for each in (folder, *folder.parents) if each.exists())
        may_write = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
        return shutil.disk_usage(there).free if may_write else 0
    except OSError:
        return 0


def _probe(folder: Path) -> str:
    """Why files cannot be written to ``folder``; empty if they can. Leftovers go."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"zkrollback")
            file.flush()
            _sweep(folder, os.fstat(file.fileno()).st_mtime)
    except OSError as error:
        return _reason(error)
    return ""


def _sweep(folder: Path, now_s: float) -> None:
    """Remove what killed runs left half written; ``now_s`` by the file system's clock."""
    with suppress(OSError):
        for path in folder.iterdir():
            if _LEFTOVER.fullmatch(path.name) and now_s - path.stat().st_mtime > _LEFTOVER_S:
                path.unlink(missing_ok=True)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
