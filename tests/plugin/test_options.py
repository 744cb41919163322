"""What the command line takes and refuses, before anything is contacted."""

import os
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.domain.command_line import OPTIONS
from pytest_zkrollback.domain.timestamps import local_time, parse_past_moment
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
        "or previous, last-verified, app:VERSION or chart:VERSION; helm did not run."
    )


@pytest.mark.parametrize(
    "text",
    [
        "previous",
        "last-verified",
        "app:1.8.0",
        "app:v1.8.0-rc.1+b7",
        "app:2026-11-23 nightly",
        "chart:1.8.0",
        "app:a:b",
        "app:" + "9" * 128,
    ],
)
def test_a_target_may_be_named(text):
    assert parse_target(text) == text


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("prev", "previous"),
        ("Previous", "previous"),
        ("previos", "previous"),
        ("last-verifed", "last-verified"),
        ("last_verified", "last-verified"),
        ("lastverified", "last-verified"),
        ("last", "last-verified"),
        ("verified", "last-verified"),
        ("app1.8.0", "app:1.8.0"),
        ("app=1.8.0", "app:1.8.0"),
        ("app-1.8.0", "app:1.8.0"),
        ("app: 1.8.0", "app:1.8.0"),
        ("APP:1.8.0-RC1", "app:1.8.0-RC1"),
        ("appVersion:v1.8.0", "app:v1.8.0"),
        ("app_version=1.8.0", "app:1.8.0"),
        ("chart1.8.0", "chart:1.8.0"),
        ("Chart=1.8.0", "chart:1.8.0"),
        ("1.8.0", "app:1.8.0 or chart:1.8.0"),
        ("v1.8.0", "app:v1.8.0 or chart:v1.8.0"),
        ("1.5", "app:1.5 or chart:1.5"),
        ("1.8.0-RC1", "app:1.8.0-RC1 or chart:1.8.0-RC1"),
    ],
)
def test_a_near_miss_of_a_name_says_what_was_probably_meant(text, meant):
    with pytest.raises(pytest.UsageError) as caught:
        parse_target(text)
    assert (
        str(caught.value) == f"--rollback-to={text} is no target (did you mean {meant}?); helm did not run."
    )
    for each in meant.split(" or "):
        assert parse_target(each) == each


@pytest.mark.parametrize(
    ("text", "of"),
    [
        ("app:", "app"),
        ("chart:", "chart"),
        ("app: ", "app"),
        ("app:x ", "app"),
        ("app:\x1b[2J", "app"),
        ("app:" + "x" * 129, "app"),
    ],
)
def test_a_version_is_some_text_that_can_be_shown(text, of):
    with pytest.raises(pytest.UsageError) as caught:
        parse_target(text)
    assert str(caught.value) == (
        f"--rollback-to={text} names no {of} version: write it like {of}:1.8.0; helm did not run."
    )


# Without a database of zones, which a machine need not have.
VIENNA = "CET-1CEST,M3.5.0,M10.5.0/3"
NOW = datetime(2026, 11, 23, 2, 30, 15, tzinfo=UTC)


@pytest.fixture
def zone(monkeypatch):
    """This machine's time zone, for as long as the test runs."""

    def use(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield use
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20m", "2026-11-23T02:10:15"),
        ("90s", "2026-11-23T02:28:45"),
        ("2h", "2026-11-23T00:30:15"),
        ("1h30m", "2026-11-23T01:00:15"),
        ("1h0m5s", "2026-11-23T01:30:10"),
        (" 20m ", "2026-11-23T02:10:15"),
        ("0s", "2026-11-23T02:30:15"),
        ("2026-11-23T02:11:00Z", "2026-11-23T02:11:00"),
        ("2026-11-23T03:11:00+01:00", "2026-11-23T02:11:00"),
        ("2026-11-24T02:11:00Z", "2026-11-24T02:11:00"),
        # By this machine's clock it is 03:30:15.
        ("03:11", "2026-11-23T02:11:00"),
        ("3:11", "2026-11-23T02:11:00"),
        ("03:30:15", "2026-11-23T02:30:15"),
        ("03:30:16", "2026-11-22T02:30:16"),
        ("23:59", "2026-11-22T22:59:00"),
        ("00:00", "2026-11-22T23:00:00"),
    ],
)
def test_a_time_is_so_long_ago_or_of_the_day_or_whole(zone, text, expected):
    zone(VIENNA)
    assert parse_past_moment(text, NOW) == datetime.fromisoformat(f"{expected}+00:00")


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "m", "20", "20 m", "-20m", "+20m", "20min", "30m1h", "1.5h", "1d", "99999h", "٢0m"),
        *("24:00", "02:60", "2:1", "02:11:60", "02:11Z", "02.11", "noon", "half past two"),
        *("2026-11-23T02:11:00", "2026-11-23", "2026-13-23T02:11:00Z", "0001-01-01T00:00:00+01:00"),
    ],
)
def test_anything_else_is_no_time(text):
    assert parse_past_moment(text, NOW) is None
    with pytest.raises(pytest.UsageError) as caught:
        parse_impact_since(text)
    assert str(caught.value) == (
        f"--rollback-impact-since={text} is no time: write it like 20m or 1h30m (so long ago), 02:11 (local "
        "time) or 2026-11-23T02:11:00Z (with its zone); helm did not run."
    )


@pytest.mark.parametrize(
    ("now", "text", "expected"),
    [
        # Clocks went back at 03:00 (01:00 UTC) on 25 October: 02:11 came twice.
        ("2026-10-25T00:30", "02:11", "2026-10-25T00:11"),
        ("2026-10-25T01:05", "02:11", "2026-10-25T00:11"),
        ("2026-10-25T01:30", "02:11", "2026-10-25T01:11"),
        # They went forward at 02:00 (01:00 UTC) on 29 March: 02:11 did not come.
        ("2026-03-29T06:00", "02:11", "2026-03-28T01:11"),
    ],
)
def test_a_time_of_the_day_is_the_newest_such_moment_where_clocks_are_set(zone, now, text, expected):
    zone(VIENNA)
    then = datetime.fromisoformat(f"{now}:00+00:00")
    assert parse_past_moment(text, then) == datetime.fromisoformat(f"{expected}:00+00:00")


@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    st.times().map(lambda one: one.replace(microsecond=0)),
    st.sampled_from([VIENNA, "EST5EDT,M3.2.0,M11.1.0", "NPT-5:45", "<-11>11", "UTC0"]),
)
def test_a_time_of_the_day_is_in_the_past_and_at_most_some_days_ago(now, of_day, name):
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        found = parse_past_moment(of_day.isoformat(), now)
        assert found <= now < found + timedelta(hours=49)
        assert found.astimezone().strftime("%H:%M:%S") == of_day.isoformat()
    finally:
        os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
        time.tzset()


def test_a_time_that_has_not_come_is_now_because_a_clock_that_is_behind_refuses_no_rollback(monkeypatch):
    monkeypatch.setattr(SystemClock, "now", lambda _: NOW)
    assert parse_impact_since("2026-11-23T02:33:00Z") == NOW
    assert parse_impact_since("2026-11-23T02:30:15Z") == NOW
    assert parse_impact_since("2026-11-23T02:11:00Z") < NOW


def test_a_time_is_said_with_its_zone(zone):
    zone(VIENNA)
    assert local_time(NOW) == "2026-11-23 03:30:15 CET (2026-11-23 02:30:15 UTC)"
    zone("UTC0")
    assert local_time(NOW) == "2026-11-23 02:30:15 UTC"


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
