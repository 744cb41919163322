"""One read-only query on the service's database: SQLite by the standard library, PostgreSQL by psycopg."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from ..domain.errors import MigrationProblem

if TYPE_CHECKING:
    import psycopg

INSTALL = "psycopg is not installed here: pip install 'pytest-zkrollback[postgresql]'."
_MOST_ROWS = 10_000
_GRACE_S = 1.0  # for the server's own timeout, whose message says more

Rows = tuple[tuple[object, ...], ...]


def fetch_rows(url: str, query: str, *, timeout_s: float, base_dir: Path = Path()) -> Rows:
    """The rows of ``query``, in a transaction that cannot write.

    ``url`` as applications have it: ``postgresql://...`` (``postgres``, and SQLAlchemy's ``+driver``, too)
    or ``sqlite:///FILE``, relative to ``base_dir``. ``timeout_s`` is for connecting, and again for
    the query. Raises MigrationProblem; its message holds no password.
    """
    try:
        scheme = urlsplit(url).scheme.partition("+")[0].lower()
    except ValueError as error:
        raise MigrationProblem(f"The database's URL is none: {error}.") from None
    if scheme == "sqlite":
        return _sqlite(url, query, timeout_s, base_dir)
    if scheme in ("postgresql", "postgres"):
        return _postgresql(f"postgresql{url[url.index(':') :]}", query, timeout_s)
    raise MigrationProblem(
        f"The database's URL begins with {scheme or 'no scheme'!r}: postgresql:// and sqlite:/// can be read."
    )


def passwords_in(url: str) -> tuple[str, ...]:
    """What of a database's URL may be shown nowhere, besides the whole."""
    with suppress(ValueError):
        parts = urlsplit(url)
        found = [unquote(parts.password or ""), *parse_qs(parts.query).get("password", ())]
        return tuple(filter(None, found))
    return ()


def _sqlite(url: str, query: str, timeout_s: float, base_dir: Path) -> Rows:
    import sqlite3

    path = base_dir / unquote(urlsplit(url).path.removeprefix("/"))
    if not path.is_file():
        raise MigrationProblem(f"There is no SQLite file {path}.")
    name = path.resolve().as_uri() + "?mode=ro"
    try:
        with (
            closing(
                sqlite3.connect(name, uri=True, timeout=timeout_s, check_same_thread=False)
            ) as connection,
            _after(timeout_s, connection.interrupt),
        ):
            return _rows(connection.execute(query).fetchmany(_MOST_ROWS))
    except (sqlite3.Error, sqlite3.Warning) as error:
        said = f"it took longer than {timeout_s:g} s" if "interrupted" in str(error) else str(error)
        raise MigrationProblem(f"The SQLite file {path} could not be read: {said.rstrip('.')}.") from None


def _postgresql(url: str, query: str, timeout_s: float) -> Rows:
    try:
        import psycopg
    except ImportError:
        raise MigrationProblem(INSTALL) from None
    try:
        connection = psycopg.connect(
            url,
            connect_timeout=max(2, round(timeout_s)),  # libpq's least
            application_name="pytest-zkrollback",
            options=f"-c default_transaction_read_only=on -c statement_timeout={round(timeout_s * 1000)}",
        )
        with closing(connection), _after(timeout_s + _GRACE_S, lambda: _cut(connection)):
            connection.read_only = True
            # As bytes: psycopg wants to see that a text is no f-string, and this one is the configuration's.
            return _rows(connection.execute(query.encode()).fetchmany(_MOST_ROWS))
    except psycopg.Error as error:
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise MigrationProblem(f"PostgreSQL could not be asked: {said.rstrip('.')}.") from None


def _cut(connection: psycopg.Connection[Any]) -> None:
    """A server that no longer answers does not obey a timeout of its own: the socket is shut."""
    with suppress(OSError), socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as copy:
        copy.shutdown(socket.SHUT_RDWR)


@contextmanager
def _after(timeout_s: float, act: Callable[[], None]) -> Iterator[None]:
    timer = Timer(timeout_s, act)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _rows(found: Sequence[Sequence[object]]) -> Rows:
    return tuple(tuple(row) for row in found)
