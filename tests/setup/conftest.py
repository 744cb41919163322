import pytest

from pytest_zkrollback.setup import doctor, init
from support.fake_api import FakeApi


@pytest.fixture(autouse=True)
def patient_questions(monkeypatch):
    """A busy machine must not decide what a test finds."""
    for module in (doctor, init):
        monkeypatch.setattr(module, "_ASK_S", 60.0)


@pytest.fixture
def api(tmp_path):
    found = FakeApi(tmp_path)
    yield found
    found.close()
