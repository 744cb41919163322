"""What Alembic's and Django's migration files say of themselves, read without running them.

A repository's code is never imported here: its modules would run in the operator's session, before helm, and
mostly cannot be imported without the application. The syntax tree says enough.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from ..domain.errors import MigrationProblem

# A call that only says something undoes nothing.
_SPEAKERS = ("print", "log", "logger", "logging", "warnings")


def parse_module(path: str, text: str) -> ast.Module:
    """The syntax tree; raises MigrationProblem."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise MigrationProblem(f"{path} is no Python that can be read: {error}.") from None


def assigned(module: Sequence[ast.stmt], name: str) -> ast.expr | None:
    """What ``name`` is assigned at this level, the last time."""
    found = None
    for node in module:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Name) and target.id == name:
                found = node.value
            elif isinstance(target, ast.Tuple | ast.List):  # revision, down_revision = "b", "a"
                found = _part(target.elts, node.value, name) or found
    return found


def _part(targets: Sequence[ast.expr], value: ast.expr | None, name: str) -> ast.expr | None:
    place = next((at for at, one in enumerate(targets) if isinstance(one, ast.Name) and one.id == name), None)
    if place is None or value is None:
        return None
    parts = value.elts if isinstance(value, ast.Tuple | ast.List) else ()
    plain = len(parts) == len(targets) and not any(isinstance(one, ast.Starred) for one in (*parts, *targets))
    return parts[place] if plain else value  # not taken apart: it is no literal, and is said to be computed


def literal(path: str, name: str, value: ast.expr | None) -> object:
    """A constant's value; raises MigrationProblem where it is computed."""
    if value is None:
        return None
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, RecursionError):
        raise MigrationProblem(f"{path}: {name} is computed: it cannot be read without running it.") from None


def function(module: ast.Module, name: str) -> ast.FunctionDef | None:
    """The last function of that name at the module's top."""
    found = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == name]
    return found[-1] if found else None


def working(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """The statements that do something: no docstring, ``pass``, bare ``return``, print or logging."""
    return [node for node in body if not _idle(node)]


def raises(body: Sequence[ast.stmt]) -> bool:
    """Whether it always ends in an error: a ``raise`` or ``assert False`` that stands under no condition."""
    return any(
        isinstance(node, ast.Raise)
        or (isinstance(node, ast.Assert) and isinstance(node.test, ast.Constant) and not node.test.value)
        for node in body
    )


def source(nodes: Sequence[ast.AST]) -> str:
    """The code, each statement on one line. Raises MigrationProblem where it is nested too deep."""
    try:
        return "; ".join(" ".join(ast.unparse(node).split()) for node in nodes)
    except RecursionError:
        raise MigrationProblem("A migration's code is nested too deep to be read.") from None


def _idle(node: ast.stmt) -> bool:
    if isinstance(node, ast.Pass | ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Return):
        return node.value is None or isinstance(node.value, ast.Constant)
    if not isinstance(node, ast.Expr):
        return False
    if isinstance(node.value, ast.Constant):
        return True
    called = node.value.func if isinstance(node.value, ast.Call) else None
    while isinstance(called, ast.Attribute | ast.Call):  # logging.getLogger(...).warning(...)
        called = called.value if isinstance(called, ast.Attribute) else called.func
    return isinstance(called, ast.Name) and called.id in _SPEAKERS
