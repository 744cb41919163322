"""Each channel goes through the proxy that its table names (P29)."""

import json

import pytest

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.notification import Notification
from pytest_zkrollback.domain.record import NotificationEvent
from pytest_zkrollback.notify.channels import choose_channels
from pytest_zkrollback.report.redaction import Redactor
from pytest_zkrollback.run.secrets import register_secrets_of_environment
from support.example_records import verified
from support.http_server import LoopbackHttpServer, QuietHandler

# No name server knows them: only through a proxy is anything heard of them.
VARIABLES = {
    "SLACK_WEBHOOK_URL": "http://slack.invalid/services/T0/B0/verysecret",
    "HOOK": "http://hook.invalid/verysecret",
    "TEAMS": "http://teams.invalid/verysecret",
}


@pytest.fixture
def proxy():
    asked = []

    class Handler(QuietHandler):
        def do_POST(self):
            asked.append(self.path)
            json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"success":true}')

    with LoopbackHttpServer(Handler) as server:
        server.asked = asked
        yield server


def environment(**tables):
    return Environment(name="staging", context="c", workloads={"app": "deployment/app"}, **tables)


def told(env):
    news = Notification(event=NotificationEvent.VERDICT, record=verified())
    channels = choose_channels(env, VARIABLES, SystemClock(), lambda text: None)
    return {channel.name: channel.tell(news) for channel in channels}


def test_case_p29_every_webhook_has_a_proxy_of_its_own(proxy):
    tables = {
        "slack": {"proxy": proxy.url},
        "notify": {
            "webhook_env": "HOOK", "webhook_proxy": proxy.url, "teams_env": "TEAMS", "teams_proxy": f"{proxy.url}/",
        },
    }  # fmt: skip
    deliveries = told(environment(**tables))
    assert sorted(deliveries) == ["slack", "teams", "webhook"]
    assert all(each.ok and each.answer == '{"success":true}' for each in deliveries.values())
    assert sorted(proxy.asked) == sorted(VARIABLES.values())


@pytest.mark.parametrize(
    "wrong", ["socks5://127.0.0.1:1080", "proxy.corp.example:3128", "http://a b", "ftp://x"]
)
@pytest.mark.parametrize(
    "table",
    [
        lambda proxy: {"slack": {"proxy": proxy}},
        lambda proxy: {"notify": {"webhook_proxy": proxy}},
        lambda proxy: {"notify": {"teams_proxy": proxy}},
        lambda proxy: {"github": {"repository": "o/r", "proxy": proxy}},
        lambda proxy: {"proxy": proxy},
    ],
)
def test_a_proxy_that_cannot_be_used_is_wrong_in_the_configuration(table, wrong):
    with pytest.raises(ValueError, match="proxy"):
        environment(**table(wrong))


def test_a_proxys_password_is_a_secret():
    redactor = Redactor()
    env = environment(
        slack={"proxy": "http://ann:hunter2hunter2@proxy.example:3128"},
        notify={"teams_proxy": "http://ann:swordfish99@proxy.example:3128"},
    )
    register_secrets_of_environment(redactor, env, {})
    said = redactor.text(
        "via http://ann:hunter2hunter2@proxy.example:3128 and ann:swordfish99@proxy.example:3128"
    )
    assert "hunter2hunter2" not in said
