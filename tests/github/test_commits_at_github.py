"""The decision's signal many-commits, counted by GitHub where no checkout knows the commits."""

from types import SimpleNamespace

import pytest

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.config.environment import GithubActions
from pytest_zkrollback.domain.errors import GithubProblem, UsageProblem
from pytest_zkrollback.run.decision_step import count_at_github
from support.fake_github import TOKEN
from support.github_operator import table


def context(place, token=TOKEN):
    github = GithubActions(**table(place.fake.url))
    return SimpleNamespace(
        env=SimpleNamespace(github=github), variables={"GITHUB_TOKEN": token}, clock=SystemClock()
    )


def test_github_counts_what_the_bad_commit_has_that_the_good_one_has_not(place):
    # bad, the undone work, and their merge
    assert count_at_github(context(place), place.good, place.bad) == 3
    assert count_at_github(context(place), place.bad, place.good) == 0
    assert place.changes == []


def test_a_commit_that_github_does_not_know_is_said(place):
    with pytest.raises(GithubProblem):
        count_at_github(context(place), "0" * 40, place.bad)


def test_without_a_token_nothing_is_asked(place):
    with pytest.raises(UsageProblem, match="GITHUB_TOKEN"):
        count_at_github(context(place, ""), place.good, place.bad)
