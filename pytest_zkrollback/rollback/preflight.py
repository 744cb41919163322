"""The read-only preflight: all questions at once, within one budget; what has not answered is unknown."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ..domain.errors import ZkRollbackError
from .guards import Answer, Facts

if TYPE_CHECKING:
    from ..clients.helm import HelmCli
    from ..domain.environment import Environment
    from ..domain.observation import JsonObject
    from ..domain.ports import Clock, Kube
    from ..release.history import ReleaseHistory
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
    fetch_history: Callable[[], ReleaseHistory],
    plan_writes: Callable[[ReleaseHistory], Mapping[tuple[str, ...], Sequence[JsonObject]]],
    fetch_lock: Callable[[], LockState],
    clock: Clock,
    *,
    writes: bool,
) -> Facts:
    """Everything that the guards judge. ``plan_writes``: the verbs that helm will need, with their objects.

    Without ``writes`` (verify-only) only what verifying needs is asked.
    """
    history_known = threading.Event()
    found: list[ReleaseHistory] = []

    def history() -> ReleaseHistory:
        try:
            found.append(fetch_history())
            return found[0]
        finally:
            history_known.set()

    def denied() -> Sequence[str]:
        history_known.wait(env.preflight_budget_s)
        return fetch_denied(kube, env.namespace, plan_writes(found[0]) if found else {})

    questions: dict[str, Callable[[], object]] = {
        "history": history,
        "identity": lambda: fetch_identity(kube),
        "server": lambda: str(kube.get("/version")["gitVersion"]),
    }
    if writes:
        questions |= {"helm": lambda: helm().fetch_version(), "denied": denied, "lock": fetch_lock}
    answers = ask_all(questions, env.preflight_budget_s, clock)
    return Facts(**{"helm": Answer(), "denied": Answer(), "lock": Answer(), **answers})


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
