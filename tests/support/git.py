"""git in a folder of a test."""

import os
import subprocess

_WHO = ("-c", "user.name=Ada", "-c", "user.email=a@b.example", "-c", "init.defaultBranch=main")
# Always the same names: one of ten decimal digits would be read as a number, and by chance one is.
_WHEN = {f"GIT_{role}_DATE": "2026-11-23T07:00:00Z" for role in ("AUTHOR", "COMMITTER")}


def git(folder, *args):
    """What git says; raises CalledProcessError."""
    argv = ["git", "-C", str(folder), *_WHO, *args]
    env = {**os.environ, **_WHEN}
    return subprocess.run(argv, capture_output=True, text=True, check=True, env=env).stdout.strip()
