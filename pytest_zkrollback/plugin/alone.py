"""Options that are all that a command does: no test is collected, and helm does not run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..clients.clock import SystemClock
from ..clients.process import LocalProcesses
from ..domain.command_line import INIT, PLAIN, Option
from ..domain.errors import UsageProblem, ZkRollbackError
from ..domain.request import REPORT_DIR
from ..report.redaction import Redactor
from ..run.secrets import redactor_of_this_process
from .options import command_line, stdin_is_terminal
from .streams import guard_streams, write_styled

if TYPE_CHECKING:
    from ..config.environment import Environment

# So long a question at the terminal waits.
_ASK_S = 60.0


def run_alone(option: Option, config: pytest.Config) -> int:
    """Do what the option says; the exit code. Raises pytest.UsageError, with no secret in it."""
    redactor = redactor_of_this_process()
    guard_streams(redactor.text)
    try:
        return _ACTIONS[option.name](config, redactor)
    except UsageProblem as problem:
        raise pytest.UsageError(redactor.text(str(problem))) from None
    except ZkRollbackError as problem:
        sys.stderr.write(f"{problem}\n")
        return int(pytest.ExitCode.TESTS_FAILED)
    except KeyboardInterrupt:
        sys.stderr.write(f"{option.name} was interrupted; nothing was changed.\n")
        return int(pytest.ExitCode.INTERRUPTED)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _stop_drill(config: pytest.Config, _redactor: Redactor) -> int:
    from ..drill.drill import stop_drill

    if config.option.zkrollback_env:
        raise UsageProblem("--drill-stop ends the kept drill and does nothing else: give it alone.")
    _say(stop_drill(config.rootpath))
    return 0


def _check(config: pytest.Config, redactor: Redactor) -> int:
    """Whether all is there, line by line; or the Roles, as a file that kubectl takes."""
    from ..setup.doctor import Doctor, Finding, conclude, fetch_roles, find_environment, run_doctor

    given = config.option
    env = find_environment(config.rootpath, given.zkrollback_config, given.zkrollback_env)
    as_roles = given.zkrollback_check != PLAIN
    if isinstance(env, Finding):
        if as_roles:  # standard output is for the Roles alone
            raise ZkRollbackError(env.said)
        write_styled(env.render)
        return conclude([env], write_styled)
    doctor = Doctor(
        env, redactor, os.environ, SystemClock(), LocalProcesses(), config_file=given.zkrollback_config
    )
    if as_roles:
        _say(fetch_roles(doctor))
        return 0
    return run_doctor(doctor, config.rootpath, write_styled)


def _init(config: pytest.Config, redactor: Redactor) -> int:
    """The first configuration, from what the cluster says."""
    from ..run.prompt import ask
    from ..setup.init import Init, Wanted

    given, clock = config.option, SystemClock()
    if given.zkrollback_config:
        raise UsageProblem(f"{INIT} writes zkrollback.toml here: leave --zkrollback-config out.")

    def choose(question: str) -> str:
        if not stdin_is_terminal():
            return ""
        return ask(redactor.text(question), clock, clock.monotonic_s() + _ASK_S).text

    wanted = Wanted(
        given.zkrollback_env, given.zkrollback_context, given.zkrollback_namespace, given.zkrollback_release
    )
    here = config.invocation_params.dir
    Init(config.rootpath, here, wanted, choose, redactor, os.environ, clock, LocalProcesses()).run(_say)
    return 0


def _list(config: pytest.Config, redactor: Redactor) -> int:
    """The release's revisions: a table, or JSON."""
    from ..report.revision_table import render_revision_list
    from ..setup.list_revisions import fetch_revision_list

    given = config.option
    found = fetch_revision_list(
        _environment(config),
        redactor,
        os.environ,
        SystemClock(),
        LocalProcesses(),
        command_line(config),
        Path(given.zkrollback_report_dir or REPORT_DIR),
    )
    if given.rollback_list != PLAIN:
        _say(found.model_dump_json(indent=2, by_alias=True))
    else:
        write_styled(partial(render_revision_list, found))
    return 0


def _environment(config: pytest.Config) -> Environment:
    """Raises UsageProblem, also for a drill that is not kept: each run makes another one."""
    from ..config.loader import DRILL, find_config, load_environment

    given = config.option
    if given.zkrollback_env == DRILL:
        from ..drill.drill import kept_environment

        return kept_environment(config.rootpath)
    return load_environment(find_config(config.rootpath, given.zkrollback_config), given.zkrollback_env)


_ACTIONS: dict[str, Callable[[pytest.Config, Redactor], int]] = {
    "--drill-stop": _stop_drill,
    "--rollback-list": _list,
    "--zkrollback-check": _check,
    INIT: _init,
}
