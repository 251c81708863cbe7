"""Shadow models and combined attacks: the ratio against its own law, the game as told, and calm where nothing leaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtr

from audits.attacks.combination import combine
from audits.attacks.shadow import ShadowModels, Statistics, likelihood_ratio
from audits.errors import InconclusiveError
from audits.evidence import Evidence, Run
from audits.finding import Finding
from audits.intervals import auc
from privacy.columns import Floats
from privacy.table import Table
from tests.controls import contaminated, evidence, fresh_draw, fresh_draw_of, memoriser
from tests.tables import people


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _find(findings: tuple[Finding, ...], subject: str) -> Finding:
    return next(f for f in findings if f.subject == subject)


def _trials(
    effect: float, seed: int, runs: int = 64, n: int = 100
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Correlated normal statistics that membership moves by `effect` standard deviations in one direction."""
    rng = _rng(seed)
    inside = np.stack([rng.permutation(n) < n // 2 for _ in range(runs + 20)])
    mixing = np.array([[1.0, 0.6], [0.0, 0.8]])
    centres = rng.normal(size=(n, 2)) * 5
    seen = rng.normal(size=(runs + 20, n, 2)) @ mixing + centres
    seen[..., 0] += effect * inside
    return seen[:runs], inside[:runs], seen[runs:], inside[runs:]


def test_the_ratio_reaches_the_best_possible_auc() -> None:
    """Of two normal laws a Mahalanobis distance d apart no test has an AUC above Phi(d / sqrt 2).

    On 2,000 fresh trials it is within .03 of that (standard error .011; learnt effects cost .01), and with no effect
    within .04 of one half: false alarm < 1e-3, fixed seeds. One that forgets each target's own centre is at one half.
    """
    for effect in (0.0, 1.0):
        seen, inside, asked, truth = _trials(effect, 1)
        covariance = np.array([[1.0, 0.6], [0.0, 0.8]]).T @ np.array([[1.0, 0.6], [0.0, 0.8]])
        best = float(ndtr(effect * np.sqrt(np.linalg.inv(covariance)[0, 0]) / np.sqrt(2)))
        scores = np.stack([likelihood_ratio(seen, inside, one) for one in asked])
        assert auc(scores[truth], scores[~truth])[0] == pytest.approx(best, abs=0.04)


def test_refits_are_to_half_of_the_targets_and_to_everybody_else() -> None:
    given = evidence(fresh_draw, n=3_000)
    asked: list[Run] = []

    def watched(runs: Sequence[Run], look: Callable[[Table], Floats]) -> Iterator[Floats]:
        asked.extend(runs)
        assert given.refit is not None
        return given.refit(runs, look)

    ShadowModels(targets=50, runs=10).run(replace(given, refit=watched), _rng())
    assert len(asked) == 10
    changed = np.zeros(len(given.train), bool)
    taken = np.zeros(len(given.control), bool)
    for run in asked:
        assert (~run.train).sum() + run.control.sum() > 0
        changed |= ~run.train
        taken |= run.control
    assert not changed[~given.pooled].any()
    assert 45 <= changed.sum() + taken.sum() <= 50
    for run in asked:
        assert run.train[changed].sum() + run.control[taken].sum() == pytest.approx(25, abs=3)


def test_persons_go_with_all_their_rows() -> None:
    given = evidence(fresh_draw_of(people), n=1_200, sampler=people)

    def checked(runs: Sequence[Run], look: Callable[[Table], Floats]) -> Iterator[Floats]:
        for run in runs:
            kept, whole = (np.bincount(given.train.units[m], minlength=1_200) for m in (run.train, slice(None)))
            assert ((kept == 0) | (kept == whole)).all()
        assert given.refit is not None
        return given.refit(runs, look)

    assert ShadowModels(targets=40, runs=8).run(replace(given, refit=checked), _rng())


def test_a_leak_that_one_table_hides_is_seen_over_runs() -> None:
    """One synthetic row in five copied: told by runs with a lower 99.99% bound above one half (fixed seed)."""
    given = evidence(contaminated(0.2, memoriser), n=3_000)
    found = ShadowModels(targets=100, runs=24).run(given, _rng())
    over = _find(found, "over refitted models")
    assert over.strict.low > 0.5
    assert _find(found, "this release").n == 100
    assert _find(found, "most exposed unit").interval.low <= _find(found, "most exposed unit").estimate


def test_nothing_is_found_where_nothing_leaks() -> None:
    """Over 6 seeds, 99.99% bounds contain one half: false alarm < 1e-3."""
    for seed in range(6):
        found = ShadowModels(targets=60, runs=12).run(evidence(fresh_draw, n=1_800, seed=seed), _rng(seed))
        for one in found:
            assert one.strict.low <= one.baseline


def test_without_a_generator_there_is_no_answer() -> None:
    given = replace(evidence(fresh_draw, n=1_500), refit=None)
    with pytest.raises(InconclusiveError, match="no generator"):
        ShadowModels().run(given, _rng())


def test_counts_are_those_of_the_rows_that_agree() -> None:
    given: Evidence = evidence(fresh_draw, n=1_500)
    rows = given.control.select(np.arange(5))
    statistics = Statistics(rows, (("sex",), ("sex", "region")), 1)
    found = statistics.of(given.synthetic)
    for i in range(5):
        same = given.synthetic.codes("sex") == rows.codes("sex")[i]
        both = same & (given.synthetic.codes("region") == rows.codes("region")[i])
        assert found[i, 2] == pytest.approx(np.log(same.sum() + 0.5))
        assert found[i, 3] == pytest.approx(np.log(both.sum() + 0.5))


def test_a_combination_beats_its_parts_and_never_its_own_noise() -> None:
    """Nine independent scores of AUC .53 each combine to .58 or more; nine of noise stay within .02 of one half.

    Standard error .006 with 4,000 a side: false alarm and miss < 1e-3, fixed seeds.
    """
    rng = _rng(3)
    member = np.arange(8_000) < 4_000
    weak = rng.normal(size=(8_000, 9)) + 0.11 * member[:, None]
    noise = rng.normal(size=(8_000, 9))
    apart = rng.random(8_000)
    for scores, low, high in ((weak, 0.57, 0.65), (noise, 0.48, 0.52)):
        combined = combine(scores, apart, member, rng)
        assert low < auc(combined[member], combined[~member])[0] < high
