"""Budgets as pages and programs see them, worked out once for every state of the ledger.

What is left under a cap takes a third of a second to compute, and is a function of the ledger's entries alone; so it is
kept until there is another entry. Of many who ask after a new entry the first works it out, and the others wait for it.
Who may see it is asked every time. Admission never looks here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock

from sqlalchemy import select

from api.access.roles import Action, Principal
from api.desk import datasets
from api.desk.desk import Desk
from api.store.database import reading
from api.store.journal import LEDGER
from api.store.tables import ChainEntry
from api.web.wire import Gauge

MOST_KEPT = 1000


@dataclass(slots=True)
class Gauges:
    """The budgets of one app's datasets."""

    _kept: dict[tuple[str, str], Gauge] = field(default_factory=dict)
    _working: Lock = field(default_factory=Lock)

    def of(self, desk: Desk, who: Principal, dataset: str) -> Gauge:
        """A dataset's budget. Raises NotFoundError, ForbiddenError."""
        datasets.dataset(desk, who, dataset)
        who.check(Action.SEE_BUDGET, dataset)
        found = self._kept.get((dataset, _head(desk)))
        if found is not None:
            return found
        with self._working:
            head = _head(desk)  # read first: a budget of a later ledger is not kept under an earlier head
            found = self._kept.get((dataset, head))
            if found is None:
                found = _shown(datasets.budget(desk, who, dataset))
                if len(self._kept) >= MOST_KEPT:
                    self._kept.clear()
                if _head(desk) == head:
                    self._kept[dataset, head] = found
            return found


def _head(desk: Desk) -> str:
    """Digest of the ledger's last entry."""
    last = select(ChainEntry.digest).where(ChainEntry.chain == LEDGER).order_by(ChainEntry.seq.desc()).limit(1)
    with reading(desk.engine) as session:
        return session.scalar(last) or ""


def _shown(budget: datasets.Gauge) -> Gauge:
    return Gauge(
        population=budget.population,
        cap_epsilon=budget.cap.epsilon,
        delta=budget.cap.delta,
        spent=budget.spent,
        reserved=budget.reserved,
        left=budget.left,
        attempts=budget.attempts,
    )
