"""Where a drill takes place, by what was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..config.loader import DRILL, SHIPPED, known_environments, load_environment
from ..domain.errors import UsageProblem

if TYPE_CHECKING:  # a rollback has no need of the drill, nor of its memory
    from ..domain.request import Request
    from ..drill.named_context import NamedContext


def choose_context(request: Request, rootpath: Path, config: Path) -> NamedContext | None:
    """The cluster that was named, None where the drill brings its own. Nothing is contacted.

    ``config`` is the configuration's file: its environments are what must not be drilled on.
    Raises UsageProblem.
    """
    from ..drill.drill_namespace import checkout_id
    from ..drill.named_context import NamedContext
    from ..drill.whose_cluster import Configured

    if request.drill_context is None:
        given = {"--drill-load": request.drill_load, "--drill-image": request.drill_image}
        for option, value in given.items():
            if value is not None:
                raise UsageProblem(
                    f"{option} goes with --drill-context=NAME: the drill's own cluster has its images; helm"
                    " did not run."
                )
        return None
    names = [name for name in known_environments(config) if name != DRILL]
    source = "" if config == SHIPPED else config.name
    place = NamedContext(
        request.drill_context,
        checkout_id(rootpath),
        Configured([load_environment(config, name) for name in names], source),
        load=request.drill_load,
        image=request.drill_image,
        confirmed=request.confirm,
    )
    place.refuse_without_contact()
    return place
