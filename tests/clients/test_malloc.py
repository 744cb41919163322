import os
import platform
import subprocess
import sys

import pytest

SCRIPT = """
import threading
from pathlib import Path
from pytest_zkrollback.clients.malloc import limit_malloc_arenas

def arenas():
    # glibc reserves 64 MiB of addresses for each: a little is used, the rest may not be read.
    return sum("---p" in line for line in Path("/proc/self/maps").read_text().splitlines()
               if int(line.split("-")[1].split()[0], 16) & (64 << 20) - 1 == 0)

def work():
    kept.append(bytearray(100_000))
    gate.wait()

share = %s
if share:
    limit_malloc_arenas()
kept, gate = [], threading.Barrier(9)
threads = [threading.Thread(target=work) for _ in range(8)]
for each in threads:
    each.start()
while len(kept) < 8:
    pass
print(arenas())
gate.wait()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has such places")
def test_threads_take_their_memory_from_one_place():
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    found = [
        int(
            subprocess.run(
                [sys.executable, "-c", SCRIPT % share], capture_output=True, check=True, env=env
            ).stdout
        )
        for share in (False, True)
    ]
    assert found[0] > 1  # up to eight for each processor
    assert found[1] == 0
