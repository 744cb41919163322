"""In GitHub Actions the record goes to the job's summary by itself, and what is red or warned is annotated."""

import json


def run(repository, monkeypatch, *args, **environ):
    for name, value in environ.items():
        monkeypatch.setenv(name, str(value))
    return repository.runpytest_subprocess("--env=staging", *args)


def test_in_actions_the_summary_and_the_annotations_come_by_themselves(repository, monkeypatch):
    summary = repository.path / "summary.md"
    summary.write_text("# An earlier line of this step\n")
    result = run(
        repository, monkeypatch, "--rollback-to=5", GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=summary
    )
    text = summary.read_text()
    assert text.startswith("# An earlier line of this step\n## REFUSED: ")
    assert (repository.path / "reports" / "latest.md").read_text().splitlines()[0] in text
    annotations = [line for line in result.outlines if line.startswith("::")]
    assert annotations[0].startswith("::error title=REFUSED::Not rolled back: there is no kubeconfig")
    assert result.outlines[-1].startswith(f"Report: {repository.path}/reports/"), (
        "the last lines stay the last ones"
    )
    assert result.ret == 1


def test_elsewhere_there_is_neither(repository, monkeypatch):
    result = run(repository, monkeypatch, "--rollback-to=5")
    assert not [line for line in result.outlines if line.startswith("::")]


def test_a_summary_that_cannot_be_written_is_said_and_changes_nothing(repository, monkeypatch):
    result = run(repository, monkeypatch, GITHUB_STEP_SUMMARY=repository.path / "nowhere" / "summary.md")
    [line] = [line for line in result.outlines if "the job's summary" in line]
    assert line.endswith("could not be written: No such file or directory")
    record = json.loads((repository.path / "reports" / "latest.json").read_text())
    assert (result.ret, record["outcome"]) == (1, "unverified")
