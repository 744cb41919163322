"""Slack by a bot's token, through slack_sdk (the extra ``slack``): with threads and files.

The token stands in one header and in no message.
"""

from __future__ import annotations

import http.client
import logging
import threading
import urllib.error
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..config.environment import Slack
from ..domain.checks import JsonObject
from ..domain.errors import NotifyProblem, SettingProblem
from ..domain.ports import Clock
from .retry import TryAgain, retry_after_s, retry_delivery

if TYPE_CHECKING:
    from slack_sdk import WebClient
    from slack_sdk.errors import SlackApiError

# slack_sdk logs what it raises as well, and without a handler that goes to the operator's terminal.
_SILENT = logging.Logger("slack_sdk", logging.CRITICAL)

# Slack's error -> what to do about it (docs.slack.dev, chat.postMessage and files.completeUploadExternal).
_DO = {
    "not_in_channel": "invite the bot into the channel",
    "channel_not_found": "check `channel` in the configuration; in a private one the bot has to be a member",
    "is_archived": "the channel is archived: name another one in the configuration",
    "not_authed": "the token in {token_env} is none",
    "invalid_auth": "Slack does not know the token in {token_env}",
    "account_inactive": "the token in {token_env} belongs to nobody any more",
    "token_revoked": "the token in {token_env} was revoked: set a new one",
    "token_expired": "the token in {token_env} has expired: set a new one",
    "missing_scope": "the token in {token_env} needs the scope {needed}",
}
# "It's possible some aspect of the operation succeeded before the error was raised."
_MAYBE = ("fatal_error", "internal_error", "request_timeout")


def choose_bot_token(slack: Slack, environ: Mapping[str, str]) -> str:
    """The token from the variable that the configuration names; raises SettingProblem without it."""
    token = environ.get(slack.token_env or "", "").strip()
    if not token.isascii() or not token.isprintable() or not token:
        raise SettingProblem(
            f"the environment variable {slack.token_env} holds no token, so Slack is not told",
            "set it to the bot's token (xoxb-...), or use webhook_env in the configuration",
        )
    try:
        import slack_sdk  # noqa: F401
    except ImportError:
        raise SettingProblem(
            "token_env needs slack_sdk, which is not installed, so Slack is not told",
            "pip install 'pytest-zkrollback[slack]', or use webhook_env in the configuration",
        ) from None
    return token


class SlackBot:
    """One channel, written to by a bot."""

    def __init__(self, slack: Slack, token: str, *, clock: Clock | None = None) -> None:
        """Nothing is contacted before the first call."""
        self._slack = slack
        self._token = token
        self._clock = clock

    def post(
        self,
        message: JsonObject,
        thread: str = "",
        cancelled: threading.Event | None = None,
        *,
        in_channel: bool = True,
    ) -> str:
        """Post ``message``, in ``thread`` if there is one; returns its timestamp, which is its name in Slack.

        ``in_channel``: what is posted in a thread is shown in the channel, too.
        Tried again after 429, 5xx and failed connections; raises NotifyProblem as :meth:`Webhook.send` does.
        """

        def once(left_s: float) -> str:
            more: dict[str, Any] = {"thread_ts": thread, "reply_broadcast": in_channel} if thread else {}
            client = self._client(left_s)
            answer = self._asked(
                lambda: client.chat_postMessage(channel=self._slack.channel or "", **message, **more)
            )
            # Without it the message stands, and what follows opens a thread of its own.
            posted = answer.get("ts")
            return posted if isinstance(posted, str) else ""

        return retry_delivery(once, timeout_s=self._slack.timeout_s, cancelled=cancelled, clock=self._clock)

    def upload(self, content: str, name: str, thread: str) -> None:
        """Upload a file into the channel (files.getUploadURLExternal, then completeUploadExternal), once.

        Raises NotifyProblem.
        """
        client = self._client(self._slack.timeout_s)
        self._asked(
            lambda: client.files_upload_v2(
                channel=self._slack.channel, content=content, filename=name, title=name, thread_ts=thread
            )
        )

    def _client(self, timeout_s: float) -> WebClient:
        from slack_sdk import WebClient

        base = self._slack.api_url.rstrip("/") + "/"
        return WebClient(
            self._token,
            base_url=base,
            proxy=self._slack.proxy,
            timeout=max(1, round(timeout_s)),
            logger=_SILENT,
            retry_handlers=[],
        )

    def _asked(self, ask: Callable[[], Any]) -> Any:
        from slack_sdk.errors import SlackApiError, SlackClientError

        try:
            return ask()
        except SlackApiError as error:
            raise self._problem(error) from None
        except SlackClientError as error:  # the upload itself was refused
            raise NotifyProblem(f"Slack refused the file: {self._clean(str(error))}") from None
        except urllib.error.HTTPError as error:  # only an upload's: of other calls slack_sdk makes an answer
            error.close()  # it holds the connection
            raise NotifyProblem(f"Slack refused the file: HTTP {error.code}") from None
        except urllib.error.URLError as error:
            raise TryAgain(f"Slack could not be reached: {self._clean(str(error.reason))}") from None
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):  # slack_sdk read its answer
            raise NotifyProblem(
                "Slack's answer has another shape than its API describes, so the message may have been "
                "posted, or not. Look there before sending it again.",
                maybe_sent=True,
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise NotifyProblem(
                "Slack did not answer, so the message may have been posted, or not: "
                f"{self._clean(str(error))}. Look there before sending it again.",
                maybe_sent=True,
            ) from None

    def _problem(self, error: SlackApiError) -> NotifyProblem:
        response = error.response
        status = int(getattr(response, "status_code", 0) or 0)
        found = response.data if isinstance(getattr(response, "data", None), dict) else {}
        said = str(found.get("error") or f"HTTP {status}")[:200]
        if status == 429 or said == "ratelimited":
            text = f"Slack is limiting the rate and would not take it: {said}"
            return TryAgain(text, retry_after_s(response.headers))
        if status >= 500 or said == "service_unavailable":
            return TryAgain(f"Slack failed: {said}")
        if said in _MAYBE:
            return NotifyProblem(
                f"Slack failed ({said}), and the message may have been posted, or not. Look there before "
                "sending it again.",
                maybe_sent=True,
            )
        do = _DO.get(said, "").format(
            token_env=self._slack.token_env, needed=found.get("needed") or "chat:write, files:write"
        )
        return NotifyProblem(f"Slack refused it: {said}" + (f" ({do})" if do else ""))

    def _clean(self, text: str) -> str:
        return text.replace(self._token, "[token]")[:300]
