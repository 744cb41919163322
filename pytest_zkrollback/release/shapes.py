"""Whether an object has maps and lists where Kubernetes has them, so that whoever reads it may rely on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..domain.checks import JsonObject
from ..domain.kube_objects import is_native

# By the name of the field: maps, and lists of maps. Wherever they stand in an object.
_MAPS = frozenset(
    {
        *("spec", "template", "metadata", "jobTemplate", "selector", "matchLabels", "labels", "annotations"),
        *("rollingUpdate", "updateStrategy", "data", "stringData", "binaryData", "scaleTargetRef", "names"),
        *("valueFrom", "configMapKeyRef", "secretKeyRef", "configMapRef", "secretRef", "configMap", "secret"),
        *("projected", "clientConfig", "aggregationRule", "persistentVolumeClaimRetentionPolicy"),
        *("securityContext", "nodeSelector", "persistentVolumeClaim"),
    }
)
_LISTS = frozenset(
    {
        *("containers", "initContainers", "ephemeralContainers", "env", "envFrom", "volumes", "volumeMounts"),
        *("imagePullSecrets", "ports", "webhooks", "versions", "subsets", "volumeClaimTemplates", "sources"),
        "rules",
    }
)
# What stands below these is the chart's own, or has other fields of the same names.
_OPEN = frozenset(
    {
        *("data", "stringData", "binaryData", "labels", "annotations", "matchLabels", "nodeSelector"),
        *("schema", "rules", "parameters", "volumeAttributes", "options"),
    }
)
# In foreign groups only the pod templates of kinds that have the names of Kubernetes' own are read.
_TEMPLATED = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")


def find_misshapen(item: JsonObject) -> str:
    """``spec.template is a list`` of the first field that is no map or no list where it has to be one.

    Empty: there is none. Null is nothing, wherever it stands. Of kinds that Kubernetes does not define only
    what is read of them is looked at.
    """
    if is_native(item):
        return next(_misshapen(item, ""), "")
    spec = item.get("spec")
    if spec is not None and not isinstance(spec, dict):
        return f"spec is a {_word(spec)}"
    template = (spec or {}).get("template") if item.get("kind") in _TEMPLATED else None
    return next(_misshapen({"template": template}, "spec"), "")


def _misshapen(node: Mapping[str, Any], path: str) -> Iterator[str]:
    for key, value in node.items():
        where = f"{path}.{key}".removeprefix(".")
        if value is None:
            continue
        if key in _MAPS and not isinstance(value, dict):
            yield f"{where} is a {_word(value)}"
        elif key in _LISTS and not (isinstance(value, list) and all(isinstance(one, dict) for one in value)):
            yield f"{where} is no list of maps"
        elif key not in _OPEN:
            for number, each in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(each, dict):
                    yield from _misshapen(each, f"{where}[{number}]" if isinstance(value, list) else where)


def _word(value: object) -> str:
    return "list" if isinstance(value, list) else "value"
