"""What brings the bad version back, asked of a real git repository, of GitHub and of the watched workloads."""

import threading
from types import SimpleNamespace

import pytest

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.errors import NotFound
from pytest_zkrollback.domain.record import Outcome, Plan
from pytest_zkrollback.domain.request import Request
from pytest_zkrollback.release.helm_secret import Release
from pytest_zkrollback.report.recorder import Recorder
from pytest_zkrollback.run.find_redeploy_risks import RedeployRisks
from pytest_zkrollback.run.results import ExpectedRelease
from support.example_records import revision, verified
from support.fake_github import TOKEN, FakeGitHub
from support.github_operator import table
from support.run_states import state_of

CLOCK = SystemClock()


@pytest.fixture
def github(tmp_path):
    with FakeGitHub(tmp_path) as fake:
        files = {"app.txt": "bad\n", ".github/workflows/deploy.yml": "name: Deploy\n"}
        fake.bad = fake.repository.commit(files, "bad")
        yield fake


def no_such_object(path, **_):
    raise NotFound("not found")


def found(github, *, git=True, token=TOKEN, argo=True):
    bad = revision(6, "superseded", 60, f"1.9.0-{github.bad}")  # seven digits may all be decimal
    written = []
    recorder = Recorder(verified(plan=Plan(rolled_back_from=bad), timeline=()), CLOCK, written.append)
    env = Environment(
        name="staging",
        context="test",
        workloads={"backend": "deployment/web"},
        git={"checkout": str(github.repository.folder), "branch": "main"} if git else None,
        github={**table(github.url), "token_env": "TOKEN"},
    )
    annotations = {"meta.helm.sh/release-name": "zkprova"}
    annotations |= {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:default/web"} if argo else {}
    web = {"kind": "Deployment", "metadata": {"name": "web", "annotations": annotations}}
    context = SimpleNamespace(
        recorder=recorder,
        env=env,
        request=Request(environment="staging", target=5),
        kube=SimpleNamespace(get=no_such_object),
        clock=CLOCK,
        processes=LocalProcesses(),
        display=SimpleNamespace(status=lambda text: None),
        variables={"TOKEN": token},
    )
    seen = SimpleNamespace(objects={"deployments": (web,)})
    watch = SimpleNamespace(namespaces=("shop",), snapshot=lambda namespace: seen)
    release = Release(revision=bad, manifest="", manager="helm")
    history = SimpleNamespace(head=release, get=lambda number: release)
    plan, state = recorder.record.plan, state_of(verified(outcome=Outcome.RUNNING))
    expected = ExpectedRelease(history, target=5, plan=plan, head=7, last_read=history)
    redeploy_risks = RedeployRisks(context, expected, state, watch)
    redeploy_risks.note()
    at_once = recorder.record.redeploy_risks
    redeploy_risks.begin()
    for thread in threading.enumerate():
        if thread.name == "redeploy-risks":
            thread.join(30)
            assert not thread.is_alive(), "nobody asked"
    assert recorder.record.timeline == (), recorder.record.timeline[-1]
    state.found = Outcome.FAILED  # a later look turned it: then nothing may be said any more
    asked = recorder.record.redeploy_risks
    redeploy_risks.note()
    assert recorder.record.redeploy_risks == ()
    return at_once, asked


def test_the_bad_commit_an_owner_and_a_queued_deploy(github):
    github.held = {"staging"}
    run = github.start_run("push", github.bad, "staging", "Deploy")
    commit = github.bad
    at_once, asked = found(github)
    assert at_once == (
        f"Commit {commit} of revision 6 is probably still on main: then the next merge ships it again. "
        f"First: git revert {commit}",
    )
    by_merge, by_owner, by_queue = asked
    assert by_merge == (
        f"Commit {commit} of revision 6 is on main: the next merge ships it again. First: git revert {commit}"
    )
    assert by_owner.startswith("Argo CD Application argocd/shop puts back what its source says")
    assert by_queue.startswith(f"A deploy of commit {commit[:7]} is ")
    assert f"/actions/runs/{run.id}. First: cancel it" in by_queue


def test_what_nobody_answers_leaves_what_was_known_at_once(github):
    at_once, asked = found(github, git=False, token="", argo=False)
    assert asked == at_once
    assert github.requests == []
