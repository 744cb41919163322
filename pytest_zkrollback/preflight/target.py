"""Which revision to go back to, for a number, a name or a version. Pure; helm gets a number.

The journal's entries (``lock.LockState.entries``, oldest first) are read by these keys: ``head_after`` (int:
the head that a run of this tool made), ``target`` (int: what it rolled back to), ``asked`` (the target as
typed), ``run_id``, and those of ``journal.judged_revisions``. Where a function takes ``entries``, None means:
they could not be read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ..domain.change_summary import Skipped
from ..domain.checks import JsonObject
from ..domain.record import Objection, ObjectionKind, Revision, RevisionFacts, Verification
from ..domain.target_names import LAST_VERIFIED, PREVIOUS, TargetVersion, parse_target_version
from ..release.helm_secret import failure_in
from ..release.history import R, RevisionHistory, Stored, explain_stranding
from ..report.failures import listed
from ..report.sanitize import inert_line
from ..rollback.journal import JudgedRevision, judged_revisions

_WENT = ("deployed", "superseded")
# The cause stands at the end of what helm says of a failure.
_DESCRIPTION_LIMIT = 600
# So many versions are named where the one that was asked for is not there, or is there in another form.
_MOST = 5
_FEW = 3


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
    ``last-verified``, and for a version that it holds: no rerun goes back a second time.
    """
    if isinstance(asked, int):
        return TargetChoice(asked, "asked for by its number")
    if version := parse_target_version(asked):
        return _choose_version(version, history, entries or ())
    head = history.head.revision
    if entries is None and (asked == LAST_VERIFIED or head.rollback_of is not None):
        return TargetChoice(None, "the journal of earlier runs could not be read; give the revision's number")
    ours = _made_here(entries or (), head)
    if ours is not None:
        return _stands(ours, head)
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
    return TargetChoice(None, nothing + _among(history), tuple(skipped))


def version_of(release: Stored, of: str) -> str:
    """The version that ``app:`` or ``chart:`` asks for; empty: the chart states none."""
    return release.chart_version if of == "chart" else release.revision.app_version


def _choose_version(
    wanted: TargetVersion, history: RevisionHistory[R], entries: Sequence[JsonObject]
) -> TargetChoice:
    """The newest older revision with that version and nothing against it, if all such hold the same.

    What this tool went back to for that version stands, and a current revision that has it is the target.
    What the version says does not depend on the head: without the journal no rerun goes further back.
    """
    head = history.head
    ours = _made_here(entries, head.revision)
    if ours is not None and _was_for(ours, wanted, history):
        return _stands(ours, head.revision)
    current = head.revision.revision
    if head.revision.status == "deployed" and version_of(head, wanted.of) == wanted.version:
        return TargetChoice(current, f"the current one, which has {wanted.described} already")
    found: list[R] = []
    skipped: list[Skipped] = []
    for number in _older(history):
        release = history.get(number)
        if release is not None and version_of(release, wanted.of) != wanted.version:
            continue
        against = find_objection(history, number, entries)
        if against is not None:
            skipped.append(Skipped(revision=number, reason=against.text))
        elif release is not None:
            found.append(release)
    if not found:
        return TargetChoice(None, _no_such_version(wanted, history), tuple(skipped))
    newest = found[0].revision.revision
    other = next((each for each in found if not _is_alike(history, each, found[0])), None)
    if other is not None:
        return TargetChoice(
            None,
            f"revisions {newest} and {other.revision.revision} both have {wanted.described} and differ; "
            "give the revision's number",
        )
    return TargetChoice(
        newest,
        f"the newest older revision with {wanted.described} and nothing against it; that it was healthy is "
        "not known",
        tuple(each for each in skipped if each.revision > newest),
    )


def _was_for(entry: JsonObject, wanted: TargetVersion, history: RevisionHistory[R]) -> bool:
    """Whether a run went back to that version: what it went back to has it or, where it was pruned since, was
    asked for by it."""
    content = history.content_of(int(entry["target"]))
    if content is None:
        return entry.get("asked") == str(wanted)
    return version_of(content, wanted.of) == wanted.version


def _is_alike(history: RevisionHistory[R], one: R, other: R) -> bool:
    origins = {history.origin(each.revision.revision) for each in (one, other)}
    return len(origins) == 1 or one.holds_the_same(other)


def _no_such_version(wanted: TargetVersion, history: RevisionHistory[R]) -> str:
    """That no revision with it is left, or that there is none, and which versions there are."""
    head = history.head.revision.revision
    numbers: dict[str, int] = {}
    for release in reversed(history.releases):
        if release.revision.revision < head:
            numbers.setdefault(version_of(release, wanted.of), release.revision.revision)
    if wanted.version in numbers:
        return f"no older revision with {wanted.described} is left{_among(history)}"
    nothing = f"no older revision has {wanted.described}{_among(history)}"
    versions = [each for each in numbers if each]
    near = [each for each in versions if _release_part(each) == _release_part(wanted.version)]
    if near:
        meant = [f"{wanted.of}:{each} (revision {numbers[each]})" for each in near[:_FEW]]
        return f"{nothing}; did you mean {' or '.join(meant)}"
    more = ["others"] if versions[_MOST:] else []
    return f"{nothing}; there are {listed([*versions[:_MOST], *more])}" if versions else nothing


def _release_part(version: str) -> str:
    """``1.8.0`` of ``v1.8.0``, ``1.8.0-3f9c2e1`` and ``1.8.0+build``."""
    return re.split(r"[-+]", version.lower().removeprefix("v"), maxsplit=1)[0]


def _stands(ours: JsonObject, head: Revision) -> TargetChoice:
    return TargetChoice(
        int(ours["target"]),
        f"run {ours.get('run_id')} already went back to {ours['target']} and made revision "
        f"{head.revision}, the current one: its number stands",
    )


def _among(history: RevisionHistory[R]) -> str:
    """Where there are revisions that were not looked at."""
    return f" among the newest {len(history.releases)}" if history.older else ""


def describe_history(history: RevisionHistory[R], entries: Sequence[JsonObject] | None) -> dict[str, Any]:
    """The fields of a Plan that say what is known of each revision.

    They are kept in the record, so that whoever offers another target chooses as :func:`choose_target` does.
    """
    numbers = (history.head.revision.revision, *_older(history))
    found = (find_objection(history, number, entries) for number in numbers)
    judged = {number: find_judged(history, number, entries) for number in numbers}
    return {
        "history": history.revisions,
        "revision_facts": describe_revisions(history, entries),
        "stranded": explain_stranding(history),
        "objections": tuple(each for each in found if each is not None),
        "verified_revisions": tuple(
            number for number, last in judged.items() if last and not last.failed_items
        ),
    }


def describe_revisions(
    history: RevisionHistory[R],
    entries: Sequence[JsonObject] | None,
    choices: Mapping[str, TargetChoice] | None = None,
) -> tuple[RevisionFacts, ...]:
    """What else is known of each revision, newest first.

    ``choices``: what each name would take (:func:`choose_names`), where that was asked already.
    """
    choices = choose_names(history, entries) if choices is None else choices
    spans, before = deployed_spans(history), _images_before(history)
    return tuple(
        RevisionFacts(
            revision=one.revision,
            deployed_for_s=spans.get(one.revision),
            new_images=_only_in(one.images, before.get(one.revision)),
            removed_images=_only_in(before.get(one.revision), one.images),
            deployed_by=_deployed_by(entries or (), one),
            verified=_verification(find_judged(history, one.revision, entries)),
            taken_by=tuple(name for name, chosen in choices.items() if chosen.revision == one.revision),
        )
        for one in reversed(history.revisions)
    )


def choose_names(
    history: RevisionHistory[R], entries: Sequence[JsonObject] | None
) -> dict[str, TargetChoice]:
    """What ``previous`` and ``last-verified`` would take."""
    return {name: choose_target(name, history, entries) for name in (PREVIOUS, LAST_VERIFIED)}


def deployed_spans(history: RevisionHistory[R]) -> dict[int, float]:
    """How long each revision was deployed: until the next one that succeeded. Without those that never were,
    and the newest."""
    spans: dict[int, float] = {}
    end: datetime | None = None
    for one in reversed(history.revisions):
        if failed_by_helm(history, one.revision):
            continue
        if end is not None:
            spans[one.revision] = (end - one.deployed_at).total_seconds()
        end = one.deployed_at
    return spans


def _images_before(history: RevisionHistory[R]) -> dict[int, tuple[str, ...]]:
    """The images of the revision before each; without those whose revision before was not read."""
    found: dict[int, tuple[str, ...]] = {}
    unread = {*history.older, *history.unreadable}
    before: Revision | None = None
    for one in history.revisions:
        start = before.revision if before is not None else 0
        if not any(start < number < one.revision for number in unread):
            found[one.revision] = before.images if before is not None else ()
        before = one
    return found


def _only_in(images: tuple[str, ...] | None, others: tuple[str, ...] | None) -> tuple[str, ...]:
    """None: not known."""
    return () if images is None or others is None else tuple(each for each in images if each not in others)


def _deployed_by(entries: Sequence[JsonObject], revision: Revision) -> str:
    """The operator of the run that made it; Helm does not keep who that was."""
    number, origin = revision.revision, revision.rollback_of
    for entry in reversed(entries):
        made = entry.get("head_after") == number and entry.get("head_before") != number
        if made and origin in (None, entry.get("target")):
            return str(entry.get("operator") or "")
    return ""


def _verification(judged: JudgedRevision | None) -> Verification | None:
    if judged is None or judged.failed_items:
        return None
    return Verification(run_id=judged.run_id, at=judged.at)


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
    said = inert_line(revision.description, _DESCRIPTION_LIMIT)
    if revision.status not in _WENT:
        return f"is {revision.status}: {said}" if said else f"is {revision.status}"
    return f"failed before it was {revision.status}: {said}" if failure_in(revision) else ""


def _left_behind(history: RevisionHistory[R], number: int) -> str:
    """Whether somebody rolled away from what this revision holds, and nobody went back to it since."""
    left = _leaving(history, number)
    by = left[-1] if left else None
    return f"holds what revision {by.revision} rolled back away from" if by is not None else ""


def _leaving(history: RevisionHistory[R], number: int) -> list[Revision | None]:
    """The rollbacks that left what this revision holds, oldest first; None: one that went back to it."""
    origin = history.origin(number)
    return [
        None if each.to == origin else each.revision
        for each in history.departures
        if origin == each.to or origin in each.left
    ]


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
