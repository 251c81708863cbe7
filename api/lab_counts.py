"""What the lab learns imperfections from: the training rows, counts a release bought, or counts by label bought now.

Counts by label are taken in the cells that the release's own counts cut the columns into, which are public. They are
charged before a row is read, and noise is the system's, so that a seed does not repeat them. The rows of a person are
bounded by secret coins of the same noise: the lab's own, which its seed makes known, would tell more than was paid for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from api.charging import open_own
from api.further_rows import bundle_of
from api.home import Installation
from api.monitoring import rows_of
from api.panel import panel_of, released_model
from api.panel_price import priced
from api.streams import Streams
from audits.bought.questions import CellsOf
from audits.cells import Cells
from audits.drift.histograms import PanelPurchase
from audits.errors import BundleError
from audits.lab.counted import Counted, Cuts, bought
from privacy.columns import LevelColumn
from privacy.errors import RequestError
from privacy.filter import PrivacyFilter
from privacy.noise import system_noise
from privacy.schema import Schema
from privacy.table import Table


class Source(Protocol):
    """Where counts come from."""

    @property
    def words(self) -> str:
        """What the report says of it."""
        ...

    def counts(self, train: Path) -> Counted | None:
        """Bought counts; None where the experiment is to count the training rows."""
        ...


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """The training rows themselves: exact, by label, and internal."""

    words: str = "the training rows"

    def counts(self, train: Path) -> None:
        """The experiment counts what it is given."""


@dataclass(frozen=True, slots=True)
class Bought:
    """Single columns, as the release bought them: free."""

    known: Counted
    words: str = "counts of single columns that the release bought, at no further price"

    def counts(self, train: Path) -> Counted:  # noqa: ARG002
        """No row is read."""
        return self.known


@dataclass(frozen=True, slots=True)
class Purchase:
    """Counts by label, charged and still to be taken."""

    cuts: Cuts
    bought: PanelPurchase
    privacy: PrivacyFilter
    schema: Schema
    words: str

    def counts(self, train: Path) -> Counted:
        """Taken of the rows of a checked file, through the filter."""
        rows = rows_of(train, self.schema, self.privacy.noise)
        return self.cuts.buy(self.bought, rows, self.schema.unit.max_rows, self.privacy)


def release_counts(release: Path, schema: Schema, home: Installation, seed: int) -> Counted:
    """What a release bought of single columns, for rows coded by any lists. Raises BundleError."""
    model, declared = released_model(bundle_of(release), home)
    if model.schema.names != schema.names:
        raise BundleError(
            "The release has other columns than the schema.",
            why="Imperfections are learnt from what the release measured.",
            fix="Name the schema it was made with.",
        )
    known = bought(panel_of(model, declared, Streams(seed)["panel"]))
    return replace(known, cuts=replace(known.cuts, cells_of=_Spelled(known.cuts.cells_of)))


def charged(
    known: Counted, schema: Schema, target: str, epsilon: float, delta: float, table: str, home: Installation
) -> Purchase:
    """Charge counts by label of the training rows and open the charge. Raises a ReleaseError for what is refused."""
    price = priced(schema, epsilon, delta)
    if target not in known.cuts.names:
        raise RequestError(
            "The release bought no counts of the target.",
            why="Counts by label are cut as the release's own counts are, and a derived or absent target has none.",
            fix="Leave out --epsilon and --delta.",
        )
    cuts = known.cuts.by_label(target)
    parts = ("lab", table, schema.digest, str(price.budget))
    request = hashlib.sha256(repr(parts).encode()).hexdigest()
    charge, privacy = open_own(
        home,
        system_noise(),
        lambda: price.charge(home.ledger, request, "lab: columns by label, to learn imperfections from"),
    )
    words = f"counts by label, bought at epsilon {epsilon:g} and delta {delta:g} (charge {charge.id[:12]})"
    return Purchase(cuts, price.purchase, privacy, schema, words)


@dataclass(frozen=True, slots=True)
class _Spelled:
    """Cells of rows whose levels are coded by other lists than the model's: they are compared by their words."""

    cells_of: CellsOf

    def __call__(self, table: Table) -> Cells:
        """Shape (n, columns)."""
        words = {c.name: c.declared for c in table.schema.columns if isinstance(c, LevelColumn)}
        return self.cells_of(replace(table, vocabularies={**words, **table.vocabularies}))
