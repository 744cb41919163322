"""What a run says after a step raised: "nothing was changed" only where that is so."""

from types import SimpleNamespace

import pytest

from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.errors import HelmProblem, Unreachable
from pytest_zkrollback.domain.record import Outcome, Plan
from pytest_zkrollback.domain.request import Request
from pytest_zkrollback.release.history import ReleaseHistory
from pytest_zkrollback.report.redaction import Redactor
from pytest_zkrollback.run import find_redeploy_risks, verify_step
from pytest_zkrollback.run import run as module
from pytest_zkrollback.run.results import HelmOutcome, HelmOutcomeStatus, PreflightResult
from support.preflight_facts import revision

HISTORY = ReleaseHistory("default", "shop", (revision(5, "superseded"), revision(6)))
PLAN = Plan(history=HISTORY.revisions, compared_with=HISTORY.head.revision)
NO_HOOKS = SimpleNamespace(answers=lambda hook, **facts: ())


class Step:
    """The rollback step. ``raises``: what it raises, with or without having started helm."""

    def __init__(self, *, helm_ran, raises=None):
        self.may_have_changed, self.raises = helm_ran, raises

    def run(self):
        if self.raises is not None:
            raise self.raises
        return HelmOutcome(HelmOutcomeStatus.RAN, PLAN, head=7, after=HISTORY, exit_code=0)


class Quiet:
    """A watch, a feed or a timeline: nothing of them is looked at here."""

    def __init__(self, *_, **__):
        pass

    def __getattr__(self, name):
        return lambda *_, **__: None


def run_with(monkeypatch, tmp_path, step, verify=None, target=5):
    env = Environment(name="test", context="x", release="shop", workloads={"app": "deployment/app"})
    request = Request(environment="test", target=target, report_dir=str(tmp_path / "reports"))
    run = module.Run(request, env, "shop", env.named_workloads, "pytest --env=test", NO_HOOKS, Redactor())
    preflight = PreflightResult(
        history=HISTORY,
        target=target,
        plan=PLAN,
        helm_version=SimpleNamespace(text="v4"),
        no_hooks=False,
        lock_holder="",
        overridden=frozenset(),
        started_at=run.redacted.started_at,
    )
    context = SimpleNamespace(env=env, kube=None, http=lambda: None)
    monkeypatch.setattr(run, "_open", lambda selected: context)
    monkeypatch.setattr(module, "run_preflight", lambda *_: preflight)
    monkeypatch.setattr(module, "resolve_workloads", lambda found, *_: found)
    step.state = run._state
    monkeypatch.setattr(module, "RollbackStep", lambda *_: step)
    for name in ("NamespaceWatches", "RecoveryTimeline", "EventFeeds"):
        monkeypatch.setattr(module, name, Quiet)
    monkeypatch.setattr(find_redeploy_risks, "RedeployRisks", Quiet)

    def run_verify(*_):
        if verify is not None:
            raise verify
        return 7

    monkeypatch.setattr(verify_step, "run_verify", run_verify)
    run.execute(frozenset(run.item_ids))
    return run.redacted


@pytest.mark.parametrize(
    ("step", "verify"),
    [
        (Step(helm_ran=True), HelmProblem("the manifest cannot be parsed")),
        (Step(helm_ran=True, raises=Unreachable("the API server is gone")), None),
    ],
)
def test_after_helm_ran_an_error_is_not_verified_and_never_refused(monkeypatch, tmp_path, step, verify):
    record = run_with(monkeypatch, tmp_path, step, verify)
    assert record.outcome is Outcome.UNVERIFIED
    assert "Nothing was changed" not in record.summary
    smoke = next(item for item in record.items if item.id == "smoke")
    assert smoke.observed.startswith("not verified: ")


def test_before_helm_ran_an_error_is_a_refusal(monkeypatch, tmp_path):
    record = run_with(monkeypatch, tmp_path, Step(helm_ran=False, raises=Unreachable("nobody answers")))
    assert record.outcome is Outcome.REFUSED
    assert record.summary == "Not rolled back: nobody answers. Nothing was changed."
    assert {item.observed for item in record.items if item.id != "preflight"} == {
        "not run: refused before helm, see preflight"
    }


def test_a_signal_while_helm_ran_is_an_interruption_also_where_the_release_cannot_be_read(
    monkeypatch, tmp_path
):
    class Interrupted(Step):
        def run(self):
            self.state.found = Outcome.INTERRUPTED
            return super().run()

    step = Interrupted(helm_ran=True, raises=Unreachable("the API server is gone"))
    record = run_with(monkeypatch, tmp_path, step)
    assert record.outcome is Outcome.INTERRUPTED


def test_a_signal_while_verifying_is_an_interruption(monkeypatch, tmp_path):
    record = run_with(monkeypatch, tmp_path, Step(helm_ran=True), KeyboardInterrupt())
    assert record.outcome is Outcome.INTERRUPTED


def test_verdicts_that_nobody_gave_are_not_green(monkeypatch, tmp_path):
    record = run_with(monkeypatch, tmp_path, Step(helm_ran=True))
    assert record.outcome is Outcome.UNVERIFIED
