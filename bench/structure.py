"""What pairs of columns do not show: distances of three at a time, and whether a model tells synthetic rows apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from audits.cells import cells, n_cells
from audits.evidence import Evidence
from audits.fidelity.detection import Detection
from privacy.table import Table

BINS = 10
TRIPLES = 150
"""Triples of columns looked at, the same for every table of a schema."""


def three_way_distance(real: Table, synthetic: Table) -> float:
    """Total variation distance of three columns, mean over up to 150 triples; numbers in ten equal bins."""
    columns = real.schema.columns
    triples = list(combinations(range(len(columns)), 3))
    chosen = np.random.default_rng(0).permutation(len(triples))[:TRIPLES]
    sizes = [n_cells(column, BINS) for column in columns]
    coded = [[cells(table, column, BINS) for column in columns] for table in (real, synthetic)]
    distances = []
    for number in chosen:
        i, j, k = triples[number]
        size = sizes[i] * sizes[j] * sizes[k]
        places = [(c[i] * sizes[j] + c[j]) * sizes[k] + c[k] for c in coded]
        shares = [np.bincount(place, minlength=size) / len(place) for place in places]
        distances.append(0.5 * np.abs(shares[0] - shares[1]).sum())
    return float(np.mean(distances))


def detection_auc(unseen: Table, synthetic: Table, seed: int) -> float:
    """AUC of telling synthetic rows from real rows the generator never saw; one half where there is no difference."""
    # The audit's own reference, between training and unseen rows, is not needed: the unseen rows stand for both.
    evidence = Evidence(
        schema=unseen.schema, train=unseen, pooled=np.zeros(len(unseen), dtype=np.bool_), control=unseen,
        reference=unseen, synthetic=synthetic,
    )  # fmt: skip
    findings = Detection().run(evidence, np.random.default_rng(seed))
    return next(f.estimate for f in findings if f.quantity == "AUC of detection")
