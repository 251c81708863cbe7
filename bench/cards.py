"""What a reader of three public cards learns beyond the tables: python -m bench.cards [--rows N] [--tables N].

One private table is released three times, each time under coins of its own and with a bought card. An attacker holds
the three tables, the three cards and a sample of the population, and guesses who is in the private table. Without the
cards the guess rests on distances to the tables. With them it also weighs, for every count of every card, how much more
likely the count is if the target was one of the units counted (to first order, the noise and the sampling error of a
count being normal). Both attackers learn how to weigh their evidence from half of the targets and are judged on the
other half, both ways round. Small tables are attacked, and several of them: the fewer units a card counts, the more a
count tells of each.

The same attacker is given cards without noise, as an internal card would be. There the cards must help, or the study
could not have seen it.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from numpy.random import Generator, default_rng
from sklearn.linear_model import LogisticRegression

from api.pricing import Price, price
from audits.assignment import assign, design_for
from audits.bought.answers import Card, buy_card
from audits.bought.card import card_questions
from audits.bought.purchase import Bought
from audits.bought.questions import Questions, tally
from audits.distance import features
from audits.release.policy import load_policy
from audits.search import nearest
from bench.gate import real_rows
from privacy.columns import Floats
from privacy.filter import PrivacyFilter
from privacy.noise import NoiseSource, system_noise
from privacy.schema import Budget
from privacy.table import Table, make_table
from synthesizers.registry import synthesizer

BUDGET = Budget(epsilon=1.0, delta=1e-6)
FPR = 0.01
CARDS = 3
OTHERS = 12_000
"""Rows outside the private table: half are targets, half the attacker's sample."""

NEVER = 1e-3
"""Stands for a count of 0, which says that nobody like the target was counted."""

Labels = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Gain:
    """TPR at 1% FPR of both attackers on the same targets.

    Attributes:
        without, with_cards: rates.
        gain: their difference.
        upper: one-sided 95% bound on it, targets being paired.
        lower: the same on the other side.
    """

    without: float
    with_cards: float
    gain: float
    upper: float
    lower: float


@dataclass(frozen=True, slots=True)
class Study:
    """The gain from bought cards, and from the same cards without noise."""

    bought: Gain
    exact: Gain


@dataclass(frozen=True, slots=True)
class Attacked:
    """How sure each attacker is of every target of one private table, in quantiles of the outsiders' scores."""

    is_member: Labels
    without: Floats
    bought: Floats
    exact: Floats


def study(attacked: Sequence[Attacked]) -> Study:
    """The gains over the targets of all private tables together."""
    is_member, without, bought, exact = (
        np.concatenate([getattr(one, part) for one in attacked]) for part in ("is_member", "without", "bought", "exact")
    )
    return Study(bought=gain(without, bought, is_member), exact=gain(without, exact, is_member))


def attacks(private: Table, others: Table, n_targets: int, name: str, noise: NoiseSource, rng: Generator) -> Attacked:
    """Release a table three times and attack it.

    Args:
        private: the table that is released; targets that are members are drawn from it.
        others: rows of the same population that are not in it: half are targets, half the attacker's sample.
        n_targets: members attacked, at most all.
        name: of the synthesizer.
        noise: what coins and mechanisms draw from.
        rng: draws targets, tables and folds.
    """
    members = private.select(rng.choice(len(private), n_targets, replace=False))
    outsiders, sample = others.select(np.arange(0, len(others), 2)), others.select(np.arange(1, len(others), 2))
    targets = stacked_rows(members, outsiders)
    is_member = np.arange(len(targets)) < n_targets
    distances, bought, exact = [], [], []
    for _ in range(CARDS):
        made = price(
            lambda b: synthesizer(name).plan(private.schema, b), BUDGET, load_policy("public"), reweighted=False
        )
        synthetic, answers, counted = released(private, made, noise, rng)
        asked = [entry.asked for entry in answers.asked]
        distances.append(-nearest(features(targets, private.schema), features(synthetic, private.schema), 1)[:, 0])
        bought.append(evidence_of_card(asked, answers.answers, targets, sample))
        exact.append(evidence_of_card(asked, counted, targets, sample))
    tables = np.stack(distances, axis=1)
    return Attacked(
        is_member=is_member,
        without=guesses(tables, is_member, rng),
        bought=guesses(np.column_stack([tables, *bought]), is_member, rng),
        exact=guesses(np.column_stack([tables, *exact]), is_member, rng),
    )


def released(private: Table, made: Price, noise: NoiseSource, rng: Generator) -> tuple[Table, Card, Bought]:
    """One release: its table, its card, and the counts of the card as they were before the noise."""
    parts = assign(private, design_for(None), noise)
    train, control = made.filters(PrivacyFilter(made.cost, noise))
    model = made.generator.fit(parts.train, train, rng, lambda _: None)
    synthetic = model.sample(len(parts.train), rng)
    if made.card is None:
        raise ValueError("the policy buys no card")
    seed = int(rng.integers(2**31))
    card = buy_card(made.card, synthetic, parts.control, control, default_rng(seed))
    return synthetic, card, exactly([e.asked for e in card_questions(synthetic, default_rng(seed))], parts.control)


def exactly(asked: list[Questions], rows: Table) -> Bought:
    """The counts without noise: what an internal card has."""
    counts = tally(asked, rows).astype(np.float64)
    ends = np.cumsum([size for some in asked for size in some.sizes])[:-1]
    names = [name for some in asked for name in some.names]
    return Bought(
        dict(zip(names, np.split(counts, ends), strict=True)), stddev=0.0, l2_sensitivity=math.sqrt(len(names))
    )


def evidence_of_card(asked: list[Questions], card: Bought, targets: Table, sample: Table) -> Floats:
    """What a card says of each target: shape (targets, 2).

    First the log-likelihood ratio of all counts, in the private table against not, where a member is counted with the
    public probability of control; then that of the count which speaks most against being counted. The ratio of one
    count is Poisson's, count / expected, where there is no noise, and normal where there is.
    """
    every = np.zeros(len(targets))
    least = np.zeros(len(targets))
    for some in asked:
        cells, known = some.cells_of(targets), some.cells_of(sample)
        for j, (name, size) in enumerate(zip(some.names, some.sizes, strict=True)):
            inside = known[:, j][known[:, j] >= 0]
            # The attacker's idea of the population, a cell never seen counting for half a row.
            share = (np.bincount(inside, minlength=size) + 0.5) / (len(sample) + 0.5 * size)
            expected, counts = card.units * share, card.counts[name]
            if card.stddev > 0:
                variance = expected + card.stddev**2
                ratio = (counts - expected) / variance - 1 / (2 * variance)
            else:
                ratio = np.log(np.maximum(counts, NEVER) / expected)
            own = np.where(cells[:, j] >= 0, ratio[cells[:, j]], 0.0)
            every, least = every + own, np.minimum(least, own)
    counted = design_for(None).pool / 2
    return np.stack([np.log1p(counted * np.expm1(np.minimum(every, 30.0))), least], axis=1)


def guesses(evidence: Floats, is_member: Labels, rng: Generator) -> Floats:
    """How sure an attacker is of each target, having learned from the other half of them, shape (targets,)."""
    scaled = (evidence - evidence.mean(axis=0)) / np.maximum(evidence.std(axis=0), 1e-12)
    fold = rng.random(len(is_member)) < 0.5
    sure = np.empty(len(is_member))
    for half in (fold, ~fold):
        model = LogisticRegression(class_weight="balanced").fit(scaled[~half], is_member[~half])
        score = model.decision_function(scaled[half])
        # In units of the outsiders' quantiles, so that two models can share a threshold.
        sure[half] = np.searchsorted(np.sort(score[~is_member[half]]), score) / (~is_member[half]).sum()
    return sure


def gain(without: Floats, with_cards: Floats, is_member: Labels) -> Gain:
    """Rates at the threshold that 1% of outsiders pass, and bounds on their paired difference."""
    hits = [scores[is_member] > np.quantile(scores[~is_member], 1 - FPR) for scores in (without, with_cards)]
    difference = hits[1].astype(np.float64) - hits[0]
    point, error = float(difference.mean()), float(difference.std(ddof=1) / math.sqrt(len(difference)))
    return Gain(float(hits[0].mean()), float(hits[1].mean()), point, point + 1.645 * error, point - 1.645 * error)


def stacked_rows(first: Table, second: Table) -> Table:
    """The rows of both, members first."""
    columns = {name: np.concatenate([first.columns[name], second.columns[name]]) for name in first.columns}
    return make_table(first.schema, columns)


def main() -> None:
    """Run the study on a developer table and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", default="adult")
    parser.add_argument("--rows", type=int, default=1_000, help="of each private table; all of them are targets")
    parser.add_argument("--tables", type=int, default=2)
    parser.add_argument("--synthesizer", default="mst")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    whole = real_rows(asked.table)
    rng = default_rng([asked.seed, asked.rows])
    found = []
    for _ in range(asked.tables):
        order = rng.permutation(len(whole))
        private, others = whole.select(order[: asked.rows]), whole.select(order[asked.rows :][:OTHERS])
        found.append(attacks(private, others, asked.rows, asked.synthesizer, system_noise(), rng))
    print(json.dumps(asdict(study(found)), indent=2))


if __name__ == "__main__":
    main()
