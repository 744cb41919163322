"""What the command line takes and refuses, before anything is contacted."""

from datetime import UTC, datetime

import pytest

from pytest_zkrollback.domain.command_line import OPTIONS
from pytest_zkrollback.plugin.options import parse_impact_since, parse_pairs, parse_target


@pytest.mark.parametrize(("text", "revision"), [("1", 1), ("5", 5), ("10", 10), ("999999999", 999999999)])
def test_a_revision_is_a_whole_number_from_1(text, revision):
    assert parse_target(text) == revision


@pytest.mark.parametrize(
    "text",
    [
        "abc",
        "0",
        "-3",
        "",
        " ",
        "01",
        "1.5",
        "1 2",
        "5;helm uninstall",
        "1e3",
        "٥",
        "99999999999999999999",
        "+5",
    ],
)
def test_fault_13_anything_else_is_a_usage_error(text):
    with pytest.raises(pytest.UsageError) as caught:
        parse_target(text)
    assert str(caught.value) == (
        f"--rollback-to={text} is no Helm revision: give a whole number from 1, as in `helm history RELEASE`, "
        "or previous, or last-verified; helm did not run."
    )


@pytest.mark.parametrize("text", ["previous", "last-verified"])
def test_a_target_may_be_named(text):
    assert parse_target(text) == text


def test_a_time_needs_its_zone():
    assert parse_impact_since("2026-11-23T02:11:00Z") == datetime(2026, 11, 23, 2, 11, tzinfo=UTC)
    assert parse_impact_since("2026-11-23T03:11:00+01:00") == datetime(2026, 11, 23, 2, 11, tzinfo=UTC)
    for text in ("2026-11-23T02:11:00", "half past two", ""):
        with pytest.raises(pytest.UsageError, match="is no time with a zone"):
            parse_impact_since(text)


def test_a_waiver_needs_item_and_reason():
    assert parse_pairs("--rollback-waive", ["smoke=no script = no test", "logs= quiet "]) == {
        "smoke": "no script = no test",
        "logs": "quiet",
    }
    for pair in ("smoke", "smoke=", "=reason", "  =x", ""):
        with pytest.raises(pytest.UsageError, match="needs an item and a reason"):
            parse_pairs("--rollback-waive", [pair])


def test_every_option_is_documented_in_the_help(pytester):
    help_text = pytester.runpytest_subprocess("--help").stdout.str()
    for option in OPTIONS:
        shown = f"{option.name}={option.metavar}" if option.metavar else option.name
        assert shown in help_text or shown.replace("=", " ", 1) in help_text, shown
