"""release-equivalence: the live objects, and the pods that run, are those of the target revision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

from ..domain.environment import Environment
from ..domain.errors import Forbidden, Unauthorized, ZkRollbackError
from ..domain.model import Revision
from ..domain.observation import History, JsonObject
from ..domain.ports import Kube, Stage
from ..domain.verdict import Evidence, Judgement, Pending, Verdict, Word, evidence
from ..release.equivalence import Difference, Live, compare, fetch_live, render_differences
from ..release.history import ReleaseHistory
from ..release.manifest import WORKLOAD_KINDS, container_images, identity, manifest_workloads, pod_template
from .commands import helm, kubectl

_OVER = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Observed:
    """One look: the live objects in the manifest's order, and the namespaces' ReplicaSets and pods.

    ``error`` is why there are no pods to look at. ``leftovers`` answers the check's; ``head`` is the
    release's newest revision at that moment, ``deployed`` the numbers of all that helm calls deployed.
    """

    live: tuple[Live, ...]
    replicasets: tuple[JsonObject, ...] = ()
    pods: tuple[JsonObject, ...] = ()
    error: ZkRollbackError | None = None
    leftovers: tuple[Live, ...] = ()
    head: Revision | None = None
    deployed: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EquivalenceCheck:
    """Compares, read-only, everything that ``target`` states with what is live.

    ``target`` are the objects of the manifest of revision ``revision`` (``release.manifest``); ``leftovers``
    those that only rolled-away revisions have, which have to be gone; ``release`` reads the release's
    history, whose head has to be ``expected_head`` (None: not known) and alone deployed.
    """

    env: Environment
    kube: Kube
    revision: int
    target: tuple[JsonObject, ...]
    leftovers: tuple[JsonObject, ...] = ()
    release: Callable[[], ReleaseHistory] | None = None
    expected_head: int | None = None
    id: str = field(default="release-equivalence", init=False)
    title: str = field(default="Live objects equal the target revision", init=False)
    stage: Stage = field(default=Stage.SETTLED, init=False)
    interval_s: float | None = field(default=0.5, init=False)
    soak_interval_s: float | None = field(default=5.0, init=False)
    deadline_s: float = field(default=10.0, init=False)

    @property
    def expected(self) -> str:
        """What has to be seen."""
        return (
            f"all {len(self.target)} objects of revision {self.revision} are live as stated, every pod of "
            "its workloads runs its images, nothing of the rolled-away revisions is left, and helm calls "
            "the release deployed"
        )

    @property
    def command(self) -> str:
        """helm's manifest, compared by kubectl."""
        manifest = helm(self.env, "get", "manifest", self.env.release, "--revision", str(self.revision))
        return f"{manifest} | {kubectl(self.env, 'diff', '-f', '-')}"

    def observe(self) -> Observed:
        """Every object, then ReplicaSets and pods; what could not be read is in the answer."""
        release = self.release() if self.release is not None else None
        head = release.head.revision if release is not None else None
        deployed = release.deployed_numbers if release is not None else ()
        live = fetch_live(self.kube, self.target)
        leftovers = fetch_live(self.kube, self.leftovers)
        replicasets: list[JsonObject] = []
        pods: list[JsonObject] = []
        try:
            for namespace in sorted({identity(item).namespace for item in manifest_workloads(self.target)}):
                place = f"namespaces/{quote(namespace, safe='')}"
                replicasets += self.kube.list(f"/apis/apps/v1/{place}/replicasets")
                pods += self.kube.list(f"/api/v1/{place}/pods")
        except ZkRollbackError as error:
            return Observed(live, error=error, leftovers=leftovers, head=head, deployed=deployed)
        return Observed(
            live, tuple(replicasets), tuple(pods), leftovers=leftovers, head=head, deployed=deployed
        )

    def judge(self, history: History, now: datetime) -> Judgement:  # noqa: ARG002 - the deadline is the schedule's
        """PASS if all was read and equal; a difference is FAIL at once, an old pod only when it stays."""
        if not self.target:
            return Verdict(
                word=Word.UNVERIFIED,
                observed=f"The manifest of revision {self.revision} holds no object: nothing to compare.",
            )
        sample = history.judged[-1] if history.judged else None
        if sample is None or history.rollouts_passed is None:
            return Pending(observed="Not compared yet: the rollouts have not settled.", seen=False)
        if not isinstance(sample.value, Observed):
            return Pending(observed=f"The live objects could not be read: {sample.error}", seen=False)
        return self._judged(sample.value, rollouts_passed=history.rollouts_passed)

    def _judged(self, seen: Observed, *, rollouts_passed: bool) -> Judgement:
        trouble = self._head_trouble(seen.head, seen.deployed)
        if trouble is not None:
            return trouble
        differences = compare(self.target, seen.live)
        wrong = [one for one in differences if not one.unknown]
        errors = [one.error for one in differences if one.error is not None]
        if seen.error is not None:
            errors.append(seen.error)
        errors += [answer.error for answer in seen.leftovers if answer.error is not None]
        left = [
            f"{identity(item).label}, which revision {self.revision} does not have, is still live"
            for item, answer in zip(self.leftovers, seen.leftovers, strict=True)
            if answer.item is not None and not answer.item["metadata"].get("deletionTimestamp")
        ]
        pods, strays = judge_pods(self.target, seen)
        how = f"read-only comparison of {len(self.target)} objects and {pods} pods"
        proof = _proof(differences, [*left, *strays], seen.error)
        if wrong:
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            return Verdict(word=Word.FAIL, observed=f"{wrong[0]}{more}; {how}", evidence=proof)
        if left:
            more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
            return Verdict(word=Word.FAIL, observed=f"{left[0]}{more}; {how}", evidence=proof)
        if errors:
            observed = f"{len(errors)} of these reads failed: {errors[0]} ({how})"
            if all(isinstance(error, Forbidden | Unauthorized) for error in errors):
                return Verdict(word=Word.UNVERIFIED, observed=observed, evidence=proof)
            return Pending(observed=observed, seen=False, evidence=proof)
        if strays:
            more = f" (and {len(strays) - 1} more)" if len(strays) > 1 else ""
            observed = f"{strays[0]}{more}; {how}"
            if rollouts_passed:
                return Pending(observed=observed, seen=True, evidence=proof)
            return Verdict(word=Word.FAIL, observed=observed, evidence=proof)
        return Verdict(word=Word.PASS, observed=f"No difference; {how}", evidence=proof)

    def _head_trouble(self, head: Revision | None, deployed: tuple[int, ...]) -> Verdict | None:
        """A newer revision than ours, or one that helm does not call deployed, or not alone."""
        if head is None:
            return None
        if self.expected_head is not None and head.revision != self.expected_head:
            text = f"superseded: revision {head.revision} ({head.description}) appeared meanwhile"
            return Verdict(word=Word.FAIL, observed=text)
        if head.status != "deployed":
            word = Word.FAIL if head.status == "failed" else Word.UNVERIFIED
            text = (
                f"helm calls revision {head.revision} {head.status}: {head.description or 'no description'}"
            )
            return Verdict(word=word, observed=text)
        if len(deployed) > 1:
            text = (
                f"helm calls revisions {' and '.join(map(str, deployed))} deployed: another helm ended after "
                "ours, and the next upgrade may start from either. Once no other helm is at work, the same "
                "rollback again leaves one"
            )
            return Verdict(word=Word.FAIL, observed=text)
        return None


def judge_pods(target: Sequence[JsonObject], seen: Observed) -> tuple[int, list[str]]:
    """How many pods the workloads of ``target`` run, and a sentence for each that is not the target's.

    Terminating and finished pods do not count. A pod may have more containers than its template (a sidecar
    that was injected), but each of the template's has to run the template's image.
    """
    owners = {
        _uid(answer.item): item
        for item, answer in zip(target, seen.live, strict=True)
        if answer.item is not None and _is_workload(item)
    }
    for replicaset in seen.replicasets:
        owner = owners.get(_controller(replicaset))
        if owner is not None:
            owners[_uid(replicaset)] = owner
    count: dict[str, int] = {}
    strays: list[str] = []
    for pod in seen.pods:
        item = owners.get(_controller(pod))
        finished = (pod.get("status") or {}).get("phase") in _OVER
        if item is None or finished or pod["metadata"].get("deletionTimestamp"):
            continue
        label = identity(item).label
        count[label] = count.get(label, 0) + 1
        running = container_images(pod)
        for name, image in container_images(pod_template(item) or {}).items():
            if running.get(name) != image:
                strays.append(
                    f"Pod {pod['metadata'].get('name')} of {label} runs {running.get(name, 'no container')} "
                    f"as {name}, not {image}"
                )
    for item, answer in zip(target, seen.live, strict=True):
        label = identity(item).label
        if answer.item is not None and _pods_wanted(answer.item) and not count.get(label):
            strays.append(f"{label} runs no pod, and wants {_pods_wanted(answer.item)}")
    return sum(count.values()), strays


def _pods_wanted(workload: JsonObject) -> int:
    if workload.get("kind") == "DaemonSet":
        return int((workload.get("status") or {}).get("desiredNumberScheduled") or 0)
    return int((workload.get("spec") or {}).get("replicas") or 0) if _is_workload(workload) else 0


def _is_workload(item: JsonObject) -> bool:
    return item.get("kind") in WORKLOAD_KINDS


def _uid(item: Mapping[str, JsonObject]) -> str:
    return str(item["metadata"].get("uid"))


def _controller(item: JsonObject) -> str:
    """The UID of the owner that manages this object; empty if it has none."""
    owners = item["metadata"].get("ownerReferences") or ()
    return next((str(owner.get("uid")) for owner in owners if owner.get("controller")), "")


def _proof(
    differences: Sequence[Difference], strays: Sequence[str], error: ZkRollbackError | None
) -> tuple[Evidence, ...]:
    parts = []
    if differences:
        parts.append(evidence("Target revision (-) and live (+)", render_differences(differences), "diff"))
    if strays:
        parts.append(evidence("What is not the target's", "\n".join(strays)))
    if error is not None:
        parts.append(evidence("Pods were not read", str(error)))
    return tuple(parts)
