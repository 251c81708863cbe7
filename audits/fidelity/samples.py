"""Three tables of one size: what the audits compare that look at whole rows."""

from __future__ import annotations

from numpy.random import Generator

from audits.errors import InconclusiveError
from audits.evidence import Evidence
from audits.rows import canonical, one_row_per_unit, sampled
from privacy.table import Table

MIN_ROWS = 100


def equal_samples(evidence: Evidence, max_rows: int, rng: Generator) -> tuple[Table, Table, Table]:
    """Equally many control, training and synthetic rows, one a real person, in an order that says nothing.

    Args:
        evidence: the tables.
        max_rows: rows of each table at most.
        rng: chooses the row of a person, and the rows of a larger table.

    Raises:
        InconclusiveError: fewer than 100 rows of a table, one row a person.
    """
    control, train = (canonical(t.select(one_row_per_unit(t, rng))) for t in (evidence.control, evidence.train))
    synthetic = canonical(evidence.synthetic)
    n = min(max_rows, len(control), len(train), len(synthetic))
    if n < MIN_ROWS:
        raise InconclusiveError(f"fewer than {MIN_ROWS} control, training or synthetic rows")
    return sampled(control, n, rng), sampled(train, n, rng), sampled(synthetic, n, rng)
