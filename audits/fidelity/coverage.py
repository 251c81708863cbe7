"""What the synthetic table lacks altogether: rare values, rare pairs of values, and tails.

A cell of a column or of a pair is missed where it holds control rows and no synthetic row. Counted are the share of
control rows in missed cells, beside the same by as many training rows, since a second sample of the population lacks
some too; and the share of categories with at least five control rows that no synthetic row has. A tail is what lies
beyond the first or the last percent of the training rows: the share of control rows there less the share of synthetic
rows there is what was cut off.

One row stands for each unit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from audits.cells import cells, n_cells
from audits.errors import InconclusiveError
from audits.estimates import estimate_finding, exact_finding, excess_finding, rate_finding
from audits.evidence import Evidence
from audits.finding import Audience, Finding
from audits.intervals import detectable_difference
from audits.rows import canonical, one_row_per_unit, sampled
from privacy.columns import Floats, LevelColumn
from privacy.schema import Schema
from privacy.table import Table

MAX_CELLS = 1_000_000
Cells = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which values of the population the synthetic table does not hold.

    Attributes:
        bins: equal-width bins of a number.
        least: control rows from which a category should be there.
        tail: share of training rows beyond the point where a tail begins.
        worst: columns and pairs reported by name.
        max_rows: rows of each table.
    """

    bins: int = 20
    least: int = 5
    tail: float = 0.01
    worst: int = 10
    max_rows: int = 30_000
    name: ClassVar[str] = "coverage"
    title: ClassVar[str] = "Coverage of rare values"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Shares of control rows in missed cells, of missed categories, and of cut tails; worst columns first.

        Raises:
            InconclusiveError: a table has no rows.
        """
        tables = [canonical(t.select(one_row_per_unit(t, rng))) for t in (evidence.control, evidence.train)]
        tables.append(canonical(evidence.synthetic))
        if not all(map(len, tables)):
            raise InconclusiveError("the control, training or synthetic table has no rows")
        size = min(len(tables[1]), len(tables[2]), self.max_rows)
        control, train, synthetic = sampled(tables[0], self.max_rows, rng), *(sampled(t, size, rng) for t in tables[1:])
        coded = [
            [cells(table, column, self.bins) for table in (control, train, synthetic)]
            for column in evidence.schema.columns
        ]
        widths = [n_cells(column, self.bins) for column in evidence.schema.columns]
        return (
            *self._values(evidence.schema, coded, widths),
            *self._pairs(evidence.schema, coded, widths),
            *self._categories(evidence.schema, coded),
            *self._tails(evidence.schema, control, train, synthetic),
        )

    def _values(self, schema: Schema, coded: list[list[Cells]], widths: list[int]) -> Iterator[Finding]:
        missed = [_missed(sides, width) for sides, width in zip(coded, widths, strict=True)]
        some = [np.any([m[side] for m in missed], axis=0) for side in range(2)]
        yield _share("control rows with a value that is missed", "", some[0], some[1])
        order = sorted(range(len(missed)), key=lambda i: -int(missed[i][0].sum()))
        for i in order[: self.worst]:
            yield _share("control rows whose value is missed", schema.names[i], *missed[i])

    def _pairs(self, schema: Schema, coded: list[list[Cells]], widths: list[int]) -> Iterator[Finding]:
        """The share of a control row's pairs of values that are missed, on average over rows, and the worst pairs."""
        pairs = [(i, j) for i, j in combinations(range(len(coded)), 2) if widths[i] * widths[j] <= MAX_CELLS]
        if not pairs:
            return

        def missed_of(pair: tuple[int, int]) -> tuple[Mask, Mask]:
            i, j = pair
            joint = [a * widths[j] + b for a, b in zip(coded[i], coded[j], strict=True)]
            return _missed(joint, widths[i] * widths[j])

        ours, real = (np.zeros(len(coded[0][0])) for _ in range(2))
        counts = []
        for pair in pairs:
            both = missed_of(pair)
            counts.append(int(both[0].sum()))
            for total, part in zip((ours, real), both, strict=True):
                total += part / len(pairs)
        yield from self._mean_pairs(ours, real)
        for k in np.argsort(-np.array(counts), kind="stable")[: self.worst]:
            subject = ", ".join(schema.names[i] for i in pairs[k])
            yield _share("control rows whose pair of values is missed", subject, *missed_of(pairs[k]))

    def _mean_pairs(self, ours: Floats, real: Floats) -> Iterator[Finding]:
        """The mean share and its excess. Both tables vary, so that the variances of the two are added, not paired."""
        n = len(ours)
        of_ours, of_real = (float(part.var()) / n + 1 / n**2 for part in (ours, real))
        yield from (
            estimate_finding(
                audit=self.name,
                quantity=quantity,
                subject="",
                estimate=estimate,
                error=variance**0.5,
                baseline=baseline,
                worse="higher",
                n=n,
                limits=(least, 1.0),
                looked_at=1,
            )
            for quantity, estimate, variance, baseline, least in (
                ("pairs of values missed", float(ours.mean()), of_ours, float(real.mean()), 0.0),
                ("excess of pairs of values missed", float((ours - real).mean()), of_ours + of_real, 0.0, -1.0),
            )
        )

    def _categories(self, schema: Schema, coded: list[list[Cells]]) -> Iterator[Finding]:
        """Of the categories enough control rows have, the share no synthetic, and no training, row has."""
        there = lacking = lacking_train = 0
        for column, (control, train, synthetic) in zip(schema.columns, coded, strict=True):
            if isinstance(column, LevelColumn):
                counts, real, ours = (
                    np.bincount(side, minlength=column.n_codes) for side in (control, train, synthetic)
                )
                held = counts >= self.least
                there += int(held.sum())
                lacking += int((held & (ours == 0)).sum())
                lacking_train += int((held & (real == 0)).sum())
        if there:
            yield exact_finding(
                audit=self.name,
                quantity="categories missed",
                subject="",
                value=lacking / there,
                baseline=lacking_train / there,
                worse="higher",
                n=there,
            )

    def _tails(self, schema: Schema, control: Table, train: Table, synthetic: Table) -> Iterator[Finding]:
        for column in schema.columns:
            if isinstance(column, LevelColumn):
                continue
            known, held, ours = (table.numbers(column.name) for table in (train, control, synthetic))
            if np.isnan(known).all():
                continue
            low, high = np.nanquantile(known, [self.tail, 1 - self.tail])
            for words, beyond, drawn in (("lower", held < low, ours < low), ("upper", held > high, ours > high)):
                if beyond.any():
                    yield excess_finding(
                        audit=self.name,
                        quantity="tail cut off",
                        subject=f"{column.name}, {words} tail",
                        hits=int(beyond.sum()),
                        n=len(held),
                        other_hits=int(drawn.sum()),
                        other_n=len(ours),
                        audience=Audience.INTERNAL,
                    )


def _missed(sides: list[Cells], width: int) -> tuple[Mask, Mask]:
    """Which control rows are in a cell without synthetic rows, and which in one without training rows."""
    control, train, synthetic = sides
    ours, real = (np.bincount(side, minlength=width) == 0 for side in (synthetic, train))
    return ours[control], real[control]


def _share(quantity: str, subject: str, ours: Mask, real: Mask) -> Finding:
    n, floor = len(ours), int(real.sum())
    return rate_finding(
        audit=Coverage.name,
        quantity=quantity,
        subject=subject,
        hits=int(ours.sum()),
        n=n,
        baseline=floor / n,
        detectable=detectable_difference(floor / n, n, n),
        audience=Audience.INTERNAL,
    )
