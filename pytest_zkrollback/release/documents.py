"""A manifest, document by document, as helm reads it; each document is parsed once.

Source: cli-runtime's pkg/resource (visitor.go, mapper.go, metadata_decoder.go) and apimachinery's
pkg/util/yaml/decoder.go and unstructured/helpers.go, which helm builds its objects with.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..domain.checks import JsonObject
from ..domain.yaml_as_go import YamlProblem, load_first
from .shapes import find_misshapen

# Many revisions hold the same documents; what is beyond this is parsed again, so that memory stays bounded.
_MOST_DOCUMENTS = 20_000
_KEPT_CHARS = 6_000_000
# The head's and the target's, each while helm's own copy of it is looked at, too.
_KEPT_MANIFESTS = 4
_FEW_CHARS = 10_000
_SOURCE = re.compile(r"^# Source: (\S+)", re.MULTILINE)
_BYTE_ORDER_MARK = "\ufeff"
_SEPARATOR = "\n---"
# Lines without content, from where it is looked for; the last one may lack its end.
_COMMENTS = re.compile(r"(?:[ ]*+(?:#[^\n]*+)?(?:\n|\Z))*+")


class _Document(NamedTuple):
    """``start``: where it begins in the manifest, in characters."""

    text: str
    start: int


@dataclass(frozen=True)
class UnreadDocument:
    """A document of a manifest that cannot be read here.

    ``number``: its place among the manifest's documents, from 1. ``source``: the template that helm names in
    it; empty: none. ``why``: a predicate, ``is no YAML in line 7: ...``. ``helm_fails``: whether helm cannot
    read it either; False: helm may. ``nameless``: it only lacks a name, which helm bears in a hook.
    """

    number: int
    source: str
    why: str
    helm_fails: bool
    nameless: bool = False

    def __str__(self) -> str:
        """``document 3 (web/templates/x.yaml) is no YAML in line 7: ...``."""
        return f"{self.name} {self.why}"

    @property
    def name(self) -> str:
        """``document 3 (web/templates/x.yaml)``."""
        return f"document {self.number}{f' ({self.source})' if self.source else ''}"


@dataclass(frozen=True)
class Manifest:
    """What was read of a manifest: its objects in their order, Lists flattened, and what was not read.

    The objects are shared with whoever else reads the same text: nobody changes them.
    """

    objects: tuple[JsonObject, ...]
    unread: tuple[UnreadDocument, ...] = ()


def read_manifest(
    text: str,
    namespace: str,
    only: Callable[[str], object] | None = None,
) -> Manifest:
    """The documents of a manifest, each for itself: one that cannot be read hides none of the others.

    ``namespace`` becomes the ``metadata.namespace`` of those that name none, as helm does it. ``only``: of
    which documents, by their text.
    """
    return _read(text, namespace, only) if only is not None else _WHOLE.read(text, namespace)


def _read(text: str, namespace: str, only: Callable[[str], object] | None = None) -> Manifest:
    objects: list[JsonObject] = []
    unread: list[UnreadDocument] = []
    text = _lines(text)
    for number, document in enumerate(_documents(text), 1):
        if number > _MOST_DOCUMENTS:
            why = f"and those after it were not read: more than {_MOST_DOCUMENTS:,} are not"
            unread.append(UnreadDocument(number, "", why, helm_fails=False))
            break
        if only is not None and not only(document.text):
            continue
        read = _PARSED.read(document.text, namespace)
        objects += read.objects
        if read.problem is not None:
            unread.append(_unread(text, number, document, read.problem))
    return Manifest(tuple(objects), tuple(unread))


def read_documents(texts: Iterable[str], namespace: str) -> tuple[JsonObject, ...]:
    """The objects of these documents, without those that cannot be read. See :func:`read_manifest`."""
    return tuple(item for text in texts for item in _PARSED.read(text, namespace).objects)


def read_once(text: str, namespace: str) -> tuple[JsonObject, ...]:
    """The same of one document that is not kept."""
    return _parse(text, namespace).objects


def document_texts(text: str) -> Iterator[str]:
    """The text of each document that holds more than comments."""
    return (document.text for document in _documents(_lines(text)))


def _lines(text: str) -> str:
    """The same in whole lines, each ended as on Unix."""
    text = text.replace("\r\n", "\n") if "\r" in text else text
    return text if text.endswith("\n") else f"{text}\n"


def _documents(text: str) -> Iterator[_Document]:
    """What lies between the separators; what holds nothing but comments counts for none.

    Source: YAMLReader of apimachinery, which leaves a separator out unless nothing stands before it.
    """
    start = 0
    for begin, end in [*_separators(text), (len(text), len(text))]:
        document = text[start:begin]
        if _holds_content(document):
            yield _Document(document, start)
        if document:
            # One that is wrong stays with what follows it, and is said there.
            start = end if _is_plain(text[begin:end]) else begin


def _separators(text: str) -> Iterator[tuple[int, int]]:
    """Where each line that begins with ``---`` begins and ends; the text ends with a line's end."""
    is_first = text.startswith("---")
    begin = 0 if is_first else text.find(_SEPARATOR) + 1
    while is_first or begin:
        is_first = False
        end = text.index("\n", begin) + 1
        yield begin, end
        begin = text.find(_SEPARATOR, end - 1) + 1


def _is_plain(separator: str) -> bool:
    """Whether nothing but a comment follows it in its line."""
    return separator[3:].strip()[:1] in ("", "#")


def _holds_content(document: str) -> bool:
    """Whether it holds more than comments, without the separator in its first line."""
    start = 3 if document.startswith("---") else 0
    comments = _COMMENTS.match(document, start)
    return comments is not None and comments.end() < len(document)


def _unread(text: str, number: int, document: _Document, problem: _Problem) -> UnreadDocument:
    source = _SOURCE.search(document.text)
    why = problem.why
    if problem.yaml is not None and problem.yaml.line is not None:
        why = problem.yaml.in_line(text.count("\n", 0, document.start) + problem.yaml.line)
    return UnreadDocument(
        number, source[1] if source else "", why, problem.helm_fails, nameless=problem.nameless
    )


@dataclass(frozen=True)
class _Problem:
    why: str
    helm_fails: bool = True
    nameless: bool = False
    yaml: YamlProblem | None = None


class _Read(NamedTuple):
    objects: tuple[JsonObject, ...]
    problem: _Problem | None


class _Wrong(Exception):
    """The document is none that helm or this can read."""

    def __init__(self, why: str, *, helm_fails: bool = True, nameless: bool = False) -> None:
        self.problem = _Problem(why, helm_fails, nameless)
        super().__init__(why)


class _Parsed:
    """The documents that were parsed so far, those last that were asked for last."""

    def __init__(self, kept_chars: int) -> None:
        self._kept_chars = kept_chars
        self._chars = 0
        self._found: OrderedDict[tuple[str, str], _Read] = OrderedDict()
        # Also while one is parsed: several questions of the preflight need the same ones at the same time.
        self._lock = threading.Lock()

    def read(self, text: str, namespace: str) -> _Read:
        with self._lock:
            key = (text, namespace)
            found = self._found.get(key)
            if found is not None:
                self._found.move_to_end(key)
                return found
            found = self._found[key] = _parse(text, namespace)
            self._chars += len(text)
            while self._chars > self._kept_chars and len(self._found) > 1:
                (old, _), _ = self._found.popitem(last=False)
                self._chars -= len(old)
            return found


class _WholeManifests:
    """The manifests that were asked for last: to take a thousand documents apart again takes milliseconds,
    and dozens of questions ask for the same two."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[str, str], Manifest] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, text: str, namespace: str) -> Manifest:
        if not _FEW_CHARS <= len(text) <= _KEPT_CHARS // _KEPT_MANIFESTS:
            return _read(text, namespace)
        with self._lock:
            key = (text, namespace)
            found = self._found.get(key)
            if found is None:
                found = self._found[key] = _read(text, namespace)
            self._found.move_to_end(key)
            if len(self._found) > _KEPT_MANIFESTS:
                self._found.popitem(last=False)
            return found


_PARSED = _Parsed(_KEPT_CHARS)
_WHOLE = _WholeManifests()


def _parse(text: str, namespace: str) -> _Read:
    try:
        return _Read(tuple(_placed(item, namespace) for item in _objects(text)), None)
    except YamlProblem as problem:
        # Text that begins with a brace is a stream of JSON for helm, which needs no separators.
        certain = problem.for_go and not text.lstrip().startswith("{")
        return _Read((), _Problem(str(problem), certain, yaml=problem))
    except _Wrong as wrong:
        return _Read((), wrong.problem)


def _values(text: str) -> Iterator[Any]:
    """Of text that begins with a brace helm reads one JSON value after another, else the first document."""
    if not text.lstrip().startswith("{"):
        yield load_first(text)
        return
    rest, decoder = text.lstrip(), json.JSONDecoder()
    while rest:
        try:
            end = decoder.raw_decode(rest)[1]
        except (ValueError, RecursionError):
            end = len(rest)  # YAML in braces, or more than is read
        if end < len(rest) and not rest[end:].strip():
            end = len(rest)
        yield load_first(rest[:end])
        rest = rest[end:].lstrip()


def _objects(text: str) -> Iterator[JsonObject]:
    first = text.partition("\n")[0]
    if first.startswith("---") and not _is_plain(first):
        raise _Wrong("begins with a separator that something follows")
    if _BYTE_ORDER_MARK in text:
        raise _Wrong("holds a byte order mark", helm_fails=False)
    for document in _values(text):
        if document is not None:
            yield from _objects_in(document)


def _objects_in(document: Any) -> Iterator[JsonObject]:
    if not isinstance(document, dict):
        raise _Wrong(f"holds a {_json_type(document)} where an object has to be")
    _require_text(document, "kind")
    if document.get("apiVersion") is not None:
        _require_text(document, "apiVersion")
    _require_metadata(document.get("metadata"), helm_fails=True)
    if "items" in document:
        yield from _items(document)
    else:
        yield document


def _items(document: JsonObject) -> Iterator[JsonObject]:
    """A List's. Whatever has ``items`` is one; none and null are an empty one."""
    found = document["items"]
    if found is not None and not isinstance(found, list):
        raise _Wrong(f"is a List whose items are a {_json_type(found)}")
    kind, api_version = str(document["kind"]).removesuffix("List"), document.get("apiVersion")
    for item in found or ():
        if not isinstance(item, dict):
            raise _Wrong(f"holds a {_json_type(item)} where an object has to be")
        inferred = not any(isinstance(item.get(each), str) and item[each] for each in ("kind", "apiVersion"))
        yield _nested({**item, "kind": kind, "apiVersion": api_version} if inferred else item)


def _nested(item: JsonObject) -> JsonObject:
    if isinstance(item.get("items"), list):
        raise _Wrong("holds a List in a List")
    _require_text(item, "kind")
    _require_metadata(item.get("metadata"), helm_fails=False)
    return item


def _require_text(item: JsonObject, member: str) -> None:
    value = item.get(member)
    if not (isinstance(value, str) and value):
        said = f"has a {_json_type(value)} as {member}" if value else f"holds an object without {member}"
        raise _Wrong(said)


def _require_metadata(metadata: object, *, helm_fails: bool) -> None:
    """What helm needs of it, and what is read of it here: labels and annotations of text."""
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        raise _Wrong(f"has a {_json_type(metadata)} as metadata", helm_fails=helm_fails)
    for member in ("name", "namespace", "generateName"):
        if not isinstance(metadata.get(member), str | None):
            what = _json_type(metadata[member])
            raise _Wrong(f"has a {what} as metadata.{member}", helm_fails=helm_fails)
    for member in ("labels", "annotations"):
        values = metadata.get(member)
        if values is not None and not isinstance(values, dict):
            what = _json_type(values)
            raise _Wrong(f"has a {what} as metadata.{member}", helm_fails=helm_fails)
        for key, value in (values or {}).items():
            if not isinstance(value, str | None):
                what = f"a {_json_type(value)} as metadata.{member} {key}"
                raise _Wrong(f"has {what}, where text has to be", helm_fails=helm_fails)
    for member in ("ownerReferences", "finalizers", "managedFields"):
        if not isinstance(metadata.get(member), list | None):
            what = _json_type(metadata[member])
            raise _Wrong(f"has a {what} as metadata.{member}", helm_fails=helm_fails)


def _placed(item: JsonObject, namespace: str) -> JsonObject:
    metadata = item.get("metadata") or {}
    name, kind = metadata.get("name"), item["kind"]
    if not name:
        named = metadata.get("generateName")
        how = f", only generateName {named}" if named else ""
        raise _Wrong(f"holds an object of kind {kind} without a name{how}", nameless=True)
    api_version = item.get("apiVersion")
    if not (isinstance(api_version, str) and api_version):
        raise _Wrong(f"holds an object without apiVersion ({kind}/{name})", helm_fails=False)
    misshapen = find_misshapen(item)
    if misshapen:
        # The API server refuses such an object; whether helm gets that far, the dry run would have to say.
        raise _Wrong(f"holds {kind}/{name}, whose {misshapen}", helm_fails=False)
    placed = {**metadata, "name": name, "namespace": metadata.get("namespace") or namespace}
    return {**item, "metadata": placed}


def _json_type(value: Any) -> str:
    names = {dict: "map", list: "list", str: "text", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")
