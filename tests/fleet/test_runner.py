"""The runner against a model: who is rolled back, whatever fails, is killed or interrupted."""

import itertools
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_zkrollback.domain.fleet import (
    FleetRecord,
    Member,
    MemberReason,
    MemberState,
    ReleaseVersion,
    StopRule,
    Wave,
    WaveState,
)
from pytest_zkrollback.domain.record import Mode, Outcome
from pytest_zkrollback.fleet.book import FleetBook
from pytest_zkrollback.fleet.command_journal import FleetJournal, Wanted, find_unfinished
from pytest_zkrollback.fleet.engines.interface import MemberResult, Phase
from pytest_zkrollback.fleet.fleet_run import exit_code
from pytest_zkrollback.fleet.runner import FleetRunner, Order
from pytest_zkrollback.fleet.waves import most_failures
from pytest_zkrollback.report.fleet.fleet_terminal import render_fleet_last_lines
from pytest_zkrollback.report.fleet.words import member_word
from support.memory_engine import AT, ClusterOfMember, Killed, MemoryEngine, World, work_result

TARGET = "--rollback-to=app:1"
FIRST_FAILURE = StopRule(failures=0)


class TickClock:
    def __init__(self):
        self.passed_s = 0.0

    def now(self):
        return AT

    own_now = now

    def monotonic_s(self):
        return self.passed_s

    def sleep(self, seconds):
        self.passed_s += seconds


class Heard:
    """Ctrl-C once the engine was asked so often for runs; None: never."""

    def __init__(self, engine, at, in_preflight=False):
        self.engine, self.at, self.in_preflight = engine, at, in_preflight

    @property
    def count(self):
        if self.in_preflight:
            return int(bool(self.engine.begun))
        return int(self.at is not None and self.engine.polls >= self.at)


class Command:
    """The operator's command in a world; typed again it goes on with what was killed."""

    def __init__(self, folder, waves, world, stop=FIRST_FAILURE, at_once=2, mode=Mode.ROLLBACK):
        self.folder, self.waves, self.world, self.stop = folder, waves, world, stop
        self.at_once, self.mode, self.pause_s = at_once, mode, 0.0
        self.numbers = itertools.count(1)
        self.told = []

    def type(self, *, die_at=None, interrupt_at=None, whole_waves=False, interrupt_in_preflight=False):
        engine = self.engine = MemoryEngine(self.world, whole_waves=whole_waves, die_at=die_at)
        wanted = Wanted("prod", "rollback", "app:1", self.waves)
        found = find_unfinished(self.folder, wanted, AT)
        run_id = found.fleet_run_id if found else f"{next(self.numbers):08}"
        journal = FleetJournal(found.folder if found else self.folder / f"2026-{run_id}")
        assert journal.open()
        if found is None:
            journal.note("begun", **asdict(wanted), fleet_run_id=run_id, started_at=AT.isoformat())
        numbered = list(enumerate(self.waves, 1))
        record = FleetRecord(
            fleet="prod",
            fleet_run_id=run_id,
            mode=self.mode,
            started_at=AT,
            members=tuple(
                Member(environment=name, wave=number) for number, wave in numbered for name in wave
            ),
            waves=tuple(Wave(number=number, members=wave) for number, wave in numbered),
        )
        self.book = FleetBook(record, lambda _: None)
        changes = self.mode is not Mode.VERIFY
        order = Order(
            waves=self.waves,
            stop=self.stop,
            at_once=self.at_once,
            pause_s=self.pause_s,
            mode=self.mode,
            words=lambda member, phase: (
                f"--zkrollback-fleet-member={member}",
                *([TARGET] if changes else []),
            ),
            environ=lambda run_id: {},
        )
        self.clock = TickClock()
        runner = FleetRunner(
            order,
            engine,
            self.book,
            journal,
            self.clock,
            Heard(engine, interrupt_at, interrupt_in_preflight),
            on_change=self.told.append,
            orphans=found.open if found else {},
            remember=lambda: self._remember(found),
        )
        try:
            runner.run()
        except Killed:
            journal.close()
            return None
        self.book.end(AT)
        journal.note("ended")
        journal.close()
        return self.book.record

    def _remember(self, found):
        ids = [run_id for runs in (found.runs.values() if found else ()) for run_id in runs]
        self.book.remember(self.world.left[run_id] for run_id in ids if run_id in self.world.left)


def model(waves, clusters, stop, at_once, commands):
    """How often each member is rolled back; written without the runner's own words."""
    done, rolled = set(), Counter()
    if any(cluster.ends == "refuses" for cluster in clusters.values()):
        return rolled
    may_fail = most_failures(stop, len(clusters))

    def finish(member):
        if member not in done:
            rolled[member] += 1
            done.add(member)

    for die_at, interrupt_at in commands:
        running, failed, polls, starts = {}, 0, 0, 0
        left = [list(wave) for wave in waves]
        while True:
            heard = interrupt_at is not None and polls >= interrupt_at
            if heard:
                running = dict.fromkeys(running, 1)
            while left and not left[0] and not running:
                left.pop(0)
            begins = []
            if not heard and failed <= may_fail and left:
                begins = left[0][: at_once - len(running)]
            if not begins and not running:
                break
            if begins:
                starts += 1
                if die_at == ("start", starts):
                    break
                del left[0][: len(begins)]
                running |= {member: clusters[member].takes for member in begins}
            polls += 1
            if die_at == ("poll", polls):
                break
            running = {member: ticks - 1 for member, ticks in running.items()}
            for member in [member for member, ticks in running.items() if not ticks]:
                del running[member]
                finish(member)
                failed += clusters[member].ends != "green" or heard
        for member in running:  # they outlive the command that began them
            finish(member)
    return rolled


names = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(
    lambda sizes: tuple(
        tuple(f"w{number}-{place}" for place in range(size)) for number, size in enumerate(sizes, 1)
    )
)
ends = st.sampled_from(["green"] * 8 + ["red", "silent"])
stops = st.one_of(
    st.integers(0, 3).map(lambda most: StopRule(failures=most)),
    st.sampled_from([0.1, 0.25, 0.5, 1.0]).map(lambda share: StopRule(share=share)),
)
deaths = st.one_of(st.none(), st.tuples(st.sampled_from(["poll", "start"]), st.integers(1, 8)))
commands_typed = st.lists(
    st.tuples(deaths, st.one_of(st.none(), st.none(), st.integers(0, 6))), min_size=1, max_size=4
)


def rollbacks(clusters):
    return Counter({name: each.rollbacks for name, each in clusters.items() if each.rollbacks})


@given(st.data(), names, stops, st.integers(1, 5), commands_typed)
@settings(max_examples=400)
def test_a_model_and_the_runner_agree_on_who_was_rolled_back(data, waves, stop, at_once, commands):
    members = [member for wave in waves for member in wave]
    refuser = data.draw(st.one_of(*[st.none()] * 9, st.sampled_from(members)), "refuses")
    clusters = {
        member: ClusterOfMember(
            "refuses" if member == refuser else data.draw(ends, member), data.draw(st.integers(1, 4), member)
        )
        for member in members
    }
    expected = model(waves, clusters, stop, at_once, commands)
    with TemporaryDirectory() as folder:
        command = Command(Path(folder), waves, World(clusters), stop, at_once)
        for die_at, interrupt_at in commands:
            record = command.type(die_at=die_at, interrupt_at=interrupt_at)
            assert command.engine.most <= at_once
            if record is not None:
                check_record(record, clusters, stop, command)
        while command.world.at_work:  # what was killed last goes on, and nobody looks
            command.world.tick()
    assert rollbacks(clusters) == expected
    assert max(rollbacks(clusters).values(), default=0) <= 1


def check_record(record, clusters, stop, command):
    """What the record says is what happened, and nobody began after the stop."""
    assert record.outcome is not Outcome.RUNNING
    bad = [
        each
        for each in record.members
        if each.state in (MemberState.FINISHED, MemberState.UNKNOWN)
        and clusters[each.environment].ends != "green"
    ]
    if record.outcome is Outcome.VERIFIED:
        assert all(cluster.at_target and cluster.ends == "green" for cluster in clusters.values())
    if len(bad) > most_failures(stop, len(clusters)):
        last = max(each.wave for each in bad)
        assert {each.state for each in record.members if each.wave > last} <= {MemberState.NOT_STARTED}
    for each in record.members:
        if each.state is MemberState.NOT_STARTED:
            assert each.reason is not None
            assert (each.environment, Phase.RUN) not in command.engine.begun
        if each.helm_ran:
            assert clusters[each.environment].rollbacks == 1


@given(names, stops, st.integers(1, 5), st.data())
@settings(max_examples=150)
def test_an_engine_that_takes_whole_waves_rolls_back_the_same_members(waves, stop, at_once, data):
    members = [member for wave in waves for member in wave]
    clusters = {
        member: ClusterOfMember(data.draw(ends, member), data.draw(st.integers(1, 4), member))
        for member in members
    }
    expected = model(waves, clusters, stop, at_once, [(None, None)])
    with TemporaryDirectory() as folder:
        command = Command(Path(folder), waves, World(clusters), stop, at_once)
        command.type(whole_waves=True)
    assert rollbacks(clusters) == expected
    assert command.engine.most <= at_once


@pytest.fixture
def fleet(tmp_path):
    def prepare(waves=(("a",), ("b", "c"), ("d",)), **more):
        clusters = {name: ClusterOfMember() for wave in waves for name in wave}
        return Command(tmp_path, waves, World(clusters), **more), clusters

    return prepare


def test_one_refusal_and_nothing_has_run(fleet):
    command, clusters = fleet()
    clusters["d"].ends = "refuses"
    record = command.type()
    assert record.outcome is Outcome.REFUSED
    assert [phase for _, phase in command.engine.begun] == [Phase.PLAN] * 4
    assert record.find_member("d").first_failed.observed == "Flux owns it"
    assert record.find_member("a").reason is MemberReason.OTHERS_REFUSED


def test_all_members_are_asked_although_the_first_refuses(fleet):
    command, clusters = fleet()
    clusters["a"].ends = clusters["c"].ends = "refuses"
    record = command.type()
    refused = [each.environment for each in record.members if each.state is MemberState.REFUSED]
    assert refused == ["a", "c"]


def test_members_at_the_target_are_verified_only(fleet):
    command, clusters = fleet()
    clusters["b"].at_target = True
    record = command.type()
    assert record.find_member("b").state is MemberState.FINISHED
    assert record.find_member("b").outcome is Outcome.VERIFIED
    assert clusters["b"].rollbacks == 0
    assert record.find_member("b").reason is MemberReason.AT_TARGET
    assert record.find_member("b").helm_ran is False


def test_a_failed_wave_stops_the_rest_and_they_say_so(fleet):
    command, clusters = fleet()
    clusters["c"].ends = "red"
    record = command.type()
    assert record.outcome is Outcome.FAILED
    assert [wave.state for wave in record.waves] == [WaveState.DONE, WaveState.FAILED, WaveState.NOT_STARTED]
    assert record.find_member("d").said == "not started: wave 2 failed"
    assert rollbacks(clusters) == {"a": 1, "b": 1, "c": 1}


def test_without_a_record_a_member_is_unknown_and_stops_the_rest(fleet):
    command, clusters = fleet()
    clusters["a"].ends = "silent"
    record = command.type()
    member = record.find_member("a")
    assert (member.state, member.reason, member.exit_code) == (
        MemberState.UNKNOWN,
        MemberReason.NO_RECORD,
        -9,
    )
    assert record.outcome is Outcome.UNVERIFIED
    assert record.find_member("b").state is MemberState.NOT_STARTED


def test_verifying_asks_no_preflight_and_changes_nothing(fleet):
    command, clusters = fleet(mode=Mode.VERIFY)
    record = command.type()
    assert {each.outcome for each in record.members} == {Outcome.VERIFIED}
    assert {phase for _, phase in command.engine.begun} == {Phase.RUN}
    assert rollbacks(clusters) == {}


def test_verifying_looks_at_every_member_although_the_first_fails(fleet):
    command, clusters = fleet(mode=Mode.VERIFY)
    clusters["a"].ends = "red"
    record = command.type()
    assert record.outcome is Outcome.FAILED
    assert [each.outcome for each in record.members] == [Outcome.FAILED] + [Outcome.VERIFIED] * 3


def test_a_rehearsal_is_the_preflights_alone(fleet):
    command, clusters = fleet(mode=Mode.PLAN)
    record = command.type()
    assert record.outcome is Outcome.PLANNED
    assert {phase for _, phase in command.engine.begun} == {Phase.PLAN}
    assert rollbacks(clusters) == {}


def test_a_killed_command_is_resumed_under_its_own_id(fleet):
    command, clusters = fleet()
    for cluster in clusters.values():
        cluster.takes = 3
    assert command.type(die_at=("poll", 5)) is None  # wave 1 took 3 polls: b and c are at work
    killed = command.book.record.fleet_run_id
    record = command.type()
    assert record.fleet_run_id == killed
    assert "waiting for b, c, which the command that was killed had begun" in command.told
    assert {each.outcome for each in record.members} == {Outcome.VERIFIED}
    assert rollbacks(clusters) == {"a": 1, "b": 1, "c": 1, "d": 1}
    done = MemberReason.DONE_BEFORE
    assert {each.environment: each.reason for each in record.members} == {
        "a": done,
        "b": done,
        "c": done,
        "d": None,
    }


def test_who_goes_on_after_a_kill_and_ctrl_c_is_not_called_not_started(fleet):
    command, clusters = fleet()
    for cluster in clusters.values():
        cluster.takes = 50
    clusters["a"].takes = 1
    assert command.type(die_at=("poll", 3)) is None  # b and c are at work, and go on
    record = command.type(interrupt_at=0)
    assert {each.environment: member_word(each) for each in record.members} == {
        "a": "NOT STARTED",
        "b": "NOT FINISHED",
        "c": "NOT FINISHED",
        "d": "NOT STARTED",
    }
    assert record.outcome is Outcome.INTERRUPTED
    last = render_fleet_last_lines(record, "x")
    assert "NOT FINISHED b: begun by the command that was killed; it goes on, and was not waited for" in last
    assert "of 2 it is not known (b and c)" in last
    assert "not known: 4 members" in last


def test_where_all_that_is_left_goes_on_the_run_was_interrupted_all_the_same(fleet):
    command, clusters = fleet(waves=(("a",),))
    clusters["a"].takes = 50
    assert command.type(die_at=("poll", 1)) is None
    record = command.type(interrupt_at=0)
    assert (record.outcome, exit_code(record)) == (Outcome.INTERRUPTED, 2)
    assert record.summary == "Fleet prod is interrupted: 1 not finished (a)."


def test_who_has_finished_here_is_never_called_at_work_whatever_an_engine_says(fleet):
    """A blip at the management cluster: an engine that cannot look says that all still work."""
    command, _ = fleet()
    command.type()
    before = command.book.record
    command.book.go_on({"a": "0dd00000"})
    assert command.book.record == before


def test_a_fleet_run_that_ended_is_not_resumed(fleet):
    command, clusters = fleet()
    clusters["c"].ends = "red"
    first = command.type()
    second = command.type()
    assert first.fleet_run_id != second.fleet_run_id
    assert clusters["c"].rollbacks == 1
    assert second.find_member("a").reason is MemberReason.AT_TARGET


def test_between_two_waves_it_waits(fleet):
    command, _ = fleet()
    command.pause_s = 60
    command.type()
    assert 120 <= command.clock.passed_s < 125
    assert "wave 1 has ended; wave 2 begins in 60 s" in command.told


def test_ctrl_c_ends_whoever_runs_and_says_who_is_where(fleet):
    command, clusters = fleet()
    clusters["b"].takes = clusters["c"].takes = 50
    record = command.type(interrupt_at=2)
    assert record.outcome is Outcome.INTERRUPTED
    assert [each.environment for each in record.members if each.state is MemberState.NOT_STARTED] == ["d"]
    assert rollbacks(clusters) == {"a": 1, "b": 1, "c": 1}
    assert record.find_member("d").said == "not started: the fleet's run was interrupted"


def killed_after_wave_1(fleet):
    command, clusters = fleet()
    assert command.type(die_at=("poll", 2)) is None
    assert rollbacks(clusters)["a"] == 1
    return command, clusters


def test_a_guard_that_refuses_when_the_command_is_typed_again_is_named(fleet):
    """Of the member that the killed command had rolled back it is not said that nothing was changed."""
    command, clusters = killed_after_wave_1(fleet)
    clusters["a"].ends = "refuses"
    record = command.type()
    member = record.find_member("a")
    assert (member.first_failed.id, member.first_failed.observed) == ("gitops", "Flux owns it")
    assert member.helm_ran is True
    assert member_word(member) == "REFUSED"
    assert record.outcome is Outcome.UNVERIFIED
    assert "1 refused (a: gitops)" in record.summary
    assert "Nothing was changed" not in record.summary


def test_a_preflight_that_fails_without_a_record_does_not_show_an_earlier_runs_failure(fleet):
    command, _ = fleet()
    runs = [work_result("a", "red", Phase.RUN, rolls_back=True).run]
    command.type(interrupt_at=0)
    book = FleetBook(command.book.record.model_copy(update={"finished_at": None}), lambda _: None)
    book.remember(runs)
    book.ended(MemberResult("a", "e0000000", Phase.PLAN, 4, None, "it left no record"), AT)
    found = book.record.find_member("a")
    assert (found.state, found.first_failed.observed) == (MemberState.REFUSED, "it left no record")


def test_ctrl_c_while_preflights_run_is_an_interruption_and_no_refusal(fleet, monkeypatch):
    command, clusters = fleet()
    monkeypatch.setattr(World, "takes_of", lambda self, job: 3)
    record = command.type(interrupt_in_preflight=True)
    assert record.outcome is Outcome.INTERRUPTED
    assert exit_code(record) == 2
    assert {each.state for each in record.members} == {MemberState.NOT_STARTED}
    assert {each.said for each in record.members} == {"not started: the fleet's run was interrupted"}
    assert rollbacks(clusters) == {}


def test_a_member_that_ctrl_c_ends_before_its_record_makes_the_run_interrupted(fleet):
    command, clusters = fleet()
    clusters["a"].ends, clusters["a"].takes = "silent", 9
    record = command.type(interrupt_at=1)
    assert exit_code(record) == 2
    member = record.find_member("a")
    assert (member.state, member.said) == (
        MemberState.UNKNOWN,
        "interrupted, and it left no record: what is live is not known",
    )


def test_what_an_earlier_run_saw_is_not_what_a_run_without_a_record_left(fleet):
    command, _ = fleet(waves=(("a",),))
    command.type(interrupt_at=0)
    book = FleetBook(command.book.record.model_copy(update={"finished_at": None}), lambda _: None)
    earlier = work_result("a", "green", Phase.RUN, rolls_back=True).run
    live = ReleaseVersion(revision=7, app_version="1.8.0")
    book.remember([earlier.model_copy(update={"after": live})])
    book.ended(MemberResult("a", "e0000000", Phase.RUN, -9, None, "it left no record"), AT)
    text = render_fleet_last_lines(book.record, "x")
    assert "  not known: 1 member (a)" in text.splitlines()
    member = book.record.find_member("a")
    assert (member.outcome, member.items, member.helm_ran) == (None, (), True)
    assert len(member.earlier_run_ids) == 1


def test_begun_before_is_not_rolled_back_before(fleet):
    """Its first run was there and helm did not run in it: what is live was there already."""
    command, clusters = fleet()
    clusters["a"].at_target = True
    assert command.type(die_at=("poll", 2)) is None
    record = command.type()
    member = record.find_member("a")
    assert (member.reason, member.helm_ran) == (MemberReason.AT_TARGET, False)
