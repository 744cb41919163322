"""Sources that the repository adds by its hook: whatever their code does, the answer is a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ..domain.errors import MigrationProblem, UsageProblem
from ..domain.migration import MigrationFinding, Span
from ..domain.ports import Hooks
from ..domain.verdict import Evidence

HOOK: Final = "pytest_zkrollback_migration_sources"

OwnSource = Callable[[Span], MigrationFinding]


def fetch_own_sources(hooks: Hooks, environment: str) -> dict[str, OwnSource]:
    """What the repository's hook gives for this environment. Raises UsageProblem."""
    return parse_own_sources(hooks.answers(HOOK, environment=environment))


def parse_own_sources(answers: Iterable[object]) -> dict[str, OwnSource]:
    """The hook's answers as name -> function. Raises UsageProblem with what would be right."""
    found: dict[str, OwnSource] = {}
    for answer in answers:
        if answer is None:
            continue
        pairs = answer.items() if isinstance(answer, Mapping) else None
        if pairs is None or not all(isinstance(name, str) and name and callable(ask) for name, ask in pairs):
            raise UsageProblem(
                f"{HOOK} gave {repr(answer)[:80]}: return a dictionary of name -> function; helm did not run."
            )
        for name, source in pairs:
            if name in found:
                raise UsageProblem(
                    f"{HOOK} gave two sources named {name!r}, and one would hide the other: "
                    "give each its own name; helm did not run."
                )
            found[name] = source
    return found


def ask_own(ask: OwnSource, span: Span) -> MigrationFinding:
    """The source's finding. Raises MigrationProblem for what its code raises, or gives instead."""
    try:
        finding = ask(span)
    except BaseException as error:  # noqa: BLE001 - pytest.fail() and sys.exit() must not end the thread
        raise MigrationProblem(f"Its code raised {type(error).__name__}: {error}") from None
    if not _is_finding(finding):
        raise MigrationProblem(f"It gave {repr(finding)[:80]}, which is no MigrationFinding.")
    return finding


def _is_finding(given: object) -> bool:
    """Whether its members are what they have to be, too: a dataclass takes anything."""
    return (
        isinstance(given, MigrationFinding)
        and all(each in (True, False, None) for each in (given.ran, given.reversible))
        and isinstance(given.observed, str)
        and isinstance(given.evidence, tuple)
        and all(isinstance(each, Evidence) for each in given.evidence)
    )
