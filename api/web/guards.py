"""Around every request: what is too large or of a wrong kind is refused unread, and every answer gets its headers.

Nothing that is raised inside leaves or is logged but its class: a message may quote what it stumbled over. A log line
has a fixed set of keys and no address of an object but its route's pattern.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from time import perf_counter, time_ns
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.log import Event, log
from api.store.database import is_full
from api.tracing import Span, Traces
from api.web.problems import MediaTypeError, TooLargeError, WebError, defect, problem_of, storage
from privacy.errors import ReleaseError

MAX_BODY_BYTES: Final = 1 << 20
UPLOAD: Final = re.compile(r"/v1/datasets/[^/]+/table")
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
OBJECT: Final = re.compile(r"[0-9a-f]{28}")
PROBLEM: Final = "application/problem+json"

CONTENT_SECURITY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Cache-Control": "no-store",
}
"""Of every answer that does not set its own."""


class Guard:
    """ASGI middleware around the whole app."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_upload_bytes: int,
        https: bool,
        registry: CollectorRegistry,
        refused: Callable[[Scope, WebError], Response],
        traces: Traces,
    ) -> None:
        self._app, self._refused, self._traces = app, refused, traces
        self._max_upload_bytes = max_upload_bytes
        self._headers = HEADERS | ({"Strict-Transport-Security": "max-age=31536000"} if https else {})
        of = ("method", "route", "status")
        self._count = Counter("tablegate_requests", "Requests by route and status.", of, registry=registry)
        self._seconds = Histogram("tablegate_request_seconds", "Time to answer.", ("route",), registry=registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, started, began, status = secrets.token_hex(8), perf_counter(), time_ns(), 0
        failure = ""

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers["X-Request-Id"] = request_id
            await send(message)

        limit = self._max_upload_bytes if UPLOAD.fullmatch(scope["path"]) else MAX_BODY_BYTES
        refusal = _refusal(Headers(scope=scope), limit)
        try:
            if refusal is not None:
                await self._refused(scope, refusal)(scope, receive, answer)
            else:
                await self._app(scope, _counting(receive, limit), answer)
        except Exception as error:
            failure = type(error).__name__
            if status == 0:
                await self._refused(scope, storage() if is_full(error) else defect())(scope, receive, answer)
            else:  # half of the answer is gone; the client must see that the rest is missing
                raise ConnectionError("the answer broke off") from None
        finally:
            route = getattr(scope.get("route"), "path", "none")
            seconds = perf_counter() - started
            method = scope["method"] if scope["method"] in METHODS and route != "none" else "any"
            self._count.labels(method, route, status).inc()
            self._seconds.labels(route).observe(seconds)
            told = {"request": request_id, "method": method, "route": route, "status": status, "failure": failure}
            log(Event.REQUEST, seconds=round(seconds, 4), **{name: said for name, said in told.items() if said != ""})
            objects = scope.get("path_params", {})
            about = str(objects.get("release") or objects.get("dataset"))
            if OBJECT.fullmatch(about):
                self._traces.span(Span.REQUEST, about, began, **told)


def problem_response(error: ReleaseError) -> Response:
    """A refusal as JSON."""
    problem, headers = problem_of(error), dict(error.headers) if isinstance(error, WebError) else None
    return Response(problem.model_dump_json(), problem.status, headers, PROBLEM)


def _refusal(headers: Headers, limit: int) -> WebError | None:
    """Why a body is not even read; None for one that may be."""
    if headers.get("content-encoding", "identity") != "identity":
        return MediaTypeError(
            "Compressed request bodies are not taken.",
            why="A small one may unpack to any size.",
            fix="Send the body as it is; a table may be a .csv.gz file.",
        )
    if headers.get("content-type", "").lower().startswith("multipart/"):
        return MediaTypeError(
            "Multipart bodies are not taken.",
            why="They would be written to disk before they are encrypted.",
            fix="PUT the file itself as the body.",
        )
    length = headers.get("content-length", "0")
    return too_large(limit) if not length.isdecimal() or int(length[:20]) > limit else None


def too_large(limit: int) -> TooLargeError:
    """The error for a body beyond a limit."""
    return TooLargeError(
        f"The body is larger than {limit:,} bytes.", why="Larger ones are not taken here.", fix="Send less."
    )


def _counting(receive: Receive, limit: int) -> Receive:
    """The same messages, up to a number of bytes: a body need not say its length, and may lie."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise HTTPException(413)
        return message

    return counted
