"""Models of the target that utility and outcomes both fit: rows to learn from in, probabilities for other rows out.

Each model is a function, so nothing fitted is kept and two audits share no state. Probabilities have one column for
every code of the target, and a class the learning rows never held keeps its column of zeros: dropping it, or the rows
that hold it, would reward a generator for losing a rare class.

One thread throughout: sums in another order give other last digits, and the same seed must give the same findings on
every machine.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.random import Generator
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from audits.errors import InconclusiveError
from audits.evidence import Evidence
from audits.features import linear_matrix, tree_matrix
from audits.rows import canonical, cells_of
from privacy.columns import Column, Floats, LevelColumn
from privacy.table import Table

Model: TypeAlias = Callable[[Table, Table, LevelColumn, Generator], Floats]
"""Rows to learn from, rows to predict, the target, a stream -> probabilities, shape (rows to predict, n_codes)."""

MAX_TREES = 100
TREES_IN_ALL = 400
"""Over all classes: boosting grows one tree a class and round, and a target of sixty classes must not take minutes."""

FOREST_TREES, FOREST_LEAF = 50, 5
MAX_ITERATIONS = 300
WEAK_PENALTY = 10.0
"""Inverse penalty of the logistic regression: numbers scaled by public bounds are small where a tail is heavy, and
need large coefficients."""


def gradient_boosting(learn: Table, predict: Table, target: LevelColumn, rng: Generator) -> Floats:
    """Histogram gradient boosting on codes and numbers.

    Args:
        learn: rows with a known label.
        predict: rows to predict.
        target: the column that is predicted and never a feature.
        rng: for the model's own validation split.

    Returns:
        Probabilities, shape (len(predict), target.n_codes); rows sum to 1.
    """
    codes = learn.codes(target.name)
    seed = int(rng.integers(2**31))
    classes = np.unique(codes)
    if len(classes) < 2:
        return _certain(classes, len(predict), target)
    rounds = MAX_TREES if len(classes) == 2 else max(10, min(MAX_TREES, TREES_IN_ALL // len(classes)))
    # Early stopping is asked for by size, and refused by scikit-learn where a class has one row.
    early = len(codes) > 10_000 and bool(np.bincount(codes)[classes].min() >= 2)
    model = HistGradientBoostingClassifier(max_iter=rounds, early_stopping=early, random_state=seed)
    with threadpool_limits(limits=1):
        model.fit(tree_matrix(learn, leave_out=target.name), codes)
        return _spread(model.predict_proba(tree_matrix(predict, leave_out=target.name)), classes, target)


def logistic_regression(learn: Table, predict: Table, target: LevelColumn, rng: Generator) -> Floats:
    """Multinomial logistic regression on one-hot codes and scaled numbers. Takes and returns what its sibling does."""
    codes = learn.codes(target.name)
    classes = np.unique(codes)
    if len(classes) < 2:
        return _certain(classes, len(predict), target)
    model = LogisticRegression(C=WEAK_PENALTY, max_iter=MAX_ITERATIONS, random_state=int(rng.integers(2**31)))
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # A fit that has not quite converged still ranks rows; the same limit holds on both sides of the comparison.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(linear_matrix(learn, leave_out=target.name), codes)
        return _spread(model.predict_proba(linear_matrix(predict, leave_out=target.name)), classes, target)


def random_forest(learn: Table, predict: Table, target: LevelColumn, rng: Generator) -> Floats:
    """A random forest on codes and numbers. Takes and returns what its siblings do."""
    codes = learn.codes(target.name)
    classes = np.unique(codes)
    if len(classes) < 2:
        return _certain(classes, len(predict), target)
    model = RandomForestClassifier(
        n_estimators=FOREST_TREES, min_samples_leaf=FOREST_LEAF, random_state=int(rng.integers(2**31))
    )
    with threadpool_limits(limits=1):
        model.fit(tree_matrix(learn, leave_out=target.name), codes)
        return _spread(model.predict_proba(tree_matrix(predict, leave_out=target.name)), classes, target)


FAMILIES: Mapping[str, Model] = MappingProxyType(
    {
        "gradient boosting": gradient_boosting,
        "logistic regression": logistic_regression,
        "random forest": random_forest,
    }
)


def labelled_rows(evidence: Evidence, target: Column, max_rows: int, rng: Generator) -> tuple[Table, Table, Table]:
    """What is learnt from and what is predicted: synthetic and train rows, equally many, and control rows.

    Rows without a label are left out. Tables larger than the smaller side, or than `max_rows`, are sampled without
    replacement; the order of their rows does not matter.

    Raises:
        InconclusiveError: the target has fewer than two values in control, or a side has no labelled row.
    """
    synthetic, train, control = (
        _labelled(table, target) for table in (evidence.synthetic, evidence.train, evidence.control)
    )
    size = min(len(synthetic), len(train), max_rows)
    if size == 0:
        raise InconclusiveError("the synthetic table or the training rows hold no labelled row")
    if len(np.unique(cells_of(control, target))) < 2:
        raise InconclusiveError("the control rows hold fewer than two values of the target")
    return _sample(canonical(synthetic), size, rng), _sample(canonical(train), size, rng), control


def _labelled(table: Table, target: Column) -> Table:
    if isinstance(target, LevelColumn):
        return table.select(table.codes(target.name) != target.n_codes - 1)
    return table.select(~np.isnan(table.numbers(target.name)))


def _sample(table: Table, size: int, rng: Generator) -> Table:
    return table.select(np.sort(rng.choice(len(table), size, replace=False)))


def _certain(classes: Any, n: int, target: LevelColumn) -> Floats:
    return _spread(np.ones((n, len(classes))), classes, target)


def _spread(probabilities: Any, classes: Any, target: LevelColumn) -> Floats:
    out = np.zeros((len(probabilities), target.n_codes))
    out[:, classes] = probabilities
    return out
