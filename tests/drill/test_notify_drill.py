"""The team is told, on a real cluster with a real helm and a Slack that keeps Slack's limits."""

import json
import re
import signal
import threading
import time

import pytest

from support.fake_slack import CHANNEL, TOKEN, FakeSlack


@pytest.fixture
def slack():
    fake = FakeSlack()
    yield fake
    fake.close()
    assert fake.breaches == []


def wait_for(condition, timeout_s=150):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def marked_helm(incident, seconds=0):
    """The real helm, which leaves a mark when it is started and another one when it has ended."""
    path, marks = incident.folder / "marked-helm", incident.folder
    path.write_text(
        "#!/bin/sh\n"
        f'case "$1" in rollback) touch {marks}/started; sleep {seconds};; esac\n'
        f'{incident.helm_path} "$@"; code=$?\n'
        f'case "$1" in rollback) touch {marks}/ended;; esac\n'
        "exit $code\n"
    )
    path.chmod(0o755)
    incident.configure(helm=str(path))


def headlines(fake):
    return [message["text"].partition(":")[0] for message in fake.messages()]


def test_fault_63_a_slack_that_hangs_holds_up_neither_helm_nor_any_other_item(incident, slack):
    """By order, not by time: the start is told once helm runs, and helm ends while it still hangs."""
    marked_helm(incident)
    seen = []

    def answer(handler, data, answered=slack.answer):
        mark = incident.folder / "started"
        seen.append((json.loads(data)["text"].partition(":")[0], mark.exists()))
        if len(seen) == 1:
            wait_for((incident.folder / "ended").exists)
            seen.append("helm has ended")
        return answered(handler, data)

    slack.answer, slack.answers = answer, [None, None]
    incident.configure(
        "[environments.test.slack]\ntimeout_s = 2\n", helm=str(incident.folder / "marked-helm"), soak_s=0
    )
    result = incident.run("--rollback-to=5", SLACK_WEBHOOK_URL=slack.webhook)
    assert seen == [("STARTED", True), "helm has ended", ("VERIFIED", True)], (
        "told before helm, or helm waited"
    )
    verdicts = result.verdicts()
    assert verdicts.pop("notify") == "UNVERIFIED"
    assert set(verdicts.values()) == {"PASS"}, result.output
    assert (result.code, result.record["helm"]["exit_code"], incident.head()) == (1, 0, 7)
    assert "may have been posted" in result.item("notify")["observed"]
    assert [(each["event"], each["ok"]) for each in result.record["deliveries"]] == [
        ("start", False),
        ("verdict", False),
    ]


def test_fault_23_an_interrupted_rollback_is_told_after_its_record(incident, slack):
    marked_helm(incident, seconds=2)
    process = incident.start("--rollback-to=5", SLACK_WEBHOOK_URL=slack.webhook)
    wait_for(lambda: slack.messages() or process.poll() is not None)
    stages = []

    def answer(handler, data, answered=slack.answer):
        stages.append((incident.latest()["outcome"], incident.latest()["finished_at"] is not None))
        return answered(handler, data)

    slack.answer = answer
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=150)
    assert headlines(slack) == ["STARTED", "INTERRUPTED"]
    assert stages == [("interrupted", True)], "the record comes first"
    record = incident.latest()
    assert (process.returncode, record["outcome"]) == (2, "interrupted")
    assert [(each["event"], each["ok"]) for each in record["deliveries"]] == [
        ("start", True),
        ("verdict", True),
    ]


def test_a_verdict_that_changes_in_the_soak_is_told_again_by_a_bot_in_one_thread(incident, slack):
    incident.configure(
        f'[environments.test.slack]\ntoken_env = "BOT"\nchannel = "{CHANNEL}"\napi_url = "{slack.api_url}"\n',
        soak_s=30,
        report_url="https://ci.example/reports",
    )
    result = []
    thread = threading.Thread(
        target=lambda: result.append(incident.run("--rollback-to=5", "--rollback-incident=INC-1", BOT=TOKEN))
    )
    thread.start()
    wait_for(lambda: len(slack.messages()) == 2 or not thread.is_alive())
    incident.kubectl("delete", "service", "zkprova-zkprova-backend")
    thread.join(150)
    start, verdict, changed = slack.messages()
    assert [
        re.sub(r"\d\d:\d\d:\d\d", "TIME", each["text"]).partition(":")[0]
        for each in (start, verdict, changed)
    ] == ["STARTED", "VERIFIED AT TIME UTC", "FAILED, no longer VERIFIED"]
    assert "thread_ts" not in start
    assert verdict["thread_ts"] == changed["thread_ts"]
    told = json.dumps(changed)
    for fact in (
        "from 6",
        "to 5",
        "now 7",
        "INC-1",
        "release-equivalence",
        "https://ci.example/reports/2",
    ):
        assert fact in told, fact
    # Which of the two versions is the bad one is said only as long as the target stands verified.
    assert "git revert a7d20c4" in json.dumps(verdict)
    assert "git revert" not in told
    assert len(slack.files) == 2
    [ended] = result
    assert (ended.code, ended.record["outcome"], ended.verdicts()["notify"]) == (1, "failed", "PASS")
    assert TOKEN not in ended.output + json.dumps(ended.record)


def test_who_is_not_told(incident, slack):
    """A plan, a refusal, a run that only verifies where that is switched off, and a waived notify."""
    incident.configure("[environments.test.notify]\nverify_only = false\n")
    url = {"SLACK_WEBHOOK_URL": slack.webhook}
    assert incident.run("--rollback-to=5", "--rollback-plan", **url).record["outcome"] == "planned"
    assert incident.run("--rollback-to=99", **url).record["outcome"] == "refused"
    quiet = incident.run(**url)
    assert quiet.verdicts()["notify"] == "WAIVED"
    assert "verify_only = false in [environments.test.notify]" in quiet.item("notify")["observed"]
    waived = incident.run("--rollback-to=5", "--rollback-waive=notify=no", **url)
    assert (waived.record["helm"]["exit_code"], waived.verdicts()["notify"]) == (0, "WAIVED")
    assert slack.calls == []


def test_a_hook_and_a_missing_variable_are_said_at_preflight_and_stop_nothing(incident):
    incident.configure('[environments.test.notify]\nteams_env = "NO_TEAMS"\n', soak_s=0)
    (incident.folder / "checks" / "conftest.py").write_text(
        "def pytest_zkrollback_notify(environment):\n    raise KeyError('queue')\n"
    )
    result = incident.run("--rollback-to=5")
    assert (result.record["helm"]["exit_code"], incident.head()) == (0, 7)
    warned = [guard["evidence"] for guard in result.record["guards"] if guard["id"] == "notify"]
    assert [text.partition(",")[0] for text in warned] == [
        "the environment variable NO_TEAMS is not set",
        "pytest_zkrollback_notify raised KeyError in conftest.py",
    ]
    assert result.verdicts()["notify"] == "UNVERIFIED"
    assert "slack answered: ok" in result.item("notify")["observed"]
    assert len(incident.messages()) == 2
