"""Where a drill takes place, by what was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..config.loader import DRILL, SHIPPED, known_environments, load_environment
from ..domain.errors import UsageProblem

if TYPE_CHECKING:  # a rollback has no need of the drill, nor of its memory
    from ..domain.request import Request
    from ..drill.kubelet_venue import Kubelet
    from ..drill.named_context import NamedContext
    from ..drill.venue import VenueChoice


def choose_place(request: Request, rootpath: Path, config: Path) -> VenueChoice | None:
    """The place that was asked for; None: kwok, or wherever a kept drill is. Nothing is contacted or started.

    ``config`` is the configuration's file: its environments are what must not be drilled on.
    Raises UsageProblem.
    """
    if request.drill_context is None:
        given = {"--drill-load": request.drill_load, "--drill-image": request.drill_image}
        for option, value in given.items():
            if value is not None:
                raise UsageProblem(
                    f"{option} goes with --drill-context=NAME: the drill's own cluster has its images; helm"
                    " did not run."
                )
        return _kubelet() if request.drill_kubelet else None
    if request.drill_kubelet:
        raise UsageProblem(
            "--drill-kubelet and --drill-context name two places for one drill: a node of our own, and the"
            f" cluster of context {request.drill_context}. Leave one of them away; helm did not run."
        )
    return _named_context(request.drill_context, request, rootpath, config)


def _kubelet() -> Kubelet:
    from ..clients.process import LocalProcesses
    from ..drill.kubelet_venue import Kubelet
    from ..drill.node_requirements import refuse_unfit_machine

    refuse_unfit_machine(LocalProcesses())
    return Kubelet()


def _named_context(context: str, request: Request, rootpath: Path, config: Path) -> NamedContext:
    from ..drill.drill_namespace import checkout_id
    from ..drill.named_context import NamedContext
    from ..drill.scenarios import DEFAULT_SCENARIO, choose_scenario
    from ..drill.whose_cluster import Configured

    names = [name for name in known_environments(config) if name != DRILL]
    source = "" if config == SHIPPED else config.name
    place = NamedContext(
        context,
        checkout_id(rootpath),
        Configured([load_environment(config, name) for name in names], source),
        load=request.drill_load,
        image=request.drill_image,
        confirmed=request.confirm,
        scrapes=bool(choose_scenario(request.drill_scenario or DEFAULT_SCENARIO).metrics),
    )
    place.refuse_without_contact()
    return place
