"""Passes TCP connections into a network namespace: it listens out here and connects in there.

The same address and port on both sides. What is inside a connection (TLS) is not looked at.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import sys
from contextlib import suppress
from typing import Final

HOST: Final = "127.0.0.1"
_CLONE_NEWNET = 0x40000000
_CHUNK_BYTES = 64 * 1024


def relay_argv(port: int, pid: int) -> list[str]:
    """The command line of a relay for ``port``, into the network namespace of process ``pid``."""
    return [sys.executable, "-m", "pytest_zkrollback.drill.relay", str(port), str(pid)]


def main(port: int, pid: int) -> None:
    """Relay until killed. Raises OSError."""
    listening = socket.create_server((HOST, port))
    _enter_network_of(pid)
    asyncio.run(_serve(listening, port))


def _enter_network_of(pid: int) -> None:
    # os.setns is there from Python 3.12 on.
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if libc.setns(fd, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(fd)


async def _serve(listening: socket.socket, port: int) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection(HOST, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pass(reader, to_writer), _pass(to_reader, writer))
        for each in (writer, to_writer):
            each.close()

    server = await asyncio.start_server(accept, sock=listening)
    await server.serve_forever()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction of a connection, its end passed on; a broken one ends both."""
    try:
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
    except OSError:
        with suppress(OSError):
            writer.transport.abort()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
