"""The record: one frozen model that holds all that any rendering needs. Its JSON is the contract.

Revisions are integers, times aware and UTC (RFC 3339 in JSON), durations seconds (``_s``), sizes bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from pydantic import ConfigDict, Field

from .change_summary import ChangeSummary
from .commit_range import CommitRange
from .decision import Decision
from .earlier_run import EarlierRun
from .forecast import Forecast
from .frozen import Frozen, FrozenFile, Time
from .github import Github
from .metric import MetricSeries
from .notes import AddedNote
from .verdict import Evidence, IgnoredDifference, Verdict

SCHEMA = "zkrollback.record/1"


class Mode(StrEnum):
    """What was asked for."""

    ROLLBACK = "rollback"
    VERIFY = "verify"
    PLAN = "plan"
    RECOVER = "recover"
    GITHUB = "github"


class Outcome(StrEnum):
    """How the run stands."""

    RUNNING = "running"
    PLANNED = "planned"
    VERIFIED = "verified"
    VERIFIED_WITH_WAIVERS = "verified-with-waivers"
    FAILED = "failed"
    UNVERIFIED = "unverified"
    SUPERSEDED = "superseded"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"


# Somebody may rely on what is live.
GREEN_OUTCOMES = (Outcome.VERIFIED, Outcome.VERIFIED_WITH_WAIVERS)


class Revision(Frozen):
    """One revision of the release, from Helm's own history."""

    revision: int = Field(description="its number in the release's history")
    status: str = Field(description="Helm's word: deployed, superseded, failed, pending-rollback, ...")
    chart: str = Field(description="chart name and version, e.g. zkprova-1.6.0")
    app_version: str = Field(default="", description="the chart's appVersion")
    deployed_at: Time = Field(description="when Helm deployed it")
    description: str = Field(default="", description="Helm's own sentence, e.g. 'Rollback to 5'")
    rollback_of: int | None = Field(default=None, description="the revision that this one rolled back to")
    images: tuple[str, ...] = Field(default=(), description="container images of its manifest, sorted")


class Item(Frozen):
    """One item of the checklist (or preflight, rollback, release-equivalence) with its verdict."""

    id: str = Field(description="ASCII id, also pytest's parameter, e.g. rollout-backend")
    title: str = Field(description="the runbook's line in a person's words")
    verdict: Verdict | None = Field(default=None, description="None while it is still being judged")
    expected: str = Field(default="", description="what has to be seen for PASS")
    observed: str = Field(default="", description="what was seen, in one sentence")
    command: str = Field(default="", description="the command that repeats it by hand")
    started_at: Time | None = Field(default=None, description="when judging began")
    finished_at: Time | None = Field(
        default=None, description="when what was seen last was judged; a PASS after the soak: at its end"
    )
    evidence: tuple[Evidence, ...] = Field(default=(), description="the proof, cut to a size one can carry")
    limits: tuple[str, ...] = Field(default=(), description="sentences: what was not looked into")
    cures: tuple[str, ...] = Field(
        default=(), description="shell lines that mend what was seen and harm nothing; offered to type next"
    )
    came_up_at: Time | None = Field(
        default=None,
        description="a rollout that failed: when its workload was complete all the same, at the run's end",
    )
    ignored: tuple[IgnoredDifference, ...] = Field(
        default=(), description="what differs from the manifest and does not count: `ignore` leaves it out"
    )


class GuardState(StrEnum):
    """What a guard says, and what became of it."""

    OK = "ok"
    WARNED = "warned"
    REFUSED = "refused"
    OVERRIDDEN = "overridden"


class GuardReason(StrEnum):
    """Why a guard warns or refuses."""

    NO_ANSWER = "no-answer"  # what it asks about could not be read
    KUBECONFIG = "kubeconfig"  # there is none, or it does not have what the environment names
    CONFIGURATION = "configuration"  # a key that does not go with the target
    NOT_PINNED = "not-pinned"
    OTHER_CLUSTER = "other-cluster"
    NOT_CONFIRMED = "not-confirmed"
    OTHER_ENVIRONMENT = "other-environment"
    HELM_DRIVER = "helm-driver"
    OTHER_STORE = "other-store"
    OTHER_NAMESPACE = "other-namespace"
    NO_NAMESPACE = "no-namespace"
    NO_RELEASE = "no-release"
    COPIED_RECORD = "copied-record"  # a Secret that helm finds by its labels, and does not read by its name
    UNDER_WAY = "under-way"
    STRANDED = "stranded"
    NOT_STRANDED = "not-stranded"
    UNINSTALLING = "uninstalling"
    UNINSTALLED = "uninstalled"
    SEVERAL_DEPLOYED = "several-deployed"
    NONE_DEPLOYED = "none-deployed"
    NO_TARGET = "no-target"
    NO_SUCH_REVISION = "no-such-revision"
    FAILED_REVISION = "failed-revision"
    JUDGED_FAILED = "judged-failed"  # by this tool
    ROLLED_AWAY_FROM = "rolled-away-from"
    IRREVERSIBLE_MIGRATION = "irreversible-migration"
    START_DOES_NOT_KNOW_SCHEMA = "start-does-not-know-schema"
    WOULD_FAIL = "would-fail"
    IMAGE_ON_NO_NODE = "image-on-no-node"
    NO_RESTART = "no-restart"
    NOT_AS_TARGET = "not-as-target"
    OTHER_OWNER = "other-owner"
    DATA_LOSS = "data-loss"
    GITOPS_ACTIVE = "gitops-active"
    GITOPS_SUSPENDED = "gitops-suspended"
    CHANGED_BY_OTHERS = "changed-by-others"
    AUTOSCALER = "autoscaler"
    NO_HELM = "no-helm"
    OLDER_HELM = "older-helm"
    MISSING_RIGHT = "missing-right"
    CLOCKS_DIFFER = "clocks-differ"
    CHANNEL_UNUSABLE = "channel-unusable"
    HOOK_RUNNING = "hook-running"
    LOCK_HELD = "lock-held"
    NEW_REVISION = "new-revision"
    NEW_STATUS = "new-status"
    NO_SUCH_COMMIT = "no-such-commit"
    NOT_AN_ANCESTOR = "not-an-ancestor"
    ARCHIVED = "archived"
    WEAK_TOKEN = "weak-token"  # noqa: S105 - a reason, not a password
    NO_WORKFLOW = "no-workflow"
    WORKFLOW_DISABLED = "workflow-disabled"
    WORKFLOW_FILES = "workflow-files"
    NOT_ALL_FILES = "not-all-files"
    MERGE_QUEUE = "merge-queue"
    SIGNATURES = "signatures"
    REVIEWS_NEEDED = "reviews-needed"
    WORKFLOW_RUNNING = "workflow-running"
    OTHER_ROLLBACK = "other-rollback"
    OTHER_TREE = "other-tree"
    NOT_VERIFIED_BEFORE = "not-verified-before"


def origin_of(revision: Revision, find: Callable[[int], Revision | None]) -> int:
    """The number of the revision that first had its content: "Rollback to N" followed to its beginning.

    ``find`` gives the revision of a number. What is found may have been pruned meanwhile.
    """
    while (earlier := revision.rollback_of) is not None and earlier < revision.revision:
        found = find(earlier)
        if found is None:
            return earlier
        revision = found
    return revision.revision


class Guard(Frozen):
    """One question asked before helm ran."""

    id: str = Field(description="the guard's name, as --rollback-override takes it")
    state: GuardState = Field(description="ok, warned, refused or overridden")
    reason: GuardReason | None = Field(
        default=None, description="why it warns or refuses (no-answer: it could not be read); null: it is ok"
    )
    unknown: bool = Field(
        default=False,
        description="true: it warns or refuses because something could not be found out, not on evidence",
    )
    evidence: str = Field(description="what was seen")
    consequence: str = Field(default="", description="what could happen if helm ran all the same")
    override: str = Field(default="", description="the option that goes ahead all the same; empty: none")
    commands: tuple[str, ...] = Field(
        default=(), description="shell lines that take the reason away and harm nothing, to be typed first"
    )

    @classmethod
    def not_known(cls, guard_id: str, evidence: str, consequence: str = "") -> Guard:
        """One that warns because something could not be found out."""
        return cls(
            id=guard_id,
            state=GuardState.WARNED,
            reason=GuardReason.NO_ANSWER,
            unknown=True,
            evidence=evidence,
            consequence=consequence,
        )


class Override(Frozen):
    """A guard, item or decision that an operator overrode, with the reason given."""

    id: str = Field(description="which guard, item or setting")
    kind: str = Field(description="guard, item or configuration")
    reason: str = Field(description="the operator's words")


class Helm(Frozen):
    """What became of helm: the one process that changes anything."""

    ran: bool = Field(default=False, description="True from the moment before the process is started")
    running: bool = Field(
        default=False, description="True while the process lives, or if its end was not seen"
    )
    pid: int | None = Field(default=None, description="its process id, while or after it ran")
    argv: tuple[str, ...] = Field(default=(), description="the command as started, one element each")
    version: str = Field(default="", description="what 'helm version' said")
    exit_code: int | None = Field(default=None, description="None: not ended, or its end was not seen")
    started_at: Time | None = Field(default=None, description="when the process was started")
    finished_at: Time | None = Field(default=None, description="when its end was seen")
    stdout_tail: str = Field(default="", description="the end of its standard output")
    stderr_tail: str = Field(default="", description="the end of its standard error")
    came_between: tuple[int, ...] = Field(
        default=(),
        description="revisions that somebody else made between this run's last look and its helm, which "
        "left them, too",
    )
    beside: tuple[int, ...] = Field(
        default=(),
        description="revisions on which another helm was at work when this run's helm ended, or which Helm "
        "called deployed beside its own",
    )
    skipped_reason: str = Field(
        default="", description="why it was not run although a rollback was asked for"
    )


class Backup(Frozen):
    """The release's own Secrets, saved before helm ran; docs/backup.md says how to put them back."""

    path: str = Field(description="the file, on the machine of the run, its owner's alone")
    revisions: int = Field(description="how many revisions it holds")
    digest: str = Field(description="sha256 of the file")


class TimelineEntry(Frozen):
    """Something that happened, when, and who says so."""

    at: Time = Field(description="when it happened, by the source's clock")
    event: str = Field(description="what happened, in one sentence")
    source: str = Field(description="helm, kubernetes, health, slack, zkrollback, operator ...")
    item: str = Field(default="", description="the item whose verdict this is; empty: it is none")
    verdict: Verdict | None = Field(default=None, description="that verdict")


class SamplePoint(Frozen):
    """A point of the recovery picture."""

    at: Time = Field(description="when it was seen")
    series: str = Field(
        description="'replicas/<workload>/<revision or image>', 'wanted/<workload>', "
        "'restarts/<workload>/<image>' or 'health'"
    )
    value: float = Field(
        description="ready or wanted replicas; restarts of containers so far; health: 1 ok, 0 not"
    )


class NotificationEvent(StrEnum):
    """What the team is told of."""

    START = "start"
    VERDICT = "verdict"
    CHANGED = "changed"
    ADDENDUM = "addendum"
    WAVE = "wave"  # of a fleet: it has ended


class Delivery(Frozen):
    """One message to one receiver, and what became of it."""

    to: str = Field(description="the receiver's kind, e.g. slack; never its address")
    event: NotificationEvent = Field(
        default=NotificationEvent.VERDICT,
        description="start, the first verdict, a changed one, an addendum, or the end of a fleet's wave",
    )
    at: Time | None = Field(default=None, description="when it was answered, or given up")
    ok: bool = Field(description="True if the receiver said that it has it")
    refused: bool = Field(
        default=False, description="True if it certainly does not have it; neither: nobody knows"
    )
    unsent: bool = Field(
        default=False, description="True if nothing was sent, because the channel could not be used"
    )
    answer: str = Field(default="", description="what it answered, or why it does not have it")
    message: dict[str, Any] | None = Field(
        default=None, description="the message as sent; in the drill as it was received"
    )


class ObjectionKind(StrEnum):
    """What Helm's history and the journal can say against going back to a revision."""

    UNREADABLE = "unreadable"
    FAILED = "failed"
    JUDGED_FAILED = "judged-failed"
    ROLLED_AWAY_FROM = "rolled-away-from"
    IRREVERSIBLE_MIGRATION = "irreversible-migration"
    SAME_AS_CURRENT = "same-as-current"


class Objection(Frozen):
    """What Helm's history, or the journal, says against going back to one revision."""

    revision: int = Field(description="the revision")
    kind: ObjectionKind = Field(
        description="unreadable: its Secret cannot be decoded; failed: helm did not bring it, or what it "
        "went back to, to its end (failed, failed before it was superseded, pending, uninstalled); "
        "judged-failed: an item of the checklist failed on what it holds, and no later run of this tool "
        "verified that; "
        "rolled-away-from: somebody rolled back away from what it holds; irreversible-migration: an earlier "
        "run found a migration after it that cannot be undone; same-as-current: the current revision holds "
        "the same"
    )
    text: str = Field(description="the same as a predicate: '(revision 5) is failed: ...'")


class Verification(Frozen):
    """That this tool verified what a revision holds."""

    run_id: str = Field(description="the run that did")
    at: Time | None = Field(default=None, description="when; None: not known")


class RevisionFacts(Frozen):
    """What is known of one revision beside Helm's own words and what speaks against it."""

    revision: int = Field(description="its number")
    deployed_for_s: float | None = Field(
        default=None,
        description="from its deploy until the next one that succeeded; None: none did yet, or it never did "
        "itself",
    )
    new_images: tuple[str, ...] = Field(
        default=(), description="images that the revision before it did not have, sorted"
    )
    removed_images: tuple[str, ...] = Field(
        default=(), description="images that only the revision before it has, sorted"
    )
    deployed_by: str = Field(
        default="", description="who deployed it, where this tool did; empty: Helm does not say it"
    )
    verified: Verification | None = Field(
        default=None, description="the newest run that verified what it holds, where none failed on it since"
    )
    taken_by: tuple[str, ...] = Field(
        default=(), description="what of 'previous' and 'last-verified' would take it as the target"
    )


class OwnTestOutcome(StrEnum):
    """What became of an own test: pytest's outcome of its last attempt, or none."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    NOT_RUN = "not-run"  # or not to its end


class OwnTest(Frozen):
    """A test of the repository's own that asks for the fixture ``rollback``; it runs after the checklist."""

    node_id: str = Field(description="pytest's node id")
    outcome: OwnTestOutcome = Field(
        default=OwnTestOutcome.NOT_RUN,
        description="pytest's outcome, of its last attempt; not-run: it did not run, or not to its end",
    )
    first_line: str = Field(
        default="", description="first line of why it failed, was skipped or did not run; may be empty"
    )


class Plan(Frozen):
    """What was known before acting, and of the history after it."""

    target: Revision | None = Field(default=None, description="the revision to go back to")
    compared_with: Revision | None = Field(
        default=None, description="the revision that the diff and the change summary compare the target with"
    )
    rolled_back_from: Revision | None = Field(
        default=None,
        description="the revision that was rolled back from: in this run, or by the rollback that made the "
        "current revision; None: nothing was",
    )
    history: tuple[Revision, ...] = Field(default=(), description="the release's history, oldest first")
    stranded: str = Field(
        default="",
        description="why the release needs a rollback to be led out (a pending revision, none or two "
        "deployed), as a sentence without its end; empty: it needs none, or is not known",
    )
    objections: tuple[Objection, ...] = Field(
        default=(),
        description="what the history and the journal say against going back to a revision, the current one "
        "included, newest first; the newest revision that is not named is offered where another target is "
        "needed",
    )
    verified_revisions: tuple[int, ...] = Field(
        default=(),
        description="revisions whose content this tool verified, by the journal, newest first; not those "
        "whose content failed later; empty also where the journal could not be read",
    )
    revision_facts: tuple[RevisionFacts, ...] = Field(
        default=(), description="what else is known of each revision, newest first"
    )
    forecast: Forecast | None = Field(default=None, description="what helm would meet, object by object")
    diff: str = Field(default="", description="manifest diff, from compared_with to the target")
    change_summary: ChangeSummary | None = Field(
        default=None, description="what going back to the target means"
    )


class StepEffect(StrEnum):
    """What a command does."""

    LOOKS = "looks"
    CHANGES = "changes"
    TELLS = "tells"


class AdvisedStep(Frozen):
    """One of the commands to type next, or a remark, which has no command."""

    command: str = Field(default="", description="a shell line; empty: a remark")
    why: str = Field(default="", description="the sentence before it")
    effect: StepEffect = Field(
        default=StepEffect.LOOKS,
        description="looks: changes nothing; changes: the release or the cluster; tells: people",
    )
    condition: bool = Field(default=False, description="its sentence says what has to be true first")
    instead: bool = Field(default=False, description="it is for when the steps before it do not help")
    overrides: bool = Field(default=False, description="it passes a guard")
    rehearsal: str = Field(
        default="",
        description="the same command, which then changes nothing and passes no guard; empty: none",
    )


class FleetMembership(Frozen):
    """That this run was a member's part of a fleet's run."""

    fleet: str = Field(description="the fleet's name in the configuration")
    fleet_run_id: str = Field(description="of the fleet's run: the same for all its members")
    wave: int = Field(description="the number of the member's wave, counted from 1")
    members: int | None = Field(default=None, description="how many members the fleet has; null: not known")
    told_by_fleet: bool = Field(
        default=False, description="the team is told by the fleet's messages, and not by this run"
    )


class Record(FrozenFile):
    """Everything about one run. The JSON file is this, the other files are rendered from it."""

    model_config = ConfigDict(populate_by_name=True)

    schema_: str = Field(default=SCHEMA, alias="schema", description="name and version of this schema")
    run_id: str = Field(description="8 hex digits, also in the files' names")
    mode: Mode = Field(description="what was asked for")
    outcome: Outcome = Field(default=Outcome.RUNNING, description="how the run stands")
    summary: str = Field(default="", description="one sentence: what is true now")
    environment: str = Field(description="name from the configuration")
    cluster: str = Field(default="", description="context and server address")
    namespace: str = Field(default="", description="Kubernetes namespace of the release")
    release: str = Field(default="", description="name of the Helm release")
    revision_before: int | None = Field(
        default=None, description="the current revision before the run; None: not read"
    )
    target_revision: int | None = Field(default=None, description="what had to be live in the end")
    revision_after: int | None = Field(
        default=None, description="the current revision after the run; None: not read"
    )
    reason: str = Field(default="not given", description="why, in the operator's words")
    next_steps: str = Field(default="none given", description="what the operator plans next")
    incident: str = Field(default="", description="id or URL of the incident")
    operator: str = Field(default="", description="who ran it")
    command_line: str = Field(default="", description="what the operator typed")
    started_at: Time = Field(description="when the run began")
    finished_at: Time | None = Field(default=None, description="when it ended; None: not ended, or killed")
    impact_since: Time | None = Field(default=None, description="since when users were affected, as was said")
    recovered_at: Time | None = Field(
        default=None,
        description="the first moment when every item but notify and the metrics was green and stayed so; "
        "None: not verified",
    )
    served_again_at: Time | None = Field(
        default=None,
        description="since when the health path has passed, if it failed before; None: it never failed while "
        "it was asked, it does not pass, or it was not asked",
    )
    provisional_at: Time | None = Field(
        default=None,
        description="when every item but notify and metrics was green for the first time: the soak's start",
    )
    watched_until: Time | None = Field(
        default=None,
        description="when the last look at any item but notify was judged; None: not all of them were",
    )
    soak_s: float | None = Field(
        default=None,
        description="how long the soak was meant to be, with metrics; 0: none; None: nothing was verified",
    )
    plan: Plan = Field(default=Plan(), description="what was known before acting")
    decision: Decision | None = Field(default=None, description="signals and recommendation")
    guards: tuple[Guard, ...] = Field(default=(), description="questions asked before helm ran")
    overrides: tuple[Override, ...] = Field(default=(), description="what an operator overrode")
    backup: Backup | None = Field(default=None, description="None: nothing was saved; the timeline says why")
    helm: Helm = Field(default=Helm(), description="what became of helm")
    items: tuple[Item, ...] = Field(default=(), description="all items in the runbook's order")
    own_tests: tuple[OwnTest, ...] = Field(
        default=(),
        description="own tests of the repository, which asked for the fixture `rollback`; no verdict changes",
    )
    timeline: tuple[TimelineEntry, ...] = Field(default=(), description="what happened, oldest first")
    samples: tuple[SamplePoint, ...] = Field(default=(), description="what the pictures are drawn from")
    metrics: tuple[MetricSeries, ...] = Field(
        default=(),
        description="what was seen of each metric check; empty: none is configured, or none was asked",
    )
    deliveries: tuple[Delivery, ...] = Field(default=(), description="who was told, and what they answered")
    earlier_runs: tuple[EarlierRun, ...] = Field(
        default=(), description="earlier runs of this release in the report folder, newest first, at most 12"
    )
    notes: tuple[AddedNote, ...] = Field(
        default=(), description="what people added when the run was over, oldest first"
    )
    github: Github | None = Field(default=None, description="commit, pull request and runs")
    fleet: FleetMembership | None = Field(
        default=None, description="the fleet's run that this one belongs to; null: it stands alone"
    )
    commits: CommitRange | None = Field(
        default=None,
        description="the service's commits between the revisions; None: no checkout, or nothing to compare",
    )
    protected: bool = Field(default=False, description="the environment is one that users depend on")
    report: str = Field(default="", description="where this run's page can be read; empty: not configured")
    report_timezone: str = Field(
        default="", description="the readers' time zone, beside UTC on page and Markdown; empty: UTC alone"
    )
    bundle: bool = Field(default=False, description="a zip of the run's files was asked for, beside them")
    links: dict[str, str] = Field(
        default={}, description="name -> address as configured; `facts.links` has its fields filled in"
    )
    redeploy_risks: tuple[str, ...] = Field(
        default=(),
        description="what could bring back what was rolled back from, in sentences, likeliest first",
    )
    drill: str = Field(
        default="", description="the drill's cluster: 'ended' with the run or 'kept'; empty: no drill"
    )
    next_commands: tuple[str, ...] = Field(
        default=(),
        description="shell lines, what to type next; one that begins with '# ' explains the next",
    )
    advice: tuple[AdvisedStep, ...] = Field(
        default=(), description="the same, each command with what it does and when it may be typed"
    )
    undo_command: str = Field(
        default="",
        description="a shell line that takes a verified rollback back, should it be wrong; empty: none",
    )
    redactions: int = Field(default=0, description="how many known or likely secrets were taken out")
    versions: dict[str, str] = Field(default={}, description="this tool, helm, Kubernetes, Python, ...")

    def find_item(self, item_id: str) -> Item | None:
        """The item of that id; None where the run has none."""
        return next((item for item in self.items if item.id == item_id), None)

    def items_without(self, item_id: str) -> tuple[Item, ...]:
        """All items but that one, in the runbook's order."""
        return tuple(item for item in self.items if item.id != item_id)
