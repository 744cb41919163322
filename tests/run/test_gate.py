"""As a gate after an ordinary deploy: who says that it is none of a rollback, and what is never green without."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from pytest_zkrollback.checklist.migration import HOW_TO_RECORD, MigrationCheck
from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.checks import History, Sample
from pytest_zkrollback.domain.migration import MigrationFinding
from pytest_zkrollback.domain.record import Plan, Revision
from pytest_zkrollback.domain.request import Request
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.release.helm_secret import Release
from pytest_zkrollback.release.history import ReleaseHistory
from pytest_zkrollback.run.build_checklist import _deploy, _gate_not_counted
from pytest_zkrollback.run.migration_sources import migration_sources, revision_content
from pytest_zkrollback.run.results import ExpectedRelease
from support.git import git

AT = datetime(2026, 11, 23, 7, tzinfo=UTC)


@pytest.fixture
def commits(tmp_path):
    """Three commits in a row, oldest first, each with a tag v0, v1, v2; each adds a migration and changes the code."""
    git(tmp_path, "init", "-q")
    for number in range(3):
        commit(tmp_path, f"v{number}", **{f"db/{number}.sql": f"-- {number}", "app.py": f"print({number})"})
        git(tmp_path, "tag", f"v{number}")
    return git(tmp_path, "rev-list", "--reverse", "HEAD").split()


def commit(folder, message, **files):
    """These files' contents (None: it goes); the new commit."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", message)
    return git(folder, "rev-parse", "HEAD")


def manifest(number, images):
    """One Deployment for each image, named by its repository."""
    workloads = [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": image.rpartition("/")[2].partition("@")[0].partition(":")[0]},
            "spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}},
        }
        for image in images
    ]
    return f"# {number}\n" + "---\n".join(f"{json.dumps(each)}\n" for each in workloads)


class Gate:
    """A release whose newest two revisions are 5 and 6, and a run that only verifies it."""

    def __init__(
        self,
        folder,
        *versions,
        ref=None,
        checkout=True,
        gate=False,
        request=None,
        migrations=None,
        images=(),
        chart="c-1.0.0",
        own=(),
        **head,
    ):
        self.events = []
        first = 7 - len(versions)

        def shown(version, number):
            return images[number - first] if images else (f"shop/api:{version}",)

        self.env = Environment(
            name="test",
            context="x",
            workloads={"api": "deployment/api"},
            base_dir=str(folder),
            git={"checkout": ".", "ref": ref} if checkout else None,
            gate=gate,
            migrations=migrations,
        )
        releases = [
            Release(
                Revision(
                    revision=number,
                    status="deployed",
                    chart=chart if number == 6 else "c-1.0.0",
                    app_version=version,
                    deployed_at=AT,
                    images=shown(version, number),
                    **(head if number == 6 else {}),
                ),
                manifest=manifest(number, shown(version, number)),
            )
            for number, version in enumerate(versions, first)
        ]
        self.context = SimpleNamespace(
            env=self.env,
            request=request or Request("test"),
            processes=LocalProcesses(),
            recorder=SimpleNamespace(event=lambda text, source: self.events.append(text)),
            variables={},
            own_sources=dict(own),
        )
        self.history = ReleaseHistory("default", "zkprova", tuple(releases))
        self.release = ExpectedRelease(
            self.history, 6, Plan(compared_with=releases[-2].revision), 6, self.history
        )

    def judge(self):
        sources = migration_sources(
            self.context,
            self.history,
            revision_content(self.history.head, "default"),
            [],
            rolled_out=None,
            compared_with=5,
            deploy=_deploy(self.context, self.release),
        )
        said = _gate_not_counted(self.context, self.release)
        check = MigrationCheck(env=self.env, sources=sources, compared_with=5, gate_not_counted=said)
        return check.judge(History((Sample(AT, check.observe()),), since=AT, judged_from=AT), AT)


def not_known(why):
    return (
        f"Whether revision 6 is an ordinary deploy or a redeploy of an older commit is not known: {why}. If it is "
        f"an ordinary deploy: --zkrollback-gate, or gate = true in [environments.test]. {HOW_TO_RECORD}"
    )


FILES = {"kind": "sql", "paths": ["db"]}


@pytest.mark.parametrize("migrations", [None, FILES])
def test_a_commit_that_only_goes_forward_passes_by_itself(tmp_path, commits, migrations):
    verdict = Gate(tmp_path, *(f"1-{each[:12]}" for each in commits), migrations=migrations).judge()
    assert (verdict.word, verdict.observed) == (
        Verdict.PASS,
        f"Revision 6 is an ordinary deploy: commit {commits[2][:10]} of revision 6 contains {commits[1][:10]} of revision "
        "5 and those of all earlier revisions, and puts no file of theirs back. So no migration has to be undone.",
    )


@pytest.mark.parametrize(
    ("files", "migrations", "why"),
    [
        ({"db/1.sql": None, "app.py": "print(0)"}, None, "no longer holds db/1.sql as revision 5 had it"),
        ({"db/1.sql": None}, FILES, "no longer holds db/1.sql as revision 5 had it"),
        ({"db/1.sql": "-- another"}, FILES, "does not hold db/1.sql as revision 5 had it"),
        (
            {"app.py": "print(0)"},
            None,
            "puts app.py back to what it was before, and does not leave it as revision 5 had it",
        ),
        (
            {"app.py": "print(0)"},
            FILES,
            "puts app.py back to what it was before, and does not leave it as revision 5 had it",
        ),
    ],
)
def test_a_commit_that_contains_the_one_before_it_and_takes_it_back_is_never_green(
    tmp_path, commits, files, migrations, why
):
    """`git revert`, a merge that keeps its own side, and this tool's own way through GitHub make such a commit."""
    git(tmp_path, "checkout", "-q", commits[1])
    taken = commit(tmp_path, "back", **files)
    verdict = Gate(tmp_path, commits[1][:12], taken[:12], migrations=migrations).judge()
    said = f"commit {taken[:10]} of revision 6 contains {commits[1][:10]} of revision 5, and {why}"
    assert (verdict.word, verdict.observed) == (Verdict.UNVERIFIED, not_known(said))


def test_what_an_earlier_revision_held_counts_too(tmp_path, commits):
    """The revert was deployed before: the next commit on top of it takes no less back."""
    back = commit(tmp_path, "back", **{"db/2.sql": None})
    head = commit(tmp_path, "more", **{"more.py": "1"})
    verdict = Gate(tmp_path, commits[2], back, head).judge()
    said = (
        f"commit {head[:10]} of revision 6 contains {back[:10]} of revision 5, and no longer holds db/2.sql as revision "
        "4 had it"
    )
    assert (verdict.word, verdict.observed) == (Verdict.UNVERIFIED, not_known(said))


def test_an_earlier_revision_of_a_newer_commit_counts_too(tmp_path, commits):
    verdict = Gate(tmp_path, commits[2], commits[0], commits[1]).judge()
    said = (
        f"commit {commits[1][:10]} of revision 6 contains {commits[0][:10]} of revision 5, and not {commits[2][:10]} of "
        "revision 4"
    )
    assert (verdict.word, verdict.observed) == (Verdict.UNVERIFIED, not_known(said))


def test_what_is_removed_outside_the_migrations_folders_is_no_migration(tmp_path, commits):
    head = commit(tmp_path, "tidied", **{"app.py": None})
    assert Gate(tmp_path, commits[2], head, migrations=FILES).judge().word is Verdict.PASS
    assert Gate(tmp_path, commits[2], head).judge().word is Verdict.UNVERIFIED


@pytest.mark.parametrize(
    ("image", "word"),
    [
        ("shop/api:2-{}", Verdict.PASS),
        ("shop/api:2", Verdict.UNVERIFIED),
        ("shop/api@sha256:00", Verdict.UNVERIFIED),
    ],
)
def test_an_image_that_changed_has_to_name_the_commit(tmp_path, commits, image, word):
    images = (("redis:7", "shop/api:1"), ("redis:7", image.format(commits[2][:9])))
    one = Gate(tmp_path, commits[1], commits[2], images=images)
    verdict = one.judge()
    assert verdict.word is word
    if word is Verdict.UNVERIFIED:
        said = f"image {image} is new in revision 6, and does not name commit {commits[2][:10]} alone"
        assert verdict.observed == not_known(said)


@pytest.mark.parametrize(
    ("ref", "image", "word"),
    [
        ("{app_version}", "shop/api:2", Verdict.PASS),
        ("{app_version}", "shop/api:1", Verdict.UNVERIFIED),
        ("v{tag}", "shop/api:2", Verdict.PASS),
    ],
)
def test_an_image_that_changed_may_name_the_version_by_which_the_commit_was_found(
    tmp_path, commits, ref, image, word
):
    """With a ref the tag has to be that version, and not only one that all images have."""
    git(tmp_path, "tag", "1", commits[1])
    git(tmp_path, "tag", "2", commits[2])
    images = (("shop/api:1", "shop/web:1"), (image, image.replace("api", "web")))
    if image.endswith(":1"):
        images = (("shop/api:0", "shop/web:0"), images[1])
    assert Gate(tmp_path, "1", "2", ref=ref, images=images).judge().word is word


@pytest.mark.parametrize(
    ("before", "now", "why"),
    [
        # The web goes back to what the worker has: no image is new, one of a container is.
        (
            ("shop/api:OLD", "shop/web:1"),
            ("shop/api:NEW", "shop/web:2"),
            "image shop/web:2 is new in revision 6",
        ),
        (("shop/api:latest",), ("shop/api:latest",), "no image of revision 6 names commit NEW"),
        (("shop/api:OLD",), ("shop/api:OLD-NEW",), "revision 6 names no commit in image tags"),
    ],
)
def test_images_are_compared_container_by_container_and_one_has_to_name_the_commit(
    tmp_path, commits, before, now, why
):
    def spelt(text):
        return text.replace("OLD", commits[1][:10]).replace("NEW", commits[2][:10])

    images = (tuple(map(spelt, before)), tuple(map(spelt, now)))
    verdict = Gate(tmp_path, f"1-{commits[1][:10]}", f"2-{commits[2][:10]}", images=images).judge()
    assert verdict.word is Verdict.UNVERIFIED
    assert spelt(why) in verdict.observed


def test_an_older_chart_shows_nothing(tmp_path, commits):
    one = Gate(tmp_path, commits[1], commits[2], chart="c-0.9.12")
    assert "chart c-0.9.12 of revision 6 is older than c-1.0.0" in one.judge().observed


@pytest.mark.parametrize("path", ["db", "/db/", "./db", "db/.", ".//db", "db/../db"])
def test_the_folder_of_the_migrations_is_what_git_takes_for_it(tmp_path, commits, path):
    head = commit(tmp_path, "gone", **{"db/1.sql": None})
    verdict = Gate(tmp_path, commits[2], head, migrations={"kind": "sql", "paths": [path]}).judge()
    assert "no longer holds db/1.sql as revision 5 had it" in verdict.observed


@pytest.mark.parametrize("path", ["DB", "../db"])
def test_a_folder_that_is_not_there_shows_nothing(tmp_path, commits, path):
    verdict = Gate(tmp_path, commits[1], commits[2], migrations={"kind": "sql", "paths": [path]}).judge()
    assert f"there is nothing at {path} in commit {commits[2][:10]}" in verdict.observed


def test_a_file_that_may_be_a_migration_may_not_change_where_no_paths_are_configured(tmp_path, commits):
    """A revert is not always byte for byte."""
    head = commit(tmp_path, "almost back", **{"db/2.sql": "-- 2, and a comment"})
    assert "does not hold db/2.sql as revision 5 had it" in Gate(tmp_path, commits[2], head).judge().observed


def test_another_mode_alone_is_no_change(tmp_path, commits):
    (tmp_path / "app.py").chmod(0o755)
    head = commit(tmp_path, "executable", **{"new.py": "1"})
    assert Gate(tmp_path, commits[2], head).judge().word is Verdict.PASS


@pytest.mark.parametrize("setting", ["separate", "off", "combined", "first-parent"])
def test_a_side_that_a_merge_left_is_seen_whatever_git_is_configured_to_show(tmp_path, commits, setting):
    git(tmp_path, "config", "log.diffMerges", setting)
    git(tmp_path, "checkout", "-qb", "hotfix", commits[1])
    hot = commit(tmp_path, "hotfix", **{"app.py": "print('hot')"})
    git(tmp_path, "checkout", "-q", commits[2])
    git(tmp_path, "merge", "-q", "-s", "ours", "-m", "merged", "hotfix")
    merged = git(tmp_path, "rev-parse", "HEAD")
    head = commit(tmp_path, "hot again", **{"app.py": "print('hot')"})
    verdict = Gate(tmp_path, hot, merged, head).judge()
    assert "puts app.py back to what it was before" in verdict.observed


@pytest.mark.parametrize("ignore", ["none", "all"])
def test_a_submodule_that_changed_shows_nothing(tmp_path, commits, ignore):
    git(tmp_path, "config", "diff.ignoreSubmodules", ignore)
    for number in (1, 2):
        git(tmp_path, "update-index", "--add", "--cacheinfo", f"160000,{commits[number]},vendor")
        git(tmp_path, "-c", "diff.ignoreSubmodules=none", "commit", "-qm", f"vendor {number}")
    before, head = git(tmp_path, "rev-list", "-2", "--reverse", "HEAD").split()
    said = "Submodule vendor changed: what it brought is not in this checkout"
    assert said in Gate(tmp_path, before, head).judge().observed


def test_words_that_git_adds_are_never_skipped(tmp_path, commits, monkeypatch):
    """As with log.showSignature, were it not switched off."""
    one, real = Gate(tmp_path, commits[1], commits[2]), LocalProcesses()

    def run(argv, **how):
        done = real.run(argv, **how)
        return replace(done, stdout=f"gpg: Good signature\n{done.stdout}") if "log" in argv else done

    one.context.processes = SimpleNamespace(run=run)
    assert "git lists the changed files in a form that is not known here" in one.judge().observed


def test_the_same_commit_again_shows_nothing(tmp_path, commits):
    verdict = Gate(tmp_path, commits[1], commits[1]).judge()
    why = f"commit {commits[1][:10]} of revision 6 is that of revision 5, too"
    assert (verdict.word, verdict.observed) == (Verdict.UNVERIFIED, not_known(why))


def test_a_shallow_checkout_shows_nothing(tmp_path, commits):
    git(tmp_path, "clone", "-q", "--depth=2", f"file://{tmp_path}", str(tmp_path / "cut"))
    verdict = Gate(tmp_path / "cut", commits[1], commits[2]).judge()
    why = "the git checkout is shallow, so it does not show what was before: git fetch --unshallow"
    assert (verdict.word, verdict.observed) == (Verdict.UNVERIFIED, not_known(why))


def test_a_revision_that_was_not_read_shows_nothing(tmp_path, commits):
    one = Gate(tmp_path, commits[1], commits[2])
    one.history = replace(one.history, older=(1, 2))
    one.release = replace(one.release, history=one.history)
    why = (
        f"commit {commits[2][:10]} of revision 6 contains {commits[1][:10]} of revision 5; which commit revision 2 was "
        "made of was not read"
    )
    assert one.judge().observed == not_known(why)


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
    ("versions", "word"), [(("v0", "v2"), Verdict.PASS), (("v2", "v0"), Verdict.UNVERIFIED)]
)
def test_tags_name_commits_too(tmp_path, commits, versions, word):
    assert len(commits) == 3
    assert Gate(tmp_path, *versions, ref="{app_version}").judge().word is word


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
    said = (
        "gate = true in [environments.test] did not count: by Helm's history revision 6 is a rollback to 5."
    )
    assert _gate_not_counted(one.context, one.release) == said
    assert one.events == [said]


@pytest.mark.parametrize(
    ("ran", "word"), [(True, Verdict.FAIL), (None, Verdict.UNVERIFIED), (False, Verdict.PASS)]
)
def test_the_red_line_says_that_the_option_did_not_count(tmp_path, ran, word):
    one = Gate(tmp_path, "1", "1", request=Request("test", gate=True), rollback_of=5)
    said = _gate_not_counted(one.context, one.release)
    source = lambda: MigrationFinding("files", ran, "0042 is new.")  # noqa: E731
    check = MigrationCheck(env=one.env, sources=(source,), gate_not_counted=said)
    verdict = check.judge(History((Sample(AT, check.observe()),), since=AT, judged_from=AT), AT)
    red = (
        "0042 is new. --zkrollback-gate did not count: by Helm's history revision 6 is a rollback to 5. "
        f"{HOW_TO_RECORD}"
    )
    assert (verdict.word, verdict.observed) == (word, "0042 is new." if ran is False else red)


def left_out(one):
    return [limit for limit in one.judge().limits if limit.startswith("Not checked: ")]


def test_what_is_not_asked_because_this_is_no_rollback_stands_in_the_record(tmp_path, commits):
    own = {"ledger": lambda span: pytest.fail("it was asked")}
    database = {**FILES, "database_env": "DATABASE_URL", "query": "SELECT max(v) FROM s"}
    why = "because no migration has to be undone."
    both = Gate(tmp_path, "1", "1", gate=True, migrations=database, own=own)
    assert left_out(both) == [f"Not checked: SQL files, schema in the database and ledger, {why}"]
    by_commits = Gate(tmp_path, *(f"1-{each[:12]}" for each in commits), own=own)
    assert left_out(by_commits) == [f"Not checked: ledger, {why}"]
    assert left_out(Gate(tmp_path, "1", "1", gate=True)) == []
    # Where the question is open, it is not said that it is settled.
    assert left_out(Gate(tmp_path, "1", "1", own=own)) == []


def test_what_this_tool_deployed_through_github_is_none_whatever_was_said(tmp_path):
    one = Gate(tmp_path, "1", "1", gate=True)
    release = replace(one.release, journal=({"through_github": True, "head_after": 6},))
    assert _deploy(one.context, release) is None
    said = (
        "gate = true in [environments.test] did not count: by the journal this tool deployed revision 6 to take another "
        "one back."
    )
    assert _gate_not_counted(one.context, release) == said
    assert one.events == [said]
    other = replace(one.release, journal=({"through_github": True, "head_after": 5},))
    assert _deploy(one.context, other) is not None


@pytest.mark.parametrize("request_", [Request("test", target=5), Request("test", redeploy=True)])
def test_a_run_that_rolls_back_is_no_gate_whatever_the_configuration_says(tmp_path, request_):
    one = Gate(tmp_path, "1", "1", gate=True, request=request_)
    assert _deploy(one.context, one.release) is None
    assert _gate_not_counted(one.context, one.release) == ""
    assert one.events == []
