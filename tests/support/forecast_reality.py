"""The forecast for a situation, then the real rollback: do they agree?"""

import re
from dataclasses import dataclass

from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.clients.kube.client import connect
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.forecast import ApplyOutcome, Forecast
from pytest_zkrollback.preflight.forecast import make_forecast
from pytest_zkrollback.preflight.release_view import ReleaseView
from support.forecast_situations import RELEASE, Situation, Stage


@dataclass(frozen=True)
class Outcome:
    """What was said, and what happened."""

    situation: str
    about: str
    major: int
    forecast: Forecast
    applied: bool
    stderr: str

    @property
    def contradiction(self) -> str:
        """Empty, or how reality contradicts the forecast."""
        will = self.forecast.will
        if will is ApplyOutcome.APPLY and not self.applied:
            return f"will apply, and failed: {self.stderr}"
        if will is ApplyOutcome.FAIL and self.applied:
            return f"will fail, and applied: {self.why}"
        if will is ApplyOutcome.FAIL and not any(
            _names(each.what, self.stderr) for each in self.forecast.failing
        ):
            return f"will fail on other objects: {self.why}; reality: {self.stderr}"
        return ""

    @property
    def why(self) -> str:
        """The forecast's reasons, one line."""
        failing = [f"{each.what}: {each.cause}: {each.why}" for each in self.forecast.failing]
        return "; ".join([*failing, *self.forecast.unknown])


def _names(label: str, stderr: str) -> bool:
    """Whether helm's words are about this object; where they name none at all, they may be."""
    kind, _, name = label.partition("/")
    return kind == "ResourceQuota" or name in stderr or kind.lower() in stderr.lower()


def predict(stage: Stage, target: int) -> Forecast:
    """As the preflight does it, with the credentials of whoever rolls back."""
    kube = connect(stage.context, str(stage.kubeconfig), SystemClock())
    env = Environment(
        name="test",
        context=stage.context,
        namespace=stage.namespace,
        release=RELEASE,
        workloads={"web": "deployment/web"},
    )
    forecast = make_forecast(
        kube, stage.namespace, ReleaseView(env, kube, SystemClock(), target), stage.major
    )
    assert forecast is not None
    return forecast


def play(situation: Situation, cluster, major: int, folder) -> Outcome:
    """Make the situation, forecast it, and then do it."""
    stage = Stage(cluster, major, folder / re.sub(r"[^a-z0-9]+", "-", f"{situation.name}-{major}"))
    try:
        situation.play(stage)
        forecast = predict(stage, situation.target)
        done = stage.rollback(situation.target)
        return Outcome(
            situation.name, situation.about, major, forecast, done.returncode == 0, done.stderr.strip()
        )
    finally:
        stage.close()
