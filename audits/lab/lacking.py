"""What synthetic rows lack of the imperfections of counted ones, column by column, and planting it.

Counted are the cells of every column, by label where that is known: how real rows with a label are missing and spread
(`audits.lab.counted` has the sources and their price). What is learnt from bought counts and planted by public coins in
synthetic rows is post-processing: rows with it could leave as the others do. What is learnt from exact counts stays
inside.

A column is touched, within a label, only where its two histograms are proven to differ, noise of the counts and
sampling of both tables included (`audits.drift.contrast`, tolerance 0, all of them one family under Holm's procedure),
and only in cells that are proven to differ. Of such a column is learnt

- missing cells: by how much the share of missing cells falls short;
- a confusion matrix: the channel that takes the synthetic shares of its cells to the counted ones and changes the
  fewest rows. Cells with too large a share lose the surplus, and a row that leaves one goes to cells with too small a
  share, by what each wants. It changes a share of rows that is the total variation distance of the two, and none can
  change fewer (the maximal coupling: Levin & Peres 2017, "Markov Chains and Mixing Times", 4.2). Cells are levels, or
  ranges of a number;
- of numbers also a deviation of Gaussian noise: the one, of those tried, after which the histograms are nearest.

What it does not cover. How far a recorded value is from the true one cannot be known from values recorded once: what is
learnt is what the synthetic rows are short of, and not an error rate of the source. Columns are changed apart from one
another, so what two of them share beyond the label gets weaker. Rounding to whole tens inside a cell is not seen, and a
cell that no synthetic row is in cannot be planted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from audits.drift.contrast import Shift, Side, compare
from audits.intervals import USUAL
from audits.lab.counted import HALF_A_ROW, Counted
from audits.release.family import rejected
from privacy.columns import Floats, LevelColumn, NumberColumn
from privacy.table import Table

DEVIATIONS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Of noise, in units of the column's own deviation, that are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """What one column lacks. Public where the counts and the synthetic rows are.

    Attributes:
        column: its name.
        place: which of the counted columns it is.
        missing: share of its present cells that are to go missing, by group, shape (groups,).
        noise: deviation of the noise its numbers are to get, in units of the column's own; 0 for none.
        leaves: chance of a row to leave its cell for another, shape (groups, cells).
        enters: where it then goes, shape (groups, cells); sums to 1 over a group, or to 0 where none leaves.
        blanked, confused: shares of the synthetic rows that `missing` and `leaves` come to.
    """

    column: str
    place: int
    missing: Floats
    noise: float
    leaves: Floats
    enters: Floats
    blanked: float
    confused: float

    def confusion(self, group: int) -> Floats:
        """The confusion matrix of a group: from each cell to each, shape (cells, cells); rows sum to 1."""
        return np.asarray(np.diag(1 - self.leaves[group]) + np.outer(self.leaves[group], self.enters[group]))


def lacking(known: Counted, synthetic: Table, target: str, rng: Generator) -> tuple[Lack, ...]:
    """What every column but the target is proven to lack.

    Args:
        known: counts of real rows.
        synthetic: the rows.
        target: the label, which is left alone.
        rng: public coins.

    Guarantees:
        Synthetic rows that are draws of what was counted are left as they are with probability .95.
    """
    own = known.cuts.of(synthetic)
    asked = [
        (j, g)
        for j, name in enumerate(known.cuts.names)
        for g in range(known.cuts.groups[j])
        if name != target and own[j][g].sum() > 0
    ]
    cluster = synthetic.schema.unit.max_rows
    shifts = {
        (j, g): compare(
            _side(known.counts[j][g], known.variances[j][g]),
            _side(own[j][g], np.full_like(own[j][g], HALF_A_ROW)),
            ordered=known.cuts.ordered[j],
            cluster=cluster,
            tolerance=0.0,
            rng=rng,
        )
        for j, g in asked
    }
    proven = rejected([shift.p_value for shift in shifts.values()], [1.0] * len(shifts), 1 - USUAL)
    differ = {place: shift for (place, shift), yes in zip(shifts.items(), proven, strict=True) if yes}
    found = [
        _lack(known, j, own[j], {g: shift for (i, g), shift in differ.items() if i == j}, synthetic, rng)
        for j in sorted({j for j, _ in differ})
    ]
    return tuple(lack for lack in found if lack.blanked or lack.noise or lack.confused)


def with_missing(known: Counted, lacks: Sequence[Lack], rows: Table, rng: Generator) -> Table:
    """Rows whose cells go missing as the columns lack it; none comes back."""
    columns, cells = dict(rows.columns), known.cuts.cells_of(rows)
    for lack in lacks:
        column = rows.schema[lack.column]
        gone = rng.random(len(rows)) < lack.missing[cells[:, lack.place] // lack.leaves.shape[1]]
        blank = column.n_codes - 1 if isinstance(column, LevelColumn) else np.nan
        columns[lack.column] = np.where(gone, np.asarray(blank, columns[lack.column].dtype), columns[lack.column])
    return replace(rows, columns=columns)


def with_noise(lacks: Sequence[Lack], rows: Table, rng: Generator) -> Table:
    """Rows whose numbers are as noisy as the columns lack it."""
    noisy = {lack.column: _noisy(rows, lack.column, lack.noise, rng) for lack in lacks if lack.noise}
    return replace(rows, columns={**rows.columns, **noisy})


def with_confusion(known: Counted, lacks: Sequence[Lack], rows: Table, rng: Generator) -> Table:
    """Rows that go to other cells as the columns lack it; the value there is that of another row in the cell."""
    columns, cells = dict(rows.columns), known.cuts.cells_of(rows)
    for lack in lacks:
        joint, values = cells[:, lack.place], columns[lack.column]
        changed, n_cells = values.copy(), lack.leaves.shape[1]
        leaving = np.flatnonzero(rng.random(len(rows)) < lack.leaves.ravel()[joint])
        for group in np.unique(joint[leaving] // n_cells):
            some = leaving[joint[leaving] // n_cells == group]
            goals = rng.choice(n_cells, len(some), p=lack.enters[group])
            for goal in np.unique(goals):
                there, going = np.flatnonzero(joint % n_cells == goal), some[goals == goal]
                if len(there):
                    changed[going] = values[rng.choice(there, len(going))]
        columns[lack.column] = changed
    return replace(rows, columns=columns)


def _lack(known: Counted, j: int, own: Floats, differ: Mapping[int, Shift], synthetic: Table, rng: Generator) -> Lack:
    """Of one column, in the groups that are proven to differ."""
    missing, leaves, enters = np.zeros(len(own)), np.zeros_like(own), np.zeros_like(own)
    elsewhere = own.sum(axis=0) > 0
    for group, shift in differ.items():
        missing[group], leaves[group], enters[group] = _channel(own[group], shift, elsewhere)
    present = own[:, :-1].sum(axis=1)
    name, n = known.cuts.names[j], max(float(own.sum()), 1.0)
    is_number = isinstance(synthetic.schema[name], NumberColumn)
    return Lack(
        column=name,
        place=j,
        missing=missing,
        noise=_deviation(known, j, synthetic, rng) if is_number else 0.0,
        leaves=leaves,
        enters=enters,
        blanked=float(missing @ present) / n,
        confused=float((leaves * own).sum()) / n,
    )


def _channel(own: Floats, shift: Shift, possible: Floats) -> tuple[float, Floats, Floats]:
    """Chance to go missing, chance to leave each cell and where to: in cells that are proven to differ.

    Args:
        own: synthetic rows by cell.
        shift: how far their shares are from the counted ones.
        possible: which cells any synthetic row is in.
    """
    shares = own / own.sum()
    wanted, proven = shares.copy(), np.zeros(len(own), np.bool_)
    for move in shift.moves:
        wanted[move.cell], proven[move.cell] = move.before, move.cell < len(own) - 1
    missing = max(0.0, float(wanted[-1] - shares[-1])) / max(1 - float(shares[-1]), 1e-9)
    before, after = (one / max(1 - float(one[-1]), 1e-9) for one in (wanted, shares))
    gap = np.where(proven, before - after, 0.0)
    wants, spares = np.where(possible, np.maximum(gap, 0), 0), np.maximum(-gap, 0)
    moved = float(min(wants.sum(), spares.sum()))
    if moved == 0:
        return missing, np.zeros(len(own)), np.zeros(len(own))
    leaves = np.divide(spares * moved / spares.sum(), after, out=np.zeros(len(own)), where=spares > 0)
    return missing, leaves, wants / wants.sum()


def _deviation(known: Counted, j: int, synthetic: Table, rng: Generator) -> float:
    """The deviation after which a number column is nearest to the counts, missing cells aside."""
    name = known.cuts.names[j]
    held = np.maximum(known.counts[j].sum(axis=0)[:-1], 0)
    wanted = held / max(float(held.sum()), 1.0)

    def distance(part: float) -> float:
        columns = {**synthetic.columns, name: _noisy(synthetic, name, part, rng)}
        own = known.cuts.of(replace(synthetic, columns=columns))[j].sum(axis=0)[:-1]
        return float(np.abs(own / max(float(own.sum()), 1.0) - wanted).sum() / 2)

    return min(DEVIATIONS, key=distance)


def _noisy(rows: Table, name: str, part: float, rng: Generator) -> Floats:
    column, values = rows.schema[name], rows.numbers(name)
    if not isinstance(column, NumberColumn):
        raise TypeError(f"'{name}' has no numbers")
    spread = float(np.nanstd(values)) if np.isfinite(values).any() else 0.0
    return column.clamp(values + rng.normal(0, part * spread, len(values)))


def _side(counts: Floats, variance: Floats) -> Side:
    """The cells of a group, as a table by themselves."""
    rows, spread = max(1.0, float(counts.sum())), float(variance.sum())
    return Side(noisy=counts, variance=variance, rows=rows, rows_variance=spread)
