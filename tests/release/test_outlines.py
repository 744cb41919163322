"""All revisions of a release in outline."""

import base64
import copy
import gzip
import itertools
import json
import random
import tracemalloc

import pytest

from pytest_zkrollback.domain.errors import BadAnswer, HelmProblem, NoRelease, NotFound
from pytest_zkrollback.preflight.target import find_objection
from pytest_zkrollback.release import helm_secret
from pytest_zkrollback.release.helm_secret import Outline, parse_release
from pytest_zkrollback.release.history import fetch_history, fetch_outlines

SECRETS = "/api/v1/namespaces/n/secrets"


def manifest(image, more=""):
    return (
        f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{k: '{more}'}}\n"
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n"
        f"spec: {{template: {{spec: {{containers: [{{name: a, image: '{image}'}}]}}}}}}\n"
    )


def stored(number, *, image="", hook="h", name="", text=None, status="superseded", chart="zk-prova", **info):
    said = {
        "last_deployed": "2026-11-23T07:00:00Z",
        "first_deployed": "2026-11-01T00:00:00Z",
        "status": status,
    }
    content = {
        "name": "web",
        "version": number,
        "info": said | info,
        "chart": {"metadata": {"name": chart, "version": f"1.{number}.0-rc.1", "appVersion": f"8.{number}"}},
        "manifest": manifest(image or f"app:{number}") if text is None else text,
        "hooks": [{"name": "h", "events": ["pre-upgrade"], "manifest": hook}],
    }
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(content).encode()))).decode()
    labels = {"owner": "helm", "name": "web", "version": str(number), "status": status}
    own = name or f"sh.helm.release.v1.web.v{number}"
    return {"metadata": {"name": own, "labels": labels}, "data": {"release": packed}}


class Kube:
    """Brings the release's Secrets in pages, by their names, and knows the namespace; nothing else."""

    def __init__(self, *secrets, expires_once=False):
        self.secrets = sorted(secrets, key=lambda each: each["metadata"]["name"])
        self.asked = []
        self.expires = expires_once

    def pages(self, path, query, timeout_s, *, page_bytes):
        assert (path, page_bytes) == (SECRETS, 2 << 20)
        self.asked.append(query)
        size = int(query["limit"])
        for start in range(0, len(self.secrets) or 1, size):
            if start and self.expires:
                self.expires = False
                raise BadAnswer("the token is too old", status=410)
            yield tuple(copy.deepcopy(self.secrets[start : start + size])), "7"

    def get(self, path, query=None, timeout_s=5.0):
        assert path == "/api/v1/namespaces/n"
        return {}

    def list_metadata(self, path, query=None, timeout_s=5.0):
        assert (path, query) == (SECRETS, {"labelSelector": "owner=helm"})
        return ({"metadata": {"labels": {"name": "wev"}}},)


def fetch(*secrets, **kwargs):
    return fetch_outlines(Kube(*secrets, **kwargs), "n", "web")


def test_all_revisions_come_in_their_order_with_one_list():
    kube = Kube(*(stored(number) for number in range(1, 101)))
    history = fetch_outlines(kube, "n", "web")
    assert [each.revision for each in history.revisions] == list(range(1, 101))
    assert kube.asked == [{"labelSelector": "owner=helm,name=web", "limit": "32"}]
    last = history.get(100)
    assert isinstance(last, Outline)
    assert (last.revision.chart, last.chart_version, last.revision.app_version, last.revision.images) == (
        "zk-prova-1.100.0-rc.1",
        "1.100.0-rc.1",
        "8.100",
        ("app:100",),
    )
    assert last.installed == "2026-11-01T00:00:00Z"


def test_what_holds_the_same_has_the_same_digest():
    history = fetch(
        stored(1, image="a"),
        stored(2, image="b"),
        stored(3, image="a", description="Rollback to 1"),
        stored(4, image="a", hook="another"),
    )
    one, two, three, four = history.releases
    assert one.holds_the_same(three) and not one.holds_the_same(two) and not one.holds_the_same(four)
    assert one.states_the_same(four)
    assert history.origin(3) == 1


def test_what_is_only_called_a_rollback_is_none():
    history = fetch(stored(1), stored(2, description="Rollback to 1"))
    assert history.head.revision.rollback_of is None


def test_judged_as_with_the_manifests():
    secrets = (
        stored(1, image="a"),
        stored(2, image="b", description='Upgrade "web" failed: no', status="failed"),
        stored(3, image="c"),
        stored(4, image="a", description="Rollback to 1"),
        stored(5, image="a", status="deployed"),
    )

    class Whole(Kube):
        def pages(self, path, query, timeout_s, *, page_bytes):
            raise NotFound("no pages here")  # each is read by its name

        def list_metadata(self, path, query=None, timeout_s=5.0):
            return tuple({"metadata": each["metadata"]} for each in self.secrets)

        def get(self, path, query=None, timeout_s=5.0):
            return copy.deepcopy(
                next(each for each in self.secrets if each["metadata"]["name"] == path.rpartition("/")[2])
            )

    whole, outlines = fetch_history(Whole(*secrets), "n", "web"), fetch(*secrets)
    assert whole.revisions == outlines.revisions
    judged = [find_objection(outlines, number, ()) for number in range(1, 6)]
    assert judged == [find_objection(whole, number, ()) for number in range(1, 6)]
    assert [each and each.kind.value for each in judged] == [
        "same-as-current",
        "failed",
        "rolled-away-from",
        "same-as-current",
        "same-as-current",
    ]


def test_of_two_with_one_number_helm_reads_the_one_with_its_name():
    for copied in ("a-copy", "z-copy"):
        history = fetch(stored(1), stored(1, image="other", name=copied))
        assert history.head.revision.images == ("app:1",)


def test_a_token_that_expired_begins_again():
    assert len(fetch(*(stored(number) for number in range(1, 41)), expires_once=True).releases) == 40


def test_what_cannot_be_decoded_is_said_and_hides_nothing():
    broken = stored(2)
    broken["data"]["release"] = "no"
    history = fetch(stored(1), broken, stored(3))
    assert [each.revision for each in history.revisions] == [1, 3]
    said = "The Secret sh.helm.release.v1.web.v2 holds no release that can be decoded."
    assert history.unreadable == {2: said}
    with pytest.raises(HelmProblem) as caught:
        fetch(stored(1), broken)
    assert str(caught.value) == f"The head of release web in namespace n cannot be read: {said}"


def test_a_release_that_is_not_there():
    with pytest.raises(NoRelease) as caught:
        fetch()
    assert str(caught.value).startswith("There is no release web in namespace n; releases there: wev.")


SECRET = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: p}\n"


def test_who_looks_sees_each_secret_and_each_document_with_images_once():
    seen = []
    secrets = [stored(1, image="a", text=manifest("a") + SECRET), stored(2, text=manifest("b") + SECRET)]
    secrets.append(stored(3, text=manifest("a") + SECRET, description="Rollback to 1"))
    fetch_outlines(Kube(*secrets), "n", "web", look=seen.extend)
    assert [(each["kind"], each["metadata"]["name"]) for each in seen] == [
        ("Secret", "s"),
        ("Deployment", "d"),
        ("Deployment", "d"),
    ]


def test_only_outlines_are_kept():
    noise = random.Random(1)
    secrets = [stored(n, text=manifest(f"app:{n}", noise.randbytes(200_000).hex())) for n in range(1, 33)]
    kube = Kube(*secrets)
    kube.pages = lambda *_, **__: (((copy.deepcopy(each),), "7") for each in kube.secrets)
    tracemalloc.start()
    try:
        history = fetch_outlines(kube, "n", "web")
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(history.releases) == 32
    assert kept < 1_000_000
    assert peak < 10_000_000


POD = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  labels:\n    helm.sh/chart: {chart}\nspec:\n  containers:\n{containers}"
CONTAINERS = {
    "plain": "    - name: a\n      image: {image}\n",
    "in double quotes": '    - name: a\n      image: "{image}"\n',
    "in single quotes": "    - name: a\n      image: '{image}'\n",
    "as the first member": "    - image: {image}\n      name: a\n",
    "with a comment": "    - name: a\n      image: {image} # the newest\n",
    "that goes on in the next line": "    - name: a\n      image: {image}\n        more\n",
    "with an anchor": "    - name: a\n      image: &i {image}\n    - name: b\n      image: *i\n",
    "in braces": "    - {{name: a, image: {image}}}\n",
    "in braces over lines": "    - {{\n      image: {image}\n      }}\n",
    "with a line of text that looks like one": (
        "    - name: a\n      args:\n        - |\n          image: other/thing:1\n      image: {image}\n"
    ),
    "in text alone": "    - name: a\n      args:\n        - |\n          image: {image}\n",
    "twice": "    - name: a\n      image: {image}\n    - name: b\n      image: x.example/{image}\n",
    "beside our own word": "    - name: zkrollback-masked-0\n      image: {image}\n",
    "that is our own word": "    - name: a\n      image: zkrollback-masked-0\n    - name: b\n      image: {image}\n",
    "given twice": "    - name: a\n      image: {image}\n      image: last/one:1\n",
}


@pytest.mark.parametrize("containers", CONTAINERS.values(), ids=CONTAINERS)
def test_each_revisions_images_are_its_own_where_nothing_else_differs(containers):
    images = (
        "shop/a:1.0",
        "registry.example.com:5000/shop/a@sha256:" + "0" * 64,
        "a:2",
        "a",
        "1.5",
        "12:30",
        "true",
    )
    charts = ("shop-1.2.3", '"1.0"', "1.0", "true", "a: b", "0" * 64, "0a" * 32)
    secrets = [
        stored(number, text=POD.format(chart=chart, containers=containers.format(image=image)))
        for number, (chart, image) in enumerate(itertools.product(charts, images), 1)
    ]
    outlines = fetch(*secrets)
    whole = [parse_release(copy.deepcopy(each), "n").revision.images for each in secrets]
    assert [each.images for each in outlines.revisions] == whole


def test_documents_that_differ_in_images_and_versions_alone_are_parsed_once(monkeypatch):
    parsed = []
    real = helm_secret.read_once
    monkeypatch.setattr(helm_secret, "read_once", lambda *args: parsed.append(args) or real(*args))
    fetch(
        *(
            stored(
                number,
                text=POD.format(
                    chart=f"shop-{number}", containers=f"    - image: shop/a:{number}\n      name: a\n"
                ),
            )
            for number in range(1, 51)
        )
    )
    assert len(parsed) == 1


SECRET_IN_A_LIST = """apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Secret
    metadata: {name: s}
    stringData:
      image: registry.internal/top-secret-77
      conf: |
        example.com/key: hunter.99value
"""
SECRET_IN_BRACES = '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "hunter.99value"}}\n'


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (SECRET_IN_A_LIST, {"registry.internal/top-secret-77", "example.com/key: hunter.99value\n"}),
        (
            SECRET_IN_A_LIST
            + "  - {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: []}}\n",
            {"registry.internal/top-secret-77", "example.com/key: hunter.99value\n"},
        ),
        (SECRET_IN_BRACES, {"hunter.99value"}),
    ],
    ids=["in a list", "beside a pod", "in braces"],
)
def test_a_secrets_values_are_looked_at_as_they_are(text, values):
    seen = []
    fetch_outlines(Kube(stored(1, text=text), stored(2, text=text)), "n", "web", look=seen.extend)
    assert {value for each in seen for value in (each.get("stringData") or {}).values()} == values
