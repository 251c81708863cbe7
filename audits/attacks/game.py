"""The game every attack plays: units that trained against units held back by a fair coin.

Membership of a pool unit is a secret fair coin (`audits.assignment`), so that if nothing leaks an attack succeeds on
both sides alike, whatever the population is like. What leaks is the excess of its success on units that trained. One
random row stands for each unit: rows of one person are no independent witnesses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import floor

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from audits.errors import InconclusiveError
from audits.estimates import excess_finding, rate_finding
from audits.evidence import Evidence
from audits.finding import Audience, Finding
from audits.intervals import detectable_difference, tpr_at_fpr
from audits.rows import joined, one_row_per_unit
from privacy.columns import Floats
from privacy.table import Table

MIN_TARGETS = 100
"""Targets a side below which no attack has an answer."""

POOL_SHARE = 0.6
"""Of the targets at most: units whose membership was a fair coin."""

MAX_RATIO = 3
"""Members for each outsider at most: a fourth narrows an interval by 3% more."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Whom an attack is tried on, one row a unit, members first.

    Attributes:
        rows: the targets, n of them.
        is_member: which of them trained, shape (n,).
        is_coin: which of them are in the audit pool, so that they trained or not by a fair coin, shape (n,).
    """

    rows: Table
    is_member: Mask
    is_coin: Mask

    @property
    def members(self) -> Table:
        """The targets that trained."""
        return self.rows.select(self.is_member)

    @property
    def outsiders(self) -> Table:
        """The targets that were held back."""
        return self.rows.select(~self.is_member)


def targets_of(evidence: Evidence, max_targets: int, rng: Generator) -> Targets:
    """Units of the audit pool, and further units that trained: these narrow the intervals and are as exchangeable.

    A larger pool is sampled as one, without a look at who trained, so that every membership stays a fair coin of its
    own, as the bound from one run needs.

    Args:
        evidence: what is asked about.
        max_targets: units of both sides together.
        rng: picks the row that stands for a unit, and the sample.

    Raises:
        InconclusiveError: fewer than 100 units on a side.
    """
    train, control = evidence.train, evidence.control
    trained, held_back = one_row_per_unit(train, rng), one_row_per_unit(control, rng)
    pooled = evidence.pooled[trained]
    coins = np.concatenate([np.flatnonzero(pooled), np.full(len(held_back), -1)])
    place = np.concatenate([np.arange(pooled.sum()), np.arange(len(held_back))])
    most = round(POOL_SHARE * max_targets)
    if len(coins) > most:
        kept = np.sort(rng.choice(len(coins), most, replace=False))
        coins, place = coins[kept], place[kept]
    inside, outside = coins[coins >= 0], place[coins < 0]
    others = np.flatnonzero(~pooled)
    n_more = max(0, min(len(others), MAX_RATIO * len(outside) - len(inside), max_targets - len(coins)))
    more = np.sort(rng.choice(others, n_more, replace=False))
    members = train.select(trained[np.concatenate([inside, more])])
    outsiders = control.select(held_back[outside])
    if min(len(members), len(outsiders)) < MIN_TARGETS:
        raise InconclusiveError(f"fewer than {MIN_TARGETS} targets that trained, or that did not")
    n = len(members) + len(outsiders)
    is_member = np.arange(n) < len(members)
    return Targets(
        rows=joined(members, outsiders),
        is_member=is_member,
        is_coin=~is_member | (np.arange(n) < len(inside)),
    )


def success_findings(
    *, audit: str, of: str, subject: str, hits: Mask, is_member: Mask, baseline: float
) -> Iterator[Finding]:
    """What the success of an attack says: its rate on members, on outsiders, and the excess, which a policy reads.

    Args:
        audit: name of the audit.
        of: what success is, as in "success rate of linking".
        subject: the attack or the secret.
        hits: whether the attack succeeded on each target, shape (n,).
        is_member: whether each target trained, shape (n,).
        baseline: success of the same attack by somebody who knows a sample of the population and no synthetic row.
    """
    n, n_other = int(is_member.sum()), int((~is_member).sum())
    inside, outside = int((hits & is_member).sum()), int((hits & ~is_member).sum())
    rates = (
        (f"success rate of {of}", inside, n, outside / n_other),
        (f"control rate of {of}", outside, n_other, baseline),
    )
    for quantity, count, total, reference in rates:
        yield rate_finding(
            audit=audit,
            quantity=quantity,
            subject=subject,
            hits=count,
            n=total,
            baseline=reference,
            detectable=detectable_difference(outside / n_other, n, n_other),
            audience=Audience.INTERNAL,
        )
    yield excess_finding(
        audit=audit,
        quantity=f"excess of {of}",
        subject=subject,
        hits=inside,
        n=n,
        other_hits=outside,
        other_n=n_other,
        audience=Audience.INTERNAL,
    )


def excesses_at_rates(
    audit: str, subject: str, members: Floats, outsiders: Floats, known: Floats, rates: tuple[float, ...]
) -> Iterator[Finding]:
    """How much more often than outsiders members are caught at thresholds set on others who did not train.

    Args:
        audit: whose findings they are.
        subject: the attack.
        members: scores of targets that trained.
        outsiders: scores of targets that were held back.
        known: scores of others like these, which set the thresholds.
        rates: false-positive rates; one that is less than a row of `known` is left out.
    """
    for rate in rates:
        if floor(rate * len(known)) >= 1:
            hits, false_alarms = tpr_at_fpr(members, outsiders, known, rate)
            yield excess_finding(
                audit=audit,
                quantity=f"TPR excess at {100 * rate:g}% FPR",
                subject=subject,
                hits=hits,
                n=len(members),
                other_hits=false_alarms,
                other_n=len(outsiders),
                audience=Audience.INTERNAL,
            )
