"""What histograms cost, from public facts alone: known, and charged, before a release or a row is looked at."""

from __future__ import annotations

from dataclasses import dataclass

from audits.drift.histograms import PanelPurchase
from privacy.accounting import Claim
from privacy.calibration import calibrate, check_budget, claim_for
from privacy.cost import Gaussian, once
from privacy.errors import RequestError
from privacy.ledger import Charge, Ledger
from privacy.schema import Budget, Schema

TOLERANCE, FALSE_ALARMS = 0.02, 0.05


@dataclass(frozen=True, slots=True)
class PanelPrice:
    """What histograms cost, whatever they are of: known before a release is looked at.

    Attributes:
        schema: of the table.
        budget: in total.
        purchase: how they are bought.
    """

    schema: Schema
    budget: Budget
    purchase: PanelPurchase

    @property
    def claim(self) -> Claim:
        """What is promised of them."""
        return claim_for(self.budget, self.purchase.cost)

    def charge(self, ledger: Ledger, request: str, purpose: str) -> Charge:
        """Charge them to the population.

        Args:
            ledger: whose.
            request: the caller's id; the same one takes up a charge that was never opened.
            purpose: what they are for, as the ledger shows it.

        Raises:
            BudgetExceededError: the ledger refuses.
        """
        population = self.schema.population
        return ledger.charge(
            population=population,
            cap=ledger.cap(population) or self.schema.require_releasable(),
            cost=self.purchase.cost,
            claim=self.claim,
            request=request,
            purpose=purpose,
            schema_digest=self.schema.digest,
        )


def against(release: str) -> str:
    """The purpose of a comparison with a release of that digest."""
    return f"monitor: histograms of a new version, against release {release[:12]}"


def priced(schema: Schema, epsilon: float, delta: float) -> PanelPrice:
    """The price of histograms, from public facts. Raises a ReleaseError for a budget that is none."""
    budget = check_budget(epsilon, delta, schema.n_public.value)
    return PanelPrice(
        schema, budget, PanelPurchase(noise_multiplier=calibrate(lambda scale: once(Gaussian(scale)), budget))
    )


def check_rates(tolerance: float, false_alarms: float) -> None:
    """Raises RequestError where one is none."""
    if not (0 <= tolerance < 1 and 0 < false_alarms < 1):
        raise RequestError(
            "The tolerance is not in [0, 1), or the rate of false alarms not between 0 and 1.",
            why="One is a total variation distance, the other a probability.",
            fix=f"Leave them out, for {TOLERANCE:g} and {FALSE_ALARMS:g}.",
        )
