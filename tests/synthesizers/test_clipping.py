"""What a critic learns from: every unit adds a vector of whole numbers of norm at most GRID, whatever its rows are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import functional_call, grad, vmap

from synthesizers.marginal.domain import Domain
from synthesizers.neural import clipping
from synthesizers.neural.cells import Cells
from synthesizers.neural.clipping import CriticGradients, UnitRows, by_unit, on_grid
from synthesizers.neural.grid import GRID
from synthesizers.neural.networks import Critic

CELLS = Cells(Domain({"a": 3, "b": 5, "c": 2}))


def rows_of(n: int, units: Any = None, seed: int = 0) -> UnitRows:
    rng = np.random.default_rng(seed)
    codes = {name: rng.integers(0, size, n) for name, size in CELLS.domain.sizes.items()}
    return by_unit(CELLS.places(codes), np.arange(n) if units is None else np.asarray(units))


def gradients(seed: int = 0) -> CriticGradients:
    return CriticGradients(Critic(CELLS.width, 4, torch.Generator().manual_seed(seed)), CELLS)


def everyone(rows: UnitRows) -> Any:
    return np.ones(len(rows.units), dtype=np.bool_)


@given(
    st.lists(
        st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=3, max_size=3),
        min_size=1, max_size=5,
    )
)  # fmt: skip
def test_no_row_of_the_grid_is_longer_than_allowed(values: list[list[float]]) -> None:
    """In exact integers, for any floats there are; what is not finite becomes nothing."""
    steps = on_grid(torch.tensor(values, dtype=torch.float32))
    for row, given_row in zip(steps.tolist(), values, strict=True):
        assert all(float(v).is_integer() for v in row)
        assert sum(int(v) ** 2 for v in row) <= GRID**2
        if not np.isfinite(given_row).all():
            assert row == [0.0, 0.0, 0.0]


def test_a_gradient_is_scaled_to_the_whole_norm() -> None:
    """Normalised, not only clipped: short gradients count as much as long ones."""
    steps = on_grid(torch.tensor([[3.0, 4.0], [3e-4, 4e-4], [3e8, 4e8]]))
    np.testing.assert_allclose(steps.norm(dim=1).numpy() / GRID, 1.0, rtol=1e-5)


def test_gradients_are_those_of_another_method() -> None:
    """Per row by torch.func, scaled in double precision, added up: within a step of the grid a row."""
    rows, own = rows_of(40), gradients()
    critic = Critic(CELLS.width, 4, torch.Generator().manual_seed(0))
    parameters = {name: p.detach() for name, p in critic.named_parameters()}

    def loss(weights: dict[str, torch.Tensor], row: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.softplus(-functional_call(critic, weights, (row[None],))[0])

    by_row = vmap(grad(loss), in_dims=(None, 0))(parameters, CELLS.one_hot(torch.from_numpy(rows.places)))
    flat = torch.cat([by_row[name].flatten(1) for name in parameters], 1).double()
    expected = (flat / flat.norm(dim=1, keepdim=True) * GRID).sum(0).numpy()
    np.testing.assert_allclose(own.sum_over(rows, everyone(rows), real=True), expected, atol=2 * 40 + 1e-5 * GRID)


def test_one_unit_adds_its_own_vector_and_changes_nothing_else() -> None:
    rows, own = rows_of(30), gradients()
    with_all = own.sum_over(rows, everyone(rows), real=True)
    for unit in (0, 13, 29):
        without, alone = everyone(rows), np.zeros(30, dtype=np.bool_)
        without[unit], alone[unit] = False, True
        added = own.sum_over(rows, alone, real=True)
        np.testing.assert_array_equal(with_all - own.sum_over(rows, without, real=True), added)
        assert 0 < int((added**2).sum()) <= GRID**2


def test_batching_and_order_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, own = rows_of(50), gradients()
    whole = own.sum_over(rows, everyone(rows), real=True)
    shuffled = np.random.default_rng(1).permutation(50)
    again = by_unit(rows.places[shuffled], rows.units[shuffled])
    np.testing.assert_array_equal(own.sum_over(again, everyone(again), real=True), whole)
    monkeypatch.setattr(clipping, "PHYSICAL_ROWS", 7)
    np.testing.assert_array_equal(own.sum_over(rows, everyone(rows), real=True), whole)
    monkeypatch.setattr(clipping, "PHYSICAL_BYTES", 1)
    assert own.rows_at_a_time == 1
    np.testing.assert_array_equal(own.sum_over(rows, everyone(rows), real=True), whole)


def test_a_person_counts_once_however_many_rows() -> None:
    rows, own = rows_of(20, [0] * 12 + [1] * 7 + [2]), gradients()
    for unit in range(3):
        added = own.sum_over(rows, np.arange(3) == unit, real=True)
        assert int((added**2).sum()) <= GRID**2
    parts = [own.sum_over(rows, np.arange(3) == unit, real=True) for unit in range(3)]
    np.testing.assert_array_equal(own.sum_over(rows, everyone(rows), real=True), sum(parts))


def test_an_empty_sample_has_a_sum_of_the_same_shape() -> None:
    rows, own = rows_of(10), gradients()
    nothing = own.sum_over(rows, ~everyone(rows), real=True)
    assert nothing.shape == own.sum_over(rows, everyone(rows), real=True).shape
    assert not nothing.any()
    empty = rows_of(0)
    assert not own.sum_over(empty, everyone(empty), real=True).any()


def test_a_critic_that_broke_publishes_no_more_than_noise() -> None:
    """NaN weights give NaN gradients: every unit then adds nothing, in the same shape."""
    own = gradients()
    with torch.no_grad():
        own._critic.first.weight.fill_(float("nan"))
    rows = rows_of(10)
    assert not own.sum_over(rows, everyone(rows), real=True).any()


def test_one_gradient_that_is_not_finite_leaves_the_others_alone() -> None:
    honest = torch.tensor([[3.0, 4.0, 0.0], [1.0, 0.0, 0.0]])
    for broken in (float("nan"), float("inf"), -float("inf")):
        steps = on_grid(torch.cat([honest, torch.tensor([[1.0, broken, 0.0]])]))
        assert torch.equal(steps[:2], on_grid(honest))
        assert not steps[2].any()


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_gradients_of_half_precision_are_no_longer(precision: torch.dtype) -> None:
    """Nothing here offers it; that the norm is checked in whole numbers holds whatever precision gradients came in."""
    rng = torch.Generator().manual_seed(0)
    gradients = (torch.randn(200, 4_000, generator=rng) * 10 ** torch.randn(200, 1, generator=rng)).to(precision)
    for row in on_grid(gradients.float()).tolist():
        assert 0.99 * GRID**2 < sum(int(v) ** 2 for v in row) <= GRID**2


def test_both_kinds_of_rows_pull_in_opposite_directions() -> None:
    rows, own = rows_of(10), gradients()
    real, generated = (own.sum_over(rows, everyone(rows), real=kind) for kind in (True, False))
    assert float(real @ generated) < 0


def test_a_gradient_is_handed_to_the_optimizer_parameter_by_parameter() -> None:
    own = gradients()
    vector = torch.arange(own.n_parameters, dtype=torch.float32)
    own.apply(vector)
    handed = torch.cat([p.grad.flatten() for p in own._critic.parameters() if p.grad is not None])
    assert torch.equal(handed, vector)
