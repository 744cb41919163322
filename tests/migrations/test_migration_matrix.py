"""Every source in every situation: real Alembic trees in a real git repository, real databases, expected by hand."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from pytest_zkrollback.checklist.migration import MigrationCheck
from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.clients.http import HttpClient
from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.checks import History, Sample
from pytest_zkrollback.domain.decision import SignalName
from pytest_zkrollback.domain.migration import MigrationFinding
from pytest_zkrollback.domain.record import GuardReason, Revision
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.preflight.decision import decide
from pytest_zkrollback.preflight.facts import ask_all
from pytest_zkrollback.preflight.guards.release import judge_migration_guard
from pytest_zkrollback.release.helm_secret import Release
from pytest_zkrollback.release.history import ReleaseHistory
from pytest_zkrollback.run.context import SeenWorkers
from pytest_zkrollback.run.decision_step import fetch_irreversible
from pytest_zkrollback.run.migration_sources import (
    judge_irreversible,
    later_contents,
    migration_sources,
    revision_content,
)
from support.git import git
from support.http_server import LoopbackHttpServer, QuietHandler
from support.real_alembic import AlembicTree

AT = datetime(2026, 11, 24, tzinfo=UTC)
ADD, REMOVE = "op.execute('create table {0} (x int)')", "op.execute('drop table {0}')"
JOB = """
kind: Job
metadata: {name: migrate}
spec: {template: {spec: {containers: [{name: m, image: "app:IMAGE", command: [alembic, upgrade, head]}]}}}
"""


def commit(folder):
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "x", "--allow-empty")
    return git(folder, "rev-parse", "HEAD")


def hook(phase, image):
    return {
        "name": "migrate",
        "kind": "Job",
        "events": ["pre-upgrade"],
        "manifest": JOB.replace("IMAGE", image),
        "last_run": {"phase": phase},
    }


class Service:
    """A service with its repository, its database and a release of two revisions, 5 (the target) and 6."""

    def __init__(self, folder, url):
        folder.mkdir()
        self.folder, self.url = folder, url
        driver = url.replace("postgresql://", "postgresql+psycopg://")
        self.tree = AlembicTree(folder, driver)
        git(folder, "init", "-q")
        (folder / ".gitignore").write_text("*.db\n__pycache__\n")
        self.health: dict = {"database": "ok"}
        self.hooks = ((), ())
        self.manifest = ""
        self.variables = {"DATABASE_URL": url}
        self.commits = ("", "")
        self.names: dict[str, str] = {}

    def add(self, name, down=True):
        back = REMOVE.format(name) if down else "raise NotImplementedError"
        self.names[name] = self.tree.revision(name, ADD.format(name), back)

    def upgrade(self, to):
        self.tree.upgrade(self.names[to])
        self.health["schema"] = self.names[to]

    @property
    def history(self):
        releases = tuple(
            Release(
                Revision(
                    revision=number, status="deployed", chart="c-1", app_version=f"1-{sha}", deployed_at=AT
                ),
                manifest=self.manifest,
                hooks=hooks,
            )
            for number, sha, hooks in zip((5, 6), self.commits, self.hooks, strict=True)
        )
        return ReleaseHistory("default", "zkprova", releases)

    def context(self, url="http://127.0.0.1:1"):
        env = Environment(
            name="test",
            context="x",
            url=url,
            workloads={"api": "deployment/api"},
            base_dir=str(self.folder),
            git={"checkout": "."},
            migrations={
                "kind": "alembic",
                "paths": ["db/versions"],
                "database_env": "DATABASE_URL",
                "health": "schema",
            },
        )
        return SimpleNamespace(
            env=env,
            kube=SimpleNamespace(list=lambda path: []),
            processes=LocalProcesses(),
            clock=SystemClock(),
            http=lambda: HttpClient(clock=SystemClock()),
            variables=self.variables,
            own_sources={},
            seen_workers=SeenWorkers(),
        )

    def ask(self, *, before_helm=False, rolled_out=True):
        """Each source's finding by its name, and the item's verdict on all of them."""
        history = self.history
        with serve_health(self.health) as server:
            context = self.context(server.url)
            sources = migration_sources(
                context,
                history,
                revision_content(history.releases[0], "default"),
                later_contents(history, 5, 6, "default"),
                rolled_out=None if before_helm else lambda: rolled_out,
            )
            check = MigrationCheck(env=context.env, sources=sources, compared_with=6)
            found = check.observe()
        verdict = check.judge(History((Sample(AT, found),), since=AT, judged_from=AT), AT)
        return {one.source: one for one in found}, verdict


def serve_health(answer):
    """The restored application's /health on loopback: ``answer`` as JSON, or 503 where it is None."""

    class Handler(QuietHandler):
        def do_GET(self):
            self.send_response(200 if answer is not None else 503)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

    return LoopbackHttpServer(Handler)


def none(service):
    service.add("a")
    good = commit(service.folder)
    service.upgrade("a")
    (service.folder / "app.py").write_text("print('no migration')")
    service.commits = (good, commit(service.folder))


def brings(*, down=True, reached="c", phase="Succeeded"):
    def make(service):
        service.add("a")
        good = commit(service.folder)
        service.upgrade("a")
        service.add("b", down=down)
        service.add("c")
        service.commits = (good, commit(service.folder))
        service.upgrade(reached)
        service.hooks = ((), (hook(phase, "2"),))

    return make


def unknown(service):
    none(service)
    service.commits = (service.commits[0], "0123456789abcdef")
    service.hooks = ((hook("Succeeded", "1"),), (hook("Succeeded", "1"),))
    service.variables = {}
    service.health = None


def target_newer(service):
    service.add("a")
    service.add("b")
    good = commit(service.folder)
    service.upgrade("a")
    service.commits = (good, good)


HOOKS, FILES, DATABASE, HEALTH = (
    "hooks, Jobs and init containers",
    "Alembic files",
    "schema in the database",
    "schema that /health reports",
)
NONE = MigrationFinding("", False, "")
# situation -> (how it comes about, what each source has to say: (ran, reversible, words), the verdict)
MATRIX = {
    "none": (
        none,
        {
            HOOKS: (False, None, "No hook, Job or init container ran in revision 6."),
            FILES: (False, None, "no migration came between {good} (revision 5) and {bad} (revision 6)"),
            DATABASE: (False, None, "the database is at {a}, as the target expects."),
            HEALTH: (False, None, "the database is at {a}, as the target expects."),
        },
        Verdict.PASS,
    ),
    "reversible": (
        brings(),
        {
            HOOKS: (
                True,
                None,
                "Hook Job migrate (pre-upgrade) of revision 6 ran (Succeeded): app:2 runs alembic",
            ),
            FILES: (True, True, "To undo, in a checkout of {bad}: alembic downgrade {a}."),
            DATABASE: (
                True,
                True,
                "is at {c}, the target expects {a}: db/versions/{b}_b.py, db/versions/{c}_c.py are applied.",
            ),
            HEALTH: (True, True, "db/versions/{b}_b.py, db/versions/{c}_c.py are applied."),
        },
        Verdict.FAIL,
    ),
    "irreversible": (
        brings(down=False),
        {
            HOOKS: (True, None, "ran (Succeeded)"),
            FILES: (True, False, "db/versions/{b}_b.py has no reverse: no command takes the database back."),
            DATABASE: (
                True,
                False,
                "the target expects {a}: db/versions/{b}_b.py, db/versions/{c}_c.py are applied.",
            ),
            HEALTH: (
                True,
                False,
                "the target expects {a}: db/versions/{b}_b.py, db/versions/{c}_c.py are applied.",
            ),
        },
        Verdict.FAIL,
    ),
    "unknown": (
        unknown,
        {
            HOOKS: (None, None, "in the same form as in the target"),
            FILES: (
                None,
                None,
                "The commit of revision 6 is not known: The git checkout does not know 0123456789abcdef",
            ),
            DATABASE: (None, None, "The commit of revision 6 is not known"),
            HEALTH: (None, None, "The commit of revision 6 is not known"),
        },
        Verdict.UNVERIFIED,
    ),
    "partly applied": (
        brings(reached="b", phase="Failed"),
        {
            HOOKS: (True, None, "ran (Failed, so part of it may be applied)"),
            FILES: (True, True, "2 migrations came between"),
            DATABASE: (
                True,
                True,
                "the database is at {b}, the target expects {a}; only 1 of 2 new migrations: ",
            ),
            HEALTH: (True, True, "only 1 of 2 new migrations: db/versions/{b}_b.py is applied."),
        },
        Verdict.FAIL,
    ),
    "target newer than schema": (
        target_newer,
        {
            HOOKS: (False, None, "No hook, Job or init container ran in revision 6."),
            FILES: (False, None, "no migration came between"),
            DATABASE: (True, None, "the target is newer than the schema, {b} is not applied."),
            HEALTH: (True, None, "the target is newer than the schema, {b} is not applied."),
        },
        Verdict.FAIL,
    ),
}


@pytest.mark.parametrize("situation", MATRIX)
def test_every_source_in_every_situation(situation, make_database, tmp_path):
    make, expected, word = MATRIX[situation]
    service = Service(tmp_path / "service", make_database())
    make(service)
    found, verdict = service.ask()
    assert set(found) == set(expected)
    good, bad = (sha[:10] for sha in service.commits)
    for source, (ran, reversible, words) in expected.items():
        finding = found[source]
        assert (finding.ran, finding.reversible) == (ran, reversible), finding
        assert words.format(good=good, bad=bad, **service.names) in finding.observed, finding
        if ran:
            assert finding.evidence, source
    assert verdict.word is word
    if word is Verdict.FAIL:
        disagree = any(expected[source][0] is False for source in (FILES, DATABASE, HEALTH))
        assert ("Not all sources agree" in verdict.observed) == disagree
        assert "--rollback-migration-assessed" in verdict.observed


@pytest.mark.parametrize(
    ("make", "answer"),
    [(none, "no"), (brings(), "unknown"), (brings(down=False), "yes"), (unknown, "unknown")],
)
def test_the_decision_hears_of_the_same_before_helm_and_the_application_is_not_asked(make, answer, tmp_path):
    service = Service(tmp_path / "service", f"sqlite:///{tmp_path}/app.db")
    make(service)
    found, _ = service.ask(before_helm=True)
    assert set(found) == {HOOKS, FILES, DATABASE}
    assert judge_irreversible(list(found.values())).answer == answer


def test_health_is_not_asked_before_the_restored_application_has_rolled_out(tmp_path):
    service = Service(tmp_path / "service", f"sqlite:///{tmp_path}/app.db")
    none(service)
    found, verdict = service.ask(rolled_out=False)
    assert (found[HEALTH].ran, found[HEALTH].observed) == (
        None,
        "Schema that /health reports: not known. /health was not asked: the restored application has not rolled out.",
    )
    assert verdict.word is Verdict.UNVERIFIED


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "/health answers HTTP 503."),
        ({"database": "ok"}, "/health has no version at 'schema'."),
        ({"schema": True}, "/health has no version at 'schema'."),
        ({"schema": {"version": 7}}, "/health has no version at 'schema'."),
        ([], "/health has no version at 'schema'."),
    ],
)
def test_what_health_does_not_say_is_not_known(answer, said, tmp_path):
    service = Service(tmp_path / "service", f"sqlite:///{tmp_path}/app.db")
    none(service)
    service.health = answer
    found, verdict = service.ask()
    assert (found[HEALTH].ran, found[HEALTH].observed) == (
        None,
        f"Schema that /health reports: not known. {said}",
    )
    assert verdict.word is Verdict.UNVERIFIED


def test_files_say_yes_and_the_database_no_is_not_green(tmp_path):
    service = Service(tmp_path / "service", f"sqlite:///{tmp_path}/app.db")
    brings(reached="a")(service)
    found, verdict = service.ask()
    assert (found[FILES].ran, found[DATABASE].ran) == (True, False)
    assert verdict.word is Verdict.FAIL
    assert "Not all sources agree: Alembic: the database is at" in verdict.observed


def test_a_revision_between_counts_although_the_bad_one_has_its_files_no_more(tmp_path):
    service = Service(tmp_path / "service", f"sqlite:///{tmp_path}/app.db")
    service.add("a")
    good = commit(service.folder)
    service.add("between")
    between = commit(service.folder)
    git(service.folder, "revert", "--no-edit", "HEAD")
    service.commits = (good, between, commit(service.folder))
    service.tree.upgrade()
    numbers = zip((5, 6, 7), service.commits, strict=True)
    releases = tuple(
        Release(
            Revision(revision=n, status="x", chart="c", app_version=f"1-{sha}", deployed_at=AT), manifest=""
        )
        for n, sha in numbers
    )
    history = ReleaseHistory("default", "zkprova", releases)
    env = Environment(
        name="test",
        context="x",
        workloads={"api": "deployment/api"},
        base_dir=str(service.folder),
        git={"checkout": "."},
        migrations={"kind": "alembic", "paths": ["db/versions"]},
    )
    context = SimpleNamespace(
        env=env, processes=LocalProcesses(), variables={}, own_sources={}, seen_workers=SeenWorkers()
    )
    later = later_contents(history, 5, 7, "default")
    sources = migration_sources(
        context, history, revision_content(releases[0], "default"), later, rolled_out=None
    )
    files = next(found for one in sources if (found := one()).source == FILES)
    assert (files.ran, "_between.py" in files.observed) == (True, True)


def test_a_database_that_hangs_does_not_hide_what_the_files_say(tmp_path):
    service = Service(tmp_path / "service", f"sqlite:///{tmp_path}/app.db")
    brings(down=False)(service)
    look = SimpleNamespace(
        history=lambda: service.history,
        target=service.history.releases[0],
        choice=lambda: SimpleNamespace(revision=5),
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        service.variables = {"DATABASE_URL": f"postgresql://a@127.0.0.1:{silent.getsockname()[1]}/x"}
        context = service.context()
        question = {"irreversible": lambda: fetch_irreversible(context, look)}
        seen = ask_all(question, context.env.preflight_budget_s, context.clock)["irreversible"].value
    assert seen is not None, "the budget went by before the files were heard"
    assert (seen.answer, "_b.py has no reverse" in seen.evidence) == ("yes", True)


def test_a_wrong_path_beside_a_right_one_hides_nothing(tmp_path):
    service = Service(tmp_path / "service", f"sqlite:///{tmp_path}/app.db")
    brings(down=True)(service)
    context = service.context()
    paths = ("db/versions", "db/versoins")
    table = context.env.migrations.model_copy(update={"paths": paths, "database_env": None, "health": None})
    context.env = context.env.model_copy(update={"migrations": table})
    history = service.history
    target, later = revision_content(history.releases[0], "default"), later_contents(history, 5, 6, "default")
    sources = migration_sources(context, history, target, later, rolled_out=None)
    said = "There is nothing at db/versoins in any of these commits. Is the path right?"
    assert [found.ran for one in sources if said in (found := one()).observed] == [None]


def test_the_bad_revision_that_cannot_be_read_is_never_a_no(tmp_path):
    service = Service(tmp_path / "service", f"sqlite:///{tmp_path}/app.db")
    brings(down=True)(service)
    history = service.history
    target, later = revision_content(history.releases[0], "default"), later_contents(history, 5, 6, "default")
    sources = migration_sources(service.context(), history, target, later, rolled_out=None, compared_with=7)
    found = [one() for one in sources]
    said = "Revision 7: not known. What revision 7 holds cannot be read: a migration may be in it."
    assert [each.ran for each in found if each.observed == said] == [None]


def test_case_p3_what_cannot_be_read_of_a_revision_may_hold_a_migration(tmp_path):
    service = Service(tmp_path / "service", f"sqlite:///{tmp_path}/app.db")
    history = service.history
    target, later = revision_content(history.releases[0], "default"), later_contents(history, 5, 6, "default")
    later[-1] = replace(later[-1], unread=("document 2 is no YAML in line 7: x",))
    sources = migration_sources(service.context(), history, target, later, rolled_out=None, compared_with=6)
    said = "A migration may be in what cannot be read of revision 6: document 2 is no YAML in line 7: x."
    assert [found.ran for one in sources if said in (found := one()).observed] == [None]


def test_an_own_source_that_is_called_as_one_of_ours_is_asked_beside_it(tmp_path):
    service = Service(tmp_path / "service", f"sqlite:///{tmp_path}/app.db")
    brings(down=True)(service)
    history, context = service.history, service.context()
    target, later = revision_content(history.releases[0], "default"), later_contents(history, 5, 6, "default")
    names = len(migration_sources(context, history, target, later, rolled_out=None))
    context.own_sources = {HOOKS: lambda span: MigrationFinding("own", False, "none")}
    assert len(migration_sources(context, history, target, later, rolled_out=None)) == names + 1


STARTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  template:
    spec:
      %s
"""
AT_START = {
    "command": "containers: [{name: web, command: [sh, -c, 'alembic upgrade head && exec gunicorn app']}]",
    "args": "containers: [{name: web, args: [alembic, -c, db/alembic.ini, upgrade, heads]}]",
    "init container": "initContainers: [{name: db, command: [python, -m, alembic, upgrade, head]}]",
    "flask": "containers: [{name: web, command: [flask, db, upgrade]}]",
}
NOT_AT_START = {
    "image's own": "containers: [{name: web, image: 'alembic:upgrade'}]",
    "check": "containers: [{name: web, args: [alembic, check]}]",
    "django": "containers: [{name: web, args: [python, manage.py, migrate]}]",
    "broken": "containers: [null, {name: web, args: [null, 7]}]",
}


@pytest.mark.parametrize("spec", AT_START.values(), ids=AT_START)
@pytest.mark.parametrize("down", [True, False], ids=["reversible", "irreversible"])
def test_case_p32_a_start_that_will_not_know_the_schema_is_said_before_helm(spec, down, tmp_path):
    service = Service(tmp_path / "service", f"sqlite:///{tmp_path}/app.db")
    service.manifest = STARTS % spec
    brings(down=down)(service)
    found, _ = service.ask(before_helm=True)
    reading = judge_irreversible(list(found.values()))
    newest = service.names["c"]
    assert reading.start_problem.startswith(
        f"The database is there: the target's start will not know revision {newest}. "
    )
    assert "of Deployment api of revision 5 runs `" in reading.start_problem
    decision = decide({SignalName.MIGRATION_IRREVERSIBLE: reading}, {}, "roll back to revision 5")
    guard = judge_migration_guard(decision, reading.start_problem)
    assert reading.start_problem in guard.evidence
    if down:
        assert (guard.state, guard.reason) == ("warned", GuardReason.START_DOES_NOT_KNOW_SCHEMA)
        assert guard.override == ""
    else:
        assert (guard.state, guard.reason) == ("refused", GuardReason.IRREVERSIBLE_MIGRATION)


@pytest.mark.parametrize("spec", NOT_AT_START.values(), ids=NOT_AT_START)
def test_case_p32_nothing_is_said_of_a_start_that_does_not_migrate_with_alembic(spec, tmp_path):
    service = Service(tmp_path / "service", f"sqlite:///{tmp_path}/app.db")
    service.manifest = STARTS % spec
    brings()(service)
    found, _ = service.ask(before_helm=True)
    assert judge_irreversible(list(found.values())).start_problem == ""


def test_case_p32_the_database_decides_whether_the_start_knows_it(tmp_path):
    """The files brought migrations; nobody applied them, or nobody can say."""
    service = Service(tmp_path / "service", f"sqlite:///{tmp_path}/app.db")
    service.manifest = STARTS % AT_START["command"]
    brings(reached="a")(service)
    found, _ = service.ask(before_helm=True)
    assert found[DATABASE].starts is True
    assert judge_irreversible(list(found.values())).start_problem == ""
    service.variables.clear()
    found, _ = service.ask(before_helm=True)
    said = judge_irreversible(list(found.values())).start_problem
    assert said.startswith(
        f"If it is applied, the target's start will not know revision {service.names['c']}."
    )
