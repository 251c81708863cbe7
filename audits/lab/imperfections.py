"""Do synthetic rows teach more when they are made as imperfect as real ones?

Each arm changes the synthetic rows that are learnt from, and no label. Some plant what the rows are proven to lack:
missing cells, confused levels and ranges, noise on numbers, and all of it, as much as counts of real rows say
(`audits.lab.lacking`). Others plant sizes of our choosing, to see what the model bears: cells go missing, numbers get
noise of a part of their spread, levels are confused with others of the column, drawn by their shares. A model learns
not to lean on what real rows will not give it; where nothing is gained, the synthetic rows already have the real
imperfections, or they do not matter. Several arms are looked at, and bounds hold for all together.

Rows with an imperfection that was learnt from bought counts are post-processing of those and of the synthetic rows.
Which arm helps is found on held-back rows, however: whoever lets rows out because of it lets out that choice, which no
epsilon covers, as none covers the gate's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from audits.estimates import exact_finding
from audits.evidence import Evidence
from audits.finding import Finding
from audits.lab.arms import Comparison
from audits.lab.counted import Counted, cuts_of
from audits.lab.lacking import Lack, lacking, with_confusion, with_missing, with_noise
from audits.tasks import half_of, learning, task_of
from privacy.columns import LevelColumn, NumberColumn
from privacy.table import Table

AS_THEY_ARE = "synthetic rows as they are"
COLUMNS_LACKING = "columns that lack an imperfection"

Change = Callable[[Table, Generator], Table]


@dataclass(frozen=True, slots=True)
class Imperfections:
    """Missing cells, measurement noise and confused levels in what is learnt from.

    Attributes:
        known: counts that were bought of the training rows; None where the training rows are to be counted.
        missing: shares of cells that go missing beside those that are.
        noise: standard deviations of noise on numbers, as parts of the column's own.
        confusion: shares of cells whose level is replaced.
        repeats: how often rows and changes are drawn again.
        max_rows: rows of each side at most.
    """

    known: Counted | None = None
    missing: tuple[float, ...] = (0.02, 0.1)
    noise: tuple[float, ...] = (0.1, 0.3)
    confusion: tuple[float, ...] = (0.02, 0.1)
    repeats: int = 3
    max_rows: int = 20_000
    name: ClassVar[str] = "imperfections"
    title: ClassVar[str] = "Realistic imperfections"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """What is lacking; scores and calibration of every arm, and what differs from rows as they are.

        Raises:
            InconclusiveError: no target, or nothing to learn from or to tell apart.
        """
        task = task_of(evidence.schema)
        rows = learning(evidence, task, self.max_rows, rng)
        target = task.target.name
        known = cuts_of(evidence.train).by_label(target).exact(evidence.train) if self.known is None else self.known
        lacks = lacking(known, evidence.synthetic, target, rng)
        changes = _learnt(known, lacks)
        changes |= {f"{share:.0%} of cells missing": partial(_missing, target, share) for share in self.missing}
        changes |= {f"noise of {part:.0%} on numbers": partial(_noisy, target, part) for part in self.noise}
        changes |= {f"{share:.0%} of levels confused": partial(_confused, target, share) for share in self.confusion}
        halves = [half_of(rows.synthetic, rng) for _ in range(self.repeats)]
        arms = {AS_THEY_ARE: halves} | {
            name: [change(half, rng) for half in halves] for name, change in changes.items()
        }
        found = tuple(_told(self.name, lacks, len(evidence.synthetic)))
        return (*found, *Comparison(self.name, task, rows, AS_THEY_ARE).findings(arms, rng))


def _learnt(known: Counted, lacks: tuple[Lack, ...]) -> dict[str, Change]:
    """An arm for each kind of imperfection that is lacking, and one for all of them where there are several."""
    changes: dict[str, Change] = {}
    if any(lack.blanked for lack in lacks):
        changes["lacking missing cells"] = partial(with_missing, known, lacks)
    if any(lack.confused for lack in lacks):
        changes["lacking confusion of cells"] = partial(with_confusion, known, lacks)
    if any(lack.noise for lack in lacks):
        changes["lacking noise on numbers"] = partial(with_noise, lacks)
    if len(changes) > 1:
        changes["all that is lacking"] = partial(_all_of, known, lacks)
    return changes


def _all_of(known: Counted, lacks: tuple[Lack, ...], rows: Table, rng: Generator) -> Table:
    return with_missing(known, lacks, with_noise(lacks, with_confusion(known, lacks, rows, rng), rng), rng)


def _told(audit: str, lacks: tuple[Lack, ...], n: int) -> Iterator[Finding]:
    """How many columns lack something, and what each lacks."""
    values = [(COLUMNS_LACKING, "", float(len(lacks)))]
    for lack in lacks:
        values += [
            (f"lacking {what}", lack.column, value)
            for what, value in (
                ("missing cells, share", lack.blanked),
                ("confusion of cells, share", lack.confused),
                ("noise, of the column's deviation", lack.noise),
            )
            if value
        ]
    for quantity, subject, value in values:
        yield exact_finding(
            audit=audit, quantity=quantity, subject=subject, value=value, baseline=0.0, worse="higher", n=n
        )


def _missing(target: str, share: float, rows: Table, rng: Generator) -> Table:
    columns = {
        c.name: rows.columns[c.name]
        if c.name == target
        else _blank(rows.columns[c.name], c, rng.random(len(rows)) < share)
        for c in rows.schema.columns
    }
    return replace(rows, columns=columns)


def _noisy(target: str, part: float, rows: Table, rng: Generator) -> Table:
    columns = dict(rows.columns)
    for column in rows.schema.columns:
        if isinstance(column, NumberColumn) and column.name != target:
            values = rows.numbers(column.name)
            spread = float(np.nanstd(values)) if np.isfinite(values).any() else 0.0
            columns[column.name] = column.clamp(values + rng.normal(0, part * spread, len(values)))
    return replace(rows, columns=columns)


def _confused(target: str, share: float, rows: Table, rng: Generator) -> Table:
    columns = dict(rows.columns)
    for column in rows.schema.columns:
        if isinstance(column, LevelColumn) and column.name != target:
            codes = rows.columns[column.name]
            columns[column.name] = np.where(rng.random(len(rows)) < share, rng.permutation(codes), codes)
    return replace(rows, columns=columns)


def _blank(
    values: npt.NDArray[Any], column: LevelColumn | NumberColumn, gone: npt.NDArray[np.bool_]
) -> npt.NDArray[Any]:
    if isinstance(column, LevelColumn):
        return np.where(gone, np.asarray(column.n_codes - 1, dtype=values.dtype), values)
    return np.where(gone, np.nan, values)
