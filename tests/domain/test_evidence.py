"""Evidence is cut to what a report can carry, and says what the whole was."""

import hashlib

import pytest

from pytest_zkrollback.domain.verdict import evidence


def test_a_text_within_the_limit_is_kept_whole():
    kept = evidence("Log", "x" * 100, limit_bytes=100)
    assert (kept.text, kept.size_bytes) == ("x" * 100, 100)


def test_of_a_longer_one_head_and_tail_are_kept_with_size_and_digest_of_the_whole():
    whole = "a" * 60 + "b" * 60
    kept = evidence("Log", whole, limit_bytes=100)
    assert kept.text == f"{'a' * 50}\n[... 20 of 120 bytes left out ...]\n{'b' * 50}"
    assert (kept.size_bytes, kept.sha256) == (120, hashlib.sha256(whole.encode()).hexdigest())


def test_a_character_that_the_cut_would_split_is_left_out():
    kept = evidence("Log", "\N{EURO SIGN}" * 40, limit_bytes=100)
    head, _, tail = kept.text.split("\n")
    assert (head, tail) == ("\N{EURO SIGN}" * 16, "\N{EURO SIGN}" * 16)


@pytest.mark.parametrize(
    ("broken", "shown"), [("a\0b", "a\N{SYMBOL FOR NULL}b"), ("a\ud800b", "a?b")], ids=["nul", "surrogate"]
)
def test_what_no_rendering_can_encode_is_replaced(broken, shown):
    assert evidence("Log", broken).text == shown
