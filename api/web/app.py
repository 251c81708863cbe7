"""The web application, built from a desk: nothing is set up at import, and nothing is shared between two apps."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from api.access.elsewhere import provider_of
from api.desk.desk import Desk
from api.web import health
from api.web.access import House, actions_of
from api.web.gauges import Gauges
from api.web.guards import MAX_BODY_BYTES, Guard, problem_response, too_large
from api.web.limiting import Limiter
from api.web.pages import PAGES
from api.web.pages.rendering import Pages, problem_page, wants_page
from api.web.problems import Problem, invalid, no_route
from api.web.v1 import datasets, me, monitors, people, records, releases, reviews
from privacy.errors import ReleaseError

STATIC: Final = Path(__file__).with_name("static")
ROUTERS: Final[Sequence[APIRouter]] = (
    health.router,
    me.router,
    people.router,
    datasets.router,
    releases.router,
    reviews.router,
    monitors.router,
    records.router,
    *PAGES,
)
OPEN: Final = frozenset({"/healthz", "/sign-in", "/sign-out", "/sign-in/elsewhere", "/sign-in/answer"})
"""Addresses for everybody: of nothing that concerns data."""

Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]


def create_app(desk: Desk, limiter: Limiter | None = None) -> FastAPI:
    """The application over a desk.

    Args:
        desk: settings, database, vault and jobs.
        limiter: counts requests; one of its own by default.

    Raises:
        RuntimeError: a route names no action and is not for everybody. A defect.
    """
    for router in ROUTERS:
        _check_guarded(router)
    registry = CollectorRegistry()
    app = FastAPI(
        title="Tablegate",
        version=version("tablegate"),
        summary="Differentially private synthetic tables, released only through a gate.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        exception_handlers=_handlers(),
    )
    app.state.house = House(desk, limiter or Limiter(), Gauges(), registry, provider_of(desk.settings))
    app.state.pages = Pages(STATIC)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(
        Guard,
        max_upload_bytes=desk.settings.max_upload_bytes,
        https=desk.settings.https,
        registry=registry,
        refused=lambda scope, error: _answer(Request(scope), error),
        traces=desk.traces,
    )
    _declare_problem(app)
    return app


def routes() -> list[APIRoute]:
    """Every route, for whoever checks that none was forgotten."""
    return [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def _check_guarded(router: APIRouter) -> None:
    for route in router.routes:
        if not isinstance(route, APIRoute) or (not actions_of(route.dependant) and route.path not in OPEN):
            raise RuntimeError(f"{route} names no action it is for")


def _handlers() -> dict[int | type[Exception], Handler]:
    return {ReleaseError: _refused, RequestValidationError: _invalid, HTTPException: _plain}


async def _refused(request: Request, error: ReleaseError) -> Response:
    return _answer(request, error)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    return await _refused(request, invalid(error.errors()))


async def _plain(request: Request, error: HTTPException) -> Response:
    if error.status_code == 413:
        return await _refused(request, too_large(MAX_BODY_BYTES))
    if error.status_code in (404, 405):
        return await _refused(request, no_route(error.status_code))
    return await _refused(request, invalid([]))


def _answer(request: Request, error: ReleaseError) -> Response:
    """A refusal for whoever asked: a page for people, JSON for programs."""
    return problem_page(request, error) if wants_page(request) else problem_response(error)


def _declare_problem(app: FastAPI) -> None:
    """Put the shape of refusals, which every route refers to, into the description of the interface."""
    described = app.openapi()
    described["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    app.openapi_schema = described
