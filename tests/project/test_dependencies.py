"""What the package imports is declared, what is declared is used, and docs/dependencies.md gives every bound its reason."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pytest_zkrollback"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# A plugin of pytest's that is switched on by its options, and never imported.
NOT_IMPORTED = {"pytest-html"}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def bounds(requirements):
    """Distribution -> its lower bound, of ``name[extra]>=bound``."""
    found = {}
    for requirement in requirements:
        name, bound = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+)", requirement).groups()
        found[canonical(name)] = bound
    return found


REQUIRED = bounds(PROJECT["dependencies"])
OPTIONAL = bounds(each for extra in PROJECT["optional-dependencies"].values() for each in extra)


def modules_of(tree, *, when_loaded=False):
    """Top-level names that a module imports; ``when_loaded``: only what is imported when it is loaded itself."""
    nodes = tree.body if when_loaded else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0]


def distributions(*, when_loaded=False):
    """Distribution -> the modules of ours that import it."""
    providers = packages_distributions()
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name in set(modules_of(tree, when_loaded=when_loaded)) - sys.stdlib_module_names - {PACKAGE.name}:
            for provider in providers.get(name, [name]):
                found.setdefault(canonical(provider), []).append(str(path.relative_to(ROOT)))
    return found


def test_what_is_imported_is_declared():
    declared = REQUIRED | OPTIONAL
    assert {name: users for name, users in distributions().items() if name not in declared} == {}


def test_what_is_declared_is_used():
    assert (REQUIRED | OPTIONAL).keys() - distributions().keys() == NOT_IMPORTED


def test_an_extra_is_imported_only_where_it_is_asked_for():
    at_once = distributions(when_loaded=True)
    assert {name: users for name, users in at_once.items() if name in OPTIONAL} == {}


def test_the_page_has_every_bound_with_its_reason():
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| ([\d.]+) \| (.+) \|$", page, re.MULTILINE)
    assert {name: bound for name, bound, _ in rows} == REQUIRED | OPTIONAL


@pytest.mark.parametrize("name", sorted(REQUIRED | OPTIONAL))
def test_the_locked_version_is_within_the_bound(name):
    locked = re.search(
        rf"^{name}==([\d.]+)", (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    numbers = [tuple(map(int, text.split("."))) for text in (locked[1], (REQUIRED | OPTIONAL)[name])]
    assert numbers[0] >= numbers[1]
