"""The one namespace of a drill on a cluster not its own, and the Lease that says that the drill lives.

As a program it renews the Lease until the namespace is no longer this drill's (``renew``), or deletes the
namespace (``delete``); the supervisor runs both.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import math
import secrets
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from ..clients.clock import SystemClock
from ..clients.kube.client import connect
from ..clients.process import LocalProcesses
from ..domain.errors import BadAnswer, ClusterError, DrillProblem, Forbidden, NotFound
from ..domain.timestamps import parse_time

if TYPE_CHECKING:
    from ..domain.checks import JsonObject
    from ..domain.ports import Clock, Kube

TOOL: Final = {"app.kubernetes.io/managed-by": "pytest-zkrollback"}
CHECKOUT: Final = "pytest-zkrollback/checkout"
RUN: Final = "pytest-zkrollback/run"
LEASE: Final = "pytest-zkrollback-drill"
# A laptop's short sleep and a restart of the API server are survived; longer, and the drill counts as dead.
LEASE_S: Final = 60
DELETE_S: Final = 20.0
_RENEW_S = 10.0
_GONE_S = 120.0
_LOOK_S = 0.5
_PATH = "/api/v1/namespaces"


def checkout_id(rootpath: Path) -> str:
    """8 hex digits for this folder on this machine: whose namespace it is."""
    return hashlib.sha256(f"{socket.gethostname()}\0{rootpath.resolve()}".encode()).hexdigest()[:8]


def namespace_name(checkout: str) -> str:
    """The namespace that drills of this checkout use."""
    return f"zkrollback-drill-{checkout}"


@dataclass(frozen=True)
class DrillNamespace:
    """The namespace of one drill. ``run`` is its random mark: what does not carry it is never deleted."""

    kube: Kube
    clock: Clock
    name: str
    run: str

    @property
    def path(self) -> str:
        """Its path in the API."""
        return f"{_PATH}/{quote(self.name, safe='')}"

    @property
    def _lease(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{quote(self.name, safe='')}/leases"

    def create(self, checkout: str) -> None:
        """Make it, with its Lease. Raises DrillProblem where there is one of that name, and ClusterError."""
        metadata = {
            "name": self.name,
            "labels": {**TOOL, CHECKOUT: checkout},
            "annotations": {RUN: self.run},
        }
        self._post(_PATH, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        now = _micro_time(self.clock.now())
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": LEASE, "labels": TOOL},
            "spec": {
                "holderIdentity": self.run,
                "leaseDurationSeconds": LEASE_S,
                "acquireTime": now,
                "renewTime": now,
            },
        }
        self._post(self._lease, lease)

    def _post(self, path: str, body: JsonObject) -> None:
        try:
            self.kube.send("POST", path, body)
        except BadAnswer as problem:
            if problem.status != http.client.CONFLICT:
                raise
            raise DrillProblem(
                f"The namespace {self.name} was made by somebody else a moment ago: another drill of this"
                " checkout starts; helm did not run."
            ) from None

    def clear(self, checkout: str, progress: Callable[[str], None]) -> None:
        """Remove what a dead drill of this checkout left under this name.

        Raises DrillProblem where the namespace is not this checkout's or its drill may live; it is then left
        as it is. Raises ClusterError.
        """
        found = self._fetch()
        if found is None:
            return
        metadata = found["metadata"]
        labels = metadata.get("labels") or {}
        if not (TOOL.items() <= labels.items() and labels.get(CHECKOUT) == checkout):
            raise DrillProblem(
                f"There is a namespace {self.name} which no drill of this checkout made (its labels say so):"
                " it is left as it is, for you to see who uses it; helm did not run."
            )
        if not metadata.get("deletionTimestamp"):
            self._take_over()
            self._delete(str(metadata["uid"]))
        progress(f"Waiting until the cluster has deleted what an earlier drill left (namespace {self.name})")
        deadline = self.clock.monotonic_s() + _GONE_S
        while self._fetch() is not None:
            self.clock.sleep(_LOOK_S)
            if self.clock.monotonic_s() < deadline:
                continue
            raise DrillProblem(
                f"The namespace {self.name} of an earlier drill is being deleted for more than {_GONE_S:g} s:"
                f" `kubectl get namespace {self.name} -o yaml` says what it waits for; helm did not run."
            )

    def fetch_others(self) -> tuple[str, ...]:
        """Namespaces of other checkouts' drills, as far as they may be listed. Raises ClusterError."""
        query = {"labelSelector": ",".join(f"{key}={value}" for key, value in TOOL.items())}
        try:
            found = self.kube.list_metadata(_PATH, query)
        except Forbidden:
            return ()
        names = sorted(str(each["metadata"]["name"]) for each in found)
        return tuple(name for name in names if name != self.name)

    def _take_over(self) -> None:
        """Put our mark on the expired Lease, so that whoever held it finds out. Raises DrillProblem."""
        try:
            lease = self.kube.get(f"{self._lease}/{LEASE}")
        except NotFound:
            raise DrillProblem(
                f"The namespace {self.name} is this checkout's and has no Lease, which would say whether a"
                " drill lives in it: it is left as it is; if none does, delete it by hand with"
                f" `kubectl delete namespace {self.name}`; helm did not run."
            ) from None
        left_s = _left_s(lease, self.clock.now())
        if left_s is None or left_s > 0:
            when = "" if left_s is None else f"; if it was killed, try again in {math.ceil(left_s)} s"
            raise DrillProblem(
                f"A drill of this checkout lives in the namespace {self.name}, for its Lease is held (a"
                f" kept one ends with `pytest --drill-stop`{when}); helm did not run."
            )
        spec = {**lease["spec"], "holderIdentity": self.run, "renewTime": _micro_time(self.clock.now())}
        try:
            self.kube.send("PUT", f"{self._lease}/{LEASE}", {**lease, "spec": spec})
        except BadAnswer as problem:
            if problem.status != http.client.CONFLICT:
                raise
            raise DrillProblem(
                f"The Lease in the namespace {self.name} has just been renewed: a drill of this checkout"
                " lives there; helm did not run."
            ) from None

    def renew(self) -> bool:
        """Renew the Lease; False if it is no longer this drill's. Raises ClusterError."""
        try:
            lease = self.kube.get(f"{self._lease}/{LEASE}")
            if lease["spec"].get("holderIdentity") != self.run:
                return False
            spec = {**lease["spec"], "renewTime": _micro_time(self.clock.now())}
            self.kube.send("PUT", f"{self._lease}/{LEASE}", {**lease, "spec": spec})
        except NotFound:
            return False
        return True

    def is_left(self) -> bool:
        """Whether it is there, ours, and not being deleted. Raises ClusterError."""
        found = self._fetch()
        return found is not None and self._is_ours(found) and not found["metadata"].get("deletionTimestamp")

    def delete(self) -> None:
        """Have it deleted if it carries this drill's mark; the cluster takes some 15 s for that.

        Raises ClusterError.
        """
        found = self._fetch()
        if found is None:
            # A request of a run that was killed may still be on its way.
            self.clock.sleep(1)
            found = self._fetch()
        if found is not None and self._is_ours(found):
            self._delete(str(found["metadata"]["uid"]))

    def _is_ours(self, found: JsonObject) -> bool:
        return bool((found["metadata"].get("annotations") or {}).get(RUN) == self.run)

    def _fetch(self) -> JsonObject | None:
        try:
            return self.kube.get(self.path)
        except NotFound:
            return None

    def _delete(self, uid: str) -> None:
        """Only the namespace of that UID: another of the same name may have come since."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        with suppress(NotFound):
            self.kube.send("DELETE", self.path, options)


def new_mark() -> str:
    """A drill's random mark."""
    return secrets.token_hex(8)


def lease_argv(command: str, kubeconfig: Path, context: str, name: str, run: str) -> list[str]:
    """The command line of this program; ``command`` is ``renew`` or ``delete``."""
    scope = ["--kubeconfig", str(kubeconfig), "--context", context, "--namespace", name, "--run", run]
    return [sys.executable, "-m", "pytest_zkrollback.drill.drill_namespace", command, *scope]


def _micro_time(at: datetime) -> str:
    """As MicroTime wants it: always six digits."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _left_s(lease: Mapping[str, Any], now: datetime) -> float | None:
    """Seconds until it expires, negative after that; None where it does not say."""
    spec = lease.get("spec") or {}
    renewed, duration_s = parse_time(spec.get("renewTime")), spec.get("leaseDurationSeconds")
    if renewed is None or not isinstance(duration_s, int):
        return None
    return (renewed + timedelta(seconds=duration_s) - now).total_seconds()


def main() -> int:
    """Renew until the namespace is not ours any more, or delete it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=("renew", "delete"))
    for name in ("--kubeconfig", "--context", "--namespace", "--run"):
        parser.add_argument(name, required=True)
    given = parser.parse_args()
    clock = SystemClock()
    kube = connect(given.context, given.kubeconfig, clock, processes=LocalProcesses())
    ours = DrillNamespace(kube, clock, given.namespace, given.run)
    return _renew(ours) if given.command == "renew" else _delete(ours)


def _renew(ours: DrillNamespace) -> int:
    """An API server that does not answer is asked again: only a clear no ends it."""
    while True:
        ours.clock.sleep(_RENEW_S)
        try:
            if not ours.renew():
                print(f"The Lease in the namespace {ours.name} is not this drill's any more.")
                return 1
        except ClusterError as problem:
            print(problem, flush=True)


def _delete(ours: DrillNamespace) -> int:
    deadline = ours.clock.monotonic_s() + DELETE_S
    while True:
        try:
            ours.delete()
        except ClusterError as problem:
            print(problem, flush=True)
            if ours.clock.monotonic_s() > deadline:
                return 1
            ours.clock.sleep(1)
        else:
            return 0


if __name__ == "__main__":
    sys.exit(main())
