"""The commits that the bad revision brought: asked of a real checkout, after the verdict, and waited for briefly."""

import threading
import time
from types import SimpleNamespace

import pytest

from pytest_zkrollback.clients.git import GitCheckout
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.record import Outcome, Plan
from pytest_zkrollback.domain.request import Request
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.release.history import ReleaseHistory
from pytest_zkrollback.report import earlier_runs
from pytest_zkrollback.report.redaction import Redactor
from pytest_zkrollback.run import range_of_commits
from pytest_zkrollback.run import run as module
from pytest_zkrollback.run.results import PreflightResult
from support.git import git
from support.preflight_facts import revision


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "service"
    folder.mkdir()
    git(folder, "init", "-q")
    for number in range(4):
        git(folder, "commit", "-q", "--allow-empty", "-m", f"change {number}")
    return folder, git(folder, "rev-list", "--reverse", "HEAD").split()


def plan_run(monkeypatch, tmp_path, good, bad, **tables):
    """A rehearsal: the run, its record and files are real, the cluster and what its preflight found are not."""
    history = ReleaseHistory(
        "shop",
        "web",
        tuple(
            release.__class__(
                release.revision.model_copy(update={"images": (f"shop/web:{tag}",)}), manifest=""
            )
            for release, tag in ((revision(5, "superseded"), good), (revision(6), bad))
        ),
    )
    target, head = history.revisions
    env = Environment(
        name="test",
        context="x",
        namespace="shop",
        release="web",
        workloads={"app": "deployment/app"},
        slack=False,
        base_dir=str(tmp_path),
        **tables,
    )
    found = PreflightResult(
        history=history,
        target=5,
        plan=Plan(history=history.revisions, target=target, compared_with=head),
        helm_version=SimpleNamespace(text="v4"),
        no_hooks=False,
        lock_holder="",
        overridden=frozenset(),
        started_at=target.deployed_at,
    )

    def preflight(context):
        context.recorder.item("preflight", verdict=Verdict.PASS, finished_at=context.clock.now())
        context.recorder.update(revision_before=6, target_revision=5, plan=found.plan)
        return found

    monkeypatch.setattr(module, "connect", lambda *_, **__: SimpleNamespace(server="https://cluster"))
    monkeypatch.setattr(module, "run_preflight", preflight)
    request = Request(environment="test", target=5, plan=True, report_dir=str(tmp_path / "reports"))
    hooks = SimpleNamespace(answers=lambda *_, **__: ())
    run = module.Run(request, env, "web", env.named_workloads, "pytest --env=test", hooks, Redactor())
    run.execute(frozenset(run.item_ids))
    run.store.finish(run.redacted)
    return run, run.redacted


def test_they_are_in_the_record_and_on_the_page(monkeypatch, tmp_path, checkout):
    folder, commits = checkout
    links = {
        "commit": "https://code.example/{commit}",
        "logs": "https://l.example/?r={revision}&n={namespace}",
    }
    run, record = plan_run(
        monkeypatch, tmp_path, commits[1][:10], commits[3][:10], git={"checkout": folder.name}, links=links
    )
    assert record.outcome is Outcome.PLANNED
    found = record.commits
    assert (found.good, found.bad, found.count, found.problem) == (commits[1], commits[3], 2, "")
    assert [(each.sha, each.author, each.subject) for each in found.commits] == [
        (commits[3], "Ada", "change 3"),
        (commits[2], "Ada", "change 2"),
    ]
    page = run.store.html_path.read_text()
    assert f'<a href="https://code.example/{commits[3]}"' in page
    assert '<a href="https://l.example/?r=6&amp;n=shop"' in page


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("1.8.0", "1.9.0", "What revision 5 says of its images and versions names no commit."),
        ("0123456789ab", "9876543210ab", "The git checkout does not know 0123456789ab: fetch it."),
    ],
)
def test_what_is_not_known_is_said(monkeypatch, tmp_path, checkout, good, bad, said):
    _, record = plan_run(monkeypatch, tmp_path, good, bad, git={"checkout": "service"})
    assert (record.commits.problem, record.commits.commits) == (said, ())


def test_a_shallow_checkout_that_lacks_a_part_is_said(monkeypatch, tmp_path, checkout):
    folder, commits = checkout
    git(tmp_path, "clone", "-q", "--depth=2", folder.as_uri(), "shallow")
    _, whole = plan_run(monkeypatch, tmp_path, commits[2][:10], commits[3][:10], git={"checkout": "shallow"})
    assert whole.commits.count == 1
    git(tmp_path / "shallow", "fetch", "-q", "--depth=1", "origin", f"{commits[0]}")
    _, part = plan_run(monkeypatch, tmp_path, commits[0][:10], commits[3][:10], git={"checkout": "shallow"})
    assert part.commits.problem == ("The git checkout is shallow: it does not hold all commits in between.")


def test_without_a_checkout_nobody_is_asked(monkeypatch, tmp_path):
    assert plan_run(monkeypatch, tmp_path, "a", "b")[1].commits is None


def test_a_checkout_that_hangs_holds_the_run_back_for_its_patience_alone(monkeypatch, tmp_path, checkout):
    commits, never = checkout[1], threading.Event()
    monkeypatch.setattr(range_of_commits, "PATIENCE_S", 0.3)
    monkeypatch.setattr(GitCheckout, "list_commits", lambda *_: never.wait(60))
    begun = time.monotonic()
    _, record = plan_run(monkeypatch, tmp_path, commits[1][:10], commits[3][:10], git={"checkout": "service"})
    assert time.monotonic() - begun < 30  # not 60, also on a busy machine
    never.set()
    assert record.outcome is Outcome.PLANNED
    assert record.commits.problem == "git did not answer within 0.3 s after the verdict."


def test_earlier_runs_are_found_after_the_verdict(monkeypatch, tmp_path):
    _, first = plan_run(monkeypatch, tmp_path, "a", "b")
    assert first.earlier_runs == ()
    path = next((tmp_path / "reports").glob("*-test-*.json"))
    path.write_text(path.read_text().replace('"mode": "plan"', '"mode": "rollback"'))
    _, second = plan_run(monkeypatch, tmp_path, "a", "b")
    assert [run.run_id for run in second.earlier_runs] == [first.run_id]


def test_a_folder_that_hangs_holds_the_run_back_for_its_patience_alone(monkeypatch, tmp_path):
    never = threading.Event()
    monkeypatch.setattr(module, "_EARLIER_RUNS_S", 0.3)
    monkeypatch.setattr(earlier_runs, "fetch_earlier_runs", lambda *_: never.wait(60))
    begun = time.monotonic()
    _, record = plan_run(monkeypatch, tmp_path, "a", "b")
    assert time.monotonic() - begun < 30  # not 60, also on a busy machine
    never.set()
    assert (record.outcome, record.earlier_runs) == (Outcome.PLANNED, ())


@pytest.mark.parametrize(
    ("target", "compared", "left"),
    [(5, 6, None), (6, 5, None), (5, 6, 6)],
    ids=["plan", "deploy", "rollback"],
)
def test_the_newer_of_the_two_is_the_one_that_brought_commits(monkeypatch, target, compared, left):
    """A run that only verifies an ordinary deploy has the revision before it to compare with."""
    monkeypatch.setattr(range_of_commits, "fetch_commits", lambda context, history, between: between)
    numbered = {number: revision(number).revision for number in (5, 6)}
    plan = Plan(
        target=numbered[target], compared_with=numbered[compared], rolled_back_from=numbered.get(left)
    )
    context = SimpleNamespace(env=SimpleNamespace(git=object()))
    found = range_of_commits.CommitsQuestion(context, None, plan).answer()
    assert (found.good_revision, found.bad_revision) == (5, 6)
