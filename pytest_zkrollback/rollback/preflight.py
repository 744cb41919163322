"""The read-only preflight: all questions at once, within one budget; what has not answered is unknown."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from ..domain.errors import HelmProblem, ZkRollbackError
from ..release.owners import Owner, fetch_idle, find_owners
from .dossier import gather_dossier
from .forecast import make_forecast
from .guards import Answer, Facts
from .look import Look, Once

if TYPE_CHECKING:
    from ..clients.helm import HelmCli
    from ..domain.environment import Environment
    from ..domain.observation import JsonObject
    from ..domain.ports import Clock, Kube
    from .lock import LockState

T = TypeVar("T")

# What helm does to its own records while it rolls back with --history-max 0 (helm-measured.md, 9).
_STORE_VERBS = ("list", "get", "create", "update")


def ask_all(
    questions: Mapping[str, Callable[[], object]], budget_s: float, clock: Clock
) -> dict[str, Answer[Any]]:
    """Ask every question in a daemon thread of its own; after ``budget_s`` seconds the rest is unknown."""
    answers: dict[str, Answer[Any]] = {}

    def ask(name: str, question: Callable[[], object]) -> None:
        try:
            answers[name] = Answer(value=question())
        except ZkRollbackError as error:
            answers[name] = Answer(error=error)

    threads = [
        threading.Thread(target=ask, args=pair, daemon=True, name=f"preflight-{pair[0]}")
        for pair in questions.items()
    ]
    for thread in threads:
        thread.start()
    end_s = clock.monotonic_s() + budget_s
    for thread in threads:
        thread.join(max(0.0, end_s - clock.monotonic_s()))
    return {name: answers.get(name, Answer()) for name in questions}


def fetch_facts(
    env: Environment,
    kube: Kube,
    helm: Callable[[], HelmCli],
    look: Look,
    fetch_lock: Callable[[], LockState],
    clock: Clock,
    *,
    writes: bool,
    recovers: bool = False,
    driver: str = "",
    outside: Mapping[str, Callable[[], object]] | None = None,
) -> Facts:
    """Everything that the guards judge. Without ``writes`` (verify-only) only what verifying needs is asked,
    and only with ``recovers`` what a recovery needs.

    ``driver`` is the operator's HELM_DRIVER; ``outside`` are the decision's questions, in the same budget.
    """

    def denied() -> Sequence[str]:
        try:
            wanted = look.writes()
        except ZkRollbackError:
            wanted = {}  # what the release holds is unknown, and said so by another guard
        return fetch_denied(kube, env.namespace, wanted)

    questions: dict[str, Callable[[], object]] = {
        "history": look.history,
        "choice": look.choice,
        "identity": lambda: fetch_identity(kube),
        "server": lambda: str(kube.get("/version")["gitVersion"]),
    }
    if writes:
        version = Once(lambda: helm().fetch_version())
        questions |= {
            "helm": version,
            "forecast": lambda: make_forecast(kube, env.namespace, look, version().major),
            "denied": denied,
            "lock": fetch_lock,
            "live": look.live,
            "owners": lambda: fetch_owners(kube, look),
            "scalers": lambda: fetch_scalers(kube, env.namespace),
            "elsewhere": lambda: fetch_elsewhere(kube, env, look),
            "dossier": lambda: gather_dossier(kube, env.namespace, look),
        }
    if recovers:
        questions["hook_jobs"] = look.hook_jobs
    more = outside or {}
    answers = ask_all({**questions, **more}, env.preflight_budget_s, clock)
    signals = {name: answers.pop(name) for name in more}
    return Facts(**answers, driver=driver, now=clock.now(), outside=signals)


def fetch_owners(kube: Kube, look: Look) -> tuple[Owner, ...]:
    """The GitOps controllers of the live objects, each with why it will not act. Raises ZkRollbackError."""
    items = [answer.item for answer in look.live().values() if answer.item is not None]
    return tuple(fetch_idle(kube, owner) for owner in find_owners(items, look.history().head.manager))


def fetch_scalers(kube: Kube, namespace: str) -> tuple[JsonObject, ...]:
    """The HorizontalPodAutoscalers of the namespace. Raises ClusterError."""
    return kube.list(f"/apis/autoscaling/v2/namespaces/{quote(namespace, safe='')}/horizontalpodautoscalers")


def fetch_elsewhere(kube: Kube, env: Environment, look: Look) -> bool:
    """Whether ConfigMaps hold the release that Secrets do not. Raises ClusterError."""
    try:
        look.history()
    except HelmProblem:
        path = f"/api/v1/namespaces/{quote(env.namespace, safe='')}/configmaps"
        return bool(kube.list_metadata(path, {"labelSelector": f"owner=helm,name={env.release}"}))
    return False


def fetch_identity(kube: Kube) -> str:
    """The UID of the kube-system namespace, which is the cluster's. Raises ClusterError."""
    return str(kube.get("/api/v1/namespaces/kube-system")["metadata"]["uid"])


def fetch_denied(
    kube: Kube, namespace: str, writes: Mapping[tuple[str, ...], Sequence[JsonObject]]
) -> tuple[str, ...]:
    """The rights that helm needs and that the API server says are missing, by SelfSubjectAccessReview.

    ``writes`` maps verbs to the objects that helm will need them for. Raises ClusterError where a review
    got no answer.
    """
    wanted = {(verb, "", "secrets") for verb in _STORE_VERBS}
    for verbs, entries in writes.items():
        for entry in entries:
            api_version, kind = str(entry.get("apiVersion", "")), str(entry.get("kind", ""))
            group = api_version.rpartition("/")[0]
            resource = kube.resource_path(api_version, kind, namespace).rstrip("/").rsplit("/", 1)[-1]
            wanted |= {(verb, group, resource) for verb in verbs}
    lock = threading.Lock()
    missing: list[str] = []
    errors: list[ZkRollbackError] = []

    def review(verb: str, group: str, resource: str) -> None:
        try:
            answer = kube.send(
                "POST",
                "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                {
                    "apiVersion": "authorization.k8s.io/v1",
                    "kind": "SelfSubjectAccessReview",
                    "spec": {
                        "resourceAttributes": {
                            "namespace": namespace,
                            "verb": verb,
                            "group": group,
                            "resource": resource,
                        }
                    },
                },
            )
        except ZkRollbackError as error:
            with lock:
                errors.append(error)
            return
        if not answer.get("status", {}).get("allowed", False):
            with lock:
                missing.append(f"{verb} {resource}{'.' + group if group else ''}")

    threads = [threading.Thread(target=review, args=right, daemon=True) for right in sorted(wanted)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return tuple(sorted(missing))
