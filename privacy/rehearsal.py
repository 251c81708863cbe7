"""A fit that an audit repeats: the same filter at the same price, and no ledger, because nothing of it leaves.

An audit that asks what the generator would have made without somebody has to fit it again, to private rows. That is no
release: its findings are internal, and so it is charged to nobody. Whoever let a number of it out would owe the price
of the plan. The noise comes from a seed that need not be secret, so that the same seed gives the same findings; it says
that it is not secret, and the gate would refuse a statement made of it.
"""

from __future__ import annotations

from privacy.cost import PrivacyCost
from privacy.filter import PrivacyFilter
from privacy.noise import seeded_noise


def rehearsal(cost: PrivacyCost, seed: int) -> PrivacyFilter:
    """A filter for one repeated fit: it refuses what is beyond the plan's cost, as the ledger's would."""
    return PrivacyFilter(cost, seeded_noise(seed))
