"""The migration tools by the name that the configuration has for them; each imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from .base import Tool

# The module and the constant in it.
_PLACES: Final = {
    "alembic": (".alembic", "ALEMBIC"),
    "django": (".django", "DJANGO"),
    "flyway": (".sql_files", "FLYWAY"),
    "golang-migrate": (".sql_files", "GOLANG_MIGRATE"),
    "sql": (".sql_files", "SQL_PAIRS"),
}
TOOL_NAMES: Final = tuple(_PLACES)


def find_tool(name: str) -> Tool:
    """The tool with a name of :data:`TOOL_NAMES`. Raises KeyError for another one."""
    module, constant = _PLACES[name]
    tool: Tool = getattr(import_module(module, __package__), constant)
    return tool
