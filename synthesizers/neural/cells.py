"""The cells of all columns side by side: how rows, probabilities and networks see a table.

A row is a vector of width W with a one in each column's part; a generator's output holds a distribution over each part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthesizers.marginal.domain import Clique, Domain


@dataclass(frozen=True, slots=True)
class Cells:
    """A layout of one-hot columns.

    Attributes:
        domain: number of cells of every column, in order.
    """

    domain: Domain

    @property
    def names(self) -> tuple[str, ...]:
        """Columns in order."""
        return tuple(self.domain.sizes)

    @property
    def sizes(self) -> list[int]:
        """Cells of every column."""
        return list(self.domain.sizes.values())

    @property
    def width(self) -> int:
        """Cells of all columns together."""
        return sum(self.sizes)

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Where each column's part starts, shape (d,)."""
        return np.cumsum([0, *self.sizes])[:-1].astype(np.int64)

    def part(self, name: str) -> slice:
        """A column's part of a row."""
        start = int(self.offsets[self.names.index(name)])
        return slice(start, start + self.domain.sizes[name])

    def block(self, clique: Clique) -> tuple[slice, ...]:
        """The block of a (W, W) matrix, or the part of a vector, that a marginal of at most two columns fills."""
        return tuple(self.part(name) for name in clique)

    def places(self, codes: Mapping[str, npt.NDArray[np.integer]]) -> npt.NDArray[np.int64]:
        """Where each row's ones are, shape (n, d)."""
        return np.stack([codes[name].astype(np.int64) for name in self.names], axis=1) + self.offsets

    def one_hot(self, places: Tensor) -> Tensor:
        """Rows of width W, shape (n, W), float32, from their places, shape (n, d)."""
        return torch.zeros(len(places), self.width, device=places.device).scatter_(1, places, 1.0)

    def probabilities(self, logits: Tensor) -> Tensor:
        """A softmax over each column's part, shape (n, W)."""
        return torch.cat([part.softmax(1) for part in logits.split(self.sizes, 1)], 1)

    def straight_through(self, probabilities: Tensor, rng: torch.Generator) -> Tensor:
        """Drawn rows, shape (n, W), whose gradient is that of their probabilities (Bengio et al. 2013)."""
        drawn = self.one_hot(self.sample_places(probabilities, rng))
        return drawn + probabilities - probabilities.detach()

    def sample_places(self, probabilities: Tensor, rng: torch.Generator) -> Tensor:
        """The places of drawn rows, shape (n, d): every column by itself, by its distribution."""
        with torch.no_grad():
            # By the cumulated distribution; float32 sums may end below 1, so the last cell takes the rest.
            columns = []
            for part, offset in zip(probabilities.split(self.sizes, 1), self.offsets.tolist(), strict=True):
                mark = torch.rand(len(part), 1, generator=rng, device=part.device) * part.sum(1, keepdim=True)
                cell = (part.cumsum(1) < mark).sum(1).clamp(max=part.shape[1] - 1)
                columns.append(cell + offset)
            return torch.stack(columns, 1)
