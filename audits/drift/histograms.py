"""The histograms of a table's new version: what is asked of its rows, what that costs, and buying it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audits.bought.questions import Questions, tally
from audits.drift.contrast import Side, total
from privacy.columns import Floats
from privacy.cost import Gaussian, PrivacyCost, once
from privacy.filter import PrivacyFilter
from privacy.mechanisms import GaussianMechanism
from privacy.rows import Rows
from privacy.table import Counts, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """One or two columns in cells, as they were bought of the earlier table. Public.

    Attributes:
        columns: one name, or two.
        cells: what each cell is called, shape (cells,).
        ordered: how many of the first cells are in an order; 0 for none.
        unlisted: cells of values that are not in the schema's list.
        earlier: noisy counts of the rows the release was fitted to.
    """

    columns: tuple[str, ...]
    cells: tuple[str, ...]
    ordered: int
    unlisted: tuple[int, ...]
    earlier: Side

    @property
    def name(self) -> str:
        """The columns, with a comma."""
        return ", ".join(self.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """All histograms that are asked for, and how a row finds its cell in each.

    Attributes:
        histograms: at least one.
        asked: the same as questions, in order: a row is in one cell of each, by itself alone.
    """

    histograms: tuple[Histogram, ...]
    asked: Questions


@dataclass(frozen=True, slots=True)
class _Tally:
    """Counts rows in every cell of every question: what a long file is counted by."""

    asked: Questions

    def __call__(self, table: Table) -> Counts:
        """Under one key."""
        return {"cells": tally([self.asked], table)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelPurchase:
    """The counts of every histogram at a noise multiplier that is public before anything is read."""

    noise_multiplier: float

    @property
    def cost(self) -> PrivacyCost:
        """One Gaussian event, however many histograms there are."""
        return once(Gaussian(self.noise_multiplier))

    def mechanism(self, panel: Panel, max_rows: int) -> GaussianMechanism:
        """What answers a panel."""
        return self._mechanism(len(panel.histograms), max_rows)

    def count(self, asked: Questions, rows: Rows, max_rows: int, privacy: PrivacyFilter) -> tuple[list[Floats], float]:
        """Noisy counts of every question, in order, and the variance of the noise of each count.

        Args:
            asked: fixed by public facts and by what was bought before.
            rows: at most `max_rows` of every unit. Private.
            max_rows: public.
            privacy: the filter of the charge.

        Guarantees:
            No exception, shape or message depends on the rows; any table has an answer, an empty one too.
        """
        mechanism = self._mechanism(len(asked.sizes), max_rows)
        noisy = privacy.measure(mechanism, rows.total(_Tally(asked))["cells"]).astype(np.float64)
        return np.split(noisy, np.cumsum(asked.sizes)[:-1]), mechanism.stddev**2

    def buy(self, panel: Panel, rows: Rows, max_rows: int, privacy: PrivacyFilter) -> tuple[Side, ...]:
        """The same of a panel, as histograms of one table: those of the new version."""
        counts, variance = self.count(panel.asked, rows, max_rows, privacy)
        return sides(counts, [np.full(len(one), variance) for one in counts])

    def _mechanism(self, n_questions: int, max_rows: int) -> GaussianMechanism:
        """A unit of k rows moves q histograms by at most k sqrt(q) in L2 together."""
        sensitivity = max_rows * math.sqrt(n_questions)
        return GaussianMechanism(l2_sensitivity=sensitivity, stddev=self.noise_multiplier * sensitivity)


def sides(counts: Sequence[Floats], variances: Sequence[Floats]) -> tuple[Side, ...]:
    """Histograms of one table, whose number of rows all of them tell together."""
    rows, rows_variance = total([(float(c.sum()), float(v.sum())) for c, v in zip(counts, variances, strict=True)])
    return tuple(
        Side(noisy=c, variance=v, rows=rows, rows_variance=rows_variance)
        for c, v in zip(counts, variances, strict=True)
    )
