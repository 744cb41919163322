"""GitHub's answers may have any shape: each becomes a sentence, and nothing is sent twice because of it."""

import copy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_zkrollback.clients import github as client
from pytest_zkrollback.config.environment import GithubActions, Notify
from pytest_zkrollback.domain.errors import NotifyProblem, ZkRollbackError
from pytest_zkrollback.domain.notification import Notification
from pytest_zkrollback.domain.record import NotificationEvent
from pytest_zkrollback.notify.github_comment import choose_github_comment
from support.canned_github import GOOD, ROUTES, CannedGithub, operated
from support.example_records import verified
from support.github_operator import table
from support.stepping_clock import SteppingClock

ENDPOINTS = sorted({f"{method} {pattern}" for method, pattern, _ in ROUTES if "comments" not in pattern})
ODD = [
    b"",
    b"<html><body>Sign in</body></html>",
    b"[" * 200_000,
    b'{"a":' * 100_000,
    b"\xff\xfe",
    b'"\\ud800"',
    b"1" * 5000,
    b"NaN",
]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8),
    st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-29", 10**400, -1, "javascript:x"]),
)  # fmt: skip
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from places(each, (*path, index))


def bent(value, choice, put):
    """The value with ``put``, or with nothing (``...``), at one of its places."""
    every = list(places(value))
    path = every[choice % len(every)]
    if not path:
        return None if put is ... else put
    value = copy.deepcopy(value)
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    if put is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = put
    return value


ASKED = [{"commit": GOOD}, {"redeploy": True}]


@pytest.mark.parametrize("asked", ASKED, ids=["push", "dispatch"])
def test_the_canned_answers_lead_to_a_deploy(tmp_path, asked):
    """A test of the tests below."""
    canned = CannedGithub()
    result = operated(canned, folder=tmp_path, **asked)
    assert (result.error, result.explained) == (None, "success")
    steps = ["POST git/commits", "POST git/refs", "POST pulls", "PUT pulls/42/merge", "PUT pulls/42/merge"]
    assert canned.sent == (["POST actions/workflows/8/dispatches"] if "redeploy" in asked else steps)


def judged(canned, result):
    """What holds whatever GitHub answers."""
    assert result.error is None or isinstance(result.error, ZkRollbackError)
    for once in ("POST pulls", "POST git/refs", "POST actions/workflows/8/dispatches"):
        assert canned.done.count(once) <= 1, canned.done
    if canned.merged and not result.run:
        # A merge that may have been made is never said not to have been.
        assert result.github.deploys, (canned.pattern, result.error)
    said = f"{result.error} {[guard.evidence for guard in result.guards.values()]}"
    assert "Traceback" not in said and len(said) < 20_000


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    asked=st.sampled_from(ASKED),
    endpoint=st.sampled_from(ENDPOINTS),
    choice=st.integers(min_value=0),
    put=st.one_of(ANYTHING, st.just(...)),
)
def test_case_b15_json_of_any_shape_is_a_sentence(tmp_path_factory, asked, endpoint, choice, put):
    canned = CannedGithub(endpoint, status=0, change=lambda good: bent(good, choice, put))
    judged(canned, operated(canned, folder=tmp_path_factory.getbasetemp(), **asked))


@pytest.mark.parametrize("body", ODD, ids=[repr(each[:12]) for each in ODD])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_case_b15_a_body_of_any_kind_is_a_sentence(tmp_path, endpoint, body):
    for asked in ASKED:
        canned = CannedGithub(endpoint, status=200, body=body)
        judged(canned, operated(canned, folder=tmp_path, **asked))


def test_case_b15_a_merge_answered_in_another_shape_is_looked_at_before_anything_is_sent_again(tmp_path):
    canned = CannedGithub("PUT pulls/42/merge", status=200, body=b'{"merged": "perhaps"}')
    canned.refused_once = True
    result = operated(canned, folder=tmp_path, commit=GOOD)
    assert (result.error, result.explained) == (None, "success")
    assert canned.sent.count("PUT pulls/42/merge") == 1


def test_case_b15_a_dispatch_answered_in_another_shape_is_looked_at_and_not_sent_again(tmp_path):
    canned = CannedGithub("POST actions/workflows/8/dispatches", status=200, body=b'{"workflow_run_id": "x"}')
    result = operated(canned, folder=tmp_path, redeploy=True)
    assert (result.error, result.explained) == (None, "success")
    assert canned.dispatched == 1


def test_case_b15_what_is_wrong_is_said_without_what_was_answered(tmp_path):
    canned = CannedGithub("GET branches/main", status=200, body=b'{"commit": "secret-of-somebody"}')
    [guard] = operated(canned, folder=tmp_path, commit=GOOD).guards.values()
    assert (guard.id, guard.state) == ("github", "refused")
    assert (
        "reading the branch and its rules (GET branches/main) has another shape than its API describes"
        in (guard.evidence)
    )
    assert "commit: Input should be an object" in guard.evidence
    assert "secret-of-somebody" not in guard.evidence


@pytest.mark.parametrize("body", [b"", b"[]", b'{"html_url": 5}', b"<html>", b'{"html_url": "javascript:x"}'])
def test_case_b15_a_comment_that_is_answered_oddly_may_have_been_made(monkeypatch, body):
    canned = CannedGithub("POST issues/12/comments", status=201, body=body)
    monkeypatch.setattr(client, "HttpClient", lambda **_: canned)
    actions = GithubActions(**{**table("https://api.example"), "repository": "o/r", "token_env": "TOKEN"})
    channel = choose_github_comment(
        actions, Notify(github_issue=12), {"TOKEN": "t"}, SteppingClock(), lambda text: None
    )
    with pytest.raises(NotifyProblem) as raised:
        channel.tell(Notification(event=NotificationEvent.VERDICT, record=verified()))
    assert raised.value.maybe_sent
    assert len(canned.sent) == 1


PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>unicorn</body></html>"
SECONDARY = b'{"message": "You have exceeded a secondary rate limit. Please wait."}'
ODDITIES = [
    (301, b'{"message": "Moved Permanently"}', {"location": "https://api.example/repositories/5"}),
    (302, b"", {"location": "https://login.example/"}),
    (307, b"", {}),
    (308, b"[]", {}),
    (202, b"", {}),
    (204, b"", {}),
    (400, b'{"message": ["a", {"b": 1}], "errors": "x"}', {}),
    (403, SECONDARY, {}),
    (
        403,
        b'{"message": "API rate limit exceeded"}',
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "-5"},
    ),
    (404, PAGE, {}),
    (405, b"", {}),
    (409, b"{}", {}),
    (418, b"\xff", {}),
    (422, b'{"errors": [null, {"code": null}, {"message": {"deep": 1}}, 5]}', {}),
    (429, b"", {}),
    (429, PAGE, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    (429, b"{}", {"retry-after": "0", "date": "Mon, 99 Foo 99999 99:99:99 GMT"}),
    (500, b"", {"date": "0"}),
    (502, PAGE, {"date": "Fri, 31 Dec 9999 23:59:59 GMT"}),
    (503, b"[" * 100_000, {}),
    (504, b'"\\ud800"', {}),
]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_githubs_oddities_are_a_sentence_at_every_request_for_once_and_for_ever(tmp_path, endpoint):
    """Storms of 429, secondary limits, pages of HTML, renamed repositories, empty bodies."""
    for status, body, headers in ODDITIES:
        for asked in ASKED:
            for most in (1, 10_000):
                canned = CannedGithub(endpoint, status=status, body=body, headers=headers, most=most)
                result = operated(canned, folder=tmp_path, **asked)
                judged(canned, result)
                # At most the first try and 20 more for each of some requests; never a storm of our own.
                assert canned.bent < 200, (status, canned.bent)


def test_a_storm_of_429_in_the_middle_is_waited_out_and_everything_done_once(tmp_path):
    canned = CannedGithub(".*", status=429, body=b"", headers={"retry-after": "2"}, most=19, skip=12)
    result = operated(canned, folder=tmp_path, commit=GOOD)
    assert (result.error, result.explained) == (None, "success")
    assert canned.bent == 19
    assert [line for line in canned.done if line.startswith("PUT")] == ["PUT pulls/42/merge"] * 2
    assert sum("GitHub limits the rate of requests: waiting 2 s" in text for text in result.said) == 19


def test_a_renamed_repository_is_said_before_anything_is_done(tmp_path):
    canned = CannedGithub("GET ", status=301, body=b'{"message": "Moved Permanently"}')
    [guard] = operated(canned, folder=tmp_path, commit=GOOD).guards.values()
    assert guard.evidence.startswith(
        "GitHub redirects reading the repository (GET of the repository): o/r was renamed"
    )
    assert canned.sent == []
