"""Where a release has pods and events: the namespaces to watch, from helm's start to the last verdict."""

from __future__ import annotations

import re

from ..config.environment import Environment
from ..domain.checks import JsonObject
from ..domain.kube_objects import WorkloadName
from ..engine.cluster_watch import RESOURCES
from ..release.documents import read_manifest
from ..release.helm_secret import Release
from ..release.namespaces import event_namespaces, pod_namespaces
from .results import ExpectedRelease

_NAMESPACE = re.compile(r"""\bnamespace["']?\s*:\s*["']?([^\s"',}]+)""")
_DEFINITION = re.compile(r"^kind:\s*CustomResourceDefinition\b", re.MULTILINE)


def watched(env: Environment, release: ExpectedRelease) -> dict[str, tuple[str, ...]]:
    """The namespaces to watch, the release's own first, with the resources to watch there.

    Of the others those that the target, or what came after it, has pods in. A release without StatefulSets
    and DaemonSets is judged without theirs.
    """
    history = release.history
    text = " ".join([*env.named_workloads.values(), *(each.manifest for each in history.releases)]).lower()
    own = tuple(name for name in RESOURCES if name not in ("statefulsets", "daemonsets") or name[:-1] in text)
    first = min(release.target, release.compared_with or release.target)
    known = [history.content_of(release.target), *history.releases]
    objects = [
        item
        for each in known
        if each is not None and each.revision.revision >= first
        for item in _outer_objects(each, env.namespace)
    ]
    found = pod_namespaces(objects)
    for each in env.named_workloads.values():
        found.setdefault(WorkloadName.parse(each, env.namespace).namespace, tuple(RESOURCES))
    return {env.namespace: own} | {each: kinds for each, kinds in found.items() if each != env.namespace}


def event_places(env: Environment, release: ExpectedRelease) -> tuple[str, ...]:
    """The namespaces whose events are read, the release's own first.

    Of what only rolled-away revisions have nothing is live any more, or release-equivalence says so.
    """
    target = release.history.content_of(release.target)
    found = event_namespaces(_outer_objects(target, env.namespace)) if target is not None else ()
    return (env.namespace, *(each for each in found if each != env.namespace))


def _outer_objects(release: Release, namespace: str) -> list[JsonObject]:
    """The objects that may stand in another namespace; what cannot be parsed another step says.

    Only documents that name one are parsed: a manifest may have megabytes, most of it definitions.
    """

    home = release.namespace or namespace

    def may_hold_one(document: str) -> bool:
        outside = home != namespace or set(_NAMESPACE.findall(document)) - {namespace}
        return bool(outside) and not _DEFINITION.search(document)

    return list(read_manifest(release.manifest, home, may_hold_one).objects)
