"""The private table taken apart: rows to fit, and rows to audit with.

A table that memory should hold is read once. A longer one is read several times, and held is only what the audits look
at: the pool, and of the other training rows and of the attacker's sample as many as an audit has use for, chosen by
secret coins of their own. Whether a row is looked at changes nothing in what is fitted or released; what an audit says
of training rows it then says of a random sample of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from api.coins import Coins
from audits.assignment import CONTROL, POOLED, REFERENCE, TRAIN, Design, Parts, Places, coins, parts_of
from privacy.files import FileMark, TableFile, mark
from privacy.noise import NoiseSource
from privacy.rows import Executor, Rows, Stream, held
from privacy.schema import Schema
from privacy.table import UnitNumbers, read_units

AUDITED_ROWS = 200_000
"""Training rows beside the pool, and rows of the attacker's sample, that the audits of a longer table look at: twice as
many as any of them uses at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A table taken apart.

    Attributes:
        train: every row that trains.
        parts: what the audits look at; its training rows are a sample where the table is long.
    """

    train: Rows
    parts: Parts


def split(path: TableFile, schema: Schema, design: Design, thrown: Coins, executor: Executor) -> Split:
    """Read a checked file and take it apart. Raises TableError for a file that is damaged or changes meanwhile."""
    table = held(path, schema)
    if table is not None:
        parts = thrown.parts(table, design)
        return Split(train=parts.train, parts=parts)
    rows = assigned(path, schema, design, thrown, executor)
    return Split(train=rows.train, parts=rows.audited())


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """A file that is not held, and what becomes of its rows.

    Attributes:
        file: the file, as it was when it was assigned.
        schema: what it is read by.
        places: what becomes of every row, shape (n,).
        units: unit number of every row, same shape; None where each is its own.
        noise: coins for who is looked at.
        executor: where rows are counted.
    """

    file: FileMark
    schema: Schema
    places: Places
    units: UnitNumbers | None
    noise: NoiseSource
    executor: Executor

    @property
    def train(self) -> Stream:
        """Every row that trains."""
        return self._rows((self.places == POOLED) | (self.places == TRAIN))

    def audited(self) -> Parts:
        """The whole pool, and of the other training rows and of the sample whole units, up to a number of rows."""
        seen: npt.NDArray[np.bool_] = (self.places == POOLED) | (self.places == CONTROL)
        n_units = len(self.places) if self.units is None else int(self.units.max(initial=-1)) + 1
        for place in (TRAIN, REFERENCE):
            of_it = self.places == place
            share = min(1.0, AUDITED_ROWS / max(1, int(of_it.sum())))
            coin = coins((1 - share, share), n_units, self.noise) == 1
            seen |= of_it & (coin if self.units is None else coin[self.units])
        return parts_of(self._rows(seen).whole(), self.places[seen])

    def _rows(self, taken: npt.NDArray[np.bool_]) -> Stream:
        return Stream(
            file=self.file,
            declared=self.schema,
            schema=self.schema,
            taken=taken,
            units=self.units,
            executor=self.executor,
        )


def assigned(path: TableFile, schema: Schema, design: Design, thrown: Coins, executor: Executor) -> Assigned:
    """Throw the coins for a file that is not held: they fall as for a table that is."""
    file = mark(path)
    units = read_units(path, schema)
    places, noise = thrown.places(units, schema.unit, design)
    return Assigned(
        file=file,
        schema=schema,
        places=places,
        units=None if schema.unit.field is None else units,
        noise=noise,
        executor=executor,
    )
