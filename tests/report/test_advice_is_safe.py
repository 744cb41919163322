"""No proposed command makes it worse, and our own guard refuses none: random histories of a model of the release."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_zkrollback.domain.record import GuardState, Mode, Outcome, Record
from support.advice_model import HALF, HELM_ENDS, NOTHING, OK, Model, commands

CONTENTS = "abcd"
HELM = st.sampled_from((OK, OK, OK, *HELM_ENDS))


@st.composite
def runs(draw: st.DrawFn, model: Model) -> Record:
    """One run of ours, as an operator may type it, and what may become of it."""
    newest = model.rows[-1].number
    versions = (f"app:{content}" for content in CONTENTS)
    targets = (*range(1, newest + 2), 99, "previous", "last-verified", *versions)
    words = draw(
        st.one_of(
            st.just(""),
            st.sampled_from(targets).map(lambda target: f" --rollback-to={target}"),
            st.sampled_from(targets).map(lambda target: f" --rollback-to={target}"),
            st.just(" --rollback-recover"),
            st.just(" --rollback-plan"),
        )
    )
    if words and "--rollback-plan" not in words:
        words += draw(st.sampled_from(("", "", "", " --rollback-plan", " --rollback-override=target=so")))
    words += draw(st.sampled_from(("", "", "", " --rollback-waive=smoke=later")))
    return model.run(
        f"pytest --env=shop{words}",
        helm=draw(HELM),
        blind=draw(st.sampled_from((False, False, False, True))),
        looks=draw(st.booleans()),
        untold=draw(st.sampled_from((False, False, False, True))),
        drift=draw(st.sampled_from((False, False, False, True))),
        cut=draw(st.sampled_from(("", "", "", "", "before", "while", "after"))),
    )


@st.composite
def incidents(draw: st.DrawFn) -> tuple[Model, Record]:
    """A release with a past, and the newest run of ours."""
    model = Model(good=frozenset(draw(st.sets(st.sampled_from(CONTENTS)))))
    model.upgrade(draw(st.sampled_from(CONTENTS)))
    for _ in range(draw(st.integers(1, 6))):
        what = draw(st.sampled_from(("upgrade", "upgrade", "by hand", "ours", "ours", "wait", "uninstall")))
        if what == "upgrade":
            model.upgrade(draw(st.sampled_from(CONTENTS)), draw(st.sampled_from((OK, OK, OK, HALF, NOTHING))))
        elif what == "by hand":
            model.by_hand(draw(st.integers(1, model.rows[-1].number)))
        elif what == "ours":
            draw(runs(model))
        elif what == "wait":
            model.wait()
        else:
            model.uninstall()
    return model, draw(runs(model))


def typed_target(command: str) -> str:
    return next((word for word in command.split() if word.startswith("--rollback-to=")), "")


def is_operators_own(record: Record, command: str) -> bool:
    """What the operator typed, proposed again where nothing is known of what is live: no choice of ours."""
    if record.mode is Mode.VERIFY:
        return False
    if "--rollback-recover" in command:
        return record.helm.ran or "--rollback-recover" in record.command_line
    named = typed_target(record.command_line).rpartition("=")[2]
    return typed_target(command).rpartition("=")[2] in (named, str(record.target_revision))


@settings(max_examples=400, deadline=None)
@given(incidents())
def test_no_proposed_command_makes_it_worse_and_none_is_refused_for_its_target(
    incident: tuple[Model, Record],
) -> None:
    model, record = incident
    for command in commands(record):
        then, done = model.after(command)
        said = (record.command_line, record.outcome, record.next_commands, model.rows, model.live)
        if model.is_verified:
            assert then.live == model.live, said
        if not is_operators_own(record, command):
            assert then.serves or not model.serves, said
        if done is not None and typed_target(command):
            refused = {guard.id for guard in done.guards if guard.state == GuardState.REFUSED}
            assert "target" not in refused, (said, done.guards)


@settings(max_examples=100, deadline=None)
@given(incidents())
def test_who_follows_the_first_line_five_times_never_makes_it_worse(incident: tuple[Model, Record]) -> None:
    model, record = incident
    for _ in range(5):
        proposed = [each for each in commands(record) if each.startswith("pytest ")]
        if not proposed:
            break
        served = model.serves
        own = is_operators_own(record, proposed[0])
        model, done = model.after(proposed[0])
        assert done is not None
        assert model.serves or not served or own
        record = done


def test_an_incident_ends_restored_where_a_verified_revision_is_there() -> None:
    """6 of 5 in the haste, an upgrade that broke, helm that stops halfway: the first line leads out of each."""
    base = Model(good=frozenset("ab")).upgrade("a").upgrade("b")
    base.run("pytest --env=shop")
    base.upgrade("x")
    for line, ends in (
        ("pytest --env=shop", OK),
        ("pytest --env=shop --rollback-to=99", OK),
        ("pytest --env=shop --rollback-to=2", HALF),
        ("pytest --env=shop --rollback-to=2", NOTHING),
    ):
        model = deepcopy(base)
        record = model.run(line, helm=ends)
        for _ in range(5):
            proposed = commands(record)
            if not proposed:
                break
            model, done = model.after(proposed[0])
            assert done is not None
            record = done
        assert (model.serves, record.outcome) == (True, Outcome.VERIFIED), line


def test_what_failed_speaks_against_every_revision_that_holds_the_same() -> None:
    """1 and 4 are one content: that 4 fails lets the rollback to 1 that left 2 be undone."""
    model = Model(good=frozenset("b")).upgrade("a").upgrade("b").by_hand(1).upgrade("a").by_hand(4)
    record = model.run("pytest --env=shop")
    assert commands(record)[0] == "pytest --env=shop --rollback-to=2"
    then, done = model.after(commands(record)[0])
    assert done is not None
    assert done.outcome is Outcome.VERIFIED
    assert then.serves
