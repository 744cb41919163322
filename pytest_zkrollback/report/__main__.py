"""``python -m pytest_zkrollback.report``: render a record again, add a note to it and tell the team, or merge
the records of a fleet's members."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from ..domain.record import Mode, Record
from .files import replace_file
from .html import render_page
from .junit import render_junit
from .markdown import render_markdown
from .record_problem import explain_problem
from .terminal import render_text

FORMATS: dict[str, Callable[[Record], str]] = {
    "html": render_page,
    "md": render_markdown,
    "junit": render_junit,
    "text": render_text,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0; 2 where the file cannot be read, is no record, or the output cannot be written.

    With ``--refresh-metrics`` 1 where not every metric could be read, and 2 where nothing was changed. Of
    ``merge`` 1 where the fleet is not green.
    """
    parser = argparse.ArgumentParser(
        prog="python -m pytest_zkrollback.report",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    render = commands.add_parser(
        "render",
        help="render a record again",
        description="Render a record again, offline; the page is the one without pytest-html's table.",
    )
    render.add_argument("file", type=Path, help="a record, e.g. reports/latest.json")
    render.add_argument("--format", choices=FORMATS, help="default: html")
    render.add_argument("-o", "--output", type=Path, help="default: standard output")
    render.add_argument(
        "--refresh-metrics",
        action="store_true",
        help="first ask Prometheus again, and write record, page and Markdown anew; no verdict changes",
    )
    render.add_argument("--zkrollback-config", metavar="FILE", help="with --refresh-metrics: as in the run")
    merge = commands.add_parser(
        "merge",
        help="merge the records of a fleet's members into one",
        description="Merge the records of a fleet's members, which lie in a folder and in those below it, "
        "into one record, page, Markdown and JUnit. Exit code 0 only where every member is verified; 1 where "
        "one is not, or is not known; 2 where nothing could be merged.",
    )
    merge.add_argument("folder", type=Path, metavar="DIR", help="where the members' JSON files are")
    merge.add_argument("--fleet", default="", metavar="NAME", help="default: as the records say")
    merge.add_argument(
        "--fleet-run", default="", metavar="ID", help="of several fleet runs in DIR; default: the newest"
    )
    merge.add_argument(
        "--wave",
        action="append",
        default=[],
        metavar="A,B",
        help="the members that there have to be, wave by wave; again for the next wave; default: as the "
        "fleet's own record says, or the members' records",
    )
    merge.add_argument(
        "--mode",
        type=Mode,
        choices=tuple(Mode),
        metavar=f"{{{','.join(Mode)}}}",
        help="what the members were to do: with rollback, preflights alone are no success; default: as the "
        "records say",
    )
    merge.add_argument("-o", "--output", type=Path, metavar="DIR", help="default: the same folder")
    note = commands.add_parser(
        "note",
        help="add to a record what only people know, and tell the team",
        description="Add to a record what only people know: a note, or fields of a post-mortem. The page, "
        "the Markdown and the bundle beside it are made again. No verdict changes.",
    )
    note.add_argument("file", type=Path, help="a record, e.g. reports/latest.json")
    note.add_argument("text", nargs="?", default="", help="a note, in your own words")
    note.add_argument("--severity", default="", metavar="WORD", help="in your company's words, e.g. SEV2")
    note.add_argument("--detected", default="", metavar="TEXT", help="by whom or what it was noticed")
    note.add_argument("--detected-at", default="", metavar="TIME", help="when: 02:11, 20m or RFC 3339")
    note.add_argument("--root-cause", default="", metavar="TEXT", help="a later one takes its place")
    note.add_argument("--lesson", action="append", default=[], metavar="TEXT", help="may be given again")
    note.add_argument(
        "--action",
        action="append",
        default=[],
        metavar='"OWNER: TEXT"',
        help="what is to be done; again for more",
    )
    note.add_argument(
        "--due", default="", metavar="DATE", help="of the actions of this command, e.g. 2026-12-15"
    )
    note.add_argument("--notify", action="store_true", help="tell it to the team, as an addendum")
    note.add_argument("--zkrollback-config", metavar="FILE", help="as in the run")
    options = parser.parse_args(arguments)
    if options.command == "merge":
        from .fleet.command import merge_records

        return merge_records(
            options.folder,
            fleet=options.fleet,
            fleet_run_id=options.fleet_run,
            waves=options.wave,
            mode=options.mode,
            output=options.output,
        )
    if options.command == "note":
        from ..run.addendum import Additions, add_note  # brings the network along

        typed = Additions(
            text=options.text,
            severity=options.severity,
            detected=options.detected,
            detected_at=options.detected_at,
            root_cause=options.root_cause,
            lessons=tuple(options.lesson),
            actions=tuple(options.action),
            due=options.due,
        )
        return add_note(options.file, typed, notify=options.notify, config=options.zkrollback_config)
    code = 0
    if options.refresh_metrics:
        from ..run.refresh_metrics import NOTHING_DONE, refresh_metrics  # brings the network along

        code = refresh_metrics(options.file, options.zkrollback_config)
        if code == NOTHING_DONE or (options.format is None and options.output is None):
            return code
    try:
        record = Record.model_validate_json(options.file.read_bytes())
        text = FORMATS[options.format or "html"](record)
        if options.output is None:
            sys.stdout.buffer.write(text.encode("utf-8", errors="replace"))
            sys.stdout.flush()
        else:
            replace_file(options.output, text.encode("utf-8", errors="replace"))
    except (OSError, ValidationError) as problem:
        sys.stderr.write(f"{explain_problem(options.file, problem)}\n")
        return 2
    return code


if __name__ == "__main__":
    raise SystemExit(main())
