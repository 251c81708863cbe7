"""The joint map: every table is on it, made-up rows lie apart, and it becomes a chart without a row's values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from audits.fidelity.picture import joint_map
from audits.release.charts import points_chart
from privacy.table import make_table
from tests.controls import evidence, fresh_draw


def test_a_map_shows_every_table_and_what_lies_apart() -> None:
    """Of the five points nearest to a copy of one row nine in ten are such copies, of others' less than half."""
    given = evidence(fresh_draw, n=1_000)
    same = given.synthetic.select(np.zeros(len(given.synthetic), np.int64))
    odd = replace(given, synthetic=make_table(given.schema, same.columns))
    points = joint_map(odd, np.random.default_rng(1), per_table=60)
    tables = [point["table"] for point in points]
    assert {name: tables.count(name) for name in set(tables)} == {"train": 60, "control": 60, "synthetic": 60}
    place = np.array([[point["x"], point["y"]] for point in points])
    apart = np.linalg.norm(place[:, None] - place[None], axis=2)
    nearest = np.argsort(apart, axis=1)[:, 1:6]
    copies = np.array(tables) == "synthetic"
    assert copies[nearest[copies]].mean() > 0.9
    assert copies[nearest[~copies]].mean() < 0.5
    assert points == joint_map(odd, np.random.default_rng(1), per_table=60)
    drawn = points_chart(points, title="Train, control and synthetic rows")
    assert drawn.startswith('<svg role="img" aria-label="Train, control and synthetic rows"')
    assert "north" not in drawn


def test_too_few_rows_are_not_laid_out() -> None:
    assert joint_map(evidence(fresh_draw, n=150), np.random.default_rng(1)) == []
