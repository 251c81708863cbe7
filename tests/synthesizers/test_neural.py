"""Neural generators: layout, targets, weights, teachers, plans; and where real rows do not come."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from bench.short import SHORT, short
from bench.transcript import RecordingFilter, ReplayingFilter
from privacy.columns import LevelColumn
from privacy.conditions import LevelsAllowed
from privacy.filter import PrivacyFilter
from privacy.noise import seeded_noise, system_noise
from privacy.schema import Budget, Schema
from privacy.schema_file import parse_schema
from privacy.table import Table
from privacy.transcript import Transcript
from synthesizers.errors import PlanError
from synthesizers.marginal.domain import Domain
from synthesizers.neural import fitting
from synthesizers.neural.cells import Cells
from synthesizers.neural.clipping import CriticGradients, by_unit
from synthesizers.neural.device import torch_device
from synthesizers.neural.dp_ctgan import DPCTGAN, DPCTGANPlan
from synthesizers.neural.grid import GRID
from synthesizers.neural.matching import Fakes, MarginalTargets, fit_tilt
from synthesizers.neural.model import NeuralModel
from synthesizers.neural.networks import LATENT, Critic, Generator
from synthesizers.neural.pate_gan import PATEGAN
from synthesizers.neural.student import Student
from synthesizers.neural.teachers import MOST, Teachers
from synthesizers.neural.warm_start import pairs_of, trusted
from synthesizers.registry import synthesizer
from synthesizers.structured import Structured, StructuredModel
from tests.privacy.test_transcript import InMemory
from tests.tables import MIXED_DOCUMENT, mixed_schema, people, population

CELLS = Cells(Domain({"a": 3, "b": 5, "c": 2}))
BUDGET = Budget(epsilon=1.0, delta=1e-6)


def quiet(_: str) -> None:
    """No progress."""


def test_cells_lie_side_by_side() -> None:
    assert CELLS.width == 10
    assert [CELLS.part(name) for name in "abc"] == [slice(0, 3), slice(3, 8), slice(8, 10)]
    codes = {"a": np.array([2, 0]), "b": np.array([4, 1]), "c": np.array([1, 0])}
    np.testing.assert_array_equal(CELLS.places(codes), [[2, 7, 9], [0, 4, 8]])
    rows = CELLS.one_hot(torch.from_numpy(CELLS.places(codes)))
    assert rows.sum().item() == 6
    assert rows[0, [2, 7, 9]].tolist() == [1, 1, 1]


def test_rows_are_drawn_by_their_probabilities() -> None:
    """40,000 draws of each column: within 5 standard errors, 1 in 10^6 for each of ten cells."""
    rng = torch.Generator().manual_seed(0)
    probabilities = CELLS.probabilities(torch.randn(1, 10, generator=rng)).expand(40_000, -1)
    share = CELLS.one_hot(CELLS.sample_places(probabilities, rng)).mean(0)
    expected = probabilities[0]
    assert ((share - expected).abs() <= 5 * (expected * (1 - expected) / 40_000).sqrt()).all()


def test_a_condition_is_always_met() -> None:
    rng = torch.Generator().manual_seed(0)
    fakes = Fakes(CELLS, torch.tensor([1.0, 0, 0, 0.2, 0.2, 0.2, 0.2, 0.2, 0.5, 0.5]), torch.ones(10))
    generator = Generator(10, 8, 1, rng)
    twin = torch.Generator().manual_seed(1)
    torch.randn(500, LATENT, generator=twin)  # what a generated row draws before its condition
    conditions = fakes.conditions(500, twin)
    assert (conditions.sum(1) == 1).all()
    assert not conditions[:, 1:3].any()  # of "a" only its first cell was ever measured
    probabilities = fakes.probabilities(generator, 500, torch.Generator().manual_seed(1))
    assert torch.allclose(torch.stack([p.sum(1) for p in probabilities.split(CELLS.sizes, 1)]), torch.ones(3, 500))
    assert (probabilities[conditions > 0] == 1.0).all()


def targets(pairs: Any, ones: Any, precision: float = 1e6) -> MarginalTargets:
    measured = torch.zeros(10, 10)
    measured[CELLS.block(("a", "b"))] = precision
    return MarginalTargets(CELLS, pairs, measured, ones, torch.full((10,), precision), ones)


def test_weights_bring_rows_to_what_was_measured() -> None:
    """Rows of independent columns, targets of dependent ones: the distance falls to a tenth, and below the noise."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, 5_000), rng.integers(0, 5, 5_000)
    c = rng.integers(0, 2, 5_000)
    rows = CELLS.one_hot(torch.from_numpy(CELLS.places({"a": a, "b": b, "c": c})))
    # In the target, b follows a half of the time.
    follow = np.where(rng.random(5_000) < 0.5, a, b)
    wanted = CELLS.one_hot(torch.from_numpy(CELLS.places({"a": a, "b": follow, "c": c})))
    goal = targets(wanted.T @ wanted / 5_000, wanted.mean(0), precision=1e4)
    before = float(goal.misfit_of(rows))
    weights = fit_tilt(goal, rows, 300).log_weights(rows).softmax(0)
    after = float(goal.misfit(rows.T @ (weights[:, None] * rows), weights @ rows))
    assert after <= 1.0 < before
    assert after < before / 10


def test_without_steps_all_rows_weigh_the_same() -> None:
    rows = CELLS.one_hot(torch.tensor([[0, 3, 8], [1, 4, 9]]))
    tilt = fit_tilt(targets(torch.zeros(10, 10), torch.ones(10)), rows, 0)
    assert tilt.log_weights(rows).tolist() == [0.0, 0.0]


def drawn(n: int, rng: np.random.Generator) -> Any:
    return CELLS.places({name: rng.integers(0, size, n) for name, size in CELLS.domain.sizes.items()})


@pytest.mark.parametrize("removed", [0, 17, 59])
def test_one_row_changes_one_vote_a_label(removed: int) -> None:
    """And no other teacher's, by rounding or otherwise: the others vote as they would without its whole shard."""
    rng = np.random.default_rng(0)
    places, shard = drawn(60, rng), rng.integers(0, 8, 60)
    fakes, asked = places[rng.integers(0, 60, 80)], places[rng.integers(0, 60, 30)]
    without = np.delete(np.arange(60), removed)
    others = shard != shard[removed]
    votes = [
        Teachers(CELLS.width, 8, places[rows], shard[rows]).votes(asked, fakes)
        for rows in (np.arange(60), without, others)
    ]
    for whole in votes[:2]:
        own = whole - votes[2]
        assert set(own.tolist()) <= {0, 1}
    assert votes[0].max() <= 8


def test_a_vote_is_the_sign_of_the_witness() -> None:
    """By the definition, in exact fractions, teacher by teacher."""
    rng = np.random.default_rng(1)
    places, shard = drawn(50, rng), rng.integers(0, 6, 50)
    fakes, asked = drawn(30, rng), drawn(20, rng)

    def similarity(row: Any, others: Any) -> Fraction:
        return Fraction(sum(4 ** int((row == other).sum()) for other in others), len(others))

    expected = [
        sum(similarity(row, places[shard == t]) >= similarity(row, fakes[t::6]) for t in range(6)) for row in asked
    ]
    assert Teachers(CELLS.width, 6, places, shard).votes(asked, fakes).tolist() == expected


def test_a_teacher_without_rows_calls_everything_generated() -> None:
    fakes = drawn(12, np.random.default_rng(0))
    teachers = Teachers(CELLS.width, 4, fakes[:0], np.zeros(0, dtype=np.int64))
    assert teachers.votes(fakes, fakes).tolist() == [0] * 12
    one = Teachers(CELLS.width, 4, fakes[:1], np.array([2]))
    assert one.votes(fakes, fakes).max() == 1


def test_teachers_see_what_single_columns_do_not_show() -> None:
    """Real rows hold the same cell twice, generated ones any two: every column alone looks alike."""
    cells = Cells(Domain({"a": 4, "b": 4, "c": 2}))
    rng = np.random.default_rng(0)
    same, c = rng.integers(0, 4, 400), rng.integers(0, 2, 400)
    real = cells.places({"a": same, "b": same, "c": c})
    fake = cells.places({"a": rng.permutation(same), "b": same, "c": c})
    teachers = Teachers(cells.width, 20, real, np.arange(400) % 20)
    votes = teachers.votes(np.concatenate([real[:50], fake[:50]]), fake)
    mixed = fake[:50, 0] != fake[:50, 1] - 4
    assert votes[:50].mean() > 15
    assert votes[50:][mixed].mean() < 8


@pytest.mark.parametrize("d", [1, 15, 16, 60])
def test_votes_of_wide_tables_do_not_overflow(d: int) -> None:
    """One teacher with every row equal to the row asked: the largest sums there are."""
    rows = np.zeros((1000, d), dtype=np.int64) + np.arange(d)
    teachers = Teachers(d, 1, rows, np.zeros(1000, dtype=np.int64))
    assert teachers.votes(rows[:3], rows).tolist() == [1, 1, 1]
    assert int(teachers._similarities(rows[:1], rows, np.zeros(1000, dtype=np.int64))[0, 0]) == 1000 * 4 ** min(d, MOST)


def test_a_muted_adversary_is_not_heard() -> None:
    assert trusted(0.0) == 1.0
    assert trusted(1.0) == 0.5
    assert trusted(100.0) < 1e-3


def test_pairs_are_chosen_from_public_facts() -> None:
    schema = mixed_schema()
    assert len(pairs_of(schema, 1_000)) == 12 * 11 // 2
    few = pairs_of(schema, 15)
    assert len(few) == 15
    assert sum("approved" in pair for pair in few) == 11
    asked = {**MIXED_DOCUMENT, "privacy": MIXED_DOCUMENT["privacy"] | {
        "workload": [{"columns": ["region", "sex"], "weight": 1}, {"columns": ["region", "age", "sex"], "weight": 1}]
    }}  # fmt: skip
    assert set(pairs_of(parse_schema(asked), 1_000)) == {("region", "sex"), ("region", "age"), ("sex", "age")}


def test_planning_imports_no_torch() -> None:
    """It takes seconds, and a plan is asked for interactively."""
    code = "import sys, synthesizers.registry as r; r.synthesizer('dp-ctgan'); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_plan_says_where_votes_are_starved() -> None:
    schema = mixed_schema()
    starved = PATEGAN().plan(schema, BUDGET)
    assert "aim" in starved.notes[0]
    assert starved.adversary < 0.01
    public = {**MIXED_DOCUMENT, "privacy": MIXED_DOCUMENT["privacy"] | {"n_public": {"value": 10**6, "cite": "c"}}}
    fed = replace(PATEGAN(), max_teachers=20_000).plan(parse_schema(public), Budget(epsilon=10.0, delta=1e-7))
    assert fed.notes == ()


def test_a_plan_says_what_the_critic_is_worth() -> None:
    (note,) = DPCTGAN().plan(mixed_schema(), Budget(epsilon=10.0, delta=1e-6)).notes
    assert "aim was nearer" in note


def test_a_gpu_is_asked_for_in_vain() -> None:
    with pytest.raises(PlanError, match="does not run on a GPU"):
        synthesizer("aim", "cuda")
    if not torch.cuda.is_available():
        with pytest.raises(PlanError, match="no CUDA device"):
            synthesizer("pate-gan", "cuda").plan(mixed_schema(), BUDGET)
    assert synthesizer("aim", "cpu").name == "aim"


def test_persons_are_counted_where_they_are_protected() -> None:
    plan = short(DPCTGAN()).plan(people(50, 1).schema, BUDGET)
    assert isinstance(plan, DPCTGANPlan)
    assert plan.count is not None
    assert any(line.purpose == "number of persons" for line in plan.lines)
    assert short(DPCTGAN()).plan(mixed_schema(), BUDGET).count is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["dp-ctgan", "pate-gan"])
def test_real_rows_reach_a_model_through_the_filter_alone(name: str) -> None:
    """Two tables with nothing in common, one set of answers: the same network to the last bit."""
    one, other = population(200, 1), population(300, 2)
    plan = SHORT[name].plan(one.schema, BUDGET)
    recorded = RecordingFilter(plan.cost, seeded_noise(1))
    replayed = ReplayingFilter(plan.cost, seeded_noise(2), recorded.transcript)
    models = [plan.fit(t, f, np.random.default_rng(3), quiet) for t, f in ((one, recorded), (other, replayed))]
    weights = []
    for model in models:
        assert isinstance(model, StructuredModel)
        assert isinstance(model.inner, NeuralModel)
        weights.append(model.inner.generator.state_dict())
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_a_student_that_sees_real_rows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault of two public implementations, put in: the same trace shows it."""
    made: list[Student] = []
    real = population(200, 1)

    def leaky(critic: Any, cells: Cells, rows: Any, shares: Any) -> Student:
        made.append(Student(critic, cells, rows, shares))
        return made[-1]

    learn = Student.learn

    def learn_from_real(self: Student, steps: int, rng: torch.Generator) -> None:
        self.hear(self.cells.places(private[-1]), np.full(len(private[-1]["sex"]), 20), 20)
        learn(self, steps, rng)

    private: list[dict[str, Any]] = []
    places = Cells.places

    def kept(self: Cells, codes: Any) -> Any:
        private.append(dict(codes))
        return places(self, codes)

    monkeypatch.setattr(fitting, "Student", leaky)
    monkeypatch.setattr(Student, "learn", learn_from_real)
    monkeypatch.setattr(Cells, "places", kept)
    generator = replace(short(PATEGAN()), signal=1e6)
    plan = Structured(generator).plan(real.schema, BUDGET)
    recorded = RecordingFilter(plan.cost, seeded_noise(1))
    models = [plan.fit(real, recorded, np.random.default_rng(3), quiet)]
    replayed = ReplayingFilter(plan.cost, seeded_noise(2), recorded.transcript)
    models.append(plan.fit(population(300, 2), replayed, np.random.default_rng(3), quiet))
    first, second = (m.inner.generator.state_dict() for m in models)  # type: ignore[attr-defined]
    assert any(not torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", ["dp-ctgan", "pate-gan"])
def test_a_narrowed_model_is_the_model_given_the_condition(name: str) -> None:
    """Shares of another column among 20,000 rows: narrowed, and thinned from plain draws. Beyond 5 standard errors."""
    table = population(2_000, 1)
    plan = SHORT[name].plan(table.schema, BUDGET)
    model = plan.fit(table, PrivacyFilter(plan.cost, seeded_noise(1)), np.random.default_rng(1), quiet)
    condition = LevelsAllowed(column="sex", levels=frozenset({"female"}), missing=False)
    narrower = model.narrowed((condition,))
    assert narrower is not None
    drawn = narrower.sample(20_000, np.random.default_rng(2))
    assert (drawn.codes("sex") == 0).all()
    plain = model.sample(60_000, np.random.default_rng(3))
    thinned = plain.select(plain.codes("sex") == 0)
    column = table.schema["region"]
    assert isinstance(column, LevelColumn)
    shares = [np.bincount(t.codes("region"), minlength=column.n_codes) / len(t) for t in (drawn, thinned)]
    assert np.abs(shares[0] - shares[1]).max() < 0.03


def test_nothing_can_meet_an_impossible_condition() -> None:
    table = population(500, 1)
    plan = SHORT["dp-ctgan"].plan(table.schema, BUDGET)
    model = plan.fit(table, PrivacyFilter(plan.cost, seeded_noise(1)), np.random.default_rng(1), quiet)
    nothing = LevelsAllowed(column="sex", levels=frozenset(), missing=False)
    assert model.narrowed((nothing,)) is None


def wide_schema() -> Schema:
    levels = [f"level {i}" for i in range(10_000)]
    fields = [
        {"name": "many", "type": "string", "categories": levels, "source": "public", "cite": "made up"},
        {"name": "one", "type": "string", "categories": ["x"], "source": "public", "cite": "made up"},
        {"name": "flag", "type": "boolean"},
    ]
    privacy = {"population": "p", "unit": "row", "adjacency": "add-or-remove", "n_public": "none"}
    return parse_schema({"name": "wide", "fields": fields, "privacy": privacy})


@pytest.mark.parametrize("name", ["dp-ctgan", "pate-gan"])
def test_ten_thousand_levels_and_a_constant(name: str) -> None:
    rng = np.random.default_rng(0)
    columns = {
        "many": rng.integers(0, 10_000, 400).astype(np.int32),
        "one": np.zeros(400, np.int32),
        "flag": rng.integers(0, 2, 400).astype(np.int32),
    }
    table = Table(wide_schema(), columns, {}, np.arange(400))
    plan = SHORT[name].plan(table.schema, BUDGET)
    model = plan.fit(table, PrivacyFilter(plan.cost, system_noise()), np.random.default_rng(0), quiet)
    assert len(model.sample(100, np.random.default_rng(0))) == 100


@pytest.mark.parametrize("name", ["dp-ctgan", "pate-gan"])
@pytest.mark.parametrize("n", [0, 1])
def test_a_table_of_next_to_nobody(name: str, n: int) -> None:
    """Samples and shards are empty nearly always: the same steps, the same shapes, the same price."""
    table = population(5, 1).select(np.arange(n))
    plan = SHORT[name].plan(table.schema, BUDGET)
    privacy = PrivacyFilter(plan.cost, system_noise())
    model = plan.fit(table, privacy, np.random.default_rng(0), quiet)
    assert privacy.spent.merged == plan.cost.merged
    assert len(model.sample(50, np.random.default_rng(0))) == 50


def test_a_device_is_one_of_those_there_are() -> None:
    for nonsense in ("gpu", "cuda:", "cuda:x", "cpu:0"):
        with pytest.raises(PlanError, match="device is none"):
            synthesizer("pate-gan", nonsense).plan(mixed_schema(), BUDGET)
    with pytest.raises(PlanError):
        synthesizer("dp-ctgan", "cuda:99").plan(mixed_schema(), BUDGET)
    with pytest.raises(PlanError, match="does not run on a GPU"):
        synthesizer("mst", "cuda:1")
    assert torch_device("cpu") == torch.device("cpu")
    assert torch_device("cuda:1") == torch.device("cuda", 1)


CUDA = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=CUDA), pytest.param("cuda:0", marks=CUDA)])
@pytest.mark.parametrize("name", ["dp-ctgan", "pate-gan"])
def test_a_gpu_fits_a_model_of_the_same_shape(name: str, device: str) -> None:
    """Stopped half way as well: its states go back to where they came from."""
    table, kept = population(500, 1), InMemory()
    generator = short(DPCTGAN() if name == "dp-ctgan" else PATEGAN())
    assert isinstance(generator, DPCTGAN | PATEGAN)
    plan = Structured(replace(generator, start=replace(generator.start, device=device))).plan(table.schema, BUDGET)
    model = plan.fit(table, PrivacyFilter(plan.cost, system_noise(), Transcript(kept)), np.random.default_rng(0), quiet)
    assert len(model.sample(100, np.random.default_rng(0))) == 100
    del kept.records[-3:]
    states = {name: state for name, state in kept.states.items() if name == "warm start"}
    again = InMemory(kept.records, states)
    model = plan.fit(
        table, PrivacyFilter(plan.cost, system_noise(), Transcript(again)), np.random.default_rng(0), quiet
    )
    assert len(model.sample(100, np.random.default_rng(0))) == 100


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=CUDA)])
def test_a_gpu_adds_the_same_whole_numbers(device: str) -> None:
    """Gradients differ in their last bits; every unit's vector is whole and no longer than allowed there too."""
    cells = CELLS.places({name: np.arange(40) % size for name, size in CELLS.domain.sizes.items()})
    rows = by_unit(cells, np.arange(40))
    sums = []
    for where in ("cpu", device):
        critic = Critic(CELLS.width, 4, torch.Generator().manual_seed(0)).to(where)
        gradients = CriticGradients(critic, CELLS)
        sums.append(gradients.sum_over(rows, np.ones(40, dtype=np.bool_), real=True))
        alone = [gradients.sum_over(rows, np.arange(40) == unit, real=True) for unit in range(40)]
        assert all(int((own**2).sum()) <= GRID**2 for own in alone)
        np.testing.assert_array_equal(sum(alone), sums[-1])
    np.testing.assert_allclose(sums[0], sums[1], atol=1e-3 * GRID)
