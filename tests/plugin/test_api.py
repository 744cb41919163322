"""``pytest_zkrollback.api`` is light, and offers what it says."""

import subprocess
import sys

import pytest

from pytest_zkrollback import api


def test_importing_it_loads_nothing_heavy():
    code = "import sys, pytest_zkrollback.api; print({'pydantic', 'httpx'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("name", api.__all__)
def test_every_name_is_there(name):
    assert getattr(api, name) is not None


def test_another_name_is_not():
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = api.Nothing
