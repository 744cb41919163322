"""Generated folders of migrations, of which it is known what came and whether it can be undone."""

from __future__ import annotations

import os
import random
from typing import Any, NamedTuple

from hypothesis import event, given, settings
from hypothesis import strategies as st

from pytest_zkrollback.migrations.base import judge_files
from pytest_zkrollback.migrations.tools import TOOL_NAMES, find_tool


class Up(NamedTuple):
    """A change; ``loses``: it removes data."""

    text: str
    loses: bool = False
    idle: bool = False


class Down(NamedTuple):
    """What should undo it; ``can`` is None where nobody can tell."""

    text: str | None
    can: bool | None


SQL_UPS = (
    Up("create table NAME (id int);"),
    Up("alter table NAME add column c int default 0;"),
    Up("update NAME set sep = '--'; drop table legacy;", loses=True),
    Up("alter table NAME drop column c;", loses=True),
    Up("insert into NAME values (1); -- drop table x"),
    Up("/* drop table a; */ create index i on NAME (id);"),
    Up("insert into NAME (text) values ('drop table x; -- no');"),
    Up("create function NAME() returns int as $$ begin return 1; end $$ language plpgsql;"),
    Up("-- nothing yet\n", idle=True),
    Up("select 'up goes here';", idle=True),
)
SQL_DOWNS = (
    Down("drop table NAME;", True),
    Down("-- the way back\nbegin;\nalter table NAME drop column c;\ncommit;", True),
    Down("/* not; empty */ delete from NAME where id = 1;", True),
    Down("", False),
    Down("-- drop table NAME;", False),
    Down("/* drop table NAME; */", False),
    Down("select 'undo goes here';", False),
    Down("begin; commit;", False),
    Down("# cannot be undone", False),
    Down("do $$ begin raise exception 'no way back'; end $$;", False),
    Down("signal sqlstate '45000' set message_text = 'no';", False),
    Down(None, False),
)
ALEMBIC_UPS = (
    Up("op.create_table('NAME', sa.Column('id', sa.Integer))"),
    Up("op.execute(\"update NAME set sep = '--'\")"),
    Up("op.drop_column('NAME', 'old')", loses=True),
    Up("op.execute('DROP TABLE legacy')", loses=True),
    Up("pass", idle=True),
    Up("'''Nothing but words: op.drop_table('a').'''", idle=True),
)
ALEMBIC_DOWNS = (
    Down("op.drop_table('NAME')", True),
    Down("with op.batch_alter_table('NAME') as batch:\n        batch.drop_column('c')", True),
    Down("pass", False),
    Down("...", False),
    Down("'''One way only.'''", False),
    Down("raise NotImplementedError('one way')", False),
    Down(None, False),
)
DJANGO = (
    (Up("migrations.CreateModel(name='NAME', fields=[])"), True),
    (Up("migrations.AddField(model_name='a', name='NAME', field=models.TextField())"), True),
    (Up("migrations.RemoveField(model_name='a', name='NAME')", loses=True), True),
    (Up("migrations.RunPython(forwards)"), False),
    (Up("migrations.RunPython(forwards, migrations.RunPython.noop)"), True),
    (Up("migrations.RunPython(forwards, reverse_code=backwards)"), True),
    (Up("migrations.RunSQL('create view NAME as select 1')"), False),
    (Up("migrations.RunSQL('create view NAME as select 1', reverse_sql=None)"), False),
    (Up("migrations.RunSQL('create view NAME as select 1', 'drop view NAME')"), True),
    (Up("tricks.Rebuild('NAME')"), None),
)
FOREIGN = {
    "alembic": "0007_backfill.sql",
    "flyway": "V077__backfill.py",
    "golang-migrate": "backfill.go",
    "sql": "00002_backfill.go",
}
IGNORED = ("README.md", "NOTES.txt", ".gitkeep")


class Migration(NamedTuple):
    """One migration, the files that it consists of, and the truth about it."""

    files: dict[str, str]
    can: bool | None
    loses: bool


class Folder(NamedTuple):
    """Both commits' files, and what is true of them."""

    kind: str
    target: dict[str, str]
    bad: dict[str, str]
    ran: bool | None
    reversible: bool | None
    loses: bool


def _sql(chance: random.Random, kind: str, number: int, style: int, more: str = "") -> Migration:
    up, down = chance.choice(SQL_UPS), chance.choice(SQL_DOWNS)
    name, lead = f"t{number}", f"db/{number:04}_t{number}"
    text = up.text.replace("NAME", name) + more
    back = None if down.text is None else down.text.replace("NAME", name)
    if kind == "sql" and style:
        mark = (
            ("-- +goose Up\n", "-- +goose Down\n") if style == 1 else ("-- migrate:up\n", "-- migrate:down\n")
        )
        files = {f"{lead}.sql": f"{mark[0]}{text}\n" + ("" if back is None else f"{mark[1]}{back}\n")}
    else:
        paths = (f"{lead}.up.sql", f"{lead}.down.sql")
        if kind == "flyway":
            paths = (f"db/V{number}__{name}.sql", f"db/U{number}__{name}.sql")
        files = {paths[0]: text} | ({} if back is None else {paths[1]: back})
    return Migration(files, True if up.idle else down.can, up.loses)


def _alembic(chance: random.Random, number: int, before: str | None, more: str = "") -> Migration:
    up, down = chance.choice(ALEMBIC_UPS), chance.choice(ALEMBIC_DOWNS)
    lines = [
        "import sqlalchemy as sa\nfrom alembic import op",
        f"revision = 'r{number}'\ndown_revision = {before!r}",
        f"def upgrade():\n    {up.text}" + (f"\n    {more}" if more else ""),
    ]
    if down.text is not None:
        lines.append(f"def downgrade() -> None:\n    {down.text}")
    text = "\n\n".join(lines).replace("NAME", f"t{number}") + "\n"
    # An upgrade that does nothing needs no way back, but for one that raises or is not there.
    can = down.can
    if up.idle and down.text is not None and not down.text.startswith("raise"):
        can = True
    return Migration({f"db/r{number}_x.py": text}, can, up.loses)


def _django(chance: random.Random, number: int, before: int | None, more: str = "") -> Migration:
    chosen = chance.choices(DJANGO, k=chance.randint(1, 2))
    operations = ", ".join([up.text for up, _ in chosen] + ([more] if more else [])).replace(
        "NAME", f"t{number}"
    )
    needs = "" if before is None else f"('shop', '{before:04}_t{before}')"
    text = (
        "from django.db import migrations\ndef forwards(apps, schema_editor): pass\n"
        "def backwards(apps, schema_editor): pass\nclass Migration(migrations.Migration):\n"
        f"    dependencies = [{needs}]\n    operations = [{operations}]\n"
    )
    found = {can for _, can in chosen}
    can = False if False in found else None if None in found else True
    loses = any(up.loses for up, _ in chosen)
    return Migration({f"shop/migrations/{number:04}_t{number}.py": text}, can, loses)


def make_folder(seed: int) -> Folder:
    """The same for the same seed."""
    chance = random.Random(seed)
    kind = chance.choice(list(TOOL_NAMES))
    style = chance.randint(0, 2)

    def made(number: int, before: int | None, more: bool = False) -> Migration:
        # The same number draws the same migration, with or without ``more``.
        own = random.Random(f"{seed}/{number}")
        if kind == "alembic":
            return _alembic(own, number, f"r{before}" if before else None, "op.execute('x')" if more else "")
        if kind == "django":
            return _django(own, number, before, "migrations.RunSQL('x', 'y')" if more else "")
        return _sql(own, kind, number, style, "\ninsert into more values (7);" if more else "")

    old = chance.randint(0, 3)
    gone = old > 0 and chance.random() < 0.2
    edited = old - gone > 0 and chance.random() < 0.2
    new = chance.choice((0, 0, 1, 1, 2, 3))
    foreign = kind in FOREIGN and chance.random() < 0.25
    target: dict[str, str] = {}
    bad: dict[str, str] = {}
    for number in range(1, old + 1):
        target |= made(number, number - 1 or None).files
    for number in range(1, old + 1 - gone):
        bad |= made(number, number - 1 or None, more=edited and number == 1).files
    before = old - gone or None
    came = []
    for number in range(old + 1, old + new + 1):
        came.append(made(number, before))
        bad |= came[-1].files
        before = number
    folder = "shop/migrations/" if kind == "django" else "db/"
    for name in chance.sample(IGNORED, chance.randint(0, 2)):
        bad[folder + name] = "words"
    if foreign:
        bad[folder + FOREIGN[kind]] = "backfill()"
    ways = {one.can for one in came} | ({None} if foreign else set())
    reversible = (False if False in ways else None if None in ways else True) if came else None
    unknown = foreign or edited or gone or not (old or new)
    return Folder(
        kind,
        target,
        bad,
        True if came else None if unknown else False,
        reversible,
        any(one.loses for one in came),
    )


@settings(max_examples=int(os.environ.get("ZKROLLBACK_MIGRATIONS", "100")), deadline=None)
@given(seed=st.integers(0, 1 << 40))
def test_generated_folders_are_judged_as_they_were_made(seed: int) -> None:
    folder = make_folder(seed)
    tool = find_tool(folder.kind)
    found = judge_files(tool, tool.parse(folder.target), tool.parse(folder.bad), "between a and b", "b")
    shown: Any = (seed, folder, found)
    assert (found.ran, found.reversible) == (folder.ran, folder.reversible), shown
    assert ("does not come back" in found.observed) == bool(folder.reversible and folder.loses), shown
    event(f"an answer: {found.ran}, undone: {found.reversible}")
