"""Which revision `previous` and `last-verified` are: histories and journals, and what is said of each number."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.domain.decision import Answer, SignalName
from pytest_zkrollback.domain.forecast import ApplyOutcome, Forecast
from pytest_zkrollback.domain.record import Mode, ObjectionKind, Outcome, Plan, Record, Revision
from pytest_zkrollback.preflight.decision import decide
from pytest_zkrollback.preflight.guards.release import judge_commit_target, judge_target
from pytest_zkrollback.preflight.probe import ProbeResult
from pytest_zkrollback.preflight.recovery import choose_recovery
from pytest_zkrollback.preflight.target import (
    choose_target,
    describe_history,
    failed_by_helm,
)
from pytest_zkrollback.release.helm_secret import Release
from pytest_zkrollback.release.history import ReleaseHistory
from pytest_zkrollback.report.next_commands import next_commands
from pytest_zkrollback.report.way_back import offers
from pytest_zkrollback.rollback.journal import judged_revisions, of_this_install

FAILED = 'Upgrade "web" failed: context deadline exceeded'


def made(number, status="superseded", back=None, content=None, description="Upgrade complete"):
    """A revision; ``content`` names what it holds, by default itself or what it rolled back to."""
    said = f"Rollback to {back}" if back is not None and description == "Upgrade complete" else description
    return Release(
        Revision(
            revision=number,
            status=status,
            chart="web-1.0.0",
            deployed_at=datetime(2026, 11, 23, tzinfo=UTC),
            description=said,
            rollback_of=back,
        ),
        manifest=f"content of {content or back or number}",
    )


def history(*releases, **more):
    return ReleaseHistory("n", "web", releases, **more)


def chosen(asked, found, entries=()):
    choice = choose_target(asked, found, entries)
    return choice.revision, {each.revision: each.reason for each in choice.skipped}


def judged(run, revision, *failed, at="02:00:00"):
    """The journal's entry of a run that verified the revision, or on which these items failed."""
    when = f"2026-11-23T{at}.000+00:00"
    if not failed:
        return {"run_id": run, "outcome": "verified", "verified_revision": revision, "verified_at": when}
    found = {"failed_revision": revision, "failed_items": list(failed), "failed_at": when}
    return {"run_id": run, "outcome": "failed", **found}


def planned(found, entries=(), **more):
    """The record after the preflight, as run/preflight_step.py writes it."""
    head = found.head.revision.revision
    return Record(
        run_id="1a2b3c4d",
        mode=Mode.ROLLBACK,
        environment="shop",
        command_line="pytest --env=shop --rollback-to=5",
        started_at=datetime(2026, 11, 23, tzinfo=UTC),
        revision_before=head,
        revision_after=head,
        plan=Plan(**describe_history(found, entries)),
        **more,
    )


def offered(found, entries=()):
    return next((each.revision.revision for each in offers(planned(found, entries))), None)


DEPLOYED = made(6, "deployed")
IMPACTED = decide({}, {SignalName.USERS_IMPACTED: Answer.YES}, "roll back")


@pytest.mark.parametrize(
    ("releases", "expected", "skipped"),
    [
        pytest.param([made(4), made(5), DEPLOYED], 5, {}, id="one-before"),
        pytest.param(
            [made(4), made(5, "failed", description=FAILED), DEPLOYED],
            4,
            {5: f"is failed: {FAILED}"},
            id="failed",
        ),
        pytest.param(
            [made(4), made(5, description=FAILED), DEPLOYED],
            4,
            {5: f"failed before it was superseded: {FAILED}"},
            id="superseded-after-a-failure",
        ),
        pytest.param(
            [made(4), made(5, description="Rollback to 2: the deploy had failed: INC-7"), DEPLOYED],
            5,
            {},
            id="the-operator's-own-word-failed-is-no-evidence",
        ),
        pytest.param(
            [made(4), made(5, "pending-upgrade", description="Preparing upgrade"), DEPLOYED],
            4,
            {5: "is pending-upgrade: Preparing upgrade"},
            id="pending-forever",
        ),
        pytest.param(
            [made(4), made(5, "uninstalled", description="Uninstallation complete"), DEPLOYED],
            4,
            {5: "is uninstalled: Uninstallation complete"},
            id="uninstalled",
        ),
        pytest.param(
            [made(4), made(5, content=6), DEPLOYED],
            4,
            {5: "holds the same as revision 6, the current one"},
            id="redeployed-without-a-change",
        ),
        pytest.param(
            [made(1), made(2, "failed", description=FAILED), made(3), made(5, back=2), DEPLOYED],
            1,
            {
                5: f"is a rollback to revision 2, which is failed: {FAILED}",
                3: "holds what revision 5 rolled back away from",
                2: f"is failed: {FAILED}",
            },
            id="rolled-back-to-a-failed-one-by-plain-helm",
        ),
        pytest.param([made(3), made(4), made(5, back=3), DEPLOYED], 5, {}, id="a-rollback-is-a-way-back"),
        pytest.param(
            [made(4), made(5), made(6), made(7, "failed", description='Rollback "web" failed: immutable')],
            5,
            {6: "holds what revision 7 rolled back away from"},
            id="a-failed-rollback-of-helm-3-does-not-say-where-to",
        ),
        pytest.param(
            [made(2), made(3), made(4, back=2), made(5, "failed", description=FAILED), DEPLOYED],
            4,
            {5: f"is failed: {FAILED}"},
            id="over-a-failed-one-to-a-rollback",
        ),
        pytest.param(
            [made(3), made(4), made(5, back=3), made(6, "superseded", content=4), made(7, "deployed")],
            6,
            {},
            id="what-came-back-as-a-new-deploy-is-its-own-origin",
        ),
        pytest.param(
            [made(1, "failed", description='Release "web" failed: boom'), made(2, "deployed")],
            None,
            {1: 'is failed: Release "web" failed: boom'},
            id="nothing-left",
        ),
        pytest.param([made(1, "deployed")], None, {}, id="only-one"),
        pytest.param(
            [made(4), made(5), made(6, "failed", back=5, description='Rollback "web" failed: immutable')],
            5,
            {},
            id="a-failed-rollback-can-be-made-again",
        ),
        pytest.param(
            [made(4), made(5, "deployed"), made(6, "pending-upgrade", description="Preparing upgrade")],
            5,
            {},
            id="a-hanging-pipeline",
        ),
        pytest.param(
            [made(5), made(6, "uninstalled", description="Uninstallation complete")],
            5,
            {},
            id="head-uninstalled",
        ),
        pytest.param(
            [
                made(4),
                made(5),
                made(6),
                made(7, "uninstalled", back=6, description="Uninstallation complete"),
            ],
            5,
            {6: "holds the same as revision 7, the current one"},
            id="head-uninstalled-after-a-rollback",
        ),
    ],
)
def test_fault_15_previous_is_the_newest_older_one_with_nothing_against_it(releases, expected, skipped):
    found = history(*releases)
    assert chosen("previous", found) == (expected, skipped)
    assert offered(found) == expected


KINDS = [
    pytest.param([made(5, "failed", description=FAILED)], ObjectionKind.FAILED, id="failed"),
    pytest.param([made(5, description=FAILED)], ObjectionKind.FAILED, id="failed-then-superseded"),
    pytest.param([made(5, "pending-upgrade")], ObjectionKind.FAILED, id="pending"),
    pytest.param([made(5, "uninstalled")], ObjectionKind.FAILED, id="uninstalled"),
    pytest.param(
        [made(3, description=FAILED), made(5, back=3)], ObjectionKind.FAILED, id="rollback-to-a-failed-one"
    ),
    pytest.param(
        [made(5), made(6, "superseded", back=2)], ObjectionKind.ROLLED_AWAY_FROM, id="rolled-away-from"
    ),
    pytest.param([made(5, content=7)], ObjectionKind.SAME_AS_CURRENT, id="same-content"),
]


@pytest.mark.parametrize(("between", "kind"), KINDS)
def test_what_is_offered_after_a_refusal_is_never_what_would_be_refused(between, kind):
    """Confirmed: 5 was `superseded`, had failed, was refused, and was offered again in the last lines."""
    found = history(made(1), made(2), *between, made(7, "deployed"))
    assert kind in {each.kind for each in describe_history(found, ())["objections"] if each.revision == 5}
    guard = judge_target(
        ProbeResult(value=found), ProbeResult(value=choose_target(5, found, ())), (), ProbeResult()
    )
    refused = (ObjectionKind.FAILED, ObjectionKind.ROLLED_AWAY_FROM)
    assert guard.state == ("refused" if kind in refused else "ok")
    best = choose_target("previous", found, ()).revision
    assert best not in (None, 5)
    refusal = guard.model_copy(update={"state": "refused"})
    record = planned(found, outcome=Outcome.REFUSED, guards=(refusal,), decision=IMPACTED)
    lines = [line for line in next_commands(record, None) if not line.startswith("# ")]
    assert lines == [f"pytest --env=shop --rollback-to={best}"]


def test_the_current_revision_and_one_that_cannot_be_read_are_never_offered():
    found = history(made(4), DEPLOYED, unreadable={5: "no release"})
    kinds = {each.revision: each.kind for each in describe_history(found, ())["objections"]}
    assert kinds == {6: ObjectionKind.SAME_AS_CURRENT, 5: ObjectionKind.UNREADABLE}
    assert offered(found) == 4
    assert offered(history(made(1, "deployed"))) is None
    nothing_read = {"revision_before": None, "revision_after": None}
    assert offers(planned(found).model_copy(update=nothing_read)) == ()


def test_what_is_offered_goes_over_rollbacks_as_the_choice_does():
    rows = [
        made(1),
        made(2),
        made(3, "failed", description=FAILED),
        made(4),
        made(5, back=2),
        made(6, back=4),
        made(7, back=5),
    ]
    for head, expected in enumerate([None, 1, 2, 2, 1, 1, 1], 1):
        last = rows[head - 1]
        status = "failed" if head == 3 else "deployed"
        current = replace(last, revision=last.revision.model_copy(update={"status": status}))
        assert offered(history(*rows[: head - 1], current)) == expected
    # verify-only: what lies between the current revision and the last one that differs has its manifest
    assert offered(history(made(4), made(5), made(6), made(7, "deployed", content=6))) == 5


def test_what_somebody_rolled_away_from_is_skipped():
    found = history(
        made(1), made(2), made(3, back=1), made(4, "failed", description=FAILED), made(5, "deployed")
    )
    assert chosen("previous", found)[0] == 3
    again = history(made(1), made(2), made(4, back=1), made(5, back=2), made(6, "deployed"))
    revision, skipped = chosen("previous", again)
    assert revision == 5
    assert skipped == {}
    left = history(
        made(1),
        made(2),
        made(3),
        made(4, back=2),
        made(5, "failed", description=FAILED),
        made(6, "deployed", content=2),
    )
    assert chosen("previous", left) == (
        1,
        {
            5: f"is failed: {FAILED}",
            4: "holds the same as revision 6, the current one",
            3: "holds what revision 4 rolled back away from",
            2: "holds the same as revision 6, the current one",
        },
    )


def test_a_revision_that_cannot_be_read_is_skipped_and_says_so():
    found = history(made(4), DEPLOYED, unreadable={5: "no release"})
    assert chosen("previous", found) == (4, {5: "cannot be read"})


def test_where_nothing_is_left_the_older_ones_are_remembered():
    choice = choose_target("previous", history(DEPLOYED, older=(1, 2)), ())
    assert choice.because == "none is left among the newest 1"


def test_a_head_that_is_a_rollback_by_hand_is_not_gone_back_from_by_name():
    """Somebody was faster, by hand: `previous` would go back a second time."""
    found = history(made(4), made(5), made(6), made(7, "deployed", back=5))
    choice = choose_target("previous", found, ())
    assert choice.revision is None
    assert choice.because == (
        "revision 7 already is a rollback (to 5), made by hand: to go back once more, give the revision's number"
    )
    assert choose_target(4, found, ()).revision == 4


OURS = {"run_id": "ab12", "head_before": 6, "target": 5, "asked": "previous", "outcome": "done"}


@pytest.mark.parametrize("asked", ["previous", "last-verified"])
@pytest.mark.parametrize("entry", [{**OURS, "head_after": 7}, OURS], ids=["closed", "the-run-died"])
@pytest.mark.parametrize("status", ["deployed", "failed", "pending-rollback"])
def test_while_the_head_is_ours_the_journals_number_stands(asked, entry, status):
    found = history(made(4), made(5), made(6), made(7, status, back=5))
    choice = choose_target(asked, found, (entry,))
    assert choice.revision == 5
    assert "run ab12 already went back to 5" in choice.because


@pytest.mark.parametrize(
    "entry",
    [
        {**OURS, "head_after": 6},
        {**OURS, "head_after": 6, "head_before": 6},
        {"head_after": 7, "outcome": "refused"},
        {**OURS, "target": 4},
        {**OURS, "head_before": 4},
    ],
    ids=["older-head", "no-revision-made", "no-target", "another-target", "another-before"],
)
def test_an_entry_of_another_run_does_not_stand(entry):
    found = history(made(4), made(5), made(6), made(7, "deployed", back=5))
    assert choose_target("previous", found, (entry,)).revision is None


def test_our_own_failed_attempt_stands_although_helm_3_forgets_where_it_went():
    found = history(made(4), made(5), made(6), made(7, "failed", description='Rollback "web" failed: boom'))
    assert choose_target("previous", found, ({**OURS, "head_after": 7},)).revision == 5


def test_numbers_of_an_earlier_installation_of_the_release_count_for_nothing():
    """The journal outlives `helm uninstall`; after `helm install` the revisions are counted from 1 again."""
    entries = ({**OURS, "head_after": 7, "verified_revision": 7, "installed": "before"},)
    releases = [replace(made(number), installed="now") for number in range(1, 7)]
    found = history(*releases, replace(made(7, "deployed"), installed="now"))
    assert of_this_install(entries, found) == ()
    assert of_this_install(({**entries[0], "installed": "now"},), found) != ()
    assert of_this_install((OURS,), found) == (OURS,)  # an entry that does not say


def test_a_new_bad_deploy_is_a_new_intent():
    found = history(made(4), made(5), made(6), made(7, back=5), made(8, "deployed"))
    assert chosen("previous", found, ({**OURS, "head_after": 7},)) == (7, {})


def test_last_verified_is_the_newest_older_one_that_this_tool_verified():
    entries = ({"verified_revision": 3}, {"verified_revision": 4}, {"verified_revision": None}, {})
    found = history(made(3), made(4), made(5), DEPLOYED)
    assert chosen("last-verified", found, entries) == (4, {5: "was not verified by this tool"})
    assert chosen("last-verified", found)[0] is None
    bad_again = (*entries, {"verified_revision": 6})
    assert chosen("last-verified", found, bad_again)[0] == 4  # the head is what is fled from


def test_without_the_journal_a_name_is_only_safe_where_it_cannot_matter():
    deployed = history(made(4), made(5), DEPLOYED)
    assert choose_target("previous", deployed, None).revision == 5
    rollback = history(made(4), made(5), made(6), made(7, "deployed", back=5))
    for asked, found in (("previous", rollback), ("last-verified", deployed)):
        choice = choose_target(asked, found, None)
        assert choice.revision is None
        assert choice.because == "the journal of earlier runs could not be read; give the revision's number"
    assert choose_target(5, rollback, None).revision == 5


def test_only_whole_numbers_count_as_verified():
    entries = [{"verified_revision": each} for each in (3, "4", None, True, 5.0)]
    assert [each.revision for each in judged_revisions(entries)] == [3]
    entries = [{"failed_revision": each, "failed_items": ["smoke"]} for each in (3, "4", None, True, 5.0)]
    assert [each.revision for each in judged_revisions(entries)] == [3]
    entries = [{"failed_revision": 3, "failed_items": each} for each in (None, [], "smoke", {})]
    assert judged_revisions(entries) == ()


SMOKE_FAILED = "failed smoke when this tool looked at it (run a, 2026-11-23 02:00:00 UTC)"
CHAIN = (made(3), made(4), made(5), made(6), made(7, back=5), made(8, "deployed"))


@pytest.mark.parametrize(
    ("entries", "expected", "said"),
    [
        pytest.param([], 7, {}, id="nothing-judged"),
        pytest.param(None, 7, {}, id="the-journal-could-not-be-read"),
        pytest.param([judged("a", 7)], 7, {}, id="verified"),
        pytest.param(
            [judged("a", 7, "smoke")],
            4,
            {
                7: SMOKE_FAILED,
                6: "holds what revision 7 rolled back away from",
                5: f"holds the same as revision 7, which {SMOKE_FAILED}",
            },
            id="failed-and-so-is-all-of-its-content",
        ),
        pytest.param(
            [judged("a", 5, "rollout-api", "logs", "smoke")],
            4,
            {
                7: "holds the same as revision 5, which failed rollout-api, logs and smoke when this tool looked at "
                "it (run a, 2026-11-23 02:00:00 UTC)",
                6: "holds what revision 7 rolled back away from",
                5: "failed rollout-api, logs and smoke when this tool looked at it "
                "(run a, 2026-11-23 02:00:00 UTC)",
            },
            id="several-items",
        ),
        pytest.param(
            [judged("a", 5, "smoke"), judged("b", 7, at="03:00:00")],
            7,
            {},
            id="the-content-was-verified-later",
        ),
        pytest.param(
            [judged("b", 7, at="03:00:00"), judged("a", 5, "smoke")],
            7,
            {},
            id="by-when-it-ended-and-not-by-when-it-began",
        ),
        pytest.param(
            [judged("b", 7, at="01:00:00"), judged("a", 7, "smoke")],
            4,
            {
                7: SMOKE_FAILED,
                6: "holds what revision 7 rolled back away from",
                5: f"holds the same as revision 7, which {SMOKE_FAILED}",
            },
            id="verified-before-it-failed",
        ),
        pytest.param([judged("a", 4, "smoke")], 7, {}, id="another-content"),
        pytest.param([judged("a", 99, "smoke")], 7, {}, id="a-revision-that-was-pruned"),
    ],
)
def test_previous_skips_what_this_tool_judged_failed_unless_the_same_was_verified_later(
    entries, expected, said
):
    found = history(*CHAIN)
    assert chosen("previous", found, entries) == (expected, said)
    assert offered(found, entries) == expected


def test_what_failed_where_helm_had_applied_half_of_it_says_nothing_of_the_content():
    half = made(7, "failed", back=5, description='Rollback "web" failed: boom')
    found = history(made(4), made(5), made(6), half, made(8, "deployed"))
    objections = describe_history(found, [judged("a", 7, "rollout-api")])["objections"]
    assert {each.revision: each.kind for each in objections} == {
        8: ObjectionKind.SAME_AS_CURRENT,
        7: ObjectionKind.FAILED,
        6: ObjectionKind.ROLLED_AWAY_FROM,
    }


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([judged("a", 5)], (7, 5)),
        ([judged("a", 7), judged("b", 8, at="03:00:00")], (8, 7, 5)),
        ([judged("a", 7), judged("b", 5, "smoke", at="03:00:00")], ()),
        ([judged("a", 7, "smoke"), judged("b", 5, at="03:00:00")], (7, 5)),
        ([judged("a", 99)], ()),
        (None, ()),
    ],
)
def test_the_record_names_the_revisions_whose_content_was_verified_newest_first(entries, expected):
    assert describe_history(history(*CHAIN), entries)["verified_revisions"] == expected


def test_last_verified_is_not_what_failed_later():
    entries = [judged("a", 5), judged("b", 4), judged("c", 7, "smoke", at="03:00:00")]
    assert chosen("last-verified", history(*CHAIN), entries)[0] == 4


def guard_for(target, releases, entries=()):
    """What guard `target` says to a number, without what it says of the revision itself."""
    found = history(*releases)
    choice = ProbeResult(value=choose_target(target, found, entries))
    guard = judge_target(ProbeResult(value=found), choice, entries, ProbeResult())
    return guard.state, guard.evidence.partition(f"; revision {target} is ")[0]


AWAY = "rolled back away from at 2026-11-23 00:00:00 UTC"
FAILED_ROLLBACK = 'Rollback "web" failed: boom'
LEFT_BY_7 = f"revision 6 holds what revision 7 (Rollback to 5) {AWAY}"
GOOD, BAD = (made(4), made(5)), made(6)
BACK = made(7, "deployed", back=5)


@pytest.mark.parametrize(
    ("target", "releases", "entries", "expected"),
    [
        pytest.param(
            6,
            [*GOOD, BAD, BACK],
            [judged("a", 7)],
            f"{LEFT_BY_7}, and this tool verified what revision 7 holds",
            id="one-key-off-from-a-verified-rollback",
        ),
        pytest.param(
            6,
            [*GOOD, BAD, BACK],
            [judged("a", 5)],
            f"{LEFT_BY_7}, and this tool verified what revision 7 holds",
            id="what-it-holds-was-verified-before",
        ),
        pytest.param(
            6, [*GOOD, BAD, BACK], [], f"{LEFT_BY_7}, and nothing speaks against revision 7", id="by-hand"
        ),
        pytest.param(
            6,
            [*GOOD, BAD, BACK],
            None,
            f"{LEFT_BY_7}, and nothing speaks against revision 7",
            id="the-journal-could-not-be-read",
        ),
        pytest.param(
            6,
            [*GOOD, BAD, BACK],
            [judged("a", 7, "smoke"), judged("b", 7, at="03:00:00")],
            f"{LEFT_BY_7}, and this tool verified what revision 7 holds",
            id="it-failed-and-was-verified-later",
        ),
        pytest.param(
            6,
            [*GOOD, BAD, BACK],
            [judged("a", 6, "smoke")],
            f"{LEFT_BY_7}, and nothing speaks against revision 7",
            id="the-target-itself-was-judged-failed-too",
        ),
        pytest.param(
            6,
            [*GOOD, BAD, made(7, back=5), made(8, "deployed")],
            [],
            f"{LEFT_BY_7}, and nothing speaks against revision 7",
            id="after-another-deploy",
        ),
        pytest.param(
            6,
            [*GOOD, BAD, made(7, back=5), made(8, "failed", description=FAILED)],
            [],
            f"{LEFT_BY_7}, and nothing speaks against revision 7",
            id="after-another-deploy-that-failed",
        ),
        pytest.param(
            6,
            [*GOOD, BAD, made(7, "failed", description=FAILED), made(8, "deployed", back=5)],
            [],
            f"revision 6 holds what revision 8 (Rollback to 5) {AWAY}, and nothing speaks against revision 8",
            id="a-fix-had-failed-in-between",
        ),
        pytest.param(
            6,
            [*GOOD, BAD, made(7, back=5), made(8, "deployed", back=4)],
            [judged("a", 8)],
            f"{LEFT_BY_7}, and this tool verified what revision 8 holds",
            id="a-chain-of-rollbacks-the-first",
        ),
        pytest.param(
            5,
            [*GOOD, BAD, made(7, back=5), made(8, "deployed", back=4)],
            [],
            f"revision 5 holds what revision 8 (Rollback to 4) {AWAY}, and nothing speaks against revision 8",
            id="a-chain-of-rollbacks-the-second",
        ),
        pytest.param(
            6,
            [*GOOD, BAD, made(7, back=5), made(8, back=6), made(9, "deployed", back=5)],
            [judged("a", 7), judged("b", 9, at="03:00:00")],
            f"revision 6 holds what revision 9 (Rollback to 5) {AWAY}, and this tool verified what revision 9 holds",
            id="there-and-back-again-and-verified",
        ),
    ],
)
def test_what_a_good_rollback_left_is_refused(target, releases, entries, expected):
    """The slip that took a service down: 6 for 5, and a warning inside a line that said PASS."""
    assert guard_for(target, releases, entries) == ("refused", expected)


@pytest.mark.parametrize(
    ("target", "releases", "entries", "expected"),
    [
        pytest.param(
            6,
            [made(3), *GOOD, BAD, made(7, "failed", back=3, description=FAILED_ROLLBACK)],
            [],
            f"revision 6 holds what revision 7 ({FAILED_ROLLBACK}) {AWAY}, but revision 7 is failed: "
            f"{FAILED_ROLLBACK}",
            id="the-rollback-failed",
        ),
        pytest.param(
            6,
            [made(3), *GOOD, BAD, made(7, "failed", description=FAILED_ROLLBACK)],
            [],
            f"revision 6 holds what revision 7 ({FAILED_ROLLBACK}) {AWAY}, but revision 7 is failed: "
            f"{FAILED_ROLLBACK}",
            id="helm-3-does-not-say-where-to",
        ),
        pytest.param(
            6,
            [*GOOD, BAD, made(7, "pending-rollback", back=5)],
            [],
            f"{LEFT_BY_7}, but revision 7 is pending-rollback: Rollback to 5",
            id="the-rollback-is-stranded",
        ),
        pytest.param(
            6,
            [*GOOD, BAD, BACK],
            [judged("a", 7, "smoke")],
            f"{LEFT_BY_7}, but revision 7 {SMOKE_FAILED}",
            id="this-tool-judged-it-failed",
        ),
        pytest.param(
            6,
            [*GOOD, BAD, BACK],
            [judged("a", 5), judged("b", 7, "smoke")],
            f"{LEFT_BY_7}, but revision 7 failed smoke when this tool looked at it (run b, 2026-11-23 02:00:00 UTC)",
            id="verified-before-and-failed-now",
        ),
        pytest.param(
            5,
            [*GOOD, BAD, made(7, back=5), made(8, "deployed", back=6)],
            [judged("a", 7)],
            f"revision 5 holds what revision 8 (Rollback to 6) {AWAY}, but revision 8 holds what revision 7 had "
            "rolled back away from",
            id="the-undo-of-a-slip-by-hand",
        ),
        pytest.param(
            6,
            [*GOOD, BAD, made(7, back=5), made(8, "failed", back=4, description=FAILED_ROLLBACK)],
            [],
            f"{LEFT_BY_7}, but revision 8 is failed: {FAILED_ROLLBACK}",
            id="a-chain-whose-end-failed",
        ),
    ],
)
def test_the_undo_of_a_rollback_that_was_a_mistake_only_warns(target, releases, entries, expected):
    assert guard_for(target, releases, entries) == ("warned", expected)


@pytest.mark.parametrize(
    ("target", "releases", "entries"),
    [
        pytest.param(5, [*GOOD, BAD, BACK], [judged("a", 7)], id="the-same-command-again"),
        pytest.param(5, [*GOOD, BAD, BACK], [judged("a", 7, "smoke")], id="the-same-again-after-it-failed"),
        pytest.param(7, [*GOOD, BAD, BACK], [], id="the-current-one"),
        pytest.param(4, [*GOOD, BAD, BACK], [judged("a", 7)], id="nobody-left-it"),
        pytest.param(
            7, [*GOOD, BAD, made(7, back=5), made(8, "deployed")], [], id="a-rollback-is-a-way-back"
        ),
        pytest.param(6, [*GOOD, BAD, made(7, "deployed")], [judged("a", 6)], id="a-deploy-replaced-it"),
        pytest.param(
            6, [*GOOD, BAD, made(7, back=5), made(8, "deployed", content=6)], [], id="it-was-deployed-anew"
        ),
    ],
)
def test_nothing_is_said_where_nobody_rolled_away(target, releases, entries):
    assert guard_for(target, releases, entries)[0] == "ok"


@pytest.mark.parametrize(
    ("forecast", "said"),
    [
        (None, "helm does not mind that it never worked."),
        (ApplyOutcome.UNKNOWN, "helm does not mind that it never worked."),
        (ApplyOutcome.FAIL, "helm does not mind that it never worked."),
        (ApplyOutcome.APPLY, "helm would apply all of it, as tried by dry run, and report success."),
    ],
)
def test_that_helm_would_report_success_is_said_only_where_it_was_tried(forecast, said):
    found = history(made(4), made(5, "failed", description=FAILED), DEPLOYED)
    tried = ProbeResult(value=forecast and Forecast(will=forecast, method="server-side apply"))
    choice = ProbeResult(value=choose_target(5, found, ()))
    guard = judge_target(ProbeResult(value=found), choice, (), tried)
    assert (guard.state, guard.consequence) == ("refused", said)


def test_a_target_that_this_tool_judged_failed_warns():
    releases = [*GOOD, BAD, made(7, "deployed")]
    assert guard_for(6, releases, [judged("a", 6, "smoke")]) == ("warned", f"revision 6 {SMOKE_FAILED}")
    assert guard_for(6, releases, [judged("a", 6, "smoke"), judged("b", 6, at="03:00:00")])[0] == "ok"


COMMIT = "a7d20c4" + "0" * 33


@pytest.mark.parametrize(
    ("name", "releases", "expected"),
    [
        (
            COMMIT[:7],
            [*GOOD, BAD, BACK],
            ("refused", f"{LEFT_BY_7}, and nothing speaks against revision 7; it was made of commit a7d20c4"),
        ),
        (
            COMMIT,
            [*GOOD, BAD, made(7, "failed", back=5)],
            (
                "warned",
                f"{LEFT_BY_7}, but revision 7 is failed: Rollback to 5; it was made of commit a7d20c4",
            ),
        ),
        (COMMIT[:7], [*GOOD, made(6, "deployed")], ("ok", "no rollback left what commit a7d20c4 made")),
        ("3f9c2e1", [*GOOD, BAD, BACK], ("ok", "no rollback left what commit a7d20c4 made")),
        ("v1.9.0", [*GOOD, BAD, BACK], ("ok", "no rollback left what commit a7d20c4 made")),
        (None, [*GOOD, BAD, BACK], ("ok", "no rollback left what commit a7d20c4 made")),
    ],
)
def test_through_github_it_is_the_commit_that_was_left(name, releases, expected):
    def named(release):
        return name if release.revision.revision == 6 else None

    guard = judge_commit_target(history(*releases), (), COMMIT, named)
    assert (guard.state, guard.evidence) == expected


def test_a_recovery_does_not_go_back_to_what_this_tool_judged_failed():
    found = history(made(4), made(5), made(6, "pending-upgrade"))
    assert choose_recovery(found, None).revision == 5
    choice = choose_recovery(found, [judged("a", 5, "smoke")])
    assert (choice.revision, {each.revision: each.reason for each in choice.skipped}) == (
        4,
        {5: SMOKE_FAILED},
    )


STATUSES = st.sampled_from(["superseded", "deployed", "failed", "pending-rollback", "uninstalled"])


@given(
    st.lists(st.tuples(STATUSES, st.one_of(st.none(), st.integers(1, 12))), min_size=1, max_size=12),
    st.sampled_from(["previous", "last-verified"]),
    st.sets(st.integers(1, 12)),
)
def test_whatever_the_history_the_choice_is_older_differs_and_has_nothing_against_it(rows, asked, verified):
    releases = [
        made(number, status, back=back if back is not None and back < number else None)
        for number, (status, back) in enumerate(rows, 1)
    ]
    found = history(*releases)
    choice = choose_target(asked, found, [{"verified_revision": each} for each in verified])
    head = found.head.revision
    if choice.revision is not None:
        assert choice.revision < head.revision
        assert failed_by_helm(found, choice.revision) == ""
        if head.status == "deployed":
            assert found.origin(choice.revision) != found.origin(head.revision)
        assert asked == "previous" or choice.revision in verified
        between = range(choice.revision + 1, head.revision)
        assert {each.revision for each in choice.skipped} == set(between)
    if asked == "previous" and choice.revision is not None:
        assert offered(found) == choice.revision
