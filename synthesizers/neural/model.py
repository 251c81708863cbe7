"""A fitted generator as a model of tables: post-processing of what was measured, as often as one likes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.random import Generator as Rng

from privacy.conditions import Condition
from privacy.schema import Schema
from privacy.table import Table
from synthesizers.discretize import Attribute, Merged, decode_table, narrowed_by, round_counts
from synthesizers.marginal.domain import Clique
from synthesizers.marginal.error_bounds import Uncertainty, error_bounds
from synthesizers.neural.cells import Cells
from synthesizers.neural.matching import HEAVIEST, Fakes, Tilt, fit_tilt, targets_of
from synthesizers.neural.networks import Generator
from synthesizers.neural.warm_start import WarmStart

POOL = int(HEAVIEST)
"""Rows drawn for one that is kept, so that weights have a choice."""

BLOCK = 50_000
"""Rows drawn at a time."""


@dataclass(frozen=True, slots=True)
class NeuralModel:
    """A generator, weights that bring its rows to the measured marginals, and the way back to columns.

    Attributes:
        schema: the resolved schema.
        attributes: discretised columns.
        merged: cells of every attribute.
        generator: the network, on the CPU.
        fakes: how its rows come to be.
        tilt: their log weights.
        n_rows_estimate: measured estimate of the number of training rows.
        expected_error: expected total variation distance of every measured marginal, by its noise alone.
        uncertainty: what error bounds of its rows follow from.
    """

    schema: Schema
    attributes: tuple[Attribute, ...]
    merged: Mapping[str, Merged]
    generator: Generator
    fakes: Fakes
    tilt: Tilt
    n_rows_estimate: float
    expected_error: Mapping[tuple[str, ...], float]
    uncertainty: Uncertainty

    @property
    def cells(self) -> Cells:
        """The layout of generated rows."""
        return self.fakes.cells

    def sample(self, n: int, rng: Rng) -> Table:
        """Draw n rows."""
        torch_rng = torch.Generator().manual_seed(int(rng.integers(2**62)))
        places = [np.zeros((0, len(self.cells.sizes)), dtype=np.int64)]
        for start in range(0, n, BLOCK // POOL):
            places.append(self._block(min(BLOCK // POOL, n - start), torch_rng, rng))
        cells = np.concatenate(places) - self.cells.offsets
        codes = {
            name: self.merged[name].expand(cells[:, i].astype(np.int32), rng) for i, name in enumerate(self.cells.names)
        }
        return decode_table(self.schema, self.attributes, codes, rng)

    def error_bounds(self, synthetic: Table) -> Mapping[Clique, float | None]:
        """Of every column and pair of a plain draw."""
        return error_bounds(self.uncertainty, self.attributes, self.merged, synthetic)

    def narrowed(self, conditions: tuple[Condition, ...]) -> NeuralModel | None:
        """The model given that every condition's column holds a code that can meet it; None where none can.

        Columns are independent given latent variables and condition: a narrowed column is drawn among its allowed
        cells, and the row weighs as much as they had.
        """
        merged, allowed = dict(self.merged), self.fakes.allowed.clone()
        for name, (narrower, weight) in narrowed_by(conditions, self.attributes, self.merged).items():
            merged[name] = narrower
            part = self.cells.part(name)
            allowed[part] *= torch.tensor(weight, dtype=torch.float32)
            if float(allowed[part] @ self.fakes.frequencies[part]) <= 0:
                return None
        return replace(self, merged=merged, fakes=replace(self.fakes, allowed=allowed))

    def _block(self, n: int, torch_rng: torch.Generator, rng: Rng) -> np.ndarray:
        """Places of n rows, chosen by weight among POOL times as many."""
        with torch.no_grad():
            probabilities = self.fakes.probabilities(self.generator, POOL * n, torch_rng)
            kept = probabilities * self.fakes.allowed
            mass = torch.stack([part.sum(1) for part in kept.split(self.cells.sizes, 1)], 1)
            places = self.cells.sample_places(kept, torch_rng)
            log_weight = self.tilt.log_weights(self.cells.one_hot(places)) + mass.clamp(min=1e-30).log().sum(1)
            weights = log_weight.double().softmax(0).numpy()
        chosen = np.repeat(np.arange(POOL * n), round_counts(weights * n, n, rng))
        drawn: np.ndarray = places.numpy()[rng.permutation(chosen)]
        return drawn


def model_of(warm: WarmStart, generator: Generator, tilting: tuple[int, int], rng: torch.Generator) -> NeuralModel:
    """The model of a trained generator, its rows weighted towards the measured marginals.

    `tilting`: generated rows the weights are fitted to, and steps of that at most.
    """
    targets = targets_of(warm, tilting[0])
    rng = torch.Generator().manual_seed(rng.initial_seed() + 1)
    cells = targets.cells
    generator = generator.cpu().requires_grad_(False)
    fakes = Fakes(cells, targets.frequencies, torch.ones(cells.width))
    with torch.no_grad():
        rows = cells.one_hot(cells.sample_places(fakes.probabilities(generator, tilting[0], rng), rng))
        tilt = fit_tilt(targets, rows, tilting[1])
    found = warm.found
    return NeuralModel(
        schema=found.schema,
        attributes=found.attributes,
        merged=found.merged,
        generator=generator,
        fakes=fakes,
        tilt=tilt,
        n_rows_estimate=warm.total,
        expected_error=warm.expected_error,
        uncertainty=warm.found.uncertainty(warm.pairs, len(warm.pairs)),
    )
