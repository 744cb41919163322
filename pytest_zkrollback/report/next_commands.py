"""What to type after a run, computed from its record. Pure.

At most three commands, the first one being what helps most. A command that would do what a guard refused
is only offered with its override, nor is one offered for a cluster that is gone.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..config.environment import Environment
from ..domain.command_line import BY_NAME, ENV, SEPARATOR, SHORT_ENV, split_command
from ..domain.item_ids import HEALTH, ROLLBACK, SMOKE
from ..domain.record import (
    GREEN_OUTCOMES,
    Guard,
    GuardReason,
    GuardState,
    Mode,
    ObjectionKind,
    Outcome,
    Record,
    Revision,
)
from ..domain.verdict import Verdict
from .by_hand import helm

MOST = 3
_WRONG = "the rollback itself was wrong"


# What has to be done before the same command is typed again, by the guard that refused.
_FIRST = {
    "cluster": "when that is mended:",
    "identity": "with the context or the pin in the configuration mended:",
    "release": "with `release`, `namespace` or `context` in the configuration mended:",
    "storage": "with HELM_DRIVER unset:",
    "pending": "when that operation has ended:",
    "ownership": "when that release has given it up:",
    "gitops": "when that is suspended, or reverted in its source:",
    "head": "if it is still right after what appeared:",
    "lock": "when that run has ended:",
    "helm-version": 'with a helm that works on PATH, or as helm = "..." in the configuration:',
    "permissions": "with credentials that may do it:",
}


@dataclass(frozen=True)
class _Step:
    """A command and what it is for; ``here``: it needs the very cluster that this run saw."""

    command: str
    why: str = ""
    here: bool = False


def next_commands(record: Record, env: Environment | None) -> tuple[str, ...]:
    """Shell lines: commands, each with a comment line (``# ...``) before it where it needs one.

    ``env`` is None if no environment was opened (a drill that did not start).
    """
    steps = list(_steps(record, env))
    if record.drill == "ended":
        steps = [step for step in steps if not step.here][: MOST - 1]
        if record.outcome is not Outcome.REFUSED and record.revision_before is not None:
            again = _typed(record, also=("--drill-keep",))
            steps.append(_Step(again, "the drill's cluster has ended; to look into one:"))
    return tuple(
        line for step in steps[:MOST] for line in (f"# {step.why}" if step.why else "", step.command) if line
    )


def undo_command(record: Record) -> str:
    """How to take back a rollback that was verified, with this tool; empty: there is nothing to take back.

    It is for somebody who knows that the rollback itself was wrong: no step that follows from the verdict.
    """
    before = _by_number(record).get(record.revision_before or 0)
    if record.outcome not in GREEN_OUTCOMES or not record.helm.ran or record.drill == "ended":
        return ""
    failed = {each.revision for each in record.plan.objections if each.kind is ObjectionKind.FAILED}
    if before is None or before.revision in failed:  # nothing to go back to: guard `target` would refuse
        return ""
    # Guard `target` refuses to go back to what a good rollback left.
    against = shlex.quote(f"--rollback-override=target={_WRONG}")
    return f"{_verify(record)} --rollback-to={before.revision} {against}"


def _steps(record: Record, env: Environment | None) -> Iterator[_Step]:
    refused = [guard for guard in record.guards if guard.state == GuardState.REFUSED]
    if refused and not record.helm.ran:
        yield from _after_refusal(record, env, refused)
    elif record.outcome is Outcome.PLANNED:
        yield _Step(_typed(record, without=("--rollback-plan",), also=_chosen(record)), "to do it:")
    elif record.outcome is Outcome.INTERRUPTED:
        yield from _after_interruption(record, env)
    elif record.outcome not in GREEN_OUTCOMES and env is not None:
        yield from _while_red(record, env)


def _after_refusal(record: Record, env: Environment | None, refused: Sequence[Guard]) -> Iterator[_Step]:
    ids = [guard.id for guard in refused]
    confirm: list[str] = []
    also: list[str] = []
    without, why = [], next((_FIRST[each] for each in ids if each in _FIRST), "")
    reasons = {guard.reason for guard in refused}
    unknown = {guard.id for guard in refused if guard.unknown}
    if GuardReason.KUBECONFIG in reasons:
        why = "set KUBECONFIG, or kubeconfig in the environment's table, then:"
    if "protected" in ids:
        without.append("--rollback-confirm")
        confirm.append(f"--rollback-confirm={record.environment}")
        also += confirm
        why = why or f"to go ahead in the protected environment {record.environment}:"
    if "release" in unknown:
        why = _FIRST["cluster"]
    elif "release" in ids and env is not None:
        yield _Step(helm(env, "list", "--all-namespaces"), "which releases there are:", here=True)
    if "head" in ids and env is not None:
        yield _Step(helm(env, "history", record.release), "look first:", here=True)
    if "target" in ids and record.plan.history and record.github is None:
        better = newest_earlier(record)
        if better is None:
            if env is not None:
                yield _Step(
                    helm(env, "history", record.release), "no other revision offers itself:", here=True
                )
            return
        without.append("--rollback-to")
        also.append(f"--rollback-to={better.revision}")
        why = why or _offered(better)
    cures = [command for guard in refused for command in guard.commands]
    if cures and record.drill != "ended":
        yield _Step(" && ".join(cures), "to keep it where it is, with everything in it:", here=True)
        why = "and then:"
    if "lock" in unknown:
        why = "when the Secret of the lock can be read and written:" if why == _FIRST["lock"] else why
    if "stranded" in ids:
        yield _Step(_verify(record), "there is nothing to lead out; to verify what is live:", here=True)
    elif GuardReason.STRANDED in reasons:
        recover = _typed(record, without=("--rollback-to",), also=("--rollback-recover",))
        yield _Step(recover, "to lead the stranded release out:")
    else:
        yield _Step(_typed(record, without=without, also=also), why or "again:")
    aside = [guard for guard in refused if guard.override and guard.id != "protected"]
    if aside and all(guard.override for guard in refused):
        accepted = [f"--rollback-override={guard.id}=accepted" for guard in aside]
        yield _Step(
            _typed(
                record,
                without=[each for each in without if each != "--rollback-to"],
                also=[*confirm, *accepted],
            ),
            "or against all of this, recorded (your reason instead of 'accepted'):",
        )
    # helm by hand is no way around what GitHub did not say.
    if env is not None and unknown == set(ids) and "github" not in unknown:
        by_hand = [helm(env, "history", record.release)]
        if record.mode is Mode.ROLLBACK and record.target_revision is not None:
            by_hand.append(_rollback(env, record.release, record.target_revision))
        yield _Step(by_hand[0], "or by hand:", here=True)
        yield from (_Step(each, here=True) for each in by_hand[1:])


def _after_interruption(record: Record, env: Environment | None) -> Iterator[_Step]:
    if record.revision_before is None:
        yield _Step(record.command_line)
        return
    verify = _Step(_verify(record), "verify what is live:", here=True)
    if env is not None and record.helm.running:
        yield _Step(
            helm(env, "history", record.release), "helm may still be at work; wait for its end:", here=True
        )
        yield verify
        return
    yield verify
    if record.mode is Mode.ROLLBACK and not record.helm.ran:
        yield _Step(record.command_line, "to roll back after all:")
    elif env is not None and record.helm.ran:
        yield _Step(helm(env, "history", record.release), here=True)


def _while_red(record: Record, env: Environment) -> Iterator[_Step]:
    steps = []
    rolled = record.find_item(ROLLBACK)
    if (
        rolled is not None
        and rolled.verdict is Verdict.FAIL
        and record.revision_after != record.revision_before
    ):
        recover = _typed(record, without=("--rollback-to",), also=("--rollback-recover",))
        steps.append(_Step(recover, "when its cause is mended, to lead the release out:", here=True))
    failed = [item for item in record.items if item.verdict is Verdict.FAIL]
    head = _by_number(record).get(record.revision_before or 0)
    if failed and record.mode is Mode.VERIFY and head is not None and head.rollback_of is None:
        better = newest_earlier(record)
        if better is not None:
            command = f"{_verify(record)} --rollback-to={better.revision}"
            steps.append(_Step(command, _offered(better)))
    if record.outcome is Outcome.SUPERSEDED or any(item.id == ROLLBACK for item in failed):
        steps.append(_Step(helm(env, "history", record.release), here=True))
    red = [*failed, *(item for item in record.items if item.verdict in (Verdict.UNVERIFIED, None))]
    steps += [_Step(item.command, f"by hand, {item.id}:", here=True) for item in red if item.command]
    yield from steps[: MOST - 1]
    needs_url = env.url is None and any(item.id in (SMOKE, HEALTH) for item in red)
    why = f'with url = "https://..." added to [environments.{env.name}]:' if needs_url else "check again:"
    yield _Step(_verify(record), why, here=True)


def newest_earlier(record: Record) -> Revision | None:
    """The newest revision before the current one against which the history says nothing.

    It is the choice of ``--rollback-to=previous``: :attr:`Plan.objections` come from where that is made.
    """
    current = record.revision_before if record.revision_after is None else record.revision_after
    if current is None:
        return None
    not_offered = {each.revision for each in record.plan.objections}
    older = (each for each in record.plan.history if each.revision < current)
    return max(
        (each for each in older if each.revision not in not_offered),
        key=lambda each: each.revision,
        default=None,
    )


def _by_number(record: Record) -> dict[int, Revision]:
    return {each.revision: each for each in record.plan.history}


def _offered(revision: Revision) -> str:
    return f"the newest earlier revision that was deployed and differs, {revision.chart}:"


def _typed(record: Record, without: Sequence[str] = (), also: Sequence[str] = ()) -> str:
    """What the operator typed, with some options taken out and others added."""
    added = {each.partition("=")[0] for each in also}
    replaced = {name for name in added if name not in BY_NAME or not BY_NAME[name].repeatable}
    kept = [
        word
        for option, words in _options(record)
        if option not in without and option not in replaced
        for word in words
    ]
    end = kept.index(SEPARATOR) if SEPARATOR in kept else len(kept)
    return shlex.join(["pytest", *kept[:end], *also, *kept[end:]])


def _chosen(record: Record) -> tuple[str, ...]:
    """The number behind a name, so that what was looked at is what is done."""
    named = any(option == "--rollback-to" for option, _ in _options(record))
    return (f"--rollback-to={record.target_revision}",) if named and record.target_revision else ()


def _verify(record: Record) -> str:
    """``pytest --env=NAME``, with what was typed to find the environment and to report on it."""
    kept = [(name, words) for name, words in _options(record) if name and BY_NAME[name].stays]
    if not any(name in (SHORT_ENV, ENV) for name, _ in kept):
        kept.insert(0, (SHORT_ENV, [f"{SHORT_ENV}={record.environment}"]))
    return shlex.join(["pytest", *(word for _, words in kept for word in words)])


def _options(record: Record) -> list[tuple[str, list[str]]]:
    """Each of our options that was typed, with its words; what is not ours has an empty name."""
    try:
        typed = list(split_command(record.command_line))
    except ValueError:
        typed = [(BY_NAME[SHORT_ENV], [f"{SHORT_ENV}={record.environment}"])]
    return [(option.name if option else "", words) for option, words in typed]


def _rollback(env: Environment, release: str, revision: int) -> str:
    # By hand it prunes as little as ours; helm deletes the oldest, be it the target (docs/helm-facts.md, 5).
    return helm(env, "rollback", release, str(revision), "--history-max", "0")
