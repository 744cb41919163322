"""What every table of the configuration is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..domain.frozen import Frozen

Seconds = Annotated[float, Field(gt=0, le=3600)]


class Table(Frozen):
    """A table of the configuration."""
