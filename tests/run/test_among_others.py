"""One rollback while somebody else is at work on the release: what this run then says, from plan to advice."""

import pytest

from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.record import Outcome
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.release.history import fetch_history
from pytest_zkrollback.report.next_commands import next_commands
from pytest_zkrollback.report.way_back import offers
from pytest_zkrollback.rollback.lock import ReleaseLock
from pytest_zkrollback.run.build_checklist import ReleaseReader
from pytest_zkrollback.run.results import ExpectedRelease, RunState
from support import fake_release
from support.fake_release import RELEASE, manifest
from support.sequences import Tally, World

ENV = Environment(
    name="test", context="fake", namespace="shop", release=RELEASE, workloads={"app": "deployment/app"}
)
HISTORY = f"helm history {RELEASE} -n shop --kube-context fake"


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Revisions 1 to 4, the last one deployed."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    helm = tmp_path / "helm"
    helm.touch(mode=0o755)
    return World(0, helm, Tally())


def meanwhile(world, monkeypatch, happens):
    """``happens`` after our last look at the release, and before helm's first."""
    rollback = world.helm._rollback

    def run(argv, target):
        happens()
        return rollback(argv, target)

    monkeypatch.setattr(world.helm, "_rollback", run)


def ended(world):
    """The record as it stands on the disk, with the outcome of its verdicts."""
    record = world.on_disk
    rolled = record.find_item("rollback")
    outcome = Outcome.VERIFIED if rolled.verdict is Verdict.PASS else Outcome.FAILED
    return rolled, record.model_copy(update={"outcome": outcome, "command_line": "pytest --env=test"})


def test_case_p3_b4_a_revision_that_came_between_is_named_and_is_the_undo(world, monkeypatch):
    meanwhile(world, monkeypatch, world.release.upgrade)
    world.run("ann", 2)
    rolled, record = ended(world)
    assert rolled.verdict is Verdict.FAIL
    assert rolled.observed.startswith(
        "revision 6 is deployed and rolls back to 2; but somebody else made revision 5 (app-1.0.0, "
        "superseded: Upgrade complete) just before, and this rollback left that, too"
    )
    assert record.helm.came_between == (5,)
    assert [each.revision for each in record.plan.history][-2:] == [5, 6]
    assert next_commands(record, ENV)[:4] == (
        "# see who else deployed, and ask:",
        HISTORY,
        "# if revision 5, which came between, was right, to bring it back:",
        "pytest --env=test --rollback-to=5 "
        "'--rollback-override=target=it was deployed meanwhile, and is right'",
    )
    assert 4 not in [each.revision.revision for each in offers(record)]  # what ann wanted to leave


def test_case_p3_b4_where_nobody_came_between_nothing_is_said(world):
    world.run("ann", 2)
    rolled, record = ended(world)
    assert (rolled.verdict, record.helm.came_between, record.helm.beside) == (Verdict.PASS, (), ())


def pending_upgrade(world):
    """A pipeline's helm is at work on revision 5."""
    world.release.store(5, "pending-upgrade", manifest(5))


@pytest.mark.parametrize("ends", [False, True])
def test_case_p3_19_1_what_is_pending_beside_ours_is_red_and_never_offered(world, monkeypatch, ends):
    pending_upgrade(world)
    if ends:  # after ours: helm leaves what is no longer pending when it ends
        finish = world.helm._finish

        def both(number):
            finish(number)
            world.release.mark(5, "deployed")

        monkeypatch.setattr(world.helm, "_finish", both)
    context = world._context
    monkeypatch.setattr(world, "_context", lambda *args: context(*args[:2], {"pending": "it is dead"}))
    world.run("ann", 2)
    rolled, record = ended(world)
    status = "deployed" if ends else "pending-upgrade"
    assert rolled.verdict is Verdict.FAIL
    assert rolled.observed.startswith(
        "revision 6 is deployed and rolls back to 2; but beside revision 6 there is revision 5 (app-1.0.0, "
        f"{status}: Upgrade complete), of another helm: what is live may be of both"
    )
    assert record.helm.beside == (5,)
    assert next_commands(record, ENV)[:4] == (
        "# see who else deployed, and ask:",
        HISTORY,
        "# when no other helm is at work, revision 2 alone:",
        "pytest --env=test --rollback-to=2",
    )
    assert 5 not in [each.revision.revision for each in offers(record)]


def test_case_p3_19_1_what_is_long_dead_is_no_helm_beside_ours(world, monkeypatch):
    pending_upgrade(world)
    world.clock.sleep(601)
    context = world._context
    monkeypatch.setattr(world, "_context", lambda *args: context(*args[:2], {"pending": "it is dead"}))
    world.run("ann", 2)
    rolled, record = ended(world)
    assert (rolled.verdict, record.helm.beside) == (Verdict.PASS, ())


def test_case_p3_19_1_our_own_helm_that_was_seen_to_end_is_none_beside_ours(world, monkeypatch):
    """Its hook failed: Helm calls it pending for ever, and Next says to go past that."""
    world.helm.pause_at, world.helm.dies = 3, True
    monkeypatch.setattr(world.helm.go_on, "wait", lambda _: True)
    world.helm.go_on.set()
    run = world.helm.run
    monkeypatch.setattr(
        world.helm,
        "run",
        lambda *args, **kwargs: (setattr(world.helm, "dies", True), run(*args, **kwargs))[1],
    )
    world.run("ann", 2)
    assert world.release.head()[:2] == (5, "pending-rollback")
    context = world._context
    monkeypatch.setattr(world, "_context", lambda *args: context(*args[:2], {"pending": "it ended"}))
    world.run("ann", 2)
    rolled, record = ended(world)
    assert (rolled.verdict, record.revision_after, record.helm.beside) == (Verdict.PASS, 6, ())


def test_case_p3_b3_installed_anew_while_helm_told_its_version_helm_does_not_run(world, monkeypatch):
    """Same numbers, same statuses, the same objects by name: and a healthy service."""
    acquire = ReleaseLock.acquire

    def install_anew(self, *args, **options):
        world.clock.sleep(4)
        world.release.secrets.clear()
        monkeypatch.setattr(fake_release, "START", world.clock.at)
        for _ in range(4):
            world.release.upgrade()
        return acquire(self, *args, **options)

    monkeypatch.setattr(ReleaseLock, "acquire", install_anew)
    world.run("ann", 2)
    record = world.on_disk
    assert (record.helm.ran, world.helm.starts) == (False, [])
    assert [(each.id, each.reason) for each in record.guards if each.state == "refused"] == [
        ("head", "new-revision")
    ]


@pytest.mark.parametrize("ends", [True, False])
def test_case_p3_19_1_what_becomes_deployed_while_the_checklist_is_verified_is_never_offered(world, ends):
    """It was pending for so long that its helm was taken for dead."""
    world.run("ann", 2)
    first = world.on_disk
    recorder = world._recorder("again", "ann")
    recorder.update(helm=first.helm, plan=first.plan, revision_before=4, revision_after=5)
    context = world._context(recorder, 2, {})
    before = fetch_history(world.release, "shop", RELEASE)
    state = RunState(["release-equivalence"])
    expected = ExpectedRelease(before, 2, first.plan, 5, before, beside=())
    reader = ReleaseReader(context, expected, state)
    reader.read()
    if ends:
        world.release.mark(4, "deployed")
    reader.read()
    recorder.item("rollback", verdict=Verdict.PASS)
    recorder.item("release-equivalence", verdict=Verdict.FAIL)
    recorder.flush()
    assert world.on_disk.helm.beside == ((4,) if ends else ())
    failed = world.on_disk.model_copy(update={"outcome": Outcome.FAILED, "command_line": "pytest --env=test"})
    assert (4 in [each.revision.revision for each in offers(failed)]) is not ends
    said = [each.event for each in failed.timeline]
    assert ("another helm ended: revision 4 is deployed, too" in said) is ends
