"""Every door through which foreign text comes, with 1 MB of the worst shapes: ten times as much takes ten
times as long.

The tenth is the yardstick, and of each the best of some tries counts, so that a busy machine is not red.
"""

from __future__ import annotations

import base64
import gc
import gzip
import json
import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from pytest_zkrollback.checklist.events.grouping import grouped, render_event
from pytest_zkrollback.checklist.logs.lines import LogReading
from pytest_zkrollback.clients.captured_output import Bounded, LineRelay
from pytest_zkrollback.domain.errors import HelmProblem
from pytest_zkrollback.domain.health_answer import parse_health
from pytest_zkrollback.domain.notification import Notification, NotificationEvent
from pytest_zkrollback.domain.ports import HttpAnswer
from pytest_zkrollback.domain.record import Outcome, Record
from pytest_zkrollback.domain.verdict import Verdict, evidence
from pytest_zkrollback.domain.yaml_as_go import YamlProblem, load_all
from pytest_zkrollback.notify.slack_message import render_slack_message
from pytest_zkrollback.notify.teams import render_card
from pytest_zkrollback.release.helm_secret import parse_release
from pytest_zkrollback.release.manifest import object_diffs, render_diffs
from pytest_zkrollback.report.files import render_json
from pytest_zkrollback.report.html import render_page
from pytest_zkrollback.report.junit import render_junit
from pytest_zkrollback.report.markdown import render_markdown
from pytest_zkrollback.report.redaction import Redactor
from pytest_zkrollback.report.sanitize import inert_line
from pytest_zkrollback.report.terminal import render_text
from support.example_records import verified
from support.stepping_clock import SteppingClock

AT = datetime(2026, 11, 23, 2, 11, tzinfo=UTC)
SIZE = 1_000_000
TRIES = 3
RATIO = 15
# Below this a measurement is noise.
FLOOR_S = 0.02
SECRETS = [f"Zk{n:04d}-{n * 7919:08x}/q=" for n in range(50)]

_WORD = base64.b64encode(random.Random(1).randbytes(SIZE * 3 // 4)).decode()

SHAPES: dict[str, Callable[[int], str]] = {
    "one word": lambda size: _WORD[:size],
    "one line": lambda size: ("the token of a user: 7 " * (size // 23 + 1))[:size],
    "many lines": lambda size: "".join(f"k{n}: value {n % 100}\n" for n in range(size // 16)),
    "the same lines": lambda size: "a: b\n" * (size // 5),
    "empty lines": lambda size: "\n" * size,
    "brackets": lambda size: "[" * size,
    "braces": lambda size: '{"a":' * (size // 5),
    "backslashes": lambda size: "\\" * size,
    "stars": lambda size: "*_`" * (size // 3),
    "escapes": lambda size: "\x1b[3" * (size // 3),
    "many secrets": lambda size: "".join(f"{SECRETS[n % 50]} " for n in range(size // 18)),
    "halves of secrets": lambda size: "".join(f"{SECRETS[n % 50][:9]}..." for n in range(size // 12)),
}


def _quietly(work: Callable[[], object]) -> None:
    with suppress(HelmProblem, YamlProblem):
        work()


def _record(text: str) -> Record:
    usual = verified()
    item = usual.items[0].model_copy(
        update={"observed": text, "verdict": Verdict.FAIL, "evidence": (evidence("Output", text),)}
    )
    changes = {"items": (item, *usual.items[1:]), "outcome": Outcome.FAILED, "reason": text, "summary": text}
    return usual.model_copy(update=changes)


def _redacted(text: str) -> None:
    Redactor({f"N{n}": secret for n, secret in enumerate(SECRETS)}).text(text)


def _recorded(text: str) -> None:
    Redactor({f"N{n}": secret for n, secret in enumerate(SECRETS)}).record(_record(text))


def _unpacked(text: str) -> None:
    content = {"info": {"status": "deployed", "last_deployed": AT.isoformat()}, "manifest": text}
    packed = base64.b64encode(gzip.compress(json.dumps(content).encode(), 1))
    secret = {"metadata": {"name": "s"}, "data": {"release": base64.b64encode(packed).decode()}}
    _quietly(lambda: parse_release(secret, "n", 1))


def _relayed(text: str) -> None:
    raw = text.encode()
    kept, relay = Bounded(65_536), LineRelay(lambda _: None, SteppingClock())
    for at in range(0, len(raw), 4096):
        kept.add(raw[at : at + 4096])
        relay.add(1, raw[at : at + 4096])
    relay.end()
    kept.text()


def _diffed(text: str) -> None:
    half = len(text) // 2
    usual = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}}
    halves = ({**usual, "data": {"a": each}} for each in (text[:half], text[half:]))
    render_diffs(object_diffs(*([each] for each in halves)))


def _judged(text: str) -> None:
    reading = LogReading(AT, (r"\bERROR\b", r"(?i)fatal|panic:"), 50)
    reading.take("\n".join(f"2026-11-23T02:12:00.5Z {line}" for line in text.split("\n")))


def _events(text: str) -> None:
    event = {
        "metadata": {"name": "e", "namespace": "n"},
        "type": "Warning",
        "reason": "Failed",
        "message": text,
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "n"},
        "lastTimestamp": "2026-11-23T02:12:00Z",
    }
    grouped([event, dict(event)])
    render_event(event)


def _health(text: str) -> None:
    parse_health(HttpAnswer(200, {}, text.encode(), truncated=False, duration_s=0.1), {"database": "ok"})


def _rendered(render: Callable[[Record], object]) -> Callable[[str], object]:
    return lambda text: render(_record(text))


def _told(render: Callable[[Notification], object]) -> Callable[[str], object]:
    return lambda text: render(Notification(NotificationEvent.VERDICT, _record(text)))


DOORS: dict[str, Callable[[str], object]] = {
    "redactor": _redacted,
    "redacted record": _recorded,
    "unpacking": _unpacked,
    "YAML": lambda text: _quietly(lambda: load_all(text)),
    "relaying": _relayed,
    "diffs": _diffed,
    "evidence": lambda text: evidence("Output", text),
    "log judge": _judged,
    "event texts": _events,
    "health bodies": _health,
    "terminal line": inert_line,
    "page": _rendered(render_page),
    "Markdown": _rendered(render_markdown),
    "JUnit": _rendered(render_junit),
    "JSON": _rendered(render_json),
    "terminal": _rendered(render_text),
    "Slack": _told(render_slack_message),
    "Teams": _told(render_card),
}


def _took_s(door: Callable[[str], object], text: str) -> float:
    gc.disable()  # a full collection comes when it comes
    try:
        began = time.thread_time()
        door(text)
        return time.thread_time() - began
    finally:
        gc.enable()


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_ten_times_the_text_takes_no_more_than_fifteen_times_as_long(door: Callable[[str], object]) -> None:
    """Issue 19: linear everywhere."""
    slow = []
    for name, shape in SHAPES.items():
        whole, tenth = shape(SIZE), shape(SIZE // 10)
        for _ in range(TRIES):  # the first that is good enough ends it
            whole_s, tenth_s = _took_s(door, whole), _took_s(door, tenth)
            if whole_s <= RATIO * tenth_s + FLOOR_S:
                break
        else:
            slow.append(f"{name}: {whole_s:.2f} s after {tenth_s:.3f} s for a tenth")
    assert slow == []
