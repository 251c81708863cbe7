"""Your own page: notices, roles and keys."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from api.access.roles import Action, Principal, Scope
from api.web.access import HouseDep, asks
from api.web.pages.rendering import page, to
from api.web.v1 import me as keys
from api.web.v1.me import Owner
from api.web.wire import KeyId, NewKey, NoticeId

router = APIRouter(include_in_schema=False)
Who = Annotated[Principal, asks(Action.SEE_SELF)]


@router.get("/me")
def me(request: Request, who: Who, house: HouseDep) -> Response:
    """Who you are here, and your keys."""
    return _shown(request, who, house, "")


@router.post("/me/keys")
def make_key(
    request: Request,
    who: Owner,
    house: HouseDep,
    label: Annotated[str, Form(max_length=100)],
    days: Annotated[int, Form()],
    scopes: Annotated[list[Scope], Form(max_length=len(Scope))] = [],  # noqa: B006 (read, as FastAPI declares lists)
) -> Response:
    """Make a key, and show it this once."""
    made = keys.make_key(NewKey(label=label, days=days, scopes=scopes), who, house)
    return _shown(request, who, house, made.key)


@router.post("/me/keys/{key}/end")
def end_key(key: KeyId, who: Owner, house: HouseDep) -> Response:
    """End a key."""
    keys.end_key(key, who, house)
    return to("/me")


@router.post("/me/notices/{notice}/reading")
def read_notice(notice: NoticeId, who: Who, house: HouseDep) -> Response:
    """Say that a notice was read."""
    keys.read_notice(notice, who, house)
    return to("/me")


def _shown(request: Request, who: Principal, house: HouseDep, made: str) -> Response:
    notices = keys.my_notices(who, house)
    return page(
        request, "me", me=keys.me(who), keys=keys.my_keys(who, house), notices=notices, made=made, scopes=list(Scope)
    )
