"""The key ``ignore``: which live fields may differ from the manifest, and which never may. Pure.

What runs is never left out: a path that covers it, or might, is refused when the file is read, and where only
the objects tell (a ConfigMap that a pod reads), before helm (``release/ignored_differences.py``).
"""

from __future__ import annotations

import json
import re
from typing import Self

from pydantic import Field, model_validator

from .base import Table

ANY = "*"
SETTINGS = frozenset({"ConfigMap", "Secret"})
# Their fields run nothing and select no pods: a CA bundle, a schema, which requests are looked at.
RUN_NOTHING = frozenset(
    {
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
        "CustomResourceDefinition",
        "APIService",
    }
)
_PATH = re.compile(r"""[^\s.\[\]"'/]+(?:\.[^\s.\[\]"']+|\.?\[[^\s\[\]"']+\])*""")
_STEP = re.compile(r"\.?\[([^\[\]]+)\]|\.?([^.\[\]]+)")
_DATA = frozenset({"data", "binarydata", "stringdata"})
_WORKLOADS = frozenset(
    {
        *("pod", "podtemplate", "replicaset", "replicationcontroller", "job", "cronjob"),
        *("deployment", "statefulset", "daemonset"),
    }
)
# Of a workload's spec: neither its pods nor when they come depends on these.
_OF_WORKLOADS = frozenset(
    {
        *("replicas", "revisionhistorylimit", "minreadyseconds", "progressdeadlineseconds"),
        *("successfuljobshistorylimit", "failedjobshistorylimit", "ttlsecondsafterfinished"),
        "persistentvolumeclaimretentionpolicy",
    }
)
# Elsewhere what runs is known by the end of a field's name (`baseImage`, `podSelector`) or by all of it:
# which image, which pods, whose rights, who serves, and what Secrets are made of.
_ENDS = (
    *("template", "templates", "image", "images", "containers", "command", "args", "env", "envfrom"),
    *("volumes", "volumemounts", "selector"),
)
_NAMES = frozenset(
    {
        *(
            "version",
            "tag",
            "sha",
            "digest",
            "matchlabels",
            "matchexpressions",
            "scaletargetref",
            "targetref",
        ),
        *("roleref", "subjects", "subsets", "endpoints", "externalname"),
        *("data", "binarydata", "stringdata", "datafrom", "encrypteddata"),
    }
)


class Ignore(Table):
    """Fields of live objects that may differ; only what release-equivalence compares is meant."""

    kind: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9]*$", description="the objects' kind")
    name: str = Field(min_length=1, description="their name; `*`: any")
    path: str = Field(min_length=1, description="the field, with all below it; `[*]`: any element")

    @model_validator(mode="after")
    def _never_what_runs(self) -> Self:
        if ANY in self.name and self.name != ANY:
            raise ValueError(f"name = {json.dumps(self.name)}: one name, or {ANY} for any")
        why = why_never(self.kind, self.path)
        if why:
            raise ValueError(f"{self.kind} {self.path} cannot be ignored: {why}")
        return self

    def __str__(self) -> str:
        """As it stands in the file."""
        keys = (("kind", self.kind), ("name", self.name), ("path", self.path))
        return f"{{ {', '.join(f'{key} = {json.dumps(value)}' for key, value in keys)} }}"

    def is_about(self, kind: str, name: str) -> bool:
        """Whether this object is meant."""
        return kind == self.kind and self.name in (ANY, name)

    @property
    def is_about_data(self) -> bool:
        """Whether values of a ConfigMap or Secret are meant."""
        return self.kind in SETTINGS and _steps(self.path)[0][0] in _DATA

    @property
    def is_about_metadata(self) -> bool:
        """Whether labels or annotations are meant."""
        return _steps(self.path)[0][0] == "metadata"

    @property
    def text(self) -> str:
        """The path as fields are matched with."""
        return self.path.replace(".[", "[")

    def covers(self, path: tuple[str, ...]) -> bool:
        """Whether the field at this path (of ``release/field_paths.py``) is meant, or lies below it."""
        rest: str | None = self.text
        for part in path:
            if rest == "":
                return True
            rest = behind(rest, part) if rest is not None else None
        return rest == ""


def behind(text: str, part: str) -> str | None:
    """What of a path is left behind one part of another; None: they lead apart.

    A part is taken as a whole: names of annotations and keys of data have dots.
    """
    if part.startswith("["):
        heads = (f"[{ANY}]", part)
    else:
        text = text.removeprefix(".")
        heads = (ANY, part)
    for head in heads:
        rest = text[len(head) :]
        if text.startswith(head) and (not rest or rest[0] in ".["):
            return rest
    return None


def why_never(kind: str, path: str) -> str:
    """Why differences at this path are never left out; empty: they may be, as far as the path tells."""
    if not _PATH.fullmatch(path):
        return "write the path as a difference names it, such as webhooks[*].clientConfig.caBundle"
    steps = _steps(path)
    if any(ANY in name and name != ANY for name, _ in steps):
        return f"{ANY} stands for a whole name or element"
    (first, _), second = steps[0], steps[1][0] if len(steps) > 1 else ""
    if first == ANY:
        return "it covers everything"
    if first == "metadata":
        return _why_not_metadata(kind, second)
    if first == "spec" and second in ("", ANY):
        return "it covers the whole spec"
    if kind in RUN_NOTHING or kind in SETTINGS:
        return ""
    if kind.casefold() in _WORKLOADS:
        allowed = first == "spec" and second in _OF_WORKLOADS
        return "" if allowed else "it covers what its pods run, how many of which, or when"
    if kind == "Service" and second == "ports" and steps[-1][0] != "nodeport":
        return "it covers where requests go"
    if any(name == ANY for name, is_element in steps if not is_element):
        return f"{ANY} may stand for what runs: name the field"
    found = next((name for name, is_element in steps if not is_element and says_what_runs(name)), "")
    return f"it covers what runs, or what selects it ({found})" if found else ""


def says_what_runs(name: str) -> bool:
    """Whether a field of this name says what runs or serves, or selects it."""
    small = name.casefold()
    return small in _NAMES or small.endswith(_ENDS)


def _why_not_metadata(kind: str, member: str) -> str:
    if member not in ("labels", "annotations"):
        return "name metadata.labels or metadata.annotations: the rest says whether it is being deleted"
    selected = member == "labels" and kind.casefold() in ("pod", "namespace", "node")
    return f"the labels of a {kind} decide what selects it" if selected else ""


def _steps(path: str) -> list[tuple[str, bool]]:
    """(name in small letters, whether it is an element of a list) of each step."""
    return [((match[1] or match[2]).casefold(), match[1] is not None) for match in _STEP.finditer(path)]
