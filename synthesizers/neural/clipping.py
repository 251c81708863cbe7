"""The sum of units' gradients, each of them scaled to norm 1 on an integer grid: what one unit can change, and no more.

Gradients are taken row by row (Opacus), added up over the rows of a unit, scaled to norm 1 and cut towards zero to a
grid of 2^-20; the grid values are whole numbers, so their sum is exact whatever the order, the batching or the device.
That a unit's grid vector has norm at most 2^20 is checked on the whole numbers themselves: a unit that fails, and one
whose gradient is not finite, adds nothing.
Sources: Abadi et al. 2016, "Deep learning with differential privacy" (clipped sums); Bu et al. 2023, "Automatic
clipping" (scaling instead of clipping: no threshold to tune on private rows). generators.md 2.7 (the grid).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from opacus import GradSampleModule
from torch import Tensor

from privacy.mechanisms import Bools, Integers
from synthesizers.neural.cells import Cells
from synthesizers.neural.grid import GRID
from synthesizers.neural.networks import Critic

PHYSICAL_ROWS, PHYSICAL_BYTES = 512, 1 << 28
"""Rows whose gradients are held at a time at most, and about the memory they may take: no effect on the
sum. Rows of one unit are held together."""

BYTES_A_GRADIENT = 40
"""Of one parameter and row, at the worst moment of scaling and checking: five of single precision, three of double."""

SMALLEST_NORM = 1e-6
"""A gradient below this is scaled as if it had this norm."""


@dataclass(frozen=True, slots=True)
class UnitRows:
    """Rows in the order of their units.

    Attributes:
        places: where each row's ones are, shape (n, d). Private.
        units: every unit once, ascending, shape (u,).
        first: index of each unit's first row, and the number of rows, shape (u + 1,).
    """

    places: npt.NDArray[np.int64]
    units: Integers
    first: npt.NDArray[np.int64]

    def batches(self, taken: Bools, most: int) -> Iterator[tuple[Tensor, Tensor, int]]:
        """Places of the rows of the units taken, which unit of the batch each is of, and the number of units.

        At most `most` rows at a time, but for a unit that has more.
        """
        chosen = np.flatnonzero(taken)
        sizes = np.diff(self.first)[chosen]
        ends = np.cumsum(sizes)
        start = 0
        while start < len(chosen):
            before = ends[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + most, side="right")))
            own = sizes[start:stop]
            of_unit = np.repeat(np.arange(stop - start), own)
            within = np.arange(len(of_unit)) - np.repeat(np.cumsum(own) - own, own)
            rows = self.first[chosen[start:stop]][of_unit] + within
            yield torch.from_numpy(self.places[rows]), torch.from_numpy(of_unit), stop - start
            start = stop


def by_unit(places: npt.NDArray[np.int64], units: Integers) -> UnitRows:
    """Rows sorted by unit: the order of the file has no effect."""
    order = np.argsort(units, kind="stable")
    distinct, first = np.unique(units[order], return_index=True)
    return UnitRows(places[order], distinct, np.append(first, len(order)).astype(np.int64))


class CriticGradients:
    """Gradients of a critic's loss, unit by unit.

    Args:
        critic: the network; its parameters are read at every call.
        cells: the layout of its input.
    """

    def __init__(self, critic: Critic, cells: Cells) -> None:
        self._cells = cells
        self._critic = critic
        self._sampled = GradSampleModule(critic, loss_reduction="sum")
        self._sampled.disable_hooks()
        self.n_parameters = sum(p.numel() for p in critic.parameters())

    @property
    def rows_at_a_time(self) -> int:
        """How many rows' gradients fit: fewer of a larger critic."""
        return max(1, min(PHYSICAL_ROWS, PHYSICAL_BYTES // (BYTES_A_GRADIENT * self.n_parameters)))

    def sum_over(self, rows: UnitRows, taken: Bools, *, real: bool) -> Integers:
        """Whole-number sum over the units taken, shape (parameters,), of gradients of norm at most GRID each.

        Of the loss that calls rows real, or generated.
        """
        device = next(self._critic.parameters()).device
        total = torch.zeros(self.n_parameters, dtype=torch.float64, device=device)
        for places, of_unit, n_units in rows.batches(taken, self.rows_at_a_time):
            by_row = self._by_row(self._cells.one_hot(places.to(device)), real=real)
            summed = torch.zeros(n_units, self.n_parameters, device=device)
            total += on_grid(summed.index_add_(0, of_unit.to(device), by_row)).sum(0, dtype=torch.float64)
        # Whole numbers below 2^53 in double precision: exact.
        return total.cpu().numpy().astype(np.int64)

    def _by_row(self, rows: Tensor, *, real: bool) -> Tensor:
        """Gradient of every row, shape (n, parameters)."""
        sign = -1.0 if real else 1.0
        self._sampled.zero_grad()
        self._sampled.enable_hooks()
        rows.requires_grad_()  # hooks of a first layer fire in full only then
        torch.nn.functional.softplus(sign * self._sampled(rows)).sum().backward()
        self._sampled.disable_hooks()
        sampled: list[Tensor] = [vars(p)["grad_sample"] for p in self._critic.parameters()]
        by_row = torch.cat([gradient.flatten(1) for gradient in sampled], 1)
        self._sampled.zero_grad()
        return by_row

    def apply(self, gradient: Tensor) -> None:
        """Make a vector of all parameters the gradient an optimizer will see."""
        for parameter, part in zip(
            self._critic.parameters(),
            gradient.split([p.numel() for p in self._critic.parameters()]),
            strict=True,
        ):
            parameter.grad = part.reshape(parameter.shape).clone()


def on_grid(gradients: Tensor) -> Tensor:
    """Gradients scaled to norm 1 and cut towards zero to whole steps of the grid, shape (n, parameters), float32.

    Guarantees:
        Every row is of whole numbers, and its sum of squares, computed exactly, is at most GRID^2.
    """
    norms = gradients.double().norm(dim=1, keepdim=True).clamp(min=SMALLEST_NORM)
    # float32 holds whole numbers up to 2^24; the factor leaves room for its rounding.
    steps = (gradients / norms.float() * (GRID * (1 - 2.0**-20))).trunc()
    # Squares of whole numbers up to 2^20 add up exactly in double precision. A sum that is not finite compares false.
    fits = (steps.double() ** 2).sum(1, keepdim=True) <= float(GRID) ** 2
    return torch.where(fits, steps, torch.zeros_like(steps))
