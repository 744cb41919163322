"""Who may begin, and why somebody did not: the pure part."""

import pytest

from pytest_zkrollback.domain.fleet import MemberReason, StopRule
from pytest_zkrollback.fleet.waves import Stage, Waves, most_failures

FIRST_FAILURE = StopRule(failures=0)
WAVES = (("canary",), ("eu-1", "eu-2", "eu-3"), ("us-1",))


def play(waves, **ends):
    """Begin and end these, one after another; ``ends`` maps a member (with _ for -) to green or not."""
    for member, is_green in ends.items():
        waves.begin(member.replace("_", "-"))
        waves.end(member.replace("_", "-"), is_green=is_green)


def test_a_wave_begins_when_the_one_before_it_has_ended():
    waves = Waves(WAVES, FIRST_FAILURE, 2)
    assert waves.startable() == ("canary",)
    waves.begin("canary")
    assert waves.startable() == ()
    waves.end("canary", is_green=True)
    assert waves.startable() == ("eu-1", "eu-2")
    waves.begin("eu-1")
    assert waves.startable() == ("eu-2",)
    waves.begin("eu-2")
    assert waves.startable() == ()
    waves.end("eu-1", is_green=True)
    assert waves.startable() == ("eu-3",)
    assert not waves.is_over


def test_after_the_first_failure_nobody_begins_and_whoever_runs_goes_on():
    waves = Waves(WAVES, FIRST_FAILURE, 2)
    play(waves, canary=True)
    waves.begin("eu-1")
    waves.begin("eu-2")
    waves.end("eu-1", is_green=False)
    assert waves.startable() == ()
    assert not waves.is_over
    waves.end("eu-2", is_green=True)
    assert waves.is_over
    found = waves.not_started()
    assert {member: why.reason for member, why in found.items()} == {
        "eu-3": MemberReason.STOPPED,
        "us-1": MemberReason.WAVE_FAILED,
    }
    assert found["us-1"].said == "not started: wave 2 failed"


def test_a_tolerated_failure_stops_neither_its_wave_nor_the_next():
    waves = Waves(WAVES, StopRule(failures=1), 3)
    play(waves, canary=False, eu_1=True, eu_2=True, eu_3=True)
    assert waves.startable() == ("us-1",)
    play(waves, us_1=True)
    assert waves.is_over
    assert waves.not_started() == {}


def test_an_interruption_is_no_failure_of_a_wave():
    waves = Waves(WAVES, FIRST_FAILURE, 3)
    play(waves, canary=True)
    waves.begin("eu-1")
    waves.interrupt()
    assert waves.startable() == ()
    waves.end("eu-1", is_green=True)
    assert waves.is_over
    assert {why.reason for why in waves.not_started().values()} == {MemberReason.INTERRUPTED}
    assert set(waves.not_started()) == {"eu-2", "eu-3", "us-1"}


def test_whoever_was_handed_over_and_not_begun_waits_again():
    waves = Waves(WAVES, FIRST_FAILURE, None)
    play(waves, canary=True)
    for member in waves.startable():
        waves.begin(member)
    waves.end("eu-1", is_green=False)
    waves.take_back(["eu-3"])
    waves.end("eu-2", is_green=True)
    assert waves.is_over
    assert waves.stages["eu-3"] is Stage.WAITING
    assert set(waves.not_started()) == {"eu-3", "us-1"}


def test_who_may_not_begin_is_not_begun():
    waves = Waves(WAVES, FIRST_FAILURE, 1)
    with pytest.raises(RuntimeError, match="us-1 may not begin now"):
        waves.begin("us-1")
    play(waves, canary=True)
    with pytest.raises(RuntimeError, match="canary may not begin now"):
        waves.begin("canary")


@pytest.mark.parametrize(
    ("stop", "members", "most"),
    [
        (StopRule(failures=0), 40, 0),
        (StopRule(failures=3), 40, 3),
        (StopRule(share=0.2), 40, 8),
        (StopRule(share=0.2), 4, 0),
        (StopRule(share=0.07), 100, 7),
        (StopRule(share=0.29), 100, 29),
        (StopRule(share=1.0), 7, 7),
        (StopRule(), 7, 7),
    ],
)
def test_how_many_may_fail(stop, members, most):
    assert most_failures(stop, members) == most
