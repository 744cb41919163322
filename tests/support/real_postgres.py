"""A real PostgreSQL on loopback, run by a user who may not be root."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg

PASSWORD = "right-horse-7f3k9"
_numbers = itertools.count(1)


def program(name: str) -> str:
    """Debian keeps the server's programs off PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = str(found[-1]) if found else shutil.which(name)
    assert path, f"there is no {name}: run tools/need-postgresql.sh"
    return path


def unprivileged() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: Popen's arguments for the package's user, or for nobody."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise AssertionError("there is no user to run PostgreSQL as")


class Postgres:
    """One server; :meth:`make` gives a fresh database."""

    def __init__(self, folder: Path) -> None:
        who = unprivileged()
        if who:
            os.chown(folder, who["user"], who["group"])
        data = folder / "data"
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        initdb = [
            program("initdb"),
            "-D",
            str(data),
            "-U",
            "zkprova",
            "-A",
            "scram-sha-256",
            "-N",
            "-E",
            "UTF8",
        ]
        done = subprocess.run(
            [*initdb, f"--pwfile={folder / 'password'}", "--no-locale"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            **who,
        )
        assert done.returncode == 0, done.stderr
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        quiet = ["-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=20"]
        argv = [
            program("postgres"),
            "-D",
            str(data),
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-k",
            str(folder),
        ]
        self.process = subprocess.Popen(
            [*argv, *quiet], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **who
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "PostgreSQL did not start"
                assert self.process.poll() is None, "PostgreSQL ended"
                time.sleep(0.05)

    def url(self, database: str) -> str:
        return f"postgresql://zkprova:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def make(self) -> str:
        name = f"app{next(_numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def close(self) -> None:
        self.process.send_signal(signal.SIGINT)  # "fast": whoever is still connected is sent away
        self.process.wait(30)
