"""A management cluster in memory: indexed Jobs and their pods, as far as a fleet's engine sees them.

Its contract is what the Job controller of Kubernetes 1.37 does on the drill (benchmarks/fleet_on_kubernetes.py):
lowest indexes first, ``parallelism`` at once; a failed index is not begun again; a Job may be shortened while
completions equal parallelism, and pods above go.
"""

from __future__ import annotations

import json

from pytest_zkrollback.domain.errors import BadAnswer, NotFound, Unreachable
from pytest_zkrollback.fleet.engines.kubernetes import JOB_NAME


class FakeJobs:
    """``jobs`` and ``pods`` by name; ``logs`` by pod. ``down``: nobody is answered."""

    def __init__(self):
        self.jobs, self.pods, self.logs = {}, {}, {}
        self.down = False
        self.made, self.deleted = [], []
        self.loses_answer = self.refuses = False

    def get(self, path, query=None, timeout_s=5.0):
        self._up()
        name = path.rpartition("/")[2]
        if name not in self.jobs:
            raise NotFound(f"no {path}", status=404)
        return self.jobs[name]

    def list(self, path, query=None, timeout_s=5.0):
        self._up()
        wanted = dict(term.split("=", 1) for term in query["labelSelector"].split(","))
        kind = self.jobs if path.endswith("/jobs") else self.pods
        return tuple(
            each for each in kind.values() if wanted.items() <= each["metadata"].get("labels", {}).items()
        )

    def text(self, path, query=None, timeout_s=5.0, limit_bytes=0):
        self._up()
        name = path.split("/")[-2]
        if name not in self.logs:
            raise BadAnswer("the kubelet does not answer", status=500)
        return self.logs[name]

    def send(self, method, path, body, content_type="", query=None, timeout_s=5.0):
        self._up()
        name = path.rpartition("/")[2]
        if method == "POST":
            if self.refuses:
                raise BadAnswer("quota", status=403)
            job = json.loads(json.dumps({**body, "status": {}}))
            self.jobs[job["metadata"]["name"]] = job
            self.made.append(job)
            self._fill(job)
            if self.loses_answer:
                raise Unreachable("no answer")
            return job
        if method == "PATCH":
            spec = self.jobs[name]["spec"]
            spec.update(body["spec"])
            assert spec["completions"] == spec["parallelism"]
            for pod in self._of(self.jobs[name]):
                if self._index(pod) >= spec["completions"]:
                    del self.pods[pod["metadata"]["name"]]
            return self.jobs[name]
        assert method == "DELETE"
        pod = self.pods.pop(name)
        assert body["preconditions"]["resourceVersion"] == pod["metadata"]["resourceVersion"]
        self.deleted.append(name)
        self._ended(self._job_of(pod), self._index(pod), "failedIndexes")
        return {}

    def end(self, member, code, log=""):
        """The member's newest pod ends so, and the next index begins."""
        pod = self.pod_of(member)
        state = {"terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}}
        pod["status"] = {
            "phase": "Succeeded" if code == 0 else "Failed",
            "containerStatuses": [{"name": "member", "state": state}],
        }
        self.logs[pod["metadata"]["name"]] = log
        job = self._job_of(pod)
        self._ended(job, self._index(pod), "completedIndexes" if code == 0 else "failedIndexes")
        self._fill(job)

    def pod_of(self, member):
        """Its newest pod, or None."""
        found = None
        for pod in self.pods.values():
            members = json.loads(self._job_of(pod)["metadata"]["annotations"]["zkrollback/members"])
            if members[self._index(pod)][0] == member:
                found = pod
        return found

    def run_id(self, member):
        pod = self.pod_of(member)
        members = json.loads(self._job_of(pod)["metadata"]["annotations"]["zkrollback/members"])
        return members[self._index(pod)][1]

    def running(self):
        """The members whose pod runs."""
        found = []
        for job in self.jobs.values():
            members = json.loads(job["metadata"]["annotations"]["zkrollback/members"])
            found += [
                members[self._index(pod)][0]
                for pod in self._of(job)
                if pod["status"].get("phase") in ("Running", "Pending")
            ]
        return found

    def _up(self):
        if self.down:
            raise Unreachable("the management cluster does not answer")

    def _of(self, job):
        name = job["metadata"]["name"]
        return [pod for pod in list(self.pods.values()) if pod["metadata"]["labels"][JOB_NAME] == name]

    def _job_of(self, pod):
        return self.jobs[pod["metadata"]["labels"][JOB_NAME]]

    def _index(self, pod):
        return int(pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"])

    def _ended(self, job, index, key):
        listed = filter(None, job["status"].get(key, "").split(","))
        job["status"][key] = ",".join([*listed, str(index)])

    def _fill(self, job):
        name, spec = job["metadata"]["name"], job["spec"]
        pods = self._of(job)
        begun = {self._index(pod) for pod in pods}
        begun |= {int(each) for each in filter(None, job["status"].get("failedIndexes", "").split(","))}
        active = sum(pod["status"].get("phase") in ("Running", "Pending") for pod in pods)
        for index in range(spec["completions"]):
            if index in begun or active >= spec["parallelism"]:
                continue
            active += 1
            pod = f"{name}-{index}"
            self.pods[pod] = {
                "metadata": {
                    "name": pod,
                    "uid": f"uid-{pod}",
                    "resourceVersion": "7",
                    "labels": {**spec["template"]["metadata"]["labels"], JOB_NAME: name},
                    "annotations": {"batch.kubernetes.io/job-completion-index": str(index)},
                },
                "status": {"phase": "Running"},
            }
