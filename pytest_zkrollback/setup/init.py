"""``--zkrollback-init``: write the first configuration from what the cluster says. It overwrites nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from ..clients.http import HttpClient
from ..clients.kube.client import connect
from ..clients.kube.kubeconfig import read_contexts
from ..config.loader import DRILL, SHIPPED, find_config, load_environment
from ..domain.errors import ClusterError, Forbidden, HttpProblem, Unreachable, UsageProblem, ZkRollbackError
from ..domain.health_answer import BODY_LIMIT_BYTES
from ..preflight.facts import ask_all, fetch_identity
from ..release.helm_secret import revision_number
from ..release.history import fetch_history
from ..release.manifest import identity, manifest_workloads
from ..run.find_workloads import workload_name
from ..run.secrets import register_secrets_of_release
from .draft import CHECKS, Address, Draft, name_unknown, render_draft
from .service_address import Route, find_common_label, find_expected, find_health_paths, find_routes

if TYPE_CHECKING:
    from ..clients.clock import SystemClock
    from ..clients.process import LocalProcesses
    from ..domain.checks import JsonObject
    from ..domain.ports import Kube
    from ..preflight.probe import ProbeResult
    from ..report.redaction import Redactor

T = TypeVar("T")

_WELL = HTTPStatus.OK
FILE, CHECKS_FILE = "zkrollback.toml", "checks/test_runbook.py"
_CONNECT_S = 15.0
_ASK_S = 10.0
_HEALTH_S = 5.0
_SLACK = "SLACK_WEBHOOK_URL"
_SMOKE = ("bash", "scripts/smoke-test.sh", "{url}")
_ROUTES = (("networking.k8s.io/v1", "Ingress"), ("gateway.networking.k8s.io/v1", "HTTPRoute"))
_MOST_SHOWN = 20


@dataclass(frozen=True)
class Wanted:
    """What the operator named; None: it is found or chosen."""

    environment: str | None = None
    context: str | None = None
    namespace: str | None = None
    release: str | None = None


@dataclass(frozen=True)
class Init:
    """What writing the configuration works with.

    ``here``: the folder in which the command was typed. ``ask``: puts a question to a terminal; its answer is
    empty where there is none. ``variables``: the operator's environment variables.
    """

    rootpath: Path
    here: Path
    wanted: Wanted
    ask: Callable[[str], str]
    redactor: Redactor
    variables: Mapping[str, str]
    clock: SystemClock
    processes: LocalProcesses

    def run(self, say: Callable[[str], object]) -> None:
        """Ask, write both files, and say what comes next.

        Raises UsageProblem where a file is there or a choice is needed, and the errors of asking the cluster.
        """
        name = self.wanted.environment
        if name is not None and name != environment_name(name):
            raise UsageProblem(
                f"--env={name} cannot be the name of a new environment: give letters, digits, dashes and "
                f"underscores, and not {DRILL}, which is built in; nothing was written."
            )
        self._refuse_existing()
        draft = self.find()
        self._write(draft)
        file, checks = (self._from_here(name) for name in (FILE, CHECKS_FILE))
        say(f"Written: {file} and {checks}, for environment {draft.environment}.")
        say(f"Not known, see {file}: {', '.join(name_unknown(draft))}.")
        say("Next:")
        say(f"  pytest --zkrollback-env={draft.environment} --zkrollback-check")
        say(f"  pytest --zkrollback-env={draft.environment} {shlex.quote(str(Path(checks).parent))}")

    def find(self) -> Draft:
        """What the cluster says; nothing is written."""
        contexts = read_contexts(None, self.variables)
        first = sorted(contexts.namespaces, key=lambda name: (name != contexts.current, name))
        context = self._choose("context", "--zkrollback-context", first, self.wanted.context)
        kube = self._within(_CONNECT_S, "connect", lambda: self._connect(context))
        place, name = self._release(kube, contexts.namespaces[context] or "default")
        history = self._within(_ASK_S, "release", lambda: fetch_history(kube, place, name))
        register_secrets_of_release(self.redactor, history, place)
        release = history.deployed or history.head
        objects = release.read(place).objects
        workloads = manifest_workloads(objects)
        return Draft(
            environment=environment_name(self.wanted.environment or context),
            context=context,
            namespace=place,
            release=name,
            revision=release.revision.revision,
            cluster=self._within(_ASK_S, "identity", lambda: fetch_identity(kube)),
            workloads=tuple(workload_name(identity(item), place) for item in workloads),
            at_zero=tuple(
                workload_name(identity(item), place)
                for item in workloads
                if (item.get("spec") or {}).get("replicas") == 0
            ),
            label=find_common_label(objects),
            address=self._address(kube, objects, place),
            smoke=_SMOKE if (self.rootpath / _SMOKE[1]).is_file() else (),
            slack_variable=_SLACK if self.variables.get(_SLACK) else "",
            has_git=(self.rootpath / ".git").exists(),
            migrations_kind="django" if (self.rootpath / "manage.py").is_file() else "",
            has_autoscaler=any(item["kind"] == "HorizontalPodAutoscaler" for item in objects),
        )

    def _connect(self, context: str) -> Kube:
        return connect(context, None, self.clock, processes=self.processes, keep_secret=self.redactor.add)

    def _within(self, seconds: float, what: str, ask: Callable[[], T]) -> T:
        answer: ProbeResult[T] = ask_all({what: ask}, seconds, self.clock)[what]
        if answer.value is None:
            raise answer.error or Unreachable(f"No answer within {seconds:g} s when asking for the {what}.")
        return answer.value

    def _refuse_existing(self) -> None:
        there = [name for name in (FILE, CHECKS_FILE) if (self.rootpath / name).exists()]
        if not there and (found := find_config(self.rootpath, None)) != SHIPPED:
            there = [f"[tool.zkrollback] in {found.name}"]  # zkrollback.toml would take its place
        if there:
            raise UsageProblem(
                f"{' and '.join(there)} {'is' if len(there) == 1 else 'are'} there already, and "
                "--zkrollback-init overwrites nothing: move away what you do not need; nothing was written."
            )

    def _release(self, kube: Kube, usual: str) -> tuple[str, str]:
        """Namespace and name of the release to write about."""
        wanted = self.wanted
        found = self._within(_ASK_S, "releases", lambda: fetch_releases(kube, wanted.namespace, usual))
        found = [one for one in found if wanted.release in (None, one[1])]
        where = f" in namespace {wanted.namespace}" if wanted.namespace else ""
        if not found:
            which = f"release {wanted.release}" if wanted.release else "Helm release"
            raise UsageProblem(
                f"There is no {which}{where} that you may see. Only releases that helm stores in Secrets "
                "(its default) are seen: name another with --zkrollback-namespace and --zkrollback-release; "
                "nothing was written."
            )
        labels = {f"{namespace}/{name}": (namespace, name) for namespace, name in found}
        options = "--zkrollback-namespace and --zkrollback-release"
        return labels[self._choose("release", options, list(labels), None)]

    def _choose(self, what: str, option: str, found: Sequence[str], given: str | None) -> str:
        """The one that was given, the only one, or the one that is chosen on a terminal."""
        shown = ", ".join(found[:_MOST_SHOWN]) + (", ..." if len(found) > _MOST_SHOWN else "")
        if given is not None and given not in found:
            raise UsageProblem(f"{option}={given}: there is none; there are {shown}; nothing was written.")
        if given is not None or len(found) == 1:
            return given or found[0]
        lines = [f"  {number}  {name}" for number, name in enumerate(found, 1)]
        answer = self.ask("\n".join([f"Which {what}?", *lines, "Its number or its name:"]))
        if answer in found:
            return answer
        if answer.isascii() and answer.isdecimal() and len(answer) < 7 and 1 <= int(answer) <= len(found):
            return found[int(answer) - 1]
        raise UsageProblem(
            f"There are {len(found)} {what}s: {shown}. Name one with {option}; nothing was written."
        )

    def _address(self, kube: Kube, objects: Sequence[JsonObject], namespace: str) -> Address:
        """Where users reach the service, and what its /health says."""
        services = {identity(item).name for item in objects if item["kind"] == "Service"}
        routes = [*find_routes(objects)]
        for route in find_routes(self._within(_ASK_S, "routes", lambda: _fetch_routes(kube, namespace))):
            if route.services & services and route.url not in [each.url for each in routes]:
                routes.append(route)
        routes = [_with_scheme(kube, route) for route in routes]
        others = tuple(dict.fromkeys(route.url for route in routes[1:]))[:_MOST_SHOWN]
        paths = find_health_paths(objects, routes[0].services if routes else frozenset())
        if not routes:
            return Address(other_paths=paths)
        path = paths[0] if paths else "/health"
        found = Address(routes[0].url, routes[0].source, others, path, other_paths=paths[1:])
        return self._with_health(found, guessed=not paths)

    def _with_health(self, found: Address, *, guessed: bool) -> Address:
        url = found.url + found.health_path
        try:
            http = HttpClient(clock=self.clock)
            answer = http.get(url, timeout_s=_HEALTH_S, limit_bytes=BODY_LIMIT_BYTES)
        except HttpProblem as problem:
            return replace(found, health_problem=f"{url} could not be asked: {problem}")
        expect: dict[str, str | bool] = {}
        with suppress(ValueError, RecursionError):
            expect = find_expected(json.loads(answer.body)) if answer.status == _WELL else {}
        if expect:
            return replace(found, health_expect=expect)
        why = f"{url} answers with HTTP {answer.status} and no JSON that says that the service is well."
        if guessed:
            why = f"no container has an HTTP probe, and {why}"
        return replace(found, health_path="", health_problem=why, other_paths=(found.health_path,))

    def _from_here(self, name: str) -> str:
        """A file of the repository, as it can be typed in the folder of the command."""
        return os.path.relpath(self.rootpath / name, self.here)

    def _write(self, draft: Draft) -> None:
        """Both files or none, also where it is interrupted; what appeared meanwhile is not overwritten."""
        folder = (self.rootpath / CHECKS_FILE).parent
        had_folder = folder.exists()
        written: list[Path] = []
        try:
            for name, text in ((FILE, render_draft(draft)), (CHECKS_FILE, CHECKS)):
                path = self.rootpath / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("x", encoding="utf-8") as file:
                    written.append(path)
                    file.write(text)
            load_environment(self.rootpath / FILE, draft.environment)
        except BaseException as problem:
            for path in written:
                path.unlink(missing_ok=True)
            if not had_folder:
                with suppress(OSError):
                    folder.rmdir()
            if not isinstance(problem, OSError):
                raise
            said = problem.strerror or problem
            raise ZkRollbackError(f"{FILE} and {CHECKS_FILE} could not be written: {said}.") from None


def fetch_releases(kube: Kube, namespace: str | None, usual: str) -> list[tuple[str, str]]:
    """(namespace, name) of the releases there, sorted; without a ``namespace``: of all, or of the ``usual``
    one where all may not be read. Raises ClusterError.
    """
    query = {"labelSelector": "owner=helm"}

    def in_one(name: str) -> tuple[JsonObject, ...]:
        return kube.list_metadata(f"/api/v1/namespaces/{quote(name, safe='')}/secrets", query)

    if namespace is not None:
        found = in_one(namespace)
    else:
        try:
            found = kube.list_metadata("/api/v1/secrets", query)
        except Forbidden:
            found = in_one(usual)
    names = {
        (str(item["metadata"].get("namespace")), str((item["metadata"].get("labels") or {}).get("name")))
        for item in found
        if revision_number(item) is not None
    }
    return sorted(names)


def _fetch_routes(kube: Kube, namespace: str) -> list[JsonObject]:
    """The Ingresses and HTTPRoutes of the namespace, as far as they may be read."""
    found: list[JsonObject] = []
    for api_version, kind in _ROUTES:
        with suppress(ClusterError):
            items = kube.list(kube.resource_path(api_version, kind, namespace))
            found += [{"apiVersion": api_version, "kind": kind, **item} for item in items]
    return found


def _with_scheme(kube: Kube, route: Route) -> Route:
    """A gateway that only listens without TLS makes it http; what cannot be read stays https."""
    for namespace, name in route.gateways:
        with suppress(ClusterError):
            gateway = kube.get(kube.resource_path("gateway.networking.k8s.io/v1", "Gateway", namespace, name))
            listeners = (gateway.get("spec") or {}).get("listeners") or ()
            if listeners and all(each.get("protocol") == "HTTP" for each in listeners):
                return route.over("http")
    return route


def environment_name(text: str) -> str:
    """A name for an environment that a TOML table can have as it is: of a context, say."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")
    return name if name and name != DRILL else "staging"
