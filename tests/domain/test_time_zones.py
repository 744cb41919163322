"""Names of time zones: what is none is said."""

import zoneinfo

import pytest

from pytest_zkrollback.domain import time_zones
from pytest_zkrollback.domain.time_zones import find_zone, zone_problem


@pytest.mark.parametrize("name", ["Europe/Berlin", "UTC", "Asia/Kolkata", "America/Argentina/Buenos_Aires"])
def test_names_of_the_database_are_taken(name):
    assert zone_problem(name) == ""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "Europe/Berln",
            "this machine knows no such time zone (did you mean 'Europe/Berlin'?): write a name such as "
            "'Europe/Berlin'",
        ),
        ("???", "this machine knows no such time zone: write a name such as 'Europe/Berlin'"),
        ("../../etc/passwd", "this machine knows no such time zone: write a name such as 'Europe/Berlin'"),
        ("", "this machine knows no such time zone: write a name such as 'Europe/Berlin'"),
    ],
)
def test_what_is_none_is_said(name, said):
    assert zone_problem(name) == said
    assert find_zone(name) is None


def test_a_machine_without_a_database_says_what_to_install(monkeypatch):
    def none(name):
        raise zoneinfo.ZoneInfoNotFoundError(name)

    monkeypatch.setattr(time_zones, "ZoneInfo", none)
    monkeypatch.setattr(time_zones, "available_timezones", set)
    assert zone_problem("Europe/Berlin") == (
        "this machine has no database of time zones: install its package tzdata, or leave the key out"
    )
