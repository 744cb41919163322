"""One release as its users meet it, run after run: what a proposed command would do to it.

The history, the journal, the guards and the advice are the real ones; helm, the cluster and the checklist are
a model of them (docs/helm-facts.md says what helm does). A revision holds a content; a content serves or not;
two objects, so that half of it can be applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.checks import JsonObject
from pytest_zkrollback.domain.command_line import split_command
from pytest_zkrollback.domain.decision import Answer, SignalName, SignalReading
from pytest_zkrollback.domain.item_ids import judges_revision
from pytest_zkrollback.domain.record import (
    GREEN_OUTCOMES,
    Delivery,
    Guard,
    GuardReason,
    GuardState,
    Helm,
    Item,
    Mode,
    Outcome,
    Override,
    Plan,
    Record,
    Revision,
)
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.preflight.decision import decide
from pytest_zkrollback.preflight.guards.release import judge_pending, judge_stranded, judge_target
from pytest_zkrollback.preflight.overrides import apply_overrides
from pytest_zkrollback.preflight.probe import ProbeResult
from pytest_zkrollback.preflight.recovery import choose_recovery, recovery_reasons
from pytest_zkrollback.preflight.target import choose_target, describe_history
from pytest_zkrollback.release.helm_secret import Release
from pytest_zkrollback.release.history import ReleaseHistory
from pytest_zkrollback.report.advised_steps import as_lines
from pytest_zkrollback.report.next_commands import advise
from pytest_zkrollback.report.outcome import add_up
from pytest_zkrollback.rollback.redeploy_risks import find_rolled_back_from

START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
ENV = Environment(
    name="shop",
    context="shop",
    namespace="shop",
    release="web",
    url="http://shop.example",
    workloads={"web": "deployment/web"},
)
# How helm may end.
OK, NO_REVISION, NOTHING, HALF, ALL = "ok", "no revision", "nothing applied", "half applied", "all applied"
WAITED = "all applied, and not waited for"  # `--wait` ran out of time
HELM_ENDS = (OK, NO_REVISION, NOTHING, HALF, ALL)
ITEMS = (
    "preflight",
    "rollback",
    "release-equivalence",
    "rollout-web",
    "smoke",
    "logs",
    "health-database",
    "events",
    "migration",
    "notify",
)


@dataclass
class Row:
    """A revision of the release."""

    number: int
    status: str
    content: str
    at: datetime
    description: str = "Upgrade complete"
    rollback_of: int | None = None


@dataclass
class Model:
    """The release, what runs, the journal, and which contents serve."""

    good: frozenset[str]
    rows: list[Row] = field(default_factory=list)
    live: list[str] = field(default_factory=lambda: ["", ""])
    journal: list[JsonObject] = field(default_factory=list)
    now: datetime = START
    runs: int = 0

    # What others do.

    def upgrade(self, content: str, ends: str = OK) -> Model:
        """A pipeline's `helm upgrade`; also one that hangs until its process is killed (NOTHING)."""
        self._apply(content, ends, None)
        return self

    def by_hand(self, number: int, ends: str = OK) -> Model:
        """Raw `helm rollback`; also one that waits for its pods in vain (WAITED)."""
        self._apply(self.row(number).content, ends, number)
        return self

    def uninstall(self) -> Model:
        """`helm uninstall --keep-history`."""
        self.rows[-1].status, self.live = "uninstalled", ["", ""]
        return self

    def wait(self, minutes: int = 20) -> Model:
        """Time goes by: what is pending is stale."""
        self.now += timedelta(minutes=minutes)
        return self

    def row(self, number: int) -> Row:
        return next(row for row in self.rows if row.number == number)

    @property
    def serves(self) -> bool:
        """Whether users are served."""
        return self.live[0] == self.live[1] and self.live[0] in self.good

    @property
    def is_verified(self) -> bool:
        """Whether users are served by what this tool verified last."""
        head = self.rows[-1]
        known = describe_history(self.history(), self.journal)["verified_revisions"]
        return self.serves and head.number in known and self.live == [head.content] * 2

    def history(self) -> ReleaseHistory:
        releases = [
            Release(
                Revision(
                    revision=row.number,
                    status=row.status,
                    chart=f"web-1.{row.number}.0",
                    app_version=row.content,
                    deployed_at=row.at,
                    description=row.description,
                    rollback_of=row.rollback_of,
                ),
                manifest=row.content,
            )
            for row in self.rows
        ]
        return ReleaseHistory("shop", "web", tuple(releases))

    def _apply(self, content: str, ends: str, back: int | None) -> None:
        """docs/helm-facts.md, 1 to 4."""
        self.now += timedelta(minutes=1)
        if ends == NO_REVISION:
            return
        verb = "Upgrade" if back is None else "Rollback"
        said = "Upgrade complete" if back is None else f"Rollback to {back}"
        number = self.rows[-1].number + 1 if self.rows else 1
        if ends in (OK, HALF):
            for row in self.rows:
                if row.status == "deployed" and (ends == OK or back is not None):
                    row.status = "superseded"
        status = {OK: "deployed", HALF: "failed", WAITED: "failed"}.get(ends, f"pending-{verb.lower()}")
        if ends == HALF:
            said = f'{verb} "web" failed: immutable'
        if ends == WAITED:  # helm writes over what it went back to
            said, back = 'Release "web" failed: context deadline exceeded', None
        self.rows.append(Row(number, status, content, self.now, said, back))
        self.live = {NOTHING: self.live, HALF: [content, self.live[1]]}.get(ends, [content, content])

    # One run of the tool.

    def run(
        self,
        typed: str,
        *,
        helm: str = OK,
        blind: bool = False,
        looks: bool = True,
        untold: bool = False,
        drift: bool = False,
        cut: str = "",
    ) -> Record:
        """What became of a command line of ours, as its record with what it proposes next.

        ``blind``: the checks see nothing. ``looks``: the preflight sees whether users are affected. ``untold``:
        the team could not be told. ``drift``: an object is not as stated, and users do not notice. ``cut``:
        interrupted `before`, `while` or `after` helm.
        """
        self.runs += 1
        self.now += timedelta(minutes=1)
        given: dict[str, list[str]] = {}
        for option, words in split_command(typed):
            if option is not None:
                value = words[1] if len(words) > 1 else words[0].partition("=")[2]
                given.setdefault(option.name, []).append(value)
        asked = self._asked(given)
        before = self.history()
        head = before.head.revision.revision
        waivers = dict(each.partition("=")[::2] for each in given.get("--rollback-waive", ()))
        facts: dict[str, Any] = {
            "run_id": f"{self.runs:08x}",
            "mode": self._mode(given, asked),
            "environment": "shop",
            "namespace": "shop",
            "release": "web",
            "command_line": typed,
            "started_at": self.now,
            "finished_at": self.now,
            "revision_before": head,
            "revision_after": head,
            "overrides": tuple(Override(id=key, kind="item", reason=why) for key, why in waivers.items()),
        }
        left = before.find_replaced(head) if before.head.revision.rollback_of else None
        plan = Plan(
            rolled_back_from=find_rolled_back_from(
                before.head.revision, left.revision if left else None, helm_ran=False
            ),
            **describe_history(before, self.journal),
        )
        if asked is None:
            same = before.content_of(before.origin(head))
            plan = plan.model_copy(update={"target": same.revision if same else None})
            return self._judged(
                Record(**facts, plan=plan, target_revision=head), blind, untold, drift, waivers
            )
        seen = Answer.UNKNOWN if not looks else Answer.NO if self.serves else Answer.YES
        said = {
            SignalName(k): Answer(v) for k, v in (s.split("=") for s in given.get("--rollback-signal", ()))
        }
        reading = {SignalName.USERS_IMPACTED: SignalReading(seen, "cluster and /health", "as seen")}
        facts["decision"] = decide(reading, said, "roll back")
        guards, target = self._guards(asked, given)
        content = before.content_of(target) if target is not None else None
        facts |= {
            "guards": guards,
            "target_revision": target,
            "plan": plan.model_copy(update={"target": content.revision if content else None}),
        }
        if any(guard.state == GuardState.REFUSED for guard in guards):
            return self._told(Record(**facts, outcome=Outcome.REFUSED))
        if "--rollback-plan" in given:
            return self._told(Record(**facts, outcome=Outcome.PLANNED))
        if cut == "before":
            return self._told(Record(**facts, outcome=Outcome.INTERRUPTED))
        assert content is not None and target is not None
        number = content.revision.revision
        if self._is_live(number):
            record = Record(**facts, helm=Helm(skipped_reason="it is live already"))
            return self._judged(record, blind, untold, drift, waivers)
        self.journal.append(
            {"run_id": facts["run_id"], "head_before": head, "target": target, "asked": asked}
        )
        self._apply(content.manifest, helm, number)
        after = self.history()
        now = after.head.revision
        self.journal[-1]["head_after"] = now.revision
        known = describe_history(after, self.journal[:-1])
        ran = Helm(ran=True, exit_code=0 if helm == OK else 1)
        facts |= {
            "revision_after": now.revision,
            "plan": facts["plan"].model_copy(update={**known, "rolled_back_from": before.head.revision}),
            "helm": ran,
        }
        if cut == "while":
            still = ran.model_copy(update={"running": True, "exit_code": None})
            facts |= {"helm": still, "revision_after": None, "plan": plan}
        if cut:
            return self._told(Record(**facts, outcome=Outcome.INTERRUPTED))
        return self._judged(Record(**facts), blind, untold, drift, waivers)

    def after(self, command: str) -> tuple[Model, Record | None]:
        """The release after somebody typed this, all going well; and the record, if it is one of ours."""
        model = deepcopy(self)
        if not command.startswith("pytest "):
            assert command.startswith(("helm history ", "helm list ", "helm get ", "kubectl ")), command
            return model, None
        return model, model.run(command)

    @staticmethod
    def _asked(given: dict[str, list[str]]) -> int | str | None:
        target = given.get("--rollback-to", [None])[-1]
        if target is None and "--rollback-recover" in given:
            return "recover"
        if target is None:
            return "previous" if "--rollback-plan" in given else None
        return int(target) if target.isdecimal() else target

    @staticmethod
    def _mode(given: dict[str, list[str]], asked: int | str | None) -> Mode:
        if "--rollback-plan" in given:
            return Mode.PLAN
        if "--rollback-recover" in given:
            return Mode.RECOVER
        return Mode.VERIFY if asked is None else Mode.ROLLBACK

    def _guards(self, asked: int | str, given: dict[str, list[str]]) -> tuple[tuple[Guard, ...], int | None]:
        history = self.history()
        if asked == "recover":
            choice = choose_recovery(history, self.journal)
        else:
            choice = choose_target(asked, history, self.journal)
        guards = [judge_pending(ProbeResult(history), self.now)]
        recovers = "--rollback-recover" in given
        guards += [judge_stranded(ProbeResult(history))] if recovers else []
        if any(guard.reason is GuardReason.NOT_STRANDED for guard in guards):
            return tuple(guards), choice.revision
        guards.append(judge_target(ProbeResult(history), ProbeResult(choice), self.journal, ProbeResult()))
        reasons = dict(each.partition("=")[::2] for each in given.get("--rollback-override", ()))
        implied = recovery_reasons(history, self.now) if recovers else {}
        return apply_overrides(guards, {**implied, **reasons}), choice.revision

    def _is_live(self, number: int) -> bool:
        history, head = self.history(), self.rows[-1]
        same = history.origin(head.number) == history.origin(number)
        alone = len(history.deployed_numbers) == 1
        return same and alone and head.status == "deployed" and self.live == [head.content] * 2

    def _judged(
        self, record: Record, blind: bool, untold: bool, drift: bool, waivers: dict[str, str]
    ) -> Record:
        head = self.rows[-1]
        works = Verdict.PASS if self.serves else Verdict.FAIL
        words = dict.fromkeys(ITEMS, works)
        words |= dict.fromkeys(("preflight", "events", "migration", "notify"), Verdict.PASS)
        equal = self.live == [head.content] * 2 and not drift
        words["release-equivalence"] = Verdict.PASS if equal else Verdict.FAIL
        if head.status.startswith("pending"):
            words["release-equivalence"] = Verdict.UNVERIFIED
        elif head.status != "deployed":
            words["release-equivalence"] = Verdict.FAIL
        if blind:
            words |= dict.fromkeys([each for each in ITEMS if judges_revision(each)], Verdict.UNVERIFIED)
        if untold:
            words["notify"] = Verdict.FAIL
        words |= dict.fromkeys(waivers, Verdict.WAIVED)
        made = record.revision_after != record.revision_before and head.status == "deployed"
        words["rollback"] = Verdict.PASS if made or not record.helm.ran else Verdict.FAIL
        if record.mode is Mode.VERIFY:
            del words["rollback"]
        items = tuple(
            Item(id=key, title=key, verdict=word, observed="as seen", command=f"kubectl get {key}")
            for key, word in words.items()
        )
        outcome = add_up(words)
        failed = [key for key, word in words.items() if word is Verdict.FAIL and judges_revision(key)]
        note: JsonObject = {"run_id": record.run_id}
        at = self.now.isoformat()
        if outcome in GREEN_OUTCOMES:
            note |= {"verified_revision": head.number, "verified_at": at}
        elif failed and words.get("rollback") is not Verdict.FAIL:
            note |= {"failed_revision": head.number, "failed_items": failed, "failed_at": at}
        self.journal.append(note)
        told = Delivery(to="slack", ok=not untold, refused=untold)
        return self._told(
            record.model_copy(update={"items": items, "outcome": outcome, "deliveries": (told,)})
        )

    @staticmethod
    def _told(record: Record) -> Record:
        advice = advise(record, ENV)
        return record.model_copy(update={"advice": advice, "next_commands": as_lines(advice)})


def commands(record: Record) -> Sequence[str]:
    """What is proposed to be typed."""
    return [line for line in record.next_commands if not line.startswith("# ")]
