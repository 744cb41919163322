"""A git checkout, read only: what lies between two commits. It never fetches and never asks anybody."""

from __future__ import annotations

import os
import re
import tarfile
import tempfile
from pathlib import Path

from ..domain.errors import ProcessProblem
from ..domain.ports import Finished, Processes

_TIMEOUT_S = 4.0
_FILE_LIMIT_BYTES = 1 << 20
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_BRANCH = re.compile(r"(?!-)[A-Za-z0-9._/-]+")


class GitCheckout:
    """Reads one checkout. Every method raises ProcessProblem with a sentence."""

    def __init__(self, folder: Path, processes: Processes) -> None:
        """Nothing is read yet."""
        self._folder = folder
        self._processes = processes

    def count_commits(self, good: str, bad: str) -> int:
        """How many commits ``bad`` has that ``good`` has not."""
        return int(self._run("rev-list", "--count", f"{self.resolve(good)}..{self.resolve(bad)}"))

    def resolve(self, commit: str) -> str:
        """The full SHA of a commit."""
        if not _COMMIT.fullmatch(commit):
            raise ProcessProblem(f"{commit!r} is no commit.")
        return self._run("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", missing=commit).strip()

    def resolve_ref(self, name: str) -> str:
        """The full SHA of the commit that a tag or branch names."""
        if not _BRANCH.fullmatch(name):
            raise ProcessProblem(f"{name!r} is no tag or branch.")
        return self._run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", missing=name).strip()

    def on_branch(self, commit: str, branch: str) -> bool:
        """Whether ``branch`` holds ``commit``, as far as this checkout knows."""
        if not _BRANCH.fullmatch(branch):
            raise ProcessProblem(f"{branch!r} is no branch.")
        full = self.resolve(commit)
        return self._is_ancestor(full, self.resolve_ref(branch))

    def contains(self, newer: str, older: str) -> bool:
        """Whether a commit holds another one, or is it, as far as this checkout knows."""
        return self._is_ancestor(self.resolve(older), self.resolve(newer))

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

    def _run(self, *args: str, missing: str = "") -> str:
        done = self._git(*args)
        if done.exit_code != 0:
            if missing and not done.stderr.strip():
                raise ProcessProblem(f"The git checkout does not know {missing}: fetch it.")
            raise self._problem(done)
        return done.stdout

    def _git(self, *args: str) -> Finished:
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
        )

    def _problem(self, done: Finished) -> ProcessProblem:
        if done.exit_code is None:
            return ProcessProblem(f"git did not end within {_TIMEOUT_S:g} s.")
        said = next(iter(done.stderr.strip().splitlines()), f"exit code {done.exit_code}")
        return ProcessProblem(f"The git checkout cannot be read: {said[:200]}.")
