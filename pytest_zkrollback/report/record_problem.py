"""Why a record's file cannot be used, for the commands that take one."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ..domain.errors import ZkRollbackError
from ..domain.record import SCHEMA

RecordProblem = (OSError, ValidationError, ZkRollbackError)


def explain_problem(file: Path, problem: Exception) -> str:
    """One of :data:`RecordProblem` as one line: ``file is no record of zkrollback.record/1: run_id: ...``."""
    if isinstance(problem, ValidationError):
        first = problem.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        return f"{file} is no record of {SCHEMA}: {where}: {first['msg']}"
    if isinstance(problem, OSError):
        return f"{problem.filename}: {problem.strerror}"
    return str(problem)
