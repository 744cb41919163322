"""Whole runs in process over generated manifests: nothing of our own breaks, and nothing unread is called well.

Preflight and the checklist are the real ones; the API server has every object just as it is asked for, so that
whatever is read is live.
"""

import threading
from dataclasses import replace

from pytest_zkrollback.checklist.events.feed import EventFeeds
from pytest_zkrollback.domain.checks import History, Sample
from pytest_zkrollback.domain.errors import HelmProblem, NotFound, ZkRollbackError
from pytest_zkrollback.domain.item_ids import SMOKE
from pytest_zkrollback.domain.record import GuardState, Item, Plan
from pytest_zkrollback.domain.verdict import Pending, Verdict
from pytest_zkrollback.engine.cluster_watch import NamespaceWatches
from pytest_zkrollback.engine.metric_feed import MetricFeeds
from pytest_zkrollback.release.history import fetch_history
from pytest_zkrollback.run.build_checklist import ReleaseReader, build_checks
from pytest_zkrollback.run.find_workloads import resolve_workloads
from pytest_zkrollback.run.preflight_step import run_preflight
from pytest_zkrollback.run.results import ExpectedRelease, PreflightResult, RunState
from pytest_zkrollback.run.watched_places import event_places, watched
from support.fake_release import SECRETS, Release
from support.sequences import ITEMS, Tally, World

OVERRIDES = dict.fromkeys(("forecast", "data-loss", "ownership", "target", "permissions"), "generated")
# What a bug of ours is called where it is caught.
OUR_FAULT = "inside this tool"


class AnyRelease(Release):
    """Has every object that is asked for, of every kind, as ``live`` says; takes every dry run."""

    tls_server_name = None
    objects = {}  # noqa: RUF012 - replaced for each run

    def resource_path(self, api_version, kind, namespace, name=""):
        folder = f"{SECRETS}" if (api_version, kind) == ("v1", "Secret") else f"/any/{api_version}/{kind}"
        return f"{folder}/{name}" if name else folder

    def get(self, path, query=None, timeout_s=5.0):
        if path.startswith(SECRETS) or path in ("/version", "/api/v1/namespaces/kube-system"):
            return super().get(path, query, timeout_s)
        found = self.objects.get(path)
        if found is None:
            raise NotFound(f"no {path}")
        return found

    def list(self, path, query=None, timeout_s=5.0):
        return super().list(path, query, timeout_s) if path == SECRETS and query else ()

    def open_connections(self, count):
        pass

    def list_metadata(self, path, query=None, timeout_s=5.0):
        return super().list_metadata(path, query, timeout_s) if path == SECRETS and query else ()

    def send(self, method, path, body, content_type="application/json", query=None, timeout_s=5.0):
        if path.endswith("selfsubjectaccessreviews") or path.startswith(SECRETS):
            return super().send(method, path, body, content_type, query, timeout_s)
        return body


class Runs:
    """Runs one after the other, each on a release of its own."""

    def __init__(self, folder):
        self._helm_file = folder / "helm"
        self._helm_file.write_text("")
        self._helm_file.chmod(0o755)
        self.seen = {}

    def wrong(self, head, target, hook=""):
        """What went wrong in a rollback from ``head`` to ``target``, as a sentence; empty: nothing.

        ``hook``: the manifest of a hook that the rollback runs.
        """
        world = World(1, self._helm_file, Tally())
        release = world.release
        release.__class__ = AnyRelease
        for text in (target, head):
            release.upgrade()
            release.store(release.head()[0], "deployed", text)
        numbers = [row[0] for row in release.revisions()]
        if hook:
            content = release._content(f"sh.helm.release.v1.app.v{numbers[-2]}")
            content["hooks"] = [{"kind": "Job", "name": "x", "events": ["pre-rollback"], "manifest": hook}]
            release._put(content)
        history = fetch_history(release, "shop", "app")
        wanted, current = (history.get(number) for number in numbers[-2:])
        read = {number: each.read("shop") for number, each in ((5, wanted), (6, current))}
        release.objects = {
            release.resource_path(item["apiVersion"], item["kind"], "", item["metadata"]["name"]): item
            for found in read.values()
            for item in found.objects
        }
        recorder = world._recorder("00000001", "ann")
        recorder.update(items=(*recorder.record.items, Item(id=SMOKE, title="smoke")))
        context = world._context(recorder, numbers[-2], OVERRIDES)
        context = replace(context, env=context.env.model_copy(update={"workloads": "auto"}))
        known = run_preflight(context)
        said = recorder.record.model_dump_json()
        if OUR_FAULT in said:
            return f"a question failed {said[said.index(OUR_FAULT) - 60 :][:300]}"
        unread = bool(read[5].unread or read[6].unread)
        forecast = next((each for each in recorder.record.guards if each.id == "forecast"), None)
        if unread and (forecast is None or forecast.state is GuardState.OK):
            return f"the forecast says nothing of what was not read: {forecast}"
        self.seen[type(known).__name__, unread] = self.seen.get((type(known).__name__, unread), 0) + 1
        return self._checked(context, known, history, numbers[-2], unread=bool(read[5].unread))

    def _checked(self, context, known, history, target, *, unread):
        """The checklist, also after a refusal: somebody else may roll back."""
        plan = known.plan if isinstance(known, PreflightResult) else Plan()
        head = history.head.revision.revision
        release = ExpectedRelease(history, target, plan, head, history)
        state = RunState(ITEMS)
        context = resolve_workloads(context, history, target)
        watch = NamespaceWatches(context.kube, watched(context.env, release), context.clock)
        events = EventFeeds(context.kube, event_places(context.env, release), context.clock)
        now = context.clock.now()
        reader = ReleaseReader(context, release, state)
        try:
            metrics = MetricFeeds(context.env, {}, context.clock)
            checks = build_checks(context, release, reader, state, watch, events, now, metrics)
        except HelmProblem as problem:
            return f"no item has a verdict: {problem}"
        for check in checks:
            assert isinstance(
                f"{check.expected}{check.command}", str
            )  # they are made when they are asked for
        (equivalence,) = (check for check in checks if check.id == "release-equivalence")
        try:
            sample = Sample(now, equivalence.observe())
        except ZkRollbackError as error:
            sample = Sample(now, error=error)
        judged = equivalence.judge(History((sample,), since=now, judged_from=now, rollouts_passed=True), now)
        if unread and not isinstance(judged, Pending) and judged.word is Verdict.PASS:
            return f"what was not read is called equal: {judged.observed}"
        return ""


def threads_failed():
    """What a thread died of, from now on; a list that is filled."""
    found = []
    threading.excepthook = lambda args: found.append(f"{args.exc_type.__name__}: {args.exc_value}")
    return found
