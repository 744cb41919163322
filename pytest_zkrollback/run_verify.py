"""Third step: observe and judge the checklist, all items side by side, and tell the team."""

from __future__ import annotations

from datetime import datetime

from .compose import EQUIVALENCE, build_checks
from .domain.observation import Sample
from .domain.verdict import Judgement, Verdict, Word
from .engine.samples import Samples
from .engine.schedule import ROLLOUT_PREFIX, Schedule
from .engine.watch import ClusterWatch
from .release.history import ReleaseHistory
from .scene import Scene


def run_verify(scene: Scene, history: ReleaseHistory, watch: ClusterWatch, since: datetime) -> None:
    """Judge every item until its verdict is final; each is in the record before the next one.

    ``history`` is as it was before helm; ``since`` when the rollback began, by the server's clock.
    """
    scribe, waivers = scene.scribe, scene.request.waivers
    samples = Samples(scene.env.workloads.values())
    checks = build_checks(scene, history, watch, since)
    wanted = []
    for check in checks:
        scribe.item(check.id, title=check.title, expected=check.expected, command=check.command)
        if check.id in waivers:
            now = scene.clock.now()
            text = f"waived by the operator: {waivers[check.id]}"
            scribe.item(check.id, verdict=Word.WAIVED, observed=text, finished_at=now)
        elif check.id in scene.selected or check.id.startswith(ROLLOUT_PREFIX):
            wanted.append(check)  # a rollout is needed even if left out: others wait until it has settled

    def note(item_id: str, judgement: Judgement, started_at: datetime, finished_at: datetime | None) -> None:
        if item_id not in scene.selected:
            return
        scribe.samples(samples.points())
        if isinstance(judgement, Verdict):
            scribe.item(
                item_id,
                verdict=judgement.word,
                observed=judgement.observed,
                evidence=judgement.evidence,
                started_at=started_at,
                finished_at=finished_at,
            )
            scribe.event(f"{item_id}: {judgement.word}", "zkrollback", finished_at)
        else:
            scribe.item(item_id, verdict=None, observed=judgement.observed, started_at=started_at)
        scene.display.changed()

    def picture(item_id: str, sample: Sample) -> None:
        if item_id.startswith(ROLLOUT_PREFIX):
            samples.add_snapshot(watch.snapshot())
        elif item_id == "health-database" and (sample.error, sample.value) != (None, None):
            samples.add_health(sample.at, sample.value is not None and not sample.value.trouble)

    scene.display.status("verifying the checklist")
    schedule = Schedule(
        wanted,
        scene.clock,
        since,
        note,
        on_begin=watch.refresh,
        on_sample=picture,
        stays_open=lambda item_id: item_id == EQUIVALENCE or item_id.startswith(ROLLOUT_PREFIX),
    )
    schedule.run(lambda: scene.signals.count > 0)
    scribe.samples(samples.points())
