"""What a run's files are called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..domain.record import Record

if TYPE_CHECKING:
    from ..domain.fleet import FleetRecord


def file_stem(record: Record) -> str:
    """``20261123T115039Z-drill-1a2b3c4d``: sorts by time and is a file name on every system."""
    name = f"{record.environment[:40]}-{record.run_id[:16]}"
    return f"{record.started_at:%Y%m%dT%H%M%SZ}-{_cleaned(name)}"


def fleet_stem(record: FleetRecord) -> str:
    """``20261123T115039Z-fleet-eu-1a2b3c4d``: the same for a fleet's own files."""
    name = f"fleet-{record.fleet[:40]}-{record.fleet_run_id[:16]}"
    return f"{record.started_at:%Y%m%dT%H%M%SZ}-{_cleaned(name)}"


def environment_part(environment: str) -> str:
    """What every :func:`file_stem` of a run of ``environment`` holds."""
    return f"-{_cleaned(f'{environment[:40]}-')}"


def _cleaned(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)
