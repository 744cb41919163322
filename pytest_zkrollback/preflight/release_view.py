"""What several questions of the preflight need: read once, by whoever needs it first, for all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from ..domain.checks import JsonObject
from ..domain.errors import ZkRollbackError
from ..domain.ports import Kube
from ..domain.target_names import parse_target_version
from ..release.documents import Manifest
from ..release.drift import LiveObject, fetch_live
from ..release.helm_secret import Release, rollback_hooks
from ..release.history import R, ReleaseHistory, RevisionHistory, fetch_history, fetch_outlines
from ..release.manifest import ObjectDiff, ObjectKey, identity, is_kept, object_diffs
from ..release.shared_reads import SharedReads
from ..rollback.journal import of_this_install
from .recovery import RECOVER, choose_recovery
from .target import TargetChoice, choose_target

if TYPE_CHECKING:
    from ..config.environment import Environment
    from ..rollback.lock import LockState

T = TypeVar("T")
# Of revisions beyond the newest that are not taken although they have the version so many are read.
_FEW = 3
# Within the preflight's budget: the newest revisions are known without.
_OUTLINES_S = 2.0


class CachedProbe(Generic[T]):
    """A question asked once; who asks meanwhile waits, and all get the same value or the same error."""

    def __init__(self, ask: Callable[[], T]) -> None:
        """Nothing is asked yet."""
        self._ask = ask
        self._lock = threading.Lock()
        self._answer: Future[T] | None = None
        self._answered = threading.Event()

    def is_answered(self, timeout_s: float = 0.0) -> bool:
        """Whether the answer, or an error, is there within that time; it asks nothing itself."""
        return self._answered.wait(timeout_s)

    def __call__(self) -> T:
        """The value; raises what asking raised, without asking again."""
        with self._lock:
            if self._answer is None:
                answer: Future[T] = Future()
                try:
                    answer.set_result(self._ask())
                except BaseException as error:  # noqa: BLE001 - a bug is the same for all who ask, and found once
                    answer.set_exception(error)
                self._answer = answer
                self._answered.set()
        return self._answer.result()


@dataclass(frozen=True)
class Touched:
    """The objects that helm would delete, apply and run as hooks, each as it is live.

    ``unread`` names the documents and hooks that cannot be read: what they hold is in none of these.
    """

    deleted: Mapping[ObjectKey, LiveObject] = field(default_factory=dict)
    applied: Mapping[ObjectKey, LiveObject] = field(default_factory=dict)
    hooks: Mapping[ObjectKey, LiveObject] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class UnreadPart:
    """What cannot be read of what helm would act on.

    ``what``: ``revision 5, document 3 (web/x.yaml)``, or the hook, ``hook Job/migrate of revision 5``.
    ``helm_fails``: whether helm cannot read it either.
    """

    what: str
    why: str
    helm_fails: bool

    def __str__(self) -> str:
        """In one sentence."""
        return f"{self.what} {self.why}"


class ReleaseView:
    """The release as the preflight sees it. Every member is a :class:`CachedProbe`; all raise
    ZkRollbackErrors.

    ``asked`` is the target as typed; None: verify-only, whose target is the head's origin. ``fetch_lock``
    brings the lock's Secret, in which the journal is.
    """

    def __init__(
        self, env: Environment, kube: Kube, fetch_lock: Callable[[], LockState], asked: int | str | None
    ) -> None:
        """Nothing is contacted yet."""
        self.asked = asked
        self._env, self._kube = env, kube
        self._among_all: TargetChoice | None = None  # set by asking for the history
        self._lock = threading.Lock()
        self._diffs: dict[tuple[str, str], CachedProbe[tuple[ObjectDiff, ...]]] = {}
        self.reads = SharedReads(kube)
        self.lock = CachedProbe(fetch_lock)
        self.history = CachedProbe(self._history)
        self.choice = CachedProbe(self._choice)
        self.live = CachedProbe(self._live)
        self.touched = CachedProbe(self._touched)
        self.hook_jobs = CachedProbe(self._hook_jobs)

    @property
    def target(self) -> Release | None:
        """The release to go back to, or one with the same content; None: there or chosen is none."""
        revision = self.choice().revision
        return None if revision is None else self.history().content_of(revision)

    def journal(self) -> tuple[JsonObject, ...]:
        """The entries of earlier runs, oldest first."""
        return self.lock().entries

    def objects_of(self, release: Release | None) -> tuple[JsonObject, ...]:
        """The objects of its manifest, as far as that can be read (:meth:`unread` says what cannot)."""
        return self._manifest_of(release).objects

    def unread(self) -> tuple[UnreadPart, ...]:
        """What cannot be read of the manifests of the head and the target, and of the target's hooks."""
        target = self.target
        manifests = [self.history().head, *([target] if target is not None else [])]
        found = [
            UnreadPart(
                f"{document.name} of revision {release.revision.revision}", document.why, document.helm_fails
            )
            for release in manifests
            for document in self._manifest_of(release).unread
        ]
        if target is None:
            return tuple(found)
        for hook in rollback_hooks(target):
            what = f"hook {hook.get('kind') or '?'}/{hook.get('name') or '(without a name)'}"
            for document in target.read_hook(hook, self._env.namespace).unread:
                fails = document.helm_fails and not document.nameless
                found.append(UnreadPart(what, document.why, fails))
        return tuple(found)

    def diffs(self, old: Release, new: Release) -> tuple[ObjectDiff, ...]:
        """Every object that differs between the two manifests; worked out once for all who ask."""
        with self._lock:
            asked = self._diffs.get((old.manifest, new.manifest))
            if asked is None:
                asked = CachedProbe(lambda: object_diffs(self.objects_of(old), self.objects_of(new)))
                self._diffs[old.manifest, new.manifest] = asked
        return asked()

    def has_unread(self, release: Release) -> bool:
        """Whether its manifest cannot be read in whole."""
        return bool(self._manifest_of(release).unread)

    def _manifest_of(self, release: Release | None) -> Manifest:
        return release.read(self._env.namespace) if release is not None else Manifest(())

    def _known_entries(self) -> tuple[JsonObject, ...] | None:
        """The journal, read only where the target's name needs it; None: it could not be read."""
        try:
            return self.journal() if isinstance(self.asked, str) else ()
        except ZkRollbackError:
            return None

    def _history(self) -> ReleaseHistory:
        asked = self.asked if isinstance(self.asked, int) else None
        wanted = [
            each for entry in self._known_entries() or () if isinstance(each := entry.get("target"), int)
        ]
        found = fetch_history(
            self._kube,
            self._env.namespace,
            self._env.release,
            also=[*wanted, *([asked] if asked is not None else [])],
        )
        return self._with_older(found)

    def _with_older(self, found: ReleaseHistory) -> ReleaseHistory:
        """The same, with the older ones that have the version that is asked for, if no newer one has it."""
        asked, env = self.asked, self._env
        if not found.older or not isinstance(asked, str) or parse_target_version(asked) is None:
            return found
        number = self._choose(asked, found).revision
        if number is not None and number > max(found.older):
            return found
        try:
            choice = self._choose(asked, fetch_outlines(self._kube, env.namespace, env.release, _OUTLINES_S))
            also = [each.revision for each in choice.skipped if each.revision in found.older][:_FEW]
            also += [choice.revision] if choice.revision is not None else []
            history = fetch_history(self._kube, env.namespace, env.release, also=also, known=found)
        except ZkRollbackError:
            return found  # which says that only the newest were looked at
        # What is said of a revision is redacted by what was read of it in whole.
        read = tuple(each for each in choice.skipped if each.revision not in history.older)
        self._among_all = replace(choice, skipped=read)
        return history

    def _choice(self) -> TargetChoice:
        history = self.history()
        if self.asked is None:
            return TargetChoice(
                history.origin(history.head.revision.revision), "what the current revision holds"
            )
        if self.asked == RECOVER:
            return choose_recovery(history, self._entries_of_this_install(history))
        return self._among_all or self._choose(self.asked, history)

    def _choose(self, asked: int | str, history: RevisionHistory[R]) -> TargetChoice:
        return choose_target(asked, history, self._entries_of_this_install(history))

    def _entries_of_this_install(self, history: RevisionHistory[R]) -> tuple[JsonObject, ...] | None:
        entries = self._known_entries()
        return None if entries is None else of_this_install(entries, history)

    def _live(self) -> dict[ObjectKey, LiveObject]:
        """The live objects of the head's and the target's manifests."""
        objects = {
            identity(item): item
            for release in (self.history().head, self.target)
            for item in self.objects_of(release)
        }
        found = fetch_live(self._kube, tuple(objects.values()), shared=self.reads)
        return dict(zip(objects, found, strict=True))

    def _touched(self) -> Touched:
        """helm makes the target's hooks anew, and leaves what a policy keeps."""
        live, target = self.live(), {identity(item) for item in self.objects_of(self.target)}
        hooks = {identity(item): item for item in self._hooks()}
        return Touched(
            deleted={key: live[key] for key in self._deleted(live)},
            applied={key: found for key, found in live.items() if key in target},
            hooks=dict(zip(hooks, fetch_live(self._kube, tuple(hooks.values())), strict=True)),
            unread=tuple(map(str, self.unread())),
        )

    def writes(self, patience_s: float) -> dict[tuple[str, ...], list[JsonObject]]:
        """The verbs that helm will need, with their objects.

        It patches what exists, creates what does not, deletes what it has to, and makes the target's hooks
        anew. The live objects are waited for at most ``patience_s``: a thousand may take longer than the
        budget. Without them the manifests say what exists and what is kept; what somebody deleted by hand
        the forecast tries to create.
        """
        live = self._live_within(patience_s)
        target = self.objects_of(self.target)
        head = {identity(item).without_version for item in self.objects_of(self.history().head)}

        def is_missing(item: JsonObject) -> bool:
            key = identity(item)
            return live[key] == LiveObject() if key in live else key.without_version not in head

        return {
            ("get", "patch"): list(target),
            ("create",): [item for item in target if is_missing(item)],
            ("get", "delete"): list(self._deleted(live).values()),
            ("get", "list", "watch", "create", "delete"): list(self._hooks()),  # helm watches what it ran
        }

    def _live_within(self, patience_s: float) -> Mapping[ObjectKey, LiveObject]:
        """The live objects; none where they are not there in time."""
        return self.live() if self.live.is_answered(patience_s) else {}

    def _deleted(self, live: Mapping[ObjectKey, LiveObject]) -> dict[ObjectKey, JsonObject]:
        """What only the head has and no policy keeps, as the head's manifest states it.

        helm asks the live object whether it is kept; where that was not read, the manifest says it. Where
        the target cannot be read in whole nothing is known to be deleted: it may be in what was not read.
        """
        if self._manifest_of(self.target).unread:
            return {}
        target = {identity(item).without_version for item in self.objects_of(self.target)}
        gone = {identity(item): item for item in self.objects_of(self.history().head)}
        return {
            key: item
            for key, item in gone.items()
            if key.without_version not in target and not is_kept(live.get(key, LiveObject()).item or item)
        }

    def _hook_jobs(self) -> tuple[JsonObject, ...]:
        """The live Jobs of the hooks of the head and of the target."""
        found = {
            identity(item): item
            for release in (self.history().head, self.target)
            if release is not None
            for hook in release.hooks
            for item in release.read_hook(hook, self._env.namespace).objects
            if item["kind"] == "Job"
        }
        live = fetch_live(self._kube, tuple(found.values()))
        return tuple(each.item for each in live if each.item is not None)

    def _hooks(self) -> tuple[JsonObject, ...]:
        """Hook by hook: one that cannot be read (``generateName``) hides none of the others."""
        target = self.target
        return tuple(
            item
            for hook in (rollback_hooks(target) if target is not None else ())
            for item in (target.read_hook(hook, self._env.namespace).objects if target is not None else ())
        )
