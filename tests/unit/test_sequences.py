"""Helm at most once per intent, and no wrong claim, whatever happens in between: 300 random sequences.

`make campaign` plays 10,000 (benchmarks/sequences.py).
"""

from sequences import play


def test_whatever_happens_there_is_no_double_rollback_and_no_wrong_claim(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    tally = play(range(300), tmp_path)
    assert tally.double_rollbacks == []
    assert tally.wrong_claims == []
    # The sequences are worth something: helm ran often, we were killed often, and others were refused.
    assert tally.helm > 300
    assert tally.kills > 50
    assert tally.refused > 100
