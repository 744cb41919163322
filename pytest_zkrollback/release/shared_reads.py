"""An object that several questions read is asked for once, and many of one kind as a list."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ..clients.clock import SystemClock
from ..clients.threads import start_thread
from ..domain.errors import ClusterError, NotFound, Unreachable

if TYPE_CHECKING:
    from ..domain.checks import JsonObject
    from ..domain.ports import Kube

# So many objects of one kind and namespace are read as a list, unless many times as many stand there.
LISTED_FROM = 50
_MANY_TIMES = 4
_PAGE_BYTES = 4 << 20
# So long a request takes at most: the patience of those who need the answer most.
_PATIENCE_S = 5.0
# With less nobody asks again.
_TOO_LATE_S = 0.1


class SharedReads:
    """Answers by path, for as long as one look takes. Nobody changes what is in them."""

    def __init__(self, kube: Kube) -> None:
        """Nothing is asked yet."""
        self._kube = kube
        self._lock = threading.Lock()
        self._clock = SystemClock()
        self._answers: dict[str, Future[JsonObject]] = {}
        self._listed: set[str] = set()

    def get(self, path: str, timeout_s: float = 5.0) -> JsonObject:
        """The object, as the first who asked got it; raises a ClusterError as :meth:`Kube.get` does.

        Whoever is less patient than others waits no longer for that, and cuts nobody's request off. An error
        of somebody else's request is nobody's answer, unless it says that there is no such object: who has
        time left asks alone.
        """
        began_s = self._clock.monotonic_s()
        with self._lock:
            shared = self._answers.get(path)
            is_first = shared is None
            if shared is None:
                shared = self._answers[path] = Future()
        if is_first and timeout_s < _PATIENCE_S:
            start_thread("shared-read", partial(self._ask, path, shared, _PATIENCE_S))
        elif is_first:
            self._ask(path, shared, timeout_s)
        try:
            error = shared.exception(timeout_s)
        except TimeoutError:
            raise Unreachable(f"No answer to GET {path} within {timeout_s:g} s.") from None
        if error is None:
            return shared.result()
        left_s = began_s + timeout_s - self._clock.monotonic_s()
        if is_first or isinstance(error, NotFound) or left_s < _TOO_LATE_S:
            raise error
        return self._kube.get(path, timeout_s=left_s)

    def was_listed(self, path: str) -> bool:
        """Whether the answer is out of a list: then nobody has shown the right to get it."""
        return path in self._listed

    def _ask(self, path: str, answer: Future[JsonObject], timeout_s: float) -> None:
        try:
            answer.set_result(self._kube.get(path, timeout_s=timeout_s))
        except BaseException as error:  # noqa: BLE001 - whoever waits raises it
            answer.set_exception(error)

    def prepare(self, kinds: Mapping[str, str], timeout_s: float = 5.0) -> None:
        """Read these objects as lists where many are of one kind and namespace; raises no ClusterError.

        ``kinds`` maps paths to kinds. Where a list may not be read, or holds many others, each object is read
        by its name when it is asked for.
        """
        folders: defaultdict[tuple[str, str], dict[str, str]] = defaultdict(dict)
        for path, kind in kinds.items():
            folder, _, name = path.rpartition("/")
            folders[folder, kind][path] = unquote(name)
        for (folder, kind), names in folders.items():
            if len(names) >= LISTED_FROM:
                self._list(folder, kind, names, timeout_s)

    def _list(self, folder: str, kind: str, names: Mapping[str, str], timeout_s: float) -> None:
        with self._lock:
            ours: dict[str, Future[JsonObject]] = {
                path: Future() for path in names if path not in self._answers
            }
            self._answers |= ours
        found: dict[str, JsonObject] | None = None
        try:
            with suppress(ClusterError):
                found = self._found(folder, kind, {names[path] for path in ours}, timeout_s)
        finally:
            with self._lock:
                self._listed |= ours.keys() if found is not None else set()
                for path in ours if found is None else ():
                    del self._answers[path]  # whoever comes from now on shares again
            for path, answer in ours.items():
                if found is None:
                    answer.set_exception(Unreachable(f"{folder} could not be read as a list."))
                elif names[path] in found:
                    answer.set_result(found[names[path]])
                else:
                    answer.set_exception(NotFound(f"The API server lists no {names[path]} in {folder}."))

    def _found(
        self, folder: str, kind: str, names: Collection[str], timeout_s: float
    ) -> dict[str, JsonObject] | None:
        """By name, each with what a list leaves out of its items; None: there are many others."""
        base = folder.partition("/namespaces/")[0] if "/namespaces/" in folder else folder.rpartition("/")[0]
        version = base.removeprefix("/apis/").removeprefix("/api/")
        found: dict[str, JsonObject] = {}
        seen = 0
        for page, _ in self._kube.pages(folder, {}, timeout_s, page_bytes=_PAGE_BYTES):
            seen += len(page)
            if seen > _MANY_TIMES * len(names):
                return None
            for item in page:
                name = str((item.get("metadata") or {}).get("name"))
                if name in names:
                    found[name] = {"apiVersion": version, "kind": kind, **item}
        return found
