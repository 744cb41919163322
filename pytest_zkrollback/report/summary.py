"""What a record says, in sentences. Every rendering uses these, so that none says more than another."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from ..domain.decision import Decision, Recommendation
from ..domain.item_ids import (
    EQUIVALENCE,
    HEALTH,
    LOGS,
    MIGRATION,
    NOTIFY,
    PREFLIGHT,
    ROLLBACK,
    ROLLOUT_PREFIX,
    SMOKE,
    is_metric,
    is_rollout,
)
from ..domain.record import (
    GREEN_OUTCOMES,
    Guard,
    GuardReason,
    Mode,
    NotificationEvent,
    Outcome,
    OwnTest,
    OwnTestOutcome,
    Record,
)
from ..domain.time_zones import find_zone
from ..domain.verdict import Verdict
from .change_section import left_row
from .failures import by_verdict, failed_items, failed_own_tests, listed, refused, word_of
from .formatting import capital, clock_time, elapsed, moment
from .incident_facts import (
    Affected,
    HistoryRole,
    LiveNow,
    LiveState,
    NotCheckedKind,
    Source,
    SourcedTime,
    Told,
    Warned,
    changed,
    find_affected,
    find_facts,
    find_live,
    find_not_checked,
    has_metrics,
    head,
    looked_at,
)
from .metric_facts import find_metrics
from .metric_words import impact_words
from .sanitize import inert_line

NONE_GIVEN = Record.model_fields["next_steps"].default
_SEEN_LIMIT = 160
_WARNED_LIMIT = 320
_MOST_OWN_TESTS = 3

_ALL = "all checks"
_ALL_BUT_METRICS = "all checks but the metrics"

GREEN = (*GREEN_OUTCOMES, Outcome.PLANNED)


HEADLINES = {
    Outcome.RUNNING: "NOT FINISHED",
    Outcome.PLANNED: "PLAN ONLY",
    Outcome.VERIFIED: "VERIFIED",
    Outcome.VERIFIED_WITH_WAIVERS: "VERIFIED WITH WAIVERS",
    Outcome.FAILED: "FAILED",
    Outcome.UNVERIFIED: "UNVERIFIED",
    Outcome.SUPERSEDED: "SUPERSEDED",
    Outcome.REFUSED: "REFUSED",
    Outcome.INTERRUPTED: "INTERRUPTED",
}


def times_line(record: Record) -> str:
    """How times are written; empty where they are UTC alone."""
    if find_zone(record.report_timezone) is None:
        return ""
    return f"Times are UTC; in brackets {inert_line(record.report_timezone, 60)}."


def headline(record: Record) -> str:
    """The verdict of the whole run, in capitals."""
    if provisional(record):
        return "PROVISIONAL"
    return HEADLINES[record.outcome]


def provisional(record: Record) -> bool:
    """Whether every item is green, and the soak has not ended."""
    return record.outcome is Outcome.RUNNING and record.provisional_at is not None


def all_checks(record: Record) -> str:
    """What passes first: metrics are judged later."""
    return _ALL_BUT_METRICS if has_metrics(record) else _ALL


def watched_until(record: Record) -> datetime | None:
    """Until when metrics are watched, whose verdicts are still to come; None: there are none."""
    open_ = any(is_metric(item.id) and item.verdict is None for item in record.items)
    if not open_ or record.outcome is not Outcome.RUNNING or record.provisional_at is None:
        return None
    return record.provisional_at + timedelta(seconds=record.soak_s or 0)


def soak_line(soak_s: float, metrics_until: datetime | None) -> str:
    """What the soak begins with; ``metrics_until``: when metrics can have their verdicts; None: none will."""
    if metrics_until is None:
        return f"{_ALL} passed; watched for {soak_s:g} s from here"
    return f"{_ALL_BUT_METRICS} passed; {metrics_watched(metrics_until)}"


def metrics_watched(until: datetime) -> str:
    """``metrics are watched until 02:41:05 UTC``."""
    return f"metrics are watched until {clock_time(until)} UTC"


def decided(record: Record) -> str:
    """What the runbook recommends and what the operator chose; empty where nothing was decided."""
    found = record.decision
    if found is None:
        return ""
    lead = "in doubt: rollback"
    if not found.in_doubt:
        lead = f"the runbook recommends {found.recommendation.replace('-', ' ')}"
    return f"{lead} ({_spoken_for(found)}); chosen: {found.choice}"


def decided_in_a_row(record: Record) -> str:
    """The same where what was chosen stands beside it, and is what is recommended."""
    found = record.decision
    if found is None or found.recommendation is not Recommendation.ROLLBACK:
        return decided(record)
    return f"{'in doubt: ' if found.in_doubt else ''}rollback ({_spoken_for(found)})"


def _spoken_for(decision: Decision) -> str:
    """Which signals speak for which way: only those whose answer is yes."""
    said = []
    for way in Recommendation:
        names = [str(each.name) for each in decision.signals if each.speaks is way]
        if names:
            said.append(f"{listed(names)} speak{'s' if len(names) == 1 else ''} for {way.replace('-', ' ')}")
    return "; ".join(said) or "no signal speaks for either way"


def title(record: Record) -> str:
    """``VERIFIED: zkprova rolled back from 6 to 5 in drill``, for a window's title or a heading."""
    return f"{headline(record)}: {mode_label(record)}"


def mode_label(record: Record) -> str:
    """What was done or asked for, with release, revisions and environment, and no verdict."""
    release, env = record.release or "release", record.environment
    before, target = record.revision_before, record.target_revision
    goal = "" if target is None else f" to revision {target}"
    origin = "" if before is None or target is None or before == target else f" from {before} to {target}"
    match record.mode:
        case Mode.VERIFY:
            number = head(record)
            revision = "" if number is None else f", revision {number}"
            return f"release {record.release}, environment {env}{revision} (checked only)"
        case Mode.PLAN:
            return f"rollback of {release}{goal} in {env} (rehearsal)"
        case Mode.GITHUB:
            return f"{release} in {env} through GitHub Actions"
        case Mode.RECOVER:
            return f"recovery of {release}{goal} in {env}"
    if record.helm.skipped_reason and target is not None:
        return f"{release} already back at {target} in {env}"
    if record.helm.exit_code == 0 and origin:
        return f"{release} rolled back{origin} in {env}"
    return f"rollback of {release}{origin or goal} in {env}"


def count_line(record: Record) -> str:
    """``11 items: 9 PASS, 1 FAIL, 1 WAIVED``; after a refusal, how little was looked at."""
    total = len(record.items)
    if refused(record):
        rest = record.items_without(PREFLIGHT)
        judged = [item for item in rest if item.verdict in (Verdict.PASS, Verdict.FAIL)]
        if not rest:  # a rehearsal has no checklist
            return "the preflight alone"
        return f"{len(judged)} of {plural(len(rest), 'checklist item')} checked"
    counts = [(str(word), len(by_verdict(record, word))) for word in Verdict]
    counts.append(("without a verdict", len(by_verdict(record, None))))
    shown = ", ".join(f"{count} {word}" for word, count in counts if count)
    return f"{plural(total, 'item')}: {shown}" if total else "no items"


def lead(record: Record) -> str:
    """The sentence under the headline: as it was written down, or made now."""
    return record.summary or render_summary(record)


def render_summary(record: Record) -> str:
    """Did it work, and what is true now? What the verdicts alone justify."""
    where = f"Release {record.release}, environment {record.environment},"
    match record.outcome:
        case Outcome.VERIFIED:
            limits = not_covered(record)
            return f"{where} {_runs(record)}: all {plural(len(record.items), 'check')} passed" + (
                f"; not covered: {limits}." if limits else "."
            )
        case Outcome.VERIFIED_WITH_WAIVERS:
            passed = len(by_verdict(record, Verdict.PASS))
            said = f"{where} {_runs(record)}: {passed} of {plural(len(record.items), 'check')} passed."
            return f"{said} Not checked: {_waived(record)}."
        case Outcome.FAILED:
            word = "in order" if record.mode is Mode.VERIFY and not _went_back(record) else "restored"
            return f"{where} is NOT {word}: {_current(record)}; {_not_green(record)}{_late(record)}." + (
                _harm(record)
            )
        case Outcome.UNVERIFIED if refused(record):
            return f"Nothing was verified: {_refusal(record)}."
        case Outcome.UNVERIFIED:
            return f"{where} is NOT verified: {_current(record)}; {_not_green(record)}{_late(record)}." + (
                _untold(record)
            )
        case Outcome.REFUSED:
            return _refused(record)
        case Outcome.PLANNED:
            return (
                f"{where} can go from revision {record.revision_before} to {record.target_revision}; "
                "no guard refuses. Nothing was changed."
            )
        case Outcome.SUPERSEDED:
            return (
                "Somebody else changed the release meanwhile: the current revision is "
                f"{record.revision_after}, which these verdicts do not describe."
            )
        case Outcome.INTERRUPTED:
            return _interrupted(record, where)
        case Outcome.RUNNING if (until := watched_until(record)) is not None:
            return (
                f"{where} {_runs(record)}: {_ALL_BUT_METRICS} passed at {clock_time(record.provisional_at)} "
                f"UTC; {metrics_watched(until)}. This is no result yet."
            )
        case Outcome.RUNNING if record.provisional_at is not None:
            return (
                f"{capital(all_checks(record))} have passed since {clock_time(record.provisional_at)} UTC, "
                f"but the watch of {record.soak_s or 0:g} s had not ended: this is no result."
            )
    return "This run is still going on, or it was killed: this is no result."


def _went_back(record: Record) -> bool:
    return find_live(record).rollback_of is not None


def _runs(record: Record) -> str:
    """``is back on revision 5 (zkprova-1.8.0), live as revision 7``, or ``runs revision 7 (...)``."""
    live = find_live(record)
    chart = f" ({live.chart})" if live.chart else ""
    if live.rollback_of is None:
        return f"runs revision {live.revision}{chart}"
    how = "live as" if live.equal is Verdict.PASS else "as Helm's"
    return f"is back on revision {live.rollback_of}{chart}, {how} revision {live.revision}"


def _current(record: Record) -> str:
    """Which revision is live, where the live objects were seen to match it; else which one is current."""
    live = find_live(record)
    if live.revision is None:
        return "what is live is not known"
    back = "" if live.rollback_of is None else f"back to {live.rollback_of}"
    parts = ", ".join(filter(None, (back, live.chart)))
    number = f"{live.revision} ({parts})" if parts else str(live.revision)
    return f"revision {number} is live" if live.equal is Verdict.PASS else f"the current revision is {number}"


def _waived(record: Record) -> str:
    """``smoke test (skipped by ada: the account is locked)``, of each item that was left out."""
    reasons = {each.id: each for each in record.overrides if each.kind != "guard"}
    said = []
    for item in by_verdict(record, Verdict.WAIVED):
        override = reasons.get(item.id)
        by = f"skipped by {record.operator or 'the operator'}"
        if override is None or override.kind != "item":
            by = "switched off in the configuration"
            if item.id == NOTIFY and record.fleet is not None and record.fleet.told_by_fleet:
                by = f"fleet {inert_line(record.fleet.fleet, 60)} tells the team"
            if item.id == MIGRATION:
                by = f"in an earlier run: {inert_line(item.observed, _SEEN_LIMIT)}"
        why = f": {inert_line(override.reason, _SEEN_LIMIT)}" if override is not None else ""
        said.append(f"{item_name(record, item.id)} ({by}{why})")
    return ", ".join(said)


def _not_green(record: Record) -> str:
    """What failed and, apart from it, what was not checked."""
    found = failed_items(record)
    failed = [item_name(record, item.id) for item in found if item.verdict is Verdict.FAIL]
    unknown = [
        item_name(record, item.id)
        for item in found
        if item.verdict is not Verdict.FAIL and not (item.id == NOTIFY and not failed)
    ]
    parts = (
        f"failed: {', '.join(failed)}" if failed else "",
        f"not checked: {', '.join(unknown)}" if unknown else "",
    )
    nothing = (
        "not known: whether the team was told" if found else "no check that passed shows service to users"
    )
    return "; ".join(filter(None, parts)) or nothing


def _untold(record: Record) -> str:
    """Whether the team was told, where that is not verified."""
    notify = record.find_item(NOTIFY)
    if notify is None or notify.verdict in (Verdict.PASS, Verdict.WAIVED):
        return ""
    maybe = any(not each.refused and not each.unsent for each in record.deliveries)
    return " It is not known whether the team was told." if maybe else " The team was not told."


def _harm(record: Record) -> str:
    """That this rollback is what broke the service, where it is."""
    found = find_affected(record)
    if not found.by_this_rollback or not found.now or found.since is None:
        return ""
    return f" Users are affected since {clock_time(found.since.at)} UTC, by this rollback."


def _late(record: Record) -> str:
    """When everything was green, where it is no longer."""
    at = record.provisional_at
    if at is None:
        return ""
    if all(is_metric(item.id) or item.id == NOTIFY for item in failed_items(record)):
        return f" (all other checks had passed at {clock_time(at)} UTC, and did to the end)"
    return f" ({all_checks(record)} had passed at {clock_time(at)} UTC, no longer at the end)"


def _refused(record: Record) -> str:
    why = _refusal(record) or "see preflight"
    match record.mode:
        case Mode.PLAN:
            said = f"This rollback would be refused: {why}."
        case Mode.VERIFY:
            said = f"Nothing was verified: {why}."
        case _:
            said = f"Not rolled back: {why}."
    users = find_affected(record)
    if users.before and users.before_seen:
        said += f" Users are affected: {_seen(users.before_seen)}."
    return f"{said} Nothing was changed."


def _seen(text: str) -> str:
    """What was seen, to stand before a full stop: a sentence of ours brings one of its own."""
    return inert_line(text, _SEEN_LIMIT).rstrip(".")


def _refusal(record: Record) -> str:
    """The first refusal's first sentence, to stand after a colon; how many more there are."""
    guards = refused(record)
    if not guards:
        return ""
    more, why = len(guards) - 1, _why_refused(record, guards[0])
    if not more:
        return why
    if len(why) > _SEEN_LIMIT:  # what stands before a colon is whole; all of it is said beside this
        cut = inert_line(why, _SEEN_LIMIT)
        why = cut.rpartition(": ")[0] or cut
    return f"{inert_line(why)} (and {more} more reason{'s' if more > 1 else ''})"


def _why_refused(record: Record, guard: Guard) -> str:
    live = find_live(record)
    if guard.reason is GuardReason.UNDER_WAY and live.state is LiveState.IN_BETWEEN and live.since:
        return (
            f"another deployment of {record.release} ({live.chart}, revision {live.revision}) began at "
            f"{clock_time(live.since.at)} UTC and is still running"
        )
    text = re.split(r"\.\s+(?=[A-Z])", guard.evidence.strip(), maxsplit=1)[0].rstrip(".")
    return _lower(text)


def _lower(text: str) -> str:
    """Without its capital, to stand after a colon; ``ConfigMap/x`` and ``HELM_DRIVER`` keep theirs."""
    return text[0].lower() + text[1:] if re.match(r"[A-Z][a-z]*[ ,]", text) else text


def _interrupted(record: Record, where: str) -> str:
    if record.helm.running:
        return f"Interrupted while helm runs (pid {record.helm.pid}): what is live is not known yet."
    if record.revision_before is None:
        return "Interrupted before the release was read: nothing was changed."
    if record.mode is Mode.ROLLBACK and not record.helm.ran and not record.helm.skipped_reason:
        return f"Interrupted before helm ran: nothing was changed; {_current(record)}."
    if record.provisional_at is not None:
        return (
            f"{where} {_runs(record)}. {capital(all_checks(record))} had passed at "
            f"{clock_time(record.provisional_at)} UTC; "
            "then the run was stopped while it went on watching: this is no result."
        )
    rolled = record.find_item(ROLLBACK)
    if rolled is not None and rolled.verdict is Verdict.PASS:
        judged = any(
            item.verdict in (Verdict.PASS, Verdict.FAIL) for item in record.items if item.id not in _NO_LOOK
        )
        unknown = "not all of it was checked" if judged else "nobody has checked whether it works"
        return f"{where} {_runs(record)}; then the run was stopped: {unknown}."
    return f"Interrupted: {where[:1].lower()}{where[1:]} is not verified; {_current(record)}."


# A verdict on these says nothing of whether what is live works.
_NO_LOOK = (PREFLIGHT, ROLLBACK, MIGRATION, NOTIFY)

_NAMES = {
    ROLLBACK: "helm rollback",
    EQUIVALENCE: "live objects",
    SMOKE: "smoke test",
    LOGS: "application logs",
    HEALTH: "database via /health",
    MIGRATION: "migrations",
    NOTIFY: "telling the team",
}


def item_name(record: Record, item_id: str) -> str:
    """A few words for an item, to stand in a sentence; of a repository's own item its id."""
    if item_id == ROLLBACK and record.mode is Mode.GITHUB:
        return "deploy"
    if is_rollout(item_id):
        return f"rollout of {item_id.removeprefix(ROLLOUT_PREFIX)}"
    return _NAMES.get(item_id, item_id)


def banners(record: Record) -> tuple[str, ...]:
    """What has to be known before anything else on the page."""
    said = []
    if record.drill:
        said.append("EXERCISE: a drill's cluster. No real users.")
    if record.mode is Mode.PLAN:
        said.append("REHEARSAL: nothing was changed.")
    unproven = (GuardReason.NOT_PINNED, GuardReason.NO_ANSWER)
    if any(each.id == "identity" and each.reason in unproven for each in record.guards):
        said.append(f"It was not proven that this cluster is {record.environment}: see guard identity.")
    return tuple(said)


def typed_where(record: Record) -> str:
    """Where commands work as they stand."""
    where = f"on {record.operator}" if record.operator else "where this run was started"
    return f"Commands are as for this run, {where}: folders and addresses may differ elsewhere."


def redeploy_risks_title(record: Record) -> str:
    """``What could bring zkprova-1.9.0 back``: what was rolled back from, by the name that tells it apart."""
    left, target = record.plan.rolled_back_from, record.plan.target
    if left is None:
        return "What could bring it back"
    differs = target is None or left.chart != target.chart
    return f"What could bring {left.chart if differs else f'revision {left.revision}'} back"


class Row(NamedTuple):
    """One fact of the page's head."""

    key: str
    name: str
    text: str


def rows(record: Record) -> tuple[Row, ...]:
    """The facts of the head, always the same ones; where nothing is known or given, that is said."""
    facts = find_facts(record)
    watched = watch_line(record)
    env = f"{record.environment} ({record.cluster})" if record.cluster else record.environment
    release = record.release or "not known"
    if record.namespace:
        release += f" in namespace {record.namespace}"
    left_name, left = left_row(record)
    return (
        Row("users", "Users affected", users_affected(record)),
        Row("live", "Live now", live_now(record)),
        Row("left", left_name, left),
        Row("reason", "Reason", record.reason.strip() or "not given"),
        Row("incident", "Incident", record.incident or NONE_GIVEN),
        Row("who", "Operator", record.operator or "not known"),
        Row("told", "Told", told_line(facts.told, record)),
        Row("warned", "Warned", warned_line(facts.warned, record)),
        Row("not-checked", "Not checked", not_checked(record)),
        Row("checked", "Checked", ". ".join(filter(None, (count_line(record), watched))) + "."),
        Row("recovery", "Recovery", f"{capital(recovery(record) or _no_recovery(record))}."),
        Row("helm", "Helm", helm_line(record)),
        Row("next-steps", "Operator's next steps", record.next_steps.strip() or NONE_GIVEN),
        Row("environment", "Environment", env),
        Row("release", "Release", release),
        Row("revision", "Revision" if record.mode is Mode.VERIFY else "Revisions", revisions(record)),
        Row("run", "Run", _when(record)),
    )


def _no_recovery(record: Record) -> str:
    return "none was seen" if record.helm.ran else "not timed: helm did not run"


def _when(record: Record) -> str:
    if record.finished_at is None:
        return f"since {moment(record.started_at)}, not finished"
    return f"{moment(record.started_at)}, took {elapsed(record.started_at, record.finished_at)}"


def warned_line(warned: Sequence[Warned], record: Record) -> str:
    """What warned before the change and was passed; ``nothing`` where nothing did."""
    said = []
    for each in warned:
        text = f"{each.id}: {inert_line(each.evidence.rstrip('.'), _WARNED_LIMIT)}"
        if each.overridden:
            by = record.operator or "the operator"
            text += f" (refused, overridden by {by}{f': {each.reason}' if each.reason else ''})"
        said.append(text)
    went = "before the change, and it went ahead: " if record.helm.ran and said else ""
    return went + "; ".join(said) if said else "nothing"


EVENTS = {
    NotificationEvent.START: "the start",
    NotificationEvent.VERDICT: "the verdict",
    NotificationEvent.CHANGED: "the changed verdict",
    NotificationEvent.ADDENDUM: "an addendum",
}


def told_line(told: Sequence[Told], record: Record) -> str:
    """Whom, what and when: ``slack: the start 11:50:40, the verdict 11:50:46``; or nobody, and why."""
    if not told:
        notify = record.find_item(NOTIFY)
        if refused(record):
            return "nobody: after a refusal nobody is told"
        if record.mode is Mode.PLAN:
            return "nobody: a rehearsal tells nobody"
        why = inert_line(notify.observed, _SEEN_LIMIT) if notify is not None else ""
        return f"nobody ({why})" if why else "nobody"
    said = []
    for receiver in dict.fromkeys(each.to for each in told):
        parts = []
        for each in told:
            if each.to != receiver:
                continue
            at = f" {clock_time(each.at)}" if each.at else ""
            became = {True: "", False: " (NOT received)", None: " (not known whether received)"}
            parts.append(f"{EVENTS[each.event]}{at}{became[each.received]}")
        said.append(f"{receiver}: {', '.join(parts)}")
    return "; ".join(said)


ROLES = {
    HistoryRole.LIVE: "live now",
    HistoryRole.NEWEST: "Helm's newest",
    HistoryRole.TARGET: "to go back to",
    HistoryRole.WENT_BACK_TO: "went back to",
    HistoryRole.ROLLED_BACK_FROM: "rolled back from",
    HistoryRole.NONE: "",
}


def own_tests_line(record: Record) -> str:
    """``Verified. 1 own test failed: tests/test_shop.py::test_cart``; empty where none failed."""
    found = failed_own_tests(record)
    if not found:
        return ""
    said = []
    for outcome, what in (
        (OwnTestOutcome.FAILED, "failed"),
        (OwnTestOutcome.NOT_RUN, "did not run to the end"),
    ):
        tests = [test for test in found if test.outcome is outcome]
        if tests:
            names = ", ".join(_own_test(test) for test in tests[:_MOST_OWN_TESTS])
            more = f" and {len(tests) - _MOST_OWN_TESTS} more" if len(tests) > _MOST_OWN_TESTS else ""
            said.append(f"{plural(len(tests), 'own test')} {what}: {names}{more}.")
    verdict = f"{headline(record).capitalize()}. " if record.outcome in GREEN_OUTCOMES else ""
    return verdict + " ".join(said)


def _own_test(test: OwnTest) -> str:
    return f"{test.node_id} ({test.first_line})" if test.first_line else test.node_id


def nothing_to_do(record: Record) -> bool:
    """Whether it is verified, nothing could bring back what was left, no own test failed, and no command is
    offered."""
    offered = record.next_commands and record.drill != "ended"  # to look into another drill is no task
    left = record.redeploy_risks or failed_own_tests(record) or offered
    return record.outcome in GREEN_OUTCOMES and not left


def not_checked(record: Record) -> str:
    """What this run says nothing about, in one line."""
    if refused(record):
        return "the whole checklist: after a refusal nothing is run"
    found = find_not_checked(record)
    said = [
        f"{listed(_few([item_name(record, each.id) for each in alike]))} ({kind.replace('-', ' ')})"
        for kind, alike in ((kind, [each for each in found if each.kind is kind]) for kind in NotCheckedKind)
        if alike and kind not in (NotCheckedKind.GUARD, NotCheckedKind.LIMIT)
    ]
    said += [f"{each.id}: {each.text.rstrip('.')}" for each in found if each.kind is NotCheckedKind.GUARD]
    said += [
        _named_limit(item_name(record, each.id), _limit(each.text))
        for each in found
        if each.kind is NotCheckedKind.LIMIT
    ]
    if said:
        return "; ".join(said)
    if record.mode is Mode.PLAN:
        return "whether users are served: a rehearsal runs no item of the checklist"
    return "nothing: every item has a verdict" if record.items else "anything: no item was judged"


def _few(names: Sequence[str], most: int = 4) -> Sequence[str]:
    return names if len(names) <= most + 1 else [", ".join(names[:most]), f"{len(names) - most} more"]


def not_covered(record: Record) -> str:
    """What the items that passed did not look into; empty where they looked into all that they are for."""
    limits = (each.text for each in find_not_checked(record) if each.kind is NotCheckedKind.LIMIT)
    return "; ".join(_lower(inert_line(_limit(text), _SEEN_LIMIT)) for text in limits)


def _named_limit(name: str, text: str) -> str:
    return text if text.startswith(name) else f"{name}: {text}"


def _limit(text: str) -> str:
    """The sentence of an item's limit, to stand after "not checked"."""
    return text.removeprefix("Not checked: ").rstrip(".")


def helm_line(record: Record) -> str:
    """``HELM RAN: ...`` or ``HELM DID NOT RUN: why``."""
    helm = record.helm
    if helm.running:
        pid = "" if helm.pid is None else f" (process {helm.pid})"
        return f"HELM RAN: its end was not seen{pid}; it may still be running"
    if helm.ran:
        took = elapsed(helm.started_at, helm.finished_at)
        code = "its exit code was not seen" if helm.exit_code is None else f"exit code {helm.exit_code}"
        return f"HELM RAN: once, {code}" + (f", took {took}" if took else "")
    return f"HELM DID NOT RUN: {_why_helm_did_not_run(record)}"


def _why_helm_did_not_run(record: Record) -> str:
    if record.helm.skipped_reason:
        return record.helm.skipped_reason.rstrip(".")
    guards = ", ".join(guard.id for guard in refused(record))
    match record.outcome:
        case Outcome.REFUSED:
            return f"refused ({guards})" if guards else "refused"
        case Outcome.RUNNING if record.mode is Mode.ROLLBACK:
            return "not so far"
    match record.mode:
        case Mode.VERIFY:
            return "this run verifies only"
        case Mode.PLAN:
            return "this was a rehearsal"
        case Mode.GITHUB:
            return "this rollback goes through GitHub Actions"
    return "the run ended before it"


_UNKNOWN = {
    LiveState.HELM_RUNNING: "Not known: helm's end was not seen. Read the history before anything else.",
    LiveState.NOT_READ_AGAIN: "Not known: helm ran, and the release was not read again.",
    LiveState.NOT_REACHED: "Not known: nothing was reached.",
    LiveState.NOT_READ: "Not known: the release's history was not read.",
}


def live_now(record: Record) -> str:
    """What is live by Helm and by the pods, since when, and how well that is known."""
    live = find_live(record)
    if live.state is LiveState.NOT_READ_AGAIN and not record.helm.ran:
        return "Not known: GitHub's workflow may have deployed, and the release was not read since."
    if live.state in _UNKNOWN:
        return _UNKNOWN[live.state]
    since = f" since {moment(live.since.at)}" if live.since else ""
    if live.state is LiveState.IN_BETWEEN:
        said = (
            f"In between: revision {live.finished} ({live.finished_chart}) is Helm's last finished one; "
            f"revision {live.revision} ({live.chart}) is {live.status}{since}, not changed by this run"
        )
        return said + _by_pods(live)
    origin = "" if live.rollback_of is None else f"a rollback to {live.rollback_of}"
    parts = ", ".join(filter(None, (origin, live.chart, _odd(live.status))))
    said = f"Revision {live.revision}{f' ({parts})' if parts else ''}{f',{since}' if since else ''}"
    if not live.changed:
        said += ", not changed by this run"
    equal = record.find_item(EQUIVALENCE)
    if record.outcome is Outcome.RUNNING or refused(record) or equal is None or live.equal is Verdict.PASS:
        return said + _by_pods(live)
    if live.equal is Verdict.FAIL:
        return f"{said}{_by_pods(live)}. Live objects differ: {inert_line(equal.observed, _SEEN_LIMIT)}"
    unknown = f"It was not shown that the live objects match it ({word_of(equal, record)})"
    return f"{said}{_by_pods(live)}. {unknown}"


def _odd(status: str) -> str:
    return "" if status in ("deployed", "superseded") else status


def _by_pods(live: LiveNow) -> str:
    """``. Ready pods: web 0 of 3, api 2 of 2``: what the pods say beside Helm."""
    if not live.pods:
        return ""
    pods = (
        f"{each.workload} {each.ready}" + ("" if each.wanted is None else f" of {each.wanted}")
        for each in live.pods
    )
    return f". Ready pods: {listed(pods)}"


def revisions(record: Record) -> str:
    """``before 6, target 5, after 7``; one number where none was asked for."""
    before, target, after = record.revision_before, record.target_revision, record.revision_after
    if record.mode is Mode.VERIFY:
        number = head(record)
        back = f", a rollback to {target}" if target not in (None, number) else ""
        return "not known" if number is None else f"{number}{back}"
    acted = record.helm.ran or changed(record)
    ended = "not changed" if not acted else "after not known" if after is None else f"after {after}"
    return ", ".join(
        (
            "before not known" if before is None else f"before {before}",
            "target not known" if target is None else f"target {target}",
            ended,
        )
    )


def users_affected(record: Record) -> str:
    """Whether, how long, how badly and by what; each time with who says so; what is not known is said."""
    found = find_affected(record)
    if found.by_this_rollback:
        said = _by_this_rollback(found)
    elif found.since is not None:
        said = _since_operator(record, found)
    else:
        said = _since_not_said(record, found)
    return " ".join(filter(None, (*said, _badly(record, found), impact_words(record))))


def _by_this_rollback(found: Affected) -> Iterator[str]:
    assert found.since is not None  # noqa: S101 - known where something broke after helm
    since, until = found.since, found.until
    by = f"by this rollback ({since.source})"
    if found.now:
        yield f"Affected now, since {moment(since.at)}, {by}."
    elif until is not None and until.at > since.at:
        yield (
            f"For {elapsed(since.at, until.at)}, from {moment(since.at)} to {_until(until, since.at)}, {by}."
        )
    else:
        yield f"Affected since {moment(since.at)}, {by}; whether still is not known."
    yield f"Before helm: {_seen(found.before_seen)}."


def _since_operator(record: Record, found: Affected) -> Iterator[str]:
    assert found.since is not None  # noqa: S101 - the operator said it
    since, until, left = found.since.at, found.until, found.left_since
    if until is not None:
        yield (
            f"{elapsed(since, until.at)} by the operator's word: from {moment(since)} to "
            f"{_until(until, since)}."
        )
        if left is not None and left > since:
            yield (
                f"By Helm's history revision {found.left} was live only from {_short(left, since)}: "
                f"{elapsed(left, until.at)}."
            )
    else:
        ends = f", {elapsed(since, record.finished_at)} when this run ended" if record.finished_at else ""
        seen = "still affected" if found.now else "no recovery was seen"
        yield f"Since {moment(since)} by the operator's word{ends}; {seen}."


def _since_not_said(record: Record, found: Affected) -> Iterator[str]:
    left, until = found.left_since, found.until
    live = f"revision {found.left} ({found.left_chart})"
    if until is not None and left is not None and left < until.at:
        yield f"At most {elapsed(left, until.at)}, if {live} was the cause: it was deployed {moment(left)};"
        yield f"{_seen_good(until, left)}. Since when was not said."
    elif until is not None:
        yield f"Not known how long: since when was not said; {_seen_good(until)}."
    elif found.now:
        yield f"Affected when this run looked ({clock_time(looked_at(record))} UTC). Since when was not said."
        if left is not None:
            pending = find_live(record).state is LiveState.IN_BETWEEN
            yield f"{capital(live)} {'began to be' if pending else 'was'} deployed {moment(left)}."
    elif found.before is False and (found.probes or not record.helm.ran):
        if not any(each.out for each in find_metrics(record)):
            yield "No harm was seen."
    elif left is not None and found.left_until is not None:
        yield (
            f"Not known: since when was not said; {live} was live from {moment(left)} to "
            f"{_short(found.left_until, left)} by Helm's history."
        )
    elif left is not None:
        yield f"Not known: since when was not said; {live} was deployed {moment(left)}."
    else:
        yield "Not known: since when was not said."


def _seen_good(until: SourcedTime, near: datetime | None = None) -> str:
    at = _short(until.at, near) if near else moment(until.at)
    if until.source is Source.METRICS:
        return f"metrics are in order since {at}"
    return f"/health passes since {at}" if until.source is Source.HEALTH else f"{_passed(until)} {at}"


def _until(until: SourcedTime, near: datetime) -> str:
    words = {Source.HEALTH: "/health passes", Source.METRICS: "metrics are in order"}
    what = words.get(until.source) or _passed(until)
    return f"{_short(until.at, near)} ({what})"


def _passed(until: SourcedTime) -> str:
    return f"{_ALL_BUT_METRICS if until.source is Source.WITHOUT_METRICS else _ALL} passed"


def _short(at: datetime, near: datetime) -> str:
    """The time alone where the day is that of ``near``, which stands before it."""
    return f"{clock_time(at)} UTC" if at.date() == near.date() else moment(at)


def _badly(record: Record, found: Affected) -> str:
    """What was seen: before helm, and since."""
    said = []
    if found.before_seen and not found.by_this_rollback:
        when = "Before helm" if record.helm.ran else "Seen"
        said.append(f"{when}: {_seen(found.before_seen)}.")
    if found.probes and record.helm.ran:
        since = f"/health failed {found.probes_failed} of {found.probes} times"
        pods = [each for each in find_live(record).pods if found.now and each.wanted and not each.ready]
        since += "".join(f", {each.workload} has 0 of {each.wanted} ready pods" for each in pods)
        said.append(f"Since helm began: {since}.")
    return " ".join(said)


def recovery(record: Record) -> str:
    """The recovery clock: from helm's start to the last green item, and since when ``/health`` passes.

    Empty where helm did not run, and where neither was seen.
    """
    helm_at, at, again = record.helm.started_at, record.recovered_at, record.served_again_at
    if not record.helm.ran or helm_at is None or (at is None and again is None):
        return ""
    said = f"{all_checks(record)} passed {elapsed(helm_at, at)} after helm's start"
    said = said if at else "not all checks passed"
    asked = {point.value for point in record.samples if point.series == "health"}
    if again is not None:
        health = f"/health passes since {clock_time(again)} UTC, {_from(helm_at, again)} it"
    elif not asked:
        health = "/health was not asked"
    else:
        health = "/health does not pass" if 0 in asked else "/health passed whenever it was asked"
    return f"{said}; {health}"


def _from(start: datetime, at: datetime) -> str:
    return f"{elapsed(start, at)} after" if at >= start else f"{elapsed(at, start)} before"


def watch_line(record: Record) -> str:
    """When all was well and how long the look was; empty where it is not green.

    ``All checks passed at 08:22:58 UTC, 2.0 s after helm, and still at 08:23:08, when watching ended``.
    """
    at, helm_at = record.recovered_at, record.helm.finished_at
    if at is None or record.outcome not in GREEN_OUTCOMES:
        return ""
    waived = by_verdict(record, Verdict.WAIVED)
    what = "All other checks" if waived else capital(all_checks(record))
    after = f", {elapsed(helm_at, at)} after helm" if helm_at else ""
    said = f"{what} passed at {clock_time(at)} UTC{after}"
    if record.soak_s and record.watched_until:
        if has_metrics(record):
            end = clock_time(record.watched_until)
            return f"{said}; the metrics by {end} UTC, when all still passed"
        return f"{said}, and still at {clock_time(record.watched_until)} UTC, when watching ended"
    return f"{said}; not watched since"


def plural(count: int, noun: str) -> str:
    """The count and its noun, in the plural where it has to be."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
