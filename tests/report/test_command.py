"""``python -m pytest_zkrollback.report``: the same renderings again, offline."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_zkrollback.report.__main__ import FORMATS, main
from pytest_zkrollback.report.files import render_json
from support.example_records import verified


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "record.json"
    path.write_text(render_json(verified()), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_renders_what_the_run_rendered(
    name: str, saved: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["render", str(saved), "--format", name]) == 0
    assert capsysbinary.readouterr().out.decode() == FORMATS[name](verified())


def test_output_file(saved: Path, tmp_path: Path) -> None:
    assert main(["render", str(saved), "-o", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_what_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(tmp_path / "none.json")]) == 2
    (tmp_path / "x.json").write_text('{"run_id": "1"}', encoding="utf-8")
    assert main(["render", str(tmp_path / "x.json")]) == 2
    (tmp_path / "y.json").write_text("{", encoding="utf-8")
    assert main(["render", str(tmp_path / "y.json")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"{tmp_path / 'none.json'}: No such file or directory"
    assert lines[1] == f"{tmp_path / 'x.json'} is no record of zkrollback.record/1: mode: Field required"
    assert lines[2].startswith(
        f"{tmp_path / 'y.json'} is no record of zkrollback.record/1: the file: Invalid JSON"
    )
