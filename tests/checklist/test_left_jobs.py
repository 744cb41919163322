"""Issue 18, item 1: whatever still runs of the bad revision counts, a Job of its CronJob, too."""

import pytest

from pytest_zkrollback.checklist.equivalence.left_jobs import judge_left_jobs
from pytest_zkrollback.checklist.equivalence.model import Cluster, Expectation
from pytest_zkrollback.checklist.equivalence.service_endpoints import images_rolled_away
from support.manifests import parse_manifest

MANIFEST = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: tidy}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        metadata: {labels: {app: tidy}}
        spec: {containers: [{name: tidy, image: "tidy:5", env: [{name: LEVEL, value: good}]}]}
"""
BAD = MANIFEST.replace("tidy:5", "tidy:6")
OTHER_SETTING = MANIFEST.replace("good", "bad")
GOOD_ENV = [{"name": "LEVEL", "value": "good"}]
BAD_ENV = [{"name": "LEVEL", "value": "bad"}]


def pod(
    image="tidy:6", job="tidy-29401", env=GOOD_ENV, phase="Running", kind="Job", labels=None, namespace="n"
):
    owner = {"kind": kind, "name": job, "uid": "j", "controller": True}
    metadata = {"name": f"{job}-x", "namespace": namespace, "uid": "p", "ownerReferences": [owner]}
    metadata["labels"] = {"app": "tidy"} if labels is None else labels
    return {
        "metadata": metadata,
        "spec": {"containers": [{"name": "tidy", "image": image, "env": env}]},
        "status": {"phase": phase},
    }


def said(running, bad=BAD, target=MANIFEST):
    objects, away = parse_manifest(target, "n"), parse_manifest(bad, "n")
    removed = images_rolled_away(objects, [away])
    expected = Expectation(objects, rolled_away=(away,), removed_images=removed, namespace="n")
    return [each.text for each in judge_left_jobs(expected, Cluster((), pods=(running,)))]


@pytest.mark.parametrize(
    ("running", "bad", "text"),
    [
        (
            pod(),
            BAD,
            "Job/tidy-29401 of CronJob/tidy, started by a rolled-away revision, runs tidy:6 in pod tidy-29401-x",
        ),
        (
            pod(job="by-hand"),  # kubectl create job --from=cronjob/tidy
            BAD,
            "Job/by-hand of CronJob/tidy, started by a rolled-away revision, runs tidy:6 in pod by-hand-x",
        ),
        (
            pod(labels={}),  # what a template has no labels for is known by the Job's name
            BAD,
            "Job/tidy-29401 of CronJob/tidy, started by a rolled-away revision, runs tidy:6 in pod tidy-29401-x",
        ),
        (
            pod("tidy:5", env=BAD_ENV),
            OTHER_SETTING,
            "Job/tidy-29401 of CronJob/tidy, started by a rolled-away revision, runs what it states in pod tidy-29401-x",
        ),
    ],
)
def test_a_job_that_a_rolled_away_revision_started_and_that_runs_is_named(running, bad, text):
    assert said(running, bad) == [text]


@pytest.mark.parametrize(
    "running",
    [
        pod("tidy:5"),  # the target's own
        pod("tidy:5", env=[*GOOD_ENV, {"name": "INJECTED", "value": "1"}]),
        pod(phase="Succeeded"),
        pod(phase="Failed"),
        pod(kind="ReplicaSet"),  # workloads are judged elsewhere
        pod(job="another", labels={"app": "another"}),
        pod(job="another-tidy-29401", labels={}),
        pod(namespace="elsewhere"),
    ],
)
def test_other_jobs_and_those_that_ended_are_not(running):
    assert said(running) == []


def test_where_the_image_is_the_targets_too_nothing_is_known_of_a_changed_pod():
    assert said(pod("tidy:5", env=[]), OTHER_SETTING) == []
