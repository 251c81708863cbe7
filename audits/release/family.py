"""All tests of one release as one family: Holm's procedure, so that a harmless table is seldom withheld.

Each blocking rule tests, of every finding it reads, that the truth is not beyond its `withhold_limit`. A table is
withheld as soon as one of these is rejected, and the probability that a table within all limits is withheld stays
within `LEVEL`, however many tests there are and whatever they share. Weights divide the level: a finding that is itself
a p-value has the share its rule names, the bound on epsilon from one run has `ONE_RUN_SHARE`, and the other tests
divide what is left. A count that is known, such as columns with formula cells, is no test and takes no share.

Sources: Holm 1979, "A simple sequentially rejective multiple test procedure", sections 3 and 5 (weights).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from audits.finding import Finding
from audits.release.policy import CheckRule

LEVEL = 0.05
"""Probability that a table within all limits is withheld, at most."""

ONE_RUN_SHARE = 0.01
"""Of it for the bound from one run, which holds at 99% and stands by itself."""

LEAST = 1e-12


def is_p_value(rule: CheckRule) -> bool:
    """Whether what a rule reads is a p-value, which is its own test; its limit is then its share of the level."""
    return rule.quantity.endswith("p-value")


def is_known(finding: Finding) -> bool:
    """Whether a finding is a count that is known and not estimated: beyond its limit or not, and no test."""
    return finding.strict.low == finding.strict.high


def p_beyond(finding: Finding, limit: float) -> float:
    """P-value that the truth is not beyond a limit, from the two favourable bounds of the finding.

    A bound is the point minus so many standard errors, nearly, so that the level at which it meets the limit is read
    off the two on the scale of normal quantiles. This is exact for normal bounds. For score bounds of differences of
    rates it is a third too large where a hundred hits stand against eight: on the safe side. Where both bounds are cut
    at the end of the range, the level of the strict one stands.
    """
    sign = 1 if finding.worse == "higher" else -1
    usual, strict = (b.low if sign > 0 else b.high for b in (finding.interval, finding.strict))
    margins = sign * (usual - limit), sign * (strict - limit)
    low, high = (NormalDist().inv_cdf(bound.confidence) for bound in (finding.interval, finding.strict))
    if margins[0] <= margins[1]:
        return float(1 - finding.strict.confidence) if margins[1] > 0 else 1.0
    z = low + margins[0] * (high - low) / (margins[0] - margins[1])
    return max(LEAST, math.erfc(z / math.sqrt(2)) / 2)


def rejected(p_values: Sequence[float], weights: Sequence[float], level: float) -> list[bool]:
    """Which hypotheses Holm's weighted procedure rejects, in the order given.

    Args:
        p_values: one a test.
        weights: positive, one a test; how they divide the level.
        level: probability of rejecting any true one, at most.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i] / weights[i])
    out, left = [False] * len(p_values), sum(weights)
    for i in order:
        if p_values[i] * left > level * weights[i]:
            break
        out[i], left = True, left - weights[i]
    return out
