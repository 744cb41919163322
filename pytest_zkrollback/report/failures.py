"""What a record has that is not green, each thing once; every rendering takes it from here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from ..domain.item_ids import PREFLIGHT, ROLLBACK
from ..domain.record import GREEN_OUTCOMES, Guard, GuardState, Item, Outcome, OwnTest, OwnTestOutcome, Record
from ..domain.verdict import Verdict


def by_verdict(record: Record, verdict: Verdict | None) -> tuple[Item, ...]:
    """The items with this verdict (None: still without one), in the record's order."""
    return tuple(item for item in record.items if item.verdict is verdict)


def word_of(item: Item, record: Record) -> str:
    """The item's verdict; ``WAITING`` while the run goes on and ``NO VERDICT`` afterwards."""
    if item.verdict is not None:
        return str(item.verdict)
    return "WAITING" if record.outcome is Outcome.RUNNING else "NO VERDICT"


def failed_items(record: Record) -> tuple[Item, ...]:
    """What is not PASS or WAIVED, failures first; an item without verdict counts once the run is over."""
    unfinished = () if record.outcome is Outcome.RUNNING else by_verdict(record, None)
    return by_verdict(record, Verdict.FAIL) + by_verdict(record, Verdict.UNVERIFIED) + unfinished


def grouped(items: Iterable[Item]) -> list[tuple[Item, ...]]:
    """Neighbours with the same verdict and the same observation together, so that a refusal is one line."""
    return [tuple(group) for _, group in groupby(items, key=lambda item: (item.verdict, item.observed))]


def collapse_skipped(record: Record) -> list[tuple[Item, ...]]:
    """The items in their order; three or more neighbours that were not run or not judged stand together."""
    groups: list[tuple[Item, ...]] = []
    for group in grouped(record.items):
        alike = len(group) > 2 and group[0].verdict in (Verdict.UNVERIFIED, None)
        groups += [group] if alike else [(item,) for item in group]
    return groups


def failures_first(record: Record) -> list[tuple[Item, ...]]:
    """The same groups: what failed, then what is not known, waits or was skipped, then what passed."""
    order = {"FAIL": 0, "UNVERIFIED": 1, "NO VERDICT": 1, "WAITING": 2, "WAIVED": 3, "PASS": 4}
    return sorted(collapse_skipped(record), key=lambda group: order[word_of(group[0], record)])


def refused(record: Record) -> tuple[Guard, ...]:
    """The guards that refused before helm ran; then they are all that there is to say.

    Where the release could not be read, what else is unknown has the same reason.
    """
    if record.helm.ran:
        return ()
    guards = tuple(guard for guard in record.guards if guard.state == GuardState.REFUSED)
    if any(guard.id == "release" for guard in guards):
        guards = tuple(guard for guard in guards if guard.id == "release" or not guard.unknown)
    return guards


@dataclass(frozen=True)
class Failure:
    """Something that is not well: its word, the guard or items that say so, and what was seen."""

    word: str
    ids: tuple[str, ...]
    text: str

    def names(self, most: int = 5) -> str:
        """The ids on one line, the first ones of many."""
        if len(self.ids) <= most + 1:
            return ", ".join(self.ids)
        return f"{', '.join(self.ids[:most])} and {len(self.ids) - most} more"


def failures(record: Record) -> tuple[Failure, ...]:
    """What is not green, each thing once: after a refusal its guards, else the items, failures first.

    Empty where one guard refused: the summary says it.
    """
    guards = refused(record)
    if guards:
        return (
            ()
            if len(guards) == 1 and record.summary
            else tuple(Failure("REFUSED", (guard.id,), guard.evidence) for guard in guards)
        )
    alike: dict[tuple[str, str], tuple[str, ...]] = {}
    for item in failed_items(record):
        key = (word_of(item, record), item.observed)
        alike[key] = (*alike.get(key, ()), item.id)
    return tuple(Failure(word, ids, text) for (word, text), ids in alike.items())


def pressing(record: Record) -> tuple[Failure, ...]:
    """What failed or refused, and whatever is not known of the rollback itself: the top of the page.

    Checks that only have no answer are tasks (``todo.py``).
    """
    return tuple(
        each
        for each in failures(record)
        if each.word in ("FAIL", "REFUSED") or set(each.ids) & {PREFLIGHT, ROLLBACK}
    )


def failed_own_tests(record: Record) -> tuple[OwnTest, ...]:
    """Own tests that failed; after a verified run also those that did not run to their end."""
    done = record.outcome in GREEN_OUTCOMES
    return tuple(
        test
        for test in record.own_tests
        if test.outcome is OwnTestOutcome.FAILED or (done and test.outcome is OwnTestOutcome.NOT_RUN)
    )


def listed(words: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
