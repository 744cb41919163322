"""The one error tree. An exception means "could not do", never "is unhealthy".

    ZkRollbackError
    +-- UsageProblem          wrong options or configuration; nothing was contacted (exit 4)
    +-- ClusterError          the API server could not be asked
    |   +-- Unreachable       no connection, no answer in time, TLS trouble
    |   |   +-- KubeconfigProblem  no kubeconfig, or not what is needed in it
    |   +-- Unauthorized      401
    |   +-- Forbidden         403, with the verb and the resource
    |   +-- NotFound          404
    |   |   +-- NoNamespace   the release's namespace
    |   +-- BadAnswer         any other status, or an answer that is not what the API promises
    +-- LockHeld              another run holds the release's lock
    +-- HelmProblem           helm could not be run, or its release store could not be read
    |   +-- NoRelease         it was read, and the release is not there
    +-- ProcessProblem        a local program could not be started
    +-- HttpProblem           no usable answer over HTTP (refused, timed out, too large)
    +-- GithubProblem         GitHub refused, limited, or did not answer
    +-- NotifyProblem         the team could not be told
    +-- ItemProblem           a repository's own item could not look
    +-- MigrationProblem      migration files or the schema's version could not be read
    +-- DrillProblem          the drill's cluster could not be built or started

Every message is a sentence for an operator: what was wrong, where, what is known, what to do next.
"""

from __future__ import annotations

from enum import StrEnum


class ZkRollbackError(Exception):
    """Root of the tree; ``str(error)`` is the operator's sentence."""


class UsageProblem(ZkRollbackError):
    """Wrong options or configuration. The edge turns it into pytest's exit 4."""


class HookProblem(UsageProblem):
    """A repository's hook that fails or hangs.

    Attributes:
        what: what is wrong, where it stops nothing.
    """

    def __init__(self, what: str, without: str) -> None:
        """``without``: the options that leave the hook out, for at half past two nobody mends one."""
        self.what = f"{what}; mend the hook"
        way_on = f", or go on without it: {without}" if without else ""
        super().__init__(f"{self.what}{way_on}; helm did not run.")


class SettingProblem(UsageProblem):
    """What the configuration needs from outside of it is not there: a variable, a package.

    Attributes:
        what: what is missing.
        mend: what to do about it.
    """

    def __init__(self, what: str, mend: str) -> None:
        """Both without a full stop."""
        self.what, self.mend = what, mend
        super().__init__(f"{what}; {mend}.")


class ClusterError(ZkRollbackError):
    """The API server could not be asked; what was asked about stays unknown.

    Attributes:
        status: HTTP status of its answer; 0: there was none that could be used.
        said: the server's own words.
    """

    def __init__(self, message: str = "", *, status: int = 0, said: str = "") -> None:
        """Keep what the server said beside the message."""
        super().__init__(message)
        self.status = status
        self.said = said


class Unreachable(ClusterError):
    """No connection, no answer in time, or no usable kubeconfig context."""


class KubeconfigProblem(Unreachable):
    """There is no kubeconfig, or it does not have what is needed of it."""


class Unauthorized(ClusterError):
    """The API server answered 401: it does not know these credentials."""


class Forbidden(ClusterError):
    """The API server answered 403.

    Attributes:
        verb: ``get``, ``list``, ``watch``, ``patch`` ... as in RBAC.
        resource: plural resource, with subresource, as in RBAC (``pods/log``).
        namespace: where it was refused; empty for cluster scope.
    """

    def __init__(
        self, message: str, *, verb: str, resource: str, namespace: str = "", said: str = ""
    ) -> None:
        """Keep what an RBAC rule would have to name."""
        super().__init__(message, status=403, said=said)
        self.verb = verb
        self.resource = resource
        self.namespace = namespace


class NotFound(ClusterError):
    """The API server answered 404."""


class NoNamespace(NotFound):
    """The release's namespace does not exist."""


class BadAnswer(ClusterError):
    """Another status, or a body that is not what the API promises.

    Attributes:
        retry_after_s: seconds the server asked to wait (``Retry-After``), or None.
        causes: (field, message) of each cause in the server's Status, e.g. of each field conflict.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        retry_after_s: float | None = None,
        causes: tuple[tuple[str, str], ...] = (),
        said: str = "",
    ) -> None:
        """Keep what the server said beside the message."""
        super().__init__(message, status=status, said=said)
        self.retry_after_s = retry_after_s
        self.causes = causes


class LockHeld(ZkRollbackError):
    """Another run holds the release's lock; the message says who, since when and until when.

    Attributes:
        run_id: the run that holds it; empty: nobody any more.
        operator: who started that run.
    """

    def __init__(self, message: str, *, run_id: str = "", operator: str = "") -> None:
        """Keep who it was: only the holder that an operator saw is taken over from."""
        super().__init__(message)
        self.run_id = run_id
        self.operator = operator


class HelmProblem(ZkRollbackError):
    """helm is missing, unsupported, or the release store could not be read."""


class NoRelease(HelmProblem):
    """The release store was read, and the release is not in it."""


class ProcessProblem(ZkRollbackError):
    """A local program could not be started (missing, not executable, bad cwd)."""


class HttpProblemKind(StrEnum):
    """Where an HTTP request ended that brought no usable answer."""

    NOT_ASKED = "not-asked"  # the url, the CA file, or a metadata address: nothing was sent
    UNRESOLVED = "unresolved"  # the name has no address here: nothing is known of the service
    NOT_CONNECTED = "not-connected"  # refused, not accepted in time, or not through the proxy
    UNTRUSTED = "untrusted"  # TLS: the certificate is not trusted
    LATE = "late"  # no complete answer in time
    BROKEN = "broken"  # cut off, or in an encoding that cannot be read
    OTHER = "other"


class HttpProblem(ZkRollbackError):
    """No usable HTTP answer: refused, timed out, cut off, too large, redirected away.

    Attributes:
        kind: where it ended.
        maybe_received: False only if the request cannot have reached the server (no address, refused,
            TLS failed); a POST may then be sent again without doing it twice.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: HttpProblemKind = HttpProblemKind.OTHER,
        maybe_received: bool = True,
    ) -> None:
        """Keep where it ended, and whether sending again could do it twice."""
        super().__init__(message)
        self.kind = kind
        self.maybe_received = maybe_received


class GithubProblem(ZkRollbackError):
    """GitHub could not do what was asked, or did not say so.

    Attributes:
        status: HTTP status; 0 if no answer came.
        said: GitHub's own words.
        maybe_received: True if a request without an answer may have been carried out: look first.
    """

    def __init__(
        self, message: str, *, status: int = 0, said: str = "", maybe_received: bool = False
    ) -> None:
        """Keep what decides on the next step."""
        super().__init__(message)
        self.status = status
        self.said = said
        self.maybe_received = maybe_received


class NotifyProblem(ZkRollbackError):
    """The team could not be told.

    Attributes:
        maybe_sent: True if the message may have arrived all the same (a read timeout).
    """

    def __init__(self, message: str, *, maybe_sent: bool = False) -> None:
        """Keep whether a retry could post twice."""
        super().__init__(message)
        self.maybe_sent = maybe_sent


class ItemProblem(ZkRollbackError):
    """A repository's own item could not look: whatever its code raised."""


class MigrationProblem(ZkRollbackError):
    """Migration files, or the version of a database's schema, could not be read: it stays unknown."""


class DrillProblem(ZkRollbackError):
    """The drill's cluster could not be built, started or found."""
