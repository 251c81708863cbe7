"""What membership attacks score a row by: higher means "was trained on".

Every attack knows the released table and a sample of the population. None learns from membership labels. Each scores
the targets, and the rows of the population sample, each left out of what it is compared with: their scores set the
threshold of a false-positive rate.

| attack | idea | source |
|---|---|---|
| nearest, fifth, twentieth neighbour | rows that trained have synthetic rows close by | Chen et al. 2020, GAN-Leaks |
| calibrated | ... closer than the population is | the same, calibrated |
| density ratio | synthetic density over population density, by neighbours | van Breugel et al. 2023, DOMIAS |
| plagiarism | share of synthetic rows among the neighbours in both | Ward et al. 2024, data plagiarism index |
| classifier | a model tells synthetic rows from the population's | the same, learnt |
| marginals | log-ratio of cell counts, of what was measured or of all pairs | Golob et al. 2025, MAMA-MIA |
| error profile | models that learnt from synthetic rows err less than their twins on the population | MIA-EPT |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.random import Generator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from audits.attacks.game import Targets, targets_of
from audits.cells import cells, n_cells
from audits.distance import features
from audits.errors import InconclusiveError
from audits.evidence import Evidence
from audits.features import tree_matrix
from audits.rows import canonical, one_row_per_unit, sampled
from audits.search import nearest, others
from privacy.columns import Column, Floats, LevelColumn, NumberColumn
from privacy.schema import Schema
from privacy.table import Table

MIN_REFERENCE = 50
"""Smallest reference sample that can set a threshold."""

LEAST_SEARCHED, MAX_SEARCHED_PAIRS = 10_000, 10_000_000_000
"""So many targets and so many rows of the reference sample are used, or as many as make so many pairs with the
synthetic rows, if that is more: each looks for its neighbours among them, and 10,000 set a threshold at a false
positive rate of .1%."""

NEIGHBOURS = 20
"""Most neighbours a density is estimated from."""

OF_ONE_TABLE = frozenset({"nearest neighbour", "fifth nearest neighbour", "twentieth nearest neighbour"})
"""Attacks that know no sample of the population."""

FLOOR = 1e-3
"""Added to a distance before its logarithm, in units of a public range: twins are near, not infinitely near."""

FOLDS = 2
"""Parts of the population sample: a model never scores a row of it that it learnt from."""

MAX_LEARN = 20_000
BINS = 20
MAX_MARGINALS = 150
MAX_PAIR_CELLS = 1_000_000
PRIOR = 1.0
"""Rows added to a cell's count in both tables, in proportion to the synthetic share of the cell and half a cell."""

TREE_LEAF = 20
MAX_PROFILED = 40


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of one attack on the targets and on the population sample, shape (n,) and (r,)."""

    targets: Floats
    reference: Floats


def scored_targets(evidence: Evidence, max_targets: int, rng: Generator) -> tuple[Targets, dict[str, Scores]]:
    """Targets, one row a protected unit, and the scores of every attack on them.

    Args:
        evidence: the tables; the marginals that the generator says it measured are attacked, if it says so.
        max_targets: units attacked at most, of both sides together.
        rng: chooses targets and rows, and is for the models.

    Raises:
        InconclusiveError: fewer than 100 targets a side, 50 reference rows or 20 synthetic ones.
    """
    targets, reference = targets_and_reference(evidence, max_targets, rng)
    if len(evidence.synthetic) < NEIGHBOURS:
        raise InconclusiveError(f"the synthetic table has fewer than {NEIGHBOURS} rows")
    released = canonical(evidence.synthetic)
    return targets, attack_scores(targets.rows, reference, released, evidence.schema, evidence.expected_error, rng)


def targets_and_reference(evidence: Evidence, max_targets: int, rng: Generator) -> tuple[Targets, Table]:
    """Whom the attacks are tried on, and the attacker's sample of the population; one row a unit of each.

    Raises:
        InconclusiveError: fewer than 100 targets a side, or 50 reference rows.
    """
    most = max(LEAST_SEARCHED, MAX_SEARCHED_PAIRS // max(1, len(evidence.synthetic)))
    targets = targets_of(evidence, min(max_targets, most), rng)
    reference = evidence.reference.select(one_row_per_unit(evidence.reference, rng))
    if len(reference) < MIN_REFERENCE:
        raise InconclusiveError(f"the reference sample has fewer than {MIN_REFERENCE} units")
    return targets, sampled(reference, most, rng)


def attack_scores(
    targets: Table,
    reference: Table,
    released: Table,
    schema: Schema,
    expected_error: Mapping[tuple[str, ...], float],
    rng: Generator,
) -> dict[str, Scores]:
    """Scores of every attack by name; larger means more likely a member.

    Args:
        targets: rows attacked, one a protected unit.
        reference: the attacker's own sample of the population, at least 20 rows.
        released: the synthetic rows, at least 20.
        schema: of all three.
        expected_error: the marginals that the generator says it measured, by clique; these are attacked.
        rng: chooses rows, and is for the models.
    """
    return {
        **_by_distance(targets, reference, released, schema),
        "plagiarism": _by_share(targets, reference, released, schema, rng),
        "classifier": _by_classifier(targets, reference, released, rng),
        "marginals": _by_marginals(targets, reference, released, schema, expected_error, rng),
        "error profile": _by_errors(targets, reference, released, schema, rng),
    }


def _by_distance(targets: Table, reference: Table, released: Table, schema: Schema) -> dict[str, Scores]:
    rows, known, synthetic = (features(table, schema) for table in (targets, reference, released))
    of_targets = _distance_scores(
        nearest(rows, synthetic, NEIGHBOURS), nearest(rows, known, NEIGHBOURS), len(released), len(reference)
    )
    of_reference = _distance_scores(
        nearest(known, synthetic, NEIGHBOURS), others(known, NEIGHBOURS), len(released), len(reference)
    )
    return {name: Scores(score, of_reference[name]) for name, score in of_targets.items()}


def _distance_scores(to_synthetic: Floats, to_reference: Floats, released: int, known: int) -> dict[str, Floats]:
    """Scores by distances alone.

    The density ratio averages log distances over k neighbours a side, with k in proportion to the rows a side has, so
    that both densities are read at one scale and what is left is not the difference in size.

    Args:
        to_synthetic: distances to the nearest synthetic rows, ascending, shape (n, 20).
        to_reference: distances to the nearest reference rows, oneself left out, ascending, shape (n, at most 20).
        released: number of synthetic rows.
        known: number of reference rows.
    """
    near, far = np.log(to_synthetic + FLOOR), np.log(to_reference + FLOOR)
    ratio = released / known
    k_near, k_far = (max(1, min(NEIGHBOURS, round(NEIGHBOURS * r))) for r in (ratio, 1 / ratio))
    return {
        "nearest neighbour": -to_synthetic[:, 0],
        "fifth nearest neighbour": -to_synthetic[:, 4],
        "twentieth nearest neighbour": -to_synthetic[:, 19],
        "calibrated": far[:, 0] - near[:, 0],
        "density ratio": far[:, :k_far].mean(axis=1) - near[:, :k_near].mean(axis=1),
    }


def _by_share(targets: Table, reference: Table, released: Table, schema: Schema, rng: Generator) -> Scores:
    """Share of synthetic rows among the nearest of as many synthetic rows as there are in the population sample."""
    n = min(len(released), len(reference))
    picked = sampled(released, n, rng)
    rows, known, synthetic = (features(table, schema) for table in (targets, reference, picked))
    k = min(NEIGHBOURS, n - 1)
    return Scores(
        _share(nearest(rows, synthetic, k), nearest(rows, known, k)),
        _share(nearest(known, synthetic, k), others(known, k)),
    )


def _share(to_synthetic: Floats, to_reference: Floats) -> Floats:
    """Of the k nearest of both, how many are synthetic; from ascending distances, shape (n, k) each."""
    k = to_synthetic.shape[1]
    reach = np.sort(np.concatenate([to_synthetic, to_reference], axis=1), axis=1)[:, k - 1, None]
    inside, outside = ((far <= reach).sum(axis=1) for far in (to_synthetic, to_reference))
    share: Floats = inside / (inside + outside)
    return share


def _by_classifier(targets: Table, reference: Table, released: Table, rng: Generator) -> Scores:
    """Log-odds of being synthetic rather than of the population, by models that each leave a part of the sample out."""
    learn = sampled(released, MAX_LEARN, rng)
    synthetic, population, rows = (tree_matrix(table, leave_out="") for table in (learn, reference, targets))
    fold = rng.permutation(np.arange(len(reference)) % FOLDS)
    on_targets, on_reference = np.zeros(len(targets)), np.zeros(len(reference))
    for part in range(FOLDS):
        inside = fold != part
        matrix = np.concatenate([synthetic, population[inside]])
        label = np.arange(len(matrix)) < len(synthetic)
        weight = np.where(label, 1 / len(synthetic), 1 / inside.sum()) * len(matrix) / 2
        model = HistGradientBoostingClassifier(max_iter=60, early_stopping=False, random_state=int(rng.integers(2**31)))
        with threadpool_limits(limits=1):
            model.fit(matrix, label, sample_weight=weight)
            on_targets += model.decision_function(rows) / FOLDS
            on_reference[~inside] = model.decision_function(population[~inside])
    return Scores(on_targets, on_reference)


def _by_marginals(
    targets: Table,
    reference: Table,
    released: Table,
    schema: Schema,
    measured: Mapping[tuple[str, ...], float],
    rng: Generator,
) -> Scores:
    """Sum over marginals of the log-ratio of a row's cell in the synthetic table and in the population."""
    known = {tuple(clique) for clique in measured if all(name in schema.names for name in clique)}
    cliques = sorted(known) or [(name,) for name in schema.names] + list(combinations(schema.names, 2))
    if len(cliques) > MAX_MARGINALS:
        cliques = [cliques[i] for i in np.sort(rng.choice(len(cliques), MAX_MARGINALS, replace=False))]
    codes = {c.name: [cells(t, c, BINS) for t in (targets, reference, released)] for c in schema.columns}
    width = {c.name: n_cells(c, BINS) for c in schema.columns}
    on_targets, on_reference = np.zeros(len(targets)), np.zeros(len(reference))
    for clique in cliques:
        size = int(np.prod([width[name] for name in clique]))
        if size > MAX_PAIR_CELLS:
            continue
        rows, population, synthetic = (
            np.ravel_multi_index([codes[name][side] for name in clique], [width[name] for name in clique])
            for side in range(3)
        )
        ours = (np.bincount(synthetic, minlength=size) + PRIOR / size) / (len(released) + PRIOR)
        counts = np.bincount(population, minlength=size)
        theirs = (counts + PRIOR * ours) / (len(reference) + PRIOR)
        on_targets += np.log(ours[rows] / theirs[rows])
        without = (counts[population] - 1 + PRIOR * ours[population]) / (len(reference) - 1 + PRIOR)
        on_reference += np.log(ours[population] / without)
    return Scores(on_targets, on_reference)


def _by_errors(targets: Table, reference: Table, released: Table, schema: Schema, rng: Generator) -> Scores:
    """How much less a tree that learnt from synthetic rows errs than its twin on the population, over all columns."""
    learn = sampled(released, MAX_LEARN, rng)
    fold = rng.permutation(np.arange(len(reference)) % FOLDS)
    on_targets, on_reference = np.zeros(len(targets)), np.zeros(len(reference))
    columns = schema.columns
    if len(columns) < 2:
        return Scores(on_targets, on_reference)
    if len(columns) > MAX_PROFILED:
        columns = tuple(columns[i] for i in np.sort(rng.choice(len(columns), MAX_PROFILED, replace=False)))
    for column in columns:
        of_synthetic = _losses(column, learn, (targets, reference), rng)
        on_targets -= of_synthetic[0]
        on_reference -= of_synthetic[1]
        for part in range(FOLDS):
            held_out = reference.select(fold == part)
            twin = _losses(column, reference.select(fold != part), (targets, held_out), rng)
            on_targets += twin[0] / FOLDS
            on_reference[fold == part] += twin[1]
    return Scores(on_targets, on_reference)


def _losses(column: Column, learn: Table, sides: tuple[Table, ...], rng: Generator) -> list[Floats]:
    """Loss of a tree on rows of other tables: log-loss of a level, absolute error of a number, by its spread."""
    seed = int(rng.integers(2**31))
    matrix = tree_matrix(learn, leave_out=column.name)
    others_of = [tree_matrix(side, leave_out=column.name) for side in sides]
    if isinstance(column, LevelColumn):
        tree = DecisionTreeClassifier(min_samples_leaf=min(TREE_LEAF, len(learn)), random_state=seed)
        tree.fit(matrix, learn.codes(column.name))
        losses = []
        for side, rows in zip(sides, others_of, strict=True):
            chance = np.full((len(side), column.n_codes), 0.0)
            chance[:, tree.classes_] = tree.predict_proba(rows)
            truth = chance[np.arange(len(side)), side.codes(column.name)]
            losses.append(-np.log((TREE_LEAF * truth + 1 / column.n_codes) / (TREE_LEAF + 1)))
        return losses
    place = _place(column, learn)
    regression = DecisionTreeRegressor(min_samples_leaf=min(TREE_LEAF, len(learn)), random_state=seed)
    regression.fit(matrix, place)
    spread = float(place.std()) or 1.0
    return [
        np.abs(regression.predict(rows) - _place(column, side)) / spread
        for side, rows in zip(sides, others_of, strict=True)
    ]


def _place(column: NumberColumn, table: Table) -> Floats:
    """Where numbers lie in their public range; a missing one at its lower end."""
    low, high = column.bounds
    return (np.nan_to_num(table.numbers(column.name), nan=low) - low) / ((high - low) or 1.0)
