"""How our modules are imported once an environment is given; the host's are imported as ever."""

import json

ASKED = """
import gc, json, sys

def loader(name):
    return type(sys.modules[name].__spec__.loader).__name__

def pytest_unconfigure():
    ours = {loader(name) for name in sys.modules if name.startswith("pytest_zkrollback.run.")}
    print("ASKED", json.dumps([sorted(ours), loader("test_own"), gc.isenabled(), gc.get_freeze_count() > 1000]))
"""


def test_ours_are_not_rewritten_a_hosts_are_and_no_garbage_is_looked_for_among_modules(repository):
    (repository.path / "conftest.py").write_text((repository.path / "conftest.py").read_text() + ASKED)
    (repository.path / "checks" / "test_own.py").write_text("def test_own(rollback):\n    assert rollback\n")
    result = repository.runpytest_subprocess("--env=staging", "--collect-only", "-s")
    [line] = [line for line in result.stdout.lines if line.startswith("ASKED ")]
    ours, theirs, collects, is_frozen = json.loads(line.removeprefix("ASKED "))
    assert ours == ["SourceFileLoader"]
    assert theirs == "AssertionRewritingHook"
    assert (collects, is_frozen) == (True, True)


LOADED = """
import json, sys

def pytest_collection_finish():
    ours = [name.removeprefix("pytest_zkrollback.") for name in sys.modules if name.startswith("pytest_zkrollback.")]
    print("LOADED", json.dumps([ours, sorted({"httpx", "rich"} & set(sys.modules))]))
"""
# What judges the checklist, draws the report, knows GitHub's answers or makes a drill: not before helm.
NOT_BEFORE_HELM = {
    "checklist.equivalence",
    "checklist.events.check",
    "checklist.logs.check",
    "checklist.rollout.check",
    "clients.github",
    "drill.drill",
    "github.guards",
    "migrations.base",
    "notify.text",
    "plugin.html_report",
    "report.html",
    "report.markdown",
    "report.next_commands",
    "run.build_checklist",
    "run.verify_step",
    "setup.doctor",
}
AT_MOST = 192


def test_what_is_not_needed_before_helm_is_not_imported_before_helm(repository):
    (repository.path / "conftest.py").write_text((repository.path / "conftest.py").read_text() + LOADED)
    result = repository.runpytest_subprocess("--env=staging", "--rollback-to=5", "--collect-only", "-s")
    [line] = [line for line in result.stdout.lines if line.startswith("LOADED ")]
    loaded, libraries = json.loads(line.removeprefix("LOADED "))
    assert libraries == []
    assert NOT_BEFORE_HELM & set(loaded) == set()
    assert len(loaded) <= AT_MOST
