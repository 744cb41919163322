"""The command line: every option of the contract, parsed before anything is contacted.

Imported in every pytest run of the installation, so it imports nothing but the standard library and pytest.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest

from ..domain.command_line import BY_NAME, OPTIONS, PLAIN, SEPARATOR, Option
from ..domain.request import NOT_GIVEN, REPORT_DIR, Request
from ..domain.target_names import NAMES, PREVIOUS, VERSIONS_OF, parse_target_version, suggest_targets

_GROUP = "zkrollback: roll a Helm release back once and prove that service is restored"

# Asked when the plugin is loaded: pytest's capture replaces standard input later.
_STDIN_IS_TERMINAL = sys.stdin is not None and sys.stdin.isatty()


def stdin_is_terminal() -> bool:
    """Whether standard input was a terminal when the plugin was loaded, so that there is somebody to ask."""
    return _STDIN_IS_TERMINAL


def add_options(parser: pytest.Parser) -> None:
    """Register everything by its long name; ``--env`` is the commonest private option of test suites."""
    group = parser.getgroup("zkrollback", _GROUP)
    for option in OPTIONS:
        how: dict[str, Any] = {"help": option.help, "dest": option.dest}
        if option.choice:
            how |= {"nargs": "?", "const": PLAIN, "metavar": option.choice}
        elif option.metavar:
            how |= {"metavar": option.metavar, "action": "append" if option.repeatable else "store"}
        else:
            how |= {"action": "store_true"}
        group.addoption(option.name, **how)


def add_env_option(parser: pytest.Parser) -> None:
    """For a repository's own ``conftest.py``: ``--env``, short for ``--zkrollback-env``, and ``--fleet``.

    A name that another plugin or conftest already owns stays theirs, and the long one serves.
    """
    for each in OPTIONS:
        if not each.short or (pytest.version_tuple < (9,) and _is_taken(parser, each.short)):
            continue
        # Both errors are for "already added", pytest's and argparse's.
        with suppress(ValueError, argparse.ArgumentError):
            parser.getgroup("zkrollback", _GROUP).addoption(
                each.short, dest=each.dest, metavar=each.metavar, help=f"short for {each.name}"
            )


def _is_taken(parser: pytest.Parser, name: str) -> bool:
    """Whether somebody owns the option; pytest before 9 notices it only when it reads the command line."""
    groups = [*getattr(parser, "_groups", ()), getattr(parser, "_anonymous", None)]  # there is no public way
    return any(name in option.names() for group in groups if group is not None for option in group.options)


def refuse_without_plugin(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """For a repository's own ``conftest.py``: where the plugin is not loaded, say so."""
    if not pluginmanager.hasplugin("zkrollback") and not pluginmanager.hasplugin("pytest_zkrollback.plugin"):
        add_options(parser)
        pluginmanager.register(_NotLoaded(), "zkrollback-not-loaded")


class _NotLoaded:
    """Stands in for the plugin where autoload is off, so that an option of ours is never ignored."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> None:
        """Exit 4 if anything of ours was asked for."""
        if is_wanted(config.option):
            raise pytest.UsageError(
                "pytest-zkrollback is installed but its plugin is not loaded "
                "(PYTEST_DISABLE_PLUGIN_AUTOLOAD or -p no:zkrollback): add -p pytest_zkrollback.plugin; "
                "nothing was contacted and helm did not run."
            )


def command_line(config: pytest.Config) -> str:
    """What was typed, as a shell line."""
    words = [str(arg) for arg in config.invocation_params.args]
    return shlex.join(["pytest", *words])


def is_wanted(option: Any) -> bool:
    """Whether any of our options was given, so that the plugin has something to do or to refuse."""
    alone = any((each.alone or each.goes_with) and _is_given(option, each) for each in OPTIONS)
    named = option.zkrollback_env is not None or option.zkrollback_fleet is not None
    return named or alone or bool(_given_without_env(option))


def _is_given(option: Any, one: Option) -> bool:
    """Whether it stands on the command line, also with an empty value (a variable that is not set)."""
    return getattr(option, one.dest) not in (None, False, [])


def choose_alone(option: Any) -> Option | None:
    """The option that is all that the command does, if one was given.

    Raises pytest.UsageError beside an option that asks for something else.
    """
    given = [each for each in OPTIONS if _is_given(option, each)]
    alone = next((each for each in given if each.alone), None)
    wanting = next((each for each in given if each.goes_with and each.goes_with not in _names(given)), None)
    if wanting is not None:
        raise pytest.UsageError(
            f"{wanting.label} goes with {BY_NAME[wanting.goes_with].label} alone; helm did not run."
        )
    if alone is None:
        return None
    mine = [each for each in given if each is alone or each.stays or each.goes_with == alone.name]
    beside = [each.label for each in given if each not in mine]
    if beside:
        raise pytest.UsageError(
            f"{alone.name} goes alone: leave {' and '.join(beside)} out; helm did not run."
        )
    value = getattr(option, alone.dest)
    if alone.choice and value not in (PLAIN, alone.choice):
        raise pytest.UsageError(
            f"{alone.name}={value} is not known: give {alone.name}, or {alone.name}={alone.choice}; "
            "helm did not run."
        )
    if alone.needs_environment:
        require_environment(option)
    return alone


def is_wanted_early(arguments: Iterable[str | os.PathLike[str]]) -> bool:
    """The same before the command line is parsed: whether any word of it is an option of ours."""
    return any(os.fspath(word).partition("=")[0] in BY_NAME for word in arguments)


def has_temporary_files() -> bool:
    """Whether any folder for temporary files takes one."""
    try:
        tempfile.gettempdir()
    except OSError:
        return False
    return True


def parse_request(option: Any) -> Request:
    """The request behind ``config.option``; raises pytest.UsageError with one sentence (exit 4)."""
    _refuse_bare_separators(option)
    require_environment(option)
    if option.zkrollback_env != "drill":
        for each in OPTIONS:
            if each.needs_drill and getattr(option, each.dest):
                raise pytest.UsageError(
                    f"{each.name} goes with --env=drill, not with --env={option.zkrollback_env}."
                )
    _refuse_without_rollback(option)
    refuse_two_ways(option)
    return Request(
        environment=option.zkrollback_env,
        target=_target(option),
        reason=_text(option.rollback_reason, NOT_GIVEN),
        next_steps=_text(option.rollback_next_steps, "none given"),
        incident=_text(option.rollback_incident, ""),
        impact_since=None
        if option.rollback_impact_since is None
        else parse_impact_since(option.rollback_impact_since),
        impact_since_typed=_text(option.rollback_impact_since, ""),
        confirm=option.rollback_confirm,
        migration_assessed=_text(option.rollback_migration_assessed, "") or None,
        gate=option.zkrollback_gate,
        waivers=parse_pairs("--rollback-waive", option.rollback_waive or []),
        overrides=parse_pairs("--rollback-override", option.rollback_override or []),
        signals=parse_signals(option.rollback_signal or []),
        break_glass=_break_glass(option.rollback_break_glass),
        plan=option.rollback_plan,
        recover=option.rollback_recover,
        interactive=_STDIN_IS_TERMINAL,
        config_file=option.zkrollback_config,
        report_dir=option.zkrollback_report_dir or REPORT_DIR,
        bundle=option.zkrollback_bundle,
        drill_keep=option.drill_keep,
        drill_scenario=option.drill_scenario,
        drill_kubelet=option.drill_kubelet,
        drill_context=option.drill_context,
        drill_load=option.drill_load,
        drill_image=option.drill_image,
        commit=None if option.rollback_to_commit is None else parse_commit(option.rollback_to_commit),
        redeploy=option.rollback_redeploy_main,
        no_merge=option.rollback_no_merge,
        soak_s=None if option.rollback_soak is None else parse_soak(option.rollback_soak),
    )


def _names(options: Iterable[Option]) -> set[str]:
    return {each.name for each in options}


def require_environment(option: Any) -> None:
    """Raises pytest.UsageError where an option was given that makes no sense without an environment."""
    if option.zkrollback_env is None and option.zkrollback_fleet is None:
        given = ", ".join(_given_without_env(option))
        raise pytest.UsageError(
            f"{given} needs an environment: add --env=NAME (or --zkrollback-env=NAME where --env belongs to "
            "another plugin); helm did not run."
        )


def _refuse_without_rollback(option: Any) -> None:
    if ways := _rollbacks(option):
        for each in OPTIONS:
            if each.only_verifies and getattr(option, each.dest):
                raise pytest.UsageError(
                    f"{each.name} says that this is no rollback, and {ways[0]} asks for one: leave one "
                    "of them out; helm did not run."
                )
        return
    for each in OPTIONS:
        if each.needs_rollback and getattr(option, each.dest):
            raise pytest.UsageError(
                f"{each.name} goes with a rollback: add --rollback-to=N; helm did not run."
            )


def _rollbacks(option: Any) -> list[str]:
    """What was given of the options that ask for a rollback; a rehearsal alone is one of `previous`."""
    given = [each.name for each in OPTIONS if each.rolls_back and getattr(option, each.dest)]
    return given or (["--rollback-plan"] if option.rollback_plan else [])


def _target(option: Any) -> int | str | None:
    """As typed; a recovery chooses its own where none was (preflight/recovery.py)."""
    if option.rollback_to is not None:
        return parse_target(option.rollback_to)
    if option.rollback_recover:
        return "recover"
    return PREVIOUS if _rollbacks(option) == ["--rollback-plan"] else None


def parse_target(text: str) -> int | str:
    """A Helm revision from 1 up, or a name for one; which it is, the release's history says.

    Helm itself takes 0 as "one before", even if that one failed, and "01" as 1; we take neither.
    """
    if text in NAMES or parse_target_version(text) is not None:
        return text
    if re.fullmatch(r"[1-9][0-9]{0,8}", text, flags=re.ASCII):
        return int(text)
    if suggested := suggest_targets(text):
        raise pytest.UsageError(
            f"--rollback-to={text} is no target (did you mean {' or '.join(suggested)}?); helm did not run."
        )
    of, colon, _ = text.partition(":")
    if colon and of in VERSIONS_OF:
        raise pytest.UsageError(
            f"--rollback-to={text} names no {VERSIONS_OF[of]}: write it like {of}:1.8.0; helm did not run."
        )
    raise pytest.UsageError(
        f"--rollback-to={text} is no Helm revision: give a whole number from 1, as in "
        "`helm history RELEASE`, or previous, last-verified, app:VERSION or chart:VERSION; helm did not run."
    )


def parse_impact_since(text: str) -> datetime:
    """So long ago, a time of the day here, or an RFC 3339 time with its zone; raises pytest.UsageError."""
    from ..clients.clock import SystemClock
    from ..domain.timestamps import parse_past_moment

    now = SystemClock().now()
    at = parse_past_moment(text, now)
    if at is None:
        raise pytest.UsageError(
            f"--rollback-impact-since={text} is no time: write it like 20m or 1h30m (so long ago), 02:11 "
            "(local time) or 2026-11-23T02:11:00Z (with its zone); helm did not run."
        )
    return min(at, now)  # a clock that is behind is no reason to refuse a rollback


_EXAMPLES = {
    "--rollback-waive": ("an item", "--rollback-waive=smoke='no smoke test for this service'"),
    "--rollback-override": ("a guard", "--rollback-override=pending='that pipeline was cancelled'"),
}


def parse_pairs(flag: str, pairs: list[str]) -> dict[str, str]:
    """``NAME=REASON`` pairs; what is overridden without a reason would not be audited, so it is refused."""
    kind, example = _EXAMPLES[flag]
    reasons: dict[str, str] = {}
    for pair in pairs:
        name, _, reason = pair.partition("=")
        if not name.strip() or not reason.strip():
            raise pytest.UsageError(
                f"{flag}={pair} needs {kind} and a reason, as in {example}; helm did not run."
            )
        reasons[name.strip()] = reason.strip()
    return reasons


def _refuse_bare_separators(option: Any) -> None:
    """Raises pytest.UsageError for ``--option=--``: argparse of older Pythons makes an empty list of it."""
    for each in OPTIONS:
        given = getattr(option, each.dest)
        values = (given or []) if each.repeatable else [given]
        if each.metavar and any(value in ([], SEPARATOR) for value in values):
            raise pytest.UsageError(
                f"{each.name}={SEPARATOR} has no value: {SEPARATOR} ends the options; helm did not run."
            )


def _break_glass(text: str | None) -> str | None:
    if text is not None and not text.strip():
        raise pytest.UsageError(
            "--rollback-break-glass needs a reason, which is recorded, as in "
            "--rollback-break-glass='staging is down, INC-42'; helm did not run."
        )
    return text and text.strip()


def _text(value: str | None, default: str) -> str:
    return value.strip() or default if value is not None else default


def _given_without_env(option: Any) -> list[str]:
    """Options that make no sense without an environment."""
    return [each.name for each in OPTIONS if each.needs_environment and getattr(option, each.dest)]


def refuse_two_ways(option: Any) -> None:
    """Raises pytest.UsageError where GitHub and helm, or two ways through GitHub, are asked for at once."""
    ways = _rollbacks(option)
    if len(ways) > 1 and (option.rollback_to_commit or option.rollback_redeploy_main):
        raise pytest.UsageError(f"{' and '.join(ways)} exclude each other; nothing was changed.")
    if option.rollback_no_merge and not option.rollback_to_commit:
        raise pytest.UsageError(
            "--rollback-no-merge goes with --rollback-to-commit=SHA; nothing was changed."
        )


def parse_commit(text: str) -> str:
    """A commit's SHA or its beginning; a branch's name could move under us."""
    if not re.fullmatch(r"[0-9a-f]{7,40}", text, flags=re.ASCII | re.IGNORECASE):
        raise pytest.UsageError(
            f"--rollback-to-commit={text} is no commit: give 7 to 40 hex digits, as in `git log`; "
            "nothing was changed."
        )
    return text.lower()


# As in domain/decision.py, which is not imported in every pytest run.
SIGNALS = ("users-impacted", "root-cause-unclear", "fix-obvious", "migration-irreversible", "many-commits")


def parse_signals(pairs: list[str]) -> dict[str, str]:
    """``NAME=yes`` or ``NAME=no``; the last word on a signal stands."""
    signals: dict[str, str] = {}
    for pair in pairs:
        name, _, word = (part.strip() for part in pair.partition("="))
        if name not in SIGNALS or word not in ("yes", "no"):
            raise pytest.UsageError(
                f"--rollback-signal={pair} is no signal: give NAME=yes or NAME=no, where NAME is one of "
                f"{', '.join(SIGNALS)}; helm did not run."
            )
        signals[name] = word
    return signals


_LONGEST_SOAK_S = 3600


def parse_soak(text: str) -> float:
    """Seconds of the soak, 0 to 3600."""
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text, flags=re.ASCII) or float(text) > _LONGEST_SOAK_S:
        raise pytest.UsageError(
            f"--rollback-soak={text} is no number of seconds from 0 (off) to {_LONGEST_SOAK_S}; "
            "helm did not run."
        )
    return float(text)
