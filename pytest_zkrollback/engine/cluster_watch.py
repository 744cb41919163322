"""The namespace's workloads and pods, watched: one list+watch per resource over raw JSON.

Every resource has a thread that lists, watches for :data:`RESYNC_S` and lists again, so that a stream that
died without a word is healed by the next list. A snapshot never holds what was not confirmed by a list
within :data:`STALE_S`: such a resource is named in ``Snapshot.errors`` instead. Where the list itself takes
seconds (thousands of pods, a slow line), both grow with it, to :data:`LONGEST_WATCH_S` and
:data:`LONGEST_STALE_S`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import is_
from threading import Condition, Event, Lock
from types import MappingProxyType
from typing import Final

from ..clients.threads import start_thread
from ..domain.checks import Change, JsonObject, Snapshot
from ..domain.errors import BadAnswer, ClusterError, Forbidden, NotFound, Unauthorized, Unreachable
from ..domain.kube_objects import controller_uid
from ..domain.ports import Clock, Kube
from .equal_parts import share_equal_parts

RESYNC_S: Final = 5.0
LIST_TIMEOUT_S: Final = 4.0
LONGEST_WATCH_S: Final = 15.0
STALE_S: Final = 15.0
LONGEST_STALE_S: Final = 60.0
# An API server that restarts answers 403 until its RBAC rules are loaded: once a resource has been read,
# a refusal has to stand this long before it is believed.
REFUSAL_GRACE_S: Final = 3.0

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 2.0
_LONGEST_RETRY_AFTER_S: Final = 30.0

RESOURCES: Final[MappingProxyType[str, str]] = MappingProxyType(
    {
        "deployments": "/apis/apps/v1/namespaces/{}/deployments",
        "statefulsets": "/apis/apps/v1/namespaces/{}/statefulsets",
        "daemonsets": "/apis/apps/v1/namespaces/{}/daemonsets",
        "replicasets": "/apis/apps/v1/namespaces/{}/replicasets",
        "pods": "/api/v1/namespaces/{}/pods",
    }
)


@dataclass
class _Feed:
    """What is known of one resource.

    ``epoch`` is the thread whose news count; ``asked`` the newest thread; data of an epoch below
    ``wanted`` is from before the last refresh and is not shown.
    """

    path: str
    epoch: int = 0
    asked: int = 0
    items: dict[str, JsonObject] = field(default_factory=dict)
    siblings: dict[str, JsonObject] = field(default_factory=dict)  # one for each controller
    shown: tuple[JsonObject, ...] | None = None
    listed_s: float = 0.0
    took_s: float = 0.0
    error: ClusterError | None = None
    failing_since_s: float = 0.0

    @property
    def watch_s(self) -> float:
        """How long it is watched between two lists."""
        return min(max(RESYNC_S, 2 * self.took_s), LONGEST_WATCH_S)

    @property
    def stale_s(self) -> float:
        """How long a list is good for: two of them and the watch between them fit in, while none fails."""
        return STALE_S if self.error is not None else min(STALE_S + 4 * self.took_s, LONGEST_STALE_S)

    def kept(self, item: JsonObject) -> JsonObject:
        """The item, or what is known of it where nothing has changed: samples hold on to that anyway.

        What is equal to what it was before, or in a sibling, is held once.
        """
        before, owner = self.items.get(_key(item)), controller_uid(item)
        version = item["metadata"].get("resourceVersion")
        if before is not None and version and before["metadata"].get("resourceVersion") == version:
            return before
        like = before or self.siblings.get(owner)
        if like is not None:
            share_equal_parts(item, like)
        if owner:
            self.siblings[owner] = item
        return item


class _Superseded(Exception):
    """A newer thread reads this resource, or nobody does any more."""


class ClusterWatch:
    """A live picture of a namespace's Deployments, StatefulSets, DaemonSets, ReplicaSets and Pods.

    ``resources`` are those of them (keys of :data:`RESOURCES`) that are needed: each costs two requests
    every :data:`RESYNC_S`. Only the newest state of each object is held.
    """

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        clock: Clock,
        *,
        resources: Collection[str] = tuple(RESOURCES),
    ) -> None:
        """Nothing is contacted before :meth:`start`."""
        self._kube = kube
        self._clock = clock
        self._namespace = namespace
        self._feeds = {name: _Feed(RESOURCES[name].format(namespace)) for name in resources}
        self._lock = Lock()
        self._news = Condition(self._lock)
        self._stopping = Event()
        self._wanted = 0
        self._heard: Callable[[Change | None], None] = lambda _: None

    def listen(self, heard: Callable[[Change | None], None]) -> None:
        """Call ``heard`` whenever the picture has changed, in the thread that reads; it may not wait.

        It is given what has changed, or None: it may be anything.
        """
        self._heard = heard

    def start(self) -> None:
        """Begin to list and watch, in daemon threads."""
        if self._wanted == 0:
            self.refresh()

    def refresh(self) -> None:
        """From now on show only what was read after this call; ask for it at once.

        Called when helm has ended: a picture from before its changes must decide nothing. It starts the
        watch if that is not running. Returns immediately; what has not answered yet stands in
        ``Snapshot.errors``.
        """
        with self._lock:
            self._wanted += 1
            epoch = self._wanted
            for feed in self._feeds.values():
                feed.asked = epoch
        for name, feed in self._feeds.items():
            start_thread(f"zkrollback-watch-{name}", partial(self._follow, name, feed, epoch))

    def stop(self) -> None:
        """Tell the threads to end; does not wait for them."""
        self._stopping.set()

    def wait_first(self, timeout_s: float) -> bool:
        """Wait until every resource has answered or failed once; False if ``timeout_s`` passed before."""
        with self._news:
            return self._news.wait_for(
                lambda: all(
                    feed.epoch >= self._wanted > 0 or feed.error is not None for feed in self._feeds.values()
                ),
                timeout_s,
            )

    @property
    def list_took_s(self) -> float:
        """How long the slowest of the newest lists took."""
        return max((feed.took_s for feed in self._feeds.values()), default=0.0)

    def snapshot(self) -> Snapshot:
        """The picture now. Cheap: objects are shared between snapshots and must not be changed."""
        objects: dict[str, tuple[JsonObject, ...]] = {}
        errors: dict[str, ClusterError] = {}
        with self._lock:
            now_s = self._clock.monotonic_s()
            for name, feed in self._feeds.items():
                error = self._trouble(name, feed, now_s)
                if error is not None:
                    errors[name] = error
                    continue
                if feed.shown is None:
                    feed.shown = tuple(feed.items.values())
                objects[name] = feed.shown
        return Snapshot(
            at=self._clock.now(), objects=MappingProxyType(objects), errors=MappingProxyType(errors)
        )

    def _trouble(self, name: str, feed: _Feed, now_s: float) -> ClusterError | None:
        """Why this resource cannot be shown, or None."""
        error = feed.error
        if isinstance(error, (Forbidden, NotFound, Unauthorized)):
            if feed.epoch == 0 or now_s - feed.failing_since_s >= REFUSAL_GRACE_S:
                return error
            error = None
        if feed.epoch < self._wanted:
            return error or Unreachable(
                f"The {name} of namespace {self._namespace} have not been read yet; the API server has not"
                " answered."
            )
        age_s = now_s - feed.listed_s
        if age_s > feed.stale_s:
            return error or Unreachable(
                f"The {name} of namespace {self._namespace} were last read {age_s:.0f} s ago; the API server"
                " has not answered since."
            )
        return None

    def _follow(self, name: str, feed: _Feed, epoch: int) -> None:
        """List, watch, list again, until stopped or until a newer thread was asked to."""
        failures = 0
        while not self._stopping.is_set() and feed.asked == epoch:
            begun_s = self._clock.monotonic_s()
            try:
                items, version = self._kube.list_with_version(
                    feed.path, timeout_s=LIST_TIMEOUT_S, keep=partial(self._keep, feed, epoch)
                )
                if not self._replace(feed, epoch, items, begun_s):
                    return
                failures = 0
                watched_s = self._clock.monotonic_s()
                for event in self._kube.watch(feed.path, version, timeout_s=feed.watch_s):
                    if self._stopping.is_set() or not self._apply(name, feed, epoch, event):
                        break
                # A server that ends every stream at once must not be asked in a tight loop.
                if self._clock.monotonic_s() - watched_s < feed.watch_s / 2:
                    self._stopping.wait(max(_FIRST_PAUSE_S, feed.took_s))
            except _Superseded:
                return
            except ClusterError as error:
                failures += 1
                self._note(feed, epoch, error)
                self._stopping.wait(_pause_s(error, failures))
            except Exception as error:  # noqa: BLE001 - a thread that dies of a bug would leave its resource unread for the whole run
                failures += 1
                self._note(
                    feed,
                    epoch,
                    BadAnswer(f"Reading the {name} failed unexpectedly: {type(error).__name__}: {error}"),
                )
                self._stopping.wait(_pause_s(None, failures))

    def _keep(self, feed: _Feed, epoch: int, item: JsonObject) -> JsonObject:
        """What is held of a listed item; raises _Superseded where nobody wants the rest of the list."""
        if feed.asked != epoch or self._stopping.is_set():
            raise _Superseded
        return feed.kept(item)

    def _replace(self, feed: _Feed, epoch: int, items: tuple[JsonObject, ...], begun_s: float) -> bool:
        """Take a whole list over; False if a newer thread has already done so."""
        fresh = {_key(item): item for item in items}
        with self._news:
            if epoch < feed.epoch:
                return False
            feed.epoch = epoch
            if len(fresh) != len(feed.items) or not all(map(is_, fresh.values(), feed.items.values())):
                feed.items, feed.shown = fresh, None
            feed.listed_s, feed.took_s = begun_s, self._clock.monotonic_s() - begun_s
            owners = {controller_uid(item) for item in items}
            feed.siblings = {uid: one for uid, one in list(feed.siblings.items()) if uid in owners}
            feed.error = None
            self._news.notify_all()
        self._heard(None)
        return True

    def _apply(self, name: str, feed: _Feed, epoch: int, event: JsonObject) -> bool:
        """Apply one watch event; False if the stream is no use any more and the list has to be read again."""
        kind = event.get("type")
        if kind == "BOOKMARK":
            return True
        item = event.get("object")
        if kind == "ERROR":
            # 410 Gone is ordinary (the version has been compacted): read the list again, without a pause.
            status = item if isinstance(item, dict) else {}
            if status.get("code") == 410:
                return False
            raise BadAnswer(
                f"The watch of {name} ended with an error: {status.get('message', 'no message')}.",
                status=int(status.get("code") or 0),
            )
        if kind not in ("ADDED", "MODIFIED", "DELETED") or not isinstance(item, dict):
            raise BadAnswer(f"The watch of {name} brought an event of the unknown type {kind!r}.")
        key = _key(item)
        with self._news:
            if epoch != feed.epoch:
                return False
            if kind == "DELETED":
                feed.items.pop(key, None)
            else:
                feed.items[key] = item = feed.kept(item)
            feed.shown = None
            self._news.notify_all()
        self._heard(Change(name, item))
        return True

    def _note(self, feed: _Feed, epoch: int, error: ClusterError) -> None:
        with self._news:
            if epoch < feed.asked:
                return
            if feed.error is None:
                feed.failing_since_s = self._clock.monotonic_s()
            feed.error = error
            self._news.notify_all()
        self._heard(None)


class NamespaceWatches:
    """One :class:`ClusterWatch` for every namespace that the release has pods in; the first is its own."""

    def __init__(self, kube: Kube, wanted: Mapping[str, Collection[str]], clock: Clock) -> None:
        """``wanted`` maps namespaces to their resources. Nothing is contacted before :meth:`start`."""
        self._clock = clock
        self._watches = {
            namespace: ClusterWatch(kube, namespace, clock, resources=resources)
            for namespace, resources in wanted.items()
        }

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that are watched, the release's own first."""
        return tuple(self._watches)

    def listen(self, heard: Callable[[Change | None], None]) -> None:
        """As :meth:`ClusterWatch.listen`, of every namespace."""
        for watch in self._watches.values():
            watch.listen(heard)

    def start(self) -> None:
        """Begin to list and watch, in daemon threads."""
        for watch in self._watches.values():
            watch.start()

    def refresh(self) -> None:
        """From now on show only what was read after this call; ask for it at once."""
        for watch in self._watches.values():
            watch.refresh()

    def stop(self) -> None:
        """Tell the threads to end; does not wait for them."""
        for watch in self._watches.values():
            watch.stop()

    def wait_first(self, timeout_s: float) -> bool:
        """Wait until everything has answered or failed once; False if ``timeout_s`` passed before."""
        until_s = self._clock.monotonic_s() + timeout_s
        return all(
            watch.wait_first(max(0.0, until_s - self._clock.monotonic_s()))
            for watch in self._watches.values()
        )

    @property
    def list_took_s(self) -> float:
        """As :attr:`ClusterWatch.list_took_s`, of every namespace."""
        return max((watch.list_took_s for watch in self._watches.values()), default=0.0)

    def snapshot(self, namespace: str | None = None) -> Snapshot:
        """The picture of this namespace now; None: of the release's own."""
        return self._watches[self.namespaces[0] if namespace is None else namespace].snapshot()


def _key(item: JsonObject) -> str:
    metadata = item.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str):
        raise BadAnswer("The API server sent an object without a name.")
    return name


def _pause_s(error: ClusterError | None, failures: int) -> float:
    """How long to wait before asking again: what the server asked for, or a short, growing pause."""
    if isinstance(error, BadAnswer) and error.retry_after_s is not None:
        return min(max(error.retry_after_s, _FIRST_PAUSE_S), _LONGEST_RETRY_AFTER_S)
    return min(_FIRST_PAUSE_S * 2.0 ** min(failures - 1, 8), _LONGEST_PAUSE_S)
