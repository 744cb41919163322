import base64
import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pytest_zkrollback.checklist.equivalence import check as equivalence
from pytest_zkrollback.checklist.equivalence import read_settings
from pytest_zkrollback.checklist.equivalence.check import EquivalenceCheck, Observed
from pytest_zkrollback.checklist.equivalence.left_behind import LeftBehind
from pytest_zkrollback.checklist.equivalence.model import Cluster, DeployedInterval, Expectation
from pytest_zkrollback.checklist.equivalence.service_endpoints import judge_servers
from pytest_zkrollback.config.environment import Environment, Reload
from pytest_zkrollback.config.ignored_fields import Ignore
from pytest_zkrollback.domain.checks import History, Sample
from pytest_zkrollback.domain.errors import BadAnswer, Forbidden, Unauthorized, Unreachable
from pytest_zkrollback.domain.ports import Check, Stage
from pytest_zkrollback.domain.record import Revision
from pytest_zkrollback.domain.verdict import CheckResult, Judgement, Pending, Verdict
from pytest_zkrollback.release.drift import LiveObject
from pytest_zkrollback.release.manifest import identity
from support.manifests import parse_manifest

NOW = datetime(2026, 11, 23, 7, tzinfo=UTC)
MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  template: {spec: {initContainers: [{name: init, image: "i:1"}], containers: [{name: app, image: "web:5"}]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {k: v}
"""
TARGET = parse_manifest(MANIFEST, "n")
CHECK = EquivalenceCheck(
    env=Environment(
        name="e", context="ctx", namespace="n", release="web", workloads={"web": "deployment/web"}
    ),
    kube=None,  # type: ignore[arg-type]  # judging asks nobody
    revision=5,
    target=TARGET,
)
OF_C = '{ kind = "ConfigMap", name = "c", path = "data.k" }'
FORBIDDEN = Forbidden("You may not.", verb="list", resource="pods")
WEB = identity(TARGET[0])
HOW = "read-only comparison of 2 objects and 2 pods"


def owned(name: str, uid: str, owner: str, **more: Any) -> dict:
    owners = [{"uid": "someone", "controller": False}, {"uid": owner, "controller": True}]
    return {"metadata": {"name": name, "uid": uid, "ownerReferences": owners}, **more}


def pod(name: str, image: str = "web:5", owner: str = "rs-new", *sidecars: dict, **status: Any) -> dict:
    spec = {
        "initContainers": [{"name": "init", "image": "i:1"}],
        "containers": [{"name": "app", "image": image}, *sidecars],
    }
    return owned(name, name, owner, spec=spec, status=status)


def live_objects() -> tuple[dict, dict]:
    web, config = parse_manifest(MANIFEST, "n")
    web["metadata"]["uid"] = "web"
    return web, config


def observed(*pods: dict, **changes: Any) -> Observed:
    web, config = live_objects()
    replicasets = (owned("new", "rs-new", "web"), owned("old", "rs-old", "web"), owned("x", "rs-x", "other"))
    return replace(
        Observed((LiveObject(web), LiveObject(config)), replicasets, pods or (pod("a"), pod("b"))), **changes
    )


def judge(value: object, *, passed: bool | None = True, check: EquivalenceCheck = CHECK) -> Judgement:
    sample = value if isinstance(value, Sample) else Sample(NOW, value)
    return check.judge(History((sample,), since=NOW, judged_from=NOW, rollouts_passed=passed), NOW)


def test_case_p3_a_document_that_was_not_read_is_never_a_pass_and_hides_no_difference():
    check = replace(CHECK, unread=("document 3 (web/x.yaml) is no YAML in line 7: x of revision 5",))
    verdict = judge(observed(), check=check)
    assert isinstance(verdict, CheckResult)
    assert verdict.word is Verdict.UNVERIFIED
    assert verdict.observed.startswith("not compared: document 3 (web/x.yaml) is no YAML in line 7")
    web, config = live_objects()
    config["data"]["k"] = "other"
    verdict = judge(observed(live=(LiveObject(web), LiveObject(config))), check=check)
    assert isinstance(verdict, CheckResult)
    assert verdict.word is Verdict.FAIL
    nothing = replace(check, target=())
    verdict = judge(observed(), check=nothing)
    assert isinstance(verdict, CheckResult)
    assert (verdict.word, "document 3" in verdict.observed) == (Verdict.UNVERIFIED, True)


def test_it_is_a_check():
    check: Check = CHECK
    assert (check.id, check.stage, check.interval_s, check.deadline_s) == (
        "release-equivalence",
        Stage.AFTER_ROLLOUTS,
        0.5,
        10,
    )
    assert check.expected == (
        "all 2 objects of revision 5 are live as stated, with nothing added to what runs; every pod of its "
        "workloads runs its images and settings; what it refers to exists; nothing of the rolled-away revisions "
        "is left or serves; helm calls the release deployed"
    )
    assert check.command == (
        "helm get manifest web --revision 5 -n n --kube-context ctx | kubectl diff -f - -n n --context ctx"
    )


def passes(judgement: Judgement) -> bool:
    assert isinstance(judgement, CheckResult)
    return (judgement.word, judgement.observed) == (Verdict.PASS, f"No difference; {HOW}")


def test_pass_says_how_it_was_compared_and_what_runs():
    digest = {"name": "app", "imageID": "docker.io/web@sha256:0123456789abcdef0123"}
    pods = pod("a", containerStatuses=[digest], startTime="2026-11-23T06:00:00Z"), pod("b")
    verdict = judge(observed(*pods))
    assert passes(verdict)
    (proof,) = verdict.evidence
    assert (proof.title, proof.text) == (
        "Pods of the target's workloads",
        "Deployment/web  a  started 2026-11-23 06:00:00 UTC  init=i:1  app=web:5 (sha256:0123456789ab)\n"
        "Deployment/web  b  started ?  init=i:1  app=web:5",
    )


def test_a_difference_is_a_fail_at_once_with_its_evidence_fault_44():
    value = observed()
    assert value.live[1].item is not None
    value.live[1].item["data"] = {"k": "w"}
    verdict = judge(value)
    assert isinstance(verdict, CheckResult)
    assert (verdict.word, verdict.observed) == (
        Verdict.FAIL,
        f'ConfigMap/c data.k: expected "v", live "w"; if that is meant: ignore = [{OF_C}]; {HOW}',
    )
    proof, _ = verdict.evidence
    assert (proof.kind, proof.text) == ("diff", '@@ ConfigMap/c data.k\n- "v"\n+ "w"')


def test_an_object_that_is_missing_fails():
    web, _ = live_objects()
    verdict = judge(observed(live=(LiveObject(web), LiveObject())))
    assert isinstance(verdict, CheckResult)
    assert verdict.observed.startswith("ConfigMap/c: expected to exist, live (absent); ")


STRAY = "Pod b of Deployment/web runs web:6 as app, not web:5"


def test_an_old_pod_is_waited_for_while_the_rollouts_passed():
    value = observed(pod("a"), pod("b", "web:6", "rs-old"))
    waiting = judge(value)
    assert isinstance(waiting, Pending)
    assert (waiting.observed, waiting.seen) == (f"{STRAY}; {HOW}", True)
    assert waiting.evidence[0].text == STRAY
    assert waiting.at_deadline(10).word is Verdict.FAIL
    failed = judge(value, passed=False)
    assert isinstance(failed, CheckResult) and failed.word is Verdict.FAIL


@pytest.mark.parametrize(
    "extra",
    [
        pod("old", "web:6", "rs-old", phase="Failed"),
        pod("old", "web:6", "rs-old", phase="Succeeded"),
        {
            **(gone := pod("old", "web:6", "rs-old")),
            "metadata": {**gone["metadata"], "deletionTimestamp": "x"},
        },
        pod("foreign", "web:6", "rs-x"),
        pod("orphan", "web:6", "someone"),
        {"metadata": {"name": "naked"}},
    ],
)
def test_pods_that_go_away_or_belong_to_others_do_not_count(extra):
    assert passes(judge(observed(pod("a"), pod("b"), extra)))


def test_an_injected_sidecar_is_no_stray_and_a_missing_container_is():
    sidecar = pod("b", "web:5", "rs-new", {"name": "proxy", "image": "mesh:1"})
    assert isinstance(judge(observed(pod("a"), sidecar)), CheckResult)
    bare = pod("b")
    del bare["spec"]["initContainers"]
    waiting = judge(observed(pod("a"), bare))
    assert waiting.observed == f"Pod b of Deployment/web runs no container as init, not i:1; {HOW}"


def test_two_deployed_revisions_are_red_fault_17():
    head = Revision(revision=9, status="deployed", chart="web-1.0.0", deployed_at=NOW)
    assert judge(observed(pod("a"), pod("b"), head=head, deployed=(9,))).word is Verdict.PASS
    red = judge(observed(pod("a"), pod("b"), head=head, deployed=(8, 9)))
    assert red.word is Verdict.FAIL
    assert red.observed.startswith("helm calls revisions 8 and 9 deployed: another helm ended after ours")


def test_a_workload_without_its_pods_does_not_pass():
    web, config = live_objects()
    waiting = judge(Observed((LiveObject(web), LiveObject(config))))
    assert isinstance(waiting, Pending)
    assert waiting.observed == (
        "Deployment/web runs no pod, and wants 2; read-only comparison of 2 objects and 0 pods"
    )


def test_a_workload_at_zero_needs_none():
    target = parse_manifest(MANIFEST.replace("replicas: 2", "replicas: 0"), "n")
    check = replace(CHECK, target=target)
    verdict = judge(Observed(tuple(map(LiveObject, target))), check=check)
    assert isinstance(verdict, CheckResult) and verdict.word is Verdict.PASS


@pytest.mark.parametrize("error", [FORBIDDEN, Unauthorized("Who are you?")])
def test_what_may_not_be_read_is_unverified_fault_7(error):
    web, config = live_objects()
    for value in (
        observed(live=(LiveObject(web), LiveObject(error=error))),
        Observed((LiveObject(web), LiveObject(config)), error=error),
    ):
        verdict = judge(value)
        assert isinstance(verdict, CheckResult)
        assert verdict.word is Verdict.UNVERIFIED
        assert str(error) in verdict.observed
        assert verdict.evidence


@pytest.mark.parametrize("error", [Unreachable("Down."), BadAnswer("Odd.", status=500)])
def test_what_was_not_read_now_may_be_read_next_and_else_is_unverified(error):
    waiting = judge(observed(error=error))
    assert isinstance(waiting, Pending) and not waiting.seen
    assert waiting.at_deadline(10).word is Verdict.UNVERIFIED
    waiting = judge(Sample(NOW, error=error))
    assert isinstance(waiting, Pending) and not waiting.seen
    assert str(error) in waiting.observed


def test_a_difference_counts_although_something_else_was_not_read():
    value = observed(error=FORBIDDEN)
    assert value.live[1].item is not None
    value.live[1].item["data"] = {}
    verdict = judge(replace(value, pods=()))
    assert isinstance(verdict, CheckResult)
    assert verdict.word is Verdict.FAIL
    assert [proof.title for proof in verdict.evidence] == [
        "Target revision (-) and live (+)",
        "What is not the target's",
        "Pods were not read",
    ]


def test_nothing_is_judged_before_the_rollouts_settled_or_from_older_samples():
    waiting = judge(observed(), passed=None)
    assert isinstance(waiting, Pending) and not waiting.seen
    older = Sample(NOW - timedelta(seconds=1), observed())
    for samples in ((), (older,)):
        history = History(samples, since=NOW, judged_from=NOW, rollouts_passed=True)
        assert isinstance(CHECK.judge(history, NOW), Pending)


def test_an_empty_manifest_is_unverified():
    verdict = judge(Observed(()), check=replace(CHECK, target=()))
    assert verdict == CheckResult(
        word=Verdict.UNVERIFIED,
        observed="The manifest of revision 5 holds no object: nothing to compare.",
    )


class FakeKube:
    def __init__(self, pods: object) -> None:
        self.pods = pods

    def resource_path(self, api_version, kind, namespace, name=""):
        return f"/{kind}/{namespace}/{name}"

    def get(self, path, query=None, timeout_s=5.0):
        return dict(zip(["/Deployment/n/web", "/ConfigMap/n/c"], live_objects(), strict=True))[path]

    def list(self, path, query=None, timeout_s=5.0):
        if path == "/apis/apps/v1/namespaces/n/replicasets":
            return (owned("new", "rs-new", "web"),)
        assert path == "/api/v1/namespaces/n/pods"
        if isinstance(self.pods, Exception):
            raise self.pods
        return self.pods


def test_observe_reads_objects_and_pods():
    check = replace(CHECK, kube=FakeKube((pod("a"), pod("b"))))
    assert passes(judge(check.observe()))
    seen = replace(CHECK, kube=FakeKube(FORBIDDEN)).observe()
    assert (len(seen.live), seen.error) == (2, FORBIDDEN)


SERVED = (
    MANIFEST.replace("template: {spec:", "template: {metadata: {labels: {app: web}}, spec:")
    + """
---
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {selector: {app: web}}
"""
)
READY = {"conditions": [{"type": "Ready", "status": "True"}]}


def at(minutes: int) -> str:
    return (NOW + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def running(name: str, minutes: int, image: str = "web:5", image_id: str = "", **more: Any) -> dict:
    state = {"running": {"startedAt": at(minutes)}}
    status = {"name": "app", "state": state, "imageID": image_id}
    made = pod(name, image, containerStatuses=[status], **{**READY, **more})
    made["metadata"]["creationTimestamp"] = at(minutes)
    return made


def with_service(
    *pods: dict, before: str = "", intervals: tuple[DeployedInterval, ...] = (), **changes: Any
) -> Judgement:
    target = parse_manifest(SERVED, "n")
    web, config, service = map(dict, parse_manifest(SERVED, "n"))
    web["metadata"] = {**web["metadata"], "uid": "web"}
    rolled_away = (parse_manifest(before, "n"),) if before else ()
    check = replace(CHECK, target=target, rolled_away=rolled_away, since=NOW, intervals=intervals)
    for each in pods:
        each["metadata"]["labels"] = {"app": "web"}
        run_as_stated(each, target[0])
    value = observed(*pods, **{"live": (LiveObject(web), LiveObject(config), LiveObject(service)), **changes})
    return judge(value, check=check)


def run_as_stated(pod: dict, workload: dict) -> None:
    """The pod's containers run with what the template states beside the image."""
    spec = workload["spec"]["template"]["spec"]
    for kind in ("initContainers", "containers"):
        for one, stated in zip(pod["spec"][kind], spec[kind], strict=False):
            one |= {key: stated[key] for key in ("envFrom", "volumeMounts") if key in stated}


def sentence(judgement: Judgement) -> str:
    return judgement.observed.partition("; read-only")[0]


def test_fault_44_an_orphan_of_the_bad_revision_that_serves_is_red_when_it_stays():
    bad = SERVED.replace("web:5", "web:6")
    orphan = pod("orphan", "web:6", "rs-gone", **READY)
    waiting = with_service(running("a", 1), running("b", 1), orphan, before=bad)
    assert isinstance(waiting, Pending) and waiting.seen
    assert sentence(waiting) == "Pod orphan of a rolled-away revision runs web:6 and serves Service/front"


def test_fault_44_a_pod_of_nobody_that_serves_is_red_when_it_stays():
    naked = {**pod("naked", "web:5", **READY), "metadata": {"name": "naked", "uid": "naked"}}
    waiting = with_service(running("a", 1), running("b", 1), naked)
    assert isinstance(waiting, Pending) and waiting.seen
    assert sentence(waiting) == "Pod naked belongs to no workload and serves Service/front"


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"deletionTimestamp": "x"}},
        {"status": {"phase": "Failed", **READY}},
        {"status": {"conditions": [{"type": "Ready", "status": "False"}]}},
    ],
)
def test_an_orphan_that_serves_nobody_is_fine(change):
    orphan = pod("orphan", "web:6", "rs-gone", **READY)
    orphan["metadata"] |= change.get("metadata", {})
    orphan["status"] = change.get("status", orphan["status"])
    judgement = with_service(
        running("a", 1), running("b", 1), orphan, before=SERVED.replace("web:5", "web:6")
    )
    assert judgement.word is Verdict.PASS


def test_a_pod_of_another_release_behind_the_same_service_is_none_of_ours():
    canary = pod("canary", "web:7", "rs-x", **READY)
    canary["metadata"]["ownerReferences"][1]["kind"] = "ReplicaSet"
    assert with_service(running("a", 1), running("b", 1), canary).word is Verdict.PASS


@pytest.mark.parametrize(("ready", "word"), [(True, None), (None, None), (False, Verdict.PASS)])
def test_an_old_pod_that_terminates_has_to_be_out_of_the_endpoints(ready, word):
    old = pod("old", "web:6", "rs-old", **READY)
    old["metadata"]["deletionTimestamp"] = "x"
    slices = (
        {
            "metadata": {"labels": {"kubernetes.io/service-name": "front"}},
            "endpoints": [{"targetRef": {"uid": "old"}, "conditions": {"ready": ready}}, {}],
        },
    )
    judgement = with_service(running("a", 1), running("b", 1), old, endpointslices=slices)
    if word is None:
        assert isinstance(judgement, Pending) and judgement.seen
        assert sentence(judgement) == "Pod old is terminating and still in the endpoints of Service/front"
    else:
        assert judgement.word is word


READS = SERVED.replace('image: "web:5"', 'image: "web:5", envFrom: [{configMapRef: {name: c}}]')


@pytest.mark.parametrize(("started", "word"), [(-5, Verdict.FAIL), (0, Verdict.PASS), (5, Verdict.PASS)])
def test_fault_68_a_pod_that_read_its_settings_before_they_changed_is_red(started, word, monkeypatch):
    monkeypatch.setitem(globals(), "SERVED", READS)
    before = READS.replace("{k: v}", "{k: bad}")
    verdict = with_service(running("a", 5), running("b", started), before=before)
    assert verdict.word is word
    if word is Verdict.FAIL:
        assert sentence(verdict) == (
            "Pod b of Deployment/web was not restarted: its container app read ConfigMap/c at its start, before "
            "the rollback changed it back (kubectl rollout restart deployment/web)"
        )
        assert verdict.cures == ("kubectl rollout restart deployment/web -n n --context ctx",)
    else:
        assert verdict.cures == ()


def test_fault_68_settings_that_did_not_change_ask_for_no_restart(monkeypatch):
    monkeypatch.setitem(globals(), "SERVED", READS)
    assert with_service(running("a", -5), running("b", -5), before=READS).word is Verdict.PASS


@pytest.mark.parametrize(
    ("image", "word"),
    [
        ("web:latest", Verdict.UNVERIFIED),
        ("web", Verdict.UNVERIFIED),
        ("registry:5000/web:stable", Verdict.UNVERIFIED),
        ("web:1.8.0-3f9c2e1", Verdict.PASS),
        ("web@sha256:0123456789abcdef", Verdict.PASS),
    ],
)
def test_fault_68_a_tag_that_moves_and_a_rollback_that_restarts_nothing_is_unverified(
    image, word, monkeypatch
):
    served = SERVED.replace("web:5", image)
    monkeypatch.setitem(globals(), "SERVED", served)
    pods = running("a", -5, image), running("b", -5, image)
    verdict = with_service(*pods, before=served)
    assert verdict.word is word
    if word is Verdict.UNVERIFIED:
        assert sentence(verdict) == (
            f"Pod a of Deployment/web was not restarted, and {image} is the same text in both revisions: which "
            "build runs is not known (and 1 more)"
        )
    restarted = running("a", 5, image), running("b", 5, image)
    assert with_service(*restarted, before=served).word is Verdict.PASS
    assert with_service(*pods, before=served.replace("replicas: 2", "replicas: 3")).word is word
    assert (
        with_service(*pods, before=served.replace("i:1", "i:2")).word is Verdict.PASS
    )  # that one moved something


def intervals(*told: tuple[int, str]) -> tuple[DeployedInterval, ...]:
    """(minutes from the rollback, manifest) of the target and what came after it."""
    return tuple(interval(minutes, minutes, text) for minutes, text in told)


def interval(earliest: int, latest: int, text: str, *, applied: bool = True) -> DeployedInterval:
    began = (NOW + timedelta(minutes=minutes) for minutes in (earliest, latest))
    return DeployedInterval(*began, parse_manifest(text, "n"), applied)


@pytest.mark.parametrize(
    ("started", "word"),
    [
        pytest.param(-300, Verdict.FAIL, id="before the target: not known what it read"),
        pytest.param(-91, Verdict.FAIL, id="within 10 minutes of the target's deploy"),
        pytest.param(-90, Verdict.PASS, id="the target was live"),
        pytest.param(-62, Verdict.PASS, id="until the next revision"),
        pytest.param(-60, Verdict.PASS, id="the next one has the same values"),
        pytest.param(-32, Verdict.PASS, id="until the bad deploy"),
        pytest.param(-31, Verdict.UNVERIFIED, id="a minute before it: clocks differ"),
        pytest.param(-25, Verdict.FAIL, id="while it may not have been applied"),
        pytest.param(-5, Verdict.FAIL, id="the bad one was live"),
        pytest.param(1, Verdict.PASS, id="after the rollback"),
    ],
)
def test_fault_68_a_pod_of_the_targets_own_time_read_the_targets_settings(started, word, monkeypatch):
    monkeypatch.setitem(globals(), "SERVED", READS)
    bad = READS.replace("{k: v}", "{k: bad}")
    known = intervals((-100, READS), (-60, READS.replace("web:5", "web:6")), (-30, bad))
    pods = running("a", 1), running("b", started)
    assert with_service(*pods, before=bad, intervals=known).word is word
    assert with_service(*pods, before=bad).word is (Verdict.PASS if started > 0 else Verdict.FAIL)
    disordered = intervals((-100, READS), (-30, READS), (-60, bad))
    assert with_service(*pods, before=bad, intervals=disordered).word is (
        Verdict.PASS if started > 0 else Verdict.FAIL
    )


def test_fault_68_a_pod_of_a_revision_in_between_read_its_settings(monkeypatch):
    monkeypatch.setitem(globals(), "SERVED", READS)
    other = READS.replace("{k: v}", "{k: other}")
    known = intervals((-100, READS), (-60, other), (-30, READS))
    pods = running("a", 1), running("b", -45)
    assert with_service(*pods, before=READS, intervals=known).word is Verdict.FAIL
    assert (
        with_service(running("a", 1), running("b", -15), before=READS, intervals=known).word is Verdict.PASS
    )
    assert (
        with_service(running("a", 1), running("b", -25), before=READS, intervals=known).word
        is Verdict.UNVERIFIED  # five seconds after helm began
    )


def test_fault_68_a_revision_that_failed_has_replaced_nothing(monkeypatch):
    """6 is bad, 7 has the target's values and failed before it applied them, 8 is as bad as 6."""
    monkeypatch.setitem(globals(), "SERVED", READS)
    bad = READS.replace("{k: v}", "{k: bad}")
    pods = running("a", 1), running("b", -45)
    for applied, word in ((False, Verdict.UNVERIFIED), (True, Verdict.PASS)):
        seventh = interval(-80, -80, READS, applied=applied)
        known = (interval(-200, -200, READS), interval(-150, -150, bad), seventh, interval(-30, -30, bad))
        assert with_service(*pods, before=bad, intervals=known).word is word
    never_live = (interval(-200, -200, READS, applied=False), interval(-30, -30, bad))
    assert with_service(*pods, before=bad, intervals=never_live).word is Verdict.FAIL


def test_fault_68_a_deploy_that_one_clock_puts_later_has_replaced_nothing_before_that(monkeypatch):
    monkeypatch.setitem(globals(), "SERVED", READS)
    bad = READS.replace("{k: v}", "{k: bad}")
    known = (
        interval(-400, -400, READS),
        interval(-180, -180, bad),
        interval(-150, -30, READS),
        interval(-15, -15, bad),
    )
    judgement = with_service(running("a", 1), running("b", -90), before=bad, intervals=known)
    assert judgement.word is Verdict.UNVERIFIED


@pytest.mark.parametrize("started", [-95, -45, -5])
def test_fault_68_a_moving_tag_may_have_moved_whenever_the_pod_started(started, monkeypatch):
    served = SERVED.replace("web:5", "web:latest")
    monkeypatch.setitem(globals(), "SERVED", served)
    bad = served.replace("replicas: 2", "replicas: 3")
    pods = running("a", started, "web:latest"), running("b", started, "web:latest")
    known = intervals((-100, served), (-30, bad))
    assert with_service(*pods, before=bad, intervals=known).word is Verdict.UNVERIFIED


def test_fault_68_two_builds_under_one_name_are_unverified():
    one, two = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    pods = running("a", 1, image_id=f"r/web@{one}"), running("b", 1, image_id=f"r/web@{two}")
    verdict = with_service(*pods)
    assert verdict.word is Verdict.UNVERIFIED
    assert sentence(verdict) == (
        f"The pods of Deployment/web run different builds of web:5: {one[:19]} (a) and {two[:19]} (b)"
    )
    assert with_service(pods[0], running("b", 1, image_id=f"mirror/web@{one}")).word is Verdict.PASS


def test_case_k6_the_digest_of_an_imported_image_says_nothing_about_that_of_a_pulled_one():
    config, manifest, other = (f"sha256:{digit * 64}" for digit in "123")

    def verdict(*image_ids: str, image: str = "web:5") -> Verdict:
        pods = [running(name, 1, image, image_id=each) for name, each in zip("abc", image_ids, strict=False)]
        return with_service(*pods).word

    assert verdict(config, f"r/web@{manifest}") is Verdict.PASS
    assert verdict(config, config, f"r/web@{manifest}") is Verdict.PASS
    assert verdict(config, other, f"r/web@{manifest}") is Verdict.UNVERIFIED
    assert verdict(config, f"r/web@{manifest}", f"r/web@{other}") is Verdict.UNVERIFIED


@pytest.mark.parametrize("image", ["web:latest", "web"])
def test_case_k6_under_a_tag_that_moves_two_digests_of_any_kind_are_unverified(image, monkeypatch):
    monkeypatch.setitem(globals(), "SERVED", SERVED.replace("web:5", image))
    one, two = "sha256:" + "1" * 64, "r/web@sha256:" + "2" * 64
    verdict = with_service(running("a", 1, image, image_id=one), running("b", 1, image, image_id=two))
    assert verdict.word is Verdict.UNVERIFIED


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({"running": {"startedAt": "2026-11-23T06:59:00Z"}}, Verdict.FAIL),  # a native sidecar
        ({"terminated": {"exitCode": 0, "startedAt": "2026-11-23T06:59:00Z"}}, Verdict.FAIL),
        ({"running": {"startedAt": "2026-11-23T07:00:01Z"}}, Verdict.PASS),
    ],
    ids=["native_sidecar", "init_container", "after_the_rollback"],
)
def test_case_c6_what_an_init_container_or_a_native_sidecar_read_counts(state, word, monkeypatch):
    reads = SERVED.replace('image: "i:1"', 'image: "i:1", envFrom: [{configMapRef: {name: c}}]')
    monkeypatch.setitem(globals(), "SERVED", reads)
    pods = [running("a", 5), running("b", 5)]
    pods[1]["status"]["initContainerStatuses"] = [{"name": "init", "state": state}]
    pods[1]["metadata"]["creationTimestamp"] = state.get("running", state.get("terminated"))["startedAt"]
    verdict = with_service(*pods, before=reads.replace("{k: v}", "{k: bad}"))
    assert verdict.word is word, verdict
    if word is Verdict.FAIL:
        assert "its container init read ConfigMap/c at its start" in verdict.observed


FILES = SERVED.replace(
    'image: "web:5"', 'image: "web:5", volumeMounts: [{name: c, mountPath: /etc/c}]'
).replace("spec: {initContainers", "spec: {volumes: [{name: c, configMap: {name: c}}], initContainers")
RELOADED = "the files of ConfigMap/c again"


def with_files(
    *started: float, after_s: float = 5, reloads: tuple = (), rolled_back: bool = True, bad: str = "{k: bad}"
) -> Judgement:
    """Judge pods that mount ConfigMap/c as a folder, ``after_s`` after the rollback that changed it."""
    target = parse_manifest(FILES, "n")
    web, config, service = map(dict, parse_manifest(FILES, "n"))
    web["metadata"] = {**web["metadata"], "uid": "web"}
    env = CHECK.env.model_copy(update={"reloads": reloads})
    before = parse_manifest(FILES.replace("{k: v}", bad), "n")
    check = replace(CHECK, env=env, target=target, rolled_away=(before,), since=NOW, rolled_back=rolled_back)
    pods = [running(f"p{number}", each) for number, each in enumerate(started)]
    for each in pods:
        each["metadata"]["labels"] = {"app": "web"}
        run_as_stated(each, target[0])
    value = observed(*pods, live=(LiveObject(web), LiveObject(config), LiveObject(service)))
    now = NOW + timedelta(seconds=after_s)
    history = History((Sample(now, value),), since=NOW, judged_from=NOW, rollouts_passed=True)
    return check.judge(history, now)


def test_case_a6_files_that_changed_under_a_running_process_are_unverified_with_the_restart():
    verdict = with_files(-100, -50)
    assert verdict.word is Verdict.UNVERIFIED
    assert sentence(verdict) == (
        f"Deployment/web was not restarted, and nobody saw it read {RELOADED}; if it does that by itself: "
        'reloads = [{ kind = "ConfigMap", name = "c" }]'
    )
    assert verdict.cures == ("kubectl rollout restart deployment/web -n n --context ctx",)


@pytest.mark.parametrize(
    "state",
    [
        {"running": {"startedAt": "2026-11-23T06:59:00Z"}},
        {"terminated": {"exitCode": 0, "startedAt": "2026-11-23T06:59:00Z"}},
    ],
    ids=["native_sidecar", "init_container"],
)
def test_case_a6_files_of_a_sidecar_and_of_an_init_container_count(state, monkeypatch):
    """Found by the mutation campaign: only ordinary containers were looked at."""
    reads = FILES.replace(", volumeMounts: [{name: c, mountPath: /etc/c}]", "")
    reads = reads.replace('image: "i:1"', 'image: "i:1", volumeMounts: [{name: c, mountPath: /etc/c}]')
    monkeypatch.setitem(globals(), "SERVED", reads)
    pods = [running("a", 5), running("b", 5)]
    pods[1]["status"]["initContainerStatuses"] = [{"name": "init", "state": state}]
    pods[1]["metadata"]["creationTimestamp"] = "2026-11-23T06:59:00Z"
    verdict = with_service(*pods, before=reads.replace("{k: v}", "{k: bad}"))
    assert verdict.word is Verdict.UNVERIFIED, verdict
    assert sentence(verdict).startswith(
        f"Deployment/web was not restarted, and nobody saw it read {RELOADED}; "
    )


def test_case_a6_who_started_after_the_change_or_where_nothing_changed_is_fine():
    assert with_files(1, 2).word is Verdict.PASS
    assert with_files(-100, bad="{k: v}").word is Verdict.PASS


def test_case_a6_what_reads_its_files_again_has_90_s_for_it():
    own = (Reload(kind="ConfigMap", name="c"),)
    waiting = with_files(-100, reloads=own, after_s=89)
    assert isinstance(waiting, Pending) and not waiting.seen
    done = with_files(-100, reloads=own, after_s=90)
    assert done.word is Verdict.PASS
    assert done.observed.endswith(f"; Deployment/web reads {RELOADED} by itself (reloads)")
    assert with_files(-100, reloads=(Reload(kind="Secret", name="c"),)).word is Verdict.UNVERIFIED


def test_case_a6_of_a_deploy_that_is_only_verified_ten_minutes_count():
    assert with_files(-100, after_s=599, rolled_back=False).word is Verdict.UNVERIFIED
    assert with_files(-100, after_s=601, rolled_back=False).word is Verdict.PASS
    assert with_files(-100, after_s=601).word is Verdict.UNVERIFIED


SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {clusterIP: "", ports: [{port: 80, nodePort: 0}]}
"""


def of_service(live_spec: dict, made: Any) -> Judgement:
    """Judge that Service, live with this spec; ``made`` is the answer to the dry run."""
    target = parse_manifest(SERVICE, "n")
    live = parse_manifest(SERVICE, "n")[0] | {"spec": live_spec}
    return judge(Observed((LiveObject(live),), made={0: made}), check=replace(CHECK, target=target))


GIVEN = {"clusterIP": "10.0.0.7", "ports": [{"port": 80, "nodePort": 30001}]}


def fresh_service(**spec: Any) -> dict:
    return parse_manifest(SERVICE, "n")[0] | {"spec": spec}


def test_case_p5_what_the_manifest_leaves_to_the_server_is_no_drift():
    other = fresh_service(clusterIP="10.0.0.8", ports=[{"port": 80, "nodePort": 30002}])
    assert of_service(GIVEN, other).word is Verdict.PASS


def test_case_p5_an_empty_value_that_the_server_keeps_is_stated():
    kept = fresh_service(clusterIP="", ports=[{"port": 80, "nodePort": 0}])
    assert of_service(GIVEN, kept).word is Verdict.FAIL


def test_case_p33_what_the_server_refuses_to_make_a_second_time_could_not_be_compared():
    refused = BadAnswer("spec.ports[0].nodePort: Invalid value: 30001: provided port is taken", status=422)
    changed = {"clusterIP": "", "ports": [{"port": 81, "nodePort": 0}]}
    verdict = of_service(changed, refused)
    assert verdict.word is Verdict.UNVERIFIED
    assert (
        "Service/front spec.ports[80/TCP] could not be compared: spec.ports[0].nodePort" in verdict.observed
    )


def test_case_p33_what_another_manager_set_is_drift_whatever_the_dry_run_says():
    target = parse_manifest(SERVICE, "n")
    live = parse_manifest(SERVICE, "n")[0] | {"spec": {"clusterIP": "None", "ports": [{"port": 80}]}}
    fields = {"f:spec": {"f:clusterIP": {}}}
    live["metadata"]["managedFields"] = [
        {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": fields}
    ]
    made = {0: BadAnswer("taken", status=422)}
    verdict = judge(Observed((LiveObject(live),), made=made), check=replace(CHECK, target=target))
    assert verdict.word is Verdict.FAIL
    assert "(set by kubectl-edit)" in verdict.observed


def test_case_p2_a_cluster_scoped_object_that_differs_is_red_with_its_field():
    manifest = "{apiVersion: v1, kind: ClusterRole, metadata: {name: r}, rules: [{verbs: [get]}]}"
    target = parse_manifest(manifest, "n")
    live, made = ({**target[0], "metadata": {"name": "r"}} for _ in range(2))
    live = {**live, "rules": [{"verbs": ["*"]}]}
    verdict = judge(Observed((LiveObject(live),), made={0: made}), check=replace(CHECK, target=target))
    assert verdict.word is Verdict.FAIL
    assert sentence(verdict).startswith('ClusterRole/r rules[0].verbs[0]: expected "get", live "*"')


def test_what_the_target_refers_to_has_to_exist():
    manifest = MANIFEST.replace("template: {spec: {", "template: {spec: {serviceAccountName: sa, ")
    check = replace(CHECK, target=parse_manifest(manifest, "n"))
    web, config = parse_manifest(manifest, "n")
    web["metadata"]["uid"] = "web"
    value = observed(live=(LiveObject(web), LiveObject(config)), references=(LiveObject(),))
    waiting = judge(value, check=check)
    assert isinstance(waiting, Pending) and waiting.seen
    assert sentence(waiting) == "ServiceAccount/sa, which Deployment/web refers to, does not exist"
    there = replace(value, references=(LiveObject({"metadata": {"name": "sa"}}),))
    assert passes(judge(there, check=check))
    unknown = judge(replace(value, references=(LiveObject(error=FORBIDDEN),)), check=check)
    assert unknown.word is Verdict.UNVERIFIED


def mutated(change: Any, made: Any, pods: tuple = ()) -> Judgement:
    """Judge a Deployment that is live as ``change`` makes it, where a fresh one is as ``made`` makes it."""
    web, config = live_objects()
    change(web["spec"]["template"]["spec"])
    fresh: Any = made
    if callable(made):
        fresh = live_objects()[0]
        made(fresh["spec"]["template"]["spec"])
    value = observed(*pods, live=(LiveObject(web), LiveObject(config)), made={0: fresh})
    return judge(value)


def mirror(spec: dict) -> None:
    spec["containers"][0]["image"] = "mirror/web:5"


def test_a_webhooks_work_that_a_fresh_object_has_as_well_is_no_drift():
    def add(spec: dict) -> None:
        spec["containers"].append({"name": "agent", "image": "agent:1"})

    for change in (add, lambda spec: spec.update(imagePullSecrets=[{"name": "s"}])):
        verdict = mutated(change, change)
        assert isinstance(verdict, CheckResult) and verdict.word is Verdict.PASS, verdict
        assert verdict.observed == f"No difference; {HOW}, 1 of what differed tried by dry run"
    red = mutated(add, lambda spec: None)
    assert red.word is Verdict.FAIL
    assert "containers[agent]: expected (not stated)" in red.observed


def test_where_a_dry_run_is_refused_the_comparison_decides_and_says_so():
    red = mutated(lambda spec: spec["containers"][0].update(command=["sh"]), FORBIDDEN)
    assert red.word is Verdict.FAIL
    assert red.observed.endswith(
        f"; {HOW}; whether a webhook made the difference could not be tried: You may not."
    )


def test_an_image_that_admission_rewrites_in_every_pod_is_no_stray():
    value = observed(pod("a", "mirror/web:5"), pod("b", "mirror/web:5"))
    assert isinstance(judge(value), Pending)
    fresh = pod("fresh", "mirror/web:5")
    verdict = judge(replace(value, made_pods={WEB: fresh}))
    assert isinstance(verdict, CheckResult) and verdict.word is Verdict.PASS
    hand = replace(value, made_pods={WEB: pod("fresh", "web:5")})
    assert isinstance(judge(hand), Pending)


def test_case_b8_an_image_that_was_rolled_away_is_wrong_by_whatever_admission():
    value = observed(pod("a", "web:6"), pod("b", "web:6"), made_pods={WEB: pod("fresh", "web:6")})
    away = replace(CHECK, rolled_away=(parse_manifest(MANIFEST.replace("web:5", "web:6"), "n"),))
    red = judge(value, check=away, passed=False)
    assert red.word is Verdict.FAIL
    assert sentence(red).startswith("Pod a of Deployment/web runs web:6 as app, not web:5")
    assert judge(value).word is Verdict.PASS, "another image that admission puts there is the platform's"


def test_fault_43_replicas_that_the_manifests_autoscaler_owns_are_not_compared():
    scaler = """
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {scaleTargetRef: {kind: Deployment, name: web}, maxReplicas: 9}
"""
    check = replace(CHECK, target=parse_manifest(MANIFEST + scaler, "n"))
    web, config = live_objects()
    web["spec"]["replicas"] = 7
    value = observed(live=(LiveObject(web), LiveObject(config), LiveObject(check.target[2])))
    assert judge(value, check=check).word is Verdict.PASS
    assert judge(observed(live=(LiveObject(web), LiveObject(config)))).word is Verdict.FAIL


@pytest.mark.parametrize(("changed", "heads"), [(False, [7]), (True, [7, 8])])
def test_fault_22_where_objects_differ_the_release_is_read_once_more_after_them(monkeypatch, changed, heads):
    live = [LiveObject(copy.deepcopy(item)) for item in TARGET]
    if changed:
        live[1].item["data"] = {"k": "somebody else's"}
    monkeypatch.setattr(equivalence, "fetch_live", lambda kube, objects: tuple(live))
    read: list[int] = []

    def release() -> int:
        read.append(7 + len(read))
        return read[-1]

    found, *_ = replace(CHECK, release=release)._read()
    assert (found, read) == (heads[-1], heads)


def added_variable() -> Observed:
    value = observed()
    value.live[0].item["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": "1"}]
    return value


def changed_value() -> Observed:
    value = observed()
    value.live[1].item["data"] = {"k": "w"}
    return value


HEAD = Revision(revision=9, status="failed", chart="web-1.0.0", deployed_at=NOW)
CTX = "-n n --context ctx"


@pytest.mark.parametrize(
    ("value", "by_hand"),
    [
        pytest.param(changed_value(), "", id="kubectl diff shows what the manifest states"),
        pytest.param(
            added_variable(),
            f"kubectl get deployment.apps/web -o yaml {CTX}",
            id="but nothing that it does not",
        ),
        pytest.param(
            observed(head=HEAD, deployed=(8,)), "helm history web -n n --kube-context ctx", id="a failed head"
        ),
        pytest.param(
            Observed(tuple(map(LiveObject, live_objects()))),
            f"kubectl describe deployment.apps/web {CTX}",
            id="no pod",
        ),
        pytest.param(
            observed(pod("a"), pod("b", "web:6", "rs-old")),
            "kubectl get pod b -o 'custom-columns=POD:.metadata.name,"
            "STARTED:.status.containerStatuses[*].state.running.startedAt,IMAGES:.spec.containers[*].image,"
            "BUILDS:.status.containerStatuses[*].imageID' --context ctx",
            id="another image",
        ),
        pytest.param(observed(), "", id="equal"),
    ],
)
def test_the_command_by_hand_shows_what_was_seen(value, by_hand):
    """Issue 16, 11a."""
    assert judge(value).by_hand == by_hand


def test_case_p15_a_foreign_kind_with_a_workloads_name_has_no_pods_of_ours():
    manifest = MANIFEST.replace("kind: Deployment", "kind: StatefulSet").replace(
        "apps/v1", "apps.kruise.io/v1"
    )
    target = parse_manifest(manifest, "n")
    live = tuple(LiveObject(item) for item in parse_manifest(manifest, "n"))
    verdict = judge(Observed(live), check=replace(CHECK, target=target))
    assert verdict.word is Verdict.PASS, verdict
    assert verdict.observed.endswith("; the pods of StatefulSet/web (apps.kruise.io/v1) were not judged")


def added_key(manager: str) -> Judgement:
    """Judge a ConfigMap to which this manager added a key."""
    web, config = live_objects()
    config["data"] = {**config["data"], "generated": "x"}
    fields = {"f:data": {"f:generated": {}}}
    config["metadata"]["managedFields"] = [{"manager": manager, "operation": "Update", "fieldsV1": fields}]
    return judge(observed(live=(LiveObject(web), LiveObject(config))))


def test_case_c8_a_key_that_an_application_added_names_the_setting_that_allows_it():
    red = added_key("web-server")
    assert red.word is Verdict.FAIL
    assert sentence(red) == (
        'ConfigMap/c data.generated: expected (not stated), live "x" (set by web-server); if that is meant: '
        'field_managers = ["web-server"]'
    )


def test_case_c8_what_a_person_added_by_hand_is_no_setting():
    assert "field_managers" not in added_key("kubectl-edit").observed


POLICY = (
    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: deny}, spec: {podSelector: %s}}"
)
OF_HOOK = "left by a hook of revision 6"


def left_there(manifest: str, status: dict | None = None) -> Judgement:
    """Judge the served release beside this object, which a hook of the bad revision left."""
    target = parse_manifest(SERVED, "n")
    web, config, service = map(dict, parse_manifest(SERVED, "n"))
    web["metadata"] = {**web["metadata"], "uid": "web"}
    [item] = parse_manifest(manifest, "n")
    check = replace(CHECK, target=target, left_behind=(LeftBehind(item, OF_HOOK),))
    pods = [running("a", 1), running("b", 1)]
    live = tuple(map(LiveObject, (web, config, service)))
    answer = LiveObject() if status is None else LiveObject({**item, "status": status})
    return judge(observed(*pods, live=live, left_behind=(answer,)), check=check)


@pytest.mark.parametrize(
    ("selector", "harms"),
    [
        ("{}", True),
        ("{matchLabels: {app: web}}", True),
        ("{matchLabels: {app: other}}", False),
        ("{matchExpressions: [{key: app, operator: In, values: [web, x]}]}", True),
        ("{matchExpressions: [{key: app, operator: NotIn, values: [web]}]}", False),
        ("{matchExpressions: [{key: tier, operator: DoesNotExist}]}", True),
        ("{matchExpressions: [{key: tier, operator: Exists}]}", False),
    ],
)
def test_case_b11_a_network_policy_that_a_hook_left_is_red_where_it_selects_the_targets_pods(selector, harms):
    verdict = left_there(POLICY % selector, {})
    if harms:
        assert verdict.word is Verdict.FAIL
        assert sentence(verdict) == f"NetworkPolicy/deny, {OF_HOOK}, selects the pods of Deployment/web"
    else:
        assert verdict.word is Verdict.PASS
        assert verdict.observed.endswith(f"; stays where it is: NetworkPolicy/deny ({OF_HOOK})")


def test_case_b11_a_workload_that_a_hook_left_is_red_where_it_serves():
    other = MANIFEST.split("---", maxsplit=1)[0].replace("name: web}", "name: shadow}")
    served = other.replace("template: {spec:", "template: {metadata: {labels: {app: web}}, spec:")
    red = left_there(served, {"readyReplicas": 1})
    assert red.word is Verdict.FAIL
    assert sentence(red) == f"Deployment/shadow, {OF_HOOK}, serves behind Service/front"
    assert left_there(served, {}).word is Verdict.PASS, "none of its pods is ready"
    assert left_there(other, {"readyReplicas": 1}).word is Verdict.PASS, "no Service selects its pods"
    assert "stays" not in left_there(served).observed, "it is gone"


STATEFUL = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: sts}
spec:
  replicas: 2
  updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 1}}
  template: {spec: {containers: [{name: app, image: "web:5", env: [{name: MODE, value: good}]}]}}
"""
ON_DELETE = STATEFUL.replace("type: RollingUpdate, rollingUpdate: {partition: 1}", "type: OnDelete")


def controller_revision(name: str, manifest: str) -> dict:
    """What a controller keeps of this manifest's template, with a default of the server's in it."""
    template = parse_manifest(manifest, "n")[0]["spec"]["template"]
    template = copy.deepcopy(template) | {"$patch": "replace"}
    template["spec"]["restartPolicy"] = "Always"
    return {"metadata": {"name": name}, "data": {"spec": {"template": template}}}


def stateful(
    first: str,
    *revisions: dict,
    manifest: str = STATEFUL,
    before: tuple[str, ...] = (STATEFUL.replace("good", "bad"),),
    second: str = "sts-new",
    made: int = 0,
    **known: Any,
) -> Judgement:
    """Judge two pods of that StatefulSet, of revisions ``first`` and ``second``; the newest is sts-new.

    ``made``: when both pods were, in minutes from now.
    """
    target = parse_manifest(manifest, "n")
    live = {**target[0], "metadata": {**target[0]["metadata"], "uid": "sts", "generation": 2}}
    live["status"] = {"observedGeneration": 2, "updateRevision": "sts-new"}
    pods = []
    for number, revision in enumerate((first, second)):
        pod = owned(
            f"sts-{number}", f"u{number}", "sts", spec=target[0]["spec"]["template"]["spec"], status={}
        )
        pod["metadata"]["labels"] = {"controller-revision-hash": revision}
        pod["metadata"]["creationTimestamp"] = (NOW + timedelta(minutes=made)).isoformat()
        pods.append(pod)
    away = tuple(parse_manifest(each, "n") for each in before)
    value = Observed((LiveObject(live),), pods=tuple(pods), revisions=revisions)
    return judge(value, check=replace(CHECK, target=target, rolled_away=away, **known))


KEPT = "partition 1 keeps it there"


def test_case_a1_a_pod_that_a_partition_keeps_at_what_was_rolled_away_is_red():
    red = stateful("sts-bad", controller_revision("sts-bad", STATEFUL.replace("good", "bad")))
    assert red.word is Verdict.FAIL
    assert sentence(red) == (
        "Pod sts-0 of StatefulSet/sts still runs the template of a revision that was rolled away from: "
        f"{KEPT}; it is replaced once the partition is 0"
    )
    assert red.cures == (), "a deleted pod below the partition comes back of the same revision"


def test_case_a1_of_several_rolled_away_revisions_each_counts():
    older = STATEFUL.replace("good", "worse")
    red = stateful(
        "sts-worse", controller_revision("sts-worse", older), before=(older, STATEFUL.replace("good", "bad"))
    )
    assert red.word is Verdict.FAIL


OLD, BAD = STATEFUL.replace("good", "before it"), STATEFUL.replace("good", "bad")
ROLLED = {"before": (BAD,), "intervals": intervals((-100, STATEFUL), (-60, BAD))}
CURRENT = {"before": (), "intervals": intervals((-100, STATEFUL))}


@pytest.mark.parametrize(
    ("template", "made", "known"),
    [
        (OLD, -101, ROLLED),
        (OLD, -101, CURRENT),
        # Deleted since: it comes back of the same revision, and the history tells which one that is.
        (OLD, -5, {**ROLLED, "earlier": lambda: intervals((-200, OLD))}),
        (OLD, -5, {**CURRENT, "earlier": lambda: intervals((-200, OLD))}),
        (STATEFUL, -5, ROLLED),
        (STATEFUL, -5, {"before": ()}),
    ],
    ids=["before all", "before all, to verify", "known", "known to verify", "the target's", "its own"],
)
def test_case_a1_a_pod_of_an_older_revision_is_a_remark(template, made, known):
    passed = stateful("sts-old", controller_revision("sts-old", template), made=made, **known)
    assert passed.word is Verdict.PASS, passed
    assert passed.observed.endswith(f"; Pod sts-0 of StatefulSet/sts is of an older revision: {KEPT}")


@pytest.mark.parametrize(
    ("made", "known"),
    [
        (-59, ROLLED),
        (-61, ROLLED),
        (-99, CURRENT),
        (-150, {**CURRENT, "earlier": lambda: intervals((-200, STATEFUL.replace("good", "better")))}),
        (-200, {"before": (BAD,)}),
        (-200, {"before": ()}),
    ],
    ids=[
        "since the bad one",
        "while the target was current",
        "since this one",
        "while a known one was current",
        "the history is not known",
        "nor to verify",
    ],
)
def test_case_a1_a_template_that_no_revision_states_is_unverified(made, known):
    """Somebody changed it by hand and back: the partition keeps the pod that was made between."""
    unknown = stateful("sts-x", controller_revision("sts-x", OLD), made=made, **known)
    assert unknown.word is Verdict.UNVERIFIED
    assert sentence(unknown) == (
        "Pod sts-0 of StatefulSet/sts runs a template that no known revision states "
        f"(ControllerRevision sts-x): {KEPT}"
    )


@pytest.mark.parametrize("before", [(BAD,), ()], ids=["rolled back", "only verified"])
def test_case_a1_where_it_cannot_be_told_it_is_unverified(before):
    unknown = stateful("sts-x", controller_revision("sts-y", STATEFUL), before=before)
    assert unknown.word is Verdict.UNVERIFIED
    assert sentence(unknown) == (
        "Pod sts-0 of StatefulSet/sts is of a revision that is not known (ControllerRevision sts-x): " + KEPT
    )


def test_case_c2_pods_that_on_delete_keeps_are_red_with_what_replaces_them():
    red = stateful("sts-old", manifest=ON_DELETE)
    assert red.word is Verdict.FAIL
    assert sentence(red) == (
        "Pod sts-0 of StatefulSet/sts still runs another revision's template: the strategy OnDelete replaces "
        "it only when it is deleted"
    )
    assert red.cures == ("kubectl delete pod sts-0 -n n --context ctx",)
    assert stateful("sts-new", manifest=ON_DELETE).word is Verdict.PASS
    both = stateful("sts-old", manifest=ON_DELETE, second="sts-old")
    # As the rollout proposes it: the same command twice would delete what has just come back.
    assert both.cures == ("kubectl delete pod sts-0 sts-1 -n n --context ctx",)


def test_a_pod_at_or_above_the_partition_is_still_to_be_replaced():
    waiting = stateful("sts-old", manifest=STATEFUL.replace("partition: 1", "partition: 0"))
    assert isinstance(waiting, Pending)
    assert sentence(waiting) == "Pod sts-0 of StatefulSet/sts runs another revision's template"


WEBHOOKS = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: hook}
webhooks: [{name: a.example.org, timeoutSeconds: 5}]
"""


def with_ignore(*entries: Ignore, timeout_s: int = 7, config: dict | None = None) -> Judgement:
    """Judge the release with a webhook configuration in it, of which one field is another one live."""
    target = parse_manifest(f"{MANIFEST}---{WEBHOOKS}", "n")
    web, own, hook = map(copy.deepcopy, target)
    web["metadata"]["uid"] = "web"
    hook["webhooks"][0]["timeoutSeconds"] = timeout_s
    own["data"] = config or own["data"]
    env = CHECK.env.model_copy(update={"ignore": entries})
    live = tuple(map(LiveObject, (web, own, hook)))
    return judge(observed(live=live), check=replace(CHECK, env=env, target=target))


TIMEOUT = Ignore(kind="ValidatingWebhookConfiguration", name="*", path="webhooks[*].timeoutSeconds")
NAMED = TIMEOUT.model_copy(update={"name": "hook", "path": "webhooks[a.example.org].timeoutSeconds"})


def test_a_difference_that_a_key_settles_names_the_smallest_entry():
    red = with_ignore()
    assert red.word is Verdict.FAIL
    assert sentence(red) == (
        "ValidatingWebhookConfiguration/hook webhooks[a.example.org].timeoutSeconds: expected 5, live 7; if that is "
        f"meant: ignore = [{NAMED}]"
    )
    assert with_ignore(NAMED).word is Verdict.PASS


def test_what_is_ignored_is_counted_and_listed():
    green = with_ignore(TIMEOUT)
    assert (green.word, green.observed) == (
        Verdict.PASS,
        "No other difference; read-only comparison of 3 objects and 2 pods; 1 difference ignored by configuration",
    )
    [one] = green.ignored
    assert one.model_dump() == {
        "what": "ValidatingWebhookConfiguration/hook",
        "path": "webhooks[a.example.org].timeoutSeconds",
        "expected": "5",
        "live": "7",
        "by": "",
        "entry": str(TIMEOUT),
    }
    assert with_ignore(TIMEOUT, timeout_s=5).ignored == ()


def test_what_is_ignored_stands_beside_what_is_not():
    data = Ignore(kind="ConfigMap", name="c", path="data.k")
    red = with_ignore(TIMEOUT, config={"k": "w"})
    assert red.word is Verdict.FAIL
    assert red.observed == (
        f'ConfigMap/c data.k: expected "v", live "w"; if that is meant: ignore = [{OF_C}]; read-only comparison of 3 '
        "objects and 2 pods; 1 difference ignored by configuration"
    )
    assert len(red.ignored) == 1
    assert len(with_ignore(TIMEOUT, data, config={"k": "w"}).ignored) == 2


def test_several_differences_have_their_entries_in_the_evidence():
    red = with_ignore(config={"k": "w"})
    [entries] = [each.text for each in red.evidence if each.title.startswith("What would leave")]
    assert entries == f"ignore = [\n  {OF_C},\n  {NAMED},\n]"
    assert not [each for each in with_ignore().evidence if each.title.startswith("What would leave")]


def test_an_entry_for_data_that_a_pod_reads_leaves_nothing_out():
    """The preflight refuses it where it knows the target; through GitHub the target is known only afterwards."""
    read = MANIFEST.replace('image: "web:5"', 'image: "web:5", envFrom: [{configMapRef: {name: c}}]')
    target = parse_manifest(read, "n")
    web, config = map(copy.deepcopy, target)
    web["metadata"]["uid"], config["data"] = "web", {"k": "w"}
    env = CHECK.env.model_copy(update={"ignore": (Ignore(kind="ConfigMap", name="c", path="data"),)})
    check = replace(CHECK, env=env, target=target)
    red = judge(observed(live=(LiveObject(web), LiveObject(config))), check=check)
    assert red.word is Verdict.FAIL
    assert sentence(red) == 'ConfigMap/c data.k: expected "v", live "w"'


def stranger(kind: str = "Widget", name: str = "w", image: str = "other:1", uid: str = "nobody") -> dict:
    found = running("stranger", 1, image)
    found["metadata"]["ownerReferences"] = [{"kind": kind, "name": name, "uid": uid, "controller": True}]
    return found


@pytest.mark.parametrize("kind", ["Widget", "Job", "StatefulSet", "DaemonSet"])
def test_a_pod_of_whatever_owner_that_serves_beside_the_targets_is_not_verified(kind):
    """Found by the mutation campaign: only orphans were seen."""
    waiting = with_service(running("a", 1), running("b", 1), stranger(kind))
    assert isinstance(waiting, Pending) and not waiting.seen
    assert sentence(waiting) == (
        f"Pod stranger of {kind}/w, which is not of the target revision, serves Service/front beside its pods: what "
        "it runs is not known"
    )


@pytest.mark.parametrize(
    ("owners", "fails"), [([], True), ([{"kind": "Deployment", "uid": "d", "controller": True}], False)]
)
def test_pods_of_a_replicaset_that_nobody_owns_belong_to_no_workload(owners, fails):
    """Found by the mutation campaign: a Deployment deleted with --cascade=orphan leaves one."""
    target = parse_manifest(SERVED, "n")
    live = tuple(
        LiveObject({**each, "metadata": {**each["metadata"], "uid": each["kind"]}}) for each in target
    )
    left = {"kind": "ReplicaSet", "metadata": {"name": "web-1", "uid": "rs-left", "ownerReferences": owners}}
    pods = (labelled(stranger("ReplicaSet", "web-1", uid="rs-left")),)
    said = [
        each.text for each in judge_servers(Expectation(target, namespace="n"), Cluster(live, (left,), pods))
    ]
    assert said == ["Pod stranger belongs to no workload and serves Service/front"] * fails


def labelled(item: dict) -> dict:
    item["metadata"]["labels"] = {"app": "web"}
    return item


def test_a_pod_that_the_target_itself_made_or_that_runs_its_template_is_none():
    maker = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "n"}}
    target = (*parse_manifest(SERVED, "n"), maker)
    live = tuple(
        LiveObject({**item, "metadata": {**item["metadata"], "uid": item["kind"]}}) for item in target
    )
    expected, seen = (
        Expectation(target, namespace="n"),
        Cluster(live, pods=(labelled(stranger(uid="Widget")),)),
    )
    assert judge_servers(expected, seen) == ()
    assert len(judge_servers(expected, replace(seen, pods=(labelled(stranger(uid="other")),)))) == 1
    assert judge_servers(expected, replace(seen, pods=(labelled(stranger(image="web:5")),))) == ()


def test_behind_a_service_for_other_pods_strangers_are_expected(monkeypatch):
    monkeypatch.setitem(globals(), "SERVED", SERVED.replace("labels: {app: web}", "labels: {app: another}"))
    assert with_service(running("a", 1), running("b", 1), stranger()).word is Verdict.PASS


CA = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n").decode()
PLACEHOLDER = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: hook}
webhooks: [{name: a.example.org, clientConfig: {caBundle: Cg==}}]
"""


def with_bundle(bundle: str, manager: str, annotation: str = "", *, before: str = "") -> Judgement:
    """Judge the release with a placeholder in it, in the place of which this is live, set by this manager."""
    target = parse_manifest(f"{MANIFEST}---{PLACEHOLDER}", "n")
    web, own, hook = map(copy.deepcopy, target)
    web["metadata"]["uid"] = "web"
    hook["webhooks"][0]["clientConfig"]["caBundle"] = bundle
    hook["metadata"] |= {"annotations": {annotation: "n/c"}} if annotation else {}
    fields = {"f:webhooks": {'k:{"name":"a.example.org"}': {"f:clientConfig": {"f:caBundle": {}}}}}
    hook["metadata"]["managedFields"] = [{"manager": manager, "operation": "Update", "fieldsV1": fields}]
    injected = {identity(target[2]): before} if before else {}
    check = replace(CHECK, target=target, injected=injected)
    assert check.deadline_s == 30
    return judge(observed(live=tuple(map(LiveObject, (web, own, hook)))), check=check)


def test_case_p7_a_bundle_that_another_manager_filled_in_is_no_drift():
    green = with_bundle(CA, "cainjector")
    assert green.word is Verdict.PASS
    assert green.observed.endswith("; the CA bundle of ValidatingWebhookConfiguration/hook is cainjector's")


@pytest.mark.parametrize(
    ("bundle", "manager"), [(CA, "helm"), ("dg==", "cainjector")], ids=["helm's", "no bundle"]
)
def test_case_p7_another_value_is_drift(bundle, manager):
    red = with_bundle(bundle, manager)
    assert red.word is Verdict.FAIL
    assert "webhooks[a.example.org].clientConfig.caBundle: expected" in red.observed


@pytest.mark.parametrize(
    ("annotation", "before", "who"),
    [
        ("cert-manager.io/inject-ca-from", "", "cert-manager.io/inject-ca-from"),
        ("service.beta.openshift.io/inject-cabundle", "", "service.beta.openshift.io/inject-cabundle"),
        ("", "kube-webhook-certgen", "kube-webhook-certgen"),
    ],
)
def test_case_p7_a_placeholder_that_an_injector_is_to_fill_in_is_waited_for_and_then_red(
    annotation, before, who
):
    waiting = with_bundle("Cg==", "helm", annotation, before=before)
    assert isinstance(waiting, Pending) and waiting.seen
    assert sentence(waiting) == (
        "ValidatingWebhookConfiguration/hook webhooks[a.example.org].clientConfig.caBundle is not filled in, as "
        f"{who} is to do"
    )


def test_case_p7_a_placeholder_that_nobody_is_known_to_fill_in_is_as_stated():
    assert with_bundle("Cg==", "helm").word is Verdict.PASS


RUNS = MANIFEST.replace('image: "web:5"', 'image: "web:5", args: [serve], env: [{name: LEVEL, value: a}]')


def of_template(container: dict, made: dict | None = None, **changes: Any) -> Judgement:
    """Judge a pod that the ReplicaSet owns, and whose container says that."""
    target = parse_manifest(RUNS, "n")
    web = {**target[0], "metadata": {**target[0]["metadata"], "uid": "web"}}
    one = pod("a")
    one["spec"]["containers"][0] |= {"args": ["serve"], "env": [{"name": "LEVEL", "value": "a"}]} | container
    fresh = {WEB: made} if made else {}
    value = replace(observed(one), live=(LiveObject(web), LiveObject(target[1])), made_pods=fresh, **changes)
    return judge(value, check=replace(CHECK, target=target))


@pytest.mark.parametrize(
    ("container", "differs"),
    [
        ({"env": [{"name": "LEVEL", "value": "b"}]}, 'env[LEVEL].value: expected "a", live "b"'),
        ({"env": []}, 'env[LEVEL]: expected {"name": "LEVEL", "value": "a"}, live (absent)'),
        ({"args": ["debug"]}, 'args[0]: expected "serve", live "debug"'),
    ],
)
def test_a_pod_that_a_controller_adopted_is_known_by_what_it_runs_with(container, differs):
    """Found by the mutation campaign: labels of the ReplicaSet's pods make a pod its own."""
    waiting = of_template(container)
    assert isinstance(waiting, Pending) and waiting.seen
    assert waiting.observed.startswith(
        f"Pod a of Deployment/web is not made of its template: spec.containers[app].{differs}"
    )


@pytest.mark.parametrize(
    "container",
    [
        {},
        {"env": [{"name": "LEVEL", "value": "a"}, {"name": "INJECTED", "value": "x"}]},
        {"resources": {"limits": {"cpu": "2"}}, "image": "web:5"},
    ],
)
def test_what_an_injector_adds_or_an_autoscaler_sizes_is_no_other_template(container):
    assert of_template(container).word is Verdict.PASS


def test_what_a_fresh_pod_has_as_well_is_no_other_template():
    wrapped = {"args": ["wrapper", "serve"]}
    made = pod("fresh")
    made["spec"]["containers"][0] |= {"env": [{"name": "LEVEL", "value": "a"}]} | wrapped
    assert of_template(wrapped, made).word is Verdict.PASS
    assert isinstance(of_template({"args": ["debug"]}, made), Pending)


@pytest.mark.parametrize(("image", "alone"), [("web:5", True), ("web:6", False)])
def test_case_k10_a_rollback_that_helm_did_not_wait_for_is_red_and_whether_all_else_is_right_is_known(
    image, alone
):
    said = 'Release "web" failed: context deadline exceeded'
    head = Revision(revision=7, status="failed", chart="web-1.0.0", deployed_at=NOW, description=said)
    red = judge(observed(pod("a"), pod("b", image), head=head), check=replace(CHECK, expected_head=7))
    assert (red.word, red.observed) == (Verdict.FAIL, f"helm calls revision 7 failed: {said}")
    assert red.only_by_helm is alone


BUDGET = """
apiVersion: policy/v1beta1
kind: PodDisruptionBudget
metadata: {name: b}
spec: {minAvailable: 1}
"""


def with_budget(available: int, *, manager: str = "helm") -> Judgement:
    target = parse_manifest(f"{MANIFEST}---{BUDGET}", "n")
    fields = {"manager": manager, "fieldsV1": {"f:spec": {"f:minAvailable": {}}}, "time": at(1)}
    live = {
        **target[2],
        "apiVersion": "policy/v1",
        "metadata": {**target[2]["metadata"], "managedFields": [fields]},
        "spec": {"minAvailable": available},
    }
    value = observed()
    return judge(replace(value, live=(*value.live, LiveObject(live))), check=replace(CHECK, target=target))


MOVED = "is recorded as policy/v1beta1 and served as policy/v1"


def test_case_p34_an_object_of_a_version_that_is_gone_is_compared_as_it_is_served() -> None:
    verdict = with_budget(1)
    assert isinstance(verdict, CheckResult)
    how = HOW.replace("2 objects", "3 objects")
    assert (verdict.word, verdict.observed) == (
        Verdict.PASS,
        f"No difference; {how}; PodDisruptionBudget/b {MOVED}",
    )


def test_case_p34_a_field_that_differs_under_another_version_could_not_be_compared() -> None:
    verdict = with_budget(2)
    assert isinstance(verdict, CheckResult)
    assert verdict.word is Verdict.UNVERIFIED
    assert verdict.observed.startswith(
        f"PodDisruptionBudget/b spec.minAvailable could not be compared: it {MOVED}"
    )


def test_case_p34_what_somebody_else_set_is_drift_under_any_version() -> None:
    verdict = with_budget(2, manager="kubectl-edit")
    assert isinstance(verdict, CheckResult)
    assert verdict.word is Verdict.FAIL


def test_only_the_settings_that_a_workload_reads_are_looked_at_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twenty workloads beside a thousand ConfigMaps: each looked at all of them, five times a second."""
    asked: list[str] = []

    def look(item: dict, *others: Any) -> object:
        asked.append(item["metadata"]["name"])
        return really(item, *others)

    really = read_settings.data_taken
    monkeypatch.setattr(read_settings, "data_taken", look)
    many = parse_manifest(
        "".join(
            f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: n{number}}}\ndata: {{a: b}}\n"
            for number in range(50)
        ),
        "n",
    )
    web, config = live_objects()
    spec = web["spec"]["template"]["spec"]
    spec["containers"][0]["envFrom"] = [{"configMapRef": {"name": "n7"}}]
    target = (web, config, *many)
    value = observed(live=tuple(map(LiveObject, target)))
    judge(value, check=replace(CHECK, target=target))
    assert asked == ["n7"]
