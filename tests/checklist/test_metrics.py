"""The judge of metrics: a table of histories, and generated curves."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_zkrollback.checklist.metrics import MetricCheck, judge_samples
from pytest_zkrollback.config.environment import Metric, Metrics
from pytest_zkrollback.domain.checks import History, Sample
from pytest_zkrollback.domain.metric import NoValueKind, Reading
from pytest_zkrollback.domain.verdict import Pending, Verdict
from pytest_zkrollback.engine.metric_sample import gap_s, read_sample

HELM_END = datetime(2026, 11, 23, 12, tzinfo=UTC)
SETTLE_S, FOR_S, DEADLINE_S = 120.0, 60.0, 300.0
EMPTY = Reading(kind=NoValueKind.EMPTY, text="the query has no series")
NAN = Reading(kind=NoValueKind.NOT_A_NUMBER, text="the query's value is NaN")
GONE = Reading(kind=NoValueKind.NO_ANSWER, text="http://prometheus refuses connections")
SEVERAL = Reading(kind=NoValueKind.SEVERAL, text="the query has 3 series where one is meant")
STALE = Reading(kind=NoValueKind.STALE, text="the newest value is 90 s old")


def metric(**keys):
    known = {
        "id": "e",
        "title": "Errors",
        "query": "x",
        "max": 1,
        "unit": "%",
        "settle_s": SETTLE_S,
        "for_s": FOR_S,
    }
    return Metric(**{**known, "deadline_s": DEADLINE_S, **keys})


def at(seconds):
    return HELM_END + timedelta(seconds=seconds)


def samples(*parts, of=None, every_s=3):
    """Parts are (from, until, value or Reading)."""
    found = []
    for start, end, given_value in parts:
        reading = given_value if isinstance(given_value, Reading) else Reading(value=float(given_value))
        second = start
        while second < end:
            found.append(read_sample(of or metric(), at(second), reading))
            second += every_s
    return tuple(found)


def judged(now_s, *parts, **keys):
    of = metric(**keys)
    return judge_samples(of, samples(*parts, of=of), HELM_END, at(now_s))


def test_in_order_for_long_enough_after_it_settled_is_a_pass():
    found = judged(183, (-60, 100, 40), (100, 183, 0.25))
    assert found.word is Verdict.PASS
    assert found.observed == "At most 0.25 % in 60 s (limit: at most 1 %), 21 samples."
    assert found.limits == ()


@pytest.mark.parametrize(
    ("keys", "value", "observed"),
    [
        ({"max": None, "min": 5}, 7, "At least 7 % in 60 s (limit: at least 5 %), 21 samples."),
        ({"min": 0}, 0.5, "0.5 % to 0.5 % in 60 s (limit: at least 0 % and at most 1 %), 21 samples."),
        ({"unit": ""}, 0.5, "At most 0.5 in 60 s (limit: at most 1), 21 samples."),
    ],
)
def test_the_line_says_what_was_seen_and_what_the_limit_is(keys, value, observed):
    assert judged(183, (100, 183, value), **keys).observed == observed


@pytest.mark.parametrize(
    ("now_s", "parts", "said", "failing", "until_s"),
    [
        pytest.param(10, [], "Not answered yet", False, 180, id="nothing yet"),
        pytest.param(
            60,
            [(-60, 60, 40)],
            "40 % (limit: at most 1 %); counts from 12:02:00 UTC on",
            False,
            180,
            id="the incident's window is no failure",
        ),
        pytest.param(
            60, [(0, 60, GONE)], f"{GONE.text}; counts from 12:02:00 UTC on", False, 180, id="gone, early"
        ),
        pytest.param(
            150,
            [(0, 150, 0.5)],
            "0.5 % (limit: at most 1 %); in order for 27 of 60 s",
            False,
            180,
            id="what was in order before it settled does not count",
        ),
        pytest.param(150, [(0, 150, 3)], "3 % (limit: at most 1 %)", True, 300, id="out of bounds"),
        pytest.param(
            200,
            [(100, 150, 3), (150, 200, 0.5)],
            "0.5 % (limit: at most 1 %); in order for 48 of 60 s",
            False,
            210,
            id="in order since a while",
        ),
        pytest.param(170, [(120, 170, EMPTY)], EMPTY.text, False, 300, id="no series"),
    ],
)
def test_until_then_it_is_pending(now_s, parts, said, failing, until_s):
    found = judged(now_s, *parts)
    assert isinstance(found, Pending)
    assert (found.observed, found.failing, found.watch_until) == (said, failing, at(until_s))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        pytest.param(
            [(-60, 300, 4.2)],
            "4.2 % at 12:04:57 UTC (limit: at most 1 %), at its deadline; out of bounds since 12:02:00 UTC.",
            id="never in order",
        ),
        pytest.param(
            [(120, 240, 0.5), (240, 300, float("inf"))],
            "inf % at 12:04:57 UTC (limit: at most 1 %), at its deadline; out of bounds since 12:04:00 UTC.",
            id="+Inf is out of bounds",
        ),
        pytest.param(
            [(120, 270, 3), (270, 300, 0.5)],
            "3 % at 12:04:27 UTC (limit: at most 1 %), at its deadline; out of bounds since 12:02:00 UTC; in order "
            "after that, but not for 60 s.",
            id="in order too late",
        ),
        pytest.param(
            [(120, 291, 3), (291, 300, GONE)],
            "3 % at 12:04:48 UTC (limit: at most 1 %), at its deadline; out of bounds since 12:02:00 UTC.",
            id="an answer that did not come hides nothing",
        ),
    ],
)
def test_out_of_bounds_at_the_deadline_is_a_fail(parts, said):
    found = judged(300, *parts)
    assert (found.word, found.observed) == (Verdict.FAIL, said)
    assert isinstance(judged(299, *parts), Pending)


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        pytest.param([], "no answer came after settle_s", id="nothing at all"),
        pytest.param([(-60, 100, 40)], "no answer came after settle_s", id="killed before it settled"),
        pytest.param([(120, 300, EMPTY)], EMPTY.text, id="no series"),
        pytest.param([(120, 300, NAN)], NAN.text, id="NaN"),
        pytest.param([(120, 300, SEVERAL)], SEVERAL.text, id="several series"),
        pytest.param([(120, 300, STALE)], STALE.text, id="stale"),
        pytest.param(
            [(120, 300, Reading(value=float("-inf")))],
            "the query's value is -inf, and that is no measurement",
            id="-Inf",
        ),
        pytest.param([(-60, 130, 3), (130, 300, GONE)], GONE.text, id="gone while it was bad"),
        pytest.param([(120, 250, 0.5), (250, 300, GONE)], GONE.text, id="gone while it was good"),
        pytest.param([(120, 291, 3), (291, 300, EMPTY)], EMPTY.text, id="what was bad has no series now"),
        pytest.param([(120, 200, 0.5)], "the last value is 1 min 42 s old", id="the feed stood still"),
        pytest.param(
            [(120, 130, 0.5), (200, 250, EMPTY), (270, 300, 0.5)],
            "in order for 27 of 60 s only; before that there was no value",
            id="a gap",
        ),
    ],
)
def test_what_is_not_known_at_the_deadline_is_unverified(parts, why):
    found = judged(300, *parts)
    assert (found.word, found.observed) == (Verdict.UNVERIFIED, f"Not known at its deadline: {why}.")


def test_a_lost_answer_is_no_gap_and_an_empty_one_is():
    good = [(120, 150, 0.5), (159, 186, 0.5)]
    assert judged(186, *good).word is Verdict.PASS
    assert judged(186, good[0], (150, 159, GONE), good[1]).word is Verdict.PASS
    assert isinstance(judged(186, good[0], (150, 159, EMPTY), good[1]), Pending)
    assert isinstance(judged(186, (120, 150, 0.5), (168, 186, 0.5)), Pending)


def test_a_pass_that_is_watched_on_is_none_any_more_when_it_goes_out_of_bounds():
    assert isinstance(judged(250, (120, 240, 0.5), (240, 250, 3)), Pending)
    assert judged(300, (120, 240, 0.5), (240, 250, 3), (250, 300, 0.5)).word is Verdict.FAIL


def test_what_when_empty_stood_in_for_is_counted():
    found = judged(183, (120, 150, EMPTY), (150, 160, NAN), (160, 183, 0.5), when_empty=0)
    assert found.word is Verdict.PASS
    assert found.observed == (
        "At most 0.5 % in 61 s (limit: at most 1 %), 22 samples, 14 of them without a value and counted as 0 "
        "(when_empty)."
    )
    assert found.limits == ()


def test_a_pass_on_nothing_but_when_empty_says_so_in_the_runs_summary():
    found = judged(183, (120, 183, EMPTY), when_empty=0)
    assert found.word is Verdict.PASS
    assert found.limits == ("Not checked: metric e had no value at all, and when_empty stands in for it.",)


GOOD = st.floats(0, 0.9).map(lambda value: Reading(value=value))
OTHER = st.one_of(
    st.floats(1.1, 9).map(lambda value: Reading(value=value)),
    st.sampled_from(
        [EMPTY, NAN, GONE, SEVERAL, STALE, Reading(value=float("inf")), Reading(value=float("-inf"))]
    ),
)


@st.composite
def curves(draw):
    """Stretches in order and others between them, with a rhythm of their own; mostly a feed's."""
    seconds, found = draw(st.sampled_from([-60.0, 60.0, 100.0, 118.0, 121.0, 130.0])), []
    for good in draw(st.lists(st.booleans(), max_size=8)):
        reading = draw(GOOD if good else OTHER)
        every_s = draw(st.sampled_from([3.0] * 6 + [1.0, 10.0, 14.9, 15.1, 40.0]))
        for _ in range(draw(st.sampled_from([1, 2, 5, 11, 15, 18, 22, 30] if good else [1, 1, 2, 5, 20]))):
            found.append((seconds, reading))
            seconds += every_s
    return found, seconds + draw(st.sampled_from([0.0, 0.1, 2.0, 14.0, 16.0, 61.0]))


@settings(max_examples=1000)
@given(
    curves(), st.sampled_from([{}, {"when_empty": 0}, {"when_empty": 5}, {"for_s": 10.0}, {"settle_s": 0}])
)
def test_never_a_pass_while_the_last_seconds_hold_a_sample_out_of_bounds_or_a_gap(curve, keys):
    """Also never before it settled, and never on what nobody measured."""
    of, (looks, now_s) = metric(**keys), curve
    seen = tuple(read_sample(of, at(second), reading) for second, reading in looks)
    found = judge_samples(of, seen, HELM_END, at(now_s))
    if isinstance(found, Pending) or found.word is not Verdict.PASS:
        return
    assert now_s >= of.settle_s + of.for_s
    start = now_s - of.for_s
    last = [(second, sample) for (second, _), sample in zip(looks, seen, strict=True) if second >= start]
    assert [sample for _, sample in last if sample.within is False] == []
    known = {NoValueKind.NO_ANSWER, None} | (
        {NoValueKind.EMPTY, NoValueKind.NOT_A_NUMBER} if "when_empty" in keys else set()
    )
    assert {sample.reading.kind for _, sample in last} <= known
    values = [second for second, sample in last if sample.within]
    edges = itertools.pairwise([start, *values, now_s])
    assert max(after - before for before, after in edges) <= gap_s(of) + 1e-3


@given(curves())
def test_at_the_deadline_it_is_decided_and_a_fail_has_seen_something(curve):
    looks, _ = curve
    of = metric()
    seen = tuple(read_sample(of, at(second), reading) for second, reading in looks if second <= DEADLINE_S)
    found = judge_samples(of, seen, HELM_END, at(DEADLINE_S))
    assert not isinstance(found, Pending)
    if found.word is Verdict.FAIL:
        recent = [each for each in seen if each.at >= at(DEADLINE_S - FOR_S)]
        assert any(each.within is False for each in recent)


def check(**keys):
    table = Metrics(url="https://prom.example/p", checks=[metric(query="up{a='b'}")], **keys)
    return MetricCheck(
        metric=table.checks[0],
        table=table,
        query="up{a='b'}",
        samples=lambda: samples((100, 183, 0.25)),
        settle_from=HELM_END,
        settles_after="helm's end",
    )


def test_the_check_judges_what_its_feed_has_and_shows_it():
    one = check()
    history = History((Sample(at(183), one.observe()),), since=HELM_END, judged_from=at(130))
    found = one.judge(history, at(183))
    assert found.word is Verdict.PASS
    assert [(each.title, each.text.splitlines()[-1]) for each in found.evidence] == [
        ("Query, asked of https://prom.example", "up{a='b'}"),
        ("Last 28 of 28 answers (UTC)", "12:03:01  in order       0.25 %"),
    ]
    assert one.judge(History((), since=HELM_END), at(1)).observed == "Not answered yet"
    assert (one.id, one.watched_until) == ("metric-e", at(184))
    assert one.expected == "at most 1 % for 60 s, from 120 s after helm's end on"


def test_by_hand_it_is_curl_and_a_secret_stands_there_as_its_variable():
    assert check().command == (
        "curl -sS -G --max-time 5 --noproxy '*' --data-urlencode 'query=up{a='\"'\"'b'\"'\"'}' "
        "https://prom.example/p/api/v1/query"
    )
    one = check(
        token_env="TOKEN", headers_env={"X-Scope-OrgID": "ORG"}, ca_file="ca.pem", proxy="http://proxy:1"
    )
    assert one.command == (
        'curl -sS -G --max-time 5 --cacert ca.pem --proxy http://proxy:1 -H "Authorization: Bearer $TOKEN" '
        "-H \"X-Scope-OrgID: $ORG\" --data-urlencode 'query=up{a='\"'\"'b'\"'\"'}' "
        "https://prom.example/p/api/v1/query"
    )
