"""Gaps between groups under a decision, from counts, and how they move when control units are drawn again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from privacy.columns import Floats

Mask: TypeAlias = npt.NDArray[np.bool_]
Whole: TypeAlias = npt.NDArray[np.int64]
Counts: TypeAlias = npt.NDArray[Any]
"""Rows by group, label and decision, shape (..., groups, 2, 2)."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A notion of fairness: its name, what is measured of it, and the largest gap it finds in counts."""

    name: str
    measured: str
    difference: Callable[[Counts], Floats]


def demographic_parity(counts: Counts) -> Floats:
    """Largest minus smallest selection rate over groups, shape (...), in [0, 1].

    Args:
        counts: rows by group, label and decision, shape (..., groups, 2, 2).
    """
    return _range(_rate(counts.sum(axis=-2)))


def equalized_odds(counts: Counts) -> Floats:
    """The larger of the ranges over groups of true- and of false-positive rates, shape (...), in [0, 1].

    Args:
        counts: rows by group, label and decision, shape (..., groups, 2, 2).

    Source: Hardt, Price & Srebro 2016, "Equality of opportunity in supervised learning".
    """
    rates = _rate(counts)
    return np.maximum(_range(rates[..., 0]), _range(rates[..., 1]))


def equal_opportunity(counts: Counts) -> Floats:
    """The range over groups of true-positive rates, shape (...), in [0, 1].

    Args:
        counts: rows by group, label and decision, shape (..., groups, 2, 2).

    Source: Hardt, Price & Srebro 2016, definition 2.2.
    """
    return _range(_rate(counts)[..., 1])


def parity_shortfall(counts: Counts) -> Floats:
    """What the ratio of the smallest to the largest selection rate lacks to 1, shape (...), in [0, 1].

    More than a fifth breaks the four-fifths rule (29 CFR 1607.4 D). Where nobody is selected nothing is lacking.

    Args:
        counts: rows by group, label and decision, shape (..., groups, 2, 2).
    """
    rates = _rate(counts.sum(axis=-2))
    largest = rates.max(axis=-1)
    return np.asarray(1 - np.where(largest > 0, rates.min(axis=-1), 1) / np.where(largest > 0, largest, 1))


PARITY = Gap("demographic parity", "demographic parity difference", demographic_parity)
RATIO = Gap("demographic parity ratio", "shortfall of the demographic parity ratio", parity_shortfall)
ODDS = Gap("equalized odds", "equalized odds difference", equalized_odds)
OPPORTUNITY = Gap("equal opportunity", "equal opportunity difference", equal_opportunity)


def count(group: Whole, label: Mask, decision: Mask) -> Counts:
    """Rows by group, label and decision, shape (groups, 2, 2), from one entry of each a row, shape (n,)."""
    n_groups = int(group.max()) + 1
    return np.bincount((group * 2 + label) * 2 + decision, minlength=4 * n_groups).reshape(n_groups, 2, 2)


def resampled(
    gap: Gap, group: Whole, label: Mask, decisions: tuple[Mask, Mask], units: Whole, resamples: int, rng: Generator
) -> tuple[Floats, Floats]:
    """The gaps of two decisions on the same rows under a bootstrap of units, each of shape (resamples,).

    Units whose rows fall into the same cells are drawn as one multinomial count, so that no row is touched twice.

    Args:
        gap: the notion of fairness.
        group: group of every row, numbered from 0, shape (n,).
        label: whether the row has the positive label, shape (n,).
        decisions: whether each decision selects the row, shape (n,) each.
        units: unit number of every row, shape (n,).
        resamples: how often units are drawn.
        rng: draws them.
    """
    n_groups = int(group.max()) + 1
    coded = ((group * 2 + label) * 2 + decisions[0]) * 2 + decisions[1]
    owner = np.unique(units, return_inverse=True)[1]
    n_units, n_cells = int(owner.max()) + 1, 8 * n_groups
    by_unit = np.bincount(owner * n_cells + coded, minlength=n_units * n_cells).reshape(n_units, n_cells)
    patterns, copies = np.unique(by_unit, axis=0, return_counts=True)
    cells = rng.multinomial(n_units, copies / n_units, resamples) @ patterns
    both = cells.reshape(resamples, n_groups, 2, 2, 2)
    return gap.difference(both.sum(axis=-1)), gap.difference(both.sum(axis=-2))


def jackknife_variance(estimates: Floats) -> float:
    """Variance of an estimate from the estimates with each of equal parts left out, shape (parts,).

    Source: Efron & Stein 1981, "The jackknife estimate of variance".
    """
    parts = len(estimates)
    return float((parts - 1) / parts * ((estimates - estimates.mean()) ** 2).sum())


def _rate(counts: Counts) -> Floats:
    """Share of the second entry of the last axis; 0 where there is none."""
    return np.asarray(counts[..., 1] / np.maximum(counts.sum(axis=-1), 1))


def _range(rates: Floats) -> Floats:
    return np.asarray(rates.max(axis=-1) - rates.min(axis=-1))
