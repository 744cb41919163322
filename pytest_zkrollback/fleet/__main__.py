"""``python -m pytest_zkrollback.fleet waves NAME``: a fleet's waves as JSON, for whoever runs its members."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ..config.loader import find_config, load_fleet
from ..domain.errors import UsageProblem

_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0; 2 where the fleet is not known, or has more waves than ``--at-most``."""
    parser = argparse.ArgumentParser(prog="python -m pytest_zkrollback.fleet")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    waves = commands.add_parser(
        "waves",
        help="print a fleet's waves as one line of JSON",
        description="Print a fleet as one line of JSON: fleet, waves (lists of members), members (all, "
        "wave by wave), at_once, pause_s, protected. Nothing is contacted.",
    )
    waves.add_argument("fleet", metavar="NAME", help="as in [fleets.NAME]")
    waves.add_argument("--zkrollback-config", metavar="FILE", help="default: as for pytest, from this folder")
    waves.add_argument(
        "--at-most", type=int, metavar="N", help="so many waves can be run: exit 2 where the fleet has more"
    )
    options = parser.parse_args(arguments)
    try:
        fleet = load_fleet(find_config(Path.cwd(), options.zkrollback_config), options.fleet)
    except UsageProblem as problem:
        sys.stderr.write(f"{problem}\n")
        return _USAGE
    if options.at_most is not None and len(fleet.waves) > options.at_most:
        sys.stderr.write(
            f"Fleet {fleet.name} has {len(fleet.waves)} waves, and only {options.at_most} can be run here; "
            "helm did not run.\n"
        )
        return _USAGE
    facts = {
        "fleet": fleet.name,
        "waves": fleet.waves,
        "members": fleet.members,
        "at_once": fleet.at_once,
        "pause_s": fleet.pause_s,
        "protected": fleet.protected,
    }
    sys.stdout.write(f"{json.dumps(facts)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
