"""Fault 64 for real: a disk that is full or read-only, and a process that may write nothing anywhere."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--env=staging", "--rollback-to=5"]
# A small disk of our own at reports/, which nobody else sees and which goes with the last process.
SMALL_DISK = """
mount -t tmpfs -o size=64k none reports && echo "VERIFIED, last week" > reports/latest.html || exit 77
{before}
"$@"
code=$?
echo "ON THE DISK:" $(ls -A reports)
exit $code
"""


def run_beside(script, command, folder, otherwise):
    """``command`` after the script's mounts, which nobody else sees; where there can be none, a skip."""
    argv = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", *command]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(otherwise)
    return done


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ("dd if=/dev/zero of=reports/filler bs=1k 2>/dev/null", "No space left on device"),
        ("", "No space left on device"),  # it is full in mid-run, with the first large file
        ("mount -o remount,ro reports", "Read-only file system"),
    ],
    ids=["full", "nearly full", "read-only"],
)
def test_fault_64_a_disk_that_takes_nothing_more(repository, monkeypatch, before, reason):
    elsewhere = repository.mkdir("elsewhere")
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    repository.mkdir("reports")
    script = SMALL_DISK.format(before=before)
    done = run_beside(
        script, COMMAND, repository.path, "No mount namespaces here; the test below has no disk at all."
    )
    assert done.returncode == 1, done.stdout + done.stderr
    [folder] = [path for path in elsewhere.iterdir() if path.name.startswith("zkrollback-")]
    assert f"reports could not be written ({reason}); this run's files are in {folder}." in done.stdout
    assert json.loads((folder / "latest.json").read_text())["outcome"] == "refused"
    assert "<h1>REFUSED</h1>" in (folder / "latest.html").read_text()
    *_, last, on_the_disk = done.stdout.rstrip().splitlines()
    assert last.startswith(f"Report: {folder}/")
    if reason != "Read-only file system":  # there an older report cannot be taken away
        assert "latest" not in on_the_disk
    assert "Traceback" not in done.stdout + done.stderr


def test_fault_64_a_fleet_whose_disk_is_full_asks_its_members_all_the_same(repository, monkeypatch):
    elsewhere = repository.mkdir("elsewhere")
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    repository.mkdir("reports")
    (repository.path / "zkrollback.toml").write_text(
        '[defaults]\nworkloads = "auto"\nkubeconfig = "there-is-none"\n[environments.eu-1]\n'
        '[environments.us-1]\n[fleets.prod]\nwaves = [["eu-1"], ["us-1"]]\n'
    )
    script = SMALL_DISK.format(before="cp reports/latest.html reports/latest-fleet.html")
    fleet = [*COMMAND[:-2], "--fleet=prod", "--rollback-to=app:1.8.0"]
    done = run_beside(script, fleet, repository.path, "No mount namespaces here.")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "REFUSED: 2 members of 2; nothing has run." in done.stdout
    assert "cluster: There is no kubeconfig" in done.stdout
    [folder] = [path for path in elsewhere.iterdir() if path.name.startswith("zkrollback-fleet-")]
    assert f"or is full; this run's files are in {folder}. If it is killed, the same" in done.stdout
    assert json.loads((folder / "latest-fleet.json").read_text())["outcome"] == "refused"
    *_, last, on_the_disk = done.stdout.rstrip().splitlines()
    assert last.startswith(f"Report: {folder}/")
    assert "latest-fleet" not in on_the_disk
    assert "Traceback" not in done.stdout + done.stderr


def test_fault_64_nothing_can_be_written_anywhere_so_the_summary_is_said(repository, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(repository.mkdir("elsewhere")))
    # Python 3.13.0 keeps what it could write of a compiled module, and every later run would load that.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    def no_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))

    done = subprocess.run(
        [*COMMAND, "--zkrollback-bundle"],
        cwd=repository.path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        preexec_fn=no_files,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.count("\nREFUSED: rollback of zkprova to revision 5 in staging\n") == 1
    assert "HELM DID NOT RUN: refused (cluster)." in done.stdout
    assert "could not be written: File too large." in done.stdout
    assert "Report: none could be written" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert [path for path in Path(repository.path, "reports").iterdir() if path.stat().st_size] == []


# As root in namespaces of our own: no folder that Python knows for temporary files takes one.
NOWHERE = """
mount --bind . /mnt && mount -o remount,ro,bind /mnt || exit 77
for folder in /tmp /var/tmp /usr/tmp; do
    test ! -d $folder || mount -t tmpfs -o ro none $folder || exit 77
done
cd /mnt && exec "$@"
"""


def test_case_p3_19_9_where_no_disk_takes_a_file_the_summary_is_said_all_the_same(repository, monkeypatch):
    """Read-only images, a home that is none, a user without a name: CI pods are like that."""
    for name in ("TMPDIR", "TEMP", "TMP", "HOME", "XDG_STATE_HOME", "USER", "LOGNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    done = run_beside(
        NOWHERE, COMMAND, repository.path, "No mount namespaces here; the test above has no disk at all."
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "\nREFUSED: rollback of zkprova to revision 5 in staging\n" in done.stdout
    assert done.stdout.rstrip().endswith("\nReport: none could be written")
    assert "Traceback" not in done.stdout + done.stderr
