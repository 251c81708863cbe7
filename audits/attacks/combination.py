"""All membership attacks together: what somebody who could learn how to weigh them would gain.

A logistic regression of membership on the scores of the nine attacks and on a target's isolation, and on products with
it, is fitted to four fifths of the targets and scores the rest, five times over. It learns from labels no attacker has,
so that it bounds from above what a fixed choice among these attacks reaches, and nothing of it may be published. No
single attack is the best on every table (Ward et al. 2025, "Synth-MIA").
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from scipy.stats import rankdata
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from audits.attacks.game import Mask, excesses_at_rates
from audits.attacks.membership import RATES
from audits.attacks.membership_scores import scored_targets
from audits.distance import features
from audits.estimates import auc_finding
from audits.evidence import Evidence
from audits.finding import Audience, Finding
from audits.search import others
from privacy.columns import Floats

FOLDS = 5
PENALTY = 0.1
"""Inverse: with weak attacks a weakly penalised fit learns the noise of its labels."""

MAX_ITERATIONS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackCombination:
    """How well the attacks on membership do when they are weighed by somebody who knows the answers for other people.

    Attributes:
        max_targets: units attacked at most, of both sides together.
    """

    max_targets: int = 20_000
    name: ClassVar[str] = "attack combination"
    title: ClassVar[str] = "Combined membership attacks"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """AUC, and the excess of true over false positives at fixed rates.

        Raises:
            InconclusiveError: fewer than 100 targets a side, 50 reference rows or 20 synthetic ones.
        """
        targets, scores = scored_targets(evidence, self.max_targets, rng)
        apart = others(features(targets.rows, evidence.schema), 5).mean(axis=1)
        combined = combine(np.stack([s.targets for s in scores.values()], axis=1), apart, targets.is_member, rng)
        return tuple(_findings(combined, targets.is_member, rng))


def combine(scores: Floats, apart: Floats, is_member: Mask, rng: Generator) -> Floats:
    """Log-odds of membership by models that did not learn from the target, shape (n,).

    Args:
        scores: of every attack, shape (n, attacks).
        apart: isolation of every target, shape (n,).
        is_member: which targets trained, shape (n,).
        rng: deals the folds.
    """
    ranks = np.stack([rankdata(column) for column in (*scores.T, apart)], axis=1) / len(scores) - 0.5
    matrix = np.concatenate([ranks, ranks[:, :-1] * ranks[:, -1:]], axis=1)
    fold = rng.permutation(np.arange(len(scores)) % FOLDS)
    out = np.zeros(len(scores))
    for part in range(FOLDS):
        model = LogisticRegression(C=PENALTY, max_iter=MAX_ITERATIONS, class_weight="balanced")
        with threadpool_limits(limits=1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(matrix[fold != part], is_member[fold != part])
            odds = model.decision_function(matrix[fold == part])
        # Intercepts differ from fold to fold by the chance of who is in which: ranks within a fold do not.
        out[fold == part] = rankdata(odds) / len(odds)
    return out


def _findings(combined: Floats, is_member: Mask, rng: Generator) -> Iterator[Finding]:
    """Thresholds are set on a random half of those who did not train, and the rates read on the other half."""
    members, outsiders = combined[is_member], combined[~is_member]
    yield auc_finding(
        audit=AttackCombination.name,
        quantity="AUC",
        subject="all attacks",
        members=members,
        outsiders=outsiders,
        audience=Audience.INTERNAL,
    )
    mixed = rng.permutation(outsiders)
    known, fresh = mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]
    yield from excesses_at_rates(AttackCombination.name, "all attacks", members, fresh, known, RATES)
