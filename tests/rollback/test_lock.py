"""The release's lock: compare-and-swap on one Secret, against a store that behaves as the API server does."""

import copy
import json
import threading
from base64 import b64decode
from datetime import UTC, datetime, timedelta

import pytest

from pytest_zkrollback.domain.errors import BadAnswer, Forbidden, LockHeld, NotFound, Unreachable
from pytest_zkrollback.preflight.guards.cluster import judge_lock
from pytest_zkrollback.rollback.journal import find_migration_word
from pytest_zkrollback.rollback.lock import HolderWatch, LockState, ReleaseLock

PATH = "/api/v1/namespaces/shop/secrets"
START = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)


class Store:
    """Secrets with resourceVersions; fails on any call that it was not told of."""

    def __init__(self):
        self.secret = None
        self.version = 0
        self.lock = threading.Lock()
        self.before_write = []
        self.answers_lost = 0
        self.reads = []

    def get(self, path, query=None, timeout_s=5.0):
        assert path == f"{PATH}/zkrollback.v1.zkprova"
        self.reads.append(path)
        with self.lock:
            if self.secret is None:
                raise NotFound("not there")
            return copy.deepcopy(self.secret)

    def send(self, method, path, body, content_type="application/json", query=None, timeout_s=5.0):
        if self.before_write:
            self.before_write.pop(0)()
        with self.lock:
            version = body["metadata"].get("resourceVersion")
            match method:
                case "POST":
                    assert path == PATH
                    if self.secret is not None:
                        raise BadAnswer("exists", status=409)
                case "PUT":
                    if self.secret is None:
                        raise NotFound("gone")
                    if version != self.secret["metadata"]["resourceVersion"]:
                        raise BadAnswer("conflict", status=409)
                case _:
                    raise AssertionError(method)
            self.version += 1
            self.secret = copy.deepcopy(body)
            self.secret["metadata"]["resourceVersion"] = str(self.version)
            if self.answers_lost:
                self.answers_lost -= 1
                raise Unreachable("no answer came")
            return self.secret

    def state(self):
        return json.loads(b64decode(self.secret["data"]["state"]))


class Clock:
    """``ahead``: the API server that answers next; ``off``: this machine."""

    def __init__(self):
        self.at = START
        self.ahead = self.off = timedelta(0)

    def now(self):
        return self.at + self.ahead

    def own_now(self):
        return self.at + self.off

    def monotonic_s(self):
        return (self.at - START).total_seconds()

    def sleep(self, seconds):
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lock(store, clock):
    return ReleaseLock(store, clock, "shop", "zkprova", lease_s=195)


def test_taking_writes_lock_and_intent_in_one_step(lock, store):
    taken = lock.acquire("run1", "ann@host", {"target": 5})
    assert taken.previous is None
    assert store.state() == {
        "schema": "zkrollback.journal/1",
        "lock": {
            "run_id": "run1",
            "operator": "ann@host",
            "taken_at": "2026-11-23T02:30:00.000+00:00",
            "expires_at": "2026-11-23T02:33:15.000+00:00",
        },
        "entries": [
            {
                "run_id": "run1",
                "operator": "ann@host",
                "at": "2026-11-23T02:30:00.000+00:00",
                "outcome": "started",
                "target": 5,
            }
        ],
    }


def test_fault_19_a_live_holder_refuses_with_name_and_age(lock, clock):
    lock.acquire("run1", "ann@host", {})
    clock.at += timedelta(seconds=12)
    with pytest.raises(LockHeld) as caught:
        lock.acquire("run2", "bob@host", {})
    guard = judge_lock(caught.value)
    assert (guard.id, guard.state) == ("lock", "refused")
    assert guard.evidence == "ann@host holds the lock for 12 s (run run1); it expires in 183 s at the latest"


def test_fault_20_an_expired_holder_is_taken_over(lock, clock, store):
    lock.acquire("run1", "ann@host", {})
    clock.at += timedelta(seconds=196)
    taken = lock.acquire("run2", "bob@host", {})
    assert taken.previous.operator == "ann@host"
    assert store.state()["lock"]["run_id"] == "run2"
    assert [entry["outcome"] for entry in store.state()["entries"]] == ["started", "started"]


@pytest.mark.parametrize(
    ("passed_s", "ahead_s", "off_s", "is_taken"),
    [
        (10, 0, 0, False),
        (10, 400, 0, False),  # one API server's Date
        (10, 0, 400, False),  # this machine's clock
        (10, 400, 400, True),  # two clocks that say the same
        (196, 0, 0, True),
        (196, 0, 3600, True),
        (196, 0, -3600, True),  # before the lock was taken: this machine's clock says nothing
        (196, 0, -100, False),
        (300, 0, -100, True),
        (196, -400, 0, False),
    ],
)
def test_case_p3_b23_no_clock_alone_takes_a_lock_from_anybody(
    lock, clock, store, passed_s, ahead_s, off_s, is_taken
):
    lock.acquire("run1", "ann@host", {})
    clock.at += timedelta(seconds=passed_s)
    clock.ahead, clock.off = timedelta(seconds=ahead_s), timedelta(seconds=off_s)
    other = ReleaseLock(store, clock, "shop", "zkprova", lease_s=195)
    if is_taken:
        assert other.acquire("run2", "bob@host", {}).previous.run_id == "run1"
        return
    with pytest.raises(LockHeld):
        other.require_free(other.fetch())
    with pytest.raises(LockHeld):
        other.acquire("run2", "bob@host", {})
    assert store.state()["lock"]["run_id"] == "run1"


def test_case_p3_b23_clocks_that_differ_are_named(lock, clock, store):
    lock.acquire("run1", "ann@host", {})
    clock.at += timedelta(seconds=10)
    clock.ahead = timedelta(seconds=400)
    with pytest.raises(LockHeld) as caught:
        ReleaseLock(store, clock, "shop", "zkprova", lease_s=195).acquire("run2", "bob@host", {})
    assert judge_lock(caught.value).evidence == (
        "ann@host holds the lock for 410 s (run run1); by the API server's clock it expired 215 s ago, by "
        "this machine's it expires in 185 s: one of them is wrong"
    )


def test_case_p3_b23_who_changes_nothing_for_a_lease_is_dead_whatever_the_clocks_say(lock, clock, store):
    lock.acquire("run1", "ann@host", {})
    clock.ahead = timedelta(seconds=-4000)
    watch = HolderWatch()

    def other():
        return ReleaseLock(store, clock, "shop", "zkprova", lease_s=195, watch=watch)

    for _ in range(2):
        with pytest.raises(LockHeld):
            other().require_free(other().fetch())
        clock.at += timedelta(seconds=100)
    clock.ahead = timedelta(0)
    lock.renew("run1")
    clock.ahead = timedelta(seconds=-4000)
    with pytest.raises(LockHeld):  # it lives
        other().require_free(other().fetch())
    clock.at += timedelta(seconds=200 + 194)  # its lease is as long as from when it was taken
    with pytest.raises(LockHeld):
        other().acquire("run2", "bob@host", {})
    clock.at += timedelta(seconds=1)
    assert other().acquire("run2", "bob@host", {}).previous.run_id == "run1"


def test_giving_back_closes_the_entry_and_leaves_anothers_lock_alone(lock, store, clock):
    lock.acquire("run1", "ann@host", {})
    lock.release_lock("run1", {"outcome": "done", "head_after": 7})
    assert store.state()["lock"] is None
    assert store.state()["entries"][0]["head_after"] == 7
    lock.acquire("run2", "bob@host", {})
    lock.release_lock("run1", {"outcome": "late"})
    assert store.state()["lock"]["run_id"] == "run2"


@pytest.mark.parametrize("there_before", [False, True])
def test_fault_2_a_write_whose_answer_was_lost_is_looked_for_and_leaves_no_lock_behind(
    lock, store, there_before
):
    if there_before:
        lock.acquire("run0", "ann@host", {})
        lock.release_lock("run0", {"outcome": "done"})
    store.answers_lost = 1
    taken = lock.acquire("run1", "ann@host", {"target": 5})
    assert (taken.previous, taken.entries[-1]["run_id"]) == (None, "run1")
    assert [entry["run_id"] for entry in store.state()["entries"]] == ["run0", "run1"][not there_before :]
    lock.release_lock("run1", {"outcome": "done"})
    assert store.state()["lock"] is None


def test_case_p3_19_11_a_server_that_is_too_busy_for_the_lock_is_asked_again(lock, store, clock):
    """With 429 nothing was done."""
    tried = []

    def busy():
        tried.append(clock.monotonic_s())
        if len(tried) < 4:
            store.before_write.append(busy)
            raise BadAnswer("too many requests", status=429, retry_after_s=2)

    store.before_write.append(busy)
    lock.acquire("run1", "ann@host", {"target": 5})
    assert tried == [0, 2, 4, 6]
    assert [entry["run_id"] for entry in store.state()["entries"]] == ["run1"]


def test_case_p3_19_11_and_not_for_ever(lock, store, clock):
    def busy():
        store.before_write.append(busy)
        raise BadAnswer("too many requests", status=429, retry_after_s=0)

    store.before_write.append(busy)
    with pytest.raises(BadAnswer):
        lock.acquire("run1", "ann@host", {})
    assert clock.monotonic_s() == 9


def test_fault_2_a_write_that_never_arrives_is_tried_once_more_and_refused(lock, store):
    tried = []

    def swallow():
        tried.append(1)
        store.before_write.append(swallow)
        raise Unreachable("no answer came")

    store.before_write.append(swallow)
    with pytest.raises(Unreachable):
        lock.acquire("run1", "ann@host", {})
    assert (len(tried), store.secret) == (2, None)


def test_a_change_between_read_and_write_is_seen(lock, store, clock):
    other = ReleaseLock(store, clock, "shop", "zkprova", lease_s=195)
    store.before_write.append(lambda: other.acquire("run2", "bob@host", {}))
    with pytest.raises(LockHeld):
        lock.acquire("run1", "ann@host", {})
    assert store.state()["lock"]["run_id"] == "run2"


def test_what_was_read_a_moment_ago_is_not_read_again(lock, store, clock):
    known = lock.fetch()
    store.reads.clear()
    assert lock.acquire("run1", "ann@host", {}, known=known).previous is None
    lock.release_lock("run1", {"outcome": "done"})
    known = lock.fetch()
    other = ReleaseLock(store, clock, "shop", "zkprova", lease_s=195)
    store.reads.clear()
    assert [each["run_id"] for each in other.acquire("run2", "bob@host", {}, known=known).entries] == [
        "run1",
        "run2",
    ]
    assert store.reads == []


def test_a_holder_since_what_was_read_a_moment_ago_keeps_the_lock(lock, store, clock):
    for known in (lock.fetch(), LockState(version="0")):  # there was none yet; it has been changed since
        other = ReleaseLock(store, clock, "shop", "zkprova", lease_s=195)
        other.acquire("run2", "bob@host", {})
        with pytest.raises(LockHeld, match="bob@host"):
            lock.acquire("run1", "ann@host", {}, known=known)
        assert store.state()["lock"]["run_id"] == "run2"
        other.release_lock("run2", {"outcome": "done"})


def test_a_dead_holder_that_was_read_a_moment_ago_is_looked_at_again(lock, store, clock):
    lock.acquire("run1", "ann@host", {})
    known = lock.fetch()
    with pytest.raises(LockHeld):
        lock.acquire("run2", "bob@host", {}, known=known)


def test_deleted_meanwhile_it_is_made_anew(lock, store):
    lock.acquire("run1", "ann@host", {})
    store.before_write.append(lambda: setattr(store, "secret", None))
    lock.release_lock("run1", {"outcome": "done"})
    assert store.state()["lock"] is None


def test_many_at_once_one_has_it(store, clock):
    outcomes = []

    def take(number):
        try:
            ReleaseLock(store, clock, "shop", "zkprova", lease_s=195).acquire(f"run{number}", "op", {})
            outcomes.append("taken")
        except LockHeld:
            outcomes.append("held")

    threads = [threading.Thread(target=take, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held"] * 15 + ["taken"]


def test_the_journal_is_bounded(lock, store):
    for number in range(30):
        lock.acquire(f"run{number}", "op", {})
        lock.release_lock(f"run{number}", {"outcome": "done"})
    runs = [entry["run_id"] for entry in store.state()["entries"]]
    assert runs == [f"run{number}" for number in range(10, 30)]


@pytest.mark.parametrize(
    "data", [{}, {"state": "####"}, {"state": "e30="}, {"state": "eyJzY2hlbWEiOiAieCJ9"}]
)
def test_a_secret_that_is_not_ours_is_not_taken_for_free(lock, store, data):
    store.secret = {"metadata": {"name": lock.name, "resourceVersion": "1"}, "data": data}
    with pytest.raises(BadAnswer) as caught:
        lock.acquire("run1", "ann@host", {})
    assert str(caught.value) == (
        "The Secret zkrollback.v1.zkprova holds no lock that can be read: look at it, and delete it if no "
        "rollback runs."
    )


def test_two_operators_who_go_ahead_against_the_same_holder_do_not_take_it_from_each_other(lock, store):
    lock.acquire("run1", "ann@host", {})
    with pytest.raises(LockHeld) as seen:
        lock.require_free(lock.fetch())
    assert (
        lock.acquire("run2", "bob@host", {}, force=True, expected_holder=seen.value.run_id).previous.run_id
        == "run1"
    )
    with pytest.raises(LockHeld, match="bob@host holds the lock"):
        lock.acquire("run3", "eve@host", {}, force=True, expected_holder=seen.value.run_id)
    assert store.state()["lock"]["run_id"] == "run2"


def test_what_cannot_be_read_is_overwritten_only_where_the_operator_says_so(lock, store):
    store.secret = {"metadata": {"name": lock.name, "resourceVersion": "1"}, "data": {"state": "####"}}
    assert lock.acquire("run1", "ann@host", {}, force=True).previous is None
    assert store.state()["lock"]["run_id"] == "run1"


def test_unknown_is_a_refusal_too():
    error = Forbidden("you may not create secrets", verb="create", resource="secrets", namespace="shop")
    guard = judge_lock(error)
    assert guard.state == "refused"
    assert guard.evidence == "whether somebody else is rolling back is unknown: you may not create secrets"


def noted(store):
    """The journal's entries without who and when."""
    hidden = ("operator", "at", "verified_at", "failed_at")
    return [
        {key: value for key, value in entry.items() if key not in hidden}
        for entry in store.state()["entries"]
    ]


def test_what_failed_stands_in_the_entry_of_the_run_that_rolled_back(lock, store):
    lock.acquire("run1", "ann@host", {"target": 5})
    lock.release_lock("run1", {"outcome": "done"})
    lock.note_failed("run1", "ann@host", 7, ("smoke", "logs"), installed="x")
    assert noted(store) == [
        {
            "run_id": "run1",
            "outcome": "done",
            "target": 5,
            "failed_revision": 7,
            "failed_items": ["smoke", "logs"],
            "installed": "x",
        }
    ]
    [entry] = store.state()["entries"]
    assert entry["failed_at"] == START.isoformat(timespec="milliseconds")


def test_a_revision_has_one_note_beside_the_rollbacks_the_newest(lock, store):
    failed = {"outcome": "failed", "failed_revision": 7, "failed_items": ["smoke"]}
    lock.note_verified("run1", "ann@host", 6)
    lock.note_failed("run2", "ann@host", 7, ["smoke"])
    assert noted(store) == [
        {"run_id": "run1", "outcome": "verified", "verified_revision": 6},
        {"run_id": "run2", **failed},
    ]
    lock.note_verified("run3", "bob@host", 7)
    assert noted(store)[1:] == [{"run_id": "run3", "outcome": "verified", "verified_revision": 7}]
    lock.note_failed("run4", "bob@host", 7, ["smoke"])
    assert noted(store)[1:] == [{"run_id": "run4", **failed}]


def test_the_word_on_the_migration_outlives_the_note_that_it_came_with(lock, store):
    lock.note_verified("run1", "ann@host", 7, migration=SAID)
    lock.note_verified("run2", "bob@host", 7)
    lock.note_verified("run3", "bob@host", 8)
    [kept, other] = store.state()["entries"]
    assert (kept["run_id"], kept["migration"]) == ("run2", SAID)
    assert "migration" not in other


def entry(**more):
    return {"run_id": "run1", "operator": "ann@host", "at": "2026-11-23T02:11:00+00:00", **more}


SAID = {"assessed": "additive", "by": "ann@host", "run_id": "run1", "at": "2026-11-23T02:11:00+00:00"}


@pytest.mark.parametrize(
    ("entries", "head", "text"),
    [
        ([entry(head_after=7, migration=SAID)], 7, "additive"),
        ([entry(verified_revision=7, migration=SAID)], 7, "additive"),
        ([entry(failed_revision=7, migration=SAID)], 7, "additive"),
        (
            [entry(head_after=7, migration=SAID), entry(head_after=7, migration={**SAID, "assessed": "no"})],
            7,
            "no",
        ),
        ([entry(head_after=7, migration=SAID), entry(verified_revision=7)], 7, "additive"),
        ([entry(head_after=7, migration=SAID)], 8, None),
        ([entry(head_after=7, migration=SAID)], None, None),
        ([entry(head_before=7, target=5, migration=SAID)], 7, None),
        ([entry(head_before=6, head_after=7, failed_revision=7, migration=SAID)], 7, "additive"),
        # helm made no revision: the word was said of going back, and not of what stayed
        ([entry(head_before=6, head_after=6, target=5, migration=SAID)], 6, None),
        ([entry(head_before=6, head_after=6, failed_revision=6, migration=SAID)], 6, None),
        ([entry(head_after=7, migration={**SAID, "assessed": " "})], 7, None),
        ([entry(head_after=7, migration="additive")], 7, None),
        ([entry(head_after=True, migration=SAID)], 1, None),
        ([], 7, None),
    ],
)
def test_the_word_on_the_migration_is_found_for_the_revision_that_it_was_said_of(entries, head, text):
    found = find_migration_word(entries, head)
    assert (found and found.text) == text
    if found is not None:
        assert (found.by, found.run_id, found.waived) == ("ann@host", "run1", False)
        assert found.at == datetime(2026, 11, 23, 2, 11, tzinfo=UTC)


def test_a_waiver_is_told_from_an_assessment_and_a_broken_time_is_not_known():
    said = {"waived": "no time", "by": "ann@host", "run_id": "run1", "at": "soon"}
    found = find_migration_word([entry(head_after=7, migration=said)], 7)
    assert (found.text, found.waived, found.at) == ("no time", True, None)
