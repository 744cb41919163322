"""Which revision `app:1.8.0` and `chart:1.8.0` are, and that a rerun means the same one."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.domain.errors import Forbidden
from pytest_zkrollback.domain.record import Revision
from pytest_zkrollback.preflight import release_view
from pytest_zkrollback.preflight.guards.release import judge_target
from pytest_zkrollback.preflight.probe import ProbeResult
from pytest_zkrollback.preflight.release_view import ReleaseView
from pytest_zkrollback.preflight.target import choose_target, find_objection
from pytest_zkrollback.release.helm_secret import Outline, Release
from pytest_zkrollback.release.history import ReleaseHistory, RevisionHistory
from support.preflight_facts import environment

FAILED = 'Upgrade "web" failed: context deadline exceeded'


def made(number, app, status="superseded", back=None, content=None, description="", chart=""):
    said = description or (f"Rollback to {back}" if back else "Upgrade complete")
    return Release(
        Revision(
            revision=number,
            status=status,
            chart=f"web-{chart or app}",
            app_version=app,
            deployed_at=datetime(2026, 11, 23, tzinfo=UTC),
            description=said,
            rollback_of=back,
        ),
        manifest=f"content of {content or back or number}",
        chart_version=chart or app,
    )


def history(*releases, **more):
    return ReleaseHistory("n", "web", releases, **more)


PAST = (made(3, "1.6.0"), made(4, "1.7.0"), made(5, "1.8.0"))
BAD = made(6, "1.9.0", "deployed")
AFTER = replace(BAD, revision=BAD.revision.model_copy(update={"status": "superseded"}))
BACK = made(7, "1.8.0", "deployed", back=5)
OURS = {"run_id": "ab12", "head_before": 6, "target": 5, "asked": "app:1.8.0", "outcome": "done"}
DONE = {**OURS, "head_after": 7}
STANDS = "run ab12 already went back to 5 and made revision 7, the current one: its number stands"
NEWEST = (
    "the newest older revision with app version {} and nothing against it; that it was healthy is not known"
)


@pytest.mark.parametrize(
    ("asked", "releases", "expected", "because", "skipped"),
    [
        pytest.param("app:1.8.0", (*PAST, BAD), 5, NEWEST.format("1.8.0"), {}, id="one-before"),
        pytest.param("app:1.6.0", (*PAST, BAD), 3, NEWEST.format("1.6.0"), {}, id="far-before"),
        pytest.param(
            "chart:4.2.0",
            (made(4, "1.7.0", chart="4.2.0"), made(5, "1.8.0", chart="4.3.0"), BAD),
            4,
            NEWEST.format("x").replace("app version x", "chart version 4.2.0"),
            {},
            id="by-the-chart",
        ),
        pytest.param(
            "chart:1.8.0",
            (made(4, "a", chart="1.0.0-1.8.0"), made(5, "1.8.0", chart="4.3.0"), BAD),
            None,
            "no older revision has chart version 1.8.0; there are 4.3.0 and 1.0.0-1.8.0",
            {},
            id="the-end-of-another-version-is-none",
        ),
        pytest.param(
            "app:1.8.0",
            (made(4, "1.8.0"), made(5, "1.8.0", "failed", description=FAILED), BAD),
            4,
            NEWEST.format("1.8.0"),
            {5: f"is failed: {FAILED}"},
            id="over-one-that-failed",
        ),
        pytest.param(
            "app:1.8.0",
            (made(3, "1.8.0", description=FAILED), made(4, "1.8.0"), BAD),
            4,
            NEWEST.format("1.8.0"),
            {},
            id="what-is-older-than-the-target-is-not-told",
        ),
        pytest.param(
            "app:1.8.0",
            (made(4, "1.8.0"), made(5, "1.8.0", content=4), BAD),
            5,
            NEWEST.format("1.8.0"),
            {},
            id="twice-with-one-content",
        ),
        pytest.param(
            "app:1.8.0",
            (made(4, "1.8.0"), made(5, "1.8.0"), BAD),
            None,
            "revisions 5 and 4 both have app version 1.8.0 and differ; give the revision's number",
            {},
            id="twice-with-two-contents",
        ),
        pytest.param(
            "app:1.8.0",
            (made(5, "1.8.0", "failed", description=FAILED), BAD),
            None,
            "no older revision with app version 1.8.0 is left",
            {5: f"is failed: {FAILED}"},
            id="only-one-that-failed",
        ),
        pytest.param(
            "app:2.0.0",
            (*PAST, BAD),
            None,
            "no older revision has app version 2.0.0; there are 1.8.0, 1.7.0 and 1.6.0",
            {},
            id="none",
        ),
        pytest.param(
            "app:2.0.0",
            (*(made(number, f"1.{number}.0") for number in range(1, 8)), made(8, "1.9", "deployed")),
            None,
            "no older revision has app version 2.0.0; there are 1.7.0, 1.6.0, 1.5.0, 1.4.0, 1.3.0 and others",
            {},
            id="none-of-many",
        ),
        pytest.param(
            "app:1.8.0",
            (made(4, "v1.8.0"), made(5, "1.8.0-3f9c2e1"), BAD),
            None,
            "no older revision has app version 1.8.0; did you mean app:1.8.0-3f9c2e1 (revision 5) or app:v1.8.0 "
            "(revision 4)",
            {},
            id="written-in-another-way",
        ),
        pytest.param(
            "app:1.8.0",
            (made(5, "", chart="1"), BAD),
            None,
            "no older revision has app version 1.8.0",
            {},
            id="the-chart-states-none",
        ),
        pytest.param(
            "app:1.8.0", (BAD,), None, "no older revision has app version 1.8.0", {}, id="only-one-revision"
        ),
        pytest.param(
            "app:1.9.0",
            (*PAST, BAD),
            6,
            "the current one, which has app version 1.9.0 already",
            {},
            id="current",
        ),
        pytest.param(
            "app:1.8.0",
            (made(5, "1.8.0"), made(6, "1.8.0", "deployed")),
            6,
            "the current one, which has app version 1.8.0 already",
            {},
            id="current-and-an-older-one",
        ),
        pytest.param(
            "app:1.8.0",
            (made(5, "1.8.0"), made(6, "1.8.0", "failed", description=FAILED)),
            5,
            NEWEST.format("1.8.0"),
            {},
            id="the-current-one-failed",
        ),
        pytest.param(
            "app:1.8.0",
            (made(4, "1.8.0"), made(5, "1.9.0", "deployed"), made(6, "1.8.0", "pending-upgrade")),
            4,
            NEWEST.format("1.8.0"),
            {},
            id="the-current-one-hangs",
        ),
        pytest.param(
            "app:1.9.0",
            (*PAST, AFTER, BACK),
            None,
            "no older revision with app version 1.9.0 is left",
            {6: "holds what revision 7 rolled back away from"},
            id="what-was-left",
        ),
        pytest.param(
            "chart:4.2.0",
            (
                made(5, "1.8.0", chart="4.2.0", content=6),
                made(6, "1.8.0", "deployed", content=6, chart="4.3.0"),
            ),
            None,
            "no older revision with chart version 4.2.0 is left",
            {5: "holds the same as revision 6, the current one"},
            id="another-version-of-the-same-objects",
        ),
    ],
)
def test_a_version_is_the_newest_older_revision_that_has_it_and_nothing_against_it(
    asked, releases, expected, because, skipped
):
    choice = choose_target(asked, history(*releases), ())
    assert (choice.revision, choice.because) == (expected, because)
    assert {each.revision: each.reason for each in choice.skipped} == skipped


def test_one_that_cannot_be_read_may_have_it_and_is_told():
    choice = choose_target("app:1.8.0", history(made(4, "1.8.0"), BAD, unreadable={5: "no release"}), ())
    assert (choice.revision, [(each.revision, each.reason) for each in choice.skipped]) == (
        4,
        [(5, "cannot be read")],
    )


def test_what_this_tool_judged_failed_is_not_taken():
    failed = {"failed_revision": 5, "failed_items": ["smoke"], "run_id": "a"}
    releases = (made(4, "1.8.0"), made(5, "1.8.0"), BAD)
    assert choose_target("app:1.8.0", history(*releases), (failed,)).revision == 4
    assert choose_target("app:1.8.0", history(*releases), None).revision is None  # then they are two


@pytest.mark.parametrize("entry", [DONE, OURS], ids=["closed", "the-run-died"])
@pytest.mark.parametrize("status", ["deployed", "failed", "pending-rollback"])
@pytest.mark.parametrize("asked", ["app:1.8.0", "chart:1.8.0"])
def test_typed_again_the_journals_number_stands(asked, entry, status):
    """Also for `chart:`, which nobody asked for: what it went back to holds that version."""
    choice = choose_target(asked, history(*PAST, AFTER, made(7, "1.8.0", status, back=5)), (entry,))
    assert (choice.revision, choice.because) == (5, STANDS)


@pytest.mark.parametrize("status", ["deployed", "failed"])
def test_another_version_than_the_one_that_was_gone_back_to_is_another_intent(status):
    found = history(*PAST, AFTER, made(7, "1.8.0", status, back=5))
    assert choose_target("app:1.7.0", found, (DONE,)).revision == 4
    assert choose_target("app:1.9.0", found, (DONE,)).revision is None


def test_and_when_that_was_done_its_number_stands():
    went = {**OURS, "run_id": "cd34", "head_before": 7, "target": 4, "asked": "app:1.7.0"}
    past = (*PAST, AFTER, replace(BACK, revision=BACK.revision.model_copy(update={"status": "superseded"})))
    for head in (made(8, "1.7.0", "deployed", back=4), made(8, "1.7.0", "pending-rollback", back=4)):
        choice = choose_target("app:1.7.0", history(*past, head), (DONE, went))
        assert (choice.revision, "run cd34 already went back to 4" in choice.because) == (4, True)


def test_typed_again_without_the_journal_nothing_is_gone_back_from():
    """Another operator's machine may not read it: what the current revision holds says enough."""
    choice = choose_target("app:1.8.0", history(*PAST, AFTER, BACK), None)
    assert (choice.revision, choice.because) == (
        7,
        "the current one, which has app version 1.8.0 already",
    )
    assert choose_target("app:1.7.0", history(*PAST, AFTER, BACK), None).revision == 4


def test_a_target_that_was_pruned_since_stands_for_what_was_asked_for():
    """helm makes its revision, and prunes the target: what is left is half of it, and no other is chosen."""
    found = history(
        made(4, "1.8.0"), AFTER, made(7, "1.8.0", "failed", description='Rollback "web" failed: b')
    )
    assert choose_target("app:1.8.0", found, (DONE,)).revision == 5
    assert choose_target("app:1.8.0", found, ({**DONE, "asked": "previous"},)).revision == 4


def guard_for(asked, found):
    choice = ProbeResult(value=choose_target(asked, found, ()))
    return judge_target(ProbeResult(value=found), choice, (), ProbeResult())


def test_the_guard_refuses_with_what_there_is():
    guard = guard_for("app:1.8.0", history(made(4, "1.8.0"), made(5, "1.8.0"), BAD))
    assert (guard.state, guard.override, guard.evidence) == (
        "refused",
        "",
        "no revision to go back to: revisions 5 and 4 both have app version 1.8.0 and differ; give the "
        "revision's number",
    )
    failed = history(made(5, "1.8.0", "failed", description=FAILED), BAD)
    assert guard_for("app:1.8.0", failed).evidence == (
        "no revision to go back to: no older revision with app version 1.8.0 is left; not taken: revision 5 is "
        f"failed: {FAILED}"
    )
    guard = guard_for("app:1.9.0", history(*PAST, BAD))
    assert (guard.state, guard.evidence) == (
        "ok",
        "revision 6 is deployed: web-1.9.0; the current one, which has app version 1.9.0 already",
    )


STATUSES = st.sampled_from(
    ["superseded", "superseded", "deployed", "failed", "pending-rollback", "uninstalled"]
)
ROWS = st.lists(
    st.tuples(STATUSES, st.sampled_from("abc"), st.one_of(st.none(), st.integers(1, 12)), st.integers(1, 12)),
    min_size=1,
    max_size=12,
)


@given(ROWS, st.sampled_from("abcd"), st.lists(st.integers(1, 12), max_size=3))
def test_whatever_the_history_a_version_is_what_it_says_and_has_nothing_against_it(rows, version, failed):
    releases = []
    for number, (status, app, back, content) in enumerate(rows, 1):
        origin = next((one for one in releases if one.revision.revision == back), None)
        if origin is None:
            releases.append(made(number, app, status, content=content))
        else:  # helm keeps the chart of what it goes back to
            again = made(number, origin.revision.app_version, status, back=back)
            releases.append(replace(again, manifest=origin.manifest))
    found = history(*releases)
    entries = [{"failed_revision": each, "failed_items": ["smoke"]} for each in failed]
    choice = choose_target(f"app:{version}", found, entries)
    head = found.head.revision
    if choice.revision is None:
        return
    assert found.get(choice.revision).revision.app_version == version
    assert choice.revision <= head.revision
    if choice.revision == head.revision:
        assert head.status == "deployed"
    else:
        assert find_objection(found, choice.revision, entries) is None
        newer = [
            one.revision for one in found.releases if choice.revision < one.revision.revision < head.revision
        ]
        assert all(
            find_objection(found, one.revision, entries) is not None
            for one in newer
            if one.app_version == version
        )
    again = choose_target(f"app:{version}", found, entries)
    assert again == choice


# Beyond the newest 30.


def viewed(monkeypatch, asked, releases, entries=(), newest=2, fails=False):
    """What a ReleaseView chooses where only so many of the releases are read at first, and which it read then."""
    read = []

    def fetch_history(_kube, _namespace, _release, also=(), known=None, **_):
        numbers = [one.revision.revision for one in releases]
        had = [one.revision for one in known.revisions] if known is not None else []
        wanted = [number for number in numbers if number in {*numbers[-newest:], *also, *had}]
        read.append(wanted)
        older = tuple(number for number in numbers if number not in wanted)
        return history(*(one for one in releases if one.revision.revision in wanted), older=older)

    def fetch_outlines(_kube, namespace, release, _timeout_s):
        if fails:
            raise Forbidden("no", verb="list", resource="secrets")
        read.append("outlines")
        return RevisionHistory(namespace, release, tuple(map(Outline.of, releases)))

    monkeypatch.setattr(release_view, "fetch_history", fetch_history)
    monkeypatch.setattr(release_view, "fetch_outlines", fetch_outlines)
    lock = type("Lock", (), {"entries": entries})
    view = ReleaseView(environment(), None, lambda: lock, asked)
    return view.choice(), read, view


MANY = (made(1, "1.4.0"), made(2, "1.5.0", description=FAILED), made(3, "1.5.0"), *PAST[1:], BAD)


@pytest.mark.parametrize(
    ("asked", "revision", "read"),
    [
        ("app:1.8.0", 5, [[5, 6]]),
        ("app:1.9.0", 6, [[5, 6]]),
        ("previous", 5, [[5, 6]]),
        ("app:1.7.0", 4, [[5, 6], "outlines", [4, 5, 6]]),
        ("app:1.4.0", 1, [[5, 6], "outlines", [1, 5, 6]]),
        ("app:1.5.0", 3, [[5, 6], "outlines", [3, 5, 6]]),
    ],
)
def test_older_ones_are_looked_at_where_no_newer_one_has_it(monkeypatch, asked, revision, read):
    choice, asked_for, view = viewed(monkeypatch, asked, MANY)
    assert (choice.revision, asked_for) == (revision, read)
    assert view.target.revision.revision == revision


def test_what_is_not_taken_of_the_older_ones_is_read_before_anything_is_said_of_it(monkeypatch):
    failed = [made(number, "1.5.0", description=f"{FAILED} {number}") for number in range(1, 6)]
    choice, read, _ = viewed(
        monkeypatch, "app:1.5.0", (*failed, made(7, "1.8.0"), made(8, "1.9.0", "deployed"))
    )
    assert choice.because == "no older revision with app version 1.5.0 is left"
    assert read == [[7, 8], "outlines", [3, 4, 5, 7, 8]]
    assert [each.revision for each in choice.skipped] == [5, 4, 3]


def test_where_none_has_it_all_were_looked_at(monkeypatch):
    choice, _, _ = viewed(monkeypatch, "app:3", MANY)
    assert choice.because == "no older revision has app version 3; there are 1.8.0, 1.7.0, 1.5.0 and 1.4.0"
    choice, _, _ = viewed(monkeypatch, "app:3", MANY, fails=True)
    assert choice.because == "no older revision has app version 3 among the newest 2; there are 1.8.0"


def test_an_old_revision_that_only_the_journal_brings_hides_no_newer_one(monkeypatch):
    """The journal's targets are always read: 1 is one of them, and 3 has the version, too."""
    releases = (made(1, "1.5.0"), made(3, "1.5.0", content=1), made(4, "1.7.0"), *PAST[2:], BAD)
    entries = ({**OURS, "head_before": 1, "target": 1},)
    choice, read, _ = viewed(monkeypatch, "app:1.5.0", releases, entries)
    assert (choice.revision, read) == (3, [[1, 5, 6], "outlines", [1, 3, 5, 6]])
