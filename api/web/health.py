"""For whoever runs the service: is it there, and how is it?"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.access.roles import Action, Principal
from api.desk import facts
from api.web.access import HouseDep, asks
from api.web.problems import responses
from api.web.wire import Answer

router = APIRouter(tags=["operations"])


class Health(Answer):
    """What the service needs, and whether it is there; `ok` says that jobs are done too."""

    ok: bool
    database: bool
    files: bool
    workers: int


@router.get("/healthz", responses=responses())
def healthz(house: HouseDep) -> Health:
    """Whether the service answers and reaches its database and files, and how many workers beat; for everybody."""
    return Health.model_validate(facts.health(house.desk))


@router.get("/metrics", responses=responses(), response_class=Response)
def metrics(_: Annotated[Principal, asks(Action.SEE_METRICS)], house: HouseDep) -> Response:
    """Figures for Prometheus, which comes with a key: requests, jobs, workers, records. None of a row."""
    return Response(facts.metrics(house.desk) + generate_latest(house.registry), media_type=CONTENT_TYPE_LATEST)
