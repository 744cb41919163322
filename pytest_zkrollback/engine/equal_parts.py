"""Objects of one kind share what is equal in them: the pods of a template differ in a few values only."""

from __future__ import annotations

from typing import Any

from ..domain.checks import JsonObject


def share_equal_parts(item: JsonObject, like: JsonObject) -> None:
    """Put the objects and lists of ``like`` in the place of equal ones at the same paths of ``item``.

    ``like`` is of the same kind: what stands at a path has one JSON type (Python calls 1 and true equal).
    """
    _share(item, like)


def _share(item: Any, like: Any) -> None:
    for key, value in item.items() if isinstance(item, dict) else enumerate(item):
        if not isinstance(value, dict | list):
            continue
        other = _part(like, key)
        if other == value:
            item[key] = other
        elif type(other) is type(value):
            _share(value, other)


def _part(of: Any, key: Any) -> Any:
    if isinstance(of, dict):
        return of.get(key)
    return of[key] if key < len(of) else None
