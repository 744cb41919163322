"""--zkrollback-check: every line as it is printed, the exit code, and that nothing is changed or told."""

import os
import shlex
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.domain.errors import UsageProblem
from pytest_zkrollback.report.redaction import Redactor
from pytest_zkrollback.report.styled_lines import Span, plain
from pytest_zkrollback.setup.doctor import Doctor, Finding, State, find_environment, find_script, run_doctor
from support.fake_prometheus import FakePrometheus
from support.http_server import LoopbackHttpServer, QuietHandler

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {spec: {containers: [{name: web, image: "web:1"}]}}}
"""
GROUP = "rbac.authorization.k8s.io"


class Service(QuietHandler):
    """The service and a webhook's host: what is asked of it is remembered."""

    seen: list[str] = []  # noqa: RUF012 - one for the handler's class, which each test makes anew

    def do_GET(self):
        self.seen.append(f"GET {self.path}")
        found = self.path == "/health"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(b'{"database": "ok"}' if found else b"")

    def do_POST(self):
        self.seen.append(f"POST {self.path}")
        self.send_response(200)
        self.end_headers()


@contextmanager
def service():
    handler = type("OfTheTest", (Service,), {"seen": []})
    with LoopbackHttpServer(handler) as server:
        yield server.url, handler.seen


class Patient:
    """The operator's folder, and what the doctor says there."""

    def __init__(self, api, folder, url):
        self.api, self.folder, self.url = api, folder, url
        self.programs = folder / "bin"
        self.programs.mkdir()
        self.add_program("helm", "echo v4.3.1")
        self.add_program("run-smoke", "touch ran")
        self.variables = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "SLACK_WEBHOOK_URL": f"{url}/T0/secret",
        }
        self.config_file = None
        self.keys = {"kubeconfig": str(api.kubeconfig()), "url": url}
        self.tables = '[environments.staging.identity]\nkube_system_uid = "uid-1"\n'
        self.tables += '[environments.staging.smoke]\ncommand = ["run-smoke", "{url}"]\n'

    def add_program(self, name, line):
        (self.programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (self.programs / name).chmod(0o755)

    def examine(self):
        """(exit code, lines)."""
        keys = {"context": "staging", "namespace": "shop", "release": "app", "workloads": "auto"} | self.keys
        text = "[environments.staging]\n" + "".join(
            f"{key} = {value if isinstance(value, bool) else repr(value)}\n".replace("'", '"').replace(
                "False", "false"
            )
            for key, value in keys.items()
            if value is not None
        )
        (self.folder / "zkrollback.toml").write_text(text + self.tables)
        env = find_environment(self.folder, self.config_file, "staging")
        assert not isinstance(env, Finding), env
        lines = []
        processes = LocalProcesses()
        doctor = Doctor(env, Redactor(), self.variables, SystemClock(), processes, self.config_file)
        return run_doctor(doctor, self.folder, lambda render: lines.append(plain(render(0)))), lines

    def line(self, what):
        code, lines = self.examine()
        assert code == 1, lines
        return next(line for line in lines if line[11:].startswith(f"{what} "))


@pytest.fixture
def patient(api, tmp_path):
    api.add_release(1, MANIFEST)
    with service() as (url, seen):
        found = Patient(api, tmp_path, url)
        found.seen = seen
        yield found


def test_where_all_is_there_every_line_is_ok_nothing_is_changed_and_nobody_is_told(patient):
    code, lines = patient.examine()
    assert lines == [
        "ok         configuration        environment staging of zkrollback.toml is valid.",
        f"ok         kubeconfig           context staging leads to {patient.api.url}.",
        "ok         login                the API server knows you as oncall.",
        "ok         identity             the cluster is the pinned one (uid-1).",
        "ok         release              revision 1 is deployed (app-1.0.0), 1 revisions kept.",
        "ok         helm                 helm v4.3.1.",
        "ok         rights to verify     all 13 are there.",
        "ok         rights to roll back  all 8 are there.",
        f"ok         url and health       {patient.url}/health answers as the configuration expects.",
        "ok         smoke                run-smoke {url} can be run (it was not).",
        f"ok         slack                {patient.url} answers; nothing was posted.",
        "All 11 checks are ok. Nothing was changed, and nobody was told.",
    ]
    assert code == 0
    assert sorted(patient.seen) == ["GET /", "GET /health"]
    assert not (patient.folder / "ran").exists()
    assert not (patient.folder / "reports").exists()


def test_each_right_is_asked_of_the_api_server_alone(patient):
    patient.examine()
    assert ("get", "namespaces", "kube-system", "") in patient.api.sent
    assert ("update", "secrets", "shop", "") in patient.api.sent
    assert ("watch", "pods", "shop", "") in patient.api.sent


@pytest.mark.parametrize(
    ("denied", "what", "said"),
    [
        (
            [("get", "pods/log", "shop")],
            "rights to verify",
            "you may not: get pods/log (the logs are read).",
        ),
        (
            [("get", "configmaps", "shop")],
            "rights to verify",
            "you may not: get configmaps settings (what is live is compared with what helm applied).",
        ),
        (
            [("get", "namespaces", "kube-system")],
            "rights to verify",
            "you may not: get namespaces kube-system in namespace kube-system (its UID is the cluster's identity).",
        ),
        (
            [("patch", "deployments", "shop"), ("create", "secrets", "shop")],
            "rights to roll back",
            "you may not: create secrets (helm keeps its records in Secrets, whose numbers go on); patch "
            "deployments.apps web (helm gets, patches, creates and deletes what the manifests state, as a dry run "
            "first).",
        ),
    ],
)
def test_one_right_less_is_named_with_what_it_is_for(patient, denied, what, said):
    patient.api.denied.update(denied)
    mend = " To mend it: pytest --zkrollback-env=staging --zkrollback-check=rbac prints the Roles."
    assert patient.line(what) == f"missing    {what:<19}  {said}{mend}"


def test_the_command_that_mends_it_reads_the_same_configuration(patient):
    patient.config_file = str(patient.folder / "zkrollback.toml")
    patient.api.denied.add(("create", "secrets", "shop"))
    command = (
        f"pytest --zkrollback-env=staging --zkrollback-config={patient.config_file} --zkrollback-check=rbac prints the "
        "Roles."
    )
    assert patient.line("rights to roll back").endswith(command)


@pytest.mark.parametrize(
    ("command", "script"),
    [
        ("bash scripts/smoke.sh {url}", "scripts/smoke.sh"),
        ("/bin/bash -eu nope.sh", "nope.sh"),
        ("bash -e -u nope.sh -c", "nope.sh"),
        ("sh -euo pipefail nope.sh", "nope.sh"),
        ("bash -o pipefail +x nope.sh", "nope.sh"),
        ("bash -- nope.sh", "./nope.sh"),
        ("bash -c 'curl {url}'", ""),
        ("bash -ec 'curl {url}'", ""),
        ("bash -s {url}", ""),
        ("bash --norc nope.sh", ""),
        ("bash", ""),
        ("bash -", ""),
        ("bash {url}", ""),
        ("python -u nope.py", "nope.py"),
        ("python3 -W ignore -X dev nope.py", "nope.py"),
        ("python3 -m smoke", ""),
        ("python3 -Im smoke", ""),
        ("python3 -c 'import smoke'", ""),
        ("node nope.js", "nope.js"),
        ("node --require x nope.js", ""),
        ("ruby -W nope.rb", ""),
        ("run-smoke nope.sh", ""),
    ],
)
def test_the_file_that_an_interpreter_runs_is_found_behind_its_options(command, script):
    program, *words = shlex.split(command)
    assert find_script(program, words) == script


def test_a_right_that_a_role_gives_by_name_is_there(patient):
    patient.api.denied.add(("patch", "deployments", "shop"))
    patient.api.named.add(("patch", "deployments", "shop", "web"))
    assert patient.examine()[0] == 0


def test_what_is_only_helpful_is_named_and_stops_nothing(patient):
    patient.api.denied.update([("watch", "events", "shop"), ("list", "nodes", "")])
    code, lines = patient.examine()
    assert code == 0
    assert lines[6:8] == [
        "ok         rights to verify     all 13 are there; without these a run only says less: watch events (events "
        "are followed instead of listed).",
        "ok         rights to roll back  all 8 are there; without these a run only says less: list nodes (the guard "
        "images looks there).",
    ]


ROLE = f"""
---
apiVersion: {GROUP}/v1
kind: Role
metadata: {{name: reader}}
rules: [{{apiGroups: [""], resources: [pods], verbs: [get]}}]
"""


@pytest.mark.parametrize(
    ("denied", "code"),
    [
        ([("escalate", "roles", "shop")], 0),  # who holds the Role's rights needs no escalate
        ([("escalate", "roles", "shop"), ("get", "pods", "shop")], 1),
        ([("get", "pods", "shop")], 0),
    ],
)
def test_a_role_of_the_chart_wants_escalate_or_every_right_that_it_holds(patient, denied, code):
    patient.api.add_release(1, MANIFEST + ROLE)
    patient.api.denied.update(denied)
    found, lines = patient.examine()
    assert found == code
    said = "you may not: escalate roles.rbac.authorization.k8s.io reader (the chart holds Role/reader)."
    assert (said in lines[7]) == bool(code)


def test_without_a_cluster_the_configuration_and_what_is_here_is_looked_at_all_the_same(patient):
    patient.keys["kubeconfig"] = str(patient.folder / "none")
    code, lines = patient.examine()
    assert lines == [
        "ok         configuration        environment staging of zkrollback.toml is valid.",
        f"missing    kubeconfig           There is no kubeconfig: {patient.folder}/none does not exist. Set "
        "KUBECONFIG, or name the file as `kubeconfig` in the environment's table.",
        "not known  login                the API server could not be asked.",
        "not known  identity             whether this is the pinned cluster is unknown: the API server could not be "
        "asked.",
        "not known  release              the API server could not be asked.",
        "ok         helm                 helm v4.3.1.",
        "not known  rights to verify     not asked: the API server could not be asked.",
        "not known  rights to roll back  not asked: the API server could not be asked.",
        f"ok         url and health       {patient.url}/health answers as the configuration expects.",
        "ok         smoke                run-smoke {url} can be run (it was not).",
        f"ok         slack                {patient.url} answers; nothing was posted.",
        "6 of 11 checks are not ok: kubeconfig, login, identity, release, rights to verify, rights to roll back. "
        "Nothing was changed, and nobody was told.",
    ]
    assert code == 1


@pytest.mark.parametrize(
    ("change", "what", "line"),
    [
        (
            lambda p: setattr(p.api, "user", "system:anonymous"),
            "login",
            "missing    login                the API server does not know who you are. To mend it: log in to the "
            "cluster, and start again.",
        ),
        (
            lambda p: setattr(p, "tables", p.tables.replace("uid-1", "uid-2")),
            "identity",
            "missing    identity             context 'staging' points at cluster uid-1, but uid-2 is pinned. To mend "
            "it: check context and identity in the configuration.",
        ),
        (
            lambda p: setattr(p, "tables", p.tables.split("\n", 2)[2]),
            "identity",
            'missing    identity             the cluster is not pinned. To mend it: add kube_system_uid = "uid-1" to '
            "[environments.staging.identity].",
        ),
        (
            lambda p: p.keys.update(release="ap"),
            "release",
            "missing    release              There is no release ap in namespace shop; releases there: app. Only "
            "releases that helm stores in Secrets (its default) are seen. To mend it: check namespace and release in "
            "the configuration.",
        ),
        (
            lambda p: p.keys.update(helm="no-helm"),
            "helm",
            "missing    helm                 There is no 'no-helm' of the configuration, or it is not executable: "
            "install Helm 3 or 4, or name the binary with the key 'helm' of the environment.",
        ),
        (
            lambda p: p.add_program("helm", "echo v2.17.0"),
            "helm",
            "missing    helm                 helm v2.17.0 is not supported: install Helm 3 or Helm 4.",
        ),
        (
            lambda p: p.keys.update(url=None),
            "url and health",
            "missing    url and health       no url is configured: the items health-database and smoke need it. To "
            'mend it: set url = "https://..." in [environments.staging].',
        ),
        (
            lambda p: setattr(p, "tables", p.tables + '[environments.staging.health]\npath = "/nothing"\n'),
            "url and health",
            "missing    url and health       URL/nothing: HTTP 404, and the body is not strict JSON (Expecting "
            "value: line 1 column 1 (char 0)). To mend it: check url, and path and expect of "
            "[environments.staging.health].",
        ),
        (
            lambda p: p.keys.update(url="http://127.0.0.1:1"),
            "url and health",
            "missing    url and health       http://127.0.0.1:1 refuses connections. To mend it: check url, ca_file "
            "and proxy.",
        ),
        (
            lambda p: (p.programs / "run-smoke").unlink(),
            "smoke",
            "missing    smoke                there is no program run-smoke, or it is not executable. To mend it: "
            "check the command of [environments.staging.smoke].",
        ),
        (
            lambda p: setattr(
                p, "tables", p.tables.replace('"run-smoke"', '"bash", "scripts/smoke-test.sh"')
            ),
            "smoke",
            "missing    smoke                there is no file FOLDER/scripts/smoke-test.sh. To mend it: check the "
            "command of [environments.staging.smoke].",
        ),
        (
            lambda p: setattr(
                p, "tables", p.tables.replace('"run-smoke"', '"bash", "-euo", "pipefail", "nope.sh"')
            ),
            "smoke",
            "missing    smoke                there is no file FOLDER/nope.sh. To mend it: check the command of "
            "[environments.staging.smoke].",
        ),
        (
            lambda p: p.variables.pop("SLACK_WEBHOOK_URL"),
            "slack",
            "missing    slack                the environment variable SLACK_WEBHOOK_URL is not set, so Slack is not "
            "told. To mend it: set it to the webhook's URL, or switch it off by slack = false in the "
            "configuration.",
        ),
        (
            lambda p: p.variables.update(SLACK_WEBHOOK_URL="http://127.0.0.1:1/T0/hush"),
            "slack",
            "missing    slack                http://127.0.0.1:1 refuses connections. To mend it: check the network, "
            "and the proxy of the configuration.",
        ),
        (
            lambda p: setattr(p, "tables", p.tables + '[environments.staging.git]\ncheckout = "nowhere"\n'),
            "git",
            "missing    git                  There is no git checkout at FOLDER/nowhere. To mend it: check the tables "
            "git and migrations, and fetch the branch.",
        ),
        (
            lambda p: setattr(
                p,
                "tables",
                p.tables
                + '[environments.staging.migrations]\ndatabase_env = "DB"\nquery = "SELECT 1"\nexpected = '
                '"ConfigMap/settings/VERSION"\n',
            ),
            "database",
            "missing    database             The variable DB, which names the database, is not set. To mend it: check "
            "the variable DB and the database.",
        ),
        (
            lambda p: setattr(
                p, "tables", p.tables + '[environments.staging.github]\nrepository = "shop/app"\n'
            ),
            "github token",
            "missing    github token         the environment variable GITHUB_TOKEN holds no token. To mend it: set it "
            "to one that may write contents and pull requests and run workflows of shop/app (docs/github.md).",
        ),
        (
            lambda p: p.api.add_release(1, MANIFEST + "---\nkind: [\n"),
            "rights to verify",
            "not known  rights to verify     what document 3 of revision 1 needs is not known: it cannot be read.",
        ),
    ],
)
def test_what_is_missing_is_named_with_how_to_mend_it(patient, change, what, line):
    change(patient)
    found = patient.line(what)
    assert found.replace(patient.url, "URL").replace(str(patient.folder), "FOLDER") == line


class CutsOff(QuietHandler):
    def do_GET(self):
        self.close_connection = True


def test_a_host_that_hangs_up_without_an_answer_is_not_known_to_be_there(patient):
    with LoopbackHttpServer(CutsOff) as server:
        patient.variables["SLACK_WEBHOOK_URL"] = f"{server.url}/T0/hush"
        assert patient.line("slack") == (
            f"not known  slack                {server.url} broke off before its answer was complete. To mend it: "
            "check the network, and the proxy of the configuration."
        )


def test_a_configured_silence_is_no_missing_channel(patient):
    patient.keys["slack"] = False
    code, lines = patient.examine()
    assert code == 0
    said = "nobody is told: that is what the configuration says (slack = false)."
    assert lines[-2] == f"ok         notify               {said}"


@pytest.mark.parametrize("key", ["health", "smoke", "url"])
def test_what_the_configuration_leaves_out_is_not_missing(patient, key):
    if key != "url":
        head, _, rest = patient.tables.partition("[environments.staging.smoke]")
        patient.tables = head + ("" if key == "smoke" else f"[environments.staging.smoke]{rest}")
    patient.keys[key] = False
    code, lines = patient.examine()
    assert code == 0
    said = f"left out by configuration ({key} = false in [environments.staging])."
    health = f"ok         url and health       /health is {said}"
    smoke = f"ok         smoke                The smoke test is {said}"
    assert [line for line in lines if "left out" in line] == (
        {"health": [health], "smoke": [smoke], "url": [health, smoke]}[key]
    )


METRICS = """[environments.staging.metrics]
url = "URL"
[[environments.staging.metrics.checks]]
id = "errors"
title = "Errors"
query = 'x{a="{namespace}"}'
max = 1
unit = "%"
"""


@pytest.fixture
def prometheus():
    fake = FakePrometheus()
    yield fake
    fake.kill()


@pytest.mark.parametrize(
    ("value", "more", "code", "line"),
    [
        (0.5, "", 0, "ok         metric-errors        0.5 % (limit: at most 1 %)."),
        (40, "", 0, "ok         metric-errors        40 % (limit: at most 1 %): it would fail now."),
        (
            None,
            "when_empty = 0\n",
            0,
            "ok         metric-errors        0 % (limit: at most 1 %), by when_empty.",
        ),
        (
            None,
            "",
            1,
            "missing    metric-errors        the query has no series (no errors yet, or no traffic, looks like this "
            "too: `... or vector(0)` in the query, or `when_empty = 0`). To mend it: check "
            "[environments.staging.metrics] and the check errors.",
        ),
    ],
)
def test_each_metric_is_asked_once(patient, prometheus, value, more, code, line):
    prometheus.value = value
    patient.tables += METRICS.replace("URL", prometheus.url) + more
    found, lines = patient.examine()
    assert (found, line in lines) == (code, True), lines
    assert [query for _, _, query in prometheus.asked] == ['x{a="shop"}']


def test_a_prometheus_that_does_not_answer_is_not_known(patient, prometheus):
    prometheus.kill()
    patient.tables += METRICS.replace("URL", prometheus.url)
    assert patient.line("metric-errors") == (
        f"not known  metric-errors        {prometheus.url} refuses connections. To mend it: check "
        "[environments.staging.metrics] and the check errors."
    )


def test_a_git_checkout_and_a_database_that_are_there(patient, tmp_path):
    run = LocalProcesses().run
    for words in (["init", "-q", "-b", "main"], ["add", "zkrollback.toml"], ["commit", "-q", "-m", "one"]):
        (tmp_path / "zkrollback.toml").touch()
        who = ["-c", "user.name=me", "-c", "user.email=me@example.com"]
        done = run(["git", "-C", str(tmp_path), *who, *words], timeout_s=20)
        assert done.exit_code == 0, done.output
    import sqlite3

    with sqlite3.connect(tmp_path / "db") as database:
        database.execute("CREATE TABLE version (number)")
    patient.variables["DB"] = "sqlite:///db"
    patient.tables += '[environments.staging.git]\ncheckout = "."\nbranch = "main"\n'
    patient.tables += (
        '[environments.staging.migrations]\ndatabase_env = "DB"\nquery = "SELECT * FROM version"\n'
    )
    patient.tables += 'expected = "ConfigMap/settings/VERSION"\n'
    code, lines = patient.examine()
    assert code == 0, lines
    assert lines[-3].startswith("ok         git                  main is at ")
    assert lines[-2] == "ok         database             the query brings 0 rows, read-only."


def test_a_broken_configuration_is_the_only_line(tmp_path):
    (tmp_path / "zkrollback.toml").write_text('[environments.staging]\nworklods = "auto"\n')
    assert plain(find_environment(tmp_path, None, "staging").render()) == (
        "missing    configuration        zkrollback.toml: unknown key 'worklods' in [environments.staging] (did you "
        "mean 'workloads'?). To mend it: correct it (docs/configuration.md has all keys)."
    )


def test_on_a_terminal_each_check_is_fitted_and_coloured():
    finding = Finding(
        "url and health",
        State.MISSING,
        "no url is configured: the items health-database and smoke need it",
        'set url = "https://..." in [environments.staging]',
    )
    assert plain(finding.render(80)) == (
        "missing    url and health       no url is configured: the items health-database\n"
        "                                and smoke need it.\n"
        '                                To mend it: set url = "https://..." in\n'
        "                                [environments.staging]."
    )
    assert finding.render(80)[0][0] == Span("missing  ", "bold red")


def test_the_drill_has_nothing_to_check():
    with pytest.raises(UsageProblem, match="--env=drill makes its own cluster and configuration"):
        find_environment(Path(), None, "drill")
