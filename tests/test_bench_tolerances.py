"""The study of limits: a rule's worst finding, whichever direction is bad, and what is printed of it."""

from __future__ import annotations

import numpy as np

from audits.assignment import assign, design_for
from audits.release.policy import load_policy
from bench.tolerances import TABLES, generated, picture, room, worst
from privacy.noise import seeded_noise
from tests.tables import population

RULES = {(r.audit, r.quantity, str(r.subjects)): r for r in load_policy("public").checks}


def line(run: int, *findings: list[object]) -> dict[str, object]:
    return {"key": ["adult", "public", 1_000, "fresh rows", run], "findings": findings}


def test_the_worst_is_the_one_on_the_bad_side() -> None:
    auc, copying = RULES["membership inference", "AUC", "overall"], RULES["copies", "copying p-value", "table"]
    found = line(
        0,
        ["membership inference", "AUC", "calibrated", 0.52, 0.5, 0.54],
        ["membership inference", "AUC", "density ratio", 0.51, 0.5, 0.53],
        ["membership inference", "AUC", "calibrated, outlier decile", 0.9, 0.8, 1.0],
        ["copies", "copying p-value", "", 0.3, 0.3, 0.3],
    )
    assert worst(auc, found) == [0.52]
    assert worst(copying, found) == [0.3]
    assert worst(auc, line(0)) == []


def test_quantiles_stand_beside_the_limits() -> None:
    lines = [line(run, ["marginals", "excess total variation, 2-way", "", run / 100, 0, 0]) for run in range(101)]
    table = room(load_policy("public").checks, lines)
    assert "| marginals: excess total variation, 2-way, table | 0.500 (0.050 to 0.950) | 0.05, 0.1 |" in table
    assert len(table.splitlines()) == 3


def test_the_picture_has_a_panel_for_every_rule_that_moved() -> None:
    lines = [line(run, ["marginals", "excess total variation, 2-way", "", run / 100, 0, 0]) for run in range(5)]
    drawn = picture(load_policy("public").checks, lines)
    assert "marginals: excess total variation, 2-way" in drawn
    assert "copying p-value" not in drawn
    assert "fresh rows" in drawn


def test_a_generator_gives_as_many_rows_as_trained() -> None:
    parts = assign(population(1_000, 1), design_for(None), seeded_noise(1))
    rows = generated("independent", 1.0)(parts, parts.train, np.random.default_rng(1))
    assert len(rows) == len(parts.train)
    assert "fresh rows" in TABLES
