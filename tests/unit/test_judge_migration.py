from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pytest_zkrollback.checklist.migration import MigrationCheck
from pytest_zkrollback.domain.environment import Environment
from pytest_zkrollback.domain.errors import HelmProblem
from pytest_zkrollback.domain.migration import MigrationFinding
from pytest_zkrollback.domain.observation import History, JsonObject, Sample
from pytest_zkrollback.domain.verdict import Judgement, Pending, Verdict, Word
from pytest_zkrollback.migrations.hooks import RevisionContent, judge_hooks

T0 = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
ENV = Environment(name="staging", context="ctx", namespace="ns", workloads={"web": "deployment/web"})
HOW = 'Assess whether a reverse migration is needed, then record it: --rollback-migration-assessed "TEXT".'
NOT_LOOKED = "What the application itself does when it starts is not looked into."


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
        f"Hook Job zkprova-migrate (pre-upgrade) of revision 6 ran (Failed): {RUNS}.",
    ),
    "a hook whose end Helm did not see": (
        content(5),
        [content(6, hook(phase="Unknown"))],
        True,
        f"Hook Job zkprova-migrate (pre-upgrade) of revision 6 ran (Unknown): {RUNS}.",
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
        "It is not known whether a migration ran: revision 5 is not in Helm's history any more.",
    ),
    "no later revision": (
        content(5),
        [],
        None,
        "Nothing has been rolled back yet, so there is no bad deploy to look for migrations in. "
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
    finding = judge_hooks(target, later)
    assert (finding.ran, finding.observed) == (ran, observed)


def test_the_evidence_lists_what_was_looked_at() -> None:
    finding = judge_hooks(content(4), [content(5), content(6, hook(phase=""), hook("b"))])
    assert finding.evidence[0].text == (
        "revision 5: none\n"
        "revision 6: did not run: hook Job zkprova-migrate (pre-upgrade) of revision 6: "
        "Helm recorded no run of it\n"
        f"revision 6: RAN: hook Job b (pre-upgrade) of revision 6 ran (Succeeded): {RUNS}\n"
        "revision 4 (target), hooks of a rollback: none\n"
        f"{NOT_LOOKED}"
    )


def judged(*findings: MigrationFinding, assessed: str | None = None, error: Any = None) -> Judgement:
    one = MigrationCheck(env=ENV, sources=tuple((lambda f=f: f) for f in findings), assessed=assessed, bad=6)
    sample = Sample(T0, error=error) if error else Sample(T0, one.observe())
    return one.judge(History((sample,), since=T0, judged_from=T0), T0)


NO = MigrationFinding("hooks", False, "No hook ran.")
YES = MigrationFinding("files", True, "0007_drop.py ran.")
UNKNOWN = MigrationFinding("schema", None, "The schema is not known.")


@pytest.mark.parametrize(
    ("findings", "assessed", "word", "observed"),
    [
        ((NO,), None, Word.PASS, "No hook ran."),
        ((NO, NO), None, Word.PASS, "No hook ran. No hook ran."),
        ((NO, YES, UNKNOWN), None, Word.FAIL, f"0007_drop.py ran. {HOW}"),
        ((NO, UNKNOWN), None, Word.UNVERIFIED, f"No hook ran. The schema is not known. {HOW}"),
        (
            (),
            None,
            Word.UNVERIFIED,
            f"It is not known whether a migration ran: no source is configured. {HOW}",
        ),
        (
            (YES,),
            "additive, stays",
            Word.PASS,
            "Assessed by the operator: additive, stays. Seen: 0007_drop.py ran.",
        ),
        ((YES,), "  ", Word.FAIL, f"0007_drop.py ran. {HOW}"),
    ],
)
def test_pass_only_on_evidence_or_an_assessment(
    findings: tuple[MigrationFinding, ...], assessed: str | None, word: Word, observed: str
) -> None:
    assert judged(*findings, assessed=assessed) == Verdict(word=word, observed=observed)


def test_a_source_that_fails_is_unverified_unless_assessed() -> None:
    error = HelmProblem("Release 6 could not be read.")
    assert judged(error=error) == Verdict(
        word=Word.UNVERIFIED,
        observed=f"It could not be found out whether a migration ran: Release 6 could not be read. {HOW}",
    )
    verdict = judged(error=error, assessed="none needed")
    assert isinstance(verdict, Verdict)
    assert verdict.word is Word.PASS


def test_the_words_around_it() -> None:
    one = MigrationCheck(env=ENV, sources=(), bad=6)
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
