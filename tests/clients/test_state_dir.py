"""Where our private files lie: also for users without a home, a name, or with a folder that was there before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_zkrollback.clients.state_dir import state_folder, user_name
from pytest_zkrollback.domain.regular_files import may_replace, read_regular


@pytest.fixture
def nobody(monkeypatch):
    """A user number without a name and a home, as a CI's pod has."""
    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[f"getpwuid(): uid not found: {uid}"])
    monkeypatch.setattr(os, "getuid", lambda: 12345)


def test_case_a8_without_a_home_there_is_no_state_folder_and_it_is_said(nobody) -> None:
    with pytest.raises(OSError, match="this user has no home folder, and HOME is not set"):
        state_folder("journal")


def test_case_a8_a_user_without_a_name_is_unknown(nobody) -> None:
    assert user_name() == "unknown"


def test_a_folder_that_was_there_before_becomes_its_owners_alone(tmp_path) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    before = tmp_path / "pytest-zkrollback" / "backups"
    before.mkdir(parents=True, mode=0o755)
    assert state_folder("backups", environ) == before
    assert before.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("what", ["pipe", "folder", "device"])
def test_case_a12_only_regular_files_are_read_and_replaced(tmp_path, what) -> None:
    path = tmp_path / "latest.html"
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path = Path("/dev/zero")
    with pytest.raises(OSError):
        read_regular(path)
    assert not may_replace(path)


def test_a_regular_file_a_link_to_one_and_nothing_may_be_replaced(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "file") == read_regular(tmp_path / "link") == b"x"
    assert all(may_replace(tmp_path / name) for name in ("file", "link", "nothing"))
