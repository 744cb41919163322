"""Members' records as one: whatever the order of the files, and never green on hearsay."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pytest_zkrollback.domain.errors import UsageProblem
from pytest_zkrollback.domain.fleet import (
    FleetNotify,
    FleetRecord,
    Member,
    MemberReason,
    MemberState,
    WaveState,
)
from pytest_zkrollback.domain.record import (
    GREEN_OUTCOMES,
    Mode,
    Outcome,
    Override,
    OwnTest,
    OwnTestOutcome,
    Record,
)
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.report.__main__ import main
from pytest_zkrollback.report.fleet.compare import Topic, find_differences
from pytest_zkrollback.report.fleet.folder import Asked, merge_folder, read_folder, write_fleet, write_journal
from pytest_zkrollback.report.fleet.member_run import MemberRun, member_run
from pytest_zkrollback.report.fleet.merge import fill_in, merge, merge_offline, plan_of, sum_up
from pytest_zkrollback.report.fleet.words import MemberWord, is_well, member_word
from pytest_zkrollback.report.fleet.written import render_fleet_json
from pytest_zkrollback.report.redaction import Redactor
from pytest_zkrollback.report.schema import fleet_schema
from support.example_fleets import FLEET_RUN, KINDS, member_record, plan, regions, rolled_back, write_members
from support.example_records import at

TOLD = FleetNotify(verdict=Verdict.PASS, observed="slack answered: ok")
WAVES = [["eu-canary"], ["eu-1", "eu-2"], ["us-1", "us-2", "us-3"]]


def ended(waves=WAVES, **changes):
    return plan(waves, **{"finished_at": at(60), "notify": TOLD, **changes})


def runs_of(waves=WAVES, **kinds):
    """A run of every member; ``eu_1="failed"`` says what became of one, None that there is none."""
    known = {name.replace("_", "-"): kind for name, kind in kinds.items()}
    return [
        member_run(member_record(name, known.get(name, "verified"), number, later_s=number * 10))
        for number, names in enumerate(waves, 1)
        for name in names
        if known.get(name, "verified") is not None
    ]


def states(record: FleetRecord) -> dict[str, MemberState]:
    return {each.environment: each.state for each in record.members}


# One member: what its own record says (None: there is none), and what its exit code was.
MEMBERS = st.tuples(st.sampled_from([*KINDS, None]), st.sampled_from([None, 0, 1, 3]))


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    members=st.lists(MEMBERS, min_size=1, max_size=7),
    notify=st.sampled_from([None, *(FleetNotify(verdict=each) for each in (*Verdict, None))]),
    journal=st.booleans(),
    data=st.data(),
)
def test_any_order_gives_the_same_record_and_green_means_that_every_member_is_verified(
    members, notify, journal, data
):
    names = [f"m-{index}" for index in range(len(members))]
    waves = [names[:2], names[2:]] if len(names) > 2 else [names]
    runs = [
        member_run(member_record(name, kind, 1 + (index > 1), later_s=index, members=len(names)))
        for index, (name, (kind, _)) in enumerate(zip(names, members, strict=True))
        if kind is not None
    ]
    base = ended(waves, notify=notify)
    if journal or not runs:
        codes = dict(zip(names, (code for _, code in members), strict=True))
        told = tuple(each.model_copy(update={"exit_code": codes[each.environment]}) for each in base.members)
        base = base.model_copy(update={"members": told})
    else:
        members = [(kind, None) for kind, _ in members]
        base = plan_of(runs).model_copy(update={"notify": notify})
    shuffled = data.draw(st.permutations(runs))
    record = merge_offline(base, runs)
    other = plan_of(shuffled).model_copy(update={"notify": notify}) if not journal and runs else base
    assert merge_offline(other, shuffled) == record
    verified = all(kind == "verified" and code in (None, 0) for kind, code in members)
    told = notify is not None and notify.verdict in (Verdict.PASS, Verdict.WAIVED)
    assert (record.outcome in GREEN_OUTCOMES) is (verified and told)
    known = {each.environment: each for each in record.members}
    for name, (kind, code) in zip(names, members, strict=True):
        if name in known:
            assert is_well(known[name]) is (kind == "verified" and code in (None, 0))
        else:
            assert kind is None
            assert record.unnamed_members > 0
    Draft202012Validator(fleet_schema()).validate(json.loads(render_fleet_json(record)))


@given(st.permutations([f"eu-{n}" for n in range(4)]), st.integers(0, 4))
@settings(deadline=None, max_examples=20)
def test_one_member_at_a_time_gives_what_all_at_once_give(order, many):
    names = [f"eu-{n}" for n in range(4)]
    runs = {name: member_run(member_record(name, later_s=index)) for index, name in enumerate(names)}
    base = record = plan([names])
    for name in order[:many]:
        record = fill_in(record, [runs[name]])
    assert sum_up(record) == merge(base, [runs[name] for name in order[:many]])


def test_a_fleet_that_is_verified():
    record = merge_offline(ended(), runs_of())
    assert record.outcome is Outcome.VERIFIED
    assert {each.state for each in record.waves} == {WaveState.DONE}
    assert all(each.left_to_fleet == ("notify",) for each in record.members)
    member = record.find_member("eu-1")
    assert member is not None
    assert (member.before, member.target, member.after) == (
        member.before.model_copy(update={"revision": 6, "app_version": "2026.11.5"}),
        member.target.model_copy(update={"revision": 5, "app_version": "2026.11.4"}),
        member.after.model_copy(update={"revision": 7, "app_version": "2026.11.4"}),
    )
    assert record.summary == (
        "Fleet shop is back to app version 2026.11.4: all 6 members verified; helm ran in 6."
    )


def test_a_wave_that_failed_and_the_one_that_was_not_started():
    record = rolled_back(WAVES, {"eu-2": "failed"}, until_wave=2)
    assert record.outcome is Outcome.FAILED
    assert [each.state for each in record.waves] == [WaveState.DONE, WaveState.FAILED, WaveState.NOT_STARTED]
    last = record.find_member("us-3")
    assert last is not None
    assert (last.said, last.helm_ran, last.run_id) == ("not started: wave 2 failed", None, "")
    assert record.summary == (
        "Fleet shop is NOT restored: 1 failed (eu-2: release-equivalence), 3 not started, 2 verified."
    )


def test_a_member_without_a_record_is_unknown_whatever_the_fleets_process_said_of_it():
    base = ended()
    claimed = tuple(
        each.model_copy(
            update={"state": MemberState.FINISHED, "outcome": Outcome.VERIFIED, "run_id": "1", "exit_code": 0}
        )
        for each in base.members
    )
    record = merge_offline(base.model_copy(update={"members": claimed}), runs_of(us_2=None))
    lost = record.find_member("us-2")
    assert lost is not None
    assert (lost.state, lost.reason, lost.outcome) == (MemberState.UNKNOWN, MemberReason.NO_RECORD, None)
    assert record.outcome is Outcome.UNVERIFIED
    assert record.waves[2].state is WaveState.UNKNOWN
    assert "1 unknown (us-2)" in record.summary


def test_members_that_nobody_names_are_not_verified():
    runs = [member_run(member_record(name, members=3)) for name in ("eu-1", "eu-2")]
    record = merge_offline(plan_of(runs).model_copy(update={"notify": TOLD}), runs)
    assert (record.unnamed_members, record.outcome) == (1, Outcome.UNVERIFIED)


def test_a_wave_of_which_there_is_no_record_at_all_is_not_verified():
    runs = [member_run(member_record("eu-1", wave=1)), member_run(member_record("us-1", wave=3))]
    record = merge_offline(plan_of(runs).model_copy(update={"notify": TOLD}), runs)
    assert [(each.number, each.state) for each in record.waves] == [
        (1, WaveState.DONE),
        (2, WaveState.UNKNOWN),
        (3, WaveState.DONE),
    ]
    assert record.outcome is Outcome.UNVERIFIED


def test_while_it_runs_nothing_is_verified_and_at_its_end_who_has_no_end_is_not_known():
    runs = runs_of(eu_2="running", us_1=None, us_2=None, us_3=None)
    base = plan(WAVES, notify=None)
    record = merge(base, runs)
    assert record.outcome is Outcome.RUNNING
    assert [each.state for each in record.waves] == [WaveState.DONE, WaveState.RUNNING, WaveState.WAITING]
    assert states(record)["us-1"] is MemberState.WAITING
    record = merge(base.model_copy(update={"finished_at": at(90)}), runs)
    assert states(record)["us-1"] is MemberState.UNKNOWN
    killed = record.find_member("eu-2")
    assert killed is not None
    assert (killed.reason, member_word(killed)) == (MemberReason.NO_END, MemberWord.NOT_FINISHED)
    assert record.outcome is Outcome.RUNNING


def test_a_refusal_before_anything_began():
    base = ended()
    waiting = tuple(
        each.model_copy(update={"state": MemberState.NOT_STARTED, "reason": MemberReason.OTHERS_REFUSED})
        for each in base.members
    )
    rehearsed = member_record("eu-2", "refused").model_copy(update={"mode": Mode.PLAN})
    record = merge_offline(base.model_copy(update={"members": waiting}), [member_run(rehearsed)])
    refused = record.find_member("eu-2")
    other = record.find_member("us-1")
    assert refused is not None
    assert other is not None
    assert (record.outcome, refused.state) == (Outcome.REFUSED, MemberState.REFUSED)
    assert refused.first_failed is not None
    assert refused.first_failed.id == "pending-release"
    assert other.said == "not started: the preflight of eu-2 refused"
    assert record.summary == "Nothing was rolled back: eu-2 refused. Nothing was changed."


def test_a_rehearsal_of_a_member_is_no_rollback_of_it():
    rehearsed = member_record("eu-1").model_copy(update={"mode": Mode.PLAN, "outcome": Outcome.PLANNED})
    record = merge_offline(ended(), [*runs_of(eu_1=None), member_run(rehearsed)])
    assert states(record)["eu-1"] is MemberState.UNKNOWN
    assert record.outcome is Outcome.UNVERIFIED


def test_a_preflight_that_no_longer_refuses_is_no_refusal():
    refused = member_record("eu-1", "refused", run_id="aaaa0001").model_copy(update={"mode": Mode.PLAN})
    passed = member_record("eu-1", later_s=60, run_id="aaaa0002").model_copy(
        update={"mode": Mode.PLAN, "outcome": Outcome.PLANNED}
    )
    runs = [*runs_of(eu_1=None), member_run(passed), member_run(refused)]
    assert states(merge_offline(ended(), runs))["eu-1"] is MemberState.UNKNOWN
    runs.append(member_run(member_record("eu-1", later_s=120)))
    assert merge_offline(ended(), runs).outcome is Outcome.VERIFIED


def as_verified_only(name: str, later_s: float, run_id: str, revision: int = 7) -> Record:
    record = member_record(name, later_s=later_s, run_id=run_id)
    return record.model_copy(
        update={
            "mode": Mode.VERIFY,
            "helm": type(record.helm)(),
            "revision_before": revision,
            "revision_after": revision,
            "target_revision": None,
        }
    )


def test_a_member_that_was_killed_after_helm_and_verified_by_the_same_command_again():
    first = member_record("eu-1", "running", run_id="aaaa0001").model_copy(
        update={"revision_after": 7, "helm": member_record("eu-1").helm}
    )
    again = as_verified_only("eu-1", 300, "aaaa0002")
    runs = [member_run(again), *runs_of(eu_1=None), member_run(first)]
    record = merge_offline(ended(), runs)
    member = record.find_member("eu-1")
    assert member is not None
    assert (member.run_id, member.earlier_run_ids) == ("aaaa0002", ("aaaa0001",))
    assert (member.reason, member.helm_ran) == (MemberReason.DONE_BEFORE, True)
    assert member.before is not None
    assert member.before.revision == 6
    assert record.outcome is Outcome.VERIFIED


@pytest.mark.parametrize("revision", [6, 9])
def test_that_something_else_is_in_order_verifies_no_rollback(revision):
    """A run that only verifies says that what is live is in order: here not what was rolled back to."""
    runs = [*runs_of(eu_1=None), member_run(as_verified_only("eu-1", 300, "aaaa0002", revision))]
    record = merge_offline(ended(), runs)
    member = record.find_member("eu-1")
    assert member is not None
    assert (member.state, member.reason) == (MemberState.UNKNOWN, MemberReason.OTHER_RUN)
    assert record.outcome is Outcome.UNVERIFIED


def test_what_the_fleets_process_found_at_the_target_may_be_verified_only():
    base = ended()
    members = tuple(
        each.model_copy(update={"reason": MemberReason.AT_TARGET}) if each.environment == "eu-1" else each
        for each in base.members
    )
    runs = [*runs_of(eu_1=None), member_run(as_verified_only("eu-1", 300, "aaaa0002", 5))]
    record = merge_offline(base.model_copy(update={"members": members}), runs)
    assert record.outcome is Outcome.VERIFIED
    assert "helm ran in 5, 1 had it already" in record.summary


def test_a_record_says_itself_that_its_target_was_live_already():
    record = member_record("eu-1")
    skipped = type(record.helm)(skipped_reason="revision 7 is a rollback to 5 already")
    runs = [*runs_of(eu_1=None), member_run(record.model_copy(update={"helm": skipped}))]
    merged = merge_offline(ended(), runs)
    member = merged.find_member("eu-1")
    assert member is not None
    assert (member.reason, member.helm_ran) == (MemberReason.AT_TARGET, False)
    assert member.said == "what was asked for was live already: verified only"
    assert merged.outcome is Outcome.VERIFIED


def test_an_own_test_that_failed_is_the_members_failure():
    test = OwnTest(
        node_id="tests/test_shop.py::test_cart", outcome=OwnTestOutcome.FAILED, first_line="no cart"
    )
    record = member_record("eu-1").model_copy(update={"own_tests": (test,)})
    merged = merge_offline(ended(), [*runs_of(eu_1=None), member_run(record)])
    member = merged.find_member("eu-1")
    assert member is not None
    assert member.first_failed is not None
    assert member.first_failed.id == test.node_id
    assert (merged.outcome, merged.waves[1].state) == (Outcome.FAILED, WaveState.FAILED)


@pytest.mark.parametrize(
    ("notify", "outcome"),
    [
        (None, Outcome.UNVERIFIED),
        (FleetNotify(), Outcome.UNVERIFIED),
        (FleetNotify(verdict=Verdict.UNVERIFIED), Outcome.UNVERIFIED),
        (FleetNotify(verdict=Verdict.FAIL), Outcome.FAILED),
        (FleetNotify(verdict=Verdict.WAIVED), Outcome.VERIFIED_WITH_WAIVERS),
        (TOLD, Outcome.VERIFIED),
    ],
)
def test_what_members_leave_to_the_fleet_is_judged_there(notify, outcome):
    assert merge_offline(ended(notify=notify), runs_of()).outcome is outcome


def test_what_an_operator_left_out_stays_a_waiver():
    record = member_record("eu-1")
    waived = record.model_copy(
        update={"overrides": (Override(id="notify", kind="item", reason="the team sits beside me"),)}
    )
    merged = merge_offline(ended(), [*runs_of(eu_1=None), member_run(waived)])
    assert merged.outcome is Outcome.VERIFIED_WITH_WAIVERS


def test_members_that_tell_of_themselves_need_no_message_of_the_fleet():
    runs = [member_run(member_record(name, told_by_fleet=False)) for name in ("eu-1", "eu-2")]
    assert merge_offline(ended([["eu-1", "eu-2"]], notify=None), runs).outcome is Outcome.VERIFIED


def test_what_differs_between_members_what_most_have_first():
    odd = member_record("us-3")
    plan_of_odd = odd.plan.model_copy(
        update={"target": odd.plan.target.model_copy(update={"app_version": "2026.11.1"})}
    )
    history = tuple(
        each.model_copy(update={"app_version": "2026.11.1"}) if each.revision == 5 else each
        for each in odd.plan.history
    )
    odd = odd.model_copy(update={"plan": plan_of_odd.model_copy(update={"history": history})})
    record = merge_offline(ended(), [*runs_of(us_3=None, eu_2="failed"), member_run(odd)])
    found = {each.topic: each for each in find_differences(record)}
    assert [(each.value, len(each.members)) for each in found[Topic.APP_TARGET].values] == [
        ("2026.11.4", 5),
        ("2026.11.1", 1),
    ]
    assert found[Topic.FAILED_ITEM].values[1].members == ("eu-2",)
    assert Topic.APP_BEFORE not in found


# The folder, and the command.


def members(**kinds: str | None) -> list[Record]:
    known = {name.replace("_", "-"): kind for name, kind in kinds.items()}
    return [
        member_record(name, known.get(name, "verified"), number, number * 10, 6, told_by_fleet=False)
        for number, names in enumerate(WAVES, 1)
        for name in names
        if known.get(name, "verified") is not None
    ]


def merged(folder: Path) -> FleetRecord:
    [file] = folder.glob("*-fleet-*.json")
    return FleetRecord.model_validate_json(file.read_bytes())


def test_the_command_writes_four_files_and_their_copies(tmp_path, capsys):
    write_members(tmp_path, members())
    assert main(["merge", str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "VERIFIED: 6 members: 6 VERIFIED."
    stem = f"20261123T115049Z-fleet-shop-{FLEET_RUN}"
    assert said[2] == str(tmp_path / f"{stem}.html")
    for suffix in (".json", ".md", ".xml", ".html"):
        copy = (tmp_path / f"latest-fleet{suffix}").read_bytes()
        assert (tmp_path / f"{stem}{suffix}").read_bytes() == copy
    record = merged(tmp_path)
    assert [each.members for each in record.waves] == [tuple(names) for names in WAVES]
    assert record.reason == "backend crash-loops since 2026.11.5"


def test_merged_again_it_says_the_same(tmp_path, capsys):
    write_members(tmp_path, members(eu_2="failed"))
    assert main(["merge", str(tmp_path)]) == 1
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(["merge", str(tmp_path)]) == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
    capsys.readouterr()


def test_a_member_whose_record_is_taken_away_is_no_longer_green(tmp_path, capsys):
    write_members(tmp_path, members())
    assert main(["merge", str(tmp_path)]) == 0
    next(tmp_path.glob("*-us-2-*.json")).unlink()
    assert main(["merge", str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines()[3] == "UNVERIFIED: 6 members: 1 UNKNOWN, 5 VERIFIED."


def test_the_fleets_journal_names_the_waves_and_who_was_not_started(tmp_path, capsys):
    write_members(tmp_path, members(eu_2="failed", us_1=None, us_2=None, us_3=None))
    base = plan(WAVES)
    journal = tuple(
        each.model_copy(update={"state": MemberState.NOT_STARTED, "reason": MemberReason.WAVE_FAILED})
        if each.wave == 3
        else each
        for each in base.members
    )
    write_journal(tmp_path, base.model_copy(update={"members": journal}), Redactor())
    assert main(["merge", str(tmp_path)]) == 1
    assert (
        capsys.readouterr().out.splitlines()[0] == "FAILED: 6 members: 1 FAILED, 3 NOT STARTED, 2 VERIFIED."
    )
    assert merged(tmp_path).command_line == "pytest --fleet=shop --rollback-to=app:2026.11.4"


def test_waves_that_are_typed_name_who_has_to_be_there(tmp_path, capsys):
    write_members(tmp_path, members(us_1=None, us_2=None, us_3=None))
    line = ["merge", str(tmp_path), "--wave=eu-canary", "--wave=eu-1, eu-2", "--wave=us-1,us-2"]
    assert main(line) == 1
    record = merged(tmp_path)
    assert [each.state for each in record.waves] == [WaveState.DONE, WaveState.DONE, WaveState.UNKNOWN]
    capsys.readouterr()


def test_artifacts_of_a_ci_lie_in_folders_of_their_own_and_links_lead_there(tmp_path, capsys):
    for record in members():
        folder = tmp_path / "artifacts" / f"report {record.environment}" / "reports"
        folder.mkdir(parents=True)
        write_members(folder, [record])
        path = next(folder.glob("*.json"))
        path.with_suffix(".html").write_text("a page", encoding="utf-8")
        (folder / "latest.json").write_bytes(path.read_bytes())
    assert main(["merge", str(tmp_path / "artifacts"), "-o", str(tmp_path / "out")]) == 0
    record = merged(tmp_path / "out")
    for each in record.members:
        assert (tmp_path / "out" / each.record).is_file()
        assert (tmp_path / "out" / each.page).read_text(encoding="utf-8") == "a page"
    page = (tmp_path / "out" / "latest-fleet.html").read_text(encoding="utf-8")
    assert 'href="./../artifacts/report%20eu-1/reports/' in page
    capsys.readouterr()


def test_the_newest_fleet_run_of_a_folder_is_merged_unless_another_is_named(tmp_path, capsys):
    old = [
        each.model_copy(
            update={
                "run_id": f"{index:08x}",
                "started_at": at(-9000),
                "fleet": each.fleet.model_copy(update={"fleet_run_id": "0000000a"}),
            }
        )
        for index, each in enumerate(members(eu_1="failed"))
        if each.fleet is not None
    ]
    write_members(tmp_path, [*members(), *old])
    assert main(["merge", str(tmp_path)]) == 0
    assert main(["merge", str(tmp_path), "--fleet-run=0000000a"]) == 1
    assert main(["merge", str(tmp_path), "--fleet-run=nosuch"]) == 2
    assert capsys.readouterr().err == (
        f"There is no record of fleet run nosuch. There are 0000000a, {FLEET_RUN}.\n"
    )


def of_fleet(records: list[Record], fleet: str, run_id: str, later_s: float) -> list[Record]:
    """The same as runs of another fleet's run, begun ``later_s`` after the example's start."""
    return [
        each.model_copy(
            update={
                "run_id": f"{index:07x}{run_id[-1]}",
                "started_at": at(later_s),
                "fleet": each.fleet.model_copy(update={"fleet": fleet, "fleet_run_id": run_id}),
            }
        )
        for index, each in enumerate(records)
        if each.fleet is not None
    ]


def test_another_fleets_newer_run_does_not_answer_for_the_fleet_that_was_typed(tmp_path, capsys):
    prod = of_fleet(members(eu_1="failed"), "prod", "0000000a", -9000)
    staging = of_fleet(members(), "staging", "0000000b", 0)
    write_members(tmp_path, [*prod, *staging])
    assert main(["merge", str(tmp_path), "--fleet=prod"]) == 1
    record = merged(tmp_path)
    assert (record.fleet, record.fleet_run_id, record.outcome) == ("prod", "0000000a", Outcome.FAILED)
    capsys.readouterr()
    assert main(["merge", str(tmp_path), "--fleet=prod", "--fleet-run=0000000b"]) == 2
    assert main(["merge", str(tmp_path), "--fleet=dev"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "Fleet run 0000000b is of fleet staging, and not of prod.",
        "There is no record of fleet dev. There are records of prod, staging.",
    ]
    [file] = tmp_path.glob("*-fleet-*.json")
    assert "prod" in file.name


@pytest.mark.parametrize("order", [("00000001", "00000002"), ("00000002", "00000001")])
def test_of_runs_that_began_together_the_one_that_ended_last_counts(tmp_path, capsys, order):
    verified, failed = (
        member_record("eu-1", kind, run_id=run_id, told_by_fleet=False, members=1)
        for kind, run_id in zip(("verified", "failed"), order, strict=True)
    )
    ended = {"started_at": verified.started_at, "finished_at": at(480)}
    write_members(tmp_path, [verified, failed.model_copy(update=ended)])
    assert main(["merge", str(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith("FAILED: 1 member: 1 FAILED.")


@pytest.mark.parametrize("mode", ["verify", "plan"])
def test_who_was_rolled_back_was_not_asked_for_that(tmp_path, capsys, mode):
    write_members(tmp_path, members())
    assert main(["merge", str(tmp_path), f"--mode={mode}"]) == 1
    assert capsys.readouterr().out.startswith("UNVERIFIED: ")
    assert main(["merge", str(tmp_path), "--mode=rollback"]) == 0
    capsys.readouterr()


def test_ordinary_runs_are_merged_too_of_each_environment_the_newest(tmp_path, capsys):
    runs = [
        member_record(name, kind, later_s=later, run_id=run_id, told_by_fleet=False).model_copy(
            update={"fleet": None}
        )
        for name, kind, later, run_id in (
            ("eu-1", "failed", 0, "00000001"),
            ("eu-1", "verified", 600, "00000002"),
            ("eu-2", "verified", 0, "00000003"),
        )
    ]
    write_members(tmp_path, runs)
    assert main(["merge", str(tmp_path), "--fleet=shop"]) == 0
    caught = capsys.readouterr()
    assert caught.err.splitlines() == [
        "Of eu-1 there are 2 records: the newest counts.",
        "These records belong to no fleet's run. They began: the first, eu-2's at 2026-11-23 11:50 UTC, and "
        "the last, eu-1's at 2026-11-23 12:00 UTC.",
    ]
    assert caught.out.startswith("VERIFIED: 2 members: 2 VERIFIED.")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "cannot be read: Expecting property name enclosed in double quotes"),
        (b'{"a": "\xff"}', "cannot be read: 'utf-8' codec can't decode byte 0xff"),
        (b'{"schema": "zkrollback.record/1", "run_id": 7}', "is no record of zkrollback.record/1: run_id:"),
        (b'{"schema": "zkrollback.record/2"}', "it is of schema zkrollback.record/2, which this version"),
        (b"", "cannot be read: Expecting value"),
        pytest.param(b"[" * 100_000, "cannot be read: it is nested too deeply", id="deep"),
    ],
)
def test_a_record_that_cannot_be_read_says_why_and_its_member_is_unknown(tmp_path, capsys, content, said):
    write_members(tmp_path, members())
    [path] = tmp_path.glob("*-eu-2-*.json")
    path.write_bytes(content)
    assert (
        main(["merge", str(tmp_path), "--wave=eu-canary", "--wave=eu-1,eu-2", "--wave=us-1,us-2,us-3"]) == 1
    )
    told = capsys.readouterr().err
    assert told.startswith(path.name)
    assert said in told
    member = merged(tmp_path).find_member("eu-2")
    assert member is not None
    assert (member.state, member.reason) == (MemberState.UNKNOWN, MemberReason.UNREADABLE_RECORD)
    assert said in member.said


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ([], "There is no record: give the folder that holds the members' JSON files."),
        (["--wave=eu-1,,eu-2"], "--wave names environments with commas between them, e.g. --wave=eu-1,eu-2."),
        (["--wave=eu-1", "--wave=eu-2,eu-1"], "--wave names eu-1 twice: each member is in one wave."),
    ],
)
def test_what_cannot_be_merged(tmp_path, capsys, typed, said):
    (tmp_path / "package.json").write_text('{"name": "no record"}', encoding="utf-8")
    assert main(["merge", str(tmp_path), *typed]) == 2
    assert capsys.readouterr().err == f"{said}\n"


def test_a_folder_that_is_not_there(tmp_path, capsys):
    assert main(["merge", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'none'}: No such file or directory\n"


def test_a_pipe_and_a_link_to_a_folder_above_hold_nothing_up(tmp_path, capsys):
    write_members(tmp_path, members())
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "again").symlink_to(tmp_path)
    assert main(["merge", str(tmp_path)]) == 0
    assert "pipe.json cannot be read: it is no regular file." in capsys.readouterr().err


def test_secrets_of_the_operators_words_are_taken_out_at_the_same_door(tmp_path):
    secret = "hunter2-and-more"
    record = rolled_back(WAVES).model_copy(update={"reason": f"the token {secret} leaked"})
    page = write_fleet(tmp_path, record, Redactor({"TOKEN": secret}))
    for path in tmp_path.iterdir():
        assert secret not in path.read_text(encoding="utf-8")
    assert "[redacted TOKEN]" in page.read_text(encoding="utf-8")


def test_a_member_that_is_the_same_is_not_cleaned_again_but_for_a_secret_that_is_learnt_meanwhile():
    record = rolled_back(WAVES, {"eu-2": "failed"}, until_wave=2)
    redactor = Redactor()
    first, second = redactor.fleet(record), redactor.fleet(sum_up(record))
    assert all(one is other for one, other in zip(first.members, second.members, strict=True))
    redactor.add("POOL_SIZE", "NAME")
    text = render_fleet_json(redactor.fleet(record))
    assert "POOL_SIZE" not in text
    assert redactor.fleet(record).redactions == text.count("[redacted NAME]") > 0


def test_what_is_read_again_is_what_was_written(tmp_path):
    record = rolled_back(regions(12), {"eu-02": "failed"}, until_wave=2)
    write_fleet(tmp_path, record, Redactor())
    found = read_folder(tmp_path)
    assert found.fleets[0] == record
    assert found.runs == ()


def test_a_folder_of_which_nothing_is_ours(tmp_path):
    with pytest.raises(UsageProblem):
        merge_folder(read_folder(tmp_path), Asked())


def test_a_run_is_small_enough_that_a_thousand_are_held():
    run = member_run(member_record("eu-1", "failed"))
    assert isinstance(run, MemberRun)
    assert len(run.model_dump_json()) < 5_000


def test_a_member_is_what_its_environment_says_and_no_other():
    stranger = member_run(member_record("mars-1"))
    record = merge(plan(WAVES), [stranger])
    assert "mars-1" not in {each.environment for each in record.members}
    assert record.members == tuple(
        Member(environment=name, wave=number) for number, names in enumerate(WAVES, 1) for name in names
    )
