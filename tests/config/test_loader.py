"""Configuration: what is read, and each mistake's whole sentence."""

import textwrap

import pytest

from pytest_zkrollback.config.environment import Health, Slack
from pytest_zkrollback.config.loader import SHIPPED, find_config, known_environments, load_environment
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
    assert env.slack == Slack(webhook_env="HOOK")


def test_a_table_replaces_the_defaults_table_of_the_same_name_whole(toml):
    """So a key can be taken away: here the path, and a member that has to be ok."""
    health = '[defaults.health]\npath = "/healthz"\nexpect = { database = "ok", cache = "ok" }\n'
    text = GOOD.replace('[defaults.health]\npath = "/healthz"\n', health)
    assert load_environment(toml(text), "test").health == Health(passes=5)
    text += '[environments.two]\nhealth.expect = { database = "ok" }\n[environments.three]\n'
    assert load_environment(toml(text), "two").health == Health()
    three = load_environment(toml(text), "three").health
    assert (three.path, three.expect) == ("/healthz", {"database": "ok", "cache": "ok"})


def test_a_key_that_only_the_replaced_table_had_is_asked_for(toml):
    tables = "[defaults.github]\nrepository = 'o/r'\n[environments.two.github]\ndeploy = 'dispatch'\n"
    with pytest.raises(UsageProblem) as caught:
        load_environment(toml(GOOD + tables), "two")
    assert str(caught.value) == (
        "zkrollback.toml: [environments.two.github] needs the key 'repository' (it replaces [defaults.github] "
        "as a whole); helm did not run."
    )


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
            GOOD + "[environments.bad]\nreport_timezone = 'Europe/Berlinn'\n",
            "bad",
            "zkrollback.toml: 'report_timezone' in [environments.bad] is 'Europe/Berlinn': this machine knows no "
            "such time zone (did you mean 'Europe/Berlin'?): write a name such as 'Europe/Berlin'; helm did not run.",
        ),
        (
            GOOD + "[environments.bad.links]\nlogs = 'https://l.example/?from={since}'\n",
            "bad",
            "zkrollback.toml: [environments.bad.links]: logs: {since} is no field of this link: {from_ms}, {to_ms}, "
            "{namespace}, {release}, {revision} can be filled in, and a brace of the address itself is written "
            "%7B or %7D; helm did not run.",
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


CHECK = """[[environments.test.metrics.checks]]
id = "error-rate"
title = "Error rate"
query = 'sum(rate(x{namespace="{namespace}"}[2m]))'
max = 1
"""
METRICS = GOOD + "[environments.test.metrics]\nurl = 'https://prometheus.example/p'\n"


def test_metrics_have_defaults_that_fit_a_rate_of_two_minutes(toml):
    env = load_environment(toml(METRICS + CHECK), "test")
    (metric,) = env.metric_checks
    assert (metric.settle_s, metric.for_s, metric.gives_up_s, metric.when_empty) == (120, 60, 240, None)
    longer = load_environment(toml(METRICS + CHECK + "for_s = 300\nsettle_s = 10\n"), "test").metric_checks[0]
    assert longer.gives_up_s == 610


def test_an_environment_may_leave_the_defaults_metrics_out(toml):
    defaults = METRICS.replace("environments.test.metrics", "defaults.metrics")
    checks = CHECK.replace("environments.test", "defaults")
    text = defaults + checks + "[environments.two]\nmetrics = false\n[environments.three]\n"
    assert load_environment(toml(text), "two").metric_checks == ()
    assert [each.id for each in load_environment(toml(text), "three").metric_checks] == ["error-rate"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (METRICS, "[environments.test.metrics] needs the key 'checks'"),
        (
            METRICS + "checks = []\n",
            "'checks' in [environments.test.metrics] is []: Tuple should have at least 1 item",
        ),
        (
            METRICS + CHECK.replace("max = 1", ""),
            "[environments.test.metrics.checks.0]: it needs max or min: what is in order",
        ),
        (
            METRICS + CHECK + "min = 2\n",
            "[environments.test.metrics.checks.0]: min 2 is above max 1: nothing would be in order",
        ),
        (
            METRICS + CHECK + "count_query = 'increase(x[5m])'\n",
            "[environments.test.metrics.checks.0]: count_query needs {range}, as in increase(x[{range}]): the time "
            "that it counts",
        ),
        (
            METRICS + CHECK + "deadline_s = 100\n",
            "[environments.test.metrics.checks.0]: deadline_s 100 is below settle_s + for_s, 180: it could never pass",
        ),
        (
            METRICS + CHECK.replace("max", "maximum"),
            "unknown key 'maximum' in [environments.test.metrics.checks.0] (did you mean 'max'?)",
        ),
        (
            METRICS + CHECK.replace("query", "#"),
            "[environments.test.metrics.checks.0] needs the key 'query'",
        ),
        (
            METRICS + CHECK.replace("max = 1", "max = nan"),
            "'max' in [environments.test.metrics.checks.0] is nan: ",
        ),
        (METRICS + CHECK + "for_s = 0\n", "'for_s' in [environments.test.metrics.checks.0] is 0: "),
        (METRICS + CHECK + "settle_s = -1\n", "'settle_s' in [environments.test.metrics.checks.0] is -1: "),
        (
            METRICS + CHECK.replace('"error-rate"', '"Error Rate"'),
            "'id' in [environments.test.metrics.checks.0] is 'Error Rate': ",
        ),
        (
            METRICS + CHECK + CHECK,
            "[environments.test.metrics]: two checks have the id error-rate: each needs one of its own",
        ),
        (
            METRICS + "users_impacted = 'latency'\n" + CHECK,
            "[environments.test.metrics]: users_impacted names latency: the checks are error-rate",
        ),
        (
            METRICS.replace("https", "http") + "token_env = 'PROM'\n" + CHECK,
            "[environments.test.metrics]: url has to be https:// where a token or headers are sent along",
        ),
        (
            METRICS + "token_env = 'PROM'\nheaders_env = { authorization = 'A' }\n" + CHECK,
            "[environments.test.metrics]: the header Authorization stands in headers_env or is made of token_env, "
            "not both",
        ),
        (
            METRICS + "headers_env = { 'X Y' = 'A' }\n" + CHECK,
            "[environments.test.metrics]: headers_env: 'X Y' is no name of a header: letters, digits and dashes",
        ),
        (
            METRICS.replace("/p'", "/?a=b'") + CHECK,
            "'url' in [environments.test.metrics] is 'https://prometheus.example/?a=b': ",
        ),
        (
            GOOD.replace('context = "ctx"', "metrics = true"),
            "'metrics' in [environments.test] is True: it has to be a table, or false: left out",
        ),
    ],
)
def test_each_mistake_in_a_metrics_table_has_a_sentence_with_its_place(toml, text, said):
    with pytest.raises(UsageProblem) as caught:
        load_environment(toml(text), "test")
    sentence = str(caught.value)
    assert sentence.startswith(f"zkrollback.toml: {said}")
    assert sentence.endswith("; helm did not run.")


def test_a_mistake_in_the_slack_table_has_its_place(toml):
    with pytest.raises(UsageProblem) as caught:
        load_environment(toml(GOOD + "token_env = 'BOT'\n"), "test")
    assert str(caught.value) == (
        "zkrollback.toml: [environments.test.slack]: token_env and channel go together: the bot's token and the id "
        "of its channel; helm did not run."
    )


def test_a_password_has_no_place_in_the_url(toml):
    text = METRICS.replace("https://", "https://ann:secret-7f3k9@") + CHECK
    with pytest.raises(UsageProblem, match="'url' in"):
        load_environment(toml(text), "test")


MIGRATES = GOOD + "[environments.test.git]\ncheckout = '.'\n[environments.test.migrations]\n"


@pytest.mark.parametrize(
    "lines",
    [
        "hooks_only = true",
        "kind = 'flyway'\npaths = ['db']",
        "kind = 'flyway'\npaths = ['db']\ndatabase_env = 'DB'\naccounted_for = ['migrate']",
        "database_env = 'DB'\nquery = 'select 1'\nexpected = 'ConfigMap/a/B'",
        "health = 'schema'\nexpected = 'ConfigMap/a/b.c/d'",
    ],
)
def test_what_a_migrations_table_may_say(toml, lines):
    assert load_environment(toml(MIGRATES + lines), "test").migrations is not None


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("paths = ['db']", "[X]: paths need a kind: alembic, django, flyway, golang-migrate or sql"),
        ("kind = 'django'", "[X]: kind needs paths: the folders of the migration files"),
        ("", "[X]: it names no source: kind and paths, database_env, health, or hooks_only = true"),
        (
            "hooks_only = true\naccounted_for = ['x']",
            "[X]: accounted_for needs kind and paths, database_env or health, which show it",
        ),
        (
            "health = 'schema'",
            "[X]: database_env and health need kind and paths, or expected, to be compared with",
        ),
        ("expected = 'ConfigMap/a/b'", "[X]: expected needs database_env or health to be compared with"),
        (
            "database_env = 'DB'\nexpected = 'ConfigMap/a/b'",
            "[X]: database_env needs a query, as no usual table is known for this kind",
        ),
        (
            "kind = 'sql'\npaths = ['db']\ndatabase_env = 'DB'",
            "[X]: database_env needs a query, as no usual table is known for this kind",
        ),
        (
            "database_env = 'postgresql://a:secret-7f3k9@h/d'\nkind = 'django'\npaths = ['db']",
            "'database_env' in [X] ",
        ),
        ("kind = 'rails'\npaths = ['db']", "'kind' in [X] is 'rails': Input should be 'alembic', "),
    ],
)
def test_each_mistake_in_a_migrations_table_has_a_sentence(toml, lines, said):
    with pytest.raises(UsageProblem) as caught:
        load_environment(toml(MIGRATES + lines), "test")
    sentence = str(caught.value)
    assert sentence.startswith("zkrollback.toml: " + said.replace("X", "environments.test.migrations"))
    assert sentence.endswith("; helm did not run.")
    assert "secret-7f3k9" not in sentence


def test_migration_files_need_a_checkout(toml):
    with pytest.raises(UsageProblem) as caught:
        load_environment(
            toml(GOOD + "[environments.test.migrations]\nkind = 'sql'\npaths = ['db']\n"), "test"
        )
    assert str(caught.value) == (
        "zkrollback.toml: [environments.test]: migrations.paths need a [git] checkout to be read in; "
        "helm did not run."
    )


@pytest.mark.parametrize(
    ("ref", "taken"),
    [
        ("v{app_version}", True),
        ("releases/{tag}", True),
        ("v1.8", False),
        ("--{tag}", False),
        ("v{x}", False),
    ],
)
def test_how_a_ref_is_made(toml, ref, taken):
    text = GOOD + f"[environments.test.git]\ncheckout = '.'\nref = '{ref}'\n"
    if taken:
        assert load_environment(toml(text), "test").git.ref == ref
    else:
        with pytest.raises(UsageProblem, match="'ref'"):
            load_environment(toml(text), "test")


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


def test_what_a_service_without_http_leaves_out(toml):
    default = GOOD.replace("[defaults]\n", "[defaults]\nurl = 'https://shop.example'\n")
    default += "[defaults.smoke]\ncwd = 'ci'\n"
    env = load_environment(
        toml(default + "[environments.q]\nsmoke = false\nhealth = false\nurl = false\n"), "q"
    )
    assert (env.smoke, env.health, env.url) == (False, False, False)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("smoke = true", "'smoke' in [environments.q] is True: it has to be a table, or false: left out"),
        ("health = 'no'", "'health' in [environments.q] is 'no': it has to be a table, or false: left out"),
        ("slack = 0", "'slack' in [environments.q] is 0: it has to be a table, or false: left out"),
        (
            "url = true",
            "'url' in [environments.q] is True: it has to begin with https:// or http://, or be false: there is "
            "none",
        ),
        (
            "url = 'shop.example'",
            "'url' in [environments.q] is 'shop.example': it has to begin with https:// or http://, or be false: "
            "there is none",
        ),
        (
            "smoke.timeout_s = 0",
            "'timeout_s' in [environments.q.smoke] is 0: Input should be greater than 0",
        ),
        (
            "health.pass = 3",
            "unknown key 'pass' in [environments.q.health] (did you mean 'passes'?)",
        ),
        (
            "health.expect = { 'checks[name].status' = 'UP' }",
            "[environments.q.health.expect]: 'checks[name].status' names no "
            'member: write a.b, checks[name=db].status, or a."b.c" for a name that holds a dot, bracket or quote',
        ),
        (
            "health.expect.checks.status = 'UP'",
            "[environments.q.health.expect]: what checks has to be is text, "
            "true, false or a whole number; a table inside it is written as a path, in quotes: "
            '"checks.MEMBER" = "ok"',
        ),
        (
            "health = false\nmigrations = { health = 'schema', expected = 'ConfigMap/a/b' }",
            "[environments.q]: migrations.health asks /health, and health = false says that there is none",
        ),
        (
            "url = false\nmigrations = { health = 'schema', expected = 'ConfigMap/a/b' }",
            "[environments.q]: migrations.health asks /health, and url = false says that there is none",
        ),
    ],
)
def test_what_is_left_out_wrongly_is_a_sentence(toml, lines, said):
    with pytest.raises(UsageProblem) as caught:
        load_environment(toml(f"{GOOD}[environments.q]\n{lines}\n"), "q")
    assert str(caught.value) == f"zkrollback.toml: {said}; helm did not run."


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


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        (
            "[environments.test.notify]\ngithub_issue = 12\n",
            "[environments.test]: notify.github_issue needs the table github with its repository;",
        ),
        (
            '[environments.test.notify]\nwebhok_env = "X"\n',
            "unknown key 'webhok_env' in [environments.test.notify] (did you mean 'webhook_env'?);",
        ),
        (
            '[environments.test.slack]\ntoken_env = "BOT"\n',
            "token_env and channel go together: the bot's token and the id of its channel;",
        ),
        (
            '[environments.test]\nreport_url = "https://a b"\n',
            "'report_url' in [environments.test] is 'https://a b':",
        ),
    ],
)
def test_what_is_wrong_with_telling_is_a_sentence(toml, tables, sentence):
    base = '[defaults]\nworkloads = { api = "deployment/api" }\n'
    if not tables.startswith("[environments.test]\n"):
        base += "[environments.test]\n"
    with pytest.raises(UsageProblem) as raised:
        load_environment(toml(base + tables), "test")
    assert sentence in str(raised.value)
    assert str(raised.value).endswith("; helm did not run.")
