"""The migration tools by the name that the configuration has for them."""

from __future__ import annotations

from typing import Final

from .alembic import ALEMBIC
from .base import Tool
from .django import DJANGO
from .sql_files import FLYWAY, GOLANG_MIGRATE, SQL_PAIRS

TOOLS: Final[dict[str, Tool]] = {
    "alembic": ALEMBIC,
    "django": DJANGO,
    "flyway": FLYWAY,
    "golang-migrate": GOLANG_MIGRATE,
    "sql": SQL_PAIRS,
}
