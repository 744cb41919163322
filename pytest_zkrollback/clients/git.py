"""A git checkout, read only: what lies between two commits. It never fetches and never asks anybody."""

from __future__ import annotations

import os
import re
import tarfile
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..domain.commit_range import SourceCommit
from ..domain.errors import ProcessProblem
from ..domain.ports import Finished, Processes

_TIMEOUT_S = 4.0
_FILE_LIMIT_BYTES = 1 << 20
_OUTPUT_LIMIT_BYTES = 256 * 1024
_RAW_LIMIT_BYTES = 16 << 20
# More names do not fit into one command line everywhere.
_MOST_PATHS = 1_000
_RAW = ("--raw", "-z", "--no-abbrev", "--no-renames", "--ignore-submodules=none")
_DIFFERENCE = re.compile(r"\n*:(\d{6}) (\d{6}) ([0-9a-f]+) ([0-9a-f]+) ([A-Z])\d*")
_SUBMODULE = "160000"
_FIRST_YEAR = 1970
_NAME_LIMIT, _SUBJECT_LIMIT = 100, 300
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_BRANCH = re.compile(r"(?!-)[A-Za-z0-9._/-]+")


@dataclass(frozen=True)
class FileChange:
    """One file that differs: ``blob`` is its new content's id; ``status`` is git's letter (A, D, M or T)."""

    path: str
    status: str
    blob: str


class GitCheckout:
    """Reads one checkout. Every method raises ProcessProblem with a sentence."""

    def __init__(self, folder: Path, processes: Processes) -> None:
        """Nothing is read yet."""
        self._folder = folder
        self._processes = processes
        self._resolved: set[str] = set()  # full SHAs: what they name does not change

    def count_commits(self, good: str, bad: str) -> int:
        """How many commits ``bad`` has that ``good`` has not."""
        return int(self._run("rev-list", "--count", f"{self.resolve(good)}..{self.resolve(bad)}"))

    def list_commits(self, good: str, bad: str, most: int) -> tuple[SourceCommit, ...]:
        """The newest commits that ``bad`` has and ``good`` has not, newest first, at most ``most``."""
        between = f"{self.resolve(good)}..{self.resolve(bad)}"
        how = ("--no-show-signature", "--no-color", f"--max-count={most}")
        text = self._run("log", "-z", *how, "--format=%H%n%aN%n%aI%n%s", between)
        return tuple(_commit(each) for each in text.split("\0") if each.strip())

    def resolve(self, commit: str) -> str:
        """The full SHA of a commit."""
        if commit in self._resolved:
            return commit
        if not _COMMIT.fullmatch(commit):
            raise ProcessProblem(f"{commit!r} is no commit.")
        return self._full_sha(commit)

    def resolve_ref(self, name: str) -> str:
        """The full SHA of the commit that a tag or branch names."""
        if not _BRANCH.fullmatch(name):
            raise ProcessProblem(f"{name!r} is no tag or branch.")
        return self._full_sha(name)

    def _full_sha(self, name: str) -> str:
        parsed = self._run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", missing=name)
        full = parsed.strip()
        self._resolved.add(full)
        return full

    def on_branch(self, commit: str, branch: str) -> bool:
        """Whether ``branch`` holds ``commit``, as far as this checkout knows."""
        if not _BRANCH.fullmatch(branch):
            raise ProcessProblem(f"{branch!r} is no branch.")
        full = self.resolve(commit)
        return self._is_ancestor(full, self.resolve_ref(branch))

    def contains(self, newer: str, older: str) -> bool:
        """Whether a commit holds another one, or is it, as far as this checkout knows."""
        return self._is_ancestor(self.resolve(older), self.resolve(newer))

    @property
    def is_shallow(self) -> bool:
        """Whether its history was cut when it was cloned."""
        return self._run("rev-parse", "--is-shallow-repository").strip() == "true"

    def changes(self, older: str, newer: str) -> tuple[FileChange, ...]:
        """Every file whose content differs between two commits; one that moved is gone and new.

        A submodule that changed is a ProcessProblem: what it brought is not in this checkout.
        """
        both = (self.resolve(older), self.resolve(newer))
        raw = self._raw("diff-tree", "-r", *_RAW, *both)
        return tuple(
            FileChange(path, status, after)
            for path, status, before, after in raw
            if (status, after) != ("M", before)  # else its mode alone
        )

    def holds(self, commit: str, path: str) -> bool:
        """Whether there is a file at or below ``path``; ``.`` is the whole tree."""
        full = self.resolve(commit)
        return bool(self._run("--literal-pathspecs", "ls-tree", "--full-tree", full, "--", path))

    def had(self, commit: str, files: Collection[FileChange]) -> tuple[str, ...]:
        """The paths among ``files`` whose ``blob`` was there before, in ``commit`` or in its history."""
        if len(files) > _MOST_PATHS:
            raise ProcessProblem(f"{len(files)} files differ: too many to look up what they were before.")
        if not files:
            return ()
        full, paths = self.resolve(commit), sorted(each.path for each in files)
        walk = ("log", "--diff-merges=separate", "--full-history", "--no-show-signature", "--format=", *_RAW)
        before = {
            (path, blob)
            for path, _, *blobs in self._raw("--literal-pathspecs", *walk, full, "--", *paths)
            for blob in blobs
        }
        return tuple(each.path for each in files if (each.path, each.blob) in before)

    def _raw(self, *args: str) -> Iterator[tuple[str, str, str, str]]:
        """git's raw format: path, status and both contents' ids of each difference."""
        text = self._run(*args, limit_bytes=_RAW_LIMIT_BYTES)
        if len(text.encode(errors="replace")) > _RAW_LIMIT_BYTES:
            raise ProcessProblem("git lists more changed files than can be looked through here.")
        words = iter(text.split("\0"))
        for word in words:
            if not word.strip("\n"):
                continue
            found = _DIFFERENCE.fullmatch(word)
            path = next(words, "")
            if found is None or not path:
                raise ProcessProblem("git lists the changed files in a form that is not known here.")
            if _SUBMODULE in found.group(1, 2):
                raise ProcessProblem(f"Submodule {path} changed: what it brought is not in this checkout.")
            yield path, found[5], found[3], found[4]

    def _is_ancestor(self, older: str, newer: str) -> bool:
        done = self._git("merge-base", "--is-ancestor", older, newer)
        if done.exit_code not in (0, 1):
            raise self._problem(done)
        return done.exit_code == 0

    def read_files(self, commit: str, folder: str) -> dict[str, str]:
        """Path below ``folder`` -> text of every file that ``commit`` has there; empty if it has none."""
        full = self.resolve(commit)
        prefix = "" if folder.strip("/") in ("", ".") else folder.strip("/") + "/"
        if not self._run("ls-tree", "--full-tree", full, "--", prefix or "."):
            return {}
        with tempfile.TemporaryDirectory() as scratch:
            archive = Path(scratch) / "files.tar"
            # From the top of the tree, wherever in it the configured folder is.
            tree = self._run("rev-parse", f"{full}^{{tree}}").strip()
            self._run("archive", "--format=tar", f"--output={archive}", tree, "--", prefix or ".")
            with tarfile.open(archive) as files:
                return {
                    member.name.removeprefix(prefix): stream.read(_FILE_LIMIT_BYTES).decode(errors="replace")
                    for member in files
                    if member.isfile() and (stream := files.extractfile(member)) is not None
                }

    def _run(self, *args: str, missing: str = "", limit_bytes: int = _OUTPUT_LIMIT_BYTES) -> str:
        done = self._git(*args, limit_bytes=limit_bytes)
        if done.exit_code != 0:
            if missing and not done.stderr.strip():
                raise ProcessProblem(f"The git checkout does not know {missing}: fetch it.")
            raise self._problem(done)
        return done.stdout

    def _git(self, *args: str, limit_bytes: int = _OUTPUT_LIMIT_BYTES) -> Finished:
        if not self._folder.is_dir():
            raise ProcessProblem(f"There is no git checkout at {self._folder}.")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        quiet = {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "LC_ALL": "C",
        }
        return self._processes.run(
            ["git", "-C", str(self._folder), "-c", "core.fsmonitor=false", "--no-replace-objects", *args],
            timeout_s=_TIMEOUT_S,
            env={**kept, **quiet},
            limit_bytes=limit_bytes,
        )

    def _problem(self, done: Finished) -> ProcessProblem:
        if done.exit_code is None:
            return ProcessProblem(f"git did not end within {_TIMEOUT_S:g} s.")
        said = next(iter(done.stderr.strip().splitlines()), f"exit code {done.exit_code}")
        return ProcessProblem(f"The git checkout cannot be read: {said[:200]}.")


def _date(text: str) -> datetime | None:
    """A commit may claim any date; None: no date that can be written in every time zone."""
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return at if _FIRST_YEAR <= at.year < datetime.max.year else None


def _commit(text: str) -> SourceCommit:
    """One commit as :meth:`GitCheckout.list_commits` asks for it; lines that names hold are git's own."""
    try:
        sha, author, at, subject = text.lstrip("\n").split("\n", 3)
        return SourceCommit(
            sha=sha,
            author=author[:_NAME_LIMIT],
            at=_date(at),
            subject=subject[:_SUBJECT_LIMIT],
        )
    except ValueError:
        raise ProcessProblem("git lists the commits in a form that is not known here.") from None
