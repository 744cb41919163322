"""Which differences the key ``ignore`` leaves out, and which entry would leave one out. Pure.

An entry holds for an object only where nothing that it covers there runs; values of a ConfigMap or Secret may
be left out where nothing of the release reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from ..config.ignored_fields import RUN_NOTHING, SETTINGS, Ignore, behind, says_what_runs
from ..domain.checks import JsonObject
from .drift import Difference, LiveObject
from .field_paths import Path, by_merge_key
from .manifest import identity

Settings = tuple[str, str, str]  # kind, namespace and name of a ConfigMap or Secret
_REFERENCES = {
    "configMap": "ConfigMap",
    "configMapRef": "ConfigMap",
    "configMapKeyRef": "ConfigMap",
    "secret": "Secret",
    "secretRef": "Secret",
    "secretKeyRef": "Secret",
}
_NAMES = {"secretName": "Secret", "configMapName": "ConfigMap"}
_SPOKEN = ("args", "command", "env")  # what is named there is read over the API


@dataclass(frozen=True)
class IgnoreRules:
    """The entries of an environment, and what reads each ConfigMap and Secret of the target."""

    entries: tuple[Ignore, ...] = ()
    readers: Mapping[Settings, str] = field(default_factory=dict)

    @classmethod
    def made_for(cls, entries: Sequence[Ignore], target: Sequence[JsonObject]) -> IgnoreRules:
        """The rules for the objects of this manifest."""
        return cls(tuple(entries), find_readers(target))

    def refusals(self, target: Sequence[JsonObject]) -> Iterator[str]:
        """A sentence for each entry that covers what runs in one of these objects."""
        for entry in self.entries:
            for item in target:
                why = self._why_not(entry, item) if _is_about(entry, item) else ""
                if why:
                    yield f"ignore = [{entry}] covers {identity(item).label}, {why}"
                    break

    def entry_for(self, one: Difference, item: JsonObject, live: LiveObject) -> Ignore | None:
        """The entry that leaves this difference out; None: none does."""
        return next((each for each in self.entries if self._holds(each, one, item, live)), None)

    def proposed(
        self, differences: Sequence[Difference], item: JsonObject, live: LiveObject
    ) -> dict[Difference, Ignore]:
        """The smallest entry that would leave out each difference of one object.

        Where several differ alike in the elements of a list, it is one for all of them.
        """
        alike: dict[str, list[Difference]] = {}
        for one in differences:
            alike.setdefault(_any_element(one.path), []).append(one)
        found = {}
        for path, members in alike.items():
            for one in members:
                entry = _entry(item, path if len(members) > 1 else one.path)
                if entry is not None and self._holds(entry, one, item, live):
                    found[one] = entry
        return found

    def _holds(self, entry: Ignore, one: Difference, item: JsonObject, live: LiveObject) -> bool:
        """What was not read, an object that is missing, and what runs there or here is never left out."""
        if one.error is not None or not one.parts or live.item is None or not _is_about(entry, item):
            return False
        return entry.covers(one.parts) and not (self._why_not(entry, item) or self._why_not(entry, live.item))

    def _why_not(self, entry: Ignore, item: JsonObject) -> str:
        if entry.kind in SETTINGS:
            reader = self.readers.get(_settings(item)) if entry.is_about_data else None
            return f"which {reader} reads" if reader else ""
        if entry.kind in RUN_NOTHING or entry.is_about_metadata:
            return ""
        for value in _reached(item, entry.text, ()):
            name = next(filter(says_what_runs, _field_names(value)), "")
            if name:
                return f"where it says what runs, or what selects it ({name})"
        return ""


def find_readers(target: Sequence[JsonObject]) -> dict[Settings, str]:
    """Who reads each ConfigMap and Secret: refers to it anywhere in an object, or names it in a command."""
    found: dict[Settings, str] = {}
    spoken: dict[tuple[str, str], str] = {}
    for item in target:
        if item["kind"] in SETTINGS or item["kind"] in RUN_NOTHING:
            continue
        key = identity(item)
        for kind, name in _references(item):
            found.setdefault((kind, key.namespace, name), key.label)
        spoken[key.namespace, key.label] = " ".join(_spoken(item))
    for item in target:
        if item["kind"] in SETTINGS:
            settings = _settings(item)
            word = re.compile(rf"(?<![\w.-]){re.escape(settings[2])}(?![\w-])")
            for (namespace, label), text in spoken.items():
                if namespace == settings[1] and word.search(text):
                    found.setdefault(settings, label)
    return found


def _entry(item: JsonObject, path: str) -> Ignore | None:
    key = identity(item)
    try:
        return Ignore(kind=key.kind, name=key.name, path=path)
    except ValidationError:
        return None


def _is_about(entry: Ignore, item: JsonObject) -> bool:
    return entry.is_about(item["kind"], str(item["metadata"].get("name")))


def _settings(item: JsonObject) -> Settings:
    key = identity(item)
    return key.kind, key.namespace, key.name


def _any_element(path: str) -> str:
    return re.sub(r"\[[^\]]*\]", "[*]", path)


def _reached(node: Any, rest: str | None, path: Path) -> Iterator[Any]:
    """The values of an object to which the rest of a path leads."""
    if rest is None:
        return
    if not rest:
        yield node
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _reached(value, behind(rest, key), (*path, key))
    elif isinstance(node, list):
        elements = by_merge_key(path[-1], node, top=len(path) == 1) if path else None
        if elements is None:
            elements = {str(number): each for number, each in enumerate(node)}
        for key, value in elements.items():
            yield from _reached(value, behind(rest, f"[{key}]"), (*path, f"[{key}]"))


def _field_names(node: Any) -> Iterator[str]:
    """The names of all fields below."""
    for key, value in _members(node):
        if key:
            yield key
        yield from _field_names(value)


def _members(node: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(node, dict):
        return [(str(key), value) for key, value in node.items()]
    return [("", value) for value in node] if isinstance(node, list) else []


def _references(node: Any) -> Iterator[tuple[str, str]]:
    for key, value in _members(node):
        if key in _REFERENCES and isinstance(value, dict):
            name = value.get("secretName") or value.get("name")
            if name:
                yield _REFERENCES[key], str(name)
        elif key in _NAMES and isinstance(value, str):
            yield _NAMES[key], value
        yield from _references(value)


def _spoken(node: Any, *, heard: bool = False) -> Iterator[str]:
    if heard and isinstance(node, str):
        yield node
    for key, value in _members(node):
        yield from _spoken(value, heard=heard or key in _SPOKEN)
