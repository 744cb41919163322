"""In a project that has nothing to do with us the installed plugin changes nothing."""

import subprocess
import sys

FOREIGN_CONFTEST = """
import pytest

def pytest_addoption(parser):
    parser.addoption("--env", default="none", choices=["none", "qa"])

@pytest.fixture
def env(pytestconfig):
    return pytestconfig.getoption("--env")
"""


def test_fault_66_a_foreign_conftest_that_adds_env_works_as_before(pytester):
    pytester.makeconftest(FOREIGN_CONFTEST)
    pytester.makepyfile("def test_env(env):\n    assert env == 'qa'\n")
    result = pytester.runpytest_subprocess("--env=qa")
    result.assert_outcomes(passed=1)
    assert pytester.runpytest_subprocess("--env=drill").ret == 4  # theirs to refuse


def test_output_and_files_are_the_same_with_and_without_us(pytester):
    pytester.makepyfile("def test_one():\n    pass\n\ndef test_two():\n    assert 1 == 2\n")
    with_us = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--color=no")
    without = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--color=no", "-p", "no:zkrollback")

    def stable(result):
        return [
            line
            for line in result.stdout.lines
            if not line.startswith(("plugins:", "rootdir:", "platform")) and " in " not in line
        ]

    assert stable(with_us) == stable(without)
    assert with_us.ret == without.ret == 1
    assert not (pytester.path / "reports").exists()


def test_our_items_are_left_out_where_there_are_others(pytester):
    pytester.makepyfile(
        test_runbook="from pytest_zkrollback.items import *\n", test_theirs="def test_theirs():\n    pass\n"
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, deselected=12 - 1 + 1)


def test_loading_imports_nothing_heavy(pytester):
    pytester.makepyfile("def test_one():\n    pass\n")
    code = (
        "import sys, pytest; code = pytest.main(['-q', '-p', 'no:html', '-p', 'no:metadata']);"
        "heavy = {'kubernetes', 'httpx', 'pydantic', 'rich', 'jinja2', 'yaml', 'tenacity'} & set(sys.modules);"
        "ours = sorted(name for name in sys.modules if name.startswith('pytest_zkrollback'));"
        "print('HEAVY', sorted(heavy)); print('OURS', ours)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=pytester.path
    )
    assert "HEAVY []" in done.stdout
    assert (
        "OURS ['pytest_zkrollback', 'pytest_zkrollback.domain', 'pytest_zkrollback.domain.command_line', "
        "'pytest_zkrollback.domain.item_ids', 'pytest_zkrollback.domain.request', 'pytest_zkrollback.domain.target_names', "
        "'pytest_zkrollback.plugin', 'pytest_zkrollback.plugin.checklist_tests', "
        "'pytest_zkrollback.plugin.fixtures', 'pytest_zkrollback.plugin.hookspecs', "
        "'pytest_zkrollback.plugin.options']" in done.stdout
    )
