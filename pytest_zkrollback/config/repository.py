"""What an environment says of the service's repository, and of the database that it migrates."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ..domain.health_answer import parse_member
from .base import Seconds, Table


class Git(Table):
    """A checkout of the service's repository: commits and migrations are read there, nothing is fetched."""

    checkout: str = Field(min_length=1, description="its folder, relative to the configuration file")
    branch: str = Field(
        default="origin/main",
        pattern=r"^[A-Za-z0-9._/][A-Za-z0-9._/-]*$",
        description="the branch that ships by itself with the next merge",
    )
    revision_annotation: str = Field(
        default="org.opencontainers.image.revision",
        min_length=1,
        description="annotation or label of the manifest with the commit; else image tags and appVersion",
    )
    ref: str | None = Field(
        default=None,
        pattern=r"^([A-Za-z0-9._/][A-Za-z0-9._/-]*)?\{(app_version|tag)\}[A-Za-z0-9._/-]*$",
        description="instead: the commit's git tag or branch, made of {app_version} or {tag} (of the images)",
    )


class Migrations(Table):
    """How this service migrates its database, and where that can be seen (docs/migrations.md)."""

    hooks_only: bool = Field(
        default=False,
        description="nothing but hooks, Jobs and init containers migrates here",
    )
    accounted_for: tuple[str, ...] = Field(
        default=(),
        description="hooks, Jobs, init containers, by name, that change only what files or schema show",
    )
    kind: Literal["alembic", "django", "flyway", "golang-migrate", "sql"] | None = Field(
        default=None, description="what the files in `paths` are for"
    )
    paths: tuple[str, ...] = Field(
        default=(), description="folders of migration files in the [git] checkout, from its top"
    )
    database_env: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="name of the variable that holds the database's URL: postgresql://... or sqlite:///FILE",
    )
    query: str | None = Field(
        default=None, description="reads the applied versions, in a read-only transaction; default: by `kind`"
    )
    health: str | None = Field(
        default=None,
        min_length=1,
        description="member of the restored application's /health with the schema's version",
    )
    expected: str | None = Field(
        default=None,
        pattern=r"^ConfigMap/[^/]+/.+$",
        description="ConfigMap/NAME/KEY of the target's manifest with the version that it expects",
    )
    timeout_s: Seconds = Field(
        default=4, description="for connecting to the database, and again for the query"
    )

    @field_validator("health")
    @classmethod
    def _member(cls, health: str | None) -> str | None:
        if health is not None:
            parse_member(health)
        return health

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.paths and self.kind is None:
            raise ValueError("paths need a kind: alembic, django, flyway, golang-migrate or sql")
        if self.kind is not None and not self.paths:
            raise ValueError("kind needs paths: the folders of the migration files")
        reads = self.database_env is not None or self.health is not None
        if reads and self.kind is None and self.expected is None:
            raise ValueError("database_env and health need kind and paths, or expected, to be compared with")
        if self.expected is not None and not reads:
            raise ValueError("expected needs database_env or health to be compared with")
        if self.database_env is not None and self.query is None and self.kind in (None, "sql"):
            raise ValueError("database_env needs a query, as no usual table is known for this kind")
        if not (reads or self.kind is not None or self.hooks_only):
            raise ValueError("it names no source: kind and paths, database_env, health, or hooks_only = true")
        if self.accounted_for and not (reads or self.kind is not None):
            raise ValueError("accounted_for needs kind and paths, database_env or health, which show it")
        return self
