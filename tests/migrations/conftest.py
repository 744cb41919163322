"""One PostgreSQL for the session, and a fresh database on it or in SQLite."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.real_postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="zkrollback-pg-", dir="/tmp"))
    server = Postgres(folder)
    yield server
    server.close()
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def make_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """The URL of a fresh, empty database, on each of the two."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgres").make  # type: ignore[no-any-return]
    return lambda: f"sqlite:///{tmp_path}/app.db"
