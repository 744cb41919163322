"""One table of options: what is typed parses, and what is repeated of it parses to the same request."""

import argparse
import shlex
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.domain.command_line import BY_NAME, ENV, OPTIONS, split_command
from pytest_zkrollback.plugin.options import add_env_option, add_options, parse_request
from pytest_zkrollback.report import next_commands
from support.example_records import verified

# A value that the option takes, for those that do not take any text.
VALUES = {
    "--rollback-to": ["5", "previous", "last-verified", "app:1.8.0", "chart:1.8.0 rc"],
    "--rollback-to-commit": ["0dd5af3"],
    "--rollback-impact-since": ["2026-11-23T02:11:00Z"],
    "--rollback-signal": ["fix-obvious=yes", "many-commits=no"],
    "--rollback-override": ["pending=it was cancelled", "lock=all asleep"],
    "--rollback-waive": ["smoke=no test account"],
    "--rollback-soak": ["0", "12.5"],
}
# Is no run, and no command follows from it.
EXCLUDED = {each.name for each in OPTIONS if each.alone or each.goes_with}
ENVIRONMENTS = [
    ["--env=drill"],
    ["--env", "drill"],
    ["--zkrollback-env=drill"],
    ["--zkrollback-env", "drill"],
]
# What can be asked for in one command; the first one, nothing, verifies.
WAYS = [
    [],
    ["--rollback-to"],
    ["--rollback-recover"],
    ["--rollback-to", "--rollback-recover"],
    ["--rollback-to-commit"],
    ["--rollback-to-commit", "--rollback-no-merge"],
    ["--rollback-redeploy-main"],
    ["--rollback-plan"],
]
OF_THE_WAYS = {name for way in WAYS for name in way} - {"--rollback-plan"} | {ENV}


def parsed(command):
    """What pytest's parser makes of it, and then we."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    group = SimpleNamespace(addoption=parser.add_argument)
    stand_in = SimpleNamespace(getgroup=lambda *_: group)
    add_options(stand_in)
    add_env_option(stand_in)
    known, _ = parser.parse_known_args(shlex.split(command)[1:])
    return parse_request(known)


def is_taken(value):
    """Whether argparse takes it as a word of its own, behind an option."""
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--option")
    try:
        return parser.parse_args(["--option", value]).option == value
    except argparse.ArgumentError:
        return False


@st.composite
def commands(draw):
    way = draw(st.sampled_from(WAYS))
    others = [
        each
        for each in OPTIONS
        if each.name not in EXCLUDED | OF_THE_WAYS
        and each.name not in way
        and not (each.only_verifies if way else each.needs_rollback or each.name == "--rollback-plan")
    ]
    words = [draw(st.sampled_from(ENVIRONMENTS))]
    for option in [*(BY_NAME[name] for name in way), *draw(st.lists(st.sampled_from(others), unique=True))]:
        if not option.metavar:
            words.append([option.name])
            continue
        text = st.text("ab c'\"$=/-", min_size=1, max_size=6).filter(
            lambda one: one.strip() not in ("", "--")
        )
        for _ in range(draw(st.integers(1, 2)) if option.repeatable else 1):
            value = draw(st.sampled_from(VALUES[option.name]) if option.name in VALUES else text)
            joined = draw(st.booleans()) or not is_taken(value)
            words.append([f"{option.name}={value}"] if joined else [option.name, value])
    words += draw(st.sampled_from([[], [["checks"]], [["-v"], ["checks"]]]))
    last = draw(st.sampled_from([[], ["--", "checks"]]))
    return shlex.join(["pytest", *(word for group in draw(st.permutations(words)) for word in group), *last])


@given(commands())
def test_a_command_repeated_asks_for_the_same(command):
    """By what Next repeats, whatever the order and whether with = or with a space."""
    record = verified(command_line=command)
    again = next_commands._typed(record)
    assert parsed(again) == parsed(command)
    assert shlex.split(again) == shlex.split(command)
    wanted, check = parsed(command), parsed(next_commands._verify(record))
    same = ("environment", "config_file", "report_dir", "bundle", "drill_keep", "drill_scenario")
    assert [getattr(check, name) for name in same] == [getattr(wanted, name) for name in same]
    assert not check.changes
    check = parsed(next_commands._verify_again(record))
    assert (check.changes, check.gate) == (False, wanted.gate)


@pytest.mark.parametrize(
    ("command", "again", "check"),
    [
        (
            "pytest --rollback-redeploy-main checks --env=staging --rollback-confirm=x",
            "pytest --rollback-redeploy-main checks --env=staging --rollback-confirm=staging",
            "pytest --env=staging",
        ),
        (
            "pytest --rollback-to-commit 0dd5af3 --rollback-no-merge checks --env staging",
            "pytest --rollback-to-commit 0dd5af3 --rollback-no-merge checks --env staging --rollback-confirm=staging",
            "pytest --env staging",
        ),
        (
            "pytest --zkrollback-bundle checks --env=staging --rollback-to=5",
            "pytest --zkrollback-bundle checks --env=staging --rollback-to=5 --rollback-confirm=staging",
            "pytest --zkrollback-bundle --env=staging",
        ),
        (
            "pytest --env=staging --zkrollback-report-dir=out --rollback-plan --rollback-to=5",
            "pytest --env=staging --zkrollback-report-dir=out --rollback-plan --rollback-to=5 --rollback-confirm=staging",
            "pytest --env=staging --zkrollback-report-dir=out",
        ),
    ],
)
def test_no_option_is_lost_when_a_command_is_repeated(command, again, check):
    record = verified(command_line=command, environment="staging")
    assert next_commands._typed(record, also=("--rollback-confirm=staging",)) == again
    assert next_commands._verify(record) == check


@pytest.mark.parametrize(
    ("typed", "again"),
    [
        ("--rollback-impact-since=20m", "--rollback-impact-since=2026-11-23T02:07:30Z"),
        ("--rollback-impact-since 02:11", "--rollback-impact-since=2026-11-23T02:07:30Z"),
        (
            "--rollback-impact-since=2026-11-23T03:00:00+01:00",
            "--rollback-impact-since=2026-11-23T03:00:00+01:00",
        ),
        ("--rollback-impact-since 2026-11-23T02:00:00Z", "--rollback-impact-since 2026-11-23T02:00:00Z"),
    ],
)
def test_so_long_ago_is_repeated_as_the_time_that_it_was(typed, again):
    """Typed again an hour later, "20 minutes ago" would be another time."""
    since = datetime(2026, 11, 23, 2, 7, 30, 250_000, tzinfo=UTC)
    record = verified(command_line=f"pytest --env=staging {typed} --rollback-to=5", impact_since=since)
    assert next_commands._typed(record) == f"pytest --env=staging {again} --rollback-to=5"


def test_a_flag_takes_no_word_and_an_option_takes_one():
    typed = "pytest --rollback-plan checks --rollback-reason why --rollback-soak 5 -v --junitxml x"
    assert [(option and option.name, words) for option, words in split_command(typed)] == [
        ("--rollback-plan", ["--rollback-plan"]),
        (None, ["checks"]),
        ("--rollback-reason", ["--rollback-reason", "why"]),
        ("--rollback-soak", ["--rollback-soak", "5"]),
        (None, ["-v"]),
        (None, ["--junitxml"]),
        (None, ["x"]),
    ]


@pytest.mark.parametrize("value", ["-", "-1", "-.5", "- the pods crash", "-x --y", "--rollback-plan now", ""])
def test_a_value_that_begins_with_a_dash_is_one_where_argparse_takes_it(value):
    typed = shlex.join(["pytest", "--rollback-reason", value, "--rollback-plan"])
    assert is_taken(value)
    assert [words for _, words in split_command(typed)] == [["--rollback-reason", value], ["--rollback-plan"]]


@pytest.mark.parametrize("value", ["-v", "--", "--rollback-plan", "--rollback-to=5"])
def test_what_argparse_refuses_as_a_value_was_in_no_command_that_ran(value):
    with pytest.raises(SystemExit):
        parsed(shlex.join(["pytest", "--env=drill", "--rollback-reason", value]))


def test_behind_the_separator_no_word_is_an_option_and_none_is_added():
    typed = "pytest --rollback-to=5 --env=staging -- --rollback-plan"
    assert [option and option.name for option, _ in split_command(typed)][2:] == [None, None]
    record = verified(command_line=typed, environment="staging")
    again = next_commands._typed(record, also=("--rollback-confirm=staging",))
    assert again == "pytest --rollback-to=5 --env=staging --rollback-confirm=staging -- --rollback-plan"


def test_every_option_that_needs_an_environment_says_so():
    for option in OPTIONS:
        value = VALUES.get(option.name, ["x"])[0]
        typed = (
            f"pytest {option.name}"
            if not option.metavar
            else f"pytest {shlex.quote(f'{option.name}={value}')}"
        )
        if option.needs_environment:
            with pytest.raises(pytest.UsageError, match=f"^{option.name} needs an environment: "):
                parsed(typed)


def test_the_table_is_registered_whole_and_each_once():
    assert len({each.dest for each in OPTIONS}) == len(OPTIONS)
    assert set(BY_NAME) == {each.name for each in OPTIONS} | {
        "--env",
        "--fleet",
        "--fleet-member",
        "--fleet-engine",
    }
