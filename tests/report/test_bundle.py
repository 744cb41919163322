"""The ticket bundle: all of a run in one zip that a tracker takes, with digests that hold."""

from __future__ import annotations

import hashlib
import io
import random
import subprocess
import zipfile
from pathlib import Path

import pytest

from pytest_zkrollback.domain.record import Helm, Outcome, Record
from pytest_zkrollback.domain.verdict import Verdict, evidence
from pytest_zkrollback.report.bundle import LIMIT_BYTES, render_bundle
from pytest_zkrollback.report.files import Store, render_json
from pytest_zkrollback.report.html import render_page
from pytest_zkrollback.report.markdown import render_markdown
from support.example_records import ALL, failed, items, verified


def files_of(record: Record) -> dict[str, bytes]:
    return {
        "run.md": render_markdown(record).encode(),
        "run.json": render_json(record).encode(),
        "run.html": render_page(record).encode(),
    }


def opened(packed: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_what_is_in_it_as_a_whole() -> None:
    found = opened(render_bundle(failed(), files_of(failed())))
    assert list(found)[:5] == ["README.txt", "run.html", "run.md", "run.json", "evidence/manifest.diff"]
    assert [name for name in found if name.startswith("evidence/04")] == [
        "evidence/04-rollout-backend-1-what-was-read.txt",
    ]
    assert found["README.txt"].decode() == (
        "FAILED: zkprova rolled back from 6 to 5 in drill\n"
        f"Run {failed().run_id} of pytest-zkrollback, begun at 2026-11-23 11:50:39 UTC\n"
        "\n"
        "Open run.html first: it needs no network and no script.\n"
        "The .json file is the record itself, the .md file is for a comment, the .xml file is JUnit.\n"
        "evidence/ has each piece of proof as a file; secrets were taken out of all of them.\n"
        "To see that nothing was changed since: sha256sum -c SHA256SUMS\n"
    )


@pytest.mark.parametrize("name", ALL)
def test_the_digests_hold_by_an_independent_tool(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(render_bundle(ALL[name](), files_of(ALL[name]())))) as archive:
        archive.extractall(tmp_path)
        count = len(archive.namelist())
    done = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == count - 1


def test_evidence_says_of_which_item_it_is_and_how_large_the_whole_was() -> None:
    item = items(logs=(Verdict.FAIL, "2 bad lines"))[6].model_copy(
        update={"evidence": (evidence("a pod's log", "x\n" * 99_999, kind="log"),)}
    )
    found = opened(render_bundle(verified(items=(item,)), {}))
    digest = hashlib.sha256(b"x\n" * 99_999).hexdigest()
    text = found["evidence/01-logs-1-a-pod-s-log.log"].decode()
    assert text.startswith(
        "# a pod's log\n# FAIL: 2 bad lines\n"
        f"# whole: 199998 bytes, sha256 {digest} (before it was cut and redacted)\n\nx\n"
    )


def test_it_stays_below_its_limit_whatever_is_in_the_record_and_says_what_is_left_out() -> None:
    rng = random.Random(7)
    noise = [rng.randbytes(20 * 1024).hex() for _ in range(40)]  # 40 KiB each, which a zip halves at best
    proof = tuple(evidence(f"piece {n}", noise[n]) for n in range(40))
    green, red = items(smoke=(Verdict.FAIL, "no"))[4:6]
    record = verified(
        outcome=Outcome.FAILED,
        items=(green.model_copy(update={"evidence": proof}), red.model_copy(update={"evidence": proof[:10]})),
        helm=Helm(ran=True, stderr_tail="said"),
    )
    limit = 2_500_000
    packed = render_bundle(record, files_of(record), limit)
    assert len(packed) < limit
    assert LIMIT_BYTES < 10_000_000
    found = opened(packed)
    assert "run.html" in found
    assert "evidence/helm-stderr.txt" in found
    assert sum("smoke" in name for name in found) == 10  # what is red comes first
    said = found["README.txt"].decode()
    assert "Left out, for want of room in one attachment:\n- " in said
    assert said.count("- evidence/01-") + sum("rollout" in name for name in found) == 40


def test_the_store_writes_it_beside_the_other_files_and_says_if_it_cannot(tmp_path: Path) -> None:
    store = Store(tmp_path, "run")
    store.finish(verified())
    path = store.write_bundle(verified())
    assert path == tmp_path / "run.zip"
    found = opened(path.read_bytes())
    assert found["run.html"] == (tmp_path / "run.html").read_bytes()
    assert found["run.json"] == (tmp_path / "run.json").read_bytes()
    path.unlink()
    path.mkdir()
    assert store.write_bundle(verified()) is None
    assert store.problems == (f"{path} could not be written: Is a directory.",)
