"""Who is protected: the unit, and which tables count as neighbours.

Adjacency is add-or-remove of one unit throughout. A unit is a row, or everything one person owns, of which at most
``max_rows`` rows are kept (excess rows are dropped by that person's own secret coins, see `privacy.table`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Adjacency(StrEnum):
    """Which tables are neighbours."""

    ADD_OR_REMOVE = "add-or-remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyUnit:
    """The protected entity.

    Attributes:
        field: column with the person's identifier, or None when every row is its own unit.
        max_rows: public bound on the rows one unit contributes; 1 for rows.
        adjacency: which tables are neighbours.
    """

    field: str | None
    max_rows: int
    adjacency: Adjacency

    def __post_init__(self) -> None:
        if self.max_rows < 1 or (self.field is None and self.max_rows != 1):
            raise ValueError("max_rows is a positive bound, and 1 where the unit is a row")

    @property
    def words(self) -> str:
        """The unit in words, as a statement prints it."""
        if self.field is None:
            return "one row"
        return f"one person (all rows with one value of '{self.field}', of which at most {self.max_rows} are used)"
