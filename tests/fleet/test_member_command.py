"""What a member's process is begun with, out of what was typed for the fleet."""

from datetime import UTC, datetime

import pytest

from pytest_zkrollback.fleet.member_command import member_words, own_command

AT = datetime(2026, 12, 1, 2, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("pytest --fleet=prod --rollback-to=app:1.8.0", ["--zkrollback-fleet=prod", "--rollback-to=app:1.8.0"]),
        ("pytest --fleet prod checks", ["--zkrollback-fleet", "prod", "checks"]),
        ("pytest --fleet=prod '--rollback-reason=a b'", ["--zkrollback-fleet=prod", "--rollback-reason=a b"]),
        ("pytest --fleet=prod --fleet-engine=local", ["--zkrollback-fleet=prod"]),
        ("pytest --fleet=prod --zkrollback-report-dir out", ["--zkrollback-fleet=prod"]),
        ("pytest --fleet=prod --junitxml=a.xml --html b.html -v", ["--zkrollback-fleet=prod", "-v"]),
        ("pytest --fleet=prod -n 4 -x", ["--zkrollback-fleet=prod", "-x"]),
        ("pytest --zkrollback-fleet=prod -x", ["--zkrollback-fleet=prod", "-x"]),
        ("pytest --zkrollback-fleet=prod --fleet=blue --env=x", ["--zkrollback-fleet=prod", "--fleet=blue", "--env=x"]),
        ("pytest --zkrollback-fleet=prod --fleet checks", ["--zkrollback-fleet=prod", "--fleet", "checks"]),
        ("pytest --fleet=prod --env=x", ["--zkrollback-fleet=prod", "--env=x"]),
        ("pytest --fleet=prod -n4", ["--zkrollback-fleet=prod"]),
        ("pytest --fleet=prod --rollback-impact-since=20m", ["--zkrollback-fleet=prod", "--rollback-impact-since=2026-12-01T02:11:00Z"]),
        ("pytest --fleet=prod -p mine --my-option=1", ["--zkrollback-fleet=prod", "-p", "mine", "--my-option=1"]),
        ("pytest --fleet=prod -- checks", ["--zkrollback-fleet=prod", "--", "checks"]),
    ],
)  # fmt: skip
def test_a_member_gets_what_was_typed_but_for_files_that_all_would_write(typed, words):
    assert list(member_words(typed, AT)) == words


@pytest.mark.parametrize(
    ("typed", "own"),
    [
        (
            "pytest --fleet-member=eu-1 --fleet=prod --rollback-to=app:1",
            "pytest --zkrollback-env=eu-1 --rollback-to=app:1",
        ),
        ("pytest --fleet prod --fleet-member eu-1", "pytest --zkrollback-env=eu-1"),
        (
            "pytest --zkrollback-fleet=prod --rollback-to=app:1",
            "pytest --zkrollback-env=eu-1 --rollback-to=app:1",
        ),
        ("pytest --fleet=prod --env=suite", "pytest --zkrollback-env=eu-1 --env=suite"),
        ("pytest --zkrollback-fleet=prod --fleet=blue", "pytest --zkrollback-env=eu-1 --fleet=blue"),
        (
            "pytest --fleet=prod --rollback-confirm=prod",
            "pytest --zkrollback-env=eu-1 --rollback-confirm=eu-1",
        ),
        (
            "pytest --fleet=prod '--rollback-reason=a b'",
            "pytest --zkrollback-env=eu-1 '--rollback-reason=a b'",
        ),
    ],
)
def test_what_a_members_record_proposes_is_about_that_environment_alone(typed, own):
    assert own_command(typed, "eu-1") == own
