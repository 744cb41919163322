"""GitHub's REST API, one repository of it. The token stands in one header and nowhere else.

Refusals become a sentence with the next step; rate limits are obeyed here, because a request that was
limited was not carried out (field notes, "GitHub").
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlencode

from pydantic import TypeAdapter, ValidationError

from ..config.environment import GithubActions
from ..domain.checks import JsonObject
from ..domain.errors import GithubProblem, HttpProblem, SettingProblem
from ..domain.ports import Clock, HttpAnswer
from .http import HttpClient
from .retry import LONGEST_PAUSE_S, SHORTEST_PAUSE_S, exponential, retry, retry_after_s

T = TypeVar("T")
Page = TypeVar("Page")

API_VERSION = "2022-11-28"
_MOST_PAGES = 5
_SECONDARY_PAUSE_S = 60.0  # "wait at least one minute" where a secondary limit names no time
_TRIES = 3
_PAUSE_S = 0.5
_MOST_WAITS = 20  # of one request, for rate limits
_FAR = timedelta(days=366)  # a Date header so far off says nothing
_MILLISECONDS = 10**11  # as seconds, a time in the year 5138

_WORDS = (
    ("POST", r"git/commits", "making the commit that restores the tree"),
    ("POST", r"git/refs", "making the branch"),
    ("PATCH", r"git/refs", "moving our branch onto the newer tip"),
    ("POST", r"issues/\d+/comments", "commenting on the issue or pull request"),
    ("POST", r"pulls", "opening the pull request"),
    ("PUT", r"pulls/\d+/merge", "merging the pull request"),
    ("POST", r"actions/workflows/\d+/dispatches", "running the workflow"),
    ("GET", r"rules/|branches/", "reading the branch and its rules"),
    ("GET", r"actions/", "reading the workflow's runs"),
    ("GET", r"pulls", "reading pull requests"),
    ("GET", r"$", "reading the repository"),
)

# What a fine-grained token or an App needs, where GitHub does not say it itself.
_NEEDS = (("git/", "contents"), ("issues/", "issues"), ("pulls", "pull_requests"), ("actions/", "actions"))


def choose_token(table: GithubActions, environ: Mapping[str, str]) -> str:
    """The token from the variable that the configuration names; raises SettingProblem without it."""
    token = environ.get(table.token_env, "").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise SettingProblem(
            f"the environment variable {table.token_env} holds no token",
            "set it to one that may write contents and pull requests and run workflows of "
            f"{table.repository} (docs/github.md)",
        )
    return token


class GithubClient:
    """Requests about one repository; paths are relative to ``/repos/OWNER/NAME``.

    ``patience_s`` is how long one request may wait for a rate limit to pass; ``say`` is told while it waits.
    ``before_change`` is called before each request that changes something; what it raises stops that one.
    """

    def __init__(
        self,
        table: GithubActions,
        token: str,
        clock: Clock,
        *,
        patience_s: float,
        say: Callable[[str], object],
        before_change: Callable[[], object] = lambda: None,
    ) -> None:
        """Nothing is contacted before the first request."""
        self._table = table
        self._token = token
        self._http = HttpClient(ca_file=table.ca_file, proxy=table.proxy, clock=clock)
        self._clock = clock
        self._patience_s = patience_s
        self._say = say
        self._before_change = before_change
        self._ahead = timedelta(0)
        self.scopes: frozenset[str] | None = None

    def now(self) -> datetime:
        """The time by GitHub's clock, as far as its Date header told; UTC."""
        return self._clock.now() + self._ahead

    def get(self, path: str, shape: type[T], query: Mapping[str, str] | None = None) -> T:
        """GET; tried again where the connection or the server failed. Raises GithubProblem."""
        return retry(
            lambda: self._send("GET", path, shape, query=query),
            on=lambda error: isinstance(error, GithubProblem) and not 0 < error.status < 500,
            wait_s=exponential(_PAUSE_S),
            clock=self._clock,
            attempts=_TRIES,
        )

    def find(self, path: str, shape: type[T], query: Mapping[str, str] | None = None) -> T | None:
        """GET; None where GitHub says 404."""
        try:
            return self.get(path, shape, query)
        except GithubProblem as problem:
            if problem.status != 404:
                raise
            return None

    def pages(
        self,
        path: str,
        shape: type[Page],
        entries: Callable[[Page], Sequence[T]],
        query: Mapping[str, str] | None = None,
    ) -> tuple[T, ...]:
        """All entries of a list, 500 at most. ``entries`` takes them out of a page, which is a ``shape``."""
        found: list[T] = []
        for number in range(1, _MOST_PAGES + 1):
            page = self.get(path, shape, {**(query or {}), "per_page": "100", "page": str(number)})
            found += entries(page)
            if len(entries(page)) < 100:
                break
        return tuple(found)

    def send(self, method: str, path: str, body: JsonObject, shape: type[T]) -> T:
        """POST, PUT or PATCH, carried out once at most. An answer without a body is read as ``{}``.

        Raises GithubProblem, with ``maybe_received`` also where the answer has another shape.
        """
        return self._send(method, path, shape, body)

    def _send(
        self,
        method: str,
        path: str,
        shape: type[T],
        body: JsonObject | None = None,
        query: Mapping[str, str] | None = None,
    ) -> T:
        # A loop of its own, for every method: what the rate limit stopped was certainly not carried out.
        url = self._url(path, query)
        waited_s, waits = 0.0, 0
        while True:
            if method != "GET":
                self._before_change()
            answer = self._exchange(method, url, path, body)
            pause_s = _limited_for_s(answer, self.now())
            if pause_s is None:
                return self._read(method, path, answer, shape)
            if waited_s + pause_s > self._patience_s or waits >= _MOST_WAITS:
                until = (self.now() + timedelta(seconds=pause_s)).strftime("%H:%M:%S")
                raise GithubProblem(
                    f"GitHub limits the rate of requests until {until} UTC ({_said(answer)}), and "
                    f"{_doing(method, path)} cannot wait so long. Type the same command again then.",
                    status=answer.status,
                    said=_said(answer),
                )
            self._say(f"GitHub limits the rate of requests: waiting {pause_s:.0f} s")
            self._clock.sleep(pause_s)
            waited_s, waits = waited_s + pause_s, waits + 1

    def _url(self, path: str, query: Mapping[str, str] | None) -> str:
        parts = [self._table.api_url.rstrip("/"), "repos", self._table.repository]
        return "/".join([*parts, quote(path, safe="/.~-_")] if path else parts) + (
            f"?{urlencode(query)}" if query else ""
        )

    def _exchange(self, method: str, url: str, path: str, body: JsonObject | None) -> HttpAnswer:
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": API_VERSION,
        }
        try:
            answer = self._http.send(method, url, body, headers=headers, timeout_s=self._table.timeout_s)
        except HttpProblem as problem:
            changes = problem.maybe_received and method != "GET"
            maybe = " It may have been carried out all the same." if changes else ""
            raise GithubProblem(
                f"GitHub gave no answer to {_doing(method, path)}: {problem}{maybe}",
                maybe_received=changes,
            ) from None
        self._learn(answer)
        return answer

    def _learn(self, answer: HttpAnswer) -> None:
        """GitHub's clock and the token's scopes, from the headers."""
        try:
            date = parsedate_to_datetime(answer.headers.get("date", ""))
        except (ValueError, TypeError, IndexError, OverflowError):
            date = None
        if date is not None and date.tzinfo is not None:
            ahead = date - self._clock.now()
            if abs(ahead) < _FAR:
                self._ahead = ahead if abs(ahead) > timedelta(seconds=2) else timedelta(0)
        scopes = answer.headers.get("x-oauth-scopes")
        if scopes is not None:
            self.scopes = frozenset(part.strip() for part in scopes.split(",") if part.strip())

    def _read(self, method: str, path: str, answer: HttpAnswer, shape: type[T]) -> T:
        """The one place where an answer is read."""
        if not 200 <= answer.status < 300:
            raise self._problem(method, path, answer)
        changes = method != "GET"
        body = answer.body if answer.body.strip() or not changes else b"{}"
        wrong = "is larger than 16 MB"
        if not answer.truncated:
            try:
                return cast(T, _adapter(cast(Hashable, shape)).validate_json(body))
            except ValidationError as error:
                wrong = _wrong_shape(error)
        maybe = " It may have been done all the same: look before it is done again." if changes else ""
        raise GithubProblem(
            f"GitHub's answer to {_doing(method, path)} {wrong}: is api_url right, and is no proxy in "
            f"between?{maybe}",
            maybe_received=changes,
        ) from None

    def _problem(self, method: str, path: str, answer: HttpAnswer) -> GithubProblem:
        said, doing, table = _said(answer), _doing(method, path), self._table
        refused, token = f"GitHub refuses {doing} ({said}): the token in {table.token_env}", table.token_env
        match answer.status:
            case 301 | 302 | 307 | 308:
                text = f"GitHub redirects {doing}: {table.repository} was renamed; correct `repository`"
            case 401:
                text = (
                    f"GitHub does not know the token in {token} ({said}): it may have expired; set a new one"
                )
            case 403 if "x-github-sso" in answer.headers:
                text = f"{refused} has to be authorized for the organization's single sign-on"
            case 403 if "workflow" in said.lower():
                text = (
                    f"{refused} may not change workflow files, as this rollback does: it needs the "
                    "permission workflows=write (a classic token: the scope workflow)"
                )
            case 403:
                needs = answer.headers.get("x-accepted-github-permissions") or _needed(method, path)
                text = f"{refused} needs {needs}"
            case 404:
                text = (
                    f"GitHub finds nothing for {doing} ({said}): it is not there, or the token in "
                    f"{table.token_env} may not see it (it needs {_needed(method, path)}); check `repository`"
                )
            case 405:
                text = f"GitHub does not allow {doing} now: {said}"
            case 409:
                text = (
                    f"GitHub sees a conflict in {doing}: {said}; look at it, then type the same command again"
                )
            case 422:
                text = f"GitHub cannot carry out {doing}: {said}"
            case status if status >= 500:
                text = f"GitHub failed at {doing} (HTTP {status} {said}); type the same command again"
            case status:
                text = f"GitHub answered {doing} with HTTP {status} ({said})"
        return GithubProblem(
            f"{text.rstrip('.')}.",
            status=answer.status,
            said=said,
            maybe_received=answer.status >= 500 and method != "GET",
        )


def _doing(method: str, path: str) -> str:
    """What the request is for, in an operator's words, with the request itself."""
    what = next((words for kind, pattern, words in _WORDS if kind == method and re.match(pattern, path)), "")
    request = f"{method} {path or 'of the repository'}"
    return f"{what} ({request})" if what else request


def _needed(method: str, path: str) -> str:
    level = "read" if method == "GET" else "write"
    kind = next((kind for start, kind in _NEEDS if path.startswith(start)), "contents")
    return f"{'contents' if path.endswith('/merge') else kind}={level}"


@cache
def _adapter(shape: Hashable) -> TypeAdapter[object]:
    return TypeAdapter(cast(Any, shape))


def _wrong_shape(error: ValidationError) -> str:
    """What is wrong with it, without what it says."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return "is no JSON"
    where = ".".join(map(str, first["loc"])) or "all of it"
    return f"has another shape than its API describes ({where[:80]}: {first['msg'][:80]})"


def _said(answer: HttpAnswer) -> str:
    """GitHub's own words, its list of errors included; bounded."""
    try:
        body = json.loads(answer.body.decode("utf-8", errors="replace"))
    except (ValueError, RecursionError):
        return f"HTTP {answer.status}"
    if not isinstance(body, dict):
        return f"HTTP {answer.status}"
    parts = [str(body.get("message", "")).strip()]
    errors = body.get("errors")
    for entry in errors if isinstance(errors, list) else [errors] if errors else []:
        found = entry.get("message") or entry.get("code") if isinstance(entry, dict) else entry
        parts.append(str(found))
    said = "; ".join(part for part in parts if part)[:500]
    # Half of a surrogate pair can be written in JSON and in no file.
    return said.encode(errors="replace").decode() or f"HTTP {answer.status}"


def _limited_for_s(answer: HttpAnswer, now: datetime) -> float | None:
    """Seconds to leave GitHub alone, from 1 to a day; None where no rate limit stopped the request."""
    if answer.status not in (403, 429):
        return None
    after_s, reset = retry_after_s(answer.headers), answer.headers.get("x-ratelimit-reset", "")
    if after_s is None and answer.headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
        at_s = int(reset[:20])
        after_s = at_s / (1000 if at_s >= _MILLISECONDS else 1) - now.timestamp() + 1
    if after_s is not None:
        return min(max(after_s, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)
    if answer.status == 429 or "secondary rate limit" in _said(answer).lower():
        return _SECONDARY_PAUSE_S
    return None
