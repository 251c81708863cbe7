"""Fitting to noisy marginals: the generator by descent, and drawn rows by weights.

Every one-way and two-way marginal is a block of one matrix of shape (W, W), W being the cells of all columns. A batch
of K distributions, as a matrix of shape (K, W), has all its pair marginals in one product. The objective is the squared
error of every cell over its variance, per cell: 1 where the fit is as close as the noise allows.
Source: Liu et al. 2021 (GEM, section 4); McKenna et al. 2019 for the weights by precision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from privacy.columns import Floats
from synthesizers.marginal.measurement import LinearMeasurement
from synthesizers.neural.cells import Cells
from synthesizers.neural.networks import LATENT, Generator
from synthesizers.neural.warm_start import WarmStart

HEAVIEST = 4.0
"""Weight of a row, over the average, at most: where four rows are drawn for one that is kept, none is kept twice."""

EFFECTIVE = 0.5
"""Rows that weights may leave, as a share of those drawn: heavier ones would repeat a few rows all over a table."""

BATCH = 1024
"""Generated rows a step of the generator sees."""


@dataclass(frozen=True, slots=True)
class MarginalTargets:
    """What was measured, as shares of the rows.

    Attributes:
        cells: the layout.
        pairs: noisy shares of cell pairs, shape (W, W); zero where nothing was measured.
        pair_precision: over their noise variance, same shape; zero where nothing was measured.
        ones: noisy shares of cells, shape (W,).
        one_precision: over their noise variance, same shape.
        frequencies: the shares of `ones` as distributions over each column's part, shape (W,).
    """

    cells: Cells
    pairs: Tensor
    pair_precision: Tensor
    ones: Tensor
    one_precision: Tensor
    frequencies: Tensor

    @property
    def n_cells(self) -> float:
        """Number of measured cells."""
        return float((self.pair_precision > 0).sum() + (self.one_precision > 0).sum())

    def misfit(self, pairs: Tensor, ones: Tensor) -> Tensor:
        """Squared error over noise variance, per measured cell."""
        by_pairs = (self.pair_precision * (pairs - self.pairs) ** 2).sum()
        by_ones = (self.one_precision * (ones - self.ones) ** 2).sum()
        return (by_pairs + by_ones) / self.n_cells

    def misfit_of(self, probabilities: Tensor) -> Tensor:
        """That of a batch of distributions, shape (K, W)."""
        return self.misfit(probabilities.T @ probabilities / len(probabilities), probabilities.mean(0))

    def to(self, device: torch.device) -> MarginalTargets:
        """The same on a device."""
        tensors = (self.pairs, self.pair_precision, self.ones, self.one_precision, self.frequencies)
        return MarginalTargets(self.cells, *(t.to(device) for t in tensors))


def targets_of(warm: WarmStart, n_rows: int) -> MarginalTargets:
    """The measurements of a warm start, for fitting so many generated rows at a time to them."""
    cells, total = Cells(warm.found.domain), warm.total
    pairs, ones = np.zeros((cells.width, cells.width)), np.zeros(cells.width)
    pair_precision, one_precision = np.zeros_like(pairs), np.zeros_like(ones)
    frequencies = np.zeros_like(ones)
    for measured in warm.pairs:
        block = cells.block(measured.clique)
        pairs[block], pair_precision[block] = _shares(measured, total, n_rows)
    for measured in warm.found.measurements:
        block = cells.block(measured.clique)
        ones[block], one_precision[block] = _shares(measured, total, n_rows)
        positive = np.maximum(measured.noisy, 1e-9 * total)
        frequencies[block] = positive / positive.sum()
    arrays = (pairs, pair_precision, ones, one_precision, frequencies)
    return MarginalTargets(cells, *(torch.tensor(a, dtype=torch.float32) for a in arrays))


def _shares(measured: LinearMeasurement, total: float, n_rows: int) -> tuple[Floats, Floats]:
    """Shares of the rows, and their precision.

    To the variance of the noise that of drawing rows is added: so many rows cannot follow a large cell more closely,
    and without it large cells drown the small ones wherever the noise is small.
    """
    shares = measured.noisy / total
    return shares, 1 / (measured.variance / total**2 + np.maximum(shares, 1 / total) / n_rows)


@dataclass(frozen=True, slots=True)
class Fakes:
    """How generated rows come to be: latent variables and a condition from measured frequencies, then the network.

    The condition is one cell of one column, each column as likely, each cell as frequent as it was measured; that
    column then holds that cell (the conditional generator of Xu et al. 2019, section 4.3, whose cross-entropy term
    only asks for it).

    Attributes:
        cells: the layout.
        frequencies: measured shares of the cells of each column, shape (W,).
        allowed: factor on the share of every cell, shape (W,); ones unless the model was narrowed.
    """

    cells: Cells
    frequencies: Tensor
    allowed: Tensor

    def conditions(self, n: int, rng: torch.Generator) -> Tensor:
        """Conditions, shape (n, W), one one a row."""
        cells, device = self.cells, self.frequencies.device
        column = torch.randint(len(cells.sizes), (n,), generator=rng, device=device)
        places = cells.sample_places(self.frequencies.expand(n, -1), rng)
        return torch.zeros(n, cells.width, device=device).scatter_(1, places.gather(1, column[:, None]), 1.0)

    def probabilities(self, generator: Generator, n: int, rng: torch.Generator) -> Tensor:
        """Distributions of n generated rows, shape (n, W), each column's part summing to 1."""
        device = self.frequencies.device
        latent = torch.randn(n, LATENT, generator=rng, device=device)
        condition = self.conditions(n, rng)
        free = self.cells.probabilities(generator(latent, condition))
        held = torch.cat(
            [part.sum(1, keepdim=True).expand_as(part) for part in condition.split(self.cells.sizes, 1)], 1
        )
        return torch.where(held > 0, condition, free)


@dataclass(frozen=True, slots=True)
class Tilt:
    """Log weights of rows that bring their marginals to the measured ones.

    Attributes:
        pairs: log weight of cell pairs, shape (W, W).
        ones: log weight of cells, shape (W,).
    """

    pairs: Tensor
    ones: Tensor

    def log_weights(self, rows: Tensor) -> Tensor:
        """Of one-hot rows, shape (n, W): shape (n,). No row weighs more than `HEAVIEST` rows do on average."""
        return (((rows @ self.pairs) * rows).sum(1) + rows @ self.ones).clamp(max=math.log(HEAVIEST))


def fit_tilt(targets: MarginalTargets, rows: Tensor, steps: int, step: float = 0.5) -> Tilt:
    """Weights by entropic mirror descent, stopped where the fit is as close as the noise allows, or rows grow scarce.

    The gradient with respect to a row's weight is a sum over its cells and pairs of cells, so the weights carry over
    to any other row.

    Args:
        targets: what was measured.
        rows: one-hot rows, shape (n, W).
        steps: steps at most.
        step: largest change of a log weight in the first step; later ones adapt.
    """
    tilt = Tilt(torch.zeros_like(targets.pairs), torch.zeros_like(targets.ones))
    misfit, _, slope = _slope(targets, rows, tilt)
    for _ in range(steps):
        if misfit <= 1.0 or step < 1e-3:
            break
        size = max(float(slope.pairs.abs().max()), float(slope.ones.abs().max()), 1e-12)
        trial = Tilt(tilt.pairs + step / size * slope.pairs, tilt.ones + step / size * slope.ones)
        trial = Tilt(trial.pairs, _centred(targets.cells, rows, trial))
        moved, effective, new_slope = _slope(targets, rows, trial)
        if moved < misfit and effective >= EFFECTIVE:
            tilt, misfit, slope, step = trial, moved, new_slope, 1.2 * step
        else:
            step /= 2
    return tilt


def _centred(cells: Cells, rows: Tensor, tilt: Tilt) -> Tensor:
    """Log weights of single cells, so shifted that the rows weigh 1 on average: each row has one cell of a column."""
    mean = torch.logsumexp(((rows @ tilt.pairs) * rows).sum(1) + rows @ tilt.ones, 0) - math.log(len(rows))
    shifted = tilt.ones.clone()
    shifted[: cells.sizes[0]] -= mean
    return shifted


def _slope(targets: MarginalTargets, rows: Tensor, tilt: Tilt) -> tuple[float, float, Tilt]:
    """Misfit of weighted rows, their effective share (Kish 1965), and the direction that lowers the misfit."""
    weights = tilt.log_weights(rows).softmax(0)
    pairs, ones = rows.T @ (weights[:, None] * rows), weights @ rows
    # A cell no row holds would be pulled at forever, and decide over the first row that does hold it.
    slope = Tilt(
        targets.pair_precision * (targets.pairs - pairs) * (pairs > 0),
        targets.one_precision * (targets.ones - ones) * (ones > 0),
    )
    effective = 1 / (len(rows) * float((weights**2).sum()))
    return float(targets.misfit(pairs, ones)), effective, slope
