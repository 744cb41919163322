"""What SQL does, whichever database it is for: what is no way back is never taken for one."""

from __future__ import annotations

import pytest

from pytest_zkrollback.migrations import sql
from pytest_zkrollback.migrations.base import judge_files
from pytest_zkrollback.migrations.tools import find_tool

UP = "create table orders (id int);"


def found(kind: str, target: dict[str, str], bad: dict[str, str]):
    tool = find_tool(kind)
    return judge_files(tool, tool.parse(target), tool.parse(bad), "between good and bad", "bad")


@pytest.mark.parametrize(
    ("down", "why"),
    [
        ("", "is empty"),
        ("-- irreversible", "is empty"),
        ("/* a /* nested */ one */", "is empty"),
        ("# cannot be undone", "is empty"),
        ("#cannot be undone", "is empty"),
        ("BEGIN; COMMIT;", "is empty"),
        ("SELECT 'undo goes here';", "is empty"),
        ("select 1 as one, null", "is empty"),
        ("DO $$ BEGIN RAISE EXCEPTION 'x'; END $$;", "raises an error"),
        ("DO $body$ DECLARE n int; BEGIN RAISE 'no'; END $body$;", "raises an error"),
        ("do language plpgsql $$ begin raise exception 'x'; end $$", "raises an error"),
        ("SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no';", "raises an error"),
        ("DROP TABLE a; DO $$ BEGIN RAISE EXCEPTION 'x'; END $$;", "raises an error"),
        ("THROW 50000, 'no', 1;", "raises an error"),
        ("DROP TABLE orders;", ""),
        ("SELECT undo_orders();", ""),
        ("DO $$ BEGIN RAISE NOTICE 'going'; DROP TABLE orders; END $$;", ""),
        ("UPDATE t SET sep = '#'; DROP TABLE orders", ""),
        ("DO $$ BEGIN IF 1 = 2 THEN RAISE EXCEPTION 'x'; END IF; DROP TABLE orders; END $$;", ""),
        ("INSERT INTO t VALUES ('it''s", None),
    ],
)
def test_cases_p8_p10_what_undoes_nothing_is_no_way_back(down: str, why: str | None) -> None:
    assert sql.why_no_way_back(down) == why


@pytest.mark.parametrize(
    ("text", "loses"),
    [
        ("UPDATE t SET sep = '--'; DROP TABLE legacy;", True),
        ("/*!40101 DROP TABLE legacy */;", True),
        ("INSERT INTO t VALUES ('C:\\'); DROP TABLE y; -- '", True),
        ("INSERT INTO t VALUES ('it\\'s -- '); DROP TABLE y;", True),
        ("DO $$ BEGIN TRUNCATE orders; END $$;", True),
        ("CREATE FUNCTION f() RETURNS void AS $$ DELETE FROM a $$ LANGUAGE sql", True),
        ("INSERT INTO notes VALUES ('drop table x')", False),
        ("-- drop table x\nCREATE TABLE y (a int)", False),
        ("ALTER TABLE a ADD COLUMN b text DEFAULT 'delete from'", False),
    ],
)
def test_case_p10_what_removes_data_is_seen_behind_quotes_and_not_inside(text: str, loses: bool) -> None:
    script = next(
        iter(
            find_tool("sql").parse({"m/1_it.up.sql": text, "m/1_it.down.sql": "select f()"}).scripts.values()
        )
    )
    assert script.loses is loses


def test_a_file_that_holds_data_is_shown_as_it_is_and_nothing_is_said_of_it() -> None:
    text = "COPY t FROM stdin;\n1\tfoo's\n\\.\n" + "x" * 300_000
    assert (sql.is_idle(text), sql.why_no_way_back(text), sql.shown(text)) == (None, None, text.strip())


def test_case_p8_the_down_part_that_goose_writes_itself_is_no_reverse() -> None:
    text = f"-- +goose Up\n{UP}\n-- +goose Down\nSELECT 'undo goes here';\n"
    finding = found("sql", {"m/00001_a.sql": UP}, {"m/00001_a.sql": UP, "m/00002_b.sql": text})
    assert (finding.ran, finding.reversible) == (True, False)
    assert "reverse: no, down part of m/00002_b.sql is empty" in finding.evidence[0].text


@pytest.mark.parametrize(
    ("kind", "target", "more"),
    [
        ("sql", {"m/00001_a.sql": UP}, "m/00002_backfill.go"),
        ("sql", {"m/00001_a.sql": UP}, "m/helper.sh"),
        ("golang-migrate", {"m/001_a.up.sql": UP, "m/001_a.down.sql": "drop table orders"}, "m/002_b.sql"),
        ("flyway", {"db/V1__a.sql": UP}, "db/afterMigrate.sql"),
        ("flyway", {"db/V1__a.sql": UP}, "db/V2__b.py"),
        (
            "alembic",
            {"v/a.py": "revision = 'a'\ndown_revision = None\ndef upgrade(): pass\ndef downgrade(): pass\n"},
            "v/b.sql",
        ),
    ],
)
def test_case_p9_a_file_that_is_not_read_makes_it_unknown(
    kind: str, target: dict[str, str], more: str
) -> None:
    came = found(kind, target, {**target, more: "anything"})
    went = found(kind, {**target, more: "anything"}, target)
    changed = found(kind, {**target, more: "anything"}, {**target, more: "else"})
    for finding in (came, went, changed):
        assert finding.ran is None
        assert f"{more} came, went or changed between good and bad, unread" in finding.observed
        assert f"not read: {more}" in finding.evidence[0].text
    same = found(kind, {**target, more: "anything"}, {**target, more: "anything"})
    assert same.ran is False


@pytest.mark.parametrize("more", ["m/README.md", "m/.gitkeep", "m/notes.txt", "m/atlas.sum"])
def test_words_about_the_folder_are_no_migration(more: str) -> None:
    assert found("sql", {"m/00001_a.sql": UP}, {"m/00001_a.sql": UP, more: "anything"}).ran is False


def test_case_p9_beside_a_migration_with_a_reverse_an_unread_file_takes_it_away() -> None:
    target = {"m/1_a.up.sql": UP, "m/1_a.down.sql": "drop table orders"}
    bad = {
        **target,
        "m/2_b.up.sql": "create index i on orders (id)",
        "m/2_b.down.sql": "drop index i",
        "m/3_c.go": "x",
    }
    finding = found("sql", target, bad)
    assert (finding.ran, finding.reversible) == (True, None)
    assert "m/3_c.go has a reverse that cannot be read from the file" in finding.observed


ALEMBIC_A = "revision, down_revision = 'a', None\ndef upgrade(): pass\ndef downgrade(): pass\n"
ADDS = "def upgrade(): op.add_column('t', c)\ndef downgrade(): op.drop_column('t', 'c')\n"


def test_case_p31_a_revision_in_one_line_is_read_and_what_its_way_back_drops_is_no_loss() -> None:
    finding = found(
        "alembic",
        {"v/a.py": ALEMBIC_A},
        {"v/a.py": ALEMBIC_A, "v/b.py": f"revision, down_revision = 'b', 'a'\n{ADDS}"},
    )
    assert (finding.ran, finding.reversible) == (True, True)
    assert "does not come back" not in finding.observed


@pytest.mark.parametrize(
    "head",
    ["(revision, down_revision) = pair()", "if True:\n    revision = 'b'", "globals()['revision'] = 'b'"],
)
def test_case_p31_a_revision_that_cannot_be_read_is_said(head: str) -> None:
    with pytest.raises(Exception, match=r"v/b\.py"):
        found("alembic", {"v/a.py": ALEMBIC_A}, {"v/a.py": ALEMBIC_A, "v/b.py": f"{head}\n{ADDS}"})
