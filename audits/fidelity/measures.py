"""Distances between two distributions over the same cells, each with its derivative by the probability of every cell.

A row lies in one cell, so the derivative at its cell is what the row adds to the distance: its influence, from which an
interval follows by the delta method (`audits.fidelity.contrast`). Derivatives are exact but for the Kullback-Leibler
divergence, whose half a row a cell is held fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from privacy.columns import Floats

Counts: TypeAlias = npt.NDArray[Any]

HALF_A_ROW = 0.5
"""Added to every cell that either table holds, so that an empty one is unlikely and not impossible (Jeffreys)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A distance, and what a little more probability in each cell of either side changes of it, shape (cells,)."""

    value: float
    first: Floats
    second: Floats


Measure: TypeAlias = Callable[[Counts, Counts], Measured]
"""Rows by cell of two tables, shape (cells,) each, neither table empty."""


def total_variation(first: Counts, second: Counts) -> Measured:
    """Half the sum of absolute differences, in [0, 1]."""
    gap = first / first.sum() - second / second.sum()
    sign = np.sign(gap) / 2
    return Measured(float(np.abs(gap).sum() / 2), sign, -sign)


def jensen_shannon(first: Counts, second: Counts) -> Measured:
    """The Jensen-Shannon divergence in bits, in [0, 1]. Source: Lin 1991, "Divergence measures based on entropy"."""
    p, q = first / first.sum(), second / second.sum()
    middle = (p + q) / 2
    ratios = (np.divide(x, middle, out=np.ones_like(x), where=x > 0) for x in (p, q))
    sides = [np.log2(ratio) for ratio in ratios]
    value = float((p * sides[0] + q * sides[1]).sum() / 2)
    return Measured(min(max(value, 0.0), 1.0), sides[0] / 2, sides[1] / 2)


def kullback_leibler(first: Counts, second: Counts) -> Measured:
    """The divergence of the first from the second in bits, half a row added to every cell that either holds."""
    held = (first > 0) | (second > 0)
    p, q = ((x + HALF_A_ROW) * held for x in (first, second))
    shrink = [x.sum() / y.sum() for x, y in ((first, p), (second, q))]
    p, q = p / p.sum(), q / q.sum()
    ratio = np.divide(p, q, out=np.ones_like(p), where=held)
    log_ratio = np.log2(ratio)
    return Measured(max(float((p * log_ratio).sum()), 0.0), shrink[0] * log_ratio, -shrink[1] * ratio / np.log(2))


def kolmogorov_smirnov(first: Counts, second: Counts) -> Measured:
    """Largest gap between the distribution functions of ordered cells, in [0, 1]."""
    gap = np.cumsum(first / first.sum() - second / second.sum())
    at = int(np.argmax(np.abs(gap)))
    side = np.where(np.arange(len(gap)) <= at, np.sign(gap[at]), 0.0)
    return Measured(float(abs(gap[at])), side, -side)


def wasserstein(widths: Floats) -> Measure:
    """The distance that moves mass along a line: the area between the distribution functions.

    Args:
        widths: distance from every cell to the next, shape (cells,); the last is 0.
    """

    def measure(first: Counts, second: Counts) -> Measured:
        gap = np.cumsum(first / first.sum() - second / second.sum())
        side = np.cumsum((np.sign(gap) * widths)[::-1])[::-1]
        return Measured(float((np.abs(gap) * widths).sum()), side, -side)

    return measure


def mutual_information_gap(shape: tuple[int, int]) -> Measure:
    """How far apart the mutual information of two columns is in two tables, in bits.

    Each is corrected for the bias of its size (Miller 1955), which would otherwise be read as association in the
    smaller table.

    Args:
        shape: number of cells of the two columns; tables are counted by row-major cell.
    """
    return _gap_of(_mutual_information, shape)


def cramers_v_gap(shape: tuple[int, int]) -> Measure:
    """How far apart Cramer's V of two columns is in two tables, in [0, 1]; corrected for bias (Bergsma 2013)."""
    return _gap_of(_cramers_v, shape)


def cramers_v(counts: Counts, shape: tuple[int, int]) -> float:
    """Cramer's V, corrected for bias, of a table of two columns counted by row-major cell; 0 for an empty one."""
    return _cramers_v(np.asarray(counts).reshape(shape))[0] if counts.sum() else 0.0


def _gap_of(of_table: Callable[[Counts], tuple[float, Floats]], shape: tuple[int, int]) -> Measure:
    def measure(first: Counts, second: Counts) -> Measured:
        (ours, of_first), (theirs, of_second) = (of_table(x.reshape(shape)) for x in (first, second))
        sign = 1.0 if ours >= theirs else -1.0
        return Measured(abs(ours - theirs), sign * of_first.ravel(), -sign * of_second.ravel())

    return measure


def _mutual_information(counts: Counts) -> tuple[float, Floats]:
    joint, rows, columns = _shares(counts)
    expected = rows * columns
    log_ratio = np.log2(np.divide(joint, expected, out=np.ones_like(joint), where=joint > 0))
    cells, width, height = ((x > 0).sum() for x in (joint, rows, columns))
    bias = (cells - width - height + 1) / (2 * counts.sum() * np.log(2))
    return max(float((joint * log_ratio).sum() - bias), 0.0), log_ratio


def _cramers_v(counts: Counts) -> tuple[float, Floats]:
    """V, and its derivative by every cell: that of phi squared, the sum of p^2 / (row * column) less 1."""
    joint, rows, columns = _shares(counts)
    n = counts.sum()
    width, height = int((rows > 0).sum()), int((columns > 0).sum())
    ratio = np.divide(joint, rows * columns, out=np.zeros_like(joint), where=joint > 0)
    phi_squared = float((joint * ratio).sum()) - 1
    squared = phi_squared - (width - 1) * (height - 1) / max(n - 1, 1)
    least = min(side - (side - 1) ** 2 / max(n - 1, 1) for side in (width, height)) - 1
    if squared <= 0 or least <= 0:
        return 0.0, np.zeros_like(joint)
    of_rows = np.divide((joint * ratio).sum(axis=1, keepdims=True), rows, out=np.zeros_like(rows), where=rows > 0)
    of_columns = np.divide(
        (joint * ratio).sum(axis=0, keepdims=True), columns, out=np.zeros_like(columns), where=columns > 0
    )
    value = (squared / least) ** 0.5
    return min(value, 1.0), (2 * ratio - of_rows - of_columns) / (2 * value * least)


def _shares(counts: Counts) -> tuple[Floats, Floats, Floats]:
    """Joint shares, and those of rows, shape (a, 1), and columns, shape (1, b)."""
    joint = counts / counts.sum()
    return joint, joint.sum(axis=1, keepdims=True), joint.sum(axis=0, keepdims=True)
