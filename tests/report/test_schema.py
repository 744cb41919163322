"""The published schema: in step with the model, true for real records, and every field explained."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pytest_zkrollback.domain.record import ObjectionKind, Outcome, Record
from pytest_zkrollback.report.files import render_json
from pytest_zkrollback.report.schema import FILES, PACKAGED, fleet_schema, record_schema, render_schema
from support.example_records import ALL, verified

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("folder", [PACKAGED, DOCS], ids=["packaged", "docs"])
def test_the_files_are_in_step_with_the_model(folder: Path, name: str) -> None:
    assert (folder / name).read_text(encoding="utf-8") == render_schema(name), (
        "run: python -m pytest_zkrollback.report.schema docs"
    )


@pytest.mark.parametrize("name", FILES)
def test_it_is_a_valid_schema(name: str) -> None:
    Draft202012Validator.check_schema(FILES[name]())


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


@pytest.mark.parametrize("name", FILES)
def test_every_field_is_described(name: str) -> None:
    schema = FILES[name]()
    parts = {"the whole": schema, **schema["$defs"]}
    silent = [
        f"{part}.{name}"
        for part, definition in parts.items()
        for name, field in definition.get("properties", {}).items()
        if not field.get("description")
    ]
    assert silent == []
    assert [part for part, definition in parts.items() if not definition.get("description")] == []


def tables() -> list[tuple[str, list[str]]]:
    """The tables of docs/record.md: the head of the first column, and what it names in the rows."""
    found: list[tuple[str, list[str]]] = []
    page = (DOCS / "record.md").read_text(encoding="utf-8")
    lines = page.split("\n## Fields\n")[1].split("\n## ")[0].splitlines()
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        first = line.split("|")[1].strip() if line.startswith("|") else ""
        if after.startswith("|---"):
            found.append((first, []))
        elif first and not first.startswith("---"):
            found[-1][1].extend(re.findall(r"`([^`]+)`", first))
    return found


def named(head: str) -> list[str]:
    """What all tables with this head name."""
    return [name for each, names in tables() if each == head for name in names]


def properties_of(field: str) -> set[str]:
    """Those of the record's field, or of each member of its list."""
    schema = record_schema()
    reference = re.search(r"#/\$defs/(\w+)", json.dumps(schema["properties"][field]))
    assert reference is not None, field
    return set(schema["$defs"][reference[1]]["properties"])


def test_every_field_of_the_record_has_its_row_in_the_documentation() -> None:
    """A new field: a row in one of the tables `field` of docs/record.md."""
    assert sorted(named("field")) == sorted(record_schema()["properties"])


def fleet_fields(head: str) -> list[str]:
    """What the first column of the table with this head names, in the section on a fleet's record."""
    section = (DOCS / "record.md").read_text(encoding="utf-8").split("\n## A fleet's record\n")[1]
    table = section.split(f"| {head} |")[1].split("\n\n")[0].splitlines()[2:]
    return [name for line in table for name in re.findall(r"`([^`]+)`", line.split("|")[1])]


def test_every_field_of_a_fleet_and_of_its_members_has_its_row_in_the_documentation() -> None:
    schema = fleet_schema()
    assert sorted(fleet_fields("field of a fleet")) == sorted(schema["properties"])
    members = schema["$defs"]["Member"]["properties"]
    assert sorted(fleet_fields("field of a fleet's `members`")) == sorted(members)


PARTS = ["plan", "commits", "guards", "helm", "items", "own_tests", "metrics", "deliveries", "facts"]


def test_the_parts_that_are_documented_are_these() -> None:
    heads = {head for head, _ in tables()}
    assert heads == {"field", "outcome", "objection", *(f"field of `{part}`" for part in PARTS)}


@pytest.mark.parametrize("part", PARTS)
def test_what_the_documentation_names_of_a_field_is_in_the_schema(part: str) -> None:
    names = named(f"field of `{part}`")
    assert len(names) > 2
    assert set(names) <= properties_of(part)


def test_the_documentation_has_every_outcome_and_every_objection() -> None:
    assert named("outcome") == list(Outcome)
    assert named("objection") == list(ObjectionKind)
