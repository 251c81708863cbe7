"""The other door: people whom an identity provider vouches for. It is there where one is configured."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from api.access.elsewhere import ERRAND_MINUTES, Known, Provider, ProviderError, begin_errand, end_errand
from api.access.persons import identify_elsewhere
from api.desk.record import SERVICE, deciding, record
from api.store.database import writing
from api.web.access import House, HouseDep, address, cookie_name
from api.web.pages.rendering import own_address
from api.web.pages.sign_in import open_session, shown_again
from api.web.problems import UnknownCallerError, WebError, no_route

router = APIRouter(include_in_schema=False)


@router.get("/sign-in/elsewhere")
def send(request: Request, house: HouseDep, next: Annotated[str, Query(max_length=500)] = "/") -> Response:
    """Send the browser to the provider, with an errand only it can come back from."""
    provider = _provider(house)
    house.limiter.count("anonymous", address(request))
    with writing(house.desk.engine) as session:
        token, errand = begin_errand(session, own_address(next))
    try:
        there = provider.send(errand.state, errand.nonce, errand.verifier)
    except ProviderError as error:
        return shown_again(request, house, error, errand.target)
    answer = RedirectResponse(there, 303)
    answer.set_cookie(
        _cookie(house),
        token,
        max_age=ERRAND_MINUTES * 60,
        path="/",
        secure=house.desk.settings.https,
        httponly=True,
        samesite="lax",  # it must come along when the provider sends the browser back
    )
    return answer


@router.get("/sign-in/answer")
def answered(
    request: Request,
    house: HouseDep,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4000)] = "",
    iss: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """The browser comes back: sign in whoever the provider says it is, if an administrator entered them."""
    provider = _provider(house)
    house.limiter.count("anonymous", address(request))
    with writing(house.desk.engine) as session:
        errand = end_errand(session, request.cookies.get(_cookie(house), ""), state)
    if errand is None or not code:
        return _closed(request, house, _stray(), "/" if errand is None else errand.target)
    try:
        known = provider.answered(code, iss, errand.nonce, errand.verifier)
    except ProviderError as error:
        return _closed(request, house, error, errand.target)
    person = _entered(house, known)
    if person is None:
        return _closed(request, house, _stranger(), errand.target)
    answer = open_session(request, house, person, errand.target)
    answer.delete_cookie(_cookie(house), path="/", secure=house.desk.settings.https)
    return answer


def _provider(house: House) -> Provider:
    if house.provider is None:
        raise no_route(404)
    return house.provider


def _cookie(house: House) -> str:
    return cookie_name(https=house.desk.settings.https) + "-errand"


def _entered(house: House, known: Known) -> str | None:
    with deciding(house.desk.engine) as session:
        person = identify_elsewhere(session, known.issuer, known.subject, known.name)
        return None if person is None else person.id


def _closed(request: Request, house: House, error: ProviderError | WebError, target: str) -> Response:
    with deciding(house.desk.engine) as session:
        record(session, SERVICE, "sign-in refused", "")
    answer = shown_again(request, house, error, target)
    answer.delete_cookie(_cookie(house), path="/", secure=house.desk.settings.https)
    return answer


def _stray() -> UnknownCallerError:
    return UnknownCallerError(
        "This browser did not ask to sign in, was refused there, or took too long.",
        why=f"An answer counts once, within {ERRAND_MINUTES} minutes, in the browser that asked.",
        fix="Begin again.",
    )


def _stranger() -> UnknownCallerError:
    return UnknownCallerError(
        "The identity provider knows you, but nobody entered you here.",
        why="An administrator decides who may come in: by the name or verified address the provider has for you, and "
        "without a password.",
        fix="Ask an administrator to enter you.",
    )
