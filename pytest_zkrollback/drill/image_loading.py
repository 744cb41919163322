"""How the demo application's images get to the nodes of a cluster that is not the drill's own.

The commands are those of the tools' own documentation (docs/rehearse-on-your-cluster.md).
"""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..domain.errors import DrillProblem, ProcessProblem, UsageProblem

if TYPE_CHECKING:
    from pathlib import Path

    from ..domain.ports import Processes

# RFC 6761: a name that never resolves, so that an image that is missing on purpose is nobody else's.
LOCAL_REPOSITORY: Final = "drill.invalid/zkprova"
REGISTRY: Final = "registry="
ARCHIVE: Final = "{archive}"
_LOAD_S: Final = 300.0
# As the reference of an image has it (distribution/reference): a host, then components of a path.
_COMPONENT: Final = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY: Final = re.compile(
    rf"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*:[0-9]{{1,5}}/)?{_COMPONENT}(?:/{_COMPONENT})*"
)
# By what the context is called. kind and k3d put their own name before the cluster's; minikube's context
# has the name of its profile, and only the default one can be known by it.
_BY_PREFIX: Final = {
    "kind-": f"kind load image-archive {ARCHIVE} --name",
    # Its default mode reports no failure (k3d, pkg/client/tools.go).
    "k3d-": f"k3d image import {ARCHIVE} --mode direct --cluster",
}
_BY_NAME: Final = {"minikube": f"minikube image load {ARCHIVE} --profile minikube"}
_WAYS: Final = (
    f"Say how its nodes get the demo's images: --drill-load='COMMAND {ARCHIVE}' (it imports a tar of OCI"
    f" images into every node), --drill-load={REGISTRY}HOST/PATH (they are pushed there), or"
    " --drill-image=REPOSITORY (they are there already); helm did not run."
)


@dataclass(frozen=True)
class ImageSource:
    """Where the nodes have the images from; their names begin with ``repository``.

    ``command`` imports an archive. Without one they are pushed to ``repository``, if ``pushes``, or they are
    there already.
    """

    repository: str
    command: tuple[str, ...] = ()
    pushes: bool = False

    @property
    def builds(self) -> bool:
        """Whether the images are made here."""
        return self.pushes or bool(self.command)

    def load(self, archive: Path, processes: Processes) -> None:
        """Run the command. Raises DrillProblem."""
        argv = [word.replace(ARCHIVE, str(archive)) for word in self.command]
        try:
            ended = processes.run(argv, timeout_s=_LOAD_S)
        except ProcessProblem as problem:
            raise DrillProblem(f"The demo's images could not be brought to the nodes: {problem}") from None
        if ended.exit_code != 0:
            how = f"took longer than {_LOAD_S:g} s" if ended.timed_out else f"failed ({ended.exit_code})"
            raise DrillProblem(
                f"The demo's images could not be brought to the nodes: `{shlex.join(argv)}` {how}:"
                f" {ended.output.strip()[-500:] or 'it said nothing'}"
            )


def choose_images(context: str, load: str | None, image: str | None) -> ImageSource:
    """The source for the nodes of ``context``; nothing is run.

    ``load`` is --drill-load, ``image`` --drill-image; without both the context's name decides. Raises
    UsageProblem, also for a program that is not on PATH.
    """
    if image is not None:
        if load is not None:
            raise UsageProblem(
                "--drill-image says that the images are there already, --drill-load how they get there: give"
                " one of the two; helm did not run."
            )
        return ImageSource(_repository("--drill-image", image))
    if load is not None and load.startswith(REGISTRY):
        repository = _repository("--drill-load", load.removeprefix(REGISTRY))
        if not _is_host(repository.partition("/")[0]):
            raise UsageProblem(
                f"--drill-load={load} names no registry: the nodes take a host without a dot and a port for a"
                " folder of Docker Hub; helm did not run."
            )
        return ImageSource(repository, pushes=True)
    return ImageSource(LOCAL_REPOSITORY, command=_command(context, load))


def _repository(option: str, given: str) -> str:
    repository = given.strip("/")
    if not _REPOSITORY.fullmatch(repository):
        raise UsageProblem(
            f"{option}={given} names no repository: give HOST/PATH in small letters, without https:// and"
            " without a tag; helm did not run."
        )
    return repository


def _is_host(name: str) -> bool:
    return name == "localhost" or "." in name or ":" in name


def _command(context: str, load: str | None) -> tuple[str, ...]:
    text = load if load is not None else _command_of(context)
    try:
        words = tuple(shlex.split(text))
    except ValueError as problem:
        raise UsageProblem(f"--drill-load={load} is no command: {problem}; helm did not run.") from None
    if not any(ARCHIVE in word for word in words):
        raise UsageProblem(f"--drill-load={load} has no {ARCHIVE} in it. {_WAYS}")
    if shutil.which(words[0]) is None:
        raise UsageProblem(
            f"The images would be brought to the nodes by `{text}`, and there is no {words[0]} on PATH:"
            f" install it, or choose another way. {_WAYS}"
        )
    return words


def _command_of(context: str) -> str:
    for prefix, command in _BY_PREFIX.items():
        if context.startswith(prefix):
            return f"{command} {shlex.quote(context.removeprefix(prefix))}"
    if context in _BY_NAME:
        return _BY_NAME[context]
    raise UsageProblem(f"The context '{context}' has no name that kind, k3d or minikube gives. {_WAYS}")
