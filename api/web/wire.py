"""What goes over the wire, and for whom.

Where compliance may see more of a thing than a researcher, there are two models of it, and the smaller one has no field
for the rest: what is not in the model cannot slip out. Requests refuse fields nobody declared.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from api.access.roles import Role, Scope

ID = r"^[0-9a-f]{28}$"
DIGEST = r"^[0-9a-f]{64}$"
Name = Annotated[str, Field(min_length=1, max_length=200)]
Reason = Annotated[str, Field(min_length=1, max_length=2000)]
Condition = Annotated[str, Field(min_length=1, max_length=500)]

DatasetId = Annotated[str, Path(pattern=ID, description="Id of a dataset.")]
ReleaseId = Annotated[str, Path(pattern=ID, description="Id of a release.")]
PersonId = Annotated[str, Path(pattern=ID, description="Id of a person.")]
KeyId = Annotated[str, Path(pattern=ID, description="Id of a key.")]
NoticeId = Annotated[str, Path(pattern=ID, description="Id of a notice.")]
Cursor = Annotated[str, Query(pattern=r"^([0-9a-f]{28})?$", description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=200, description="At most as many items.")]

Item = TypeVar("Item")


class Asking(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """What is answered; read off an object with attributes of the same names."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class Page(Answer, Generic[Item]):
    """Part of a list; `next` is the cursor of the following part, or null at the end."""

    items: list[Item]
    next: str | None


class RoleHeld(Answer):
    """A role, for one dataset or, where `dataset` is empty, for all."""

    role: Role
    dataset: str


class Me(Answer):
    """Who is asking."""

    id: str
    name: str
    roles: list[RoleHeld]


class PersonOut(Answer):
    """Somebody who may sign in."""

    id: str
    name: str
    active: bool
    created_at: str
    roles: list[RoleHeld]


class NewPerson(Asking):
    """Somebody to enter; without a password they use keys or sign in elsewhere."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    password: Annotated[str, Field(max_length=512)] = ""


class NewPassword(Asking):
    """Another password; it ends every session of the person."""

    password: Annotated[str, Field(min_length=12, max_length=512)]


class RoleAsked(Asking):
    """A role to give or to take."""

    role: Role
    dataset: Annotated[str, Field(pattern=r"^([0-9a-f]{28})?$")] = ""


class KeyOut(Answer):
    """A key, without its secret."""

    id: str
    label: str
    scopes: list[Scope]
    created_at: str
    expires_at: str
    revoked_at: str


class NewKey(Asking):
    """A key to make."""

    label: Annotated[str, Field(min_length=1, max_length=100)]
    days: Annotated[int, Field(ge=1, le=366)] = 90
    scopes: Annotated[list[Scope], Field(max_length=len(Scope), description="Empty for all that you may.")] = []


class KeyMade(KeyOut):
    """A new key with its text, which is shown this once."""

    key: str


class NewDataset(Asking):
    """A dataset to register: its public description, before any row."""

    title: Name
    table_schema: Annotated[str, Field(min_length=2, max_length=500_000, description="Text of the schema file.")]
    format: Literal["yaml", "json"] = "yaml"
    keep_until: Annotated[str, Field(max_length=40, description="When its table is erased, ISO 8601.")] = ""


class DatasetOut(Answer):
    """A dataset as everybody with a role for it sees it: public facts alone."""

    id: str
    title: str
    population: str
    state: str
    schema_digest: str
    table_schema: dict[str, Any]
    keep_until: str
    created_at: str
    erased_at: str


class StewardDataset(DatasetOut):
    """The same with what is known of the uploaded file."""

    table_kind: str
    table_digest: str
    uploads: int
    problem: dict[str, Any] | None


class Gauge(Answer):
    """A population's budget: epsilon at `delta`, rounded up. `left` is null before the first charge."""

    population: str
    cap_epsilon: float
    delta: float
    spent: float
    reserved: float
    left: float | None
    attempts: int


class NewCap(Asking):
    """Another cap and why."""

    epsilon: Annotated[float, Field(gt=0, le=1000)]
    delta: Annotated[float, Field(gt=0, lt=1)]
    reason: Reason


class Why(Asking):
    """A reason, which is recorded."""

    reason: Reason


class Recipe(Asking):
    """What somebody asks for. Epsilon and delta are totals for everything that is bought."""

    synthesizer: Annotated[str, Field(min_length=1, max_length=40)] = "aim"
    epsilon: Annotated[float, Field(gt=0, le=1000)]
    delta: Annotated[float, Field(gt=0, lt=1)]
    rows: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    where: Annotated[list[Condition], Field(max_length=20)] = []
    balance: Annotated[list[Condition], Field(max_length=5)] = []
    device: Literal["auto", "cpu", "cuda"] = "auto"
    policy: Annotated[str, Field(min_length=1, max_length=100)]


class NewRelease(Recipe):
    """A request for a release."""

    purpose: Reason
    recipient: Name


class PriceOut(Answer):
    """What a request would cost; no row was read for it."""

    epsilon: float
    delta: float
    lines: list[str]
    seconds: float
    memory_bytes: int
    spent: float
    total_after: float | None
    left_after: float | None
    fits: bool
    approvers: int


class Received(Answer):
    """A table that was taken in; for the sender to compare. Its check is queued."""

    size: int
    digest: str


class ReleaseOut(Answer):
    """A release as whoever asked for it sees it, and everybody once it is out."""

    id: str
    dataset: str
    asked_at: str
    asked: dict[str, Any]
    policy: str
    approvers: int
    purpose: str
    recipient: str
    state: str
    stop_asked: bool
    problem: dict[str, Any] | None
    ended_at: str
    expires_at: str


class ReviewedRelease(ReleaseOut):
    """The same for those who may see findings: what the gate said, and of which bundle."""

    asked_by: str
    verdict: str
    bundle: str
    run: int
    charge: str


class Step(Answer):
    """A step of a run, by a fixed text; no number of a row is in it."""

    id: int
    run: int
    step: str
    at: str


class VoteAsked(Asking):
    """A person's word on exactly what they looked at."""

    bundle: Annotated[str, Field(pattern=DIGEST, description="`bundle` of the release as it was looked at.")]
    approve: bool
    reason: Reason


class VoteOut(Answer):
    """What somebody said. Until it is decided everybody sees their own word only."""

    person: str
    bundle: str
    approve: bool
    reason: str
    at: str


class Findings(Answer):
    """Exact findings and the gate's decision: internal."""

    scorecard: dict[str, Any]


class ReauditAsked(Answer):
    """A re-audit that is queued."""

    id: str


class ReauditOut(Answer):
    """What the gate decided when a released table was audited again: internal."""

    id: str
    decision: dict[str, Any]


class Card(Answer):
    """The recipient's half of a scorecard."""

    scorecard: dict[str, Any]


class Terms(Answer):
    """Terms of use, and whether you accepted them for this release."""

    text: str
    digest: str
    accepted: bool


class TermsAccepted(Asking):
    """The digest of the terms somebody read."""

    digest: Annotated[str, Field(pattern=DIGEST)]


class FileOut(Answer):
    """A file of a released bundle."""

    name: str
    size: int


class End(Asking):
    """When downloads end by themselves: ISO 8601, or empty for never."""

    at: Annotated[str, Field(max_length=40)]


class NoticeOut(Answer):
    """Something you must know."""

    id: str
    release: str
    text: str
    at: str
    seen_at: str


class RecordOut(Answer):
    """An entry of the audit log, with the digests that chain it to the one before."""

    seq: int
    kind: str
    body: dict[str, Any]
    previous: str
    digest: str


class Records(Answer):
    """Part of the audit log; `next` is the number to go on after, or null at the end."""

    items: list[RecordOut]
    next: int | None


class Chain(Answer):
    """A chain that was recomputed entry by entry: how many, and the digest of the last."""

    name: str
    length: int
    head: str


class WorkerOut(Answer):
    """A slot that runs jobs."""

    slot: str
    queues: str
    host: str
    started_at: str
    silent_seconds: float
    alive: bool


class PolicyOut(Answer):
    """A policy, known by its digest."""

    name: str
    tier: str
    digest: str
    approvers: int
    max_epsilon: float | None
    document: dict[str, Any]
