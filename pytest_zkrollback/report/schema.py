"""The published JSON Schemas of a run's record and of a fleet's, from their models:
``python -m pytest_zkrollback.report.schema docs``.

Two equal files hold each: ``record.schema.json`` and ``fleet.schema.json`` beside this module (in the wheel)
and in ``docs/``. Within ``zkrollback.record/1`` and ``zkrollback.fleet/1`` fields are only added: readers
have to ignore fields that they do not know.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from ..domain.record import SCHEMA, Record
from .incident_facts import Facts, find_facts

PACKAGED = Path(__file__).parent


class WrittenRecord(Record):
    """Everything about one run. The JSON file is this, the other files are rendered from it."""

    facts: Facts = Field(
        description="what all renderings say, worked out from the rest when this was written; never read back"
    )


def written(record: Record) -> WrittenRecord:
    """The record with its facts, as it stands in the JSON file."""
    fields = {name: getattr(record, name) for name in Record.model_fields}
    return WrittenRecord.model_construct(**fields, facts=find_facts(record))


def record_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a record's JSON."""
    return _schema(WrittenRecord, SCHEMA, "record")


def fleet_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the JSON of a fleet's record."""
    from ..domain.fleet import FLEET_SCHEMA  # a run that is no fleet's does not load it
    from .fleet.written import WrittenFleet

    return _schema(WrittenFleet, FLEET_SCHEMA, "fleet")


def _schema(model: type[BaseModel], name: str, of: str) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True, mode="serialization")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["$id"] = f"urn:{name.replace('/', ':')}"
    schema["title"] = f"pytest-zkrollback {of}, {name}"
    schema["properties"]["schema"]["const"] = name
    _published(schema)
    return schema


FILES: dict[str, Callable[[], dict[str, Any]]] = {
    "record.schema.json": record_schema,
    "fleet.schema.json": fleet_schema,
}


def render_schema(name: str = "record.schema.json") -> str:
    """The text of the file of that name, one of :data:`FILES`."""
    return json.dumps(FILES[name](), indent=2, ensure_ascii=False) + "\n"


def _published(node: Any) -> None:
    """Let readers of this version read records with fields that a later one adds; first lines only."""
    if isinstance(node, dict):
        if isinstance(node.get("description"), str):
            node["description"] = node["description"].partition("\n")[0]
        # Said outright by newer versions of pydantic alone, where it is true.
        if isinstance(node.get("additionalProperties"), bool):
            del node["additionalProperties"]
        for each in node.values():
            _published(each)
    elif isinstance(node, list):
        for each in node:
            _published(each)


if __name__ == "__main__":
    for folder in (PACKAGED, *map(Path, sys.argv[1:])):
        for file in FILES:
            (folder / file).write_text(render_schema(file), encoding="utf-8")
