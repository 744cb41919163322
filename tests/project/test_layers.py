"""The layers of docs/architecture.md, held against the imports that are really there."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pytest_zkrollback"

# What each room may import of ours (itself always). A folder that is named here is a room of its own.
MAY = {
    "domain": set(),
    "config": {"domain"},
    "clients": {"config", "domain"},
    "clients/kube": {"clients", "domain"},
    "report": {"config", "domain"},
    "release": {"clients", "config", "domain", "report"},
    "engine": {"clients", "config", "domain", "report"},
    "migrations": {"clients", "config", "domain", "engine", "release", "report"},
    "checklist": {"clients", "config", "domain", "engine", "release", "report"},
    "checklist/events": {"checklist", "clients", "config", "domain", "engine", "release", "report"},
    "checklist/rollout": {
        "checklist",
        "checklist/events",
        "clients",
        "config",
        "domain",
        "engine",
        "release",
        "report",
    },
    "checklist/logs": {"checklist", "clients", "config", "domain", "engine", "release", "report"},
    "checklist/equivalence": {"checklist", "clients", "config", "domain", "engine", "release", "report"},
    "rollback": {"clients", "config", "domain", "engine", "release", "report"},
    "preflight": {"clients", "config", "domain", "engine", "release", "report", "rollback"},
    "preflight/guards": {
        "clients",
        "config",
        "domain",
        "engine",
        "preflight",
        "release",
        "report",
        "rollback",
    },
    "github": {"clients", "config", "domain", "engine", "release", "report"},
    "notify": {"clients", "config", "domain", "engine", "release", "report"},
    "drill": {"clients", "clients/kube", "config", "domain"},
    "run": {
        "checklist",
        "checklist/equivalence",
        "checklist/events",
        "checklist/logs",
        "checklist/rollout",
        "clients",
        "clients/kube",
        "config",
        "domain",
        "drill",
        "engine",
        "github",
        "migrations",
        "notify",
        "preflight",
        "preflight/guards",
        "release",
        "report",
        "rollback",
    },
    "setup": {
        "checklist",
        "clients",
        "clients/kube",
        "config",
        "domain",
        "notify",
        "preflight",
        "preflight/guards",
        "release",
        "report",
        "rollback",
        "run",
    },
    "fleet": {"clients", "clients/kube", "config", "domain", "notify", "report", "run"},
    # An entry point: nothing imports it.
    "report/__main__": {"config", "domain", "report", "run"},
    "plugin": {
        "",
        "clients",
        "config",
        "domain",
        "drill",
        "fleet",
        "github",
        "preflight/guards",
        "report",
        "run",
        "setup",
    },
}
# The modules of the top floor.
TOP = {
    "__init__": set(),
    "api": {"domain", "checklist", "notify", "migrations"},
    "items": {"plugin"},
}

EDGE = {"plugin", "items"}
ONLY_IN = {
    "subprocess": {"clients/process.py"},
    "time": {"clients/clock.py"},
    "signal": {"run/signals.py", "clients/process.py", "drill/supervisor.py"},
}


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def imported(path, source=None):
    """Dotted names of all imports, our own made absolute; ``from a import b`` may mean the module a.b."""
    package = ["pytest_zkrollback", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8") if source is None else source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def room(parts):
    """The room of a module or of what is imported from it; empty: the top floor."""
    names = ["/".join(parts[:size]) for size in range(len(parts), 0, -1)]
    return next((name for name in names if name in MAY), "")


def breaches(path, source=None):
    """Imports of ours that the module's room may not have."""
    here = path.relative_to(PACKAGE).with_suffix("").parts
    mine = room(here)
    allowed = {mine, *(MAY[mine] if mine else TOP[here[0]])}
    names = [name.split(".")[1:] for name in imported(path, source) if name.startswith("pytest_zkrollback.")]
    return [".".join(name) for name in names if name != ["__version__"] and room(name) not in allowed]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_respect_the_layers(path):
    assert breaches(path) == []


def test_every_folder_stands_in_the_table_and_no_arrow_closes_a_circle():
    folders = {path.relative_to(PACKAGE).parts[0] for path in modules() if path.parent != PACKAGE}
    assert folders <= set(MAY)
    assert all((PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file() for name in MAY)
    try:
        TopologicalSorter(MAY).prepare()
    except CycleError as circle:
        pytest.fail(str(circle))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("domain/x.py", "from ..clients import kube"),
        ("domain/x.py", "from .. import drill"),
        ("checklist/x.py", "from ..rollback.lock import ReleaseLock"),
        ("rollback/x.py", "from ..preflight import target"),
        ("preflight/x.py", "from .guards.cluster import judge_identity"),
        ("drill/x.py", "import pytest_zkrollback.run"),
        ("report/x.py", "from ..engine.samples import Samples"),
    ],
)
def test_a_breach_is_seen(module, source):
    assert breaches(PACKAGE / module, source) != []


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_edge_knows_pytest(path):
    here = path.relative_to(PACKAGE)
    knows = {"pytest", "_pytest"} & {name.split(".")[0] for name in imported(path)}
    assert not knows or here.parts[0].removesuffix(".py") in EDGE


@pytest.mark.parametrize("module", ONLY_IN)
def test_one_module_each_for_processes_time_and_signals(module):
    users = {
        str(path.relative_to(PACKAGE))
        for path in modules()
        if module in {name.split(".")[0] for name in imported(path)}
    }
    assert users <= ONLY_IN[module]


def test_threads_are_started_in_one_place():
    """So that each is a daemon. ``report`` imports no clients: the recorder starts its writer itself."""
    starting = {
        str(path.relative_to(PACKAGE))
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "Thread"
    }
    assert starting == {"clients/threads.py", "report/recorder.py"}
