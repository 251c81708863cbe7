"""Who is asking, and whether they may: the dependencies every route is built on.

A program shows a key (`Authorization: Bearer tg_...`), a browser its cookie. A cookie travels by itself, so a request
that changes something must besides come from a page of ours: by what the browser says of its origin, and by a token
that only our pages know. A route names the action it is for; one that names none is refused when the app is built.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CollectorRegistry

from api.access.elsewhere import Provider
from api.access.keys import principal_of_key
from api.access.roles import Action, Principal, forbidden
from api.access.sessions import signed_in, touch
from api.desk.desk import Desk
from api.store.database import reading, writing
from api.web.gauges import Gauges
from api.web.limiting import Limiter
from api.web.problems import CrossSiteError, UnknownCallerError

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FORM = "application/x-www-form-urlencoded"
FORM_TOKEN = "form_token"  # noqa: S105 -- the name of a field
BEARER = HTTPBearer(scheme_name="key", bearerFormat="tg_ID.SECRET", auto_error=False)


@dataclass(frozen=True, slots=True)
class House:
    """What the routes work with."""

    desk: Desk
    limiter: Limiter
    gauges: Gauges
    registry: CollectorRegistry
    provider: Provider | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who was recognised; `form_token` is empty for a program with a key."""

    principal: Principal
    form_token: str


def house(request: Request) -> House:
    """The app's house."""
    found: House = request.app.state.house
    return found


HouseDep = Annotated[House, Depends(house)]


def cookie_name(*, https: bool) -> str:
    """Over HTTPS the prefix makes browsers refuse the cookie from another host, path or scheme."""
    return "__Host-tablegate" if https else "tablegate"


def address(request: Request) -> str:
    """Where a request comes from; with a proxy in front, what uvicorn was told to believe of it."""
    return request.client.host if request.client else "unknown"


def session_token(request: Request, house: House) -> str:
    """The browser's cookie, or nothing."""
    return request.cookies.get(cookie_name(https=house.desk.settings.https), "")


def check_origin(request: Request) -> None:
    """Raises CrossSiteError when a browser says that another site's page sent this."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    ours = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    if site != "same-origin" or not ours:
        raise _cross_site()


async def _token_given(request: Request) -> str:
    """The form token of a request that changes something: a header, or a field of a form."""
    if request.method in SAFE:
        return ""
    header = request.headers.get("x-form-token", "")
    form = request.method == "POST" and request.headers.get("content-type", "").startswith(FORM)
    if header or not form:
        return header
    field = (await request.form()).get(FORM_TOKEN, "")
    return field if isinstance(field, str) else ""


def recognised(
    request: Request,
    house: HouseDep,
    given: Annotated[str, Depends(_token_given)],
    key: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)],
) -> Caller:
    """Who is asking.

    Raises:
        UnknownCallerError: nobody who is known.
        CrossSiteError: a cookie came along with a request that no page of ours made.
        TooManyRequestsError: they ask too often.
    """
    if "authorization" in request.headers:
        caller = _by_key(house, "" if key is None else key.credentials)
    else:
        caller = _by_cookie(request, house, given)
    if caller is None:
        house.limiter.count("anonymous", address(request))
        raise UnknownCallerError(
            "Nobody is signed in.",
            why="The key or the session is missing, unknown, or has ended.",
            fix="Sign in, or send a valid key as `Authorization: Bearer tg_...`.",
        )
    house.limiter.count("any", caller.principal.id)
    request.state.caller = caller
    return caller


CallerDep = Annotated[Caller, Depends(recognised)]


def _by_key(house: House, text: str) -> Caller | None:
    with reading(house.desk.engine) as session:
        found = principal_of_key(session, text)
    return None if found is None else Caller(found, "")


def _by_cookie(request: Request, house: House, given: str) -> Caller | None:
    token = session_token(request, house)
    if not token:
        return None
    with reading(house.desk.engine) as session:
        found = signed_in(session, token, house.desk.settings.session_idle_minutes)
    if found is None:
        return None
    if request.method not in SAFE:
        check_origin(request)
        if not hmac.compare_digest(given.encode(), found.form_token.encode()):
            raise _cross_site()
    if found.stale:
        with writing(house.desk.engine) as session:
            touch(session, token)
    return Caller(found.principal, found.form_token)


@dataclass(frozen=True, slots=True)
class Asks:
    """The action a route is for, as its dependency; the use case checks it again for the object at hand."""

    action: Action

    def __call__(self, caller: CallerDep) -> Principal:
        """The principal. Raises ForbiddenError when no role of theirs has the action for any dataset."""
        if not caller.principal.may_somewhere(self.action):
            raise forbidden(self.action)
        return caller.principal


def asks(action: Action) -> Any:
    """What a route puts beside `Principal` in its signature: whoever asks, once they may."""
    return Depends(Asks(action))


def counted(kind: str) -> Callable[[House, Caller], None]:
    """A dependency that counts a request of a kind with a limit of its own."""

    def count(house: HouseDep, caller: CallerDep) -> None:
        house.limiter.count(kind, caller.principal.id)

    return count


def actions_of(dependant: Dependant) -> set[Action]:
    """The actions a route asks for, anywhere among its dependencies."""
    found = {dependant.call.action} if isinstance(dependant.call, Asks) else set()
    return found.union(*(actions_of(inner) for inner in dependant.dependencies))


def _cross_site() -> CrossSiteError:
    return CrossSiteError(
        "The request does not come from a page of this service.",
        why="A browser sends its cookie along with whatever another site makes it send.",
        fix="Load the page again and repeat the step; programs use a key instead of a cookie.",
    )
