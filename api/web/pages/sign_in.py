"""The door: signing in with a local account, and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from api.access.persons import identify
from api.access.sessions import sign_in, sign_out
from api.desk.record import SERVICE, deciding, record
from api.store.database import reading
from api.web.access import CallerDep, House, HouseDep, address, check_origin, cookie_name, session_token
from api.web.pages.rendering import own_address, page, to
from api.web.problems import Problem, UnknownCallerError, problem_of
from privacy.errors import ReleaseError

router = APIRouter(include_in_schema=False)


@router.get("/sign-in")
def door(request: Request, house: HouseDep, next: Annotated[str, Query(max_length=500)] = "/") -> Response:
    """The form."""
    return _form(request, house, own_address(next))


@router.post("/sign-in")
def enter(
    request: Request,
    house: HouseDep,
    name: Annotated[str, Form(max_length=200)],
    password: Annotated[str, Form(max_length=1000)],
    next: Annotated[str, Form(max_length=500)] = "/",
) -> Response:
    """Sign in. Wrong names and wrong passwords get the same answer in the same time."""
    check_origin(request)
    house.limiter.count("sign-in", address(request))
    house.limiter.count("sign-in to one account", name.strip().casefold())
    with reading(house.desk.engine) as session:
        person = identify(session, name, password)
    if person is None:
        with deciding(house.desk.engine) as session:
            record(session, SERVICE, "sign-in refused", "")
        return shown_again(request, house, _refused(), own_address(next), name)
    return open_session(request, house, person.id, own_address(next))


@router.post("/sign-out")
def leave(request: Request, house: HouseDep, caller: CallerDep) -> Response:
    """Sign out: the session ends here and in the browser."""
    with deciding(house.desk.engine) as session:
        sign_out(session, session_token(request, house))
        record(session, caller.principal.id, "sign out", caller.principal.id)
    answer = to("/sign-in")
    answer.delete_cookie(cookie_name(https=house.desk.settings.https), path="/", secure=house.desk.settings.https)
    return answer


def open_session(request: Request, house: House, person: str, target: str) -> Response:
    """Begin a session of somebody identified, under a new token, and go on to a page."""
    settings = house.desk.settings
    with deciding(house.desk.engine) as session:
        token = _begin(session, person, settings.session_hours, session_token(request, house))
    answer = to(target)
    answer.set_cookie(
        cookie_name(https=settings.https),
        token,
        max_age=settings.session_hours * 3600,
        path="/",
        secure=settings.https,
        httponly=True,
        samesite="lax",
    )
    return answer


def shown_again(request: Request, house: House, error: ReleaseError, target: str, name: str = "") -> Response:
    """The form, with why nobody was let in."""
    return _form(request, house, target, name, problem_of(error))


def _form(request: Request, house: House, target: str, name: str = "", problem: Problem | None = None) -> Response:
    status = 200 if problem is None else problem.status
    elsewhere = house.provider is not None
    return page(request, "sign_in", status, next=target, name=name, problem=problem, elsewhere=elsewhere)


def _begin(session: Session, person: str, hours: int, replaced: str) -> str:
    token = sign_in(session, person, hours, replaced)
    record(session, person, "sign in", person)
    return token


def _refused() -> UnknownCallerError:
    return UnknownCallerError(
        "Name and password do not fit.",
        why="Which of the two is wrong is not said, so that names cannot be found out.",
        fix="Try again, or ask an administrator for a new password.",
    )
