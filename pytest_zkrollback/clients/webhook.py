"""A webhook: Slack's, Teams' or anybody's. Its URL is a secret: no message holds it, not even an error's."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from ..domain.checks import JsonObject
from ..domain.errors import HttpProblem, NotifyProblem, SettingProblem
from ..domain.ports import Clock, Http
from .retry import TryAgain, retry_after_s, retry_delivery


def choose_url(variable: str, environ: Mapping[str, str], who: str, off: str) -> str:
    """The URL in the variable that the configuration names. Raises SettingProblem where there is none.

    ``off`` is what to write into the configuration instead.
    """
    url = environ.get(variable, "").strip()
    if not _is_url(url):
        holds = "holds no URL (https://...)" if url else "is not set"
        raise SettingProblem(
            f"the environment variable {variable} {holds}, so {who} is not told",
            f"set it to the webhook's URL, or switch it off by {off} in the configuration",
        )
    return url


def says_ok(text: str) -> bool | None:
    """Whether a receiver of Slack's messages says that it has one; None: it says neither.

    Slack's word is ``ok``; others say ``{"success": true}``, ``{"ok": true}`` or ``{"status": "ok"}``.
    """
    if text.strip('"').lower() == "ok":
        return True
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    told = [answer[key] for key in ("ok", "success") if isinstance(answer.get(key), bool)]
    if told:
        return all(told)
    return True if str(answer.get("status")).lower() in ("ok", "success") else None


# A shorter last part of a path is a word that an answer may well contain.
_SHORTEST_SECRET = 6


class Webhook:
    """Posts JSON to one webhook. ``who`` is its name in messages."""

    def __init__(
        self,
        url: str,
        http: Http,
        timeout_s: float = 10,
        *,
        who: str,
        confirms: Callable[[str], bool | None] = lambda _: True,
        clock: Clock | None = None,
    ) -> None:
        """``timeout_s`` is for one try; ``confirms`` reads the text of a 2xx: the receiver has the message,
        has not, or (None) somebody else answered. Nothing is contacted before :meth:`send`."""
        self._url = url
        self._http = http
        self._timeout_s = timeout_s
        self._who = who
        self._confirms = confirms
        self._clock = clock

    def send(self, message: JsonObject, cancelled: threading.Event | None = None) -> str:
        """Post ``message`` and return the answer's text (Slack's is ``ok``).

        Tried again after 429 (when the receiver says so), 5xx, and if no connection was made, until
        ``cancelled``
        is set; never if the receiver may have it already. Raises NotifyProblem: with the receiver's own words
        (field notes, "Slack"), or with ``maybe_sent`` if no answer came after the request went out.
        """
        return retry_delivery(
            lambda left_s: self._post(message, left_s),
            timeout_s=self._timeout_s,
            cancelled=cancelled,
            clock=self._clock,
        )

    def _post(self, message: JsonObject, timeout_s: float) -> str:
        try:
            answer = self._http.post_json(self._url, message, timeout_s=timeout_s)
        except HttpProblem as problem:
            said = self._without_url(str(problem))
            if problem.maybe_received:
                raise NotifyProblem(
                    f"{self._who} did not answer, so the message may have been posted, or not: {said} Look "
                    "there before sending it again.",
                    maybe_sent=True,
                ) from None
            raise TryAgain(f"{self._who} could not be reached: {said}") from None
        whole = answer.body.decode("utf-8", errors="replace").strip()
        text = self._without_url(whole)[:200]
        said = f"HTTP {answer.status} {text}".rstrip()
        if 200 <= answer.status < 300:
            confirmed = self._confirms(whole)
            if confirmed is None:
                raise NotifyProblem(
                    f"Something answered in {self._who}'s place, {said!r} instead of 'ok': is it the "
                    "webhook's URL, and is no proxy in between?",
                    maybe_sent=True,
                )
            if not confirmed:
                raise NotifyProblem(f"{self._who} refused the message: {said}")
            return text or f"HTTP {answer.status}"
        if answer.status == 429:
            raise TryAgain(
                f"{self._who} is limiting the rate and would not take it: {said}",
                retry_after_s(answer.headers),
            )
        if answer.status >= 500:
            raise TryAgain(f"{self._who} failed: {said}")
        raise NotifyProblem(f"{self._who} refused the message: {said}")

    def _without_url(self, text: str) -> str:
        path = self._url.partition("://")[2].partition("/")[2]
        for secret in (self._url, path, path.rpartition("/")[2]):
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "[webhook]")
        return text


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
