"""The way through GitHub holds the release's lock, and takes no other commit's deploy for its own."""

import threading
from types import SimpleNamespace

import pytest

from pytest_zkrollback.domain.errors import LockHeld, Unreachable
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.release.history import fetch_history
from pytest_zkrollback.report.incident_facts import LiveState, find_live
from pytest_zkrollback.report.summary import live_now
from pytest_zkrollback.rollback.journal import explain_unfinished, of_this_install
from pytest_zkrollback.run.lock_step import acquire_lock
from support import fake_github
from support.fake_github import Refusal
from support.fake_release import NAMESPACE, RELEASE
from support.github_release import Shop


@pytest.fixture
def shop(place, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Shop(place)


def wait_for(condition):
    waiter = threading.Event()
    for _ in range(1500):
        if condition():
            return
        waiter.wait(0.02)
    raise AssertionError("waited in vain")


def dispatches(shop):
    return [line for line in shop.place.fake.changes if "dispatches" in line]


def test_case_b5_two_redeploys_at_once_are_one_dispatch(shop):
    shop.place.fake.held.add("staging")
    ann, ben = shop.operator("ann", redeploy=True), shop.operator("ben", redeploy=True)
    thread = ann.start()
    wait_for(lambda: dispatches(shop))
    ben.run()
    shop.place.fake.release()
    thread.join(30)
    assert (ann.item().verdict, ann.refused_by) == (Verdict.PASS, ())
    assert ben.refused_by == ("lock",)
    assert "ann holds the lock" in ben.item("preflight").observed
    assert len(dispatches(shop)) == 1
    assert len(shop.release.revisions()) == 3
    assert not ann.holds_lock


def test_case_b5_both_pass_the_preflight_and_one_gets_the_lock(shop, monkeypatch):
    """The second one looked before the first one took the lock."""
    shop.place.fake.held.add("staging")
    both = threading.Barrier(2)
    monkeypatch.setattr(
        "pytest_zkrollback.run.github_step.acquire_lock",
        lambda *asked: (both.wait(20), acquire_lock(*asked))[1],
    )
    pair = [shop.operator(name, redeploy=True) for name in ("ann", "ben")]
    threads = [each.start() for each in pair]
    wait_for(lambda: dispatches(shop) and any(each.state.found for each in pair))
    shop.place.fake.release()
    for thread in threads:
        thread.join(30)
    [refused] = [each for each in pair if each.state.found]
    [went] = [each for each in pair if not each.state.found]
    assert (refused.state.found, refused.github.was_locked) == ("refused", True)
    assert "nothing was done at GitHub: " in refused.item().observed
    assert went.item().verdict is Verdict.PASS
    assert len(dispatches(shop)) == 1


def test_case_b5_a_rollback_to_a_number_is_refused_while_the_workflow_builds(shop):
    shop.place.fake.held.add("staging")
    ann = shop.operator(commit=shop.place.good)
    thread = ann.start()
    wait_for(lambda: shop.place.fake.runs)
    lock = shop.operator("ben").context.lock()
    with pytest.raises(LockHeld, match="ann holds the lock"):
        lock.require_free(lock.fetch())
    shop.place.fake.release()
    thread.join(30)
    assert ann.item().verdict is Verdict.PASS
    state = lock.fetch()
    lock.require_free(state)
    [entry] = state.entries
    assert (entry["asked"], entry["through_github"]) == (f"commit {shop.place.good}", True)
    assert (entry["outcome"], entry["head_before"], entry["head_after"]) == ("done", 2, 3)


def test_case_b5_the_lock_is_renewed_for_as_long_as_the_workflow_builds(shop, monkeypatch):
    monkeypatch.setattr("pytest_zkrollback.run.context.EXPIRY_MARGIN_S", -131.0)  # a lease of 4 s
    shop.place.fake.held.add("staging")
    ann = shop.operator(redeploy=True)
    assert ann.context.lock().lease_s == 4
    thread = ann.start()
    wait_for(lambda: dispatches(shop))
    threading.Event().wait(5.5)
    assert shop.operator("ben", redeploy=True).run().refused_by == ("lock",)
    shop.place.fake.release()
    thread.join(30)
    assert ann.item().verdict is Verdict.PASS


@pytest.mark.parametrize("step", ["POST git/refs", "POST pulls", "PUT pulls"])
def test_case_b5_nothing_more_is_sent_once_the_lock_was_taken_over(shop, step):
    """Somebody overrode the lock: who had it stops before its next change."""
    ann = shop.operator(commit=shop.place.good)
    ben = shop.operator("ben", redeploy=True)
    before = {
        "POST git/refs": "GET git/ref/heads/hotfix",
        "POST pulls": "POST git/refs",
        "PUT pulls": "POST pulls",
    }

    def take_over(method, path):
        if f"{method} {path}".startswith(before[step]):
            ben.context.lock().acquire(
                ben.context.run_id, "ben", {}, force=True, expected_holder=ann.context.run_id
            )

    shop.place.fake.after = take_over
    ann.run()
    assert "The release's lock was taken over while this run was at work (ben holds the lock" in (
        ann.item().observed
    )
    assert not [line for line in shop.place.fake.changes if line.startswith(step)]
    assert ben.holds_lock
    assert shop.place.fake.runs == {}


def test_a_lock_that_cannot_be_taken_refuses_beforehand_and_can_be_overridden(shop, monkeypatch):
    def send(method, path, body, **_):
        assert path.endswith("selfsubjectaccessreviews")
        wanted = body["spec"]["resourceAttributes"]
        return {"status": {"allowed": wanted["verb"] in ("get", "list")}}

    monkeypatch.setattr(shop.release, "send", send)
    ann = shop.operator(redeploy=True).run()
    assert ann.refused_by == ("lock",)
    assert "you may not: create secrets" in ann.item("preflight").observed
    assert dispatches(shop) == []


def test_a_run_that_was_killed_is_explained_from_the_history(shop):
    ann = shop.operator(redeploy=True)
    lock = ann.context.lock()
    history = fetch_history(shop.release, NAMESPACE, RELEASE)
    preflight = SimpleNamespace(overridden=frozenset(), lock_holder="", journal=(), lock=None)
    acquire_lock(ann.context, lock, history, None, preflight)
    [entry] = of_this_install(lock.fetch().entries, history)
    assert explain_unfinished(entry, history).endswith(
        "no revision came since then; the workflow may still run"
    )
    shop.release.upgrade()
    history = fetch_history(shop.release, NAMESPACE, RELEASE)
    assert "since then came revision 3;" in explain_unfinished(entry, history)


# B7: whose revision is it?


def other_commit_deploys(shop):
    """After our run has ended, a newer run of another commit deploys, before the history is read again."""
    fake = shop.place.fake
    done = threading.Event()

    def after(method, path):
        ended = any(run.status == "completed" for run in fake.runs.values())
        if ended and path.startswith("actions/runs/") and not done.is_set():
            done.set()
            sha = shop.place.repository.commit({"fix.txt": "1"}, "another fix")
            run = fake.start_run("push", sha, "staging", "another fix")
            run.hold.wait(10)

    fake.after = after
    return done


def test_case_b7_another_commits_run_is_not_taken_for_ours(shop):
    done = other_commit_deploys(shop)
    ann = shop.operator(commit=shop.place.good).run()
    assert done.is_set()
    assert ann.item().verdict is Verdict.UNVERIFIED
    assert "revisions 3 and 4 came since it began: which of them it made is not known" in ann.item().observed


def test_case_b7_a_newer_run_that_has_not_deployed_yet_is_said(shop):
    fake = shop.place.fake
    done = threading.Event()

    def after(method, path):
        ended = any(run.status == "completed" for run in fake.runs.values())
        if ended and path.startswith("actions/runs/") and not done.is_set():
            done.set()
            fake.held.add("staging")
            sha = shop.place.repository.commit({"fix.txt": "1"}, "another fix")
            fake.start_run("push", sha, "staging", "another fix")

    fake.after = after
    ann = shop.operator(commit=shop.place.good).run()
    assert ann.item().verdict is Verdict.UNVERIFIED
    assert "a newer run of the workflow deploys another commit: " in ann.item().observed


@pytest.mark.parametrize(
    ("named", "verdict", "words"),
    [
        ("ours", Verdict.PASS, "Helm made revision 3"),
        ("good", Verdict.PASS, "Helm made revision 3"),  # a part that changed last in that commit
        (
            "bad",
            Verdict.UNVERIFIED,
            "revision 3 (app-1.0.0) names another commit than the one that it deploys",
        ),
        ("1.9.0", Verdict.PASS, "Helm made revision 3"),
        ("abcdef0", Verdict.PASS, "Helm made revision 3"),  # no commit of this repository: a build's number
    ],
)
def test_case_b7_what_is_deployed_is_compared_with_the_commit(shop, named, verdict, words):
    names = {"good": shop.place.good, "bad": shop.place.bad}

    def deploy(environment, sha):
        shop.release.upgrade({"ours": sha, **names}.get(named, named)[:12])

    shop.place.fake.deploy = deploy
    ann = shop.operator(commit=shop.place.good).run()
    assert (ann.item().verdict, words in ann.item().observed) == (verdict, True), ann.item().observed


def test_case_b7_a_revision_that_names_our_commit_is_ours_whoever_came_before(shop):
    """A deploy that was queued before ours made a revision, too."""

    def deploy(environment, sha):
        shop.release.upgrade("0badbad0badb")
        shop.release.upgrade(sha[:12])

    shop.place.fake.deploy = deploy
    ann = shop.operator(commit=shop.place.good).run()
    assert (ann.item().verdict, ann.expected.head) == (Verdict.PASS, 4), ann.item().observed


# B16: Ctrl-C after the workflow deployed.


def interrupted_when(shop, condition, **asked):
    """A run that gets Ctrl-C in its main thread's next request once ``condition`` holds."""
    ann = shop.operator(**asked)
    status = ann.context.display.status

    def say(text):
        status(text)
        if condition() and not ann.signals.count:
            ann.interrupt()

    ann.context.display.status = say
    ann.run()
    assert ann.interrupted
    return ann


def test_case_b16_what_is_live_after_ctrl_c_is_read_again(shop):
    ann = interrupted_when(shop, lambda: len(shop.release.revisions()) == 3, redeploy=True)
    live = find_live(ann.record)
    assert (live.state, live.revision, live.changed) == (LiveState.KNOWN, 3, True)
    assert "not changed by this run" not in live_now(ann.record)
    assert not ann.holds_lock


@pytest.mark.parametrize("unreadable", [True, False])
def test_case_b16_what_cannot_be_known_after_ctrl_c_is_not_known(shop, unreadable, monkeypatch):
    """The release cannot be read, or the workflow still runs."""

    def lost(*_):
        raise Unreachable("no answer")

    def deployed():
        if unreadable and len(shop.release.revisions()) == 3:
            monkeypatch.setattr(shop.release, "list", lost)
            return True
        return not unreadable and shop.place.fake.runs

    if not unreadable:
        shop.place.fake.held.add("staging")
    ann = interrupted_when(shop, deployed, redeploy=True)
    assert find_live(ann.record).state is LiveState.NOT_READ_AGAIN
    assert live_now(ann.record).startswith("Not known: GitHub's workflow may have deployed")
    shop.place.fake.release()


def test_case_b16_ctrl_c_in_the_answer_to_the_merge_leaves_what_is_live_unknown(shop):
    fake = shop.place.fake
    fake.push_starts_runs = False
    merged = threading.Event()
    fake.after = lambda method, path: merged.set() if method == "PUT" else None
    ann = shop.operator(commit=shop.place.good)
    begin = ann.context.display.status
    ann.context.display.status = lambda text: (begin(text), merged.is_set() and ann.interrupt())
    ann.run()
    assert ann.interrupted
    assert find_live(ann.record).state is LiveState.NOT_READ_AGAIN


def test_ctrl_c_before_anything_was_sent_changes_nothing(shop):
    ann = shop.operator(commit=shop.place.good)
    begin = ann.context.display.status
    ann.context.display.status = lambda text: (begin(text), "making the commit" in text and ann.interrupt())
    ann.run()
    assert ann.interrupted and shop.place.fake.changes == []
    assert "not changed by this run" in live_now(ann.record)
    assert ann.context.lock().fetch().holder is None


# B17: an answer that was lost


@pytest.mark.parametrize("stale", [True, False], ids=["pull request still shown open", "shown merged"])
@pytest.mark.parametrize("lost", ["connection", "502"])
def test_case_b17_our_own_merge_is_recognised_and_its_failed_run_is_not_run_again(
    shop, lost, stale, monkeypatch
):
    fake = shop.place.fake
    deploys = []

    def broken(environment, sha):
        deploys.append(sha)
        raise OSError("helm failed")

    fake.deploy = broken
    put, get = fake.put_merge, fake.get_pull

    def merge(*asked, **more):
        answer = put(*asked, **more)
        if lost == "connection":
            fake.lost.append("PUT pulls")
            return answer
        raise Refusal(502, "Bad Gateway")

    def pull(number, query, body):
        status, shown = get(number, query, body)
        if stale and shown["merged"]:
            shown |= {"merged": False, "merged_at": None, "state": "open"}
        return status, shown

    monkeypatch.setattr(fake_github, "ROUTES", [
        (*route[:2], {"put_merge": lambda _, *a, **k: merge(*a, **k), "get_pull": lambda _, *a, **k: pull(*a, **k)}.get(
            route[2].__name__, route[2]), route[3])
        for route in fake_github.ROUTES
    ])  # fmt: skip
    ann = shop.operator(commit=shop.place.good).run()
    assert ann.item().verdict is Verdict.FAIL
    assert "ended with failure; deploy (staging) (step helm upgrade: OSError): failure" in ann.item().observed
    assert (len(deploys), dispatches(shop)) == (1, [])
    assert [line.split("/")[0] for line in fake.changes if line.startswith("PUT")] in (["PUT pulls"], [])
    said = " ".join(step.detail for step in ann.record.github.steps)
    assert "ended before this command" not in said and "moved since the plan" not in said


def test_case_b17_a_merge_that_nobody_confirms_is_not_called_undone(shop):
    fake = shop.place.fake
    fake.before = lambda method, path: (
        fake.answers.append(("PUT pulls", (502, {"message": "Bad Gateway"}, {})))
        if "merge" not in path
        else None
    )
    ann = shop.operator(commit=shop.place.good, settings={"approval_timeout_s": 0.2}).run()
    assert ann.item().verdict is Verdict.UNVERIFIED
    assert "did not say within 0.2 s whether it did" in ann.item().observed
    assert ann.record.github.pull_request.state == "merging"
