"""Models of a number, as `audits.prediction` has them of a level: rows to learn from in, predictions of other rows out.

Predictions are cut to the target's public bounds. One thread throughout, for the same digits on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.random import Generator
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from audits.features import linear_matrix, tree_matrix
from audits.prediction import FOREST_LEAF, FOREST_TREES, MAX_TREES
from privacy.columns import Floats, NumberColumn
from privacy.table import Table

Model: TypeAlias = Callable[[Table, Table, NumberColumn, Generator], Floats]
"""Rows to learn from, rows to predict, the target, a stream -> predictions, shape (rows to predict,)."""

EARLY_FROM = 10_000
"""Rows from which boosting stops early; below, a validation set costs more than it saves."""


def gradient_boosting(learn: Table, predict: Table, target: NumberColumn, rng: Generator) -> Floats:
    """Histogram gradient boosting on codes and numbers."""
    model = HistGradientBoostingRegressor(
        max_iter=MAX_TREES, early_stopping=len(learn) > EARLY_FROM, random_state=int(rng.integers(2**31))
    )
    return _fitted(model, tree_matrix, learn, predict, target)


def ridge(learn: Table, predict: Table, target: NumberColumn, rng: Generator) -> Floats:
    """Ridge regression on one-hot codes and scaled numbers."""
    del rng
    return _fitted(Ridge(alpha=1.0, solver="lsqr"), linear_matrix, learn, predict, target)


def random_forest(learn: Table, predict: Table, target: NumberColumn, rng: Generator) -> Floats:
    """A random forest on codes and numbers."""
    model = RandomForestRegressor(
        n_estimators=FOREST_TREES,
        min_samples_leaf=FOREST_LEAF,
        max_features=1 / 3,
        random_state=int(rng.integers(2**31)),
    )
    return _fitted(model, tree_matrix, learn, predict, target)


REGRESSIONS: Mapping[str, Model] = MappingProxyType(
    {"gradient boosting": gradient_boosting, "ridge regression": ridge, "random forest": random_forest}
)


def _fitted(model: Any, matrix: Callable[..., Any], learn: Table, predict: Table, target: NumberColumn) -> Floats:
    """Predictions in the target's bounds; the constant where all labels are one."""
    low, high = target.bounds
    labels = learn.numbers(target.name)
    if labels.min() == labels.max():
        return np.full(len(predict), labels[0])
    with threadpool_limits(limits=1):
        model.fit(matrix(learn, leave_out=target.name), (labels - low) / ((high - low) or 1.0))
        place = model.predict(matrix(predict, leave_out=target.name))
    return np.asarray(low + np.clip(place, 0, 1) * (high - low))
