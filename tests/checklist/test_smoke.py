from __future__ import annotations

import io
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pytest_zkrollback.checklist.health import HealthCheck
from pytest_zkrollback.checklist.smoke import SmokeCheck
from pytest_zkrollback.clients.clock import SystemClock
from pytest_zkrollback.clients.http import HttpClient
from pytest_zkrollback.clients.process import LocalProcesses
from pytest_zkrollback.config.environment import Environment
from pytest_zkrollback.domain.checks import History, Sample
from pytest_zkrollback.domain.errors import ProcessProblem
from pytest_zkrollback.domain.ports import Finished
from pytest_zkrollback.domain.verdict import CheckResult, Judgement, Pending, Verdict
from pytest_zkrollback.engine.scheduler import Schedule
from pytest_zkrollback.report.redaction import Redactor
from pytest_zkrollback.run.display import Display
from support.example_records import verified
from support.http_server import LoopbackHttpServer, QuietHandler

T0 = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def environment(url: str | None = "https://zk.example", **smoke: object) -> Environment:
    return Environment.model_validate(
        {
            "name": "staging",
            "context": "ctx",
            "workloads": {"web": "deployment/web"},
            "url": url,
            "smoke": smoke,
        }
    )


@pytest.mark.parametrize(
    ("more", "off"),
    [
        ({"smoke": False, "url": "https://zk.example"}, "smoke"),
        ({"smoke": False}, "smoke"),
        ({"url": False}, "url"),
        ({"url": False, "smoke": False}, "smoke"),
    ],
)
def test_what_the_configuration_leaves_out_is_waived_and_nothing_runs(
    more: dict[str, object], off: str
) -> None:
    usual = {"name": "staging", "context": "ctx", "workloads": {"web": "deployment/web"}}
    one = check(Environment.model_validate({**usual, **more}))
    assert one.observe() is None
    assert (one.command, one.expected) == ("", "nothing: it is left out by configuration")
    assert one.judge(History((), since=T0), T0) == CheckResult(
        word=Verdict.WAIVED,
        observed=f"The smoke test is left out by configuration ({off} = false in [environments.staging]).",
    )


def test_a_smoke_test_that_needs_no_url_runs_without_one() -> None:
    usual = {"name": "staging", "context": "ctx", "workloads": {"web": "deployment/web"}, "url": False}
    one = check(Environment.model_validate({**usual, "smoke": {"command": ["true"]}}))
    assert one.command == "true"
    assert isinstance(one.judge(History((), since=T0), T0), Pending)


class NoProcesses:
    """Fails on any call."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"processes.{name} was called")


def check(env: Environment) -> SmokeCheck:
    return SmokeCheck(env=env, processes=NoProcesses())  # type: ignore[arg-type]


def judged(one: SmokeCheck, *samples: Sample) -> Judgement:
    return one.judge(History(samples, since=T0, judged_from=T0, rollouts_passed=True), T0)


def finished(exit_code: int | None, output: str = "GET / 200\nlast words\n", **more: bool) -> Finished:
    return Finished(("bash", "smoke.sh"), exit_code, output, output, "", 1.23, **more)


TABLE = [
    (finished(0), Verdict.PASS, "Exit code 0 after 1.2 s."),
    (
        finished(0, leftover_child=True),
        Verdict.PASS,
        "Exit code 0 after 1.2 s. A child that it left behind still held its output; it was not waited for.",
    ),
    (finished(1), Verdict.FAIL, "The smoke test ended with exit code 1 after 1.2 s. Last line: last words"),
    (finished(-9, ""), Verdict.FAIL, "The smoke test ended with exit code -9 after 1.2 s."),
    (
        finished(None, timed_out=True),
        Verdict.FAIL,
        "The smoke test did not end within 120 s; it and its children were ended. Last line: last words",
    ),
    (
        finished(127, "bash: scripts/smoke-test.sh: No such file or directory\n"),
        Verdict.UNVERIFIED,
        "The smoke test could not be run: exit code 127 says that a command was not found or is not "
        "executable. Last line: bash: scripts/smoke-test.sh: No such file or directory",
    ),
]


@pytest.mark.parametrize(("done", "word", "observed"), TABLE)
def test_by_exit_code(done: Finished, word: Verdict, observed: str) -> None:
    verdict = judged(check(environment()), Sample(T0, done))
    assert isinstance(verdict, CheckResult)
    assert (verdict.word, verdict.observed) == (word, observed)
    assert verdict.evidence[0].text.startswith("$ bash smoke.sh\n")


def test_fault_61_what_cannot_be_started_is_unverified() -> None:
    problem = ProcessProblem("bash cannot be started: no such program on PATH.")
    assert judged(check(environment()), Sample(T0, error=problem)) == CheckResult(
        word=Verdict.UNVERIFIED,
        observed="The smoke test could not be run: bash cannot be started: no such program on PATH.",
    )


def test_pending_while_it_runs() -> None:
    assert judged(check(environment())) == Pending(observed="The smoke test has not ended", seen=False)


def test_without_the_url_that_it_needs_it_is_not_run() -> None:
    one = check(environment(url=None))
    assert one.observe() is None
    assert judged(one, Sample(T0)) == CheckResult(
        word=Verdict.UNVERIFIED,
        observed="The smoke test was not run: its command needs {url}, and environment staging has none. "
        'Set url = "https://..." in [environments.staging].',
    )


def test_the_words_around_it() -> None:
    one = check(environment())
    assert one.command == "bash scripts/smoke-test.sh https://zk.example"
    assert one.expected == "the smoke test exits 0 within 120 s"
    assert (one.id, one.interval_s, one.deadline_s) == ("smoke", None, 130)


def test_the_command_goes_to_its_folder_and_is_not_there_without_its_url(tmp_path: Path) -> None:
    env = environment(cwd="deploy kit").model_copy(update={"base_dir": str(tmp_path)})
    assert (
        check(env).command == f"(cd '{tmp_path}/deploy kit' && bash scripts/smoke-test.sh https://zk.example)"
    )
    assert check(environment(url=None)).command == ""


def script(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "smoke.sh"
    path.write_text(text)
    return path


def run(tmp_path: Path, text: str, **more: object) -> tuple[CheckResult, list[str]]:
    script(tmp_path, text)
    lines: list[str] = []
    env = environment("http://x/$(touch pwned);`id`", command=["bash", "smoke.sh", "{url}"], **more)
    env = env.model_copy(update={"base_dir": str(tmp_path)})
    one = SmokeCheck(env=env, processes=LocalProcesses(), on_line=lines.append)
    verdict = judged(one, Sample(T0, one.observe()))
    assert isinstance(verdict, CheckResult)
    return verdict, lines


def test_fault_62_a_url_is_one_argv_element_and_no_shell_reads_it(tmp_path: Path) -> None:
    verdict, lines = run(tmp_path, 'echo "$#:$1"\n')
    assert verdict.word is Verdict.PASS
    assert lines == ["1:http://x/$(touch pwned);`id`"]
    assert not (tmp_path / "pwned").exists()


def test_fault_59_a_hanging_script_is_ended_and_its_output_kept(tmp_path: Path) -> None:
    verdict, _ = run(tmp_path, "echo before\nexec sleep 60\n", timeout_s=0.15)
    assert verdict.word is Verdict.FAIL
    assert "before" in verdict.evidence[0].text


def test_fault_60_a_child_that_keeps_stdout_open_is_not_waited_for(tmp_path: Path) -> None:
    verdict, _ = run(tmp_path, "sleep 3 &\nexit 0\n")
    assert verdict.word is Verdict.PASS
    assert "A child that it left behind" in verdict.observed


def test_fault_61_a_missing_script_and_a_missing_folder(tmp_path: Path) -> None:
    env = environment().model_copy(update={"base_dir": str(tmp_path)})
    one = SmokeCheck(env=env, processes=LocalProcesses())
    verdict = judged(one, Sample(T0, one.observe()))
    assert isinstance(verdict, CheckResult)
    assert verdict.word is Verdict.UNVERIFIED
    gone = environment(command=[sys.executable], cwd="gone").model_copy(update={"base_dir": str(tmp_path)})
    with pytest.raises(ProcessProblem):
        SmokeCheck(env=gone, processes=LocalProcesses()).observe()


class _Healthy(QuietHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"database": "ok"}')


ONE_LINE = "import sys; [sys.stdout.write('aB3+' * 2500) for _ in range(1000)]"
ENDLESS = "import sys\nwhile True: sys.stdout.write('y\\n' * 1000)"


@pytest.mark.parametrize(
    ("script", "word", "size"),
    [(ONE_LINE, Verdict.PASS, 10_000_000), (ENDLESS, Verdict.FAIL, 10_000_000)],
    ids=["10 MB on one line", "without end"],
)
def test_case_p3_a16_a_smoke_test_that_prints_without_measure_changes_no_other_verdict(
    script: str, word: Verdict, size: int
) -> None:
    """With a real program, a real server for /health, the real display and redactor."""
    clock, shown = SystemClock(), io.StringIO()
    redactor = Redactor({f"N{n}": f"Value-{n:05d}-of-many-xyz" for n in range(50)})
    display = Display(verified, clock, shown, redactor.text)
    env = environment(timeout_s=3, command=[sys.executable, "-c", script])
    with LoopbackHttpServer(_Healthy) as server:
        checks = (
            SmokeCheck(
                env=env,
                processes=LocalProcesses(clock),
                on_line=lambda line: display.status(f"smoke: {line}"),
            ),
            HealthCheck(env=environment(url=server.url), http=HttpClient(clock=clock)),
        )
        verdicts = Schedule(checks, clock, clock.now(), lambda *_: None).run(lambda: False)
    assert verdicts["smoke"].word is word
    assert verdicts["health-database"].word is Verdict.PASS
    text = verdicts["smoke"].evidence[0].text
    left_out = re.search(r"\n\[\.\.\. (\d+) bytes left out \.\.\.\]\n", text)
    assert left_out is not None
    assert int(left_out[1]) > size - 70_000
    assert len(shown.getvalue()) < 500_000
    assert "bytes) not shown ...]" in shown.getvalue()
