"""What a run has to keep to itself, told to the redactor as soon as it is known."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence

from ..clients.database import passwords_in
from ..config.environment import Environment, secret_variables
from ..domain.checks import JsonObject
from ..domain.secret_names import names_a_secret
from ..release.history import ReleaseHistory
from ..release.manifest import secret_values
from ..report.redaction import Redactor

# An address with a password, whatever its variable is called.
_WITH_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/@]*:[^\s/@]+@")


def redactor_of_this_process() -> Redactor:
    """One that knows the secrets among the environment variables."""
    redactor = Redactor()
    register_secrets_of_variables(redactor, os.environ)
    return redactor


def register_secrets_of_variables(
    redactor: Redactor, variables: Mapping[str, str], named: Iterable[str] = ()
) -> None:
    """The values of variables that are called a secret, hold an address with a password, or are ``named``."""
    wanted = frozenset(named)
    for name, value in variables.items():
        if names_a_secret(name) or name in wanted or _WITH_PASSWORD.match(value):
            redactor.add(value, name)


def register_secrets_of_environment(
    redactor: Redactor, env: Environment, variables: Mapping[str, str]
) -> None:
    """What the configuration names, and passwords in its addresses; its own names stay readable."""
    urls = (env.url, env.proxy, env.metrics.url if env.metrics else None)
    addresses = [address for address in urls if address]
    redactor.spare(
        [env.name, env.context, env.namespace, env.release, *env.named_workloads.values()]
        + [address for address in addresses if not _WITH_PASSWORD.match(address)]
    )
    proxies = [
        env.github.proxy if env.github is not None else None,
        env.slack.proxy if env.slack is not False else None,
        env.notify.webhook_proxy,
        env.notify.teams_proxy,
        env.metrics.proxy if env.metrics else None,
    ]
    addresses += [address for address in proxies if address]
    register_secrets_of_variables(redactor, variables, secret_variables(env))
    database = (env.migrations.database_env if env.migrations is not None else None) or ""
    for password in passwords_in(variables.get(database, "")):
        redactor.add(password, database)
    for address in addresses:
        if _WITH_PASSWORD.match(address):
            redactor.add(address)


def register_secrets_of_release(redactor: Redactor, history: ReleaseHistory, namespace: str) -> None:
    """The values of the release's own Secrets, of every revision; the names of its objects stay readable."""
    register_secrets_of_objects(
        redactor, [item for release in history.releases for item in release.read(namespace).objects]
    )


def register_secrets_of_objects(redactor: Redactor, objects: Sequence[JsonObject]) -> None:
    """The same of objects of a manifest."""
    redactor.spare(str(item.get("metadata", {}).get("name", "")) for item in objects)
    for item in objects:
        if item.get("kind") == "Secret":
            for value in secret_values(item):
                redactor.add(value)
