"""The channels that the configuration asks for, those that cannot work included."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard, TypeVar

from ..clients.http import HttpClient
from ..config.environment import Environment
from ..domain.errors import HookProblem, UsageProblem, ZkRollbackError
from ..domain.ports import Clock, Hooks, Http
from ..domain.record import Delivery
from .interface import Channel

Chosen = TypeVar("Chosen")

HOOK = "pytest_zkrollback_notify"
GITHUB = "github"
# Telling must not keep helm waiting.
_HOOK_S = 2.0


@dataclass(frozen=True)
class Unusable:
    """A channel that cannot work, and why: said before helm, and `notify` fails in the end."""

    name: str
    problem: ZkRollbackError

    def tell(self, _news: object) -> Delivery:
        """Raises the problem."""
        raise self.problem


def choose_channels(
    env: Environment, environ: Mapping[str, str], clock: Clock, say: Callable[[str], object]
) -> tuple[Channel, ...]:
    """Every channel of the environment's tables; nothing is contacted. ``environ`` holds their secrets.

    Only what is configured is imported.
    """
    slack, notify, github = env.slack, env.notify, env.github
    wanted: dict[str, Callable[[], Channel]] = {}

    def http(proxy: str | None) -> Http:
        return HttpClient(proxy=proxy, clock=clock)

    if slack is not False:
        from .slack_channels import SLACK, choose_slack

        wanted[SLACK] = lambda: choose_slack(slack, environ, http(slack.proxy))
    if (variable := notify.webhook_env) is not None:
        from .json_webhook import WEBHOOK, choose_json_webhook

        wanted[WEBHOOK] = lambda: choose_json_webhook(variable, notify, environ, http(notify.webhook_proxy))
    if (teams := notify.teams_env) is not None:
        from .teams import TEAMS, choose_teams

        wanted[TEAMS] = lambda: choose_teams(teams, notify, environ, http(notify.teams_proxy))
    if notify.github_issue is not None and github is not None:
        from .github_comment import choose_github_comment

        wanted[GITHUB] = lambda: choose_github_comment(github, notify, environ, clock, say)
    return tuple(usable(name, choose) for name, choose in wanted.items())


def own_channels(hooks: Hooks, environment: str) -> tuple[Channel, ...]:
    """What the repository's hooks give; a hook that is wrong, or hangs, is a channel that cannot work."""
    try:
        answers = hooks.answers(HOOK, timeout_s=_HOOK_S, environment=environment)
    except HookProblem as problem:
        return (Unusable(HOOK, UsageProblem(problem.what)),)
    given = [each for answer in answers if answer is not None for each in _listed(answer)]
    return tuple(each if _is_channel(each) else _no_channel(each) for each in given)


def _listed(answer: object) -> Sequence[object]:
    return answer if isinstance(answer, (list, tuple)) else (answer,)


def _is_channel(given: object) -> TypeGuard[Channel]:
    return isinstance(getattr(given, "name", None), str) and callable(getattr(given, "tell", None))


def _no_channel(given: object) -> Unusable:
    text = f"{HOOK} gave {given!r:.80}: return a list of objects with a name and tell(news)"
    return Unusable(HOOK, UsageProblem(text))


def usable(name: str, choose: Callable[[], Chosen]) -> Chosen | Unusable:
    """What ``choose`` gives; where the configuration lacks something for it, a channel that says so."""
    try:
        return choose()
    except UsageProblem as problem:
        return Unusable(name, problem)
