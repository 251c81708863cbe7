"""What pairs of columns do not show, on tables whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.structure import detection_auc, three_way_distance
from privacy.schema_file import parse_schema
from privacy.table import Table


def bits(n: int, seed: int, *, parity: bool) -> Table:
    """Three fair bits, any two of them independent; the third is the parity of the others, or free."""
    fields = [{"name": name, "type": "boolean"} for name in "abc"]
    privacy = {"population": "p", "unit": "row", "adjacency": "add-or-remove", "n_public": "none"}
    schema = parse_schema({"name": "bits", "fields": fields, "privacy": privacy})
    rng = np.random.default_rng(seed)
    a, b, c = (rng.integers(0, 2, n).astype(np.int32) for _ in range(3))
    return Table(schema, {"a": a, "b": b, "c": a ^ b if parity else c}, {}, np.arange(n))


def test_what_pairs_do_not_show() -> None:
    """Half of the mass lies elsewhere (.5 by theory; sampling moves it by less than .02 beyond 5 standard errors)."""
    free, bound = bits(20_000, 1, parity=False), bits(20_000, 2, parity=True)
    assert three_way_distance(free, bound) == pytest.approx(0.5, abs=0.02)
    assert three_way_distance(free, bits(20_000, 3, parity=False)) < 0.02
    assert three_way_distance(free, replace(free)) == 0.0


def test_a_model_tells_rows_apart_that_differ() -> None:
    """The AUC by theory is .75; equal tables give one half, within 5 standard errors of .006 (2,000 rows each)."""
    unseen = bits(2_000, 1, parity=True)
    assert detection_auc(unseen, bits(2_000, 2, parity=False), 0) == pytest.approx(0.75, abs=0.03)
    assert detection_auc(unseen, bits(2_000, 3, parity=True), 0) == pytest.approx(0.5, abs=0.045)
