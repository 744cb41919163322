"""The record's published JSON Schema, from the model: ``python -m pytest_zkrollback.report.schema docs/...``.

Two equal files hold it: ``record.schema.json`` beside this module (in the wheel) and ``docs/``. Within
``zkrollback.record/1`` fields are only added: readers have to ignore fields that they do not know.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import Field

from ..domain.record import SCHEMA, Record
from .incident_facts import Facts, find_facts

PACKAGED = Path(__file__).with_name("record.schema.json")


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
    schema = WrittenRecord.model_json_schema(by_alias=True, mode="serialization")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["$id"] = f"urn:{SCHEMA.replace('/', ':')}"
    schema["title"] = f"pytest-zkrollback record, {SCHEMA}"
    schema["properties"]["schema"]["const"] = SCHEMA
    _published(schema)
    return schema


def render_schema() -> str:
    """The file's text."""
    return json.dumps(record_schema(), indent=2, ensure_ascii=False) + "\n"


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
    for path in (PACKAGED, *map(Path, sys.argv[1:])):
        path.write_text(render_schema(), encoding="utf-8")
