"""A fleet on a terminal: the live table in 80 columns, a line per change, the last lines."""

import io

import pytest
from rich.console import Console

from pytest_zkrollback.domain.fleet import (
    FailedItem,
    FleetItem,
    FleetNotify,
    FleetRecord,
    Member,
    MemberReason,
    MemberState,
    ReleaseVersion,
    Wave,
)
from pytest_zkrollback.domain.record import Mode, Outcome
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.report.fleet.fleet_terminal import (
    render_fleet_last_lines,
    render_fleet_live,
    render_member_line,
)
from pytest_zkrollback.report.fleet.merge import sum_up
from support.memory_engine import AT

OLD = ReleaseVersion(revision=4, chart="shop-1.8.0", app_version="1.8.0")
NEW = ReleaseVersion(revision=6, chart="shop-1.9.0", app_version="1.9.0")
COMMAND = "pytest --fleet=prod --rollback-to=app:1.8.0 --zkrollback-config=mine.toml"


def member(name, wave, outcome=None, state=MemberState.WAITING, **more):
    known = {}
    if outcome is not None:
        known = {"outcome": outcome, "run_id": "a0000000", "exit_code": int(outcome is not Outcome.VERIFIED)}
        word = Verdict.PASS if outcome is Outcome.VERIFIED else Verdict.FAIL
        known["items"] = (FleetItem(id="rollout-shop", verdict=word),)
        known |= {"helm_ran": True, "after": OLD, "page": f"{name}.html", "finished_at": AT}
        state = MemberState.FINISHED
    return Member(environment=name, wave=wave, state=state, before=NEW, **known | more)


FAILED = FailedItem(
    id="rollout-shop", verdict=Verdict.FAIL, observed="Deployment/shop: 0 of 2 replicas are ready; " * 4
)


def hundred(ended=False):
    """100 members: 1 canary and 39 of wave 2 verified but for one that failed, 10 running, 50 that wait."""
    rows = [member("eu-canary", 1, Outcome.VERIFIED)]
    rows += [member(f"eu-{number}", 2, Outcome.VERIFIED) for number in range(38)]
    rows += [member("eu-bad", 2, Outcome.FAILED, first_failed=FAILED)]
    if ended:
        stopped = {"state": MemberState.NOT_STARTED, "reason": MemberReason.STOPPED}
        later = {"state": MemberState.NOT_STARTED, "reason": MemberReason.WAVE_FAILED}
        rows += [member(f"eu-late-{number}", 2, **stopped) for number in range(10)]
        rows += [member(f"us-{number}", 3, **later) for number in range(50)]
    else:
        rows += [member(f"eu-late-{number}", 2, state=MemberState.RUNNING) for number in range(10)]
        rows += [member(f"us-{number}", 3) for number in range(50)]
    waves = tuple(
        Wave(number=number, members=tuple(each.environment for each in rows if each.wave == number))
        for number in (1, 2, 3)
    )
    return sum_up(
        FleetRecord(
            fleet="prod",
            fleet_run_id="f0000000",
            mode=Mode.ROLLBACK,
            target="app:1.8.0",
            command_line=COMMAND,
            started_at=AT,
            finished_at=AT if ended else None,
            waves=waves,
            members=tuple(rows),
        )
    )


def drawn(record, rows=24, describe=lambda name: f"{name} is at work"):
    stream = io.StringIO()
    console = Console(
        file=stream, width=80, height=rows, force_terminal=True, color_system=None, legacy_windows=False
    )
    console.print(render_fleet_live(record, AT, "wave 2 is at work", describe))
    return stream.getvalue().rstrip("\n").splitlines()


@pytest.mark.parametrize("rows", [24, 40, 200])
def test_a_hundred_members_fit_the_screen_worst_first(rows):
    lines = drawn(hundred(), rows)
    assert len(lines) < rows
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("fleet prod, rollback to app version 1.8.0")
    assert lines[1] == "wave 1: DONE, 1 of 1"
    assert lines[2] == "wave 2: RUNNING, 39 of 49: 1 FAILED, 10 RUNNING, 38 VERIFIED"
    assert lines[3] == "wave 3: WAITING, 0 of 50"
    assert lines[4].startswith("FAILED         eu-bad")
    assert "rollout-shop: Deployment/shop: 0 of 2" in lines[4]
    assert lines[5].startswith("RUNNING        eu-late-0")
    assert "eu-late-0 is at work" in lines[5]
    if rows == 24:
        assert lines[-2].startswith("and ")
        assert "VERIFIED" in lines[-2]
    else:
        assert rows == 40 or sum(line.startswith("VERIFIED ") for line in lines) == 39
    assert lines[-1] == "wave 2 is at work"


def test_a_name_of_a_strange_length_or_with_escapes_breaks_nothing():
    record = hundred()
    strange = record.members[-1].model_copy(
        update={"environment": "x" * 300 + "\x1b[2J", "state": MemberState.RUNNING}
    )
    record = record.model_copy(update={"members": (*record.members[:-1], strange)})
    lines = drawn(record, describe=lambda _: "\x1b[31m" + "long " * 100)
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in "".join(lines)


def test_a_line_says_who_came_how_far_and_why():
    record = hundred()
    line = render_member_line(record.find_member("eu-bad"), record, AT)
    assert "FAILED" in line
    assert "eu-bad (wave 2, 40 of 100 done): rollout-shop:" in line


def test_the_last_lines_say_what_failed_what_is_live_where_and_what_to_type():
    text = render_fleet_last_lines(hundred(ended=True), "reports/fleet.html")
    lines = text.splitlines()
    assert lines[0].startswith("FAILED eu-bad: rollout-shop: Deployment/shop: 0 of 2 replicas")
    assert lines[0].endswith("(eu-bad.html)")
    assert any(line.startswith("Not started: wave 2 failed: us-0, us-1") for line in lines)
    assert (
        "  app version 1.9.0: 60 members (eu-late-0, eu-late-1, eu-late-2, eu-late-3, eu-late-4, eu-late-5 and 54 more)"
        in lines
    )
    assert "  app version 1.8.0: 40 members (eu-canary, eu-0, eu-1, eu-2, eu-3, eu-4 and 34 more)" in lines
    assert "  pytest --zkrollback-env=eu-bad --zkrollback-config=mine.toml" in lines  # only verifies
    assert f"  {COMMAND}" in lines
    assert lines[-3].startswith("FLEET FAILED: ")
    assert lines[-2] == "100 members: 1 FAILED, 60 NOT STARTED, 39 VERIFIED."
    assert lines[-1] == "Report: reports/fleet.html"


def test_where_nobody_knows_what_is_live_it_is_not_said():
    record = hundred(ended=True)
    lost = record.members[0].model_copy(
        update={"after": None, "state": MemberState.UNKNOWN, "reason": MemberReason.NO_RECORD}
    )
    text = render_fleet_last_lines(record.model_copy(update={"members": (lost, *record.members[1:])}), "x")
    assert "  not known: 1 member (eu-canary)" in text.splitlines()


def fleet(*members, command=COMMAND, mode=Mode.ROLLBACK, **facts):
    numbers = sorted({each.wave for each in members})
    waves = tuple(
        Wave(number=number, members=tuple(each.environment for each in members if each.wave == number))
        for number in numbers
    )
    return sum_up(
        FleetRecord(
            **{
                "fleet": "prod",
                "fleet_run_id": "f0000000",
                "mode": mode,
                "target": "" if mode is Mode.VERIFY else "app:1.8.0",
                "command_line": command,
                "started_at": AT,
                "finished_at": AT,
                "waves": waves,
                "members": members,
            }
            | facts
        )
    )


def refused(name, wave, item="lock", observed="run 0badc0de holds the lock"):
    first = FailedItem(id=item, observed=observed)
    facts = {"reason": MemberReason.PREFLIGHT_REFUSED, "first_failed": first, "helm_ran": False}
    return member(name, wave, state=MemberState.REFUSED, run_id="a0000000", exit_code=1, **facts)


BROKEN = FailedItem(id="rollout-shop", verdict=Verdict.FAIL, observed="0 of 2 replicas are ready")


def blocks(record):
    return render_fleet_last_lines(record, "reports/fleet.html").split("\n\n")


def test_who_failed_is_listed_beside_who_refused_and_what_ran_is_not_denied():
    found = blocks(
        fleet(
            member("eu-canary", 1, Outcome.VERIFIED),
            member("eu-1", 2, Outcome.FAILED, first_failed=BROKEN),
            refused("eu-2", 2),
            member("us-1", 3, state=MemberState.NOT_STARTED, reason=MemberReason.WAVE_FAILED),
        )
    )
    assert found[0].splitlines() == [
        "FAILED eu-1: rollout-shop: 0 of 2 replicas are ready (eu-1.html)",
        "REFUSED: 1 member of 4.",
        "  eu-2  lock: run 0badc0de holds the lock",
        "Not started: wave 2 failed: us-1",
    ]
    assert found[1].splitlines() == [
        "HELM RAN: in 2 of 4 members (eu-canary and eu-1)",
        "Live, by Helm:",
        "  app version 1.8.0: 2 members (eu-canary and eu-1)",
        "  app version 1.9.0: 2 members (eu-2 and us-1)",
    ]


def test_where_preflights_alone_ran_nothing_has_run():
    others = {"state": MemberState.NOT_STARTED, "reason": MemberReason.OTHERS_REFUSED}
    found = blocks(fleet(refused("eu-1", 1), member("us-1", 2, **others)))
    assert found[0].splitlines() == [
        "REFUSED: 1 member of 2; nothing has run.",
        "  eu-1  lock: run 0badc0de holds the lock",
    ]
    assert found[1].splitlines()[0] == "HELM DID NOT RUN in any member"


def test_where_helm_may_have_run_it_is_not_said_that_it_did_not():
    lost = {"state": MemberState.UNKNOWN, "reason": MemberReason.NO_RECORD}
    record = fleet(member("eu-1", 1, Outcome.VERIFIED), member("eu-2", 1, **lost))
    assert blocks(record)[1].splitlines()[0] == (
        "HELM RAN: in 1 of 2 members (eu-1); of 1 it is not known (eu-2)"
    )
    record = fleet(member("eu-2", 1, **lost), unnamed_members=1)
    assert blocks(record)[1].splitlines()[0] == "HELM MAY HAVE RUN: of 2 of 2 members it is not known (eu-2)"


@pytest.mark.parametrize(
    ("typed", "proposed"),
    [
        ("--rollback-plan", "--rollback-to=previous --rollback-confirm=prod"),
        ("--rollback-plan -- checks", "--rollback-to=previous --rollback-confirm=prod -- checks"),
        ("--rollback-to app:1.8.0 --rollback-plan", "--rollback-to app:1.8.0 --rollback-confirm=prod"),
        (
            "--rollback-plan --rollback-confirm=prod --rollback-to=app:1.8.0",
            "--rollback-confirm=prod --rollback-to=app:1.8.0",
        ),
    ],
)
def test_after_a_rehearsal_the_rollback_itself_is_proposed_whole(typed, proposed):
    planned = {"outcome": Outcome.PLANNED, "run_id": "a0000000", "exit_code": 0, "helm_ran": False}
    rehearsed = member("eu-1", 1, state=MemberState.FINISHED, **planned)
    command = f"pytest --fleet=prod {typed}"
    record = fleet(rehearsed, command=command, mode=Mode.PLAN, protected=True)
    assert blocks(record)[1].splitlines() == ["Next:", f"  pytest --fleet=prod {proposed}"]


def test_what_passed_a_guard_is_not_proposed_again():
    record = fleet(
        member("eu-1", 1, Outcome.VERIFIED),
        member("eu-2", 1, Outcome.FAILED, first_failed=BROKEN),
        command="pytest --fleet=prod --rollback-to=previous --rollback-break-glass=now "
        "--rollback-override pending=x --rollback-waive=smoke=x --rollback-confirm=prod",
    )
    assert blocks(record)[2].splitlines() == [
        "Next:",
        "  # how is it now? this only verifies:",
        "  pytest --zkrollback-env=eu-2",
        "  # when that is mended; finished members are only verified:",
        "  pytest --fleet=prod --rollback-to=previous --rollback-confirm=prod",
    ]


def test_where_only_the_message_is_missing_no_rollback_is_proposed():
    record = fleet(
        member("eu-1", 1, Outcome.VERIFIED),
        notify=FleetNotify(verdict=Verdict.FAIL, observed="slack answered: 404"),
    )
    assert blocks(record)[1].splitlines() == [
        "Next:",
        "  # every member is verified; only the message to the team is missing. To check all of them again:",
        "  pytest --fleet=prod --zkrollback-config=mine.toml",
    ]
