"""Every refusal as one shape: RFC 9457 `application/problem+json`, or the same words as a page.

A problem says what, why and how to fix it. It is made of texts that name columns, rules and roles; what a request
carried is not repeated, and what a defect raised is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from privacy.errors import ReleaseError

STATUS: Final[dict[str, int]] = {
    "unknown-caller": 401,
    "forbidden": 403,
    "cross-site": 403,
    "not-found": 404,
    "method": 405,
    "conflict": 409,
    "state": 409,
    "ledger": 409,
    "already-opened": 409,
    "judged": 409,
    "running": 409,
    "stopped": 409,
    "checkpoint": 409,
    "budget-exceeded": 409,
    "too-large": 413,
    "media-type": 415,
    "range": 416,
    "schema": 422,
    "table": 422,
    "request": 422,
    "plan": 422,
    "policy": 422,
    "vanishing": 422,
    "terms": 403,
    "too-many-requests": 429,
    "defect": 500,
    "provider": 502,
    "storage": 507,
}
"""HTTP status by error code. An error that is not here is a defect or damage: 500."""

COMMON: Final = (401, 403, 413, 415, 422, 429, 500, 507)
MEANINGS: Final[dict[int, str]] = {
    400: "The request is not readable HTTP or JSON.",
    401: "Nobody is signed in, or the key is not valid.",
    403: "No role allows it, or the request came from another site.",
    404: "There is no such object, or it is not for you to see.",
    409: "The object's state, or the budget, does not allow it.",
    413: "The body is larger than allowed.",
    415: "The body has a type or an encoding that is not taken.",
    416: "The range lies outside the file.",
    422: "The request is understood and refused.",
    429: "Too many requests; `Retry-After` says when to come again.",
    500: "A defect, or a record that cannot be trusted. Nothing of it is shown.",
    502: "The identity provider did not answer as it should.",
    507: "The disk is full.",
}


class Problem(BaseModel):
    """RFC 9457, with what, why and fix told apart."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = Field(examples=["/problems/budget-exceeded"])
    title: str
    status: int
    detail: str
    what: str
    why: str
    fix: str


class WebError(ReleaseError):
    """A request that HTTP, not a use case, refuses."""

    title = "The request was refused"
    headers: Mapping[str, str] = MappingProxyType({})


class UnknownCallerError(WebError):
    """Nobody is signed in, and there is no valid key."""

    code, title = "unknown-caller", "Who is asking?"
    headers = MappingProxyType({"WWW-Authenticate": 'Bearer realm="tablegate"'})


class CrossSiteError(WebError):
    """A browser sent it from a page that is not ours."""

    code = "cross-site"


class TooLargeError(WebError):
    """The body is larger than allowed."""

    code = "too-large"


class MediaTypeError(WebError):
    """The body has a type or an encoding that is not taken."""

    code = "media-type"


class UnknownAddressError(WebError):
    """No route has this address."""

    code = "not-found"


class MethodError(WebError):
    """No route has this address with this method."""

    code = "method"


class UnreadableError(WebError):
    """The request is not of the declared shape."""

    code = "request"


class DefectError(WebError):
    """An exception nobody foresaw."""

    code, title = "defect", "The service failed"


class StorageError(WebError):
    """A disk of the service is full."""

    code, title = "storage", "The service has no room"


class TooManyRequestsError(WebError):
    """A limit of requests over time is reached."""

    code = "too-many-requests"

    def __init__(self, what: str, *, why: str, fix: str, seconds: int) -> None:
        super().__init__(what, why=why, fix=fix)
        self.headers = {"Retry-After": str(seconds)}


def problem_of(error: ReleaseError) -> Problem:
    """A refusal in the shape that leaves."""
    return Problem(
        type=f"/problems/{error.code}",
        title=error.title,
        status=STATUS.get(error.code, 500),
        detail=f"{error.what} {error.why}",
        what=error.what,
        why=error.why,
        fix=error.fix,
    )


def responses(*further: int) -> dict[int | str, dict[str, Any]]:
    """What a route declares beyond its success: the common refusals, and those of its own."""
    return {
        status: {
            "description": MEANINGS[status],
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted({*COMMON, *further})
    }


def invalid(errors: Sequence[Mapping[str, Any]]) -> WebError:
    """A body or parameter of the wrong shape: where and which rule, never the value."""
    places = sorted({".".join(str(part) for part in one["loc"] if isinstance(part, str)) for one in errors})
    rules = sorted({str(one["type"]).replace("_", " ") for one in errors})
    return UnreadableError(
        f"The request is not of the declared shape at: {', '.join(places) or 'body'}.",
        why=f"Broken rules: {', '.join(rules)}.",
        fix="Compare with /openapi.json.",
    )


def defect() -> WebError:
    """What is said of an exception nobody foresaw: nothing."""
    return DefectError(
        "The service could not answer.",
        why="This is a defect of the service or of its surroundings, not of the request.",
        fix="Try again; tell whoever runs it the time and the request id.",
    )


def storage() -> WebError:
    """What is said where a disk is full: of the store, or of the database."""
    return StorageError(
        "The service has no room left for this.",
        why="A disk of it is full. Nothing of the request was kept.",
        fix="Tell whoever runs it; then send the same request again.",
    )


def no_route(status: int) -> WebError:
    """No route, or not with this method."""
    if status == 405:
        return MethodError("This address does not take this method.", why="It takes others.", fix="See /openapi.json.")
    return UnknownAddressError("There is no such address.", why="No route has it.", fix="Start at / or /openapi.json.")
