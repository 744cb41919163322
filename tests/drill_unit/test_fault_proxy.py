"""The proxy of the drill's tests: a client that is killed leaves nothing open behind it."""

import socket
import struct
import threading
import time
from contextlib import suppress

from support.fault_proxy import Delay
from support.http_server import LoopbackHttpServer, QuietHandler


class _Slow(QuietHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"first ")
        time.sleep(0.2)
        self.wfile.write(b"second")


def _get(port):
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    return client


def test_a_delayed_answer_comes_whole_and_late():
    with LoopbackHttpServer(_Slow) as server:
        delay = Delay(server.server_port, 0.1)
        began_s = time.monotonic()
        with _get(delay.port) as client, client.makefile("rb") as answer:
            assert answer.read().endswith(b"first second")
        assert time.monotonic() - began_s >= 0.2 + 0.1
        delay.close()


def test_a_client_that_is_cut_off_leaves_no_connection_and_no_thread():
    with LoopbackHttpServer(_Slow) as server:
        delay = Delay(server.server_port, 0.1)
        client = _get(delay.port)
        client.recv(1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        kept = _get(delay.port)
        delay.close()
        with kept, suppress(ConnectionResetError):
            while kept.recv(100):
                pass
        assert Delay.threads not in [one.name for one in threading.enumerate()]
