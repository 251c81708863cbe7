"""The generator of a release, fitted again to other rows for audits that ask for it (`audits.evidence.Refit`).

The same plan, from the purchase of the first bound to as many rows as were drawn, with the same mechanisms at the same
scales. It is a rehearsal: its filter starts from the plan's price and no ledger knows of it, because what comes out is
looked at by audits whose findings are internal and goes no farther. Its noise therefore need not be secret, and comes
from the seed of the run, so that the same seed gives the same findings.

Runs share nothing, so they are spread over processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.random import default_rng

from audits.assignment import Parts
from audits.evidence import Run
from privacy.columns import LevelColumn
from privacy.filter import PrivacyFilter
from privacy.noise import seeded_noise
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
        workers: processes.
    """

    plan: Plan
    parts: Parts
    schema: Schema
    rows: int
    workers: int

    def __call__(self, runs: Sequence[Run]) -> Iterator[Table]:
        """The tables of all runs, in order."""
        if self.workers == 1 or len(runs) < 2:
            yield from map(self.table, runs)
            return
        # Spawned, not forked: a fork copies locks of threads it does not copy.
        with ProcessPoolExecutor(min(self.workers, len(runs)), get_context("spawn")) as pool:
            yield from pool.map(self.table, runs)

    def table(self, run: Run) -> Table:
        """The table of one run."""
        rng = default_rng(run.seed)
        privacy = PrivacyFilter(self.plan.cost, seeded_noise(run.seed))
        model = self.plan.fit(self._train(run), privacy, rng, _quiet)
        return _recoded(model.sample(self.rows, rng), self.schema)

    def _train(self, run: Run) -> Table:
        train, control = self.parts.train.select(run.train), self.parts.control.select(run.control)
        columns = {name: np.concatenate([train.columns[name], control.columns[name]]) for name in train.columns}
        return Table(train.schema, columns, train.vocabularies, np.concatenate([train.units, control.units]))


def _recoded(drawn: Table, schema: Schema) -> Table:
    """A table in the domains of another schema: every run buys its own."""
    words = {
        column.name: column.declared
        for column in drawn.schema.columns
        if isinstance(column, LevelColumn) and column != schema[column.name]
    }
    return Table(drawn.schema, drawn.columns, words, drawn.units).conform(schema)


def _quiet(step: str) -> None:
    """Steps of a rehearsal are not announced: there are as many as runs."""
