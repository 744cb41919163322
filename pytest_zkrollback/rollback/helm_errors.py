"""What helm's words mean, and what to do next. A hint: the verdict comes from the release itself.

Every exit code of helm is 1 and never tells causes apart; the texts are those of docs/helm-facts.md, sections
1 to 4 and 6, of Helm 3 and 4.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Cause(NamedTuple):
    """Why helm failed, and what leads on: two sentences without their full stops."""

    why: str
    next_step: str


# In this order: the first that is found counts, so the narrower stand before the wider.
_CAUSES: tuple[tuple[str, Cause], ...] = (
    (
        r"asked for the client to provide credentials|Unauthorized",
        Cause("the API server does not accept your credentials", "log in again, then the same command"),
    ),
    (
        r"failed calling webhook|failed to call webhook",
        Cause(
            "an admission webhook did not answer",
            "mend the webhook, or ask whoever owns it, then again",
        ),
    ),
    (
        r"conversion webhook|[Cc]onversion .*failed|error converting",
        Cause(
            "the API server cannot convert an object between its versions",
            "mend the conversion webhook of its CRD, then again",
        ),
    ),
    (
        r"no such host|connection refused|context was not found|error loading config file"
        r"|TLS handshake timeout|failed to verify certificate|cluster unreachable",
        Cause("helm did not reach the API server", "mend the way to it; nothing was changed"),
    ),
    (
        r"field is immutable",
        Cause(
            "a field that cannot be changed differs between the revisions",
            "delete that object if its loss can be borne, or go back to a revision without the difference",
        ),
    ),
    (
        r"conflict occurred while applying|Apply failed with [0-9]+ conflict",
        Cause(
            "somebody else owns a field that the target sets (server-side apply)",
            "accept it with --rollback-override=forecast=REASON, which adds --force-conflicts, or let its "
            "owner give it back",
        ),
    ),
    (
        r"exceeded quota",
        Cause("a quota of the namespace is used up", "raise it or free some of it"),
    ),
    (
        r"admission webhook|denied the request|ValidatingAdmissionPolicy",
        Cause("an admission rule refused an object", "ask whoever owns the rule, or go to another revision"),
    ),
    (
        r"is forbidden",
        Cause("a right is missing", "use credentials that have it"),
    ),
    (
        r"no matches for kind|resource mapping not found|could not find the requested resource",
        Cause(
            "the target holds a kind that this API server does not serve",
            "install its CRD, or go to another revision",
        ),
    ),
    (
        r"has no (\d+) version",
        Cause("the target's revision is gone: somebody pruned it", "choose another: helm history"),
    ),
    (
        r"release: already exists|secrets \"sh\.helm\.release\S+\" (not found|already exists)",
        Cause(
            "another helm worked on the release at the same moment",
            "look at helm history before anything else",
        ),
    ),
    (
        r"release: not found",
        Cause("there is no such release in the namespace", "check release, namespace and context"),
    ),
    (
        r"description must be 256 characters",
        Cause("helm found the description too long", "give a shorter --rollback-reason"),
    ),
    (
        r"job \S+ failed|resource Job/\S+ not ready\. status: Failed|BackoffLimitExceeded",
        Cause(
            "a hook's Job failed; after a post-rollback hook the objects are already rolled back",
            "read the Job's log; --rollback-recover goes on without hooks",
        ),
    ),
    (
        r"resource Job/\S+ not ready|timed out waiting for the condition|context deadline exceeded",
        Cause(
            "a hook did not end within helm's own --timeout, and its Job may still run",
            "look at the Job; --rollback-recover goes on without hooks",
        ),
    ),
    (
        r"object is being deleted",
        Cause("an object of the release is just being deleted", "wait until it is gone, then again"),
    ),
)


def explain_failure(text: str) -> Cause | None:
    """The cause behind helm's standard error, or None: then its own words have to do."""
    return next((cause for pattern, cause in _CAUSES if re.search(pattern, text)), None)
