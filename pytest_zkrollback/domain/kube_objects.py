"""What any Kubernetes object or pod says of itself, read from raw JSON. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final, TypeAlias

from .checks import JsonObject

# Kind -> the resource under which the API server lists it, and under which snapshots hold it.
PLURALS: Final = {
    "Pod": "pods",
    "ReplicaSet": "replicasets",
    "Deployment": "deployments",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
    "ConfigMap": "configmaps",
    "Secret": "secrets",
    "ServiceAccount": "serviceaccounts",
    "PersistentVolumeClaim": "persistentvolumeclaims",
}
_BY_LOWER_KIND: Final = {kind.lower(): plural for kind, plural in PLURALS.items()}
# What is there is all that it is: a warning about one of these (the result of an audit, say) is evidence.
STATELESS_KINDS: Final = frozenset(
    {"ConfigMap", "Secret", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
)


@dataclass(frozen=True)
class WorkloadName:
    """A workload as the checklist names it: ``kind/name``; elsewhere ``namespace/kind/name``."""

    kind: str
    name: str
    namespace: str

    @classmethod
    def parse(cls, text: str, namespace: str) -> WorkloadName:
        """``namespace`` is the release's own, for those that name none."""
        *elsewhere, kind, name = text.split("/")
        return cls(kind, name, elsewhere[0] if elsewhere else namespace)

    @property
    def label(self) -> str:
        """``deployment/web``."""
        return f"{self.kind}/{self.name}"


def namespace_of(item: JsonObject) -> str:
    """The namespace that the object stands in; empty: it says none."""
    return str(_metadata(item).get("namespace") or "")


def plural_of(kind: str) -> str:
    """The resource of a kind in any case: the configuration writes ``deployment/name``."""
    return _BY_LOWER_KIND[kind.lower()]


def uid(item: JsonObject) -> str:
    """The object's UID; empty: it says none."""
    return str(_metadata(item).get("uid") or "")


def owners(item: JsonObject) -> tuple[JsonObject, ...]:
    """Its owner references."""
    return tuple(_metadata(item).get("ownerReferences") or ())


def owned_by(items: Sequence[JsonObject], uids: Collection[str]) -> tuple[JsonObject, ...]:
    """Those of the ``items`` that one of the ``uids`` owns, in their order.

    Twenty workloads look at the same state of a list: who owns what is worked out once for it.
    """
    found = {place: item for each in uids for place, item in _OWNED.by_owner(items).get(each, ())}
    return tuple(found[place] for place in sorted(found))


class _Owned:
    """Places and items by the UIDs of their owners, of the lists that were asked for last."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[int, tuple[Sequence[JsonObject], _ByOwner]] = OrderedDict()
        self._size = 0

    def by_owner(self, items: Sequence[JsonObject]) -> _ByOwner:
        if not isinstance(items, tuple):  # it may change
            return _by_owner(items)
        with self._lock:
            if (known := self._known.get(id(items))) is not None:
                return known[1]
            found = _by_owner(items)
            self._known[id(items)] = items, found  # while it is held, nobody else has its id
            self._size += len(items)
            while self._size > _ITEMS_KNOWN and len(self._known) > _LISTS_KNOWN:
                _, (oldest, _) = self._known.popitem(last=False)
                self._size -= len(oldest)
            return found


_ByOwner: TypeAlias = dict[str, list[tuple[int, JsonObject]]]
# So many lists of any length, and more where they are short: each workload has samples of its own moment.
_LISTS_KNOWN: Final = 6
_ITEMS_KNOWN: Final = 20_000
_OWNED: Final = _Owned()


def _by_owner(items: Sequence[JsonObject]) -> _ByOwner:
    found: _ByOwner = {}
    for place, item in enumerate(items):
        for owner in owners(item):
            found.setdefault(str(owner.get("uid") or ""), []).append((place, item))
    return found


def controller(item: JsonObject) -> JsonObject | None:
    """The reference to the one owner that manages it; None: nobody does."""
    return next((owner for owner in owners(item) if owner.get("controller")), None)


def controller_uid(item: JsonObject) -> str:
    """The UID of the owner that manages it; empty: nobody does."""
    return str((controller(item) or {}).get("uid") or "")


def has_condition(item: JsonObject, kind: str) -> bool:
    """Whether this condition of its status is true."""
    conditions = (item.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == kind and each.get("status") == "True" for each in conditions)


def is_ready(item: JsonObject) -> bool:
    """Whether the condition Ready of a pod or node is true."""
    return has_condition(item, "Ready")


def is_terminating(item: JsonObject) -> bool:
    """Whether it is being deleted."""
    return bool(_metadata(item).get("deletionTimestamp"))


def has_ended(pod: JsonObject) -> bool:
    """Whether the pod is over for good: completed, failed or evicted."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def is_alive(pod: JsonObject) -> bool:
    """Whether the pod is neither over nor being deleted."""
    return not has_ended(pod) and not is_terminating(pod)


def update_strategy(item: JsonObject) -> JsonObject:
    """How a StatefulSet or DaemonSet replaces its pods: ``spec.updateStrategy``."""
    strategy: JsonObject = (item.get("spec") or {}).get("updateStrategy") or {}
    return strategy


def replaces_by_hand(item: JsonObject) -> bool:
    """Whether its controller replaces a pod only when somebody deletes it (``OnDelete``).

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#on-delete
    """
    return update_strategy(item).get("type") == "OnDelete"


def partition_of(item: JsonObject) -> int:
    """The ordinal below which a StatefulSet's pods stay at their revision; 0: all are replaced."""
    return int((update_strategy(item).get("rollingUpdate") or {}).get("partition") or 0)


def is_observed(kind: str, item: JsonObject) -> bool:
    """Whether the controller has seen the current spec, so that the status speaks of it."""
    observed = int((item.get("status") or {}).get("observedGeneration") or 0)
    if kind == "statefulset" and observed == 0:
        return False
    return int(item["metadata"].get("generation") or 0) <= observed


def ordinal(pod: JsonObject) -> int:
    """The number at the end of the name of a StatefulSet's pod."""
    number = str(_metadata(pod).get("name") or "").rpartition("-")[2]
    return int(number) if number.isdecimal() else 0


def _metadata(item: JsonObject) -> JsonObject:
    return item.get("metadata") or {}


# The groups whose Go types client-go has (kubernetes/scheme), and that of definitions: helm knows no others.
NATIVE_GROUPS = frozenset(
    (
        *("", "apps", "autoscaling", "batch", "extensions", "policy", "admissionregistration.k8s.io"),
        *("apiextensions.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "certificates.k8s.io"),
        *("coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "flowcontrol.apiserver.k8s.io"),
        *("internal.apiserver.k8s.io", "lifecycle.k8s.io", "networking.k8s.io", "node.k8s.io"),
        *("rbac.authorization.k8s.io", "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io"),
        "storagemigration.k8s.io",
    )
)


def is_native(item: JsonObject) -> bool:
    """Whether Kubernetes itself defines the group: a name that ends in ``.k8s.io`` does not say so (Gateway
    API, VPA and snapshots are custom resources)."""
    return str(item.get("apiVersion")).rpartition("/")[0] in NATIVE_GROUPS
