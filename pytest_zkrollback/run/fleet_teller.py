"""Who is told of a fleet's run, and the verdict on that: the fleet's own item ``notify``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..checklist.notify import PATIENCE_S, judge_deliveries
from ..config.environment import Environment
from ..domain.fleet import FleetNotify, FleetRecord
from ..domain.item_ids import NOTIFY
from ..domain.ports import Clock
from ..domain.record import Mode, NotificationEvent, Outcome
from ..domain.request import Request
from ..domain.verdict import Verdict
from ..notify.fleet_channels import choose_fleet_channels
from ..notify.fleet_text import FleetNews
from ..notify.fleet_thread import FleetThread
from ..report.fleet.merge import sum_up
from ..report.redaction import Redactor
from .initial_record import mode_of

# As of a single run: the record is complete, and the operator waits no longer than this after Ctrl-C.
_FAREWELL_S = 5.0


class FleetTeller:
    """A fleet's messages, which a runner asks for: :meth:`start`, :meth:`wave`, and :meth:`finish`."""

    def __init__(
        self, thread: FleetThread, record: Callable[[], FleetRecord], untold: Sequence[str] = ()
    ) -> None:
        """``record`` gives it as it stands; ``untold`` are channels that a fleet cannot tell."""
        self._thread = thread
        self._record = record
        self._untold = tuple(untold)
        self._started = False

    @property
    def unusable(self) -> tuple[str, ...]:
        """Why some channels cannot work, in sentences; known before anything is contacted."""
        untold = f"A fleet does not tell {' and '.join(self._untold)}." if self._untold else ""
        return (*self._thread.unusable, *filter(None, (untold,)))

    def start(self) -> None:
        """The first wave begins. As of a single run, of one that only verifies the end alone is told."""
        record, before = self._record(), self._started
        self._started = True
        if not before and record.mode is not Mode.VERIFY:
            self._thread.start(record)

    def wave(self, number: int) -> None:
        """A wave has ended."""
        record = self._record()
        if record.mode is not Mode.VERIFY:
            self._thread.wave(record, number)

    def finish(
        self, record: FleetRecord, *, interrupted: bool = False, stop: Callable[[], bool] = lambda: False
    ) -> FleetRecord:
        """``record``, which has ended, with what became of the messages, and so with its last outcome.

        A refusal tells nobody: nothing was begun. ``interrupted``: it waits 5 s at most, else 28 s.
        """
        if record.outcome is Outcome.REFUSED or not self._started:
            return record
        told = FleetNotify(verdict=Verdict.PASS)
        message = sum_up(record.model_copy(update={"notify": told}))  # as it stands but for this message
        deliveries = self._thread.end(message, _FAREWELL_S if interrupted else PATIENCE_S, stop)
        verdicts = [each for each in deliveries if each.event is NotificationEvent.VERDICT]
        judged = judge_deliveries(verdicts)
        said = judged.observed
        if self._untold:
            said += f" Not told, because a fleet does not: {', '.join(self._untold)}."
        notify = FleetNotify(verdict=judged.word, observed=said)
        return sum_up(record.model_copy(update={"notify": notify, "deliveries": deliveries}))


def create_fleet_teller(
    request: Request,
    environments: Mapping[str, Environment],
    environ: Mapping[str, str],
    redactor: Redactor,
    record: Callable[[], FleetRecord],
    clock: Clock,
    *,
    has_own_channels: bool = False,
) -> FleetTeller | None:
    """Who tells the team of this fleet; None: nobody does, and each member judges that for itself.

    ``has_own_channels``: the repository has channels of its own (pytest_zkrollback_notify).
    """
    mode, envs = mode_of(request), tuple(environments.values())
    if NOTIFY in request.waivers or mode is Mode.PLAN:
        return None
    if mode is Mode.VERIFY:
        envs = tuple(each for each in envs if each.notify.verify_only)
    channels = choose_fleet_channels(envs, environ, clock, _page)
    if not channels:
        return None
    untold = ["comments on GitHub"] if any(each.notify.github_issue is not None for each in envs) else []
    untold += ["channels of the repository's own"] if has_own_channels else []
    thread = FleetThread(channels, clock, redactor.fleet, redactor.text)
    return FleetTeller(thread, record, untold)


def _page(news: FleetNews) -> str:
    from ..report.fleet.fleet_page import render_fleet_page  # only a bot uploads it

    return render_fleet_page(news.record)
