from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.checklist.health import HealthCheck
from pytest_zkrollback.clients.http import HttpClient
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.checks import History, Sample
from pytest_zkrollback.domain.errors import HttpProblem
from pytest_zkrollback.domain.health_answer import HealthAnswer, parse_health, parse_member
from pytest_zkrollback.domain.ports import HttpAnswer
from pytest_zkrollback.domain.verdict import CheckResult, Judgement, Pending, Verdict
from support.http_server import LoopbackHttpServer, QuietHandler

T0 = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
PASS = HealthAnswer(200, "", '{"database": "ok"}', 0.004)
BAD = HealthAnswer(200, '"database" is "down", not "ok"', '{"database": "down"}', 0.004)
REFUSED = HttpProblem("http://zk.example refuses connections.", maybe_received=False)


def environment(**more: object) -> Environment:
    return Environment.model_validate(
        {"name": "staging", "context": "ctx", "workloads": {"web": "deployment/web"}, **more}
    )


ENV = environment(url="http://zk.example/app/")


class NoHttp:
    """Fails on any call."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"http.{name} was called")


def check(env: Environment = ENV) -> HealthCheck:
    return HealthCheck(env=env, http=NoHttp())  # type: ignore[arg-type]


def samples(*seen: HealthAnswer | HttpProblem, start_s: float = 0) -> tuple[Sample, ...]:
    return tuple(
        Sample(T0 + timedelta(seconds=start_s + n), error=one)
        if isinstance(one, HttpProblem)
        else Sample(T0 + timedelta(seconds=start_s + n), one)
        for n, one in enumerate(seen)
    )


def judged(
    *seen: HealthAnswer | HttpProblem, rollouts: bool = True, early: tuple[Sample, ...] = ()
) -> Judgement:
    history = History((*early, *samples(*seen)), since=T0, judged_from=T0, rollouts_passed=rollouts)
    return check().judge(history, T0)


BODIES = {
    b'{"database": "ok"}': "",
    b'{"status": "up", "database": "ok", "other": {"database": "down"}}': "",
    # fault 54
    b'{"database": "OK"}': '"database" is "OK", not "ok"',
    b'{"database": null}': '"database" is null, not "ok"',
    b'{"database": true}': '"database" is true, not "ok"',
    b'{"database": "ok", "database": "ok"}': "the body is not strict JSON (member 'database' "
    "stands there twice)",
    b'{"checks": {"database": "ok"}}': 'there is no member "database"',
    b'{"database": {"database": "ok"}}': '"database" is {"database": "ok"}, not "ok"',
    b'[{"database": "ok"}]': "HTTP 200: the body is JSON, but not an object",
    b'"ok"': "HTTP 200: the body is JSON, but not an object",
    b'{"database": "ok", "lag": NaN}': "the body is not strict JSON (NaN is not JSON)",
    b'{"database": "ok", "lag": -Infinity}': "the body is not strict JSON (-Infinity is not JSON)",
    b'{"database": "ok"} {"database": "ok"}': "the body is not strict JSON "
    "(Extra data: line 1 column 20 (char 19))",
    b"": "the body is not strict JSON (Expecting value: line 1 column 1 (char 0))",
    # fault 53
    b"<html>ok</html>": "the body is not strict JSON (Expecting value: line 1 column 1 (char 0))",
}


@pytest.mark.parametrize("body", BODIES)
def test_fault_54_only_strict_json_with_the_exact_member_passes(body: bytes) -> None:
    answer = HttpAnswer(200, {}, body, truncated=False, duration_s=0.01)
    assert parse_health(answer, {"database": "ok"}).trouble == BODIES[body]


@pytest.mark.parametrize(
    ("status", "body", "trouble"),
    [
        (302, b"", "HTTP 302: a redirect, which is not followed"),
        (503, b'{"database": "ok"}', "HTTP 503"),
        (503, b'{"database": "down"}', 'HTTP 503; "database" is "down", not "ok"'),
        (204, b"", "HTTP 204, and the body is not strict JSON (Expecting value: line 1 column 1 (char 0))"),
    ],
)
def test_fault_53_any_status_but_200_is_red(status: int, body: bytes, trouble: str) -> None:
    answer = HttpAnswer(status, {}, body, truncated=False, duration_s=0.01)
    assert parse_health(answer, {"database": "ok"}).trouble == trouble


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        b"[" * 100_000,
        b'{"database": "ok", "n": ' + b"1" * 9999 + b"}",
        b'\xef\xbb\xbf{"database": "ok"}',
    ],
)
def test_odd_bodies_are_red_and_break_nothing(body: bytes) -> None:
    assert parse_health(HttpAnswer(200, {}, body, truncated=False, duration_s=0), {"database": "ok"}).trouble


def test_fault_57_a_body_that_was_cut_is_red() -> None:
    answer = HttpAnswer(200, {}, b'{"database": "ok"}', truncated=True, duration_s=0)
    assert parse_health(answer, {"database": "ok"}).trouble == "HTTP 200: the body is longer than 65536 bytes"


@pytest.mark.parametrize(
    ("expect", "passes"),
    [
        ({"db.primary.state": "ok"}, True),
        ({"db.primary": "ok"}, False),
        ({"db.primary.lag": 1}, True),
        ({"db.primary.lag": True}, False),
        ({"db.writable": True}, True),
        ({"db.writable": 1}, False),
        ({"db.writable.deeper": True}, False),
    ],
)
def test_members_are_found_by_dots_and_compared_with_their_type(
    expect: dict[str, str | bool | int], passes: bool
) -> None:
    body = b'{"db": {"primary": {"state": "ok", "lag": 1}, "writable": true}}'
    assert parse_health(HttpAnswer(200, {}, body, truncated=False, duration_s=0), expect).ok is passes


MICROPROFILE = b"""{"status": "UP", "checks": [
  {"name": "db", "status": "UP", "data": {"lag": 0}}, {"name": "queue \\"a.b\\"", "status": "DOWN"}, 7,
  {"id": 3, "status": "UP"}, {"id": "3", "status": "DOWN"}, {"kind": "cache", "status": "UP"},
  {"kind": "cache", "status": "DOWN"}, {"kind": "disk", "status": "UP"}, {"kind": "disk", "status": "UP"}]}"""
IETF = b"""{"status": "pass", "checks": {
  "postgres:responseTime": [{"componentId": "a", "status": "pass"}, {"componentId": "b", "status": "warn"}],
  "db.primary": {"a]b": "ok"}, "say \\"hi\\"": "ok"}}"""


@pytest.mark.parametrize(
    ("body", "path", "value", "trouble"),
    [
        (MICROPROFILE, "checks[name=db].status", "UP", ""),
        (MICROPROFILE, "checks[name=db].data.lag", 0, ""),
        (MICROPROFILE, 'checks[name="db"].status', "UP", ""),
        (MICROPROFILE, 'checks[name="queue \\"a.b\\""].status', "DOWN", ""),
        (MICROPROFILE, "checks[kind=disk].status", "UP", ""),
        (MICROPROFILE, "checks[kind=disk][status=UP].status", "UP", None),
        (MICROPROFILE, 'checks[id="3"].status', "DOWN", ""),
        # Each of them has to be UP.
        (MICROPROFILE, "checks[kind=cache].status", "UP", '"checks[kind=cache].status" is "DOWN", not "UP"'),
        (MICROPROFILE, "checks[id=3].status", "UP", '"checks[id=3].status" is "DOWN", not "UP"'),
        (
            MICROPROFILE,
            "checks[name=DB].status",
            "UP",
            'no element of an array has name = DB: "checks[name=DB].status"',
        ),
        (MICROPROFILE, "status[name=db]", "UP", 'no element of an array has name = db: "status[name=db]"'),
        (MICROPROFILE, "checks.status", "UP", 'there is no member "checks.status"'),
        (MICROPROFILE, "checks[name=db].state", "UP", 'there is no member "checks[name=db].state"'),
        (IETF, "checks.postgres:responseTime[componentId=a].status", "pass", ""),
        (
            IETF,
            "checks.postgres:responseTime[componentId=b].status",
            "pass",
            '"checks.postgres:responseTime[componentId=b].status" is "warn", not "pass"',
        ),
        (IETF, 'checks."db.primary"."a]b"', "ok", ""),
        (IETF, 'checks."say \\"hi\\""', "ok", ""),
        (IETF, "checks.db.primary", "ok", 'there is no member "checks.db.primary"'),
    ],
)
def test_members_of_the_usual_formats(body: bytes, path: str, value: str | int, trouble: str | None) -> None:
    found = parse_health(HttpAnswer(200, {}, body, truncated=False, duration_s=0), {path: value}).trouble
    if trouble is None:  # what a selector took is no array
        trouble = f'no element of an array has status = UP: "{path}"'
    assert found == trouble


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "[name=db]",
        "a[name]",
        "a[=x]",
        "a[b=]",
        "a[b=c",
        "a]b",
        'a"b',
        '"a',
        '"a"b',
        "a.[b=c]",
        "a[b.c=d]",
        'a."b\\n"',
    ],
)
def test_what_is_no_path_is_said(path: str) -> None:
    with pytest.raises(ValueError, match=r"names no member: write a\.b, checks"):
        parse_member(path)


@pytest.mark.parametrize(
    ("more", "off"),
    [
        ({"health": False, "url": "http://zk.example"}, "health"),
        ({"health": False}, "health"),
        ({"url": False}, "url"),
        ({"url": False, "health": {"passes": 2}}, "url"),
    ],
)
def test_what_the_configuration_leaves_out_is_waived_and_nothing_is_asked(
    more: dict[str, object], off: str
) -> None:
    one = check(environment(**more))
    assert one.observe() is None
    assert (one.interval_s, one.soak_interval_s, one.command) == (None, None, "")
    assert one.expected == "nothing: it is left out by configuration"
    assert one.judge(History((), since=T0), T0) == CheckResult(
        word=Verdict.WAIVED,
        observed=f"/health is left out by configuration ({off} = false in [environments.staging]).",
    )


def test_three_passes_in_a_row_pass() -> None:
    verdict = judged(PASS, PASS, PASS)
    assert isinstance(verdict, CheckResult)
    assert (verdict.word, verdict.observed) == (Verdict.PASS, "3 passes in a row; the last took 4 ms.")
    answers, body = verdict.evidence
    assert answers.title == "Last 3 answers (UTC)"
    assert answers.text.splitlines()[0] == "10:00:00.000  HTTP 200  4 ms  pass"
    assert body.text == '{"database": "ok"}'


@pytest.mark.parametrize(
    ("seen", "observed", "was_seen"),
    [
        ((), "No answer yet", False),
        ((PASS, PASS), "2 of 3 passes in a row", True),
        ((PASS, BAD, PASS, PASS), '2 of 3 passes in a row; before: "database" is "down", not "ok"', True),
        ((PASS, PASS, BAD), '"database" is "down", not "ok"', True),
        ((REFUSED, REFUSED), "no answer: http://zk.example refuses connections.", False),
        ((BAD, REFUSED), "no answer: http://zk.example refuses connections.", True),
    ],
)
def test_fault_55_flapping_waits(
    seen: tuple[HealthAnswer | HttpProblem, ...], observed: str, was_seen: bool
) -> None:
    judgement = judged(*seen)
    assert isinstance(judgement, Pending)
    assert (judgement.observed, judgement.seen) == (observed, was_seen)


def test_red_at_once_only_if_the_rollouts_failed() -> None:
    assert isinstance(judged(BAD, BAD, BAD), Pending)
    assert isinstance(judged(BAD, BAD, rollouts=False), Pending)
    verdict = judged(BAD, BAD, BAD, rollouts=False)
    assert isinstance(verdict, CheckResult)
    assert (verdict.word, verdict.observed) == (
        Verdict.FAIL,
        '/health failed 3 times in a row; a rollout had failed already. Last: "database" is "down", not "ok"',
    )


def test_without_any_answer_the_service_was_not_seen() -> None:
    verdict = judged(REFUSED, REFUSED, REFUSED, rollouts=False)
    assert isinstance(verdict, CheckResult)
    assert verdict.word is Verdict.UNVERIFIED
    pending = judged(REFUSED)
    assert isinstance(pending, Pending)
    assert pending.at_deadline(30).word is Verdict.UNVERIFIED


def test_answers_before_the_rollouts_settled_do_not_count() -> None:
    early = samples(PASS, PASS, PASS, start_s=-10)
    assert isinstance(judged(PASS, early=early), Pending)
    waiting = check().judge(History(early, since=T0), T0)
    assert waiting == Pending(observed="Waiting for the rollouts to settle", seen=False)


@given(st.lists(st.sampled_from([PASS, BAD, REFUSED]), max_size=12), st.booleans())
def test_pass_if_and_only_if_the_last_three_passed(
    seen: list[HealthAnswer | HttpProblem], rollouts: bool
) -> None:
    judgement = judged(*seen, rollouts=rollouts)
    passed = isinstance(judgement, CheckResult) and judgement.word is Verdict.PASS
    assert passed == (len(seen) >= 3 and all(one is PASS for one in seen[-3:]))
    if isinstance(judgement, CheckResult) and not passed:
        assert rollouts is False


def test_without_a_url_it_says_what_to_configure() -> None:
    one = check(environment())
    assert one.observe() is None
    assert one.interval_s is None
    assert one.command == ""
    assert one.judge(History((), since=T0), T0) == CheckResult(
        word=Verdict.UNVERIFIED,
        observed="No url is configured for environment staging, so /health was not asked: "
        'set url = "https://..." in [environments.staging].',
    )


def test_the_words_around_it() -> None:
    one = check(environment(url="https://zk.example", ca_file="/etc/ca.pem", proxy="http://proxy:3128"))
    assert one.command == (
        "curl -sS -i --max-time 5 --cacert /etc/ca.pem --proxy http://proxy:3128 https://zk.example/health"
    )
    assert check().command == "curl -sS -i --max-time 5 --noproxy '*' http://zk.example/app/health"
    assert one.expected == '3 answers in a row of /health are JSON with "database": "ok"'
    assert (one.id, one.deadline_s, one.interval_s) == ("health-database", 30, 0.05)


@contextmanager
def serving(status: int, body: bytes, **headers: str) -> Iterator[str]:
    class Handler(QuietHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    with LoopbackHttpServer(Handler) as server:
        yield server.url


@pytest.mark.parametrize(
    ("status", "body", "headers", "trouble"),
    [
        (200, b'{"database": "ok"}', {}, ""),
        (302, b"", {"Location": "http://127.0.0.1:1/"}, "HTTP 302: a redirect, which is not followed"),
        (200, b" " * 70_000 + b'{"database": "ok"}', {}, "HTTP 200: the body is longer than 65536 bytes"),
    ],
)
def test_over_a_real_socket(status: int, body: bytes, headers: dict[str, str], trouble: str) -> None:
    with serving(status, body, **headers) as url:
        answer = HealthCheck(env=environment(url=url), http=HttpClient()).observe()
    assert answer is not None
    assert answer.trouble == trouble


def test_a_refused_connection_is_no_answer() -> None:
    with serving(200, b"") as url:
        pass
    with pytest.raises(HttpProblem):
        HealthCheck(env=environment(url=url), http=HttpClient()).observe()
