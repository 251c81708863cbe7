"""What a population was charged over time, for people to look at. Figures are of charges, which are public facts."""

from __future__ import annotations

from dataclasses import dataclass

from api.access.roles import Action, Principal
from api.desk.charges import ledger_in
from api.desk.desk import Desk, dataset_for
from api.store.database import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeLine:
    """One charge.

    Attributes:
        at: when it was made.
        purpose: in words.
        epsilon, delta: what the release promises. Charges do not add up to the total, which is smaller.
        state: `reserved` until a row was read for it, then `spent`; or `void`.
    """

    at: str
    purpose: str
    epsilon: float
    delta: float
    state: str


def charges(desk: Desk, who: Principal, dataset: str) -> list[ChargeLine]:
    """The charges of a dataset's population, the newest first. Raises NotFoundError, ForbiddenError."""
    with reading(desk.engine) as session:
        found = dataset_for(session, who, dataset, Action.SEE_BUDGET)
        ledger = ledger_in(session)
        rows = ledger.show(found.population) if found.population in ledger.populations() else []
    states = {row["charge"]: {"void": "void", "opened": "spent"}[row["kind"]]
              for row in rows if row["kind"] in ("void", "opened")}  # fmt: skip
    return [
        ChargeLine(
            at=row["at"],
            purpose=row["body"]["purpose"],
            epsilon=row["body"]["claim"]["epsilon"],
            delta=row["body"]["claim"]["delta"],
            state=states.get(row["charge"], "reserved"),
        )
        for row in reversed(rows)
        if row["kind"] == "charge"
    ]
