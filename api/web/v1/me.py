"""`/v1/me`: whoever is asking, their keys, and what they must know."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from api.access.keys import add_key, keys_of, revoke_key
from api.access.roles import Action, Principal
from api.desk import notices
from api.desk.record import deciding, record
from api.store.database import reading
from api.web.access import HouseDep, asks
from api.web.problems import responses
from api.web.wire import KeyId, KeyMade, KeyOut, Me, NewKey, NoticeId, NoticeOut, RoleHeld

router = APIRouter(prefix="/v1/me", tags=["me"])
Who = Annotated[Principal, asks(Action.SEE_SELF)]
Owner = Annotated[Principal, asks(Action.MANAGE_KEYS)]


@router.get("", responses=responses())
def me(who: Who) -> Me:
    """Who the service takes you for, and your roles."""
    roles = [RoleHeld(role=role, dataset=dataset) for role, dataset in sorted(who.grants)]
    return Me(id=who.id, name=who.name, roles=roles)


@router.get("/keys", responses=responses())
def my_keys(who: Who, house: HouseDep) -> list[KeyOut]:
    """Your keys, the newest first, without their secrets."""
    with reading(house.desk.engine) as session:
        return [KeyOut.model_validate(key) for key in keys_of(session, who.id)]


@router.post("/keys", status_code=201, responses=responses())
def make_key(asked: NewKey, who: Owner, house: HouseDep) -> KeyMade:
    """A new key, which may what you may, or only what its scopes name. Its text is shown this once."""
    with deciding(house.desk.engine) as session:
        key, text = add_key(session, who.id, asked.label, asked.days, asked.scopes)
        record(session, who.id, "make a key", key.id, scopes=key.scopes)
        return KeyMade(key=text, **KeyOut.model_validate(key).model_dump())


@router.delete("/keys/{key}", status_code=204, responses=responses(404))
def end_key(key: KeyId, who: Owner, house: HouseDep) -> None:
    """End one of your keys, now and for good."""
    with deciding(house.desk.engine) as session:
        revoke_key(session, who.id, key)
        record(session, who.id, "end a key", key)


@router.get("/notices", responses=responses())
def my_notices(who: Who, house: HouseDep) -> list[NoticeOut]:
    """What you must know, the newest first: of tables you took that were withdrawn, and of monitors you look after."""
    return [NoticeOut.model_validate(one) for one in notices.notices(house.desk, who)]


@router.post("/notices/{notice}/reading", status_code=204, responses=responses(404))
def read_notice(notice: NoticeId, who: Who, house: HouseDep) -> None:
    """Say that you have read a notice."""
    notices.see_notice(house.desk, who, notice)
