"""What a pod of ``--fleet-engine=kubernetes`` runs: one member, and then its record into the pod's log.

The log is the way back because it needs no rights in the management cluster and no volume. A termination
message holds 4 KB, and a Secret or ConfigMap that the member writes 1 MB. A record of 1 MB is 0.2 MB packed;
kubelets keep 10 MB of a log.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..clients.clock import SystemClock
from ..clients.process import start_job
from ..domain.command_line import FLEET_MEMBER
from ..run.signals import Signals
from .member_command import RUN_ID

ORDER = "ZKROLLBACK_FLEET_POD"
INDEX = "JOB_COMPLETION_INDEX"  # Kubernetes sets it in every pod of an indexed Job
_BEGIN, _END = "zkrollback-record-begin", "zkrollback-record-end"
_LINE = 4000  # container runtimes cut lines at 16 KB
_LOOK_S = 0.1
_LARGEST_BYTES = 64 << 20
_RECORD = re.compile(
    rf"^{_BEGIN} (?P<run>[0-9a-f]+) (?P<sha>[0-9a-f]{{64}})\n(?P<data>[A-Za-z0-9+/=\n]*)^{_END} (?P=run)$",
    flags=re.MULTILINE,
)


@dataclass(frozen=True)
class PodOrder:
    """What all pods of one Job are told; an index chooses the member.

    ``members``: (environment, run id) by index. ``words``: what follows ``pytest``, without the member.
    ``environ``: beside what the pod has. ``config``: the configuration's text, ``config_name`` its file.
    """

    members: Sequence[Sequence[str]]
    words: Sequence[str]
    environ: Mapping[str, str]
    config_name: str
    config: str

    def as_text(self) -> str:
        """JSON, for an environment variable."""
        return json.dumps(asdict(self), separators=(",", ":"))


def main() -> int:
    """The member's exit code; its record is the log's end."""
    order = PodOrder(**json.loads(os.environ[ORDER]))
    member, run_id = order.members[int(os.environ[INDEX])]
    folder = Path(tempfile.mkdtemp(prefix="zkrollback-"))
    config = folder / order.config_name
    config.write_text(order.config, encoding="utf-8")
    reports = folder / "reports"
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no"]
    argv += [f"{FLEET_MEMBER}={member}", *order.words]
    argv += [f"--zkrollback-config={config}", f"--zkrollback-report-dir={reports}"]
    environ = {key: value for key, value in os.environ.items() if key != ORDER}
    code = _run(argv, {**environ, **order.environ, RUN_ID: run_id}, folder / "output")
    path = next(iter(reports.glob(f"*-{run_id}.json")), None)
    if path is not None:
        sys.stdout.write(pack_record(run_id, path.read_bytes()))
        sys.stdout.flush()
    return code


def _run(argv: Sequence[str], environ: Mapping[str, str], output: Path) -> int:
    """Its exit code; what it says goes on to the pod's log. A signal is passed on: a helm is let end."""
    clock, signals, passed_on = SystemClock(), Signals(), 0
    signals.install()
    server = start_job(argv, output_path=output, env=environ)
    with output.open("rb") as said:
        while True:
            code = server.exit_code()
            shutil.copyfileobj(said, sys.stdout.buffer)
            sys.stdout.flush()
            if code is not None:
                return code if code >= 0 else 128 - code
            if signals.count > passed_on:
                passed_on = signals.count
                server.interrupt()
            clock.sleep(_LOOK_S)


def pack_record(run_id: str, record: bytes) -> str:
    """The record's file between two marks, packed, in lines."""
    packed = base64.b64encode(gzip.compress(record)).decode()
    lines = [packed[at : at + _LINE] for at in range(0, len(packed), _LINE)]
    return "\n".join(
        ["", f"{_BEGIN} {run_id} {hashlib.sha256(record).hexdigest()}", *lines, f"{_END} {run_id}", ""]
    )


@dataclass(frozen=True)
class PodLog:
    """A pod's log: what the member has said, and its record's file; None: it holds none that is whole."""

    said: str
    record: bytes | None


def unpack_log(log: str, run_id: str) -> PodLog:
    """The last whole record of that run. What is cut off or changed on its way is none."""
    for found in reversed(list(_RECORD.finditer(log))):
        if found["run"] != run_id:
            continue
        try:
            unpacker = zlib.decompressobj(wbits=31)
            record = unpacker.decompress(base64.b64decode(found["data"]), _LARGEST_BYTES)
        except (ValueError, zlib.error):
            continue
        if hashlib.sha256(record).hexdigest() == found["sha"]:
            return PodLog(log[: found.start()], record)
    return PodLog(log.partition(f"\n{_BEGIN}")[0], None)


if __name__ == "__main__":
    sys.exit(main())
