"""The git checkout, read for real."""

import pytest

from pytest_zkrollback.clients.git import GitCheckout
from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.domain.errors import ProcessProblem
from support.git import git


@pytest.fixture
def checkout(tmp_path):
    git(tmp_path, "init", "-q")
    for number in range(3):
        folder = tmp_path / "db" / "migrations"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.sql").write_text(f"-- {number}")
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-qm", f"{number}")
    return GitCheckout(tmp_path, LocalProcesses()), git(tmp_path, "rev-list", "--reverse", "HEAD").split()


def test_it_counts_and_reads_what_lies_between_two_commits(checkout):
    repository, commits = checkout
    assert repository.count_commits(commits[0], commits[2][:8]) == 2
    assert repository.count_commits(commits[2], commits[0]) == 0
    assert repository.read_files(commits[1], "db/migrations") == {"0.sql": "-- 0", "1.sql": "-- 1"}
    assert repository.read_files(commits[1], "elsewhere") == {}
    assert repository.on_branch(commits[0], "main")
    assert [repository.contains(commits[1], each) for each in commits] == [True, True, False]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda one: one.resolve("0123456789"), "The git checkout does not know 0123456789: fetch it."),
        (lambda one: one.resolve("--output=x"), "'--output=x' is no commit."),
        (lambda one: one.on_branch("0123456789", "-x"), "'-x' is no branch."),
    ],
)
def test_what_it_does_not_know_is_one_sentence(checkout, ask, said):
    with pytest.raises(ProcessProblem) as caught:
        ask(checkout[0])
    assert str(caught.value) == said


def test_fault_62_nothing_of_a_name_reaches_a_shell(checkout, tmp_path):
    with pytest.raises(ProcessProblem):
        checkout[0].resolve("a;touch pwned;$(touch pwned)")
    assert not (tmp_path / "pwned").exists()


def test_a_folder_that_is_no_checkout_is_said(tmp_path):
    (tmp_path / "sub").mkdir()
    with pytest.raises(ProcessProblem, match="There is no git checkout at"):
        GitCheckout(tmp_path / "nowhere", LocalProcesses()).resolve("0123456789")


def test_it_lists_what_lies_between_two_commits_newest_first(checkout, tmp_path):
    repository, commits = checkout
    (tmp_path / "x").write_text("x")
    git(tmp_path, "add", "-A")
    git(
        tmp_path,
        "commit",
        "-qm",
        "Zahlung: größer | <b>\n\nThe body is left out.",
        "--author=Åsa N <a@b.example>",
    )
    head = git(tmp_path, "rev-parse", "HEAD")
    found = repository.list_commits(commits[1], head, 10)
    assert [(each.sha, each.author, each.subject) for each in found] == [
        (head, "Åsa N", "Zahlung: größer | <b>"),
        (commits[2], "Ada", "2"),
    ]
    assert str(int(found[0].at.timestamp())) == git(tmp_path, "log", "-1", "--format=%at")
    assert [each.sha for each in repository.list_commits(commits[0], head, 1)] == [head]
    assert repository.list_commits(head, commits[0], 10) == ()
    git(tmp_path, "commit", "-q", "--allow-empty", "--allow-empty-message", "-m", "")
    assert repository.list_commits(head, git(tmp_path, "rev-parse", "HEAD"), 10)[0].subject == ""


def test_a_commit_with_an_absurd_date_stands_without_it(tmp_path):
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    good = git(tmp_path, "rev-parse", "HEAD")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "of the year 10000", "--date=@253402300799 +1400")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "last")
    found = GitCheckout(tmp_path, LocalProcesses()).list_commits(good, git(tmp_path, "rev-parse", "HEAD"), 9)
    assert [(each.subject, each.at is None) for each in found] == [
        ("last", False),
        ("of the year 10000", True),
    ]
