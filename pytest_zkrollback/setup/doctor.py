"""``--zkrollback-check``: what a rollback and its verification need, and whether it is there.

Nothing is changed, and nobody is told.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..checklist.health import HealthCheck
from ..checklist.smoke import SmokeCheck
from ..clients.git import GitCheckout
from ..clients.github import choose_token
from ..clients.helm import HelmCli, find_helm
from ..clients.http import HttpClient
from ..clients.kube.client import KubeClient, connect
from ..clients.kube.kubeconfig import read_server
from ..clients.prometheus import PrometheusClient
from ..config.environment import Metric
from ..config.loader import DRILL, describe, find_config, load_environment
from ..domain.errors import (
    HttpProblem,
    HttpProblemKind,
    KubeconfigProblem,
    NotFound,
    ProcessProblem,
    SettingProblem,
    Unauthorized,
    UsageProblem,
    ZkRollbackError,
)
from ..domain.health_answer import BODY_LIMIT_BYTES, parse_health
from ..domain.item_ids import NOTIFY, SMOKE, metric_id
from ..domain.metric import NoValueKind
from ..domain.record import GuardReason, GuardState
from ..notify.channels import GITHUB, Unusable, choose_channels
from ..notify.json_webhook import WEBHOOK
from ..notify.slack_channels import SLACK
from ..notify.teams import TEAMS
from ..preflight.facts import ask_all, fetch_identity
from ..preflight.guards.cluster import judge_helm, judge_identity, judge_release
from ..preflight.impact import ask_metric
from ..preflight.permissions import Need, fetch_missing
from ..preflight.probe import ProbeResult
from ..release.history import ReleaseHistory, fetch_history
from ..report.sanitize import inert_line
from ..report.styled_lines import Line, Span, fit
from ..run.migration_sources import fetch_versions
from ..run.secrets import register_secrets_of_environment, register_secrets_of_release
from .rbac import render_rbac
from .release_rights import ReleaseRights, fetch_release_rights

if TYPE_CHECKING:
    from ..clients.clock import SystemClock
    from ..clients.process import LocalProcesses
    from ..config.environment import Environment
    from ..domain.ports import Http, Kube
    from ..domain.record import Guard
    from ..report.redaction import Redactor

# A credential plugin may take 10 s.
_CONNECT_S = 15.0
_ASK_S = 10.0
# All rights of a release with hundreds of objects, 30 at once.
_RIGHTS_S = 30.0
_REACH_S = 5.0
_NOT_ASKED = "the API server could not be asked"
_ANONYMOUS = "system:anonymous"
# Programs that run a file: that has to be there, too. Of these it is known which options come before it.
_SHELLS = ("bash", "sh", "dash", "zsh", "ksh")
_PYTHONS = ("python", "python3")
_INTERPRETERS = (*_SHELLS, *_PYTHONS, "node", "ruby", "perl")
_NO_METRIC_NOW = (NoValueKind.NO_ANSWER, NoValueKind.UNAVAILABLE, NoValueKind.WARNED, NoValueKind.STALE)
_SAYS_NOTHING = (HttpProblemKind.LATE, HttpProblemKind.BROKEN, HttpProblemKind.OTHER)


class State(StrEnum):
    """What a check has found."""

    OK = "ok"
    MISSING = "missing"
    UNKNOWN = "not known"


_STATE_WIDTH, _WHAT_WIDTH = 9, 19
_STYLES = {State.OK: "green", State.MISSING: "bold red", State.UNKNOWN: "bold magenta"}
# Takes what renders lines for so many columns; 0: each fact in one line.
Say = Callable[[Callable[[int], list[Line]]], object]


@dataclass(frozen=True)
class Finding:
    """One check: what was looked at, what was found, and how to mend it."""

    what: str
    state: State
    said: str
    mend: str = ""

    def render(self, width: int = 0) -> list[Line]:
        """One line; on a terminal of ``width`` columns how to mend it begins another."""
        said = f"{self.said.rstrip('.')}."
        mend = f"To mend it: {self.mend}." if self.mend else ""
        state, what = f"{self.state:<{_STATE_WIDTH}}", f"{inert_line(self.what):<{_WHAT_WIDTH}}"
        head = (Span(state, _STYLES[self.state]), Span(f"  {what}  "))
        indent = _STATE_WIDTH + _WHAT_WIDTH + 4
        if not width:
            return fit(f"{said} {mend}", 0, head=head, indent=indent)
        return [
            *fit(said, width, head=head, indent=indent),
            *(fit(mend, width, "bold", indent=indent) if mend else []),
        ]


@dataclass(frozen=True)
class Doctor:
    """What the checks work with.

    ``variables``: the operator's environment variables; ``config_file``: the configuration that was named.
    """

    env: Environment
    redactor: Redactor
    variables: Mapping[str, str]
    clock: SystemClock
    processes: LocalProcesses
    config_file: str | None = None

    def examine(self) -> Iterator[Finding]:
        """Every check, in order; each ends within its seconds."""
        yield from self._cluster()
        beside = {
            "health": self._health,
            SMOKE: self._smoke,
            **self._channels(),
            **self._metrics(),
            **self._repository(),
        }
        for name, answer in ask_all(beside, _ASK_S, self.clock).items():
            yield _value(name, answer)

    def _cluster(self) -> Iterator[Finding]:
        found = self._kubeconfig()
        yield found
        kube: ProbeResult[KubeClient] = ProbeResult(error=ZkRollbackError(_NOT_ASKED))
        if found.state is State.OK:
            kube = ask_all({"connect": self.connect}, _CONNECT_S, self.clock)["connect"]
        yield from self._inside(kube)

    def _inside(self, kube: ProbeResult[KubeClient]) -> Iterator[Finding]:
        client, env = kube.value, self.env
        login: ProbeResult[str] = ProbeResult(error=kube.problem)
        if client is not None:
            login = ask_all({"login": lambda: _fetch_user(client)}, _ASK_S, self.clock)["login"]
        yield _login(login)
        identity: ProbeResult[str] = ProbeResult(error=ZkRollbackError(_NOT_ASKED))
        history: ProbeResult[ReleaseHistory] = ProbeResult(error=identity.error)
        if client is not None and login.value not in (None, _ANONYMOUS):
            questions: dict[str, Callable[[], object]] = {
                "identity": lambda: fetch_identity(client),
                "history": lambda: fetch_history(client, env.namespace, env.release),
            }
            answers = ask_all(questions, _ASK_S, self.clock)
            identity, history = answers["identity"], answers["history"]
        if history.value is not None:
            register_secrets_of_release(self.redactor, history.value, env.namespace)
        yield _identity(judge_identity(identity, env), identity, env)
        yield _of_guard("release", judge_release(history), "check namespace and release in the configuration")
        helm = ask_all({"helm": lambda: self._helm(client).fetch_version()}, _ASK_S, self.clock)["helm"]
        yield _of_guard("helm", judge_helm(helm, history), "")
        yield from self._rights(client, history)

    def _rights(self, kube: KubeClient | None, history: ProbeResult[ReleaseHistory]) -> Iterator[Finding]:
        known = history.value
        names = ("rights to verify", "rights to roll back")
        if kube is None or known is None:
            yield from (Finding(name, State.UNKNOWN, f"not asked: {_why(history)}") for name in names)
            return

        def ask() -> tuple[ReleaseRights, tuple[Need, ...], tuple[Need, ...]]:
            rights = fetch_release_rights(kube, self.env, known)
            return rights, fetch_missing(kube, rights.verify), fetch_missing(kube, rights.rollback)

        answer = ask_all({"rights": ask}, _RIGHTS_S, self.clock)["rights"]
        if answer.value is None:
            yield from (Finding(name, State.UNKNOWN, answer.why) for name in names)
            return
        rights, *missing = answer.value
        for name, needs, lacking in zip(names, (rights.verify, rights.rollback), missing, strict=True):
            yield judge_rights(name, needs, lacking, rights.unread, self.env, self._prints_roles())

    def _prints_roles(self) -> str:
        """The command that prints the Roles."""
        named = [f"--zkrollback-config={self.config_file}"] if self.config_file is not None else []
        return shlex.join(["pytest", f"--zkrollback-env={self.env.name}", *named, "--zkrollback-check=rbac"])

    def connect(self) -> KubeClient:
        """The environment's API server. Raises Unreachable."""
        env = self.env
        return connect(
            env.kube_context,
            env.kubeconfig,
            self.clock,
            processes=self.processes,
            keep_secret=self.redactor.add,
        )

    def _kubeconfig(self) -> Finding:
        env, what = self.env, "kubeconfig"
        if env.in_cluster:
            return Finding(what, State.OK, "the pod's own service account is used (in_cluster)")
        try:
            server = read_server(env.context, env.kubeconfig, self.variables)
        except ZkRollbackError as error:
            return Finding(what, State.MISSING, str(error))
        return Finding(what, State.OK, f"context {env.context} leads to {server.server}")

    def _helm(self, kube: KubeClient | None) -> HelmCli:
        env = self.env
        return HelmCli(
            find_helm(env.helm, self.variables.get("PATH")),
            self.processes,
            context=env.kube_context,
            kubeconfig=env.kubeconfig,
            namespace=env.namespace,
            environ=self.variables,
            server=kube.server if kube is not None else "",
        )

    def _health(self) -> Finding:
        env, what = self.env, "url and health"
        if env.health_off:
            return Finding(what, State.OK, HealthCheck(env=env, http=HttpClient()).left_out)
        if not env.health or not env.url:
            mend = f'set url = "https://..." in [environments.{env.name}]'
            said = "no url is configured: the items health-database and smoke need it"
            return Finding(what, State.MISSING, said, mend)
        url = f"{env.url.rstrip('/')}{env.health.path}"
        http: Http = HttpClient(ca_file=env.ca_file, proxy=env.proxy, clock=self.clock)
        timeout_s = min(env.health.timeout_s, _REACH_S)
        try:
            answer = http.get(url, timeout_s=timeout_s, limit_bytes=BODY_LIMIT_BYTES)
        except HttpProblem as problem:
            return _unreached(what, problem, "check url, ca_file and proxy")
        found = parse_health(answer, env.health.expect)
        if not found.ok:
            mend = f"check url, and path and expect of [environments.{env.name}.health]"
            return Finding(what, State.MISSING, f"{url}: {found.trouble}", mend)
        return Finding(what, State.OK, f"{url} answers as the configuration expects")

    def _smoke(self) -> Finding:
        env = self.env
        left_out = SmokeCheck(env=env, processes=self.processes).left_out
        if env.smoke is False or left_out:
            return Finding(SMOKE, State.OK, left_out)
        place = f"command of [environments.{env.name}.smoke]"
        folder = Path(env.base_dir) / env.smoke.cwd
        program, *words = env.smoke.command
        if not env.url and any("{url}" in word for word in env.smoke.command):
            said = "the command needs {url}, and no url is configured"
            return Finding(SMOKE, State.MISSING, said, f"set url in [environments.{env.name}]")
        problem = ""
        if not folder.is_dir():
            problem = f"there is no folder {folder}"
        elif not _is_program(program, folder, self.variables.get("PATH")):
            problem = f"there is no program {program}, or it is not executable"
        elif (script := find_script(program, words)) and not (folder / script).is_file():
            problem = f"there is no file {folder / script}"
        if problem:
            return Finding(SMOKE, State.MISSING, problem, f"check the {place}")
        return Finding(SMOKE, State.OK, f"{' '.join(env.smoke.command)} can be run (it was not)")

    def _channels(self) -> dict[str, Callable[[], Finding]]:
        env = self.env
        channels = choose_channels(env, self.variables, self.clock, lambda _: None)
        if not channels:
            said = "nobody is told: that is what the configuration says (slack = false)"
            return {NOTIFY: lambda: Finding(NOTIFY, State.OK, said)}
        return {channel.name: lambda channel=channel: self._channel(channel) for channel in channels}  # type: ignore[misc]

    def _channel(self, channel: object) -> Finding:
        name = str(getattr(channel, "name", ""))
        if isinstance(channel, Unusable):
            return _missing(name, channel.problem)
        address, proxy = _address_of(name, self.env, self.variables)
        return self._reach(name, address, proxy, "nothing was posted")

    def _reach(self, what: str, address: str, proxy: str | None, besides: str) -> Finding:
        """Whether the host answers: its front page is asked for, without the path, which is a password."""
        parts = urlsplit(address)
        origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        try:
            HttpClient(proxy=proxy, clock=self.clock).get(f"{origin}/", timeout_s=_REACH_S, limit_bytes=1024)
        except HttpProblem as problem:
            return _unreached(what, problem, "check the network, and the proxy of the configuration")
        return Finding(what, State.OK, f"{origin} answers; {besides}")

    def _metrics(self) -> dict[str, Callable[[], Finding]]:
        table = self.env.metrics
        if not table:
            return {}
        prometheus = PrometheusClient(table, self.variables, self.clock)
        return {
            metric_id(metric.id): partial(self._metric, metric, prometheus)
            for metric in self.env.metric_checks
        }

    def _metric(self, metric: Metric, prometheus: PrometheusClient) -> Finding:
        what, look = metric_id(metric.id), ask_metric(self.env, metric, prometheus)
        if look.kind is None:
            return Finding(what, State.OK, look.text if look.within else f"{look.text}: it would fail now")
        state = State.UNKNOWN if look.kind in _NO_METRIC_NOW else State.MISSING
        mend = f"check [environments.{self.env.name}.metrics] and the check {metric.id}"
        return Finding(what, state, look.text, mend)

    def _repository(self) -> dict[str, Callable[[], Finding]]:
        env = self.env
        found: dict[str, Callable[[], Finding]] = {}
        if env.github is not None:
            found["github token"] = self._github
        if env.git is not None:
            found["git"] = self._git
        if env.migrations is not None and env.migrations.database_env is not None:
            found["database"] = self._database
        return found

    def _github(self) -> Finding:
        table, what = self.env.github, "github token"
        if table is None:
            return Finding(what, State.OK, "not configured")
        try:
            choose_token(table, self.variables)
        except UsageProblem as problem:
            return _missing(what, problem)
        besides = f"{table.token_env} is set; what it may do was not asked"
        return self._reach(what, table.api_url, table.proxy, besides)

    def _git(self) -> Finding:
        env, what, mend = self.env, "git", "check the tables git and migrations, and fetch the branch"
        if env.git is None:
            return Finding(what, State.OK, "not configured")
        folder = Path(env.base_dir) / Path(env.git.checkout).expanduser()
        checkout = GitCheckout(folder, self.processes)
        try:
            commit = checkout.resolve_ref(env.git.branch)
            paths = env.migrations.paths if env.migrations is not None else ()
            empty = [path for path in paths if not checkout.read_files(commit, path)]
        except ProcessProblem as problem:
            return Finding(what, State.MISSING, str(problem), mend)
        if empty:
            return Finding(what, State.MISSING, f"{env.git.branch} holds nothing at {', '.join(empty)}", mend)
        return Finding(what, State.OK, f"{env.git.branch} is at {commit[:10]} in {folder}")

    def _database(self) -> Finding:
        table, what = self.env.migrations, "database"
        if table is None:
            return Finding(what, State.OK, "not configured")
        try:
            rows = fetch_versions(table, self.variables, Path(self.env.base_dir))
        except ZkRollbackError as problem:
            mend = f"check the variable {table.database_env} and the database"
            return Finding(what, State.MISSING, str(problem), mend)
        return Finding(what, State.OK, f"the query brings {len(rows)} rows, read-only")


def find_environment(rootpath: Path, config_file: str | None, name: str) -> Environment | Finding:
    """The environment, or what is wrong with the configuration. Nothing is contacted.

    Raises UsageProblem for the drill, which has no configuration.
    """
    if name == DRILL:
        raise UsageProblem("--env=drill makes its own cluster and configuration: there is nothing to check.")
    try:
        return load_environment(find_config(rootpath, config_file), name)
    except UsageProblem as problem:
        said = str(problem).removesuffix("; helm did not run.")
        return Finding(
            "configuration", State.MISSING, said, "correct it (docs/configuration.md has all keys)"
        )


def fetch_roles(doctor: Doctor) -> str:
    """The Roles for this release, as YAML. Raises ZkRollbackError where the release cannot be read."""
    env = doctor.env
    register_secrets_of_environment(doctor.redactor, env, doctor.variables)
    kube = doctor.connect()
    history = fetch_history(kube, env.namespace, env.release)
    register_secrets_of_release(doctor.redactor, history, env.namespace)
    return render_rbac(fetch_release_rights(kube, env, history), env)


def run_doctor(doctor: Doctor, rootpath: Path, say: Say) -> int:
    """Say each check, as soon as it is known; 0 if all are ok, else 1."""
    register_secrets_of_environment(doctor.redactor, doctor.env, doctor.variables)
    where = describe(find_config(rootpath, doctor.config_file))
    findings = [Finding("configuration", State.OK, f"environment {doctor.env.name} of {where} is valid")]
    say(findings[0].render)
    for finding in doctor.examine():
        findings.append(finding)
        say(finding.render)
    return conclude(findings, say)


def conclude(findings: Sequence[Finding], say: Say) -> int:
    """The last line, and the exit code."""
    wrong = [finding.what for finding in findings if finding.state is not State.OK]
    said = f"All {len(findings)} checks are ok."
    if wrong:
        said = f"{len(wrong)} of {len(findings)} checks are not ok: {', '.join(wrong)}."
    said = f"{said} Nothing was changed, and nobody was told."
    say(lambda width: fit(said, width, "bold"))
    return 1 if wrong else 0


def judge_rights(
    what: str,
    needs: Sequence[Need],
    missing: Sequence[Need],
    unread: Sequence[str],
    env: Environment,
    prints_roles: str,
) -> Finding:
    """Missing where a needed right is; what is only helpful is named. ``unread`` may need more."""
    lacking = [need for need in missing if not need.helpful]
    if lacking:
        said = "; ".join(f"{_spoken(need, env.namespace)} ({need.why})" for need in lacking)
        mend = f"{prints_roles} prints the Roles"
        return Finding(what, State.MISSING, f"you may not: {said}", mend)
    if unread:
        said = f"what {', '.join(unread)} needs is not known: it cannot be read"
        return Finding(what, State.UNKNOWN, said)
    said = f"all {sum(not need.helpful for need in needs)} are there"
    helpful = [f"{_spoken(need, env.namespace)} ({need.why})" for need in missing]
    if helpful:
        said += f"; without these a run only says less: {'; '.join(helpful)}"
    return Finding(what, State.OK, said)


def _spoken(need: Need, namespace: str) -> str:
    names = f" {', '.join(sorted(need.names))}" if need.names else ""
    right = need.right.spoken(namespace)
    return (
        right.replace(" in namespace", f"{names} in namespace") if " in namespace" in right else right + names
    )


def _value(what: str, answer: ProbeResult[Finding]) -> Finding:
    if answer.value is not None:
        return answer.value
    return Finding(what, State.UNKNOWN, f"no answer within {_ASK_S:g} s" if not answer.error else answer.why)


def _why(answer: ProbeResult[ReleaseHistory]) -> str:
    return answer.why.rstrip(".")


def _login(user: ProbeResult[str]) -> Finding:
    what, mend = "login", "log in to the cluster, and start again"
    if user.value == _ANONYMOUS:
        return Finding(what, State.MISSING, "the API server does not know who you are", mend)
    if user.value is not None:
        said = f"the API server knows you as {user.value}" if user.value else "the API server accepts you"
        return Finding(what, State.OK, said)
    known = isinstance(user.error, Unauthorized | KubeconfigProblem)
    return Finding(what, State.MISSING if known else State.UNKNOWN, user.why)


def _fetch_user(kube: Kube) -> str:
    """Who the API server says that we are; empty: it accepts us and does not say. Raises ClusterError."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = kube.send("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body)
    except NotFound:  # Kubernetes before 1.28
        kube.get("/api/v1")
        return ""
    return str(((answer.get("status") or {}).get("userInfo") or {}).get("username") or "")


def _identity(guard: Guard, answer: ProbeResult[str], env: Environment) -> Finding:
    if guard.reason is GuardReason.NOT_PINNED and answer.value is None:
        return Finding("identity", State.UNKNOWN, answer.why)
    if guard.reason is not GuardReason.NOT_PINNED:
        return _of_guard("identity", guard, "check context and identity in the configuration")
    mend = f'add kube_system_uid = "{answer.value}" to [environments.{env.name}.identity]'
    return Finding("identity", State.MISSING, "the cluster is not pinned", mend)


def _of_guard(what: str, guard: Guard, mend: str) -> Finding:
    """A guard that only warns stops no rollback: its words stand behind the ok."""
    if guard.unknown:
        return Finding(what, State.UNKNOWN, guard.evidence)
    if guard.state is GuardState.REFUSED:
        return Finding(what, State.MISSING, guard.evidence, mend)
    return Finding(what, State.OK, guard.evidence)


def _missing(what: str, problem: ZkRollbackError) -> Finding:
    if isinstance(problem, SettingProblem):
        return Finding(what, State.MISSING, problem.what, problem.mend)
    return Finding(what, State.MISSING, str(problem))


def _unreached(what: str, problem: HttpProblem, mend: str) -> Finding:
    state = State.UNKNOWN if problem.kind in _SAYS_NOTHING else State.MISSING
    return Finding(what, state, str(problem), mend)


def _is_program(program: str, folder: Path, path: str | None) -> bool:
    found = str(folder / program) if "/" in program else program
    return shutil.which(found, path=path) is not None


def find_script(program: str, words: Sequence[str]) -> str:
    """The file that an interpreter is to run; empty: there is none, or that is not known."""
    name = Path(program).name
    # What takes a word of its own, and what stands for a file.
    takes, code = {True: ("oO", "cs"), False: ("WX", "cm")}[name in _SHELLS]
    rest = list(words)
    while rest and name in _INTERPRETERS:
        word = rest.pop(0)
        if word == "--" and rest:
            word = f"./{rest.pop(0)}"
        if not word.startswith(("-", "+")):
            return "" if "{url}" in word else word
        if name not in (*_SHELLS, *_PYTHONS) or word.startswith("--") or set(word[1:]) & set(code):
            return ""
        if word[-1] in takes and rest:
            rest.pop(0)
    return ""


def _address_of(name: str, env: Environment, variables: Mapping[str, str]) -> tuple[str, str | None]:
    """Address and proxy of one of our channels."""
    if name == SLACK and env.slack is not False:
        slack = env.slack
        address = slack.api_url if slack.token_env is not None else variables.get(slack.webhook_env, "")
        return address.strip(), slack.proxy
    if name == WEBHOOK:
        return variables.get(env.notify.webhook_env or "", "").strip(), env.notify.webhook_proxy
    if name == TEAMS:
        return variables.get(env.notify.teams_env or "", "").strip(), env.notify.teams_proxy
    if name == GITHUB and env.github is not None:
        return env.github.api_url, env.github.proxy
    return "", None
