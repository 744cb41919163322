"""What helm did to an incident's release, by the API server's audit log and by nobody's own words."""

import json
import subprocess
import time


class AuditedRelease:
    """The revisions that helm made of one incident's release."""

    def __init__(self, incident):
        self.incident = incident

    def mark(self):
        """Where the audit log stands now, for :meth:`revisions_made`."""
        return len(self._events())

    def revisions_made(self, since):
        """Their numbers, in the order in which helm wrote them since that mark."""
        names = [
            event["objectRef"]["name"]
            for event in self._events()[since:]
            if event["verb"] == "create"
            and event["userAgent"].startswith("Helm/")
            and event["objectRef"].get("namespace") == self.incident.namespace
            and event["objectRef"]["resource"] == "secrets"
            and event.get("responseStatus", {}).get("code") == 201
        ]
        return [int(name.rpartition(".v")[2]) for name in names]

    def _events(self):
        """The API server's audit log, complete up to a mark that is set now."""
        mark = f"mark-{time.monotonic_ns()}"
        subprocess.run(
            [
                *(str(self.incident.cluster.binaries["kubectl"]), "get", "configmap", mark),
                *("-n", self.incident.namespace, "--kubeconfig", str(self.incident.cluster.kubeconfig)),
            ],
            capture_output=True,
            check=False,
        )
        deadline = time.monotonic() + 20
        while mark not in (text := self.incident.cluster.audit_log.read_text()):
            assert time.monotonic() < deadline, "the audit log stands still"
            time.sleep(0.05)
        return [json.loads(line) for line in text.splitlines()]
