"""What helm did is read again while the API server restarts, for so long, and until we are told twice to stop."""

from types import SimpleNamespace

import pytest

from pytest_zkrollback.domain.errors import BadAnswer, Forbidden, Unreachable
from pytest_zkrollback.run import rollback_step
from support.stepping_clock import SteppingClock


@pytest.fixture
def context():
    env = SimpleNamespace(namespace="shop", release="zkprova")
    return SimpleNamespace(
        kube=None, env=env, clock=SteppingClock(), signals=SimpleNamespace(count=0), answers=[]
    )


@pytest.fixture
def read(monkeypatch, context):
    def fetch_history(kube, namespace, release, known):
        answer = context.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(rollback_step, "fetch_history", fetch_history)
    return lambda: rollback_step._read_again(context, None)


def test_a_server_that_restarts_is_waited_for(context, read):
    context.answers += [Unreachable("gone"), BadAnswer("starting"), "the history"]
    assert read() == "the history"
    assert context.clock.slept == [0.5, 0.5]


def test_it_ends_with_the_last_error_after_its_time(context, read):
    context.answers += [Unreachable("gone")] * 99
    with pytest.raises(Unreachable):
        read()
    assert sum(context.clock.slept) == pytest.approx(rollback_step.REREAD_S, abs=0.6)


def test_what_will_not_heal_is_not_asked_again(context, read):
    context.answers += [Forbidden("no", verb="list", resource="secrets")]
    with pytest.raises(Forbidden):
        read()
    assert context.clock.slept == []


@pytest.mark.parametrize(("told", "tries"), [(1, 2), (2, 1)])
def test_the_second_signal_ends_it(context, read, told, tries):
    context.signals.count = told
    context.answers += [Unreachable("gone"), "the history"]
    if told > 1:
        with pytest.raises(Unreachable):
            read()
    else:
        assert read() == "the history"
    assert 2 - len(context.answers) == tries
