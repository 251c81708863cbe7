"""How fine the marginals are that AIM may choose, and what is refused before anything is paid."""

from __future__ import annotations

from typing import Any

import pytest

from privacy.schema import Budget, Schema
from privacy.schema_file import parse_schema
from synthesizers.errors import PlanError
from synthesizers.marginal import workload as sizes
from synthesizers.marginal.aim import AIM
from synthesizers.marginal.workload import (
    CELL_BYTES,
    COUNT_BYTES,
    affordable_cells,
    cells_within,
    most_cells,
    workload,
)

DELTA = 1e-6


def wide(n: int, levels: int = 50, n_public: int = 30_000, **privacy: Any) -> Schema:
    listed = {"categories": [f"l{i}" for i in range(levels)], "source": "public", "cite": "c"}
    fields = [{"name": f"c{i}", "type": "string", **listed} for i in range(n)]
    return parse_schema(
        {
            "name": "t",
            "fields": fields,
            "privacy": {"population": "p", "unit": "row", "adjacency": "add-or-remove",
                        "n_public": {"value": n_public, "cite": "c"}, "cap": {"epsilon": 1, "delta": 1e-6}, **privacy},
        }
    )  # fmt: skip


def test_cells_and_rounds_follow_the_budget() -> None:
    """More budget, finer cells; less budget, fewer rounds rather than cells of noise. Both stay within their bounds."""
    schema = wide(14)
    plans = {epsilon: AIM().plan(schema, Budget(epsilon=epsilon, delta=DELTA)) for epsilon in (0.03, 0.1, 1.0, 10.0)}
    cells = [plan.one_ways.n_cells for plan in plans.values()]
    rounds = [plan.n_rounds for plan in plans.values()]
    assert cells == sorted(cells)
    assert rounds == sorted(rounds)
    assert cells[0] == AIM().least_cells
    assert cells[-1] == AIM().most_cells
    assert rounds[0] < rounds[-1] == 28
    sizes = [plan.model_cells for plan in plans.values()]
    assert sizes[-1] == round(AIM().model_bytes / CELL_BYTES * (cells[-1] / 24) ** 2)


def test_affordable_cells_hold_what_they_should() -> None:
    cells = affordable_cells(26_000, 28.0, 1.6)
    assert 26_000 / cells**2 == pytest.approx(1.6 * 28)


@pytest.mark.parametrize("n", [20, 80, 250])
def test_counts_of_all_candidates_fit(n: int) -> None:
    schema = wide(n, levels=100)
    cliques = workload(schema, 2, 20)
    cells = cells_within(schema, cliques, 40)
    total = sum(most_cells(schema, clique, cells) for clique in cliques) * CELL_BYTES
    assert total <= COUNT_BYTES
    finer = sum(most_cells(schema, clique, cells + 1) for clique in cliques) * CELL_BYTES
    assert cells == 40 or finer > COUNT_BYTES


def test_a_workload_that_cannot_fit_is_refused_at_plan() -> None:
    asked = [{"columns": ["c0", "c1", "c2"]}]
    with pytest.raises(PlanError, match=r"'c0', 'c1', 'c2'.*does not fit.*its pairs instead"):
        AIM(model_bytes=8_000).plan(wide(5, workload=asked), Budget(epsilon=1.0, delta=DELTA))
    assert AIM().plan(wide(5, workload=asked), Budget(epsilon=1.0, delta=DELTA)).n_rounds >= 1


def test_too_many_candidates_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = wide(30)
    monkeypatch.setattr(sizes, "COUNT_BYTES", 100_000)
    with pytest.raises(PlanError, match="do not fit into memory"):
        cells_within(schema, workload(schema, 2, 20), 40)
