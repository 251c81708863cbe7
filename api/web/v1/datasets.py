"""`/v1/datasets`: sensitive tables by their public description. No route here ever answers with a row of one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Literal

from anyio import from_thread
from fastapi import APIRouter, Depends, Header, Query, Request, Response

from api.access.roles import Action, Principal
from api.desk import datasets, mock, requests
from api.desk.ordering import Asked
from api.store.tables import Dataset
from api.web.access import HouseDep, asks, counted
from api.web.problems import responses
from api.web.v1.releases import shown as shown_release
from api.web.wire import (
    Cursor,
    DatasetId,
    DatasetOut,
    Gauge,
    Limit,
    NewCap,
    NewDataset,
    NewRelease,
    Page,
    PriceOut,
    Received,
    Recipe,
    ReleaseOut,
    ReviewedRelease,
    StewardDataset,
    Why,
)
from privacy.schema import Budget

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])
BLOCK_BYTES = 1 << 20
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,200}$",
        description="Your id of this request: sent twice, it is charged once.",
    ),
]
RAW_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("", responses=responses())
def listed(
    who: Annotated[Principal, asks(Action.SEE_DATASET)], house: HouseDep, before: Cursor = "", limit: Limit = 50
) -> Page[StewardDataset | DatasetOut]:
    """The datasets you have a role for, the newest first."""
    rest = [one for one in datasets.catalogue(house.desk, who) if not before or one.id < before]
    items = [shown(who, one) for one in rest[:limit]]
    return Page(items=items, next=rest[limit - 1].id if len(rest) > limit else None)


@router.post("", status_code=201, responses=responses())
def register(
    asked: NewDataset, who: Annotated[Principal, asks(Action.REGISTER)], house: HouseDep
) -> StewardDataset | DatasetOut:
    """Register a dataset by its public description; its table is uploaded afterwards."""
    made = datasets.register(
        house.desk,
        who,
        title=asked.title,
        schema=asked.table_schema,
        file_name=f"schema.{asked.format}",
        keep_until=asked.keep_until,
    )
    return shown(who, made)


@router.get("/{dataset}", responses=responses(404))
def one(
    dataset: DatasetId, who: Annotated[Principal, asks(Action.SEE_DATASET)], house: HouseDep
) -> StewardDataset | DatasetOut:
    """One dataset."""
    return shown(who, datasets.dataset(house.desk, who, dataset))


@router.put(
    "/{dataset}/table",
    status_code=202,
    responses=responses(404, 409, 507),
    openapi_extra=RAW_BODY,
    dependencies=[Depends(counted("upload"))],
)
def upload(
    request: Request,
    dataset: DatasetId,
    who: Annotated[Principal, asks(Action.UPLOAD)],
    house: HouseDep,
    kind: Annotated[Literal["csv", "csv.gz", "parquet"], Query(description="What the body is.")],
) -> Received:
    """Send the table as the raw body. It is encrypted as it arrives, and checked by a worker afterwards."""
    with datasets.uploading(house.desk, who, dataset, kind) as writer:
        for block in _blocks(request.stream()):
            writer.write(block)
    return Received(size=writer.size, digest=writer.digest)


@router.post("/{dataset}/erasure", status_code=202, responses=responses(404, 409))
def erase(dataset: DatasetId, asked: Why, who: Annotated[Principal, asks(Action.ERASE)], house: HouseDep) -> None:
    """Have the table erased: its key is destroyed, and the deletion certified in the audit log."""
    datasets.erase(house.desk, who, dataset, asked.reason)


@router.get(
    "/{dataset}/mock", responses={**responses(404), 200: {"content": {"text/csv": {}}}}, response_class=Response
)
def mock_table(
    dataset: DatasetId,
    who: Annotated[Principal, asks(Action.SEE_MOCK)],
    house: HouseDep,
    rows: Annotated[int, Query(ge=1, le=mock.MOST_ROWS)] = 100,
) -> Response:
    """A made-up table of the dataset's shape, drawn from its schema alone: no row was read, nothing is charged."""
    content = mock.mock_table(house.desk, who, dataset, rows)
    return Response(content, headers={"Content-Disposition": 'attachment; filename="mock.csv"'}, media_type="text/csv")


@router.get("/{dataset}/budget", responses=responses(404))
def budget(dataset: DatasetId, who: Annotated[Principal, asks(Action.SEE_BUDGET)], house: HouseDep) -> Gauge:
    """What the dataset's population has spent, over every release ever made of it."""
    return house.gauges.of(house.desk, who, dataset)


@router.put("/{dataset}/cap", responses=responses(404, 409))
def set_cap(
    dataset: DatasetId, asked: NewCap, who: Annotated[Principal, asks(Action.SET_CAP)], house: HouseDep
) -> Gauge:
    """Record another cap, with its reason. What was spent stays spent."""
    datasets.set_cap(house.desk, who, dataset, Budget(epsilon=asked.epsilon, delta=asked.delta), asked.reason)
    return house.gauges.of(house.desk, who, dataset)


@router.post("/{dataset}/quotes", responses=responses(404, 409), dependencies=[Depends(counted("quote"))])
def quote(
    dataset: DatasetId, asked: Recipe, who: Annotated[Principal, asks(Action.REQUEST)], house: HouseDep
) -> PriceOut:
    """What a release would cost. Nothing is charged and no row is read."""
    return PriceOut.model_validate(requests.price(house.desk, who, dataset, recipe(asked), asked.policy))


@router.post(
    "/{dataset}/releases",
    status_code=202,
    responses=responses(404, 409),
    dependencies=[Depends(counted("request"))],
)
def request_release(
    dataset: DatasetId,
    asked: NewRelease,
    who: Annotated[Principal, asks(Action.REQUEST)],
    house: HouseDep,
    once: IdempotencyKey = None,
) -> ReviewedRelease | ReleaseOut:
    """Ask for a release: it is charged and queued, both or neither."""
    made = requests.request(
        house.desk,
        who,
        dataset,
        recipe(asked),
        policy=asked.policy,
        purpose=asked.purpose,
        recipient=asked.recipient,
        once=once or "",
    )
    return shown_release(who, made)


def shown(who: Principal, dataset: Dataset) -> StewardDataset | DatasetOut:
    """A dataset for somebody; what is known of the file is for those who may upload it, and for the auditor."""
    steward = who.may(Action.UPLOAD, dataset.id) or who.may(Action.SEE_LOG, dataset.id)
    model = StewardDataset if steward else DatasetOut
    columns = {name: getattr(dataset, name) for name in model.model_fields if name != "table_schema"}
    return model(**columns, table_schema=json.loads(dataset.schema))


def recipe(asked: Recipe) -> Asked:
    """The inner value of what was asked."""
    return Asked(
        synthesizer=asked.synthesizer,
        epsilon=asked.epsilon,
        delta=asked.delta,
        rows=asked.rows,
        where=tuple(asked.where),
        balance=tuple(asked.balance),
        device=asked.device,
    )


def _blocks(stream: AsyncIterator[bytes]) -> Iterator[bytes]:
    """A body as it arrives, in this worker thread, in pieces of about a mebibyte."""

    async def following() -> bytes | None:
        return await anext(stream, None)

    held: list[bytes] = []
    n_held = 0
    while (piece := from_thread.run(following)) is not None:
        held.append(piece)
        n_held += len(piece)
        if n_held >= BLOCK_BYTES:
            yield b"".join(held)
            held, n_held = [], 0
    yield b"".join(held)
