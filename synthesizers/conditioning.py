"""Rows of a fitted model that meet conditions, or in asked-for proportions: post-processing, at no further budget.

Rows are drawn until enough meet the condition, which gives exactly the model's conditional distribution, for every
kind of model and for columns that are derived or repaired after sampling. So that rare conditions need not wait for
chance, the model is first narrowed to cells that can meet them (`Model.narrowed`).

Proportions are kept by strata: combinations of values of some columns, with a share each; within a stratum rows are
the model's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.random import Generator

from privacy.columns import Floats, LevelColumn
from privacy.conditions import Condition, LevelsAllowed, Mask, all_met
from privacy.schema import Schema
from privacy.table import Table, stacked
from synthesizers.discretize import round_counts
from synthesizers.errors import VanishingError
from synthesizers.protocol import Model

PROBE_ROWS = 100_000
"""Rows drawn to learn how much of the model meets a condition."""

LEAST_SHARE = 1e-4
"""What the model gives less than this is not drawn on its own: nothing was learnt about such rows."""

MAX_BATCH = 1_000_000
MAX_BATCHES = 200
MAX_STRATA = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Rows that meet some conditions, and their share of the table."""

    conditions: tuple[Condition, ...]
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What rows are asked for, beside their number.

    Attributes:
        where: conditions every row meets.
        balance: columns whose declared levels, or combinations of them, get equal shares.
        given: strata with shares of their own; not together with `balance`.
    """

    where: tuple[Condition, ...] = ()
    balance: tuple[str, ...] = ()
    given: tuple[Stratum, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """How the table differs from a plain draw, for its readers; empty where it does not."""
        said = [f"only rows where {condition.words}" for condition in self.where]
        if self.balance:
            said.append(f"equal shares of every combination of {', '.join(self.balance)}")
        said += [f"a share of {s.share:.4g} where {' and '.join(c.words for c in s.conditions)}" for s in self.given]
        return tuple(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Strata of a target with the share the model itself gives them: public.

    Attributes:
        where: conditions every row meets.
        mass: share of the model's rows that meet `where`.
        strata: what is asked for; one without conditions where nothing is rebalanced.
        model_shares: the model's own shares among rows that meet `where`, shape (len(strata),).
    """

    where: tuple[Condition, ...]
    mass: float
    strata: tuple[Stratum, ...]
    model_shares: Floats

    def keep(self, table: Table) -> Floats:
        """Probability of keeping each row of a table, shape (n,), so that what is kept is distributed as asked.

        It depends on the row and on public figures alone, so that kept rows are independent draws of the reweighted
        population wherever the rows were of the population.
        """
        ratios = np.array([s.share for s in self.strata]) / self.model_shares
        probability = np.zeros(len(table))
        for stratum, ratio in zip(self.strata, ratios / ratios.max(), strict=True):
            probability[all_met(stratum.conditions, table)] = ratio
        return probability * all_met(self.where, table)


def weigh(model: Model, target: Target, rng: Generator) -> Weights:
    """Strata of a target and their shares in the model.

    Raises:
        VanishingError: next to no row of the model meets a condition, or a share is asked for where the model has none.
    """
    if not target.words:
        return Weights(where=(), mass=1.0, strata=(_EVERYBODY,), model_shares=np.ones(1))
    probe = model.sample(PROBE_ROWS, rng)
    mass = float(all_met(target.where, probe).mean())
    if mass < LEAST_SHARE:
        raise _vanishing("asked for")
    if target.where:
        probe = _matching(model, target.where, PROBE_ROWS // 5, rng)
    strata = target.given or (tuple(_combinations(model.schema, target.balance)) if target.balance else (_EVERYBODY,))
    shares = np.array([float(all_met(s.conditions, probe).mean()) for s in strata])
    if target.balance:
        kept = np.flatnonzero(shares >= LEAST_SHARE)
        strata = tuple(Stratum(conditions=strata[i].conditions, share=1 / len(kept)) for i in kept)
        shares = shares[kept]
    if not len(shares) or (shares < LEAST_SHARE).any():
        raise _vanishing("that are to have a share of their own")
    return Weights(where=target.where, mass=mass, strata=strata, model_shares=shares)


_EVERYBODY = Stratum(conditions=(), share=1.0)


def draw(model: Model, weights: Weights, n: int, rng: Generator) -> Table:
    """Draw n rows as asked, in random order.

    Guarantees:
        Every row meets `where`; the rows of each stratum differ from n times its share by less than one.

    Raises:
        VanishingError: the model gives a condition too little mass to find rows.
    """
    shares = np.array([s.share for s in weights.strata])
    counts = round_counts(shares / shares.sum() * n, n, rng)
    parts = [
        _matching(model, (*weights.where, *stratum.conditions), int(count), rng)
        for stratum, count in zip(weights.strata, counts, strict=True)
    ]
    return stacked(parts).select(rng.permutation(n))


def _matching(model: Model, conditions: Sequence[Condition], n: int, rng: Generator) -> Table:
    """N rows that meet every condition."""
    if not conditions:
        return model.sample(n, rng)
    narrowed = model.narrowed(tuple(conditions))
    if narrowed is None:
        raise _vanishing("asked for")
    found: list[Table] = []
    have, drawn, size = 0, 0, min(MAX_BATCH, n + 100)
    for _ in range(MAX_BATCHES):
        rows = narrowed.sample(size, rng)
        met = np.flatnonzero(all_met(conditions, rows))
        found.append(rows.select(met[: n - have]))
        have, drawn = have + len(found[-1]), drawn + size
        if have >= n:
            return stacked(found)
        rate = max(have, 1) / drawn
        size = int(min(MAX_BATCH, 1.1 * (n - have) / rate + 100))
    raise _vanishing("asked for")


def _combinations(schema: Schema, names: Sequence[str]) -> Iterator[Stratum]:
    lists = []
    for name in names:
        column = schema[name]
        if not isinstance(column, LevelColumn):
            raise TypeError(f"'{name}' has no levels")
        lists.append(
            [LevelsAllowed(column=name, levels=frozenset({level}), missing=False) for level in column.declared]
        )
    if np.prod([float(len(levels)) for levels in lists]) > MAX_STRATA:
        raise VanishingError(
            f"There are more than {MAX_STRATA} combinations to balance.",
            why="Most of them would have no row to learn from.",
            fix="Balance fewer columns.",
        )
    return (Stratum(conditions=combination, share=0.0) for combination in product(*lists))


def thinned(table: Table, weights: Weights, rng: Generator) -> Mask:
    """Which rows are kept, each by its own coin, shape (n,)."""
    kept: Mask = rng.random(len(table)) < weights.keep(table)
    return kept


def _vanishing(what: str) -> VanishingError:
    return VanishingError(
        f"The model has next to no rows {what}.",
        why="It learnt nothing about such rows, so whatever was drawn would be invented.",
        fix="Ask for a wider condition, or leave it out.",
    )
