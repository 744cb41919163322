"""Old names are gone: tools/renamed.txt says what each is called now."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pytest_zkrollback"
LINES = [
    tuple(line.split(" -> "))
    for line in (ROOT / "tools" / "renamed.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
# Names that something else rightly has, with its module.
KEPT = {
    "Answer": {"pytest_zkrollback.domain.decision"},
    "Identity": {"pytest_zkrollback.config.environment"},
    "Verdict": {"pytest_zkrollback.domain.verdict"},
}
# Modules of one name in two rooms. Nothing else may: a name has to say which of two files is meant.
TYPES_IN_DOMAIN = {
    "decision",
    "errors",
    "fleet",
    "forecast",
    "github",
    "migration",
}  # and the room that works with them
ONE_IN_EACH_ROOM = {
    "__main__",
    "base",
    "custom",
    "interface",
}  # what its modules share; what a repository brings itself
TWICE = TYPES_IN_DOMAIN | ONE_IN_EACH_ROOM


def is_module(path):
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@cache
def definitions():
    found = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                found.add((module, node.name))
    return found


@pytest.mark.parametrize(("old", "new"), LINES, ids=[old for old, _ in LINES])
def test_the_old_name_is_gone_and_the_new_one_is_there(old, new):
    there, name = new.rpartition(".")[::2]
    if is_module(ROOT / Path(*new.split("."))):
        path = ROOT / Path(*old.split("."))
        assert not path.with_suffix(".py").is_file()
        assert not path.is_dir() or any(each.startswith(f"{old}.") for _, each in LINES)
        return
    assert (there, name) in definitions()
    gone = old.rpartition(".")[2]
    assert {module for module, each in definitions() if each == gone} <= KEPT.get(gone, set())


def test_no_module_name_stands_in_two_rooms():
    found = {}
    for path in PACKAGE.rglob("*.py"):
        if path.stem not in ("__init__", "check", "guards"):
            found.setdefault(path.stem, set()).add(path.parent)
    assert {name for name, rooms in found.items() if len(rooms) > 1} == TWICE
