"""Slack's incoming webhook. Its URL is a secret: it stands in no message, not even in an error's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tenacity

from ..domain.environment import Slack
from ..domain.errors import HttpProblem, NotifyProblem, UsageProblem
from ..domain.observation import JsonObject
from ..domain.ports import Http, HttpAnswer

TOTAL_S = 15.0
_FIRST_PAUSE_S = 0.5


def choose_webhook(slack: Slack, environ: Mapping[str, str]) -> str:
    """The webhook's URL from the variable that the configuration names; raises UsageProblem without it."""
    url = environ.get(slack.webhook_env, "").strip()
    if not url:
        raise UsageProblem(
            f"the environment variable {slack.webhook_env} is not set, so Slack was not told; set it to the "
            "incoming webhook's URL, or switch it off by slack = false in the configuration."
        )
    return url


class _TryAgainProblem(NotifyProblem):
    """Slack certainly does not have the message, and may take it later."""

    def __init__(self, message: str, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


class SlackWebhook:
    """Posts to one incoming webhook.

    ``timeout_s`` is for one try; all tries together take about 15 s at most. ``sleep`` is for tests.
    """

    def __init__(
        self,
        url: str,
        http: Http,
        timeout_s: float = 10,
        *,
        sleep: Callable[[float], Any] | None = None,
    ) -> None:
        """Nothing is contacted before :meth:`send`."""
        self._url = url
        self._http = http
        self._timeout_s = timeout_s
        self._sleep = sleep

    def send(self, message: JsonObject) -> str:
        """Post ``message`` and return Slack's answer (``ok``).

        Tried again after 429 (when Slack says so), 5xx, and if no connection was made; never if Slack may
        have it already. Raises NotifyProblem: with Slack's own words (field notes, "Slack"), or with
        ``maybe_sent`` if no answer came after the request went out.
        """
        spent_s = 0.0

        def note(state: tenacity.RetryCallState) -> None:
            nonlocal spent_s
            spent_s = (state.seconds_since_start or 0.0) + state.upcoming_sleep

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TryAgainProblem),
            wait=_pause_s,
            stop=tenacity.stop_before_delay(TOTAL_S - 1),
            before_sleep=note,
            reraise=True,
        )
        if self._sleep is not None:
            retrying = retrying.copy(sleep=self._sleep)
        return retrying(lambda: self._post(message, min(self._timeout_s, TOTAL_S - spent_s)))

    def _post(self, message: JsonObject, timeout_s: float) -> str:
        try:
            answer = self._http.post_json(self._url, message, timeout_s=timeout_s)
        except HttpProblem as problem:
            said = self._without_url(str(problem))
            if problem.maybe_received:
                raise NotifyProblem(
                    f"Slack did not answer, so the message may have been posted, or not: {said} Look into "
                    "the channel before sending it again.",
                    maybe_sent=True,
                ) from None
            raise _TryAgainProblem(f"Slack could not be reached: {said}") from None
        text = self._without_url(answer.body.decode("utf-8", errors="replace").strip())[:200]
        said = f"HTTP {answer.status} {text}".rstrip()
        if answer.status == 200:
            return text
        if answer.status == 429:
            raise _TryAgainProblem(
                f"Slack is limiting the rate and would not take it: {said}", _retry_after_s(answer)
            )
        if answer.status >= 500:
            raise _TryAgainProblem(f"Slack failed: {said}")
        raise NotifyProblem(f"Slack refused the message: {said}")

    def _without_url(self, text: str) -> str:
        path = self._url.partition("://")[2].partition("/")[2]
        for secret in (self._url, path, path.rpartition("/")[2]):
            if secret:
                text = text.replace(secret, "[webhook]")
        return text


def _pause_s(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, _TryAgainProblem) and error.after_s is not None:
        return error.after_s
    return float(_FIRST_PAUSE_S * 2 ** (state.attempt_number - 1))


def _retry_after_s(answer: HttpAnswer) -> float | None:
    try:
        return max(0.0, float(answer.headers.get("retry-after", "")))
    except ValueError:
        return None
