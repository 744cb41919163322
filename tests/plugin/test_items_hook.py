"""The items hook at pytest's edge: ids are collected before anything is contacted, nonsense is exit 4."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "own-items.md").read_text(), re.DOTALL)[1]


def collected(repository, *args):
    result = repository.runpytest("--collect-only", "-q", *args)
    return [line.partition("[")[2].rstrip("]") for line in result.outlines if "test_checklist" in line]


def test_the_documents_example_is_collected_before_notify(repository):
    (repository.path / "checks" / "conftest.py").write_text(EXAMPLE)
    assert collected(repository, "--env=production")[-4:] == [
        "migration",
        "orders-readable",
        "drainable",
        "notify",
    ]
    assert collected(repository, "--env=staging")[-3:] == ["migration", "orders-readable", "notify"]
    assert "orders-readable" not in collected(repository)


@pytest.mark.parametrize(
    ("args", "body", "sentence"),
    [
        (
            [],
            "    raise KeyError('queue')",
            "pytest_zkrollback_items raised KeyError in conftest.py, line 2: 'queue'; mend the hook, or "
            "go on without it: --noconftest --zkrollback-env=staging; helm did not run.",
        ),
        (
            ["--rollback-to=5"],
            "    import pytest; pytest.skip('not today')",
            "pytest_zkrollback_items raised Skipped in conftest.py, line 2: not today; mend the hook, "
            "or go on without it: --noconftest --zkrollback-env=staging; helm did not run.",
        ),
        (
            ["--rollback-to=5"],
            "    import threading; threading.Event().wait(60)",
            "pytest_zkrollback_items gave no answer within 10 s; mend the hook, or go on without it: "
            "--noconftest --zkrollback-env=staging; helm did not run.",
        ),
        (
            ["--rollback-to=5", "--rollback-plan"],
            "    return ['queue']",
            "pytest_zkrollback_items gave a list with 'queue' in it: return a list of CustomItem; helm did not run.",
        ),
    ],
)
def test_a_wrong_hook_is_exit_4_and_a_sentence(repository, args, body, sentence, capfd):
    (repository.path / "checks" / "conftest.py").write_text(
        f"def pytest_zkrollback_items(environment):\n{body}\n"
    )
    result = repository.runpytest("--env=staging", *args)
    assert result.ret == 4
    said = "\n".join(capfd.readouterr())
    assert f"ERROR: {sentence}\n" in said
    assert "Traceback" not in said
    assert not (repository.path / "reports").exists()


def test_what_the_sentence_says_leads_out(repository, capfd):
    (repository.path / "checks" / "conftest.py").write_text(
        "def pytest_zkrollback_items(environment):\n    raise KeyError('queue')\n"
    )
    result = repository.runpytest("--collect-only", "-q", "--noconftest", "--zkrollback-env=staging")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*test_checklist*notify]"])


def test_a_plugin_is_left_out_by_its_name(repository, capfd):
    (repository.path / "pager.py").write_text(
        "def pytest_zkrollback_items(environment):\n    raise KeyError('x')\n"
    )
    repository.syspathinsert()
    result = repository.runpytest("--env=staging", "-p", "pager", "--rollback-to=5")
    assert result.ret == 4
    sentence = (
        "pytest_zkrollback_items raised KeyError in pager.py, line 2: 'x'; mend the hook, or go on without it: "
        "-p no:pager; helm did not run."
    )
    assert f"ERROR: {sentence}\n" in "\n".join(capfd.readouterr())


def test_a_rollback_without_an_own_item_is_refused(repository, capfd):
    (repository.path / "checks" / "conftest.py").write_text(EXAMPLE)
    result = repository.runpytest("--env=staging", "--rollback-to=5", "-k", "not orders")
    assert result.ret == 4
    assert "orders-readable is left out" in "\n".join(capfd.readouterr())
