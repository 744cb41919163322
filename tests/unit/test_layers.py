"""The layers of docs/architecture.md, held against the imports that are really there."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pytest_zkrollback"

# What each package may import of ours (itself always).
MAY = {
    "domain": set(),
    "clients": {"domain"},
    "record": {"domain"},
    "release": {"domain", "clients", "record"},
    "engine": {"domain", "clients", "record"},
    "migrations": {"domain", "clients", "record", "release", "engine"},
    "checklist": {"domain", "clients", "record", "release", "engine"},
    "rollback": {"domain", "clients", "record", "release", "engine"},
    "github": {"domain", "clients", "record", "release", "engine"},
    "notify": {"domain", "clients", "record", "release", "engine"},
    "drill": {"domain", "clients"},
}
PYTEST_EDGE = {
    "plugin",
    "options",
    "options_signals",
    "options_github",
    "options_soak",
    "fixtures",
    "hookspecs",
    "items",
    "hooks",
    "page",
}
ONLY_IN = {
    "subprocess": {"clients/process.py"},
    "time": {"clients/clock.py"},
    "signal": {"signals.py", "clients/process.py", "drill/supervisor.py"},
}


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def imported(path, source=None):
    """Dotted names of all imports, our own made absolute."""
    package = ["pytest_zkrollback", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8") if source is None else source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            if not node.module:
                yield from (f"{module}.{alias.name}" for alias in node.names)


def breaches(path, source=None):
    """Imports of ours that the module's layer may not have."""
    here = path.relative_to(PACKAGE).parts
    if len(here) == 1:
        return []
    allowed = {here[0], "__version__"} | MAY[here[0]]
    names = [name.split(".") for name in imported(path, source)]
    return [
        ".".join(name)
        for name in names
        if name[0] == "pytest_zkrollback" and name[1:2] and name[1] not in allowed
    ]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_respect_the_layers(path):
    assert breaches(path) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("domain/x.py", "from ..clients import kube"),
        ("domain/x.py", "from .. import drill"),
        ("checklist/x.py", "from ..rollback.guards import Answer"),
        ("drill/x.py", "import pytest_zkrollback.run"),
        ("record/x.py", "from ..engine.samples import Samples"),
    ],
)
def test_a_breach_is_seen(module, source):
    assert breaches(PACKAGE / module, source) != []


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_edge_knows_pytest(path):
    here = path.relative_to(PACKAGE)
    knows = {"pytest", "_pytest"} & {name.split(".")[0] for name in imported(path)}
    assert not knows or (len(here.parts) == 1 and here.stem in PYTEST_EDGE)


@pytest.mark.parametrize("module", ONLY_IN)
def test_one_module_each_for_processes_time_and_signals(module):
    users = {
        str(path.relative_to(PACKAGE))
        for path in modules()
        if module in {name.split(".")[0] for name in imported(path)}
    }
    assert users <= ONLY_IN[module]
