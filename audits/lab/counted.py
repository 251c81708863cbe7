"""Columns of real rows in cells, by label: what a release bought, what can be bought, or what training rows hold.

A release's own counts of single columns are at hand for nothing. Counts by label can be bought of the training rows, in
the cells of the former: a row is in one cell of each of the q columns, so a unit of k rows moves all counts together by
at most k sqrt(q) in L2, and one Gaussian event pays for them. Where no release is at hand, training rows are cut and
counted themselves, and what follows from that stays inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audits.bought.questions import CellsOf, Questions, tally
from audits.cells import Cells
from audits.drift.cells import Groups, grouped
from audits.drift.histograms import Panel, PanelPurchase
from privacy.columns import Floats, LevelColumn, NumberColumn
from privacy.filter import PrivacyFilter
from privacy.rows import Rows
from privacy.schema import Schema
from privacy.table import Table

CELLS = 24
"""Ordinary cells of a column where the training rows are counted, as many as the monitor's."""

LABELS = 6
"""Groups of the cells of the label, at most."""

HALF_A_ROW = 0.25
"""Variance of a count that is exact: none is certain to less than half a row, and covariances stay regular."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuts:
    """Columns in cells, by groups of labels; the last cell of each group is that of missing cells.

    Attributes:
        names: of the columns.
        groups: how many groups each is counted by.
        cells: how many cells a group has.
        ordered: how many of the first cells are in an order; 0 for none.
        cells_of: group times cells, plus cell, of every row in each, from that row alone; shape (n, columns).
    """

    names: tuple[str, ...]
    groups: tuple[int, ...]
    cells: tuple[int, ...]
    ordered: tuple[int, ...]
    cells_of: CellsOf

    @property
    def asked(self) -> Questions:
        """The same as one question a column."""
        sizes = tuple(g * c for g, c in zip(self.groups, self.cells, strict=True))
        return Questions(self.names, sizes, self.cells_of)

    def of(self, rows: Table) -> list[Floats]:
        """Rows in every group and cell, a column each of shape (groups, cells)."""
        counts = tally([self.asked], rows).astype(np.float64)
        return self._shaped(np.split(counts, np.cumsum(self.asked.sizes)[:-1]))

    def exact(self, rows: Table) -> Counted:
        """Counts of rows themselves. Private, as these are."""
        return self._counted(self.of(rows), HALF_A_ROW)

    def buy(self, purchase: PanelPurchase, rows: Rows, max_rows: int, privacy: PrivacyFilter) -> Counted:
        """Noisy counts of rows, at most `max_rows` of every unit, by the filter of a charge; public, as cuts are."""
        counts, variance = purchase.count(self.asked, rows, max_rows, privacy)
        return self._counted(self._shaped(counts), variance)

    def by_label(self, target: str) -> Cuts:
        """The other columns, each within groups of labels; all rows are one group where the label is not cut."""
        if target not in self.names:
            return self
        label = self.names.index(target)
        group = np.arange(self.cells[label]) * min(LABELS, self.cells[label]) // self.cells[label]
        others = tuple(j for j in range(len(self.names)) if j != label)
        cells = tuple(self.cells[j] for j in others)
        return Cuts(
            names=tuple(self.names[j] for j in others),
            groups=(int(group[-1]) + 1,) * len(others),
            cells=cells,
            ordered=tuple(self.ordered[j] for j in others),
            cells_of=_ByLabel(self.cells_of, others, cells, label, group),
        )

    def _shaped(self, counts: Sequence[Floats]) -> list[Floats]:
        shapes = zip(self.groups, self.cells, strict=True)
        return [one.reshape(shape) for one, shape in zip(counts, shapes, strict=True)]

    def _counted(self, counts: Sequence[Floats], variance: float) -> Counted:
        return Counted(self, tuple(counts), tuple(np.full_like(one, variance) for one in counts))


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts of real rows, and the variance of the noise of each; public where they were bought.

    Attributes:
        cuts: what was counted.
        counts, variances: of each column, shape (groups, cells).
    """

    cuts: Cuts
    counts: tuple[Floats, ...]
    variances: tuple[Floats, ...]


def bought(panel: Panel) -> Counted:
    """The single columns of what a release bought."""
    places = [j for j, histogram in enumerate(panel.histograms) if len(histogram.columns) == 1]
    own = [panel.histograms[j] for j in places]
    cuts = Cuts(
        names=tuple(histogram.columns[0] for histogram in own),
        groups=(1,) * len(own),
        cells=tuple(len(histogram.cells) for histogram in own),
        ordered=tuple(histogram.ordered for histogram in own),
        cells_of=_Some(panel.asked.cells_of, tuple(places)),
    )
    sides = [histogram.earlier for histogram in own]
    return Counted(cuts, tuple(s.noisy[None] for s in sides), tuple(s.variance[None] for s in sides))


def cuts_of(rows: Table) -> Cuts:
    """The columns of a table, cut by its own rows. Private, as these are."""
    columns = rows.schema.columns
    cuts = {column.name: _cut(rows, column) for column in columns}
    sizes = [_size(column, cuts[column.name]) for column in columns]
    return Cuts(
        names=rows.schema.names,
        groups=(1,) * len(sizes),
        cells=tuple(sizes),
        ordered=tuple(
            n - 1 if isinstance(c, NumberColumn) else n - 2 if c.ordered else 0
            for c, n in zip(columns, sizes, strict=True)
        ),
        cells_of=_Cut(rows.schema, cuts),
    )


@dataclass(frozen=True, slots=True)
class _Some:
    """Some of the questions."""

    cells_of: CellsOf
    places: tuple[int, ...]

    def __call__(self, table: Table) -> Cells:
        """Shape (n, places)."""
        return self.cells_of(table)[:, list(self.places)]


@dataclass(frozen=True, slots=True)
class _ByLabel:
    """Cells of columns within groups of the label."""

    cells_of: CellsOf
    places: tuple[int, ...]
    cells: tuple[int, ...]
    label: int
    group: Groups

    def __call__(self, table: Table) -> Cells:
        """Shape (n, places)."""
        found = self.cells_of(table)
        starts = np.multiply.outer(self.group[found[:, self.label]], np.array(self.cells))
        joint: Cells = starts + found[:, list(self.places)]
        return joint


@dataclass(frozen=True, slots=True)
class _Cut:
    """Cells of every column of a schema: groups of its codes, or what lies between edges."""

    schema: Schema
    cuts: Mapping[str, Groups | Floats]

    def __call__(self, table: Table) -> Cells:
        """Shape (n, columns)."""
        found = np.zeros((len(table), len(self.schema.columns)), np.int64)
        for j, column in enumerate(self.schema.columns):
            cut = self.cuts[column.name]
            if isinstance(column, LevelColumn):
                found[:, j] = cut[table.codes(column.name)]
            else:
                values = table.numbers(column.name)
                found[:, j] = np.where(np.isnan(values), len(cut) + 1, np.searchsorted(cut, values, side="right"))
        return found


def _cut(rows: Table, column: LevelColumn | NumberColumn) -> Groups | Floats:
    """Groups of codes, or inner edges with as many rows between them."""
    if isinstance(column, LevelColumn):
        mass = np.bincount(rows.codes(column.name), minlength=column.n_codes).astype(np.float64)
        return grouped(mass, column.n_codes - 2, CELLS, ordered=column.ordered)
    values = rows.numbers(column.name)
    present = values[~np.isnan(values)]
    inner = np.linspace(0, 1, CELLS + 1)[1:-1]
    return np.unique(np.quantile(present, inner)) if len(present) else np.zeros(0)


def _size(column: LevelColumn | NumberColumn, cut: Groups | Floats) -> int:
    return int(cut.max()) + 1 if isinstance(column, LevelColumn) else len(cut) + 2
