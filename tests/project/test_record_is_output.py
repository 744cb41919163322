"""The record is output: no step of a run reads it back to decide."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "pytest_zkrollback"
# Who may read it, and what for. Everything else gets values from the steps (run/results.py).
READERS = {
    "report/recorder.py": "it owns it",
    "report/outcome.py": "the summary and the next commands are rendered from it",
    "notify/dispatcher.py": "messages are rendered from it",
    "github/step_log.py": "the commit message and the pull request are rendered from it",
    "run/run.py": "the page, the display and JUnit are rendered from it",
}


def reads(source):
    """Lines on which a recorder's ``record`` or ``redacted`` is read."""
    return sorted(
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and node.attr in ("record", "redacted")
        and ast.unparse(node.value).rpartition(".")[2].lstrip("_") == "recorder"
    )


def test_nobody_else_reads_the_record():
    readers = {
        str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if reads(path.read_text("utf-8"))
    }
    assert readers <= set(READERS), "pass a value instead: see run/results.py"


def test_the_search_finds_what_it_is_for():
    assert reads("a = context.recorder.record.items\nb = self._recorder.redacted\nc = recorder.record") == [
        1,
        2,
        3,
    ]
    assert reads("recorder.redeploy = 1; recorder.item('x')") == []
