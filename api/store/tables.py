"""What the service remembers. Times are ISO 8601 texts in UTC, which sort; ids are of `api.store.identity`.

No column holds a cell of a private table or a figure computed from one: those are in files, encrypted or internal.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

ID = String(64)
WORD = String(200)
TIME = String(40)


class Base(DeclarativeBase):
    """All tables."""


class Person(Base):
    """Somebody who may sign in; `password` is an argon2 hash, empty for machines."""

    __tablename__ = "person"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    name: Mapped[str] = mapped_column(WORD, unique=True)
    password: Mapped[str] = mapped_column(Text, default="")
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[str] = mapped_column(TIME)


class Grant(Base):
    """A role of a person, for one dataset or, where `dataset` is empty, for all."""

    __tablename__ = "grant_of_role"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    person: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    role: Mapped[str] = mapped_column(WORD)
    dataset: Mapped[str] = mapped_column(ID, default="")

    __table_args__ = (UniqueConstraint("person", "role", "dataset"),)


class Key(Base):
    """An API key: its digest, never the key. `scopes` are what it is limited to, none for no limit."""

    __tablename__ = "api_key"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    person: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    digest: Mapped[str] = mapped_column(ID, unique=True)
    label: Mapped[str] = mapped_column(WORD)
    scopes: Mapped[list[str]] = mapped_column(JSON, default=list)
    created_at: Mapped[str] = mapped_column(TIME)
    expires_at: Mapped[str] = mapped_column(TIME)
    revoked_at: Mapped[str] = mapped_column(TIME, default="")


class Identity(Base):
    """Somebody as an identity provider knows them: who issued the name, and the name, which never passes to another."""

    __tablename__ = "identity"

    issuer: Mapped[str] = mapped_column(WORD, primary_key=True)
    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    person: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    at: Mapped[str] = mapped_column(TIME)


class Errand(Base):
    """A browser that was sent to the identity provider and is to come back: what it must bring, and where it goes on.

    `digest` is of the token in its cookie. A row is used once.
    """

    __tablename__ = "errand"

    digest: Mapped[str] = mapped_column(ID, primary_key=True)
    state: Mapped[str] = mapped_column(ID)
    nonce: Mapped[str] = mapped_column(ID)
    verifier: Mapped[str] = mapped_column(ID)
    target: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[str] = mapped_column(TIME)


class Login(Base):
    """A browser's session; the cookie holds a token, this its digest."""

    __tablename__ = "login"

    digest: Mapped[str] = mapped_column(ID, primary_key=True)
    person: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    form_token: Mapped[str] = mapped_column(ID)
    seen_at: Mapped[str] = mapped_column(TIME)
    expires_at: Mapped[str] = mapped_column(TIME)


class Dataset(Base):
    """A sensitive table and its public description.

    `schema` is its document as JSON, `upload` the last one sent, `table_name` where the vault keeps the table made of
    it, and `table_digest` the digest of that encrypted file, which tells nothing of what is in it.
    """

    __tablename__ = "dataset"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    title: Mapped[str] = mapped_column(WORD)
    population: Mapped[str] = mapped_column(WORD, index=True)
    schema: Mapped[str] = mapped_column(Text)
    schema_digest: Mapped[str] = mapped_column(ID)
    state: Mapped[str] = mapped_column(WORD)
    problem: Mapped[dict[str, Any] | None] = mapped_column(JSON, default=None)
    table_kind: Mapped[str] = mapped_column(WORD, default="")
    table_name: Mapped[str] = mapped_column(WORD, default="")
    table_digest: Mapped[str] = mapped_column(ID, default="")
    upload: Mapped[str] = mapped_column(ID, default="")
    uploads: Mapped[int] = mapped_column(default=0)
    keep_until: Mapped[str] = mapped_column(TIME, default="")
    created_by: Mapped[str] = mapped_column(ForeignKey("person.id"))
    created_at: Mapped[str] = mapped_column(TIME)
    erased_at: Mapped[str] = mapped_column(TIME, default="")


class Release(Base):
    """A request for a release, and what became of it.

    `asked` is the recipe, `table_name` the table it is made from, `run` counts the times it was started: what an older
    run still does is refused by that number.
    """

    __tablename__ = "release"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    dataset: Mapped[str] = mapped_column(ForeignKey("dataset.id"), index=True)
    asked_by: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    asked_at: Mapped[str] = mapped_column(TIME)
    once: Mapped[str] = mapped_column(WORD)
    asked: Mapped[dict[str, Any]] = mapped_column(JSON)
    policy: Mapped[str] = mapped_column(Text)
    approvers: Mapped[int] = mapped_column()
    purpose: Mapped[str] = mapped_column(Text)
    recipient: Mapped[str] = mapped_column(WORD)
    queue: Mapped[str] = mapped_column(WORD)
    state: Mapped[str] = mapped_column(WORD, index=True)
    table_name: Mapped[str] = mapped_column(WORD)
    run: Mapped[int] = mapped_column(default=0)
    stop_asked: Mapped[bool] = mapped_column(default=False)
    charge: Mapped[str] = mapped_column(ID)
    verdict: Mapped[str] = mapped_column(WORD, default="")
    bundle: Mapped[str] = mapped_column(ID, default="")
    problem: Mapped[dict[str, Any] | None] = mapped_column(JSON, default=None)
    ended_at: Mapped[str] = mapped_column(TIME, default="")
    expires_at: Mapped[str] = mapped_column(TIME, default="")

    __table_args__ = (UniqueConstraint("asked_by", "once"),)


class Progress(Base):
    """A step of a run, by a fixed text."""

    __tablename__ = "progress"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    release: Mapped[str] = mapped_column(ForeignKey("release.id"), index=True)
    run: Mapped[int] = mapped_column()
    step: Mapped[str] = mapped_column(WORD)
    at: Mapped[str] = mapped_column(TIME)


class Monitor(Base):
    """A release that is compared with new versions of its table.

    `asked` is what is bought each time and how it is judged (`api.desk.monitors.Comparing`); `days` pass between two
    checks at least. `problem` says why it is paused; None while it watches.
    """

    __tablename__ = "monitor"

    release: Mapped[str] = mapped_column(ForeignKey("release.id"), primary_key=True)
    dataset: Mapped[str] = mapped_column(ForeignKey("dataset.id"), index=True)
    asked: Mapped[dict[str, Any]] = mapped_column(JSON)
    days: Mapped[int] = mapped_column()
    set_by: Mapped[str] = mapped_column(ForeignKey("person.id"))
    set_at: Mapped[str] = mapped_column(TIME)
    problem: Mapped[dict[str, Any] | None] = mapped_column(JSON, default=None)


class Check(Base):
    """One comparison of a release with a version of its table, and what became of it.

    `table_name` is that version, `version` the upload it came of; `steps` are those of its runs, by fixed texts.
    `verdict` is drift, steady or unclear, which follows from what was bought.
    """

    __tablename__ = "release_check"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    release: Mapped[str] = mapped_column(ForeignKey("release.id"), index=True)
    dataset: Mapped[str] = mapped_column(ForeignKey("dataset.id"), index=True)
    asked_by: Mapped[str] = mapped_column(ID)
    asked_at: Mapped[str] = mapped_column(TIME)
    asked: Mapped[dict[str, Any]] = mapped_column(JSON)
    table_name: Mapped[str] = mapped_column(WORD)
    version: Mapped[int] = mapped_column()
    state: Mapped[str] = mapped_column(WORD, index=True)
    run: Mapped[int] = mapped_column(default=0)
    steps: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    stop_asked: Mapped[bool] = mapped_column(default=False)
    charge: Mapped[str] = mapped_column(ID)
    verdict: Mapped[str] = mapped_column(WORD, default="")
    problem: Mapped[dict[str, Any] | None] = mapped_column(JSON, default=None)
    ended_at: Mapped[str] = mapped_column(TIME, default="")


class Vote(Base):
    """One person's word on one sealed bundle; another bundle asks anew."""

    __tablename__ = "vote"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    release: Mapped[str] = mapped_column(ForeignKey("release.id"), index=True)
    person: Mapped[str] = mapped_column(ForeignKey("person.id"))
    bundle: Mapped[str] = mapped_column(ID)
    approve: Mapped[bool] = mapped_column()
    reason: Mapped[str] = mapped_column(Text)
    at: Mapped[str] = mapped_column(TIME)

    __table_args__ = (UniqueConstraint("release", "person", "bundle"),)


class Acceptance(Base):
    """Somebody accepted a release's terms of use, by the digest of what they read."""

    __tablename__ = "acceptance"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    release: Mapped[str] = mapped_column(ForeignKey("release.id"), index=True)
    person: Mapped[str] = mapped_column(ForeignKey("person.id"))
    terms: Mapped[str] = mapped_column(ID)
    at: Mapped[str] = mapped_column(TIME)

    __table_args__ = (UniqueConstraint("release", "person", "terms"),)


class Download(Base):
    """Somebody took a file of a released bundle."""

    __tablename__ = "download"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    release: Mapped[str] = mapped_column(ForeignKey("release.id"), index=True)
    person: Mapped[str] = mapped_column(ForeignKey("person.id"))
    file: Mapped[str] = mapped_column(WORD)
    at: Mapped[str] = mapped_column(TIME)


class Notice(Base):
    """Something a person must be told: of a withdrawal, whoever downloaded."""

    __tablename__ = "notice"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    person: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    release: Mapped[str] = mapped_column(ForeignKey("release.id"))
    text: Mapped[str] = mapped_column(Text)
    at: Mapped[str] = mapped_column(TIME)
    seen_at: Mapped[str] = mapped_column(TIME, default="")


class Worker(Base):
    """A slot that runs jobs; `token` tells two processes that claim the same slot apart."""

    __tablename__ = "worker"

    slot: Mapped[str] = mapped_column(WORD, primary_key=True)
    token: Mapped[str] = mapped_column(ID)
    queues: Mapped[str] = mapped_column(WORD)
    host: Mapped[str] = mapped_column(WORD)
    started_at: Mapped[str] = mapped_column(TIME)
    beat: Mapped[float] = mapped_column()


class ChainEntry(Base):
    """One entry of a hash-chained journal. Triggers refuse to change or remove it."""

    __tablename__ = "chain_entry"

    chain: Mapped[str] = mapped_column(WORD, primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(WORD)
    body: Mapped[str] = mapped_column(Text)
    previous: Mapped[str] = mapped_column(ID)
    digest: Mapped[str] = mapped_column(ID)


Index("progress_of_release", Progress.release, Progress.id)
