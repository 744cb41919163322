"""Objects of a manifest that a test may change."""

import copy

from pytest_zkrollback.release.documents import read_manifest


def parse_manifest(text, namespace):
    """The objects of a manifest all of which can be read; copies, because the read ones are shared."""
    found = read_manifest(text, namespace)
    assert not found.unread, found.unread
    return copy.deepcopy(found.objects)
