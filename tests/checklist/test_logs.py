from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.checklist.logs.check import LIMIT_BYTES, PARALLEL, LogsCheck, LogsSeen
from pytest_zkrollback.checklist.logs.lines import PAGES, LogReading, read_pages, stamped
from pytest_zkrollback.checklist.rollout.workload import pods_of
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.checks import History, JsonObject, Sample, Snapshot
from pytest_zkrollback.domain.errors import BadAnswer, ClusterError, Forbidden, NotFound, Unreachable
from pytest_zkrollback.domain.verdict import CheckResult, Pending, Verdict

SINCE = datetime(2026, 11, 23, 10, 0, 0, 400000, tzinfo=UTC)
NEW = "2026-11-23T10:00:01.123456789Z"
OLD = "2026-11-23T09:59:00.5Z"
TAG = "2026-11-23T10:00:00.1Z"  # the rollback's second, but before it
LIST = "/api/v1/namespaces/ns/pods"


def environment(**logs: Any) -> Environment:
    return Environment.model_validate(
        {
            "name": "staging",
            "context": "ctx",
            "namespace": "ns",
            "workloads": {"web": "deployment/web"},
            "logs": logs,
        }
    )


class FakeKube:
    """Lists pods, gives logs by (pod, container, which); fails on a log that it was not told of."""

    def __init__(self, *pods: JsonObject, deleted: Collection[str] = (), **logs: str | ClusterError) -> None:
        self.pods = pods
        self.deleted = deleted  # since they were listed
        self.logs = logs
        self.queries: list[dict[str, str]] = []

    def list(self, path: str, query: dict[str, str], timeout_s: float) -> tuple[JsonObject, ...]:
        assert (path, query) == (LIST, {"labelSelector": "app=zkprova-backend"})
        return self.pods

    def get(self, path: str) -> JsonObject:
        name = path.removeprefix(f"{LIST}/")
        if name in self.deleted:
            raise NotFound(f'pods "{name}" not found')
        return next(each for each in self.pods if each["metadata"]["name"] == name)

    def text(self, path: str, query: dict[str, str], timeout_s: float, limit_bytes: int) -> str:
        assert limit_bytes == LIMIT_BYTES
        assert query["timestamps"] == "true"
        pod = path.removeprefix(f"{LIST}/").removesuffix("/log")
        which = "previous" if "previous" in query else "tail" if "tailLines" in query else "current"
        self.queries.append({"which": which, **query})
        answer = self.logs[f"{pod}_{query['container']}_{which}"]
        if isinstance(answer, ClusterError):
            raise answer
        return answer


def status(name: str, restarts: int = 0, **states: Any) -> JsonObject:
    return {"name": name, "restartCount": restarts, **states}


def running(since: str = "2026-11-23T10:00:01Z") -> JsonObject:
    return {"running": {"startedAt": since}}


def terminated(at: str) -> JsonObject:
    return {"terminated": {"finishedAt": at, "exitCode": 1, "startedAt": at}}


def pod(
    name: str, *statuses: JsonObject, init: tuple[JsonObject, ...] = (), phase: str = "Running", **meta: str
) -> JsonObject:
    return {
        "metadata": {"name": name, "creationTimestamp": "2026-11-23T09:00:00Z", **meta},
        "spec": {
            "containers": [{"name": one["name"]} for one in statuses],
            "initContainers": [{"name": one["name"]} for one in init],
        },
        "status": {
            "phase": phase,
            "containerStatuses": [one for one in statuses if len(one) > 2],
            "initContainerStatuses": list(init),
        },
    }


def judged(kube: FakeKube, env: Environment | None = None, **more: Any) -> CheckResult:
    one = LogsCheck(env=env or environment(), kube=kube, since=SINCE, **more)  # type: ignore[arg-type]
    judgement = one.judge(History((Sample(SINCE, one.observe()),), SINCE, judged_from=SINCE), SINCE)
    assert isinstance(judgement, CheckResult)
    return judgement


APP = status("app", state=running())


def test_a_readable_log_without_a_bad_line_passes() -> None:
    kube = FakeKube(pod("a", APP), a_app_current=f"{NEW} started\n{NEW} ready\n")
    verdict = judged(kube)
    assert (verdict.word, verdict.observed) == (
        Verdict.PASS,
        "1 container of 1 pod: no bad one among 2 lines since 2026-11-23 10:00:00 UTC.",
    )
    assert verdict.evidence[0].title == "Last lines of a/app"
    assert verdict.evidence[0].text == f"{NEW} started\n{NEW} ready"
    assert kube.queries == [
        {
            "which": "current",
            "sinceTime": "2026-11-23T10:00:00Z",
            "container": "app",
            "timestamps": "true",
            "limitBytes": str(LIMIT_BYTES),
        }
    ]


def test_fault_45_a_readable_log_without_any_line_passes_and_says_so() -> None:
    verdict = judged(FakeKube(pod("a", APP), a_app_current=""))
    assert verdict.word is Verdict.PASS
    assert verdict.observed == (
        "1 container of 1 pod: readable, and no line was written since 2026-11-23 10:00:00 UTC."
    )


@pytest.mark.parametrize(
    ("line", "ahead_s", "word"),
    [
        ("", 400, Verdict.UNVERIFIED),  # one API server's clock; the nodes' is this machine's
        ("", 59, Verdict.PASS),
        ("", -400, Verdict.PASS),
        (f"{OLD} FATAL", 400, Verdict.UNVERIFIED),
        (f"{NEW} ready", 400, Verdict.PASS),
        (f"{NEW} FATAL", 400, Verdict.FAIL),
    ],
)
def test_case_p3_b23_where_every_line_may_only_look_older_nothing_is_green(
    line: str, ahead_s: float, word: Verdict
) -> None:
    kube = FakeKube(pod("web", status("app", state=running())), web_app_current=line)
    verdict = judged(kube, ahead_s=lambda: ahead_s)
    assert verdict.word is word
    if word is Verdict.UNVERIFIED:
        assert "by the API server's clock, which is 400 s ahead of this machine's" in verdict.observed


def test_fault_45_no_pod_is_unverified() -> None:
    assert judged(FakeKube()) == CheckResult(
        word=Verdict.UNVERIFIED,
        observed="No pod matches app=zkprova-backend, so no log was read. Is logs.selector right?",
    )
    going = pod("old", APP, deletionTimestamp="2026-11-23T10:00:01Z")
    assert judged(FakeKube(going)).observed == (
        "No pod matches app=zkprova-backend, so no log was read. Is logs.selector right? "
        "Left out: old (terminating)."
    )


BAD_LINES = [
    "panic: runtime error",
    "thread 'main' panicked at src/main.rs:3",
    "Traceback (most recent call last):",
    "FATAL: password authentication failed",
    '{"level":"fatal","msg":"no database"}',
    "java.lang.OutOfMemoryError: Out of memory",
]
GOOD_LINES = ["GET /health 200", "fatalities: none", "panicking is not needed", "ERROR but handled"]


@pytest.mark.parametrize("line", BAD_LINES)
def test_bad_lines_are_evidence(line: str) -> None:
    verdict = judged(FakeKube(pod("a", APP), a_app_current=f"{NEW} start\n{NEW} {line}\n"))
    assert (verdict.word, verdict.observed) == (
        Verdict.FAIL,
        f"1 bad line since 2026-11-23 10:00:00 UTC. a/app: {line}",
    )
    assert verdict.evidence[0].title == "Bad lines since 2026-11-23 10:00:00 UTC"
    assert verdict.evidence[0].text == f"a/app: {NEW} {line}"


@pytest.mark.parametrize("line", GOOD_LINES)
def test_other_lines_are_not(line: str) -> None:
    assert judged(FakeKube(pod("a", APP), a_app_current=f"{NEW} {line}\n")).word is Verdict.PASS


@pytest.mark.parametrize(("stamp", "word"), [(NEW, Verdict.FAIL), (OLD, Verdict.PASS), (TAG, Verdict.PASS)])
def test_only_lines_after_the_rollback_count(stamp: str, word: Verdict) -> None:
    assert judged(FakeKube(pod("a", APP), a_app_current=f"{stamp} panic: x\n")).word is word


def test_a_line_without_a_time_counts() -> None:
    assert judged(FakeKube(pod("a", APP), a_app_current="panic: x\n")).word is Verdict.FAIL


def test_a_container_older_than_the_rollback_shows_its_last_lines_too() -> None:
    old = pod("a", status("app", state=running("2026-11-23T08:00:00Z")))
    kube = FakeKube(old, a_app_current="", a_app_tail=f"{OLD} panic: long ago\n{OLD} fine since\n")
    verdict = judged(kube)
    assert verdict.word is Verdict.PASS
    assert verdict.evidence[0].text == f"{OLD} panic: long ago\n{OLD} fine since"
    [asked] = kube.queries
    assert asked["tailLines"] == "500"


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(f"{NEW} fine\n", id="they do not reach back"),
        pytest.param("2026-11-23T10:00:00.3Z fine\n", id="too little before it, with two streams"),
        pytest.param(f"{OLD} " + "x" * LIMIT_BYTES, id="there are more of them"),
        pytest.param("unable to retrieve container logs for containerd://1", id="lost"),
        pytest.param(BadAnswer("HTTP 500.", status=500), id="refused"),
    ],
)
def test_where_the_last_lines_are_not_all_since_the_rollback_those_are_read(last: str | ClusterError) -> None:
    old = pod("a", status("app", state=running("2026-11-23T08:00:00Z")))
    kube = FakeKube(old, a_app_current=f"{NEW} panic: x\n{NEW} fine\n", a_app_tail=last)
    assert judged(kube).word is Verdict.FAIL
    assert [query["which"] for query in kube.queries] == ["tail", "current"]


def test_last_lines_are_judged_where_they_are_since_the_rollback() -> None:
    old = pod("a", status("app", state=running("2026-11-23T08:00:00Z")))
    verdict = judged(FakeKube(old, a_app_tail=f"{OLD} fine\n{NEW} panic: x\n"))
    assert verdict.observed == "1 bad line since 2026-11-23 10:00:00 UTC. a/app: panic: x"
    assert judged(FakeKube(old, a_app_tail="")).word is Verdict.PASS


def test_every_container_of_every_pod_is_read() -> None:
    init = status("init", state=terminated("2026-11-23T10:00:02Z"))
    kube = FakeKube(
        *(
            pod(f"p{n}", status("app", state=running()), status("side", state=running()), init=(init,))
            for n in range(9)
        ),
        **{f"p{n}_{c}_current": f"{NEW} fine" for n in range(9) for c in ("app", "side", "init")},
    )
    assert judged(kube).observed == (
        "27 containers of 9 pods: no bad one among 27 lines since 2026-11-23 10:00:00 UTC."
    )
    assert len(kube.queries) == 27


def restarted(at: str, **state: Any) -> JsonObject:
    return pod("a", status("app", 3, lastState=terminated(at), state=state or running()))


def test_the_log_before_a_restart_is_read_and_judged() -> None:
    kube = FakeKube(
        restarted("2026-11-23T10:00:05Z"),
        a_app_previous=f"{NEW} fatal: TOKEN is not set\n",
        a_app_current=f"{NEW} started\n",
    )
    verdict = judged(kube)
    assert verdict.observed == "1 bad line since 2026-11-23 10:00:00 UTC. a/app: fatal: TOKEN is not set"


def test_a_restart_before_the_rollback_is_not_its_business() -> None:
    kube = FakeKube(restarted("2026-11-23T09:00:00Z"), a_app_current=f"{NEW} started\n")
    assert judged(kube).word is Verdict.PASS  # previous is not even asked for


def test_a_previous_log_that_is_lost_is_unverified() -> None:
    kube = FakeKube(
        restarted("2026-11-23T10:00:00Z"),
        a_app_previous=BadAnswer("previous terminated container not found", status=400),
        a_app_current=f"{NEW} started\n",
    )
    assert judged(kube).observed == (
        "The log of a/app is not known: its log before the restart could not be read: "
        "previous terminated container not found."
    )


def test_fault_48_a_waiting_container_is_unverified_and_shows_its_previous_log() -> None:
    crash = restarted("2026-11-23T10:00:05Z", waiting={"reason": "CrashLoopBackOff"})
    verdict = judged(FakeKube(crash, a_app_previous=f"{NEW} last words\n"))
    assert (verdict.word, verdict.observed) == (
        Verdict.UNVERIFIED,
        "The log of a/app is not known: it is still waiting (CrashLoopBackOff).",
    )
    assert verdict.evidence[0].text == f"[it is still waiting (CrashLoopBackOff)]\n{NEW} last words"
    never = pod("a", status("app", state={"waiting": {"reason": "ImagePullBackOff"}}))
    assert judged(FakeKube(never)).word is Verdict.UNVERIFIED
    unscheduled = pod("a", {"name": "app", "x": 0}, phase="Pending")
    assert judged(FakeKube(unscheduled)).observed == (
        "The log of a/app is not known: it is still waiting (not created)."
    )


def test_a_bad_line_outweighs_what_is_unread() -> None:
    crash = restarted("2026-11-23T10:00:05Z", waiting={"reason": "CrashLoopBackOff"})
    assert judged(FakeKube(crash, a_app_previous=f"{NEW} panic: x\n")).word is Verdict.FAIL


@pytest.mark.parametrize(
    "error",
    [
        Forbidden("May not get pods/log in ns.", verb="get", resource="pods/log", namespace="ns"),
        NotFound("The pod a is gone."),
        BadAnswer("HTTP 500.", status=500),
    ],
)
def test_fault_7_an_unreadable_log_is_unverified(error: ClusterError) -> None:
    kube = FakeKube(pod("a", APP), pod("b", APP), a_app_current=error, b_app_current=f"{NEW} fine\n")
    verdict = judged(kube)
    assert (verdict.word, verdict.observed) == (
        Verdict.UNVERIFIED,
        f"The log of a/app is not known: its log could not be read: {error}",
    )


def test_pods_that_cannot_be_listed_are_unverified() -> None:
    one = LogsCheck(env=environment(), kube=FakeKube(), since=SINCE)  # type: ignore[arg-type]
    refused = Forbidden("May not list pods in ns.", verb="list", resource="pods", namespace="ns")
    assert one.judge(
        History((Sample(SINCE, error=refused),), SINCE, judged_from=SINCE), SINCE
    ) == CheckResult(
        word=Verdict.UNVERIFIED,
        observed="The pods app=zkprova-backend could not be listed: May not list pods in ns.",
    )
    assert one.judge(History((), SINCE), SINCE) == Pending(observed="The logs are being read", seen=False)


def test_pods_that_ended_before_the_rollback_are_left_out() -> None:
    evicted = pod("old", status("app", state=terminated("2026-11-23T08:00:00Z")), phase="Failed")
    verdict = judged(FakeKube(evicted, pod("a", APP), a_app_current=f"{NEW} fine\n"))
    assert verdict.observed == (
        "1 container of 1 pod: no bad one among 1 line since 2026-11-23 10:00:00 UTC. "
        "Left out: old (ended before the rollback)."
    )
    failed = pod("job", status("app", state=terminated("2026-11-23T10:00:09Z")), phase="Failed")
    assert judged(FakeKube(failed, job_app_current=f"{NEW} panic: x")).word is Verdict.FAIL


def test_a_log_longer_than_the_limit_is_not_green() -> None:
    second = f"{NEW} fine\n" * (LIMIT_BYTES // 20)
    verdict = judged(FakeKube(pod("a", APP), a_app_current=second), environment(timeout_s=120))
    assert verdict.word is Verdict.UNVERIFIED
    assert "its log has more than 1000000 bytes within 2 s, read up to there only" in verdict.observed


class Kubelet:
    """A container's log and what a kubelet answers of it; ``rotates`` lines go after the first answer."""

    def __init__(self, lines: list[str], limit: int, rotates: int = 0) -> None:
        self.lines, self.limit, self.rotates = lines, limit, rotates
        self.asked = 0

    def __call__(self, query: Mapping[str, str]) -> str:
        since = datetime.fromisoformat(query["sinceTime"])
        if self.asked:
            self.lines, self.rotates = self.lines[self.rotates :], 0
        self.asked += 1
        text = "".join(f"{line}\n" for line in self.lines if (stamped(line)[0] or since) >= since)
        return text.encode()[: self.limit].decode(errors="replace")


def read(kubelet: Kubelet) -> tuple[list[str], str]:
    reading = LogReading(SINCE, (), 10_000)
    trouble = read_pages(kubelet, SINCE, reading.take, kubelet.limit)
    return list(reading.tail), trouble


def test_what_was_cut_is_gone_on_with_from_the_second_before_its_last_whole_line() -> None:
    lines = [f"2026-11-23T10:00:{n // 4:02}.{n % 4 + 5}Z line {n}" for n in range(40)]
    kubelet = Kubelet(lines, limit=500)
    assert read(kubelet) == (lines, "")
    assert 3 <= kubelet.asked <= PAGES
    taken, trouble = read(Kubelet(lines, limit=500, rotates=30))
    assert (taken, trouble) == (
        lines[: len(taken)],
        "was rotated while it was read, and a part of it is missing",
    )
    assert read(Kubelet(lines, limit=100)) == (
        [*lines[:3], lines[3][:10]],
        "has more than 100 bytes within 2 s, read up to there only",
    )
    slow = [f"2026-11-23T10:{n:02}:00Z line {n}" for n in range(30)]
    assert read(Kubelet(slow, limit=70))[1] == "is longer than 840 bytes and was read up to there only"


@given(
    st.lists(st.tuples(st.integers(-900, 1500), st.text("x\u20ac\ufffd", max_size=12)), max_size=60),
    st.integers(60, 2000),
    st.integers(0, 5),
)
def test_no_line_is_left_out_in_silence(written: list[tuple[int, str]], limit: int, rotates: int) -> None:
    newest, lines = SINCE + timedelta(seconds=5), []
    for number, (later_ms, text) in enumerate(written):
        at = newest + timedelta(milliseconds=later_ms)  # two streams may be out of order a little
        newest = max(newest, at)
        lines.append(f"{at.isoformat(timespec='milliseconds')} {number} {text}")
    taken, trouble = read(Kubelet(lines, limit, rotates))
    assert trouble or taken == lines


def test_fault_46_a_huge_line_and_broken_bytes_are_shortened_and_shown() -> None:
    huge = "x" * 10_000_000 + " panic: here " + "\ufffd" * 500 + "\0"
    verdict = judged(FakeKube(pod("a", APP), a_app_current=f"{NEW} {huge}\n"))
    assert verdict.word is Verdict.FAIL
    shown = verdict.evidence[0].text
    assert "panic: here" in shown
    assert len(shown) < 3000
    assert shown.endswith("\N{HORIZONTAL ELLIPSIS} [line of 10000545 characters]")


def test_a_slow_log_does_not_hold_the_others_up() -> None:
    import threading

    release = threading.Event()

    class Slow(FakeKube):
        def text(self, path: str, query: dict[str, str], timeout_s: float, limit_bytes: int) -> str:
            if "/slow/" in path:
                release.wait(5)
            return f"{NEW} fine"

    verdict = judged(Slow(pod("slow", APP), pod("a", APP)), environment(timeout_s=0.1))
    release.set()
    assert (verdict.word, verdict.observed) == (
        Verdict.UNVERIFIED,
        "The log of slow/app is not known: not read within 0.133 s.",
    )


class Counted(FakeKube):
    """Each log takes some time; how many were asked for is counted."""

    asked = 0
    takes_s = 0.05
    from_then_on: str | ClusterError = f"{NEW} fine"
    first = 0  # from this one on, if above 0, that is answered

    def text(self, path: str, query: dict[str, str], timeout_s: float, limit_bytes: int) -> str:
        self.asked += 1
        time.sleep(self.takes_s)
        answer = self.from_then_on if 0 < self.first <= self.asked else f"{NEW} fine"
        if isinstance(answer, ClusterError):
            raise answer
        return answer


def test_many_logs_have_more_time_as_long_as_they_come() -> None:
    pods = [pod(f"p{number}", APP) for number in range(PARALLEL * 36)]
    verdict = judged(Counted(*pods), environment(timeout_s=1.5))  # 36 after one another take 1.8 s
    assert verdict.word is Verdict.PASS
    count = PARALLEL * 36
    assert re.fullmatch(
        f"{count} containers of {count} pods: no bad one among {count} lines since 2026-11-23 10:00:00 UTC."
        r" To read them all took \d s\.",
        verdict.observed,
    )


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        pytest.param(Unreachable("no answer"), Verdict.UNVERIFIED, id="unread"),
        pytest.param(f"{NEW} panic: x", Verdict.FAIL, id="bad"),
    ],
)
def test_of_many_logs_no_more_are_asked_for_once_the_verdict_is_known(
    answer: str | ClusterError, word: Verdict
) -> None:
    kube = Counted(*(pod(f"p{number}", APP) for number in range(PARALLEL * 200)))
    kube.from_then_on, kube.first = answer, PARALLEL
    verdict = judged(kube, environment(timeout_s=0.3))
    assert verdict.word is word
    time.sleep(4 * kube.takes_s)
    asked = kube.asked
    assert asked < PARALLEL * 100
    time.sleep(4 * kube.takes_s)
    assert kube.asked == asked


def test_of_many_logs_only_lines_that_are_shown_are_held() -> None:
    pods = [pod(f"p{number}", APP) for number in range(30)]
    bad = {"p25_app_current": f"{NEW} before\n{NEW} panic: x", "p24_app_current": Unreachable("no")}
    logs = {f"p{number}_app_current": f"{NEW} fine" for number in range(30)} | bad
    check = LogsCheck(env=environment(), kube=FakeKube(*pods, **logs), since=SINCE)  # type: ignore[arg-type]
    seen = check.observe()
    assert [number for number, log in enumerate(seen.logs) if log.tail] == [*range(20), 25]
    judgement = check.judge(History((Sample(SINCE, seen),), SINCE, judged_from=SINCE), SINCE)
    shown = [one.text for one in judgement.evidence if one.title.startswith("Last lines")]
    assert len(shown) == 20
    assert [text for text in shown if text == "(no line)"] == []


# Moment of each recording -> what the logs of the pods that are there then have to say. None: all is well.
RECORDINGS = json.loads((Path(__file__).parents[1] / "support" / "recordings" / "logs.json").read_text())
BAD = "bad line"
RECORDED = {
    "crashloop-exit3--0-before": None,
    "crashloop-exit3--1-Error": BAD,
    "crashloop-exit3--2-CrashLoopBackOff": BAD,
    "crashloop-exit3--3-restarts2": BAD,
    "crashloop-exit3--8-after-upgrade": BAD,
    "crashloop-exit3--9-after-rollback": None,
    "createcontainerconfigerror--0-before": None,
    "createcontainerconfigerror--1-CreateContainerConfigError": "still waiting (CreateContainerConfigError)",
    "createcontainerconfigerror--8-after-upgrade": "still waiting (CreateContainerConfigError)",
    "createcontainerconfigerror--9-after-rollback": None,
    "errimagepull-notfound--0-before": None,
    "errimagepull-notfound--1-ErrImagePull": "still waiting (ErrImagePull)",
    "errimagepull-notfound--2-ImagePullBackOff": "still waiting (ImagePullBackOff)",
    "errimagepull-notfound--8-after-upgrade": "still waiting (ImagePullBackOff)",
    "errimagepull-notfound--9-after-rollback": None,
    "failedmount-secret--0-before": None,
    "failedmount-secret--1-NotReady10": "still waiting (ContainerCreating)",
    "failedmount-secret--8-after-upgrade": "still waiting (ContainerCreating)",
    "failedmount-secret--9-after-rollback": None,
    "oomkilled--0-before": None,
    # The kubelet answered 200, and no log: the container was removed just then.
    "oomkilled--1-OOMKilled": "its log before the restart could not be read: unable to retrieve",
    "oomkilled--2-CrashLoopBackOff": "still waiting (CrashLoopBackOff)",
    "oomkilled--8-after-upgrade": "still waiting (CrashLoopBackOff)",
    "oomkilled--9-after-rollback": None,
    "readiness-503--0-before": None,
    "readiness-503--1-NotReady10": None,
    "readiness-503--8-after-upgrade": None,
    "readiness-503--9-after-rollback": None,
    "rollout-ok--0-before": None,
    "rollout-ok--1-Ready": None,
    "rollout-ok--8-after-upgrade": None,
    "rollout-ok--9-after-rollback": None,
    "unschedulable--0-before": None,
    "unschedulable--1-Unschedulable": "still waiting (not created)",
    "unschedulable--8-after-upgrade": "still waiting (not created)",
    "unschedulable--9-after-rollback": None,
}


class RecordedKube:
    """A real kubelet's pods, logs and refusals (recorded without the lines' times)."""

    def __init__(self, moment: JsonObject) -> None:
        self.moment = moment

    def list(self, path: str, query: object, timeout_s: float) -> tuple[JsonObject, ...]:
        return tuple(self.moment["pods"])

    def get(self, path: str) -> JsonObject:
        name = path.rpartition("/")[2]
        return next(each for each in self.moment["pods"] if each["metadata"]["name"] == name)

    def text(self, path: str, query: dict[str, str], timeout_s: float, limit_bytes: int) -> str:
        pod_name = path.split("/")[-2]
        text = self.moment["logs"][f"{pod_name}/{'previous' if 'previous' in query else 'current'}"]
        if text.startswith("Error from server (BadRequest): "):
            raise BadAnswer(text.strip(), status=400)
        assert not text.lower().startswith("error")
        return text


def test_with_auto_the_pods_are_those_of_the_workloads() -> None:
    env = Environment.model_validate({"name": "s", "context": "ctx", "namespace": "ns", "workloads": "auto"})
    assert env.logs.selector == "auto"
    named = env.model_copy(update={"workloads": {"a": "deployment/a", "q": "statefulset/q"}})
    kube = FakeKube(a_app_current=f"{NEW} started")
    one = LogsCheck(env=named, kube=kube, since=SINCE, workload_pods=lambda: (pod("a", APP),))  # type: ignore[arg-type]
    verdict = one.judge(History((Sample(SINCE, one.observe()),), SINCE), SINCE)
    assert verdict.observed == "1 container of 1 pod: no bad one among 1 line since 2026-11-23 10:00:00 UTC."
    assert one.expected.startswith("every container of the pods of the release's workloads is readable")
    more = "--tail=50 --all-containers --prefix -n ns --context ctx"
    assert one.command == (
        f"kubectl logs deployment/a --all-pods {more}; kubectl logs statefulset/q --all-pods {more}"
    )
    nothing = LogsCheck(env=named, kube=kube, since=SINCE)  # type: ignore[arg-type]
    said = nothing.judge(History((Sample(SINCE, nothing.observe()),), SINCE), SINCE)
    assert said.observed == ("No pod of the release's workloads, so no log was read. Is logs.selector right?")
    kept = {"name": "s", "context": "c", "workloads": "auto", "logs": {"selector": "app=x"}}
    assert Environment.model_validate(kept).logs.selector == "app=x"


def test_the_pods_of_workloads_come_from_the_snapshot_or_are_not_known() -> None:
    def made(name: str, uid: str, owner: str, kind: str = "StatefulSet") -> JsonObject:
        owners = [{"uid": owner, "kind": kind, "name": "q", "controller": True}]
        return {"metadata": {"name": name, "uid": uid, "ownerReferences": owners}, "spec": {}, "status": {}}

    queue = {"metadata": {"name": "q", "uid": "u"}, "spec": {}, "status": {}}
    objects = {"statefulsets": (queue,), "pods": (made("q-0", "p", "u"), made("x", "y", "z"))}
    snapshot = Snapshot(SINCE, objects, {"deployments": NotFound("none")})
    assert [one["metadata"]["name"] for one in pods_of(snapshot, ["statefulset/q", "statefulset/no"])] == [
        "q-0"
    ]
    with pytest.raises(NotFound):
        pods_of(snapshot, ["deployment/a"])


def test_every_recorded_moment_has_its_expected_verdict() -> None:
    assert set(RECORDED) == set(RECORDINGS)


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_logs_get_the_expected_verdict(name: str) -> None:
    kube, expected = RecordedKube(RECORDINGS[name]), RECORDED[name]
    since = datetime.fromisoformat(RECORDINGS[name]["since"])
    one = LogsCheck(env=environment(), kube=kube, since=since)  # type: ignore[arg-type]
    verdict = one.judge(History((Sample(since, one.observe()),), since), since)
    assert isinstance(verdict, CheckResult)
    assert verdict.word is (
        Verdict.PASS if expected is None else Verdict.FAIL if expected is BAD else Verdict.UNVERIFIED
    ), verdict.observed
    assert (expected or "no bad one among") in verdict.observed


def test_the_words_around_it() -> None:
    one = LogsCheck(env=environment(patterns=["boom"]), kube=FakeKube(), since=SINCE)  # type: ignore[arg-type]
    assert one.command == (
        "kubectl logs -l app=zkprova-backend --tail=50 --all-containers --prefix -n ns --context ctx"
    )
    assert one.expected == (
        "every container of the pods app=zkprova-backend is readable, "
        "and no line since 2026-11-23 10:00:00 UTC matches boom"
    )
    assert (one.id, one.interval_s, one.deadline_s) == ("logs", None, 167)


def test_many_containers_show_the_worst_first() -> None:
    kube = FakeKube(
        *(pod(f"p{n:02}", APP) for n in range(30)),
        **{f"p{n:02}_app_current": f"{NEW} {'panic: x' if n == 29 else 'fine'}" for n in range(30)},
    )
    verdict = judged(kube)
    assert verdict.evidence[1].title == "Last lines of p29/app"
    assert verdict.evidence[-1].title == "Other containers"
    assert len(verdict.evidence) == 22


@given(st.lists(st.tuples(st.integers(-50, 50), st.sampled_from([*BAD_LINES, *GOOD_LINES])), max_size=30))
def test_red_if_and_only_if_a_bad_line_came_after_the_rollback(lines: list[tuple[int, str]]) -> None:
    def at(seconds: int) -> str:
        return (SINCE + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    kube = FakeKube(pod("a", APP), a_app_current="".join(f"{at(s)} {line}\n" for s, line in lines))
    bad = any(seconds >= 0 and line in BAD_LINES for seconds, line in lines)
    assert judged(kube).word is (Verdict.FAIL if bad else Verdict.PASS)


def test_the_value_names_how_many_pods_were_read() -> None:
    one = LogsCheck(
        env=environment(),
        kube=FakeKube(pod("a", APP), a_app_current=""),  # type: ignore[arg-type]
        since=SINCE,
    )
    seen = one.observe()
    assert isinstance(seen, LogsSeen)
    assert (seen.pods, seen.left_out) == (1, ())


def test_case_b9_of_a_pod_made_after_the_rollback_every_line_counts_whatever_its_nodes_clock_says() -> None:
    behind = "2026-11-23T09:59:58.9Z FATAL: no pool\n"
    new = pod(
        "a", status("app", state=running("2026-11-23T09:59:58Z")), creationTimestamp="2026-11-23T10:00:00Z"
    )
    red = judged(FakeKube(new, a_app_current=behind))
    assert red.word is Verdict.FAIL
    assert "FATAL: no pool" in red.observed
    old = pod("a", status("app", state=running("2026-11-23T09:59:58Z")))
    assert judged(FakeKube(old, a_app_tail=behind)).word is Verdict.PASS


def test_case_p30_the_log_of_an_init_container_that_ended_before_the_rollback_is_not_asked_for() -> None:
    init = status("migrate", state=terminated("2026-11-23T09:00:05Z"))
    kube = FakeKube(
        pod("a", status("app", state=running("2026-11-23T09:00:09Z")), init=(init,)), a_app_tail=""
    )
    assert judged(kube).word is Verdict.PASS
    late = status("migrate", state=terminated("2026-11-23T10:00:05Z"))
    lost = FakeKube(
        pod("a", APP, init=(late,)), a_app_current="", a_migrate_current=NotFound("no such container")
    )
    assert judged(lost).word is Verdict.UNVERIFIED


LOST = "unable to retrieve container logs for containerd://1"


def _over(kind: str | None) -> JsonObject:
    """A pod that was evicted, and who makes another one for it."""
    made = pod("gone", status("app", state=terminated("2026-11-23T10:00:05Z")), phase="Failed")
    if kind is not None:
        made["metadata"]["ownerReferences"] = [{"kind": kind, "name": "x", "uid": "x", "controller": True}]
    return made


@pytest.mark.parametrize(
    "answer", [LOST, BadAnswer("400: container not found", status=400), NotFound("no such pod")]
)
def test_case_k3_the_log_of_a_pod_that_was_evicted_and_replaced_is_said_to_be_gone(answer: object) -> None:
    kube = FakeKube(
        pod("a", APP), _over("ReplicaSet"), a_app_current=f"{NEW} ready\n", gone_app_current=answer
    )
    found = judged(kube)
    assert (found.word, found.observed) == (
        Verdict.PASS,
        "1 container of 2 pods: no bad one among 1 line since 2026-11-23 10:00:00 UTC. Left out: gone/app (its pod"
        " was replaced, and its log is gone).",
    )


def test_the_log_of_a_pod_that_was_deleted_since_it_was_listed_is_left_out() -> None:
    """As that of one that terminates: of a large release, old pods go in the moment between."""
    gone = NotFound('pods "gone" not found')
    pods = (pod("a", APP), pod("gone", APP))
    kube = FakeKube(*pods, a_app_current=f"{NEW} ready\n", gone_app_current=gone, deleted={"gone"})
    found = judged(kube)
    assert (found.word, found.observed) == (
        Verdict.PASS,
        "1 container of 2 pods: no bad one among 1 line since 2026-11-23 10:00:00 UTC. Left out: gone/app (its pod"
        " was deleted meanwhile).",
    )
    # It is there, its log is not:
    kube = FakeKube(*pods, a_app_current=f"{NEW} ready\n", gone_app_current=gone)
    assert judged(kube).word is Verdict.UNVERIFIED
    kube = FakeKube(pod("gone", APP), gone_app_current=gone, deleted={"gone"})
    found = judged(kube)
    assert (found.word, found.observed.partition(".")[0]) == (
        Verdict.UNVERIFIED,
        "No pod matches app=zkprova-backend any more, so no log was read",
    )


@pytest.mark.parametrize(
    ("made", "answer"),
    [
        pytest.param(_over("Job"), LOST, id="a Job's pod"),
        pytest.param(_over(None), LOST, id="nobody replaces it"),
        pytest.param(
            _over("ReplicaSet"),
            Forbidden("may not read logs", verb="get", resource="pods/log"),
            id="not for want of the log",
        ),
        pytest.param(
            _over("ReplicaSet"), BadAnswer("500: later", status=500), id="its kubelet is in trouble"
        ),
        pytest.param(pod("gone", APP), LOST, id="it still runs"),
    ],
)
def test_case_k3_other_logs_that_cannot_be_read_are_not_known(made: JsonObject, answer: object) -> None:
    kube = FakeKube(pod("a", APP), made, a_app_current=f"{NEW} ready\n", gone_app_current=answer)
    assert judged(kube).word is Verdict.UNVERIFIED
