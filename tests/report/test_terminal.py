"""What stands on the terminal, compared as whole strings."""

from __future__ import annotations

from datetime import datetime
from itertools import takewhile

import pytest
from rich.console import Console

from pytest_zkrollback.domain.record import Guard, Helm, Mode, Outcome, Plan, Record
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.report.course import offset
from pytest_zkrollback.report.failures import failures
from pytest_zkrollback.report.formatting import duration, fitted
from pytest_zkrollback.report.live_table import render_live, render_status
from pytest_zkrollback.report.next_commands import next_commands
from pytest_zkrollback.report.summary import (
    helm_line,
    live_now,
    not_checked,
    render_summary,
    revisions,
    title,
    users_affected,
    watch_line,
)
from pytest_zkrollback.report.terminal import (
    phase,
    render_last_lines,
    render_progress_line,
    render_text,
    render_waiting_line,
    render_warning_lines,
)
from support.example_records import (
    ALL,
    HISTORY,
    at,
    checked_only,
    failed,
    interrupted,
    items,
    refused,
    running,
    unverified,
    verified,
    waived,
)

BESIDE = " " * 13  # where the second line of an item begins


def test_last_lines_verified() -> None:
    assert render_last_lines(verified(), "reports/latest.html") == (
        "Next: nothing to do.\n"
        "\n"
        "VERIFIED: zkprova rolled back from 6 to 5 in drill\n"
        "Release zkprova, environment drill, is back on revision 5 (zkprova-1.5.0), live as revision 7: "
        "all 11 checks passed.\n"
        "HELM RAN: once, exit code 0, took 0.4 s.\n"
        "Decision: rollback (users-impacted speaks for rollback)\n"
        "Live now: Revision 7 (a rollback to 5, zkprova-1.5.0), since 2026-11-23 11:50:40 UTC. "
        "Ready pods: zkprova-zkprova-backend 2 and zkprova-zkprova-frontend 2\n"
        "Checked: 11 items: 11 PASS. All checks passed at 11:50:46 UTC, 5.9 s after helm; "
        "not watched since.\n"
        "Recovery: all checks passed 6.3 s after helm's start; /health passes since 11:50:43 UTC, "
        "3.5 s after it.\n"
        "Report: reports/latest.html"
    )


def test_last_lines_failed() -> None:
    assert render_last_lines(failed(), "r.html") == (
        "FAIL release-equivalence: 1 of 7 objects differs: ConfigMap zkprova-settings, data.POOL_SIZE.\n"
        "FAIL rollout-backend: 1 of 2 pods is in CrashLoopBackOff (4 restarts, last exit code 137 OOMKilled) "
        "on revision 5.\n"
        'FAIL health-database: Status 503, "database": "timeout"; 0 of 3 in a row after 30 s.\n'
        "UNVERIFIED smoke: The script could not be started: scripts/smoke-test.sh is missing.\n"
        "\n"
        "Next:\n"
        "  helm history zkprova --kube-context drill --namespace zkprova\n"
        "  kubectl describe pods -l app=zkprova-backend --context drill -n zkprova\n"
        "  pytest --env=drill\n"
        "\n"
        "FAILED: zkprova rolled back from 6 to 5 in drill\n"
        "Release zkprova, environment drill, is NOT restored: the current revision is 7 (back to 5, "
        "zkprova-1.5.0); failed: live objects, rollout of backend, database via /health; "
        "not checked: smoke test.\n"
        "HELM RAN: once, exit code 0, took 0.4 s.\n"
        "Decision: rollback (users-impacted speaks for rollback)\n"
        "Live now: Revision 7 (a rollback to 5, zkprova-1.5.0), since 2026-11-23 11:50:40 UTC. "
        "Ready pods: zkprova-zkprova-backend 1 and zkprova-zkprova-frontend 2. "
        "Live objects differ: 1 of 7 objects differs: ConfigMap zkprova-settings,...\n"
        "Checked: 11 items: 7 PASS, 3 FAIL, 1 UNVERIFIED\n"
        "Report: r.html"
    )


def test_last_lines_refused() -> None:
    assert render_last_lines(refused(), "r.html") == (
        "Next:\n"
        "  # when that operation has ended:\n"
        "  pytest --env=drill --rollback-to=5\n"
        "\n"
        "REFUSED: rollback of zkprova from 6 to 5 in drill\n"
        "Not rolled back: revision 6 is pending-upgrade since 11:48:02 UTC, by helm v4.3.1 of ci-runner-7. "
        "Nothing was changed.\n"
        "HELM DID NOT RUN: refused (pending-release).\n"
        "Decision: rollback (users-impacted speaks for rollback)\n"
        "Live now: Revision 6 (zkprova-1.6.0), since 2026-11-23 11:37:59 UTC, not changed by this run\n"
        "Checked: 0 of 10 checklist items checked\n"
        "Report: r.html"
    )


def test_a_migration_that_an_earlier_run_waived_is_said_with_whose_word_it_was() -> None:
    said = "Waived by ann@host, 2026-11-23 02:11:00 UTC, run 0badcafe: no time. Seen: no source"
    record = verified(outcome=Outcome.VERIFIED_WITH_WAIVERS, overrides=())
    migration = {"verdict": Verdict.WAIVED, "observed": said}
    found = tuple(
        item.model_copy(update=migration if item.id == "migration" else {}) for item in record.items
    )
    record = record.model_copy(update={"items": found})
    assert f"WAIVED migration: {said}" in render_last_lines(record, "r.html").splitlines()
    sentence = render_summary(record)
    assert f"migrations (in an earlier run: {said})" in sentence
    assert "switched off" not in sentence
    assert next_commands(record, None)[0].startswith(
        "# check again, with the assessment of the migration as "
    )


def test_last_lines_interrupted_and_waived() -> None:
    lines = render_last_lines(interrupted(), "r.html").splitlines()
    assert lines[-7:-2] == [
        "INTERRUPTED: rollback of zkprova from 6 to 5 in drill",
        "Interrupted while helm runs (pid 41712): what is live is not known yet.",
        "HELM RAN: its end was not seen (process 41712); it may still be running.",
        "Decision: rollback (users-impacted speaks for rollback)",
        "Live now: Not known: helm's end was not seen. Read the history before anything else.",
    ]
    assert (
        "WAIVED smoke: the staging host is being moved" in render_last_lines(waived(), "r.html").splitlines()
    )


def test_what_to_type_for_a_kept_drill_stands_under_next() -> None:
    shell = ("# the drill is kept:", "export KUBECONFIG=/d/kubeconfig", "export PATH=/d:$PATH")
    assert render_last_lines(verified(), "r.html", shell).splitlines()[:4] == [
        "Next: nothing to do.",
        "  # the drill is kept:",
        "  export KUBECONFIG=/d/kubeconfig",
        "  export PATH=/d:$PATH",
    ]
    lines = render_last_lines(failed(), "r.html", shell).splitlines()
    end = lines.index("  export PATH=/d:$PATH")
    assert lines[end - 2 : end + 2] == ["  # the drill is kept:", *map("  {}".format, shell[1:]), ""]


def test_what_was_seen_ends_with_one_full_stop() -> None:
    decision = verified().decision
    assert decision is not None
    seen = "/health: http://zk.example refuses connections."
    signals = tuple(
        each.model_copy(update={"evidence": seen}) if each.name == "users-impacted" else each
        for each in decision.signals
    )
    record = verified(decision=decision.model_copy(update={"signals": signals}))
    assert f"Before helm: {seen} Since helm began" in users_affected(record)


def test_several_refusals_are_listed_and_an_override_is_named() -> None:
    more = Guard(id="target", state="refused", evidence="revision 99 does not exist; there are 1 to 7")
    aside = Guard(id="protected", state="overridden", evidence="confirmed by nobody")
    record = refused().model_copy(update={"guards": (*refused().guards, more, aside)})
    assert render_last_lines(record, "r.html").splitlines()[:3] == [
        "REFUSED pending-release: Revision 6 is pending-upgrade since 11:48:02 UTC, by helm v4.3.1 of ci-runner-7.",
        "REFUSED target: revision 99 does not exist; there are 1 to 7",
        "OVERRIDDEN protected: confirmed by nobody",
    ]


@pytest.mark.parametrize("name", ALL)
def test_the_verdict_and_what_belongs_to_it_fit_into_15_rows_of_80(name: str) -> None:
    long = "a sentence of an operator or a cluster that has no end " * 30
    record = ALL[name]().model_copy(update={"summary": long})
    items_ = tuple(
        item.model_copy(update={"observed": long, "verdict": Verdict.FAIL}) for item in record.items
    )
    for each in (record, record.model_copy(update={"items": items_, "outcome": Outcome.FAILED})):
        last = render_last_lines(each, "reports/20261123T084012Z-drill-d3aa4fdb.html").split("\n\n")[-1]
        assert sum(-(-len(line) // 80) for line in last.splitlines()) <= 15
        rows = [
            -(-len(line) // 80) for line in render_last_lines(each, "r.html").split("\n\n")[0].splitlines()
        ]
        assert max(rows) <= 8


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
        items=items(logs=(Verdict.FAIL, bad)),
        next_commands=(bad,),
        outcome=Outcome.FAILED,
        release=bad,
    )
    text = render_last_lines(record, "r.html")
    assert len(text.splitlines()) == 13
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
    if name == "refused":  # ten rows of "not run" would hide the one reason
        assert len(lines) == 2
        return
    first = next((item.id for item in record.items), "no items")
    head = next((n for n, line in enumerate(lines) if first in line), len(lines))
    rows = [line for line in lines[head:] if not line.startswith(BESIDE)]
    assert len(rows) == len(record.items)
    for item, line in zip(record.items, rows, strict=True):
        assert item.id in line
        assert str(item.verdict or ("WAITING" if name == "running" else "NO VERDICT")) in line


def test_a_fact_is_not_cut_in_its_middle_but_goes_on_in_a_second_line() -> None:
    said = "container backend of 3 of 3 pods crashed 2 times: exit code 1, Error: no such table: orders"
    record = failed().model_copy(update={"items": items(rollout_backend=(Verdict.FAIL, said))})
    lines = live(record, at(9))
    place = next(n for n, line in enumerate(lines) if "rollout-backend" in line)
    first, second = lines[place : place + 2]
    assert first.startswith("✗ FAIL       rollout-backend     container backend of 3 of 3 pods ")
    assert second == f"{BESIDE}crashed 2 times: exit code 1, Error: no such table: orders"


@pytest.mark.parametrize(
    ("height", "outcome", "green_too"),
    [
        (24, Outcome.RUNNING, False),
        (40, Outcome.RUNNING, True),
        (24, Outcome.FAILED, True),  # which is not drawn again, and may scroll
    ],
)
def test_on_a_small_screen_only_what_is_not_green_has_a_second_line_while_it_is_drawn(
    height: int, outcome: Outcome, green_too: bool
) -> None:
    said = "what was seen of it takes more than one line, and its end may matter"
    record = failed().model_copy(
        update={
            "items": items(
                **{each.id.replace("-", "_"): (Verdict.PASS, said) for each in items() if each.id != "smoke"},
                smoke=(Verdict.FAIL, said),
            ),
            "outcome": outcome,
        }
    )
    console = Console(width=80, height=height, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(render_live(record, at(9)))
    lines = capture.get().splitlines()
    assert len(lines) < height or outcome is Outcome.FAILED
    assert sum(line.startswith(BESIDE) for line in lines) == (11 if green_too else 1)
    assert "…" in capture.get() or green_too


def test_what_stays_on_the_screen_is_whole_in_as_many_lines_as_that_takes() -> None:
    said = (
        "container backend of 3 of 3 pods crash-loops: exit code 1, 2 restarts; its log ends: "
        "2026-11-23T11:50:46.300Z FATAL: unable to open database file: /var/lib/zkprova-data/zkprova.db"
    )
    record = failed().model_copy(update={"items": items(rollout_backend=(Verdict.FAIL, said))})
    drawn = {}
    for outcome in (Outcome.RUNNING, Outcome.FAILED):
        console = Console(width=80, height=40, force_terminal=True, color_system=None)
        with console.capture() as capture:
            console.print(render_live(record.model_copy(update={"outcome": outcome}), at(9)))
        lines = capture.get().splitlines()
        place = next(n for n, line in enumerate(lines) if "rollout-backend" in line)
        more = takewhile(lambda line: line.startswith(BESIDE), lines[place + 1 :])
        drawn[outcome] = [line.rstrip() for line in more]
    assert drawn == {
        Outcome.RUNNING: [f"{BESIDE}crash-loops: exit code 1, 2 restarts; its log ends: 2026-11-23T11:…"],
        Outcome.FAILED: [
            f"{BESIDE}crash-loops: exit code 1, 2 restarts; its log ends:",
            f"{BESIDE}2026-11-23T11:50:46.300Z FATAL: unable to open database file:",
            f"{BESIDE}/var/lib/zkprova-data/zkprova.db",
        ],
    }


def test_what_is_too_long_ends_with_a_sentence() -> None:
    cause = "the server answered 500: quantities must match the regular expression " * 5
    said = f"helm would fail. It is {cause.strip()}. {'Beside this, more is said of it. ' * 20}"
    record = failed().model_copy(
        update={
            "items": items(smoke=(Verdict.FAIL, said)),
            "guards": (Guard(id="forecast", state="warned", evidence=said),),
            "outcome": Outcome.FAILED,
        }
    )
    whole = f"helm would fail. It is {cause.strip()}."
    rest = " Beside this, more is said of it."
    assert render_last_lines(record, "r.html").splitlines()[0] == f"FAIL smoke: {whole}{rest * 6} ..."
    assert render_warning_lines(record) == [f"WARNING forecast: {whole}{rest * 6} ..."]


def test_the_soak_counts_down() -> None:
    record = running().model_copy(update={"items": verified().items, "provisional_at": at(9), "soak_s": 10.0})
    assert live(record, at(9))[1].startswith("provisionally green, 9.0 s, 10 s left to watch; ")
    assert live(record, at(16.5))[1].startswith("provisionally green, 16.5 s, 3 s left to watch; ")
    assert live(record, at(30))[1].startswith("provisionally green, 30.0 s, 0 s left to watch; ")
    assert render_waiting_line(record, at(16.5)) == "      16.5 s  provisionally green, 3 s left to watch"


def test_what_a_run_waits_for_is_said_with_the_probes_own_message() -> None:
    probe = "Unhealthy on Pod/web-1: Readiness probe failed: HTTP probe failed with statuscode: 404"
    record = running().model_copy(
        update={
            "items": tuple(
                item.model_copy(update={"started_at": at(1)})
                for item in items(
                    rollout_backend=(None, "1 of 3 updated replicas are available"),
                    rollout_frontend=(None, "0 of 2"),
                    events=(None, probe),
                )
            )
        }
    )
    assert render_waiting_line(record, at(30)) == (
        "      30.0 s  waits for rollout-backend: 1 of 3 updated replicas are available; "
        f"events: {probe} (8 of 11 judged)"
    )


def test_before_anything_is_judged_the_phase_and_what_was_said_last_are_waited_for() -> None:
    blank = tuple(item.model_copy(update={"verdict": None, "observed": ""}) for item in verified().items)
    begun = running().model_copy(update={"items": blank, "helm": Helm(), "cluster": ""})
    assert render_waiting_line(begun, at(20), "building etcd") == (
        "      20.0 s  preparing the drill: building etcd"
    )
    helm = running().helm.model_copy(update={"running": True, "finished_at": None})
    at_work = begun.model_copy(update={"helm": helm})
    assert render_waiting_line(at_work, at(20)) == "      20.0 s  helm is running"


def test_what_warned_has_lines_of_its_own_and_the_preflight_counts_them() -> None:
    guards = (
        Guard(id="url", state="warned", evidence="the url does not answer"),
        Guard(id="deployed", state="warned", evidence="two revisions are deployed"),
        Guard(id="lock", state="ok", evidence="free"),
    )
    observed = "16 guards asked, none refuses; url: the url does not answer; deployed: two"
    record = running().model_copy(
        update={"guards": guards, "items": items(preflight=(Verdict.PASS, observed))[:1], "helm": Helm()}
    )
    assert render_warning_lines(record) == [
        "WARNING url: the url does not answer",
        "WARNING deployed: two revisions are deployed",
    ]
    assert render_progress_line(record, at(9)).endswith(
        "PASS preflight: 16 guards asked, none refuses; 2 warnings (1 of 1 judged)"
    )


def test_live_as_a_whole() -> None:
    console = Console(width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(render_live(running(), at(9)))
    assert [line.rstrip() for line in capture.get().splitlines()[:14]] == [
        "zkprova rolled back from 6 to 5 in drill",
        "verifying, 9.0 s; 5 of 11 judged; HELM RAN: once, exit code 0, took 0.4 s",
        "✓ PASS       preflight           Cluster, release and rights are           0.9 s",
        "             known; 2 warnings",
        "✓ PASS       rollback            helm exited 0; revision 7 is              0.4 s",
        "             deployed: Rollback to 5.",
        "✓ PASS       release-equivalence 7 of 7 objects match; 4 of 4 pods         4.7 s",
        "             run revision 5's images.",
        "✓ PASS       rollout-backend     2 of 2 replicas updated and               4.2 s",
        "             available on generation 7.",
        "✓ PASS       rollout-frontend    2 of 2 replicas updated and               2.5 s",
        "             available on generation 7.",
        "· WAITING    smoke               waits for the others",
        "· WAITING    logs                waits for the others",
    ]


def live(record: Record, now: datetime) -> list[str]:
    console = Console(width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(render_live(record, now))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_what_is_going_on_is_not_cut_at_the_edge_but_goes_on_in_a_second_line() -> None:
    """Neither the state above the table nor what was said last below it."""
    record = failed()
    console = Console(width=60, force_terminal=False)
    with console.capture() as capture:
        console.print(render_live(record, at(9)))
    assert " ".join(line.strip() for line in capture.get().splitlines()[:3]).endswith(helm_line(record))
    console = Console(width=40, force_terminal=False)
    with console.capture() as capture:
        console.print(
            render_status(
                "Building kube-apiserver v1.37.2 (5 of 8): 12 packages compiled; usually 7 to 20 minutes"
            )
        )
    assert [line.rstrip() for line in capture.get().splitlines()] == [
        "  Building kube-apiserver v1.37.2 (5 of",
        "  8): 12 packages compiled; usually 7 t…",
    ]


def test_live_before_anything_was_asked_is_its_head_only() -> None:
    blank = tuple(item.model_copy(update={"verdict": None, "observed": ""}) for item in verified().items)
    begun = running().model_copy(
        update={"items": blank, "helm": Helm(), "cluster": "", "revision_before": None}
    )
    assert live(begun, at(9)) == ["rollback of zkprova to revision 5 in drill", "preparing the drill, 9.0 s"]
    assert live(begun.model_copy(update={"environment": "shop"}), at(9))[1] == "connecting, 9.0 s"
    reached = begun.model_copy(update={"cluster": "context drill, https://127.0.0.1:6443"})
    assert live(reached, at(9))[1:] == ["preflight, 9.0 s"]


def test_live_says_what_is_red_by_its_word_and_who_waits_for_whom() -> None:
    word = Verdict.UNVERIFIED
    record = running().model_copy(
        update={
            "items": items(rollout_backend=(None, ""), smoke=(None, ""), logs=(word, "x"), notify=(None, ""))
        }
    )
    lines = live(record, at(9))
    assert lines[1].startswith("verifying, 9.0 s; 8 of 11 judged, 1 unverified; HELM RAN")
    assert "· WAITING    smoke               waits for the rollouts" in lines
    assert "· WAITING    notify              waits for the others" in lines


def test_live_at_the_end() -> None:
    assert live(verified(), at(9))[1] == (
        "verified in 7.6 s; 11 of 11 judged; HELM RAN: once, exit code 0, took 0.4 s"
    )
    assert live(interrupted(), at(9))[1] == "interrupted in 1.5 s; 2 of 11 judged, 1 unverified"


def test_progress_lines() -> None:
    begun = running().model_copy(update={"items": running().items[:0], "helm": Helm()})
    assert render_progress_line(begun, at(3)) == "       0.0 s  preflight (0 of 0 judged)"
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


def test_text_ends_without_a_path_that_is_not_there() -> None:
    assert "Report" not in render_text(verified())


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
            {
                "helm": Helm(),
                "revision_before": None,
                "revision_after": None,
                "outcome": Outcome.INTERRUPTED,
                "guards": (),
            },
            "Not known: nothing was reached.",
        ),
        (
            {
                "items": items(release_equivalence=(Verdict.UNVERIFIED, "forbidden")),
                "outcome": Outcome.UNVERIFIED,
            },
            "Revision 7 (a rollback to 5, zkprova-1.5.0), since 2026-11-23 11:50:40 UTC. "
            "Ready pods: zkprova-zkprova-backend 2 and zkprova-zkprova-frontend 2. "
            "It was not shown that the live objects match it (UNVERIFIED)",
        ),
        (
            {"helm": Helm(), "revision_after": None, "outcome": Outcome.REFUSED},
            "Revision 6 (zkprova-1.6.0), since 2026-11-23 11:37:59 UTC, not changed by this run. "
            "Ready pods: zkprova-zkprova-backend 2 and zkprova-zkprova-frontend 2",
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
    nothing = verified(impact_since=None, plan=verified().plan.model_copy(update={"compared_with": None}))
    assert users_affected(nothing) == (
        "Not known how long: since when was not said; /health passes since 2026-11-23 11:50:43 UTC. "
        "Before helm: /health answers HTTP 503. Since helm began: /health failed 14 of 27 times."
    )
    unseen = nothing.model_copy(update={"decision": None, "samples": (), "served_again_at": None})
    assert users_affected(unseen.model_copy(update={"recovered_at": None})) == (
        "Not known: since when was not said."
    )
    assert users_affected(running()).startswith(
        "Since 2026-11-23 11:38:39 UTC by the operator's word; no recovery was seen."
    )


def test_phases() -> None:
    assert phase(verified()) == "verified"
    assert phase(waived()) == "verified with waivers"
    assert phase(running()) == "verifying"
    before = running().model_copy(update={"helm": Helm(), "items": items(rollback=(None, ""))})
    assert phase(before) == "preflight"
    assert phase(before.model_copy(update={"helm": Helm(skipped_reason="it is live")})) == "verifying"


def test_where_the_release_cannot_be_read_only_what_is_unknown_for_that_is_left_out() -> None:
    """By its type: an object may be called unknown."""
    release = Guard(id="release", state="refused", evidence="no answer", unknown=True)
    target = Guard(id="target", state="refused", evidence="which revisions exist", unknown=True)
    storage = Guard(id="storage", state="refused", evidence="HELM_DRIVER=an unknown one")
    record = refused().model_copy(update={"guards": (release, target, storage)})
    assert [each.ids for each in failures(record)] == [("release",), ("storage",)]


def test_a_refusal_is_said_once() -> None:
    sentence = "There is no kubeconfig."
    record = refused().model_copy(
        update={
            "guards": (Guard(id="cluster", state="refused", evidence=sentence),),
            "items": (refused().items[0].model_copy(update={"observed": sentence}),),
        }
    )
    record = record.model_copy(update={"summary": ""})
    assert [each.text for each in failures(record)] == [sentence]
    record = record.model_copy(update={"summary": render_summary(record)})
    assert failures(record) == ()
    assert render_last_lines(record, "r.html").lower().count("there is no kubeconfig") == 1


def test_a_revision_older_than_the_target_is_not_blamed() -> None:
    plan = Plan(target=HISTORY[3], compared_with=HISTORY[2], history=HISTORY)
    assert users_affected(verified(plan=plan, impact_since=None)).startswith(
        "Not known how long: since when was not said; /health passes since 2026-11-23 11:50:43 UTC."
    )


def test_offsets() -> None:
    assert [offset(verified(), at(second)) for second in (0, 1.24, -760)] == [
        "-1.2 s",
        "+0.0 s",
        "-12 min 41 s",
    ]


def test_titles_and_revisions_of_what_helm_did_not_do() -> None:
    there = verified(helm=Helm(skipped_reason="revision 7 already is revision 5"), revision_before=7)
    assert title(there) == "VERIFIED: zkprova already back at 5 in drill"
    assert title(checked_only()) == "VERIFIED: release zkprova, environment drill, revision 7 (checked only)"
    assert revisions(checked_only()) == "7"
    by_hand = checked_only().model_copy(update={"target_revision": 5})
    assert revisions(by_hand) == "7, a rollback to 5"
    assert revisions(verified()) == "before 6, target 5, after 7"
    assert revisions(refused()) == "before 6, target 5, not changed"


def test_how_short_the_look_was_is_said_of_green_only() -> None:
    assert watch_line(verified()) == (
        "All checks passed at 11:50:46 UTC, 5.9 s after helm; not watched since"
    )
    assert watch_line(checked_only()) == "All checks passed at 11:50:46 UTC; not watched since"
    assert watch_line(waived()).startswith("All other checks passed at ")
    assert watch_line(failed()) == ""


def test_what_nobody_looked_into_is_said_although_all_is_green() -> None:
    limit = "Not checked: migrations that the application runs at start-up."
    said = f"No hook ran in revision 6. {limit}"
    record = verified(
        items=tuple(
            item.model_copy(update={"limits": (limit,)}) if item.id == "migration" else item
            for item in items(migration=(Verdict.PASS, said))
        )
    )
    assert not_checked(record) == (
        "identity-unpinned: This environment pins no cluster identity; "
        "migrations that the application runs at start-up"
    )
    assert render_summary(record).endswith(
        "all 11 checks passed; not covered: migrations that the application runs at start-up."
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {},
            "Release zkprova, environment drill, is back on revision 5 (zkprova-1.5.0), live as revision 7: "
            "all 11 checks passed.",
        ),
        (
            {
                "outcome": Outcome.FAILED,
                "items": items(release_equivalence=(Verdict.FAIL, "x"), smoke=(Verdict.UNVERIFIED, "y")),
            },
            "Release zkprova, environment drill, is NOT restored: the current revision is 7 (back to 5, "
            "zkprova-1.5.0); failed: live objects; not checked: smoke test.",
        ),
        (
            {"outcome": Outcome.INTERRUPTED, "helm": Helm(), "revision_before": None, "revision_after": None},
            "Interrupted before the release was read: nothing was changed.",
        ),
        (
            {"outcome": Outcome.INTERRUPTED, "helm": Helm(), "revision_after": 6, "target_revision": None},
            "Interrupted before helm ran: nothing was changed; revision 6 (zkprova-1.6.0) is live.",
        ),
        (
            {"outcome": Outcome.INTERRUPTED},
            "Release zkprova, environment drill, is back on revision 5 (zkprova-1.5.0), live as revision 7; "
            "then the run was stopped: not all of it was checked.",
        ),
        (
            {"outcome": Outcome.INTERRUPTED, "items": items()[:2]},
            "Release zkprova, environment drill, is back on revision 5 (zkprova-1.5.0), as Helm's revision 7; "
            "then the run was stopped: nobody has checked whether it works.",
        ),
        (
            {
                "outcome": Outcome.REFUSED,
                "helm": Helm(),
                "guards": (
                    Guard(
                        id="cluster",
                        state="refused",
                        evidence="There is no kubeconfig: X is not there. Set it.",
                    ),
                    Guard(id="protected", state="refused", evidence="environment 'x' is protected"),
                ),
            },
            "Not rolled back: there is no kubeconfig: X is not there (and 1 more reason). "
            "Users are affected: /health answers HTTP 503. Nothing was changed.",
        ),
        (
            {
                "outcome": Outcome.REFUSED,
                "helm": Helm(),
                "guards": (
                    Guard(
                        id="target",
                        state="refused",
                        evidence=f"revision 3 is failed: Upgrade failed: {'no quantity ' * 20}",
                    ),
                    Guard(id="protected", state="refused", evidence="environment 'x' is protected"),
                ),
            },
            "Not rolled back: revision 3 is failed: Upgrade failed (and 1 more reason). "
            "Users are affected: /health answers HTTP 503. Nothing was changed.",
        ),
    ],
)
def test_summaries(changes: dict[str, object], said: str) -> None:
    assert render_summary(verified(**changes)) == said


def test_on_a_terminal_sentences_break_between_words_and_commands_stay_whole() -> None:
    text = "Next:\n  helm rollback zkprova 6 --namespace zkprova\n\nChecked: 11 items: 11 PASS; not watched since."
    assert fitted(text, 30) == (
        "Next:\n  helm rollback zkprova 6 --namespace zkprova\n\n"
        "Checked: 11 items: 11 PASS;\nnot watched since."
    )


def test_on_a_terminal_a_comment_goes_on_as_a_comment_and_a_point_as_one() -> None:
    text = "Next:\n  - commit a7d20c4 is probably still on main\n  # to roll back, if that is bad:\n  pytest"
    assert fitted(text, 30) == (
        "Next:\n  - commit a7d20c4 is probably\n    still on main\n  # to roll back, if that is\n  # bad:\n  pytest"
    )
