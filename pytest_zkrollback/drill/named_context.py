"""The drill on a cluster that the operator names (``--drill-context``): in one namespace of its own.

Nothing is built but the demo application's images; helm and kubectl are those on PATH. The namespace goes
when the drill ends, in whatever way, and with it all that the drill made.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..clients.access_review import Right, fetch_allowed
from ..clients.clock import SystemClock
from ..clients.helm import parse_version
from ..clients.kube.client import connect
from ..clients.kube.kubeconfig import read_server
from ..clients.state_dir import write_private
from ..domain.errors import ClusterError, DrillProblem, HelmProblem, ProcessProblem, UsageProblem
from .binaries import find_binaries
from .drill_namespace import DELETE_S, DrillNamespace, lease_argv, namespace_name, new_mark
from .gateway import gateway_argv
from .image_loading import ImageSource, choose_images
from .images import make_images, write_archive
from .programs import ZKPROVA_IMAGE
from .registry import push_images
from .supervised import Supervised, start_supervisor
from .venue import ClusterAccess, close_after

if TYPE_CHECKING:
    from ..domain.ports import Clock, Kube, Processes
    from .images import Release
    from .venue import Venue
    from .whose_cluster import Configured

CLAIM: Final = "zkprova-data"
_KUBECTL_S: Final = 15.0
_DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"
# What helm, the chart and this tool do; (group, resource) -> verbs. First what has no namespace.
_OUTSIDE: Final = {
    ("", "namespaces"): ("create", "delete", "get"),
    ("storage.k8s.io", "storageclasses"): ("list",),
}
_INSIDE: Final = {
    ("coordination.k8s.io", "leases"): ("create", "get", "update"),
    ("", "persistentvolumeclaims"): ("create",),
    ("", "secrets"): ("create", "delete", "get", "list", "patch", "update"),
    ("", "configmaps"): ("create", "get", "list", "patch", "update"),
    ("", "services"): ("create", "get", "list", "patch", "update"),
    ("", "services/proxy"): ("create", "get"),
    ("", "serviceaccounts"): ("create", "get", "patch", "update"),
    ("apps", "deployments"): ("create", "get", "list", "patch", "update", "watch"),
    ("apps", "replicasets"): ("list", "watch"),
    ("batch", "jobs"): ("create", "delete", "get", "list", "watch"),
    ("", "pods"): ("get", "list", "watch"),
    ("", "pods/log"): ("get",),
    ("", "events"): ("list", "watch"),
}
# Each pod's /metrics, for a scenario with metrics.
_SCRAPE: Final = {("", "pods/proxy"): ("get",)}


@dataclass(frozen=True)
class NamedContext:
    """The choice of this place.

    ``configured`` is what must not be drilled on; ``confirmed`` the context's name as it was given a second
    time; ``ask`` puts a question to the operator and returns the answer, empty where nobody can be asked.
    ``keep_secret`` hears credentials before they are used. ``scrapes``: pods are asked for their metrics.
    """

    context: str
    checkout: str
    configured: Configured
    load: str | None = None
    image: str | None = None
    confirmed: str | None = None
    ask: Callable[[str], str] = lambda _: ""
    keep_secret: Callable[[str], object] = lambda _: None
    scrapes: bool = False

    @property
    def name(self) -> str:
        """As a person reads it."""
        return f"context {self.context}"

    def refuse_without_contact(self) -> None:
        """All that is known to be wrong before anything is asked. Raises UsageProblem and Unreachable."""
        if self.confirmed not in (None, self.context):
            raise UsageProblem(
                f"--rollback-confirm={self.confirmed} names another context than"
                f" --drill-context={self.context}: one of the two is a slip; helm did not run."
            )
        try:
            found = read_server(self.context, None)
        except ClusterError as problem:
            raise UsageProblem(f"--drill-context={self.context}: {problem} helm did not run.") from None
        self.configured.refuse_same_server(self.context, found)
        choose_images(self.context, self.load, self.image)

    def open(self, progress: Callable[[str], None], processes: Processes, clock: Clock) -> Venue:
        """Make sure that it may be there, then make the namespace. Raises DrillProblem and UsageProblem."""
        self.refuse_without_contact()
        binaries = {"kubectl": _find_kubectl(processes), "helm": _find_helm(processes)}
        images = choose_images(self.context, self.load, self.image)
        program = _find_program(progress, processes, clock) if images.builds else None
        progress(f"Asking the cluster of context {self.context} who it is")
        text = _read_kubeconfig(self.context, namespace_name(self.checkout), binaries["kubectl"], processes)
        data_dir, daemon = start_supervisor(clock)
        supervised = Supervised(data_dir, daemon)
        try:
            cluster = ClusterAccess(data_dir / "kubeconfig", self.context, data_dir, binaries)
            write_private(cluster.kubeconfig, text)
            namespace = self._fit_namespace(cluster, processes, progress)
        except BaseException:
            supervised.close()
            raise
        venue = NamedContextVenue(supervised, cluster, namespace, images, program, progress, processes)
        try:
            venue.begin(self.checkout)
        except BaseException as error:
            close_after(error, venue, progress)
            raise
        return venue

    def _fit_namespace(
        self, cluster: ClusterAccess, processes: Processes, progress: Callable[[str], None]
    ) -> DrillNamespace:
        """The namespace, once the cluster behind the file that helm will get may be drilled on.

        Raises UsageProblem, DrillProblem and ClusterError.
        """
        file = str(cluster.kubeconfig)
        self.configured.refuse_same_server(self.context, read_server(self.context, file))
        server_clock = SystemClock()
        kube = connect(self.context, file, server_clock, processes, self.keep_secret)
        namespace = DrillNamespace(kube, server_clock, namespace_name(self.checkout), new_mark())
        inside = {**_INSIDE, **_SCRAPE} if self.scrapes else _INSIDE
        _refuse_without_rights(kube, inside, namespace.name, self.context)
        uid = str(kube.get("/api/v1/namespaces/kube-system")["metadata"]["uid"])
        self.configured.refuse_same_uid(self.context, uid)
        self._confirm(kube.server)
        _refuse_without_storage(kube, self.context)
        namespace.clear(self.checkout, progress)
        if others := namespace.fetch_others():
            progress(f"Left as they are, for they are other checkouts' drills: {', '.join(others)}")
        return namespace

    def _confirm(self, server: str) -> None:
        doubt = self.configured.doubt
        if not doubt or self.confirmed == self.context:
            return
        why = f"{doubt}, so nothing says that {server} is nobody's production"
        question = f"Type the context's name, {self.context}, to drill there; anything else stops."
        if self.ask(f"{why[0].upper()}{why[1:]}.\n{question}") != self.context:
            raise UsageProblem(
                f"--drill-context={self.context} needs its name a second time,"
                f" --rollback-confirm={self.context}: {why}; helm did not run."
            )


class NamedContextVenue:
    """A :class:`.venue.Venue` in a namespace of its own; :meth:`begin` makes it."""

    def __init__(
        self,
        supervised: Supervised,
        cluster: ClusterAccess,
        namespace: DrillNamespace,
        images: ImageSource,
        program: Path | None,
        progress: Callable[[str], None],
        processes: Processes,
    ) -> None:
        """Nothing is made yet. ``program`` is what the images are made of; None: they are there."""
        self.supervised = supervised
        self.cluster = cluster
        self.namespace = namespace.name
        self.values: Mapping[str, Any] = {"repository": images.repository, "claim": CLAIM}
        self.database = ""  # it is a file in the cluster
        self.makes_namespace = True
        self.app_env: Mapping[str, str] = dict(os.environ)  # a credential plugin may need it
        self._namespace = namespace
        self._images = images
        self._program = program
        self._progress = progress
        self._processes = processes

    def begin(self, checkout: str) -> None:
        """Make the namespace, its Lease and the volume's claim. Raises DrillProblem and ClusterError."""
        # Before the namespace: a run that is killed in between leaves nothing.
        self.supervised.at_end(self._argv("delete"), DELETE_S + 5, dict(os.environ))
        self._progress(f"Making the namespace {self.namespace}")
        self._namespace.create(checkout)
        self.supervised.start_server("lease", self._argv("renew"), dict(os.environ))
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": CLAIM},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}},
        }
        path = f"/api/v1/namespaces/{self.namespace}/persistentvolumeclaims"
        self._namespace.kube.send("POST", path, claim)

    def _argv(self, command: str) -> list[str]:
        cluster, namespace = self.cluster, self._namespace
        return lease_argv(command, cluster.kubeconfig, cluster.context, namespace.name, namespace.run)

    def bring_images(self, releases: Sequence[Release]) -> None:
        """Make the images and bring them to the nodes, unless they are there. Raises DrillProblem."""
        if self._program is None:
            return
        self._progress(f"Bringing the demo's images to the nodes of context {self.cluster.context}")
        images = make_images(self._program, releases, repository=self._images.repository)
        if self._images.pushes:
            push_images(images)
            return
        archive = write_archive(images, self.cluster.data_dir / "images.tar")
        try:
            self._images.load(archive, self._processes)
        finally:
            archive.unlink(missing_ok=True)  # the command may have moved it

    def migrate(self, kind: str) -> None:
        """Nothing: the migration's Job runs."""

    def app_argv(self, port_file: Path) -> list[str]:
        """The gateway: what it is asked it asks the Services, through the API server."""
        return gateway_argv(self.cluster.kubeconfig, self.cluster.context, self.namespace, port_file)

    def close(self) -> None:
        """End the programs and delete the namespace. Raises DrillProblem if it is still there."""
        self.supervised.close()
        try:
            if not self._namespace.is_left():
                return
            why = "its deletion was not accepted in time"
        except ClusterError as problem:
            why = str(problem)
        raise DrillProblem(
            f"The drill's namespace {self.namespace} may still be there: {why} Delete it by hand:"
            f" kubectl --context {self.cluster.context} delete namespace {self.namespace}. The next drill of"
            " this checkout removes it, too, once its Lease has expired."
        )


def _find_program(progress: Callable[[str], None], processes: Processes, clock: Clock) -> Path:
    """The demo application, for Linux; built once. Raises DrillProblem."""
    try:
        (path,) = find_binaries(
            tools=(ZKPROVA_IMAGE,), progress=progress, processes=processes, clock=clock
        ).values()
    except DrillProblem as problem:
        raise DrillProblem(
            f"The demo's images cannot be made here: {problem} Without Go they have to be there already,"
            " named with --drill-image; this project has published no release of them yet."
        ) from None
    return path


def _find_kubectl(processes: Processes) -> Path:
    path = _find("kubectl")
    try:
        ended = processes.run([str(path), "version", "--client"], timeout_s=_KUBECTL_S)
        said = "" if ended.exit_code == 0 else ended.output.strip()[-200:] or "it said nothing"
    except ProcessProblem as problem:
        said = str(problem)
    if said:
        raise DrillProblem(f"kubectl ({path}) does not run: {said}; helm did not run.")
    return path


def _find_helm(processes: Processes) -> Path:
    path = _find("helm")
    try:
        ended = processes.run([str(path), "version", "--template", "{{.Version}}"], timeout_s=_KUBECTL_S)
        parse_version(ended.stdout)
    except (ProcessProblem, HelmProblem) as problem:
        raise DrillProblem(f"The helm on PATH ({path}) does not serve: {problem}") from None
    return path


def _find(name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise DrillProblem(
            f"A drill on a cluster that is there already needs {name} on PATH (helm 3 or 4, and kubectl), and"
            " there is none: install it; helm did not run."
        )
    return Path(found).absolute()


def _read_kubeconfig(context: str, namespace: str, kubectl: Path, processes: Processes) -> str:
    """One file that stands alone, of however many KUBECONFIG names, with this context and namespace alone.

    kubectl merges them: it knows best how. Raises DrillProblem, also for paths that lead nowhere from there.
    """
    argv = [str(kubectl), "config", "view", "--raw", "--flatten", "--minify", f"--context={context}"]
    try:
        ended = processes.run([*argv, "--output=json"], timeout_s=_KUBECTL_S)
        if ended.exit_code != 0:
            raise ValueError(ended.output.strip()[-300:] or "it said nothing")
        config = json.loads(ended.stdout)
        for entry in config["contexts"]:
            entry["context"]["namespace"] = namespace
        _refuse_relative_paths(context, config)
    except (ProcessProblem, ValueError, KeyError, TypeError) as problem:
        raise DrillProblem(f"kubectl does not show the context '{context}': {problem}") from None
    return json.dumps(config)


def _refuse_relative_paths(context: str, config: Mapping[str, Any]) -> None:
    """Raises DrillProblem: kubectl copies these as they are, and they began at the file they stood in."""
    for entry in config.get("users") or ():
        user = entry.get("user") or {}
        command = str((user.get("exec") or {}).get("command") or "")
        for path in (str(user.get("tokenFile") or ""), command if "/" in command else ""):
            if path and not path.startswith("/"):
                raise DrillProblem(
                    f"The user of context '{context}' names the path {path}, which is relative to its"
                    " kubeconfig: make it absolute; helm did not run."
                )


def _refuse_without_rights(
    kube: Kube, inside: Mapping[tuple[str, str], tuple[str, ...]], namespace: str, context: str
) -> None:
    """Raises DrillProblem that names all rights that are missing, and ClusterError."""
    wanted = [
        *(Right(verb, *kind, "") for kind, verbs in _OUTSIDE.items() for verb in verbs),
        *(Right(verb, *kind, namespace) for kind, verbs in inside.items() for verb in verbs),
    ]
    granted = fetch_allowed(kube, [(right, "") for right in wanted])
    missing = [right.spoken(namespace) for right, yes in zip(wanted, granted, strict=True) if not yes]
    if missing:
        raise DrillProblem(
            f"The credentials of context '{context}' lack rights that a drill needs for its own namespace"
            f" {namespace}: {', '.join(missing)}; RBAC has to allow them, and helm did not run."
        )


def _refuse_without_storage(kube: Kube, context: str) -> None:
    """Raises DrillProblem where no StorageClass is the default one, and ClusterError."""
    classes = kube.list("/apis/storage.k8s.io/v1/storageclasses")
    if not any((each["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true" for each in classes):
        names = ", ".join(str(each["metadata"]["name"]) for each in classes) or "none"
        raise DrillProblem(
            f"The cluster of context '{context}' has no default StorageClass (it has: {names}), and the"
            f" demo's database needs a volume: mark one with the annotation {_DEFAULT_CLASS}=true; helm did"
            " not run."
        )
