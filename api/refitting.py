"""The generator of a release, fitted again to other rows for audits that ask for it (`audits.evidence.Refit`).

The same plan, from the purchase of the first bound to as many rows as were drawn, with the same mechanisms at the same
scales. It is a rehearsal (`privacy.rehearsal`): charged to nobody, because what comes out is looked at by audits whose
findings are internal and goes no farther.

Runs share nothing: they are spread over the executor that was asked for, or else over the cores of this machine. What
an audit looks at is worked out where a table is made, so that no table comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.random import default_rng

from api.executors.processes import Processes
from api.recipe import Order
from api.splitting import Split
from audits.assignment import Parts
from audits.evidence import Run
from privacy.columns import Floats, LevelColumn
from privacy.rehearsal import rehearsal
from privacy.rows import Executor, Inline
from privacy.schema import Schema
from privacy.table import Table
from synthesizers.protocol import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Refitting:
    """A plan, and everything it takes to carry it out once more. Private: it holds the rows.

    Attributes:
        plan: what was fitted.
        parts: the rows as the plan read them, before any domain was bought.
        schema: what the tables are coded by: the domains the release bought.
        rows: how many are drawn.
        executor: where runs are carried out.
    """

    plan: Plan
    parts: Parts
    schema: Schema
    rows: int
    executor: Executor

    def __call__(self, runs: Sequence[Run], look: Callable[[Table], Floats]) -> Iterator[Floats]:
        """What is seen in the tables of all runs, in order."""
        return self.executor.map(partial(_seen, self.plan, self.parts, self.schema, self.rows, look), runs)


def refitting_of(order: Order, halves: Split, schema: Schema, rows: int) -> Refitting | None:
    """The generator of an order, once it was fitted.

    None where the table was too long to be held: what the audits hold of it is a sample, and a fit to a sample is a fit
    to another table.
    """
    if halves.train is not halves.parts.train:
        return None
    executor = Processes() if isinstance(order.executor, Inline) else order.executor
    return Refitting(plan=order.plan, parts=halves.parts, schema=schema, rows=rows, executor=executor)


def _seen(plan: Plan, parts: Parts, schema: Schema, rows: int, look: Callable[[Table], Floats], run: Run) -> Floats:
    """One run, and what is seen in its table."""
    rng = default_rng(run.seed)
    model = plan.fit(united(parts, run), rehearsal(plan.cost, run.seed), rng, _quiet)
    return look(recoded(model.sample(rows, rng), schema))


def united(parts: Parts, run: Run) -> Table:
    """The rows a run is fitted to: some that trained, and some that were held back."""
    train, control = parts.train.select(run.train), parts.control.select(run.control)
    columns = {name: np.concatenate([train.columns[name], control.columns[name]]) for name in train.columns}
    return Table(train.schema, columns, train.vocabularies, np.concatenate([train.units, control.units]))


def recoded(drawn: Table, schema: Schema) -> Table:
    """A table in the domains of another schema: every run buys its own."""
    words = {
        column.name: column.declared
        for column in drawn.schema.columns
        if isinstance(column, LevelColumn) and column != schema[column.name]
    }
    return Table(drawn.schema, drawn.columns, words, drawn.units).conform(schema)


def _quiet(step: str) -> None:
    """Steps of a rehearsal are not announced: there are as many as runs."""
