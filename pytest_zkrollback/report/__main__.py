"""Renders a record again, offline: ``python -m pytest_zkrollback.report render FILE.json``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from ..domain.record import SCHEMA, Record
from .files import replace_file
from .html import render_page
from .junit import render_junit
from .markdown import render_markdown
from .terminal import render_text

FORMATS: dict[str, Callable[[Record], str]] = {
    "html": render_page,
    "md": render_markdown,
    "junit": render_junit,
    "text": render_text,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0; 2 where the file cannot be read, is no record, or the output cannot be written."""
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
    render.add_argument("--format", choices=FORMATS, default="html", help="default: html")
    render.add_argument("-o", "--output", type=Path, help="default: standard output")
    options = parser.parse_args(arguments)
    try:
        record = Record.model_validate_json(options.file.read_bytes())
        text = FORMATS[options.format](record)
        if options.output is None:
            sys.stdout.buffer.write(text.encode("utf-8", errors="replace"))
            sys.stdout.flush()
        else:
            replace_file(options.output, text.encode("utf-8", errors="replace"))
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
        return 2
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        sys.stderr.write(f"{options.file} is no record of {SCHEMA}: {where}: {first['msg']}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
