"""Attributes and their sizes; cliques of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from privacy.columns import Floats

Clique: TypeAlias = tuple[str, ...]
"""Attributes in domain order."""

BLOCK_ROWS = 1 << 18
"""Rows counted at a time, so that what is counted with stays in cache."""


@dataclass(frozen=True, slots=True)
class Domain:
    """The size of every attribute, in order."""

    sizes: Mapping[str, int]

    def clique(self, names: Iterable[str]) -> Clique:
        """The named attributes in domain order."""
        wanted = set(names)
        return tuple(name for name in self.sizes if name in wanted)

    def shape(self, clique: Clique) -> tuple[int, ...]:
        """Shape of a marginal on a clique."""
        return tuple(self.sizes[name] for name in clique)

    def n_cells(self, clique: Clique) -> int:
        """Number of cells of a marginal on a clique."""
        return math.prod(self.shape(clique))


def marginal(domain: Domain, codes: Mapping[str, npt.NDArray[np.integer]], clique: Clique) -> npt.NDArray[np.int64]:
    """Exact counts on a clique, shape `domain.shape(clique)`. Private when the codes are."""
    shape = domain.shape(clique)
    counts = np.zeros(math.prod(shape), dtype=np.int64)
    for start in range(0, len(codes[clique[0]]), BLOCK_ROWS):
        flat = np.zeros(1, dtype=np.int64)
        for name, size in zip(clique, shape, strict=True):
            flat = flat * size + codes[name][start : start + BLOCK_ROWS]
        counts += np.bincount(flat, minlength=len(counts))
    return counts.reshape(shape)


def project(values: Floats, clique: Clique, onto: Clique) -> Floats:
    """Sum a marginal on `clique` over the attributes that are not in `onto` (a sub-clique in the same order)."""
    axes = tuple(i for i, name in enumerate(clique) if name not in onto)
    return values.sum(axis=axes) if axes else values
