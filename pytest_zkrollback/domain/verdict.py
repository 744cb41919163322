"""The words of judgement."""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from .frozen import Frozen

EVIDENCE_LIMIT_BYTES = 64 * 1024


class Verdict(StrEnum):
    """What an item ends with. Only PASS and an audited WAIVED let a run exit 0."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    UNVERIFIED = "UNVERIFIED"
    WAIVED = "WAIVED"


class Evidence(Frozen):
    """One piece of raw evidence, already cut to a size that a report can carry.

    Build it with :func:`evidence`, which keeps head and tail and states size and digest of the whole.
    """

    title: str = Field(description="What this is, in a few words, e.g. 'Pods of zkprova-backend'")
    text: str = Field(description="The evidence itself; head and tail only if it was cut")
    kind: Literal["text", "log", "json", "diff"] = Field(default="text", description="How to show it")
    size_bytes: int = Field(description="Size of the whole, in bytes of UTF-8, before cutting")
    sha256: str = Field(description="SHA-256 of the whole, before cutting and before redaction")


def evidence(
    title: str,
    text: str,
    kind: Literal["text", "log", "json", "diff"] = "text",
    limit_bytes: int = EVIDENCE_LIMIT_BYTES,
) -> Evidence:
    """Evidence from a text of any size: more than ``limit_bytes`` is kept as head and tail.

    Lone surrogates and NUL (from a broken log) are replaced, so that every rendering can encode it.
    """
    clean = text.encode("utf-8", errors="replace").decode("utf-8").replace("\0", "\N{SYMBOL FOR NULL}")
    raw = clean.encode("utf-8")
    shown = clean
    if len(raw) > limit_bytes:
        half = limit_bytes // 2
        head = raw[:half].decode("utf-8", errors="ignore")
        tail = raw[-half:].decode("utf-8", errors="ignore")
        shown = f"{head}\n[... {len(raw) - 2 * half} of {len(raw)} bytes left out ...]\n{tail}"
    return Evidence(
        title=title, text=shown, kind=kind, size_bytes=len(raw), sha256=hashlib.sha256(raw).hexdigest()
    )


class IgnoredDifference(Frozen):
    """A live field that differs from the manifest, and that the configuration leaves out."""

    what: str = Field(description="the object, Kind/name")
    path: str = Field(description="the field")
    expected: str = Field(description="what the manifest states; of a Secret hidden")
    live: str = Field(description="what is live; of a Secret hidden")
    by: str = Field(default="", description="who set it, if not helm and known")
    entry: str = Field(description="the entry of `ignore`, as it is typed")


class CheckResult(Frozen):
    """A judge's final answer.

    ``observed`` is one sentence that an operator can act on; the proof goes into ``evidence``; ``limits``
    are sentences that say what was not looked into, also where all is green. ``by_hand`` is the shell line
    that shows what is said here; empty: the check's own command does. ``cures`` are shell lines
    that mend what was seen and harm nothing: they are offered to type next. ``ignored`` is what differs and
    does not count. Until ``watch_until`` what a PASS rests on may show that it was none. ``only_by_helm``:
    helm calls the revision failed, and nothing else was found wrong with it.
    """

    word: Verdict
    observed: str
    evidence: tuple[Evidence, ...] = ()
    limits: tuple[str, ...] = ()
    by_hand: str = ""
    cures: tuple[str, ...] = ()
    ignored: tuple[IgnoredDifference, ...] = ()
    watch_until: datetime | None = None
    only_by_helm: bool = False


class Pending(Frozen):
    """A judge's answer while the verdict may still change.

    At the deadline the schedule makes it final: FAIL if the thing was ``seen`` (and not done),
    UNVERIFIED if it was never seen, or if we were too busy to look in time. ``failing``: it looks like a
    failure already, which people are told before it is certain. ``watch_until``: it is decided by then; a
    deadline waits for that, within bounds.
    """

    observed: str
    seen: bool
    failing: bool = False
    evidence: tuple[Evidence, ...] = ()
    by_hand: str = ""
    cures: tuple[str, ...] = ()
    watch_until: datetime | None = None

    def at_deadline(self, deadline_s: float, behind_s: float = 0.0) -> CheckResult:
        """The verdict that this pending state becomes when ``deadline_s`` seconds are over.

        ``behind_s``: by how much we were behind with looking, or with judging what was seen.
        """
        word = Verdict.FAIL if self.seen and not behind_s else Verdict.UNVERIFIED
        said = f"still so after {deadline_s:g} s"
        if behind_s:
            said = (
                f"not known whether still so after {deadline_s:g} s: this machine was {behind_s:.1f} s behind"
            )
        return CheckResult(
            word=word,
            observed=f"{self.observed} ({said})",
            evidence=self.evidence,
            by_hand=self.by_hand,
            cures=self.cures,
        )


Judgement = CheckResult | Pending
