import pytest

from support.fake_slack import FakeSlack


@pytest.fixture
def slack(monkeypatch):
    """A Slack that accepts what Slack accepts; a test in which it was given anything else fails."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    fake = FakeSlack()
    yield fake
    fake.close()
    assert fake.breaches == []
