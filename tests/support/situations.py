"""The situations of docs/advice.md: what led to each, on the model of a release, and its record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pytest_zkrollback.domain.forecast import ApplyOutcome, Forecast, ObjectForecast
from pytest_zkrollback.domain.github import Github, PullRequest, WorkflowRun
from pytest_zkrollback.domain.metric import MetricSeries
from pytest_zkrollback.domain.record import Guard, GuardReason, GuardState, Item, Mode, Outcome, Record
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.report.advised_steps import as_lines
from pytest_zkrollback.report.next_commands import advise
from support.advice_model import ALL, ENV, HALF, NO_REVISION, NOTHING, WAITED, Model

BACK = "pytest --env=shop --rollback-to=2"
VERIFY = "pytest --env=shop"
COMMIT = "pytest --env=shop --rollback-to-commit=3f9c2e1"
RUN = "https://github.example/acme/shop/actions/runs/7"
PULL = "https://github.example/acme/shop/pull/12"


def bad(*, verified: bool = True, also: str = "") -> Model:
    """Revision 3 is bad; revision 2 serves, and this tool verified it. ``also`` serves too."""
    model = Model(good=frozenset("ab" + also)).upgrade("a").upgrade("b")
    if verified:
        model.run(VERIFY)
    return model.upgrade("x")


def healthy() -> Model:
    """Revision 2 serves, and this tool verified it."""
    model = Model(good=frozenset("ab")).upgrade("a").upgrade("b")
    model.run(VERIFY)
    return model


def seen_to_fail() -> Model:
    """Revision 3 serves, and a run of this tool saw an object that is not as stated."""
    model = healthy().upgrade("b")
    model.run(VERIFY, drift=True)
    return model


def target_is_bad(*, verified: bool = True) -> Model:
    """The target serves no longer either; revision 1 was verified once."""
    model = Model(good=frozenset("ab")).upgrade("a")
    if verified:
        model.run(VERIFY)
    model.upgrade("b").upgrade("x")
    model.good = frozenset("a")
    return model


def slip() -> Record:
    """6 for 5 in the haste, past the guard: the verified 4 was left for the bad 3."""
    model = bad()
    model.run(BACK)
    return model.run("pytest --env=shop --rollback-to=3 --rollback-override=target=sure")


def changed(record: Record, **changes: Any) -> Record:
    """The record with something else in it, and what it then proposes."""
    record = record.model_copy(update=changes)
    advice = advise(record, ENV)
    return record.model_copy(update={"advice": advice, "next_commands": as_lines(advice)})


def with_items(record: Record, **words: Verdict | None) -> Record:
    """The record with other verdicts (ids with underscores)."""
    items = tuple(
        item.model_copy(update={"verdict": words.get(item.id.replace("-", "_"), item.verdict)})
        for item in record.items
    )
    return changed(record, items=items)


def cured() -> Record:
    """A pod of an older revision stands in the way of a StatefulSet."""
    record = bad().run(BACK)
    cure = "kubectl delete pod db-1 -n shop --context shop"
    items = tuple(
        item.model_copy(update={"verdict": Verdict.FAIL, "cures": (cure,)})
        if item.id == "rollout-web"
        else item.model_copy(update={"verdict": Verdict.UNVERIFIED})
        if item.id in ("smoke", "health-database", "logs")
        else item
        for item in record.items
    )
    return changed(record, items=items, outcome=Outcome.FAILED)


def cured_unverified() -> Record:
    """The files of a ConfigMap were put back, and nobody saw a pod that was not restarted read them again."""
    record = bad().run(BACK)
    cure = "kubectl rollout restart deployment/web -n shop --context shop"
    items = tuple(
        item.model_copy(update={"verdict": Verdict.UNVERIFIED, "cures": (cure,)})
        if item.id == "release-equivalence"
        else item
        for item in record.items
    )
    return changed(record, items=items, outcome=Outcome.UNVERIFIED)


def users_metric() -> Record:
    """All checks of an ordinary deploy pass, and users get errors."""
    record = Model(good=frozenset("abc")).upgrade("a").upgrade("b").upgrade("c").run(VERIFY)
    item = Item(id="metric-errors", title="Errors", verdict=Verdict.FAIL, command="curl metric-errors")
    series = MetricSeries(id=item.id, title="Errors", query="x", max=1, users_impacted=True)
    return changed(record, items=(*record.items, item), metrics=(series,), outcome=Outcome.FAILED)


def came_up() -> Record:
    """Its pods crashed until their database answered; they were complete when the run ended."""
    record = bad().run(BACK)
    items = tuple(
        item.model_copy(update={"verdict": Verdict.FAIL, "came_up_at": record.finished_at})
        if item.id == "rollout-web"
        else item.model_copy(update={"verdict": Verdict.FAIL})
        if item.id == "health-database"
        else item
        for item in record.items
    )
    return changed(record, items=items, outcome=Outcome.FAILED)


def refused(
    *guards: Guard, model: Model | None = None, typed: str = BACK, planned: bool = True, **changes: Any
) -> Record:
    """The run that these guards refuse; without ``planned`` nothing of the release could be read."""
    looked = (model or bad()).run(f"{BACK} --rollback-plan")
    facts: dict[str, Any] = {"mode": Mode.ROLLBACK, "outcome": Outcome.REFUSED, "guards": guards}
    if not planned:
        facts |= {
            "plan": type(looked.plan)(),
            "decision": None,
            "revision_before": None,
            "revision_after": None,
        }
    return changed(looked, command_line=typed, **facts, **changes)


def guard(
    name: str,
    reason: GuardReason,
    consequence: str = "",
    *,
    override: bool = True,
    unknown: bool = False,
    commands: tuple[str, ...] = (),
) -> Guard:
    """A refusal; ``override``: there is an option that goes ahead."""
    return Guard(
        id=name,
        state=GuardState.REFUSED,
        reason=reason,
        unknown=unknown,
        evidence=f"{name}: as seen",
        consequence=consequence,
        override=f"--rollback-override={name}=REASON" if override else "",
        commands=commands,
    )


def forecast(cause: str, model: Model | None = None) -> Record:
    """The dry run of an object failed."""
    found = ObjectForecast(what="Deployment/web", action="change", will=ApplyOutcome.FAIL, cause=cause)
    seen = Forecast(will=ApplyOutcome.FAIL, method="server-side apply", objects=(found,))
    stop = guard("forecast", GuardReason.WOULD_FAIL, "helm would stop halfway. Nothing would be deployed.")
    record = refused(stop, model=model)
    return changed(record, plan=record.plan.model_copy(update={"forecast": seen}))


def github(
    *, run: dict[str, str] | None = None, pull: dict[str, str] | None = None, word: Verdict = Verdict.FAIL
) -> Record:
    """A rollback through GitHub that stopped there."""
    model = bad()
    record = model.run(f"{BACK} --rollback-plan")
    at = record.started_at
    runs = (
        [{"id": 7, "url": RUN, "event": "push", "head_sha": "c" * 40, "created_at": at, **run}] if run else []
    )
    request = PullRequest(**{"number": 12, "url": PULL, "head": "a" * 40, **pull}) if pull else None
    found = Github(
        repository="acme/shop",
        branch="main",
        pull_request=request,
        runs=tuple(WorkflowRun(**each) for each in runs),
    )
    items = (
        Item(id="preflight", title="preflight", verdict=Verdict.PASS),
        Item(id="rollback", title="rollback", verdict=word),
        Item(id="smoke", title="smoke", verdict=Verdict.UNVERIFIED),
    )
    outcome = Outcome.FAILED if word is Verdict.FAIL else Outcome.UNVERIFIED
    return changed(
        record, mode=Mode.GITHUB, outcome=outcome, command_line=COMMIT, github=found, items=items, guards=()
    )


def github_failed_items() -> Record:
    """The pipeline deployed what was asked for, and it does not serve."""
    model = target_is_bad()
    record = model.upgrade("b").run(VERIFY)
    rolled = Item(id="rollback", title="rollback", verdict=Verdict.PASS)
    done = {"id": 7, "url": RUN, "event": "push", "head_sha": "c" * 40, "status": "completed"}
    run = WorkflowRun(**done, conclusion="success", created_at=record.started_at)
    return changed(
        record,
        mode=Mode.GITHUB,
        command_line=COMMIT,
        revision_before=3,
        github=Github(repository="acme/shop", branch="main", runs=(run,)),
        items=(rolled, *record.items),
    )


@dataclass(frozen=True)
class Situation:
    """One row of the page: a heading to stand under, what happened, and the record."""

    part: str
    said: str
    record: Callable[[], Record]


GREEN = "Verified, or nothing to do"
FAILED = "Failed"
LOOKED = "Verified only (`pytest --env=shop`)"
OPEN = "Not verified, interrupted, planned"
TARGET = "Refused: the target"
REFUSED = "Refused: everything else"
GITHUB = "Through GitHub Actions"

_UNREAD = {"planned": False}
SITUATIONS: dict[str, Situation] = {
    "verified": Situation(GREEN, "Rolled back, every item passed.", lambda: bad().run(BACK)),
    "verified-with-waivers": Situation(
        GREEN,
        "Rolled back, the smoke test was waived.",
        lambda: bad().run(f"{BACK} --rollback-waive=smoke=locked"),
    ),
    "verified-with-the-migration-waived": Situation(
        GREEN,
        "The migration was waived, in this run or in the one that made the current revision.",
        lambda: bad().run(f"{BACK} --rollback-waive=migration=later"),
    ),
    "nothing-to-do": Situation(
        GREEN, "The target is live already.", lambda: healthy().run("pytest --env=shop --rollback-to=2")
    ),
    "helm-no-revision": Situation(
        FAILED, "helm failed and made no revision.", lambda: bad().run(BACK, helm=NO_REVISION)
    ),
    "helm-no-revision-healthy": Situation(
        FAILED,
        "helm failed and made no revision, and nothing is known to be wrong with what is live.",
        lambda: healthy().run("pytest --env=shop --rollback-to=1", helm=NO_REVISION),
    ),
    "helm-nothing-applied": Situation(
        FAILED, "A hook failed before anything was applied.", lambda: bad().run(BACK, helm=NOTHING)
    ),
    "helm-half-applied": Situation(FAILED, "helm stopped halfway.", lambda: bad().run(BACK, helm=HALF)),
    "helm-all-applied": Situation(
        FAILED, "A hook failed when everything was applied; it serves.", lambda: bad().run(BACK, helm=ALL)
    ),
    "helm-half-applied-from-a-verified-one": Situation(
        FAILED,
        "helm stopped halfway, away from what served.",
        lambda: healthy().run("pytest --env=shop --rollback-to=1 --rollback-override=target=so", helm=HALF),
    ),
    "items-failed": Situation(
        FAILED, "The target does not serve; an earlier one was verified.", lambda: target_is_bad().run(BACK)
    ),
    "items-failed-none-verified": Situation(
        FAILED,
        "The target does not serve; nothing is known of the earlier one.",
        lambda: target_is_bad(verified=False).run(BACK),
    ),
    "items-failed-nothing-left": Situation(
        FAILED,
        "The target does not serve, and there is no other revision.",
        lambda: Model(good=frozenset()).upgrade("a").upgrade("x").run("pytest --env=shop --rollback-to=1"),
    ),
    "items-failed-after-a-slip": Situation(
        FAILED, "The wrong number was typed, and what was left had been verified.", slip
    ),
    "items-failed-cure": Situation(FAILED, "What was seen names its own cure.", cured),
    "items-failed-came-up": Situation(
        FAILED,
        "Its pods crashed until their database answered, and were complete when the run ended.",
        came_up,
    ),
    "drift-alone": Situation(
        FAILED,
        "An object is not as stated; users are served.",
        lambda: bad().run(BACK, drift=True),
    ),
    "not-told": Situation(FAILED, "Only the team was not told.", lambda: bad().run(BACK, untold=True)),
    "migration-failed": Situation(
        FAILED,
        "Only the migration is not assessed.",
        lambda: changed(with_items(bad().run(BACK), migration=Verdict.FAIL), outcome=Outcome.FAILED),
    ),
    "superseded": Situation(
        FAILED,
        "Somebody else deployed meanwhile.",
        lambda: changed(bad().run(BACK), outcome=Outcome.SUPERSEDED),
    ),
    "verify-green": Situation(LOOKED, "What is live is well.", lambda: healthy().run(VERIFY)),
    "verify-red-after-a-deploy": Situation(
        LOOKED, "An ordinary deploy is bad; an earlier revision was verified.", lambda: bad().run(VERIFY)
    ),
    "verify-red-none-verified": Situation(
        LOOKED, "An ordinary deploy is bad; none was verified.", lambda: bad(verified=False).run(VERIFY)
    ),
    "verify-red-by-a-metric": Situation(
        LOOKED, "Users get errors from an ordinary deploy; every other check passed.", users_metric
    ),
    "verify-red-after-a-rollback": Situation(
        LOOKED,
        "Somebody rolled back by hand, to a revision that is bad.",
        lambda: healthy().upgrade("x").upgrade("b").by_hand(3).run(VERIFY),
    ),
    "verify-red-by-helm-alone": Situation(
        LOOKED,
        "A `helm rollback --wait` by hand ran out of time, and everything came after that.",
        lambda: bad(verified=False).by_hand(2, WAITED).run(VERIFY),
    ),
    "verify-red-stranded": Situation(
        LOOKED,
        "A pipeline's helm died halfway.",
        lambda: healthy().upgrade("x", ALL).wait().run(VERIFY),
    ),
    "unverified": Situation(OPEN, "The checks could see nothing.", lambda: bad().run(BACK, blind=True)),
    "unverified-cure": Situation(
        OPEN, "What could not be verified names what would settle it.", cured_unverified
    ),
    "planned": Situation(
        OPEN, "A rehearsal, users are affected.", lambda: bad().run(f"{BACK} --rollback-plan")
    ),
    "planned-by-name": Situation(
        OPEN,
        "A rehearsal of `previous`: the number that was looked at is what is done.",
        lambda: bad().run("pytest --env=shop --rollback-to=previous --rollback-plan"),
    ),
    "planned-alone": Situation(
        OPEN,
        "A rehearsal of nothing in particular is one of `previous`.",
        lambda: bad().run("pytest --env=shop --rollback-plan"),
    ),
    "planned-by-version": Situation(
        OPEN,
        "A rehearsal of a version: the number that was looked at is what is done.",
        lambda: bad().run("pytest --env=shop --rollback-to=app:b --rollback-plan"),
    ),
    "planned-healthy": Situation(
        OPEN,
        "A rehearsal, and nothing is known to be wrong.",
        lambda: healthy().run("pytest --env=shop --rollback-to=1 --rollback-plan"),
    ),
    "interrupted-before-anything": Situation(
        OPEN,
        "Ctrl-C before the release was read.",
        lambda: changed(bad().run(BACK, cut="before"), revision_before=None, revision_after=None),
    ),
    "interrupted-before-helm": Situation(OPEN, "Ctrl-C before helm.", lambda: bad().run(BACK, cut="before")),
    "interrupted-before-helm-healthy": Situation(
        OPEN,
        "Ctrl-C before helm, and nothing is known to be wrong.",
        lambda: healthy().run("pytest --env=shop --rollback-to=1", cut="before"),
    ),
    "interrupted-while-helm": Situation(
        OPEN, "Told twice to stop while helm runs.", lambda: bad().run(BACK, cut="while")
    ),
    "interrupted-after-helm": Situation(OPEN, "Ctrl-C after helm.", lambda: bad().run(BACK, cut="after")),
    "refused-target-typo": Situation(
        TARGET,
        "There is no such revision, users are affected.",
        lambda: bad().run("pytest --env=shop --rollback-to=99"),
    ),
    "refused-target-typo-healthy": Situation(
        TARGET,
        "There is no such revision, and nothing is known to be wrong.",
        lambda: healthy().run("pytest --env=shop --rollback-to=99"),
    ),
    "refused-target-typo-not-known": Situation(
        TARGET,
        "There is no such revision, and nothing is known of what is live.",
        lambda: bad().run("pytest --env=shop --rollback-to=99", looks=False),
    ),
    "refused-target-failed": Situation(
        TARGET,
        "The target failed when it was deployed.",
        lambda: healthy().upgrade("y", HALF).upgrade("x").run("pytest --env=shop --rollback-to=3"),
    ),
    "refused-target-none": Situation(
        TARGET,
        "`previous`, and there is none.",
        lambda: Model(good=frozenset()).upgrade("x").run("pytest --env=shop --rollback-to=previous"),
    ),
    "refused-target-version": Situation(
        TARGET,
        "No revision has the version that was asked for.",
        lambda: bad().run("pytest --env=shop --rollback-to=app:y"),
    ),
    "refused-stranded": Situation(
        TARGET,
        "`--rollback-recover` of a release that needs none.",
        lambda: healthy().run("pytest --env=shop --rollback-recover"),
    ),
    "refused-cluster": Situation(
        REFUSED,
        "The API server does not answer.",
        lambda: refused(guard("cluster", GuardReason.NO_ANSWER, override=False, unknown=True), **_UNREAD),
    ),
    "refused-cluster-kubeconfig": Situation(
        REFUSED,
        "There is no usable kubeconfig.",
        lambda: refused(guard("cluster", GuardReason.KUBECONFIG, override=False, unknown=True), **_UNREAD),
    ),
    "refused-identity": Situation(
        REFUSED,
        "Another cluster than the pinned one.",
        lambda: refused(guard("identity", GuardReason.OTHER_CLUSTER, "helm would act on another cluster.")),
    ),
    "refused-identity-not-pinned": Situation(
        REFUSED,
        "A protected environment without a pin, and its name was not given.",
        lambda: refused(
            guard("identity", GuardReason.NOT_PINNED, "It may be another cluster."),
            guard("protected", GuardReason.NOT_CONFIRMED, override=False),
            protected=True,
        ),
    ),
    "refused-protected": Situation(
        REFUSED,
        "The environment's name was not given.",
        lambda: refused(guard("protected", GuardReason.NOT_CONFIRMED, override=False), protected=True),
    ),
    "refused-protected-healthy": Situation(
        REFUSED,
        "The environment's name was not given, and nothing is known to be wrong.",
        lambda: refused(
            guard("protected", GuardReason.NOT_CONFIRMED, override=False), model=healthy(), protected=True
        ),
    ),
    "refused-storage": Situation(
        REFUSED,
        "HELM_DRIVER names another store.",
        lambda: refused(guard("storage", GuardReason.HELM_DRIVER, override=False)),
    ),
    "refused-release": Situation(
        REFUSED,
        "There is no such release.",
        lambda: refused(guard("release", GuardReason.NO_RELEASE, override=False), **_UNREAD),
    ),
    "refused-release-unread": Situation(
        REFUSED,
        "The release could not be read.",
        lambda: refused(
            guard("release", GuardReason.NO_ANSWER, override=False, unknown=True),
            guard("pending", GuardReason.NO_ANSWER, override=False, unknown=True),
            guard("target", GuardReason.NO_ANSWER, override=False, unknown=True),
            **_UNREAD,
        ),
    ),
    "refused-pending": Situation(
        REFUSED,
        "A pipeline's helm is at work.",
        lambda: healthy().upgrade("x", ALL).run(BACK),
    ),
    "refused-pending-stranded": Situation(
        REFUSED,
        "A pipeline's helm has died.",
        lambda: healthy().upgrade("x", ALL).wait().run(BACK),
    ),
    "refused-migration": Situation(
        REFUSED,
        "A migration without a way back came with the bad revision.",
        lambda: refused(
            guard(
                "migration",
                GuardReason.IRREVERSIBLE_MIGRATION,
                "The target's code would meet a database that it does not know. The runbook fixes forward here.",
            )
        ),
    ),
    "refused-forecast": Situation(REFUSED, "A quota would stop helm halfway.", lambda: forecast("quota")),
    "refused-forecast-conflict": Situation(
        REFUSED, "Field conflicts alone stand in the way.", lambda: forecast("conflict")
    ),
    "refused-forecast-after-a-red-look": Situation(
        REFUSED,
        "Field conflicts alone, users are served, and an earlier run saw what is live fail.",
        lambda: forecast("conflict", model=seen_to_fail()),
    ),
    "refused-ownership": Situation(
        REFUSED,
        "An object belongs to another release.",
        lambda: refused(guard("ownership", GuardReason.OTHER_OWNER, "The other release would lose it.")),
    ),
    "refused-data-loss": Situation(
        REFUSED,
        "A volume claim would be deleted.",
        lambda: refused(
            guard(
                "data-loss",
                GuardReason.DATA_LOSS,
                "What is in it does not come back.",
                commands=(
                    "kubectl annotate persistentvolumeclaim data helm.sh/resource-policy=keep -n shop",
                ),
            )
        ),
    ),
    "refused-gitops": Situation(
        REFUSED,
        "Argo CD manages the release.",
        lambda: refused(guard("gitops", GuardReason.GITOPS_ACTIVE, "It will put back what its source says.")),
    ),
    "refused-helm-version": Situation(
        REFUSED,
        "helm is missing.",
        lambda: refused(guard("helm-version", GuardReason.NO_HELM, override=False)),
    ),
    "refused-permissions": Situation(
        REFUSED,
        "A right is missing.",
        lambda: refused(guard("permissions", GuardReason.MISSING_RIGHT, "helm would stop halfway.")),
    ),
    "refused-permissions-unread": Situation(
        REFUSED,
        "Whether the rights are there is not known.",
        lambda: refused(guard("permissions", GuardReason.NO_ANSWER, unknown=True)),
    ),
    "refused-hook-running": Situation(
        REFUSED,
        "A hook's Job still runs.",
        lambda: refused(
            guard("hook-running", GuardReason.HOOK_RUNNING, "It may be in the middle of a migration."),
            typed="pytest --env=shop --rollback-recover",
        ),
    ),
    "refused-lock": Situation(
        REFUSED,
        "Another run is at work.",
        lambda: refused(guard("lock", GuardReason.LOCK_HELD, "Two operators would roll back at once.")),
    ),
    "refused-lock-made-another": Situation(
        REFUSED,
        "Another run had the lock, was waited for, and made something else.",
        lambda: refused(
            guard(
                "lock",
                GuardReason.NEW_REVISION,
                "What this run planned may no longer be right: start it again, and it looks anew.",
                override=False,
            )
        ),
    ),
    "refused-lock-unread": Situation(
        REFUSED,
        "The lock cannot be read.",
        lambda: refused(guard("lock", GuardReason.NO_ANSWER, unknown=True)),
    ),
    "refused-head": Situation(
        REFUSED,
        "A revision appeared between the plan and helm.",
        lambda: refused(
            guard(
                "head",
                GuardReason.NEW_REVISION,
                "Somebody else is changing the release; what you meant to undo may be gone.",
            )
        ),
    ),
    "refused-head-unread": Situation(
        REFUSED,
        "Whether a revision appeared is not known.",
        lambda: refused(guard("head", GuardReason.NO_ANSWER, unknown=True)),
    ),
    **{
        f"refused-{name}": Situation(
            GITHUB,
            said,
            lambda name=name, reason=reason, text=text, override=override: refused(
                guard(name, reason, text, override=override, unknown=reason is GuardReason.NO_ANSWER),
                typed=COMMIT,
            ),
        )
        for name, reason, said, text, override in (
            ("github", GuardReason.NO_ANSWER, "GitHub does not answer.", "", False),
            ("commit", GuardReason.NO_SUCH_COMMIT, "There is no such commit.", "", False),
            ("branch", GuardReason.OTHER_TREE, "The branch's tip is another state.", "", False),
            ("token", GuardReason.WEAK_TOKEN, "The token may not write.", "It would stop halfway.", True),
            ("workflow", GuardReason.NO_WORKFLOW, "There is no such workflow.", "", False),
            (
                "workflow-files",
                GuardReason.WORKFLOW_FILES,
                "The good tree has other workflow files.",
                "GitHub would reject the push.",
                True,
            ),
            (
                "branch-rules",
                GuardReason.MERGE_QUEUE,
                "main has a merge queue.",
                "The pull request would wait in vain.",
                True,
            ),
            (
                "other-rollback",
                GuardReason.OTHER_ROLLBACK,
                "Another rollback's pull request is open.",
                "The last one merged decides.",
                True,
            ),
            (
                "verified-before",
                GuardReason.NOT_VERIFIED_BEFORE,
                "No other environment was verified with it.",
                "Users would get what nothing else has run.",
                True,
            ),
        )
    },
    "github-pull-request-open": Situation(
        GITHUB,
        "`--rollback-no-merge`: the pull request stays open.",
        lambda: github(pull={"state": "open"}, word=Verdict.UNVERIFIED),
    ),
    "github-pull-request-waits": Situation(
        GITHUB,
        "The pull request waits for an approval.",
        lambda: github(pull={"state": "open", "pending_approval": "ann has to approve"}),
    ),
    "github-run-waits": Situation(
        GITHUB,
        "The deploy waits for an approval.",
        lambda: github(
            pull={"state": "merged"},
            run={"status": "waiting", "pending_approval": "ann has to approve"},
            word=Verdict.UNVERIFIED,
        ),
    ),
    "github-run-goes-on": Situation(
        GITHUB,
        "The deploy had not ended in time.",
        lambda: github(pull={"state": "merged"}, run={"status": "in_progress"}, word=Verdict.UNVERIFIED),
    ),
    "github-run-failed": Situation(
        GITHUB,
        "The deploy failed.",
        lambda: github(pull={"state": "merged"}, run={"status": "completed", "conclusion": "failure"}),
    ),
    "github-nothing-done": Situation(GITHUB, "Nothing was deployed: GitHub refused a step.", github),
    "github-items-failed": Situation(
        GITHUB, "The deploy went through, and what it deployed does not serve.", github_failed_items
    ),
    "github-interrupted": Situation(
        GITHUB,
        "Ctrl-C while GitHub is at work.",
        lambda: changed(github(pull={"state": "open"}), outcome=Outcome.INTERRUPTED),
    ),
}
