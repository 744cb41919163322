"""Adds ``--env`` for this repository; the installed plugin itself registers only ``--zkrollback-env``."""

import pytest

from pytest_zkrollback.plugin.options import add_env_option, refuse_without_plugin


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """``--env``, unless somebody already owns it."""
    add_env_option(parser)
    refuse_without_plugin(parser, pluginmanager)
