"""tests/<package>/ holds the tests of each package."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.parent.name for path in (ROOT / "pytest_zkrollback").glob("*/__init__.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_has_a_folder_of_tests(package):
    assert list((ROOT / "tests" / package).glob("test_*.py")) != []


def test_no_tests_lie_outside_a_folder():
    assert list((ROOT / "tests").glob("test_*.py")) == []
