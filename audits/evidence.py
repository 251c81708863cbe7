"""What every audit is given: the parts of the private table, and the synthetic one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from privacy.columns import Floats
from privacy.schema import Schema
from privacy.table import Table


@dataclass(frozen=True, slots=True)
class Run:
    """One more fit of the generator: which rows it is fitted to, and the seed of everything random in it.

    Attributes:
        train: which rows of `Evidence.train` take part, shape (len(train),).
        control: which rows of `Evidence.control` do, shape (len(control),).
        seed: from 0.
    """

    train: npt.NDArray[np.bool_]
    control: npt.NDArray[np.bool_]
    seed: int


class Refit(Protocol):
    """The generator that made the synthetic rows, from its first measurement to as many rows as were drawn.

    It reads private rows and charges nothing: its tables are looked at by audits whose findings are internal, and
    nothing of them leaves.
    """

    def __call__(self, runs: Sequence[Run], look: Callable[[Table], Floats]) -> Iterator[Floats]:
        """What is seen in the tables of all runs, in order.

        Args:
            runs: what is fitted.
            look: from a table, coded by `Evidence.schema`, to numbers; called wherever the run was carried out, hence
                to be pickled.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Tables coded by one schema, whose domains have been bought.

    Attributes:
        schema: the schema all tables below are coded by.
        train: rows the generator was fitted to; of a long table the pool and a random sample of whole other units.
        pooled: which rows of `train` are in the audit pool, shape (len(train),).
        control: rows of the pool that were held back.
        reference: an attacker's own sample of the population; never scored by an attack that uses it.
        synthetic: what would be released.
        claimed_delta: delta of the promise, where membership of the pool was decided by fair coins; None where no
            promise is made or somebody else chose who trained.
        expected_error: error bound of every measured marginal from its noise alone, by clique; public.
        refit: the generator, to be fitted again; None where it is not at hand.
        earlier: other released tables of the same population.
    """

    schema: Schema
    train: Table
    pooled: npt.NDArray[np.bool_]
    control: Table
    reference: Table
    synthetic: Table
    claimed_delta: float | None = None
    expected_error: Mapping[tuple[str, ...], float] = field(default_factory=dict)
    refit: Refit | None = None
    earlier: tuple[Table, ...] = ()
