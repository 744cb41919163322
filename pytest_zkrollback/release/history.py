"""A release's history, read straight from Helm's release Secrets."""

from __future__ import annotations

import difflib
import http.client
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Generic, NamedTuple, Protocol, Self, TypeVar
from urllib.parse import quote

from ..clients.clock import SystemClock
from ..clients.threads import fetch_each, one_ahead
from ..domain.checks import JsonObject
from ..domain.errors import (
    BadAnswer,
    ClusterError,
    Forbidden,
    HelmProblem,
    NoNamespace,
    NoRelease,
    NotFound,
    Unauthorized,
    ZkRollbackError,
)
from ..domain.ports import Kube
from ..domain.record import Revision, origin_of
from .helm_secret import (
    PAGE_BYTES,
    ROLLBACK_TEXT,
    Outline,
    ReadOnce,
    Release,
    failure_in,
    named_revision,
    parse_release,
    record_bytes,
    record_name,
    records_in_a_page,
    revision_number,
    stored_version,
)

NEWEST = 30
# So many records are read at once, unless they are large: one of a megabyte is several on its way.
_AT_ONCE = 2
# What a page of outlines asks for, and what it may bring: then it is asked for with fewer.
_IN_A_PAGE = 32
_MOST_IN_A_PAGE_BYTES = 2 << 20
# A search that took longer is not made twice.
_FAST_SEARCH_S = 0.5
# So many copies of records are looked into: more are no slip of the hand.
_COPIES = 5
# What helm writes over "Rollback to N" where it did not bring that to its end (pkg/action/rollback.go).
_FAILED_ROLLBACK = re.compile(r'(Rollback|Release) "[^"]*" failed: ')
# Of these only the first is said of nothing but a rollback.
_CERTAINLY_ROLLBACK = re.compile(r'Rollback "[^"]*" failed: ')


class Stored(Protocol):
    """A revision as it was read: whole (:class:`Release`), or in outline (:class:`Outline`)."""

    @property
    def revision(self) -> Revision:
        """What is said of it."""

    @property
    def chart_version(self) -> str:
        """The chart's, without its name."""

    @property
    def installed(self) -> str:
        """When the release was first deployed."""

    def holds_the_same(self, other: Self) -> bool:
        """Whether both state the same objects and the same hooks."""

    def states_the_same(self, other: Self) -> bool:
        """Whether both state the same objects, hooks aside."""


R = TypeVar("R", bound=Stored)


class Departure(NamedTuple):
    """A rollback. ``to``: the revision whose content it brought back, or was to; ``left``: those whose
    content may have been live before it."""

    revision: Revision
    to: int
    left: frozenset[int]


@dataclass(frozen=True)
class RevisionHistory(Generic[R]):
    """Revisions, oldest first. ``unreadable``: revision -> why it could not be decoded.

    ``older`` are the numbers of those that exist beyond the newest 30 and were not read.
    """

    namespace: str
    name: str
    releases: tuple[R, ...]
    unreadable: dict[int, str] = field(default_factory=dict)
    older: tuple[int, ...] = ()

    @property
    def head(self) -> R:
        """The newest revision, whatever its status."""
        return self.releases[-1]

    def newest(self, also: Collection[int] = ()) -> Self:
        """The same as :func:`fetch_history` would have read it: the newest 30, and those of ``also``."""
        numbers = sorted({*(one.revision for one in self.revisions), *self.unreadable})
        wanted = {*numbers[-NEWEST:], *also}
        return replace(
            self,
            releases=tuple(one for one in self.releases if one.revision.revision in wanted),
            unreadable={number: why for number, why in self.unreadable.items() if number in wanted},
            older=tuple(number for number in numbers if number not in wanted),
        )

    @property
    def deployed(self) -> R | None:
        """The newest revision that helm calls deployed, or None. There may be two (docs/helm-facts.md, 6)."""
        return next((one for one in reversed(self.releases) if one.revision.status == "deployed"), None)

    @property
    def deployed_numbers(self) -> tuple[int, ...]:
        """All revisions that helm calls deployed: one, or none or two after something went wrong."""
        return tuple(one.revision for one in self.revisions if one.status == "deployed")

    @property
    def revisions(self) -> tuple[Revision, ...]:
        """All revisions that were read, oldest first."""
        return tuple(one.revision for one in self.releases)

    @cached_property
    def departures(self) -> tuple[Departure, ...]:
        """The rollbacks, oldest first.

        An upgrade that failed on top of a revision does not hide what was deployed before.
        """
        found: list[Departure] = []
        before: set[int] = set()
        for revision in self.revisions:
            origin = self.origin(revision.revision)
            rolls_back = revision.rollback_of is not None or bool(
                _CERTAINLY_ROLLBACK.match(revision.description)
            )
            if rolls_back:
                found.append(Departure(revision, origin, frozenset(before)))
            if rolls_back or not failure_in(revision):
                before = set()
            before.add(origin)
        return tuple(found)

    @cached_property
    def _by_number(self) -> dict[int, R]:
        return {one.revision.revision: one for one in reversed(self.releases)}

    def get(self, revision: int) -> R | None:
        """That revision, or None if it does not exist (never made, pruned) or could not be read."""
        return self._by_number.get(revision)

    def content_of(self, revision: int) -> R | None:
        """That revision or, where it was pruned, the newest one that rolled back to it (same content)."""
        alike = (one for one in reversed(self.releases) if self.origin(one.revision.revision) == revision)
        return self.get(revision) or next(alike, None)

    def origin(self, revision: int) -> int:
        """The revision whose content this one has: "Rollback to N" followed to its beginning.

        It may be a number that was pruned meanwhile; a revision that is no rollback is its own origin.
        """
        found = self._revision(revision)
        return revision if found is None else origin_of(found, self._revision)

    def _revision(self, number: int) -> Revision | None:
        """With the revision that it went back to, also where it failed and helm wrote over that number."""
        found = self.get(number)
        if found is None:
            return None
        revision = found.revision
        if revision.rollback_of is not None or not _FAILED_ROLLBACK.match(revision.description):
            return revision
        return revision.model_copy(update={"rollback_of": self._same_before(found)})

    def _same_before(self, release: R) -> int | None:
        """The newest older revision with the same content, one that is no rollback itself before others."""
        same = [
            one.revision
            for one in reversed(self.releases)
            if one.revision.revision < release.revision.revision and one.holds_the_same(release)
        ]
        first = next((one for one in same if one.rollback_of is None and not failure_in(one)), None)
        found = first or next(iter(same), None)
        return found.revision if found is not None else None


@dataclass(frozen=True)
class ReleaseHistory(RevisionHistory[Release]):
    """The newest revisions in whole.

    ``copies``: a sentence for each Secret that helm finds by its labels, and that does not say what the
    record says which helm reads by its name.
    """

    copies: tuple[str, ...] = ()

    def find_replaced(self, revision: int) -> Release | None:
        """What ``revision`` replaced: the last one before it with another manifest; None if there is none."""
        new = self.get(revision)
        older = (one for one in reversed(self.releases) if one.revision.revision < revision)
        return next((one for one in older if new is not None and one.manifest != new.manifest), None)


def fetch_history(
    kube: Kube,
    namespace: str,
    release: str,
    also: Collection[int] = (),
    timeout_s: float = 5.0,
    known: ReleaseHistory | None = None,
) -> ReleaseHistory:
    """The newest 30 revisions of ``release``, and those of ``also`` whatever their age.

    What is in ``known`` is there again, and not fetched again unless it was written since: one request where
    nothing changed. Else they come in pages, which is another search of the namespace; where the first one
    took long (a thousand records) they are read one by one, by their names.
    Raises NotFound if the namespace does not exist, HelmProblem if the release does not (near names are
    listed) or if its head cannot be decoded, and the ClusterErrors of what could not be read.
    """
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets"
    clock = SystemClock()
    began_s = clock.monotonic_s()
    found = kube.list_metadata(path, {"labelSelector": f"owner=helm,name={release}"}, timeout_s)
    searches_fast = clock.monotonic_s() - began_s < _FAST_SEARCH_S
    names, copied = _by_number(found, release)
    if not names:
        raise _missing(kube, path, namespace, release, timeout_s)
    numbers = sorted(names)
    had = {one.revision for one in known.revisions} if known is not None else set()
    kept = {*numbers[-NEWEST:], *also, *had}
    wanted = [number for number in numbers if number in kept]

    def get(number: int) -> JsonObject:
        name = quote(names[number]["metadata"]["name"], safe="")
        return kube.get(f"{path}/{name}", timeout_s=timeout_s)

    def fetch(number: int) -> Release:
        before = known.get(number) if known is not None else None
        if before is not None and before.stored and before.stored == stored_version(names[number]):
            return before
        found = paged.get(number)
        if isinstance(found, HelmProblem):
            raise found
        return found or parse_release(get(number), namespace, number)

    paged: dict[int, Release | HelmProblem] = {}
    if searches_fast and known is None:
        try:
            newest = get(numbers[-1])
            each_bytes = record_bytes(newest)
            paged[numbers[-1]] = _decoded(newest, namespace, numbers[-1])
            del newest
            own = {number: str(names[number]["metadata"]["name"]) for number in wanted[:-1]}
            paged.update(_in_pages(kube, namespace, release, own, each_bytes, timeout_s))
        except (Forbidden, Unauthorized):
            raise
        except ClusterError:
            pass  # what a page did not bring is read by its name

    largest = max((one.size_bytes for one in known.releases), default=1) if known is not None else 1
    at_once = min(_AT_ONCE, records_in_a_page(largest))
    releases: list[Release] = []
    unreadable: dict[int, str] = {}
    for number, result in zip(wanted, fetch_each(fetch, wanted, at_once), strict=True):
        if isinstance(result, Release):
            releases.append(result)
        elif isinstance(result, HelmProblem):
            unreadable[number] = str(result)
        elif not isinstance(result, NotFound):  # that one was pruned while we read
            raise result
    if not releases or numbers[-1] in unreadable:
        why = unreadable.get(numbers[-1], "its Secrets vanished while they were read.")
        raise _headless(release, namespace, why)
    by_number = {each.revision.revision: each for each in releases}
    believed = tuple(
        each
        if (revision := _believed(each, by_number)) is each.revision
        else replace(each, revision=revision)
        for each in releases
    )
    older = tuple(one for one in numbers if one not in wanted)
    copies = tuple(
        said
        for item in copied[:_COPIES]
        if (said := _differing(item, names, releases, partial(_read_copy, kube, namespace, path, item)))
    )
    return ReleaseHistory(namespace, release, believed, unreadable, older, copies)


def fetch_outlines(
    kube: Kube,
    namespace: str,
    release: str,
    timeout_s: float = 30.0,
    look: Callable[[Sequence[JsonObject]], object] = lambda _: None,
) -> RevisionHistory[Outline]:
    """All revisions of ``release`` in outline, however many; no more than a few are in memory at once.

    ``look`` is called with the objects of each Secret and of each document with images that they hold. Raises
    as :func:`fetch_history`.
    """
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets"
    query = {"labelSelector": f"owner=helm,name={release}", "limit": str(_IN_A_PAGE)}
    found: dict[int, Outline | HelmProblem] = {}
    once = ReadOnce(look)

    def read(secret: JsonObject) -> None:
        number = revision_number(secret)
        # As in _by_number: of two with one number helm reads the one that has its name.
        if number is None or (number in found and named_revision(secret, release) != number):
            return
        decoded = _decoded(secret, namespace, number, once)
        found[number] = decoded if isinstance(decoded, HelmProblem) else Outline.of(decoded)

    while True:
        try:
            pages = kube.pages(path, query, timeout_s, page_bytes=_MOST_IN_A_PAGE_BYTES)
            for page, _ in one_ahead(pages, _is_large):
                for secret in page:
                    read(secret)
        except BadAnswer as error:
            if error.status != http.client.GONE or not found:
                raise
            found.clear()  # the list is another one by now
            continue
        break
    if not found:
        raise _missing(kube, path, namespace, release, timeout_s)
    unreadable = {
        number: str(each) for number, each in sorted(found.items()) if isinstance(each, HelmProblem)
    }
    outlines = [each for _, each in sorted(found.items()) if isinstance(each, Outline)]
    if max(found) in unreadable:
        raise _headless(release, namespace, unreadable[max(found)])
    by_number = {each.revision.revision: each for each in outlines}
    believed = tuple(replace(each, revision=_believed(each, by_number)) for each in outlines)
    return RevisionHistory(namespace, release, believed, unreadable)


def _is_large(page: tuple[Sequence[JsonObject], str]) -> bool:
    """Whether a page holds a record that needs several times its size while it is read."""
    return any(record_bytes(secret) > PAGE_BYTES for secret in page[0])


def _headless(release: str, namespace: str, why: str) -> HelmProblem:
    return HelmProblem(f"The head of release {release} in namespace {namespace} cannot be read: {why}")


def _by_number(
    found: Sequence[JsonObject], release: str
) -> tuple[dict[int, JsonObject], tuple[JsonObject, ...]]:
    """The record of each revision, and what else carries helm's labels.

    helm lists by labels and reads a revision by the Secret's name (pkg/storage/storage.go); where only a copy
    has a number, that is what helm lists.
    """
    listed = [(number, item) for item in found if (number := revision_number(item)) is not None]
    named = {number: item for item in found if (number := named_revision(item, release)) is not None}
    names = {number: named.get(number, item) for number, item in listed}
    return names, tuple(item for number, item in listed if named.get(number) is not item)


def _differing(
    item: JsonObject,
    names: Mapping[int, JsonObject],
    releases: Sequence[Release],
    read: Callable[[], Release | None],
) -> str:
    """What a copied record says that the one which helm reads does not; empty: it says the same.

    A Secret of helm's own name with another number in its labels is a copy, too.
    """
    number, labels = revision_number(item) or 0, item["metadata"].get("labels") or {}
    own = record_name(str(labels.get("name")), number)
    listed = f"Secret {item['metadata']['name']} is listed by helm as revision {number}"
    if names[number]["metadata"]["name"] != own:
        return f"{listed}, and Secret {own}, by which helm would read it, does not exist"
    record = next((one for one in releases if one.revision.revision == number), None)
    if record is None:
        return ""  # too old to be read
    if (status := str(labels.get("status"))) != record.revision.status:
        return f"{listed}, {status}; Secret {own}, which helm reads, is {record.revision.status}"
    copy = read()
    if copy is not None and copy.holds_the_same(record):
        return ""
    return f"{listed}, and does not hold what Secret {own} holds, which helm reads"


def _read_copy(kube: Kube, namespace: str, path: str, item: JsonObject) -> Release | None:
    """None: it cannot be read."""
    try:
        return parse_release(kube.get(f"{path}/{quote(item['metadata']['name'], safe='')}"), namespace)
    except ZkRollbackError:
        return None


def _in_pages(
    kube: Kube, namespace: str, release: str, names: Mapping[int, str], each_bytes: int, timeout_s: float
) -> Iterator[tuple[int, Release | HelmProblem]]:
    """The revisions in Secrets of these ``names``, as many in an answer as fit where all are about as large
    as ``each_bytes``; ``timeout_s`` is for each answer. None where they are large: by name two come at once.
    """
    together = records_in_a_page(each_bytes)
    if together <= _AT_ONCE:
        return
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets"
    numbers = list(names)
    for start in range(0, len(numbers), together):
        among = ",".join(map(str, numbers[start : start + together]))
        selector = f"owner=helm,name={release},version in ({among})"
        query = {"labelSelector": selector, "limit": str(together)}
        for page, _ in kube.pages(path, query, timeout_s, page_bytes=_MOST_IN_A_PAGE_BYTES):
            for secret in page:
                number = revision_number(secret)
                if number is not None and names.get(number) == secret["metadata"].get("name"):
                    yield number, _decoded(secret, namespace, number)


def _decoded(
    secret: JsonObject, namespace: str, number: int, once: ReadOnce | None = None
) -> Release | HelmProblem:
    try:
        return parse_release(secret, namespace, number, once)
    except HelmProblem as problem:
        return problem


def _believed(release: R, others: Mapping[int, R]) -> Revision:
    """Without "Rollback to N" where somebody only wrote that: `helm upgrade` has --description too."""
    revision = release.revision
    back = revision.rollback_of
    if back is None or not ROLLBACK_TEXT.fullmatch(revision.description):
        return revision
    origin = others.get(back)
    if origin is None or origin.states_the_same(release):
        return revision
    return revision.model_copy(update={"rollback_of": None})


def _missing(kube: Kube, path: str, namespace: str, release: str, timeout_s: float) -> ZkRollbackError:
    try:
        kube.get(f"/api/v1/namespaces/{quote(namespace, safe='')}", timeout_s=timeout_s)
    except NotFound:
        return NoNamespace(
            f"There is no namespace {namespace} in this cluster. Check `namespace` and `context` of the "
            "environment."
        )
    except Forbidden:
        pass  # no proof of absence
    except ClusterError as error:
        return error
    others = kube.list_metadata(path, {"labelSelector": "owner=helm"}, timeout_s)
    names = sorted({str((item["metadata"].get("labels") or {}).get("name")) for item in others})
    near = difflib.get_close_matches(release, names, n=5, cutoff=0.4) or names[:5]
    listed = f"releases there: {', '.join(near)}" if near else "there is no release at all"
    return NoRelease(
        f"There is no release {release} in namespace {namespace}; {listed}. Only releases that helm stores "
        "in Secrets (its default) are seen."
    )


def explain_stranding(history: RevisionHistory[R]) -> str:
    """Why the release needs a rollback to be led out, as a sentence without its end; empty: it needs none."""
    head = history.head.revision
    deployed = history.deployed_numbers
    since = f"since {head.deployed_at:%Y-%m-%d %H:%M:%S} UTC"
    if head.status.startswith("pending"):
        return f"revision {head.revision} ({head.description or 'no description'}) is {head.status} {since}"
    if not deployed:
        return f"no revision is deployed: revision {head.revision} is {head.status} {since}"
    if len(deployed) > 1:
        return f"revisions {' and '.join(map(str, deployed))} are both deployed"
    return ""
