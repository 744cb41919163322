"""What the API server's refusal of a dry run says: that helm fails on the object, or nothing. Pure."""

from __future__ import annotations

import re

from ..domain.errors import BadAnswer, ClusterError
from ..domain.forecast import ForecastCause

# Nothing of the object: who asks, how long it took, how much is asked for.
_NOT_OF_THE_OBJECT = (401, 408, 429)
# A dry run that could not be made; helm does not make one, and meets the webhook another time.
_NOT_TRIED = re.compile(r"does not support dry ?run|failed calling webhook|failed to call webhook")
# The URL of a webhook has a parameter `timeout`, which is none.
_TIMEOUT = re.compile(
    r"timed out|deadline exceeded|did not complete within|(?:i/o|handshake|Client\.) ?timeout", re.IGNORECASE
)
# Two writers at once, and nothing of what the object is.
_RACE = "please apply your changes to the latest version"
_DENIED = re.compile(r"denied the request|denied request|ValidatingAdmissionPolicy")
_CONVERSION = re.compile(r"\bconver(?:sion|t|ting|ted)\b", re.IGNORECASE)
_VALIDATION = re.compile(r"\bvalidat(?:ion|ing|e|ed)\b|\binvalid\b", re.IGNORECASE)
_IMMUTABLE = re.compile(r"immutable|may not change|cannot change")
_NO_KIND = re.compile(r"could not find the requested resource|no matches for kind")
_NO_NAMESPACE = re.compile(r'namespaces? "[^"]*" not found')


def judge_answer(error: ClusterError) -> ForecastCause:
    """Why helm would fail on the object; UNANSWERED: the answer says nothing of it, and nobody knows.

    Decided by the status and the server's own words. What is not listed here is no evidence.
    """
    said = error.said
    if error.status in _NOT_OF_THE_OBJECT or _NOT_TRIED.search(said):
        return ForecastCause.UNANSWERED
    match error.status:
        case 400:
            return ForecastCause.ADMISSION if _DENIED.search(said) else ForecastCause.INVALID
        case 403:
            return _forbidden(said)
        case 404:
            return _missing(said)
        case 409:
            return _conflict(error)
        case 415:
            return ForecastCause.OTHER
        case 422:
            return _invalid(said)
        case 500:
            return _internal(said)
    return ForecastCause.UNANSWERED


def _forbidden(said: str) -> ForecastCause:
    if "exceeded quota" in said or "quota:" in said:
        return ForecastCause.QUOTA
    denied = _DENIED.search(said) or "admission" in said
    return ForecastCause.ADMISSION if denied else ForecastCause.FORBIDDEN


def _missing(said: str) -> ForecastCause:
    """The kind or the namespace; an object that just went says nothing."""
    if _NO_KIND.search(said):
        return ForecastCause.MISSING_KIND
    return ForecastCause.MISSING_NAMESPACE if _NO_NAMESPACE.search(said) else ForecastCause.UNANSWERED


def _conflict(error: ClusterError) -> ForecastCause:
    causes = error.causes if isinstance(error, BadAnswer) else ()
    if any("conflict with" in message for _, message in causes):
        return ForecastCause.CONFLICT
    if _RACE in error.said:
        return ForecastCause.UNANSWERED
    return ForecastCause.ADMISSION if _DENIED.search(error.said) else ForecastCause.OTHER


def _invalid(said: str) -> ForecastCause:
    if _DENIED.search(said):
        return ForecastCause.ADMISSION
    return ForecastCause.IMMUTABLE if _IMMUTABLE.search(said) else ForecastCause.INVALID


def _internal(said: str) -> ForecastCause:
    if _DENIED.search(said):
        return ForecastCause.ADMISSION
    if _TIMEOUT.search(said):
        return ForecastCause.UNANSWERED
    if _CONVERSION.search(said):
        return ForecastCause.CONVERSION
    return ForecastCause.INVALID if _VALIDATION.search(said) else ForecastCause.UNANSWERED
