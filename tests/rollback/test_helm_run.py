"""helm's command line and version, and what its end means once the release was read again."""

import os
import threading
from datetime import UTC, datetime

import pytest

from pytest_zkrollback.clients.helm import HelmCli, HelmVersion, find_helm, parse_version, shorten
from pytest_zkrollback.domain.errors import HelmProblem, ProcessProblem, Unreachable
from pytest_zkrollback.domain.ports import Finished
from pytest_zkrollback.domain.record import Revision
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.preflight.facts import ask_all
from pytest_zkrollback.release.helm_secret import Release
from pytest_zkrollback.release.history import ReleaseHistory
from pytest_zkrollback.rollback.helm_run import HelmRun, judge_rollback

AT = datetime(2026, 11, 23, 2, 11, tzinfo=UTC)
V4, V3 = HelmVersion("v4.3.1", 4, 3), HelmVersion("v3.22.0", 3, 22)


class Processes:
    """Answers as told, and fails on any call that it was not told of."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.calls = []

    def run(self, argv, **options):
        self.calls.append((tuple(argv), options))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def finished(exit_code=0, stdout="", stderr="", **changes):
    return Finished(("helm",), exit_code, stdout + stderr, stdout, stderr, 0.4, **changes)


def cli(processes=None, **changes):
    usual = {"context": "ctx", "kubeconfig": None, "namespace": "shop", "environ": {}}
    return HelmCli("/bin/helm", processes or Processes(), **{**usual, **changes})


@pytest.mark.parametrize(
    ("text", "major", "minor"),
    [("v4.3.1\n", 4, 3), ("v4.3", 4, 3), ("v4.0.0-rc.1", 4, 0), ("v3.22.0", 3, 22), ("v3.9+g1234567", 3, 9)],
)
def test_supported_versions(text, major, minor):
    assert parse_version(text) == HelmVersion(text.strip(), major, minor)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("v2.17.0", "helm v2.17.0 is not supported: install Helm 3 or Helm 4."),
        ("v5.0.0", "helm v5.0.0 is not supported: install Helm 3 or Helm 4."),
        ("hello", "helm answered 'hello' instead of a version: is this binary helm?"),
        ("", "helm answered '' instead of a version: is this binary helm?"),
    ],
)
def test_fault_32_other_answers_are_refused(text, sentence):
    with pytest.raises(HelmProblem) as caught:
        parse_version(text)
    assert str(caught.value) == sentence


def test_fault_32_helm_missing(tmp_path):
    with pytest.raises(HelmProblem, match="There is no helm on PATH"):
        find_helm(None, str(tmp_path))
    with pytest.raises(HelmProblem, match="There is no 'nope' of the configuration"):
        find_helm("nope", str(tmp_path))
    (tmp_path / "helm").write_text("#!/bin/sh\n")
    (tmp_path / "helm").chmod(0o755)
    assert find_helm(None, str(tmp_path)) == str(tmp_path / "helm")


def test_the_command_names_everything_and_never_waits_or_prunes():
    argv = cli(kubeconfig="/k").rollback_argv("zkprova", 5, timeout_s=120, description="why", version=V4)
    assert argv == [
        *("/bin/helm", "rollback", "zkprova", "5", "--namespace", "shop", "--kube-context", "ctx"),
        *("--kubeconfig", "/k", "--timeout", "120s", "--history-max", "0", "--description", "why"),
    ]
    argv = cli().rollback_argv("zkprova", 5, timeout_s=120, description="why", version=V3)
    assert argv == [
        *("/bin/helm", "rollback", "zkprova", "5", "--namespace", "shop", "--kube-context", "ctx"),
        *("--timeout", "120s", "--history-max", "0"),
    ]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("v3.3.4", []),
        ("v3.4.0", ["--history-max"]),
        ("v3.22.0", ["--history-max"]),
        ("v4.0.0", ["--history-max", "--force-conflicts"]),
        ("v4.2.9", ["--history-max", "--force-conflicts"]),
        ("v4.3.0", ["--history-max", "--force-conflicts", "--description"]),
        ("v4.11.0", ["--history-max", "--force-conflicts", "--description"]),
    ],
)
def test_an_option_is_only_given_to_a_helm_that_knows_it(text, options):
    """helm ends at an unknown option with `unknown flag`, and the rollback does not happen."""
    version = parse_version(text)
    argv = cli().rollback_argv(
        "r", 5, timeout_s=0.5, description="why", version=version, force_conflicts=True
    )
    given = [word for word in argv[argv.index("--kube-context") + 2 :] if word.startswith("--")]
    assert given == ["--timeout", *options]
    assert argv[argv.index("--timeout") + 1] == "1s"  # 0s would mean no limit


HERE, NAMED = "https://10.0.0.1:6443/k8s/clusters/c-1", "api.internal"


@pytest.mark.parametrize(
    ("version", "bound", "binding"),
    [
        ("v4.3.1", {"server": HERE}, ["--kube-apiserver", HERE]),
        ("v3.22.0", {"server": HERE}, ["--kube-apiserver", HERE]),
        ("v3.2.0", {"server": HERE}, ["--kube-apiserver", HERE]),
        ("v3.1.3", {"server": HERE}, []),
        (
            "v4.3.1",
            {"server": HERE, "tls_server_name": NAMED},
            ["--kube-apiserver", HERE, "--kube-tls-server-name", NAMED],
        ),
        (
            "v3.10.0",
            {"server": HERE, "tls_server_name": NAMED},
            ["--kube-apiserver", HERE, "--kube-tls-server-name", NAMED],
        ),
        ("v3.9.4", {"server": HERE, "tls_server_name": NAMED}, []),  # it would check the address's own name
        ("v4.3.1", {"server": HERE, "context": None}, []),  # in the cluster
    ],
)
def test_case_p3_a14_helm_goes_to_the_very_server_that_was_looked_at(version, bound, binding):
    """The context may lead elsewhere by now; its CA stays in force, so that a strange server fails on TLS."""
    argv = cli(**bound).rollback_argv("r", 5, timeout_s=1, description="", version=parse_version(version))
    assert [word for word in argv if word.startswith(("--kube-api", "--kube-tls", "http", "api."))] == binding
    assert ("--kube-context" in argv) is (bound.get("context", "ctx") is not None)


def test_a_description_is_one_line_of_256_characters():
    assert shorten("a\nb  c") == "a b c"
    assert len(shorten("x" * 300)) == 256


def test_nothing_in_the_environment_redirects_helm():
    processes = Processes(finished(stdout="v4.3.1"))
    environ = {
        "HELM_KUBECONTEXT": "other",
        "HELM_KUBETOKEN": "t",
        "HELM_NAMESPACE": "other",
        "HELM_MAX_HISTORY": "1",
        "KUBECONFIG": "/a:/b",
        "HOME": "/h",
    }
    assert cli(processes, environ=environ).fetch_version() == V4
    assert processes.calls[0][1]["env"] == {"KUBECONFIG": "/a:/b", "HOME": "/h"}


def test_in_a_cluster_no_kubeconfig_that_lies_around_is_used():
    processes = Processes(finished(stdout="v4.3.1"))
    cli(processes, context=None, environ={"KUBECONFIG": "/elsewhere"}).fetch_version()
    assert processes.calls[0][1]["env"] == {"KUBECONFIG": os.devnull}


def test_a_kubeconfig_in_the_home_folder_is_the_one_that_we_read(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    argv = cli(kubeconfig="~/kc").rollback_argv("r", 1, timeout_s=1, description="", version=V3)
    assert argv[argv.index("--kubeconfig") + 1] == "/home/ann/kc"


def test_helm_is_started_once_and_survives_us():
    processes = Processes(finished())
    run = HelmRun(cli(processes), ["helm", "rollback"], timeout_s=120)
    run.start()
    assert run.wait(5)
    with pytest.raises(RuntimeError, match="already started"):
        run.start()
    [(argv, options)] = processes.calls
    assert argv == ("helm", "rollback")
    assert (options["timeout_s"], options["detached"]) == (135, True)


def revision(number, status, back_to=None, description=""):
    return Release(
        Revision(
            revision=number,
            status=status,
            chart="zkprova-1",
            deployed_at=AT,
            description=description,
            rollback_of=back_to,
        ),
        manifest="",
    )


def judged(answer, *releases):
    run = HelmRun(cli(Processes(answer)), ["helm"], timeout_s=1)
    run.start()
    assert run.wait(5)
    history = ReleaseHistory("shop", "zkprova", releases)
    verdict = judge_rollback(run, 5, 6, lambda: history).result
    return verdict.word, verdict.observed


FIVE, SIX = revision(5, "superseded"), revision(6, "superseded")


@pytest.mark.parametrize(
    ("answer", "head", "word", "observed"),
    [
        pytest.param(
            finished(0),
            revision(7, "deployed", 5),
            Verdict.PASS,
            "revision 7 is deployed and rolls back to 5",
            id="ok",
        ),
        pytest.param(
            finished(1),
            revision(7, "deployed", 5),
            Verdict.PASS,
            "helm ended with exit code 1, and yet revision 7 is deployed (back to 5)",
            id="fault-29",
        ),
        pytest.param(
            finished(0),
            revision(7, "failed", 5, "conflict"),
            Verdict.FAIL,
            "helm ended with exit code 0; revision 7 is failed: conflict",
            id="fault-28",
        ),
        pytest.param(
            finished(0),
            revision(7, "deployed", 4, "Rollback to 4"),
            Verdict.FAIL,
            "helm ended with exit code 0; revision 7 is deployed: Rollback to 4",
            id="fault-28-another-target",
        ),
        pytest.param(
            finished(1),
            None,
            Verdict.FAIL,
            "helm ended with exit code 1 and made no revision: 6 is still the current revision",
            id="fault-14",
        ),
        pytest.param(
            finished(-9),
            revision(7, "pending-rollback", 5),
            Verdict.FAIL,
            "helm ended with exit code -9; revision 7 is pending-rollback: no description",
            id="fault-27",
        ),
        pytest.param(
            finished(None, timed_out=True),
            revision(7, "pending-rollback", 5),
            Verdict.FAIL,
            "helm was ended by us after 0 s; revision 7 is pending-rollback: no description",
            id="fault-26",
        ),
        pytest.param(
            ProcessProblem("no such file"),
            None,
            Verdict.FAIL,
            "helm did not start: no such file",
            id="not-started",
        ),
    ],
)
def test_the_verdict_comes_from_the_release_and_not_from_helms_word(answer, head, word, observed):
    assert judged(answer, FIVE, SIX, *([head] if head else [])) == (word, observed)


@pytest.mark.parametrize(
    ("between", "ours", "word", "observed"),
    [
        pytest.param(
            [revision(7, "superseded", description="Upgrade complete")],
            revision(8, "deployed", 5),
            Verdict.FAIL,
            "revision 8 is deployed and rolls back to 5; but somebody else made revision 7 (zkprova-1, "
            "superseded: Upgrade complete) just before, and this rollback left that, too",
            id="an-upgrade",
        ),
        pytest.param(
            [revision(7, "superseded", description="a"), revision(8, "failed", description="b")],
            revision(9, "deployed", 5),
            Verdict.FAIL,
            "revision 9 is deployed and rolls back to 5; but somebody else made revisions 7 (zkprova-1, "
            "superseded: a) and 8 (zkprova-1, failed: b) just before, and this rollback left that, too",
            id="two",
        ),
        pytest.param(
            [],
            revision(7, "deployed", 5),
            Verdict.PASS,
            "revision 7 is deployed and rolls back to 5",
            id="the-next-one",
        ),
        pytest.param(
            [revision(7, "superseded", 5)],
            revision(8, "deployed", 5),
            Verdict.PASS,
            "revision 8 is deployed and rolls back to 5",
            id="a-colleague-with-the-same-in-mind",
        ),
    ],
)
def test_case_p3_b4_the_new_revision_is_the_next_one_or_who_came_between_is_named(
    between, ours, word, observed
):
    assert judged(finished(0), FIVE, SIX, *between, ours) == (word, observed)


@pytest.mark.parametrize(
    ("six", "alive", "seven", "word", "beside"),
    [
        ("pending-upgrade", True, "deployed", Verdict.FAIL, (6,)),
        ("uninstalling", True, "deployed", Verdict.FAIL, (6,)),
        ("deployed", False, "deployed", Verdict.FAIL, (6,)),  # it ended after ours
        ("pending-upgrade", False, "deployed", Verdict.PASS, ()),  # long dead
        ("superseded", True, "deployed", Verdict.PASS, ()),
        ("failed", True, "deployed", Verdict.PASS, ()),
        ("deployed", False, "failed", Verdict.FAIL, ()),  # what ours did not replace is no other helm's
    ],
)
def test_case_p3_19_1_another_helm_beside_ours_is_red_and_named(six, alive, seven, word, beside):
    run = HelmRun(cli(Processes(finished(0))), ["helm"], timeout_s=1)
    run.start()
    assert run.wait(5)
    history = ReleaseHistory("shop", "zkprova", (FIVE, revision(6, six), revision(7, seven, 5)))
    found = judge_rollback(run, 5, 6, lambda: history, lambda _: alive)
    assert (found.result.word, found.beside) == (word, beside)
    assert ("beside revision 7 there is revision 6 (zkprova-1" in found.result.observed) is bool(beside)


def test_a_release_that_cannot_be_read_again_is_unverified():
    run = HelmRun(cli(Processes(finished(0))), ["helm"], timeout_s=1)
    run.start()
    assert run.wait(5)

    def fetch():
        raise Unreachable("no answer")

    judged = judge_rollback(run, 5, 6, fetch)
    assert (judged.result.word, judged.history) == (Verdict.UNVERIFIED, None)
    assert (
        judged.result.observed
        == "helm ended with exit code 0, but the release could not be read again: no answer"
    )


class Clock:
    def __init__(self):
        self.at = 0.0

    def monotonic_s(self):
        self.at += 0.05
        return self.at


def test_the_preflight_asks_all_at_once_and_what_does_not_answer_is_unknown():
    never = threading.Event()

    def hangs():
        never.wait(30)

    def fails():
        raise Unreachable("refused")

    answers = ask_all({"good": lambda: 7, "bad": fails, "hangs": hangs}, 0.3, Clock())
    never.set()
    assert answers["good"].value == 7
    assert str(answers["bad"].error) == "refused"
    assert (answers["hangs"].value, answers["hangs"].error) == (None, None)
    assert answers["hangs"].why.startswith("no answer within 0.")


def test_what_a_rollback_needs_is_waited_for_longer_where_that_is_asked_for():
    release = threading.Event()
    timer = threading.Timer(0.3, release.set)
    timer.start()
    questions = {name: lambda: release.wait(30) for name in ("needed", "advisory")}
    late = ask_all({**questions, "never": lambda: threading.Event().wait(2)}, 0.1, Clock(), {"needed": 20.0})
    assert late["needed"].value is True
    assert late["never"].value is None
