"""The first configuration, as TOML: what was found, and comments for what was not. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..report.sanitize import inert_line

CHECKS = '''"""The runbook's checklist, item by item: pytest --zkrollback-env=NAME [--rollback-to=N]."""

from pytest_zkrollback.items import *  # noqa: F403
'''


@dataclass(frozen=True)
class Address:
    """Where users reach the service; empty texts are not known.

    ``health_problem``: why it is not known what /health says; with a path it may answer later, without one it
    is left out. ``other_urls`` and ``other_paths``: what could be meant instead.
    """

    url: str = ""
    source: str = ""
    other_urls: tuple[str, ...] = ()
    health_path: str = ""
    health_expect: Mapping[str, str | bool] = field(default_factory=lambda: {"database": "ok"})
    health_problem: str = ""
    other_paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draft:
    """What is known of an environment; empty texts are not known.

    ``workloads``: ``kind/name`` of today, of which ``at_zero`` have no replicas. ``label``: ``key=value``
    that all of their pods have.
    """

    environment: str
    context: str
    namespace: str
    release: str
    revision: int
    cluster: str
    workloads: tuple[str, ...] = ()
    at_zero: tuple[str, ...] = ()
    label: str = ""
    address: Address = Address()
    smoke: tuple[str, ...] = ()
    slack_variable: str = ""
    has_git: bool = False
    migrations_kind: str = ""
    has_autoscaler: bool = False


def render_draft(draft: Draft) -> str:
    """The whole file."""
    name = f"environments.{draft.environment}"
    lines = [
        *_comment(
            f"Made by pytest --zkrollback-init from release {draft.release} (revision {draft.revision}) in "
            f"namespace {draft.namespace}. All keys: docs/configuration.md of pytest-zkrollback."
        ),
        *_comment(f"Is all there? pytest --zkrollback-env={draft.environment} --zkrollback-check"),
        "",
        f"[{name}]",
        f"context = {_text(draft.context)}",
        f"namespace = {_text(draft.namespace)}",
        f"release = {_text(draft.release)}",
        *_url(draft),
        *_comment(f"All workloads of the manifest; today: {', '.join(draft.workloads) or 'none'}."),
        'workloads = "auto"',
        *_at_zero(draft),
        *_left_out(draft),
        *_comment("Ask for the environment's name again before helm runs:"),
        "# protected = true",
        "",
        f"[{name}.identity]",
        *_comment("Pins the cluster: another one behind the same context is refused."),
        f"kube_system_uid = {_text(draft.cluster)}",
        "",
        f"[{name}.logs]",
        *_comment("The logs of all of the release's workloads. To read fewer pods:"),
        'selector = "auto"',
        f"# selector = {_text(draft.label or 'app=NAME')}",
        *_health(draft, name),
        *_smoke(draft, name),
        *_slack(draft, name),
        *_events(draft, name),
        *_repository(draft, name),
        *_metrics(name),
    ]
    return "\n".join(lines) + "\n"


def name_unknown(draft: Draft) -> tuple[str, ...]:
    """What could not be known, in words; the file says what to do about each."""
    found = [
        (not draft.address.url, "the url"),
        (bool(draft.address.health_problem), "what /health says"),
        (not draft.smoke, "the smoke test"),
        (not draft.slack_variable, "whom to tell"),
        (True, "how the service migrates its database"),
    ]
    return tuple(what for is_unknown, what in found if is_unknown)


def _url(draft: Draft) -> Iterator[str]:
    if draft.address.url:
        yield from _comment(f"Where users reach it, by {draft.address.source}.")
        if draft.address.other_urls:
            yield from _comment(f"Or one of: {', '.join(draft.address.other_urls)}")
        yield f"url = {_text(draft.address.url)}"
        return
    yield from _comment(
        "NOT KNOWN: no Ingress and no HTTPRoute with a host leads to this release. Without a url the items "
        "health-database and smoke are left out (WAIVED). Say where users reach it:"
    )
    yield "url = false"
    yield '# url = "https://staging.example.com"'


def _at_zero(draft: Draft) -> Iterator[str]:
    if draft.at_zero:
        yield from _comment("These stand at zero replicas today. Take out what is not meant to:")
        yield f"zero_replicas = [{', '.join(map(_text, draft.at_zero))}]"


def _left_out(draft: Draft) -> Iterator[str]:
    problem = draft.address.health_problem
    if draft.address.url and not draft.address.health_path:
        yield from _comment(
            f"NOT KNOWN: {problem} So /health is left out (WAIVED). Where it answers with JSON, take this "
            "line out and fill in the table below:"
        )
        yield "health = false"
    if not draft.smoke:
        yield from _comment(
            "NOT KNOWN: there is no scripts/smoke-test.sh here. So the smoke test is left out (WAIVED). "
            "Where you have one, take this line out and fill in the table below:"
        )
        yield "smoke = false"
    if not draft.slack_variable:
        yield from _comment(
            "NOT KNOWN: SLACK_WEBHOOK_URL is not set. So nobody is told (WAIVED). To tell Slack, take this "
            "line out, and set the variable of the table below:"
        )
        yield "slack = false"


def _health(draft: Draft, name: str) -> Iterator[str]:
    yield ""
    if draft.address.url and draft.address.health_path:
        yield f"[{name}.health]"
        if draft.address.other_paths:
            yield from _comment(f"By the probes it could also be: {', '.join(draft.address.other_paths)}")
        yield f"path = {_text(draft.address.health_path)}"
        if draft.address.health_problem:
            yield from _comment(
                f"NOT KNOWN: {draft.address.health_problem} Which JSON members have which value?"
            )
        expect = draft.address.health_expect.items()
        pairs = ", ".join(f"{_text(key)} = {_value(value)}" for key, value in expect)
        yield f"expect = {{ {pairs} }}"
        return
    yield f"# [{name}.health]"
    yield f"# path = {_text((*draft.address.other_paths, '/health')[0])}"
    yield '# expect = { "database" = "ok" }'


def _smoke(draft: Draft, name: str) -> Iterator[str]:
    command = ", ".join(map(_text, draft.smoke or ("bash", "scripts/smoke-test.sh", "{url}")))
    mark = "" if draft.smoke else "# "
    yield from ("", f"{mark}[{name}.smoke]", f"{mark}command = [{command}]")


def _slack(draft: Draft, name: str) -> Iterator[str]:
    mark = "" if draft.slack_variable else "# "
    variable = _text(draft.slack_variable or "SLACK_WEBHOOK_URL")
    yield from ("", f"{mark}[{name}.slack]", f"{mark}webhook_env = {variable}")


def _events(draft: Draft, name: str) -> Iterator[str]:
    if draft.has_autoscaler:
        yield ""
        yield from _comment("In a cluster without metrics an autoscaler warns. That is harmless there:")
        yield f"# [{name}.events]"
        yield '# harmless = ["FailedGetResourceMetric", "FailedComputeMetricsReplicas"]'


def _repository(draft: Draft, name: str) -> Iterator[str]:
    yield ""
    yield from _comment(
        "NOT KNOWN: how the service migrates its database. Until this says it, the item migration needs "
        "--rollback-migration-assessed=TEXT:"
    )
    yield f"# [{name}.git]"
    yield f"# checkout = {_text('.' if draft.has_git else '../SERVICE')}"
    yield f"# [{name}.migrations]"
    yield f"# kind = {_text(draft.migrations_kind or 'alembic')}  # or django, flyway, golang-migrate, sql"
    yield '# paths = ["migrations/versions"]'
    yield '# database_env = "DATABASE_URL"  # the name of the variable; read-only'


def _metrics(name: str) -> Iterator[str]:
    yield ""
    yield from _comment("Error rate, latency: items that are judged in the soak (docs/metrics.md):")
    yield f"# [{name}.metrics]"
    yield '# url = "https://prometheus.example.com"'
    yield f"# [[{name}.metrics.checks]]"
    yield '# id = "error-rate"'
    yield '# title = "Errors below 1 a second"'
    yield """# query = 'sum(rate(http_requests_total{namespace="{namespace}", code=~"5.."}[2m]))'"""
    yield "# max = 1"
    yield "# when_empty = 0  # no errors yet have no series"


def _comment(text: str) -> Iterator[str]:
    yield f"# {inert_line(text)}"


def _value(value: str | bool) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else _text(value)


def _text(text: str) -> str:
    """A basic string of TOML: as of JSON, but for what lies outside of the first plane, and DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
