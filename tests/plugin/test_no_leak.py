"""Secrets that pytest, plugins and other people's code would say: in no file and on no terminal (fault 49)."""

import base64
import json
import os
import pty
import subprocess
import sys
from urllib.parse import quote

import pytest

SECRET = "Zk7/qW3r+T9yU&1pL5'mN8"
FORMS = {
    "plain": SECRET,
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "url": quote(SECRET, safe=""),
    "json": json.dumps(SECRET)[1:-1],
}
LEAKY = """
import base64, json, logging, sys, urllib.parse, warnings
import os, pytest

secret = os.environ["DEPLOY_API_TOKEN"]
forms = [secret, base64.b64encode(secret.encode()).decode(), urllib.parse.quote(secret, safe=""), json.dumps(secret)]


@pytest.fixture(autouse=True)
def leak():
    local = forms
    for form in local:
        print("stdout", form)
        sys.stderr.write(f"stderr {form}\\n")
        logging.getLogger("urllib3.connectionpool").debug("GET /x?token=%s", form)
        logging.getLogger("httpx").info("HTTP Request: POST https://u:%s@h/", form)
        warnings.warn(f"deprecated {form}")
    THEN


def pytest_report_header():
    return [f"header {form}" for form in forms]


def pytest_terminal_summary(terminalreporter):
    for form in forms:
        terminalreporter.write_line(f"summary {form}")
"""


def everything(folder, output):
    found = {"terminal": output}
    for path in folder.rglob("*"):
        if path.is_file() and "checks" not in path.parts and path.suffix not in (".py", ".pyc"):
            found[str(path.relative_to(folder))] = path.read_bytes().decode(errors="replace")
    return found


def leaks(found):
    return sorted(
        {(where, form) for where, text in found.items() for form, value in FORMS.items() if value in text}
    )


def on_a_terminal(argv, cwd):
    """Output of ``argv`` on a pty of its own."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        argv, cwd=cwd, stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm"}
    ) as ran:
        os.close(slave)
        said = b""
        while True:
            try:
                more = os.read(master, 65536)
            except OSError:  # its last writer is gone
                break
            if not more:
                break
            said += more
        ran.wait(60)
    os.close(master)
    return said.decode(errors="replace")


INTERNAL_ERROR = """

def pytest_runtest_logreport(report):
    local = secret
    raise RuntimeError(f"boom {forms}")
"""


@pytest.mark.parametrize(
    ("then", "more", "terminal"),
    [
        ("assert forms == []", "", False),
        ("raise ValueError(forms)", "", True),
        ("yield", INTERNAL_ERROR, False),
    ],
    ids=["assertion", "error on a pty", "internal error"],
)
def test_fault_49_what_others_print_log_and_raise_is_in_no_output(
    repository, monkeypatch, then, more, terminal
):
    monkeypatch.setenv("DEPLOY_API_TOKEN", SECRET)
    (repository.path / "checks" / "conftest.py").write_text(LEAKY.replace("THEN", then) + more)
    args = [
        "--env=staging",
        "--rollback-to=5",
        f"--rollback-reason=token {SECRET}",
        "-vv",
        "--showlocals",
        "-rA",
    ]
    args += ["--log-cli-level=DEBUG", "--log-file=out/log.txt", "--log-file-level=DEBUG", "--tb=long"]
    args += [
        "--junitxml=out/junit.xml",
        "-o",
        "junit_logging=all",
        "--html=out/mine.html",
        "-W",
        "default",
        "-p",
        "no:cacheprovider",
    ]
    argv = [sys.executable, "-m", "pytest", *args]
    if terminal:
        output = on_a_terminal(argv, repository.path)
    else:
        done = subprocess.run(
            argv, cwd=repository.path, capture_output=True, text=True, timeout=60, check=False
        )
        output = done.stdout + done.stderr
    found = everything(repository.path, output)
    assert "[redacted DEPLOY_API_TOKEN]" in output
    assert ("INTERNALERROR" in output) is bool(more)
    assert "reports/latest.json" in found
    assert "out/junit.xml" in found
    assert "out/mine.html" in found
    assert leaks(found) == []


def test_fault_49_a_mistake_on_the_command_line_says_no_secret(repository, monkeypatch):
    monkeypatch.setenv("DEPLOY_API_TOKEN", SECRET)
    for arg in (f"--rollback-to={SECRET}", f"--rollback-waive={SECRET}", f"--env={SECRET}"):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--env=staging", arg],
            cwd=repository.path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 4
        assert "[redacted DEPLOY_API_TOKEN]" in done.stderr
        assert leaks({"terminal": done.stdout + done.stderr}) == []


def test_a_users_junit_carries_our_titles_and_verdicts(repository):
    import xml.etree.ElementTree as ET

    repository.runpytest_subprocess("--env=staging", "--rollback-to=5", "--junitxml=junit.xml")
    cases = ET.parse(repository.path / "junit.xml").getroot().iter("testcase")
    told = {
        case.get("name"): {each.get("name"): each.get("value") for each in case.iter("property")}
        for case in cases
    }
    assert told["test_checklist[smoke]"] == {
        "zkrollback_title": "Run smoke tests",
        "zkrollback_verdict": "UNVERIFIED",
    }
    assert told["test_preflight"]["zkrollback_verdict"] == "FAIL"
