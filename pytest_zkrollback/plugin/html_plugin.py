"""What pytest-html is kept from: ending a session over a full disk, and saying a path twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest


class FullDiskGuard:
    """A full disk under pytest-html stops no session: before 4.2 it writes after each test, too."""

    def __init__(self, note: Callable[[str], object]) -> None:
        """``note`` hears of a page that could not be written."""
        self._note = note

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Guard the one method that writes: an error in a hook would cut off the plugins that come after."""
        for plugin in config.pluginmanager.get_plugins():
            if type(plugin).__module__.startswith("pytest_html.") and hasattr(plugin, "_write_report"):
                plugin._write_report = self._guarded(plugin._write_report)  # noqa: SLF001 - there is no public way

    def _guarded(self, write: Callable[[str], None]) -> Callable[[str], None]:
        def write_report(text: str) -> None:
            try:
                write(text)
            except OSError as error:
                self._note(f"pytest-html could not write its page: {error}")

        return write_report


def say_path_once(config: pytest.Config) -> None:
    """pytest-html says where its page is; our last lines say it, with what the page holds."""
    for hook in config.pluginmanager.hook.pytest_terminal_summary.get_hookimpls():
        if type(hook.plugin).__module__.startswith("pytest_html."):
            setattr(hook, "function", _say_nothing)  # noqa: B010 - there is no public way


def _say_nothing(terminalreporter: object) -> None:
    """In the place of pytest-html's own, with its argument."""
