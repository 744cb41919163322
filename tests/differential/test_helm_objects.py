"""What helm's own code reads in a manifest is what we read in it, or it is said that we cannot."""

import os

import pytest

from differential.go_program import ask, build
from pytest_zkrollback.domain.kube_objects import NATIVE_GROUPS
from support.manifest_judge import SOURCE, disagreement, helms_objects
from support.random_manifests import random_manifest

# `make campaign` reads ten thousand.
COUNT = int(os.environ.get("ZKROLLBACK_MANIFESTS", "300"))
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


def test_random_manifests_are_read_as_helm_reads_them():
    texts = [random_manifest(seed) for seed in range(COUNT)]
    answers = helms_objects(texts)
    wrong = {
        seed: said
        for seed, (text, answer) in enumerate(zip(texts, answers, strict=True))
        if (said := disagreement(text, answer))
    }
    assert wrong == {}
    read = sum(not answer["error"] for answer in answers)
    assert 0.1 < read / len(texts) < 0.9  # both kinds are met


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nkind: List\nitems:\n---\n" + MAP,
        "apiVersion: v1\nkind: ConfigMap\nitems: []\n---\n" + MAP,
        "apiVersion: v1\nkind: ConfigMapList\nitems: [{metadata: {name: b}}]\n",
        MAP + "x: {a: explicit, <<: {a: merged}}\n",
        # Not 1 beside 1.0: both become "1", and which of them helm keeps is chance, by Go's order of a map.
        MAP + "x: {y: 1, 1: 2, 1.5: 3, 0x2: 4}\n",
        MAP + "...\nb: : c\n",
        MAP + "--- # comment\n---\n---\n" + MAP.replace("{name: a}", "{name: b}"),
        (MAP + "---\n" + MAP).replace("\n", "\r\n"),
        MAP + "x: |+\n   ",
        MAP + "x: !!python/object:os.system {}\ny: !!set {a, b}\n",
    ],
)
def test_case_p3_corners_are_read_as_helm_reads_them(text):
    (answer,) = helms_objects([text])
    assert answer["error"] == ""
    assert disagreement(text, answer) == ""


@pytest.mark.parametrize("text", ["", MAP, MAP.replace("a}", "b}")])
def test_the_judge_sees_what_is_wrong(text):
    """An answer for another manifest is a disagreement."""
    other = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n" + "---\n" + MAP
    (answer,) = helms_objects([other])
    assert disagreement(text, answer)


def test_case_p1_the_groups_that_helm_knows_are_those_of_client_go():
    """helm adds the one of definitions (pkg/kube/converter.go)."""
    (groups,) = ask(build(SOURCE), (), "groups")
    assert frozenset(groups) | {"apiextensions.k8s.io"} == NATIVE_GROUPS
