"""An object that two questions read is asked for once, and neither has to live with the other's bad luck."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_zkrollback.domain.errors import Forbidden, NotFound, Unreachable
from pytest_zkrollback.preflight.shared_reads import SharedReads

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
    assert reads.get(PATH, 5) is reads.get(PATH, 3)
    assert server.asked == [(PATH, 5)]


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
        reads.get(PATH, 3)
    assert reads.get(PATH, 5) == {"n": 2}
    assert server.asked == [(PATH, 3), (PATH, 5)]


def test_who_has_waited_as_long_as_he_would_asks_for_himself():
    first, server = threading.Event(), Server()

    def get(path, timeout_s):
        server.asked.append(timeout_s)
        if len(server.asked) == 1:
            first.wait(10)
            return {"n": "late"}
        return {"n": "own"}

    server.get = get
    reads = SharedReads(server)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(reads.get, PATH, 9)
        while not server.asked:
            pass
        assert reads.get(PATH, 0.05) == {"n": "own"}
        first.set()
        assert slow.result(5) == {"n": "late"}


def test_another_object_is_another_request():
    server = Server({"n": 1}, {"n": 2})
    reads = SharedReads(server)
    assert (reads.get("/a"), reads.get("/b")) == ({"n": 1}, {"n": 2})
