"""The operator's folder, as the README makes it: this repository's checks/ and conftest.py, and nothing more."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]


def make_checkout(folder: Path, *lines: str) -> None:
    """In ``folder``, made if missing; ``lines`` are added to its pytest.ini."""
    shutil.copytree(ROOT / "checks", folder / "checks", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "conftest.py", folder)
    ini = ("[pytest]", "testpaths = checks", *lines)
    (folder / "pytest.ini").write_text("".join(f"{line}\n" for line in ini))
