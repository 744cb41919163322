"""The rights that a run needs, and which of them are missing (SelfSubjectAccessReview).

One list for each purpose. The guard ``permissions``, ``--zkrollback-check`` and the Roles that it prints read
the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..clients.access_review import Right, fetch_allowed
from ..domain.errors import NotFound, ZkRollbackError
from ..release.external_references import outer_references
from ..release.manifest import ObjectKey, identity
from ..release.namespaces import event_namespaces, pod_namespaces

if TYPE_CHECKING:
    from ..domain.checks import JsonObject
    from ..domain.ports import Kube

# What helm does to its own records while it rolls back with --history-max 0 (docs/helm-facts.md, 9). The lock
# beside them needs no more.
_STORE_VERBS = ("list", "get", "create", "update")
# Of these no reading and no dry run shows that they are allowed for every name.
_STORE_UNSHOWN = ("get", "update")
# Verbs that no Role can allow by name.
_UNNAMED = ("create", "list", "watch")
_RBAC = "rbac.authorization.k8s.io"
_CLUSTER = "kube-system"
_WHY_STORE = "helm keeps its records in Secrets, whose numbers go on"
_WHY_APPLY = "helm gets, patches, creates and deletes what the manifests state, as a dry run first"
_WHY_HOOKS = "helm makes hooks anew and watches them"
_WHY_LIVE = "what is live is compared with what helm applied"
_WHY_OUTER = "what the pods refer to has to be there"
_WHY_PODS = "rollouts are judged by workloads and pods"
_ROLES = {"Role": "roles", "ClusterRole": "clusterroles"}

# Rights, each with the name of the object that it is for (empty: for any).
Held = tuple[tuple[Right, str], ...]


@dataclass(frozen=True)
class Need:
    """A right that a run needs. ``names``: of the objects; none: RBAC cannot name them.

    ``instead``: rights (each with an object's name or none) that do as well, where all are held; None: none
    are known. ``helpful``: without it the run says less; it rolls back and verifies all the same.
    """

    right: Right
    why: str
    names: frozenset[str] = frozenset()
    instead: Held | None = None
    helpful: bool = False


class Granted:
    """What the API server has carried out for us, as a reading or a dry run: a review would say no more.

    A dry run is authorized as the request itself is, by its verb, kind and name.
    """

    def __init__(self) -> None:
        """Nothing yet. Threads may add."""
        self._verbs: dict[ObjectKey, frozenset[str]] = {}
        self._records: frozenset[str] = frozenset()

    def add(self, key: ObjectKey, *verbs: str) -> None:
        """The ``verbs`` on that object."""
        self._verbs[key] = self._verbs.get(key, frozenset()) | {*verbs}

    def add_records(self, verb: str) -> None:
        """``list`` or ``create`` of helm's own records: no Role can allow these by name."""
        self._records |= {verb}

    def has(self, key: ObjectKey, verb: str) -> bool:
        """Whether it did that to the object."""
        return verb in self._verbs.get(key, ())

    def has_records(self, verb: str) -> bool:
        """Whether it did that with helm's records."""
        return verb in self._records


def rollback_needs(
    kube: Kube, namespace: str, writes: Mapping[tuple[str, ...], Sequence[JsonObject]]
) -> tuple[Need, ...]:
    """What helm needs. ``writes`` maps verbs to the objects that helm will need them for.

    A kind that is not served is left out: the forecast says so. Raises ClusterError.
    """
    needs = _store_needs(namespace, _STORE_VERBS)
    for verbs, entries in writes.items():
        why = _WHY_HOOKS if "watch" in verbs else _WHY_APPLY
        needs += _needs_of(kube, namespace, verbs, entries, why)
    return merged(needs)


def look_needs(namespace: str, objects: Sequence[JsonObject]) -> tuple[Need, ...]:
    """What looking at pods, workloads, logs and events needs, wherever the ``objects`` stand.

    ``namespace`` is the release's own, where it is looked in any case.
    """
    needs: list[Need] = []
    places = {namespace: ("deployments", "pods", "replicasets")}
    for place, kinds in pod_namespaces(objects).items():
        places[place] = tuple(sorted({*places.get(place, ()), *kinds}))
    for place, kinds in places.items():
        for kind in kinds:
            group = "" if kind == "pods" else "apps"
            needs += [Need(Right(verb, group, kind, place), _WHY_PODS) for verb in ("list", "watch")]
        needs.append(Need(Right("get", "", "pods/log", place), "the logs are read"))
    for place in dict.fromkeys((namespace, *event_namespaces(objects))):
        needs.append(Need(Right("list", "", "events", place), "the events are read"))
        needs.append(
            Need(Right("watch", "", "events", place), "events are followed instead of listed", helpful=True)
        )
    return merged(needs)


def verify_needs(
    kube: Kube, namespace: str, objects: Sequence[JsonObject], *, pinned: bool
) -> tuple[Need, ...]:
    """What verifying needs: records, objects and what stands around them. Nothing of it changes anything.

    ``objects``: of the manifests, and what their hooks make. ``pinned``: whether the configuration names the
    cluster's identity. Raises ClusterError.
    """
    identity_of = Right("get", "", "namespaces", _CLUSTER)
    needs = [
        Need(identity_of, "its UID is the cluster's identity", frozenset({_CLUSTER}), helpful=not pinned),
        *_store_needs(namespace, ("list", "get")),
        *_needs_of(kube, namespace, ("get",), objects, _WHY_LIVE),
        *_needs_of(kube, namespace, ("get",), [one.item for one in outer_references(objects)], _WHY_OUTER),
        *look_needs(namespace, objects),
    ]
    for place, kinds in pod_namespaces(objects).items():
        slices = Right("list", "discovery.k8s.io", "endpointslices", place)
        needs.append(Need(slices, "they show which pods serve", helpful=True))
        if {"statefulsets", "daemonsets"} & {*kinds}:
            revisions = Right("list", "apps", "controllerrevisions", place)
            needs.append(Need(revisions, "they show of which revision a pod is", helpful=True))
    if any(item["kind"] == "Job" for item in objects):
        jobs = Right("list", "batch", "jobs", namespace)
        needs.append(Need(jobs, "they show what became of a migration", helpful=True))
    return merged(needs)


def preflight_needs(namespace: str, objects: Sequence[JsonObject]) -> tuple[Need, ...]:
    """What the guards ask besides: they warn where they may not, and stop nothing."""
    needs = [Need(Right("list", "", "nodes", ""), "the guard images looks there", helpful=True)]
    for place in {namespace: (), **pod_namespaces(objects)}:
        scalers = Right("list", "autoscaling", "horizontalpodautoscalers", place)
        needs.append(Need(scalers, "the guard hpa looks there", helpful=True))
        quotas = Right("list", "", "resourcequotas", place)
        needs.append(Need(quotas, "the forecast counts what is left", helpful=True))
    return tuple(needs)


def fetch_grant_needs(kube: Kube, revisions: Sequence[Sequence[JsonObject]]) -> tuple[Need, ...]:
    """What the API server wants of whoever writes the ``revisions``' own Roles and RoleBindings.

    It takes a Role only from somebody who holds every right in it, or may ``escalate``; a RoleBinding only
    from somebody who holds every right of its role, or may ``bind``. helm meets that only where it changes
    something, and the forecast tries it: so the guard does not ask. A Role that a revision lacks may have to
    be made anew, by a request that names none. Source:
    https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
    """
    found: dict[ObjectKey, list[JsonObject]] = {}
    for item in (item for each in revisions for item in each if _is_rbac(item)):
        found.setdefault(identity(item), []).append(item)
    in_all = [{identity(item) for item in each} for each in revisions]
    needs: list[Need] = []
    for key, items in found.items():
        if key.kind in _ROLES:
            place = key.namespace if key.kind == "Role" else ""
            right = Right("escalate", _RBAC, _ROLES[key.kind], place)
            names = frozenset({key.name} if all(key in keys for keys in in_all) else ())
            needs.append(Need(right, f"the chart holds {key.label}", names, _held(items, place)))
        for item in items if key.kind in ("RoleBinding", "ClusterRoleBinding") else ():
            place = key.namespace if key.kind == "RoleBinding" else ""
            role = item.get("roleRef") or {}
            kind, name = str(role.get("kind")), str(role.get("name"))
            if kind in _ROLES:
                right = Right("bind", _RBAC, _ROLES[kind], place)
                why = f"the chart's {key.label} binds {kind}/{name}"
                roles = _bound(kube, found, kind, name, place)
                needs.append(Need(right, why, frozenset({name}), _held(roles, place)))
    return tuple(dict.fromkeys(needs))


def fetch_missing(kube: Kube, needs: Sequence[Need]) -> tuple[Need, ...]:
    """Those that the API server does not grant, each with the names for which it does not.

    A right that is missing for the kind is asked for again object by object: a Role may name them. Raises
    ClusterError where a review got no answer.
    """
    answers = fetch_allowed(kube, [(need.right, "") for need in needs])
    missing = [need for need, granted in zip(needs, answers, strict=True) if not granted]
    pairs = [(number, name) for number, need in enumerate(missing) for name in sorted(need.names)]
    answers = fetch_allowed(kube, [(missing[number].right, name) for number, name in pairs])
    refused: dict[int, set[str]] = {}
    for (number, name), granted in zip(pairs, answers, strict=True):
        if not granted:
            refused.setdefault(number, set()).add(name)
    found = [
        replace(need, names=frozenset(refused.get(number, ())))
        for number, need in enumerate(missing)
        if not need.names or number in refused
    ]
    return tuple(need for need in found if need.instead is None or not all(fetch_allowed(kube, need.instead)))


def fetch_missing_of_records(kube: Kube, namespace: str) -> tuple[Need, ...]:
    """Of what helm does to its records, the missing rights that must be asked for in any case.

    Raises ClusterError where a review got no answer.
    """
    return fetch_missing(kube, _store_needs(namespace, _STORE_UNSHOWN))


def fetch_denied(
    kube: Kube,
    namespace: str,
    writes: Mapping[tuple[str, ...], Sequence[JsonObject]],
    granted: Granted | None = None,
    of_records: Callable[[], Sequence[Need]] | None = None,
) -> tuple[str, ...]:
    """The rights that helm needs and that are missing, in RBAC's words; see :func:`rollback_needs`.

    What is ``granted`` is not asked for. ``of_records`` gives what :func:`fetch_missing_of_records` found
    meanwhile. Raises ClusterError where a review got no answer.
    """
    known = granted or Granted()
    left: dict[tuple[str, ...], list[JsonObject]] = {
        (verb,): [item for item in items if not known.has(identity(item), verb)]
        for verb, items in _by_verb(writes).items()
    }
    done = {Right(verb, "", "secrets", namespace) for verb in _STORE_VERBS if known.has_records(verb)}
    if of_records is not None:
        done |= {need.right for need in _store_needs(namespace, _STORE_UNSHOWN)}
    needs = [need for need in rollback_needs(kube, namespace, left) if need.right not in done]
    missing = fetch_missing(kube, needs)
    if of_records is not None:
        missing += tuple(of_records())
    return tuple(sorted(need.right.spoken(namespace) for need in missing))


def _by_verb(writes: Mapping[tuple[str, ...], Sequence[JsonObject]]) -> dict[str, list[JsonObject]]:
    found: dict[str, list[JsonObject]] = {}
    for verbs, items in writes.items():
        for verb in verbs:
            found.setdefault(verb, []).extend(items)
    return found


def fetch_unreadable(kube: Kube, namespace: str, target: Sequence[JsonObject]) -> tuple[str, ...]:
    """The rights to look that are missing where the target has objects outside of ``namespace``.

    Without them helm rolls back all the same, and what is there cannot be verified. Nothing is asked where
    all of the target is in one namespace. Raises ClusterError where a review got no answer.
    """
    needs = look_needs(namespace, target)
    elsewhere = [need for need in needs if need.right.namespace != namespace and not need.helpful]
    return tuple(sorted(need.right.spoken(namespace) for need in fetch_missing(kube, elsewhere)))


def merged(needs: Iterable[Need]) -> tuple[Need, ...]:
    """Each right once: for all of its names, or for all objects if any needs that; needed before helpful."""
    found: dict[Right, Need] = {}
    for need in needs:
        before = found.get(need.right)
        if before is None:
            found[need.right] = need
            continue
        first = need if before.helpful and not need.helpful else before
        whole = not (before.names and need.names)
        names = frozenset[str]() if whole else before.names | need.names
        found[need.right] = replace(first, names=names, helpful=before.helpful and need.helpful)
    return tuple(found.values())


def _store_needs(namespace: str, verbs: Collection[str]) -> list[Need]:
    return [Need(Right(verb, "", "secrets", namespace), _WHY_STORE) for verb in verbs]


def _needs_of(
    kube: Kube, namespace: str, verbs: Collection[str], objects: Iterable[JsonObject], why: str
) -> Iterator[Need]:
    """The ``verbs`` on each of the ``objects``, of which the API server has to know the kind."""
    for item in objects:
        api_version, metadata = str(item.get("apiVersion", "")), item.get("metadata") or {}
        place = str(metadata.get("namespace") or namespace)
        try:
            path = kube.resource_path(api_version, str(item.get("kind", "")), place).rstrip("/")
        except NotFound:
            continue
        if "/namespaces/" not in path:
            place = ""
        name = str(metadata.get("name", ""))
        for verb in verbs:
            names = frozenset[str]() if verb in _UNNAMED else frozenset({name})
            right = Right(verb, api_version.rpartition("/")[0], path.rsplit("/", 1)[-1], place)
            yield Need(right, why, names)


def _is_rbac(item: JsonObject) -> bool:
    return str(item.get("apiVersion")).rpartition("/")[0] == _RBAC


def _bound(
    kube: Kube, found: Mapping[ObjectKey, Sequence[JsonObject]], kind: str, name: str, place: str
) -> Sequence[JsonObject]:
    """The role that is bound: of the chart, else the live one; none where it cannot be read."""
    for key, items in found.items():
        if (key.kind, key.name) == (kind, name) and (kind == "ClusterRole" or key.namespace == place):
            return items
    try:
        return [kube.get(kube.resource_path(f"{_RBAC}/v1", kind, place, name))]
    except ZkRollbackError:
        return []


def _held(roles: Sequence[JsonObject], place: str) -> Held | None:
    """Every right of the ``roles``; None where that is not known, or one is no right on objects."""
    rules = [rule for role in roles for rule in role.get("rules") or () if rule]
    aggregated = any(role.get("aggregationRule") for role in roles)
    if not roles or aggregated or any(rule.get("nonResourceURLs") for rule in rules):
        return None
    return tuple(
        (Right(verb, group, resource, place), name)
        for rule in rules
        for verb in rule.get("verbs") or ()
        for group in rule.get("apiGroups") or ()
        for resource in rule.get("resources") or ()
        for name in rule.get("resourceNames") or ("",)
    )
