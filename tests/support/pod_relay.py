"""Lets pods of the drill's node reach its API server, which listens on loopback only: a relay in their network.

python tests/support/pod_relay.py ADDRESS PORT
"""

import asyncio
import socket
import sys

from pytest_zkrollback.drill.relay import _serve

if __name__ == "__main__":
    asyncio.run(_serve(socket.create_server((sys.argv[1], int(sys.argv[2]))), int(sys.argv[2])))
