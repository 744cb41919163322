"""What a package index gets: it is built, `twine check` accepts it, and its page's links lead somewhere."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from pytest_zkrollback import __version__

ROOT = Path(__file__).parents[2]
SOURCE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Source"]


def run(*argv):
    done = subprocess.run(
        [sys.executable, "-m", *argv], capture_output=True, text=True, timeout=300, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """The source distribution, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run("build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    return folder


@pytest.fixture(scope="module")
def wheel(dist):
    [path] = dist.glob("*.whl")
    with zipfile.ZipFile(path) as found:
        yield found


@pytest.fixture(scope="module")
def metadata(wheel):
    [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return message_from_bytes(wheel.read(name))


def test_twine_accepts_both(dist):
    said = run("twine", "--no-color", "check", "--strict", *map(str, sorted(dist.iterdir())))
    assert said.count(": PASSED\n") == 2, said


def test_the_version_stands_in_one_place(metadata, dist):
    assert metadata["Version"] == __version__
    assert sorted(path.name for path in dist.iterdir()) == [
        f"pytest_zkrollback-{__version__}-py3-none-any.whl",
        f"pytest_zkrollback-{__version__}.tar.gz",
    ]


def test_links_and_pictures_of_the_page_are_whole_addresses_of_files_that_exist(metadata):
    text = metadata.get_payload(decode=True).decode()
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert [target for target in targets if not target.startswith("https://")] == []
    raw = SOURCE.replace("https://github.com/", "https://raw.githubusercontent.com/")
    bases = (f"{SOURCE}/blob/v{__version__}/", f"{raw}/v{__version__}/")
    ours = [
        target.removeprefix(base).partition("#")[0]
        for target in targets
        for base in bases
        if target.startswith(base)
    ]
    assert len(ours) > 10
    assert [path for path in ours if not (ROOT / path).exists()] == []
    assert [
        target for target in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text) if not target.startswith(raw)
    ] == []


def test_the_wheel_has_every_file_of_the_package(wheel):
    files = {path for path in (ROOT / "pytest_zkrollback").rglob("*") if path.is_file()}
    own = {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}
    assert "pytest_zkrollback/py.typed" in own
    assert own - set(wheel.namelist()) == set()


def test_the_source_distribution_has_what_its_tests_read(dist):
    [path] = dist.glob("*.tar.gz")
    with tarfile.open(path) as found:
        parts = {name.split("/")[1] for name in found.getnames()}
    assert {"pytest_zkrollback", "tests", "docs", "checks", "LICENSE", "README.md", "CHANGELOG.md"} <= parts
