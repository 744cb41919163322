"""The operator's folder, as the README makes it: this repository's checks/ and conftest.py, and nothing more."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Pytest's plugins that only this repository's own tests need: an operator has none of them, and they take a
# tenth of a second of each command.
NOT_THE_OPERATORS = tuple(f"-pno:{name}" for name in ("anyio", "hypothesispytest", "rerunfailures", "xdist"))
# For a command that wants them all the same.
WITH_ALL_PLUGINS = ("-o", "addopts=")


def make_checkout(folder: Path, *lines: str) -> None:
    """In ``folder``, made if missing; ``lines`` are added to its pytest.ini."""
    shutil.copytree(ROOT / "checks", folder / "checks", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "conftest.py", folder)
    ini = ("[pytest]", "testpaths = checks", f"addopts = {' '.join(NOT_THE_OPERATORS)}", *lines)
    (folder / "pytest.ini").write_text("".join(f"{line}\n" for line in ini))
