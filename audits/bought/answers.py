"""Everything a release bought of its real rows for card and gate, and what may be said from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.random import Generator

from audits.bought.card import CardQuestion, card_findings, card_questions
from audits.bought.contrast import AUDIT, Sides, contrast_findings, contrast_questions
from audits.bought.purchase import Bought, Purchase
from audits.finding import Finding, Outcome
from privacy.filter import PrivacyFilter
from privacy.table import Table

MAX_TRAINED = 100_000
"""Training units a priced gate looks at, on average and where a row count is public; each by its own coin."""


@dataclass(frozen=True, slots=True)
class Card:
    """What was asked for the card, and the answers. Public."""

    asked: Sequence[CardQuestion]
    answers: Bought

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Its figures."""
        return card_findings(self.asked, self.answers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What was bought. Public; None where nothing was."""

    card: Card | None
    gate: Sides | None

    def gate_outcome(self) -> Outcome:
        """The contrast as the outcome of an audit: what the policy of a priced gate reads.

        Raises:
            ValueError: no gate was bought.
        """
        if self.gate is None:
            raise ValueError("the gate of this release is not priced")
        findings = contrast_findings(self.gate)
        return Outcome(audit=AUDIT, findings=findings, inconclusive="", error="", seconds=0.0)


def buy_card(purchase: Purchase, synthetic: Table, control: Table, privacy: PrivacyFilter, rng: Generator) -> Card:
    """Ask control units, coded by the synthetic table's schema, through their filter."""
    asked = card_questions(synthetic, rng)
    return Card(asked, purchase.buy([entry.asked for entry in asked], control, privacy))


def buy_gate(
    purchases: tuple[Purchase, Purchase],
    synthetic: Table,
    parts: tuple[Table, Table],
    filters: tuple[PrivacyFilter, PrivacyFilter],
    rng: Generator,
    *,
    n_public: int | None,
) -> Sides:
    """Put the same questions to training and to control units, each through its own filter.

    Args:
        purchases: what is paid for on training units, and on control units.
        synthetic: the table that may leave.
        parts: rows of both, coded by its schema.
        filters: of both.
        rng: samples a long table.
        n_public: public row count; of more units than `MAX_TRAINED` in training, coins choose who takes part.
    """
    asked = contrast_questions(synthetic, rng)
    share = 1.0 if n_public is None else min(1.0, MAX_TRAINED / n_public)
    return Sides(
        train=purchases[0].buy(asked, parts[0], filters[0], share=share),
        control=purchases[1].buy(asked, parts[1], filters[1]),
    )
