"""What stands in a live object and in no manifest of it, and who put it there, by its managedFields. Pure.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from ..domain.checks import JsonObject
from ..domain.timestamps import parse_time
from .field_paths import Path, by_merge_key, element_key, find_stated

HELM = "helm"
# It writes the tokens of service accounts into Secrets, and replicas where an autoscaler says so.
_CONTROLLER = "kube-controller-manager"
_DATA = ("data", "binaryData", "stringData")


def set_by(live: JsonObject, managers: Collection[str]) -> dict[Path, str]:
    """Path -> manager of the fields that others than ``managers`` set, the status left out.

    What one of ``managers`` *applied* (server-side) is exactly what some revision stated, and is in it as
    ``""``; what it *updated* holds the server's defaults, too, and is not.
    """
    found: dict[Path, str] = {}
    for entry in _entries(live):
        manager = str(entry.get("manager") or "somebody")
        if entry.get("subresource") or manager == _CONTROLLER:
            continue
        if manager not in managers:
            found |= dict.fromkeys(_leaves(entry.get("fieldsV1"), ()), manager)
        elif entry.get("operation") == "Apply":
            found = dict.fromkeys(_leaves(entry.get("fieldsV1"), ()), "") | found
    return found


def set_only_by(live: JsonObject, path: Path, managers: Collection[str]) -> bool:
    """Whether all that is live at ``path`` is owned by some of ``managers``, and by nobody else."""
    owners = {
        str(entry.get("manager"))
        for entry in _entries(live)
        for leaf in _leaves(entry.get("fieldsV1"), ())
        if leaf[: len(path)] == path or leaf == path[: len(leaf)]
    }
    return bool(owners) and owners <= set(managers)


def added_to_template(
    expected: JsonObject, live: JsonObject, owners: dict[Path, str]
) -> Iterator[tuple[Path, Any, str]]:
    """(path, live value, by whom) of what a pod template has beyond the manifest, as ``owners`` tell."""
    for path, by in owners.items():
        if "template" not in path or path[path.index("template") + 1 :][:1] != ("spec",):
            continue
        stated, value = find_stated(expected, path)
        here = path[: len(stated) + 1]
        if stated == path or not isinstance(value, dict | list):
            continue  # what is stated is compared
        if isinstance(value, list) and by_merge_key(stated[-1], value) is None:
            continue  # compared as a whole
        there, found = find_stated(live, here)
        if there == here:
            yield here, found, by or f"{HELM}, for another revision"


def added_data(
    expected: JsonObject, live: JsonObject, managers: Collection[str]
) -> Iterator[tuple[Path, Any]]:
    """Keys of a ConfigMap or Secret beside the stated ones; where none is stated, others are to fill it.

    What only ``managers`` but helm, or a controller, own is left out.
    """
    stated = {key for member in _DATA for key in expected.get(member) or ()}
    allowed = {*managers, _CONTROLLER} - {HELM}
    for member in _DATA[:2] if stated else ():
        for key, value in (live.get(member) or {}).items():
            owners = {
                str(entry.get("manager"))
                for entry in _entries(live)
                if f"f:{key}" in ((entry.get("fieldsV1") or {}).get(f"f:{member}") or ())
            }
            if key not in stated and not (owners and owners <= allowed):
                yield (member, key), value


class DataWritten(NamedTuple):
    """When data was last written; ``by_apply``: all who own any of it applied it (server-side)."""

    at: datetime
    by_apply: bool


def data_written(live: JsonObject) -> DataWritten | None:
    """When the data of a live ConfigMap or Secret was written last, by the API server; None: not told.

    An entry's time is that of its manager's last addition or change. An update that only takes keys away
    leaves none, an apply does. Source: apimachinery, managedfieldsupdater.go.
    """
    entries = [
        entry
        for entry in _entries(live)
        if not entry.get("subresource")
        and any(f"f:{member}" in (entry.get("fieldsV1") or {}) for member in _DATA)
    ]
    times = [time for entry in entries if (time := parse_time(entry.get("time"))) is not None]
    if not times or len(times) < len(entries):
        return None
    return DataWritten(max(times), all(entry.get("operation") == "Apply" for entry in entries))


def data_written_at(live: JsonObject) -> datetime | None:
    """The time of :func:`data_written`."""
    last = data_written(live)
    return last.at if last is not None else None


def data_taken(
    expected: JsonObject, live: JsonObject, managers: Collection[str]
) -> tuple[datetime, str] | None:
    """When others than ``managers`` last gave a stated key of a ConfigMap or Secret another value, and who.

    None: nobody did that, or it does not say. Who writes another value takes the key from its owner; who
    states the same shares it. So this also tells of a value that was put back by the same hand.
    """
    stated = {(member, key) for member in _DATA for key in expected.get(member) or ()}
    stated |= {("data", key) for member, key in stated if member == "stringData"}
    owned: dict[tuple[str, str], list[JsonObject]] = {}
    for entry in _entries(live):
        for member in _DATA[:2]:
            for key in (entry.get("fieldsV1") or {}).get(f"f:{member}") or ():
                owned.setdefault((member, key.removeprefix("f:")), []).append(entry)
    found = [
        (time, str(entry.get("manager")))
        for key, entries in owned.items()
        if key in stated and not any(str(entry.get("manager")) in managers for entry in entries)
        for entry in entries
        if (time := parse_time(entry.get("time"))) is not None
    ]
    return max(found, default=None)


def _entries(live: JsonObject) -> list[JsonObject]:
    return (live.get("metadata") or {}).get("managedFields") or []


def _leaves(fields: Any, path: Path) -> Iterator[Path]:
    """The paths of a ``fieldsV1`` that have nothing beneath them."""
    inner = [key for key in fields if key[:2] in ("f:", "k:")] if isinstance(fields, dict) else []
    if not inner and path:
        yield path
    for key in inner:
        part: str | None = key[2:]
        if key.startswith("k:"):
            part = None
            with suppress(ValueError, TypeError, AttributeError):
                name = element_key(path[-1], json.loads(key[2:])) if path else None
                part = f"[{name}]" if name is not None else None
        if part is None:
            yield path  # by several keys: the list as a whole
        else:
            yield from _leaves(fields[key], (*path, part))
