"""The priced gate as something that can be certified like a generator: one part's answers, on worst-case neighbours.

A synthesizer in form alone. `plan` builds the questions of gate and card from a fixed synthetic table, `fit` asks them
of the rows it is given, through the filter. The unit in question has a synthetic row of its own, equal to it and unlike
all others, so that it moves a count of every question: what one unit can do to the answers at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, default_rng

from audits.bought.card import card_questions
from audits.bought.contrast import contrast_questions
from audits.bought.purchase import Bought, Purchase
from audits.bought.questions import UNITS as COUNTED
from audits.bought.questions import Questions
from audits.release.priced import NAME
from privacy.calibration import calibrate
from privacy.cost import Gaussian, PrivacyCost, once
from privacy.filter import PrivacyFilter
from privacy.schema import Budget, Schema
from privacy.schema_file import parse_schema
from privacy.statement import Line
from privacy.table import Table, make_table
from synthesizers.protocol import Progress

SYNTHETIC = 30
FAR = {"a": 1, "b": 1.0, "c": 1_000.0}
NEAR = {"a": 0, "b": 0.0, "c": 1.0}


def public_schema() -> Schema:
    """Three columns whose domains are public."""
    cite = {"source": "public", "cite": "made up"}
    return parse_schema(
        {
            "name": "tiny",
            "fields": [
                {"name": "a", "type": "string", "categories": ["x", "y"], **cite},
                {"name": "b", "type": "number", "constraints": {"minimum": 0, "maximum": 1}, **cite},
                {"name": "c", "type": "integer", "constraints": {"minimum": 0, "maximum": 1_000}, **cite},
            ],
            "privacy": {
                "population": "tiny",
                "unit": "row",
                "adjacency": "add-or-remove",
                "n_public": "none",
                "cap": {"epsilon": 10, "delta": 1e-2},
            },
        }
    )


def rows(n_near: int, n_far: int) -> Table:
    """Equal rows, and others unlike them in every column."""
    values = {name: np.repeat([NEAR[name], FAR[name]], [n_near, n_far]) for name in NEAR}
    return make_table(public_schema(), {**values, "a": values["a"].astype(np.int32)})


@dataclass(frozen=True, slots=True)
class PricedGate:
    """What a part of the units is asked by gate and card."""

    name: str = NAME

    def plan(self, schema: Schema, budget: Budget) -> PricedGatePlan:
        """Spend the whole budget on the answers."""
        del schema
        scale = calibrate(lambda s: once(Gaussian(s)), budget)
        synthetic = rows(SYNTHETIC - 1, 1)
        asked = list(contrast_questions(synthetic, default_rng(0)))
        asked += [e.asked for e in card_questions(synthetic, default_rng(0)) if e.asked.names != (COUNTED,)]
        return PricedGatePlan(Purchase(noise_multiplier=scale), asked)


@dataclass(frozen=True, slots=True)
class PricedGatePlan:
    """The purchase, and what is asked."""

    purchase: Purchase
    asked: Sequence[Questions]

    @property
    def lines(self) -> tuple[Line, ...]:
        """One line."""
        return (Line(purpose="answers", cost=self.cost),)

    @property
    def cost(self) -> PrivacyCost:
        """One Gaussian."""
        return self.purchase.cost

    def fit(self, train: Table, privacy: PrivacyFilter, rng: Generator, progress: Progress) -> Bought:
        """Ask."""
        del rng
        progress("asking")
        return self.purchase.buy(self.asked, train, privacy)
