"""Writes docs/configuration.md from the model that validates the configuration: it cannot lag behind."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.config.fleet import FleetTable

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
HEAD = """# Configuration

It is read from the first of these that is there:

1. the file that `--zkrollback-config` names;
2. `zkrollback.toml` at the repository's root;
3. `[tool.zkrollback]` in `pyproject.toml`;
4. the [shipped file](../pytest_zkrollback/zkrollback.toml).

A file of your own replaces the shipped one. Keys that it leaves out have the defaults below.

- `[defaults]` holds keys for all environments, `[environments.NAME]` those of one. `[fleets.NAME]` names
  environments that are rolled back together ([fleets.md](fleets.md)).
- A key there replaces the same key of `[defaults]`. A table there replaces the whole table of the same name:
  what it leaves out has the default below.
- The environment `drill` is built in.
- Durations are seconds. Secrets are named, never held.

This page is made by `tools/configuration_page.py`.
"""
EXPECT = """For a service without HTTP:

- `smoke = false` and `health = false` leave the item out. It is WAIVED by configuration, and the summary says
  so.
- `url = false` says that there is no url. `health-database` is WAIVED, and so is `smoke` where its command
  holds `{url}`.
- Without both, a run is green only where a rollout or an item of your own passes.

A member of `expect` is always one key in quotes. The array is MicroProfile's form, the colon the IETF's:

| the answer has | write |
|---|---|
| `{"database": {"state": "up"}}` | `"database.state" = "up"` |
| an array: `{"checks": [{"name": "db", "status": "UP"}]}` | `"checks[name=db].status" = "UP"` |
| a colon: `{"checks": {"pg:time": [{"componentId": "a", "status": "pass"}]}}` | \
`"checks.pg:time[componentId=a].status" = "pass"` |
| a dot, bracket or quote: `{"checks": {"db.primary": "ok"}}` | `'checks."db.primary"' = "ok"` |

`[field=value]` takes every element whose field is that text, number, true or false (`[field="3"]`: the text
alone). There has to be at least one, and each of them needs the value. In double quotes `\\"` is a quote.
`migrations.health` is written in the same way.
"""


def render_page() -> str:
    """The whole page, from the JSON Schema of Environment."""
    schema = Environment.model_json_schema()
    parts = [HEAD, *_table("[environments.NAME]", schema, schema)]
    for key, definition in (("identity", "Identity"), ("smoke", "Smoke"), ("health", "Health")):
        parts += _table(f"[environments.NAME.{key}]", schema["$defs"][definition], schema)
    parts.append(EXPECT)
    parts += _table("[environments.NAME.logs]", schema["$defs"]["Logs"], schema)
    parts += _table("[environments.NAME.events]", schema["$defs"]["Events"], schema)
    parts += _table("[environments.NAME.slack]", schema["$defs"]["Slack"], schema)
    parts.append(
        "`slack = false` switches Slack off; where nobody else is told, the item `notify` is WAIVED by "
        "configuration. What is told when, and what it looks like: [notify.md](notify.md).\n"
    )
    parts += _table("[environments.NAME.notify]", schema["$defs"]["Notify"], schema)
    parts += _table("[environments.NAME.metrics]", schema["$defs"]["Metrics"], schema)
    parts += _table("[[environments.NAME.metrics.checks]]", schema["$defs"]["Metric"], schema)
    parts.append("Examples, and what an empty answer means: [metrics.md](metrics.md).\n")
    for key, definition in (("github", "GithubActions"), ("git", "Git"), ("migrations", "Migrations")):
        parts += _table(f"[environments.NAME.{key}]", schema["$defs"][definition], schema)
    fleet = FleetTable.model_json_schema()
    parts += _table("[fleets.NAME]", fleet, fleet)
    parts += _table("[fleets.NAME.kubernetes]", fleet["$defs"]["KubernetesEngineTable"], fleet)
    return "\n".join(parts)


def _table(title: str, table: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    rows = [f"## `{title}`", "", "| key | type | default | meaning |", "|---|---|---|---|"]
    for key, field in table["properties"].items():
        if key in ("name", "base_dir"):
            continue
        kind = _kind(field, schema)
        default = "**required**" if key in table.get("required", ()) else _default(field, kind)
        if key == "context":
            default = "the environment's name"
        rows.append(f"| `{key}` | {kind} | {default} | {field.get('description', '')} |")
    return [*rows, ""]


def _kind(field: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in field:
        return "table"
    options = [_kind(option, schema) for option in field.get("anyOf", ()) if option.get("type") != "null"]
    if options:
        return " or ".join(dict.fromkeys(options))
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    return {"object": "table", "array": "list", "number": "number"}.get(
        field.get("type", ""), field.get("type", "")
    )


def _default(field: dict[str, Any], kind: str) -> str:
    if "table" in kind and "expect" not in field.get("title", "").lower():
        return "see below" if field.get("default") else "none"
    value = field.get("default")
    return "none" if value is None else f"`{json.dumps(value)}`".replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(PAGE.write_text(render_page(), encoding="utf-8") and 0)
