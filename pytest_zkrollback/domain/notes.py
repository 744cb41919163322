"""What people add to a record once its run is over: each with its author and its time, none taken back."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from .frozen import Frozen, Time


class NoteKind(StrEnum):
    """Which field of a post-mortem it fills in."""

    NOTE = "note"
    SEVERITY = "severity"
    DETECTED = "detected"
    ROOT_CAUSE = "root-cause"
    LESSON = "lesson"
    ACTION = "action"


class AddedNote(Frozen):
    """One thing that somebody added. A later severity, detection or root cause replaces the earlier one."""

    at: Time = Field(description="when it was added")
    author: str = Field(description="who added it")
    kind: NoteKind = Field(description="note, severity, detected, root-cause, lesson or action")
    text: str = Field(default="", description="in the author's words; detected: by whom or what")
    owner: str = Field(default="", description="action: who does it")
    due: str = Field(default="", description="action: until when, as 2026-12-15; empty: not said")
    detected_at: Time | None = Field(default=None, description="detected: when; null: not said")
