"""The live pods, as the API server tells them: what the pod logs go by."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from urllib.parse import quote, urlsplit

from ..clients.kube.kubeconfig import read_access
from ..domain.checks import JsonObject
from ..domain.errors import BadAnswer, NotFound, Unreachable
from ..domain.kube_objects import is_ready, is_terminating

BACKEND = "zkprova-backend"
FRONTEND = "zkprova-frontend"


class LivePods:
    """Reads pods over plain HTTPS: these processes start in a tenth of a second without a client library."""

    def __init__(self, kubeconfig: Path, context: str) -> None:
        """Read the kubeconfig; nothing is asked yet. Raises Unreachable."""
        access = read_access(context, str(kubeconfig))
        parts = urlsplit(access.server)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._tls = access.tls()
        self._headers = {"Authorization": access.authorization} if access.authorization else {}

    def fetch_one(self, namespace: str, name: str, timeout_s: float = 2.0) -> JsonObject:
        """One pod. Raises a ClusterError (NotFound)."""
        return self._get(f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(name)}", timeout_s)

    def _get(self, path: str, timeout_s: float) -> JsonObject:
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=self._tls)
        try:
            connection.request("GET", path, headers=self._headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, ssl.SSLError, http.client.HTTPException) as error:
            raise Unreachable(
                f"The API server did not answer GET {path}: {error or type(error).__name__}."
            ) from None
        finally:
            connection.close()
        if answer.status == 404:
            raise NotFound(f"The API server knows nothing at {path}.")
        if answer.status != 200:
            raise BadAnswer(f"The API server answered {answer.status} to GET {path}.", status=answer.status)
        try:
            return dict(json.loads(body))
        except ValueError:
            raise BadAnswer(f"The API server answered no JSON to GET {path}.") from None


def serving(pods: tuple[JsonObject, ...], app: str) -> list[JsonObject]:
    """The pods of ``app`` that a Service would send requests to: ready and not terminating, by name."""
    return sorted(
        (
            pod
            for pod in pods
            if pod["metadata"]["labels"]["app"] == app and is_ready(pod) and not is_terminating(pod)
        ),
        key=lambda pod: str(pod["metadata"]["name"]),
    )


def image_version(image: str) -> tuple[str, str]:
    """Version and commit of an image: ``("1.8.0", "3f9c2e1")`` of ``zkprova/backend:1.8.0-3f9c2e1``."""
    version, _, commit = image.rpartition(":")[2].partition("-")
    return version, commit


def environment(container: JsonObject) -> dict[str, str]:
    """A container's variables as far as its spec holds their values."""
    return {entry["name"]: entry["value"] for entry in container.get("env", ()) if "value" in entry}


def volume_of(pod: JsonObject, container: JsonObject, path: str) -> str | None:
    """Where ``path`` in the container lies on the node (its hostPath volume), or None: in no volume."""
    folders = {
        volume["name"]: volume["hostPath"]["path"]
        for volume in pod["spec"].get("volumes", ())
        if "hostPath" in volume
    }
    for mount in container.get("volumeMounts", ()):
        if path.startswith(mount["mountPath"] + "/") and mount["name"] in folders:
            return str(folders[mount["name"]] + path.removeprefix(mount["mountPath"]))
    return None
