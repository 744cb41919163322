"""The published schema: in step with the model, true for real records, and every field explained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pytest_zkrollback.domain.record import Record
from pytest_zkrollback.report.files import render_json
from pytest_zkrollback.report.schema import PACKAGED, record_schema, render_schema
from support.example_records import ALL, verified

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("path", [PACKAGED, DOCS / "record.schema.json"], ids=["packaged", "docs"])
def test_the_files_are_in_step_with_the_model(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == render_schema(), (
        "run: python -m pytest_zkrollback.report.schema docs/record.schema.json"
    )


def test_it_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(record_schema())


@pytest.mark.parametrize("name", ALL)
def test_records_are_valid_by_an_independent_validator(name: str) -> None:
    record = ALL[name]()
    data = json.loads(render_json(record))
    Draft202012Validator(record_schema()).validate(data)
    assert Record.model_validate(data) == record


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", "zkrollback.record/2"),
        ("outcome", "green"),
        ("started_at", "2026-11-23 11:50"),
        ("items", {}),
    ],
)
def test_what_is_no_record_is_refused(field: str, value: Any) -> None:
    data = json.loads(render_json(verified())) | {field: value}
    assert not Draft202012Validator(record_schema()).is_valid(data)


def test_fields_that_a_later_version_adds_are_allowed() -> None:
    data = json.loads(render_json(verified())) | {"new": 1}
    assert Draft202012Validator(record_schema()).is_valid(data)


def test_every_field_is_described() -> None:
    schema = record_schema()
    parts = {"Record": schema, **schema["$defs"]}
    silent = [
        f"{part}.{name}"
        for part, definition in parts.items()
        for name, field in definition.get("properties", {}).items()
        if not field.get("description")
    ]
    assert silent == []
    assert [part for part, definition in parts.items() if not definition.get("description")] == []


def test_every_field_of_the_record_is_in_the_documentation() -> None:
    text = (DOCS / "record.md").read_text(encoding="utf-8")
    assert [name for name in record_schema()["properties"] if f"`{name}`" not in text] == []
