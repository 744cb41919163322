"""As a gate after an ordinary deploy: who says that it is none of a rollback, and what is never green without."""

import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from pytest_zkrollback.checklist.migration import HOW_TO_RECORD, MigrationCheck
from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.checks import History, Sample
from pytest_zkrollback.domain.record import Plan, Revision
from pytest_zkrollback.domain.request import Request
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.release.helm_secret import Release
from pytest_zkrollback.release.history import ReleaseHistory
from pytest_zkrollback.run.build_checklist import _deploy
from pytest_zkrollback.run.migration_sources import migration_sources, revision_content
from pytest_zkrollback.run.results import ExpectedRelease

AT = datetime(2026, 11, 23, 7, tzinfo=UTC)


def git(folder, *args):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "init.defaultBranch=main"]
    argv = ["git", "-C", str(folder), *who, *args]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def commits(tmp_path):
    """Three commits in a row, oldest first, each with a tag v0, v1, v2."""
    git(tmp_path, "init", "-q")
    for number in range(3):
        git(tmp_path, "commit", "-qm", f"{number}", "--allow-empty")
        git(tmp_path, "tag", f"v{number}")
    return git(tmp_path, "rev-list", "--reverse", "HEAD").split()


class Gate:
    """A release of two revisions, 5 and 6, and a run that only verifies it."""

    def __init__(self, folder, *versions, ref=None, checkout=True, gate=False, request=None, **head):
        self.events = []
        self.env = Environment(
            name="test",
            context="x",
            workloads={"api": "deployment/api"},
            base_dir=str(folder),
            git={"checkout": ".", "ref": ref} if checkout else None,
            gate=gate,
        )
        releases = [
            Release(
                Revision(
                    revision=number,
                    status="deployed",
                    chart="c-1",
                    app_version=version,
                    deployed_at=AT,
                    **(head if number == 6 else {}),
                ),
                manifest=f"# {number}",
            )
            for number, version in zip((5, 6), versions, strict=True)
        ]
        self.context = SimpleNamespace(
            env=self.env,
            request=request or Request("test"),
            processes=LocalProcesses(),
            recorder=SimpleNamespace(event=lambda text, source: self.events.append(text)),
            variables={},
            own_sources={},
        )
        self.history = ReleaseHistory("default", "zkprova", tuple(releases))
        self.release = ExpectedRelease(
            self.history, 6, Plan(compared_with=releases[0].revision), 6, self.history
        )

    def judge(self):
        sources = migration_sources(
            self.context,
            self.history,
            revision_content(self.history.releases[1], "default"),
            [],
            rolled_out=None,
            compared_with=5,
            deploy=_deploy(self.context, self.release),
        )
        check = MigrationCheck(env=self.env, sources=sources, compared_with=5)
        return check.judge(History((Sample(AT, check.observe()),), since=AT, judged_from=AT), AT)


def not_known(why):
    return (
        f"Whether revision 6 is an ordinary deploy or a redeploy of an older commit is not known: {why}. If it is "
        f"an ordinary deploy: --zkrollback-gate, or gate = true in [environments.test]. {HOW_TO_RECORD}"
    )


@pytest.mark.parametrize("newer", [1, 2])
def test_a_commit_that_contains_the_one_before_it_may_take_it_back(tmp_path, commits, newer):
    """`git revert`, and this tool's own way through GitHub, make such a commit."""
    verdict = Gate(tmp_path, f"1-{commits[1][:12]}", f"1-{commits[newer][:12]}").judge()
    why = (
        f"commit {commits[newer][:10]} of revision 6 contains {commits[1][:10]} of revision 5, as a commit that takes "
        "it back does, too"
    )
    assert (verdict.word, verdict.observed) == (Verdict.UNVERIFIED, not_known(why))


def test_a_redeploy_of_an_older_commit_is_not_green_and_the_option_is_named(tmp_path, commits):
    verdict = Gate(tmp_path, f"1-{commits[2]}", f"2-{commits[0]}").judge()
    why = f"commit {commits[0][:10]} of revision 6 does not contain {commits[2][:10]} of revision 5"
    assert (verdict.word, verdict.observed) == (Verdict.UNVERIFIED, not_known(why))


@pytest.mark.parametrize(
    ("versions", "more", "why"),
    [
        (("1", "2"), {"checkout": False}, "no [environments.test.git] checkout is configured"),
        (("1", "2"), {}, "revision 5 names no commit in image tags, appVersion or annotations"),
        (
            ("1-0badc0de", "2-0badc0de"),
            {},
            "the commit of revision 5 is not known (The git checkout does not know 0badc0de: fetch it)",
        ),
        # A branch has moved since: what it names now is not what was deployed.
        (
            ("main", "main"),
            {"ref": "{app_version}"},
            "the commit of revision 5 is not known (The git checkout does not know refs/tags/main: fetch it)",
        ),
    ],
)
def test_what_is_not_known_is_not_green(tmp_path, commits, versions, more, why):
    assert len(commits) == 3
    verdict = Gate(tmp_path, *versions, **more).judge()
    assert (verdict.word, verdict.observed) == (Verdict.UNVERIFIED, not_known(why))


@pytest.mark.parametrize(
    ("versions", "verb"), [(("v0", "v2"), "contains"), (("v2", "v0"), "does not contain")]
)
def test_tags_name_commits_too(tmp_path, commits, versions, verb):
    assert len(commits) == 3
    assert f" of revision 6 {verb} " in Gate(tmp_path, *versions, ref="{app_version}").judge().observed


@pytest.mark.parametrize(
    ("more", "how"),
    [
        ({"request": Request("test", gate=True)}, "--zkrollback-gate"),
        ({"gate": True}, "gate = true in [environments.test]"),
    ],
)
def test_the_operators_word_passes_and_stands_in_the_record(tmp_path, commits, more, how):
    verdict = Gate(tmp_path, f"1-{commits[2]}", f"2-{commits[0]}", **more).judge()
    assert (verdict.word, verdict.observed) == (
        Verdict.PASS,
        f"This is no rollback, by the operator's word ({how}), so no migration has to be undone.",
    )


def test_a_rollback_by_helms_history_is_none_whatever_was_said(tmp_path):
    one = Gate(tmp_path, "1", "1", gate=True, rollback_of=5)
    assert _deploy(one.context, one.release) is None
    assert one.events == [
        "by Helm's history revision 6 is a rollback to 5, and so it is no ordinary deploy, as --zkrollback-gate or "
        "gate = true says"
    ]


def test_what_this_tool_deployed_through_github_is_none_whatever_was_said(tmp_path):
    one = Gate(tmp_path, "1", "1", gate=True)
    release = replace(one.release, journal=({"through_github": True, "head_after": 6},))
    assert _deploy(one.context, release) is None
    assert one.events == [
        "this tool deployed revision 6 to take another one back, and so it is no ordinary deploy, as --zkrollback-gate "
        "or gate = true says"
    ]
    other = replace(one.release, journal=({"through_github": True, "head_after": 5},))
    assert _deploy(one.context, other) is not None


@pytest.mark.parametrize("request_", [Request("test", target=5), Request("test", redeploy=True)])
def test_a_run_that_rolls_back_is_no_gate_whatever_the_configuration_says(tmp_path, request_):
    one = Gate(tmp_path, "1", "1", gate=True, request=request_)
    assert _deploy(one.context, one.release) is None
    assert one.events == []
