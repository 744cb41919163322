"""Kubernetes quantities: ``1000m`` is ``1``, ``0.5Gi`` is ``512Mi``."""

from __future__ import annotations

import re
from decimal import Decimal

_QUANTITY = re.compile(
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([eE][+-]?[0-9]{1,3})|([numkMGTPE]|[KMGTPE]i)?)"
)
_DECIMAL = {suffix: Decimal(10) ** (3 * power) for power, suffix in enumerate("numxkMGTPE", -3)}
_BINARY = {f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)}


def parse_quantity(value: object) -> Decimal | None:
    """The value of a quantity (a number, or a string such as ``250m``), or None if it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        return None
    number, exponent, suffix = match.groups()
    if exponent:
        return Decimal(number + exponent)
    return Decimal(number) * ({**_DECIMAL, **_BINARY}[suffix] if suffix else 1)
