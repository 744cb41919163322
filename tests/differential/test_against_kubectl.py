"""Differential: our rollout's judge against kubectl's own code over generated states."""

from __future__ import annotations

from pathlib import Path

import pytest

from differential.compare import PAGE, STATES, Comparison, compare, render
from differential.differences import DIFFERENCES
from differential.kubectl_status import build


@pytest.fixture(scope="module")
def found() -> Comparison:
    return compare(build(), STATES)


def test_kubectls_words_are_ours(found: Comparison) -> None:
    assert found.other_words == []


def test_every_difference_is_a_deliberate_one(found: Comparison) -> None:
    assert found.unexplained == []
    assert found.agreed > STATES / 2
    assert min(found.answers.values()) > 50


def test_no_deliberate_difference_is_only_words(found: Comparison) -> None:
    assert len(DIFFERENCES) <= 10
    assert [each.name for each in DIFFERENCES if not found.differed[each.name]] == []


def test_the_page_is_what_was_found(found: Comparison) -> None:
    assert Path(PAGE).read_text(encoding="utf-8") == render(found)
