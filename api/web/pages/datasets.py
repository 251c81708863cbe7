"""Datasets: the catalogue, one dataset with its budget, and asking for a release of it."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import Response

from api.access.roles import Action, Principal
from api.desk import datasets, history, proposals, releases, requests
from api.desk.errors import not_found
from api.desk.ordering import policies, schema_of
from api.desk.states import DatasetState
from api.store.tables import Dataset
from api.web.access import House, HouseDep, asks, counted
from api.web.pages.charts import charges_chart
from api.web.pages.forms import fields, fields_of, recipe_of, request_of
from api.web.pages.rendering import page, to
from api.web.pages.schema import described
from api.web.problems import problem_of
from api.web.v1.datasets import recipe
from api.web.wire import ID, DatasetId, Gauge
from privacy.errors import BudgetExceededError, ReleaseError
from privacy.schema import Budget
from synthesizers.registry import SYNTHESIZERS

router = APIRouter(include_in_schema=False)
Fields = Annotated[dict[str, str], Depends(fields)]
Asker = Annotated[Principal, asks(Action.REQUEST)]
SHOWN_RELEASES = 10
MOVING = frozenset({DatasetState.CHECKING, DatasetState.ERASING})
FIRST_FIELDS = {"synthesizer": "aim", "epsilon": "1", "delta": "1e-6", "policy": "internal"}


@router.get("/")
def catalogue(request: Request, who: Annotated[Principal, asks(Action.SEE_DATASET)], house: HouseDep) -> Response:
    """Every dataset somebody has a role for."""
    found = [(one, _gauge(house, who, one)) for one in datasets.catalogue(house.desk, who)]
    return page(request, "catalogue", datasets=found)


@router.get("/datasets/new")
def registration(request: Request, _: Annotated[Principal, asks(Action.REGISTER)]) -> Response:
    """The form to register a dataset."""
    return page(request, "register")


@router.post("/datasets")
def register(
    request: Request, who: Annotated[Principal, asks(Action.REGISTER)], house: HouseDep, given: Fields
) -> Response:
    """Register a dataset; a refusal is shown above the form as it was filled in."""
    try:
        made = datasets.register(
            house.desk,
            who,
            title=given.get("title", ""),
            schema=given.get("table_schema", ""),
            file_name="schema.yaml",
            keep_until=given.get("keep_until", ""),
        )
    except ReleaseError as error:
        problem = problem_of(error)
        return page(request, "register", problem.status, fields=given, problem=problem)
    return to(f"/datasets/{made.id}")


@router.get("/datasets/{dataset}")
def one(
    request: Request, dataset: DatasetId, who: Annotated[Principal, asks(Action.SEE_DATASET)], house: HouseDep
) -> Response:
    """One dataset: its budget, its public description, its releases."""
    found = datasets.dataset(house.desk, who, dataset)
    charges = history.charges(house.desk, who, dataset) if who.may(Action.SEE_BUDGET, dataset) else []
    shown = releases.releases(house.desk, who, dataset=dataset, limit=SHOWN_RELEASES)
    return page(
        request,
        "dataset",
        dataset=found,
        schema=described(schema_of(found)),
        budget=_gauge(house, who, found),
        charges=charges,
        chart=charges_chart(tuple(charges)),
        releases=shown,
        proposals=proposals.proposals(house.desk, who, dataset),
        upload_limit=house.desk.settings.max_upload_bytes,
    )


@router.get("/datasets/{dataset}/state")
def state(
    request: Request, dataset: DatasetId, who: Annotated[Principal, asks(Action.SEE_DATASET)], house: HouseDep
) -> Response:
    """Where the dataset is, for a page to look again; once that has changed the page is loaded anew."""
    found = datasets.dataset(house.desk, who, dataset)
    answer = page(request, "parts/dataset_state", dataset=found)
    if found.state not in MOVING:
        answer.headers["HX-Refresh"] = "true"
    return answer


@router.post("/datasets/{dataset}/erasure")
def erase(
    dataset: DatasetId,
    who: Annotated[Principal, asks(Action.ERASE)],
    house: HouseDep,
    reason: Annotated[str, Form(max_length=2000)],
) -> Response:
    """Have the table erased."""
    datasets.erase(house.desk, who, dataset, reason)
    return to(f"/datasets/{dataset}")


@router.post("/datasets/{dataset}/cap")
def set_cap(
    dataset: DatasetId,
    who: Annotated[Principal, asks(Action.SET_CAP)],
    house: HouseDep,
    epsilon: Annotated[float, Form(gt=0, le=1000)],
    delta: Annotated[float, Form(gt=0, lt=1)],
    reason: Annotated[str, Form(max_length=2000)],
) -> Response:
    """Record another cap."""
    datasets.set_cap(house.desk, who, dataset, Budget(epsilon=epsilon, delta=delta), reason)
    return to(f"/datasets/{dataset}")


@router.get("/datasets/{dataset}/request")
def request_form(
    request: Request,
    dataset: DatasetId,
    who: Asker,
    house: HouseDep,
    like: Annotated[str, Query(pattern=f"({ID})|^$", description="A release of this dataset to ask for anew.")] = "",
) -> Response:
    """The form to ask for a release, empty or filled in as another was asked for."""
    return _form(request, house, who, dataset, _like(house, who, dataset, like) if like else None)


@router.post("/datasets/{dataset}/quote", dependencies=[Depends(counted("quote"))])
def quote(request: Request, dataset: DatasetId, who: Asker, house: HouseDep, given: Fields) -> Response:
    """What the form as it is filled in would cost: a part of the page. Nothing is charged."""
    asked = recipe_of(given)
    price = requests.price(house.desk, who, dataset, recipe(asked), asked.policy)
    return page(request, "parts/quote", price=price, budget=house.gauges.of(house.desk, who, dataset))


@router.post("/datasets/{dataset}/releases", dependencies=[Depends(counted("request"))])
def ask(request: Request, dataset: DatasetId, who: Asker, house: HouseDep, given: Fields) -> Response:
    """Ask for a release; a refusal is shown above the form as it was filled in."""
    try:
        asked = request_of(given)
        said: dict[str, Any] = {"policy": asked.policy, "purpose": asked.purpose, "recipient": asked.recipient}
        made = requests.request(house.desk, who, dataset, recipe(asked), once=given.get("once", ""), **said)
    except ReleaseError as error:
        return _form(request, house, who, dataset, given, error)
    return to(f"/releases/{made.id}")


def _like(house: House, who: Principal, dataset: str, release: str) -> dict[str, str]:
    """The fields of an earlier request. Raises NotFoundError."""
    found = releases.release(house.desk, who, release)
    if found.dataset != dataset:
        raise not_found("release of this dataset")
    policy = str(json.loads(found.policy)["name"])
    return fields_of(found.asked, policy=policy, purpose=found.purpose, recipient=found.recipient)


def _form(
    request: Request,
    house: House,
    who: Principal,
    dataset: str,
    given: dict[str, str] | None = None,
    error: ReleaseError | None = None,
) -> Response:
    found = datasets.dataset(house.desk, who, dataset)
    problem = None if error is None else problem_of(error)
    return page(
        request,
        "request",
        200 if problem is None else problem.status,
        dataset=found,
        budget=_gauge(house, who, found),
        fields=given or FIRST_FIELDS,
        problem=problem,
        over_budget=isinstance(error, BudgetExceededError),
        synthesizers=list(SYNTHESIZERS),
        policies=policies(house.desk.settings),
    )


def _gauge(house: House, who: Principal, dataset: Dataset) -> Gauge | None:
    """The budget, for whoever may see it."""
    if not who.may(Action.SEE_BUDGET, dataset.id):
        return None
    return house.gauges.of(house.desk, who, dataset.id)
