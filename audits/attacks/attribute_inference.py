"""Attribute inference: does the synthetic table tell a person's secret, given everything else about the person?

Two attackers learn from synthetic rows to name one column from all others: the nearest synthetic row, which finds what
was copied, and gradient boosting, which finds what generalises. Both are tried on people whose row trained and on
people whose row did not. What can be inferred about the latter follows from the population and would be true had the
person never been in the table; only the excess is disclosure.

An average over everybody hides attackers who speak only when they are sure, so the excess is read again among the tenth
and the hundredth of the targets the attacker is surest of.

The secrets are the columns declared sensitive and the target; and one column of each target drawn at random, so that a
table whose schema declares none is asked all the same. A number is inferred when the guess is within 5% of the range
between the 5% and 95% quantiles of the synthetic column: of the range, not of the guess.

Sources: Giomi et al. 2023 (Anonymeter) for the attack and its control; Francis & Wagner 2025, "Towards
better attribute inference vulnerability measures", for precision at low recall.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.random import Generator
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from audits.attacks.game import Mask, Targets, success_findings, targets_of
from audits.distance import features
from audits.errors import InconclusiveError
from audits.estimates import excess_finding
from audits.evidence import Evidence
from audits.features import tree_matrix
from audits.finding import Audience, Finding
from audits.prediction import gradient_boosting
from audits.rows import canonical, cells_of, sampled
from audits.search import neighbours
from privacy.columns import Column, Floats, LevelColumn, Role
from privacy.schema import Schema
from privacy.table import Table

Places = npt.NDArray[np.intp]

TOLERANCE = 0.05
"""Of a number's synthetic range between the quantiles of 5% and 95%."""

RECALLS = (0.1, 0.01)
MIN_SURE = 50
"""Targets a side among the surest below which nothing is said."""

MIN_ROWS = 20


class Guesses(NamedTuple):
    """What an attacker says of every target: whether it was right, and how sure it was; shape (n,) each.

    An attacker who cannot tell how sure it is has no confidence.
    """

    right: Mask
    confidence: Floats | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeInference:
    """How much better secrets of people who trained are inferred than those of people who did not.

    Attributes:
        max_targets: units attacked at most, of both sides together.
        max_rows: rows a model learns from at most; the nearest row is sought among all.
        max_pairs: targets times synthetic rows at most; of a longer table fewer targets are attacked.
    """

    max_targets: int = 20_000
    max_rows: int = 30_000
    max_pairs: int = 1_000_000_000
    name: ClassVar[str] = "attribute inference"
    title: ClassVar[str] = "Attribute inference"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Infer one column of every target, and every secret.

        Raises:
            InconclusiveError: one column only, fewer than 100 targets a side, or 20 synthetic or reference rows.
        """
        if len(evidence.schema.columns) < 2:
            raise InconclusiveError("there is no other column to infer from")
        if min(len(evidence.synthetic), len(evidence.reference)) < MIN_ROWS:
            raise InconclusiveError(f"the synthetic table or the reference sample has fewer than {MIN_ROWS} rows")
        most = min(self.max_targets, max(2_000, self.max_pairs // len(evidence.synthetic)))
        targets = targets_of(evidence, most, rng)
        released, population = canonical(evidence.synthetic), canonical(evidence.reference)
        tolerance = {column.name: _tolerance(column, released) for column in evidence.schema.columns}
        secrets = _secrets(evidence.schema)
        places = [evidence.schema.names.index(column.name) for column in secrets]
        n = len(targets.rows)
        hidden = [rng.integers(len(evidence.schema.columns), size=n), *(np.full(n, place) for place in places)]
        any_column, *near = zip(
            *(_by_the_nearest_row(targets.rows, rows, hidden, tolerance, rng) for rows in (released, population)),
            strict=True,
        )
        found = [*_findings("any column", targets, *any_column)]
        for column, of_nearest in zip(secrets, near, strict=True):
            learnt = [
                self._learnt(targets.rows, rows, column, tolerance[column.name], rng) for rows in (released, population)
            ]
            found += _findings(f"{column.name} by the nearest row", targets, *of_nearest)
            found += _findings(f"{column.name} by gradient boosting", targets, *learnt)
        return tuple(found)

    def _learnt(self, victims: Table, known: Table, secret: Column, tolerance: float, rng: Generator) -> Guesses:
        """Guesses of a model that learns the secret from all other columns."""
        known = sampled(known, self.max_rows, rng)
        if isinstance(secret, LevelColumn):
            scores = gradient_boosting(known, victims, secret, rng)
            guess = scores.argmax(axis=1).astype(np.float64)
            return Guesses(_right(guess, victims, secret, tolerance), scores.max(axis=1))
        guess = _regressed(victims, known, secret, rng)
        return Guesses(_right(guess, victims, secret, tolerance), None)


def _secrets(schema: Schema) -> tuple[Column, ...]:
    return tuple(column for column in schema.columns if column.sensitive or column.role is Role.TARGET)


def _by_the_nearest_row(
    victims: Table, known: Table, hidden: list[Places], tolerance: dict[str, float], rng: Generator
) -> list[Guesses]:
    """Guesses the secret of the known row nearest on all else; of equally near ones, of one at random.

    Args:
        victims: n rows.
        known: rows of the same schema.
        hidden: questions: for each, the place in the schema of every victim's secret column, shape (n,). All are asked
            in one search, for which the known rows are put in order once.
        tolerance: how far a guess may be off, by column.
        rng: breaks ties.
    """
    schema, n = known.schema, len(victims)
    known = known.select(rng.permutation(len(known)))
    secret, asked = np.concatenate(hidden), victims.select(np.tile(np.arange(n), len(hidden)))
    rows, far = neighbours(features(asked, schema, secret), features(known, schema), 1)
    right = np.zeros(len(asked), bool)
    for place, column in enumerate(schema.columns):
        at = np.flatnonzero(secret == place)
        guess = cells_of(known, column)[rows[at, 0]]
        right[at] = _right(guess, asked.select(at), column, tolerance[column.name])
    return [Guesses(right[at : at + n], -far[at : at + n, 0]) for at in range(0, len(asked), n)]


def _regressed(victims: Table, known: Table, secret: Column, rng: Generator) -> Floats:
    """Predicted numbers; NaN where nothing could be learnt."""
    labels = known.numbers(secret.name)
    labelled = ~np.isnan(labels)
    seed = int(rng.integers(2**31))
    if not labelled.any():
        return np.full(len(victims), np.nan)
    model = HistGradientBoostingRegressor(early_stopping=False, random_state=seed)
    with threadpool_limits(limits=1):
        model.fit(tree_matrix(known, leave_out=secret.name)[labelled], labels[labelled])
        predicted: Floats = model.predict(tree_matrix(victims, leave_out=secret.name))
    return predicted


def _tolerance(column: Column, released: Table) -> float:
    """How far a guess may be off; 0 for levels."""
    if isinstance(column, LevelColumn):
        return 0.0
    present = released.numbers(column.name)
    present = present[~np.isnan(present)]
    low, high = np.quantile(present, (0.05, 0.95)) if len(present) else (0.0, 0.0)
    return TOLERANCE * float(high - low)


def _right(guess: Floats, victims: Table, secret: Column, tolerance: float) -> Mask:
    """Missing is a secret like any other: it is guessed by saying so."""
    truth = cells_of(victims, secret)
    both_missing = np.isnan(guess) & np.isnan(truth)
    right: Mask = both_missing | (np.abs(guess - truth) <= tolerance)
    return right


def _findings(subject: str, targets: Targets, ours: Guesses, population: Guesses) -> Iterator[Finding]:
    """Success and excess overall, and the excess among the surest guesses, where the attacker can tell."""
    is_member = targets.is_member
    yield from success_findings(
        audit=AttributeInference.name,
        of="inference",
        subject=subject,
        hits=ours.right,
        is_member=is_member,
        baseline=float(population.right[~is_member].mean()),
    )
    if ours.confidence is None:
        return
    for recall in RECALLS:
        sure = ours.confidence >= np.quantile(ours.confidence, 1 - recall)
        n, n_other = int((sure & is_member).sum()), int((sure & ~is_member).sum())
        if min(n, n_other) >= MIN_SURE:
            yield excess_finding(
                audit=AttributeInference.name,
                quantity=f"excess of inference at {recall:.0%} recall",
                subject=subject,
                hits=int((sure & is_member & ours.right).sum()),
                n=n,
                other_hits=int((sure & ~is_member & ours.right).sum()),
                other_n=n_other,
                audience=Audience.INTERNAL,
            )
