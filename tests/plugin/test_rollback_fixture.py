"""The session fixture ``rollback`` performs the run once per process, only where the loop has primed it."""

import json
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

# The run's steps without a cluster: each call is a line in the file `ran`, each item gets a verdict.
STEPS = """
import os, pathlib, sys, warnings
import pytest
from pytest_zkrollback.domain.record import Outcome
from pytest_zkrollback.domain.verdict import Verdict
from pytest_zkrollback.run.run import Run

def steps(self, selected):
    with pathlib.Path("ran").open("a") as file:
        file.write(f"{os.getpid()}\\n")
    REACT
    for item in self.redacted.items:
        verdict = Verdict.FAIL if item.id == "LAST" else Verdict.PASS
        self._state.note(item.id, verdict)
        self._recorder.item(item.id, verdict=verdict, observed="seen", finished_at=self._clock.now())

Run._steps = steps
"""
OWN = """
def test_own(rollback):
    assert rollback.record.outcome == "verified"
    assert rollback.verdict("smoke")[0] == "PASS"
    assert rollback.record.finished_at is not None
"""


@pytest.fixture
def prepared(repository):
    """``prepared(react=..., last=..., more=...)``: the run's steps are the above, ``more`` is in the conftest."""

    def prepare(react="pass", last="", more=""):
        text = STEPS.replace("REACT", react).replace("LAST", last)
        (repository.path / "checks" / "conftest.py").write_text(text + more)
        return repository

    return prepare


def run(repository, *args):
    return repository.runpytest_subprocess(
        "--env=staging", "--rollback-to=5", "-p", "no:cacheprovider", *args
    )


def times_run(repository):
    path = repository.path / "ran"
    return len(path.read_text().splitlines()) if path.exists() else 0


def record(repository):
    return json.loads((repository.path / "reports" / "latest.json").read_text())


def own(repository, text=OWN, name="test_a_shop.py"):
    (repository.path / "checks" / name).write_text(text)


def order(result):
    """The verbose lines' tests, in the order in which they ran."""
    return [line.split(" ")[0].rpartition("::")[2] for line in result.outlines if line.startswith("checks/")]


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--reruns", "2"],
        ["-n", "2"],
        ["-s"],
        ["--capture=fd"],
        ["--capture=sys"],
        ["--capture=tee-sys"],
        ["-W", "error"],
        ["-x", "--maxfail=1"],
        ["-v", "--tb=long", "-rA"],
        ["-p", "no:terminal"],
        ["-p", "no:capture"],
    ],
    ids=" ".join,
)
def test_it_is_performed_once_and_a_red_last_item_stays_red(prepared, args):
    repository = prepared(last="notify")
    own(repository, "def test_own(rollback):\n    assert rollback.record.outcome == 'failed'\n")
    result = run(repository, *args)
    assert (result.ret, times_run(repository)) == (1, 1), result.stdout.str()
    found = record(repository)
    assert (found["outcome"], found["items"][-1]["verdict"]) == ("failed", "FAIL")
    assert [test["outcome"] for test in found["own_tests"]] == ["passed"]
    assert [entry["event"] for entry in found["timeline"]].count("run started") == 1


def test_it_is_performed_once_where_every_test_is_multiplied(prepared):
    """What pytest-repeat's ``--count`` does."""
    repository = prepared(
        more="""
@pytest.fixture
def repeated(request):
    return request.param

def pytest_generate_tests(metafunc):
    metafunc.fixturenames.append("repeated")
    metafunc.parametrize("repeated", range(3), indirect=True)
"""
    )
    own(repository)
    result = run(repository)
    assert (result.ret, times_run(repository)) == (0, 1), result.stdout.str()
    assert len(record(repository)["own_tests"]) == 3


def test_what_fails_at_the_setup_of_every_test_is_not_around_it(prepared):
    repository = prepared(
        more="""
@pytest.fixture(scope="session", autouse=True)
def broken():
    pathlib.Path("broken").touch()
    raise RuntimeError("the host's database is not there")
""",
        react="assert not pathlib.Path('broken').exists()",
    )
    own(repository)
    result = run(repository)
    assert (result.ret, times_run(repository)) == (1, 1), result.stdout.str()
    found = record(repository)
    assert (found["outcome"], found["own_tests"][0]["outcome"]) == ("verified", "failed")
    assert found["own_tests"][0]["first_line"] == "RuntimeError: the host's database is not there"


def test_an_own_test_that_was_collected_before_ours_runs_after_them(prepared):
    repository = prepared()
    own(repository)  # checks/test_a_shop.py comes before checks/test_runbook.py
    own(
        repository,
        "import pytest\n@pytest.mark.usefixtures('rollback')\ndef test_b():\n    pass\n",
        "test_z.py",
    )
    result = run(repository, "-v")
    assert result.ret == 0, result.stdout.str()
    ran = order(result)
    assert (ran[0], ran[-2:]) == ("test_preflight", ["test_own", "test_b"])
    assert [(test["node_id"], test["outcome"]) for test in record(repository)["own_tests"]] == [
        ("checks/test_a_shop.py::test_own", "passed"),
        ("checks/test_z.py::test_b", "passed"),
    ]


def test_an_exception_inside_is_exit_3_and_raised_for_everyone_who_asks(prepared):
    repository = prepared(
        react="raise ValueError('a defect')",
        more="""
def pytest_sessionfinish(session):
    plugin = session.config.pluginmanager.get_plugin("zkrollback-session")
    for _ in range(2):
        with pytest.raises(ValueError, match="a defect"):
            plugin.perform()
    pathlib.Path("asked").touch()
""",
    )
    own(repository)
    result = run(repository)
    assert (result.ret, times_run(repository)) == (3, 1), result.stdout.str()
    assert (repository.path / "asked").exists()
    assert record(repository)["outcome"] == "unverified"
    assert record(repository)["own_tests"] == [
        {
            "node_id": "checks/test_a_shop.py::test_own",
            "outcome": "not-run",
            "first_line": "not run: the run ended with an error of its own",
        }
    ]


ASK = "session.items[0]._request.getfixturevalue('rollback')"
SET_UP = "session._setupstate.setup(session.items[0])"


TOO_EARLY = "The fixture rollback was asked for before the checklist was collected and checked."
# Registered after ours, so that its wrapper of the loop stands outside of ours.
EARLY = """
class Early:
    @pytest.hookimpl(tryfirst=True, wrapper=WRAPPER)
    def HOOK(self, session):
        try:
            SET_UP
            ASK
        except BaseException:
            if not SWALLOWED:
                raise
        finally:
            pathlib.Path("asked").write_text(str(pathlib.Path("ran").exists()))
        return (YIELD)

def pytest_sessionstart(session):
    session.config.pluginmanager.register(Early(), "early")
"""


def early(hook, set_up, swallowed):
    is_wrapper = hook == "pytest_runtestloop"
    text = EARLY.replace("WRAPPER", str(is_wrapper)).replace("YIELD", "yield" if is_wrapper else "None")
    return (
        text.replace("HOOK", hook)
        .replace("SET_UP", set_up)
        .replace("ASK", ASK)
        .replace("SWALLOWED", str(swallowed))
    )


@pytest.mark.parametrize("set_up", ["pass", SET_UP], ids=["not set up", "set up by force"])
@pytest.mark.parametrize("hook", ["pytest_collection_finish", "pytest_runtestloop"])
def test_asked_for_by_another_plugin_before_the_loop_primed_it_helm_does_not_run(prepared, hook, set_up):
    repository = prepared(more=early(hook, set_up, swallowed=False))
    own(repository)
    result = run(repository)
    said = result.stdout.str() + result.stderr.str()
    assert ((repository.path / "asked").read_text(), times_run(repository)) == ("False", 0), said
    assert result.ret in (3, 4), said
    # Where nothing is set up, some versions of pytest give no fixture themselves.
    assert TOO_EARLY in said or set_up != SET_UP
    assert "HELM DID NOT RUN: the session ended before the rollback." in said or result.ret == 4
    assert not (repository.path / "reports" / "latest.json").exists()


@pytest.mark.parametrize("set_up", ["pass", SET_UP], ids=["not set up", "set up by force"])
@pytest.mark.parametrize("hook", ["pytest_collection_finish", "pytest_runtestloop"])
def test_a_question_that_came_too_early_performed_nothing_so_that_the_loop_performs_once(
    prepared, hook, set_up
):
    repository = prepared(more=early(hook, set_up, swallowed=True))
    own(repository)
    result = run(repository)
    assert (repository.path / "asked").read_text() == "False"
    assert (result.ret, times_run(repository)) == (0, 1), result.stdout.str()
    assert record(repository)["own_tests"][0]["outcome"] == "passed"
    # Where nothing is set up, some versions of pytest give no fixture themselves.
    noted = TOO_EARLY in [entry["event"] for entry in record(repository)["timeline"]]
    assert (f"{TOO_EARLY} Whoever asked got an error." in result.outlines) is noted
    assert noted or set_up != SET_UP


def test_whoever_asks_again_later_gets_the_first_result(prepared):
    repository = prepared(
        react="found.append(plugin_of_this_run().perform())",
        more="""
found = []

def plugin_of_this_run():
    return session_of_this_run.config.pluginmanager.get_plugin("zkrollback-session")

def pytest_sessionstart(session):
    global session_of_this_run
    session_of_this_run = session

def pytest_runtestloop(session):
    found.append(ASK)

def pytest_sessionfinish(session):
    found.append(ASK)
    assert len(found) == 3
    assert [each for each in found if each is not found[0]] == []
    pathlib.Path("asked").touch()
""".replace("ASK", "session.items[0]._request.getfixturevalue('rollback')", 1).replace(
            "ASK", "plugin_of_this_run().perform()"
        ),
    )
    own(repository)
    result = run(repository)
    assert (result.ret, times_run(repository)) == (0, 1), result.stdout.str()
    assert (repository.path / "asked").exists(), result.stdout.str()


def test_unprimed_it_is_a_usage_error(prepared):
    repository = prepared(
        more="""
def pytest_collection_finish(session):
    session.config.pluginmanager.get_plugin("zkrollback-session").perform()
"""
    )
    result = run(repository)
    assert (result.ret, times_run(repository)) == (4, 0), result.stdout.str()
    assert f"ERROR: {TOO_EARLY} Helm did not run." in result.stderr.str()


def test_a_session_that_ends_before_the_rollback_says_that_helm_did_not_run(prepared):
    repository = prepared()
    path = repository.path / "conftest.py"
    path.write_text(
        path.read_text() + "\ndef pytest_fixture_setup(fixturedef):\n    raise RuntimeError('not mine')\n"
    )
    result = run(repository)
    assert (result.ret, times_run(repository)) == (3, 0), result.stdout.str()
    assert "HELM DID NOT RUN: the session ended before the rollback." in result.outlines


@pytest.mark.parametrize("where", ["conftest.py", "checks/conftest.py"])
def test_a_repositorys_own_fixture_of_this_name_replaces_nothing(prepared, where):
    repository = prepared()
    path = repository.path / where
    path.write_text(
        path.read_text()
        + "\nimport pytest\n@pytest.fixture\ndef rollback():\n    raise RuntimeError('no database here')\n"
    )
    own(repository, "def test_theirs(rollback):\n    pass\n")
    result = run(repository, "-v")
    assert (result.ret, times_run(repository)) == (0, 1), result.stdout.str()
    assert "test_theirs" not in order(result)  # it asks for another fixture
    assert record(repository)["own_tests"] == []


def test_an_autouse_fixture_that_asks_draws_no_suite_into_an_incident(prepared):
    repository = prepared(
        more="""
@pytest.fixture(autouse=True)
def always(rollback):
    assert rollback.record is not None
"""
    )
    own(repository, OWN + "\ndef test_not_meant():\n    raise SystemExit('was run')\n")
    result = run(repository, "-v")
    assert (result.ret, times_run(repository)) == (0, 1), result.stdout.str()
    assert order(result).count("test_own") == 1
    assert "test_not_meant" not in order(result)


@pytest.mark.parametrize(
    "text",
    [
        "import pytest\n@pytest.mark.parametrize('rollback', [1])\ndef test_theirs(rollback):\n    pass\n",
        "import pytest\n@pytest.fixture\ndef via(rollback):\n    return rollback\n\ndef test_theirs(via):\n    pass\n",
        "def test_theirs(request):\n    request.getfixturevalue('rollback')\n",
    ],
    ids=["its own parameter", "through another fixture", "in its body"],
)
def test_who_does_not_name_our_fixture_itself_does_not_run(prepared, text):
    repository = prepared()
    own(repository, text)
    result = run(repository, "-v")
    assert (result.ret, times_run(repository)) == (0, 1), result.stdout.str()
    assert "test_theirs" not in order(result)


def test_an_own_test_that_fails_is_exit_1_and_the_verdict_stands(prepared):
    repository = prepared()
    own(repository, "def test_cart(rollback):\n    assert 1 == 2, 'the cart is empty\\nand more'\n")
    result = run(repository)
    assert result.ret == 1
    found = record(repository)
    assert found["outcome"] == "verified"
    [test] = found["own_tests"]
    assert (test["node_id"], test["outcome"]) == ("checks/test_a_shop.py::test_cart", "failed")
    assert test["first_line"] == "AssertionError: the cart is empty"
    said = (
        "Verified. 1 own test failed: checks/test_a_shop.py::test_cart (AssertionError: the cart is empty)."
    )
    assert said in result.outlines
    assert "Next: look at the own tests." in result.outlines
    page = (repository.path / "reports" / "latest.html").read_text()
    assert f'<p class="alarm">{said}</p>' in page
    assert "1 own test failed" in (repository.path / "reports" / "latest.md").read_text()


def test_an_own_test_that_passes_when_it_is_run_again_passed(prepared):
    repository = prepared()
    own(
        repository,
        "import pathlib\ndef test_flaky(rollback):\n    path = pathlib.Path('tried')\n    first = not path.exists()\n"
        "    path.touch()\n    assert not first\n",
    )
    result = run(repository, "--reruns", "2")
    assert (result.ret, times_run(repository)) == (0, 1), result.stdout.str()
    [test] = record(repository)["own_tests"]
    assert (test["outcome"], test["first_line"]) == ("passed", "")


@pytest.mark.parametrize(
    ("body", "outcome", "code"),
    [
        ("import pytest; pytest.skip('not today')", "skipped", 0),
        ("import pytest; pytest.exit('enough', returncode=0)", "not-run", 1),
        ("raise KeyboardInterrupt", "not-run", 2),
    ],
    ids=["skipped", "pytest.exit", "interrupted"],
)
def test_only_an_own_test_that_ran_to_its_end_leaves_the_exit_green(prepared, body, outcome, code):
    repository = prepared()
    own(repository, f"def test_own(rollback):\n    {body}\n")
    result = run(repository)
    assert (result.ret, record(repository)["outcome"]) == (code, "verified"), result.stdout.str()
    assert record(repository)["own_tests"][0]["outcome"] == outcome
    assert any("did not run to the end" in line for line in result.outlines) is (outcome == "not-run")


def test_a_broken_teardown_of_an_own_test_is_a_failure(prepared):
    repository = prepared()
    own(
        repository,
        "import pytest\n@pytest.fixture\ndef late():\n    yield\n    raise OSError('still there')\n\n"
        "def test_own(rollback, late):\n    pass\n",
    )
    assert run(repository).ret == 1
    assert record(repository)["own_tests"][0]["first_line"] == "OSError: still there"


@pytest.mark.parametrize(
    ("args", "outcome", "why"),
    [
        (["--rollback-to=5"], "refused", "the run was refused"),
        ([], "unverified", "the run was refused"),
    ],
    ids=["rollback", "checks only"],
)
def test_after_a_refusal_no_own_test_runs(repository, args, outcome, why):
    own(repository, "def test_own(rollback):\n    open('was-run', 'w')\n")
    result = repository.runpytest_subprocess("--env=staging", "-p", "no:cacheprovider", *args)
    assert result.ret == 1
    assert not (repository.path / "was-run").exists()
    check_not_run(repository, result, outcome, why)


@pytest.mark.parametrize(
    ("react", "args", "code", "outcome", "why"),
    [
        ("raise KeyboardInterrupt", [], 2, "interrupted", "the run was interrupted"),
        (
            "self._state.found = Outcome.PLANNED; return",
            ["--rollback-plan"],
            0,
            "planned",
            "a plan verifies nothing",
        ),
    ],
    ids=["interrupted", "plan"],
)
def test_after_an_interruption_and_in_a_plan_no_own_test_runs(prepared, react, args, code, outcome, why):
    repository = prepared(react=react)
    own(repository, "def test_own(rollback):\n    open('was-run', 'w')\n")
    result = run(repository, *args)
    assert times_run(repository) == 1, result.stdout.str()
    assert not (repository.path / "was-run").exists()
    check_not_run(repository, result, outcome, why)


def check_not_run(repository, result, outcome, why):
    found = record(repository)
    [test] = found["own_tests"]
    assert (found["outcome"], test["outcome"], test["first_line"]) == (outcome, "not-run", f"not run: {why}")
    assert not any("own test" in line for line in result.outlines)
    page = (repository.path / "reports" / "latest.html").read_text()
    assert f"not run: {why}" in page


def test_a_plugin_that_brings_deselected_tests_back_draws_none_of_them_in(prepared):
    repository = prepared(
        more="""
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items):
    before = list(items)
    yield
    items[:] = reversed(before)
"""
    )
    own(repository, OWN + "\ndef test_not_meant():\n    raise SystemExit('was run')\n")
    result = run(repository, "-v")
    assert (result.ret, times_run(repository)) == (0, 1), result.stdout.str()
    assert order(result)[-1] == "test_own"
    assert "test_not_meant" not in order(result)


def test_of_what_an_own_test_says_one_line_is_kept_without_secrets(prepared, monkeypatch):
    secret = "https://hooks.slack.com/services/T0001/B0002/abcdefghijklmnopqrstuvwx"
    monkeypatch.setenv("SLACK_WEBHOOK_URL", secret)
    repository = prepared()
    own(
        repository,
        f"import pytest\ndef test_long(rollback):\n    pytest.fail('x' * 470 + {secret!r} + 'y' * 99)\n\n"
        "class Broken(Exception):\n    def __str__(self):\n        raise RuntimeError('no words')\n\n"
        "def test_broken(rollback):\n    raise Broken\n",
    )
    result = run(repository)
    assert result.ret == 1
    cut, broken = (test["first_line"] for test in record(repository)["own_tests"])
    assert cut.startswith("x" * 470)
    assert (len(cut) <= 500, "hooks.slack" in cut) == (True, False)
    assert "Broken" in broken


def test_a_checks_only_run_has_own_tests_too(prepared):
    repository = prepared()
    own(repository)
    result = repository.runpytest_subprocess("--env=staging", "-p", "no:cacheprovider")
    assert (result.ret, times_run(repository)) == (0, 1), result.stdout.str()
    assert record(repository)["own_tests"][0]["outcome"] == "passed"


def test_without_an_environment_the_fixture_is_a_view_on_nothing(repository):
    own(
        repository,
        "def test_own(rollback):\n    assert rollback.record is None\n"
        "    assert rollback.verdict('smoke')[0] == 'UNVERIFIED'\n",
    )
    repository.runpytest_subprocess().assert_outcomes(passed=1, deselected=12)


def test_what_is_said_inside_is_on_the_real_terminal(prepared):
    repository = prepared(
        react="os.write(1, b'FROM INSIDE\\n')",
        more="""
@pytest.hookimpl(tryfirst=True, wrapper=True)
def pytest_collection_finish(session):
    yield
    session.config.pluginmanager.get_plugin("capturemanager").resume_global_capture()
""",
    )
    result = run(repository, "-p", "no:html")
    assert (result.ret, times_run(repository)) == (0, 1), result.stdout.str()
    assert "FROM INSIDE" in result.outlines


@pytest.fixture
def self_signed(tmp_path):
    """The address of an HTTPS server with a certificate of its own making, which forbids everything."""
    pair = tmp_path / "pair.pem"
    certificate = tmp_path / "cert.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=nobody"]
    argv += ["-keyout", str(pair), "-out", str(certificate)]
    subprocess.run(argv, check=True, capture_output=True)

    class Forbids(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = json.dumps({"kind": "Status", "message": "not for you", "reason": "Forbidden"}).encode()
            self.send_response(403)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = handle_any  # noqa: N815 - http.server's names

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Forbids)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, pair)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_hosts_warnings_as_errors_do_not_reach_inside(repository, self_signed, monkeypatch):
    config = {
        "clusters": [{"name": "c", "cluster": {"server": self_signed, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "staging", "context": {"cluster": "c", "user": "u"}}],
    }
    path = repository.path / "kubeconfig"
    path.write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(path))
    (repository.path / "checks" / "conftest.py").write_text(
        "import warnings\ndef pytest_sessionstart():\n    warnings.simplefilter('error')\n"
    )
    result = run(repository, "-W", "error")
    assert result.ret == 1, result.stdout.str()
    [path] = (repository.path / "reports").glob("*-staging-*.json")
    said = path.read_text()
    assert "may not list secrets in namespace default: not for you" in said
    assert "InsecureRequest" not in said + result.stdout.str() + result.stderr.str()


def test_an_own_test_does_not_run_where_nothing_was_verified(prepared):
    """A pull request that stays open, say: what is live is still the bad version."""
    repository = prepared(
        react='self._recorder.close_items(lambda _: "not run: nothing was deployed"); return'
    )
    own(repository)
    result = run(repository)
    assert (result.ret, record(repository)["outcome"]) == (1, "unverified")
    [test] = record(repository)["own_tests"]
    assert (test["outcome"], test["first_line"]) == ("not-run", "not run: nothing was verified")
