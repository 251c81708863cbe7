"""Every error here is a reason a table was not released.

An error says what happened, why it matters and how to fix it, and carries the numbers as fields so that a caller can
react. It names columns and rules, never a cell value: error texts end up in logs, and a log is not a release.
Builtin exceptions are kept for programmers' mistakes.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar


class ReleaseError(Exception):
    """The root: what happened, why it stops the release, how to fix it."""

    code: ClassVar[str] = "release-stopped"
    title: ClassVar[str] = "The release stopped"

    def __init__(self, what: str, *, why: str, fix: str) -> None:
        super().__init__(f"{what} {why} {fix}")
        self.what = what
        self.why = why
        self.fix = fix

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors cross from a worker to the process that asked it: as they are, whatever they were made from."""
        return _restored, (type(self), self.args, self.__dict__)


class SchemaError(ReleaseError):
    """The schema file cannot be used as a public description of the table."""

    code = "schema"
    title = "The schema was refused"


class TableError(ReleaseError):
    """The file is not a table of the declared shape."""

    code = "table"
    title = "The table was refused"


class RequestError(ReleaseError):
    """A parameter of the request is out of its range."""

    code = "request"
    title = "The request was refused"


class BudgetExceededError(ReleaseError):
    """Admitting the charge would take a population past its cap."""

    code = "budget-exceeded"
    title = "The privacy budget does not allow it"

    def __init__(self, *, population: str, total: float, cap_epsilon: float, cap_delta: float, left: float) -> None:
        where = (
            f"to epsilon {total:.4g} at delta {cap_delta:.3g}"
            if math.isfinite(total)
            else f"past delta {cap_delta:.3g} by its discovered category lists alone"
        )
        super().__init__(
            f"This release would bring the total of population '{population}' {where}.",
            why=f"Its cap is epsilon {cap_epsilon:.4g} at delta {cap_delta:.3g}, over every release ever made of it.",
            fix=f"At most epsilon {left:.4g} is left for one more Gaussian release; ask for less, "
            "or record a new cap and its reason with `tablegate ledger cap`.",
        )
        self.population = population
        self.total = total
        self.cap_epsilon = cap_epsilon
        self.cap_delta = cap_delta
        self.left = left


class OverspendError(ReleaseError):
    """A fit asked for more than its plan had charged. A defect of the generator, stopped before any noise is drawn."""

    code = "overspend"
    title = "The generator asked for more than was charged"


class JournalError(ReleaseError):
    """The ledger's journal is damaged, unreadable or not the one expected."""

    code = "journal"
    title = "The ledger cannot be trusted"


def _restored(kind: type[ReleaseError], args: tuple[Any, ...], fields: dict[str, Any]) -> ReleaseError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(fields)
    return error
