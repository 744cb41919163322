"""``/health`` has one reader: what the item refuses counts as impact, and what it takes does not."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_zkrollback.checklist.health import HealthCheck
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.errors import HttpProblem, HttpProblemKind
from pytest_zkrollback.domain.ports import HttpAnswer
from pytest_zkrollback.preflight.impact import fetch_users_impacted


class Answers:
    """Http that gives one answer, cut as the real client does, or one problem."""

    def __init__(self, given: tuple[int, bytes] | HttpProblem) -> None:
        self.given = given

    def get(self, url: str, *, timeout_s: float, limit_bytes: int = 1 << 20) -> HttpAnswer:
        if isinstance(self.given, HttpProblem):
            raise self.given
        status, body = self.given
        return HttpAnswer(status, {}, body[:limit_bytes], len(body) > limit_bytes, 0.01)


class AllReady:
    """A cluster whose one workload has what it wants."""

    def resource_path(self, *_: object) -> str:
        return "/"

    def get(self, _path: str, **_: object) -> dict[str, Any]:
        return {"spec": {"replicas": 1}, "status": {"availableReplicas": 1}}


def environment(expect: dict[str, str | bool | int]) -> Environment:
    return Environment.model_validate(
        {
            "name": "staging",
            "context": "ctx",
            "url": "http://shop.example",
            "workloads": {"web": "deployment/web"},
            "health": {"expect": expect},
        }
    )


DATABASE: dict[str, str | bool | int] = {"database": "ok"}
TABLE = [
    (200, b'{"database": "ok"}', DATABASE, True),
    (200, b'{"database": "ok", "other": [1.5, null]}', DATABASE, True),
    (200, b'{"db": {"lag": 1}}', {"db.lag": 1}, True),
    (200, b'{"database": "ok", "lag": NaN}', DATABASE, False),
    (200, b'{"database": "ok", "lag": -Infinity}', DATABASE, False),
    (200, b'{"database": "error", "database": "ok"}', DATABASE, False),
    (200, b'{"database": "ok", "a": {"b": 1, "b": 2}}', DATABASE, False),
    (200, b'{"lag": 1.0}', {"lag": 1}, False),
    (200, b'{"lag": true}', {"lag": 1}, False),
    (200, b'{"up": 1}', {"up": True}, False),
    (200, b'{"up": null}', {"up": False}, False),
    (200, b'{"database": "OK"}', DATABASE, False),
    (200, b"{}", DATABASE, False),
    (200, b"[]", DATABASE, False),
    (200, b"[" * 100_000, DATABASE, False),
    (200, b'\xff{"database": "ok"}', DATABASE, False),
    (200, b'\xef\xbb\xbf{"database": "ok"}', DATABASE, False),
    (200, b'{"database": "ok"}' + b" " * 70_000, DATABASE, False),
    (200, b"<html>ok</html>", DATABASE, False),
    (200, b"", DATABASE, False),
    (503, b'{"database": "ok"}', DATABASE, False),
    (302, b'{"database": "ok"}', DATABASE, False),
]


@pytest.mark.parametrize(("status", "body", "expect", "ok"), TABLE)
def test_the_item_and_the_decision_read_the_same(
    status: int, body: bytes, expect: dict[str, str | bool | int], ok: bool
) -> None:
    env, http = environment(expect), Answers((status, body))
    answer = HealthCheck(env=env, http=http).observe()  # type: ignore[arg-type]
    assert answer is not None
    assert answer.ok is ok
    impacted = fetch_users_impacted(env, AllReady(), http)  # type: ignore[arg-type]
    assert str(impacted.answer) == ("no" if ok else "yes")


@pytest.mark.parametrize("kind", HttpProblemKind)
def test_only_a_name_without_an_address_says_nothing_of_users(kind: HttpProblemKind) -> None:
    """By its kind: a host may be called resolved.example."""
    problem = HttpProblem("http://resolved.example refuses connections.", kind=kind)
    impacted = fetch_users_impacted(environment(DATABASE), AllReady(), Answers(problem))  # type: ignore[arg-type]
    assert str(impacted.answer) == ("unknown" if kind is HttpProblemKind.UNRESOLVED else "yes")
