"""A comment on a GitHub issue or pull request: the Markdown record, below what is new about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ..clients.github import GithubClient, choose_token
from ..clients.retry import TryAgain, retry_delivery
from ..config.environment import GithubActions, Notify
from ..domain.errors import GithubProblem, NotifyProblem
from ..domain.github_answers import CommentAnswer
from ..domain.links import is_address
from ..domain.notification import Notification
from ..domain.ports import Clock, GithubApi
from ..domain.record import Delivery, NotificationEvent, Record
from ..report.markdown import code, escaped, links_line, render_markdown
from . import text
from .channels import GITHUB

# GitHub refuses a body above 65,536 characters.
LIMIT = 60_000
# A comment that has to wait for a rate limit longer than this is not worth the waiting.
_PATIENCE_S = 5.0
_ISSUE = re.compile(r"#(\d+)|https?://[^/\s]+/([\w.-]+/[\w.-]+)/(?:issues|pull)/(\d+)(?:[/#?].*)?", re.ASCII)


def render_comment(news: Notification) -> str:
    """Markdown of at most 60,000 characters."""
    record, lines = news.record, [f"**{escaped(text.headline(news), 300)}**", ""]
    if news.event is NotificationEvent.START:
        facts = [
            *text.fields(news),
            ("Reason", text.reason(record)),
            ("Next steps", text.next_steps(record)),
        ]
        lines += [escaped(text.summary(news)), "", "| | |", "|---|---|"]
        lines += [f"| {name} | {escaped(value, 600)} |" for name, value in facts]
        links = links_line(record)
        lines += ["", links] if links else []
        return "\n".join([*lines, "", f"Run {code(record.run_id)}", ""])
    if news.provisional or news.before is not None:
        lines += [escaped(text.summary(news), 900), ""]
    if record.report and is_address(record.report):
        lines += [f"Report: {record.report}", ""]
    head = "\n".join([*lines, ""])
    return head + render_markdown(record, LIMIT - len(head))


def choose_number(github_issue: int | str, repository: str, record: Record) -> int | None:
    """The issue or pull request to comment on; None: this run names none of this repository."""
    if isinstance(github_issue, int):
        return github_issue
    found = _ISSUE.fullmatch(record.incident.strip())
    if found is not None and (found[1] or found[2].lower() == repository.lower()):
        return int(found[1] or found[3])
    pull = record.github.pull_request if record.github is not None else None
    return pull.number if pull is not None else None


class GithubCommentChannel:
    """One comment per event."""

    name = GITHUB

    def __init__(self, api: GithubApi, repository: str, notify: Notify) -> None:
        """Nothing is contacted yet."""
        self._api = api
        self._repository = repository
        self._notify = notify

    def tell(self, news: Notification) -> Delivery | None:
        """See :class:`~..domain.ports.Channel`; None where the run names no issue."""
        number = choose_number(self._notify.github_issue or "incident", self._repository, news.record)
        if number is None:
            return None
        body = {"body": render_comment(news)}
        url = retry_delivery(
            lambda _left_s: self._comment(number, body),
            timeout_s=self._notify.timeout_s,
            cancelled=news.cancelled,
        )
        return Delivery(to=GITHUB, ok=True, answer=url, message=body)

    def _comment(self, number: int, body: dict[str, str]) -> str:
        try:
            answer = self._api.send("POST", f"issues/{number}/comments", body, CommentAnswer)
        except GithubProblem as problem:
            if not problem.status and not problem.maybe_received:
                raise TryAgain(str(problem)) from None
            raise NotifyProblem(str(problem), maybe_sent=problem.maybe_received) from None
        return answer.html_url


def choose_github_comment(
    table: GithubActions,
    notify: Notify,
    environ: Mapping[str, str],
    clock: Clock,
    say: Callable[[str], object],
) -> GithubCommentChannel:
    """Raises UsageProblem if the variable holds no token."""
    shorter = table.model_copy(update={"timeout_s": notify.timeout_s})
    api = GithubClient(shorter, choose_token(table, environ), clock, patience_s=_PATIENCE_S, say=say)
    return GithubCommentChannel(api, table.repository, notify)
