"""What a preflight found: nothing speaks against a usual rollback from 6 to 5."""

from datetime import UTC, datetime, timedelta

from pytest_zkrollback.clients.helm import HelmVersion
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.forecast import ApplyOutcome, Forecast
from pytest_zkrollback.domain.record import Revision
from pytest_zkrollback.preflight.node_images import ImagesSeen
from pytest_zkrollback.preflight.probe import Facts, ProbeResult
from pytest_zkrollback.preflight.release_view import Touched
from pytest_zkrollback.release.helm_secret import Release
from pytest_zkrollback.release.history import ReleaseHistory
from pytest_zkrollback.rollback.lock import LockState

AT = datetime(2026, 11, 23, 2, 11, tzinfo=UTC)


def revision(number, status="superseded", description="Upgrade complete", rollback_of=None, **more):
    return Release(
        Revision(
            revision=number,
            status=status,
            chart="zkprova-1.0.0",
            deployed_at=AT,
            description=description,
            rollback_of=rollback_of,
        ),
        **{"manifest": f"# {number}", **more},
    )


def history(*releases):
    found = releases or (revision(4), revision(5), revision(6, "deployed"))
    return ProbeResult(value=ReleaseHistory("default", "zkprova", found))


def facts(**changes):
    usual = {
        "history": history(),
        "journal": ProbeResult(value=()),
        "identity": ProbeResult(value="uid-1"),
        "server": ProbeResult(value="v1.37.2"),
        "helm": ProbeResult(value=HelmVersion("v4.3.1", 4, 3)),
        "denied": ProbeResult(value=()),
        "forecast": ProbeResult(value=Forecast(will=ApplyOutcome.APPLY, method="server-side apply")),
        "lock": ProbeResult(value=LockState()),
        "live": ProbeResult(value={}),
        "touched": ProbeResult(value=Touched()),
        "owners": ProbeResult(value=()),
        "scalers": ProbeResult(value=()),
        "elsewhere": ProbeResult(value=False),
        "images": ProbeResult(value=ImagesSeen(5, nodes=3)),
        "now": AT + timedelta(minutes=1),
    }
    return Facts(**{**usual, **changes})


def environment(**changes):
    workloads = {"api": "deployment/api"}
    return Environment(**{"name": "staging", "context": "staging", "workloads": workloads, **changes})
