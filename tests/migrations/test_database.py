"""The schema's version, read from real databases: by each tool's own table, and never anything but read."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from pytest_zkrollback.clients.database import fetch_rows, passwords_in
from pytest_zkrollback.domain.errors import MigrationProblem
from pytest_zkrollback.migrations.schema_version import judge_applied, judge_version
from pytest_zkrollback.migrations.tools import find_tool
from support.real_postgres import PASSWORD


def write(url, script):
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.executescript(script)
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(script.encode())


def read(url, query, timeout_s=5):
    return fetch_rows(url, query, timeout_s=timeout_s)


def flyway(*rows):
    table = (
        "create table flyway_schema_history (installed_rank int, version text, type text, success boolean);"
    )
    values = (
        f"insert into flyway_schema_history values ({rank}, '{version}', '{kind}', {success});"
        for rank, (version, kind, success) in enumerate(rows)
    )
    return table + "".join(values)


def golang(version, dirty="false"):
    return f"create table schema_migrations (version bigint, dirty boolean); insert into schema_migrations values ({version}, {dirty});"


def django(*names):
    rows = "".join(f"insert into django_migrations values ('{app}', '{name}');" for app, name in names)
    return "create table django_migrations (app text, name text);" + rows


def plain(*versions):
    rows = "".join(f"insert into versions values ({version});" for version in versions)
    return "create table versions (version int);" + rows


def migration(operations, needs=""):
    return f"class Migration:\n    dependencies = [{needs}]\n    operations = [{operations}]\n"


# kind -> the target's files, what the bad revision adds (with a reverse, without)
FILES = {
    "flyway": (
        {"V1__a.sql": "a"},
        {"V2__b.sql": "b", "U2__b.sql": "x", "V3__c.sql": "c", "U3__c.sql": "y"},
        {"V2__b.sql": "b", "V3__c.sql": "c"},
    ),
    "golang-migrate": (
        {"1_a.up.sql": "a", "1_a.down.sql": "z"},
        {"2_b.up.sql": "b", "2_b.down.sql": "y", "3_c.up.sql": "c", "3_c.down.sql": "x"},
        {"2_b.up.sql": "b", "3_c.up.sql": "c"},
    ),
    "django": (
        {"shop/migrations/0001_a.py": migration("migrations.RunSQL('a', 'z')")},
        {
            "shop/migrations/0002_b.py": migration("migrations.RunSQL('b', 'y')", "('shop', '0001_a')"),
            "shop/migrations/0003_c.py": migration("migrations.RunSQL('c', 'x')", "('shop', '0002_b')"),
        },
        {
            "shop/migrations/0002_b.py": migration("migrations.RunSQL('b')", "('shop', '0001_a')"),
            "shop/migrations/0003_c.py": migration("migrations.RunSQL('c')", "('shop', '0002_b')"),
        },
    ),
    "sql": (
        {"1_a.up.sql": "a", "1_a.down.sql": "z"},
        {"2_b.up.sql": "b", "2_b.down.sql": "y", "3_c.up.sql": "c", "3_c.down.sql": "x"},
        {"2_b.up.sql": "b", "3_c.up.sql": "c"},
    ),
}
OTHER_APP = ("auth", "0001_initial")
# kind -> the tool's table at versions 0 to 3, and with a migration that broke off
TABLES = {
    "flyway": (
        [flyway(*[(n, "SQL", "true") for n in range(1, newest + 1)]) for newest in range(4)],
        flyway((1, "SQL", "true"), (2, "SQL", "false")),
    ),
    "golang-migrate": (
        ["create table schema_migrations (version bigint, dirty boolean);", golang(1), golang(2), golang(3)],
        golang(2, "true"),
    ),
    "django": (
        [
            django(OTHER_APP, *[("shop", f"000{n}_{'abc'[n - 1]}") for n in range(1, newest + 1)])
            for newest in range(4)
        ],
        None,
    ),
    "sql": ([plain(*range(1, newest + 1)) for newest in range(4)], None),
}
QUERIES = {"sql": "select version from versions"}


def judged(kind, database, more=None):
    tool = find_tool(kind)
    target, reversible, irreversible = FILES[kind]
    new = {None: {}, True: reversible, False: irreversible}[more]
    trees = tool.parse(target), tool.parse({**target, **new})
    rows = read(database, QUERIES.get(kind, tool.query))
    return judge_applied(tool, "schema in the database", *trees, tool.applied(trees[1], rows), "bad")


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize(
    ("situation", "newest", "more", "ran", "reversible", "said"),
    [
        ("none", 1, None, False, None, "as the target expects"),
        ("none, and not applied", 1, True, False, None, "as the target expects"),
        ("reversible", 3, True, True, True, "reverse command, in a checkout of bad:"),
        ("irreversible", 3, False, True, False, "reverse command: none, "),
        ("partly applied", 2, True, True, True, "only 1 of 2 new migrations"),
        ("of no commit", 2, None, True, None, "is in no commit that was read"),
        ("target newer than schema", 0, None, True, None, "the target is newer than the schema"),
    ],
)
def test_each_tools_table(kind, situation, newest, more, ran, reversible, said, make_database):
    database = make_database()
    write(database, TABLES[kind][0][newest])
    finding = judged(kind, database, more)
    assert (finding.ran, finding.reversible) == (ran, reversible), finding
    assert said in f"{finding.observed} {finding.evidence[0].text}"


@pytest.mark.parametrize("kind", ["flyway", "golang-migrate"])
def test_a_migration_that_broke_off_is_never_green(kind, make_database):
    database = make_database()
    write(database, TABLES[kind][1])
    finding = judged(kind, database, True)
    assert (finding.ran, finding.reversible) == (True, None)
    assert "migration 2 broke off, and part of it may be applied" in finding.observed


def test_what_flyway_has_undone_is_not_applied(make_database):
    database = make_database()
    write(database, flyway((1, "SQL", "true"), (2, "SQL", "true"), (2, "UNDO_SQL", "true")))
    assert judged("flyway", database, True).ran is False


@pytest.mark.parametrize(
    ("reported", "expected", "ran", "said"),
    [
        ("7", "7", False, "The schema is at 7, as the target expects (W)."),
        (
            "8",
            "7",
            True,
            "A migration ran: the schema is at 8, the target expects 7 (W); whether it can be undone",
        ),
        (
            "6",
            "7",
            True,
            "The target is newer than the schema: the schema is at 6, the target expects 7 (W).",
        ),
        ("10", "9", True, "A migration ran: "),
        ("b2", "a1", True, "The schema is not the target's: the schema is at b2, the target expects a1 (W)"),
    ],
)
def test_a_version_against_the_one_of_the_manifest(reported, expected, ran, said):
    finding = judge_version("x", reported, expected, "W")
    assert finding.ran is ran
    assert finding.reversible is None
    assert finding.observed.startswith(said)


@pytest.mark.parametrize(
    "query", ["insert into t values (1)", "drop table t", "create table u (x int)", "update t set x = 1"]
)
def test_a_query_that_writes_is_refused_by_the_database(query, make_database):
    database = make_database()
    write(database, "create table t (x int);")
    with pytest.raises(MigrationProblem, match=r"read-?only"):
        read(database, query)
    assert read(database, "select count(*) from t") == ((0,),)


def test_a_slow_query_ends_in_time(make_database):
    database = make_database()
    write(database, "create table t (x int);")
    endless = "with recursive n(x) as (select 1 union all select x + 1 from n) select max(x) from n"
    with pytest.raises(MigrationProblem) as caught:
        read(database, endless, timeout_s=0.5)
    assert re.search("longer than 0.5 s|statement timeout", str(caught.value))


def test_a_server_that_stops_answering_does_not_hold_us(postgres):
    """The process behind our connection is stopped: it neither answers nor obeys a timeout of its own."""
    held = (
        "import os, signal, sys; from pytest_zkrollback.clients.database import fetch_rows\n"
        'query = "select pg_backend_pid()"\n'
        "import psycopg; real = psycopg.connect\n"
        "def stopping(*a, **k):\n"
        "    c = real(*a, **k); os.kill(c.info.backend_pid, signal.SIGSTOP); print(c.info.backend_pid); return c\n"
        "psycopg.connect = stopping\n"
        "try: fetch_rows(sys.argv[1], query, timeout_s=1)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", held, postgres.url("postgres")],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    pid, said = done.stdout.splitlines()[:2]
    subprocess.run(["kill", "-CONT", pid], check=False)
    assert said.startswith("MigrationProblem PostgreSQL could not be asked: ")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://zkprova:wrong-7f3k9@127.0.0.1:{port}/postgres", "password authentication failed"),
        (
            "postgresql+psycopg://zkprova:{password}@127.0.0.1:{port}/nowhere",
            'database "nowhere" does not exist',
        ),
        ("postgres://zkprova:{password}@127.0.0.1:1/postgres", "PostgreSQL could not be asked: "),
        ("sqlite:///nowhere.db", "There is no SQLite file "),
        (
            "mysql://zkprova:{password}@127.0.0.1/x",
            "begins with 'mysql': postgresql:// and sqlite:/// can be read.",
        ),
        ("zkprova", "begins with 'no scheme'"),
        ("postgresql://[::1/x", "The database's URL is none: "),
    ],
)
def test_what_cannot_be_asked_is_one_sentence_without_a_password(url, said, postgres):
    with pytest.raises(MigrationProblem) as caught:
        read(url.format(port=postgres.port, password=PASSWORD), "select 1")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert "wrong-7f3k9" not in str(caught.value)


def test_a_table_that_is_missing_is_said(make_database):
    database = make_database()
    write(database, "create table t (x int);")
    with pytest.raises(MigrationProblem, match="flyway_schema_history"):
        read(database, find_tool("flyway").query)


def test_passwords_are_known_to_the_redactor():
    assert passwords_in("postgresql://a:p%40ss-w0rd@h/d?password=other-7f3k9") == ("p@ss-w0rd", "other-7f3k9")
    assert passwords_in("sqlite:///x.db") == ()
    assert passwords_in("postgresql://[::1/x") == ()


def test_the_extra_is_named_where_psycopg_is_missing(tmp_path):
    (tmp_path / "psycopg.py").write_text("raise ImportError")
    ask = (
        "from pytest_zkrollback.clients.database import fetch_rows\n"
        "try: fetch_rows('postgresql://h/d', 'select 1', timeout_s=1)\n"
        "except Exception as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "psycopg is not installed here: pip install 'pytest-zkrollback[postgresql]'.\n"


def test_the_server_of_these_tests_is_not_root(postgres):
    assert Path(f"/proc/{postgres.process.pid}").stat().st_uid != 0
