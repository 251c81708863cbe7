"""How many synthetic labels are not what the features call for, and whether giving them anew helps.

A model of real rows looks at synthetic rows. Where its surest label is not the one a row has, they disagree; they do so
on real rows too, where features do not settle the label. What the model expects of itself, one less its surest chance,
is taken off first, so that synthetic rows whose features are harder are not blamed; what is then left on synthetic rows
less what is left on control rows is label noise: 0 for a fresh sample. The halves the model learns from are drawn again
in every repeat.

Then synthetic rows are given labels anew, by a model of a tenth of the real rows, drawn by its chances or the surest
one, and are learnt from beside those as they are.

Source of the idea to hold labels against a model's chances: Northcutt, Jiang & Chuang 2021, "Confident learning".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from audits.errors import InconclusiveError
from audits.estimates import estimate_finding, mean_variance
from audits.evidence import Evidence
from audits.finding import Finding
from audits.lab.arms import MODEL, Comparison, drawn
from audits.tasks import Classification, Learning, Repeated, half_of, learning, task_of
from privacy.columns import Floats
from privacy.table import Table

SCARCE = 0.1
AS_THEY_ARE = "labels as they are"


@dataclass(frozen=True, slots=True)
class LabelNoise:
    """Disagreement of synthetic labels with a model of real rows.

    Attributes:
        repeats: how often the model's rows are drawn again.
        max_rows: rows of each side at most.
    """

    repeats: int = 3
    max_rows: int = 20_000
    name: ClassVar[str] = "label noise"
    title: ClassVar[str] = "Noise of synthetic labels"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Label noise, overall and by label, disagreement on both tables, and scores with labels given anew.

        Raises:
            InconclusiveError: no target with levels, or nothing to learn from or to tell apart.
        """
        task = task_of(evidence.schema)
        if not isinstance(task, Classification):
            raise InconclusiveError("no target with levels is declared")
        rows = learning(evidence, task, self.max_rows, rng)
        sides = (rows.synthetic, rows.control)
        labels = [task.labels(side) for side in sides]
        looks: list[list[tuple[Floats, Floats]]] = [[], []]
        for _ in range(self.repeats):
            half = half_of(rows.train, rng)
            for look, side, label in zip(looks, sides, labels, strict=True):
                chances = task.predict(MODEL, half, side, rng)
                disagrees = (chances.argmax(axis=1) != label).astype(np.float64)
                look.append((disagrees, disagrees - (1 - chances.max(axis=1))))
        units = (np.arange(len(rows.synthetic)), rows.units)
        found = [
            _finding(self.name, "labels a model of real rows disagrees with", words, [d for d, _ in look], owner, calm)
            for words, look, owner, calm in (
                ("synthetic rows", looks[0], units[0], float(np.mean([d.mean() for d, _ in looks[1]]))),
                ("control rows", looks[1], units[1], 0.0),
            )
        ]
        found += self._noise(task, looks, labels, rows)
        scarce = [drawn(rows.train, max(round(SCARCE * len(rows.train)), 2), rng) for _ in range(self.repeats)]
        halves = [half_of(rows.synthetic, rng) for _ in range(self.repeats)]
        chances_of = [task.predict(MODEL, few, half, rng) for few, half in zip(scarce, halves, strict=True)]
        arms = {
            AS_THEY_ARE: halves,
            f"labels drawn by a model of {SCARCE:.0%} of the real rows": [
                _relabelled(task, half, _by_chance(c, rng)) for half, c in zip(halves, chances_of, strict=True)
            ],
            f"surest labels of a model of {SCARCE:.0%} of the real rows": [
                _relabelled(task, half, c.argmax(axis=1)) for half, c in zip(halves, chances_of, strict=True)
            ],
            f"{SCARCE:.0%} of the real rows alone": scarce,
        }
        found += Comparison(self.name, task, rows, AS_THEY_ARE).findings(arms, rng)
        return tuple(found)

    def _noise(
        self,
        task: Classification,
        looks: list[list[tuple[Floats, Floats]]],
        labels: list[np.ndarray[tuple[int, ...], np.dtype[np.int32]]],
        rows: Learning,
    ) -> Iterator[Finding]:
        """What disagrees beyond the model's own doubt, on synthetic rows less on control rows."""
        for code, level in ((None, "all labels"), *enumerate(task.target.declared)):
            inside = [np.ones(len(label), bool) if code is None else label == code for label in labels]
            if min(int(mask.sum()) for mask in inside) < 2:
                continue
            sides = [[beyond[mask] for _, beyond in look] for look, mask in zip(looks, inside, strict=True)]
            values = [float(a.mean() - b.mean()) for a, b in zip(*sides, strict=True)]
            means = [np.mean(side, axis=0) for side in sides]
            variance = mean_variance(means[0], np.arange(len(means[0])))
            owner = np.unique(rows.units[inside[1]], return_inverse=True)[1]
            variance += mean_variance(means[1], owner) + float(np.var(values, ddof=1) if len(values) > 1 else 0)
            yield estimate_finding(
                audit=self.name,
                quantity="label noise",
                subject=level,
                estimate=float(np.mean(values)),
                error=float(np.sqrt(variance + 1 / len(means[1]) ** 2)),
                baseline=0.0,
                worse="higher",
                n=len(means[0]) + len(means[1]),
                limits=(-1.0, 1.0),
                looked_at=1,
            )


def _finding(
    audit: str,
    quantity: str,
    subject: str,
    values: list[Floats],
    units: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    baseline: float,
) -> Finding:
    one = Repeated.of([(float(v.mean()), v - v.mean()) for v in values])
    return estimate_finding(
        audit=audit,
        quantity=quantity,
        subject=subject,
        estimate=one.mean,
        error=one.error(units, 1 / len(units) ** 2),
        baseline=baseline,
        worse="higher",
        n=len(units),
        limits=(0.0, 1.0),
        looked_at=1,
    )


def _by_chance(chances: Floats, rng: Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    below = np.cumsum(chances, axis=1) < rng.random(len(chances))[:, None]
    return np.asarray(below.sum(axis=1), dtype=np.int64)


def _relabelled(task: Classification, rows: Table, labels: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Table:
    labels = np.minimum(labels, task.target.n_codes - 1)
    return replace(rows, columns={**rows.columns, task.target.name: labels.astype(np.int32)})
