"""One object that several questions of the preflight read is asked for once."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from ..domain.errors import NotFound

if TYPE_CHECKING:
    from ..domain.checks import JsonObject
    from ..domain.ports import Kube


class SharedReads:
    """Answers by path, for as long as one preflight takes. Nobody changes what is in them."""

    def __init__(self, kube: Kube) -> None:
        """Nothing is asked yet."""
        self._kube = kube
        self._lock = threading.Lock()
        self._answers: dict[str, Future[JsonObject]] = {}

    def get(self, path: str, timeout_s: float = 5.0) -> JsonObject:
        """The object, as the first who asked got it; raises a ClusterError as :meth:`Kube.get` does.

        An error of somebody else's request is nobody's answer, unless it says that there is no such object:
        patience differs, and what has failed once may work. Who waits in vain asks for himself.
        """
        with self._lock:
            shared = self._answers.get(path)
            own: Future[JsonObject] | None = None
            if shared is None:
                own = self._answers[path] = Future()
        if own is not None:
            try:
                own.set_result(self._kube.get(path, timeout_s=timeout_s))
            except BaseException as failure:
                own.set_exception(failure)
                raise
            return own.result()
        assert shared is not None  # noqa: S101 - else it is ours
        try:
            error = shared.exception(timeout_s)
        except TimeoutError:
            return self._kube.get(path, timeout_s=timeout_s)
        if error is None:
            return shared.result()
        if isinstance(error, NotFound):
            raise error
        return self._kube.get(path, timeout_s=timeout_s)
