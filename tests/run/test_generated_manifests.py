"""Rollbacks to and from generated manifests: nothing breaks, and nothing unread is called well."""

import os

import pytest

from support.manifest_runs import Runs
from support.random_manifests import random_manifest

# `make campaign` plays ten thousand.
COUNT = int(os.environ.get("ZKROLLBACK_MANIFESTS", "100"))
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"
TWICE = f"{MAP}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\na: &x 1\nb: &x 2\n"


def play(seed, runs):
    """A rollback between two of them; every third with a hook."""
    head = random_manifest(seed if seed % 2 else 3 * seed)
    return runs.wrong(head, random_manifest(seed + 3), random_manifest(seed + 7) if seed % 3 == 0 else "")


def test_generated_manifests_break_nothing_and_what_is_unread_is_never_called_well(tmp_path):
    runs = Runs(tmp_path)
    wrong = {seed: said for seed in range(COUNT) if (said := play(seed, runs))}
    assert wrong == {}
    # Both kinds are met: those that are read in whole, and the others.
    assert {unread for _, unread in runs.seen} == {True, False}


@pytest.mark.parametrize(("head", "target"), [(MAP, TWICE), (TWICE, MAP)])
def test_the_runs_see_what_is_wrong(tmp_path, monkeypatch, head, target):
    """Where what cannot be read is passed over in silence, they say so."""
    runs = Runs(tmp_path)
    assert runs.wrong(head, target) == ""
    monkeypatch.setattr("pytest_zkrollback.preflight.release_view.ReleaseView.unread", lambda self: ())
    assert "the forecast says nothing of what was not read" in runs.wrong(head, target)
