"""Items of a repository's own: what the hook may give, and what its code can cost."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from pytest_zkrollback.api import CheckResult, CustomItem, Pending, Verdict, evidence
from pytest_zkrollback.checklist.custom import ItemContext, OwnCheck, parse_own_items
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.checks import History, Sample
from pytest_zkrollback.domain.errors import HttpProblem, UsageProblem, ZkRollbackError
from pytest_zkrollback.domain.ports import Stage

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONTEXT = ItemContext(
    environment=Environment(name="test", context="c", workloads={"app": "deployment/app"}),
    kube=None,
    http=None,
    since=NOW,
    revision=5,
)
GREEN = CheckResult(word=Verdict.PASS, observed="all is well")
TAKEN = ("smoke", "notify")


def item(**keys):
    usual = {"id": "own", "title": "Own", "expected": "well", "observe": lambda context: GREEN}
    return CustomItem(**{**usual, **keys})


def seen(*values):
    samples = tuple(
        Sample(at=NOW + timedelta(seconds=i), error=value)
        if isinstance(value, ZkRollbackError)
        else Sample(at=NOW + timedelta(seconds=i), value=value)
        for i, value in enumerate(values)
    )
    return History(samples=samples, since=NOW, judged_from=NOW)


def test_items_of_several_hooks_keep_their_order():
    first, second, third = item(id="a"), item(id="b"), item(id="c9-d")
    assert parse_own_items([[first], None, (), (second, third)], TAKEN) == (first, second, third)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("queue", "gave 'queue': return a list of CustomItem"),
        (7, "gave 7: return a list of CustomItem"),
        ([{"id": "queue"}], "gave a list with {'id': 'queue'} in it: return a list of CustomItem"),
        ([item(id="smoke")], "gave the item 'smoke': this id is taken; taken are notify, preflight, "),
        ([item(), item()], "gave the item 'own': this id is taken; taken are notify, own, preflight, "),
        ([item(id="release-equivalence")], "gave the item 'release-equivalence': this id is taken; "),
        ([item(id="metric-x")], "gave the item 'metric-x': ids that begin with metric- are for metrics"),
        ([item(id="rollout-x")], "gave the item 'rollout-x': ids that begin with rollout- are for rollouts"),
        *(
            (
                [item(id=name)],
                f"gave the item {name!r}: an id has up to 63 lower-case letters a to z, digits and dashes",
            )
            for name in ("", "Queue", "über", "a b", "a\n", "-a", "a-", "<b>", "x" * 64, 5, None)
        ),
        ([item(title=" ")], "gave the item 'own' with title=' ': it has to be a text"),
        ([item(expected=None)], "gave the item 'own' with expected=None: it has to be a text"),
        ([item(observe="f")], "gave the item 'own' with observe='f': it has to be a function"),
        ([item(judge=None)], "gave the item 'own' with judge=None: it has to be a function"),
        (
            [item(deadline_s=0)],
            "gave the item 'own' with deadline_s=0: it has to be seconds above 0 and up to",
        ),
        ([item(deadline_s=True)], "gave the item 'own' with deadline_s=True: it has to be seconds above 0"),
        ([item(deadline_s=float("nan"))], "gave the item 'own' with deadline_s=nan: it has to be seconds"),
        (
            [item(recheck_on_failure="yes")],
            "gave the item 'own' with recheck_on_failure='yes': it has to be True or False",
        ),
        ([item(interval_s="1")], "gave the item 'own' with interval_s='1': it has to be seconds above 0"),
    ],
)
def test_nonsense_is_a_sentence(answer, sentence):
    with pytest.raises(UsageProblem) as caught:
        parse_own_items([answer], TAKEN)
    assert str(caught.value).startswith(f"pytest_zkrollback_items {sentence}")
    assert str(caught.value).endswith("; helm did not run.")


def test_without_a_judge_the_newest_observation_decides():
    check = OwnCheck(item(), CONTEXT)
    pending = Pending(observed="not yet", seen=True)
    assert check.judge(seen(pending, GREEN), NOW) == GREEN
    assert check.judge(seen(GREEN, pending), NOW) == pending
    assert check.judge(seen(), NOW) == Pending(observed="not looked at yet", seen=False)
    gone = HttpProblem("no route")
    assert check.judge(seen(GREEN, gone), NOW) == Pending(observed="no route", seen=False)


def test_a_judge_gets_everything_that_was_seen():
    check = OwnCheck(
        item(judge=lambda history, now: CheckResult(word=Verdict.FAIL, observed=str(len(history.judged)))),
        CONTEXT,
    )
    assert check.judge(seen(1, 2, 3), NOW) == CheckResult(word=Verdict.FAIL, observed="3")


@pytest.mark.parametrize("raised", [ValueError("boom"), SystemExit("boom"), pytest.fail.Exception("boom")])
def test_what_observe_raises_was_not_seen_and_is_tried_again(raised):
    def observe(context):
        raise raised

    check = OwnCheck(item(observe=observe), CONTEXT)
    with pytest.raises(ZkRollbackError) as caught:
        check.observe()
    text = f"its observe raised {type(raised).__name__}: boom"
    assert str(caught.value) == text
    assert check.judge(seen(caught.value), NOW) == Pending(observed=text, seen=False)


@pytest.mark.parametrize(
    ("value", "observed"),
    [
        (None, "it was judged None, which is no verdict: give a CheckResult or a Pending"),
        (True, "it was judged True, which is no verdict: give a CheckResult or a Pending"),
        (
            CheckResult(word=Verdict.WAIVED, observed="never mind"),
            "it was judged WAIVED, and that is the operator's word: --rollback-waive",
        ),
    ],
)
def test_what_is_no_verdict_is_never_green(value, observed):
    judgement = OwnCheck(item(), CONTEXT).judge(seen(value), NOW)
    assert judgement == CheckResult(word=Verdict.UNVERIFIED, observed=observed)


def test_a_judge_that_raises_is_unverified():
    check = OwnCheck(item(judge=lambda history, now: 1 / 0), CONTEXT)
    assert check.judge(seen(1), NOW) == CheckResult(
        word=Verdict.UNVERIFIED, observed="its judge raised ZeroDivisionError: division by zero"
    )


def test_a_judge_that_hangs_holds_up_nobody(monkeypatch):
    monkeypatch.setattr("pytest_zkrollback.checklist.custom._JUDGE_S", 0.05)
    over = threading.Event()
    check = OwnCheck(item(judge=lambda history, now: over.wait(20) and GREEN), CONTEXT)
    assert check.judge(seen(1), NOW) == CheckResult(
        word=Verdict.UNVERIFIED, observed="its judge gave no answer within 0.05 s; it may do no IO"
    )
    over.set()


def test_evidence_is_cut_like_everybodys():
    big = evidence("answer", "x" * 100, "log").model_copy(update={"text": "y" * 1_000_000})
    for judgement in (GREEN, Pending(observed="not yet", seen=True)):
        judged = OwnCheck(item(), CONTEXT).judge(seen(judgement.model_copy(update={"evidence": (big,)})), NOW)
        [kept] = judged.evidence
        assert (kept.title, kept.kind, kept.size_bytes) == ("answer", "log", 1_000_000)
        assert len(kept.text) < 70_000


@pytest.mark.parametrize(("after", "stage"), [(True, Stage.AFTER_ROLLOUTS), (False, Stage.IMMEDIATE)])
def test_stage(after, stage):
    assert OwnCheck(item(after_rollouts=after), CONTEXT).stage is stage
