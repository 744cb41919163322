import base64
import copy
import gzip
import json
import random
import time
import tracemalloc
import zlib
from datetime import UTC, datetime

import pytest

from pytest_zkrollback.domain.errors import BadAnswer, Forbidden, HelmProblem, NotFound, Unreachable
from pytest_zkrollback.release import history as history_module
from pytest_zkrollback.release.helm_secret import decode_release
from pytest_zkrollback.release.history import ReleaseHistory, fetch_history

SECRETS = "/api/v1/namespaces/n/secrets"
MANIFEST = (
    "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: v}\n"
    "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n"
    "spec: {template: {spec: {containers: [{name: a, image: 'IMAGE'}]}}}\n"
)


def content(number: int, **info) -> dict:
    details = {
        "last_deployed": f"2026-11-23T07:{number:02}:11.123456789+01:00",
        "status": "superseded",
        **info,
    }
    image = info.pop("image", f"backend:{number}")
    return {
        "name": "web",
        "version": number,
        "info": details,
        "chart": {"metadata": {"name": "zkprova", "version": f"1.{number}.0", "appVersion": "7"}},
        "config": {"password": "hunter2"},
        "manifest": MANIFEST.replace("IMAGE", image),
        "hooks": [{"name": "h", "events": ["pre-rollback"]}],
    }


def packed(release: object, *, zipped: bool = True) -> str:
    raw = json.dumps(release).encode()
    inner = base64.b64encode(gzip.compress(raw, mtime=0) if zipped else raw)
    return base64.b64encode(inner).decode()


def secret(number: int, data: str | None = None, name: str = "web", **info) -> dict:
    return {
        "metadata": {
            "name": f"sh.helm.release.v1.{name}.v{number}",
            "labels": {"owner": "helm", "name": name, "version": str(number), "status": "superseded"},
            "creationTimestamp": "2026-11-23T06:00:00Z",
        },
        "data": {"release": packed(content(number, **info)) if data is None else data},
    }


class FakeKube:
    """Knows release Secrets and a namespace; fails on anything else."""

    def __init__(
        self,
        *secrets: dict,
        namespace: Exception | None = None,
        get: dict | None = None,
        pages: Exception | None = None,
    ) -> None:
        self.secrets = {one["metadata"]["name"]: one for one in secrets}
        self.namespace = namespace
        self.problems = get or {}
        self.no_pages = pages
        self.fetched: list[str] = []
        self.listed: list[dict] = []

    def pages(self, path, query, timeout_s, *, page_bytes):
        assert (path, page_bytes) == (SECRETS, 2 << 20)
        self.listed.append(query)
        if self.no_pages is not None:
            raise self.no_pages
        numbers = query["labelSelector"].removeprefix("owner=helm,name=web,version in (").removesuffix(")")
        for number in numbers.split(","):
            if (found := self.secrets.get(f"sh.helm.release.v1.web.v{number}")) is not None:
                yield (copy.deepcopy(found),), "7"

    def list_metadata(self, path, query=None, timeout_s=5.0):
        assert path == SECRETS
        wanted = dict(pair.split("=") for pair in query["labelSelector"].split(","))
        return tuple(
            {"metadata": one["metadata"]}
            for one in self.secrets.values()
            if wanted.items() <= one["metadata"]["labels"].items()
        )

    def get(self, path, query=None, timeout_s=5.0):
        if path == "/api/v1/namespaces/n":
            if self.namespace is not None:
                raise self.namespace
            return {}
        folder, _, name = path.rpartition("/")
        assert folder == SECRETS
        self.fetched.append(name)
        if name in self.problems:
            raise self.problems[name]
        return copy.deepcopy(self.secrets[name])


@pytest.fixture
def one_by_one(monkeypatch):
    """As where the namespace takes long to search."""
    monkeypatch.setattr(history_module, "_FAST_SEARCH_S", 0)


def fetch(*secrets: dict, **kwargs) -> ReleaseHistory:
    return fetch_history(FakeKube(*secrets, **kwargs), "n", "web")


def test_revisions_as_helm_stored_them():
    history = fetch(
        secret(2, status="deployed", description="Upgrade complete"),
        secret(1, description="Install complete"),
        secret(9, name="other"),
    )
    head = history.head.revision
    assert head.model_dump() == {
        "revision": 2,
        "status": "deployed",
        "chart": "zkprova-1.2.0",
        "app_version": "7",
        "deployed_at": datetime(2026, 11, 23, 6, 2, 11, 123456, UTC),
        "description": "Upgrade complete",
        "rollback_of": None,
        "images": ("backend:2",),
    }
    assert [one.revision for one in history.revisions] == [1, 2]
    assert history.head.values == {"password": "hunter2"}
    assert history.head.hooks == ({"name": "h", "events": ["pre-rollback"]},)
    assert history.deployed is history.head
    assert "hunter2" not in repr(history)


def test_helm_4_and_3_say_differently_what_was_rolled_back_to():
    history = fetch(
        secret(1),
        secret(2),
        secret(3, description="Rollback to 1", image="backend:1"),
        secret(4, description="INC-42 by bot", rollback_revision=3),
        secret(5, description='Rollback "web" failed: boom'),
        secret(6, description="Rollback to 99"),
    )
    assert [one.rollback_of for one in history.revisions] == [None, None, 1, 3, None, 99]
    assert [history.origin(number) for number in range(1, 8)] == [1, 2, 1, 1, 5, 6, 7]


def test_an_upgrade_that_only_calls_itself_a_rollback_is_none():
    history = fetch(secret(1), secret(2, description="Rollback to 1"), secret(3, status="deployed"))
    assert history.revisions[1].rollback_of is None
    assert history.origin(2) == 2


def test_when_the_release_was_first_deployed_tells_installations_apart():
    history = fetch(secret(1, first_deployed="2026-11-23T07:01:11Z"))
    assert history.head.installed == "2026-11-23T07:01:11Z"


def test_origin_may_be_pruned_and_its_content_is_still_known():
    history = fetch(secret(5), secret(6, description="Rollback to 2", image="backend:2"))
    assert history.origin(6) == 2
    assert history.get(2) is None
    content_of_two = history.content_of(2)
    assert content_of_two is not None and content_of_two.revision.revision == 6
    assert history.content_of(3) is None


def test_bad_is_the_last_one_before_that_differs():
    history = fetch(
        secret(5, image="backend:5"),
        secret(6, image="backend:6"),
        secret(7, description="Rollback to 5", image="backend:5"),
        secret(8, description="Rollback to 5", image="backend:5"),
    )
    bad = history.find_replaced(8)
    assert bad is not None and bad.revision.revision == 6
    assert history.find_replaced(5) is None
    assert history.find_replaced(99) is None


def test_two_deployed_revisions_the_newest_counts_fault_17():
    history = fetch(secret(3, status="deployed"), secret(4, status="deployed"))
    assert history.deployed is history.head
    assert fetch(secret(1, status="failed")).deployed is None


def test_only_the_newest_thirty_and_those_asked_for_are_read(one_by_one):
    kube = FakeKube(*(secret(number) for number in range(1, 41)))
    history = fetch_history(kube, "n", "web", also=[3, 99])
    assert [one.revision for one in history.revisions] == [3, *range(11, 41)]
    assert history.older == (1, 2, *range(4, 11))
    assert len(kube.fetched) == 31
    assert kube.listed == []  # the search took long: it is not made twice


def test_what_is_known_stays_known_however_old_it_is():
    secrets = [secret(number) for number in range(1, 41)]
    for one in secrets:
        one["metadata"]["resourceVersion"] = one["metadata"]["name"]
    history = fetch_history(FakeKube(*secrets), "n", "web", also=[3])
    again = FakeKube(*secrets, secret(41))
    later = fetch_history(again, "n", "web", known=history)
    assert [one.revision for one in later.revisions] == [3, *range(11, 42)]
    assert again.fetched == ["sh.helm.release.v1.web.v41"]


def test_what_is_known_and_was_not_written_since_is_not_read_again():
    secrets = [secret(number) for number in (1, 2, 3)]
    for number, one in enumerate(secrets, start=1):
        one["metadata"]["resourceVersion"] = f"10{number}"
    known = fetch(*secrets)
    kube = FakeKube(*secrets, secret(4))
    secrets[1]["metadata"]["resourceVersion"] = "200"
    secrets[1]["data"] = {"release": packed(content(2, status="failed"))}
    history = fetch_history(kube, "n", "web", known=known)
    assert [one.status for one in history.revisions] == ["superseded", "failed", "superseded", "superseded"]
    assert sorted(kube.fetched) == ["sh.helm.release.v1.web.v2", "sh.helm.release.v1.web.v4"]
    assert history.get(1) is known.get(1)


def test_what_does_not_say_its_version_is_read_again():
    known = fetch(secret(1))
    kube = FakeKube(secret(1))
    fetch_history(kube, "n", "web", known=known)
    assert len(kube.fetched) == 1


def test_the_revisions_come_in_pages_after_the_head(monkeypatch):
    secrets = [secret(1), secret(2, "%%%"), secret(3), secret(4)]
    kube = FakeKube(*secrets)
    history = fetch_history(kube, "n", "web")
    monkeypatch.setattr(history_module, "_FAST_SEARCH_S", 0)
    alone = fetch_history(FakeKube(*secrets), "n", "web")
    assert (history.releases, history.unreadable) == (alone.releases, alone.unreadable)
    assert kube.fetched == ["sh.helm.release.v1.web.v4"]
    [asked] = kube.listed
    assert asked["labelSelector"] == "owner=helm,name=web,version in (1,2,3)"
    assert 100 < int(asked["limit"]) < 500  # a megabyte of records of this size


def test_large_records_are_read_by_their_names():
    large = packed({**content(2), "config": {"blob": base64.b64encode(random.randbytes(400_000)).decode()}})
    kube = FakeKube(secret(1), secret(2, large))
    assert fetch_history(kube, "n", "web").revisions[0].revision == 1
    assert (kube.listed, len(kube.fetched)) == ([], 2)


def test_each_answer_has_its_own_time_and_what_came_before_it_broke_off_is_kept():
    class BreaksOff(FakeKube):
        def pages(self, path, query, timeout_s, *, page_bytes):
            if self.listed:
                raise Unreachable("no answer")
            yield from super().pages(path, query, timeout_s, page_bytes=page_bytes)

    blob = base64.b64encode(random.randbytes(100_000)).decode()
    middling = [secret(n, packed({**content(n), "config": {"blob": blob}})) for n in range(1, 9)]
    kube = BreaksOff(*middling)
    assert [one.revision for one in fetch_history(kube, "n", "web").revisions] == [*range(1, 9)]
    by_page = kube.listed[0]["labelSelector"].count(",") - 1
    assert 2 < by_page < 7
    assert len(kube.fetched) == 8 - by_page


@pytest.mark.parametrize(
    "problem", [BadAnswer("expired", status=410), NotFound("gone"), Unreachable("no answer")]
)
def test_what_no_page_brings_is_read_by_its_name(problem):
    kube = FakeKube(secret(1), secret(2), secret(3), pages=problem)
    assert len(fetch_history(kube, "n", "web").releases) == 3
    assert len(kube.fetched) == 3
    with pytest.raises(Forbidden):
        refused = Forbidden("no", verb="list", resource="secrets", namespace="n")
        fetch_history(FakeKube(secret(1), secret(2), pages=refused), "n", "web")


def test_an_only_revision_needs_no_page():
    kube = FakeKube(secret(1))
    assert fetch_history(kube, "n", "web").head.revision.revision == 1
    assert kube.listed == [] and len(kube.fetched) == 1


def test_an_uncompressed_release_is_read_as_helm_does():
    assert fetch(secret(1, packed(content(1), zipped=False))).head.revision.revision == 1


@pytest.mark.parametrize(
    "data",
    [
        "%%%",
        "",
        packed([]),
        packed({"info": None}),
        packed("x"),
        base64.b64encode(base64.b64encode(b"\x1f\x8b\x08broken")).decode(),
        base64.b64encode(base64.b64encode(gzip.compress(b"{}", mtime=0)[:-4])).decode(),
        packed(content(1))[:40],
    ],
)
def test_a_secret_that_holds_no_release(data):
    with pytest.raises(HelmProblem, match=r"The Secret sh\.helm\.release\.v1\.web\.v1 holds no release"):
        decode_release(secret(1, data))
    history = fetch(secret(1, data), secret(2))
    assert history.get(1) is None and list(history.unreadable) == [1]
    with pytest.raises(HelmProblem, match="The head of release web in namespace n cannot be read"):
        fetch(secret(1), secret(2, data))


@pytest.mark.parametrize("size_mb", [20, 65, 700])
def test_case_p3_a18_a_packed_bomb_is_said_and_costs_little_memory(size_mb):
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    raw = b"".join(packer.compress(b" " * (1 << 20)) for _ in range(size_mb)) + packer.flush()
    bomb = base64.b64encode(base64.b64encode(raw)).decode()
    tracemalloc.start()
    try:
        with pytest.raises(HelmProblem) as caught:
            decode_release(secret(1, bomb))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(caught.value) == (
        "The Secret sh.helm.release.v1.web.v1 was not read: it unpacks to more than 16 MB."
    )
    assert peak < 60 << 20
    history = fetch(secret(1, bomb), secret(2))
    assert "unpacks to more than 16 MB" in history.unreadable[1]


@pytest.mark.parametrize(
    "document",
    [
        "---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{image: a}]}\n",
        "image: [",
        "---image\n",
        "- ",
    ],
)
def test_case_p3_a18_a_manifest_that_repeats_itself_does_not_hold_the_history_up(document):
    """15 MB that pack to some KB took half a minute for the images' names."""
    large = content(1)
    large["manifest"] = "# image\n" + document * (15_000_000 // len(document))
    began = time.thread_time()
    assert fetch(secret(1, packed(large))).head.revision.images == ()
    assert time.thread_time() - began < 5


def test_images_are_known_beside_large_crds():
    large = content(1)
    crd = "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n# image\n"
    large["manifest"] += "\n" + crd + "a: image\n" * 200_000
    assert fetch(secret(1, packed(large))).head.revision.images == fetch(secret(1)).head.revision.images != ()


def test_a_manifest_that_is_no_yaml_has_no_images_and_does_not_hide_the_history():
    broken = content(1)
    broken["manifest"] = "image: a: b"
    assert fetch(secret(1, packed(broken))).head.revision.images == ()


def test_pruned_while_it_was_read_fault_14(one_by_one):
    gone = {"sh.helm.release.v1.web.v1": NotFound("gone")}
    assert [one.revision for one in fetch(secret(1), secret(2), get=gone).revisions] == [2]
    gone["sh.helm.release.v1.web.v2"] = NotFound("gone")
    with pytest.raises(HelmProblem, match="its Secrets vanished"):
        fetch(secret(1), secret(2), get=gone)


def test_what_cannot_be_read_is_not_left_out_fault_7(one_by_one):
    problem = Forbidden("no", verb="get", resource="secrets", namespace="n")
    with pytest.raises(Forbidden):
        fetch(secret(1), secret(2), get={"sh.helm.release.v1.web.v1": problem})


def test_release_missing_lists_near_names_fault_11():
    others = [secret(1, name=name) for name in ("wob", "webb", "database")]
    with pytest.raises(HelmProblem) as caught:
        fetch(*others)
    assert str(caught.value) == (
        "There is no release web in namespace n; releases there: webb, wob. Only releases that helm stores "
        "in Secrets (its default) are seen."
    )
    with pytest.raises(HelmProblem, match="there is no release at all"):
        fetch()


def test_namespace_missing_fault_10():
    with pytest.raises(NotFound) as caught:
        fetch(namespace=NotFound("x"))
    assert str(caught.value) == (
        "There is no namespace n in this cluster. Check `namespace` and `context` of the environment."
    )


def test_a_namespace_that_may_not_be_read_is_not_called_missing_fault_10():
    forbidden = Forbidden("no", verb="get", resource="namespaces")
    with pytest.raises(HelmProblem, match="There is no release web in namespace n"):
        fetch(namespace=forbidden)
    with pytest.raises(Unreachable):
        fetch(namespace=Unreachable("down"))


def test_head_that_helm_half_wrote_still_has_a_time():
    history = fetch(secret(1, last_deployed="", status="pending-rollback"))
    assert history.head.revision.deployed_at == datetime(2026, 11, 23, 6, tzinfo=UTC)


def copied(one: dict, name: str, **labels: str) -> dict:
    """The same Secret under another name."""
    two = copy.deepcopy(one)
    two["metadata"]["name"] = name
    two["metadata"]["labels"] |= labels
    return two


@pytest.mark.parametrize(
    "name", ["a-copy", "zz-copy", "sh.helm.release.v1.web.v1-copy", "sh.helm.release.v1.web.v7"]
)
def test_case_a15_a_revision_holds_what_the_secret_of_its_name_holds(name):
    """Whichever of the two the API server lists first."""
    other = copied(secret(1, image="backend:bad", status="deployed"), name, status="deployed")
    mine = secret(1), secret(2, status="deployed")
    history = fetch(*mine, other)
    assert (history.head.revision.revision, history.deployed_numbers) == (2, (2,))
    first = history.get(1)
    assert first is not None and first.revision.images == ("backend:1",)
    assert history.copies == (
        f"Secret {name} is listed by helm as revision 1, deployed; Secret sh.helm.release.v1.web.v1, which helm "
        "reads, is superseded",
    )


def test_case_a15_a_copy_that_says_the_same_is_no_matter():
    assert fetch(secret(1), copied(secret(1), "backup")).copies == ()


def test_case_a15_a_copy_of_the_same_status_that_holds_something_else_is_named():
    [said] = fetch(secret(1), copied(secret(1, image="backend:bad"), "backup")).copies
    assert said == (
        "Secret backup is listed by helm as revision 1, and does not hold what Secret sh.helm.release.v1.web.v1 "
        "holds, which helm reads"
    )
    broken = copied(secret(1, data="AAAA"), "backup")
    assert fetch(secret(1), broken).copies == (said,)


def test_case_a15_the_head_is_what_helm_lists_also_where_only_a_copy_has_its_number():
    history = fetch(secret(1, status="deployed"), copied(secret(2, status="failed"), "backup"))
    assert (history.head.revision.revision, history.head.revision.status) == (2, "failed")
    assert history.copies == (
        "Secret backup is listed by helm as revision 2, and Secret sh.helm.release.v1.web.v2, by which helm would "
        "read it, does not exist",
    )


def test_case_a15_a_record_with_another_number_in_its_labels_is_listed_by_these_and_read_by_its_name():
    wrong = copied(secret(2, image="backend:2"), "sh.helm.release.v1.web.v2", version="3")
    history = fetch(secret(1), wrong, copied(secret(2), "backup"), secret(3, status="deployed"))
    second = history.get(2)
    assert second is not None and second.secret == "sh.helm.release.v1.web.v2"
    assert [one.images for one in history.revisions] == [("backend:1",), ("backend:2",), ("backend:3",)]
    assert history.copies == (
        "Secret sh.helm.release.v1.web.v2 is listed by helm as revision 3, superseded; Secret "
        "sh.helm.release.v1.web.v3, which helm reads, is deployed",
    )


def test_case_a15_what_comes_in_pages_is_told_by_its_name_too():
    two = secret(1), copied(secret(1, image="backend:bad"), "backup"), secret(2, status="deployed")
    kube = FakeKube(*two)
    kube.pages = lambda path, query, timeout_s, page_bytes: iter(
        [((copy.deepcopy(two[0]), copy.deepcopy(two[1])), "7")]
    )
    history = fetch_history(kube, "n", "web")
    assert [one.images for one in history.revisions] == [("backend:1",), ("backend:2",)]


@pytest.mark.parametrize(
    "said", ['Rollback "web" failed: timed out', 'Release "web" failed: context deadline exceeded']
)
def test_case_k10_a_failed_rollback_went_to_the_revision_that_holds_the_same(said):
    """helm writes over the number that it went back to."""
    history = fetch(
        secret(1, image="backend:1"),
        secret(2, image="backend:2"),
        secret(3, image="backend:3", status="deployed"),
        secret(4, image="backend:2", status="failed", description=said),
        secret(5, image="backend:2", status="failed", description=said),
    )
    assert [history.origin(number) for number in range(1, 6)] == [1, 2, 3, 2, 2]
    assert history.head.revision.rollback_of is None  # what helm says stays what it says
    replaced = history.find_replaced(5)
    assert replaced is not None and replaced.revision.revision == 3


def test_case_k10_an_upgrade_that_failed_went_back_to_nothing():
    said = 'Upgrade "web" failed: timed out'
    history = fetch(secret(1), secret(2, image="backend:1", status="failed", description=said))
    assert history.origin(2) == 2


def hook(*events: str, phase: str) -> dict:
    return {"name": "h", "kind": "Job", "events": list(events), "last_run": {"phase": phase}}


@pytest.mark.parametrize(
    ("events", "phase", "rollback", "never"),
    [
        (("pre-upgrade",), "Failed", False, True),
        (("pre-install", "pre-upgrade"), "Failed", False, True),
        (("pre-upgrade", "pre-rollback"), "Failed", False, True),
        (("pre-upgrade",), "Succeeded", False, False),
        (("pre-upgrade",), "Running", False, False),
        (("post-upgrade",), "Failed", False, False),
        pytest.param(
            ("pre-upgrade", "post-upgrade"), "Failed", False, False, id="which of both is not known"
        ),
        pytest.param(("pre-upgrade",), "Failed", True, False, id="a rollback has its target's hooks"),
        (("pre-rollback",), "Failed", True, True),
    ],
)
def test_case_c3_a_revision_whose_first_hooks_failed_never_reached_the_cluster(
    events, phase, rollback, never
):
    status = "pending-rollback" if rollback else "failed"
    one = content(2, status=status, description="Rollback to 1" if rollback else "Upgrade failed")
    one["manifest"] = content(1)["manifest"]
    one["hooks"] = [hook("post-delete", phase=""), hook(*events, phase=phase)]
    assert fetch(secret(1), secret(2, data=packed(one))).head.never_applied is never


def test_case_c3_when_a_deploy_began_is_told_by_the_api_servers_clock_unless_the_record_was_made_anew():
    """The Secrets were made at 06:00:00; helm's own times are 06:01:11 and so on."""
    near = fetch(secret(1, last_deployed="2026-11-23T06:00:59Z")).head
    assert near.began == datetime(2026, 11, 23, 6, 0, 0, tzinfo=UTC)
    restored = fetch(secret(1)).head
    assert restored.began == restored.revision.deployed_at
