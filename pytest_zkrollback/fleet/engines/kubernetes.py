"""``--fleet-engine=kubernetes``: one indexed Job per wave in a management cluster, one index per member.

Completion mode Indexed, ``parallelism`` is the fleet's ``at_once``, ``backoffLimitPerIndex: 0`` (since
1.33): an index that failed is not begun again, and does not stop the others
(https://kubernetes.io/docs/concepts/workloads/controllers/job/). Nobody deletes a pod that has begun: its log
is its record's way back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from ...clients.kube.client import connect
from ...clients.state_dir import user_name
from ...config.fleet import KubernetesEngineTable
from ...domain.checks import JsonObject
from ...domain.command_line import FLEET_MEMBER
from ...domain.errors import ClusterError, NotFound
from ...domain.ports import Clock, Kube
from ...domain.record import Record
from ...report.file_names import file_stem
from ...report.files import Store
from ...report.sanitize import inert_line
from ..member_command import RUN_ID
from ..member_pod import ORDER, PodOrder, unpack_log
from .interface import MemberJob, MemberResult, Phase
from .local import FoundRun, read_run

FLEET_RUN, PHASE, WAVE, MEMBERS = (f"zkrollback/{each}" for each in ("fleet-run", "phase", "wave", "members"))
JOB_NAME = "batch.kubernetes.io/job-name"
_INDEX = "batch.kubernetes.io/job-completion-index"
_CONTAINER = "member"
_KUBECONFIG_FOLDER = "/etc/zkrollback"
_LOOK_S = 1.0
_ASK_S = 15.0
_LOG_S = 60.0
_LOG_BYTES = 16 << 20
# How often a log that cannot be read is asked for, once a second, before its record counts as lost.
_LOG_TRIES = 30
_KEEP_S = 7 * 24 * 3600
_GRACE_S = 180
_UID = 65532
_MERGE_PATCH = "application/merge-patch+json"


@dataclass
class _Batch:
    """One Job. ``open``: indexes without a result; ``begun``: whose pod was seen."""

    name: str
    members: Sequence[tuple[str, str]]
    phase: Phase
    open: set[int]
    begun: set[int] = field(default_factory=set)
    told: dict[int, str] = field(default_factory=dict)
    waits_since: dict[int, float] = field(default_factory=dict)
    log_tries: dict[int, int] = field(default_factory=dict)


class KubernetesEngine:
    """Members as pods. ``folder`` takes outputs and plans, ``report_dir`` the members' reports."""

    name = "kubernetes"
    takes_whole_waves = True

    def __init__(
        self,
        report_dir: Path,
        folder: Path,
        clock: Clock,
        table: KubernetesEngineTable,
        config_file: Path,
        fleet_run_id: str,
        kube: Callable[[], Kube] | None = None,
    ) -> None:
        """Nothing is contacted yet. ``kube``: left out, the management cluster's by ``table``."""
        self._report_dir, self._folder, self._clock = report_dir, folder, clock
        self._table, self._config_file, self._fleet_run_id = table, config_file, fleet_run_id
        self._connect = kube or (lambda: connect(table.context, table.kubeconfig))
        self._known: Kube | None = None
        self._batches: list[_Batch] = []
        self._ready: list[MemberResult] = []
        self._problem = ""
        self._adopted = False

    def start(self, jobs: Sequence[MemberJob], at_once: int) -> None:
        """One Job for them; whose index has completed in an earlier Job of this wave is not run again."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if jobs[0].phase is Phase.RUN:
            done = self._completed_before(jobs[0].wave)
            self._ready += [done[job.member] for job in jobs if job.member in done]
            jobs = [job for job in jobs if job.member not in done]
        if not jobs:
            return
        body = self._job(jobs, at_once)
        members = [(job.member, job.run_id) for job in jobs]
        problem = self._create(body)
        if problem:
            self._ready += [
                MemberResult(job.member, job.run_id, job.phase, None, None, problem=problem) for job in jobs
            ]
            return
        name = str(body["metadata"]["name"])
        self._batches.append(_Batch(name, members, jobs[0].phase, set(range(len(jobs)))))

    def poll(self, wait_s: float) -> Sequence[MemberResult]:
        """Whose pod has ended, with the record out of its log. Asks the API server about once a second."""
        found, self._ready = self._ready, []
        if found:
            return found
        self._clock.sleep(max(wait_s, _LOOK_S))
        for batch in self._batches:
            try:
                found += self._look(batch)
                self._problem = ""
            except ClusterError as problem:
                self._problem = str(problem)
        self._batches = [batch for batch in self._batches if batch.open]
        return found

    def hold(self) -> Sequence[str]:
        """Shorten each Job to the indexes that have begun. Nothing that runs is ended by it.

        An indexed Job may be made shorter while ``completions`` equals ``parallelism``; pods with higher
        indexes are removed then, and there are none.
        """
        held: list[str] = []
        for batch in self._batches:
            try:
                held += self._shorten(batch)
            except ClusterError as problem:  # it goes on as it is, and everybody's result is waited for
                self._problem = str(problem)
        self._batches = [batch for batch in self._batches if batch.open]
        return held

    def describe(self, member: str) -> str:
        """What its pod is at."""
        for batch in self._batches:
            for index in batch.open:
                if batch.members[index][0] == member:
                    return inert_line(self._problem or batch.told.get(index, "waits for its turn"))
        return ""

    def interrupt(self) -> None:
        """Nobody is ended: a deleted pod takes its log along, and with it the record."""

    def wait_for_orphans(self, jobs: Mapping[str, str], wait_s: float) -> Sequence[str]:
        """Whose pod still runs. The first time no further index of those Jobs is let begin.

        While the management cluster does not answer, nobody knows: then all of them may run.
        """
        if not jobs:
            return ()
        self._clock.sleep(wait_s)
        try:
            batches = list(self._earlier(Phase.RUN))
            if not self._adopted:
                for batch in batches:
                    self._shorten(batch)
                self._adopted = True
            alive = {batch.members[index] for batch in batches for index in self._alive(batch)}
        except ClusterError as problem:
            self._problem = str(problem)
            return tuple(jobs)
        return [member for member, run_id in jobs.items() if (member, run_id) in alive]

    def close(self) -> None:
        """Jobs stay for a week, and pods with them: whoever looks finds their logs."""

    @property
    def _kube(self) -> Kube:
        if self._known is None:
            self._known = self._connect()
        return self._known

    def _jobs_path(self, name: str = "") -> str:
        namespace = quote(self._table.namespace, safe="")
        return f"/apis/batch/v1/namespaces/{namespace}/jobs" + (f"/{name}" if name else "")

    def _pods_path(self, name: str = "") -> str:
        namespace = quote(self._table.namespace, safe="")
        return f"/api/v1/namespaces/{namespace}/pods" + (f"/{name}" if name else "")

    def _create(self, body: JsonObject) -> str:
        """What is wrong, or nothing. A Job whose request got no answer is looked for by its name."""
        try:
            self._kube.send("POST", self._jobs_path(), body, timeout_s=_ASK_S)
        except ClusterError as problem:
            try:
                self._kube.get(self._jobs_path(str(body["metadata"]["name"])), timeout_s=_ASK_S)
            except NotFound:
                return f"it could not be started: {problem}"
            except ClusterError:
                return f"it is not known whether it was started: {problem}"
        return ""

    def _completed_before(self, wave: int) -> dict[str, MemberResult]:
        """Members that a killed command's Job of this wave has rolled back and verified."""
        found: dict[str, MemberResult] = {}
        with suppress(ClusterError):  # then they are run again, and find themselves at the target
            for batch in self._earlier(Phase.RUN, wave):
                pods = self._pods(batch)
                for index, (member, run_id) in enumerate(batch.members):
                    pod = pods.get(index)
                    if pod is None or _exit_code(pod) != 0:
                        continue
                    with suppress(ClusterError):
                        run = self._record_of(pod, member, run_id, Phase.RUN)
                        if run.run is not None:
                            found[member] = MemberResult(member, run_id, Phase.RUN, 0, run.run)
        return found

    def _earlier(self, phase: Phase, wave: int | None = None) -> Iterator[_Batch]:
        """The Jobs of this fleet run that are there."""
        terms = {FLEET_RUN: self._fleet_run_id, PHASE: str(phase)}
        terms |= {WAVE: str(wave)} if wave is not None else {}
        selector = ",".join(f"{key}={value}" for key, value in terms.items())
        for job in self._kube.list(self._jobs_path(), {"labelSelector": selector}, timeout_s=_ASK_S):
            metadata = job.get("metadata") or {}
            try:
                members = [
                    (str(member), str(run_id))
                    for member, run_id in json.loads((metadata.get("annotations") or {})[MEMBERS])
                ]
            except (KeyError, TypeError, ValueError):
                continue  # none of ours
            yield _Batch(str(metadata["name"]), members, phase, set(range(len(members))))

    def _pods(self, batch: _Batch) -> dict[int, JsonObject]:
        """Index -> its pod."""
        query = {"labelSelector": f"{JOB_NAME}={batch.name}"}
        found: dict[int, JsonObject] = {}
        for pod in self._kube.list(self._pods_path(), query, timeout_s=_ASK_S):
            index = (pod["metadata"].get("annotations") or {}).get(_INDEX, "")
            if str(index).isdigit() and int(index) < len(batch.members):
                found[int(index)] = pod
        batch.begun |= set(found)
        return found

    def _alive(self, batch: _Batch) -> list[int]:
        return [index for index, pod in self._pods(batch).items() if _exit_code(pod) is None]

    def _shorten(self, batch: _Batch) -> list[str]:
        """The members whose index will not begin."""
        self._pods(batch)
        status = self._kube.get(self._jobs_path(batch.name), timeout_s=_ASK_S).get("status") or {}
        batch.begun |= _indexes(status.get("completedIndexes")) | _indexes(status.get("failedIndexes"))
        length = max(batch.begun, default=0) + 1
        if length >= len(batch.members):
            return []
        patch = {"spec": {"completions": length, "parallelism": length}}
        self._kube.send("PATCH", self._jobs_path(batch.name), patch, _MERGE_PATCH, timeout_s=_ASK_S)
        self._pods(batch)  # whose pod came meanwhile has begun; its end is told as it is found
        held = [index for index in sorted(batch.open) if index >= length and index not in batch.begun]
        batch.open -= set(held)
        return [batch.members[index][0] for index in held]

    def _look(self, batch: _Batch) -> list[MemberResult]:
        seen = set(batch.begun)
        pods = self._pods(batch)
        status = self._kube.get(self._jobs_path(batch.name), timeout_s=_ASK_S).get("status") or {}
        ended = _indexes(status.get("completedIndexes")) | _indexes(status.get("failedIndexes"))
        results = []
        for index in sorted(batch.open):
            pod = pods.get(index)
            if pod is None:
                if index in ended or index in seen:
                    results.append(self._lost(batch, index))
                continue
            code = _exit_code(pod)
            if code is None:
                batch.told[index] = _state(pod)
                self._end_if_stuck(batch, index, pod)
                continue
            result = self._ended(batch, index, pod, code)
            if result is not None:
                results.append(result)
        return results

    def _lost(self, batch: _Batch, index: int) -> MemberResult:
        batch.open.discard(index)
        member, run_id = batch.members[index]
        said = batch.told.get(index, "")
        problem = f"its pod is gone, and its log with it{f' (last seen: {said})' if said else ''}"
        return MemberResult(member, run_id, batch.phase, None, None, problem=problem)

    def _ended(self, batch: _Batch, index: int, pod: JsonObject, code: int) -> MemberResult | None:
        """Its result; None: its log could not be read yet."""
        member, run_id = batch.members[index]
        try:
            found = self._record_of(pod, member, run_id, batch.phase)
        except ClusterError as problem:
            batch.log_tries[index] = batch.log_tries.get(index, 0) + 1
            if batch.log_tries[index] < _LOG_TRIES:
                return None
            found = FoundRun(problem=f"its pod's log cannot be read: {problem}")
        batch.open.discard(index)
        said = found.problem and f"{found.problem} ({_state(pod)})"
        return MemberResult(
            member, run_id, batch.phase, code, found.run, said, is_unreadable=found.is_unreadable
        )

    def _record_of(self, pod: JsonObject, member: str, run_id: str, phase: Phase) -> FoundRun:
        """The member's record, out of the log into its file. Raises ClusterError."""
        folder = self._folder if phase is Phase.PLAN else self._report_dir
        known = read_run(folder, run_id, beside=self._report_dir)
        if known.run is not None:
            return known
        path = self._pods_path(f"{pod['metadata']['name']}/log")
        text = self._kube.text(path, {"container": _CONTAINER}, timeout_s=_LOG_S, limit_bytes=_LOG_BYTES)
        log = unpack_log(text, run_id)
        with suppress(OSError):
            self._output(run_id).write_text(log.said, encoding="utf-8")
        where = f"its output is {self._output(run_id)}"
        if log.record is None:
            return FoundRun(problem=f"its pod's log holds no record; {where}")
        try:
            record = Record.model_validate_json(log.record)
        except ValidationError:
            return FoundRun(problem=f"its record cannot be read; {where}", is_unreadable=True)
        if (record.environment, record.run_id) != (member, run_id):
            return FoundRun(problem=f"its record is that of another run; {where}", is_unreadable=True)
        Store(folder, file_stem(record), is_latest=False).finish(record)
        return read_run(folder, run_id, beside=self._report_dir)

    def _output(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.out"

    def _end_if_stuck(self, batch: _Batch, index: int, pod: JsonObject) -> None:
        """Delete a pod whose container was never begun; the precondition: it has not changed since."""
        status, metadata = pod.get("status") or {}, pod["metadata"]
        if status.get("phase") != "Pending" or metadata.get("deletionTimestamp"):
            batch.waits_since.pop(index, None)
            return
        since = batch.waits_since.setdefault(index, self._clock.monotonic_s())
        if self._clock.monotonic_s() - since < self._table.start_timeout_s:
            return
        same = {"uid": metadata.get("uid"), "resourceVersion": metadata.get("resourceVersion")}
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": same}
        path = self._pods_path(str(metadata["name"]))
        with suppress(ClusterError):  # it has begun meanwhile, or it is asked again in a second
            self._kube.send("DELETE", path, options, timeout_s=_ASK_S)

    def _job(self, jobs: Sequence[MemberJob], at_once: int) -> JsonObject:
        members = [(job.member, job.run_id) for job in jobs]
        name = f"zkrollback-{self._fleet_run_id}-{jobs[0].phase}-{jobs[0].wave}-{jobs[0].run_id}"
        labels = {
            "app.kubernetes.io/name": "zkrollback",
            FLEET_RUN: self._fleet_run_id,
            PHASE: str(jobs[0].phase),
            WAVE: str(jobs[0].wave),
        }
        order = PodOrder(
            members=members,
            words=[*self._table.arguments, *_words_for_all(jobs)],
            environ={key: value for key, value in jobs[0].environ.items() if key != RUN_ID},
            config_name=self._config_file.name,
            config=self._config_file.read_text(encoding="utf-8"),
        )
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "labels": labels, "annotations": {MEMBERS: json.dumps(members)}},
            "spec": {
                "completionMode": "Indexed",
                "completions": len(jobs),
                "parallelism": min(at_once, len(jobs)),
                "backoffLimitPerIndex": 0,
                # A pod that goes away counts when it is gone, not while its helm may still be at work.
                "podReplacementPolicy": "Failed",
                "ttlSecondsAfterFinished": _KEEP_S,
                "template": {
                    "metadata": {
                        "labels": labels,
                        "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
                    },
                    "spec": self._pod(order),
                },
            },
        }

    def _pod(self, order: PodOrder) -> dict[str, Any]:
        table = self._table
        env = {"HOME": "/tmp", "USER": user_name(), ORDER: order.as_text()}  # noqa: S108 - the pod's own
        mounts = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108
        volumes: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {}}]
        if table.kubeconfig_secret:
            env["KUBECONFIG"] = f"{_KUBECONFIG_FOLDER}/{table.kubeconfig_key}"
            mounts.append({"name": "kubeconfig", "mountPath": _KUBECONFIG_FOLDER})
            secret = {"secretName": table.kubeconfig_secret, "defaultMode": 0o440}
            volumes.append({"name": "kubeconfig", "secret": secret})
        container: dict[str, Any] = {
            "name": _CONTAINER,
            "image": table.image,
            "command": ["python3", "-m", "pytest_zkrollback.fleet.member_pod"],
            "env": [{"name": key, "value": value} for key, value in env.items()],
            "resources": {
                "requests": {"cpu": "100m", "memory": "256Mi"},
                "limits": {"memory": "1Gi"},
            },
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": mounts,
        }
        if table.env_secret:
            container["envFrom"] = [{"secretRef": {"name": table.env_secret}}]
        account = {"serviceAccountName": table.service_account} if table.service_account else {}
        return {
            "restartPolicy": "Never",
            **account,
            "automountServiceAccountToken": bool(table.service_account),
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": _GRACE_S,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _UID,
                "runAsGroup": _UID,
                "fsGroup": _UID,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": volumes,
        }


def _words_for_all(jobs: Sequence[MemberJob]) -> list[str]:
    """What the members' commands have in common; the pod names the member and the configuration itself."""
    own, skip = [], False
    for word in jobs[0].words:
        if skip:
            skip = False
        elif word == "--zkrollback-config":
            skip = True
        elif not word.startswith((f"{FLEET_MEMBER}=", "--zkrollback-config=")):
            own.append(word)
    return own


def _indexes(text: object) -> set[int]:
    """``1,3-5,7`` as a Job's status has it."""
    found: set[int] = set()
    for part in str(text or "").split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (not last or last.isdigit()):
            found |= set(range(int(first), int(last or first) + 1))
    return found


def _exit_code(pod: JsonObject) -> int | None:
    """The member's; None: it goes on. A pod that ended without its container having run: 1."""
    status = pod.get("status") or {}
    for each in status.get("containerStatuses") or ():
        ended = (each.get("state") or {}).get("terminated")
        if ended is not None and each.get("name") == _CONTAINER:
            code = ended.get("exitCode")
            return code if isinstance(code, int) else 1
    return 1 if status.get("phase") in ("Failed", "Succeeded") else None


def _state(pod: JsonObject) -> str:
    """One line: the pod, its phase, and why it waits or has ended."""
    status = pod.get("status") or {}
    words = [str(status.get("reason") or "")]
    for each in status.get("containerStatuses") or ():
        for kind in ("waiting", "terminated"):
            found = (each.get("state") or {}).get(kind) or {}
            words += [str(found.get("reason") or ""), str(found.get("message") or "")]
    if status.get("phase") == "Pending":
        words += [
            str(each.get("message") or "")
            for each in status.get("conditions") or ()
            if each.get("type") == "PodScheduled" and each.get("status") != "True"
        ]
    why = ": ".join(filter(None, words))
    said = f"pod {pod['metadata']['name']}: {status.get('phase') or 'not scheduled'}"
    return inert_line(f"{said}, {why}" if why else said)
