"""Is what a manifest states true of the live objects? Read-only, and never "equal" where nothing was read.

Everything that the manifest states has to hold live; what the API server, its defaulting and controllers
add is no difference. What they never add is one: an extra container, variable, volume, argument, selector
or key of a ConfigMap changes what runs, whoever left it there (fault 44); so does any other field of a pod
template that somebody else than helm set (limits, probes), which managedFields tell.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ..clients.threads import fetch_each
from ..domain.checks import JsonObject
from ..domain.errors import BadAnswer, ClusterError, HelmProblem, NotFound, ZkRollbackError
from ..domain.ports import Kube
from .field_paths import Path, by_merge_key, shown_path
from .managed_fields import HELM, added_data, added_to_template, set_by, set_only_by
from .manifest import SECRET_MEMBERS, ObjectKey, identity
from .quantity import parse_quantity
from .served_versions import served_path
from .shared_reads import LISTED_FROM, SharedReads


class _Said(str):
    """Our own words in the place of a value."""

    __slots__ = ()


_ABSENT = _Said("(absent)")
_NOT_STATED = _Said("(not stated)")
_SHOWN_CHARS = 200
# In a pod template neither server nor controller adds these: there and not stated is drift.
_NEVER_ADDED = (
    *("containers", "initContainers", "env", "envFrom", "valueFrom"),
    *("command", "args", "volumes", "volumeMounts"),
)
# One more key in these selects something else.
_EXACT_MAPS = ("selector", "matchLabels")
# The server drops these if they are empty; any other {} is meant (emptyDir) and has to be there.
_DROPPED_IF_EMPTY = (
    *("labels", "annotations", "nodeSelector", "selector", "matchLabels"),
    *("data", "binaryData", "limits", "requests"),
)
# One more element of these is asked as well, or serves as well.
_WHOLE_LISTS = (("spec", "ports"), ("webhooks",))
_QUANTITY_PARENTS = {"limits", "requests", "capacity", "hard", "overhead"}
_QUANTITY_KEYS = {"sizeLimit", "divisor", "averageValue"}
_INT_OR_STRING_KEYS = {"targetPort", "port", "maxSurge", "maxUnavailable", "minAvailable"}
_NOT_COMPARED = {"apiVersion", "kind", "metadata", "status"}
# As Difference shows them: values that say "whatever the server takes" in a field that it fills by itself.
_LEFT_TO_THE_SERVER = frozenset({'""', "0", "[]", "{}", "null"})


@dataclass(frozen=True)
class LiveObject:
    """A live object; no object and no error: it does not exist; an error: unknown."""

    item: JsonObject | None = None
    error: ZkRollbackError | None = None


@dataclass(frozen=True)
class Difference:
    """One statement of the manifest that does not hold live, or (``error``) that could not be looked at.

    ``by``: who set what is live there, if it was not helm and is known. ``stated``: whether the manifest says
    anything of it. ``parts`` are those of the path; none: it is about the object as a whole.
    """

    label: str
    path: str
    expected: str
    live: str
    error: ZkRollbackError | None = None
    by: str = ""
    stated: bool = True
    parts: Path = ()

    @property
    def unknown(self) -> bool:
        """Whether this is no difference but something that was not read."""
        return self.error is not None

    def __str__(self) -> str:
        """One line for a person."""
        if self.error is not None:
            return f"{self.label}: not read. {self.error}"
        where = f"{self.label} {self.path}".strip()
        return f"{where}: expected {self.expected}, live {self.live}{self.whose}"

    @property
    def whose(self) -> str:
        """`` (set by kubectl-edit)`` where that is known."""
        return f" (set by {self.by})" if self.by else ""

    @property
    def leaves_it_open(self) -> bool:
        """Whether the manifest states an empty value and another one is live (``clusterIP: ""``)."""
        empty = self.expected in _LEFT_TO_THE_SERVER
        return self.stated and empty and self.live not in (*_LEFT_TO_THE_SERVER, _ABSENT)


def fetch_live(
    kube: Kube,
    objects: Sequence[JsonObject],
    timeout_s: float = 5.0,
    shared: SharedReads | None = None,
) -> tuple[LiveObject, ...]:
    """The live object of each, in their order; what could not be read carries the error.

    ``shared``: what others read at the same time.
    """
    reads = shared or SharedReads(kube)
    paths: dict[ObjectKey, str] = {}
    if len(objects) >= LISTED_FROM:
        kinds: dict[str, str] = {}
        for key in map(identity, objects):
            with suppress(ClusterError):  # said below
                paths[key] = served_path(kube, key)
                kinds[paths[key]] = key.kind
        reads.prepare(kinds, timeout_s)

    def fetch(item: JsonObject) -> LiveObject:
        key = identity(item)
        path = paths.get(key) or served_path(kube, key)
        try:
            found = reads.get(path, timeout_s)
        except NotFound:
            return LiveObject()
        if (found.get("metadata") or {}).get("name") != key.name:
            raise BadAnswer(f"The API server answered GET {path} with something else.")
        return LiveObject(found)

    results = fetch_each(fetch, objects, workers=16)
    return tuple(result if isinstance(result, LiveObject) else LiveObject(error=result) for result in results)


def compare(
    expected: Sequence[JsonObject],
    live: Sequence[LiveObject],
    managers: Collection[str] = (HELM,),
    welcome: Collection[str] = (),
) -> tuple[Difference, ...]:
    """Every difference, and one for every object that is unknown: none at all means proven equal.

    ``expected`` are the objects of a manifest, ``live`` the answers of :func:`fetch_live` in their order.
    ``managers`` are the field managers that wrote the release, ``welcome`` those that the configuration
    names: what these alone own beside the stated, in pod templates and data, is no drift. Values of Secrets
    do not appear in it. A Job with a time to live may be gone. ``spec.replicas`` is not compared where a
    HorizontalPodAutoscaler (of the manifest, or by the managedFields) owns it, or where a controller keeps
    it at zero.
    """
    if not expected:
        problem = HelmProblem("The manifest holds no object, so nothing can be compared.")
        return (Difference("The manifest", "", "", "", problem),)
    return tuple(one for each in compare_each(expected, live, managers, welcome) for one in each)


def compare_each(
    expected: Sequence[JsonObject],
    live: Sequence[LiveObject],
    managers: Collection[str] = (HELM,),
    welcome: Collection[str] = (),
) -> list[list[Difference]]:
    """The same, for each object its own."""
    scaled = {
        (identity(item).namespace, target.get("kind"), target.get("name"))
        for item in expected
        if item["kind"] == "HorizontalPodAutoscaler"
        and isinstance(target := (item.get("spec") or {}).get("scaleTargetRef"), dict)
    }
    trusted, added = frozenset({*managers, *welcome}), frozenset(welcome) - {*managers, HELM}
    found: list[list[Difference]] = []
    for item, answer in zip(expected, live, strict=True):
        key = identity(item)
        if answer.error is not None:
            found.append([Difference(key.label, "", "", "", answer.error)])
        elif answer.item is None:
            missing = Difference(key.label, "", "to exist", _ABSENT)
            found.append([] if removes_itself(item) else [missing])
        else:
            autoscaled = (key.namespace, key.kind, key.name) in scaled or _scaled_by_controller(
                answer.item, trusted
            )
            comparison = _Comparison(key.label, autoscaled, trusted, added)
            found.append(list(comparison.differences(item, answer.item)))
    return found


def removes_itself(item: JsonObject) -> bool:
    """Whether the object goes away by itself once it is done: a Job with a time to live."""
    return item["kind"] == "Job" and (item.get("spec") or {}).get("ttlSecondsAfterFinished") is not None


def render_differences(differences: Sequence[Difference]) -> str:
    """Differences as a diff: ``-`` what the manifest states, ``+`` what is live, ``!`` what was not read."""
    lines: list[str] = []
    for one in differences:
        if one.error is not None:
            lines.append(f"! {one}")
        else:
            lines += [f"@@ {one.label} {one.path}".rstrip(), f"- {one.expected}", f"+ {one.live}{one.whose}"]
    return "\n".join(lines)


@dataclass(frozen=True)
class _Comparison:
    label: str
    autoscaled: bool
    managers: frozenset[str]
    welcome: frozenset[str]

    def differences(self, expected: JsonObject, live: JsonObject) -> Iterator[Difference]:
        """What is stated and does not hold, and what was added to what runs."""
        owners = set_by(live, self.managers)
        found = {one.path: one for one in self._stated(expected, live) if not self._is_welcome(one, live)}
        for path, value, by in added_to_template(expected, live, owners):
            one = replace(self._differs(path, _NOT_STATED, value), by=by)
            found.setdefault(one.path, one)
        if expected["kind"] in ("ConfigMap", "Secret"):
            for path, value in added_data(expected, live, self.managers):
                hidden = _Said("(hidden)") if expected["kind"] == "Secret" else value
                one = self._differs(path, _NOT_STATED, hidden)
                found.setdefault(one.path, one)
        whose = {shown_path(path): by for path, by in owners.items() if by}
        for one in found.values():
            by = next((by for path, by in whose.items() if path.startswith(one.path)), "")
            yield replace(one, by=one.by or by)

    def _is_welcome(self, one: Difference, live: JsonObject) -> bool:
        added_to_pods = not one.stated and "template" in one.parts
        return added_to_pods and set_only_by(live, one.parts, self.welcome)

    def _stated(self, expected: JsonObject, live: JsonObject) -> Iterator[Difference]:
        metadata, live_metadata = expected["metadata"], live.get("metadata") or {}
        if live_metadata.get("deletionTimestamp"):
            yield self._differs(("metadata", "deletionTimestamp"), _NOT_STATED, _Said("being deleted"))
        for member in ("labels", "annotations"):
            yield from self._member(("metadata",), member, metadata.get(member), live_metadata)
        if expected["kind"] == "Secret":
            yield from self._secret(expected, live)
        for key, value in expected.items():
            if key not in _NOT_COMPARED and not _made_by_controller(expected, key):
                yield from self._member((), key, value, live)

    def _differs(self, path: Path, expected: object, live: object) -> Difference:
        stated = expected is not _NOT_STATED
        return Difference(
            self.label, shown_path(path), _shown(expected), _shown(live), stated=stated, parts=path
        )

    def _member(self, path: Path, key: str, value: object, live: JsonObject) -> Iterator[Difference]:
        here = (*path, key)
        if self.autoscaled and here == ("spec", "replicas"):
            return
        if key in live:
            yield from self._value(here, value, live[key])
        elif not _is_dropped(key, value):
            yield self._differs(here, value, _ABSENT)

    def _value(self, path: Path, expected: object, live: object) -> Iterator[Difference]:
        if expected is None:
            return  # null states nothing: the server's default holds
        if isinstance(expected, dict) and isinstance(live, dict):
            yield from self._map(path, expected, live)
        elif isinstance(expected, list) and isinstance(live, list):
            yield from self._list(path, expected, live)
        elif not (_same(path, expected, live) or (live is None and _is_dropped(path[-1], expected))):
            yield self._differs(path, expected, live)

    def _map(self, path: Path, expected: JsonObject, live: JsonObject) -> Iterator[Difference]:
        for key, value in expected.items():
            yield from self._member(path, key, value, live)
        unstated: tuple[str, ...] = _NEVER_ADDED if "template" in path else ()
        if path[-1] in _EXACT_MAPS:
            unstated = tuple(live)
        for key in unstated:
            if live.get(key) and expected.get(key) is None:
                yield self._differs((*path, key), _NOT_STATED, live[key])

    def _list(self, path: Path, expected: list[Any], live: list[Any]) -> Iterator[Difference]:
        wanted, there = (by_merge_key(path[-1], each, top=len(path) == 1) for each in (expected, live))
        if wanted is None or there is None:
            if len(expected) != len(live):
                yield self._differs(path, expected, live)
                return
            for number, (one, other) in enumerate(zip(expected, live, strict=True)):
                yield from self._value((*path, f"[{number}]"), one, other)
            return
        for key, one in wanted.items():
            here = (*path, f"[{key}]")
            if key in there:
                yield from self._value(here, one, there[key])
            else:
                yield self._differs(here, one, _ABSENT)
        if "template" in path or path in _WHOLE_LISTS:
            for key in there.keys() - wanted.keys():
                yield self._differs((*path, f"[{key}]"), _NOT_STATED, there[key])

    def _secret(self, expected: JsonObject, live: JsonObject) -> Iterator[Difference]:
        """Values by their bytes, stringData over data; only that they differ is said."""
        data, text = (  # null states nothing
            {key: value for key, value in (expected.get(member) or {}).items() if value is not None}
            for member in SECRET_MEMBERS
        )
        stated = {key: _bytes(value) for key, value in data.items()}
        stated |= {key: str(value).encode() for key, value in text.items()}
        there = live.get("data") or {}
        for key, value in stated.items():
            if key not in there:
                yield self._differs(("data", key), _Said("(hidden)"), _ABSENT)
            elif value != _bytes(there[key]):
                yield self._differs(("data", key), _Said("(hidden)"), _Said("(hidden: another value)"))


def _made_by_controller(expected: JsonObject, key: str) -> bool:
    """Whether this member is compared elsewhere (a Secret's values), or filled in by a controller.

    Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles
    """
    if expected["kind"] == "ClusterRole" and expected.get("aggregationRule"):
        return key == "rules"
    return bool(expected["kind"] == "Secret") and key in SECRET_MEMBERS


def _is_dropped(key: str, value: object) -> bool:
    """Whether the server may leave a stated value out because it says nothing."""
    if isinstance(value, dict):
        return all(_is_dropped(*member) for member in value.items()) if value else key in _DROPPED_IF_EMPTY
    return value is None or value in ("", 0, False) or value == []


def _same(path: Path, expected: object, live: object) -> bool:
    if isinstance(expected, bool) or isinstance(live, bool):
        return expected is live
    if isinstance(expected, int | float) and isinstance(live, int | float):
        return expected == live
    if type(expected) is type(live) and expected == live:
        return True
    if path[0] != "spec":
        return False
    if path[-1] in _QUANTITY_KEYS or not _QUANTITY_PARENTS.isdisjoint(path[:-1]):
        value = parse_quantity(expected)
        return value is not None and value == parse_quantity(live)
    scalars = isinstance(expected, int | str) and isinstance(live, int | str)
    return scalars and path[-1] in _INT_OR_STRING_KEYS and str(expected) == str(live)


def _scaled_by_controller(live: JsonObject, managers: Collection[str]) -> bool:
    """Whether a controller owns the number of replicas: an autoscaler, or one that keeps it at zero.

    Progressive delivery (Flagger) and event-driven scalers (KEDA) do that, and no kubectl.
    """
    at_zero = (live.get("spec") or {}).get("replicas") == 0
    for entry in (live.get("metadata") or {}).get("managedFields") or ():
        fields = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        manager = str(entry.get("manager"))
        if "f:replicas" not in fields:
            continue
        if (manager, entry.get("subresource")) == ("kube-controller-manager", "scale"):
            return True
        if at_zero and manager not in managers and not manager.startswith("kubectl"):
            return True
    return False


def _bytes(value: object) -> bytes:
    try:
        return base64.b64decode(str(value), validate=False)
    except (binascii.Error, ValueError):
        return str(value).encode()


def _shown(value: object) -> str:
    if isinstance(value, _Said):
        return value
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}... ({len(text)} characters)"
