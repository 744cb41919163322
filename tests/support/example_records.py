"""Example records, one per outcome, for the renderings' tests. The story: revision 6 of zkprova is bad."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from pytest_zkrollback.domain.decision import Answer, SignalName, SignalReading
from pytest_zkrollback.domain.metric import (
    MetricCount,
    MetricCurve,
    MetricPoint,
    MetricSeries,
    NoValueKind,
    PointOrigin,
)
from pytest_zkrollback.domain.record import (
    Delivery,
    Guard,
    Helm,
    Item,
    Mode,
    Outcome,
    Override,
    Plan,
    Record,
    Revision,
    SamplePoint,
    TimelineEntry,
)
from pytest_zkrollback.domain.verdict import Verdict, evidence
from pytest_zkrollback.preflight.decision import decide

START = datetime(2026, 11, 23, 11, 50, 39, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def revision(number: int, status: str, ago_s: float, tag: str, **more: Any) -> Revision:
    return Revision(
        revision=number,
        status=status,
        chart=f"zkprova-1.{number}.0",
        app_version=tag,
        deployed_at=at(-ago_s),
        description=more.pop("description", "Upgrade complete"),
        images=(f"registry.example/zkprova/backend:{tag}", f"registry.example/zkprova/frontend:{tag}"),
        **more,
    )


HISTORY = (
    revision(3, "superseded", 8 * 86400, "2026.11.2"),
    revision(4, "superseded", 5 * 86400, "2026.11.3"),
    revision(5, "superseded", 2 * 86400, "2026.11.4"),
    revision(6, "deployed", 760, "2026.11.5"),
)

DIFF = """--- revision 6
+++ revision 5
@@ Deployment/zkprova-zkprova-backend @@
   template:
     spec:
       containers:
       - name: backend
-        image: registry.example/zkprova/backend:2026.11.5
+        image: registry.example/zkprova/backend:2026.11.4
         env:
         - name: POOL_SIZE
-          value: "0"
+          value: "20"
@@ Deployment/zkprova-zkprova-frontend @@
-        image: registry.example/zkprova/frontend:2026.11.5
+        image: registry.example/zkprova/frontend:2026.11.4
"""

LOG = "\n".join(
    f"2026-11-23T11:50:{second:02d}.114Z INFO  request=GET /api/proofs status=200 took_ms={7 + second % 5}"
    for second in range(41, 60)
)

# id, title, expected, observed, command, start, end
ITEMS: tuple[tuple[str, str, str, str, str, float, float], ...] = (
    (
        "preflight",
        "Before acting",
        "identity, history, target, rights, lock and helm are known, and no guard refuses",
        "Cluster, release and rights are known; helm v4.3.1; nothing refuses.",
        "helm history zkprova --kube-context drill --namespace zkprova",
        0.0,
        0.9,
    ),
    (
        "rollback",
        "helm rollback zkprova 5",
        "helm exits 0 and the release's current revision is a deployed rollback to 5",
        "helm exited 0; revision 7 is deployed: Rollback to 5.",
        "helm rollback zkprova 5 --kube-context drill --namespace zkprova --timeout 120s",
        1.2,
        1.6,
    ),
    (
        "release-equivalence",
        "Live objects equal revision 5",
        "every object of revision 5's manifest is live with its fields, and no pod runs another image",
        "7 of 7 objects match; 4 of 4 pods run revision 5's images.",
        "helm get manifest zkprova --revision 5 | kubectl diff -f -",
        1.7,
        6.4,
    ),
    (
        "rollout-backend",
        "Backend rollout is complete",
        "all replicas of deployment/zkprova-zkprova-backend updated and available",
        "2 of 2 replicas updated and available on generation 7.",
        "kubectl rollout status deployment/zkprova-zkprova-backend --timeout=120s",
        1.6,
        5.8,
    ),
    (
        "rollout-frontend",
        "Frontend rollout is complete",
        "all replicas of deployment/zkprova-zkprova-frontend updated and available",
        "2 of 2 replicas updated and available on generation 7.",
        "kubectl rollout status deployment/zkprova-zkprova-frontend --timeout=120s",
        1.6,
        4.1,
    ),
    (
        "smoke",
        "Smoke tests",
        "the script exits 0 within 120 s",
        "Exit code 0 after 1.3 s; 6 checks passed.",
        "bash scripts/smoke-test.sh http://127.0.0.1:18080",
        5.8,
        7.1,
    ),
    (
        "logs",
        "Application logs",
        "no bad line since the rollback in any container of app=zkprova-backend",
        "38 lines of 2 pods read; none is bad.",
        "kubectl logs -l app=zkprova-backend --tail=50",
        5.8,
        6.2,
    ),
    (
        "health-database",
        'Database connectivity: /health says "database": "ok"',
        '3 times in a row: status 200 and "database" is "ok"',
        '3 of 3 in a row: 200, "database": "ok".',
        "curl -sS --max-time 5 http://127.0.0.1:18080/health",
        5.8,
        7.3,
    ),
    (
        "events",
        "Failed Kubernetes events",
        "no failure event after the rollback that its object did not recover from",
        "2 warnings since the rollback (Unhealthy); both pods became ready afterwards.",
        "kubectl get events --sort-by=.lastTimestamp | tail -20",
        5.8,
        6.0,
    ),
    (
        "migration",
        "Is a reverse migration needed?",
        "it is known whether a migration ran with revision 6",
        "No migration ran between revision 5 and 6: no hook, no Job, same schema version 41.",
        "kubectl get jobs -n zkprova",
        5.8,
        5.9,
    ),
    (
        "notify",
        "The team was told in Slack",
        "the webhook answers 200 ok",
        "Slack answered 200 ok.",
        "",
        7.3,
        7.5,
    ),
)


def items(**verdicts: tuple[Verdict | None, str]) -> tuple[Item, ...]:
    """All items, PASS unless ``verdicts`` (id with underscores) says otherwise."""
    made = []
    for item_id, title, expected, observed, command, start, end in ITEMS:
        word, text = verdicts.get(item_id.replace("-", "_"), (Verdict.PASS, observed))
        proof = [evidence("What was read", f"$ {command}\n{text}\n")]
        if item_id == "logs":
            proof = [evidence("zkprova-zkprova-backend-6c9f7b-x2x9q, container backend", LOG, kind="log")]
        if item_id == "health-database":
            proof = [
                evidence("GET /health", '{"status": "ok", "database": "ok", "revision": 5}', kind="json")
            ]
        judged = word is not None
        made.append(
            Item(
                id=item_id,
                title=title,
                verdict=word,
                expected=expected,
                observed=text,
                command=command,
                started_at=at(start) if judged else None,
                finished_at=at(end) if judged else None,
                evidence=tuple(proof) if judged else (),
            )
        )
    return tuple(made)


def samples(recovers: bool = True, until: float = 8.0) -> tuple[SamplePoint, ...]:
    """As engine/recovery_series.py gives them: replicas on every change, health on every probe."""
    backend, frontend = "replicas/zkprova-zkprova-backend", "replicas/zkprova-zkprova-frontend"
    changes = [
        (0.0, f"{backend}/2026.11.5", 1),
        (0.0, f"{frontend}/2026.11.5", 2),
        (1.9, f"{backend}/2026.11.4", 0),
        (1.9, f"{frontend}/2026.11.4", 1),
        (2.2, f"{frontend}/2026.11.5", 1),
        (3.2, f"{frontend}/2026.11.5", 0),
        (3.9, f"{frontend}/2026.11.4", 2),
    ]
    if recovers:
        changes += [
            (2.4, f"{backend}/2026.11.4", 1),
            (3.1, f"{backend}/2026.11.5", 0),
            (4.6, f"{backend}/2026.11.4", 2),
        ]
    changes += [(index / 4, "health", int(recovers and index / 4 > 4.7)) for index in range(int(until * 4))]
    return tuple(
        SamplePoint(at=at(second), series=series, value=value)
        for second, series, value in sorted(changes, key=lambda change: change[0])
        if second < until
    )


SLACK_MESSAGE = {
    "text": "VERIFIED: zkprova rolled back from 6 to 5 in drill",
    "blocks": [
        {"type": "header", "text": {"type": "plain_text", "text": "VERIFIED: zkprova rolled back in drill"}},
        {
            "type": "section",
            "fields": [
                {"type": "mrkdwn", "text": "*Environment*"},
                {"type": "plain_text", "text": "drill"},
                {"type": "mrkdwn", "text": "*Rolled-back revision*"},
                {"type": "plain_text", "text": "6 to 5 (now 7)"},
            ],
        },
        {
            "type": "section",
            "text": {"type": "plain_text", "text": "Reason: backend crash-loops since 2026.11.5"},
        },
        {"type": "divider"},
        {
            "type": "context",
            "elements": [{"type": "mrkdwn", "text": "Next steps: fix POOL_SIZE, then deploy 2026.11.6"}],
        },
    ],
}

HELM = Helm(
    ran=True,
    pid=41712,
    argv=(
        "helm",
        "rollback",
        "zkprova",
        "5",
        "--kube-context",
        "drill",
        "--namespace",
        "zkprova",
        "--timeout",
        "120s",
    ),
    version="v4.3.1",
    exit_code=0,
    started_at=at(1.2),
    finished_at=at(1.6),
    stdout_tail="Rollback was a success! Happy Helming!\n",
)

DECISION = decide(
    {
        SignalName.USERS_IMPACTED: SignalReading(
            Answer.YES, "cluster and /health", "/health answers HTTP 503"
        ),
        SignalName.MIGRATION_IRREVERSIBLE: SignalReading(
            Answer.NO, "migrations", "No hook ran in revision 6."
        ),
        SignalName.MANY_COMMITS: SignalReading(
            Answer.UNKNOWN, "helm history", "new since the target: revision 6"
        ),
    },
    {SignalName.FIX_OBVIOUS: Answer.NO},
    "roll back to revision 5",
)

GUARDS = (
    Guard(
        id="target",
        state="warned",
        evidence="Revision 5 was rolled back away from once.",
        consequence="Somebody found it bad before, or found something else better.",
    ),
    Guard(id="identity", state="ok", evidence="The kube-system namespace has the pinned UID."),
    Guard(id="pending-release", state="ok", evidence="Revision 6 is deployed; nothing is pending."),
    Guard(
        id="identity-unpinned",
        state="warned",
        evidence="This environment pins no cluster identity.",
    ),
)


def verified(**changes: Any) -> Record:
    fields: dict[str, Any] = {
        "run_id": "1a2b3c4d",
        "mode": Mode.ROLLBACK,
        "outcome": Outcome.VERIFIED,
        "summary": "Release zkprova, environment drill, is back on revision 5 (zkprova-1.5.0), live as revision "
        "7: all 11 checks passed.",
        "environment": "drill",
        "cluster": "drill (https://127.0.0.1:36443)",
        "namespace": "zkprova",
        "release": "zkprova",
        "revision_before": 6,
        "target_revision": 5,
        "revision_after": 7,
        "reason": "backend crash-loops since 2026.11.5",
        "next_steps": "fix POOL_SIZE, then deploy 2026.11.6",
        "incident": "https://tracker.example/INC-4711",
        "operator": "ada@workstation",
        "command_line": "pytest --env=drill --rollback-to=5 --rollback-reason='backend crash-loops'",
        "started_at": START,
        "finished_at": at(7.6),
        "impact_since": at(-720),
        "recovered_at": at(7.5),
        "served_again_at": at(4.75),
        "plan": Plan(target=HISTORY[2], compared_with=HISTORY[3], history=HISTORY, diff=DIFF),
        "decision": DECISION,
        "guards": GUARDS,
        "helm": HELM,
        "items": items(),
        "timeline": (
            TimelineEntry(at=at(-760), event="Revision 6 was deployed", source="helm"),
            TimelineEntry(at=at(-720), event="Users are affected since then", source="operator"),
            TimelineEntry(at=at(0), event="The run began", source="zkrollback"),
            TimelineEntry(at=at(1.2), event="helm rollback zkprova 5 was started", source="zkrollback"),
            TimelineEntry(at=at(1.6), event="helm exited with 0; revision 7 is deployed", source="helm"),
            TimelineEntry(at=at(5.8), event="Both rollouts are complete", source="kubernetes"),
            TimelineEntry(at=at(7.5), event="The team was told", source="slack"),
        ),
        "samples": samples(),
        "deliveries": (Delivery(to="slack", ok=True, answer="200 ok", message=SLACK_MESSAGE),),
        "redactions": 3,
        "versions": {
            "pytest-zkrollback": "0.1.0",
            "helm": "v4.3.1",
            "Kubernetes": "v1.37.2",
            "Python": "3.11.13",
        },
    }
    return Record(**(fields | changes))


def failed() -> Record:
    crash = "1 of 2 pods is in CrashLoopBackOff (4 restarts, last exit code 137 OOMKilled) on revision 5."
    return verified(
        outcome=Outcome.FAILED,
        summary="",
        items=items(
            release_equivalence=(
                Verdict.FAIL,
                "1 of 7 objects differs: ConfigMap zkprova-settings, data.POOL_SIZE.",
            ),
            rollout_backend=(Verdict.FAIL, crash),
            health_database=(Verdict.FAIL, 'Status 503, "database": "timeout"; 0 of 3 in a row after 30 s.'),
            smoke=(Verdict.UNVERIFIED, "The script could not be started: scripts/smoke-test.sh is missing."),
        ),
        recovered_at=None,
        served_again_at=None,
        samples=samples(recovers=False),
        finished_at=at(41.0),
        next_commands=(
            "helm history zkprova --kube-context drill --namespace zkprova",
            "kubectl describe pods -l app=zkprova-backend --context drill -n zkprova",
            "pytest --env=drill",
        ),
    )


def unverified() -> Record:
    return verified(
        outcome=Outcome.UNVERIFIED,
        summary="",
        items=items(
            logs=(
                Verdict.UNVERIFIED,
                "pods/log is forbidden for system:serviceaccount:ci:deployer in zkprova.",
            ),
            events=(Verdict.UNVERIFIED, "The API server did not answer within 15 s (3 attempts)."),
        ),
        recovered_at=None,
        served_again_at=None,
        impact_since=None,
        next_commands=("pytest --env=drill",),
    )


def refused() -> Record:
    word = Verdict.UNVERIFIED
    nothing = {each[0].replace("-", "_"): (word, "Not run: the rollback was refused.") for each in ITEMS[1:]}
    nothing["preflight"] = (Verdict.FAIL, "1 guard refuses: pending-release.")
    return verified(
        outcome=Outcome.REFUSED,
        summary="Not rolled back: revision 6 is pending-upgrade since 11:48:02 UTC, by helm v4.3.1 of ci-runner-7. "
        "Nothing was changed.",
        revision_after=None,
        helm=Helm(),
        guards=(
            *GUARDS,
            Guard(
                id="pending-release",
                state="refused",
                evidence="Revision 6 is pending-upgrade since 11:48:02 UTC, by helm v4.3.1 of ci-runner-7.",
                consequence="Two helm processes write the release: two revisions may end up deployed.",
                override="--rollback-override=pending-release=REASON",
            ),
        ),
        items=items(**nothing),
        samples=(),
        deliveries=(),
        recovered_at=None,
        served_again_at=None,
        impact_since=None,
        finished_at=at(1.1),
        timeline=(TimelineEntry(at=at(0), event="The run began", source="zkrollback"),),
        next_commands=("# when that operation has ended:", "pytest --env=drill --rollback-to=5"),
    )


def interrupted() -> Record:
    rest = {each[0].replace("-", "_"): (None, "") for each in ITEMS[2:]}
    rest["rollback"] = (Verdict.UNVERIFIED, "Interrupted by SIGTERM while helm ran (process 41712).")
    return verified(
        outcome=Outcome.INTERRUPTED,
        summary="",
        revision_after=None,
        helm=HELM.model_copy(
            update={"running": True, "exit_code": None, "finished_at": None, "stdout_tail": ""}
        ),
        items=items(**rest),
        samples=samples(until=1.6),
        deliveries=(),
        recovered_at=None,
        served_again_at=None,
        finished_at=at(1.5),
        next_commands=("helm history zkprova --kube-context drill --namespace zkprova", "pytest --env=drill"),
    )


def running() -> Record:
    rest = {each[0].replace("-", "_"): (None, "") for each in ITEMS[5:]}
    return verified(
        outcome=Outcome.RUNNING,
        summary="",
        items=items(**rest),
        samples=samples(until=5),
        deliveries=(),
        recovered_at=None,
        served_again_at=None,
        finished_at=None,
        next_commands=(),
    )


def waived() -> Record:
    return verified(
        outcome=Outcome.VERIFIED_WITH_WAIVERS,
        summary="",
        items=items(smoke=(Verdict.WAIVED, "Left out by the operator: the staging host is being moved.")),
        overrides=(Override(id="smoke", kind="item", reason="the staging host is being moved"),),
    )


def checked_only() -> Record:
    """Verify-only: somebody rolled back by hand before."""
    head = revision(7, "deployed", 60, "2026.11.4", description="Rollback to 5", rollback_of=5)
    return verified(
        mode=Mode.VERIFY,
        summary="",
        revision_before=7,
        target_revision=7,
        revision_after=7,
        helm=Helm(),
        items=tuple(item for item in items() if item.id != "rollback"),
        plan=Plan(target=head, compared_with=HISTORY[3], history=(*HISTORY, head), diff=DIFF),
        next_commands=(),
        guards=(),
    )


def rehearsal() -> Record:
    """``--rollback-plan``."""
    return verified(
        mode=Mode.PLAN,
        outcome=Outcome.PLANNED,
        summary="",
        revision_after=None,
        helm=Helm(),
        items=(),
        samples=(),
        deliveries=(),
        impact_since=None,
        recovered_at=None,
        served_again_at=None,
        next_commands=("pytest --env=drill --rollback-to=5",),
    )


def error_rate(seconds: float) -> float:
    """In percent: in order until revision 6 came, and again from a while after helm on."""
    if seconds < -760:
        return 0.2
    if seconds < 1.6:
        return min(40.0, 0.2 + (seconds + 760) / 3)
    return max(0.2, 40.0 - (seconds - 1.6) / 3)


def metric_points(
    start: int, end: int, step: int, value: Callable[[float], float | None], most: float, origin: PointOrigin
) -> tuple[MetricPoint, ...]:
    return tuple(
        MetricPoint(
            at=at(second),
            value=value(second),
            within=None if value(second) is None else value(second) <= most,
            kind=NoValueKind.EMPTY if value(second) is None else None,
            origin=origin,
        )
        for second in range(start, end + 1, step)
    )


def latency(seconds: float) -> float | None:
    """In ms; nobody scraped it for some minutes."""
    return None if -500 < seconds < -300 else 180 + abs(seconds) % 37


METRICS = (
    MetricSeries(
        id="metric-error-rate",
        title="Error rate below 1 %",
        query="rate(x)",
        unit="%",
        max=1,
        count=MetricCount(query="increase(x[1041s])", start=at(-760), end=at(280), value=4211.7),
        curve=MetricCurve(
            start=at(-1660),
            end=at(280),
            step_s=10,
            asked_at=at(281),
            points=metric_points(-1660, 280, 10, error_rate, 1, PointOrigin.RANGE_QUERY),
        ),
        points=metric_points(1, 280, 6, error_rate, 1, PointOrigin.SAMPLED),
    ),
    MetricSeries(
        id="metric-latency",
        title="Latency (p99) below 500 ms",
        query="p99",
        unit="ms",
        max=500,
        curve=MetricCurve(
            start=at(-1660),
            end=at(280),
            step_s=10,
            asked_at=at(281),
            points=metric_points(-1660, 280, 10, latency, 500, PointOrigin.RANGE_QUERY),
        ),
    ),
    MetricSeries(
        id="metric-queue",
        title="Queue below 100 jobs",
        query="jobs",
        unit="jobs",
        max=100,
        curve=MetricCurve(
            start=at(-1660),
            end=at(280),
            step_s=10,
            asked_at=at(281),
            problem="the server cannot answer now (HTTP 503)",
            kind=NoValueKind.UNAVAILABLE,
        ),
    ),
)


def with_metrics() -> Record:
    """The bad revision answered errors until helm had rolled back; Prometheus has seen it all."""
    judged = (
        ("metric-error-rate", "Error rate below 1 %", Verdict.PASS, "At most 0.2 % in 60 s"),
        ("metric-latency", "Latency (p99) below 500 ms", Verdict.PASS, "At most 216 ms in 60 s"),
        ("metric-queue", "Queue below 100 jobs", Verdict.WAIVED, "waived by the operator: no exporter"),
    )
    added = tuple(
        Item(
            id=name,
            title=title,
            verdict=word,
            expected="in order for 60 s",
            observed=seen,
            command="curl",
            started_at=at(1.6),
            finished_at=at(278),
        )
        for name, title, word, seen in judged
    )
    return verified(
        outcome=Outcome.VERIFIED_WITH_WAIVERS,
        summary="",
        items=(*items()[:-1], *added, items()[-1]),
        metrics=METRICS,
        provisional_at=at(7.5),
        watched_until=at(280),
        soak_s=272,
        finished_at=at(281),
    )


ALL = {
    "metrics": with_metrics,
    "verified": verified,
    "failed": failed,
    "unverified": unverified,
    "refused": refused,
    "interrupted": interrupted,
    "running": running,
    "waived": waived,
    "checked-only": checked_only,
    "plan": rehearsal,
}
