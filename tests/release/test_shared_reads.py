"""An object that two questions read is asked for once, and neither has to live with the other's bad luck."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_zkrollback.domain.errors import Forbidden, NotFound, Unreachable
from pytest_zkrollback.release import shared_reads
from pytest_zkrollback.release.shared_reads import SharedReads

PATH = "/api/v1/namespaces/shop/configmaps/web"


class Server:
    """Gives its answers one after the other, each once ``gate`` is open."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.gate = threading.Event()
        self.gate.set()

    def get(self, path, timeout_s):
        self.asked.append((path, timeout_s))
        number = len(self.asked) - 1
        assert self.gate.wait(10)
        answer = self.answers[number]
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_the_second_who_asks_gets_what_the_first_got():
    server = Server({"n": 1})
    reads = SharedReads(server)
    assert reads.get(PATH, 3) is reads.get(PATH, 5)
    assert server.asked == [(PATH, 5)]  # with the patience of those who need it most


def test_who_asks_meanwhile_waits_for_the_same_answer():
    server = Server({"n": 1})
    server.gate.clear()
    reads = SharedReads(server)
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(reads.get, PATH, 5) for _ in range(4)]
        server.gate.set()
        assert [each.result(5) for each in answers] == [{"n": 1}] * 4
    assert len(server.asked) == 1


def test_that_there_is_none_is_an_answer_for_all():
    server = Server(NotFound("none"))
    reads = SharedReads(server)
    for _ in range(2):
        with pytest.raises(NotFound):
            reads.get(PATH)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "error", [Unreachable("late"), Forbidden("no", verb="get", resource="configmaps"), RuntimeError("a bug")]
)
def test_an_error_is_nobody_elses_answer(error):
    server = Server(error, {"n": 2})
    reads = SharedReads(server)
    with pytest.raises(type(error)):
        reads.get(PATH, 5)
    assert reads.get(PATH, 5) == {"n": 2}
    (first, whole), (second, left) = server.asked
    assert (first, second, whole) == (PATH, PATH, 5)
    assert 4 < left <= 5


def slow(answers_after_s):
    """A server that needs so long for each answer, however patient the asker."""
    server = Server()

    def get(path, timeout_s):
        server.asked.append(timeout_s)
        if answers_after_s > timeout_s:
            time.sleep(timeout_s)
            raise Unreachable("late")
        time.sleep(answers_after_s)
        return {"n": 1}

    server.get = get
    return server


def test_who_is_less_patient_waits_no_longer_and_cuts_nobody_off(monkeypatch):
    monkeypatch.setattr(shared_reads, "_PATIENCE_S", 3)
    server = slow(1)
    reads = SharedReads(server)
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"No answer to GET .* within 0.1 s"):
        reads.get(PATH, 0.1)
    assert time.monotonic() - began < 0.8
    assert reads.get(PATH, 3) == {"n": 1}
    assert server.asked == [3]


def test_nobody_waits_longer_than_his_own_patience_in_all(monkeypatch):
    monkeypatch.setattr(shared_reads, "_PATIENCE_S", 1)
    reads = SharedReads(slow(60))
    with ThreadPoolExecutor(2) as pool:
        began = time.monotonic()
        asked = [pool.submit(reads.get, PATH, 1) for _ in range(2)]
        errors = [each.exception(5) for each in asked]
    assert time.monotonic() - began < 1.8
    assert [type(each) for each in errors] == [Unreachable, Unreachable]


def test_another_object_is_another_request():
    server = Server({"n": 1}, {"n": 2})
    reads = SharedReads(server)
    assert (reads.get("/a"), reads.get("/b")) == ({"n": 1}, {"n": 2})


class Lists(Server):
    """Has ConfigMaps in one namespace, and lists them in pages of 40; ``refused`` is what a list raises."""

    def __init__(self, *names, refused=None):
        super().__init__()
        self.names, self.refused = names, refused

    def get(self, path, timeout_s):
        self.asked.append(path)
        name = path.rpartition("/")[2]
        if name not in self.names:
            raise NotFound(name)
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}

    def pages(self, path, query, timeout_s, *, page_bytes):
        self.asked.append((path, page_bytes))
        if self.refused is not None:
            raise self.refused
        for start in range(0, len(self.names), 40):
            yield tuple({"metadata": {"name": name}} for name in self.names[start : start + 40]), "7"


FOLDER = "/api/v1/namespaces/shop/configmaps"
WANTED = [f"map-{number}" for number in range(60)]


def prepared(server, names=WANTED):
    reads = SharedReads(server)
    reads.prepare({f"{FOLDER}/{name}": "ConfigMap" for name in names}, 5)
    return reads


def test_many_of_one_kind_are_one_list_and_look_as_if_each_had_been_read():
    server = Lists(*WANTED[:-1], "another")
    reads = prepared(server)
    for name in WANTED[:-1]:
        assert reads.get(f"{FOLDER}/{name}") == Lists(*WANTED).get(f"{FOLDER}/{name}", 5)
    with pytest.raises(NotFound):
        reads.get(f"{FOLDER}/{WANTED[-1]}")
    assert server.asked == [(FOLDER, 4 << 20)]
    assert reads.was_listed(f"{FOLDER}/map-1")


def test_a_few_are_read_by_their_names():
    server = Lists(*WANTED)
    reads = prepared(server, WANTED[:49])
    assert server.asked == []
    reads.get(f"{FOLDER}/map-1")
    assert server.asked == [f"{FOLDER}/map-1"]
    assert not reads.was_listed(f"{FOLDER}/map-1")


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(
            Lists(*WANTED, refused=Forbidden("no", verb="list", resource="configmaps")), id="no right"
        ),
        pytest.param(Lists(*WANTED, refused=Unreachable("late")), id="no answer"),
        pytest.param(Lists(*WANTED, *(f"other-{n}" for n in range(400))), id="among many others"),
    ],
)
def test_where_a_list_does_not_serve_each_is_read_by_its_name_and_still_once(server):
    reads = prepared(server)
    for _ in range(2):
        assert reads.get(f"{FOLDER}/map-7")["metadata"]["name"] == "map-7"
    assert server.asked == [(FOLDER, 4 << 20), f"{FOLDER}/map-7"]


def test_what_was_read_before_is_kept():
    server = Lists(*WANTED)
    reads = SharedReads(server)
    before = reads.get(f"{FOLDER}/map-1")
    reads.prepare({f"{FOLDER}/{name}": "ConfigMap" for name in WANTED}, 5)
    assert reads.get(f"{FOLDER}/map-1") is before


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/apis/apps/v1/namespaces/shop/deployments", "apps/v1"),
        ("/apis/rbac.authorization.k8s.io/v1/clusterroles", "rbac.authorization.k8s.io/v1"),
        ("/api/v1/namespaces", "v1"),
        ("/api/v1/namespaces/shop/services", "v1"),
    ],
)
def test_a_listed_object_says_its_version_and_kind(path, version):
    reads = SharedReads(Lists(*WANTED))
    reads.prepare({f"{path}/{name}": "Thing" for name in WANTED}, 5)
    found = reads.get(f"{path}/map-1")
    assert (found["apiVersion"], found["kind"]) == (version, "Thing")
