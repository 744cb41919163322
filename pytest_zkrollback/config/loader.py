"""Parses the configuration into environments; messages name the key, its table and the nearest known key."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from ..domain.errors import UsageProblem
from .environment import Environment

if TYPE_CHECKING:
    from .fleet import Fleet

SHIPPED = Path(__file__).parents[1] / "zkrollback.toml"
DRILL = "drill"
_TABLES = ["defaults", "environments", "fleets"]
# Of a table that may be false, pydantic names which of the two it tried.
_BRANCH = re.compile(r"(function-after\[\w+\(\), )?(Smoke|Health|Slack|Metrics)\]?|literal\[False\]")


def find_config(rootpath: Path, given: str | None) -> Path:
    """The file to read: the one given, else ``zkrollback.toml``, else ``pyproject.toml`` if it has our table,
    else the shipped one. Raises UsageProblem if the given file is missing."""
    if given is not None:
        path = Path(given)
        if not path.is_file():
            raise UsageProblem(f"--zkrollback-config={given}: there is no such file; helm did not run.")
        return path
    own = rootpath / "zkrollback.toml"
    if own.is_file():
        return own
    project = rootpath / "pyproject.toml"
    if project.is_file() and "zkrollback" in _load(project).get("tool", {}):
        return project
    return SHIPPED


def known_environments(path: Path) -> list[str]:
    """The names that ``--env`` takes with this file, ``drill`` first. Raises UsageProblem."""
    return [DRILL, *sorted(_environments(path)[1])]


def load_environment(path: Path, name: str) -> Environment:
    """The environment ``name`` of the file. ``drill`` is not in any file: the drill makes it.

    Raises UsageProblem: unknown environment, unknown key, wrong value, broken TOML.
    """
    defaults, tables = _environments(path)
    if name not in tables:
        known = ", ".join([DRILL, *sorted(tables)])
        raise UsageProblem(
            f"--env={name} is not known in {describe(path)}: known environments are {known}; "
            "helm did not run."
        )
    # A table there replaces the whole table of the same name: so a key of it can be taken away.
    table = {**defaults, **tables[name]}
    try:
        return Environment(**{"context": name, **table, "name": name, "base_dir": str(path.parent)})
    except ValidationError as error:
        replaced = frozenset(key for key in tables[name] if isinstance(defaults.get(key), dict))
        raise UsageProblem(_sentence(error, path, f"environments.{name}", replaced)) from None


def load_fleet(path: Path, name: str) -> Fleet:
    """The fleet ``name`` of the file, with all of its environments.

    Raises UsageProblem: unknown fleet, key or environment, wrong value, broken TOML; also where an
    environment of the fleet is wrong.
    """
    from .fleet import Fleet, FleetTable, resolve_waves  # a run of one environment has no need of it

    tables = _document(path).get("fleets", {})
    places = [("fleets", tables)]
    if isinstance(tables, dict):
        places += [(f"fleets.{each}", table) for each, table in tables.items()]
    _require_tables(path, places)
    if name not in tables:
        known = ", ".join(sorted(tables)) or "none: add a table [fleets.NAME] with its waves"
        raise UsageProblem(
            f"--fleet={name} is not known in {describe(path)}: known fleets are {known}; helm did not run."
        )
    try:
        table = FleetTable(**tables[name])
    except ValidationError as error:
        raise UsageProblem(_sentence(error, path, f"fleets.{name}", (), FleetTable)) from None
    waves = resolve_waves(path.name, name, table, list(_environments(path)[1]))
    environments = {each: load_environment(path, each) for wave in waves for each in wave}
    return Fleet(
        name=name,
        waves=waves,
        at_once=table.at_once,
        pause_s=table.pause_s,
        stop=table.stop_rule,
        protected=table.protected or any(env.protected for env in environments.values()),
        environments=environments,
        kubernetes=table.kubernetes,
    )


def _document(path: Path) -> dict[str, Any]:
    """The file's tables of ours; raises UsageProblem where one is unknown."""
    document = _load(path)
    if path.name == "pyproject.toml":
        document = document.get("tool", {}).get("zkrollback", {})
    unknown = sorted(set(document) - set(_TABLES))
    if unknown:
        raise UsageProblem(
            f"{path.name}: unknown table [{unknown[0]}]{_nearest(unknown[0], _TABLES)}; helm did not run."
        )
    return document


def _require_tables(path: Path, places: Iterable[tuple[str, object]]) -> None:
    for place, table in places:
        if not isinstance(table, dict):
            raise UsageProblem(f"{path.name}: [{place}] has to be a table; helm did not run.")


def _environments(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """``[defaults]``, and the environments' own tables."""
    document = _document(path)
    defaults = document.get("defaults", {})
    tables = document.get("environments", {})
    _require_tables(path, [("defaults", defaults), ("environments", tables), *_named(tables)])
    if DRILL in tables:
        raise UsageProblem(
            f"{path.name}: [environments.{DRILL}]: this name is built in; choose another; helm did not run."
        )
    return defaults, tables


def _named(tables: object) -> list[tuple[str, object]]:
    return (
        [(f"environments.{name}", table) for name, table in tables.items()]
        if isinstance(tables, dict)
        else []
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageProblem(f"{path}: this is no valid TOML: {error}; helm did not run.") from None
    except OSError as error:
        raise UsageProblem(f"{path}: it cannot be read: {error.strerror}; helm did not run.") from None


def _sentence(
    error: ValidationError,
    path: Path,
    table: str,
    replaced: Collection[str],
    model: type[BaseModel] = Environment,
) -> str:
    """The first thing that is wrong, as one sentence. ``replaced``: tables that ``[defaults]`` has, too.

    ``model`` is what the table was read as.
    """
    # An unknown key explains a missing one: `workload` instead of `workloads`.
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    location = [
        str(part) for at, part in enumerate(first["loc"]) if at != 1 or not _BRANCH.fullmatch(str(part))
    ]
    key = location[-1] if location else ""
    place = ".".join([table, *location[:-1]])
    if first["type"] == "extra_forbidden":
        near = _nearest(key, _keys(location, model))
        return f"{path.name}: unknown key '{key}' in [{place}]{near}; helm did not run."
    if first["type"] == "missing":
        whole = f" (it replaces [defaults.{location[0]}] as a whole)" if location[0] in replaced else ""
        return f"{path.name}: [{place}] needs the key '{key}'{whole}; helm did not run."
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error" and isinstance(first["input"], dict) and key != "workloads":
        place = ".".join([table, *location])  # what is wrong is how the keys of a table go together
        return f"{path.name}: [{place}]: {message}; helm did not run."
    # A URL where the name of a variable belongs holds a password.
    shown = "no name" if key.endswith("_env") else repr(first["input"])
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return f"{path.name}: '{key}' in [{place}] is {shown}: {message}; helm did not run."


def _keys(location: list[str], model: type[BaseModel]) -> list[str]:
    """The known keys of the table that holds the last part of ``location``."""
    schema = model.model_json_schema()
    node: dict[str, Any] = schema
    for part in location[:-1]:
        node = node.get("items", {}) if part.isdigit() else node.get("properties", {}).get(part, {})
        for option in [node, *node.get("anyOf", []), *node.get("allOf", [])]:
            if "$ref" in option:
                node = schema["$defs"][option["$ref"].rsplit("/", 1)[-1]]
                break
    return [key for key in node.get("properties", {}) if key not in ("name", "base_dir")]


def describe(path: Path) -> str:
    """The file in words."""
    return "the shipped configuration (there is no zkrollback.toml here)" if path == SHIPPED else path.name


def _nearest(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f" (did you mean '{near[0]}'?)" if near else f" (known: {', '.join(known)})" if known else ""
