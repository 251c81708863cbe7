"""A picture of train, control and synthetic rows together: internal, since every real point is a person's.

Rows are one-hot codes and scaled numbers, brought to a few principal components and laid out by t-SNE, which keeps
neighbours near and says nothing by its distances. It is for looking: clusters without synthetic points are parts of the
population that the table misses, clusters of synthetic points alone are made up. Numbers that decide anything are those
of `audits.fidelity.support`.

Source: van der Maaten & Hinton 2008, "Visualizing data using t-SNE".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from audits.evidence import Evidence
from audits.features import linear_matrix
from audits.rows import canonical, one_row_per_unit, sampled

COMPONENTS = 30
MIN_ROWS = 30
PERPLEXITY = 30.0
ITERATIONS = 500
"""Half of the usual thousand: of 1,200 rows neighbours are kept as well (trustworthiness .981 and .980, by ten)."""


def joint_map(evidence: Evidence, rng: Generator, *, per_table: int = 400) -> Sequence[Mapping[str, Any]]:
    """Points for `audits.release.charts.points_chart`: `x`, `y` and `table` ("train", "control" or "synthetic").

    Args:
        evidence: the three tables.
        rng: chooses rows, one a unit, and seeds the layout.
        per_table: rows of each table at most.

    Returns:
        None at all where a table has fewer than 30 rows: too few for a layout.
    """
    sides = {"train": evidence.train, "control": evidence.control, "synthetic": evidence.synthetic}
    chosen = {words: canonical(table.select(one_row_per_unit(table, rng))) for words, table in sides.items()}
    if min(map(len, chosen.values())) < MIN_ROWS:
        return []
    rows = [linear_matrix(sampled(table, per_table, rng), leave_out="").toarray() for table in chosen.values()]
    names = np.repeat(list(sides), [len(part) for part in rows])
    matrix, seed = np.concatenate(rows), int(rng.integers(2**31))
    with threadpool_limits(limits=1):
        few = PCA(min(COMPONENTS, *matrix.shape), random_state=seed).fit_transform(matrix)
        layout = TSNE(perplexity=min(PERPLEXITY, (len(few) - 1) / 3), max_iter=ITERATIONS, random_state=seed)
        place = layout.fit_transform(few)
    return [{"x": float(x), "y": float(y), "table": str(name)} for (x, y), name in zip(place, names, strict=True)]
