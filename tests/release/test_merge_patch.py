"""The patch that helm would send: what is stated, what is taken away, and when there is none."""

import pytest

from pytest_zkrollback.release.merge_patch import merge_patch, strategic_patch


def deployment(containers, **spec):
    return {"spec": {**spec, "template": {"spec": {"containers": containers}}}}


@pytest.mark.parametrize(
    ("original", "target", "live", "patch"),
    [
        ({"a": 1}, {"a": 1}, {"a": 1, "b": 2}, {}),
        ({"a": 1}, {"a": 2}, {"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": 1}, {"a": 9}, {"a": 1}),
        ({"a": 1, "b": 2}, {"a": 1}, {"a": 1, "b": 2}, {"a": 1, "b": None}),
        ({"a": 1, "b": 2}, {"a": 1}, {"a": 1}, {"a": 1, "b": None}),  # helm sends a deletion all the same
        ({"l": [1, 2]}, {"l": [1]}, {"l": [1, 2]}, {"l": [1]}),
        ({"m": {"x": 1, "y": 2}}, {"m": {"x": 1}}, {"m": {"x": 1, "y": 2}}, {"m": {"x": 1, "y": None}}),
        (
            deployment([{"name": "a", "image": "a:2"}, {"name": "b", "image": "b:1"}]),
            deployment([{"name": "a", "image": "a:1"}]),
            {},
            deployment([{"name": "a", "image": "a:1"}, {"$patch": "delete", "name": "b"}]),
        ),
        (
            deployment([{"name": "a", "image": "a:1"}]),
            deployment([{"name": "a", "image": "a:1"}]),
            deployment([{"name": "a", "image": "a:1", "imagePullPolicy": "Always"}, {"name": "by-hand"}]),
            {},
        ),
        (
            {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}},
            {"spec": {"strategy": {"type": "Recreate"}}},
            {},
            {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None, "$retainKeys": ["type"]}}},
        ),
    ],
)
def test_strategic(original, target, live, patch):
    assert strategic_patch(original, target, live) == patch


@pytest.mark.parametrize(
    ("original", "target", "patch"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1, "b": 1}, {"a": 2}, {"a": 2, "b": None}),
        ({"m": {"x": 1}}, {"m": {"x": 1, "y": [1]}}, {"m": {"y": [1]}}),
        ({"l": [{"a": 1}]}, {"l": [{"a": 2}]}, {"l": [{"a": 2}]}),
    ],
)
def test_merge(original, target, patch):
    assert merge_patch(original, target) == patch
