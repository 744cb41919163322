"""What stands on the terminal, compared as whole strings."""

from __future__ import annotations

import pytest
from example_records import (
    ALL,
    HISTORY,
    at,
    failed,
    interrupted,
    items,
    refused,
    running,
    unverified,
    verified,
    waived,
)
from rich.console import Console

from pytest_zkrollback.domain.model import Guard, Helm, Mode, Outcome, Plan
from pytest_zkrollback.domain.verdict import Word
from pytest_zkrollback.record.facts import duration, helm_line, live_now, offset, refusals, users_affected
from pytest_zkrollback.record.terminal import (
    phase,
    render_last_lines,
    render_live,
    render_progress_line,
    render_text,
)


def test_last_lines_verified() -> None:
    assert render_last_lines(verified(), "reports/latest.html") == (
        "VERIFIED: zkprova rolled back from 6 to 5 in drill\n"
        "zkprova in drill is restored: revision 7 (back to 5) is live, every item verified.\n"
        "HELM RAN: once, exit code 0, after 0.4 s.\n"
        "Live now: Revision 7 (a rollback to 5, zkprova-1.5.0, deployed 2026-11-23 11:50:40 UTC)\n"
        "Checked: 11 items: 11 PASS\n"
        "To undo: helm rollback zkprova 6 --kube-context drill --namespace zkprova\n"
        "Report: reports/latest.html"
    )


def test_last_lines_failed() -> None:
    assert render_last_lines(failed(), "r.html") == (
        "FAILED: zkprova rolled back from 6 to 5 in drill\n"
        "Service is not shown to be restored: 3 of 11 items failed.\n"
        "HELM RAN: once, exit code 0, after 0.4 s.\n"
        "Live now: Revision 7 (a rollback to 5, zkprova-1.5.0, deployed 2026-11-23 11:50:40 UTC); "
        "that the live objects match it was not shown (FAIL)\n"
        "Checked: 11 items: 7 PASS, 3 FAIL, 1 UNVERIFIED\n"
        "  FAIL release-equivalence: 1 of 7 objects differs: ConfigMap zkprova-settings, data.POOL_SIZE.\n"
        "  FAIL rollout-backend: 1 of 2 pods is in CrashLoopBackOff (4 restarts, last exit code 137 OOMKilled) "
        "on revision 5.\n"
        '  FAIL health-database: Status 503, "database": "timeout"; 0 of 3 in a row after 30 s.\n'
        "  UNVERIFIED smoke: The script could not be started: scripts/smoke-test.sh is missing.\n"
        "Next: helm history zkprova --kube-context drill --namespace zkprova\n"
        "Next: kubectl describe pods -l app=zkprova-backend --context drill -n zkprova\n"
        "Next: pytest --env=drill\n"
        "Report: r.html"
    )


def test_last_lines_refused() -> None:
    assert render_last_lines(refused(), "r.html") == (
        "REFUSED: rollback of zkprova from 6 to 5 in drill\n"
        "Refused before helm ran (pending-release): nothing was changed.\n"
        "HELM DID NOT RUN: refused (pending-release).\n"
        "Live now: Revision 6 (zkprova-1.6.0, deployed 2026-11-23 11:37:59 UTC), not changed by this run\n"
        "Checked: 11 items: 1 FAIL, 10 UNVERIFIED\n"
        "  FAIL preflight: 1 guard refuses: pending-release.\n"
        "  UNVERIFIED rollback, release-equivalence, rollout-backend, rollout-frontend, smoke, logs, "
        "health-database, events, migration, notify: Not run: the rollback was refused.\n"
        "  REFUSED pending-release: Revision 6 is pending-upgrade since 11:48:02 UTC, by helm v4.3.1 of "
        "ci-runner-7. (to go ahead: --rollback-override=pending-release=REASON)\n"
        "Next: helm history zkprova --kube-context drill --namespace zkprova\n"
        "Next: pytest --env=drill --rollback-to=5 --rollback-override=pending-release='the pipeline is dead'\n"
        "Report: r.html"
    )


def test_last_lines_interrupted_and_waived() -> None:
    lines = render_last_lines(interrupted(), "r.html").splitlines()
    assert lines[0] == "INTERRUPTED: rollback of zkprova from 6 to 5 in drill"
    assert lines[2] == "HELM RAN: its end was not seen (process 41712); it may still be running."
    assert lines[3] == "Live now: Not known: helm's end was not seen. Read the history before anything else."
    assert (
        "  WAIVED smoke: the staging host is being moved"
        in render_last_lines(waived(), "r.html").splitlines()
    )


@pytest.mark.parametrize("name", ALL)
def test_last_lines_are_plain_ascii_for_plain_records(name: str) -> None:
    text = render_last_lines(ALL[name](), "r.html")
    assert text.isascii()
    assert ("HELM RAN" in text) != ("HELM DID NOT RUN" in text)
    assert text.splitlines()[-1] == "Report: r.html"


def test_fault_47_no_string_from_outside_moves_the_cursor_or_makes_a_line() -> None:
    bad = "\x1b[2J\x1b]0;x\x07one\ntwo\r\u202ethree"
    record = verified(
        summary=bad,
        items=items(logs=(Word.FAIL, bad)),
        next_commands=(bad,),
        outcome=Outcome.FAILED,
        release=bad,
    )
    text = render_last_lines(record, "r.html")
    assert len(text.splitlines()) == 8
    assert not set("\x1b\x07\r\u202e") & set(text)
    assert "FAIL logs: ␛[2J␛]0;x␇one two [U+202E]three" in text
    console = Console(width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(render_live(record, at(9)))
    assert not set("\x1b\x07\r\u202e") & set(capture.get())
    assert "\n" not in render_progress_line(record, at(9))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("width", [60, 80, 140])
def test_live_fits_the_terminal_and_says_all_in_words(name: str, width: int) -> None:
    record = ALL[name]()
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(render_live(record, at(9)))
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == len(record.items) + 2
    for item, line in zip(record.items, lines[2:], strict=True):
        assert item.id in line
        assert str(item.verdict or ("WAITING" if name == "running" else "NO VERDICT")) in line


def test_live_as_a_whole() -> None:
    console = Console(width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(render_live(running(), at(9)))
    assert [line.rstrip() for line in capture.get().splitlines()[:9]] == [
        "zkprova rolled back from 6 to 5 in drill",
        "verifying, 9.0 s; 5 of 11 judged; HELM RAN: once, exit code 0, after 0.4 s",
        "✓ PASS       preflight           Cluster, release and rights are kn…      0.9 s",
        "✓ PASS       rollback            helm exited 0; revision 7 is deplo…      0.4 s",
        "✓ PASS       release-equivalence 7 of 7 objects match; 4 of 4 pods …      4.7 s",
        "✓ PASS       rollout-backend     2 of 2 replicas updated and availa…      4.2 s",
        "✓ PASS       rollout-frontend    2 of 2 replicas updated and availa…      2.5 s",
        "· WAITING    smoke",
        "· WAITING    logs",
    ]


def test_progress_lines() -> None:
    begun = running().model_copy(update={"items": running().items[:0], "helm": Helm()})
    assert render_progress_line(begun, at(3)) == "       0.0 s  looking before acting (0 of 0 judged)"
    helm = verified().helm.model_copy(update={"running": True, "finished_at": None})
    first = running().model_copy(update={"items": running().items[:1], "helm": helm})
    assert render_progress_line(first, at(3)) == "       1.2 s  helm is running (1 of 1 judged)"
    assert render_progress_line(running(), at(9)) == (
        "       6.4 s  PASS release-equivalence: 7 of 7 objects match; 4 of 4 pods run revision 5's images. "
        "(5 of 11 judged)"
    )
    assert render_progress_line(running(), at(9)) == render_progress_line(running(), at(30))


def test_text_has_every_item() -> None:
    text = render_text(unverified())
    for item in unverified().items:
        assert f"{item.verdict or '':<10} {item.id}: " in text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0.0 s"),
        (-3, "0.0 s"),
        (0.44, "0.4 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (180_000, "2 d 02 h"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"helm": Helm(ran=True), "revision_after": None},
            "Not known: helm ran, and the release was not read again.",
        ),
        (
            {"helm": Helm(), "revision_before": None, "revision_after": None},
            "Not known: the release's history was not read.",
        ),
        (
            {"helm": Helm(), "revision_after": None, "outcome": Outcome.REFUSED},
            "Revision 6 (zkprova-1.6.0, deployed 2026-11-23 11:37:59 UTC), not changed by this run",
        ),
    ],
)
def test_live_now(changes: dict[str, object], said: str) -> None:
    assert live_now(verified(**changes)) == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"helm": Helm(skipped_reason="revision 5 is live already.")},
            "HELM DID NOT RUN: revision 5 is live already",
        ),
        ({"helm": Helm(), "outcome": Outcome.REFUSED, "guards": ()}, "HELM DID NOT RUN: refused"),
        ({"helm": Helm(), "outcome": Outcome.RUNNING}, "HELM DID NOT RUN: not so far"),
        ({"helm": Helm(), "outcome": Outcome.INTERRUPTED}, "HELM DID NOT RUN: the run ended before it"),
        (
            {"helm": Helm(), "mode": Mode.GITHUB},
            "HELM DID NOT RUN: this rollback goes through GitHub Actions",
        ),
        ({"helm": Helm(ran=True)}, "HELM RAN: once, its exit code was not seen"),
        ({"helm": Helm(ran=True, exit_code=1)}, "HELM RAN: once, exit code 1"),
    ],
)
def test_helm_line(changes: dict[str, object], said: str) -> None:
    assert helm_line(verified(**changes)) == said


def test_users_affected_when_unknown() -> None:
    nothing = verified(impact_since=None, plan=verified().plan.model_copy(update={"bad": None}))
    assert users_affected(nothing) == (
        "Not known: since when was not said. Recovered 2026-11-23 11:50:46 UTC."
    )
    assert users_affected(running()) == "Since 2026-11-23 11:38:39 UTC; no recovery was seen."


def test_phases() -> None:
    assert phase(verified()) == "verified"
    assert phase(running()) == "verifying"


def test_a_refusal_is_said_once() -> None:
    sentence = "There is no kubeconfig."
    record = refused().model_copy(
        update={
            "guards": (Guard(id="cluster", state="refused", evidence=sentence),),
            "items": (refused().items[0].model_copy(update={"observed": sentence}),),
        }
    )
    assert refusals(record) == ()
    assert render_last_lines(record, "r.html").count(sentence) == 1


def test_a_revision_older_than_the_target_is_not_blamed() -> None:
    plan = Plan(target=HISTORY[3], bad=HISTORY[2], history=HISTORY)
    assert users_affected(verified(plan=plan, impact_since=None, recovered_at=None)) == (
        "Not known: since when was not said."
    )


def test_offsets() -> None:
    assert [offset(verified(), at(second)) for second in (0, 1.24, -760)] == [
        "+0.0 s",
        "+1.2 s",
        "-12 min 40 s",
    ]
