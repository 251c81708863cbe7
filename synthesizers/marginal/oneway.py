"""The first half of every marginal method: domains, one-way marginals, and the cells that pairs are measured on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from privacy.columns import Floats
from privacy.filter import PrivacyFilter
from privacy.mechanisms import GaussianMechanism, Integers
from privacy.rows import Rows
from privacy.schema import Schema
from privacy.statement import Line
from privacy.table import Counts, Table
from synthesizers.discretize import Attribute, Merged, attributes_of, merge
from synthesizers.domains import DomainPlan, Domains
from synthesizers.marginal.domain import Clique, Domain, marginal
from synthesizers.marginal.error_bounds import Neighbourhood, Uncertainty
from synthesizers.marginal.measurement import LinearMeasurement, measure_marginal
from synthesizers.marginal.structure import signatures, structural_zeros

MIN_BINS, MAX_BINS = 8, 128
ROWS_WHERE_UNKNOWN = 10_000
"""Row count assumed for choosing bins where none is public; only utility depends on it."""


@dataclass(frozen=True, slots=True)
class CodeCounts:
    """Counts every attribute's codes: the one-way marginals of a table."""

    attributes: tuple[Attribute, ...]

    def __call__(self, table: Table) -> Counts:
        """Counts by clique of one attribute."""
        counts: Counts = {}
        for attribute in self.attributes:  # one column at a time: of a long table only its codes are held as well
            name = attribute.column.name
            codes = attribute.encode(table.conformed(attribute.column))
            counts[name,] = marginal(Domain({name: attribute.size}), {name: codes}, (name,))
        return counts


@dataclass(frozen=True, slots=True)
class CellCoder:
    """Rows as cells, which codes were merged into."""

    attributes: tuple[Attribute, ...]
    merged: Mapping[str, Merged]

    def __call__(self, table: Table) -> dict[str, npt.NDArray[np.integer]]:
        """Cell codes by attribute, each of shape (n,)."""
        cells: dict[str, npt.NDArray[np.integer]] = {}
        for attribute in self.attributes:
            joined = self.merged[attribute.column.name]
            codes = attribute.encode(table.conformed(attribute.column))
            cells[attribute.column.name] = joined.cell_of.astype(np.min_scalar_type(joined.n_cells))[codes]
        return cells


@dataclass(frozen=True, slots=True)
class CellCounts:
    """Counts cells on some cliques."""

    coder: CellCoder
    domain: Domain
    cliques: tuple[Clique, ...]

    def __call__(self, table: Table) -> Counts:
        """Counts by clique."""
        cells = self.coder(table)
        return {clique: marginal(self.domain, cells, clique) for clique in self.cliques}


@dataclass(frozen=True, slots=True, kw_only=True)
class OneWays:
    """What the one-way marginals gave. Public, but for `train`.

    Attributes:
        schema: the resolved schema.
        attributes: discretised columns.
        merged: cells of every attribute, by name.
        domain: number of cells of every attribute.
        measurements: one-way marginals over cells.
        fine: the same over codes, as they were bought.
        count: the number of rows as a marginal on no attribute, if it was bought; else empty.
        expected_error: expected total variation distance of every one-way marginal over its own codes.
        zeros: log potentials of what the rules forbid.
        train: the training rows.
    """

    schema: Schema
    attributes: tuple[Attribute, ...]
    merged: Mapping[str, Merged]
    domain: Domain
    measurements: tuple[LinearMeasurement, ...]
    fine: tuple[LinearMeasurement, ...]
    expected_error: Mapping[tuple[str, ...], float]
    count: tuple[LinearMeasurement, ...]
    zeros: Mapping[Clique, Floats]
    train: Rows

    def counts(self, cliques: Iterable[Clique]) -> dict[Clique, Integers]:
        """Exact counts of cells on cliques, in one pass over the training rows: private."""
        coder = CellCoder(self.attributes, self.merged)
        return self.train.total(CellCounts(coder, self.domain, tuple(cliques)))

    def cells(self, table: Table) -> dict[str, npt.NDArray[np.integer]]:
        """Cell codes of rows: as private as they are."""
        return CellCoder(self.attributes, self.merged)(table)

    def uncertainty(
        self,
        measured: Sequence[LinearMeasurement] = (),
        max_measured: int = 0,
        scored: Mapping[Clique, Neighbourhood] | None = None,
    ) -> Uncertainty:
        """What error bounds follow from, with what was bought of larger marginals."""
        return Uncertainty(
            count=self.count,
            columns=self.fine,
            measured=tuple(measured),
            max_measured=max_measured,
            scored=scored or {},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OneWayPlan:
    """Domains, then one marginal a column.

    Attributes:
        domains: what the schema leaves to be bought.
        noise_multiplier: noise of a one-way marginal over its sensitivity.
        n_cells: cells a column is merged into for pairs.
    """

    domains: DomainPlan
    noise_multiplier: float
    n_cells: int

    @property
    def mechanism(self) -> GaussianMechanism:
        """A marginal changes by at most k in L2 with a unit of k rows."""
        k = self.domains.schema.unit.max_rows
        return GaussianMechanism(l2_sensitivity=k, stddev=self.noise_multiplier * k)

    @property
    def lines(self) -> tuple[Line, ...]:
        """The domains' lines, and one for the marginals."""
        n = len(self.domains.schema.columns)
        return (*self.domains.lines, Line(purpose=f"{n} one-way marginals", cost=self.mechanism.cost * n))

    @property
    def n_bins(self) -> int:
        """Bins of a number column: as many as keep the average count ten deviations above the noise."""
        rows = self.domains.schema.n_public.value or ROWS_WHERE_UNKNOWN
        return int(np.clip(rows / (10 * self.mechanism.stddev), MIN_BINS, MAX_BINS))

    def measure(self, train: Rows, privacy: PrivacyFilter) -> OneWays:
        """Buy domains and marginals, merge codes into cells."""
        bought = self.domains.buy(train, privacy)
        attributes = attributes_of(bought, self.n_bins)
        counts = train.total(CodeCounts(attributes))
        measured: list[LinearMeasurement] = []
        merged: dict[str, Merged] = {}
        for attribute in attributes:
            name = attribute.column.name
            measured.append(measure_marginal((name,), counts[name,], self.mechanism, privacy))
            apart = signatures(bought.schema, attribute)
            merged[name] = merge(attribute, measured[-1].noisy, self.mechanism.stddev, self.n_cells, apart)
        return OneWays(
            schema=bought.schema,
            attributes=attributes,
            merged=merged,
            domain=Domain({name: m.n_cells for name, m in merged.items()}),
            measurements=tuple(_over_cells(m, merged[m.clique[0]]) for m in measured),
            fine=tuple(measured),
            expected_error={m.clique: m.expected_error for m in measured},
            count=_count(bought),
            zeros=structural_zeros(bought.schema, attributes, merged),
            train=train,
        )


def _count(bought: Domains) -> tuple[LinearMeasurement, ...]:
    if bought.n_rows is None:
        return ()
    return (LinearMeasurement((), np.array(bought.n_rows), np.array(bought.n_rows_variance)),)


def _over_cells(measured: LinearMeasurement, merged: Merged) -> LinearMeasurement:
    """The same measurement summed over the codes of each cell."""
    noisy = np.bincount(merged.cell_of, measured.noisy, minlength=merged.n_cells).astype(np.float64)
    variance = np.bincount(merged.cell_of, measured.variance, minlength=merged.n_cells).astype(np.float64)
    return LinearMeasurement(measured.clique, noisy, variance)
