"""A real migration on the demo service's real database came with the bad revision: reversible, and not."""

import json
import shutil
import sqlite3
import subprocess
from contextlib import closing

import pytest

from pytest_zkrollback.drill.scenarios import CHART as SCENARIO_CHART
from support.incident import DATABASE, Incident

FILES = """kind = "sql"
paths = ["migrations"]
accounted_for = ["zkprova-zkprova-migrate"]
database_env = "DEMO_DATABASE_URL"
query = "SELECT max(version) FROM schema_version"
"""
GIT = '[environments.test.git]\ncheckout = "app/service"\nbranch = "main"\nref = "{app_version}"\n'


@pytest.fixture
def tell(running_cluster, binaries, tmp_path):
    told = []

    def make(scenario):
        incident = Incident(running_cluster, tmp_path, binaries["helm"], scenario)
        told.append(incident)
        incident.configure(GIT, migrations=FILES)
        return incident

    yield make
    for incident in told:
        incident.close()


def database(incident, *statements):
    with closing(sqlite3.connect(incident.folder / "app/srv/zkprova/zkprova.db")) as connection:
        for statement in statements:
            connection.executescript(statement)
        return connection.execute("SELECT max(version) FROM schema_version").fetchone()[0]


def signal(result):
    found = {one["name"]: one for one in result.record["decision"]["signals"]}["migration-irreversible"]
    return found["answer"], found["evidence"]


def reds(result):
    return {name: verdict for name, verdict in result.verdicts().items() if verdict != "PASS"}


def evidence(result):
    return "\n".join(piece["text"] for piece in result.item("migration")["evidence"])


def test_a_reversible_migration_is_red_with_its_file_and_its_reverse_until_it_is_assessed(tell):
    bad = tell("reversible-migration")
    assert database(bad) == 8
    rolled = bad.run("--rollback-to=5")
    answer, why = signal(rolled)
    assert answer == "no"
    assert "migrations/0008_order_channel.up.sql. It has a reverse" in why
    assert (rolled.code, reds(rolled)) == (1, {"migration": "FAIL"}), rolled.output
    observed = rolled.item("migration")["observed"]
    assert "the database is at 8, the target expects 0007_orders_exported" in observed
    assert "run, in this order: migrations/0008_order_channel.down.sql" in observed
    shown = evidence(rolled)
    assert "ALTER TABLE orders ADD COLUMN channel" in shown
    assert "accounted for by the configuration: hook Job zkprova-zkprova-migrate" in shown
    assert "RAN" not in shown

    # What the report says to run really takes the database back; then the files and it disagree.
    database(bad, (bad.folder / "app/service/migrations/0008_order_channel.down.sql").read_text())
    undone = bad.run()
    assert (undone.code, reds(undone)) == (1, {"migration": "FAIL"}), undone.output
    assert "Not all sources agree: SQL: the database is at 7" in undone.item("migration")["observed"]
    assessed = bad.run("--rollback-migration-assessed=undone by its down file")
    assert (assessed.code, reds(assessed)) == (0, {}), assessed.output
    assert "Assessed by the operator: undone by its down file." in assessed.item("migration")["observed"]

    # The database alone, against what the target's ConfigMap expects: it is at 7 again, and nothing else ran.
    bad.configure(migrations=DATABASE + 'accounted_for = ["zkprova-zkprova-migrate"]\nhealth = "schema"\n')
    alone = bad.run()
    assert (alone.code, reds(alone)) == (0, {}), alone.output
    assert "The schema is at 7, as the target expects" in alone.item("migration")["observed"]
    bad.configure(migrations=DATABASE)
    job = bad.run()
    observed = job.item("migration")["observed"]
    assert "Hook Job zkprova-zkprova-migrate (pre-upgrade) of revision 6 ran (Succeeded)" in observed
    # What was said of this revision by the run that verified it is remembered.
    assert observed.startswith(f"Assessed by {assessed.record['operator']}, 20")
    assert f", run {assessed.record['run_id']}: undone by its down file. Seen: " in observed
    assert reds(job) == {}, job.output


def test_an_irreversible_migration_refuses_before_helm_and_is_red_after_it(tell):
    bad = tell("irreversible-migration")
    refused = bad.run("--rollback-to=5")
    assert (refused.code, bad.head(), bad.messages()) == (1, 6, [])
    guard = refused.guard("migration")
    assert guard["state"] == "refused"
    assert (
        "migrations/0008_drop_exported.up.sql has no reverse: no command takes the database back"
        in (guard["evidence"])
    )
    assert "--rollback-override=migration=" in refused.output

    done = bad.run("--rollback-to=5", "--rollback-override=migration=nobody reads that column")
    assert done.record["helm"]["ran"]
    assert (done.code, reds(done)) == (1, {"migration": "FAIL"}), done.output
    assert "removes data, which no reverse brings back" in evidence(done)
    for name in ("latest.html", "latest.md"):
        assert "0008_drop_exported.up.sql" in (bad.folder / "reports" / name).read_text()


def test_without_a_source_a_release_without_hooks_is_unverified_and_the_option_is_named(
    running_cluster, binaries, tmp_path
):
    bad = Incident(running_cluster, tmp_path, binaries["helm"], "bad-image")
    try:
        bad.configure(migrations=False)
        done = bad.run("--rollback-to=5")
        assert (done.code, reds(done)) == (1, {"migration": "UNVERIFIED"}), done.output
        observed = done.item("migration")["observed"]
        assert (
            "How this service migrates its database is not configured ([environments.test.migrations]"
            in observed
        )
        assert '--rollback-migration-assessed "TEXT"' in observed

        # A Job that is no hook: Helm records nothing of it, and deletes it with the rollback.
        chart = tmp_path / "zkprova"
        shutil.copytree(SCENARIO_CHART, chart)
        template = chart / "templates" / "migrate.yaml"
        lines = template.read_text().splitlines(keepends=True)
        template.write_text("".join(line for line in lines if "helm.sh/hook" not in line))
        bad.helm("upgrade", "zkprova", str(chart), "--reuse-values", "--set", "migrate=true")
        bad.kubectl("wait", "--for=condition=complete", "job/zkprova-zkprova-migrate", "--timeout=30s")
        job = bad.run("--rollback-to=5")
        assert reds(job) == {"migration": "FAIL"}, job.output
        observed = job.item("migration")["observed"]
        assert "Job zkprova-zkprova-migrate of revision 8 ran (completed): zkprova/migrate:" in observed
        assert "zkprova-migrate" not in bad.kubectl("get", "jobs")
    finally:
        bad.close()


def test_as_a_gate_a_deploy_is_green_by_its_commits_or_by_the_operators_word(incident):
    """Helm's history does not say whether `helm upgrade` brought a deploy or took one back; the commits may."""
    service = incident.folder / "service"
    service.mkdir()

    def git(*args):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
        argv = ["git", "-C", str(service), *who, *args]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()

    def commit(file):
        (service / file).write_text(file)
        git("add", "-A")
        git("commit", "-qm", file)
        return git("rev-parse", "HEAD")

    def deploy(commit):
        """Images built from this commit, by a pipeline's own helm, which keeps few revisions."""
        chart = incident.folder / "chart"
        shutil.copytree(SCENARIO_CHART, chart, dirs_exist_ok=True)
        text = {
            "apiVersion": "v2",
            "name": "zkprova",
            "version": "1.8.1",
            "appVersion": f"1.8.1-{commit[:7]}",
        }
        (chart / "Chart.yaml").write_text(json.dumps(text))
        incident.helm("upgrade", "zkprova", str(chart), "--reuse-values", "--history-max", "2")

    git("init", "-q")
    older, newer = commit("older.sql"), commit("newer.sql")
    git("revert", "--no-edit", "HEAD")
    reverted = git("rev-parse", "HEAD")
    incident.configure(f'[environments.test.git]\ncheckout = "{service}"\n', migrations=False)
    incident.helm("rollback", "zkprova", "5")
    deploy(older)
    deploy(newer)
    forward = incident.run()
    assert (forward.code, reds(forward)) == (0, {}), forward.output
    assert "and puts no file of theirs back" in forward.item("migration")["observed"]
    deploy(reverted)
    taken = incident.run()
    assert (taken.code, reds(taken)) == (1, {"migration": "UNVERIFIED"}), taken.output
    assert "no longer holds newer.sql as revision" in taken.item("migration")["observed"]
    deploy(older)
    back = incident.run()
    assert (back.code, reds(back)) == (1, {"migration": "UNVERIFIED"}), back.output
    assert "If it is an ordinary deploy: --zkrollback-gate" in back.item("migration")["observed"]
    said = incident.run("--zkrollback-gate")
    assert (said.code, reds(said)) == (0, {}), said.output
    assert "by the operator's word (--zkrollback-gate)" in said.item("migration")["observed"]


def test_who_only_verifies_later_is_told_what_was_said_of_the_migration(incident):
    """By whom and when; of the same revision alone."""
    incident.configure(migrations=False)
    done = incident.run("--rollback-to=5", "--rollback-migration-assessed=the column stays")
    assert (done.code, done.record["outcome"]) == (0, "verified"), done.output
    again = incident.run()
    assert (again.code, again.record["outcome"]) == (0, "verified"), again.output
    observed = again.item("migration")["observed"]
    assert observed.startswith(f"Assessed by {done.record['operator']}, 20")
    assert f", run {done.record['run_id']}: the column stays. Seen: " in observed
    third = incident.run()
    assert third.item("migration")["observed"] == observed
