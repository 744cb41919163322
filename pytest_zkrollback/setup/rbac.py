"""The smallest Roles for a release, as YAML for ``kubectl apply``. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple

import yaml

from ..preflight.permissions import Need, merged
from ..report.sanitize import inert_line

if TYPE_CHECKING:
    from ..config.environment import Environment
    from .release_rights import ReleaseRights

_LABEL = "zkrollback/purpose"
_WIDTH = 100
_GRANTS = {
    "escalate": (
        "ESCALATE: whoever has this may write any right into these roles, also rights that they do not have. "
        "Instead of it you can grant every right that the roles hold."
    ),
    "bind": (
        "BIND: whoever has this may give these roles to anybody, also to themselves. Instead of it you can "
        "grant every right that the roles hold."
    ),
}


class _Rule(NamedTuple):
    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...]
    whys: tuple[str, ...]


def render_rbac(rights: ReleaseRights, env: Environment) -> str:
    """Both parts: for verifying alone, and for rolling back (which verifies, too)."""
    both = merged((*_ungrouped(rights.verify), *_ungrouped(rights.rollback)))
    grants = [need for need in rights.rollback if need.right.verb in _GRANTS]
    revisions = ", ".join(map(str, rights.revisions))
    words = [
        f"Rights for release {env.release} in namespace {env.namespace} (environment {env.name}), made from "
        f"its revisions {revisions}. When a later revision brings objects of other names or kinds, print "
        "this again.",
        "It has two parts. Choose one for each account, put the account in the place of every REPLACE-ME, "
        "and apply that part:",
        f"  kubectl apply -f FILE -l {_LABEL}=verify       # verifies, and changes nothing",
        f"  kubectl apply -f FILE -l {_LABEL}=roll-back    # rolls back, and verifies",
        "A subject can also be a ServiceAccount (with its namespace, and without apiGroup) or a Group.",
        "Not in it: what your own checklist items ask, and reading what controllers outside of the chart "
        "made. Helm's records are Secrets, and their names go on: so all Secrets of that namespace are "
        "readable.",
    ]
    words += [f"NOT KNOWN: {each} cannot be read, and may need more." for each in rights.unread]
    words += _left_out((*rights.verify, *rights.rollback))
    return "\n".join(
        [
            *_comment(words),
            *_part("verify", rights.verify, env),
            *_part("roll-back", (*both, *grants), env),
            "",
        ]
    )


def _ungrouped(needs: Iterable[Need]) -> Iterator[Need]:
    return (need for need in needs if need.right.verb not in _GRANTS)


def _left_out(needs: Sequence[Need]) -> Iterator[str]:
    for need in needs:
        if _is_left_out(need):
            right = need.right.spoken("")
            yield f"Left out, because it is for the whole cluster and only helpful: {right} ({need.why})."


def _is_left_out(need: Need) -> bool:
    return need.helpful and not need.right.namespace


def _part(purpose: str, needs: Iterable[Need], env: Environment) -> Iterator[str]:
    by_place: dict[str, list[Need]] = {}
    for need in needs:
        if not _is_left_out(need):
            by_place.setdefault(need.right.namespace, []).append(need)
    for place in sorted(by_place, key=lambda each: (each != env.namespace, each)):
        # Of several releases, and of one in several namespaces, each has roles of its own. No namespace and
        # no release has a colon in its name.
        name = f"zkrollback:{env.namespace}:{env.release}:{purpose}"
        yield from _role(name, purpose, place, by_place[place])


def _role(name: str, purpose: str, place: str, needs: Iterable[Need]) -> Iterator[str]:
    kind = "Role" if place else "ClusterRole"
    where = f", namespace: {_quoted(place)}" if place else ""
    metadata = f"metadata: {{name: {_quoted(name)}{where}, labels: {{{_LABEL}: {purpose}}}}}"
    api = "rbac.authorization.k8s.io"
    yield from ("---", f"apiVersion: {api}/v1", f"kind: {kind}", metadata, "rules:")
    for rule in _rules(needs):
        grant = next((_GRANTS[verb] for verb in rule.verbs if verb in _GRANTS), "")
        yield from (f"  {line}" for line in _comment([*rule.whys, *([grant] if grant else [])]))
        yield f"  - apiGroups: [{_quoted(rule.group)}]"
        yield f"    resources: [{', '.join(map(_quoted, rule.resources))}]"
        if rule.names:
            yield f"    resourceNames: [{', '.join(map(_quoted, rule.names))}]"
        yield f"    verbs: [{', '.join(map(_quoted, rule.verbs))}]"
    yield from ("---", f"apiVersion: {api}/v1", f"kind: {kind}Binding", metadata)
    yield f"roleRef: {{apiGroup: {api}, kind: {kind}, name: {_quoted(name)}}}"
    yield from ("subjects:", f"  - {{kind: User, name: REPLACE-ME, apiGroup: {api}}}")


def _rules(needs: Iterable[Need]) -> list[_Rule]:
    """One rule for each kind and its names; kinds of one group that need the same share one.

    What lets somebody give rights away stands in rules of its own.
    """
    verbs: dict[tuple[str, str, frozenset[str], str], dict[str, str]] = {}
    for need in needs:
        grant = need.right.verb if need.right.verb in _GRANTS else ""
        key = (need.right.group, need.right.resource, need.names, grant)
        verbs.setdefault(key, {})[need.right.verb] = need.why
    resources: dict[tuple[str, frozenset[str], tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for (group, resource, names, _), found in verbs.items():
        whys = tuple(dict.fromkeys(found.values()))
        resources.setdefault((group, names, tuple(sorted(found)), whys), []).append(resource)
    return [
        _Rule(group, tuple(sorted(kinds)), allowed, tuple(sorted(names)), whys)
        for (group, names, allowed, whys), kinds in resources.items()
    ]


def _comment(sentences: Iterable[str]) -> Iterator[str]:
    for sentence in sentences:
        if sentence.startswith(" "):
            yield f"# {sentence}"
            continue
        # A name in it may hold what ends a comment.
        for line in wrap(inert_line(sentence), _WIDTH, break_on_hyphens=False):
            yield f"# {line}"


def _quoted(text: str) -> str:
    """A YAML string: without quotes a name may be a number or a truth value."""
    return str(yaml.safe_dump(text, default_style='"', width=math.inf)).rstrip("\n")
