"""The steps at GitHub against a stateful fake with a real git behind it: the way, and every trap on it."""

import re
import subprocess
import threading
from pathlib import Path

import pytest

from support.fake_github import TOKEN, Refusal
from support.github_operator import verified

WAY = ["POST git/commits", "POST git/refs", "POST pulls", "PUT pulls/merge"]


def once(place, pattern, change):
    """``change()`` happens just before the first request that matches."""
    done = threading.Event()

    def before(method, path):
        if not done.is_set() and re.search(pattern, f"{method} {path}"):
            done.set()
            change()

    place.fake.before = before


def wait_for(condition):
    waiter = threading.Event()
    for _ in range(3000):
        if condition():
            return
        waiter.wait(0.02)
    raise AssertionError("waited in vain")


def test_from_a_bad_main_to_a_deployed_tree_without_losing_a_commit(place):
    deployed = []
    place.fake.deploy = lambda environment, sha: deployed.append((environment, sha))
    result = place.run(reason="backend <b>down</b> @team", incident="INC-42")
    assert (result.error, result.explained) == (None, "success")
    assert place.changes == WAY
    tip = place.repository.tip()
    assert place.same_tree(tip)
    assert place.repository.git("merge-base", "--is-ancestor", place.bad, tip, check=False).returncode == 0
    assert deployed == [("staging", tip)]
    assert (result.github.merge_commit, result.github.tree_restored) == (tip, True)
    assert result.github.head_branch == f"hotfix/rollback-{place.good[:12]}"
    [pull] = place.fake.pulls.values()
    for fact in ("INC-42", place.good, "the undone work", "`feature.txt`", "3 commits", "Already up to date"):
        assert fact in pull["body"], fact
    assert "<b>" not in pull["body"] and "@team" not in pull["body"]


def test_the_token_is_in_one_header_only(place):
    place.fake.before = lambda method, path: TOKEN not in path or pytest.fail("token in a URL")
    result = place.run()
    everything = result.record.model_dump_json() + "".join(result.said)
    everything += "".join(path.read_text() for path in (place.folder / "reports").iterdir())
    assert TOKEN not in everything
    assert place.repository.git("grep", "-c", TOKEN, "main", check=False).returncode == 1


def test_trap_ancestor_branch_the_runbooks_way_has_nothing_to_merge(place):
    """What the runbook writes is refused by GitHub; ours is not that."""
    place.repository.git("update-ref", "refs/heads/hotfix/by-the-runbook", place.good)
    body = {"title": "t", "head": "hotfix/by-the-runbook", "base": "main", "body": ""}
    with pytest.raises(Refusal) as caught:
        place.fake.post_pull({}, body)
    assert caught.value.status == 422
    assert caught.value.body["errors"][0]["message"] == "No commits between main and hotfix/by-the-runbook"
    # And where somebody has made that very branch already, it is not taken for ours.
    place.repository.git("update-ref", f"refs/heads/hotfix/rollback-{place.good[:12]}", place.good)
    assert place.run().explained == "success"
    assert place.same_tree("main")


def test_somebody_elses_branch_of_our_name_is_left_alone(place):
    name = f"hotfix/rollback-{place.good[:12]}"
    place.repository.git("update-ref", f"refs/heads/{name}", place.bad)
    result = place.run()
    assert str(result.error).startswith(f"Branch {name} exists and holds something else")
    assert place.changes == []


def test_trap_main_moved_before_the_merge_is_seen_and_nothing_is_merged(place):
    once(place, "PUT pulls|GET git/ref/heads/main", lambda: place.repository.commit({"x": "1"}, "fix"))
    result = place.run()
    assert "main moved since the plan" in str(result.error)
    assert place.changes == WAY[:3]
    # The same command takes it in: one branch, one pull request, no force.
    again = place.run()
    assert again.explained == "success"
    assert place.changes == [
        *WAY[:3],
        "POST git/commits",
        f"PATCH git/refs/heads/hotfix/rollback-{place.good[:12]}",
        WAY[3],
    ]
    assert len(place.fake.pulls) == 1
    assert place.same_tree("main")
    assert "fix" in [commit.title for commit in again.github.reverted_commits]


def test_trap_main_moved_within_the_merge_is_seen_by_the_tree(place):
    once(place, "PUT pulls", lambda: place.repository.commit({"x": "1"}, "fix"))
    result = place.run()
    assert "does not have the tree of" in str(result.error)
    assert result.github.tree_restored is False
    again = place.run()
    assert again.explained == "success"
    assert place.same_tree("main")
    assert again.github.head_branch.endswith("-2")


def test_trap_405_by_reviews_waits_and_shows_whose(place):
    place.fake.approvals_wanted = 1
    runs = []
    thread = threading.Thread(target=lambda: runs.append(place.run()))
    thread.start()
    wait_for(lambda: sum("reviews" in line for line in place.fake.requests) > 1)
    place.fake.approve_pull("grace")
    thread.join()
    [result] = runs
    assert result.explained == "success"
    assert result.guards["reviews"].evidence == "the branch asks for 1 approving review: the merge waits"
    waited = next(text for text in result.said if "waits" in text and "pull request" in text)
    assert "0 of 1 approving reviews" in waited and "grace" in waited and "linus" in waited
    assert "At least 1 approving review is required" in waited


def test_trap_405_by_reviews_until_the_deadline_leaves_the_pull_request_open(place):
    place.fake.approvals_wanted = 2
    place.fake.approve_pull("grace")
    result = place.run(settings={"approval_timeout_s": 0.2})
    assert (result.error, result.run) == (None, None)
    assert result.github.pull_request.state == "open"
    assert (
        "1 of 2 approving reviews (by grace); asked for: linus" in result.github.pull_request.pending_approval
    )
    assert place.repository.tip() == place.bad
    place.fake.approve_pull("linus")
    assert place.run().explained == "success"
    assert len(place.fake.pulls) == 1


def test_no_merge_stops_at_the_pull_request_with_its_link(place):
    result = place.run(no_merge=True)
    assert place.changes == WAY[:3]
    assert result.github.pull_request.url.endswith("/pull/42")
    assert place.run().explained == "success"
    assert place.changes == WAY


def test_trap_409_head_moved_is_reported_and_never_forced(place):
    name = f"hotfix/rollback-{place.good[:12]}"
    once(place, "PUT pulls", lambda: place.repository.commit({"x": "1"}, "not ours", name))
    result = place.run()
    assert (result.error.status, result.error.said) == (
        409,
        "Head branch was modified. Review and try the merge again.",
    )
    assert place.repository.tip() == place.bad
    assert "holds something else" in str(place.run().error)


def test_trap_workflow_permission(place):
    place.repository.commit({".github/workflows/deploy.yml": "name: Deploy\non: push\n"}, "workflow")
    result = place.run()
    assert result.state("workflow-files") == "warned"
    assert ".github/workflows/deploy.yml" in result.guards["workflow-files"].evidence
    assert "workflows=write" in str(result.error) and "without `workflows` permission" in str(result.error)
    assert place.changes == ["POST git/commits"]
    place.fake.permissions["workflows"] = "write"
    assert place.run().explained == "success"


def test_trap_workflow_scope_of_a_classic_token_is_known_before_anything_is_changed(place):
    place.repository.commit({".github/workflows/deploy.yml": "name: Deploy\non: push\n"}, "workflow")
    place.fake.scopes = {"repo"}
    result = place.run()
    assert (result.state("token"), result.state("workflow-files")) == ("ok", "refused")
    assert "lacks the scope workflow" in result.guards["workflow-files"].evidence
    assert place.changes == []


def test_trap_the_push_run_never_starts_the_workflow_is_dispatched_once(place):
    place.fake.push_starts_runs = False
    result = place.run(settings={"start_timeout_s": 0.3})
    assert result.explained == "success"
    assert place.changes == [*WAY, "POST actions/workflows/dispatches"]
    [run] = place.fake.runs.values()
    assert (run.event, run.environment, run.head_sha) == (
        "workflow_dispatch",
        "staging",
        place.repository.tip(),
    )
    assert "GITHUB_TOKEN starts none" in " ".join(step.detail for step in result.github.steps)


def test_trap_run_cancelled_by_concurrency_names_the_newer_run(place):
    place.fake.held.add("staging")
    place.fake.start_run("push", place.bad, "staging", "bad")  # is at work, so that ours is pending

    def newer(method, path):
        if re.fullmatch(r"actions/runs/1001", path) and len(place.fake.runs) == 2:
            place.fake.start_run("push", place.bad, "staging", "newer")

    place.fake.after = newer
    result = place.run()
    assert result.run.conclusion == "cancelled"
    assert "the newer run https://github.example/zkprova/zkprova/actions/runs/1002" in result.explained
    assert "concurrency group" in result.explained
    assert any("another run of its concurrency group" in text for text in result.said)
    assert result.state("deploys") == "warned"
    place.fake.release()


def test_a_failed_run_is_told_with_job_and_step_and_the_same_command_deploys_again(place):
    def broken(environment, sha):
        raise OSError("helm failed")

    place.fake.deploy = broken
    result = place.run()
    assert result.explained == "failure; deploy (staging) (step helm upgrade: OSError): failure"
    place.fake.deploy = lambda environment, sha: None
    again = place.run()
    assert again.explained == "success"
    assert place.changes == [*WAY, "POST actions/workflows/dispatches"]


def staged(place):
    result = place.run()
    assert result.explained == "success"
    verified(result, place.folder)
    place.fake.changes.clear()


def test_production_only_after_staging_verified_that_very_tree(place):
    assert place.run("production").state("branch") == "refused"
    result = place.run()
    refused = place.run("production")
    assert (refused.state("branch"), refused.state("verified-before")) == ("ok", "refused")
    assert (
        f"pytest --env=staging --rollback-to-commit={place.good[:12]}"
        in refused.guards["verified-before"].evidence
    )
    assert place.run("production", overrides=("verified-before",)).explained == "success"
    verified(result, place.folder)
    assert place.run("production").state("verified-before") == "ok"


def test_trap_run_waiting_for_approval_shows_who_may_give_it(place):
    staged(place)
    place.fake.protected_environments["production"] = ["grace", "linus"]
    runs = []
    thread = threading.Thread(target=lambda: runs.append(place.run("production")))
    thread.start()
    # Asked twice: the first answer has been read, and said.
    wait_for(lambda: sum("pending_deployments" in line for line in place.fake.requests) > 1)
    place.fake.approve_run(max(place.fake.runs))
    thread.join()
    [result] = runs
    assert result.explained == "success"
    assert any("approval for environment production by grace or linus" in text for text in result.said)
    assert place.changes == ["POST actions/workflows/dispatches"]


def test_an_approval_that_does_not_come_is_no_success(place):
    staged(place)
    place.fake.protected_environments["production"] = ["grace"]
    result = place.run("production", settings={"run_timeout_s": 0.2})
    assert (result.run.status, result.explained) == ("waiting", "still waiting after 0.2 s")
    place.fake.release()
    assert place.run("production").explained == "success"  # taken up, not sent again
    assert place.changes == ["POST actions/workflows/dispatches"]


@pytest.mark.parametrize("server", ["", "204", "rejects"])
def test_trap_dispatch_answered_204_and_enterprise_that_rejects_the_flag(place, server):
    staged(place)
    place.fake.enterprise = server
    result = place.run("production")
    assert result.explained == "success"
    assert place.changes == ["POST actions/workflows/dispatches"]
    assert place.fake.runs[result.run.id].environment == "production"


@pytest.mark.parametrize("named", [True, False])
def test_trap_dispatch_timed_out_but_created_is_found_and_not_sent_again(place, named):
    staged(place)
    place.fake.names_runs = named
    place.fake.lost.append("dispatches")
    result = place.run("production")
    assert result.explained == "success"
    assert place.changes == ["POST actions/workflows/dispatches"]


def test_dispatch_that_was_lost_on_the_way_is_said_and_not_sent_blindly(place):
    staged(place)
    place.fake.answers.append(("POST .*dispatches", (502, {"message": "Bad Gateway"}, {})))
    result = place.run("production", settings={"start_timeout_s": 0.2})
    assert "no run was seen" in str(result.error)
    assert place.changes == []


def aside(place):
    place.repository.git("update-ref", "refs/heads/aside", place.good)
    return place.repository.commit({"z": "1"}, "never on main", "aside")


def disabled(place):
    place.fake.workflow_state = "disabled_manually"
    return {}


def read_only(place):
    place.fake.may_push = False
    return {}


def other(place):
    place.repository.git("update-ref", "refs/heads/hotfix/rollback-other", place.bad)
    place.repository.commit({"z": "1"}, "other", "hotfix/rollback-other")
    place.fake.post_pull({}, {"title": "t", "head": "hotfix/rollback-other", "base": "main", "body": ""})
    return {}


LIMITS = [
    (429, {"Retry-After": "1"}),
    (403, {"Retry-After": "1"}),
    (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}),
]


@pytest.mark.parametrize(("status", "headers"), LIMITS)
@pytest.mark.parametrize("at", ["GET branches/main", "POST pulls$"])
def test_trap_rate_limits_are_obeyed(place, status, headers, at):
    body = {"message": "You have exceeded a secondary rate limit", "documentation_url": "https://x.example"}
    place.fake.answers.append((at, (status, body, headers)))
    result = place.run()
    assert result.explained == "success"
    assert "GitHub limits the rate of requests: waiting 1 s" in result.said
    assert place.changes == WAY


def test_a_limit_longer_than_our_patience_says_until_when(place):
    body = {"message": "API rate limit exceeded", "documentation_url": "https://x.example"}
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4000000000"}
    place.fake.answers.append(("GET branches/main", (403, body, headers)))
    result = place.run()
    assert result.state("github") == "refused"
    assert "limits the rate of requests until" in result.guards["github"].evidence
    assert place.changes == []


@pytest.mark.parametrize(
    ("area", "level", "words"),
    [
        ("contents", "none", "contents=read"),
        ("pull_requests", "none", "pull_requests=read"),
        ("actions", "none", "actions=read"),
        ("contents", "read", "making the commit that restores the tree (POST git/commits)"),
        ("pull_requests", "read", "opening the pull request (POST pulls)"),
    ],
)
def test_trap_token_without_a_permission_is_a_sentence_that_names_it(place, area, level, words):
    place.fake.permissions[area] = level
    result = place.run()
    said = str(result.error) if result.error else result.guards["github"].evidence
    assert words in said and "token in GITHUB_TOKEN needs" in said
    assert f"{area}={'write' if level == 'read' else 'read'}" in said


def test_trap_token_that_may_not_dispatch(place):
    staged(place)
    place.fake.permissions["actions"] = "read"
    result = place.run("production")
    assert "running the workflow (POST actions/workflows/8/dispatches)" in str(result.error)
    assert "needs actions=write" in str(result.error)


def test_a_token_that_github_does_not_know(place):
    assert "it may have expired" in place.run(token="ghp_wrong").guards["github"].evidence
    assert "holds no token" in place.run(token="").guards["github"].evidence


def test_inputs_that_the_workflow_does_not_declare(place):
    staged(place)
    result = place.run("production", settings={"inputs": {"env": "{environment}"}})
    assert 'Unexpected inputs provided: ["env"]' in str(result.error)
    assert place.fake.runs.keys() == {1000}


@pytest.mark.parametrize(
    ("prepare", "guard", "words"),
    [
        (lambda place: {"commit": "0123456789"}, "commit", "No commit found for SHA: 0123456789"),
        (lambda place: {"commit": aside(place)}, "commit", "is no ancestor of main (GitHub says diverged)"),
        (lambda place: {"settings": {"workflow": "Ship"}}, "workflow", "it has: Tests, Deploy"),
        (disabled, "workflow", "workflow Deploy is disabled_manually"),
        (
            other,
            "other-rollback",
            "another rollback is open: #42 (hotfix/rollback-other)",
        ),
        (read_only, "token", "may not write to zkprova/zkprova"),
    ],
)
def test_guards_refuse_on_evidence_before_anything_is_changed(place, prepare, guard, words):
    asked = prepare(place)
    place.fake.changes.clear()
    result = place.run(**asked)
    assert result.state(guard) == "refused"
    assert words in result.guards[guard].evidence
    assert place.changes == []


def test_the_same_command_after_success_changes_nothing(place):
    assert place.run().explained == "success"
    place.fake.changes.clear()
    again = place.run()
    assert (again.explained, place.changes) == ("success", [])
    assert again.github.merge_commit == place.repository.tip()


def test_redeploy_runs_the_workflow_on_the_tip_each_time_it_is_asked_for(place):
    for count in (1, 2):
        result = place.run("production", redeploy=True)
        assert result.explained == "success"
        assert place.changes == ["POST actions/workflows/dispatches"] * count
        assert place.fake.runs[result.run.id].head_sha == place.bad
    assert place.repository.tip() == place.bad


def in_a_clone(place, *commands):
    clone = place.folder / "clone"
    if not clone.exists():
        subprocess.run(["git", "clone", "--quiet", str(place.repository.folder), str(clone)], check=True)
    said = ""
    for command in commands:
        config = "git config --local user.name Ada; git config --local user.email ada@example.com; "
        done = subprocess.run(
            ["bash", "-c", config + command], cwd=clone, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        said += done.stdout
    return said, clone


def test_relanding_as_the_record_says_brings_all_back_and_the_naive_merge_loses_it(place):
    github = place.run().github
    said, clone = in_a_clone(place, "git merge --no-edit origin/feature")
    assert said.strip() == "Already up to date."
    assert not (clone / "feature.txt").exists()
    # A branch that goes on from the undone work brings what is new, and still not the undone work.
    _, clone = in_a_clone(
        place,
        "git switch -q -c more origin/feature && echo more > more.txt && git add . && git commit -qm more",
        "git switch -q main && git merge -q --no-edit more",
    )
    assert (clone / "more.txt").exists()
    assert not (clone / "feature.txt").exists()
    in_a_clone(place, *github.reland)
    assert (clone / "feature.txt").read_text() == "undone work\n"
    assert (clone / "app.txt").read_text() == "bad\n"
    assert place.repository.tip(f"reland-{github.merge_commit[:12]}")


def test_the_description_is_githubs_and_the_fake_is_held_against_it(place):
    """A test of the test: the fake notices a request and an answer that GitHub does not know."""
    fake = place.fake
    headers = {"Authorization": f"Bearer {TOKEN}", "X-GitHub-Api-Version": "2022-11-28"}
    target = "/api/v3/repos/zkprova/zkprova/git/commits"
    status, _, _ = fake.answer("GET", f"{target}/{place.good}", headers, b"")
    assert (status, fake.breaches) == (200, [])
    fake.post_commit = None
    with pytest.raises(KeyError):
        fake.answer(
            "POST", target, {**headers, "Content-Type": "application/json"}, b'{"message": "no tree"}'
        )
    assert len(fake.breaches) == 1 and "'tree' is a required property" in fake.breaches.pop()
    fake.answers.append(("GET", (200, {"sha": 5}, {})))
    fake.answer("GET", f"{target}/{place.good}", headers, b"")
    assert len(fake.breaches) == 1 and "answer 200" in fake.breaches.pop()
    assert (
        "github/rest-api-description"
        in (Path(__file__).parents[1] / "support" / "github-openapi.json").read_text()
    )
