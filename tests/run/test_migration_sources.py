"""What the sources of item ``migration`` are asked about."""

from datetime import UTC, datetime
from types import SimpleNamespace

from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.record import Revision
from pytest_zkrollback.release.helm_secret import Release
from pytest_zkrollback.release.history import ReleaseHistory
from pytest_zkrollback.run import migration_sources
from pytest_zkrollback.run.context import SeenWorkers
from pytest_zkrollback.run.migration_sources import later_contents, revision_content

AT = datetime(2026, 11, 23, 7, tzinfo=UTC)


def release(number, manifest=""):
    return Release(
        Revision(revision=number, status="superseded", chart="c-1", deployed_at=AT, description=""),
        manifest=manifest,
    )


def ask(monkeypatch, *, rolled_out, beyond=()):
    """The first source's answer for a rollback to 2 of 150 revisions of which the newest 30 were read."""
    asked = []
    history = ReleaseHistory(
        "default",
        "zkprova",
        (release(2), *map(release, range(121, 151))),
        older=(1, *range(3, 121)),
    )

    def fetch(_kube, _namespace, _release, also, known):
        asked.append(also)
        read = (each for each in (*map(release, range(1, 121)), *beyond) if each.revision.revision in also)
        found = {each.revision.revision: each for each in (*read, *known.releases)}
        return ReleaseHistory("default", "zkprova", tuple(found[number] for number in sorted(found)))

    monkeypatch.setattr(migration_sources, "fetch_history", fetch)
    env = Environment(
        name="test", context="x", workloads={"api": "deployment/api"}, migrations={"hooks_only": True}
    )
    context = SimpleNamespace(env=env, kube=None, own_sources={}, seen_workers=SeenWorkers())
    target = revision_content(history.get(2), "default")
    later = later_contents(history, 2, 150, "default")
    sources = migration_sources.migration_sources(
        context, history, target, later, rolled_out=rolled_out, compared_with=150
    )
    return sources[0](), asked


def test_what_lies_between_an_old_target_and_what_was_read_is_read_after_helm(monkeypatch):
    """The newest hundred of it: what is older is not known, and said so."""
    finding, asked = ask(monkeypatch, rolled_out=lambda: True)
    assert asked == [list(range(21, 121))]
    assert finding.ran is None
    assert finding.observed == (
        "It is not known whether a migration ran: revision 3 could not be looked into: its record was not read "
        "(and 17 more)."
    )


def test_before_helm_nobody_waits_for_it(monkeypatch):
    finding, asked = ask(monkeypatch, rolled_out=None)
    assert asked == []
    assert finding.observed.endswith("(and 117 more).")


def test_what_cannot_be_read_in_whole_of_it_is_not_known(monkeypatch):
    finding, _ = ask(monkeypatch, rolled_out=lambda: True, beyond=[release(100, "kind: [")])
    assert finding.observed.endswith("(and 18 more).")
