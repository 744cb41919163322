"""``workloads = "auto"``: the rollouts to judge are those of the target's manifest, once it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, count

from ..domain.checks import JsonObject
from ..domain.errors import UsageProblem
from ..domain.item_ids import SMOKE, is_rollout
from ..release.documents import Manifest
from ..release.history import ReleaseHistory
from ..release.manifest import ObjectKey, identity, manifest_workloads
from .context import RunContext
from .initial_checklist import initial_rollouts


def resolve_workloads(context: RunContext, history: ReleaseHistory, wanted: int) -> RunContext:
    """The context with every workload named, and their items in the record, before the runbook's other ones.

    ``wanted`` is the revision that has to be live. Where they are named already it is the same context. What
    cannot be read of its manifest names none: that is no reason to stand between the operator and helm, and
    no pass of release-equivalence afterwards.
    Raises UsageProblem for a waiver of a rollout that there is not.
    """
    if context.env.workloads != "auto":
        return context
    content = history.content_of(wanted)
    manifest = content.read(context.env.namespace) if content is not None else Manifest(())
    found = auto_workloads(manifest.objects, context.env.namespace)
    for document in manifest.unread:
        text = f"whether revision {wanted} has more workloads is not known: {document}"
        context.recorder.event(text, "zkrollback")
    added = initial_rollouts(found)
    ids = [item.id for item in added]
    for item_id in context.request.waivers:
        if is_rollout(item_id) and item_id not in ids:
            raise UsageProblem(
                f"--rollback-waive={item_id}=...: revision {wanted} has no such workload; known are "
                f"{', '.join(ids) or 'none'}."
            )
    context.recorder.insert_items(added, before=SMOKE)
    env = context.env.model_copy(update={"workloads": found})
    return replace(context, env=env, selected=context.selected | {*ids})


def auto_workloads(objects: Sequence[JsonObject], namespace: str) -> dict[str, str]:
    """Item name -> ``kind/name`` of every Deployment, StatefulSet and DaemonSet, in their order.

    Two kinds of one name get the kind into the item's name. One that stands in another namespace has that in
    its item's name in any case (``rollout-monitoring-agent`` of ``monitoring/daemonset/agent``): it must not
    depend on what else the chart holds; those of the release's own namespace choose first.
    """
    workloads = list(dict.fromkeys(map(identity, manifest_workloads(objects))))
    taken: dict[str, ObjectKey] = {}
    for key in sorted(workloads, key=lambda each: each.namespace != namespace):
        kind, name = key.kind.lower(), key.name.replace(".", "-")
        own = (name, f"{kind}-{name}") if key.namespace == namespace else (f"{key.namespace}-{name}",)
        names = (*own, f"{key.namespace}-{kind}-{name}")
        numbered = (f"{names[-1]}-{number}" for number in count(2))  # a.b-c and a-b.c: none may get lost
        taken[next(each for each in chain(names, numbered) if each not in taken)] = key
    items = {key: item for item, key in taken.items()}
    return {items[key]: workload_name(key, namespace) for key in workloads}


def workload_name(key: ObjectKey, namespace: str) -> str:
    """``kind/name``, or ``namespace/kind/name`` where that is not the release's own ``namespace``."""
    place = f"{key.namespace}/" if key.namespace != namespace else ""
    return f"{place}{key.kind.lower()}/{key.name}"
