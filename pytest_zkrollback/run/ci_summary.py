"""In GitHub Actions: the record goes to the job's summary by itself, and warnings become annotations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..domain.record import Record
from ..report.files import Store
from ..report.github_actions import SUMMARY_LIMIT_BYTES, render_annotations, render_job_summary


def publish(record: Record, environ: Mapping[str, str], store: Store) -> list[str]:
    """Append to ``$GITHUB_STEP_SUMMARY``; returns the lines for standard output. Nothing outside of Actions.

    A summary that cannot be written is noted in ``store`` and fails nothing.
    """
    summary = environ.get("GITHUB_STEP_SUMMARY", "")
    if summary:
        try:
            _append(record, Path(summary))
        except OSError as error:
            store.note(f"the job's summary {summary} could not be written: {error.strerror}")
    return render_annotations(record) if environ.get("GITHUB_ACTIONS") == "true" else []


def _append(record: Record, path: Path) -> None:
    taken = path.stat().st_size if path.exists() else 0
    text = render_job_summary(record, SUMMARY_LIMIT_BYTES - taken)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
