"""The demo application's program, as a drill finds or builds it."""

import socket
from pathlib import Path

import pytest

from pytest_zkrollback.drill.binaries import find_binaries
from pytest_zkrollback.drill.programs import ZKPROVA


@pytest.fixture(scope="session")
def zkprova() -> Path:
    return find_binaries(tools=(ZKPROVA,))["zkprova"]


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
