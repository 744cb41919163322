"""GitHub's client: whatever its headers say, it is asked at a bearable pace, and never for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pytest_zkrollback.clients import github
from pytest_zkrollback.clients.github import GithubClient
from pytest_zkrollback.config.environment import GithubActions
from pytest_zkrollback.domain.errors import GithubProblem
from pytest_zkrollback.domain.github_answers import Pull
from pytest_zkrollback.domain.ports import HttpAnswer
from support.stepping_clock import SteppingClock

NOW = datetime(2026, 11, 29, 2, 30, tzinfo=UTC)


class Then(SteppingClock):
    def now(self) -> datetime:
        return NOW + timedelta(seconds=sum(self.slept))


class Limits:
    """An HTTP client that is always limited."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.headers, self.asked = headers, 0

    def send(self, *_: object, **__: object) -> HttpAnswer:
        self.asked += 1
        return HttpAnswer(429, self.headers, b"{}", truncated=False, duration_s=0.1)


@pytest.mark.parametrize(
    ("headers", "most"),
    [
        ({"retry-after": "0"}, 21),
        ({"retry-after": "9" * 400}, 1),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9" * 400}, 1),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp() * 1000) - 5000)}, 21),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "\N{SUPERSCRIPT TWO}"}, 11),
    ],
)
def test_cases_b13_b14_headers_of_any_kind_end_in_a_sentence(monkeypatch, headers, most) -> None:
    limits, clock = Limits(headers), Then()
    monkeypatch.setattr(github, "HttpClient", lambda **_: limits)
    api = GithubClient(
        GithubActions(repository="o/r", workflow="w.yml"), "t", clock, patience_s=600, say=lambda _: None
    )
    with pytest.raises(GithubProblem, match="GitHub limits the rate of requests until"):
        api.send("POST", "pulls", {}, Pull)
    assert limits.asked <= most
    assert all(pause >= 1 for pause in clock.slept)
