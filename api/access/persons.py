"""Persons and their roles. Each function works in the transaction of its caller, who records what was done."""

from __future__ import annotations

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.access.passwords import hash_password, password_fits
from api.access.roles import EVERY_DATASET, Principal, Role
from api.store.identity import new_id, now
from api.store.tables import Dataset, Grant, Identity, Key, Login, Person
from privacy.errors import RequestError

LONGEST_NAME = 100


def add_person(session: Session, name: str, password: str = "") -> Person:
    """Enter a person; without a password they sign in elsewhere, or use a key.

    Raises:
        RequestError: the name is empty, too long, not printable or taken, or the password too short.
    """
    name = name.strip()
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise RequestError(
            f"A name has 1 to {LONGEST_NAME} printable characters.",
            why="It stands in the records and on what people approve.",
            fix="Give the name or address the person is known by.",
        )
    hashed = hash_password(password) if password else ""
    person = Person(id=new_id(), name=name, password=hashed, active=True, created_at=now())
    try:
        with session.begin_nested():
            session.add(person)
    except IntegrityError as error:
        raise RequestError(
            "Somebody has this name already.",
            why="Records name people, and two of one name could not be told apart.",
            fix="Choose another name, or change the person who has it.",
        ) from error
    return person


def set_password(session: Session, person: str, password: str) -> None:
    """Change a password, and sign the person out everywhere. Raises RequestError."""
    found = person_of(session, person)
    found.password = hash_password(password)
    session.execute(delete(Login).where(Login.person == person))


def deactivate(session: Session, person: str) -> None:
    """Nobody signs in as this person again; what they did stays on record. Raises RequestError."""
    person_of(session, person).active = False
    session.execute(delete(Login).where(Login.person == person))
    session.execute(update(Key).where(Key.person == person, Key.revoked_at == "").values(revoked_at=now()))


def give_role(session: Session, person: str, role: Role, dataset: str = EVERY_DATASET) -> None:
    """Give a role, for one dataset or for all; nothing changes where it is held. Raises RequestError."""
    person_of(session, person)
    if dataset != EVERY_DATASET and session.get(Dataset, dataset) is None:
        raise RequestError(
            "There is no such dataset.", why="A role is for a dataset or for all.", fix="List the datasets."
        )
    held = select(Grant.id).where(Grant.person == person, Grant.role == str(role), Grant.dataset == dataset)
    if session.scalar(held) is None:
        session.add(Grant(id=new_id(), person=person, role=str(role), dataset=dataset))


def take_role(session: Session, person: str, role: Role, dataset: str = EVERY_DATASET) -> None:
    """Take a role away. Raises RequestError when it is not held."""
    held = select(Grant).where(Grant.person == person, Grant.role == str(role), Grant.dataset == dataset)
    found = session.scalar(held)
    if found is None:
        raise RequestError(
            "They do not have this role.", why="There is nothing to take.", fix="List the person's roles."
        )
    session.delete(found)


def holders(session: Session, role: Role, dataset: str) -> list[str]:
    """Active people who hold a role for a dataset, or for all; in order."""
    held = select(Grant.person).where(Grant.role == str(role), Grant.dataset.in_((EVERY_DATASET, dataset)))
    return sorted(session.scalars(select(Person.id).where(Person.active, Person.id.in_(held))))


def identify(session: Session, name: str, password: str) -> Person | None:
    """The active person with a name and a password, or None. Equally slow whether the name is known or not."""
    person = session.scalar(select(Person).where(Person.name == name.strip()))
    fits = password_fits(password, "" if person is None else person.password)
    return person if fits and person is not None and person.active else None


def identify_elsewhere(session: Session, issuer: str, subject: str, name: str) -> Person | None:
    """The active person an identity provider vouches for, or None.

    Who comes the first time is whoever an administrator entered under that name and without a password: a local account
    is never handed over to a provider, and nobody is let in whom nobody entered. From then on the provider's own name
    for them counts, whatever they are called.

    Args:
        session: of the caller's transaction.
        issuer: the provider.
        subject: its name for them.
        name: what it says they are called; empty where that is not reliable.
    """
    known = session.get(Identity, (issuer, subject))
    if known is None:
        person = session.scalar(select(Person).where(Person.name == name, Person.password == "")) if name else None
        taken = select(Identity.subject).where(Identity.person == (person.id if person else ""))
        if person is None or not person.active or session.scalar(taken) is not None:
            return None
        session.add(Identity(issuer=issuer, subject=subject, person=person.id, at=now()))
        return person
    found = session.get_one(Person, known.person)
    return found if found.active else None


def principal(session: Session, person: str) -> Principal | None:
    """Who a person is and what they may do, or None for somebody unknown or deactivated."""
    found = session.get(Person, person)
    if found is None or not found.active:
        return None
    held = session.execute(select(Grant.role, Grant.dataset).where(Grant.person == person))
    return Principal(found.id, found.name, frozenset((Role(role), dataset) for role, dataset in held))


def people(session: Session) -> list[tuple[Person, list[Grant]]]:
    """Everybody with their roles, by name."""
    held: dict[str, list[Grant]] = {}
    for one in session.scalars(select(Grant).order_by(Grant.role, Grant.dataset)):
        held.setdefault(one.person, []).append(one)
    return [(person, held.get(person.id, [])) for person in session.scalars(select(Person).order_by(Person.name))]


def person_of(session: Session, person: str) -> Person:
    """The person with an id. Raises RequestError where there is none."""
    found = session.get(Person, person)
    if found is None:
        raise RequestError("There is no such person.", why="Nobody has this id.", fix="List the people.")
    return found
