"""What stands above the question at the terminal: who refuses, who warns, and what helm was seen to do."""

import pytest

from pytest_zkrollback.domain.record import Guard, GuardState
from pytest_zkrollback.run.consent import render_objections

REFUSED = Guard(
    id="target",
    state=GuardState.REFUSED,
    evidence="revision 4 is failed: timed out",
    consequence="helm would roll back to it all the same.",
    override="--rollback-override=target=REASON",
)
WARNED = Guard(
    id="hpa",
    state=GuardState.WARNED,
    evidence="an autoscaler holds 8 replicas, the target states 2",
    consequence="Six pods go away at once.",
)
UNPINNED = Guard(id="identity", state=GuardState.WARNED, evidence="the cluster is not pinned")
TRIED = Guard(
    id="forecast",
    state=GuardState.OK,
    evidence="8 objects tried by dry run (three-way patch): all will apply",
)
NOT_TRIED = Guard(
    id="forecast",
    state=GuardState.WARNED,
    unknown=True,
    evidence="whether helm could apply the target is unknown: which helm it is, is unknown",
)
FINE = Guard(id="storage", state=GuardState.OK, evidence="Helm's Secrets")


@pytest.mark.parametrize(
    ("guards", "shown"),
    [
        pytest.param(
            (FINE, UNPINNED, WARNED, REFUSED, TRIED),
            "REFUSED target: revision 4 is failed: timed out\n"
            "    If you go ahead: helm would roll back to it all the same.\n"
            "WARNED identity: the cluster is not pinned\n"
            "WARNED hpa: an autoscaler holds 8 replicas, the target states 2\n"
            "    If you go ahead: Six pods go away at once.\n"
            "What helm would do: 8 objects tried by dry run (three-way patch): all will apply",
            id="what only warns, and what was tried",
        ),
        pytest.param(
            (REFUSED, NOT_TRIED),
            "REFUSED target: revision 4 is failed: timed out\n"
            "    If you go ahead: helm would roll back to it all the same.\n"
            "WARNED forecast: whether helm could apply the target is unknown: which helm it is, is unknown",
            id="nothing was tried",
        ),
    ],
)
def test_everything_that_speaks_against_it_is_shown(guards, shown):
    """Issue 16, 1: what only warned was not shown."""
    assert render_objections(guards) == shown
