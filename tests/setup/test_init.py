"""--zkrollback-init: both files as they are written, what is chosen, what is refused; the doctor passes on it."""

import io
import os
import re
import tomllib
from pathlib import Path

import pytest

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.config.loader import load_environment
from pytest_zkrollback.domain.errors import KubeconfigProblem, Unreachable, UsageProblem
from pytest_zkrollback.report.redaction import Redactor
from pytest_zkrollback.report.styled_lines import plain
from pytest_zkrollback.setup import init
from pytest_zkrollback.setup.doctor import Doctor, run_doctor
from pytest_zkrollback.setup.init import Init, Wanted
from support.http_server import LoopbackHttpServer, QuietHandler

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "web:1", readinessProbe: {httpGet: {path: /ready, port: 80}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: spare}
spec: {replicas: 0, template: {metadata: {labels: {app: web}}, spec: {containers: []}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}}
"""
KNOWS_LITTLE = """\
# Made by pytest --zkrollback-init from release app (revision 1) in namespace shop. All keys: docs/configuration.md of pytest-zkrollback.
# Is all there? pytest --zkrollback-env=staging --zkrollback-check

[environments.staging]
context = "staging"
namespace = "shop"
release = "app"
# NOT KNOWN: no Ingress and no HTTPRoute with a host leads to this release. Without a url the items health-database and smoke are left out (WAIVED). Say where users reach it:
url = false
# url = "https://staging.example.com"
# All workloads of the manifest; today: deployment/web, deployment/spare.
workloads = "auto"
# These stand at zero replicas today. Take out what is not meant to:
zero_replicas = ["deployment/spare"]
# NOT KNOWN: there is no scripts/smoke-test.sh here. So the smoke test is left out (WAIVED). Where you have one, take this line out and fill in the table below:
smoke = false
# NOT KNOWN: SLACK_WEBHOOK_URL is not set. So nobody is told (WAIVED). To tell Slack, take this line out, and set the variable of the table below:
slack = false
# Ask for the environment's name again before helm runs:
# protected = true

[environments.staging.identity]
# Pins the cluster: another one behind the same context is refused.
kube_system_uid = "uid-1"

[environments.staging.logs]
# The logs of all of the release's workloads. To read fewer pods:
selector = "auto"
# selector = "app=web"

# [environments.staging.health]
# path = "/ready"
# expect = { "database" = "ok" }

# [environments.staging.smoke]
# command = ["bash", "scripts/smoke-test.sh", "{url}"]

# [environments.staging.slack]
# webhook_env = "SLACK_WEBHOOK_URL"

# NOT KNOWN: how the service migrates its database. Until this says it, the item migration needs --rollback-migration-assessed=TEXT:
# [environments.staging.git]
# checkout = "../SERVICE"
# [environments.staging.migrations]
# kind = "alembic"  # or django, flyway, golang-migrate, sql
# paths = ["migrations/versions"]
# database_env = "DATABASE_URL"  # the name of the variable; read-only

# Error rate, latency: items that are judged in the soak (docs/metrics.md):
# [environments.staging.metrics]
# url = "https://prometheus.example.com"
# [[environments.staging.metrics.checks]]
# id = "error-rate"
# title = "Errors below 1 a second"
# query = 'sum(rate(http_requests_total{namespace="{namespace}", code=~"5.."}[2m]))'
# max = 1
# when_empty = 0  # no errors yet have no series
"""


def test_the_lines_for_metrics_are_valid_as_they_stand():
    lines = KNOWS_LITTLE.partition("docs/metrics.md):\n")[2].splitlines()
    text = "\n".join(line.removeprefix("# ") for line in lines)
    table = tomllib.loads(text)["environments"]["staging"]
    env = Environment(name="staging", context="staging", workloads="auto", **table)
    assert [each.id for each in env.metric_checks] == ["error-rate"]


class Operator:
    def __init__(self, api, folder):
        self.api, self.folder = api, folder
        programs = folder / "bin"
        programs.mkdir()
        (programs / "helm").write_text("#!/bin/sh\necho v4.3.1\n")
        (programs / "helm").chmod(0o755)
        self.repository = folder / "repository"
        self.repository.mkdir()
        self.variables = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "KUBECONFIG": str(api.kubeconfig()),
            "HOME": str(folder),
        }
        self.asked = []
        self.answer = ""
        self.here = None

    def init(self, **wanted):
        said = []
        Init(
            self.repository,
            self.here or self.repository,
            Wanted(**wanted),
            self.ask,
            Redactor(),
            self.variables,
            SystemClock(),
            LocalProcesses(),
        ).run(said.append)
        return said

    def ask(self, question):
        self.asked.append(question)
        return self.answer

    def text(self):
        return (self.repository / "zkrollback.toml").read_text()

    def environment(self, name="staging"):
        return load_environment(self.repository / "zkrollback.toml", name)

    def files(self):
        return sorted(
            str(path.relative_to(self.repository)) for path in self.repository.rglob("*") if path.is_file()
        )

    def check(self, name="staging"):
        said = []
        doctor = Doctor(self.environment(name), Redactor(), self.variables, SystemClock(), LocalProcesses())
        return run_doctor(doctor, self.repository, lambda render: said.append(plain(render(0)))), said


@pytest.fixture
def operator(api, tmp_path, monkeypatch):
    found = Operator(api, tmp_path)
    monkeypatch.setenv("KUBECONFIG", found.variables["KUBECONFIG"])
    return found


def test_what_the_cluster_does_not_say_is_a_comment_and_the_check_passes_all_the_same(operator):
    operator.api.add_release(1, WEB)
    assert operator.init() == [
        "Written: zkrollback.toml and checks/test_runbook.py, for environment staging.",
        "Not known, see zkrollback.toml: the url, the smoke test, whom to tell, how the service migrates its "
        "database.",
        "Next:",
        "  pytest --zkrollback-env=staging --zkrollback-check",
        "  pytest --zkrollback-env=staging checks",
    ]
    assert operator.text() == KNOWS_LITTLE
    assert operator.files() == ["checks/test_runbook.py", "zkrollback.toml"]
    assert (
        "from pytest_zkrollback.items import *"
        in (operator.repository / "checks" / "test_runbook.py").read_text()
    )
    assert operator.asked == []
    code, said = operator.check()
    assert code == 0, said


def test_what_is_left_out_as_a_comment_is_valid_where_somebody_takes_the_marks_away(operator):
    operator.api.add_release(1, WEB)
    operator.init()
    text = operator.text()
    for line in ("url = false", "smoke = false", "slack = false"):
        text = text.replace(f"\n{line}\n", "\n")
    text = re.sub(r"^# (?=\[|[a-z_]+ = )", "", text, flags=re.MULTILINE)
    (operator.repository / "zkrollback.toml").write_text(text.replace('selector = "auto"\n', "", 1))
    env = operator.environment()
    assert (env.url, env.protected, env.logs.selector) == ("https://staging.example.com", True, "app=web")
    assert (env.health.path, env.migrations.kind, env.git.checkout) == ("/ready", "alembic", "../SERVICE")


def test_typed_in_a_subfolder_what_comes_next_can_be_typed_there(operator):
    operator.api.add_release(1, WEB)
    operator.here = operator.repository / "deploy" / "chart"
    operator.here.mkdir(parents=True)
    said = operator.init()
    assert said[0] == (
        "Written: ../../zkrollback.toml and ../../checks/test_runbook.py, for environment staging."
    )
    assert said[1].startswith("Not known, see ../../zkrollback.toml: ")
    assert said[2:] == [
        "Next:",
        "  pytest --zkrollback-env=staging --zkrollback-check",
        "  pytest --zkrollback-env=staging ../../checks",
    ]
    assert operator.files() == ["checks/test_runbook.py", "zkrollback.toml"]


@pytest.mark.parametrize("stops_at", ["zkrollback.toml", "test_runbook.py", "the end"])
@pytest.mark.parametrize("had_folder", [True, False])
def test_ctrl_c_while_it_writes_leaves_nothing(operator, monkeypatch, stops_at, had_folder):
    """The last line says that nothing was changed."""
    operator.api.add_release(1, WEB)
    folder = operator.repository / "checks"
    if had_folder:
        folder.mkdir()
    seen = []

    class Stopping(io.TextIOWrapper):
        def write(self, text):
            seen.append(operator.files())
            super().write(text[:10])
            self.flush()
            raise KeyboardInterrupt

    really = Path.open

    def opened(path, mode="r", *args, **kwargs):
        if mode == "x" and path.name == stops_at:
            return Stopping(really(path, "xb"), encoding="utf-8")
        return really(path, mode, *args, **kwargs)

    def load(*_):
        seen.append(operator.files())
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "open", opened)
    if stops_at == "the end":
        monkeypatch.setattr(init, "load_environment", load)
    with pytest.raises(KeyboardInterrupt):
        operator.init()
    assert seen == [
        {
            "zkrollback.toml": ["zkrollback.toml"],
            "test_runbook.py": ["checks/test_runbook.py", "zkrollback.toml"],
            "the end": ["checks/test_runbook.py", "zkrollback.toml"],
        }[stops_at]
    ]
    assert (operator.files(), folder.exists()) == ([], had_folder)


class Service(QuietHandler):
    body = b""

    def do_GET(self):
        self.send_response(200 if self.path == "/ready" else 404)
        self.end_headers()
        self.wfile.write(self.body)


@pytest.fixture
def service(operator):
    """Serves what the test says, behind a route: a route states no port, so the operator's address is put in."""
    handler = type("OfTheTest", (Service,), {})
    with LoopbackHttpServer(handler) as server:
        host = server.url.removeprefix("http://")
        route = {
            "rules": [
                {"host": host, "http": {"paths": [{"path": "/", "backend": {"service": {"name": "web"}}}]}}
            ]
        }
        path = "/apis/networking.k8s.io/v1/namespaces/shop/ingresses/front"
        operator.api.items[path] = {"metadata": {"name": "front", "namespace": "shop"}, "spec": route}
        operator.api.add_release(1, WEB)
        handler.url = server.url
        yield handler


def test_an_ingress_of_somebody_else_s_that_leads_here_and_the_probes_say_where_it_is_well(operator, service):
    service.body = b'{"version": "1", "db": {"state": "up"}}'
    said = operator.init()
    env = operator.environment()
    assert (env.url, env.health.path, env.health.expect) == (service.url, "/ready", {"db.state": "up"})
    assert "# Where users reach it, by Ingress/front.\n" in operator.text()
    assert said[1] == (
        "Not known, see zkrollback.toml: the smoke test, whom to tell, how the service migrates its database."
    )
    code, said = operator.check()
    assert code == 0, said


def test_an_answer_without_json_leaves_health_out_and_says_why(operator, service):
    service.body = b"fine"
    operator.init()
    assert operator.environment().health is False
    assert (
        f"# NOT KNOWN: {service.url}/ready answers with HTTP 200 and no JSON that says that the service is well. So "
        "/health is left out (WAIVED). Where it answers with JSON, take this line out and fill in the table below:\n"
        "health = false\n"
    ) in operator.text()
    assert operator.check()[0] == 0


def test_a_service_that_cannot_be_asked_now_keeps_its_health_and_the_check_says_so(operator, service):
    path = "/apis/networking.k8s.io/v1/namespaces/shop/ingresses/front"
    operator.api.items[path]["spec"]["rules"][0]["host"] = "127.0.0.1:1"
    operator.init()
    assert operator.environment().health.path == "/ready"
    assert (
        "# NOT KNOWN: http://127.0.0.1:1/ready could not be asked: http://127.0.0.1:1 refuses connections."
        in (operator.text())
    )
    code, said = operator.check()
    assert code == 1
    assert said[-1].startswith("1 of 11 checks are not ok: url and health.")


def test_a_smoke_script_a_webhook_and_a_checkout_that_are_there_are_used(operator):
    operator.api.add_release(1, WEB)
    (operator.repository / "scripts").mkdir()
    (operator.repository / "scripts" / "smoke-test.sh").touch()
    (operator.repository / ".git").mkdir()
    operator.variables["SLACK_WEBHOOK_URL"] = "https://hooks.example.com/T0/hush"
    operator.init()
    env = operator.environment()
    assert env.smoke.command == ("bash", "scripts/smoke-test.sh", "{url}")
    assert env.slack.webhook_env == "SLACK_WEBHOOK_URL"
    assert '# checkout = "."\n' in operator.text()
    assert "hush" not in operator.text()


@pytest.mark.parametrize("name", ["zkrollback.toml", "checks/test_runbook.py"])
def test_nothing_is_overwritten(operator, name):
    operator.api.add_release(1, WEB)
    path = operator.repository / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    with pytest.raises(UsageProblem) as refused:
        operator.init()
    assert str(refused.value) == (
        f"{name} is there already, and --zkrollback-init overwrites nothing: move away what you do not need; nothing "
        "was written."
    )
    assert (operator.files(), path.read_text()) == ([name], "mine")


def test_a_configuration_in_pyproject_is_not_put_out_of_use(operator):
    operator.api.add_release(1, WEB)
    (operator.repository / "pyproject.toml").write_text("[tool.zkrollback.environments.production]\n")
    with pytest.raises(UsageProblem) as refused:
        operator.init()
    assert str(refused.value).startswith("[tool.zkrollback] in pyproject.toml is there already, and ")
    assert operator.files() == ["pyproject.toml"]


def with_three(api):
    api.add_release(1, WEB)
    api.add_release(1, WEB, namespace="other")
    api.add_release(1, WEB, name="worker")


def test_several_releases_without_a_terminal_are_named(operator):
    with_three(operator.api)
    with pytest.raises(UsageProblem) as refused:
        operator.init()
    assert str(refused.value) == (
        "There are 3 releases: other/app, shop/app, shop/worker. Name one with --zkrollback-namespace and "
        "--zkrollback-release; nothing was written."
    )
    assert operator.files() == []


@pytest.mark.parametrize("answer", ["2", "shop/app"])
def test_several_releases_on_a_terminal_are_a_choice(operator, answer):
    with_three(operator.api)
    operator.answer = answer
    operator.init()
    assert operator.asked == [
        "Which release?\n  1  other/app\n  2  shop/app\n  3  shop/worker\nIts number or its name:"
    ]
    assert (operator.environment().namespace, operator.environment().release) == ("shop", "app")


@pytest.mark.parametrize("answer", ["0", "4", "app", "-1", "yes", "9" * 5000])
def test_an_answer_that_names_none_writes_nothing(operator, answer):
    with_three(operator.api)
    operator.answer = answer
    with pytest.raises(UsageProblem, match=r"^There are 3 releases: "):
        operator.init()
    assert operator.files() == []


def test_a_release_that_was_named_is_asked_for_nowhere_else(operator):
    with_three(operator.api)
    operator.init(namespace="shop", release="worker")
    assert (operator.environment().release, operator.asked) == ("worker", [])


def test_a_release_that_there_is_not_is_said(operator):
    operator.api.add_release(1, WEB)
    with pytest.raises(UsageProblem) as refused:
        operator.init(namespace="shop", release="ap")
    assert str(refused.value).startswith("There is no release ap in namespace shop that you may see.")


def test_who_may_not_look_into_every_namespace_gets_that_of_the_context(operator, tmp_path):
    with_three(operator.api)
    operator.api.forbidden.add("/api/v1/secrets")
    with pytest.raises(UsageProblem, match=r"^There is no Helm release that you may see"):
        operator.init()
    operator.init(namespace="other")
    assert operator.environment().namespace == "other"


def test_the_context_is_chosen_and_names_the_environment(operator):
    operator.api.add_release(1, WEB)
    operator.api.kubeconfig("eu/prod 1", "staging", current="staging")
    with pytest.raises(UsageProblem) as refused:
        operator.init()
    assert str(refused.value) == (
        "There are 2 contexts: staging, eu/prod 1. Name one with --zkrollback-context; nothing was written."
    )
    with pytest.raises(UsageProblem) as refused:
        operator.init(context="prod")
    assert str(refused.value) == (
        "--zkrollback-context=prod: there is none; there are staging, eu/prod 1; nothing was written."
    )
    operator.init(context="eu/prod 1")
    assert operator.environment("eu-prod-1").context == "eu/prod 1"


def test_the_environment_is_called_as_the_operator_says(operator):
    operator.api.add_release(1, WEB)
    for wrong in ("drill", "my env", ""):
        with pytest.raises(UsageProblem, match="cannot be the name of a new environment"):
            operator.init(environment=wrong)
    operator.init(environment="qa")
    assert operator.environment("qa").context == "staging"


def test_several_kubeconfigs_are_merged_and_the_first_current_context_counts(operator, tmp_path):
    operator.api.add_release(1, WEB)
    second = operator.api.kubeconfig("two", current="two").rename(tmp_path / "second")
    first = operator.api.kubeconfig("one", current="one").rename(tmp_path / "first")
    operator.variables["KUBECONFIG"] = f"{first}{os.pathsep}{second}"
    with pytest.raises(UsageProblem, match=r"^There are 2 contexts: one, two\. "):
        operator.init()


def test_without_a_kubeconfig_or_an_api_server_nothing_is_written(operator):
    operator.api.close()
    with pytest.raises(Unreachable):
        operator.init()
    operator.variables["KUBECONFIG"] = str(operator.folder / "none")
    with pytest.raises(KubeconfigProblem):
        operator.init()
    assert operator.files() == []
