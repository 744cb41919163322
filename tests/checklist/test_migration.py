from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.checklist.migration import MigrationCheck
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.checks import History, JsonObject, Sample
from pytest_zkrollback.domain.errors import HelmProblem
from pytest_zkrollback.domain.migration import MigrationFinding, MigrationWord, RevisionContent, Span
from pytest_zkrollback.domain.verdict import CheckResult, Judgement, Pending, Verdict
from pytest_zkrollback.migrations.hooks import judge_hooks
from pytest_zkrollback.run.migration_sources import judge_irreversible

T0 = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
ENV = Environment(name="staging", context="ctx", namespace="ns", workloads={"web": "deployment/web"})
HOW = 'Assess whether a reverse migration is needed, then record it: --rollback-migration-assessed "TEXT".'
NOT_LOOKED = "Not checked: migrations that the application runs at start-up."


def hook(
    name: str = "zkprova-migrate",
    *,
    kind: str = "Job",
    events: tuple[str, ...] = ("pre-upgrade",),
    phase: str = "Succeeded",
    image: str = "zkprova:1.6.0",
    manifest: str | None = None,
) -> JsonObject:
    text = f"""
kind: {kind}
metadata:
  name: {name}
spec:
  template:
    spec:
      containers:
      - name: migrate
        image: {image}
        command: [python, manage.py]
        args: [migrate]
"""
    return {
        "name": name,
        "kind": kind,
        "events": list(events),
        "manifest": text if manifest is None else manifest,
        "last_run": {"started_at": "", "completed_at": "", "phase": phase},
    }


def workload(kind: str = "Deployment", init: tuple[JsonObject, ...] = ()) -> JsonObject:
    spec = {"initContainers": list(init), "containers": [{"name": "app", "image": "zkprova:1.6.0"}]}
    return {"kind": kind, "metadata": {"name": "web"}, "spec": {"template": {"spec": spec}}}


def content(revision: int, *hooks: JsonObject, objects: tuple[JsonObject, ...] = ()) -> RevisionContent:
    return RevisionContent(revision, objects or (workload(),), hooks)


INIT = {"name": "migrate", "image": "zkprova:1.6.0", "args": ["migrate"]}
SIDECAR = {"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}
RUNS = "zkprova:1.6.0 runs python manage.py migrate"

TABLE: dict[str, tuple[RevisionContent, list[RevisionContent], bool | None, str]] = {
    "nothing that could": (
        content(5),
        [content(6)],
        False,
        f"No hook, Job or init container ran in revision 6. {NOT_LOOKED}",
    ),
    "nothing that could, two revisions": (
        content(4),
        [content(6), content(5)],
        False,
        f"No hook, Job or init container ran in revisions 5, 6. {NOT_LOOKED}",
    ),
    "a hook that ran": (
        content(5),
        [content(6, hook())],
        True,
        f"Hook Job zkprova-migrate (pre-upgrade) of revision 6 ran (Succeeded): {RUNS}.",
    ),
    "a hook that failed halfway": (
        content(5),
        [content(6, hook(phase="Failed"))],
        True,
        f"Hook Job zkprova-migrate (pre-upgrade) of revision 6 ran (Failed, so part of it may be applied): "
        f"{RUNS}.",
    ),
    "a hook whose end Helm did not see": (
        content(5),
        [content(6, hook(phase="Unknown"))],
        True,
        f"Hook Job zkprova-migrate (pre-upgrade) of revision 6 ran (Unknown, so part of it may be "
        f"applied): {RUNS}.",
    ),
    "a hook in a revision between": (
        content(4),
        [content(5, hook()), content(6)],
        True,
        f"Hook Job zkprova-migrate (pre-upgrade) of revision 5 ran (Succeeded): {RUNS}.",
    ),
    "a hook that Helm did not run": (
        content(5),
        [content(6, hook(phase=""))],
        False,
        f"No hook, Job or init container ran in revision 6. {NOT_LOOKED}",
    ),
    "the same hook as in the target": (
        content(5, hook()),
        [content(6, hook())],
        None,
        "It is not known whether a migration ran: hook Job zkprova-migrate (pre-upgrade) of revision 6 ran "
        f"(Succeeded), in the same form as in the target: {RUNS}.",
    ),
    "the same hook with another image": (
        content(5, hook(image="zkprova:1.5.0")),
        [content(6, hook())],
        True,
        f"Hook Job zkprova-migrate (pre-upgrade) of revision 6 ran (Succeeded): {RUNS}.",
    ),
    "a test hook": (
        content(5),
        [content(6, hook(events=("test",)))],
        False,
        f"No hook, Job or init container ran in revision 6. {NOT_LOOKED}",
    ),
    "a hook that runs no code": (
        content(5),
        [content(6, hook(kind="ConfigMap"))],
        False,
        f"No hook, Job or init container ran in revision 6. {NOT_LOOKED}",
    ),
    "a hook that cannot be read": (
        content(5),
        [content(6, hook(manifest="a: [b"))],
        True,
        "Hook Job zkprova-migrate (pre-upgrade) of revision 6 ran (Succeeded): "
        "its manifest does not say what it runs.",
    ),
    "two hooks": (
        content(5),
        [content(6, hook(), hook("other"))],
        True,
        f"Hook Job zkprova-migrate (pre-upgrade) of revision 6 ran (Succeeded): {RUNS} (and 1 more).",
    ),
    "a Job in the manifest": (
        content(5),
        [content(6, objects=(workload("Job"),))],
        None,
        "It is not known whether a migration ran: Job web of revision 6 is no hook, so Helm does not record "
        "what became of it: zkprova:1.6.0 runs the image's own command.",
    ),
    "an init container, the same in both": (
        content(5, objects=(workload(init=(INIT,)),)),
        [content(6, objects=(workload(init=(INIT,)),))],
        None,
        "It is not known whether a migration ran: init container migrate of Deployment web in revision 6: "
        "zkprova:1.6.0 runs migrate.",
    ),
    "a sidecar": (
        content(5),
        [content(6, objects=(workload("StatefulSet", init=(SIDECAR,)),))],
        False,
        f"No hook, Job or init container ran in revision 6. {NOT_LOOKED}",
    ),
    "a pruned revision": (
        content(4),
        [content(6)],
        None,
        "It is not known whether a migration ran: revision 5 could not be looked into: its record was not read.",
    ),
    "no later revision": (
        content(5),
        [],
        None,
        "Nothing has been rolled back yet, so there is no deploy to look for migrations in. "
        "After a rollback this is judged by itself.",
    ),
    "the rollback's own hook": (
        content(5, hook("undo", events=("post-rollback",), phase="")),
        [content(6)],
        None,
        "It is not known whether a migration ran: hook Job undo (post-rollback) of the target runs with "
        f"the rollback and may have changed the database: {RUNS}.",
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_hooks_jobs_and_init_containers(case: str) -> None:
    target, later, ran, observed = TABLE[case]
    finding = judge_hooks(Span(target, tuple(later)))
    assert (finding.ran, finding.observed) == (ran, observed)
    assert finding.limits == ((NOT_LOOKED,) if ran is False else ())


def live_job(image: str = "zkprova:1.6.0", **status: Any) -> JsonObject:
    spec = {"containers": [{"name": "app", "image": image}]}
    return {"metadata": {"name": "web"}, "spec": {"template": {"spec": spec}}, "status": status}


def condition(kind: str) -> dict[str, list[dict[str, str]]]:
    return {"conditions": [{"type": kind, "status": "True"}]}


JOB = "Job web of revision 6"
RAN = "zkprova:1.6.0 runs the image's own command."
LIVE: dict[str, tuple[JsonObject, bool, bool | None, str]] = {
    "completed": (live_job(**condition("Complete")), False, True, f"{JOB} ran (completed): {RAN}"),
    "failed": (
        live_job(failed=2, **condition("Failed")),
        False,
        True,
        f"{JOB} ran (2 pods failed, so part of it may be applied): {RAN}",
    ),
    "still running": (
        live_job(active=1),
        False,
        True,
        f"{JOB} was started and has not ended, so part of it may be applied: {RAN}",
    ),
    "completed, but the target has the same": (
        live_job(**condition("Complete")),
        True,
        None,
        f"It is not known whether a migration ran: {JOB} ran (completed), in the same form as in the target: {RAN}",
    ),
    "another revision's": (
        live_job(image="zkprova:1.5.0", **condition("Complete")),
        False,
        None,
        f"It is not known whether a migration ran: {JOB} is no hook, so Helm does not record what became of it: "
        f"{RAN}",
    ),
}


@pytest.mark.parametrize("case", LIVE)
def test_what_became_of_a_live_job(case: str) -> None:
    job, in_target, ran, observed = LIVE[case]
    objects = (workload("Job"),) if in_target else ()
    span = Span(content(5, objects=objects), (content(6, objects=(workload("Job"),)),), jobs={"web": job})
    finding = judge_hooks(span)
    assert (finding.ran, finding.observed) == (ran, observed)


def pod(number: int, *ends: int, image: str = "zkprova:1.6.0") -> dict[str, JsonObject]:
    """A live pod with INIT whose newest ends (state, lastState) had these exit codes."""
    states = dict(
        zip(("state", "lastState"), ({"terminated": {"exitCode": code}} for code in ends), strict=False)
    )
    status = {"initContainerStatuses": [{"name": "migrate", **states}]}
    spec = {"initContainers": [{**INIT, "image": image}]}
    return {str(number): {"metadata": {"uid": str(number)}, "spec": spec, "status": status}}


@pytest.mark.parametrize(
    ("pods", "said", "accounted"),
    [
        ({}, "", False),
        ({**pod(1, 0), **pod(2, 0)}, " (ended well in 2 pods)", False),
        ({**pod(1, 0), **pod(2, 1)}, " (failed in 1 pod, so part of it may be applied)", None),
        ({**pod(1, 0, 1)}, " (ended well in 1 pod)", False),  # the second try went well
        ({**pod(1)}, "", False),  # still running
        ({**pod(1, 1, image="zkprova:1.5.0")}, "", False),  # another revision's
    ],
)
def test_what_became_of_an_init_container(
    pods: dict[str, JsonObject], said: str, accounted: bool | None
) -> None:
    span = Span(content(5), (content(6, objects=(workload(init=(INIT,)),)),), pods=pods)
    assert judge_hooks(span).observed == (
        "It is not known whether a migration ran: init container migrate of Deployment web in revision "
        f"6{said}: zkprova:1.6.0 runs migrate."
    )
    assert judge_hooks(span, ("migrate",)).ran is accounted


ACCOUNTED: dict[str, tuple[RevisionContent, dict[str, JsonObject], bool | None]] = {
    "a hook that succeeded": (content(6, hook("zkprova-migrate")), {}, False),
    "a hook that failed": (content(6, hook("zkprova-migrate", phase="Failed")), {}, True),
    "another hook": (content(6, hook("other")), {}, True),
    "an init container": (
        content(6, objects=(workload(init=({**INIT, "name": "zkprova-migrate"},)),)),
        {},
        False,
    ),
    "a Job that failed": (
        content(6, objects=({**workload("Job"), "metadata": {"name": "zkprova-migrate"}},)),
        {"zkprova-migrate": live_job(failed=1)},
        True,
    ),
}


@pytest.mark.parametrize("case", ACCOUNTED)
def test_what_is_accounted_for_is_left_to_the_other_sources_unless_it_failed(case: str) -> None:
    bad, jobs, ran = ACCOUNTED[case]
    finding = judge_hooks(Span(content(5), (bad,), jobs=jobs), ("zkprova-migrate",))
    assert finding.ran is ran
    if ran is False:
        assert finding.observed == f"No other hook, Job or init container ran in revision 6. {NOT_LOOKED}"
        assert "accounted for by the configuration" in finding.evidence[0].text


def test_the_evidence_lists_what_was_looked_at() -> None:
    finding = judge_hooks(Span(content(4), (content(5), content(6, hook(phase=""), hook("b")))))
    assert finding.evidence[0].text == (
        "revision 5: none\n"
        "revision 6: did not run: hook Job zkprova-migrate (pre-upgrade) of revision 6: "
        "Helm recorded no run of it\n"
        f"revision 6: RAN: hook Job b (pre-upgrade) of revision 6 ran (Succeeded): {RUNS}\n"
        "revision 4 (target), hooks of a rollback: none\n"
        f"{NOT_LOOKED}"
    )


def judged(*findings: MigrationFinding, assessed: str | None = None, error: Any = None) -> Judgement:
    one = MigrationCheck(
        env=ENV, sources=tuple((lambda f=f: f) for f in findings), assessed=assessed, compared_with=6
    )
    sample = Sample(T0, error=error) if error else Sample(T0, one.observe())
    return one.judge(History((sample,), since=T0, judged_from=T0), T0)


NO = MigrationFinding("hooks", False, "No hook ran.")
YES = MigrationFinding("files", True, "0007_drop.py ran.")
PARTIAL = MigrationFinding("hooks", False, "No hook ran.", whole=False)
UNKNOWN = MigrationFinding("schema", None, "The schema is not known.")
DEPLOY = MigrationFinding("deploy", False, "This is no rollback.", settles=True)


@pytest.mark.parametrize(
    ("findings", "assessed", "word", "observed"),
    [
        ((NO,), None, Verdict.PASS, "No hook ran."),
        ((NO, NO), None, Verdict.PASS, "No hook ran. No hook ran."),
        (
            (NO, YES, UNKNOWN),
            None,
            Verdict.FAIL,
            f"0007_drop.py ran. Not all sources agree: No hook ran. {HOW}",
        ),
        ((YES, UNKNOWN), None, Verdict.FAIL, f"0007_drop.py ran. {HOW}"),
        # That no hook ran does not contradict files: the application may migrate when it starts.
        ((PARTIAL, YES), None, Verdict.FAIL, f"0007_drop.py ran. {HOW}"),
        ((NO, UNKNOWN), None, Verdict.UNVERIFIED, f"No hook ran. The schema is not known. {HOW}"),
        (
            (),
            None,
            Verdict.UNVERIFIED,
            f"It is not known whether a migration ran: no source is configured. {HOW}",
        ),
        (
            (YES,),
            "additive, stays",
            Verdict.PASS,
            "Assessed by the operator: additive, stays. Seen: 0007_drop.py ran.",
        ),
        ((YES,), "  ", Verdict.FAIL, f"0007_drop.py ran. {HOW}"),
        # An ordinary deploy: what is not known does not matter, and what speaks against it does.
        ((DEPLOY,), None, Verdict.PASS, "This is no rollback."),
        ((DEPLOY, UNKNOWN), None, Verdict.PASS, "This is no rollback."),
        ((DEPLOY, NO), None, Verdict.PASS, "This is no rollback. No hook ran."),
        (
            (DEPLOY, YES),
            None,
            Verdict.FAIL,
            f"0007_drop.py ran. Not all sources agree: This is no rollback. {HOW}",
        ),
    ],
)
def test_pass_only_on_evidence_or_an_assessment(
    findings: tuple[MigrationFinding, ...], assessed: str | None, word: Verdict, observed: str
) -> None:
    assert judged(*findings, assessed=assessed) == CheckResult(word=word, observed=observed)


ASSESSED = MigrationWord(text="additive.", by="ann@laptop", run_id="1a2b3c4d", at=T0)
WAIVED = replace(ASSESSED, text="no time", waived=True)
SAID_AT = f"by ann@laptop, {T0:%Y-%m-%d %H:%M:%S} UTC, run 1a2b3c4d"


@pytest.mark.parametrize(
    ("findings", "recorded", "word", "observed"),
    [
        ((YES,), ASSESSED, Verdict.PASS, f"Assessed {SAID_AT}: additive. Seen: 0007_drop.py ran."),
        ((UNKNOWN,), ASSESSED, Verdict.PASS, f"Assessed {SAID_AT}: additive. Seen: The schema is not known."),
        ((YES,), WAIVED, Verdict.WAIVED, f"Waived {SAID_AT}: no time. Seen: 0007_drop.py ran."),
        ((NO,), WAIVED, Verdict.PASS, "No hook ran."),
        ((YES,), None, Verdict.FAIL, f"0007_drop.py ran. {HOW}"),
    ],
)
def test_what_was_said_of_the_same_revision_is_remembered_with_who_and_when(
    findings: tuple[MigrationFinding, ...], recorded: MigrationWord | None, word: Verdict, observed: str
) -> None:
    one = MigrationCheck(env=ENV, sources=tuple((lambda f=f: f) for f in findings), recorded=recorded)
    sample = Sample(T0, one.observe())
    found = one.judge(History((sample,), since=T0, judged_from=T0), T0)
    assert found == CheckResult(word=word, observed=observed)
    now = replace(one, assessed="looked at again")
    assert now.judge(History((sample,), since=T0), T0).observed.startswith("Assessed by the operator: looked")


@pytest.mark.parametrize("assessed", [None, "additive"])
def test_what_was_not_looked_into_is_said_of_what_is_green(assessed: str | None) -> None:
    verdict = judged(NO, replace(NO, limits=(NOT_LOOKED,)), assessed=assessed)
    assert isinstance(verdict, CheckResult)
    assert (verdict.word, verdict.limits) == (Verdict.PASS, (NOT_LOOKED,))


@given(
    st.lists(st.sampled_from([YES, NO, PARTIAL, UNKNOWN]), max_size=6), st.sampled_from([None, "", "fine"])
)
def test_green_only_if_every_source_says_no_or_somebody_assessed(
    findings: list[MigrationFinding], assessed: str | None
) -> None:
    verdict = judged(*findings, assessed=assessed)
    assert isinstance(verdict, CheckResult)
    if assessed:
        assert verdict.word is Verdict.PASS
    elif any(one.ran for one in findings):
        assert verdict.word is Verdict.FAIL
    else:
        none_ran = bool(findings) and UNKNOWN not in findings
        assert verdict.word is (Verdict.PASS if none_ran else Verdict.UNVERIFIED)


@given(
    st.lists(st.builds(MigrationFinding, st.just("x"), *[st.sampled_from([True, False, None])], st.just("y")))
)
def test_the_signal_is_no_only_if_all_is_known_to_be_harmless(findings: list[MigrationFinding]) -> None:
    varied = [replace(one, reversible=again) for one in findings for again in (True, False, None)]
    for chosen in (findings, varied, varied[::2]):
        answer = judge_irreversible(chosen).answer
        cannot = any(one.ran and one.reversible is False for one in chosen)
        harmless = bool(chosen) and all(one.ran is False or one.reversible for one in chosen)
        assert answer == ("yes" if cannot else "no" if harmless else "unknown")


def test_a_source_that_fails_is_unverified_unless_assessed() -> None:
    error = HelmProblem("Release 6 could not be read.")
    assert judged(error=error) == CheckResult(
        word=Verdict.UNVERIFIED,
        observed=f"It could not be found out whether a migration ran: Release 6 could not be read. {HOW}",
    )
    verdict = judged(error=error, assessed="none needed")
    assert isinstance(verdict, CheckResult)
    assert verdict.word is Verdict.PASS


def test_the_words_around_it() -> None:
    one = MigrationCheck(env=ENV, sources=(), compared_with=6)
    assert one.command == "helm get hooks zkprova --revision 6 -n ns --kube-context ctx"
    assert MigrationCheck(env=ENV, sources=()).command == "helm history zkprova -n ns --kube-context ctx"
    inside = ENV.model_copy(update={"in_cluster": True})
    assert MigrationCheck(env=inside, sources=()).command == "helm history zkprova -n ns"
    pinned = ENV.model_copy(update={"kubeconfig": "/k c", "helm": "/opt/helm4"})
    assert MigrationCheck(env=pinned, sources=()).command == (
        "helm history zkprova -n ns --kube-context ctx --kubeconfig '/k c'"
    )
    assert one.judge(History((), since=T0), T0) == Pending(
        observed="The revisions are being compared", seen=False
    )
