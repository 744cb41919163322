"""The demo service's own repository (real git), and the migrations that its bad versions bring."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..domain.errors import DrillProblem, ProcessProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..domain.ports import Processes

FOLDER: Final = "service"
MIGRATIONS: Final = "migrations"
_GIT_S: Final = 20.0

_BASE: Final = {
    "search.yaml": "index: order_search\n",
    f"{MIGRATIONS}/0007_orders_exported.up.sql": "ALTER TABLE orders ADD COLUMN exported INTEGER NOT NULL"
    " DEFAULT 0;\n",
    f"{MIGRATIONS}/0007_orders_exported.down.sql": "ALTER TABLE orders DROP COLUMN exported;\n",
}
# By the name that a scenario gives: the files that come with the bad version.
BROUGHT: Final = {
    "reversible": {
        "0008_order_channel.up.sql": "ALTER TABLE orders ADD COLUMN channel TEXT NOT NULL DEFAULT 'web';\n"
        "INSERT INTO schema_version (version, change) VALUES (8, 'orders: channel');\n",
        "0008_order_channel.down.sql": "ALTER TABLE orders DROP COLUMN channel;\n"
        "DELETE FROM schema_version WHERE version = 8;\n",
    },
    "irreversible": {
        "0008_drop_exported.up.sql": "ALTER TABLE orders DROP COLUMN exported;\n"
        "INSERT INTO schema_version (version, change) VALUES (8, 'orders: exported is gone');\n",
        "0008_drop_exported.down.sql": "-- what was exported when is not kept anywhere\n",
    },
}


def make_repository(
    data: Path,
    good: Iterable[str],
    bad: str,
    files: Mapping[str, str],
    message: str,
    processes: Processes,
) -> None:
    """The repository in ``data``: a tag per ``good`` version, then a commit of ``files``, tag ``bad``.

    Raises DrillProblem without git.
    """
    folder = data / FOLDER
    (folder / MIGRATIONS).mkdir(parents=True)
    _git(processes, folder, "init", "--quiet")
    _write(folder, _BASE)
    _commit(processes, folder, "the service, with its migrations up to 7")
    for tag in good:
        _git(processes, folder, "tag", tag)
    _write(folder, files)
    _commit(processes, folder, message)
    _git(processes, folder, "tag", bad)


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def _commit(processes: Processes, folder: Path, message: str) -> None:
    _git(processes, folder, "add", "--all")
    _git(processes, folder, "commit", "--quiet", "--message", message)


def _git(processes: Processes, folder: Path, *arguments: str) -> None:
    # Nothing of the operator's own configuration: no signing, no hooks.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    ours = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
    who = ("-c", "user.name=drill", "-c", "user.email=drill@zkprova.example", "-c", "init.defaultBranch=main")
    try:
        done = processes.run(
            ["git", "-C", str(folder), *who, *arguments], timeout_s=_GIT_S, env={**kept, **ours}
        )
    except ProcessProblem as problem:
        raise DrillProblem(f"This scenario needs git, for the demo service's repository: {problem}") from None
    if done.exit_code != 0:
        raise DrillProblem(f"The drill's git {arguments[0]} failed: {done.output.strip()}")
