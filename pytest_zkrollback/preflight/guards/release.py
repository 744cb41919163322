"""The guards that look at the release: its state, the target, and who else has a hand on it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ...domain.checks import JsonObject
from ...domain.decision import Decision, SignalName
from ...domain.forecast import ApplyOutcome, Forecast
from ...domain.kube_objects import namespace_of
from ...domain.record import Guard, GuardReason
from ...domain.timestamps import parse_time
from ...release.helm_secret import FRESH, UNINSTALLING
from ...release.history import ReleaseHistory, explain_stranding
from ...release.manifest import identity, is_workload
from ...release.source_commit import is_sha
from ..decision import NO, YES
from ..overrides import override_option
from ..probe import OK, REFUSED, WARNED, Facts, ProbeResult
from ..target import RolledAway, failed_by_helm, find_evidence, find_rolled_away, same_as_current

if TYPE_CHECKING:
    from ...release.helm_secret import Release
    from ..target import TargetChoice

_NOT_ASKED: ProbeResult[ReleaseHistory] = ProbeResult()
_SECRETS = ("", "secret", "secrets")
_OURS = ("helm", "kube-controller-manager")
_FEW = 3


def judge_storage(
    driver: str, elsewhere: ProbeResult[bool], answer: ProbeResult[ReleaseHistory] = _NOT_ASKED
) -> Guard:
    """helm has to use the store that everything else here reads: Secrets, in the release's own namespace."""
    if driver.lower() not in _SECRETS:
        return Guard(
            id="storage",
            state=REFUSED,
            reason=GuardReason.HELM_DRIVER,
            evidence=f"HELM_DRIVER={driver} sends helm to another store than the Secrets that were read "
            "here: unset it",
            consequence="helm would act on another release, or another history of this one.",
        )
    if elsewhere.value:
        return Guard(
            id="storage",
            state=REFUSED,
            reason=GuardReason.OTHER_STORE,
            evidence="ConfigMaps hold a release of this name (HELM_DRIVER=configmap), and Secrets do not: "
            "only releases in Secrets, helm's default, can be rolled back and verified here",
            consequence="helm would not find the release.",
        )
    if answer.value is not None and (home := answer.value.head.namespace) not in ("", answer.value.namespace):
        kept = answer.value.namespace
        return Guard(
            id="storage",
            state=REFUSED,
            reason=GuardReason.OTHER_NAMESPACE,
            evidence=f"the release's record says that its objects stand in namespace {home}, and it is kept "
            f"in {kept}, as Flux does it with storageNamespace: roll back where it is deployed from",
            consequence=f"helm would make the objects anew in {kept} and leave those in {home} as they are.",
        )
    return Guard(id="storage", state=OK, evidence="helm keeps its releases in Secrets")


def judge_pending(answer: ProbeResult[ReleaseHistory], now: datetime) -> Guard:
    """Another operation on the release: fresh, its helm may be at work; stale, it has died."""
    if answer.value is None:
        return Guard(
            id="pending",
            state=REFUSED,
            reason=GuardReason.NO_ANSWER,
            unknown=True,
            evidence="whether another operation runs is unknown",
        )
    head = answer.value.head
    since = head.under_way_since
    if since is None:
        return Guard(
            id="pending", state=OK, evidence=f"no operation is under way (head is {head.revision.status})"
        )
    age = now - since
    said = (
        f"revision {head.revision.revision} is {head.revision.status} since "
        f"{since:%Y-%m-%d %H:%M:%S} UTC ({_age(age)}){_by_whom(head)}"
    )
    if head.revision.status == UNINSTALLING:
        return _uninstalling(said, age)
    if age < FRESH:
        return Guard(
            id="pending",
            state=REFUSED,
            reason=GuardReason.UNDER_WAY,
            evidence=f"{said}: a helm probably still works on it, as a pipeline's `helm upgrade --wait` does",
            consequence="Both may end as `deployed`; which one lasts is chance. Better end that helm first. "
            "Afterwards two deployed revisions are looked for.",
            override=override_option("pending"),
        )
    return Guard(
        id="pending",
        state=REFUSED,
        reason=GuardReason.STRANDED,
        evidence=f"{said}: its helm has probably died and left the release stranded",
        consequence="helm rolls back all the same, but a hook's Job may still run, and what is live may not "
        "be what the history says. --rollback-recover looks at that.",
        override=override_option("pending"),
    )


def _uninstalling(said: str, age: timedelta) -> Guard:
    alive = "a `helm uninstall` probably still waits, for instance for a pre-delete hook"
    dead = "its `helm uninstall` has probably died halfway"
    return Guard(
        id="pending",
        state=REFUSED,
        reason=GuardReason.UNINSTALLING,
        evidence=f"{said}: {alive if age < FRESH else dead}",
        consequence="The uninstall deletes every object and the whole history when it goes on, also what the "
        "rollback has made. End that helm first.",
        override=override_option("pending"),
    )


def judge_deployed(answer: ProbeResult[ReleaseHistory]) -> Guard:
    """Exactly one revision ought to be ``deployed``; a rollback mends both other cases."""
    if answer.value is None:
        return Guard.not_known("deployed", "which revisions are deployed is unknown")
    numbers = answer.value.deployed_numbers
    if len(numbers) == 1:
        return Guard(id="deployed", state=OK, evidence=f"revision {numbers[0]} alone is deployed")
    if numbers:
        return Guard(
            id="deployed",
            state=WARNED,
            reason=GuardReason.SEVERAL_DEPLOYED,
            evidence=f"revisions {' and '.join(map(str, numbers))} are both `deployed`: two helms worked on "
            "the release at once",
            consequence="Which one runs is not in the history; the rollback makes all of them superseded.",
        )
    head = answer.value.head.revision
    if head.status == "uninstalled":
        return Guard(
            id="deployed",
            state=WARNED,
            reason=GuardReason.UNINSTALLED,
            evidence=f"revision {head.revision} is uninstalled: the rollback makes every object anew",
            consequence="What was deleted with it, data too, does not come back.",
        )
    if head.status == UNINSTALLING:
        return Guard(
            id="deployed",
            state=WARNED,
            reason=GuardReason.UNINSTALLING,
            evidence=f"no revision is `deployed`: revision {head.revision} is being uninstalled",
            consequence="Some of its objects may be gone already; what was deleted with them, data too, does "
            "not come back.",
        )
    return Guard(
        id="deployed",
        state=WARNED,
        reason=GuardReason.NONE_DEPLOYED,
        evidence="no revision is `deployed`: an earlier upgrade or rollback failed or was cut off",
        consequence="What is live may be half of one revision and half of another; a rollback that succeeds "
        "mends it.",
    )


def judge_target(
    history: ProbeResult[ReleaseHistory],
    choice: ProbeResult[TargetChoice],
    entries: Sequence[JsonObject] | None,
    forecast: ProbeResult[Forecast | None],
) -> Guard:
    """The target exists, and nothing in the history speaks against it, nor in the journal's ``entries``."""
    if history.value is None:
        return Guard(
            id="target",
            state=REFUSED,
            reason=GuardReason.NO_ANSWER,
            unknown=True,
            evidence="which revisions exist is unknown",
        )
    if choice.value is None:
        return Guard(
            id="target",
            state=REFUSED,
            reason=GuardReason.NO_ANSWER,
            unknown=True,
            evidence=f"which revision is meant is unknown: {choice.why}",
        )
    if choice.value.revision is None:
        return Guard(
            id="target",
            state=REFUSED,
            reason=GuardReason.NO_TARGET,
            evidence=f"no revision to go back to: {choice.value.because}{_skipped(choice.value)}",
            consequence="helm needs a number; its own 0 would go one back, to whatever is there.",
        )
    return _known_target(history.value, choice.value, choice.value.revision, entries, forecast.value)


def _known_target(
    history: ReleaseHistory,
    choice: TargetChoice,
    target: int,
    entries: Sequence[JsonObject] | None,
    forecast: Forecast | None,
) -> Guard:
    found = history.get(target)
    if found is None:
        exist = ranges(sorted({one.revision for one in history.revisions} | {*history.older}))
        alike = history.content_of(target)
        hint = f"; revision {alike.revision.revision} holds the same" if alike is not None else ""
        return Guard(
            id="target",
            state=REFUSED,
            reason=GuardReason.NO_SUCH_REVISION,
            evidence=f"revision {target} does not exist; there are {exist}{hint}",
            consequence="helm cannot roll back to what it does not have.",
        )
    against = failed_by_helm(history, target)
    if against:
        return Guard(
            id="target",
            state=REFUSED,
            reason=GuardReason.FAILED_REVISION,
            evidence=f"revision {target} {against}",
            consequence=_unseen_failure(forecast),
            override=override_option("target"),
        )
    what = ", ".join([found.revision.chart, *found.revision.images])
    said = f"revision {target} is {found.revision.status}: {what}"
    doubt = find_evidence(history, target, entries)
    if doubt is None or same_as_current(history, target):
        return Guard(id="target", state=OK, evidence=f"{said}; {choice.because}{_skipped(choice)}")
    away = find_rolled_away(history, target, entries)
    if away is not None:
        return _rolled_away_from(target, away, said)
    return Guard(
        id="target",
        state=WARNED,
        reason=GuardReason.JUDGED_FAILED,
        evidence=f"revision {target} {doubt.text}; {said}",
        consequence="It may fail again.",
    )


def judge_left_revision(history: ReleaseHistory, target: int, entries: Sequence[JsonObject]) -> Guard | None:
    """The refusal of a target that somebody rolled away from, on a journal that was read later than the rest;
    None: nothing in it refuses.
    """
    away = None if same_as_current(history, target) else find_rolled_away(history, target, entries)
    guard = (
        _rolled_away_from(target, away, "the journal was read under the lock") if away is not None else None
    )
    return guard if guard is not None and guard.state == REFUSED else None


def _unseen_failure(forecast: Forecast | None) -> str:
    """What helm makes of a target that never worked, as far as that was tried."""
    if forecast is not None and forecast.will is ApplyOutcome.APPLY:
        return "helm would apply all of it, as tried by dry run, and report success."
    return "helm does not mind that it never worked."


def judge_commit_target(
    history: ReleaseHistory,
    entries: Sequence[JsonObject] | None,
    commit: str,
    name: Callable[[Release], str | None],
) -> Guard:
    """The same of a commit that is to be deployed: of the newest revision that was made of it.

    ``name`` says what a revision was made of; None: it does not say. Nobody else's history is looked into.
    """
    found = [one for one in history.releases if _is_same_commit(name(one), commit)]
    number = found[-1].revision.revision if found else None
    away = None
    if number is not None and not same_as_current(history, number):
        away = find_rolled_away(history, number, entries)
    if number is None or away is None:
        return Guard(id="target", state=OK, evidence=f"no rollback left what commit {commit[:7]} made")
    return _rolled_away_from(number, away, f"it was made of commit {commit[:7]}")


def _is_same_commit(name: str | None, commit: str) -> bool:
    return name is not None and is_sha(name) and commit.startswith(name)


def _rolled_away_from(target: int, away: RolledAway, said: str) -> Guard:
    """Refuses unless something speaks against the rollback that left it: then it is the undo of a mistake."""
    by = away.by
    left = (
        f"revision {target} holds what revision {by.revision} ({by.description}) rolled back away from at "
        f"{by.deployed_at:%Y-%m-%d %H:%M:%S} UTC"
    )
    if away.against:
        return Guard(
            id="target",
            state=WARNED,
            reason=GuardReason.ROLLED_AWAY_FROM,
            evidence=f"{left}, but revision {away.instead} {away.against}; {said}",
            consequence=f"Revision {target} may be bad as well: somebody left it.",
        )
    better = f"nothing speaks against revision {away.instead}"
    if away.verified:
        better = f"this tool verified what revision {away.instead} holds"
    return Guard(
        id="target",
        state=REFUSED,
        reason=GuardReason.ROLLED_AWAY_FROM,
        evidence=f"{left}, and {better}; {said}",
        consequence=f"Revision {target} was probably bad, and this would bring it back. Override this guard "
        "only if that rollback was wrong.",
        override=override_option("target"),
    )


def judge_gitops(facts: Facts) -> Guard:
    """A controller that would put back what is rolled back."""
    if facts.owners.value is None:
        return Guard.not_known(
            "gitops", f"whether a GitOps controller manages the release is unknown: {facts.owners.why}"
        )
    active = [owner for owner in facts.owners.value if not owner.suspended_reason]
    if active:
        named = "; ".join(f"{owner} manages {owner.example} ({owner.evidence})" for owner in active[:_FEW])
        return Guard(
            id="gitops",
            state=REFUSED,
            reason=GuardReason.GITOPS_ACTIVE,
            evidence=named,
            consequence="It will put back what its source says, perhaps within minutes. "
            "Suspend it first (`flux suspend`, or sync off in Argo CD), or revert in its source.",
            override=override_option("gitops"),
        )
    idle = [f"{owner} would, but {owner.suspended_reason}" for owner in facts.owners.value]
    return Guard(
        id="gitops",
        state=WARNED if idle else OK,
        reason=GuardReason.GITOPS_SUSPENDED if idle else None,
        evidence="; ".join(idle) or "no GitOps controller manages the live objects",
        consequence="When it is switched on again it puts back what its source says." if idle else "",
    )


def judge_deploying(facts: Facts) -> Guard:
    """Somebody else's hand on the workloads, now. What is live may have a stuck rollout of its own."""
    if facts.live.value is None or facts.history.value is None:
        return Guard.not_known("deploying", "whether somebody else changes the workloads is unknown")
    since = facts.history.value.head.revision.deployed_at
    items = [answer.item for answer in facts.live.value.values() if answer.item is not None]
    seen = [said for item in items if is_workload(item) for said in _doings(item, since, facts.now)]
    if not seen:
        return Guard(id="deploying", state=OK, evidence="nobody else changes the workloads")
    return Guard(
        id="deploying",
        state=WARNED,
        reason=GuardReason.CHANGED_BY_OTHERS,
        evidence="; ".join(seen[:_FEW]),
        consequence="The rollback may undo what they just did, or they what it does: talk to them.",
    )


def judge_hpa(facts: Facts, target: Sequence[JsonObject]) -> Guard:
    """Replica counts in the target that an autoscaler has taken over. ``target``: the target's objects."""
    if facts.scalers.value is None:
        return Guard.not_known("hpa", f"whether an autoscaler is there is unknown: {facts.scalers.why}")
    stated = {
        (namespace_of(item), item["kind"], item["metadata"]["name"]): spec.get("replicas")
        for item in target
        if isinstance(spec := item.get("spec"), dict)
    }
    fights = []
    for scaler in facts.scalers.value:
        spec, status = scaler.get("spec") or {}, scaler.get("status") or {}
        reference = spec.get("scaleTargetRef") or {}
        key = (str(reference.get("kind")), str(reference.get("name")))
        wanted, now = (
            stated.get((namespace_of(scaler), *key)),
            status.get("desiredReplicas") or spec.get("minReplicas") or 1,
        )
        if wanted is not None and wanted != now:
            name = (scaler.get("metadata") or {}).get("name")
            fights.append(
                f"the target sets {'/'.join(key)} to {wanted} replicas, "
                f"HorizontalPodAutoscaler {name} to {now}"
            )
    if not fights:
        return Guard(id="hpa", state=OK, evidence="no autoscaler is fought")
    return Guard(
        id="hpa",
        state=WARNED,
        reason=GuardReason.AUTOSCALER,
        evidence="; ".join(fights[:_FEW]),
        consequence="Until the autoscaler acts again, some 15 s, the workload runs with the target's number; "
        "Helm 4 refuses with a field conflict (see forecast).",
    )


def ranges(numbers: Sequence[int]) -> str:
    """``[1, 2, 3, 5]`` -> ``1 to 3, 5``; sorted and without doubles as histories are."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return ", ".join(f"{group[0]} to {group[-1]}" if len(group) > 1 else f"{group[0]}" for group in groups)


def _skipped(choice: TargetChoice) -> str:
    shown = [f"revision {each.revision} {each.reason}" for each in choice.skipped[:_FEW]]
    more = len(choice.skipped) - len(shown)
    if more > 0:
        shown.append(f"{more} more")
    return f"; not taken: {'; '.join(shown)}" if shown else ""


def _age(age: timedelta) -> str:
    seconds = max(0, int(age.total_seconds()))
    if seconds < 120:
        return f"for {seconds} s"
    if seconds < 7200:
        return f"for {seconds // 60} min"
    return f"for {seconds // 3600} h"


def _by_whom(head: Release) -> str:
    known = [f"{key}={value}" for key, value in sorted(head.labels.items())]
    if head.manager and head.manager.lower() != "helm":
        known.insert(0, head.manager)
    return f", by {', '.join(known)}" if known else ""


def _doings(item: JsonObject, since: datetime, now: datetime) -> Iterator[str]:
    """What somebody other than helm did to the workload after ``since``, in the last ten minutes."""
    label, metadata = identity(item).label, item["metadata"]
    seen = (item.get("status") or {}).get("observedGeneration") or 0
    if int(metadata.get("generation") or 0) > int(seen):
        yield f"{label}'s newest change has not been seen by its controller yet"
    for entry in metadata.get("managedFields") or ():
        manager, at = str(entry.get("manager") or ""), parse_time(entry.get("time"))
        mine = manager.startswith(_OURS) or entry.get("subresource") == "status"
        if mine or at is None or at <= since or now - at > FRESH:
            continue
        if "f:spec" in (entry.get("fieldsV1") or {}):
            yield f"{label} was changed by {manager} {_age(now - at).removeprefix('for ')} ago"


def judge_stranded(answer: ProbeResult[ReleaseHistory]) -> Guard:
    """Recovery is for a release that is stranded, and for no other."""
    if answer.value is None:
        return Guard(
            id="stranded",
            state=REFUSED,
            reason=GuardReason.NO_ANSWER,
            unknown=True,
            evidence="whether the release is stranded is unknown",
        )
    why = explain_stranding(answer.value)
    if not why:
        head = answer.value.head.revision
        return Guard(
            id="stranded",
            state=REFUSED,
            reason=GuardReason.NOT_STRANDED,
            evidence=f"there is nothing to recover: revision {head.revision} is {head.status}, it alone",
            consequence="A recovery of a sound release would only add a revision.",
        )
    return Guard(id="stranded", state=OK, evidence=why)


def judge_hook_jobs(jobs: ProbeResult[Sequence[JsonObject]]) -> Guard:
    """A hook's Job that still runs may be half way through a migration."""
    if jobs.value is None:
        why = f"whether a hook's Job runs is unknown: {jobs.why}"
        return Guard.not_known("hook-running", why)
    active = [job["metadata"]["name"] for job in jobs.value if (job.get("status") or {}).get("active")]
    if active:
        return Guard(
            id="hook-running",
            state=REFUSED,
            reason=GuardReason.HOOK_RUNNING,
            evidence=f"Job {', '.join(active)} of a hook still runs: look at it with "
            f"`kubectl logs job/{active[0]}`, wait for its end, or delete it",
            consequence="It may be in the middle of a migration. With the override helm runs without hooks, "
            "and the Job is left alone.",
            override=override_option("hook-running"),
        )
    return Guard(id="hook-running", state=OK, evidence="no hook's Job runs")


def judge_migration_guard(decision: Decision, start_problem: str = "") -> Guard:
    """Refuses to roll back against a migration that cannot be undone; unknown never refuses.

    ``start_problem`` warns: why what the target runs at its start will not know the schema.
    """
    signal = next(one for one in decision.signals if one.name is SignalName.MIGRATION_IRREVERSIBLE)
    if signal.answer is YES:
        return Guard(
            id="migration",
            state=REFUSED,
            reason=GuardReason.IRREVERSIBLE_MIGRATION,
            evidence=" ".join(
                filter(
                    None,
                    [
                        f"a migration that cannot be undone came with what is live: {signal.evidence}",
                        start_problem,
                    ],
                )
            ),
            consequence="The target's code would meet a database that it does not know. The runbook fixes "
            "forward here.",
            override=override_option("migration"),
        )
    said = f"irreversible migration: {signal.evidence}"
    if start_problem:
        return Guard(
            id="migration",
            state=WARNED,
            reason=GuardReason.START_DOES_NOT_KNOW_SCHEMA,
            evidence=f"{start_problem} {signal.evidence}",
            consequence="The target's new pods would end at their start. Take the migrations back first.",
        )
    if signal.answer is NO:
        return Guard(id="migration", state=OK, evidence=said)
    return Guard.not_known("migration", said)
