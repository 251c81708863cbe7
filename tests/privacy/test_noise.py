"""The exact sampler: laws, cells, refinement, sources."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterable
from fractions import Fraction

import mpmath
import numpy as np
import numpy.typing as npt
import opendp.prelude as dp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from privacy import enclosure
from privacy import noise as exact
from privacy.noise import NoiseSource, seeded_noise, system_noise
from tests.statistical import fits, matches

TOP = 2**64 - 1
EXTREME = [0, 1, 2, 3, 2**31, 2**62, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 2**30, TOP - 2, TOP - 1, TOP]


def scripted(words: Iterable[int], seed: int = 0) -> NoiseSource:
    """A source that gives these words first, then seeded ones."""
    script = b"".join(w.to_bytes(8, "little") for w in words)
    rest = np.random.default_rng(seed)
    position = 0

    def read(n: int) -> bytes:
        nonlocal position
        first = script[position : position + n]
        position += len(first)
        return first + rest.bytes(n - len(first))

    return NoiseSource(read, is_secret=False)


def spread_words(n: int, seed: int, bits: int = 64) -> npt.NDArray[np.uint64]:
    """Words spread over all magnitudes at both ends, and uniform ones; shape (n,)."""
    rng = np.random.default_rng(seed)
    uniform = rng.integers(0, 2**bits, n, dtype=np.uint64)
    small = uniform >> rng.integers(0, bits, n).astype(np.uint64)
    kind = rng.integers(0, 3, n)
    top = np.uint64(2**bits - 1)
    chosen: npt.NDArray[np.uint64] = np.where(kind == 0, uniform, np.where(kind == 1, small, top - small))
    return chosen


# --- laws -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stddev", [0.3, 3.0, 1000.0, 6.0 * 2**20])
def test_rounded_gaussian_has_the_declared_scale(stddev: float) -> None:
    """Fails by chance < 1e-9; misses a 10% error in scale < 1e-11 (n = 200,000, DKW; CDFs are then .02 apart)."""
    draws = system_noise().rounded_gaussian(stddev, (200_000,))

    def law(scale: float) -> Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
        return lambda x: stats.norm.cdf(np.floor(x) + 0.5, scale=scale)

    assert fits(draws, law(stddev))
    assert not fits(draws, law(1.1 * stddev))
    assert not fits(draws, law(0.9 * stddev))


def test_rounded_gaussian_cells_have_their_probabilities() -> None:
    """Fails by chance < 1e-9; misses the discrete Gaussian of the same stddev 0.5 < 1e-12 (n = 400,000).

    At stddev 0.5, round(Z) is 0 with probability .683, the discrete Gaussian with .787: 140 standard errors apart.
    """
    draws = system_noise().rounded_gaussian(0.5, (400_000,))
    support = np.arange(-2, 3)
    counts = np.array([np.count_nonzero(draws == k) for k in support])
    counts = np.append(counts, len(draws) - counts.sum())

    def completed(masses: list[float]) -> list[float]:
        return [*masses, 1 - math.fsum(masses)]

    rounded = [float(mpmath.ncdf(2 * (k + 0.5)) - mpmath.ncdf(2 * (k - 0.5))) for k in support]
    weights = [math.exp(-2.0 * k * k) for k in range(-40, 41)]
    discrete = [math.exp(-2.0 * k * k) / math.fsum(weights) for k in support]
    assert matches(counts, completed(rounded))
    assert not matches(counts, completed(discrete))


def test_rounded_gaussian_is_near_opendps_discrete_one_at_larger_scales() -> None:
    """Fails by chance < 1e-9 each; misses a 20% error in scale < 1e-20 (n = 40,000; CDFs are then .044 apart).

    At stddev 8 the two laws are the same to 1e-3 in variance, which no test at this size can see: OpenDP's sampler,
    written by others, has to pass the test ours passes.
    """
    n, stddev = 40_000, 8.0

    def law(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return stats.norm.cdf(np.floor(x) + 0.5, scale=stddev)

    assert fits(system_noise().rounded_gaussian(stddev, (n,)), law)
    assert fits(opendp_draws(dp.m.then_gaussian, dp.l2_distance(T=float), stddev, n), law)
    assert not fits(opendp_draws(dp.m.then_gaussian, dp.l2_distance(T=float), 1.2 * stddev, n), law)


@pytest.mark.parametrize("scale", [0.4, 3.0, 500.0])
def test_discrete_laplace_has_the_declared_scale(scale: float) -> None:
    """Fails by chance < 1e-9; misses a 10% error in scale < 1e-20 (n = 400,000; CDFs are .015 apart, margin .0052)."""
    draws = system_noise().discrete_laplace(scale, (400_000,))
    assert fits(draws, stats.dlaplace(1 / scale).cdf)
    assert not fits(draws, stats.dlaplace(1 / (1.1 * scale)).cdf)
    assert not fits(draws, stats.dlaplace(1 / (0.9 * scale)).cdf)


def test_discrete_laplace_has_the_law_of_opendps() -> None:
    """Fails by chance < 1e-9 each; misses a 20% error in scale < 1e-9 (n = 60,000; CDFs are then .03 apart)."""
    n, scale = 60_000, 2.5
    theirs = opendp_draws(dp.m.then_laplace, dp.l1_distance(T=int), scale, n)
    ours = system_noise().discrete_laplace(scale, (n,))
    for draws in (ours, theirs):
        assert fits(draws, stats.dlaplace(1 / scale).cdf)
        assert not fits(draws, stats.dlaplace(1 / (1.2 * scale)).cdf)


def opendp_draws(mechanism: Callable[..., object], metric: object, scale: float, n: int) -> npt.NDArray[np.int64]:
    """Noise alone from OpenDP's integer sampler."""
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T=int)), metric
    return np.array((space >> mechanism(scale=scale))([0] * n))  # type: ignore[operator]


def test_select_follows_the_softmax_of_its_scores() -> None:
    """Fails by chance < 1e-9; misses a rate wrong by half < 1e-20 (n = 20,000; a mass moves 20 std. errors)."""
    scores, rate, n = np.array([0, 3, -2, 3, 1], dtype=np.int64), 0.5, 20_000
    source = system_noise()
    counts = np.bincount([source.select(scores, rate) for _ in range(n)], minlength=5)

    def softmax(at: float) -> npt.NDArray[np.float64]:
        weights = np.exp(at * (scores - scores.max()))
        return weights / weights.sum()

    assert matches(counts, softmax(rate))
    assert not matches(counts, softmax(1.5 * rate))
    assert not matches(counts, softmax(0.5 * rate))


def test_selection_decided_bit_by_bit_follows_the_softmax_too() -> None:
    """The refining path alone. Fails by chance < 1e-9; misses uniform choice < 1e-9 (n = 1,000; .731 against .5)."""
    source = seeded_noise(5)
    gaps, both = np.array([0, 1], dtype=np.uint64), np.array([0, 1])
    chosen = [source._select_exactly(both, source.words(2), gaps, Fraction(1)) for _ in range(1_000)]
    counts = np.bincount(chosen, minlength=2)
    assert matches(counts, [math.e / (1 + math.e), 1 / (1 + math.e)])
    assert not matches(counts, [0.5, 0.5])


def test_select_among_many_ties_is_uniform() -> None:
    """Fails by chance < 1e-9; misses a choice among half of them < 1e-9 (n = 3,000 of 1,000 ties, DKW distance .5)."""
    source = system_noise()
    scores = np.full(1_000, 2**40, dtype=np.int64)
    chosen = [source.select(scores, 5.0) for _ in range(3_000)]
    assert fits(chosen, stats.randint(0, 1_000).cdf)
    assert not fits(chosen, stats.randint(0, 500).cdf)


def test_select_takes_huge_gaps_and_any_int64() -> None:
    """The second candidate has probability below exp(-1e9)."""
    source = system_noise()
    ends = np.iinfo(np.int64)
    assert source.select(np.array([-(2**40), 2**40, 0]), 1.0) == 1
    assert source.select(np.array([ends.min, ends.max]), 2.0**64) == 1
    assert source.select(np.array([7]), 0.0) == 0


def test_select_at_the_largest_size_is_quick_and_in_range() -> None:
    scores = np.arange(100_000, dtype=np.int64) % 7
    assert 0 <= system_noise().select(scores, 0.1) < 100_000


def test_categories_have_their_probabilities() -> None:
    """Fails by chance < 1e-9; misses .02 moved from one to another < 1e-12 (n = 200,000: 25 standard errors)."""
    draws = system_noise().categories((0.05, 0.15, 0.15, 0.65), 200_000)
    counts = np.bincount(draws, minlength=4)
    assert matches(counts, (0.05, 0.15, 0.15, 0.65))
    assert not matches(counts, (0.05, 0.17, 0.13, 0.65))


def test_categories_split_at_exact_thresholds() -> None:
    """P(category 0) is floor(p * 2^64) / 2^64, p being the float's exact value."""
    threshold = math.floor(Fraction(0.1) * 2**64)
    source = scripted([threshold - 1, threshold, 0, TOP])
    assert source.categories((0.1, 0.9), 4).tolist() == [0, 1, 0, 1]
    assert scripted([TOP, 0]).categories((1.0, 0.0), 2).tolist() == [0, 0]
    assert scripted([TOP, 0]).categories((0.0, 1.0), 2).tolist() == [1, 1]
    assert scripted([TOP, 0]).categories((1.0,), 2).tolist() == [0, 0]


# --- cells and refinement --------------------------------------------------------------------------------------------


def test_normal_bounds_hold_and_leave_a_wide_margin() -> None:
    """At 20,000 words over all magnitudes the library is within 1/50 of the bound that is assumed of it."""
    words = np.concatenate([spread_words(20_000, 1, 63), np.array([w for w in EXTREME if 0 < w < 2**63], np.uint64)])
    start, _ = exact._cell_ends(words)
    start = start[start > 0]
    values = -exact.ndtri(start)
    with mpmath.workdps(40):
        root_two = mpmath.sqrt(2)
        for p, value in zip(start.tolist(), values.tolist(), strict=True):
            tail = mpmath.erfc(mpmath.mpf(value) / root_two) / 2
            error = (tail - mpmath.mpf(p)) / mpmath.npdf(value)  # one Newton step: exact to the error squared
            assert abs(error) <= (exact.RELATIVE * abs(value) + exact.ABSOLUTE) / 50


@pytest.mark.parametrize("law", ["exponential", "gumbel"])
def test_logarithm_bounds_hold_and_leave_a_wide_margin(law: str) -> None:
    """At 20,000 words over all magnitudes, whole cells lie inside; and the library is within 1/50 of its bound."""
    words = np.concatenate([spread_words(20_000, 2), np.array(EXTREME, np.uint64)])
    bounds = exact._exponential_bounds if law == "exponential" else exact._gumbel_bounds
    low, high = bounds(words)
    _, ends = exact._cell_ends(words)
    ends = ends[ends < 1]
    computed = -np.log1p(-ends)
    with mpmath.workdps(60):
        for word, below, above in zip(words.tolist(), low.tolist(), high.tolist(), strict=True):
            first, last = (-mpmath.log(1 - mpmath.mpf(word + i) / 2**64) for i in (0, 1))
            if law == "gumbel":
                first, last = (mpmath.inf if e == 0 else -mpmath.log(e) for e in (last, first))
            assert below <= first
            assert last <= above
        for end, value in zip(ends.tolist(), computed.tolist(), strict=True):
            truth = -mpmath.log1p(-mpmath.mpf(end)) if law == "exponential" else -mpmath.log(mpmath.mpf(value))
            float_value = value if law == "exponential" else float(-np.log(value))
            assert abs(truth - float_value) <= (exact.RELATIVE * abs(truth) + exact.ABSOLUTE) / 50


@given(st.integers(0, TOP))
def test_doubles_enclose_the_cell(word: int) -> None:
    """What conversion rounds away is given back at both ends."""
    start, end = exact._cell_ends(np.array([word], dtype=np.uint64))
    assert Fraction(start[0]) <= Fraction(word, 2**64)
    assert Fraction(end[0]) >= min(Fraction(word + 1, 2**64), Fraction(1))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([64, 128, 192]), st.data())
def test_normal_enclosure_contains_both_ends_of_the_cell(bits: int, data: st.DataObject) -> None:
    """The CDF at the enclosure's ends, by mpmath's own erfc, brackets the cell; and the enclosure is tight."""
    cell = data.draw(st.integers(2 ** (bits - 20), 2 ** (bits - 1) - 1))
    low, high = enclosure.normal_enclosure(cell, bits)
    assert isinstance(low, Fraction)
    assert isinstance(high, Fraction)
    assert 0 < high - low < Fraction(2**24, 2**bits)
    with mpmath.workprec(3 * bits):
        tails = [mpmath.erfc(mpmath.mpf(z.numerator) / z.denominator / mpmath.sqrt(2)) / 2 for z in (low, high)]
        assert tails[0] >= mpmath.mpf(cell + 1) / 2**bits
        assert tails[1] <= mpmath.mpf(cell) / 2**bits


@given(st.floats(0, 12))
def test_upper_tail_encloses_the_truth(t: float) -> None:
    """To the last bit of 192, where the truth has 400; the enclosure is never a single number."""
    low, high = enclosure._ends(enclosure._upper_tail(Fraction(t), enclosure._context(64)))
    with mpmath.workprec(400):
        truth = mpmath.erfc(mpmath.mpf(t) / mpmath.sqrt(2)) / 2
        assert mpmath.mpf(low.numerator) / low.denominator <= truth <= mpmath.mpf(high.numerator) / high.denominator
    assert high - low < Fraction(1, 2**176)


@pytest.mark.parametrize("stddev", [3.0, 6.0 * 2**20, 2.0**38])
def test_fast_and_slow_path_agree_with_multiprecision(stddev: float) -> None:
    """2,400 draws over all magnitudes: what the fast path accepts, mpmath's erfc confirms at both ends of the cell.

    At 2^38 a good part is refined, and is confirmed against the cell with the bits that were appended.
    """
    words = spread_words(800, int(stddev) % 1000, 64)
    kept = np.array([w for w in words.tolist() if 2**20 < w >> 1 < 2**63 - 1], dtype=np.uint64)
    draws = scripted(kept.tolist()).rounded_gaussian(stddev, kept.shape)
    assert np.array_equal(np.sign(draws)[draws != 0], np.where(kept & np.uint64(1), 1, -1)[draws != 0])
    with mpmath.workdps(60):
        for word, magnitude in zip(kept.tolist(), np.abs(draws).tolist(), strict=True):
            cell = word >> 1
            # P(|Z| > magnitude + 1/2) <= U / 2 <= P(|Z| > magnitude - 1/2), up to what appended bits can move U.
            above, below = (
                mpmath.erfc((magnitude + side) / mpmath.mpf(stddev) / mpmath.sqrt(2)) / 2 for side in (0.5, -0.5)
            )
            assert above < mpmath.mpf(cell + 1) / 2**64
            assert below > mpmath.mpf(cell) / 2**64 or magnitude == 0


@pytest.mark.parametrize("magnitude", [0, 1, 5, 17])
@pytest.mark.parametrize("appended", [0, TOP])
def test_a_cell_across_a_rounding_boundary_waits_for_more_bits(magnitude: int, appended: int) -> None:
    """The cell that holds P(|Z| > m + 1/2): its far end (small tail) rounds up, its near end down."""
    stddev = 3.0
    with mpmath.workdps(60):
        boundary = mpmath.erfc((magnitude + mpmath.mpf(0.5)) / stddev / mpmath.sqrt(2)) / 2
        word = int(mpmath.floor(boundary * 2**64))
    expected = magnitude if appended == TOP else magnitude + 1
    source = scripted([2 * word + 1, appended, 42])
    assert source.rounded_gaussian(stddev, (1,)).tolist() == [expected]
    assert source.words(1).tolist() == [42], "one word was appended, and no more"


@pytest.mark.parametrize("appended", [0, TOP])
def test_a_geometric_across_its_boundary_waits_for_more_bits(appended: int) -> None:
    """The cell that holds 1 - exp(-4 / 3), where floor(3 E) goes from 3 to 4."""
    with mpmath.workdps(60):
        word = int(mpmath.floor(-mpmath.expm1(-mpmath.mpf(4) / 3) * 2**64))
    expected = 3 if appended == 0 else 4
    assert scripted([word, 0, appended]).discrete_laplace(3.0, (1,)).tolist() == [expected]


@pytest.mark.parametrize("word", EXTREME)
def test_extreme_words_give_finite_right_draws(word: int) -> None:
    """|Z| / stddev of a 63-bit cell's refinement: at most 13.1 = -Phi^-1(2^-128), unless a second word is 0, too."""
    (gaussian,) = scripted([word, 1]).rounded_gaussian(10.0, (1,)).tolist()
    cell = word >> 1
    with mpmath.workdps(60):
        far = 131 if cell == 0 else -10 * mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(cell) / 2**64 - 1)
        near = -10 * mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(cell + 1) / 2**64 - 1)
        assert near - 0.5 <= abs(gaussian) <= far + 0.5
        assert gaussian == 0 or (gaussian > 0) == bool(word & 1)
        (laplace,) = scripted([word, 0, 1]).discrete_laplace(10.0, (1,)).tolist()
        longest = 890 if word == TOP else -10 * mpmath.log(1 - mpmath.mpf(word + 1) / 2**64)
        assert math.floor(-10 * mpmath.log(1 - mpmath.mpf(word) / 2**64)) <= laplace <= longest


@pytest.mark.parametrize("words", [(0, 0), (0, TOP), (TOP, 0), (TOP, TOP), (TOP - 1, TOP), (2**63, 2**63), (1, 0)])
def test_extreme_words_select_the_smaller_uniform(words: tuple[int, int]) -> None:
    """With equal scores the smallest uniform wins; equal cells are told apart by the appended words."""
    scores = np.zeros(2, dtype=np.int64)
    assert scripted([*words, 5, 9]).select(scores, 1.0) == (1 if words[1] < words[0] else 0)
    if words[0] == words[1]:
        assert scripted([*words, 9, 5]).select(scores, 1.0) == 1


@pytest.mark.parametrize(("appended", "expected"), [((TOP, 0), 1), ((0, TOP), 0)])
def test_overlapping_keys_wait_for_more_bits(appended: tuple[int, int], expected: int) -> None:
    """One score behind, index 0 wins if its uniform is e times smaller; cells [1, 2] and [5, 6] leave it open."""
    assert scripted([1, 5, *appended]).select(np.array([0, 1]), 1.0) == expected


def test_large_scales_are_drawn_exactly_too() -> None:
    """Fails by chance < 1e-9; misses a scale twice as large < 1e-11 (n = 2,000, DKW; almost every draw is refined)."""
    draws = seeded_noise(3).rounded_gaussian(2.0**49, (2_000,))
    assert fits(draws, stats.norm(scale=2.0**49).cdf)
    assert not fits(draws, stats.norm(scale=2.0**50).cdf)
    assert np.unique(draws & 1).tolist() == [0, 1]


# --- sources ---------------------------------------------------------------------------------------------------------


def every_draw(source: NoiseSource) -> list[list[int]]:
    return [
        source.words(4).tolist(),
        source.rounded_gaussian(100.0, (2, 3)).ravel().tolist(),
        source.discrete_laplace(100.0, (5,)).tolist(),
        [source.select(np.zeros(10**6, dtype=np.int64), 1.0)],
        source.categories((0.5, 0.5), 64).tolist(),
    ]


def test_seeded_sources_repeat_and_say_that_they_are_not_secret() -> None:
    assert every_draw(seeded_noise(7)) == every_draw(seeded_noise(7))
    assert all(a != b for a, b in zip(every_draw(seeded_noise(7)), every_draw(seeded_noise(8)), strict=True))
    assert not seeded_noise(7).is_secret


def test_system_sources_differ_and_are_secret() -> None:
    """Equal by chance with probability below 2^-250."""
    first, second = system_noise(), system_noise()
    assert first.words(4).tolist() != second.words(4).tolist()
    assert first.words(4).tolist() != first.words(4).tolist()
    assert first.is_secret


def test_a_forked_child_draws_other_words() -> None:
    """Equal by chance with probability 2^-256. In a process of its own: pytest's may have threads."""
    program = """
import os
from privacy.noise import system_noise
source = system_noise()
source.words(1)
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    os.write(writing, source.words(4).tobytes())
    os._exit(0)
os.waitpid(child, 0)
raise SystemExit(0 if os.read(reading, 33) not in (b"", source.words(4).tobytes()) else 1)
"""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", program], timeout=60).returncode == 0


def test_drawing_leaves_global_randomness_alone() -> None:
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    every_draw(system_noise())
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0), (2, 3, 4)])
def test_draws_have_the_shape_asked(shape: tuple[int, ...]) -> None:
    source = seeded_noise(0)
    for draws in (source.rounded_gaussian(2.0, shape), source.discrete_laplace(2.0, shape)):
        assert draws.shape == shape
        assert draws.dtype == np.int64
    assert source.categories((0.5, 0.5), math.prod(shape)).dtype == np.int64
    assert source.words(math.prod(shape)).dtype == np.uint64


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, 2.0**50])
def test_scales_out_of_range_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="stddev"):
        seeded_noise(0).rounded_gaussian(bad, (1,))
    with pytest.raises(ValueError, match="scale"):
        seeded_noise(0).discrete_laplace(bad, (1,))


@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf, 2.0**65])
def test_rates_out_of_range_are_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        seeded_noise(0).select(np.array([1, 2]), rate)


def test_scores_that_are_no_integer_vector_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        seeded_noise(0).select(np.array([], dtype=np.int64), 1.0)
    with pytest.raises(ValueError, match="vector"):
        seeded_noise(0).select(np.zeros((2, 2), dtype=np.int64), 1.0)
    with pytest.raises(TypeError, match="integers"):
        seeded_noise(0).select(np.array([0.5]), 1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [(), (0.5, 0.4), (1.5, -0.5), (math.nan, 1.0), (math.inf,)])
def test_probabilities_that_are_none_are_refused(bad: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        seeded_noise(0).categories(bad, 1)


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        seeded_noise(0).words(-1)
    with pytest.raises(ValueError, match="at least 0"):
        seeded_noise(0).categories((1.0,), -1)


def test_a_broken_source_is_noticed() -> None:
    """Too few bytes; or the same bytes for ever, which decide neither an extreme cell nor a tie."""
    with pytest.raises(RuntimeError, match="fewer bytes"):
        NoiseSource(lambda n: bytes(n // 2), is_secret=False).words(2)
    stuck = NoiseSource(lambda n: bytes(n), is_secret=False)
    with pytest.raises(RuntimeError, match="repeats itself"):
        stuck.rounded_gaussian(1.0, (1,))
    with pytest.raises(RuntimeError, match="repeats itself"):
        stuck.select(np.zeros(2, dtype=np.int64), 1.0)
    with pytest.raises(RuntimeError, match="repeats itself"):
        NoiseSource(lambda n: b"\xff" * n, is_secret=False).discrete_laplace(1.0, (1,))
