"""Alembic's files are read without being run, and mean what Alembic itself makes of them."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from pytest_zkrollback.domain.errors import MigrationProblem
from pytest_zkrollback.migrations.alembic import ALEMBIC
from pytest_zkrollback.migrations.base import judge_files
from support.real_alembic import AlembicTree


@pytest.fixture
def tree(tmp_path):
    return AlembicTree(tmp_path, f"sqlite:///{tmp_path / 'app.db'}")


def rows(tree):
    with closing(sqlite3.connect(tree.folder / "app.db")) as connection:
        return connection.execute(ALEMBIC.query).fetchall()


def same_as_alembic(tree):
    found = ALEMBIC.parse(tree.files())
    theirs = [one.revision for one in tree.scripts.walk_revisions()]
    assert list(reversed(found.scripts)) == theirs
    assert set(found.heads) == set(tree.scripts.get_heads())
    return found


def test_the_order_and_the_heads_are_alembics_own(tree):
    base = tree.revision("base", "op.execute('create table a (x int)')", "op.drop_table('a')")
    left = tree.revision("left", head=base)
    right = tree.revision("right", head=base, splice=True, branch_label="right")
    tree.revision("alone", head="base", splice=True)
    needs = tree.revision("needs", head=right, depends_on=left)
    same_as_alembic(tree)
    tree.revision("merge", head=[left, needs])
    assert len(same_as_alembic(tree).heads) == 2


@pytest.mark.parametrize("shape", ["line", "branch", "merge", "new root"])
def test_the_reverse_command_brings_a_real_database_back(tree, shape):
    a = tree.revision("a", "op.execute('create table a (x int)')", "op.drop_table('a')")
    b = tree.revision("b", head=a) if shape == "merge" else ""
    c = tree.revision("c", head=a, splice=True) if shape == "merge" else ""
    target = ALEMBIC.parse(tree.files())
    tree.upgrade()
    before = sorted(rows(tree))
    if shape == "line":
        tree.revision("d", "op.execute('create table d (x int)')", "op.drop_table('d')")
        tree.revision("e", "op.execute('create table e (x int)')", "op.drop_table('e')")
    elif shape == "branch":
        tree.revision("d", "op.execute('create table d (x int)')", "op.drop_table('d')", head=a)
        tree.revision("e", "op.execute('create table e (x int)')", "op.drop_table('e')", head=a, splice=True)
    elif shape == "merge":
        tree.revision("d", head=[b, c])
        tree.revision("e", "op.execute('create table e (x int)')", "op.drop_table('e')")
    else:
        tree.revision(
            "d", "op.execute('create table d (x int)')", "op.drop_table('d')", head="base", splice=True
        )
    tree.upgrade()
    assert sorted(rows(tree)) != before
    finding = judge_files(ALEMBIC, target, ALEMBIC.parse(tree.files()), "between x and y", "y")
    assert (finding.ran, finding.reversible) == (True, True)
    commands = finding.evidence[0].text.partition("reverse command, in a checkout of y:\n  ")[2]
    tree.run(commands.splitlines()[0])
    assert sorted(rows(tree)) == before


UP = "op.drop_column('orders', 'exported')"


@pytest.mark.parametrize(
    ("up", "down", "reverse", "how"),
    [
        (UP, "op.add_column('orders', sa.Column('exported', sa.Integer()))", True, "downgrade()"),
        (UP, "pass", False, "downgrade() is empty"),
        (UP, "...", False, "downgrade() is empty"),
        (UP, "return", False, "downgrade() is empty"),
        (UP, "return None", False, "downgrade() is empty"),
        (UP, "print('there is no way back')", False, "downgrade() is empty"),
        (UP, "import logging; logging.getLogger().warning('no way back')", False, "downgrade() is empty"),
        (UP, "raise NotImplementedError", False, "downgrade() raises an error"),
        (UP, "raise NotImplementedError('no way back')", False, "downgrade() raises an error"),
        (UP, "op.execute('select 1'); raise RuntimeError('no')", False, "downgrade() raises an error"),
        (UP, "assert False, 'no way back'", False, "downgrade() raises an error"),
        (UP, None, False, "there is no downgrade()"),
        ("pass", "pass", True, "nothing to undo"),
        ("pass", "raise NotImplementedError", False, "downgrade() raises an error"),
    ],
)
def test_what_a_real_downgrade_is(tree, up, down, reverse, how):
    made = tree.revision("one", up, down)
    script = ALEMBIC.parse(tree.files()).scripts[made]
    assert (script.reverse, script.how) == (reverse, how)
    assert script.does == ("" if up == "pass" else UP)
    assert script.loses == (up != "pass")


MULTI = """
revision = "abc1"
down_revision = None
def upgrade(engine_name): globals()[f"upgrade_{engine_name}"]()
def downgrade(engine_name): globals()[f"downgrade_{engine_name}"]()
def upgrade_one(): op.execute("a")
def downgrade_one(): op.execute("b")
def upgrade_two(): op.execute("c")
def downgrade_two(): DOWN
"""


@pytest.mark.parametrize(("down", "reverse"), [("pass", False), ("op.execute('d')", True)])
def test_a_revision_for_several_databases_needs_every_downgrade(down, reverse):
    found = ALEMBIC.parse({"db/versions/abc1.py": MULTI.replace("DOWN", down)})
    assert found.scripts["abc1"].reverse is reverse


def test_no_file_of_the_repository_is_run(tmp_path):
    trap = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    files = {
        "db/env.py": trap,
        "db/versions/__init__.py": trap,
        "db/versions/a1.py": f"{trap}import not_installed_anywhere\nrevision = 'a1'\ndown_revision = None\n",
    }
    assert list(ALEMBIC.parse(files).scripts) == ["a1"]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.py": "revision = 'a1'\ndown_revision = 'zz'\n"}, "Alembic cannot read its revisions: "),
        ({"a.py": "revision = 'a1'\ndown_revision = 'a1'\n"}, "Alembic cannot read its revisions: "),
        (
            {
                "a.py": "revision = 'a1'\ndown_revision = 'b1'",
                "b.py": "revision = 'b1'\ndown_revision = 'a1'",
            },
            "Alembic cannot read its revisions: ",
        ),
        (
            {"a.py": "revision = make()\n"},
            "a.py: revision is computed: it cannot be read without running it.",
        ),
        ({"a.py": "revision = 'a1'\ndef (:"}, "a.py is no Python that can be read: "),
        ({"a.py": "\0"}, "a.py is no Python that can be read: "),
    ],
)
def test_what_cannot_be_read_is_one_sentence(files, said):
    with pytest.raises(MigrationProblem) as caught:
        ALEMBIC.parse(files)
    assert str(caught.value).startswith(said)


def test_the_extra_is_named_where_alembic_is_missing(tmp_path):
    (tmp_path / "alembic.py").write_text("raise ImportError")
    ask = (
        "from pytest_zkrollback.migrations.alembic import ALEMBIC\n"
        "try: ALEMBIC.parse({'a.py': 'revision = \"a1\"'})\n"
        "except Exception as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "Alembic is not installed here: pip install 'pytest-zkrollback[alembic]'.\n"
