"""What the API server would make of an object of a manifest today: created anew, as a dry run (dryRun=All).

Tells the work of defaulting, of normalisation and of mutating webhooks from drift: what a fresh object gets
as well, nobody put there by hand. An apply could not tell: what is there and not stated, it leaves there.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..domain.checks import JsonObject
from ..domain.errors import BadAnswer, ZkRollbackError
from ..domain.ports import Kube
from .drift import Difference, LiveObject, compare
from .dry_run import try_create, try_replace
from .manifest import identity, pod_template

_TIMEOUT_S = 5.0
_SUFFIX = "-zkrollback-dry-run"
_LONGEST_NAME = 63
# Their names follow from what is in them: the server refuses them under any other.
_NAMED_BY_CONTENT = frozenset({"CustomResourceDefinition", "APIService"})


def fetch_made(kube: Kube, item: JsonObject, live: JsonObject | None = None) -> JsonObject:
    """The object as it would be created today, under another name; raises the ClusterError met.

    Where no other name is possible, as it would be if it replaced the ``live`` one.
    """
    key = identity(item)
    if key.kind in _NAMED_BY_CONTENT and live is not None:
        path = kube.resource_path(key.api_version, key.kind, key.namespace, key.name)
        version = {"resourceVersion": live["metadata"].get("resourceVersion")}
        placed = {part: value for part, value in item["metadata"].items() if part != "namespace"}
        return try_replace(kube, path, {**item, "metadata": {**placed, **version}}, _TIMEOUT_S)
    path = kube.resource_path(key.api_version, key.kind, key.namespace)
    metadata = {**item["metadata"], "name": key.name[: _LONGEST_NAME - len(_SUFFIX)].rstrip("-.") + _SUFFIX}
    if "/namespaces/" not in path:
        del metadata["namespace"]
    return try_create(kube, path, {**item, "metadata": metadata}, _TIMEOUT_S)


def fetch_made_pod(kube: Kube, workload: JsonObject) -> JsonObject:
    """A pod of the workload's template as it would be created today; raises ClusterError."""
    template = pod_template(workload) or {}
    labels = {
        key: template["metadata"][key] for key in ("labels", "annotations") if key in template["metadata"]
    }
    key = identity(workload)
    # The controller makes these volumes, and a pod without them is refused.
    claims = [
        {"name": name, "persistentVolumeClaim": {"claimName": f"{name}-{key.name}-0"}}
        for claim in (workload.get("spec") or {}).get("volumeClaimTemplates") or ()
        if (name := (claim.get("metadata") or {}).get("name"))
    ]
    spec = template.get("spec") or {}
    if claims:
        spec = {**spec, "volumes": [*(spec.get("volumes") or ()), *claims]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**labels, "name": key.name, "namespace": key.namespace},
        "spec": spec,
    }
    return fetch_made(kube, pod)


def drop_admission_changes(
    differences: Sequence[Difference],
    expected: JsonObject,
    made: JsonObject | ZkRollbackError | None,
    live: LiveObject,
    managers: Sequence[str],
) -> list[Difference]:
    """The differences of one object that a fresh one would have as well are no drift; the others stay.

    Nor is a value that the server chooses where the manifest (``expected``) leaves it open: it chooses
    another one for a fresh object, but it chooses. Where the dry run was refused, all stay.
    """
    if not isinstance(made, dict):
        return list(differences)
    fresh = compare([expected], [LiveObject(made)], managers)
    chosen = {one.path for one in fresh if one.leaves_it_open}
    real = compare([made], [live], managers)
    return [
        one
        for one in differences
        if (_touches(one, real) or (_is_set_by_somebody(one) and not _touches(one, fresh)))
        and not (one.leaves_it_open and one.path in chosen)
    ]


def _is_set_by_somebody(one: Difference) -> bool:
    """Whether a stated value, which the server may leave out, became this one by somebody's hand.

    An empty one that no other manager set was filled in by a controller (a claim's volume, say).
    """
    return one.stated and (not one.leaves_it_open or bool(one.by))


def _touches(one: Difference, others: Sequence[Difference]) -> bool:
    """Whether one of these is about the same field, about one within it, or about what it is within."""
    return any(one.path.startswith(each.path) or each.path.startswith(one.path) for each in others)


def cannot_be_compared(
    difference: Difference, made: JsonObject | ZkRollbackError | None, live: LiveObject
) -> bool:
    """Whether nobody can tell this difference from the server's own work: the dry run was refused as such.

    As where a host name or a node port is taken by the object itself. Missing rights are no such refusal, and
    what another manager set is drift in any case.
    """
    refused = isinstance(made, BadAnswer) and 400 <= made.status < 500
    return refused and live.item is not None and not difference.by
