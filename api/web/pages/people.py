"""People and their roles, for administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from api.access.roles import Action, Principal, Role
from api.desk.datasets import catalogue
from api.web.access import HouseDep, asks
from api.web.pages.rendering import page, to
from api.web.v1 import people as resource
from api.web.wire import NewPassword, NewPerson, PersonId, RoleAsked

router = APIRouter(include_in_schema=False)
Admin = Annotated[Principal, asks(Action.MANAGE_PEOPLE)]
RoleForm = Annotated[Role, Form()]
DatasetForm = Annotated[str, Form(pattern=r"^([0-9a-f]{28})?$")]


@router.get("/people")
def people(request: Request, who: Admin, house: HouseDep) -> Response:
    """Everybody."""
    datasets = catalogue(house.desk, who)
    return page(request, "people", people=resource.people(who, house), roles=list(Role), datasets=datasets)


@router.post("/people")
def enter(
    who: Admin,
    house: HouseDep,
    name: Annotated[str, Form(min_length=1, max_length=100)],
    password: Annotated[str, Form(max_length=512)] = "",
) -> Response:
    """Enter a person."""
    resource.enter(NewPerson(name=name, password=password), who, house)
    return to("/people")


@router.post("/people/{person}/roles")
def give_role(person: PersonId, who: Admin, house: HouseDep, role: RoleForm, dataset: DatasetForm = "") -> Response:
    """Give a role."""
    resource.give_role(person, RoleAsked(role=role, dataset=dataset), who, house)
    return to("/people")


@router.post("/people/{person}/roles/removal")
def take_role(person: PersonId, who: Admin, house: HouseDep, role: RoleForm, dataset: DatasetForm = "") -> Response:
    """Take a role."""
    resource.take_role(person, RoleAsked(role=role, dataset=dataset), who, house)
    return to("/people")


@router.post("/people/{person}/password")
def change_password(
    person: PersonId, who: Admin, house: HouseDep, password: Annotated[str, Form(min_length=12, max_length=512)]
) -> Response:
    """Set a password."""
    resource.change_password(person, NewPassword(password=password), who, house)
    return to("/people")


@router.post("/people/{person}/deactivation")
def deactivate(person: PersonId, who: Admin, house: HouseDep) -> Response:
    """Deactivate a person."""
    resource.deactivate(person, who, house)
    return to("/people")
