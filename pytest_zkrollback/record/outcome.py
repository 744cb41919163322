"""What a run ends with, computed from its record: outcome, summary, next commands. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ..domain.environment import Environment
from ..domain.model import Item, Mode, Outcome, Record
from ..domain.verdict import Word

_BEFORE_THE_CHECKLIST = ("preflight", "rollback", "release-equivalence")


def choose_outcome(items: Sequence[Item]) -> Outcome:
    """The outcome that these items add up to. Green needs every item, and one that was not waived."""
    words = [item.verdict for item in items]
    checklist = [item.verdict for item in items if item.id not in _BEFORE_THE_CHECKLIST]
    if Word.FAIL in words:
        return Outcome.FAILED
    if any(word not in (Word.PASS, Word.WAIVED) for word in words) or Word.PASS not in checklist:
        return Outcome.UNVERIFIED
    return Outcome.VERIFIED_WITH_WAIVERS if Word.WAIVED in words else Outcome.VERIFIED


def render_summary(record: Record) -> str:
    """One sentence: what is true now."""
    red = [item.id for item in record.items if item.verdict in (Word.FAIL, Word.UNVERIFIED, None)]
    live = f"revision {record.revision_after}" if record.revision_after is not None else "an unknown revision"
    origin = (
        f" (back to {record.target_revision})"
        if record.target_revision not in (None, record.revision_after)
        else ""
    )
    where = f"{record.release} in {record.environment}"
    match record.outcome:
        case Outcome.VERIFIED:
            return f"{where} is restored: {live}{origin} is live, every item verified."
        case Outcome.VERIFIED_WITH_WAIVERS:
            waived = [item.id for item in record.items if item.verdict is Word.WAIVED]
            return (
                f"{where}: {live}{origin} is live, every item verified but those waived: {', '.join(waived)}."
            )
        case Outcome.FAILED:
            return f"{where} is NOT restored: {live}{origin} is live; red: {', '.join(red)}."
        case Outcome.UNVERIFIED:
            return f"{where} is NOT proven restored: {live}{origin} is live; red: {', '.join(red)}."
        case Outcome.REFUSED:
            refused = [guard.id for guard in record.guards if guard.state == "refused"]
            return f"Refused before helm ran ({', '.join(refused) or 'see preflight'}): nothing was changed."
        case Outcome.INTERRUPTED:
            if record.helm.running:
                return f"Interrupted while helm runs (pid {record.helm.pid}): what is live is not known yet."
            return f"Interrupted: {where} is not verified; {live}{origin} is live."
        case _:
            return f"{where}: the run has not ended."


def next_commands(record: Record, env: Environment | None) -> tuple[str, ...]:
    """What to type next: undo, continue, or, after a refusal, the runbook by hand."""
    if env is None:
        return (record.command_line,) if record.command_line else ()
    helm_flags, kube_flags = f"-n {env.namespace}", f"-n {env.namespace}"
    if not env.in_cluster:
        helm_flags += f" --kube-context {shlex.quote(env.context)}"
        kube_flags += f" --context {shlex.quote(env.context)}"
    if env.kubeconfig is not None:
        helm_flags += f" --kubeconfig {shlex.quote(env.kubeconfig)}"
        kube_flags += f" --kubeconfig {shlex.quote(env.kubeconfig)}"
    history = f"helm history {record.release} {helm_flags}"
    verify = f"pytest --env={record.environment}"
    if record.outcome is Outcome.REFUSED:
        target = record.target_revision if record.mode is Mode.ROLLBACK else None
        by_hand = [history]
        if target is not None:
            by_hand.append(f"helm rollback {record.release} {target} {helm_flags}")
        by_hand += [f"kubectl get pods {kube_flags}", verify]
        return tuple(by_hand)
    if record.outcome is Outcome.INTERRUPTED:
        return (history, verify)
    if record.outcome in (Outcome.VERIFIED, Outcome.VERIFIED_WITH_WAIVERS):
        if record.helm.ran and record.revision_before is not None:
            return (f"helm rollback {record.release} {record.revision_before} {helm_flags}",)
        return ()
    red = [item.command for item in record.items if item.verdict is not Word.PASS and item.command]
    return tuple(dict.fromkeys([history, *red[:3], verify]))
