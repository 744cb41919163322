"""The command line's options, in one table: registering, refusing, repeating and ``--help`` all read it.

Loaded in every pytest run of the installation, so it imports nothing but the standard library.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple


class Option(NamedTuple):
    """One option. Without a ``metavar`` it is a flag and takes no value.

    ``needs_environment``: it makes no sense without one. ``rolls_back``: it changes something, or rehearses
    that; without any of these a run verifies only. ``needs_rollback``: it goes with one of those.
    ``only_verifies``: it goes with none of those.
    ``needs_drill``: it goes with the drill. ``stays``: it says where, or how it is reported, and so stands in
    every command that is proposed for the same environment. ``alone``: it is all that the command does; what
    asks for something else is refused beside it. ``choice``: the one value that a flag may be given with.
    ``goes_with``: the option without which it means nothing. ``not_for_fleets``: it makes sense for one
    environment only. ``short``: the name that a repository's conftest.py adds (plugin/options.py).
    """

    name: str
    help: str
    metavar: str = ""
    repeatable: bool = False
    needs_environment: bool = True
    rolls_back: bool = False
    needs_rollback: bool = False
    only_verifies: bool = False
    needs_drill: bool = False
    stays: bool = False
    alone: bool = False
    choice: str = ""
    goes_with: str = ""
    not_for_fleets: bool = False
    short: str = ""

    @property
    def label(self) -> str:
        """The name that a sentence uses: the short one, where it has one."""
        return self.short or self.name

    @property
    def dest(self) -> str:
        """The attribute of pytest's ``config.option``."""
        return self.name.removeprefix("--").replace("-", "_")


ENV = "--zkrollback-env"
FLEET = "--zkrollback-fleet"
FLEET_MEMBER = "--zkrollback-fleet-member"
FLEET_ENGINE = "--zkrollback-fleet-engine"
CONFIRM = "--rollback-confirm"
IMPACT_SINCE = "--rollback-impact-since"
INIT = "--zkrollback-init"
PLAN = "--rollback-plan"
# The value of a flag that may have one, where it was given without.
PLAIN = "on"
# The plugin registers long names alone: many test suites have options of these short names. A repository's
# conftest.py adds them (plugin/options.add_env_option).
SHORT_ENV = "--env"
SHORT_FLEET = "--fleet"
# What comes after it are no options.
SEPARATOR = "--"

OPTIONS = (
    Option(
        ENV,
        "environment to work on; 'drill' is built in",
        metavar="NAME",
        needs_environment=False,
        stays=True,
        short=SHORT_ENV,
    ),
    Option(
        FLEET,
        "instead of an environment: roll back or verify this fleet of the configuration, wave by wave",
        metavar="NAME",
        needs_environment=False,
        short=SHORT_FLEET,
    ),
    Option(
        FLEET_MEMBER,
        f"with {SHORT_FLEET}: this member alone, as an engine begins it",
        metavar="NAME",
        needs_environment=False,
        goes_with=FLEET,
        short="--fleet-member",
    ),
    Option(
        FLEET_ENGINE,
        f"with {SHORT_FLEET}: where members run; local, the default: each as a process of this machine; "
        "kubernetes: as pods of a management cluster",
        metavar="ENGINE",
        needs_environment=False,
        goes_with=FLEET,
        short="--fleet-engine",
    ),
    Option(
        "--rollback-list",
        "list the release's revisions, what speaks against each and what to type next; =json for scripts; "
        "only reads",
        alone=True,
        choice="json",
    ),
    Option(
        "--rollback-to",
        "roll back to this Helm revision: N, previous (the newest older one with nothing against it), "
        "last-verified (the newest older one that this tool verified), or app:VERSION or chart:VERSION "
        "(the one with that version and nothing against it)",
        metavar="TARGET",
        rolls_back=True,
    ),
    Option(
        "--rollback-to-commit",
        "put this commit's tree back and deploy it through GitHub Actions",
        metavar="SHA",
        rolls_back=True,
        not_for_fleets=True,
    ),
    Option(
        "--rollback-redeploy-main",
        "run the deploy workflow on the branch's tip, as it is",
        rolls_back=True,
        not_for_fleets=True,
    ),
    Option("--rollback-no-merge", "stop at the pull request, unmerged", not_for_fleets=True),
    Option(
        PLAN,
        "rehearse: change and tell nothing, anywhere; alone: --rollback-to=previous",
    ),
    Option(
        "--rollback-recover",
        "lead a stranded release out, by one rollback (chosen, or --rollback-to)",
        rolls_back=True,
        not_for_fleets=True,
    ),
    Option("--rollback-reason", "why, for the record and Slack", metavar="TEXT"),
    Option("--rollback-next-steps", "what happens next, for the record and Slack", metavar="TEXT"),
    Option("--rollback-incident", "the incident's ticket", metavar="ID-or-URL"),
    Option(
        IMPACT_SINCE,
        "since when users are affected: 20m or 1h30m (so long ago), 02:11 (local time), or "
        "2026-11-23T02:11:00Z",
        metavar="TIME",
    ),
    Option(
        CONFIRM,
        "the environment's or the fleet's name again, where it is protected; with --drill-context the "
        "context's",
        metavar="NAME",
    ),
    Option(
        "--rollback-signal",
        "your word on a decision signal; what is not said is unknown; repeatable",
        metavar="NAME=yes|no",
        repeatable=True,
        needs_rollback=True,
    ),
    Option("--rollback-migration-assessed", "the migration assessment, recorded", metavar="TEXT"),
    Option(
        "--zkrollback-gate",
        "verify an ordinary deploy: this is no rollback, so no migration has to be undone; recorded",
        only_verifies=True,
    ),
    Option(
        "--rollback-override",
        "pass one guard, audited; repeatable",
        metavar="GUARD=REASON",
        repeatable=True,
        needs_rollback=True,
    ),
    Option(
        "--rollback-break-glass",
        "pass every guard that can be passed, and take the lock over",
        metavar="REASON",
        needs_rollback=True,
    ),
    Option(
        "--rollback-waive",
        "leave one checklist item out, audited: WAIVED, never passed; repeatable",
        metavar="ITEM=REASON",
        repeatable=True,
    ),
    Option(
        "--rollback-soak",
        "keep watching after the provisional green, a late crash fails the run; 0 switches it off, but for "
        "metrics; default: soak_s of the configuration",
        metavar="SECONDS",
    ),
    Option(
        "--zkrollback-config",
        "configuration; default: zkrollback.toml, else [tool.zkrollback] in pyproject.toml",
        metavar="FILE",
        needs_environment=False,
        stays=True,
    ),
    Option(
        "--zkrollback-report-dir",
        "where the reports go; default: reports",
        metavar="DIR",
        needs_environment=False,
        stays=True,
    ),
    Option(
        "--zkrollback-check",
        "look whether all is there that rolling back and verifying need; =rbac prints the smallest Roles",
        alone=True,
        choice="rbac",
    ),
    Option(
        INIT,
        "ask the cluster, and write zkrollback.toml and checks/test_runbook.py; it overwrites nothing",
        needs_environment=False,
        alone=True,
    ),
    Option(
        "--zkrollback-context",
        f"with {INIT}: this context of the kubeconfig",
        metavar="NAME",
        needs_environment=False,
        goes_with=INIT,
    ),
    Option(
        "--zkrollback-namespace",
        f"with {INIT}: the release is in this namespace",
        metavar="NAME",
        needs_environment=False,
        goes_with=INIT,
    ),
    Option(
        "--zkrollback-release",
        f"with {INIT}: this release",
        metavar="NAME",
        needs_environment=False,
        goes_with=INIT,
    ),
    Option("--zkrollback-bundle", "one zip for the ticket, below 10 MB", stays=True),
    Option("--drill-keep", "keep the drill's cluster for the next run", needs_drill=True, stays=True),
    Option("--drill-stop", "end a kept drill, and nothing else", needs_environment=False, alone=True),
    Option(
        "--drill-kubelet",
        "the drill with a real kubelet on this machine (Linux, root): its containers run",
        needs_drill=True,
        stays=True,
    ),
    Option(
        "--drill-context",
        "the drill on a cluster that is there already (kind, k3d, minikube, any), in a namespace of its own",
        metavar="NAME",
        needs_drill=True,
        stays=True,
    ),
    Option(
        "--drill-load",
        "how that cluster gets the demo's images: a command with {archive} in it, or registry=HOST/PATH; "
        "default: by the context's name, for kind, k3d and minikube",
        metavar="HOW",
        needs_drill=True,
        stays=True,
    ),
    Option(
        "--drill-image",
        "the demo's images are there already, below this repository",
        metavar="REPOSITORY",
        needs_drill=True,
        stays=True,
    ),
    Option(
        "--drill-scenario",
        "what went wrong in revision 6; default: crash-loop",
        metavar="NAME",
        needs_drill=True,
        stays=True,
    ),
)
# By both names of those that have two.
BY_NAME = {name: each for each in OPTIONS for name in (each.name, each.short) if name}


def split_command(command_line: str) -> Iterator[tuple[Option | None, list[str]]]:
    """Each of our options in a command line, with its words; what is not ours comes word by word (None).

    The command's own first word is left out. Raises ValueError where a quotation mark is not closed.

    The command was accepted once. So the word after an option that takes one is its value, also ``-``, ``-1``
    or one that begins with ``-`` and holds a space: argparse takes those, and refuses every other that begins
    with ``-``. After ``--`` no word is an option. Where a long name stands in the command, the short one is
    somebody else's.
    """
    words = shlex.split(command_line)[1:]
    others = {each.short for each in OPTIONS if each.short and _stands_in(each.name, words)}
    if SHORT_FLEET in others:
        others |= {each.short for each in OPTIONS if each.goes_with == FLEET}
    while words:
        word = words.pop(0)
        if word == SEPARATOR:
            yield None, [word]
            yield from ((None, [each]) for each in words)
            return
        name, joined, _ = word.partition("=")
        option = BY_NAME.get(name) if name not in others else None
        if option is not None and option.metavar and not joined and words:
            yield option, [word, words.pop(0)]
        else:
            yield option, [word]


def _stands_in(name: str, words: Sequence[str]) -> bool:
    options = words[: words.index(SEPARATOR)] if SEPARATOR in words else words
    return any(word.partition("=")[0] == name for word in options)


def join_command(words: Sequence[str], also: Sequence[str]) -> str:
    """``pytest`` with these words, and with the options ``also`` before a ``--``."""
    end = words.index(SEPARATOR) if SEPARATOR in words else len(words)
    return shlex.join(["pytest", *words[:end], *also, *words[end:]])


def lasting_impact(since: datetime) -> str:
    """The option with a time that means the same whenever it is typed."""
    return f"{IMPACT_SINCE}={since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
