"""The entry point. It loads in every pytest run of an installation: nothing heavy until it is wanted."""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest

from ..domain.item_ids import EVENTS, HEALTH, LOGS, MIGRATION, NOTIFY, SMOKE, rollout_id
from . import checklist_tests as checklist_items
from . import hookspecs
from .fixtures import FLEET_KEY, SESSION_KEY, rollback
from .options import add_options, choose_alone, has_temporary_files, is_wanted, is_wanted_early

__all__ = ["rollback"]

DEFAULT_ITEMS = (
    rollout_id("backend"),
    rollout_id("frontend"),
    SMOKE,
    LOGS,
    HEALTH,
    EVENTS,
    MIGRATION,
    NOTIFY,
)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """The hooks by which a repository adds parts of its own."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Our options; not ``--env``, which is for a repository's own conftest."""
    add_options(parser)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    """pytest captures into temporary files: where there is no room for any it would not even begin."""
    if is_wanted_early(early_config.invocation_params.args) and not has_temporary_files():
        early_config.known_args_namespace.capture = "no"
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """An option that goes alone is all that such a command does."""
    alone = choose_alone(config.option)
    if alone is not None:
        from .own_modules import quick_imports

        with quick_imports():
            from .alone import run_alone

        return run_alone(alone, config)
    return None


@pytest.hookimpl(wrapper=True, tryfirst=True, specname="pytest_cmdline_main")
def pytest_cmdline_main_activates(config: pytest.Config) -> Generator[None, object, object]:
    """With an environment: validate, switch off what runs things twice, register the hooks of the run.

    A wrapper, because xdist reads its options in a ``tryfirst`` implementation of the same hook.
    """
    alone = choose_alone(config.option) is not None
    if is_wanted(config.option) and not alone and not hasattr(config, "workerinput"):
        from .own_modules import quick_imports

        if config.option.zkrollback_fleet is not None and config.option.zkrollback_fleet_member is None:
            return (yield from _as_fleet(config))
        with quick_imports():
            from ..run.secrets import redactor_of_this_process
            from .html_plugin import FullDiskGuard
            from .session import RollbackSession

        redactor = redactor_of_this_process()
        try:
            session = RollbackSession(config, redactor)
            config.stash[SESSION_KEY] = session
            config.pluginmanager.register(session, "zkrollback-session")
            config.pluginmanager.register(FullDiskGuard(session.run.store.note), "zkrollback-full-disk")
            _guard_tee(config, redactor.text)
            return (yield)
        except pytest.UsageError as error:  # it quotes what was typed
            raise pytest.UsageError(redactor.text(str(error))) from None
    return (yield)


def _as_fleet(config: pytest.Config) -> Generator[None, object, object]:
    """A fleet: its own session in the place of a run's."""
    from .own_modules import quick_imports

    with quick_imports():
        from ..run.secrets import redactor_of_this_process
        from .fleet_session import FleetSession

    redactor = redactor_of_this_process()
    try:
        session = FleetSession(config, redactor)
        config.stash[FLEET_KEY] = session
        config.pluginmanager.register(session, "zkrollback-fleet-session")
        _guard_tee(config, redactor.text)
        return (yield)
    except pytest.UsageError as error:  # it quotes what was typed
        raise pytest.UsageError(redactor.text(str(error))) from None


def _guard_tee(config: pytest.Config, clean: Callable[[str], str]) -> None:
    """``--capture=tee-sys`` took the streams before we came: what it hands on passes the redactor, too."""
    from .streams import guarded

    capturing = getattr(config.pluginmanager.getplugin("capturemanager"), "_global_capturing", None)
    for name, descriptor in (("out", 1), ("err", 2)):
        tee = getattr(getattr(capturing, name, None), "tmpfile", None)
        if tee is not None and hasattr(tee, "_other"):
            tee._other = guarded(tee._other, descriptor, clean)  # noqa: SLF001 - pytest has no public way


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The checklist's items are the parameters of one test, in the runbook's order."""
    if metafunc.function.__module__ == checklist_items.__name__ and "checklist_item" in metafunc.fixturenames:
        session = metafunc.config.stash.get(SESSION_KEY, None)
        ids = session.checklist_ids if session is not None else DEFAULT_ITEMS
        metafunc.parametrize("checklist_item", ids, ids=ids)
    if metafunc.function is checklist_items.test_fleet:
        fleet = metafunc.config.stash.get(FLEET_KEY, None)
        ids = fleet.test_ids if fleet is not None else ("MEMBER",)
        metafunc.parametrize("fleet_member", ids, ids=ids)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without an environment our items are left out; if nothing else was asked for, that is a usage error."""
    if SESSION_KEY in config.stash or FLEET_KEY in config.stash or config.option.collectonly:
        return
    ours = [item for item in items if checklist_items.is_ours(item)]
    if not ours:
        return
    if len(ours) == len(items):
        from .session import sentence_without_environment

        raise pytest.UsageError(sentence_without_environment(config))
    items[:] = [item for item in items if not checklist_items.is_ours(item)]
    config.hook.pytest_deselected(items=ours)
