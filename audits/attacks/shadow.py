"""Shadow models: the generator is fitted again and again, with and without the people most exposed, and compared.

The strongest attacker without a look inside: one who runs our code with our settings and knows every other row. The
targets are the units of the audit pool farthest from all others, whoever of them trained. Every run fits the generator
to a random half of the targets and to all other training rows; a target's statistics with and without its row, over
the runs, make a likelihood ratio. It is judged on runs it did not learn from, which have as many trials as runs times
targets, and on the very table that would leave, where membership is what the coins made it.

Statistics of a target in a table: the logarithms of its distance to the nearest and the fifth nearest row, the mean
logarithm of the counts of its cells in what the generator measured (or in all pairs of columns), and of rows that agree
with it on random sets of columns (the queries of Houssiau et al. 2022, TAPAS). Per target they are taken as normal with
a covariance common to all; the difference that membership makes is the target's own, drawn towards the mean over
targets as far as noise explains how they differ (James & Stein 1961).

Refitting reads private rows outside the charge. It spends nothing, because nothing of it leaves: every finding here is
internal, and the tables of the runs are dropped. Whoever published any of this would spend what another release does.

Sources: Carlini et al. 2022, "Membership inference attacks from first principles" (the likelihood ratio, online);
Meeus et al. 2023, "Achilles' heels" (who is most exposed); Guepin et al. 2024, "Lost in the averages" (a game for one
fixed table rather than for the average over tables).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from audits.attacks.game import MIN_TARGETS, Mask
from audits.cells import cells, n_cells
from audits.distance import features
from audits.errors import InconclusiveError
from audits.estimates import auc_finding, estimate_finding, mean_variance
from audits.evidence import Evidence, Run
from audits.finding import Audience, Finding, Interval
from audits.intervals import STRICT, USUAL, proportion_difference
from audits.rows import joined, one_row_per_unit
from audits.scores import macro_auc
from audits.search import nearest, others
from privacy.columns import Floats
from privacy.table import Table

BINS = 20
NEIGHBOURS = 5
FLOOR = 1e-3
"""Added to a distance before its logarithm, in units of a public range."""

MAX_MARGINALS = 150
MAX_CELLS = 1_000_000
QUERIES = 60
QUERY_COLUMNS = 4
MIN_RUNS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowModels:
    """How well membership of the most exposed units is told by somebody who can run the generator.

    Attributes:
        targets: units attacked.
        runs: how often the generator is fitted again.
    """

    targets: int = 200
    runs: int = 64
    name: ClassVar[str] = "shadow models"
    title: ClassVar[str] = "Shadow models"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """AUC over refitted models and on this release; the most exposed unit's true- less its false-positive rate.

        Raises:
            InconclusiveError: no generator is at hand, fewer than 8 runs are asked for, there are fewer than 100 units
                in a side of the pool, or too few synthetic rows.
        """
        if evidence.refit is None:
            raise InconclusiveError("no generator is at hand that could be fitted again")
        if self.runs < MIN_RUNS or len(evidence.synthetic) < NEIGHBOURS:
            raise InconclusiveError("there are too few runs or synthetic rows")
        chosen = _most_exposed(evidence, self.targets, rng)
        n = len(chosen.rows)
        inside = np.stack([rng.permutation(n) < n // 2 for _ in range(self.runs)])
        runs = [_run(evidence, chosen, taken, int(rng.integers(2**31))) for taken in inside]
        statistics = Statistics.about(chosen.rows, evidence.expected_error, rng)
        seen = np.stack(list(evidence.refit(runs, statistics.of)))
        ratios = np.stack(
            [likelihood_ratio(np.delete(seen, r, 0), np.delete(inside, r, 0), seen[r]) for r in range(self.runs)]
        )
        own = likelihood_ratio(seen, inside, statistics.of(evidence.synthetic))
        return tuple(self._findings(ratios, inside, own, chosen.is_member))

    def _findings(self, ratios: Floats, inside: Mask, own: Floats, is_member: Mask) -> Iterator[Finding]:
        yield _over_runs(ratios, inside)
        if min(is_member.sum(), (~is_member).sum()) >= 2:
            yield auc_finding(
                audit=self.name,
                quantity="AUC",
                subject="this release",
                members=own[is_member],
                outsiders=own[~is_member],
                audience=Audience.INTERNAL,
            )
        yield _most_told(ratios > 0, inside)


@dataclass(frozen=True, slots=True)
class Exposed:
    """The targets: one row each, the unit of each, and which of them trained.

    Attributes:
        rows: the targets, n of them, those that trained first.
        units: unit number of each, shape (n,).
        is_member: which of them trained, shape (n,).
    """

    rows: Table
    units: npt.NDArray[np.int64]
    is_member: Mask


def _most_exposed(evidence: Evidence, most: int, rng: Generator) -> Exposed:
    """The units of the pool farthest from the other units of the pool; membership plays no part in it."""
    train, control = evidence.train, evidence.control
    trained, held_back = one_row_per_unit(train, rng), one_row_per_unit(control, rng)
    trained = trained[evidence.pooled[trained]]
    if min(len(trained), len(held_back)) < MIN_TARGETS:
        raise InconclusiveError(f"fewer than {MIN_TARGETS} units of the pool trained, or did not")
    rows = joined(train.select(trained), control.select(held_back))
    units = np.concatenate([train.units[trained], control.units[held_back]])
    apart = others(features(rows, evidence.schema), NEIGHBOURS).mean(axis=1)
    chosen = np.sort(np.argsort(-apart, kind="stable")[:most])
    return Exposed(rows.select(chosen), units[chosen], chosen < len(trained))


def _run(evidence: Evidence, chosen: Exposed, taken: Mask, seed: int) -> Run:
    """A fit to the targets that are taken, with all their rows, and to every training row of anybody else."""
    left_out = chosen.units[chosen.is_member & ~taken]
    brought_in = chosen.units[~chosen.is_member & taken]
    return Run(~np.isin(evidence.train.units, left_out), np.isin(evidence.control.units, brought_in), seed)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What is looked at of every target in a table.

    Attributes:
        rows: the targets.
        cliques: columns counted together: marginals, then queries.
        n_marginals: how many of the cliques are marginals.
    """

    rows: Table
    cliques: tuple[tuple[str, ...], ...]
    n_marginals: int

    @classmethod
    def about(cls, rows: Table, measured: Mapping[tuple[str, ...], float], rng: Generator) -> Statistics:
        """For targets, with what the generator measured, if it says so."""
        names = rows.schema.names
        known = sorted(tuple(clique) for clique in measured if all(name in names for name in clique))
        marginals = known or [(name,) for name in names] + list(combinations(names, 2))
        if len(marginals) > MAX_MARGINALS:
            marginals = [marginals[i] for i in np.sort(rng.choice(len(marginals), MAX_MARGINALS, replace=False))]
        size = min(QUERY_COLUMNS, len(names))
        queries = [
            tuple(names[i] for i in np.sort(rng.choice(len(names), size, replace=False))) for _ in range(QUERIES)
        ]
        return cls(rows, (*marginals, *queries), len(marginals))

    def of(self, table: Table) -> Floats:
        """Statistics of every target, shape (n, 4); higher where rows like it are more."""
        schema = self.rows.schema
        far = nearest(features(self.rows, schema), features(table, schema), NEIGHBOURS)
        logs = np.log(self._counts(table) + 0.5)
        return np.stack(
            [
                -np.log(far[:, 0] + FLOOR),
                -np.log(far[:, -1] + FLOOR),
                logs[: self.n_marginals].mean(axis=0),
                logs[self.n_marginals :].mean(axis=0),
            ],
            axis=1,
        )

    def _counts(self, table: Table) -> Floats:
        """Rows of a table in the cell of every target, for every clique, shape (cliques, n)."""
        schema = self.rows.schema
        codes = {c.name: np.concatenate([cells(t, c, BINS) for t in (self.rows, table)]) for c in schema.columns}
        width = {c.name: n_cells(c, BINS) for c in schema.columns}
        n = len(self.rows)
        counts = np.zeros((len(self.cliques), n))
        for i, clique in enumerate(self.cliques):
            joint, size = np.zeros(len(table) + n, np.int64), 1
            for name in clique:
                size *= width[name]
                joint = joint * width[name] + codes[name]
                if size > MAX_CELLS:
                    seen, joint = np.unique(joint, return_inverse=True)
                    size = len(seen)
            counts[i] = np.bincount(joint[n:], minlength=size)[joint[:n]]
        return counts


def likelihood_ratio(seen: Floats, inside: Mask, asked: Floats) -> Floats:
    """Log-likelihood ratio of membership for every target.

    Args:
        seen: statistics of every target in every run, shape (runs, n, k).
        inside: which targets took part in which run, shape (runs, n); each in some and not in others.
        asked: statistics of every target in the table asked about, shape (n, k).

    Returns:
        Shape (n,); above 0 where the target more likely took part.
    """
    n_in = inside.sum(axis=0)[:, None]
    n_out = len(inside) - n_in
    means = [np.einsum("rn,rnk->nk", side, seen) / np.maximum(n, 1) for side, n in ((inside, n_in), (~inside, n_out))]
    within = seen - np.where(inside[:, :, None], means[0], means[1])
    k = seen.shape[2]
    covariance = np.einsum("rni,rnj->ij", within, within) / max(inside.size - 2 * seen.shape[1], 1)
    inverse = np.linalg.pinv(covariance + 1e-9 * np.eye(k) * max(np.trace(covariance), 1e-9))
    gap, common = means[0] - means[1], (means[0] - means[1]).mean(axis=0)
    noise = float((1 / np.maximum(n_in, 1) + 1 / np.maximum(n_out, 1)).mean())
    spread = float(np.einsum("ni,ij,nj->n", gap - common, inverse, gap - common).mean()) / k
    weight = max(1 - noise / spread, 0.0) if spread > 0 else 0.0
    effect = common + weight * (gap - common)
    middle = (means[0] + means[1]) / 2
    return np.asarray(np.einsum("ni,ij,nj->n", asked - middle, inverse, effect))


def _over_runs(ratios: Floats, inside: Mask) -> Finding:
    """AUC over all runs and targets. Trials of one run, and of one target, move together: both variances are added."""
    runs, n = ratios.shape
    scores, labels = ratios.ravel(), inside.ravel().astype(np.int32)
    area, influence = macro_auc(np.stack([-scores, scores], axis=1), labels)
    by_run, by_target = np.divmod(np.arange(runs * n), n)
    variance = mean_variance(influence, by_run) + mean_variance(influence, by_target) + 1 / (runs * n)
    return estimate_finding(
        audit=ShadowModels.name,
        quantity="AUC",
        subject="over refitted models",
        estimate=area,
        error=variance**0.5,
        baseline=0.5,
        worse="higher",
        n=runs * n,
        limits=(0.0, 1.0),
        looked_at=1,
    )


def _most_told(guesses: Mask, inside: Mask) -> Finding:
    """The target whose membership is told best: true- less false-positive rate, bounds simultaneous over targets."""
    n = guesses.shape[1]
    n_in, hits = inside.sum(axis=0), (guesses & inside).sum(axis=0)
    n_out, false_alarms = (~inside).sum(axis=0), (guesses & ~inside).sum(axis=0)
    told = hits / np.maximum(n_in, 1) - false_alarms / np.maximum(n_out, 1)
    worst = int(np.argmax(np.where((n_in > 0) & (n_out > 0), told, -2.0)))
    counts = int(hits[worst]), int(n_in[worst]), int(false_alarms[worst]), int(n_out[worst])
    usual, strict = (
        Interval(bounds.low, bounds.high, confidence)
        for confidence in (USUAL, STRICT)
        for bounds in (proportion_difference(*counts, 1 - (1 - confidence) / n),)
    )
    return Finding(
        audit=ShadowModels.name,
        quantity="TPR less FPR",
        subject="most exposed unit",
        estimate=float(told[worst]),
        interval=usual,
        strict=strict,
        baseline=0.0,
        worse="higher",
        n=len(guesses),
        detectable=None,
        audience=Audience.INTERNAL,
    )
