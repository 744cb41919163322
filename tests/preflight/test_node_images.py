"""Whether the target's images are anywhere still: by nodes and running pods, never by a registry."""

import threading
from types import SimpleNamespace

import pytest

from pytest_zkrollback.domain.errors import Forbidden, HelmProblem
from pytest_zkrollback.domain.record import GuardState
from pytest_zkrollback.preflight.facts import ask_all
from pytest_zkrollback.preflight.guards.objects import judge_images
from pytest_zkrollback.preflight.node_images import ImagesSeen, fetch_images, full_name
from pytest_zkrollback.preflight.probe import ProbeResult
from support.preflight_facts import revision
from support.stepping_clock import SteppingClock

WEB, API = "acme/web:1.4", "registry.example:5000/api@sha256:abc"


class Cluster:
    """Answers these two lists and no other."""

    def __init__(self, nodes, pods=()):
        self.lists = {"/api/v1/nodes": nodes, "/api/v1/namespaces/default/pods": pods}
        self.asked = []

    def pages(self, path, query, *, without_managed_fields):
        self.asked.append(path)
        found = self.lists[path]
        if isinstance(found, Exception):
            raise found
        for item in found:
            yield (item,), "7"


def node(*names, others=0):
    images = [{"names": [each]} for each in names] + [{"names": [f"x/{n}:1"]} for n in range(others)]
    return {"status": {"images": images}}


def pod(image, **status):
    return {
        "spec": {"containers": [{"name": "app", "image": image}]},
        "status": {"containerStatuses": [{"name": "app", **status}]},
    }


def seen(cluster, *images, unread=False):
    containers = [{"name": str(n), "image": image} for n, image in enumerate(images or (WEB, API))]
    spec = {"template": {"spec": {"containers": containers}}}
    web = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    web["metadata"]["namespace"] = "default"
    view = SimpleNamespace(target=revision(5), objects_of=lambda _: (web,), has_unread=lambda _: unread)
    try:
        answer = ProbeResult(value=fetch_images(cluster, "default", view))
    except (Forbidden, HelmProblem) as error:
        answer = ProbeResult(error=error)
    return judge_images(answer)


MISSING = "revision 5's image acme/web:1.4 is on no node"


@pytest.mark.parametrize(
    ("nodes", "pods", "state", "reason", "evidence"),
    [
        (
            [node("docker.io/acme/web:1.4"), node(API)],
            [],
            "ok",
            None,
            "every image of the target is on a node",
        ),
        ([node(API)], [pod(WEB, imageID="sha256:1")], "ok", None, "every image of the target is on a node"),
        ([node(API, "docker.io/acme/web:1.3")], [], "warned", "image-on-no-node", MISSING),
        ([node(API)], [pod(WEB, state={"waiting": {}})], "warned", "image-on-no-node", MISSING),
        ([node(API, others=48)], [], "warned", "image-on-no-node", MISSING),
        (
            [node(API), node(others=50)],
            [],
            "warned",
            "no-answer",
            "whether image acme/web:1.4 of the target is on a node is not known: 1 of 2 nodes name 50 images "
            "or more, and perhaps not all",
        ),
        ([node(WEB, API, others=50)], [], "ok", None, "every image of the target is on a node"),
        (
            [{"status": {}}],
            [],
            "warned",
            "no-answer",
            f"whether images acme/web:1.4 and {API} of the target are on a node is not known: no node lists its images",
        ),
        (
            Forbidden("no", verb="list", resource="nodes"),
            [],
            "warned",
            "no-answer",
            "not looked at whether the target's images are on a node: the right to list nodes is missing",
        ),
        (
            Forbidden("no", verb="list", resource="nodes"),
            [pod(WEB, imageID="sha256:1"), pod(API, imageID="sha256:2")],
            "ok",
            None,
            "every image of the target is on a node",
        ),
    ],
)
def test_case_p3_19_2_an_image_that_is_nowhere_warns_before_helm(nodes, pods, state, reason, evidence):
    guard = seen(Cluster(nodes, pods))
    assert (guard.id, guard.state, guard.reason) == ("images", state, reason)
    assert guard.evidence == evidence
    assert guard.unknown is (reason == "no-answer")
    assert bool(guard.consequence) is (reason == "image-on-no-node")


def test_where_a_document_of_the_target_is_unread_its_images_are_not_known():
    guard = seen(Cluster([node(WEB, API)]), unread=True)
    assert (guard.state, guard.unknown) == (GuardState.WARNED, True)
    assert guard.evidence.endswith("a document of revision 5 cannot be read")


def test_case_p3_19_2_where_all_of_them_run_no_node_is_asked():
    cluster = Cluster(AssertionError(), [pod("nginx", imageID="x")])
    assert seen(cluster, "nginx").state == "ok"
    assert cluster.asked == ["/api/v1/namespaces/default/pods"]


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.25", "docker.io/library/nginx:1.25"),
        ("acme/web", "docker.io/acme/web:latest"),
        ("localhost/web:1", "localhost/web:1"),
        ("registry:5000/web", "registry:5000/web:latest"),
        ("ghcr.io/a/b/c:2", "ghcr.io/a/b/c:2"),
        ("acme/web:1.4@sha256:abc", "docker.io/acme/web@sha256:abc"),
        ("docker.io/library/nginx@sha256:abc", "docker.io/library/nginx@sha256:abc"),
    ],
)
def test_an_image_is_named_as_a_node_names_it(image, name):
    assert full_name(image) == name


def test_case_p3_19_2_nothing_waits_for_the_images():
    """A cluster of a thousand nodes is slow to list: helm starts all the same."""
    never = threading.Event()
    questions = {"images": lambda: never.wait(30), "history": lambda: 7}
    clock = SteppingClock()
    began_s = clock.monotonic_s()
    answers = ask_all(questions, 20.0, clock, beside=("images",))
    took_s = clock.monotonic_s() - began_s
    never.set()
    assert (answers["history"].value, answers["images"].value) == (7, None)
    assert took_s < 5
    assert judge_images(answers["images"]).evidence.endswith("no answer in time")


def test_several_missing_images_are_named_and_counted():
    guard = judge_images(ProbeResult(value=ImagesSeen(5, tuple(f"a/{n}:1" for n in range(6)), nodes=1)))
    assert guard.evidence == ("revision 5's images a/0:1, a/1:1, a/2:1, a/3:1 and 2 more are on no node")
