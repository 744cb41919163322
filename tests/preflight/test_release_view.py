"""What helm would touch: nothing hides anything else, and what cannot be parsed is not known."""

from types import SimpleNamespace

import pytest

from pytest_zkrollback.domain.errors import HelmProblem, NotFound
from pytest_zkrollback.preflight.release_view import ReleaseView
from pytest_zkrollback.release.history import ReleaseHistory
from support.preflight_facts import environment, revision

CLAIM = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\n"
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"
NAMELESS = "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: job-}\n"
BROKEN = "apiVersion: v1\nkind: [\n"


def hook(manifest):
    return {"events": ["pre-rollback"], "manifest": manifest}


def view(head, target, hooks=()):
    def get(path, timeout_s=5.0):
        raise NotFound(path)

    kube = SimpleNamespace(get=get, resource_path=lambda *key: "/".join(key))
    found = ReleaseView(environment(), kube, lambda: None, 5)
    releases = (revision(5, manifest=target, hooks=hooks), revision(6, "deployed", manifest=head))
    found.history = lambda: ReleaseHistory("default", "zkprova", releases)
    return found


def labels(found):
    return [key.label for key in found]


def test_what_only_the_head_has_is_deleted():
    touched = view(f"{MAP}---\n{CLAIM}", MAP).touched()
    assert labels(touched.deleted) == ["PersistentVolumeClaim/data"]
    assert labels(touched.applied) == ["ConfigMap/settings"]


@pytest.mark.parametrize("bad", [NAMELESS, BROKEN])
def test_case_p13_a_hook_that_cannot_be_parsed_hides_none_of_the_others(bad):
    touched = view(MAP, MAP, (hook(bad), hook(CLAIM))).touched()
    assert labels(touched.hooks) == ["PersistentVolumeClaim/data"]


@pytest.mark.parametrize(("head", "target"), [(BROKEN, MAP), (f"{MAP}---\n{CLAIM}", BROKEN)])
def test_case_p3_of_a_manifest_that_cannot_be_parsed_nothing_is_known(head, target):
    """Everything of the head would look deleted, or nothing."""
    with pytest.raises(HelmProblem):
        view(head, target).touched()
