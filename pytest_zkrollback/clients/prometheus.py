"""Prometheus' HTTP API v1, as far as a metric check asks it. Thanos, Mimir and VictoriaMetrics speak it, too.

Every answer is a :class:`Reading`, never an exception: what cannot be judged says why, and of which kind.
The time of evaluation is the server's own: with ours, a clock that is behind would ask for the past.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from ..config.environment import Metrics
from ..domain.errors import HttpProblem
from ..domain.metric import NoValueKind, RangeReading, Reading
from ..domain.ports import Clock, HttpAnswer
from .http import HttpClient

_LIMIT_BYTES: Final = 1 << 20
_SAID_LIMIT: Final = 200
# Two clocks may differ, and VictoriaMetrics answers for half a minute ago (latencyOffset): none is stale.
_STALE_S: Final = 60.0

CURE: Final = (
    "no errors yet, or no traffic, looks like this too: `... or vector(0)` in the query, or `when_empty = 0`"
)


def fill_in(query: str, namespace: str, release: str) -> str:
    """The query with {namespace} and {release} filled in; every other brace is PromQL's."""
    return query.replace("{namespace}", namespace).replace("{release}", release)


def fill_in_times(query: str, start: datetime, end: datetime) -> str:
    """The query with {range}, {from} and {to} filled in."""
    found = query.replace("{range}", f"{max(1, round((end - start).total_seconds()))}s")
    return found.replace("{from}", f"{start.timestamp():.3f}").replace("{to}", f"{end.timestamp():.3f}")


class PrometheusClient:
    """One server. ``unusable`` says why it cannot be asked; empty: it can."""

    def __init__(self, table: Metrics, environ: Mapping[str, str], clock: Clock) -> None:
        """``environ`` holds the secrets that the table names. Nothing is contacted."""
        self._table = table
        self._clock = clock
        self._http = HttpClient(ca_file=table.ca_file, proxy=table.proxy, clock=clock)
        self._headers = {"Accept": "application/json"}
        self.unusable = ""
        named = {"Authorization": table.token_env} if table.token_env is not None else {}
        for header, variable in {**named, **table.headers_env}.items():
            value = environ.get(variable, "").strip()
            if not value or not value.isascii() or not value.isprintable():
                what = "holds no value that a header can have" if value else "is not set"
                self.unusable = f"the environment variable {variable} {what}, so metrics cannot be asked for"
                return
            self._headers[header] = f"Bearer {value}" if header in named else value

    def query(self, query: str, timeout_s: float | None = None) -> Reading:
        """The value now."""
        found = self._ask("query", {"query": query}, timeout_s)
        return found if isinstance(found, Reading) else self._read_instant(found)

    def query_at(self, query: str, at: datetime, timeout_s: float | None = None) -> Reading:
        """The value at a time."""
        found = self._ask("query", {"query": query, "time": f"{at.timestamp():.3f}"}, timeout_s)
        return found if isinstance(found, Reading) else self._read_instant(found, may_be_old=True)

    def query_range(
        self, query: str, start: datetime, end: datetime, step_s: float, timeout_s: float | None = None
    ) -> RangeReading:
        """The values of the one series between two times."""
        asked = {
            "query": query,
            "start": f"{start.timestamp():.3f}",
            "end": f"{end.timestamp():.3f}",
            "step": f"{step_s:.3f}",
        }
        found = self._ask("query_range", asked, timeout_s)
        if isinstance(found, Reading):
            return RangeReading(kind=found.kind, text=found.text)
        kind, result = _typed(found)
        if kind != "matrix" or not isinstance(result, list):
            text = f"the range's answer is a {kind}, and a curve of one number is meant"
            return RangeReading(kind=NoValueKind.WRONG_TYPE, text=text)
        if len(result) > 1:
            text = f"the query has {len(result)} series where one is meant: sum() or max() makes one of them"
            return RangeReading(kind=NoValueKind.SEVERAL, text=text)
        if not result:
            text = f"the query has no series in that time ({CURE})"
            return RangeReading(kind=NoValueKind.EMPTY, text=text)
        only = result[0] if isinstance(result[0], dict) else {}
        if "values" not in only and "histograms" in only:
            text = "the query's answer is a histogram: histogram_quantile() makes a number of it"
            return RangeReading(kind=NoValueKind.WRONG_TYPE, text=text)
        warnings = _texts(found.get("warnings"))
        warning = f"the server warns that its answer may not be whole: {warnings[0]}" if warnings else ""
        try:
            pairs = {datetime.fromtimestamp(float(at), UTC): float(value) for at, value in only["values"]}
        except (KeyError, TypeError, ValueError, OverflowError, OSError):
            return RangeReading(kind=NoValueKind.NOT_THE_API, text=_not_the_api("values that are none"))
        return RangeReading(tuple(sorted(pairs.items())), warning=warning)

    def _ask(self, what: str, asked: Mapping[str, str], timeout_s: float | None) -> dict[str, Any] | Reading:
        if self.unusable:
            return Reading(kind=NoValueKind.NOT_ASKED, text=self.unusable)
        url = f"{self._table.url.rstrip('/')}/api/v1/{what}?{urlencode(asked)}"
        patience_s = min(timeout_s or self._table.timeout_s, self._table.timeout_s)
        try:
            answer = self._http.send(
                "GET", url, headers=self._headers, timeout_s=patience_s, limit_bytes=_LIMIT_BYTES
            )
        except HttpProblem as problem:
            return Reading(kind=NoValueKind.NO_ANSWER, text=str(problem).rstrip("."))
        return _read_envelope(answer)

    def _read_instant(self, body: dict[str, Any], *, may_be_old: bool = False) -> Reading:
        kind, result = _typed(body)
        infos = _texts(body.get("infos"))
        if warnings := _texts(body.get("warnings")):
            text = f"the server warns that its answer may not be whole: {warnings[0]}"
            return Reading(kind=NoValueKind.WARNED, text=text, infos=infos)
        pair = result
        if kind == "vector" and isinstance(result, list):
            if not result:
                return Reading(kind=NoValueKind.EMPTY, text=f"the query has no series ({CURE})", infos=infos)
            if len(result) > 1:
                text = (
                    f"the query has {len(result)} series where one is meant: sum() or max() makes one of them"
                )
                return Reading(kind=NoValueKind.SEVERAL, text=text, infos=infos)
            only = result[0] if isinstance(result[0], dict) else {}
            if "value" not in only and "histogram" in only:
                text = "the query's answer is a histogram: histogram_quantile() makes a number of it"
                return Reading(kind=NoValueKind.WRONG_TYPE, text=text, infos=infos)
            pair = only.get("value")
        elif kind != "scalar":
            text = f"the query's answer is a {kind}, and one number is meant"
            return Reading(kind=NoValueKind.WRONG_TYPE, text=text, infos=infos)
        return self._read_pair(pair, infos, may_be_old=may_be_old)

    def _read_pair(self, pair: object, infos: tuple[str, ...], *, may_be_old: bool) -> Reading:
        try:
            if not isinstance(pair, list) or len(pair) != 2:
                raise ValueError
            at_s, value = float(pair[0]), float(pair[1])
            old_s = self._clock.now().timestamp() - at_s
        except (TypeError, ValueError):
            return Reading(
                kind=NoValueKind.NOT_THE_API, text=_not_the_api("a value that is none"), infos=infos
            )
        if not may_be_old and not old_s <= _STALE_S:
            text = f"the newest value is {old_s:.0f} s old: it is stale, or the server's clock is wrong"
            return Reading(kind=NoValueKind.STALE, text=text, infos=infos)
        if math.isnan(value):
            text = f"the query's value is NaN, as 0/0 is ({CURE}; `(...) >= 0 or vector(0)` for NaN)"
            return Reading(kind=NoValueKind.NOT_A_NUMBER, text=text, infos=infos)
        return Reading(value=value, infos=infos)


def _read_envelope(answer: HttpAnswer) -> dict[str, Any] | Reading:
    """The JSON of a success; everything else by its kind."""
    status = answer.status
    if 300 <= status < 400:
        text = f"the server redirects (HTTP {status}), which is not followed: url has to be the final address"
        return Reading(kind=NoValueKind.REDIRECTED, text=text)
    if answer.truncated:
        return Reading(kind=NoValueKind.TOO_LARGE, text=f"the answer is above {_LIMIT_BYTES >> 20} MB")
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        body = None
    said = _said(body)
    if status in (401, 403):
        text = f"the server does not take the credentials (HTTP {status}{said})"
        return Reading(kind=NoValueKind.UNAUTHORIZED, text=text)
    if status == 429 or status >= 500:
        return Reading(
            kind=NoValueKind.UNAVAILABLE, text=f"the server cannot answer now (HTTP {status}{said})"
        )
    if said and (status >= 400 or (isinstance(body, dict) and body.get("status") == "error")):
        text = f"the server does not take the query (HTTP {status}{said})"
        return Reading(kind=NoValueKind.BAD_QUERY, text=text)
    if not 200 <= status < 300 or not isinstance(body, dict) or body.get("status") != "success":
        return Reading(kind=NoValueKind.NOT_THE_API, text=_not_the_api(f"HTTP {status} without its JSON"))
    return body


def _typed(body: Mapping[str, Any]) -> tuple[str, object]:
    data = body.get("data")
    if not isinstance(data, dict):
        return "success without data", None
    return str(data.get("resultType"))[:40], data.get("result")


def _said(body: object) -> str:
    """``: parse error ...``: the server's own words."""
    said = body.get("error") if isinstance(body, dict) else None
    return f": {said[:_SAID_LIMIT]}" if isinstance(said, str) and said.strip() else ""


def _texts(given: object) -> tuple[str, ...]:
    return tuple(str(each)[:_SAID_LIMIT] for each in given[:5]) if isinstance(given, list) else ()


def _not_the_api(what: str) -> str:
    return f"the answer is not that of Prometheus' API ({what}): is it the right url?"
