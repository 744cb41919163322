"""What containerd starts in runc's place: it takes the seccomp profile out of a container, and becomes runc.

A kubelet asks for the runtime's profile for every pod, and runc refuses it unless it was linked with
libseccomp, a C library that many machines do not have. So runc is built without it, and this file stands
before it. It runs as a script: only the standard library, and nothing of this package.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

_STARTS = ("create", "run")
_BUNDLE = ("--bundle", "-b")


def write_launcher(launcher: Path, runc: Path) -> None:
    """Write the program ``launcher``. Raises OSError.

    runc is asked several times per container; Python starts only for those that make one.
    """
    script = shlex.join([sys.executable, "-IS", __file__, str(runc)])
    starts = "|".join(f'*" {name} "*' for name in _STARTS)
    case = f'case " $* " in {starts}) exec {script} "$@" ;; esac'
    launcher.write_text(f'#!/bin/sh\n{case}\nexec {shlex.quote(str(runc))} "$@"\n')
    launcher.chmod(0o755)


def take_out(bundle: Path) -> None:
    """Take the profile out of ``bundle/config.json``, in place. Raises OSError."""
    config = bundle / "config.json"
    spec = json.loads(config.read_text())
    if spec.get("linux", {}).pop("seccomp", None) is not None:
        config.write_text(json.dumps(spec))


def bundle_of(argv: Sequence[str]) -> Path:
    """The folder that ``runc create`` or ``runc run`` is given; else the current one, as with runc."""
    for option, value in pairwise(argv):
        if option in _BUNDLE:
            return Path(value)
        if option.startswith("--bundle="):
            return Path(option.partition("=")[2])
    return Path()


if __name__ == "__main__":
    _, program, *arguments = sys.argv
    take_out(bundle_of(arguments))
    os.execv(program, [program, *arguments])  # noqa: S606 - no shell is wanted
