"""Membership inference: how well does someone who sees the released table tell who trained?

Targets are the audit pool, whose membership is a fair secret coin: rows that trained against rows held back. The
attacker knows the released table and, beside it, a reference sample of the population, which is never scored. Every
attack is a score by distance in public units; nothing is trained on labels. An average hides people, so each attack is
also read on the most isolated tenth of the targets and in every sensitive group. A rate at a low false-positive rate is
pooled over records and is no bound on epsilon: it is never converted into one.

The false-positive rate is set on the reference sample, each row of which leaves itself out when it is compared with the
reference, and is only nearly the one achieved on control rows; what leaks is therefore their difference, "TPR excess".

Sources: GAN-Leaks (Chen et al. 2020) for calibration by a reference; DOMIAS (van Breugel et al. 2023) for the density
ratio, here by nearest neighbours, since a kernel density is singular on one-hot columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from audits.attacks.copies import one_row_per_unit
from audits.distance import Features, features, join, nearest, others
from audits.errors import InconclusiveError
from audits.estimates import auc_finding, excess_finding, rate_finding
from audits.evidence import Evidence
from audits.finding import Audience, Finding
from audits.intervals import detectable_difference, tpr_at_fpr
from privacy.columns import Floats
from privacy.table import Table

MIN_TARGETS = 100
MIN_REFERENCE = 50
MIN_TAIL = 20
MIN_GROUP = 250
"""Targets a side below which there is no answer: for the audit, the outlier decile and a sensitive group; and the
smallest reference sample that can set a threshold."""

NEIGHBOURS = 20
"""Most neighbours a density is estimated from."""

FLOOR = 1e-3
"""Added to a distance before its logarithm, in units of a public range: twins are near, not infinitely near."""

OUTLIERS = 0.1
FPR = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipInference:
    """How much better than chance an attacker tells rows that trained from rows that did not.

    Attributes:
        max_targets: targets a side; a random sample of more.
    """

    max_targets: int = 10_000
    name: ClassVar[str] = "membership inference"
    title: ClassVar[str] = "Membership inference"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Attack one row per protected unit.

        Raises:
            InconclusiveError: fewer than 100 targets a side, 50 reference rows or 20 synthetic ones.
        """
        members = self._targets(evidence.train.select(evidence.pooled), rng)
        outsiders = self._targets(evidence.control, rng)
        reference = evidence.reference.select(one_row_per_unit(evidence.reference, rng))
        if min(len(members), len(outsiders)) < MIN_TARGETS:
            raise InconclusiveError(f"fewer than {MIN_TARGETS} targets that trained, or that did not")
        if len(reference) < MIN_REFERENCE:
            raise InconclusiveError(f"the reference sample has fewer than {MIN_REFERENCE} units")
        if len(evidence.synthetic) < NEIGHBOURS:
            raise InconclusiveError(f"the synthetic table has fewer than {NEIGHBOURS} rows")
        rows = [features(table, evidence.schema) for table in (members, outsiders, reference, evidence.synthetic)]
        targets, known, released = join(rows[0], rows[1]), rows[2], rows[3]
        on_targets = _scores(
            nearest(targets, released, NEIGHBOURS), nearest(targets, known, NEIGHBOURS), released, known
        )
        on_reference = _scores(nearest(known, released, NEIGHBOURS), others(known, NEIGHBOURS), released, known)
        is_member = np.arange(len(targets)) < len(members)
        tiers = {"outlier decile": (_outliers(targets), MIN_TAIL), **_groups(members, outsiders)}
        findings: list[Finding] = []
        for attack, score in on_targets.items():
            findings += _overall(attack, score[is_member], score[~is_member], on_reference[attack])
            findings += _by_tier(attack, score, is_member, tiers)
        return tuple(findings)

    def _targets(self, table: Table, rng: Generator) -> Table:
        rows = one_row_per_unit(table, rng)
        if len(rows) > self.max_targets:
            rows = np.sort(rng.choice(rows, self.max_targets, replace=False))
        return table.select(rows)


Tiers = Mapping[str, tuple[npt.NDArray[np.bool_], int]]


def _scores(to_synthetic: Floats, to_reference: Floats, released: Features, known: Features) -> dict[str, Floats]:
    """Scores of every attack, shape (n,); higher means "was trained on".

    The density ratio averages log distances over k neighbours a side, with k in proportion to the rows a side has, so
    that both densities are read at one scale and what is left is not the difference in size.

    Args:
        to_synthetic: distances to the nearest synthetic rows, ascending, shape (n, 20).
        to_reference: distances to the nearest reference rows, oneself left out, ascending, shape (n, 20).
        released: the synthetic rows.
        known: the reference rows.
    """
    near, far = np.log(to_synthetic + FLOOR), np.log(to_reference + FLOOR)
    ratio = len(released) / len(known)
    k_near, k_far = (max(1, min(NEIGHBOURS, round(NEIGHBOURS * r))) for r in (ratio, 1 / ratio))
    return {
        "nearest neighbour": -to_synthetic[:, 0],
        "fifth nearest neighbour": -to_synthetic[:, 4],
        "calibrated": far[:, 0] - near[:, 0],
        "density ratio": far[:, :k_far].mean(axis=1) - near[:, :k_near].mean(axis=1),
    }


def _overall(attack: str, members: Floats, outsiders: Floats, reference: Floats) -> Iterator[Finding]:
    """AUC, and what the threshold of the reference sample catches."""
    hits, false_alarms = tpr_at_fpr(members, outsiders, reference, FPR)
    n, h = len(members), len(outsiders)
    yield _auc(attack, members, outsiders)
    for quantity, count, total in ((f"TPR at {FPR:.0%} FPR", hits, n), (f"achieved FPR at {FPR:.0%}", false_alarms, h)):
        yield rate_finding(
            audit=MembershipInference.name,
            quantity=quantity,
            subject=attack,
            hits=count,
            n=total,
            baseline=FPR,
            detectable=detectable_difference(FPR, n, h),
            audience=Audience.INTERNAL,
        )
    yield excess_finding(
        audit=MembershipInference.name,
        quantity=f"TPR excess at {FPR:.0%} FPR",
        subject=attack,
        hits=hits,
        n=n,
        other_hits=false_alarms,
        other_n=h,
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


def _groups(members: Table, outsiders: Table) -> dict[str, tuple[npt.NDArray[np.bool_], int]]:
    """Masks of the targets in every level of every sensitive column."""
    groups = {}
    for column in members.schema.sensitive:
        codes = np.concatenate([members.codes(column.name), outsiders.codes(column.name)])
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
