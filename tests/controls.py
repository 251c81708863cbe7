"""Known faults, and the perfect generator: every audit must alarm on one of them and rest on `fresh_draw`.

A fault is a function of the parts and a generator that gives a synthetic table; `evidence` wraps one in an `Evidence`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.random import Generator

from audits.assignment import Parts, assign, design_for
from audits.evidence import Evidence, Refit, Run
from privacy.columns import Floats, LevelColumn
from privacy.noise import seeded_noise
from privacy.table import Table, make_table, stacked
from tests.tables import number_columns, population

Sampler: TypeAlias = Callable[[int, int], Table]
"""Rows and seed to a table of the population."""

Synthetic: TypeAlias = Callable[[Parts, Generator], Table]
"""Parts and a generator to a synthetic table."""


def evidence(synthetic: Synthetic, *, n: int = 8_000, seed: int = 0, sampler: Sampler = population) -> Evidence:
    """Evidence on n rows (or persons) of a population, assigned by coins of the default design."""
    table = sampler(n, 2 * seed + 1)
    parts = assign(table, design_for(None), seeded_noise(seed))
    return Evidence(
        schema=table.schema,
        train=parts.train,
        pooled=parts.pooled,
        control=parts.control,
        reference=parts.reference,
        synthetic=synthetic(parts, np.random.default_rng([seed, 77])),
        earlier=(earlier_release(parts, sampler),),
        refit=Refitted(synthetic, parts),
    )


EARLIER_SEED = 78


@dataclass(frozen=True, slots=True)
class Refitted:
    """A control run again on other training rows."""

    synthetic: Synthetic
    parts: Parts

    def __call__(self, runs: Sequence[Run], look: Callable[[Table], Floats]) -> Iterator[Floats]:
        """What is seen in the tables of all runs."""
        for run in runs:
            sides = self.parts.train.select(run.train), self.parts.control.select(run.control)
            parts = replace(self.parts, train=stacked(sides))
            yield look(self.synthetic(parts, np.random.default_rng([run.seed, 79])))


def earlier_release(parts: Parts, sampler: Sampler = population) -> Table:
    """What was released of the population before: a fresh draw, the same in every evidence."""
    return fresh_draw_of(sampler)(parts, np.random.default_rng(EARLIER_SEED))


def renewer(parts: Parts, rng: Generator) -> Table:
    """Keeps two thirds of the earlier release and adds training rows, every number moved a little."""
    kept, added = earlier_release(parts), near_memoriser(parts, rng)
    n = len(added) // 3
    columns = {name: np.concatenate([added.columns[name][:n], kept.columns[name][n:]]) for name in kept.columns}
    return make_table(kept.schema, columns)


def fresh_draw(parts: Parts, rng: Generator) -> Table:
    """The perfect generator: new rows of the mixed population."""
    return fresh_draw_of(population)(parts, rng)


def memoriser(parts: Parts, rng: Generator) -> Table:
    """Releases its training rows, shuffled."""
    return _released(parts.train, rng.permutation(len(parts.train)))


def near_memoriser(parts: Parts, rng: Generator) -> Table:
    """Releases its training rows with every number moved a little."""
    return _jittered(memoriser(parts, rng), rng)


def one_column_changed(parts: Parts, rng: Generator) -> Table:
    """Releases its training rows with three years added to every age."""
    return _older(memoriser(parts, rng))


def shuffler(parts: Parts, rng: Generator) -> Table:
    """Every column of the training rows permuted by itself: margins right, every association gone."""
    columns = {name: rng.permutation(values) for name, values in parts.train.columns.items()}
    return make_table(parts.train.schema, columns)


def majority_only(parts: Parts, rng: Generator) -> Table:
    """The largest group of every sensitive column; the smaller groups are left out."""
    chosen = parts.train
    for column in chosen.schema.sensitive:
        codes = chosen.codes(column.name)
        chosen = chosen.select(codes == np.bincount(codes).argmax())
    return _released(chosen, rng.integers(0, len(chosen), len(parts.train)))


def fresh_draw_of(sampler: Sampler) -> Synthetic:
    """The perfect generator of another population."""

    def draw(parts: Parts, rng: Generator) -> Table:
        fresh = sampler(len(parts.train), int(rng.integers(1 << 40)))
        return _released(fresh, np.arange(len(parts.train)))

    return draw


def contaminated(share: float, fault: Synthetic, sampler: Sampler = population) -> Synthetic:
    """A fresh draw of which a share of rows is replaced by rows of a fault."""

    def draw(parts: Parts, rng: Generator) -> Table:
        fresh, bad = fresh_draw_of(sampler)(parts, rng), fault(parts, rng)
        n = round(share * len(fresh))
        columns = {name: np.concatenate([bad.columns[name][:n], fresh.columns[name][n:]]) for name in fresh.columns}
        return make_table(fresh.schema, columns)

    return draw


def random_column_changed(parts: Parts, rng: Generator) -> Table:
    """Releases its training rows with one cell of each, in a column chosen at random, drawn from another row."""
    released = memoriser(parts, rng)
    chosen = rng.integers(0, len(released.columns), len(released))
    columns = {
        name: np.where(chosen == j, rng.permutation(values), values)
        for j, (name, values) in enumerate(released.columns.items())
    }
    return make_table(released.schema, columns)


def renamed(given: Evidence, names: dict[str, str]) -> Evidence:
    """The same evidence with columns renamed."""

    def rename(table: Table) -> Table:
        columns = tuple(replace(c, name=names.get(c.name, c.name)) for c in table.schema.columns)
        values = {names.get(name, name): column for name, column in table.columns.items()}
        return Table(replace(table.schema, columns=columns), values, {}, table.units)

    def again(runs: Sequence[Run], look: Callable[[Table], Floats]) -> Iterator[Floats]:
        return refit(runs, lambda table: look(rename(table)))

    train, control = rename(given.train), rename(given.control)
    refit = _refit_of(given)
    return replace(
        given,
        schema=train.schema,
        train=train,
        control=control,
        reference=rename(given.reference),
        synthetic=rename(given.synthetic),
        refit=again,
        earlier=tuple(map(rename, given.earlier)),
    )


def _refit_of(given: Evidence) -> Refit:
    assert given.refit is not None
    return given.refit


def _released(table: Table, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Table:
    return make_table(table.schema, table.select(rows).columns)


def _jittered(table: Table, rng: Generator) -> Table:
    columns = dict(table.columns)
    for column in number_columns(table.schema):
        low, high = column.bounds
        values = columns[column.name]
        columns[column.name] = column.clamp(values + rng.normal(0, 0.005 * (high - low), len(values)))
    return make_table(table.schema, columns)


def _older(table: Table) -> Table:
    column = table.schema["age"]
    assert not isinstance(column, LevelColumn)
    return make_table(table.schema, {**table.columns, "age": column.clamp(table.numbers("age") + 3)})
