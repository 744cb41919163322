"""The wheel in an empty environment: from an empty folder, the main job is one command."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).parent / "uv"


def done(*argv, folder):
    names = ("PATH", "HOME", "LANG", "XDG_CACHE_HOME", "UV_CACHE_DIR", "SSL_CERT_FILE")
    kept = {
        name: value for name, value in os.environ.items() if name in names or name.startswith(("UV_", "PIP_"))
    }
    found = subprocess.run(
        [str(each) for each in argv],
        cwd=folder,
        env=kept,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def test_the_main_job_from_the_wheel_in_an_empty_folder(binaries, tmp_path):
    dist, venv, folder = (tmp_path / name for name in ("dist", "venv", "empty"))
    folder.mkdir()
    done(sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, ROOT, folder=folder)
    done(UV, "venv", "--quiet", "--python", sys.executable, venv, folder=folder)
    install = (UV, "pip", "install", "--quiet", "--python", venv / "bin" / "python")
    [wheel] = dist.glob("*.whl")
    done(*install, "--constraints", ROOT / "requirements" / "dev.txt", wheel, folder=folder)
    said = done(
        *(venv / "bin" / "pytest", "--pyargs", "pytest_zkrollback.items"),
        *("--zkrollback-env=drill", "--rollback-to=5"),
        folder=folder,
    )
    assert "VERIFIED: zkprova rolled back from 6 to 5 in drill" in said.splitlines()
    record = json.loads((folder / "reports" / "latest.json").read_text())
    assert (record["outcome"], record["helm"]["ran"], record["revision_after"]) == ("verified", True, 7)
    assert {path.name for path in folder.iterdir()} <= {"reports", ".pytest_cache"}
