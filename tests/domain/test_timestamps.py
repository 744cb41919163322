"""The one reader of a time that somebody else wrote."""

from datetime import UTC, datetime, timedelta

import pytest

from pytest_zkrollback.domain.timestamps import parse_time, require_time

AT = datetime(2026, 11, 23, 2, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-23T02:11:00Z", AT),
        ("2026-11-23T03:11:00+01:00", AT),
        ("2026-11-23T02:11:00.123456789Z", AT + timedelta(microseconds=123456)),  # helm's nanoseconds
        ("2026-11-23T02:11:00", None),  # whose clock?
        ("", None),
        ("soon", None),
        (None, None),
        (7, None),
    ],
)
def test_a_time_has_a_zone_or_it_is_none(text, at):
    found = parse_time(text)
    assert found == at
    assert found is None or found.tzinfo is UTC


def test_a_time_that_has_to_be_there():
    assert require_time("2026-11-23T02:11:00Z") == AT
    with pytest.raises(ValueError, match="no time with a zone: '2026-11-23'"):
        require_time("2026-11-23")
