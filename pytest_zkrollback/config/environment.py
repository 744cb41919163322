"""An environment: where the release lives and what "restored" means there. Secrets are named, never held."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from ..domain.health_answer import parse_member
from ..domain.links import template_problem
from ..domain.time_zones import zone_problem
from .base import Seconds, Table
from .ignored_fields import Ignore
from .repository import Git, Migrations

Argv = Annotated[tuple[str, ...], Field(min_length=1)]

# Where a token is sent along: unencrypted it may not leave this machine.
_PROXY = r"^https?://[^\s/]+/?$"
_ENCRYPTED = r"^(https://|http://(127\.0\.0\.1|localhost|\[::1\])([:/]|$))"
_WORKLOAD = re.compile(r"(deployment|statefulset|daemonset)/[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


class Identity(Table):
    """Pins the cluster: what the context points at must be this one, or helm does not run."""

    kube_system_uid: str = Field(min_length=1, description="UID of the kube-system namespace")


class Smoke(Table):
    """The runbook's smoke test: ``bash scripts/smoke-test.sh <deploy-url>``."""

    command: Argv = Field(
        default=("bash", "scripts/smoke-test.sh", "{url}"),
        description="argv, no shell; {url} becomes the environment's url",
    )
    cwd: str = Field(default=".", description="working folder, relative to the configuration file")
    timeout_s: Seconds = Field(default=120, description="then its process group is ended, and the item fails")


class Health(Table):
    """The runbook's ``/health``: which path, and which JSON members have to have which value."""

    path: str = Field(default="/health", pattern=r"^/", description="appended to the url")
    expect: dict[str, str | bool | int] = Field(
        default={"database": "ok"}, min_length=1, description="member (how to write it: below) -> exact value"
    )
    passes: int = Field(default=3, ge=1, le=100, description="passes in a row")
    interval_s: Seconds = Field(default=0.05, description="between two requests")
    timeout_s: Seconds = Field(default=5, description="total for one request")
    deadline_s: Seconds = Field(default=30, description="once the rollouts have settled")

    @field_validator("expect", mode="before")
    @classmethod
    def _members(cls, expect: object) -> object:
        for path, value in expect.items() if isinstance(expect, dict) else ():
            parse_member(path)
            if not isinstance(value, str | bool | int):
                raise ValueError(
                    f"what {path} has to be is text, true, false or a whole number; a table inside it is "
                    f'written as a path, in quotes: "{path}.MEMBER" = "ok"'
                )
        return expect


class Logs(Table):
    """The runbook's ``kubectl logs -l app=zkprova-backend --tail=50``."""

    selector: str = Field(
        default="app=zkprova-backend",
        min_length=1,
        description="of the pods to read; `auto`: all of the release's workloads, the default beside "
        '`workloads = "auto"`',
    )
    patterns: tuple[str, ...] = Field(
        default=(
            r"(?i)\bpanic(ked)?\b",
            r"Traceback \(most recent call last\)",
            r"(?i)\bfatal\b",
            r"(?i)\bout of memory\b",
        ),
        description="regular expressions that make a log line bad",
    )
    tail: int = Field(default=50, ge=1, le=10000, description="lines kept as evidence per container")
    timeout_s: Seconds = Field(
        default=15, description="for all logs together; ten times that where there are many and none fails"
    )

    @field_validator("patterns")
    @classmethod
    def _compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return patterns


class Reload(Table):
    """A ConfigMap or Secret whose files the application reads again by itself."""

    kind: Literal["ConfigMap", "Secret"] = Field(description="its kind")
    name: str = Field(min_length=1, description="its name")


class Events(Table):
    """The runbook's look at the events; docs/events.md lists the reasons that are known."""

    grace_s: float = Field(default=0, ge=0, le=3600, description="judge events from this long after helm")
    harmful: tuple[str, ...] = Field(
        default=(), description="more reasons (or `Reason on Kind/name`): FAIL while the object is not well"
    )
    harmless: tuple[str, ...] = Field(
        default=(),
        description="reasons, or `Reason on Kind/name`, that only stand in the evidence",
    )


class Slack(Table):
    """Where the team hears of it: an incoming webhook, or a channel by a bot's token."""

    webhook_env: str = Field(
        default="SLACK_WEBHOOK_URL",
        min_length=1,
        description="name of the environment variable that holds the incoming webhook's URL",
    )
    token_env: str | None = Field(
        default=None,
        min_length=1,
        description="name of the variable that holds a bot token, which then takes the webhook's place: "
        "start and end in a thread, the report as a file; needs `pytest-zkrollback[slack]`",
    )
    channel: str | None = Field(
        default=None, pattern=r"^[CGD][A-Z0-9]{2,}$", description="id of the bot's channel, C..."
    )
    api_url: str = Field(
        default="https://slack.com/api/",
        pattern=_ENCRYPTED,
        description="GovSlack: https://slack-gov.com/api/",
    )
    proxy: str | None = Field(default=None, pattern=_PROXY, description="proxy for Slack, none by default")
    timeout_s: Seconds = Field(default=10, description="for one try")

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.token_env is None) != (self.channel is None):
            raise ValueError("token_env and channel go together: the bot's token and the id of its channel")
        return self


class Notify(Table):
    """Who else is told, and of what; Slack has its own table."""

    verify_only: bool = Field(
        default=True,
        description="false: a run that only verifies tells nobody, and `notify` is WAIVED by configuration",
    )
    webhook_env: str | None = Field(
        default=None, min_length=1, description="name of the variable with a URL that gets the news as JSON"
    )
    webhook_proxy: str | None = Field(
        default=None, pattern=_PROXY, description="proxy for that URL; none from the environment is used"
    )
    teams_env: str | None = Field(
        default=None, min_length=1, description="name of the variable with the URL of a Teams workflow"
    )
    teams_proxy: str | None = Field(
        default=None, pattern=_PROXY, description="proxy for Teams; none from the environment is used"
    )
    github_issue: Annotated[int, Field(gt=0)] | Literal["incident"] | None = Field(
        default=None,
        description="comment on this issue or pull request of the table `github`; `incident`: on the one "
        "that --rollback-incident names, or that this rollback opens",
    )
    timeout_s: Seconds = Field(default=10, description="for one try")


class Metric(Table):
    """One metric that shows whether users are served: item `metric-ID`."""

    id: str = Field(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=50, description="item `metric-ID`; unique"
    )
    title: str = Field(min_length=1, description="the item's line in a person's words")
    query: str = Field(
        min_length=1,
        max_length=4000,
        description="PromQL with one series as its answer; {namespace} and {release} are filled in, other "
        "braces stay",
    )
    count_query: str | None = Field(
        default=None,
        min_length=1,
        max_length=4000,
        description="PromQL with one number: how many requests failed in the incident; {range} (its length: "
        "`754s`), {from} and {to} (Unix times), {namespace} and {release} are filled in. It judges nothing",
    )
    max: float | None = Field(default=None, allow_inf_nan=False, description="in order: at most this")
    min: float | None = Field(
        default=None, allow_inf_nan=False, description="in order: at least this; one of the two is needed"
    )
    unit: str = Field(default="", max_length=20, description="what the values are: `%`, `ms`, `requests/s`")
    settle_s: float = Field(
        default=120,
        ge=0,
        le=3600,
        description="not judged before, counted from helm's end: at least the longest range in the query",
    )
    for_s: float = Field(default=60, ge=1, le=3600, description="has to be in order for so long after that")
    deadline_s: Annotated[float, Field(gt=0, le=14400)] | None = Field(
        default=None,
        description="from helm's end: out of bounds then is FAIL, not known UNVERIFIED; default: settle_s + "
        "for_s and once more for_s, at least 60",
    )
    when_empty: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="what no series, or NaN, counts as; by default that is not known",
    )

    @property
    def gives_up_s(self) -> float:
        """The deadline, from helm's end."""
        return self.deadline_s or self.settle_s + self.for_s + max(self.for_s, 60.0)

    @model_validator(mode="after")
    def _limits(self) -> Self:
        if self.max is None and self.min is None:
            raise ValueError("it needs max or min: what is in order")
        if self.max is not None and self.min is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}: nothing would be in order")
        if self.count_query is not None and "{range}" not in self.count_query:
            raise ValueError("count_query needs {range}, as in increase(x[{range}]): the time that it counts")
        if self.gives_up_s < self.settle_s + self.for_s:
            raise ValueError(
                f"deadline_s {self.gives_up_s:g} is below settle_s + for_s, {self.settle_s + self.for_s:g}: "
                "it could never pass"
            )
        return self


class Metrics(Table):
    """Prometheus, or what speaks its API (Thanos, Mimir, VictoriaMetrics), and the metrics to judge."""

    url: str = Field(
        pattern=r"^https?://[^\s/@?#]+(/[^\s?#]*)?$",
        description="what stands before `/api/v1/query`, without a password",
    )
    token_env: str | None = Field(
        default=None, min_length=1, description="name of the variable that holds a bearer token"
    )
    headers_env: dict[str, Annotated[str, Field(min_length=1)]] = Field(
        default={},
        description='header -> name of the variable that holds its value: `{ "X-Scope-OrgID" = "TENANT" }`',
    )
    ca_file: str | None = Field(default=None, description="CA bundle to verify the url with")
    proxy: str | None = Field(
        default=None, pattern=_PROXY, description="proxy for the url; none from the environment is used"
    )
    timeout_s: Annotated[float, Field(gt=0, le=60)] = Field(default=5, description="total for one question")
    users_impacted: str | None = Field(
        default=None,
        description="id of the check that also answers the decision's signal `users-impacted`, before helm",
    )
    checks: tuple[Metric, ...] = Field(
        min_length=1, max_length=20, description="`[[environments.NAME.metrics.checks]]`, in this order"
    )

    @model_validator(mode="after")
    def _checked(self) -> Self:
        ids = [check.id for check in self.checks]
        twice = sorted({each for each in ids if ids.count(each) > 1})
        if twice:
            raise ValueError(f"two checks have the id {twice[0]}: each needs one of its own")
        if self.users_impacted is not None and self.users_impacted not in ids:
            raise ValueError(f"users_impacted names {self.users_impacted}: the checks are {', '.join(ids)}")
        wrong = [name for name in self.headers_env if not re.fullmatch(r"[A-Za-z0-9-]+", name)]
        if wrong:
            raise ValueError(f"headers_env: {wrong[0]!r} is no name of a header: letters, digits and dashes")
        if self.token_env is not None and "authorization" in map(str.lower, self.headers_env):
            raise ValueError(
                "the header Authorization stands in headers_env or is made of token_env, not both"
            )
        if (self.token_env or self.headers_env) and not re.match(_ENCRYPTED, self.url):
            raise ValueError("url has to be https:// where a token or headers are sent along")
        return self


class GithubActions(Table):
    """The runbook's second way: the repository and the workflow that deploy this environment."""

    repository: str = Field(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$", description="owner/name")
    workflow: str = Field(default="Deploy", min_length=1, description="the workflow's name or file")
    branch: str = Field(default="main", min_length=1, description="the branch that is deployed")
    deploy: Literal["push", "dispatch"] = Field(
        default="push", description="push: a merge deploys it; dispatch: somebody runs the workflow"
    )
    after: str | None = Field(
        default=None, description="environment that has to be verified with the same tree first"
    )
    inputs: dict[str, str] = Field(
        default={"environment": "{environment}"},
        max_length=25,
        description="the workflow's inputs; {environment} and {intent} (for the run's name) are filled in",
    )
    token_env: str = Field(
        default="GITHUB_TOKEN",
        min_length=1,
        description="name of the variable that holds the token",
    )
    api_url: str = Field(
        default="https://api.github.com",
        pattern=_ENCRYPTED,
        description="of GitHub Enterprise Server: https://HOST/api/v3",
    )
    ca_file: str | None = Field(default=None, description="CA bundle to verify the API with")
    proxy: str | None = Field(default=None, pattern=_PROXY, description="proxy for the API, none by default")
    timeout_s: Seconds = Field(default=15, description="total for one request")
    poll_s: Seconds = Field(default=10, description="between two looks while waiting")
    approval_timeout_s: Annotated[float, Field(gt=0, le=86400)] = Field(
        default=1800, description="wait for reviews and checks of the pull request, then it stays open"
    )
    start_timeout_s: Seconds = Field(
        default=90, description="wait for the push run to appear; after that the workflow is dispatched"
    )
    run_timeout_s: Annotated[float, Field(gt=0, le=86400)] = Field(
        default=3600, description="wait for the run's end, approvals of environments included"
    )


class Environment(Table):
    """One ``[environments.NAME]`` table, validated. Durations are seconds."""

    name: str
    context: str = Field(min_length=1, description="kubeconfig context")
    in_cluster: bool = Field(default=False, description="use the pod's own service account, no kubeconfig")
    kubeconfig: str | None = Field(default=None, description="file to use instead of $KUBECONFIG")
    namespace: str = Field(
        default="default",
        description="where the release lives",
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        max_length=63,
    )
    release: str = Field(
        default="zkprova",
        description="name of the Helm release",
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        max_length=53,
    )
    protected: bool = Field(default=False, description="helm runs only with --rollback-confirm=NAME")
    identity: Identity | None = Field(default=None, description="pins the cluster; required where protected")
    url: str | Literal[False] | None = Field(
        default=None,
        description="where users reach the service; false: nowhere, so that what needs it is WAIVED",
    )
    ca_file: str | None = Field(default=None, description="CA bundle to verify the url with")
    proxy: str | None = Field(
        default=None, pattern=_PROXY, description="proxy for the url; none from the environment is used"
    )
    workloads: dict[str, str] | Literal["auto"] = Field(
        description="item name -> kind/name: item `rollout-NAME`, in this order; or `auto`: every "
        "Deployment, StatefulSet and DaemonSet of the target's manifest, by its own name",
    )
    zero_replicas: tuple[str, ...] = Field(default=(), description="workloads meant to stand at zero")
    rollout_timeout_s: Seconds = Field(default=120, description="the runbook's --timeout=120s")
    soak_s: float = Field(
        default=10,
        ge=0,
        le=3600,
        description="watched this long after the provisional green, a late crash fails the run; 0: off; "
        "metrics prolong it",
    )
    soak_max_s: float = Field(
        default=60,
        ge=1,
        le=3600,
        description="as long at most, where a restart or a liveness probe takes longer to show how it ends",
    )
    helm: str | None = Field(default=None, description="helm binary; by default the one on PATH")
    helm_timeout_s: Seconds = Field(default=120, description="helm's own --timeout")
    preflight_budget_s: Seconds = Field(default=5, description="for all read-only preflight together")
    smoke: Smoke | Literal[False] = Field(
        default=Smoke(), description="the runbook's smoke test; false: left out, WAIVED"
    )
    health: Health | Literal[False] = Field(
        default=Health(), description="the runbook's /health; false: left out, WAIVED"
    )
    logs: Logs = Field(default=Logs(), description="the runbook's look at the logs")
    field_managers: tuple[str, ...] = Field(
        default=(),
        description="whose additions to pod templates, ConfigMaps and Secrets are no drift, besides helm's",
    )
    reloads: tuple[Reload, ...] = Field(
        default=(),
        description='`{ kind = "ConfigMap", name = "..." }`: its files are read again when they change',
    )
    ignore: tuple[Ignore, ...] = Field(
        default=(),
        description='`{ kind = "ValidatingWebhookConfiguration", name = "*", path = '
        '"webhooks[*].clientConfig.caBundle" }`: live fields that may differ from the manifest; never what '
        "runs",
    )
    events: Events = Field(default=Events(), description="the runbook's look at the events")
    slack: Slack | Literal[False] = Field(
        default=Slack(), description="false: Slack is not told; if nobody else is, notify is WAIVED"
    )
    notify: Notify = Field(default=Notify(), description="who else is told, and of what")
    metrics: Metrics | Literal[False] | None = Field(
        default=None, description="metrics of Prometheus as items of the checklist; false: none here"
    )
    report_url: str | None = Field(
        default=None,
        pattern=r"^https?://[\w.~:/?#@!$&()*+,;=%-]+$",
        description="where people find the files of `reports/`; messages link to it",
    )
    report_timezone: str | None = Field(
        default=None,
        description="the readers' time zone, e.g. `Europe/Berlin`: its time stands beside UTC on page and "
        "Markdown",
    )
    links: dict[str, str] = Field(
        default={},
        max_length=12,
        description="name -> address, as links in report and messages; {from_ms}, {to_ms}, {namespace}, "
        "{release} and {revision} are filled in; `commit` stands for each commit, with {commit}",
    )
    github: GithubActions | None = Field(default=None, description="rolling back through GitHub Actions")
    gate: bool = Field(
        default=False,
        description="for a pipeline: what is verified is an ordinary deploy, as with `--zkrollback-gate`",
    )
    git: Git | None = Field(default=None, description="checkout of the service, for commits and migrations")
    migrations: Migrations | None = Field(default=None, description="how this service migrates its database")
    base_dir: str = Field(default=".", exclude=True, description="folder of the configuration file")

    @model_validator(mode="after")
    def _repository_of_the_comment(self) -> Self:
        if self.notify.github_issue is not None and self.github is None:
            raise ValueError("notify.github_issue needs the table github with its repository")
        return self

    @model_validator(mode="before")
    @classmethod
    def _logs_of_all(cls, values: object) -> object:
        """Whoever does not name workloads has no label to name either."""
        if isinstance(values, dict) and values.get("workloads") == "auto":
            logs = values.get("logs", {})
            if isinstance(logs, dict):
                return {**values, "logs": {"selector": "auto", **logs}}
        return values

    @model_validator(mode="after")
    def _files_need_a_checkout(self) -> Self:
        if self.migrations is not None and self.migrations.kind is not None and self.git is None:
            raise ValueError("migrations.paths need a [git] checkout to be read in")
        return self

    @model_validator(mode="after")
    def _version_needs_health(self) -> Self:
        if self.migrations is None or self.migrations.health is None:
            return self
        if self.health_off:
            raise ValueError(
                f"migrations.health asks /health, and {self.health_off} = false says that there is none"
            )
        return self

    @field_validator("url", mode="before")
    @classmethod
    def _url(cls, url: object) -> object:
        if url is None or url is False or (isinstance(url, str) and re.match(r"https?://", url)):
            return url
        raise ValueError("it has to begin with https:// or http://, or be false: there is none")

    @field_validator("report_timezone")
    @classmethod
    def _zone(cls, name: str | None) -> str | None:
        if name is not None and (problem := zone_problem(name)):
            raise ValueError(problem)
        return name

    @field_validator("links")
    @classmethod
    def _links(cls, links: dict[str, str]) -> dict[str, str]:
        for name, template in links.items():
            if problem := template_problem(name, template):
                raise ValueError(problem)
        return links

    @field_validator("smoke", "health", "slack", "metrics", mode="before")
    @classmethod
    def _table_or_false(cls, table: object) -> object:
        if table is False or isinstance(table, dict | Table):
            return table
        raise ValueError("it has to be a table, or false: left out")

    @field_validator("workloads", mode="before")
    @classmethod
    def _workloads(cls, workloads: object) -> object:
        if workloads == "auto":
            return workloads
        if not isinstance(workloads, dict) or not workloads:
            raise ValueError('name them, as in { api = "deployment/NAME" }, or say "auto"')
        for item, target in workloads.items():
            if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", item):
                raise ValueError(f"{item!r} is no item name: lower-case letters, digits and dashes")
            if not isinstance(target, str) or not _WORKLOAD.fullmatch(target):
                raise ValueError(
                    f"{target!r} is no workload: use deployment/NAME, statefulset/NAME or daemonset/NAME"
                )
        return workloads

    @property
    def kube_context(self) -> str | None:
        """The kubeconfig's context; None: the pod's own service account is used."""
        return None if self.in_cluster else self.context

    @property
    def health_off(self) -> str:
        """The key that leaves ``/health`` out, ``health`` or ``url``, which is false; empty: none does."""
        return "health" if self.health is False else "url" if self.url is False else ""

    @property
    def metric_checks(self) -> tuple[Metric, ...]:
        """The metrics to judge, in the configuration's order."""
        return self.metrics.checks if self.metrics else ()

    @property
    def named_workloads(self) -> dict[str, str]:
        """Item name -> kind/name; with ``auto`` empty until the manifest is known."""
        return self.workloads if isinstance(self.workloads, dict) else {}


def secret_variables(env: Environment) -> frozenset[str]:
    """The variables whose values may stand nowhere: those that the keys ``..._env`` of the tables name."""
    tables = (env.notify, env.slack, env.github, env.metrics)
    given = [table for table in tables if isinstance(table, Table)]
    named = [
        getattr(table, key) for table in given for key in type(table).model_fields if key.endswith("_env")
    ]
    found: set[str] = set()
    for names in named:
        found |= set(names.values()) if isinstance(names, dict) else {names} if names is not None else set()
    return frozenset(found)
