"""What runs after a failure: told from both revisions' objects, and counted by type."""

from pytest_zkrollback.domain.errors import Unreachable
from pytest_zkrollback.release.applied_revision import (
    ObjectRevision,
    _compared,
    fetch_object_revisions,
    is_already_live,
    summarise_object_revisions,
)
from pytest_zkrollback.release.drift import LiveObject
from pytest_zkrollback.release.history import ReleaseHistory
from support.preflight_facts import revision


def config_map(**data):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "n"},
        "data": data,
    }


def test_each_object_says_which_revision_it_is_like():
    old, new = config_map(a="old"), config_map(a="new")
    rows = [
        (old, new, LiveObject(item=old), ("as in revision 6", False)),
        (old, new, LiveObject(item=new), ("as in revision 5", False)),
        (old, old, LiveObject(item=old), ("the same in 6 and 5", True)),
        (old, new, LiveObject(item=config_map(a="other")), ("like neither 6 nor 5", False)),
        (old, None, LiveObject(), ("absent, as in revision 5", False)),
        (old, new, LiveObject(), ("absent, although both revisions have it", False)),
        (old, new, LiveObject(error=Unreachable("no answer")), ("unknown: no answer", False)),
    ]
    for before, target, live, (runs, in_both) in rows:
        assert _compared("ConfigMap/c", before, target, live, 6, 5) == ("ConfigMap/c", runs, in_both)


def test_what_both_revisions_have_is_counted_apart_whatever_it_says():
    found = [
        ObjectRevision("a", "as in revision 6"),
        ObjectRevision("b", "as in revision 6"),
        ObjectRevision("c", "unchanged", in_both=True),
        ObjectRevision("d", "the same in name only"),
    ]
    said = "of 4 objects: 2 as in revision 6, 1 the same in name only, 1 the same in both"
    assert summarise_object_revisions(found) == said
    assert summarise_object_revisions([]) == "neither revision holds an object"


class Everything:
    """Has every object as it is asked for."""

    def get(self, path, query=None, timeout_s=5.0):
        return config_map(a="old")

    def resource_path(self, *key):
        return "/".join(key)


def test_case_p3_what_was_not_read_is_not_live_and_is_named():
    whole = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: 'n'}\ndata: {a: old}\n"
    broken = f"{whole}---\napiVersion: v1\nkind: ConfigMap\na: &x 1\nb: &x 1\n"
    for manifest, live in ((whole, True), (broken, False)):
        releases = (revision(5, manifest=manifest), revision(6, "deployed", manifest=manifest, rollback_of=5))
        assert bool(is_already_live(Everything(), ReleaseHistory("n", "web", releases), 5)) is live
    known, *unread = fetch_object_revisions(Everything(), *reversed(releases), "n")
    assert known.in_both
    assert [each.label for each in unread] == ["revision 6", "revision 5"]
    assert all(each.runs.startswith("unknown: document 2 is no YAML in line 9") for each in unread)
