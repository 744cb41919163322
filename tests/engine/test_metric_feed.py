"""What an answer means for a metric, and what is kept of many."""

import math
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.config.environment import Environment, Metric
from pytest_zkrollback.domain.metric import MetricPoint, NoValueKind, PointOrigin, RangeReading, Reading
from pytest_zkrollback.engine import metric_feed
from pytest_zkrollback.engine.metric_feed import MetricFeed, MetricFeeds
from pytest_zkrollback.engine.metric_sample import gap_s, interval_s, read_sample, thinned

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
EMPTY, NAN = NoValueKind.EMPTY, NoValueKind.NOT_A_NUMBER


def metric(**keys):
    return Metric(**{"id": "e", "title": "Errors", "query": "x", "max": 1, **keys})


@pytest.mark.parametrize(
    ("keys", "reading", "value", "within"),
    [
        ({}, Reading(value=1.0), 1.0, True),
        ({}, Reading(value=1.01), 1.01, False),
        ({}, Reading(value=-5.0), -5.0, True),
        ({"max": None, "min": 10}, Reading(value=9.9), 9.9, False),
        ({"max": None, "min": 10}, Reading(value=10.0), 10.0, True),
        ({"min": 0.5}, Reading(value=0.4), 0.4, False),
        ({}, Reading(value=math.inf), math.inf, False),
        ({}, Reading(kind=EMPTY), None, None),
        ({}, Reading(kind=NAN), None, None),
        ({}, Reading(kind=NoValueKind.NO_ANSWER), None, None),
    ],
)
def test_an_answer_is_in_order_out_of_bounds_or_not_known(keys, reading, value, within):
    sample = read_sample(metric(**keys), AT, reading)
    assert (sample.value, sample.within, sample.assumed) == (value, within, False)


@pytest.mark.parametrize(("limit", "value"), [({}, -math.inf), ({"max": None, "min": 1}, math.inf)])
def test_nobody_believes_an_infinite_value_that_would_be_in_order(limit, value):
    sample = read_sample(metric(**limit), AT, Reading(value=value))
    assert (sample.value, sample.within, sample.reading.kind) == (None, None, NoValueKind.INFINITE)
    assert sample.reading.text == f"the query's value is {value:+}, and that is no measurement"


@pytest.mark.parametrize("kind", [EMPTY, NAN])
def test_when_empty_stands_in_for_what_is_not_there_and_is_judged_as_any_value(kind):
    sample = read_sample(metric(when_empty=0), AT, Reading(kind=kind))
    assert (sample.value, sample.within, sample.assumed) == (0, True, True)
    sample = read_sample(metric(when_empty=0, max=None, min=1), AT, Reading(kind=kind))
    assert (sample.within, sample.assumed) == (False, True)


@pytest.mark.parametrize("kind", [each for each in NoValueKind if each not in (EMPTY, NAN)])
def test_when_empty_stands_in_for_nothing_else(kind):
    assert read_sample(metric(when_empty=0), AT, Reading(kind=kind)).value is None


@pytest.mark.parametrize(
    ("for_s", "every_s", "gap"), [(1, 0.25, 1), (60, 3, 15), (300, 15, 45), (3600, 15, 45), (10, 0.5, 5)]
)
def test_how_often_it_is_asked_and_what_a_gap_is(for_s, every_s, gap):
    assert (interval_s(metric(for_s=for_s)), gap_s(metric(for_s=for_s))) == (every_s, gap)


WITHIN = {True: 0.5, False: 2.0, None: None}


def point(second, within):
    return MetricPoint(at=AT + timedelta(seconds=second), value=WITHIN[within], within=within)


@given(st.lists(st.sampled_from([True, True, True, False, None]), min_size=3, max_size=2000))
def test_thinning_keeps_the_ends_the_order_and_hides_no_stretch_out_of_bounds(words):
    every = [point(second, word) for second, word in enumerate(words)]
    kept = thinned(every, 40)
    assert len(kept) <= 40
    assert kept[0] == every[0] and kept[-1] == every[-1]
    assert [each.at for each in kept] == sorted(each.at for each in kept)
    assert set(kept) <= set(every)
    assert any(each.within is False for each in kept) == (False in words)


class Answers:
    """A client whose answers are these, then the last one for ever."""

    def __init__(self, *readings, before=None):
        self.readings, self.before, self.asked = list(readings), before or RangeReading(), []

    def query(self, query, timeout_s=None):
        self.asked.append(query)
        found = self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]
        if isinstance(found, Exception):
            raise found
        return found

    def query_range(self, query, start, end, step_s, timeout_s=None):
        self.asked.append(("range", (end - start).total_seconds(), step_s))
        return self.before


def until(true, patience_s=10):
    ends = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_it_asks_in_its_rhythm_until_it_is_stopped_and_a_bug_is_an_answer_that_did_not_come():
    client = Answers(Reading(value=2.0), KeyError("x"), Reading(value=0.5))
    feed = MetricFeed(metric(for_s=1), "q", client, SystemClock())
    feed.begin(SystemClock().now())
    until(lambda: len(feed.samples()) >= 3)
    feed.stop()
    first, second, third = feed.samples()[:3]
    assert (first.within, third.within) == (False, True)
    assert (second.within, second.reading.kind) == (None, NoValueKind.NO_ANSWER)
    assert second.reading.text == "asking failed inside this tool: KeyError: 'x'"
    time.sleep(0.6)
    count = len(client.asked)
    time.sleep(0.6)
    assert len(client.asked) == count


def test_what_was_before_is_asked_once_and_stands_before_the_first_look():
    now = SystemClock().now()
    values = (
        (now - timedelta(minutes=30), 3.0),
        (now - timedelta(minutes=1), 0.5),
        (now + timedelta(minutes=1), 0.1),
    )
    client = Answers(Reading(value=0.7), before=RangeReading(values))
    feed = MetricFeed(metric(for_s=1), "q", client, SystemClock())
    feed.begin(now - timedelta(minutes=40))
    until(lambda: {each.origin for each in feed.points()} == set(PointOrigin))
    feed.stop()
    seen = [(each.value, each.within, each.origin) for each in feed.points() if each.value is not None]
    assert seen[:3] == [
        (3.0, False, PointOrigin.RANGE_QUERY),
        (0.5, True, PointOrigin.RANGE_QUERY),
        (0.7, True, PointOrigin.SAMPLED),
    ]
    ((_, span_s, step_s),) = [each for each in client.asked if isinstance(each, tuple)]
    assert span_s == pytest.approx(2400, abs=50) and step_s == pytest.approx(40, abs=1)


def test_an_answer_that_hangs_holds_nobody_up(monkeypatch):
    over = threading.Event()
    client = Answers(Reading(value=0.0))
    monkeypatch.setattr(client, "query", lambda *_: over.wait(20))
    feed = MetricFeed(metric(for_s=1), "q", client, SystemClock())
    begun = time.monotonic()
    feed.begin(SystemClock().now())
    assert feed.samples() == ()
    feed.stop()
    assert time.monotonic() - begun < 1
    over.set()


def test_what_is_held_is_bounded(monkeypatch):
    monkeypatch.setattr(metric_feed, "KEPT", 30)
    monkeypatch.setattr(metric_feed, "POINTS", 20)
    feed = MetricFeed(metric(), "q", Answers(Reading()), SystemClock())
    for second in range(500):
        value = 5.0 if second == 100 else 0.5
        feed._add(read_sample(feed.metric, AT + timedelta(seconds=second), Reading(value=value)))
    assert [each.at for each in feed.samples()] == [
        AT + timedelta(seconds=second) for second in range(470, 500)
    ]
    assert len(feed.points()) <= 20
    assert feed.is_thinned
    assert 5.0 in [each.value for each in feed.points()]
    assert len(feed._points) <= 2 * 20


def test_a_record_holds_no_infinite_number_and_says_so():
    feed = MetricFeed(metric(), "q", Answers(Reading()), SystemClock())
    feed._add(read_sample(feed.metric, AT, Reading(value=math.inf)))
    assert feed.points() == (MetricPoint(at=AT, value=None, within=False, kind=NoValueKind.INFINITE),)


def test_without_a_table_nothing_is_asked_and_nothing_recorded():
    env = Environment(name="e", context="x", workloads={"a": "deployment/a"})
    feeds = MetricFeeds(env, {}, SystemClock())
    feeds.begin(SystemClock().now())
    assert feeds.series() == ()
    feeds.stop()
