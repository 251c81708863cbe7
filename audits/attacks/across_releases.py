"""Across releases: what does this table tell together with the earlier released ones of its population?

Whoever holds several tables made from the same people can subtract. The attacker here holds this table, every earlier
one and a sample of the population, and is asked about this release alone: who trained for it? Its coins are its own,
thrown anew after the earlier tables were made, so these are outside knowledge that cannot know the answer: whatever
they add is a leak of this table, and every test is as exact as with one table. They are used in three ways:

* in place of a sample of the population: the attacks of `audits.attacks.membership_scores` that compare two densities
  read this table against the earlier ones, whose common errors cancel where the same people were smoothed alike;
* to tell what is new: a table that repeats an earlier one and adds a little is attacked by what it adds;
* as a second witness: a row found, or nearly found, in this table and in an earlier one is found by chance far less
  often than in one. These contrasts of trained and held back make one p-value (`audits.joint`).

Where an earlier table was made under the same coins (further rows of one model) the attack on all tables as one is the
proper one, and it is among these.

Not tested: who is in the private table at all, since everybody here is, and the earlier generators learnt from those
held back today as well. What a sequence of releases tells of that is bounded by the total of the ledger alone. Earlier
public cards are not read; a study with three of them is in `docs/reliability.md`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from audits.attacks.copies import Mask, Near, closest, excess_of, matches_of, near_of
from audits.attacks.game import excesses_at_rates
from audits.attacks.membership_scores import NEIGHBOURS, OF_ONE_TABLE, attack_scores, targets_and_reference
from audits.distance import Features, features
from audits.errors import InconclusiveError
from audits.estimates import auc_finding, exact_finding, excess_finding
from audits.evidence import Evidence
from audits.finding import Audience, Finding
from audits.hashes import hashes
from audits.joint import Contrast, joint_p_value
from audits.rows import canonical, joined, one_row_per_unit, sampled
from audits.search import nearest
from privacy.table import Table, stacked

RATE = 0.01
"""False-positive rate, set on the attacker's sample."""

MIN_UNITS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class AcrossReleases:
    """Membership and copies, by somebody who also holds the earlier tables.

    Attributes:
        max_targets: units attacked at most, of both sides together.
        max_known: earlier rows that stand for the population at most; copies are looked for among all of them.
        max_rows: training rows that look for a copy at most.
        quantiles: shares of the real rows, by distance, at which trained and held back are compared.
    """

    max_targets: int = 10_000
    max_known: int = 20_000
    max_rows: int = 50_000
    quantiles: tuple[float, ...] = (0.005, 0.01)
    name: ClassVar[str] = "across releases"
    title: ClassVar[str] = "This release and earlier ones together"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Attack one row per protected unit.

        Guarantees:
            Under exchangeable train and control rows "joint copying p-value" is at most p with probability at most p.

        Raises:
            InconclusiveError: no earlier table, fewer than 100 targets a side, 50 reference units, or 20 rows of this
                table or of the earlier ones together.
        """
        if not evidence.earlier:
            raise InconclusiveError("no earlier release was given")
        earlier = canonical(stacked(evidence.earlier))
        released = canonical(evidence.synthetic)
        if min(len(earlier), len(released)) < NEIGHBOURS:
            raise InconclusiveError(f"this table or the earlier ones have fewer than {NEIGHBOURS} rows")
        new = released.select(~_repeated(released, earlier))
        return (
            *self._membership(evidence, released, earlier, new, rng),
            *self._copies(evidence, released, earlier, new, rng),
        )

    def _membership(
        self, evidence: Evidence, released: Table, earlier: Table, new: Table, rng: Generator
    ) -> Iterator[Finding]:
        targets, reference = targets_and_reference(evidence, self.max_targets, rng)
        asked = joined(targets.rows, reference)
        known = sampled(earlier, self.max_known, rng)
        scores = attack_scores(asked, known, released, evidence.schema, evidence.expected_error, rng)
        n = len(targets.rows)
        for attack, score in {
            **{name: found.targets for name, found in scores.items() if name not in OF_ONE_TABLE},
            **_by_distance(*(features(table, evidence.schema) for table in (asked, released, earlier, new))),
        }.items():
            members, outsiders = score[:n][targets.is_member], score[:n][~targets.is_member]
            yield auc_finding(
                audit=self.name,
                quantity="AUC",
                subject=attack,
                members=members,
                outsiders=outsiders,
                audience=Audience.INTERNAL,
            )
            yield from excesses_at_rates(self.name, attack, members, outsiders, score[n:], (RATE,))

    def _copies(
        self, evidence: Evidence, released: Table, earlier: Table, new: Table, rng: Generator
    ) -> Iterator[Finding]:
        train = sampled(evidence.train.select(one_row_per_unit(evidence.train, rng)), self.max_rows, rng)
        control = joined(
            evidence.control.select(one_row_per_unit(evidence.control, rng)),
            evidence.reference.select(one_row_per_unit(evidence.reference, rng)),
        )
        if min(len(train), len(control)) < MIN_UNITS:
            raise InconclusiveError(f"train or control has fewer than {MIN_UNITS} units")
        schema = evidence.schema
        here, there = (matches_of(train, control, table, schema) for table in (released, earlier))
        fresh = matches_of(train, control, new, schema)
        everyone = np.ones(len(here.whole), np.bool_)
        witnessed = here.whole & there.whole
        questions: list[tuple[Mask, Mask]] = [
            (witnessed, here.unique),
            (here.any_column & there.any_column, here.any_unique),
            (fresh.whole, fresh.unique),
            (fresh.any_column, fresh.any_unique),
            *((closest(near, q), everyone) for near in self._near(train, control, released, earlier, new)
              for q in self.quantiles),
        ]  # fmt: skip
        is_train = np.arange(len(everyone)) < len(train)
        n_rows = len(train), len(control)
        yield exact_finding(
            audit=self.name,
            quantity="joint copying p-value",
            subject="",
            value=joint_p_value(
                [Contrast(hits, counted, float(len(questions))) for hits, counted in questions],
                is_train,
                np.zeros(len(everyone), np.bool_),
                rng,
            ),
            baseline=1.0,
            worse="lower",
            n=sum(n_rows),
        )
        yield excess_of(self.name, "excess of exact matches in this and an earlier table", witnessed, n_rows)
        # How far the table repeats the earlier ones, beside how often a person's row is found there.
        yield excess_finding(
            audit=self.name,
            quantity="excess of rows that repeat an earlier table",
            subject="",
            hits=len(released) - len(new),
            n=len(released),
            other_hits=int(_repeated(control, earlier).sum()),
            other_n=len(control),
            audience=Audience.INTERNAL,
        )

    def _near(self, train: Table, control: Table, released: Table, earlier: Table, new: Table) -> Iterator[Near]:
        """How near what is new is, and how near both tables are, each in units of the isolation of the row."""
        schema = train.schema
        to_released = near_of(train, control, released, schema)
        real = features(joined(train, control), schema)
        to_earlier = nearest(real, features(earlier, schema), 1)[:, 0]
        yield to_released.at(np.maximum(to_released.to_synthetic, to_earlier)).isolated
        if len(new):
            yield to_released.at(nearest(real, features(new, schema), 1)[:, 0]).isolated


def _by_distance(asked: Features, released: Features, earlier: Features, new: Features) -> Mapping[str, np.ndarray]:
    """Scores by the nearest row of all tables as one, and by the nearest row that no earlier table has."""
    to_new = nearest(asked, new, 1)[:, 0] if len(new) else np.zeros(len(asked))
    to_all = np.minimum(nearest(asked, released, 1)[:, 0], nearest(asked, earlier, 1)[:, 0])
    return {"all tables as one": -to_all, "what is new": -to_new}


def _repeated(rows: Table, earlier: Table) -> Mask:
    """Which rows an earlier table has, cell by cell."""
    found: Mask = np.isin(*(hashes(table, earlier.schema).sum(axis=0) for table in (rows, earlier)))
    return found
