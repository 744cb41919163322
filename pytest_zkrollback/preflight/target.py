"""Which revision to go back to: a number, ``previous`` or ``last-verified``. Pure; helm gets a number.

The journal's entries (``lock.LockState.entries``, oldest first) are read by these keys: ``head_after`` (int:
the head that a run of this tool made), ``target`` (int: what it rolled back to), ``run_id``, and those of
``journal.judged_revisions``. Where a function takes ``entries``, None means: they could not be read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..domain.change_summary import Skipped
from ..domain.checks import JsonObject
from ..domain.record import Objection, ObjectionKind, Revision
from ..release.helm_secret import failure_in
from ..release.history import R, RevisionHistory, Stored, explain_stranding
from ..report.failures import listed
from ..rollback.journal import JudgedRevision, judged_revisions

PREVIOUS = "previous"
LAST_VERIFIED = "last-verified"
_FAILED_ROLLBACK = re.compile(r'Rollback "[^"]*" failed: ')
_WENT = ("deployed", "superseded")


@dataclass(frozen=True)
class TargetChoice:
    """The revision that was chosen (None: none could be), and why; ``skipped``: the newer ones."""

    revision: int | None
    because: str
    skipped: tuple[Skipped, ...] = ()


def choose_target(
    asked: int | str, history: RevisionHistory[R], entries: Sequence[JsonObject] | None
) -> TargetChoice:
    """The revision behind the target as typed. ``entries`` is the journal.

    While the head is the revision that this tool made, the number of that run stands for ``previous`` and
    ``last-verified``: no rerun goes back a second time.
    """
    if isinstance(asked, int):
        return TargetChoice(asked, "asked for by its number")
    head = history.head.revision
    if entries is None and (asked == LAST_VERIFIED or head.rollback_of is not None):
        return TargetChoice(None, "the journal of earlier runs could not be read; give the revision's number")
    ours = _made_here(entries or (), head)
    if ours is not None:
        return TargetChoice(
            int(ours["target"]),
            f"run {ours.get('run_id')} already went back to {ours['target']} and made revision "
            f"{head.revision}, the current one: its number stands",
        )
    if asked == PREVIOUS and head.rollback_of is not None and head.status == "deployed":
        return TargetChoice(
            None,
            f"revision {head.revision} already is a rollback (to {head.rollback_of}), made by hand: "
            "to go back once more, give the revision's number",
        )
    verified = {each.revision for each in judged_revisions(entries or ()) if not each.failed_items}
    skipped: list[Skipped] = []
    for number in _older(history):
        objection = find_objection(history, number, entries)
        why = objection.text if objection is not None else ""
        if not why and asked == LAST_VERIFIED and number not in verified:
            why = "was not verified by this tool"
        if not why:
            return TargetChoice(number, _because(asked, history, number), tuple(skipped))
        skipped.append(Skipped(revision=number, reason=why))
    nothing = "no older revision was verified by this tool" if asked == LAST_VERIFIED else "none is left"
    if history.older:
        nothing += f" among the newest {len(history.releases)}"
    return TargetChoice(None, nothing, tuple(skipped))


def describe_history(history: RevisionHistory[R], entries: Sequence[JsonObject] | None) -> dict[str, Any]:
    """The fields of a Plan that say what is known of each revision.

    They are kept in the record, so that whoever offers another target chooses as :func:`choose_target` does.
    """
    numbers = (history.head.revision.revision, *_older(history))
    found = (find_objection(history, number, entries) for number in numbers)
    judged = {number: find_judged(history, number, entries) for number in numbers}
    return {
        "history": history.revisions,
        "stranded": explain_stranding(history),
        "objections": tuple(each for each in found if each is not None),
        "verified_revisions": tuple(
            number for number, last in judged.items() if last and not last.failed_items
        ),
    }


@dataclass(frozen=True)
class RolledAway:
    """The newest rollback that left what a revision holds; nobody went back to that since.

    ``instead`` is the revision that stands for what was gone to instead: what that rollback made or, where a
    later one left that in turn, what the last of them made. ``against``: what speaks against it, as a
    predicate; empty: nothing does. ``verified``: this tool verified what it holds.
    """

    by: Revision
    instead: int
    against: str = ""
    verified: bool = False


def find_rolled_away(
    history: RevisionHistory[R], number: int, entries: Sequence[JsonObject] | None
) -> RolledAway | None:
    """The rollback that left what ``number`` holds; None: none did, or somebody went back to it since."""
    left = _leaving(history, number)
    by = left[-1] if left else None
    if by is None:
        return None
    made = by.revision
    failed = failed_by_helm(history, made) or _judged_failed(history, made, entries)
    if failed:
        return RolledAway(by, made, failed)
    later = find_rolled_away(history, made, entries)
    if later is not None:
        return replace(later, by=by)
    judged, before = find_judged(history, made, entries), _last_leaving(history, made)
    if judged is not None and (before is None or judged.revision > before.revision):
        return RolledAway(by, made, verified=True)
    against = f"holds what revision {before.revision} had rolled back away from" if before else ""
    return RolledAway(by, made, against)


def find_objection(
    history: RevisionHistory[R], number: int, entries: Sequence[JsonObject] | None
) -> Objection | None:
    """What speaks against choosing ``number`` as a target; None: nothing that is known."""
    text = _unreadable(history, number)
    if text:
        return Objection(revision=number, kind=ObjectionKind.UNREADABLE, text=text)
    against = find_evidence(history, number, entries)
    if against is not None:
        return against
    text = same_as_current(history, number)
    return Objection(revision=number, kind=ObjectionKind.SAME_AS_CURRENT, text=text) if text else None


def find_evidence(
    history: RevisionHistory[R], number: int, entries: Sequence[JsonObject] | None
) -> Objection | None:
    """The part of :func:`find_objection` that says that ``number`` is bad, or was found so.

    ``superseded`` is not "was healthy": helm calls a failed revision so after the next success.
    """
    for kind, text in (
        (ObjectionKind.FAILED, failed_by_helm(history, number)),
        (ObjectionKind.JUDGED_FAILED, _judged_failed(history, number, entries)),
        (ObjectionKind.ROLLED_AWAY_FROM, _left_behind(history, number)),
    ):
        if text:
            return Objection(revision=number, kind=kind, text=text)
    return None


def find_judged(
    history: RevisionHistory[R], number: int, entries: Sequence[JsonObject] | None
) -> JudgedRevision | None:
    """What the newest run of this tool that judged the content of ``number`` ended with; None: none did.

    A run that failed where helm had not brought the revision to its end has judged half of a content.
    """
    origin, found = history.origin(number), history.get(number)
    for judged in reversed(judged_revisions(entries or ())):
        live = history.get(judged.revision)
        half = bool(judged.failed_items) and live is not None and bool(failure_of(live))
        # What failed fails wherever it stands; verified is a revision, and what rolled back to it.
        alike = found is not None and live is not None and found.holds_the_same(live)
        same = history.origin(judged.revision) == origin or (alike and bool(judged.failed_items))
        if same and not half:
            return judged
    return None


def _judged_failed(history: RevisionHistory[R], number: int, entries: Sequence[JsonObject] | None) -> str:
    judged = find_judged(history, number, entries)
    if judged is None or not judged.failed_items:
        return ""
    when = f", {judged.at:%Y-%m-%d %H:%M:%S} UTC" if judged.at is not None else ""
    failed = f"failed {listed(judged.failed_items)} when this tool looked at it (run {judged.run_id}{when})"
    same = f"holds the same as revision {judged.revision}, which " if judged.revision != number else ""
    return same + failed


def failed_by_helm(history: RevisionHistory[R], number: int) -> str:
    """That helm did not bring it, or what it went back to, to its end, as a predicate; empty: it did."""
    found = history.get(number)
    if found is None:
        return ""
    own = failure_of(found)
    if own:
        return own
    origin = history.get(history.origin(number))
    if origin is None or origin is found:
        return ""
    failure = failure_of(origin)
    return f"is a rollback to revision {origin.revision.revision}, which {failure}" if failure else ""


def _made_here(entries: Sequence[JsonObject], head: Revision) -> JsonObject | None:
    """The newest entry of a run that made ``head``; one that died in between by what it meant to do."""
    for entry in reversed(entries):
        target, before, after = (entry.get(key) for key in ("target", "head_before", "head_after"))
        if not isinstance(target, int) or before == head.revision:
            continue
        if after == head.revision and head.rollback_of in (None, target):  # a failed one may not say where to
            return entry
        if after is None and before == head.revision - 1 and head.rollback_of == target:
            return entry
    return None


def _older(history: RevisionHistory[R]) -> list[int]:
    """All numbers below the head that were looked at, newest first."""
    head = history.head.revision.revision
    known = {one.revision.revision for one in history.releases} | set(history.unreadable)
    return sorted((number for number in known if number < head), reverse=True)


def _unreadable(history: RevisionHistory[R], number: int) -> str:
    return "cannot be read" if number in history.unreadable else ""


def failure_of(release: Stored) -> str:
    """That helm did not bring this revision to its end, as a predicate; empty: it did."""
    revision = release.revision
    if revision.status not in _WENT:
        why = f": {_first_line(revision.description)}" if revision.description else ""
        return f"is {revision.status}{why}"
    if failure_in(revision):
        return f"failed before it was {revision.status}: {_first_line(revision.description)}"
    return ""


def _left_behind(history: RevisionHistory[R], number: int) -> str:
    """Whether somebody rolled away from what this revision holds, and nobody went back to it since."""
    left = _leaving(history, number)
    by = left[-1] if left else None
    return f"holds what revision {by.revision} rolled back away from" if by is not None else ""


def _leaving(history: RevisionHistory[R], number: int) -> list[Revision | None]:
    """The rollbacks that left what this revision holds, oldest first; None: one that went back to it.

    An upgrade that failed on top of it does not hide what was deployed before.
    """
    origin = history.origin(number)
    found: list[Revision | None] = []
    before: list[int] = []
    for release in history.releases:
        revision = release.revision
        rolls_back = revision.rollback_of is not None or bool(_FAILED_ROLLBACK.match(revision.description))
        if rolls_back and history.origin(revision.revision) == origin:
            found.append(None)
        elif rolls_back and origin in map(history.origin, before):
            found.append(revision)
        if rolls_back or not failure_of(release):
            before = []
        before.append(revision.revision)
    return found


def _last_leaving(history: RevisionHistory[R], number: int) -> Revision | None:
    """The newest rollback that ever left what this revision holds."""
    return next((each for each in reversed(_leaving(history, number)) if each is not None), None)


def same_as_current(history: RevisionHistory[R], number: int) -> str:
    """Whether it holds what the current revision holds: no way back.

    A head that failed or hangs is not live as such.
    """
    head, found = history.head, history.get(number)
    if found is None or head.revision.status not in (*_WENT, "uninstalled"):
        return ""
    if history.origin(number) == history.origin(head.revision.revision) or found.states_the_same(head):
        return f"holds the same as revision {head.revision.revision}, the current one"
    return ""


def _because(asked: str, history: RevisionHistory[R], number: int) -> str:
    if asked == LAST_VERIFIED:
        return "the newest older revision that this tool verified"
    origin = history.origin(number)
    of = f" (it holds revision {origin})" if origin != number else ""
    return f"the newest older revision{of} with nothing against it; that it was healthy is not known"


def _first_line(text: str) -> str:
    line = next(iter(text.strip().splitlines()), "")
    return line if len(line) <= 160 else line[:157] + "..."
