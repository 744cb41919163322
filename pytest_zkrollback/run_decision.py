"""Roll back or fix forward: asks the signals inside the preflight and writes the decision down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from .clients.git import GitCheckout
from .domain.decision import Answer, Decision, SignalName
from .domain.errors import ProcessProblem
from .domain.model import Guard
from .rollback import guards
from .rollback.decision import UNKNOWN, Seen, decide, judge_migration_guard
from .rollback.impact import fetch_users_impacted, judge_many_commits
from .rollback.look import Look
from .scene import Scene
from .sources import judge_irreversible, later_contents, migration_sources


def outside_questions(scene: Scene, look: Look) -> dict[str, Callable[[], Seen]]:
    """What can be asked outside, by signal; nothing of it is asked of the operator."""
    http = scene.http()
    return {
        SignalName.USERS_IMPACTED: lambda: fetch_users_impacted(scene.env, scene.kube, http),
        SignalName.MIGRATION_IRREVERSIBLE: lambda: _irreversible(scene, look),
        SignalName.MANY_COMMITS: lambda: _many_commits(scene, look),
    }


def note_decision(scene: Scene, answers: Mapping[str, guards.Answer[Seen]]) -> Guard:
    """The decision, in the record; the guard that refuses where a migration cannot be undone."""
    decision = _decision(scene, answers)
    scene.scribe.update(decision=decision)
    scene.scribe.event(
        f"the runbook recommends {decision.recommendation.replace('-', ' ')}; chosen: {decision.choice}",
        "zkrollback",
    )
    return judge_migration_guard(decision)


def git_checkout(scene: Scene) -> GitCheckout | None:
    """The configured checkout of the service, if any."""
    git = scene.env.git
    if git is None:
        return None
    return GitCheckout(Path(scene.env.base_dir) / Path(git.checkout).expanduser(), scene.processes)


def _decision(scene: Scene, answers: Mapping[str, guards.Answer[Seen]]) -> Decision:
    request = scene.request
    seen = {
        SignalName(name): answer.value or Seen(UNKNOWN, "preflight", f"not known: {answer.why}")
        for name, answer in answers.items()
    }
    said = {SignalName(name): Answer(word) for name, word in request.signals.items()}
    target = scene.scribe.record.target_revision or request.target
    verb = "plan a rollback" if request.plan else "roll back"
    return decide(seen, said, f"{verb} to revision {target}")


def _many_commits(scene: Scene, look: Look) -> Seen:
    history, target = look.history(), look.choice().revision
    if target is None:
        raise ProcessProblem("the target is not known")
    checkout = git_checkout(scene)
    bad = history.head.revision.revision
    return judge_many_commits(history, target, bad, checkout.count_commits if checkout else None)


def _irreversible(scene: Scene, look: Look) -> Seen:
    history, target = look.history(), look.target
    if target is None:
        raise ProcessProblem("the target is not known")
    wanted = look.choice().revision or target.revision.revision
    later = later_contents(history, wanted, history.head.revision.revision, scene.env.namespace)
    sources = migration_sources(scene, target, wanted, later)
    return judge_irreversible([source() for source in sources])
