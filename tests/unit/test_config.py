"""Configuration: what is read, and each mistake's whole sentence."""

import textwrap

import pytest

from pytest_zkrollback.config import SHIPPED, find_config, known_environments, load_environment
from pytest_zkrollback.domain.environment import Slack
from pytest_zkrollback.domain.errors import UsageProblem

GOOD = """
[defaults]
workloads = { api = "deployment/api", db = "statefulset/db" }
[defaults.health]
path = "/healthz"
[environments.test]
context = "ctx"
namespace = "shop"
url = "https://shop.example"
[environments.test.health]
passes = 5
[environments.test.slack]
webhook_env = "HOOK"
"""


@pytest.fixture
def toml(tmp_path):
    def write(text, name="zkrollback.toml"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text))
        return path

    return write


def test_an_environment_is_laid_over_the_defaults(toml):
    env = load_environment(toml(GOOD), "test")
    assert (env.name, env.context, env.namespace, env.release) == ("test", "ctx", "shop", "zkprova")
    assert list(env.workloads.items()) == [("api", "deployment/api"), ("db", "statefulset/db")]
    assert (env.health.path, env.health.passes, env.health.expect) == ("/healthz", 5, {"database": "ok"})
    assert env.slack == Slack(webhook_env="HOOK")


def test_workloads_replace_the_defaults_whole_because_their_order_is_the_items_order(toml):
    env = load_environment(toml(GOOD + '[environments.two]\nworkloads = { web = "deployment/web" }\n'), "two")
    assert env.workloads == {"web": "deployment/web"}
    assert env.context == "two"


def test_the_shipped_file_has_the_runbooks_names():
    assert known_environments(SHIPPED) == ["drill", "production", "staging"]
    staging = load_environment(SHIPPED, "staging")
    assert staging.workloads == {
        "backend": "deployment/zkprova-zkprova-backend",
        "frontend": "deployment/zkprova-zkprova-frontend",
    }
    assert (staging.release, staging.rollout_timeout_s, staging.protected) == ("zkprova", 120, False)
    assert staging.smoke.command == ("bash", "scripts/smoke-test.sh", "{url}")
    assert load_environment(SHIPPED, "production").protected is True


def test_where_the_configuration_is_looked_for(tmp_path, toml):
    assert find_config(tmp_path, None) == SHIPPED
    project = toml("[project]\nname = 'x'\n", "pyproject.toml")
    assert find_config(tmp_path, None) == SHIPPED
    project.write_text('[tool.zkrollback.environments.a]\nworkloads = { x = "deployment/x" }\n')
    assert find_config(tmp_path, None) == project
    assert load_environment(project, "a").workloads == {"x": "deployment/x"}
    own = toml(GOOD)
    assert find_config(tmp_path, None) == own
    assert find_config(tmp_path, str(project)) == project
    with pytest.raises(UsageProblem, match="there is no such file"):
        find_config(tmp_path, str(tmp_path / "absent.toml"))


@pytest.mark.parametrize(
    ("text", "name", "sentence"),
    [
        (
            GOOD,
            "nope",
            "--env=nope is not known in zkrollback.toml: known environments are drill, test; helm did not run.",
        ),
        (
            GOOD + "[environments.bad]\nnamespcae = 'x'\n",
            "bad",
            "zkrollback.toml: unknown key 'namespcae' in [environments.bad] (did you mean 'namespace'?); "
            "helm did not run.",
        ),
        (
            GOOD + "[environments.bad.health]\nexpects = {}\n",
            "bad",
            "zkrollback.toml: unknown key 'expects' in [environments.bad.health] (did you mean 'expect'?); "
            "helm did not run.",
        ),
        (
            GOOD + "[environments.bad]\nrollout_timeout_s = 0\n",
            "bad",
            "zkrollback.toml: 'rollout_timeout_s' in [environments.bad] is 0: Input should be greater than 0; "
            "helm did not run.",
        ),
        (
            '[environments.bad]\nworkload = { api = "deployment/api" }\n',
            "bad",
            "zkrollback.toml: unknown key 'workload' in [environments.bad] (did you mean 'workloads'?); "
            "helm did not run.",
        ),
        (
            '[environments.bad]\nworkloads = "all"\n',
            "bad",
            "zkrollback.toml: 'workloads' in [environments.bad] is 'all': name them, as in "
            '{ api = "deployment/NAME" }, or say "auto"; helm did not run.',
        ),
        (
            "[environments.bad]\n",
            "bad",
            "zkrollback.toml: [environments.bad] needs the key 'workloads'; helm did not run.",
        ),
        (
            GOOD + "[environments.bad]\nworkloads = { api = 'job/x' }\n",
            "bad",
            "zkrollback.toml: 'workloads' in [environments.bad] is {'api': 'job/x'}: 'job/x' is no workload: use "
            "deployment/NAME, statefulset/NAME or daemonset/NAME; helm did not run.",
        ),
        (
            GOOD + "[environments.bad.logs]\npatterns = ['(']\n",
            "bad",
            "zkrollback.toml: 'patterns' in [environments.bad.logs] is ['(']: '(' is no regular expression: "
            "missing ), unterminated subpattern at position 0; helm did not run.",
        ),
        (
            "[environments.drill]\n",
            "drill",
            "zkrollback.toml: [environments.drill]: this name is built in; choose another; helm did not run.",
        ),
        (
            "[environment.x]\n",
            "x",
            "zkrollback.toml: unknown table [environment] (did you mean 'environments'?); helm did not run.",
        ),
        ("environments = 3\n", "x", "zkrollback.toml: [environments] has to be a table; helm did not run."),
    ],
)
def test_each_mistake_has_a_sentence(toml, text, name, sentence):
    with pytest.raises(UsageProblem) as caught:
        load_environment(toml(text), name)
    assert str(caught.value) == sentence


def test_broken_toml_says_where(toml):
    with pytest.raises(
        UsageProblem, match=r"this is no valid TOML: Expected .]. at the end of a table declaration"
    ):
        load_environment(toml("[environments"), "x")


def test_a_context_may_be_left_out_in_a_cluster(toml):
    env = load_environment(toml(GOOD + "[environments.pod]\nin_cluster = true\n"), "pod")
    assert env.in_cluster is True


def test_slack_can_be_switched_off(toml):
    assert load_environment(toml(GOOD + "[environments.q]\nslack = false\n"), "q").slack is False


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://api.github.com", True),
        ("https://github.example.com/api/v3", True),
        ("http://127.0.0.1:8080", True),
        ("http://localhost", True),
        ("http://github.example.com/api/v3", False),
        ("http://127.0.0.1.example.com", False),
        ("http://localhost.example.com", False),
        ("ftp://127.0.0.1", False),
    ],
)
def test_githubs_token_goes_nowhere_unencrypted(toml, url, taken):
    text = GOOD + f"[environments.test.github]\nrepository = 'o/r'\napi_url = '{url}'\n"
    if taken:
        assert load_environment(toml(text), "test").github.api_url == url
        return
    with pytest.raises(UsageProblem, match="'api_url'"):
        load_environment(toml(text), "test")
