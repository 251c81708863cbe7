"""For whoever runs the service: is it there, and how is it?"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text

from api.access.roles import Action, Principal
from api.store.database import reading
from api.web.access import HouseDep, asks
from api.web.problems import responses
from api.web.wire import Answer

router = APIRouter(tags=["operations"])


class Health(Answer):
    """The service answers, and reaches its database."""

    status: str


@router.get("/healthz", responses=responses())
def healthz(house: HouseDep) -> Health:
    """Whether the service answers and reaches its database; for everybody, and of nothing else."""
    with reading(house.desk.engine) as session:
        session.execute(text("SELECT 1"))
    return Health(status="ok")


@router.get("/metrics", responses=responses(), response_class=Response)
def metrics(_: Annotated[Principal, asks(Action.SEE_METRICS)], house: HouseDep) -> Response:
    """Figures for Prometheus, which comes with a key: requests, jobs, workers, records. None of a row."""
    return Response(generate_latest(house.registry), media_type=CONTENT_TYPE_LATEST)
