"""Case K10: what helm alone calls failed, beside a checklist that passed."""

from types import SimpleNamespace

import pytest

from pytest_zkrollback.domain.verdict import CheckResult, Verdict
from pytest_zkrollback.run.results import RunState
from pytest_zkrollback.run.verify_step import _note_what_is_restored

RED = CheckResult(word=Verdict.FAIL, observed="helm calls revision 4 failed: timed out", only_by_helm=True)


@pytest.mark.parametrize(
    ("other", "notify", "alone", "said"),
    [
        (
            Verdict.PASS,
            Verdict.PASS,
            True,
            ["helm calls revision 4 failed: timed out; everything else is restored"],
        ),
        pytest.param(
            Verdict.PASS,
            Verdict.FAIL,
            True,
            ["helm calls revision 4 failed: timed out; everything else is restored"],
            id="that nobody was told restores nothing",
        ),
        (Verdict.UNVERIFIED, Verdict.PASS, True, []),
        (Verdict.WAIVED, Verdict.PASS, True, []),
        (Verdict.PASS, Verdict.PASS, False, []),
    ],
)
def test_case_k10_everything_else_is_restored_only_where_every_other_item_passed(other, notify, alone, said):
    state, found = RunState(["release-equivalence", "smoke", "notify"]), []
    for item_id, word in (("release-equivalence", Verdict.FAIL), ("smoke", other), ("notify", notify)):
        state.note(item_id, word)
    recorder = SimpleNamespace(item=lambda item_id, observed: found.append(observed))
    verdicts = {"release-equivalence": RED.model_copy(update={"only_by_helm": alone})}
    _note_what_is_restored(SimpleNamespace(recorder=recorder), state, verdicts)
    assert found == said
