"""A fitted marginal model: public, and rows can be drawn from it for ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from numpy.random import Generator

from privacy.conditions import Condition
from privacy.schema import Schema
from privacy.table import Table
from synthesizers.discretize import Attribute, Merged, decode_table, narrowed_by
from synthesizers.marginal.conditioning import weighted
from synthesizers.marginal.domain import Clique
from synthesizers.marginal.error_bounds import Uncertainty, error_bounds
from synthesizers.marginal.estimation import MarkovRandomField
from synthesizers.marginal.sampling import sample_codes


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginalModel:
    """A Markov random field over cells, and the way back to columns.

    Attributes:
        schema: the resolved schema.
        attributes: discretised columns.
        merged: cells of every attribute.
        random_field: the fitted distribution.
        expected_error: expected total variation distance of every measured marginal, by its noise alone.
        uncertainty: what error bounds of its rows follow from.
    """

    schema: Schema
    attributes: tuple[Attribute, ...]
    merged: Mapping[str, Merged]
    random_field: MarkovRandomField
    expected_error: Mapping[tuple[str, ...], float]
    uncertainty: Uncertainty

    @property
    def n_rows_estimate(self) -> float:
        """Measured estimate of the number of training rows."""
        return self.random_field.total

    def sample(self, n: int, rng: Generator) -> Table:
        """Draw n rows."""
        cells = sample_codes(self.random_field, n, rng)
        codes = {name: self.merged[name].expand(cells[name], rng) for name in cells}
        return decode_table(self.schema, self.attributes, codes, rng)

    def error_bounds(self, synthetic: Table) -> Mapping[Clique, float | None]:
        """Of every column and pair of a plain draw."""
        return error_bounds(self.uncertainty, self.attributes, self.merged, synthetic)

    def narrowed(self, conditions: tuple[Condition, ...]) -> MarginalModel | None:
        """The model given that every condition's column holds a code that can meet it; None where none can."""
        merged, field = dict(self.merged), self.random_field
        for name, (cells, weight) in narrowed_by(conditions, self.attributes, self.merged).items():
            merged[name] = cells
            narrower = weighted(field, name, weight)
            if narrower is None:
                return None
            field = narrower
        return replace(self, merged=merged, random_field=field)
