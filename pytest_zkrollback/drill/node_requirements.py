"""Whether a node of our own can live on this machine; said before anything is built or started."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..domain.errors import ProcessProblem, UsageProblem
from . import cgroups
from .box import PROGRAMS, box_argv
from .supervised import PREFIX

if TYPE_CHECKING:
    from ..domain.ports import Processes

_TRY_S = 20.0
_INSTEAD = (
    "A drill without a kubelet needs none of this: leave --drill-kubelet away; or drill on a cluster that you"
    " have, with --drill-context=NAME. Nothing was started; helm did not run."
)


def refuse_unfit_machine(
    processes: Processes, environ: Mapping[str, str] = os.environ, platform: str = sys.platform
) -> None:
    """Raises UsageProblem with what is missing.

    The node's namespaces, mounts and cgroups are tried once; that takes 0.3 s.
    """
    if platform != "linux":
        raise UsageProblem(
            f"--drill-kubelet needs Linux, and this is {platform}: a kubelet runs nowhere else. {_INSTEAD}"
        )
    if os.geteuid() != 0:
        raise UsageProblem(
            "--drill-kubelet needs root, because it makes namespaces, mounts and cgroups, and this is user"
            f" {os.geteuid()}. Run it as root, or in a container with --privileged. {_INSTEAD}"
        )
    missing = [name for name in PROGRAMS if shutil.which(name, path=environ.get("PATH")) is None]
    if missing:
        raise UsageProblem(
            f"--drill-kubelet needs {', '.join(missing)}, not found on PATH: install util-linux and iproute2."
            f" {_INSTEAD}"
        )
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        tried = Path(name)
        try:
            ended = processes.run(box_argv(tried, check=True), timeout_s=_TRY_S, env=environ)
            said = ended.stderr.strip()
            if ended.exit_code == 0:
                return
        except ProcessProblem as problem:
            said = str(problem)
        finally:
            cgroups.remove(tried.name)
    raise UsageProblem(
        f"--drill-kubelet cannot make a node on this machine: {said or 'it does not say why'}. A node needs"
        " namespaces, mounts with overlayfs, a network bridge and writable cgroups; a container has them only"
        f" with --privileged. {_INSTEAD}"
    )
