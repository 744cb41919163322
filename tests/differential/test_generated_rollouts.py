"""Generated rollouts, and recordings of a real kubelet at their own pace. All of them: ``make campaign``."""

from __future__ import annotations

import json

from differential.replay import RESULT, run
from differential.rollouts import failing, recovering

SHARE = 100


def test_no_rollout_that_recovers_is_red_early() -> None:
    assert run(recovering, SHARE, "PASS").wrong == []


def test_every_rollout_that_fails_is_red_as_soon_as_it_is_certain() -> None:
    found = run(failing, SHARE, "FAIL")
    assert found.wrong == []
    assert found.percentile_s(0.99) <= 1


def test_the_committed_campaign_holds() -> None:
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    for kind, word in (("recovering", "PASS"), ("failing", "FAIL")):
        assert result[kind]["words"] == {word: result[kind]["count"]}
        assert result[kind]["count"] >= 1000
        assert result[kind]["wrong"] == []
    assert result["failing"]["seconds_from_qualifying_to_red"]["p99"] <= 1
