"""What a ``conftest.py`` needs for ``pytest_zkrollback_migration_sources``: see ``hookspecs.py``.

Import it inside the hook: it costs 0.3 s, which the repository's other pytest runs need not pay.
"""

from .domain.migration import MigrationFinding, RevisionContent, Span
from .domain.verdict import Evidence, evidence

__all__ = ["Evidence", "MigrationFinding", "RevisionContent", "Span", "evidence"]
