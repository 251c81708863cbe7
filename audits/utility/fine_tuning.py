"""Learn from synthetic rows first, then from a few real ones: is that better than the real ones alone?

A network with one hidden layer learns for a fixed number of updates from synthetic rows, then for a fixed number from
10%, 30% or all of the real rows; its twin starts from the same weights and sees the same real batches, and no synthetic
row. The gain is the difference on the same control rows, so that its interval is paired; repeats draw rows, weights and
batches again. Its baseline is 0; a negative gain says that learning from synthetic rows first did harm.

The number of updates on real rows is the same on both sides. So the comparison favours pretraining where updates are
what is scarce, as in any study that fixes the schedule of fine-tuning; with `updates` large enough to fit the real rows
it does not.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator
from sklearn.neural_network import MLPClassifier, MLPRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from audits.estimates import estimate_finding
from audits.evidence import Evidence
from audits.features import linear_matrix
from audits.finding import Finding
from audits.tasks import (
    Classification,
    Labels,
    Learning,
    Regression,
    Repeated,
    Score,
    Task,
    half_of,
    learning,
    task_of,
)
from privacy.columns import Floats
from privacy.table import Table

MIN_ROWS = 200
BATCH = 100
RATE = 2e-3


@dataclass(frozen=True, slots=True)
class FineTuning:
    """The score of a network with and without pretraining on synthetic rows, by how many real rows it then sees.

    Attributes:
        shares: shares of the real rows.
        updates: steps of the optimiser, on synthetic rows and then on real ones.
        hidden: width of the hidden layer.
        repeats: how often everything is drawn again.
        max_rows: rows of each side at most.
    """

    shares: tuple[float, ...] = (0.1, 0.3, 1.0)
    updates: int = 600
    hidden: int = 32
    repeats: int = 5
    max_rows: int = 20_000
    name: ClassVar[str] = "fine-tuning"
    title: ClassVar[str] = "Pretraining on synthetic rows"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """The score of pretraining alone; for each share the score with and without it, and the gain.

        Raises:
            InconclusiveError: no target, fewer than 200 rows to learn from, or nothing to tell apart.
        """
        task = task_of(evidence.schema)
        rows = learning(evidence, task, self.max_rows, rng, least=MIN_ROWS)
        repeats = [self._repeat(task, rows, rng) for _ in range(self.repeats)]
        found = [self._alone(task, repeats, rows)]
        for i, share in enumerate(self.shares):
            found += self._findings(task, share, [repeat.tuned[i] for repeat in repeats], rows)
        return tuple(found)

    def _repeat(self, task: Task, rows: Learning, rng: Generator) -> Repeat:
        synthetic, train = half_of(rows.synthetic, rng), half_of(rows.train, rng)
        labels, seen = task.labels(rows.control), network_matrix(task, rows.control)
        start = Network.fresh(task, self.hidden, int(rng.integers(2**31)))
        pretrained = start.learnt(task, synthetic, self.updates, rng.spawn(1)[0])
        tuned = []
        for share in self.shares:
            some = train.select(np.sort(rng.choice(len(train), max(round(share * len(train)), 2), replace=False)))
            seed = int(rng.integers(2**63))
            networks = (n.learnt(task, some, self.updates, np.random.default_rng(seed)) for n in (pretrained, start))
            with_it, without = (task.score(network.predict(task, seen), labels) for network in networks)
            tuned.append((with_it, without))
        return Repeat(task.score(pretrained.predict(task, seen), labels), tuple(tuned))

    def _alone(self, task: Task, repeats: list[Repeat], rows: Learning) -> Finding:
        """Pretraining without a real row, beside the network that saw the most real rows and no synthetic one."""
        one = Repeated.of([repeat.alone for repeat in repeats])
        labels = task.labels(rows.control)
        return estimate_finding(
            audit=self.name,
            quantity=f"{task.score_name}, pretrained on synthetic",
            subject="no real rows",
            estimate=one.mean,
            error=one.error(rows.units, task.doubt(labels)),
            baseline=float(np.mean([repeat.tuned[-1][1][0] for repeat in repeats])),
            worse="lower",
            n=len(labels),
            limits=(task.least, 1.0),
            looked_at=1,
        )

    def _findings(
        self,
        task: Task,
        share: float,
        scores: list[tuple[Score, Score]],
        rows: Learning,
    ) -> Iterator[Finding]:
        labels = task.labels(rows.control)
        with_it, without = (Repeated.of([both[side] for both in scores]) for side in range(2))
        gain = Repeated.of([(a[0] - b[0], a[1] - b[1]) for a, b in scores])
        widest = 1 - task.least
        for quantity, one, baseline, limits in (
            (f"{task.score_name}, pretrained on synthetic", with_it, without.mean, (task.least, 1.0)),
            (f"{task.score_name}, real rows only", without, task.chance, (task.least, 1.0)),
            (f"{task.score_name} gained by pretraining", gain, 0.0, (-widest, widest)),
        ):
            yield estimate_finding(
                audit=self.name,
                quantity=quantity,
                subject=f"{share:.0%} of the real rows",
                estimate=one.mean,
                error=one.error(rows.units, task.doubt(labels)),
                baseline=baseline,
                worse="lower",
                n=len(labels),
                limits=limits,
                looked_at=1,
            )


@dataclass(frozen=True, slots=True)
class Repeat:
    """Scores of one draw: of pretraining alone, and for each share with pretraining and without."""

    alone: Score
    tuned: tuple[tuple[Score, Score], ...]


@dataclass(frozen=True, slots=True)
class Network:
    """A network of scikit-learn between updates; learning gives another one."""

    model: Any

    @classmethod
    def fresh(cls, task: Task, hidden: int, seed: int) -> Network:
        """With random weights, which are drawn from the seed at the first update."""
        kind = MLPClassifier if isinstance(task, Classification) else MLPRegressor
        return cls(kind(hidden_layer_sizes=(hidden,), batch_size=BATCH, learning_rate_init=RATE, random_state=seed))

    def learnt(self, task: Task, rows: Table, updates: int, rng: Generator) -> Network:
        """The network after so many updates on batches of rows drawn with replacement."""
        model = copy.deepcopy(self.model)
        matrix, labels = network_matrix(task, rows), _scaled(task, rows)
        classes = {"classes": np.arange(task.target.n_codes)} if isinstance(task, Classification) else {}
        with threadpool_limits(limits=1):
            for _ in range(updates):
                batch = rng.integers(0, len(matrix), BATCH)
                model.partial_fit(matrix[batch], labels[batch], **classes)
        return Network(model)

    def predict(self, task: Task, matrix: Floats) -> Floats:
        """Predictions as the task scores them."""
        with threadpool_limits(limits=1):
            if isinstance(task, Regression):
                low, high = task.target.bounds
                return np.asarray(low + np.clip(self.model.predict(matrix), 0, 1) * (high - low))
            return np.asarray(self.model.predict_proba(matrix))


def network_matrix(task: Task, rows: Table) -> Floats:
    """Features as a network sees them, shape (len(rows), features)."""
    return np.asarray(linear_matrix(rows, leave_out=task.target.name).todense())


def _scaled(task: Task, rows: Table) -> Labels:
    """Labels as the network learns them: codes, or the place in public bounds."""
    labels = task.labels(rows)
    if isinstance(task, Regression):
        low, high = task.target.bounds
        return (labels - low) / ((high - low) or 1.0)
    return labels
