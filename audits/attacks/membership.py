"""Membership inference: how well does someone who sees the released table tell who trained?

Targets are the audit pool, whose membership is a fair secret coin: rows that trained against rows held back. The
attacker knows the released table and, beside it, a reference sample of the population, which is not scored here; the
attacks are those of `audits.attacks.membership_scores`. An average hides people, so each attack is also read on the
most isolated tenth of the targets and in every sensitive group. A rate at a low false-positive rate is pooled over
records and is no bound on epsilon: it is never converted into one. The bound of `audits.attacks.one_run` is one.

The false-positive rate is set on the reference sample, each row of which leaves itself out when it is compared with the
reference, and is only nearly the one achieved on control rows; what leaks is therefore their difference, "TPR excess".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import floor, inf
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from audits.attacks.game import Mask, Targets, excesses_at_rates
from audits.attacks.membership_scores import scored_targets
from audits.attacks.one_run import best_guesses, epsilon_bound, reach
from audits.distance import Features, features
from audits.estimates import auc_finding, rate_finding
from audits.evidence import Evidence
from audits.finding import Audience, Finding, Interval
from audits.intervals import USUAL, detectable_difference, tpr_at_fpr
from audits.search import others
from privacy.columns import Floats

MIN_TAIL = 20
MIN_GROUP = 250
"""Targets a side below which there is no answer for the outlier decile and for a sensitive group."""

OUTLIERS = 0.1
PROOF = 0.99
"""Confidence at which the bound from one run refutes a claim: with probability m times delta anything may be known of
some unit, so that no much larger one can be had of a pool of thousands."""

RATES = (0.1, 0.01, 0.001)
"""False-positive rates; one that is less than a row of the reference sample is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipInference:
    """How much better than chance an attacker tells rows that trained from rows that did not.

    Attributes:
        max_targets: units attacked at most, of both sides together.
    """

    max_targets: int = 20_000
    name: ClassVar[str] = "membership inference"
    title: ClassVar[str] = "Membership inference"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Attack one row per protected unit.

        Raises:
            InconclusiveError: fewer than 100 targets a side, 50 reference rows or 20 synthetic ones.
        """
        targets, scores = scored_targets(evidence, self.max_targets, rng)
        is_member = targets.is_member
        tiers = {"outlier decile": (_outliers(features(targets.rows, evidence.schema)), MIN_TAIL), **_groups(targets)}
        findings: list[Finding] = []
        for attack, score in scores.items():
            findings += _overall(attack, score.targets[is_member], score.targets[~is_member], score.reference)
            findings += _by_tier(attack, score.targets, is_member, tiers)
        if evidence.claimed_delta is not None:
            on_coins = {attack: score.targets[targets.is_coin] for attack, score in scores.items()}
            findings += _one_run(on_coins, is_member[targets.is_coin], evidence.claimed_delta)
        return tuple(findings)


Tiers = Mapping[str, tuple[npt.NDArray[np.bool_], int]]


def _overall(attack: str, members: Floats, outsiders: Floats, reference: Floats) -> Iterator[Finding]:
    """AUC, and what the thresholds of the reference sample catch."""
    yield _auc(attack, members, outsiders)
    for rate in RATES:
        if floor(rate * len(reference)) >= 1:
            yield from _at_rate(attack, rate, members, outsiders, reference)


def _at_rate(attack: str, rate: float, members: Floats, outsiders: Floats, reference: Floats) -> Iterator[Finding]:
    hits, false_alarms = tpr_at_fpr(members, outsiders, reference, rate)
    n, h, at = len(members), len(outsiders), f"{100 * rate:g}%"
    for quantity, count, total in (
        (f"TPR at {at} FPR", hits, n),
        (f"achieved FPR at {at}", false_alarms, h),
    ):
        yield rate_finding(
            audit=MembershipInference.name,
            quantity=quantity,
            subject=attack,
            hits=count,
            n=total,
            baseline=rate,
            detectable=detectable_difference(rate, n, h),
            audience=Audience.INTERNAL,
        )
    yield from excesses_at_rates(MembershipInference.name, attack, members, outsiders, reference, (rate,))


def _one_run(scores: Mapping[str, Floats], is_member: Mask, delta: float) -> Iterator[Finding]:
    """The bound on this release's own epsilon, beside the largest these guesses could have proven."""
    best = best_guesses(scores, is_member)
    m = len(is_member)
    usual, strict = (epsilon_bound(best, len(scores), m, delta, confidence) for confidence in (USUAL, PROOF))
    most = reach(tuple(best), len(scores), m, delta, USUAL)
    yield Finding(
        audit=MembershipInference.name,
        quantity="epsilon, lower bound from one run",
        subject="",
        estimate=usual,
        interval=Interval(usual, inf, USUAL),
        strict=Interval(strict, inf, PROOF),
        baseline=0.0,
        worse="higher",
        n=m,
        detectable=most,
        audience=Audience.INTERNAL,
    )


def _by_tier(attack: str, score: Floats, is_member: npt.NDArray[np.bool_], tiers: Tiers) -> Iterator[Finding]:
    """The AUC among the targets of every tier that has enough of them on both sides."""
    for tier, (inside, least) in tiers.items():
        members, outsiders = score[inside & is_member], score[inside & ~is_member]
        if min(len(members), len(outsiders)) >= least:
            yield _auc(f"{attack}, {tier}", members, outsiders)


def _outliers(targets: Features) -> npt.NDArray[np.bool_]:
    """The tenth of the targets farthest from the other targets; membership plays no part in it."""
    apart = others(targets, 5).mean(axis=1)
    far: npt.NDArray[np.bool_] = apart >= np.quantile(apart, 1 - OUTLIERS)
    return far


def _groups(targets: Targets) -> dict[str, tuple[npt.NDArray[np.bool_], int]]:
    """Masks of the targets in every level of every sensitive column."""
    groups = {}
    for column in targets.rows.schema.sensitive:
        codes = targets.rows.codes(column.name)
        for code, level in enumerate(column.declared):
            groups[f"{column.name}={level}"] = codes == code, MIN_GROUP
    return groups


def _auc(subject: str, members: Floats, outsiders: Floats) -> Finding:
    return auc_finding(
        audit=MembershipInference.name,
        quantity="AUC",
        subject=subject,
        members=members,
        outsiders=outsiders,
        audience=Audience.INTERNAL,
    )
