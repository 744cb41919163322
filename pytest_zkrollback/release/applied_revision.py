"""Which revision really runs, object by object: after a failure the history alone does not say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ..domain.checks import JsonObject
from ..domain.ports import Kube
from .drift import LiveObject, compare, fetch_live
from .helm_secret import Release
from .history import ReleaseHistory
from .manifest import identity


class ObjectRevision(NamedTuple):
    """One object: its label (``Deployment/api``) and what it is, e.g. ``as in revision 5``.

    ``in_both``: both revisions have it as it is, so that it tells neither from the other.
    """

    label: str
    runs: str
    in_both: bool = False


def is_already_live(kube: Kube, history: ReleaseHistory, target: int) -> str:
    """Why helm need not run: history and live objects both say that ``target`` runs. Empty: it has to."""
    head = history.head.revision
    wanted = history.content_of(target)
    same = history.origin(head.revision) == history.origin(target)
    if wanted is None or head.status != "deployed" or not same or len(history.deployed_numbers) > 1:
        return ""
    found = wanted.read(history.namespace)
    # What cannot be read cannot be seen to be live.
    if not found.objects or found.unread or compare(found.objects, fetch_live(kube, found.objects)):
        return ""
    return f"revision {head.revision} already is revision {target}, in history and in the live objects"


def fetch_object_revisions(
    kube: Kube, before: Release, target: Release, namespace: str
) -> tuple[ObjectRevision, ...]:
    """Every object of both revisions, and which of the two it is like now.

    Asked after helm failed halfway: "half applied" is seen only here (docs/helm-facts.md, 4).
    """
    manifests = [(each, each.read(namespace)) for each in (before, target)]
    old, new = ({identity(item): item for item in found.objects} for _, found in manifests)
    both = {**new, **old}
    live = dict(zip(both, fetch_live(kube, tuple(both.values())), strict=True))
    numbers = before.revision.revision, target.revision.revision
    known = [_compared(key.label, old.get(key), new.get(key), live[key], *numbers) for key in both]
    unread = [
        ObjectRevision(f"revision {release.revision.revision}", f"unknown: {document}")
        for release, found in manifests
        for document in found.unread
    ]
    return (*known, *unread)


def render_object_revisions(found: Sequence[ObjectRevision]) -> str:
    """One line for each object, for evidence."""
    width = max((len(each.label) for each in found), default=0)
    return "\n".join(f"{each.label:<{width}}  {each.runs}" for each in found)


def summarise_object_revisions(found: Sequence[ObjectRevision]) -> str:
    """``2 objects as in revision 6, 1 as in revision 5``: in one sentence, what runs now."""
    counts = Counter(each.runs for each in found if not each.in_both)
    same = len(found) - counts.total()
    said = [f"{count} {runs}" for runs, count in counts.most_common()]
    if same:
        said.append(f"{same} the same in both")
    return f"of {len(found)} objects: {', '.join(said)}" if said else "neither revision holds an object"


def _compared(
    label: str, old: JsonObject | None, new: JsonObject | None, live: LiveObject, before: int, target: int
) -> ObjectRevision:
    if live.error is not None:
        return ObjectRevision(label, f"unknown: {live.error}")
    if live.item is None:
        expected = [number for item, number in ((old, before), (new, target)) if item is None]
        said = f"as in revision {expected[0]}" if expected else "although both revisions have it"
        return ObjectRevision(label, f"absent, {said}")
    as_before = old is not None and not compare([old], [live])
    as_target = new is not None and not compare([new], [live])
    if as_before and as_target:
        return ObjectRevision(label, f"the same in {before} and {target}", in_both=True)
    if as_before or as_target:
        return ObjectRevision(label, f"as in revision {before if as_before else target}")
    return ObjectRevision(label, f"like neither {before} nor {target}")
