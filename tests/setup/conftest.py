import pytest

from support.fake_api import FakeApi


@pytest.fixture
def api(tmp_path):
    found = FakeApi(tmp_path)
    yield found
    found.close()
