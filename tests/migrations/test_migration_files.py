"""Django's, Flyway's, golang-migrate's and plain SQL files: what is new, has it a reverse, the command."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.domain.errors import MigrationProblem
from pytest_zkrollback.migrations.base import judge_files
from pytest_zkrollback.migrations.schema_version import judge_applied
from pytest_zkrollback.migrations.tools import TOOL_NAMES, find_tool

GOOD = "create table orders (id int);"
DJANGO = """
from django.db import migrations, models
def forwards(apps, schema_editor): apps.get_model("orders", "Order").objects.all().delete()
class Migration(migrations.Migration):
    dependencies = [NEEDS]
    REPLACES
    operations = [OPERATIONS]
"""


def django(operations, needs="", replaces=""):
    text = DJANGO.replace("NEEDS", needs).replace("OPERATIONS", operations)
    return text.replace("REPLACES", f"replaces = [{replaces}]" if replaces else "")


INITIAL = {
    "shop/orders/migrations/__init__.py": "",
    "shop/orders/migrations/0001_initial.py": django("migrations.CreateModel(name='Order', fields=[])"),
}
SECOND = "shop/orders/migrations/0002_second.py"
FLYWAY = {"db/V1__orders.sql": GOOD}
GOLANG = {"m/001_orders.up.sql": GOOD, "m/001_orders.down.sql": "drop table orders;"}
SQL = {"m/0001_orders.up.sql": GOOD, "m/0001_orders.down.sql": "drop table orders;"}

# kind, the target's files, what the bad revision has besides (None: not any more), ran, reversible, in the evidence
TABLE = {
    "django none": ("django", INITIAL, {}, False, None, ""),
    "django, a field removed": (
        "django",
        INITIAL,
        {
            SECOND: django(
                "migrations.RemoveField(model_name='order', name='exported')", "('orders', '0001_initial')"
            )
        },
        True,
        True,
        f"{SECOND} (orders.0002_second)\n"
        "  does: migrations.RemoveField(model_name='order', name='exported')\n"
        "  removes data, which no reverse brings back\n"
        "  reverse: yes, every operation has one\n"
        "reverse command, in a checkout of bad:\n"
        "  python manage.py migrate orders 0001_initial",
    ),
    "django, the first migration of an app": (
        "django",
        INITIAL,
        {"shop/stock/migrations/0001_initial.py": django("migrations.CreateModel(name='Stock', fields=[])")},
        True,
        True,
        "python manage.py migrate stock zero",
    ),
    "django, RunPython without a reverse": (
        "django",
        INITIAL,
        {SECOND: django("migrations.RunPython(forwards)")},
        True,
        False,
        "reverse: no, RunPython without reverse_code",
    ),
    "django, RunPython with a reverse": (
        "django",
        INITIAL,
        {SECOND: django("migrations.RunPython(forwards, reverse_code=migrations.RunPython.noop)")},
        True,
        True,
        "migrate orders 0001_initial",
    ),
    "django, RunSQL with None": (
        "django",
        INITIAL,
        {SECOND: django("migrations.RunSQL('x', reverse_sql=None)")},
        True,
        False,
        "reverse: no, RunSQL without reverse_sql",
    ),
    "django, RunSQL with a reverse by position": (
        "django",
        INITIAL,
        {SECOND: django("migrations.RunSQL('x', 'y')")},
        True,
        True,
        "migrate orders 0001_initial",
    ),
    "django, one of a kind of its own": (
        "django",
        INITIAL,
        {SECOND: django("tricks.Rebuild()")},
        True,
        None,
        "reverse: not known, Rebuild may or may not have one",
    ),
    "django, irreversible inside of SeparateDatabaseAndState": (
        "django",
        INITIAL,
        {SECOND: django("migrations.SeparateDatabaseAndState(database_operations=[migrations.RunSQL('x')])")},
        True,
        False,
        "reverse: no, RunSQL without reverse_sql",
    ),
    "django, computed operations": (
        "django",
        INITIAL,
        {SECOND: django("").replace("operations = []", "operations = make()")},
        True,
        None,
        "reverse: not known, its operations are computed",
    ),
    "django, squashed": (
        "django",
        INITIAL,
        {
            "shop/orders/migrations/0001_squashed.py": django(
                "migrations.CreateModel(name='Order', fields=[])", replaces="('orders', '0001_initial')"
            )
        },
        False,
        None,
        "",
    ),
    "flyway none": ("flyway", FLYWAY, {}, False, None, ""),
    "flyway, another spelling of the same version": (
        "flyway",
        {**FLYWAY, "db/V2.0__same.sql": GOOD},
        {"db/V2.0__same.sql": None, "db/V2__same.sql": GOOD},
        False,
        None,
        "",
    ),
    "flyway with an undo": (
        "flyway",
        FLYWAY,
        {
            "db/V1_1__exported.sql": "alter table orders add exported int;",
            "db/U1_1__exported.sql": "alter table orders drop column exported;",
        },
        True,
        True,
        "db/V1_1__exported.sql (1.1)\n"
        "  does: alter table orders add exported int\n"
        "  reverse: yes, U1.1__*.sql\n"
        "reverse command, in a checkout of bad:\n"
        "  flyway undo -target=1.1",
    ),
    "flyway without an undo": (
        "flyway",
        FLYWAY,
        {"db/V10__drop.sql": "drop table orders;"},
        True,
        False,
        "reverse: no, there is no U10__*.sql\nreverse command: none, db/V10__drop.sql has no reverse",
    ),
    "flyway, a repeatable that changed": (
        "flyway",
        {**FLYWAY, "db/R__view.sql": "create view a as select 1;"},
        {"db/R__view.sql": "create view a as select 2;"},
        True,
        None,
        "reverse: not known, a repeatable is not undone: its older text would have to be applied again",
    ),
    "flyway in Java": (
        "flyway",
        FLYWAY,
        {"db/V2__code.java": "class V2"},
        True,
        False,
        "does: V2__code.java",
    ),
    "golang-migrate none": ("golang-migrate", GOLANG, {}, False, None, ""),
    "golang-migrate with a way down": (
        "golang-migrate",
        GOLANG,
        {
            "m/002_x.up.sql": "alter table orders add x int;",
            "m/002_x.down.sql": "alter table orders drop column x;",
        },
        True,
        True,
        'migrate -path m -database "$DATABASE_URL" goto 1',
    ),
    "golang-migrate, the very first": ("golang-migrate", {}, GOLANG, True, True, "down -all"),
    "golang-migrate without": (
        "golang-migrate",
        GOLANG,
        {"m/002_x.up.sql": "drop table orders;"},
        True,
        False,
        "reverse: no, there is no 002_x.down.sql",
    ),
    "golang-migrate, only comments down": (
        "golang-migrate",
        GOLANG,
        {
            "m/002_x.up.sql": "drop table orders;",
            "m/002_x.down.sql": "-- no way back\n/* none */;\nSELECT 1;",
        },
        True,
        False,
        "reverse: no, 002_x.down.sql is empty",
    ),
    "sql none": ("sql", SQL, {}, False, None, ""),
    "sql, only a comment changed": (
        "sql",
        SQL,
        {"m/0001_orders.up.sql": f"-- the orders\n{GOOD}"},
        False,
        None,
        "",
    ),
    "sql with a down file": (
        "sql",
        SQL,
        {
            "m/0002_x.up.sql": "alter table orders add x int;",
            "m/0002_x.down.sql": "alter table orders drop x;",
        },
        True,
        True,
        "  run, in this order: m/0002_x.down.sql",
    ),
    "sql, 10 comes after 9": (
        "sql",
        SQL,
        {
            "m/10.up.sql": "alter table orders add b int;",
            "m/10.down.sql": "alter table orders drop b;",
            "m/9.up.sql": "alter table orders add a int;",
            "m/9.down.sql": "alter table orders drop a;",
        },
        True,
        True,
        "run, in this order: m/10.down.sql, m/9.down.sql",
    ),
    "sql in folders": (
        "sql",
        {},
        {
            "m/2024_a/up.sql": GOOD,
            "m/2024_a/down.sql": "drop table orders;",
            "m/up/b.sql": GOOD,
            "m/down/b.sql": "x",
        },
        True,
        True,
        "m/2024_a/down.sql",
    ),
    "sql with both ways in one file": (
        "sql",
        SQL,
        {
            "m/0002_x.sql": "-- migrate:up\nalter table orders add x int;\n-- migrate:down\nalter table orders drop x;"
        },
        True,
        True,
        "run, in this order: down part of m/0002_x.sql",
    ),
    "sql with an empty way down in one file": (
        "sql",
        SQL,
        {"m/0002_x.sql": "-- +goose Up\ndrop table orders;\n-- +goose Down\n"},
        True,
        False,
        "reverse: no, down part of m/0002_x.sql is empty",
    ),
    "sql alone": (
        "sql",
        SQL,
        {"m/0002_x.sql": "truncate orders;"},
        True,
        False,
        "reverse: no, there is no down file",
    ),
}


def found(kind, target, more):
    tool = find_tool(kind)
    bad = {path: text for path, text in {**target, **more}.items() if text is not None}
    return judge_files(tool, tool.parse(target), tool.parse(bad), "between good and bad", "bad")


@pytest.mark.parametrize("case", TABLE)
def test_what_came_between_two_commits(case):
    kind, target, more, ran, reversible, shown = TABLE[case]
    finding = found(kind, target, more)
    assert (finding.ran, finding.reversible) == (ran, reversible)
    assert shown in finding.evidence[0].text
    assert finding.source == f"{find_tool(kind).name} files"


@pytest.mark.parametrize("kind", TOOL_NAMES)
def test_no_file_at_all_is_no_evidence(kind):
    finding = found(kind, {}, {"README.md": "x"})
    assert (finding.ran, finding.observed) == (
        None,
        f"{find_tool(kind).name}: there is no migration at all between good and bad. Are the paths right?",
    )


@pytest.mark.parametrize(
    ("target", "more", "said"),
    [
        (
            SQL,
            {"m/0001_orders.up.sql": "create table orders (id bigint);"},
            "SQL: m/0001_orders.up.sql changed between good and bad: which of both texts was applied is not known.",
        ),
        (
            {**SQL, "m/0002_x.sql": "select 2;"},
            {"m/0002_x.sql": None},
            "SQL: the target has m/0002_x.sql, which the later revision lacks (between good and bad): whether the "
            "database has what the target expects is not known.",
        ),
    ],
)
def test_files_that_changed_or_went_are_never_green(target, more, said):
    finding = found("sql", target, more)
    assert (finding.ran, finding.observed) == (None, said)


def test_the_sentence_names_files_reverse_command_and_what_does_not_come_back():
    more = {
        "m/0002_x.up.sql": "alter table orders drop column x;",
        "m/0002_x.down.sql": "alter table orders add x;",
    }
    assert found("sql", SQL, more).observed == (
        "SQL: 1 migration came between good and bad: m/0002_x.up.sql. It has a reverse. To undo, in a checkout "
        "of bad: run, in this order: m/0002_x.down.sql. What m/0002_x.up.sql removes does not come back by it."
    )
    assert found("sql", SQL, {f"m/{n}.sql": "drop table t;" for n in range(2, 9)}).observed == (
        "SQL: 7 migrations came between good and bad: m/2.sql, m/3.sql, m/4.sql, m/5.sql and 3 more. "
        "m/2.sql, m/3.sql, m/4.sql, m/5.sql and 3 more have no reverse: no command takes the database back."
    )


@pytest.mark.parametrize(
    ("kind", "files", "said"),
    [
        (
            "sql",
            {"a/1_x.up.sql": "x", "b/1_x.up.sql": "y"},
            "a/1_x.up.sql and b/1_x.up.sql are both the migration 1_x.",
        ),
        (
            "flyway",
            {"a/V1__x.sql": "x", "b/V1.0__y.sql": "y"},
            "a/V1__x.sql and b/V1.0__y.sql are both the migration 1.",
        ),
        (
            "golang-migrate",
            {"a/1_x.up.sql": "x", "b/01_y.up.sql": "y"},
            "a/1_x.up.sql and b/01_y.up.sql are both the migration 1.",
        ),
        ("sql", {"m/2.down.sql": "x"}, "m/2.down.sql goes down, and no file goes up beside it."),
        (
            "django",
            {"a/migrations/0001_x.py": "class ("},
            "a/migrations/0001_x.py is no Python that can be read: ",
        ),
    ],
)
def test_what_cannot_be_read_is_said(kind, files, said):
    with pytest.raises(MigrationProblem) as caught:
        find_tool(kind).parse(files)
    assert str(caught.value).startswith(said)


NAMES = st.sampled_from(
    [
        "V1__a.sql",
        "V2__b.sql",
        "U2__b.sql",
        "R__v.sql",
        "1_a.up.sql",
        "1_a.down.sql",
        "2_b.up.sql",
        "3.sql",
        "orders/migrations/0001_a.py",
        "orders/migrations/0002_b.py",
        "a1.py",
        "b1.py",
        "__init__.py",
    ]
)
TEXTS = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            "drop table a;",
            "-- nothing",
            "revision = 'a1'",
            "revision = 'b1'\ndown_revision = 'a1'",
            django("migrations.RunSQL('x')"),
            django("migrations.AddField('x')"),
            "-- migrate:up\nx\n-- migrate:down",
        ]
    ),
)
FILES = st.dictionaries(NAMES, TEXTS, max_size=6)


@given(st.sampled_from(sorted(TOOL_NAMES)), FILES, FILES)
def test_whatever_lies_there_is_read_or_said_and_the_same_tree_never_brings_a_migration(kind, first, second):
    with suppress(MigrationProblem):
        assert found(kind, first, {}).ran is (False if find_tool(kind).parse(first).scripts else None)
        finding = found(kind, first, second)
        assert finding.reversible is None or finding.ran
        new = set(find_tool(kind).parse({**first, **second}).scripts) - set(
            find_tool(kind).parse(first).scripts
        )
        assert finding.ran or not new  # nothing new is overlooked


APPS = "from django.apps import AppConfig\nclass Config(AppConfig):\n    name = 'shop.orders'\n"


@pytest.mark.parametrize(
    ("apps", "label"),
    [
        (APPS, "orders"),
        (f"{APPS}    label = 'shop_orders'\n", "shop_orders"),
        (APPS.replace("orders'", "billing'"), "billing"),
    ],
)
def test_case_p11_an_apps_label_is_what_its_apps_py_says(apps, label):
    tree = find_tool("django").parse({**INITIAL, "shop/orders/apps.py": apps})
    assert list(tree.scripts) == [f"{label}.0001_initial"]
    assert find_tool("django").applied(tree, [(label, "0001_initial")]).ids == {f"{label}.0001_initial"}


@pytest.mark.parametrize(
    ("rows", "ran", "said"),
    [
        ([("auth", "0012_x"), ("sessions", "0001_initial")], False, "as the target expects."),
        (
            [("oauth2_provider", "0009_y")],
            None,
            "also has migrations of oauth2_provider, which are in no folder",
        ),
        ([("b", "0001_i"), ("a", "0001_i"), ("admin", "0001_i")], None, "also has migrations of a, b, which"),
    ],
)
def test_case_p11_rows_of_an_app_outside_the_repository_are_not_known(rows, ran, said):
    tool = find_tool("django")
    tree = tool.parse(INITIAL)
    (own,) = tree.scripts
    applied = tool.applied(tree, [tuple(own.split(".")), *rows])
    found = judge_applied(tool, "database", tree, tree, applied, "abc")
    assert found.ran is ran
    assert said in found.observed


def test_case_p11_a_label_that_is_computed_is_said():
    with pytest.raises(MigrationProblem, match=r"shop/orders/apps\.py: label is computed"):
        find_tool("django").parse({**INITIAL, "shop/orders/apps.py": f"{APPS}    label = make()\n"})


VIEW = "CREATE OR REPLACE VIEW v AS SELECT id, name FROM orders;"


@pytest.mark.parametrize(
    ("newer", "more"),
    [
        (VIEW.replace("name", "name, channel AS ch, price"), ". The view v has gained ch, price: PostgreSQL refuses to"
         " take columns out of a view, so the target may not start if it applies its text again"),
        (VIEW.replace("name", "upper(name) AS name"), ""),
        (VIEW.replace("orders;", "orders WHERE id > 1;"), ""),
    ],
)  # fmt: skip
def test_case_p12_a_repeatable_that_changed_is_no_irreversible_migration(newer, more):
    finding = found("flyway", {**FLYWAY, "db/R__v.sql": VIEW}, {"db/R__v.sql": newer})
    assert (finding.ran, finding.reversible) == (True, None)
    assert finding.observed == (
        "Flyway: 1 migration came between good and bad: db/R__v.sql. A repeatable is not undone: its"
        f" older text would have to be applied again{more}."
    )
