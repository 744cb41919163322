"""The runbook's decision table, against expectations written by hand from its text."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.decision import Answer, Recommendation, SignalName, SignalReading
from pytest_zkrollback.domain.errors import ProcessProblem
from pytest_zkrollback.domain.metric import NoValueKind, Reading
from pytest_zkrollback.domain.ports import HttpAnswer
from pytest_zkrollback.domain.record import Mode, Revision
from pytest_zkrollback.plugin.options import SIGNALS
from pytest_zkrollback.preflight.decision import decide, recommend
from pytest_zkrollback.preflight.guards.release import judge_migration_guard
from pytest_zkrollback.preflight.impact import (
    fetch_users_impacted,
    judge_health_once,
    judge_many_commits,
    judge_replicas,
    judge_users_impacted,
)
from pytest_zkrollback.release.helm_secret import Release
from pytest_zkrollback.release.history import ReleaseHistory
from pytest_zkrollback.release.source_commit import annotated_commit, commit_of, tag_of
from pytest_zkrollback.report.html import render_record
from pytest_zkrollback.report.markdown import escaped, render_markdown
from pytest_zkrollback.report.terminal import render_last_lines
from support.example_records import verified

# users, cause, fix, migration, commits: y yes, n no, ? unknown, * any. Written from the runbook:
# users impacted, root cause unclear, several commits stand under Rollback; a small fix and an irreversible
# migration under Hotfix Forward; "Default to rollback when in doubt - restoring service is the priority".
# Each combination belongs to exactly one class.
CLASSES = [
    # Users are impacted: the runbook's column Rollback; if a hotfix signal says yes too, that is doubt.
    ("y****", Recommendation.ROLLBACK),
    # Users are not impacted, but the cause is unclear: Rollback, or doubt.
    ("ny***", Recommendation.ROLLBACK),
    # ... but several commits went out: Rollback, or doubt.
    ("nn**y", Recommendation.ROLLBACK),
    ("n?**y", Recommendation.ROLLBACK),
    # Users are not impacted and nothing speaks for Rollback; the fix is small: Hotfix Forward.
    ("nny*n", Recommendation.HOTFIX),
    ("nny*?", Recommendation.HOTFIX),
    ("n?y*n", Recommendation.HOTFIX),
    ("n?y*?", Recommendation.HOTFIX),
    # ... or the migration cannot be undone: Hotfix Forward.
    ("nnnyn", Recommendation.HOTFIX),
    ("nnny?", Recommendation.HOTFIX),
    ("n?nyn", Recommendation.HOTFIX),
    ("n?ny?", Recommendation.HOTFIX),
    ("nn?yn", Recommendation.HOTFIX),
    ("nn?y?", Recommendation.HOTFIX),
    ("n??yn", Recommendation.HOTFIX),
    ("n??y?", Recommendation.HOTFIX),
    # Nothing speaks for anything: in doubt, Rollback.
    ("nnnnn", Recommendation.ROLLBACK),
    ("nnnn?", Recommendation.ROLLBACK),
    ("nnn?n", Recommendation.ROLLBACK),
    ("nnn??", Recommendation.ROLLBACK),
    ("nn?nn", Recommendation.ROLLBACK),
    ("nn?n?", Recommendation.ROLLBACK),
    ("nn??n", Recommendation.ROLLBACK),
    ("nn???", Recommendation.ROLLBACK),
    ("n?nnn", Recommendation.ROLLBACK),
    ("n?nn?", Recommendation.ROLLBACK),
    ("n?n?n", Recommendation.ROLLBACK),
    ("n?n??", Recommendation.ROLLBACK),
    ("n??nn", Recommendation.ROLLBACK),
    ("n??n?", Recommendation.ROLLBACK),
    ("n???n", Recommendation.ROLLBACK),
    ("n????", Recommendation.ROLLBACK),
    # Nobody knows whether users are impacted: that is doubt, whatever else is said.
    ("?****", Recommendation.ROLLBACK),
]
LETTERS = {"y": Answer.YES, "n": Answer.NO, "?": Answer.UNKNOWN}


def members(pattern):
    return ["".join(one) for one in itertools.product(*("yn?" if c == "*" else c for c in pattern))]


def answers(letters):
    return dict(zip(SignalName, map(LETTERS.__getitem__, letters), strict=True))


def test_the_classes_hold_all_243_combinations_once():
    found = [one for pattern, _ in CLASSES for one in members(pattern)]
    assert len(found) == len(set(found)) == 3**5


@pytest.mark.parametrize(("pattern", "expected"), CLASSES)
def test_the_recommendation_is_the_runbooks(pattern, expected):
    for one in members(pattern):
        assert recommend(answers(one))[0] is expected, one


@pytest.mark.parametrize(
    ("letters", "reasons"),
    [
        ("y????", ("Users actively impacted: speaks for rollback.",)),
        (
            "y?y??",
            (
                "Users actively impacted: speaks for rollback.",
                "Fix is obvious and small (< 30 min): speaks for hotfix forward.",
                "The signals disagree. Default to rollback when in doubt: restoring service is the priority.",
            ),
        ),
        (
            "n??y?",
            (
                "Database migration ran (non-reversible): speaks for hotfix forward.",
                "Users are not impacted, and nothing speaks for rollback.",
            ),
        ),
        (
            "?????",
            (
                "No signal speaks for either way. Default to rollback when in doubt: restoring service is "
                "the priority.",
            ),
        ),
    ],
)
def test_its_reasons(letters, reasons):
    assert recommend(answers(letters))[1] == reasons


def test_the_options_know_the_same_signals():
    assert tuple(SignalName) == SIGNALS


USERS, MIGRATION = SignalName.USERS_IMPACTED, SignalName.MIGRATION_IRREVERSIBLE


def signal(decision, name):
    return next((one.answer, one.source, one.evidence) for one in decision.signals if one.name is name)


def test_the_operators_word_stands_and_what_was_seen_stays_beside_it():
    decision = decide(
        {USERS: SignalReading(Answer.NO, "cluster", "all well")}, {USERS: Answer.YES}, "roll back"
    )
    assert signal(decision, USERS) == (
        "yes",
        "operator",
        "the operator says yes; cluster says no: all well",
    )


def test_the_operator_cannot_deny_a_migration_that_was_seen():
    seen = {MIGRATION: SignalReading(Answer.YES, "alembic", "0007 drops a column")}
    decision = decide(seen, {MIGRATION: Answer.NO}, "roll back")
    assert signal(decision, MIGRATION)[0] == "yes"
    guard = judge_migration_guard(decision)
    assert (guard.state, guard.override) == ("refused", "--rollback-override=migration=REASON")
    assert "0007 drops a column" in guard.evidence


@pytest.mark.parametrize(
    ("seen", "said", "state"),
    [
        ({}, {}, "warned"),
        ({MIGRATION: SignalReading(Answer.UNKNOWN, "migrations", "no answer")}, {}, "warned"),
        ({MIGRATION: SignalReading(Answer.NO, "migrations", "none ran")}, {}, "ok"),
        ({}, {MIGRATION: Answer.YES}, "refused"),
        ({MIGRATION: SignalReading(Answer.NO, "migrations", "none ran")}, {MIGRATION: Answer.YES}, "refused"),
    ],
)
def test_unknown_never_refuses(seen, said, state):
    assert judge_migration_guard(decide(seen, said, "roll back")).state == state


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([(True, "a"), (True, "b")], (Answer.NO, "a; b")),
        ([(True, "a"), (False, "b")], (Answer.YES, "b")),
        ([(None, "a"), (False, "b")], (Answer.YES, "b")),
        ([(True, "a"), (None, "b")], (Answer.UNKNOWN, "a; b")),
        ([], (Answer.UNKNOWN, "")),
    ],
)
def test_users_are_impacted_if_one_thing_is_not_well(asked, expected):
    seen = judge_users_impacted(asked)
    assert (seen.answer, seen.evidence) == expected


SERVES = Environment(
    name="test",
    context="x",
    namespace="shop",
    workloads={"api": "deployment/api"},
    metrics={
        "url": "http://127.0.0.1:1",
        "users_impacted": "errors",
        "checks": [
            {"id": "other", "title": "Other", "query": "other", "max": 0},
            {"id": "errors", "title": "Errors", "query": 'x{a="{namespace}"}', "max": 1, "unit": "%"},
        ],
    },
)
READY = {"spec": {"replicas": 3}, "status": {"availableReplicas": 3}}


@pytest.mark.parametrize(
    ("reading", "answer", "evidence"),
    [
        (
            Reading(value=4.0),
            Answer.YES,
            "metric-errors: 4 % (limit: at most 1 %)",
        ),
        (
            Reading(value=0.5),
            Answer.UNKNOWN,
            "3 of 3 replicas of api available; /health was not asked: no url is configured; metric-errors: 0.5 % "
            "(limit: at most 1 %)",
        ),
        (
            Reading(kind=NoValueKind.EMPTY, text="the query has no series"),
            Answer.UNKNOWN,
            "3 of 3 replicas of api available; /health was not asked: no url is configured; metric-errors: not "
            "known (the query has no series)",
        ),
    ],
)
def test_a_metric_may_say_whether_users_are_impacted(reading, answer, evidence):
    asked = []

    def query(text, timeout_s):
        asked.append((text, timeout_s))
        return reading

    kube = SimpleNamespace(get=lambda *_, **__: READY, resource_path=lambda *_: "/x")
    found = fetch_users_impacted(SERVES, kube, None, SimpleNamespace(query=query))
    assert found == SignalReading(answer, "cluster, /health and metrics", evidence)
    assert asked == [('x{a="shop"}', 2.0)]


def test_a_metric_that_is_not_named_is_not_asked():
    env = SERVES.model_copy(update={"metrics": SERVES.metrics.model_copy(update={"users_impacted": None})})
    kube = SimpleNamespace(get=lambda *_, **__: READY, resource_path=lambda *_: "/x")
    assert fetch_users_impacted(env, kube, None, SimpleNamespace()).source == "cluster and /health"


@pytest.mark.parametrize(
    ("found", "well"),
    [
        ({"spec": {"replicas": 3}, "status": {"availableReplicas": 3}}, True),
        ({"spec": {"replicas": 3}, "status": {"availableReplicas": 2}}, False),
        ({"spec": {"replicas": 3}, "status": {}}, False),
        ({"spec": {"replicas": 0}, "status": {}}, True),
        # A surge pod that is not available takes nothing from anybody.
        ({"spec": {"replicas": 3}, "status": {"availableReplicas": 3, "unavailableReplicas": 3}}, True),
        ({"spec": {}, "status": {"desiredNumberScheduled": 2, "numberAvailable": 1}}, False),
    ],
)
def test_replicas(found, well):
    assert judge_replicas("api", found)[0] is well


@pytest.mark.parametrize(
    ("status", "body", "well"),
    [
        (200, b'{"database": "ok"}', True),
        (200, b'{"database": "error"}', False),
        (200, b"{}", False),
        (200, b"[]", False),
        (200, b"<html>", False),
        (503, b'{"database": "ok"}', False),
    ],
)
def test_health_once(status, body, well):
    assert (
        judge_health_once("/health", HttpAnswer(status, {}, body, False, 0.1), {"database": "ok"})[0] is well
    )


def revision(number, app_version="", images=()):
    at = datetime(2026, 11, 24, tzinfo=UTC)
    return Revision(
        revision=number,
        status="superseded",
        chart="c-1",
        app_version=app_version,
        images=images,
        deployed_at=at,
    )


@pytest.mark.parametrize(
    ("app_version", "images", "commit"),
    [
        ("1.9.0-a7d20c4", (), "a7d20c4"),
        ("", ("r:5000/app/backend:sha-a7d20c4f", "r:5000/app/web:1.9.0-a7d20c4"), "a7d20c4f"),
        ("", ("app:1.9.0-a7d20c4", "app:1.9.0-b27e914"), None),
        ("1.9.0", ("app:latest",), None),
        ("20261124", (), None),  # a date, not a commit
        ("", ("app@sha256:" + "a1" * 32,), None),  # a digest is no commit
        ("", ("app:a7d20c4@sha256:" + "a1" * 32,), "a7d20c4"),
    ],
)
def test_the_commit_of_a_revision(app_version, images, commit):
    assert commit_of(revision(1, app_version, images)) == commit


def history(*versions):
    found = [
        Release(revision(n, f"1.{n}.0-{text}"), manifest=f"of {text}")
        for n, text in enumerate(versions, start=5)
    ]
    return ReleaseHistory("default", "zkprova", tuple(found))


def knows(good, bad):
    return 7


def fails(good, bad):
    raise ProcessProblem("The git checkout does not know b27e914: fetch it.")


@pytest.mark.parametrize(
    ("versions", "counters", "answer", "source", "said"),
    [
        (
            ("a7d20c4", "b27e914"),
            {"git": lambda good, bad: 1},
            "no",
            "git",
            "1 commit from a7d20c4 to b27e914",
        ),
        (("a7d20c4", "b27e914"), {"git": knows}, "yes", "git", "7 commits from a7d20c4 to b27e914"),
        # A checkout that was not fetched lately: GitHub has the word.
        (
            ("a7d20c4", "b27e914"),
            {"git": fails, "GitHub": knows},
            "yes",
            "GitHub",
            "7 commits from a7d20c4 to b27e914",
        ),
        (
            ("a7d20c4", "b27e914"),
            {"git": fails},
            "unknown",
            "helm history",
            "new since the target: revision 6 (The git checkout does not know b27e914: fetch it.)",
        ),
        (
            ("x", "y", "z"),
            {"git": knows},
            "yes",
            "helm history",
            "new since the target: revisions 6, 7 (the revisions' tags and versions name no commit)",
        ),
        (
            ("a7d20c4", "b27e914"),
            {},
            "unknown",
            "helm history",
            "new since the target: revision 6 (no git checkout is configured)",
        ),
    ],
)
def test_commits_since_the_last_good_deploy(versions, counters, answer, source, said):
    seen = judge_many_commits(history(*versions), 5, 4 + len(versions), counters)
    assert (seen.answer, seen.source, seen.evidence) == (answer, source, said)


def rolled(*contents):
    """A history from revision 5 on; a number: a rollback to it, a word: a deploy that holds it."""
    found = []
    for number, content in enumerate(contents, start=5):
        back = content if isinstance(content, int) else None
        held = found[back - 5].manifest if back is not None else content
        one = revision(number).model_copy(update={"rollback_of": back})
        found.append(Release(one, manifest=held))
    return ReleaseHistory("default", "zkprova", tuple(found))


NO_GIT = " (no git checkout is configured)"


@pytest.mark.parametrize(
    ("contents", "target", "answer", "said"),
    [
        pytest.param("ab", 5, "unknown", "new since the target: revision 6", id="one-deploy"),
        pytest.param("abc", 5, "yes", "new since the target: revisions 6, 7", id="two-deploys"),
        pytest.param(
            ["a", "b", 5, 6],
            5,
            "unknown",
            "new since the target: revision 6; rollbacks, or the same again: 7, 8",
            id="there-and-back-and-there-again",
        ),
        pytest.param(
            ["a", "b", 5, 6, 5],
            6,
            "no",
            "no revision since the target brought anything new; rollbacks, or the same again: 7, 8, 9",
            id="nothing-but-rollbacks",
        ),
        pytest.param(
            ["a", "b", "b", "a"],
            5,
            "unknown",
            "new since the target: revision 6; rollbacks, or the same again: 7, 8",
            id="deployed-again-without-a-change",
        ),
        pytest.param(
            ["a", "b", 5, "c"],
            7,
            "unknown",
            "new since the target: revision 8",
            id="back-to-a-rollback",
        ),
    ],
)
def test_rollbacks_are_no_commits(contents, target, answer, said):
    found = rolled(*contents)
    seen = judge_many_commits(found, target, found.head.revision.revision, {})
    assert (seen.answer, seen.evidence) == (answer, said + NO_GIT)


def test_where_revisions_are_missing_in_between_nobody_knows_what_they_brought():
    found = rolled("a", "b", 5, 5)
    pruned = ReleaseHistory(
        "default", "zkprova", tuple(one for one in found.releases if one.revision.revision != 6)
    )
    seen = judge_many_commits(pruned, 5, 8, {})
    assert (seen.answer, seen.evidence) == (
        "unknown",
        "no revision since the target brought anything new; rollbacks, or the same again: 7, 8" + NO_GIT,
    )


def labelled(where, value, kind="Deployment"):
    words = {"org.opencontainers.image.revision": value}
    item = {"kind": kind, "metadata": {"name": "api"}, "spec": {"template": {"metadata": {}}}}
    holder = item if where.startswith("object") else item["spec"]["template"]
    holder["metadata"] |= {where.split()[1]: words}
    return item


@pytest.mark.parametrize(
    ("objects", "commit"),
    [
        ([labelled("object annotations", "A7D20C4")], "a7d20c4"),
        ([labelled("pod annotations", "a7d20c4")], "a7d20c4"),
        ([labelled("pod labels", "a7d20c4", "StatefulSet")], "a7d20c4"),
        ([labelled("object labels", "a7d20c4"), labelled("pod labels", "a7d20c4ffe")], "a7d20c4ffe"),
        ([labelled("object labels", "a7d20c4"), labelled("pod labels", "b27e914")], None),
        ([], None),
    ],
)
def test_the_commit_that_annotations_name(objects, commit):
    assert annotated_commit(objects, "org.opencontainers.image.revision") == commit


@pytest.mark.parametrize(
    ("images", "tag"),
    [
        (("r:5000/app/api:v1.8.0", "app/web:v1.8.0@sha256:00"), "v1.8.0"),
        (("app/api:v1.8.0", "redis:7"), None),
        (("r:5000/app/api", "app/web:v1.8.0"), "v1.8.0"),
        ((), None),
    ],
)
def test_the_tag_of_a_revision(images, tag):
    assert tag_of(revision(5, images=images)) == tag


@pytest.mark.parametrize(
    ("letters", "row", "whole"),
    [
        (
            "y????",
            "rollback (users-impacted speaks for rollback)",
            "the runbook recommends rollback (users-impacted speaks for rollback)",
        ),
        (
            "y?n?y",
            "rollback (users-impacted and many-commits speak for rollback)",
            "the runbook recommends rollback (users-impacted and many-commits speak for rollback)",
        ),
        ("?????", "in doubt: rollback (no signal speaks for either way)", ""),
        ("nnnnn", "in doubt: rollback (no signal speaks for either way)", ""),
        (
            "y?y??",
            "in doubt: rollback (users-impacted speaks for rollback; fix-obvious speaks for hotfix forward)",
            "",
        ),
        ("???y?", "in doubt: rollback (migration-irreversible speaks for hotfix forward)", ""),
        (
            "n??y?",
            "the runbook recommends hotfix forward (migration-irreversible speaks for hotfix forward); "
            "chosen: roll back to revision 5",
            "the runbook recommends hotfix forward (migration-irreversible speaks for hotfix forward)",
        ),
    ],
)
def test_the_decision_stands_in_the_last_lines_and_only_a_yes_speaks(letters, row, whole):
    decision = decide({}, answers(letters), "roll back to revision 5")

    def lines(**changes):
        said = render_last_lines(verified(**{"decision": decision, **changes}), "r.html").splitlines()
        return [each for each in said if each.startswith("Decision")]

    assert lines() == lines(mode=Mode.GITHUB) == [f"Decision: {row}"]
    assert lines(mode=Mode.PLAN) == [f"Decision: {whole or row}; chosen: roll back to revision 5"]
    assert lines(decision=None) == []


def test_in_the_tables_no_and_unknown_speak_for_nothing():
    decision = decide({}, answers("yn?n?"), "roll back to revision 5")
    record = verified(decision=decision)
    rows = [line.split(" | ") for line in render_markdown(record).splitlines() if line.startswith("| ")]
    said = {row[0].removeprefix("| "): row[2] for row in rows if len(row) == 4}
    questions = [each.question for each in decision.signals]
    assert said["Signal"] == "Speaks for"
    assert [said[escaped(question)] for question in questions] == ["rollback", *["nothing"] * 4]
    page = render_record(record)
    assert page.count(">nothing</td>") == 4
    assert page.count(">rollback</td>") == 1
