"""release-equivalence: the live objects, and the pods that run, are those of the target revision."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote

from ...clients.threads import fetch_each
from ...config.environment import Environment
from ...config.ignored_fields import Ignore
from ...domain.checks import History, JsonObject, Snapshot
from ...domain.errors import Forbidden, Unauthorized, ZkRollbackError
from ...domain.item_ids import EQUIVALENCE
from ...domain.kube_objects import is_terminating, namespace_of, uid
from ...domain.ports import Kube, Stage
from ...domain.record import Revision
from ...domain.verdict import (
    CheckResult,
    Evidence,
    IgnoredDifference,
    Judgement,
    Pending,
    Verdict,
    evidence,
)
from ...release.ca_bundles import CaBundle, ca_bundles
from ...release.drift import Difference, LiveObject, compare_each, fetch_live, render_differences
from ...release.external_references import outer_references
from ...release.field_paths import shown_path
from ...release.fresh_object import cannot_be_compared, drop_admission_changes, fetch_made, fetch_made_pod
from ...release.history import ReleaseHistory
from ...release.hook_objects import HookObject
from ...release.ignored_differences import IgnoreRules
from ...release.managed_fields import HELM
from ...release.manifest import (
    ObjectKey,
    container_images,
    identity,
    is_kept,
    manifest_workloads,
    release_of,
)
from ...release.served_versions import served_otherwise
from ...report.by_hand import helm, kubectl, resource_name
from ..titles import TITLES
from .generated_config import generated_sources, judge_generated
from .left_behind import LeftBehind, judge_left_behind
from .model import Cluster, DeployedInterval, Expectation, PodProblem, Words, label_in
from .pods import PodsJudged, judge_pods
from .read_settings import RELOADED_S
from .service_endpoints import images_rolled_away, leaves_too_late
from .start_times import status_written
from .templates import Remark, is_partitioned

_SERVING_KINDS = frozenset(
    ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod", "Job", "CronJob", "Service", "Ingress"]
)
# Dry runs of what differs: where more differs, no webhook explains it.
_TRIED = 10
# A deploy that is younger may not have been read by whoever reads files.
_FRESH_S = 600.0
# An injector that lives has filled in a CA bundle by then.
_INJECTED_S = 30.0

Made = JsonObject | ZkRollbackError


def is_kept_on_purpose(item: JsonObject) -> bool:
    """Whether a policy keeps it (data, say), and it neither runs pods nor serves them."""
    return is_kept(item) and item["kind"] not in _SERVING_KINDS


@dataclass(frozen=True)
class Observed:
    """One look. ``live`` in the manifest's order; ``error`` is why there are no pods to look at, or not all.

    ``leftovers`` and ``references`` answer the check's; ``head`` is the release's newest revision at that
    moment, ``deployed`` the numbers of all that helm calls deployed. ``made``: by its place in the manifest,
    what the server makes today of an object that differs, ``made_pods`` the same of a workload's pod.
    ``generated`` answers ``generated_sources``. ``unread`` are the namespaces whose pods could not be looked
    at, with ``error`` for the first of them. ``compared``: of each object of the manifest what differs in
    ``live``; None: that is worked out when it is judged.
    """

    live: tuple[LiveObject, ...]
    replicasets: tuple[JsonObject, ...] = ()
    pods: tuple[JsonObject, ...] = ()
    error: ZkRollbackError | None = None
    leftovers: tuple[LiveObject, ...] = ()
    references: tuple[LiveObject, ...] = ()
    head: Revision | None = None
    deployed: tuple[int, ...] = ()
    made: Mapping[int, Made] = field(default_factory=dict)
    made_pods: Mapping[ObjectKey, Made] = field(default_factory=dict)
    endpointslices: tuple[JsonObject, ...] = ()
    revisions: tuple[JsonObject, ...] = ()
    status_written: Mapping[str, datetime] = field(default_factory=dict)
    left_behind: tuple[LiveObject, ...] = ()
    unread: frozenset[str] = frozenset()
    generated: tuple[LiveObject, ...] = ()
    compared: Sequence[Sequence[Difference]] | None = None


@dataclass(frozen=True, kw_only=True)
class EquivalenceCheck:
    """Compares everything that ``target`` states with what is live, read-only; what differs is then tried.

    ``target`` are the objects of the manifest of revision ``revision`` (``release.manifest``), ``unread`` the
    documents that could not be read of it or of what was rolled away; ``home`` the namespace that the record
    names (empty: the environment's); ``leftovers`` those that only rolled-away revisions have, which have to
    be gone; ``rolled_away`` what each of these holds, oldest first; ``intervals`` when each was deployed, the
    target first; ``earlier`` the same of what came before it; ``hooks_made`` what the hooks up to the target
    made; ``left_behind`` what helm does not take away of the rolled-away ones. ``release`` reads the
    release's history, whose head has to be ``expected_head`` (None: not known) and alone deployed.
    ``managers`` are those that wrote the release for helm, ``injected`` who had filled in the CA bundle of an
    object before helm ran. Pods come from ``snapshot`` (None: they are listed), those of another namespace
    from its one in ``elsewhere``; ``since`` is when the rollback began, or (``rolled_back`` is false) when
    the head was deployed.

    A dry run of a fresh object (``release/fresh_object.py``) tells what the server and its webhooks make of
    it from drift. It needs the right to create; without it the comparison alone decides, and says so.
    """

    env: Environment
    kube: Kube
    revision: int
    target: tuple[JsonObject, ...]
    home: str = ""
    unread: tuple[str, ...] = ()
    leftovers: tuple[JsonObject, ...] = ()
    rolled_away: tuple[tuple[JsonObject, ...], ...] = ()
    intervals: tuple[DeployedInterval, ...] = ()
    earlier: Callable[[], tuple[DeployedInterval, ...]] = tuple
    hooks_made: Mapping[ObjectKey, HookObject] = field(default_factory=dict)
    left_behind: tuple[LeftBehind, ...] = ()
    release: Callable[[], ReleaseHistory] | None = None
    expected_head: int | None = None
    managers: frozenset[str] = frozenset()
    injected: Mapping[ObjectKey, str] = field(default_factory=dict)
    snapshot: Callable[[], Snapshot] | None = None
    elsewhere: Mapping[str, Callable[[], Snapshot]] = field(default_factory=dict)
    since: datetime | None = None
    rolled_back: bool = True
    id: str = field(default=EQUIVALENCE, init=False)
    title: str = field(default=TITLES[EQUIVALENCE], init=False)
    stage: Stage = field(default=Stage.AFTER_ROLLOUTS, init=False)
    interval_s: float | None = field(default=0.5, init=False)
    soak_interval_s: float | None = field(default=5.0, init=False)
    follows: None = field(default=None, init=False)
    gates_others: bool = field(default=False, init=False)
    rechecked_at_end: bool = field(default=True, init=False)
    rechecked_on_failure: bool = field(default=True, init=False)
    failure_ends_waiting: bool = field(default=True, init=False)
    waiting_may_end: bool = field(default=False, init=False)

    @property
    def deadline_s(self) -> float:
        """10 s; where an injector fills in a CA bundle, or files are read again, as long as that takes."""
        if self.env.reloads:
            return RELOADED_S + 10.0
        return _INJECTED_S if any(ca_bundles(item, item, ()) for item in self.target) else 10.0

    @property
    def expected(self) -> str:
        """What has to be seen."""
        return (
            f"all {len(self.target)} objects of revision {self.revision} are live as stated, with nothing "
            "added to what runs; every pod of its workloads runs its images and settings; what it refers to "
            "exists; nothing of the rolled-away revisions is left or serves; helm calls the release deployed"
        )

    @property
    def command(self) -> str:
        """helm's manifest, compared by kubectl, which takes objects of one namespace only."""
        manifest = helm(self.env, "get", "manifest", self.env.release, "--revision", str(self.revision))
        if not self._in_one_namespace:
            return manifest
        return f"{manifest} | {kubectl(self.env, 'diff', '-f', '-')}"

    @cached_property
    def _ignore(self) -> IgnoreRules:
        return IgnoreRules.made_for(self.env.ignore, self.target)

    @property
    def _in_one_namespace(self) -> bool:
        return all(identity(item).namespace == self.env.namespace for item in self.target)

    def _label(self, item: JsonObject) -> str:
        return label_in(self.env.namespace, item)

    @property
    def _trusted(self) -> tuple[str, ...]:
        return (HELM, *self.managers, *self.env.field_managers)

    def _compare(self, live: Sequence[LiveObject]) -> list[list[Difference]]:
        return compare_each(self.target, live, (HELM, *self.managers), self.env.field_managers)

    def _expectation(self, now: datetime | None = None) -> Expectation:
        away = images_rolled_away(self.target, self.rolled_away)
        before = self.rolled_away[-1] if self.rolled_away else ()
        age_s = (now - self.since).total_seconds() if now and self.since else 0.0
        return Expectation(
            target=self.target,
            before=before,
            rolled_away=self.rolled_away,
            removed_images=away,
            since=self.since,
            intervals=self.intervals,
            earlier=self.earlier,
            reloads=frozenset((each.kind, each.name) for each in self.env.reloads),
            now=now,
            is_fresh=self.rolled_back or age_s <= _FRESH_S,
            namespace=self.env.namespace,
            trusted=frozenset(self._trusted),
        )

    def observe(self) -> Observed:
        """Every object once, all at the same time, the pods out of the snapshot; what could not be read is
        in the answer."""
        release, answers, compared = self._read()
        wanted, left = len(self.target), len(self.target) + len(self.leftovers)
        kept = len(answers) - len(self.left_behind)
        live = answers[:wanted]
        seen = Observed(
            live,
            leftovers=answers[wanted:left],
            references=answers[left:kept],
            left_behind=answers[kept:],
            head=release.head.revision if release is not None else None,
            deployed=release.deployed_numbers if release is not None else (),
            made=self._made(live, compared),
            compared=compared,
            generated=self._generated(),
        )
        seen = self._with_pods(seen)
        if seen.error is not None and not seen.pods:
            return seen
        seen = replace(seen, revisions=self._revisions(live))
        expected = self._expectation()
        judged = judge_pods(expected, _cluster(seen))
        if any(each.restart is not None for each in judged.strays):
            seen = self._with_times(seen)
        return replace(
            seen,
            made_pods=self._made_pods(judged),
            endpointslices=self._endpoints(seen) if leaves_too_late(expected, _cluster(seen)) else (),
        )

    def _read(self) -> tuple[ReleaseHistory | None, tuple[LiveObject, ...], list[list[Difference]]]:
        """The release's history and every object, at the same time: far away each answer takes a while;
        and what differs, which takes a while for a thousand objects, and is wanted three times."""
        outer = [each.item for each in outer_references(self.target)]
        ask: tuple[Callable[[], Any], ...] = (
            self.release or (lambda: None),
            lambda: fetch_live(
                self.kube, (*self.target, *self.leftovers, *outer, *(each.item for each in self.left_behind))
            ),
        )
        found: list[Any] = fetch_each(lambda each: each(), ask)
        for each in found:
            if isinstance(each, ZkRollbackError):
                raise each
        release, live = found
        compared = self._compare(live[: len(self.target)])
        if self.release is not None and any(compared):
            release = self.release()  # somebody else's helm may have begun in between: then it says so
        return release, live, compared

    def _generated(self) -> tuple[LiveObject, ...]:
        wanted = generated_sources(self.target, self.rolled_away)
        return fetch_live(self.kube, wanted) if wanted else ()

    def _with_pods(self, seen: Observed) -> Observed:
        """Of every namespace where the target has workloads, or Services beside rolled-away pods."""
        wanted = {identity(item).namespace for item in manifest_workloads(self.target)}
        places = {identity(item).namespace for item in self.target if item["kind"] == "Service"}
        replicasets: list[JsonObject] = []
        pods: list[JsonObject] = []
        unread: dict[str, ZkRollbackError] = {}
        for namespace in sorted(wanted | (places & {self.env.namespace, *self.elsewhere})):
            try:
                found = [self._list(resource, namespace) for resource in ("replicasets", "pods")]
            except ZkRollbackError as error:
                unread[namespace] = error
                continue
            replicasets += found[0]
            pods += found[1]
        return replace(
            seen,
            replicasets=tuple(replicasets),
            pods=tuple(pods),
            error=next(iter(unread.values()), None),
            unread=frozenset(unread),
        )

    def _list(self, resource: str, namespace: str) -> tuple[JsonObject, ...]:
        watched = self.snapshot if namespace == self.env.namespace else self.elsewhere.get(namespace)
        if watched is None:
            group = "/api/v1" if resource == "pods" else "/apis/apps/v1"
            return self.kube.list(f"{group}/namespaces/{quote(namespace, safe='')}/{resource}")
        snapshot = watched()
        if resource not in snapshot.objects:
            raise snapshot.errors[resource]
        return snapshot.objects[resource]

    def _made(self, live: Sequence[LiveObject], compared: Sequence[Sequence[Difference]]) -> dict[int, Made]:
        """A dry run of each object that differs and exists."""
        differing = [
            number for number, found in enumerate(compared) if found and live[number].item is not None
        ][:_TRIED]
        tried = fetch_each(
            lambda number: fetch_made(self.kube, self.target[number], live[number].item), differing
        )
        return dict(zip(differing, tried, strict=True))

    def _made_pods(self, judged: PodsJudged) -> dict[ObjectKey, Made]:
        wanted = [item for item in self.target if identity(item) in judged.other_images]
        tried = fetch_each(lambda item: fetch_made_pod(self.kube, item), wanted)
        return {identity(item): made for item, made in zip(wanted, tried, strict=True)}

    def _with_times(self, seen: Observed) -> Observed:
        """Where pods were not restarted: when what they are made of was made, and their status written.

        Only said if read: else their nodes' clocks are all there is, with a margin.
        """
        times: dict[str, datetime] = {}
        for namespace in sorted({namespace_of(pod) or self.env.namespace for pod in seen.pods}):
            with suppress(ZkRollbackError):
                path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods"
                for each in self.kube.list_metadata(path):
                    if (written := status_written(each["metadata"])) is not None:
                        times[uid(each)] = written
        keeping = ("StatefulSet", "DaemonSet")
        places = {identity(item).namespace for item in self.target if item["kind"] in keeping}
        return replace(seen, status_written=times, revisions=self._controller_revisions(places))

    def _revisions(self, live: Sequence[LiveObject]) -> tuple[JsonObject, ...]:
        """The ControllerRevisions beside partitioned StatefulSets.

        Only said if read: else of which revision a kept pod is stays unknown.
        """
        partitioned = {
            identity(item).namespace
            for item, answer in zip(self.target, live, strict=True)
            if is_partitioned(answer.item)
        }
        return self._controller_revisions(partitioned)

    def _controller_revisions(self, places: Collection[str]) -> tuple[JsonObject, ...]:
        found: list[JsonObject] = []
        for namespace in sorted(places):
            with suppress(ZkRollbackError):
                path = f"/apis/apps/v1/namespaces/{quote(namespace, safe='')}/controllerrevisions"
                found += self.kube.list(path)
        return tuple(found)

    def _endpoints(self, seen: Observed) -> tuple[JsonObject, ...]:
        """Only said if read: a terminating pod is no ready endpoint, unless its Service publishes all."""
        leaving = {namespace_of(pod) or self.env.namespace for pod in seen.pods if is_terminating(pod)}
        found: list[JsonObject] = []
        for namespace in sorted(leaving):
            with suppress(ZkRollbackError):
                place = f"namespaces/{quote(namespace, safe='')}"
                found += self.kube.list(f"/apis/discovery.k8s.io/v1/{place}/endpointslices")
        return tuple(found)

    def judge(self, history: History, now: datetime) -> Judgement:
        """PASS if all was read and equal; a difference is FAIL at once, an old pod only when it stays."""
        if not self.target:
            observed = f"The manifest of revision {self.revision} holds no object: nothing to compare."
            if self.unread:
                observed = f"Nothing could be compared: {'; '.join(self.unread)}."
            return CheckResult(word=Verdict.UNVERIFIED, observed=observed)
        sample = history.judged[-1] if history.judged else None
        if sample is None or history.rollouts_passed is None:
            return Pending(observed="Not compared yet: the rollouts have not settled.", seen=False)
        if not isinstance(sample.value, Observed):
            return Pending(observed=f"The live objects could not be read: {sample.error}", seen=False)
        return self._judged(sample.value, now, rollouts_passed=history.rollouts_passed)

    def _judged(self, seen: Observed, now: datetime, *, rollouts_passed: bool) -> Judgement:
        trouble = _head_trouble(seen.head, seen.deployed, self.expected_head)
        if trouble is None:
            return self._compared(seen, now, rollouts_passed=rollouts_passed)
        alone = False
        if seen.head is not None and seen.head.status == "failed":
            rest = self._compared(seen, now, rollouts_passed=rollouts_passed)
            alone = isinstance(rest, CheckResult) and rest.word is Verdict.PASS
        by_hand = helm(self.env, "history", self.env.release)
        return trouble.model_copy(update={"by_hand": by_hand, "only_by_helm": alone})

    def _compared(self, seen: Observed, now: datetime, *, rollouts_passed: bool) -> Judgement:
        bundles = self._bundles(seen)
        by_object, ignored = self._without_ignored(seen, self._differences(seen, bundles))
        differences = [one for each in by_object for one in each]
        errors = [one.error for one in differences if one.error is not None]
        others = (*seen.leftovers, *seen.references, *seen.left_behind, *seen.generated)
        errors += [each.error for each in others if each.error is not None]
        if seen.error is not None:
            errors.append(seen.error)
        left = [
            PodProblem(
                f"{self._label(item)}, which revision {self.revision} does not have, is still live",
                shows=(_show(item),),
            )
            for item, answer in zip(self.leftovers, seen.leftovers, strict=True)
            if answer.item is not None
            and not is_terminating(answer.item)
            and not self._why_it_stays(answer.item)
        ]
        missing = [
            PodProblem(
                f"{self._label(each.item)}, which {each.user} refers to, does not exist",
                shows=(_show(each.item),),
            )
            for each, answer in zip(outer_references(self.target), seen.references, strict=True)
            if answer == LiveObject()
        ]
        changed = [*self._hooks_changed(seen), *map(_not_compared, self.unread)]
        left += [each for each in changed if each.word is Verdict.FAIL]
        behind = list(judge_left_behind(self.target, self.left_behind, seen.left_behind, self.env.namespace))
        left += [each for each in behind if isinstance(each, PodProblem)]
        stays = [each.text for each in behind if isinstance(each, Remark)]
        expected, cluster = self._expectation(now), _cluster(seen)
        judged = judge_pods(expected, cluster)
        generated = list(judge_generated(expected, cluster, seen.generated)) if seen.generated else []
        stays += [each.text for each in generated if isinstance(each, Remark)]
        problems = (*judged.strays, *(each for each in generated if isinstance(each, PodProblem)))
        strays = {
            (word, waits): [each for each in problems if (each.word, each.waits) == (word, waits)]
            for word in (Verdict.FAIL, Verdict.UNVERIFIED)
            for waits in (True, False)
        }
        said = [each.text for each in (*left, *missing, *problems)]
        proposed = {
            number: self._ignore.proposed(each, self.target[number], seen.live[number])
            for number, each in enumerate(by_object)
        }
        entries = dict.fromkeys(str(entry) for keys in proposed.values() for entry in keys.values())
        proof = _proof(differences, said, judged.table, seen.error, tuple(entries))
        many = "" if len(ignored) == 1 else "s"
        filled = [
            f"the CA bundle of {self._label(item)} is {by}'s"
            for item, each in zip(self.target, bundles, strict=True)
            if (by := next((one.by for one in each if one.is_stated and one.is_filled and one.by), ""))
        ]
        count = [f"{len(ignored)} difference{many} ignored by configuration"] if ignored else []
        how = "; ".join(
            (self._how(seen, judged.count), *judged.remarks, *stays, *filled, *self._moved(seen), *count)
        )

        def final(word: Verdict, found: Sequence[PodProblem]) -> CheckResult:
            return CheckResult(
                word=word,
                observed=_first(found, how),
                evidence=proof,
                by_hand=self._by_hand(found[0]),
                ignored=ignored,
            )

        differing, unsure, by_diff = [], [], self._in_one_namespace
        for number, (item, each) in enumerate(zip(self.target, by_object, strict=True)):
            keys = proposed.get(number, {})
            for one in each:
                problem = _as_problem(item, one, keys.get(one), by_diff=by_diff)
                made = seen.made.get(number)
                other = "" if one.by else served_otherwise(item, seen.live[number].item)
                if other or cannot_be_compared(one, made, seen.live[number]):
                    why = f"it{other}" if other else made
                    text = f"{one.label} {one.path} could not be compared: {why}{_if_meant(keys.get(one))}"
                    unsure.append(replace(problem, text=text, word=Verdict.UNVERIFIED))
                elif not one.unknown:
                    differing.append(problem)
        if wrong := [*differing, *left, *strays[Verdict.FAIL, False]]:
            failing = [each for each in judged.strays if each.word is Verdict.FAIL]
            cures = () if differing or left else self._restarts(failing)
            return final(Verdict.FAIL, wrong).model_copy(update={"cures": cures})
        if errors:
            observed = f"{len(errors)} of these reads failed: {errors[0]} ({how})"
            if all(isinstance(error, Forbidden | Unauthorized) for error in errors):
                return CheckResult(
                    word=Verdict.UNVERIFIED, observed=observed, evidence=proof, ignored=ignored
                )
            return Pending(observed=observed, seen=False, evidence=proof)
        waiting = [*strays[Verdict.FAIL, True], *missing, *self._unfilled(bundles)]
        if waiting and rollouts_passed:
            shown = self._by_hand(waiting[0])
            return Pending(observed=_first(waiting, how), seen=True, evidence=proof, by_hand=shown)
        if waiting:
            return final(Verdict.FAIL, waiting)
        unsure += [each for each in changed if each.word is Verdict.UNVERIFIED]
        if unknown := [*unsure, *strays[Verdict.UNVERIFIED, False]]:
            return final(Verdict.UNVERIFIED, unknown).model_copy(update={"cures": self._restarts(unknown)})
        if later := strays[Verdict.UNVERIFIED, True]:
            return Pending(observed=_first(later, how), seen=False, evidence=proof)
        none = "No other difference" if ignored else "No difference"
        return CheckResult(word=Verdict.PASS, observed=f"{none}; {how}", evidence=proof, ignored=ignored)

    def _hooks_changed(self, seen: Observed) -> Iterator[PodProblem]:
        """What pods refer to and hooks made, where it is not as the newest hook up to the target made it."""
        for each, answer in zip(outer_references(self.target), seen.references, strict=True):
            made = self.hooks_made.get(identity(each.item))
            if made is None or answer.item is None or made.is_as_made(answer):
                continue
            number, by = made.made[0], made.left_by(answer)
            what = f"{self._label(each.item)}, which {each.user} refers to, is"
            runs = "helm rollback runs no install and no upgrade hooks"
            if by is not None:
                text = (
                    f"{what} as the hook of revision {by} left it, not as that of revision {number}: {runs}"
                )
                yield PodProblem(text, shows=(_show(each.item),))
            else:
                text = f"{what} not as the hook of revision {number} made it, and of no other one: {runs}"
                yield PodProblem(text, Verdict.UNVERIFIED, waits=False, shows=(_show(each.item),))

    def _moved(self, seen: Observed) -> list[str]:
        """What is served under another version than the manifest's."""
        return [
            f"{self._label(item)}{other}"
            for item, answer in zip(self.target, seen.live, strict=True)
            if (other := served_otherwise(item, answer.item))
        ]

    def _by_hand(self, problem: PodProblem) -> str:
        """The commands that show it; empty where the check's own does."""
        return "; ".join(map(self._command, problem.shows))

    def _command(self, wanted: Words) -> str:
        return kubectl(self.env, *wanted.words, namespace=wanted.namespace)

    def _bundles(self, seen: Observed) -> list[tuple[CaBundle, ...]]:
        """Of each object the CA bundles that an injector has to fill in."""
        wrote = (HELM, *self.managers)
        return [
            ca_bundles(item, answer.item, wrote) if answer.item is not None else ()
            for item, answer in zip(self.target, seen.live, strict=True)
        ]

    def _unfilled(self, bundles: Sequence[Sequence[CaBundle]]) -> Iterator[PodProblem]:
        """Those that an injector is known to fill in, and has not."""
        for item, each in zip(self.target, bundles, strict=True):
            for one in each:
                who = one.annotation or self.injected.get(identity(item), "")
                if not one.is_filled and who:
                    where = f"{self._label(item)} {shown_path(one.path)}"
                    shown = Words.about(item, "get", resource_name(item), "-o", "yaml")
                    yield PodProblem(f"{where} is not filled in, as {who} is to do", shows=(shown,))

    def _differences(self, seen: Observed, bundles: Sequence[Sequence[CaBundle]]) -> list[list[Difference]]:
        """Of each object all but those that a fresh one has as well, and CA bundles that were filled in."""
        filled = [{one.path for one in each if one.is_filled and one.by} for each in bundles]
        found = [
            drop_admission_changes(
                differences, self.target[number], seen.made.get(number), seen.live[number], self._trusted
            )
            for number, differences in enumerate(
                seen.compared if seen.compared is not None else self._compare(seen.live)
            )
        ]
        return [
            [replace(one, label=self._label(item)) for one in differences if one.parts not in paths]
            for item, differences, paths in zip(self.target, found, filled, strict=True)
        ]

    def _without_ignored(
        self, seen: Observed, by_object: Sequence[Sequence[Difference]]
    ) -> tuple[list[list[Difference]], tuple[IgnoredDifference, ...]]:
        """The differences that count, of each object, and those that the configuration leaves out."""
        counting: list[list[Difference]] = []
        ignored = []
        for item, live, differences in zip(self.target, seen.live, by_object, strict=True):
            counting.append([])
            for one in differences:
                entry = self._ignore.entry_for(one, item, live)
                if entry is None:
                    counting[-1].append(one)
                    continue
                ignored.append(
                    IgnoredDifference(
                        what=one.label,
                        path=one.path,
                        expected=one.expected,
                        live=one.live,
                        by=one.by,
                        entry=str(entry),
                    )
                )
        return counting, tuple(ignored)

    def _restarts(self, wrong: Sequence[PodProblem]) -> tuple[str, ...]:
        """The restarts that mend all that is wrong; none where something else is wrong as well."""
        if any(each.restart is None for each in wrong):
            return ()
        wanted = dict.fromkeys(each.restart for each in wrong if each.restart is not None)
        return tuple(map(self._command, wanted))

    def _why_it_stays(self, leftover: JsonObject) -> str:
        """Why it may stay live: helm had to leave it, or another release has it; empty: it is a leftover."""
        ours = (self.env.release, self.home or self.env.namespace)
        if (owner := release_of(leftover, ours)) != ours:
            return f"belongs to release {'/'.join(reversed(owner))}"
        return "kept by its policy" if is_kept_on_purpose(leftover) else ""

    def _how(self, seen: Observed, pods: int) -> str:
        how = f"read-only comparison of {len(self.target)} objects and {pods} pods"
        stay = [
            f"{self._label(item)} ({why})"
            for item, answer in zip(self.leftovers, seen.leftovers, strict=True)
            if answer.item is not None and (why := self._why_it_stays(answer.item))
        ]
        if stay:
            how += f"; stays where it is: {', '.join(stay)}"
        tried = [*seen.made.values(), *seen.made_pods.values()]
        refused = [one for one in tried if not isinstance(one, dict)]
        if len(tried) > len(refused):
            how += f", {len(tried) - len(refused)} of what differed tried by dry run"
        if refused:
            how += f"; whether a webhook made the difference could not be tried: {refused[0]}"
        return how


def _cluster(seen: Observed) -> Cluster:
    made = {key: container_images(pod) for key, pod in seen.made_pods.items() if isinstance(pod, dict)}
    slices, revisions = seen.endpointslices, seen.revisions
    return Cluster(
        seen.live,
        seen.replicasets,
        seen.pods,
        made,
        slices,
        revisions,
        seen.unread,
        seen.status_written,
        {key: pod for key, pod in seen.made_pods.items() if isinstance(pod, dict)},
    )


def _head_trouble(
    head: Revision | None, deployed: tuple[int, ...], expected: int | None
) -> CheckResult | None:
    """A newer revision than ours, or one that helm does not call deployed, or not alone."""
    if head is None:
        return None
    if expected is not None and head.revision != expected:
        text = f"superseded: revision {head.revision} ({head.description}) appeared meanwhile"
        return CheckResult(word=Verdict.FAIL, observed=text)
    if head.status != "deployed":
        word = Verdict.FAIL if head.status == "failed" else Verdict.UNVERIFIED
        text = f"helm calls revision {head.revision} {head.status}: {head.description or 'no description'}"
        return CheckResult(word=word, observed=text)
    if len(deployed) > 1:
        text = (
            f"helm calls revisions {' and '.join(map(str, deployed))} deployed: another helm ended after "
            "ours, and the next upgrade may start from either. Once no other helm is at work, the same "
            "rollback again leaves one"
        )
        return CheckResult(word=Verdict.FAIL, observed=text)
    return None


def _as_problem(item: JsonObject, difference: Difference, key: Ignore | None, *, by_diff: bool) -> PodProblem:
    """kubectl diff says nothing of what the manifest does not state; without ``by_diff`` nothing at all.

    ``key`` would leave it out.
    """
    text = str(difference)
    if not difference.stated and difference.by and not difference.by.startswith((HELM, "kubectl")):
        text += f'; if that is meant: field_managers = ["{difference.by}"]'
    else:
        text += _if_meant(key)
    if difference.stated and by_diff:
        return PodProblem(text)
    if item["kind"] == "Secret":  # its values stay off the screen
        return PodProblem(text, shows=(Words.about(item, "describe", resource_name(item)),))
    return PodProblem(text, shows=(Words.about(item, "get", resource_name(item), "-o", "yaml"),))


def _not_compared(document: str) -> PodProblem:
    return PodProblem(f"not compared: {document}", Verdict.UNVERIFIED)


def _if_meant(key: Ignore | None) -> str:
    return f"; if that is meant: ignore = [{key}]" if key is not None else ""


def _show(item: JsonObject) -> Words:
    return Words.about(item, "get", resource_name(item))


def _first(problems: Sequence[PodProblem], how: str) -> str:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{problems[0].text}{more}; {how}"


def _proof(
    differences: Sequence[Difference],
    said: Sequence[str],
    table: Sequence[str],
    error: ZkRollbackError | None,
    entries: Sequence[str],
) -> tuple[Evidence, ...]:
    parts = []
    if differences:
        parts.append(evidence("Target revision (-) and live (+)", render_differences(differences), "diff"))
    if len(entries) > 1:  # the sentence names the first
        lines = "\n".join(("ignore = [", *(f"  {each}," for each in entries), "]"))
        parts.append(evidence("What would leave these differences out, if they are meant", lines))
    if said:
        parts.append(evidence("What is not the target's", "\n".join(said)))
    if table:
        parts.append(evidence("Pods of the target's workloads", "\n".join(table)))
    if error is not None:
        parts.append(evidence("Pods were not read", str(error)))
    return tuple(parts)
