"""The runbook's second way on a real cluster: the fake GitHub's Deploy does a real helm upgrade there."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from pytest_zkrollback.drill.scenarios import CHART, GOOD_REVISIONS, SCENARIOS
from support.fake_github import TOKEN, FakeGitHub
from support.incident import Incident

CHECKLIST = ["release-equivalence", "rollout-backend", "rollout-frontend", "smoke", "logs", "health-database"]
CHECKLIST += ["events", "migration", "notify"]


def source(revision):
    """What a commit of the demo's repository holds: the chart as released, and what the pipeline passes."""
    files = {
        f"chart/{path.relative_to(CHART)}": path.read_text() for path in CHART.rglob("*") if path.is_file()
    }
    version = revision.tag.partition("-")[0]
    named = {"apiVersion": "v2", "name": "zkprova", "version": version, "appVersion": revision.tag}
    files["chart/Chart.yaml"] = yaml.safe_dump(named)
    files["values.json"] = json.dumps(asdict(revision)["values"])
    files[".github/workflows/deploy.yml"] = "name: Deploy\n"
    return files


class Project:
    """A repository at GitHub whose main is bad, and whose workflow deploys into the incident's namespace."""

    def __init__(self, incident, folder):
        folder.mkdir()
        self.incident = incident
        self.fake = FakeGitHub(folder, self.deploy)
        commit = self.fake.repository.commit
        self.good = commit(source(GOOD_REVISIONS[-1]), GOOD_REVISIONS[-1].description)
        self.bad = commit(source(SCENARIOS["crash-loop"].bad), SCENARIOS["crash-loop"].bad.description)
        self.checkouts = folder / "checkouts"
        self.deploys = []
        self.configure()

    def deploy(self, environment, sha):
        self.deploys.append((environment, sha))
        where = self.checkouts / f"{len(self.deploys)}"
        where.mkdir(parents=True)
        archive = subprocess.run(
            ["git", "archive", sha], cwd=self.fake.repository.folder, capture_output=True, check=True
        )
        subprocess.run(["tar", "x"], cwd=where, input=archive.stdout, check=True)
        self.incident.helm(
            *("upgrade", "zkprova", str(where / "chart"), "--values", str(where / "values.json")),
            *("--description", f"{environment} {sha[:7]}", "--disable-openapi-validation"),
        )

    def configure(self, **more):
        table = {
            "repository": "zkprova/zkprova",
            "api_url": self.fake.url,
            "inputs": {"environment": "{environment}", "rollback": "{intent}"},
            "poll_s": 0.1,
            "start_timeout_s": 10,
            **more,
        }

        def rows(table):
            for key, value in table.items():
                if isinstance(value, dict):
                    yield f"{key} = {{ {', '.join(f'{k} = {json.dumps(v)}' for k, v in value.items())} }}"
                else:
                    yield f"{key} = {json.dumps(value)}"

        incident = self.incident
        place = f'namespace = "{incident.namespace}"\ncontext = "{incident.cluster.context}"\n'
        place += f'kubeconfig = "{incident.cluster.kubeconfig}"\nurl = "{incident.url}"\n'
        incident.configure(
            "[environments.test.github]\n" + "\n".join(rows(table)) + "\n"
            f"[environments.prod]\n{place}[environments.prod.github]\n"
            + "\n".join(rows({**table, "deploy": "dispatch", "after": "test"}))
            + "\n"
        )


@pytest.fixture
def project(running_cluster, binaries, tmp_path):
    incident = Incident(running_cluster, tmp_path, binaries["helm"])
    made = Project(incident, tmp_path / "github")
    # A run of the environment "test" is what a push starts here.
    start = made.fake.start_run
    made.fake.start_run = lambda event, sha, environment, title: start(
        event, sha, "test" if event == "push" else environment, title
    )
    yield made
    incident.close()
    made.fake.close()


def test_the_whole_way_for_staging_and_production(project):
    incident, fake = project.incident, project.fake
    commit = f"--rollback-to-commit={project.good[:10]}"
    result = incident.run(
        commit, "--rollback-reason=crash loop", "--rollback-incident=INC-42", GITHUB_TOKEN=TOKEN
    )
    assert result.code == 0, result.output
    record = result.record
    assert (record["mode"], record["outcome"]) == ("github", "verified")
    assert result.verdicts() == dict.fromkeys(["preflight", "rollback", *CHECKLIST], "PASS")
    assert (record["revision_before"], record["target_revision"], record["revision_after"]) == (6, 7, 7)
    assert "pull request #42 is merged" in result.item("rollback")["observed"]
    assert "Helm made revision 7 (zkprova-1.8.0)" in result.item("rollback")["observed"]
    assert record["helm"]["ran"] is False
    assert record["plan"]["compared_with"]["revision"] == 6
    merge = fake.repository.tip()
    assert project.deploys == [("test", merge)]
    assert incident.revisions()[-1] == (7, "deployed", f"test {merge[:7]}")
    assert fake.repository.tree(merge) == fake.repository.tree(project.good)
    assert record["github"]["reverted_commits"][0]["sha"] == project.bad
    assert any(
        "HELM DID NOT RUN: this rollback goes through GitHub Actions" in line
        for line in result.output.splitlines()
    )
    assert TOKEN not in result.output + json.dumps(record)
    for suffix in ("html", "md"):
        page = (incident.folder / "reports" / f"latest.{suffix}").read_text()
        page = re.sub("<[^>]*>", "", page)  # a command's words are marked up one by one
        assert "not changed by this run" not in page
        for fact in ("pull/42", merge[:12], "git revert"):
            assert fact in page, (suffix, fact)

    # Production, by hand, with an approval: the same tree, dispatched once.
    fake.protected_environments["prod"] = ["grace"]

    def approve_once_it_waits():
        waiting = []
        while not waiting:
            time.sleep(0.2)
            waiting = [run.id for run in [*fake.runs.values()] if run.status == "waiting"]
        time.sleep(1)  # long enough to be seen waiting
        fake.approve_run(waiting[0])

    threading.Thread(target=approve_once_it_waits, daemon=True).start()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--env=prod", commit],
        cwd=incident.folder,
        env=incident.environ(GITHUB_TOKEN=TOKEN),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    record = incident.latest()
    assert (record["environment"], record["outcome"], record["revision_after"]) == ("prod", "verified", 8)
    guard = next(guard for guard in record["guards"] if guard["id"] == "verified-before")
    assert "test was verified with this very tree" in guard["evidence"]
    assert project.deploys[1:] == [("prod", merge)]
    assert [line for line in fake.changes if "dispatches" in line] == ["POST actions/workflows/8/dispatches"]


def test_a_green_workflow_is_no_verified_rollback(project):
    """The workflow says success and deployed nothing, or deployed what does not serve."""
    incident = project.incident
    project.fake.deploy = lambda environment, sha: None
    result = incident.run(f"--rollback-to-commit={project.good}", GITHUB_TOKEN=TOKEN)
    assert (result.code, result.record["outcome"]) == (1, "failed")
    assert result.item("rollback")["verdict"] == "FAIL"
    assert "ended with success, but it deployed nothing here" in result.item("rollback")["observed"]
    assert result.item("rollout-backend")["verdict"] == "FAIL"
    # The bad main once more, by the runbook's plain "Run workflow".
    project.fake.deploy = project.deploy
    project.fake.repository.git("update-ref", "refs/heads/main", project.bad)
    again = incident.run("--rollback-redeploy-main", GITHUB_TOKEN=TOKEN)
    assert (again.code, again.record["outcome"]) == (1, "failed")
    assert again.item("rollback")["verdict"] == "PASS"
    assert again.item("rollout-backend")["verdict"] == "FAIL"
    assert incident.head() == 7


def test_killed_between_merge_and_verification_is_taken_up(project):
    incident, fake = project.incident, project.fake
    commit = f"--rollback-to-commit={project.good}"
    running = incident.start(commit, GITHUB_TOKEN=TOKEN)

    def kill(method, path):
        if method == "PUT":
            running.send_signal(signal.SIGKILL)

    fake.after = kill
    running.communicate(timeout=60)
    fake.after = lambda method, path: None
    assert running.returncode == -signal.SIGKILL
    locked = incident.run(commit, GITHUB_TOKEN=TOKEN)
    # latest.json stays the killed run's: it may still be at work.
    assert locked.code == 1
    assert "REFUSED: zkprova in test through GitHub Actions" in locked.output
    assert "holds the lock for" in locked.output
    result = incident.run(commit, "--rollback-override=lock=its run was killed", GITHUB_TOKEN=TOKEN)
    assert (result.code, result.record["outcome"]) == (0, "verified"), result.output
    changes = [line.split("/")[0] for line in fake.changes]
    assert changes == ["POST git", "POST git", "POST pulls", "PUT pulls"]
    assert len(project.deploys) == 1
    assert incident.head() == 7


def test_no_token_no_pull_request_no_deploy(project):
    result = project.incident.run(f"--rollback-to-commit={project.good}", GITHUB_TOKEN=None)
    assert (result.code, result.record["outcome"]) == (1, "refused")
    assert "holds no token" in result.guard("github")["evidence"]
    stopped = project.incident.run(
        f"--rollback-to-commit={project.good}", "--rollback-no-merge", GITHUB_TOKEN=TOKEN
    )
    assert (stopped.code, stopped.record["outcome"]) == (1, "unverified")
    assert stopped.item("rollback")["observed"].endswith("/pull/42")
    assert project.deploys == []
    start, end = (one["message"]["text"] for one in project.incident.messages())
    assert start.startswith("STARTED: test")
    assert end.startswith(f"NOT VERIFIED: test, rollback of zkprova to commit {project.good[:10]}.")
    assert "pull/42" in json.dumps(project.incident.messages()[-1])
    plan = project.incident.run(f"--rollback-to-commit={project.good}", "--rollback-plan", GITHUB_TOKEN=TOKEN)
    assert (plan.code, plan.record["outcome"]) == (0, "planned"), plan.output
    assert Path(project.incident.folder / "reports" / "latest.html").exists()
