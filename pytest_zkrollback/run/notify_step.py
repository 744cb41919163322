"""Who is told of a run, and the last message: of what nobody was told yet."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..checklist.notify import PATIENCE_S, judge_deliveries
from ..config.environment import Environment
from ..domain.checks import JsonObject
from ..domain.errors import NotifyProblem
from ..domain.item_ids import NOTIFY
from ..domain.notification import Notification
from ..domain.ports import Clock, Hooks
from ..domain.record import Delivery, Mode
from ..domain.request import Request
from ..domain.verdict import Verdict
from ..notify.channels import choose_channels, own_channels
from ..notify.dispatcher import NotificationDispatcher
from ..notify.interface import Channel
from ..notify.slack_channels import SLACK
from ..report.recorder import Recorder
from .initial_record import mode_of
from .results import RunState
from .signals import Signals

if TYPE_CHECKING:
    from ..drill.drill import Drill

# After Ctrl-C the record is complete; the operator waits no longer than this for somebody to hear of it.
_FAREWELL_S = 5.0


@dataclass(frozen=True)
class EchoChannel:
    """The drill's Slack, asked what it has received: that is shown, rather than what was sent."""

    channel: Channel
    fetch: Callable[[], Sequence[JsonObject]]
    name: str = SLACK

    def tell(self, news: Notification) -> Delivery | None:
        """Send it and look; raises NotifyProblem if it did not arrive as it was sent."""
        delivery = self.channel.tell(news)
        received = [each["message"] for each in self.fetch()]
        if delivery is None or delivery.message not in received:
            raise NotifyProblem("the drill's Slack has not received what was sent to it")
        message = received[received.index(delivery.message)]
        return delivery.model_copy(update={"message": message})


def create_dispatcher(
    request: Request,
    env: Environment,
    environ: Mapping[str, str],
    hooks: Hooks,
    selected: frozenset[str],
    drill: Drill | None,
    *,
    recorder: Recorder,
    clock: Clock,
    on_status: Callable[[str], object],
) -> NotificationDispatcher:
    """Who is told of this run, or why nobody is. ``on_status`` says on the terminal that it waits."""
    channels: tuple[Channel, ...] = ()
    off = ""
    if NOTIFY in request.waivers or NOTIFY not in selected:
        off = "notify is left out of this run."
    elif request.fleet is not None and request.fleet.told_by_fleet:
        off = (
            f"Told by the messages of fleet {request.fleet.fleet} (run {request.fleet.fleet_run_id}), "
            "not by this run."
        )
    elif mode_of(request) is Mode.VERIFY and not env.notify.verify_only:
        table = f"[environments.{env.name}.notify]"
        off = f"Nobody is told of a run that only verifies: verify_only = false in {table}."
    else:
        configured = choose_channels(env, environ, clock, on_status)
        if drill is not None:
            configured = tuple(EchoChannel(each, drill.fetch_slack_messages) for each in configured)
        channels = (*configured, *own_channels(hooks, env.name))
    if not channels and not off:
        off = f"notify is switched off in the configuration (slack = false in [environments.{env.name}])."
    return NotificationDispatcher(channels, recorder, clock, off=off)


def notify_final(
    notifier: NotificationDispatcher | None,
    recorder: Recorder,
    state: RunState,
    clock: Clock,
    signals: Signals,
    *,
    acted: bool,
    missing: Sequence[str] = (),
) -> bool:
    """Tell what nobody was told: a rollback that failed or was interrupted, a verdict that changed.

    To be called when the record is complete; takes a bounded time, which another signal ends. True if
    something was told, which may have changed an item and so the outcome. ``notifier``: None if the run ended
    before anybody could be told. ``acted``: something may have been changed. ``missing``: what the operator
    did not give of what the team is to be told.
    """
    if notifier is None:
        return False
    first, outcome = notifier.last_outcome is None, state.outcome(without=(NOTIFY,))
    due = (
        bool(notifier.channels)
        and (notifier.started or acted or not first)
        and outcome is not notifier.last_outcome
    )
    if due:
        heard = signals.count
        deliveries = notifier.notify_verdict(
            lambda: state.outcome(without=(NOTIFY,)),
            _FAREWELL_S if heard else PATIENCE_S,
            stop=lambda: signals.count > heard,
        )
        verdict = judge_deliveries(deliveries, missing)
        if first or verdict.word is not Verdict.PASS:
            state.note(NOTIFY, verdict.word)
            recorder.item(
                NOTIFY,
                verdict=verdict.word,
                observed=verdict.observed,
                evidence=verdict.evidence,
                finished_at=clock.now(),
            )
        recorder.update(outcome=state.outcome())
    notifier.close()
    return due


def report_address(env: Environment, file: str, environ: Mapping[str, str]) -> str:
    """Where people can read this run's page: the configured place, or the run of GitHub Actions; or empty."""
    if env.report_url is not None:
        return f"{env.report_url.rstrip('/')}/{file}"
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, run = (environ.get(name, "") for name in names)
    address = f"{server}/{repository}/actions/runs/{run}"
    return (
        address
        if run and re.fullmatch(r"https?://[\w.:-]+/[\w.-]+/[\w.-]+/actions/runs/\d+", address)
        else ""
    )
