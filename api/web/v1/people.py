"""`/v1/people`: who may sign in and what they may do. For administrators, who see no data and decide on none."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from sqlalchemy.orm import Session

from api.access import persons
from api.access.roles import Action, Principal
from api.desk.errors import not_found
from api.desk.record import deciding, record
from api.store.database import reading
from api.store.tables import Person
from api.web.access import HouseDep, asks
from api.web.problems import responses
from api.web.wire import NewPassword, NewPerson, PersonId, PersonOut, RoleAsked, RoleHeld

router = APIRouter(prefix="/v1/people", tags=["people"])
Admin = Annotated[Principal, asks(Action.MANAGE_PEOPLE)]


@router.get("", responses=responses())
def people(_: Admin, house: HouseDep) -> list[PersonOut]:
    """Everybody, by name."""
    with reading(house.desk.engine) as session:
        return everybody(session)


@router.post("", status_code=201, responses=responses())
def enter(asked: NewPerson, who: Admin, house: HouseDep) -> PersonOut:
    """Enter a person. They may do nothing until they have a role."""
    with deciding(house.desk.engine) as session:
        person = persons.add_person(session, asked.name, asked.password)
        record(session, who.id, "enter a person", person.id)
        return _shown(session, person.id)


@router.put("/{person}/password", status_code=204, responses=responses(404))
def change_password(person: PersonId, asked: NewPassword, who: Admin, house: HouseDep) -> None:
    """Another password; every session of the person ends."""
    with deciding(house.desk.engine) as session:
        persons.set_password(session, _known(session, person), asked.password)
        record(session, who.id, "set a password", person)


@router.post("/{person}/deactivation", responses=responses(404))
def deactivate(person: PersonId, who: Admin, house: HouseDep) -> PersonOut:
    """Nobody signs in as this person again; sessions and keys end now."""
    with deciding(house.desk.engine) as session:
        persons.deactivate(session, _known(session, person))
        record(session, who.id, "deactivate", person)
        return _shown(session, person)


@router.post("/{person}/roles", responses=responses(404))
def give_role(person: PersonId, asked: RoleAsked, who: Admin, house: HouseDep) -> PersonOut:
    """Give a role, for one dataset or for all."""
    with deciding(house.desk.engine) as session:
        persons.give_role(session, _known(session, person), asked.role, asked.dataset)
        record(session, who.id, "give a role", person, role=str(asked.role), dataset=asked.dataset)
        return _shown(session, person)


@router.post("/{person}/roles/removal", responses=responses(404))
def take_role(person: PersonId, asked: RoleAsked, who: Admin, house: HouseDep) -> PersonOut:
    """Take a role away."""
    with deciding(house.desk.engine) as session:
        persons.take_role(session, _known(session, person), asked.role, asked.dataset)
        record(session, who.id, "take a role", person, role=str(asked.role), dataset=asked.dataset)
        return _shown(session, person)


def everybody(session: Session) -> list[PersonOut]:
    """Everybody with their roles, by name."""
    return [
        PersonOut(
            id=person.id,
            name=person.name,
            active=person.active,
            created_at=person.created_at,
            roles=[RoleHeld.model_validate(grant) for grant in grants],
        )
        for person, grants in persons.people(session)
    ]


def _known(session: Session, person: str) -> str:
    if session.get(Person, person) is None:
        raise not_found("person")
    return person


def _shown(session: Session, person: str) -> PersonOut:
    return next(one for one in everybody(session) if one.id == person)
