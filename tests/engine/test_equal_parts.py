"""Sharing equal parts changes no value, and holds what is equal once."""

import copy
import json

from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.engine.equal_parts import share_equal_parts

VALUES = st.recursive(
    st.none() | st.integers(0, 2) | st.sampled_from("abc"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


@given(OBJECTS, OBJECTS)
def test_the_item_stays_what_it_is_and_the_other_too(item, like):
    item_before, like_before = copy.deepcopy(item), copy.deepcopy(like)
    share_equal_parts(item, like)
    assert json.dumps(item, sort_keys=True) == json.dumps(item_before, sort_keys=True)
    assert json.dumps(like, sort_keys=True) == json.dumps(like_before, sort_keys=True)


@given(OBJECTS)
def test_of_an_equal_one_every_part_is_shared(item):
    like = copy.deepcopy(item)
    share_equal_parts(item, like)
    assert all(item[key] is like[key] for key in item if isinstance(item[key], dict | list))


def test_a_pod_shares_all_but_what_is_its_own():
    def pod(name):
        return {
            "metadata": {"name": name, "labels": {"app": "web"}},
            "spec": {"nodeName": f"node-of-{name}", "containers": [{"name": "app", "image": "web:1"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "of": name}]},
        }

    one, other = pod("a"), pod("b")
    share_equal_parts(other, one)
    assert other == pod("b")
    assert other["metadata"] is not one["metadata"]
    assert other["metadata"]["labels"] is one["metadata"]["labels"]
    assert other["spec"]["containers"] is one["spec"]["containers"]
    assert other["status"]["conditions"][0] is one["status"]["conditions"][0]
    assert other["status"]["conditions"][1] is not one["status"]["conditions"][1]
