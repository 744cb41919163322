"""Which revision may be offered to go back to, and whether anything is wrong with what is live. Pure.

Only typed facts decide: what speaks against a revision (:attr:`Plan.objections`), what this tool verified
(:attr:`Plan.verified_revisions`), what this run saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from ..domain.decision import Answer
from ..domain.item_ids import (
    EQUIVALENCE,
    EVENTS,
    HEALTH,
    MIGRATION,
    NOTIFY,
    PREFLIGHT,
    ROLLBACK,
    SMOKE,
    is_metric,
    is_rollout,
    judges_revision,
)
from ..domain.record import (
    GREEN_OUTCOMES,
    Item,
    Mode,
    ObjectionKind,
    Outcome,
    Record,
    Revision,
    origin_of,
)
from ..domain.verdict import Verdict
from .incident_facts import head, users_signal

# FAILs of these say nothing of the revision that is live. Nor do metrics: load moves them, too.
_BESIDE = (PREFLIGHT, ROLLBACK, MIGRATION, NOTIFY)
_NEVER = (
    ObjectionKind.UNREADABLE,
    ObjectionKind.FAILED,
    ObjectionKind.JUDGED_FAILED,
    ObjectionKind.SAME_AS_CURRENT,
)


class Service(Enum):
    """What is known of how users are served."""

    SERVES = auto()
    BROKEN = auto()
    NOTHING = auto()


class Ground(Enum):
    """Why a revision is offered."""

    LEFT = auto()  # this run, or the rollback that made the current revision, came from it
    VERIFIED = auto()
    NOTHING_AGAINST = auto()


@dataclass(frozen=True)
class Offer:
    """A revision to go back to."""

    revision: Revision
    ground: Ground


def by_number(record: Record) -> dict[int, Revision]:
    """Helm's history by the revisions' numbers."""
    return {each.revision: each for each in record.plan.history}


def objection_kinds(record: Record) -> dict[int, ObjectionKind]:
    """What speaks against each revision that something speaks against."""
    return {each.revision: each.kind for each in record.plan.objections}


def has_new_revision(record: Record) -> bool:
    """Whether the run, or what it started, made a revision."""
    return record.revision_after not in (None, record.revision_before)


def failed_on(record: Record) -> tuple[Item, ...]:
    """The items that failed on the revision that is live."""
    failed = (item for item in record.items if item.verdict is Verdict.FAIL)
    return tuple(item for item in failed if item.id not in _BESIDE and not is_metric(item.id))


def only_users_show_it(record: Record) -> bool:
    """Whether a deploy that was only verified fails by nothing but a metric that stands for users.

    Load or another service can move a metric, too. Of a rollback's target it says less: what was wrong
    before may go on.
    """
    now = by_number(record).get(head(record) or 0)
    if record.mode is not Mode.VERIFY or now is None or now.rollback_of is not None or failed_on(record):
        return False
    telling = [record.find_item(each.id) for each in record.metrics if each.users_impacted]
    return any(item is not None and item.verdict is Verdict.FAIL for item in telling)


def has_come_up(record: Record) -> bool:
    """Whether every workload whose rollout failed was complete when the run ended."""
    rollouts = [item for item in failed_on(record) if is_rollout(item.id)]
    return bool(rollouts) and all(item.came_up_at is not None for item in rollouts)


def failed_by_helm_alone(record: Record) -> int | None:
    """The revision to which a rollback went that helm did not bring to its end, where nothing else is wrong.

    None: there is no such thing. A run that rolled back itself says it of its own helm.
    """
    now, target = by_number(record).get(head(record) or 0), record.plan.target
    if record.mode is not Mode.VERIFY or now is None or target is None or now.revision == target.revision:
        return None
    only = {item.id for item in failed_on(record)} == {EQUIVALENCE}
    return target.revision if only and now.status == "failed" else None


def serves_all_the_same(record: Record) -> bool:
    """Whether what failed leaves users served: the smoke test or /health passed, and only what stands in the
    cluster is not as it should be."""
    passed = {item.id for item in record.items if item.verdict is Verdict.PASS}
    failed = {item.id for item in failed_on(record)}
    return bool(passed & {SMOKE, HEALTH}) and failed <= {EQUIVALENCE, EVENTS}


def helm_failed(record: Record) -> bool:
    """Whether helm ran and did not bring its revision to the end."""
    rolled = record.find_item(ROLLBACK)
    failed = record.helm.ran and rolled is not None and rolled.verdict is Verdict.FAIL
    return failed and not met_another_helm(record)


def met_another_helm(record: Record) -> bool:
    """Whether helm made its revision, and another helm made one, too, or was at work beside it."""
    now = by_number(record).get(head(record) or 0)
    others = record.helm.came_between or record.helm.beside
    return bool(others) and now is not None and now.status == "deployed"


def newest_that_came_up(record: Record, numbers: Sequence[int]) -> int | None:
    """The newest of these revisions that helm brought to its end, and that nothing else speaks against."""
    history, kinds = by_number(record), objection_kinds(record)
    fit = (
        number
        for number in sorted(numbers, reverse=True)
        if number in history
        and history[number].status in ("superseded", "deployed")
        and kinds.get(number) not in _NEVER
    )
    return next(fit, None)


def service_now(record: Record) -> Service:
    """How the current revision serves, as far as this run and the journal know."""
    if record.outcome in GREEN_OUTCOMES:
        return Service.SERVES
    if failed_on(record):
        return Service.SERVES if serves_all_the_same(record) else Service.BROKEN
    return Service.NOTHING if has_new_revision(record) else service_before(record)


def service_before(record: Record) -> Service:
    """How the revision served that was current when the run began."""
    before = record.revision_before
    if record.helm.came_between:
        return Service.NOTHING  # what was seen was seen of the revision before that
    signal = users_signal(record)
    impacted = signal.answer if signal is not None else Answer.UNKNOWN
    if impacted is Answer.YES:
        return Service.BROKEN
    if before in record.plan.verified_revisions:
        return Service.SERVES
    # What once failed may serve all the same (a field that is not as stated): neither is known of it.
    kinds = objection_kinds(record)
    failed = kinds.get(before or 0) in (ObjectionKind.FAILED, ObjectionKind.JUDGED_FAILED)
    return Service.SERVES if impacted is Answer.NO and not failed else Service.NOTHING


def left_revision(record: Record) -> int | None:
    """The revision that a rollback came from: this run's, or the one that made the current revision."""
    if record.helm.came_between:
        return record.helm.came_between[-1]
    if has_new_revision(record):
        return record.revision_before
    left = record.plan.rolled_back_from
    return None if left is None or record.helm.ran else left.revision


def offers(record: Record) -> tuple[Offer, ...]:
    """The revisions to go back to, the best one first.

    What this run left is the first one where it served, and the last one where nothing is known of it; where
    users were affected by it, or the run did not see the new one fail, it is none.
    """
    now, left = head(record), left_revision(record)
    if now is None or (record.helm.ran and record.revision_after is None):
        return ()
    history = by_number(record)
    kinds = objection_kinds(record)
    verified = set(record.plan.verified_revisions)
    came_from = origin_of(history[left], history.get) if left in history else left
    never = _tried_in_vain(record) | set(record.helm.beside)
    if record.helm.came_between and record.revision_before is not None:
        never |= {record.revision_before}  # what the operator wanted to leave
    served = service_before(record) if has_new_revision(record) else Service.NOTHING
    may_undo = served is not Service.BROKEN and _is_mistake(record)
    ranked: list[tuple[tuple[int, int], Offer]] = []
    for number, revision in history.items():
        kind = kinds.get(number)
        was_left = came_from is not None and origin_of(revision, history.get) == came_from
        if number == now or number in never or kind in _NEVER or (was_left and not may_undo):
            continue
        if kind is ObjectionKind.ROLLED_AWAY_FROM and not was_left:
            continue
        ground = Ground.VERIFIED if number in verified else Ground.NOTHING_AGAINST
        rank = 1 if number in verified else 2
        if was_left:
            rank = 0 if served is Service.SERVES else 1 if number in verified else 3
            ground = Ground.LEFT
        ranked.append(((rank, -number), Offer(revision, ground)))
    return tuple(offer for _, offer in sorted(ranked, key=lambda each: each[0]))


def _tried_in_vain(record: Record) -> frozenset[int]:
    """What holds the same as the target of a rollback that helm did not bring to its end."""
    if not helm_failed(record) or record.target_revision is None:
        return frozenset()
    history = by_number(record)
    target = history.get(record.target_revision)
    origin = origin_of(target, history.get) if target is not None else record.target_revision
    return frozenset(n for n, each in history.items() if origin_of(each, history.get) == origin)


def _is_mistake(record: Record) -> bool:
    """Whether the rollback that left it failed, by helm or as judged: guard ``target`` lets it be undone."""
    judged = any(judges_revision(item.id) for item in failed_on(record))
    kinds = objection_kinds(record)
    now = kinds.get(head(record) or 0)
    return judged or helm_failed(record) or now in (ObjectionKind.FAILED, ObjectionKind.JUDGED_FAILED)


def stays_deployed(record: Record) -> int | None:
    """The revision that failed and that Helm's history goes on to call deployed; None: there is none."""
    rolled = record.find_item(ROLLBACK)
    went = rolled is not None and rolled.verdict is Verdict.PASS
    if record.outcome is not Outcome.FAILED or not went or not has_new_revision(record):
        return None
    return record.revision_after if failed_on(record) else None
