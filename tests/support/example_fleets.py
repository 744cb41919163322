"""Example fleets: members' records as their runs leave them, and what is merged from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from pytest_zkrollback.domain.fleet import (
    FleetNotify,
    FleetRecord,
    Member,
    MemberReason,
    MemberState,
    StopRule,
    Wave,
)
from pytest_zkrollback.domain.record import FleetMembership, Mode, Outcome, Record, Revision
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.report.file_names import file_stem
from pytest_zkrollback.report.files import render_json
from pytest_zkrollback.report.fleet.member_run import MemberRun, member_run
from pytest_zkrollback.report.fleet.merge import merge
from pytest_zkrollback.report.outcome import choose_outcome, render_summary
from support.example_records import at, failed, interrupted, refused, running, unverified, verified

FLEET_RUN = "f1ee7000"
KINDS = {
    "verified": verified,
    "failed": failed,
    "unverified": unverified,
    "refused": refused,
    "interrupted": interrupted,
    "running": running,
}


def member_record(
    name: str,
    kind: str = "verified",
    wave: int = 1,
    later_s: float = 0,
    members: int | None = None,
    told_by_fleet: bool = True,
    run_id: str = "",
    revisions: int = 0,
) -> Record:
    """One member's record: an example moved to ``later_s``, with ``revisions`` more in its history."""
    record = KINDS[kind]()
    by = timedelta(seconds=later_s)
    items = tuple(
        each.model_copy(
            update={
                "started_at": each.started_at and each.started_at + by,
                "finished_at": each.finished_at and each.finished_at + by,
            }
            | ({"verdict": Verdict.WAIVED} if told_by_fleet and each.id == "notify" and each.verdict else {})
        )
        for each in record.items
    )
    helm = record.helm.model_copy(
        update={
            "started_at": record.helm.started_at and record.helm.started_at + by,
            "finished_at": record.helm.finished_at and record.helm.finished_at + by,
        }
    )
    record = record.model_copy(
        update={
            "environment": name,
            "cluster": f"{name} (https://{name}.example:6443)",
            "run_id": run_id or f"{abs(hash_of(name)):08x}",
            "items": items,
            "helm": helm,
            "started_at": record.started_at + by,
            "finished_at": record.finished_at and record.finished_at + by,
            "recovered_at": record.recovered_at and record.recovered_at + by,
            "plan": record.plan.model_copy(
                update={
                    "history": tuple(_moved(each, revisions) for each in record.plan.history),
                    "target": record.plan.target and _moved(record.plan.target, revisions),
                    "compared_with": record.plan.compared_with
                    and _moved(record.plan.compared_with, revisions),
                }
            ),
            "revision_before": _plus(record.revision_before, revisions),
            "target_revision": _plus(record.target_revision, revisions),
            "revision_after": _plus(record.revision_after, revisions),
            "fleet": FleetMembership(
                fleet="shop",
                fleet_run_id=FLEET_RUN,
                wave=wave,
                members=members,
                told_by_fleet=told_by_fleet,
            ),
        }
    )
    if record.outcome in (Outcome.VERIFIED, Outcome.VERIFIED_WITH_WAIVERS):
        record = record.model_copy(update={"outcome": choose_outcome(items)})
    return record.model_copy(update={"summary": render_summary(record)})


def hash_of(name: str) -> int:
    """A number that is the same in every process."""
    return int.from_bytes(name.encode(), "big") % (1 << 31)


def _plus(number: int | None, more: int) -> int | None:
    return None if number is None else number + more


def _moved(revision: Revision, more: int) -> Revision:
    return revision.model_copy(
        update={
            "revision": revision.revision + more,
            "rollback_of": _plus(revision.rollback_of, more),
        }
    )


def plan(waves: Sequence[Sequence[str]], **changes: object) -> FleetRecord:
    """What the fleet's process writes down before anything is begun."""
    return FleetRecord(
        **{
            "fleet": "shop",
            "fleet_run_id": FLEET_RUN,
            "mode": Mode.ROLLBACK,
            "target": "app:2026.11.4",
            "reason": "backend crash-loops since 2026.11.5",
            "next_steps": "fix POOL_SIZE, then deploy 2026.11.6",
            "incident": "https://tickets.example/INC-4711",
            "operator": "ada@workstation",
            "command_line": "pytest --fleet=shop --rollback-to=app:2026.11.4",
            "started_at": at(-4),
            "at_once": 4,
            "pause_s": 5,
            "stop": StopRule(failures=0),
            "waves": tuple(
                Wave(number=number, members=tuple(names)) for number, names in enumerate(waves, 1)
            ),
            "members": tuple(
                Member(environment=name, wave=number)
                for number, names in enumerate(waves, 1)
                for name in names
            ),
            "versions": {"pytest-zkrollback": "0.1.0", "Python": "3.11.2"},
            **changes,
        }
    )


def regions(count: int) -> list[list[str]]:
    """A canary, a fifth, and the rest: ``eu-canary``, ``eu-01`` ..., ``us-01`` ..."""
    first = max(1, count // 5)
    rest = count - 1 - first
    return [
        ["eu-canary"],
        [f"eu-{n:02}" for n in range(1, first + 1)],
        [f"us-{n:02}" for n in range(1, rest + 1)],
    ]


def rolled_back(
    waves: Sequence[Sequence[str]],
    bad: Mapping[str, str] | None = None,
    until_wave: int | None = None,
    at_once: int = 4,
) -> FleetRecord:
    """A fleet's run: ``bad`` says what else than verified became of a member; waves after the last are not begun."""
    runs: list[MemberRun] = []
    begins, kinds, total = 0.0, bad or {}, sum(map(len, waves))
    last = until_wave or len(waves)
    for number, names in enumerate(waves[:last], 1):
        ends = begins
        for index, name in enumerate(names):
            later = begins + index // at_once * 11 + index % at_once * 0.4
            record = member_record(
                name, kinds.get(name, "verified"), number, later, total, revisions=index % 7
            )
            runs.append(member_run(record, f"{file_stem(record)}.json", f"{file_stem(record)}.html"))
            ends = max(ends, later + 11)
        begins = ends + 5
    base = plan(
        waves, finished_at=at(begins), notify=FleetNotify(verdict=Verdict.PASS, observed="slack answered: ok")
    )
    members = tuple(
        each.model_copy(update={"state": MemberState.NOT_STARTED, "reason": MemberReason.WAVE_FAILED})
        if each.wave > last
        else each
        for each in base.members
    )
    return merge(base.model_copy(update={"members": members}), runs)


def write_members(folder: Path, records: Sequence[Record]) -> None:
    """The members' JSON files, named as their runs name them."""
    for record in records:
        (folder / f"{file_stem(record)}.json").write_text(render_json(record), encoding="utf-8")


def _without_pages(record: FleetRecord) -> FleetRecord:
    members = tuple(each.model_copy(update={"page": "", "record": ""}) for each in record.members)
    return record.model_copy(update={"members": members})


# Those of docs/gallery/, whose members' reports are not there.
GALLERY_FLEETS: dict[str, Callable[[], FleetRecord]] = {
    "fleet-of-40": lambda: _without_pages(rolled_back(regions(40), {"eu-03": "failed"}, until_wave=2)),
    "fleet-of-100": lambda: _without_pages(
        rolled_back(
            regions(100),
            {"eu-03": "failed", "eu-05": "unverified", "eu-09": "interrupted", "us-02": "refused"},
            at_once=10,
        ).model_copy(update={"at_once": 10, "stop": StopRule(share=0.2)})
    ),
}
