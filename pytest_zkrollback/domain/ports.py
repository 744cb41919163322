"""The seams. Judges and the rollback reach the outside world only through these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from .checks import Change, History, JsonObject

if TYPE_CHECKING:  # pydantic costs 0.3 s, which the drill's small processes need not pay
    from kubernetes.client import ApiClient

    from .verdict import Judgement

T = TypeVar("T")
Page = TypeVar("Page")


class Stage(Enum):
    """When an item's judging begins, and with it its observing.

    OBSERVED_EARLY is observed from helm's exit on.
    """

    IMMEDIATE = "from helm's exit"
    OBSERVED_EARLY = "once every rollout has a verdict; what was seen before feeds the recovery clock"
    AFTER_ROLLOUTS = "once every rollout has a verdict"
    SOAK = "once all of those are in order, beside the soak; the first verdict comes without it"
    FINAL = "once every other item has a verdict; in a soak once the first verdict is there"


class Check(Protocol):
    """One checklist item: how to observe it and how to judge what was observed.

    ``observe`` does IO, is called in a thread of its own, may block up to its own deadlines and raises
    only :class:`~.errors.ZkRollbackError`. ``judge`` is pure and may be called at any moment.
    """

    @property
    def id(self) -> str:
        """ASCII id of the item, e.g. ``rollout-backend``."""

    @property
    def title(self) -> str:
        """The runbook's line in a person's words."""

    @property
    def expected(self) -> str:
        """What has to be seen for PASS."""

    @property
    def command(self) -> str:
        """The command that repeats this by hand."""

    @property
    def stage(self) -> Stage:
        """When judging begins."""

    @property
    def deadline_s(self) -> float:
        """Seconds from the beginning of judging until a Pending becomes final."""

    @property
    def interval_s(self) -> float | None:
        """Seconds between observations; None: one observation, begun when judging begins."""

    @property
    def soak_interval_s(self) -> float | None:
        """The same once it has passed, until the soak ends; None: it is not looked at again."""

    @property
    def follows(self) -> Callable[[Change], bool] | None:
        """Whether a change of what is watched is a reason to look at once; None: it is judged by other
        things."""

    @property
    def gates_others(self) -> bool:
        """Whether the stages after IMMEDIATE wait for its first verdict."""

    @property
    def rechecked_at_end(self) -> bool:
        """Whether its PASS stays open until every other item is judged, and is then looked at once more."""

    @property
    def rechecked_on_failure(self) -> bool:
        """Whether its PASS is looked at once more where something else failed: to look does nothing."""

    @property
    def failure_ends_waiting(self) -> bool:
        """Whether, once it has failed, nobody needs to wait long for what shows users no more than that."""

    @property
    def waiting_may_end(self) -> bool:
        """Whether it is one that is then not waited for."""

    def observe(self) -> object:
        """One observation; what it returns is the sample's value."""

    def judge(self, history: History, now: datetime) -> Judgement:
        """The judgement on what was seen so far."""


class Hooks(Protocol):
    """The repository's own parts, by the hooks of ``hookspecs.py``."""

    def answers(self, hook: str, timeout_s: float = 10.0, **facts: object) -> tuple[object, ...]:
        """What each implementation of ``hook`` gave, first registered first; raises HookProblem, also if
        that takes longer than ``timeout_s``."""


class Clock(Protocol):
    """Time. ``now`` is aware, UTC, and follows the API server's clock once it has been seen."""

    def now(self) -> datetime:
        """Server time, UTC."""

    def own_now(self) -> datetime:
        """This machine's own time, UTC, whatever a server says."""

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary start, never going back."""

    def sleep(self, seconds: float) -> None:
        """Wait ``seconds``."""


class Kube(Protocol):
    """The API server, raw JSON in and out. Every method raises a ClusterError."""

    def get(self, path: str, query: Mapping[str, str] | None = None, timeout_s: float = 5.0) -> JsonObject:
        """GET ``path`` (``/api/v1/...``)."""

    def list(
        self, path: str, query: Mapping[str, str] | None = None, timeout_s: float = 5.0
    ) -> tuple[JsonObject, ...]:
        """All items of a list, page by page."""

    def pages(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        timeout_s: float = 5.0,
        *,
        without_managed_fields: bool = False,
        page_bytes: int = 0,
    ) -> Iterator[tuple[tuple[JsonObject, ...], str]]:
        """The same page by page, so that a long list is never held whole, each with the resourceVersion.

        ``without_managed_fields``: without managedFields. ``page_bytes``, if above 0: no page of several
        items is larger.
        A continue token that expired meanwhile is a BadAnswer with status 410: begin again.
        """

    def list_metadata(
        self, path: str, query: Mapping[str, str] | None = None, timeout_s: float = 5.0
    ) -> tuple[JsonObject, ...]:
        """The same with ``metadata`` only: the labels of Secrets without their megabytes of data."""

    def list_with_version(
        self, path: str, timeout_s: float = 5.0, keep: Callable[[JsonObject], JsonObject] = lambda item: item
    ) -> tuple[tuple[JsonObject, ...], str]:
        """What ``keep`` makes of each item, page by page, and the resourceVersion to watch from.

        The items are without managedFields. ``timeout_s`` is each page's own; all have fifteen times that.
        """

    def watch(self, path: str, resource_version: str, timeout_s: float) -> Iterator[JsonObject]:
        """Watch events ``{type, object}`` until the server ends the stream or ``timeout_s`` passed.

        The objects are without managedFields.
        """

    def text(
        self, path: str, query: Mapping[str, str] | None = None, timeout_s: float = 5.0, limit_bytes: int = 0
    ) -> str:
        """GET of plain text (pod logs), decoded with replacement, cut at ``limit_bytes`` if above 0."""

    def send(
        self,
        method: str,
        path: str,
        body: JsonObject | str,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
        timeout_s: float = 5.0,
    ) -> JsonObject:
        """POST, PUT or PATCH; access reviews and server-side dry runs are done with this."""

    def open_connections(self, count: int) -> None:
        """Have so many idle connections, for what is asked side by side; nothing is raised."""

    def api_client(self) -> ApiClient:
        """Kubernetes' own client for the same server, for items of a repository's own."""

    def resource_path(self, api_version: str, kind: str, namespace: str, name: str = "") -> str:
        """The path of a kind's objects (by discovery): ``/apis/apps/v1/namespaces/n/deployments/name``."""


@dataclass(frozen=True)
class Finished:
    """A local program that ended, or that was ended.

    ``output`` is stdout and stderr interleaved, ``stdout``/``stderr`` apart where asked for; all bounded
    (head and tail) and decoded with replacement. ``exit_code`` is None if the deadline ended it.
    """

    argv: tuple[str, ...]
    exit_code: int | None
    output: str
    stdout: str
    stderr: str
    duration_s: float
    timed_out: bool = False
    leftover_child: bool = False


class Processes(Protocol):
    """Starts local programs; the only one that does."""

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        on_line: Callable[[str], None] | None = None,
        on_start: Callable[[int], None] | None = None,
        limit_bytes: int = 256 * 1024,
        detached: bool = False,
    ) -> Finished:
        """Run to its end in a session of its own, standard input closed; raises ProcessProblem.

        ``detached``: it has to finish even if we end (helm), so it writes to files and not to our pipes,
        where its next word would kill it; ``on_line`` is not called then.

        A child that outlives it and keeps the pipe open does not hang us. At ``timeout_s`` the whole
        process group is ended (TERM, then KILL) and ``timed_out`` is set.
        """


@dataclass(frozen=True)
class HttpAnswer:
    """A complete HTTP answer: status, lower-case headers, body cut at the cap that was asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool
    duration_s: float


class Http(Protocol):
    """HTTP without surprises: no redirects, a total deadline, a size cap. Raises HttpProblem."""

    def get(self, url: str, *, timeout_s: float, limit_bytes: int = 1 << 20) -> HttpAnswer:
        """GET ``url``; ``timeout_s`` is the total."""

    def post_json(
        self, url: str, body: JsonObject, *, timeout_s: float, limit_bytes: int = 65536
    ) -> HttpAnswer:
        """POST JSON; ``timeout_s`` is the total."""


class GithubApi(Protocol):
    """GitHub's REST API of one repository; paths are relative to it. Every method raises GithubProblem."""

    @property
    def scopes(self) -> frozenset[str] | None:
        """Scopes of a classic token, once a request was answered; None for other tokens."""

    def now(self) -> datetime:
        """GitHub's time, UTC."""

    def get(self, path: str, shape: type[T], query: Mapping[str, str] | None = None) -> T:
        """GET ``path``, read into ``shape`` (of ``github_answers``)."""

    def find(self, path: str, shape: type[T], query: Mapping[str, str] | None = None) -> T | None:
        """GET ``path``; None where there is none (404)."""

    def pages(
        self,
        path: str,
        shape: type[Page],
        entries: Callable[[Page], Sequence[T]],
        query: Mapping[str, str] | None = None,
    ) -> tuple[T, ...]:
        """All entries of a list, page by page; ``entries`` takes them out of one, which is a ``shape``."""

    def send(self, method: str, path: str, body: JsonObject, shape: type[T]) -> T:
        """POST, PUT or PATCH, carried out once at most; no body is read as ``{}``."""
