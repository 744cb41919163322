"""The read-only preflight: all questions at once, within one budget; what has not answered is unknown."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from ..clients.threads import submit
from ..domain.errors import HelmProblem, ZkRollbackError
from ..release.gitops import GitOpsOwner, fetch_suspended_reason, find_owners
from ..release.namespaces import pod_namespaces
from .compare_revisions import gather_change_summary
from .contents import fetch_contents
from .forecast import make_forecast
from .node_images import fetch_images
from .permissions import Granted, fetch_denied, fetch_missing_of_records, fetch_unreadable
from .probe import Facts, ProbeResult
from .release_view import CachedProbe, ReleaseView

if TYPE_CHECKING:
    from ..clients.helm import HelmCli
    from ..config.environment import Environment
    from ..domain.checks import JsonObject
    from ..domain.forecast import Forecast
    from ..domain.ports import Clock, Kube
    from ..rollback.lock import LockState

T = TypeVar("T")

# What a rollback cannot do without, and how long it is waited for with --rollback-break-glass.
_NEEDED = ("history", "choice", "identity", "helm", "denied", "lock")
PATIENCE_S = 30.0
# What is only good to know, and how long it is waited for once everything else has answered.
_BESIDE = ("images",)
_BESIDE_S = 0.2


def ask_all(
    questions: Mapping[str, Callable[[], object]],
    budget_s: float,
    clock: Clock,
    patience_s: Mapping[str, float] | None = None,
    beside: Collection[str] = (),
) -> dict[str, ProbeResult[Any]]:
    """Ask every question in a daemon thread of its own; after ``budget_s`` seconds the rest is unknown.

    ``patience_s``: what is waited for longer, by name. ``beside``: what holds nothing up.
    """
    answers = {name: submit(f"preflight-{name}", question) for name, question in questions.items()}
    began_s, more = clock.monotonic_s(), patience_s or {}
    waited_s = {name: max(budget_s, more.get(name, 0.0)) for name in answers}
    for name, answer in answers.items():
        if name not in beside:
            wait([answer], max(0.0, began_s + waited_s[name] - clock.monotonic_s()))
    wait([answer for name, answer in answers.items() if name in beside], _BESIDE_S)
    return {
        name: _probe_result(answer, waited_s[name] if name not in beside else None)
        for name, answer in answers.items()
    }


def _probe_result(answer: Future[object], waited_s: float | None) -> ProbeResult[Any]:
    if not answer.done():
        return ProbeResult(budget_s=waited_s)
    error = answer.exception()
    if error is None:
        return ProbeResult(value=answer.result())
    if isinstance(error, ZkRollbackError):
        return ProbeResult(error=error)
    # A bug in one question must not cost the others' answers: what it asks about is unknown.
    return ProbeResult(
        error=ZkRollbackError(f"asking failed inside this tool: {type(error).__name__}: {error}")
    )


def fetch_facts(
    env: Environment,
    kube: Kube,
    helm: Callable[[], HelmCli],
    view: ReleaseView,
    require_free: Callable[[LockState], LockState],
    clock: Clock,
    *,
    writes: bool,
    locks: bool = False,
    recovers: bool = False,
    patient: bool = False,
    driver: str = "",
    outside: Mapping[str, Callable[[], object]] | None = None,
) -> Facts:
    """Everything that the guards judge. Without ``writes`` (verify-only) only what verifying needs is asked;
    with ``locks`` also what taking the lock needs, and only with ``recovers`` what a recovery needs.
    ``patient``: a slow API server is waited for longer, as far as the rollback needs its answers.

    ``require_free`` raises LockHeld. ``driver`` is the operator's HELM_DRIVER; ``outside`` are the
    decision's questions, in the same budget.
    """

    granted, tried, began_s = Granted(), threading.Event(), clock.monotonic_s()

    def forecast() -> Forecast | None:
        try:
            return make_forecast(kube, env.namespace, view, version().major, granted=granted)
        finally:
            tried.set()

    def denied() -> Sequence[str]:
        of_records = submit("rights", lambda: fetch_missing_of_records(kube, env.namespace))
        with suppress(ZkRollbackError):
            view.choice()  # nothing can be tried before
        # What the forecast has tried needs no review. It is waited for in the first half of the budget: the
        # reviews have to be answered in the second.
        until_s = began_s + env.preflight_budget_s / 2
        try:
            wanted = view.writes(max(0.0, until_s - clock.monotonic_s()))
        except ZkRollbackError:
            wanted = {}  # what the release holds is unknown, and said so by another guard
        else:
            granted.add_records("list")
        tried.wait(max(0.0, until_s - clock.monotonic_s()))
        return fetch_denied(kube, env.namespace, wanted, granted, of_records.result)

    version = CachedProbe(lambda: helm().fetch_version())
    questions: dict[str, Callable[[], object]] = {
        "history": view.history,
        "choice": view.choice,
        "journal": view.journal,
        "identity": lambda: fetch_identity(kube),
        "server": lambda: str(kube.get("/version")["gitVersion"]),
    }
    if writes:
        questions |= {
            "helm": version,
            "forecast": forecast,
            "denied": denied,
            "unreadable": lambda: fetch_unreadable(kube, env.namespace, view.objects_of(view.target)),
            "lock": lambda: require_free(view.lock()),
            "live": view.live,
            "touched": view.touched,
            "contents": lambda: fetch_contents(kube, view.touched().deleted),
            "owners": lambda: fetch_owners(kube, view),
            "scalers": lambda: fetch_scalers(kube, env.namespace, view),
            "elsewhere": lambda: fetch_elsewhere(kube, env, view),
            "images": lambda: fetch_images(kube, env.namespace, view),
            "change_summary": lambda: gather_change_summary(kube, env.namespace, view),
        }
    if locks:
        questions |= {
            "denied": lambda: fetch_denied(kube, env.namespace, {}),
            "lock": lambda: require_free(view.lock()),
        }
    if recovers:
        questions["hook_jobs"] = view.hook_jobs
    more = outside or {}
    patience_s = dict.fromkeys(_NEEDED, PATIENCE_S) if patient else {}
    answers = ask_all({**questions, **more}, env.preflight_budget_s, clock, patience_s, _BESIDE)
    signals = {name: answers.pop(name) for name in more}
    return Facts(**answers, driver=driver, now=clock.now(), outside=signals)


def fetch_owners(kube: Kube, view: ReleaseView) -> tuple[GitOpsOwner, ...]:
    """The GitOps controllers of the live objects, each with why it will not act. Raises ZkRollbackError."""
    items = [answer.item for answer in view.live().values() if answer.item is not None]
    return tuple(
        fetch_suspended_reason(kube, owner) for owner in find_owners(items, view.history().head.manager)
    )


def fetch_scalers(kube: Kube, namespace: str, view: ReleaseView) -> tuple[JsonObject, ...]:
    """The HorizontalPodAutoscalers of the namespaces that the release has pods in. Raises ClusterError."""
    try:
        places = {namespace, *pod_namespaces(view.objects_of(view.target))}
    except ZkRollbackError:
        places = {namespace}  # what the release holds is unknown, and said so by another guard
    return tuple(
        item
        for each in sorted(places)
        for item in kube.list(
            f"/apis/autoscaling/v2/namespaces/{quote(each, safe='')}/horizontalpodautoscalers"
        )
    )


def fetch_elsewhere(kube: Kube, env: Environment, view: ReleaseView) -> bool:
    """Whether ConfigMaps hold the release that Secrets do not. Raises ClusterError."""
    try:
        view.history()
    except HelmProblem:
        path = f"/api/v1/namespaces/{quote(env.namespace, safe='')}/configmaps"
        return bool(kube.list_metadata(path, {"labelSelector": f"owner=helm,name={env.release}"}))
    return False


def fetch_identity(kube: Kube) -> str:
    """The UID of the kube-system namespace, which is the cluster's. Raises ClusterError."""
    return str(kube.get("/api/v1/namespaces/kube-system")["metadata"]["uid"])
