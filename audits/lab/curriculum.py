"""Does the order matter in which a network sees synthetic and real rows?

Every schedule has the same number of updates on synthetic rows and on a tenth of the real rows, in blocks, from the
same weights: turn by turn, which is the reference; synthetic rows first; real rows first; synthetic rows first and ever
more real ones later; and synthetic rows from easy to hard, by how surely a model of the real rows gives each the label
it has, before the real ones. Differences are paired over control rows, and bounds hold for all schedules together.

Source of the idea: Bengio, Louradour, Collobert & Weston 2009, "Curriculum learning".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from audits.evidence import Evidence
from audits.finding import Finding
from audits.lab.arms import MODEL, drawn
from audits.tasks import Classification, Score, Task, half_of, learning, paired_findings, task_of
from audits.utility.fine_tuning import MIN_ROWS, Network, network_matrix
from privacy.table import Table

BLOCKS = 10
TURNS = "turn by turn"


@dataclass(frozen=True, slots=True)
class Curriculum:
    """Orders of synthetic and real rows.

    Attributes:
        scarce: share of the real rows that are there.
        updates: steps of the optimiser on each kind of rows.
        hidden: width of the hidden layer.
        repeats: how often everything is drawn again.
        max_rows: rows of each side at most.
    """

    scarce: float = 0.1
    updates: int = 300
    hidden: int = 32
    repeats: int = 3
    max_rows: int = 20_000
    name: ClassVar[str] = "curriculum"
    title: ClassVar[str] = "The order of synthetic and real rows"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """The score of every schedule, and what it gains over taking turns.

        Raises:
            InconclusiveError: no target, fewer than 200 rows to learn from, or nothing to tell apart.
        """
        task = task_of(evidence.schema)
        rows = learning(evidence, task, self.max_rows, rng, least=MIN_ROWS)
        labels, seen = task.labels(rows.control), network_matrix(task, rows.control)
        scores: dict[str, list[Score]] = {}
        for _ in range(self.repeats):
            synthetic = half_of(rows.synthetic, rng)
            real = drawn(rows.train, max(round(self.scarce * len(rows.train)), 2), rng)
            start, seed = Network.fresh(task, self.hidden, int(rng.integers(2**31))), int(rng.integers(2**31))
            for name, blocks in _schedules(task, synthetic, real, rng).items():
                network, stream = start, np.random.default_rng(seed)
                for block in blocks:
                    network = network.learnt(task, block, self.updates // BLOCKS, stream)
                scores.setdefault(name, []).append(task.score(network.predict(task, seen), labels))
        return tuple(
            paired_findings(
                self.name,
                task,
                rows,
                scores,
                TURNS,
                quantity=f"{task.score_name} of a network",
                change=f"{task.score_name} gained over {TURNS}",
                baseline=task.chance,
                limits=(task.least, 1.0),
                looked_at=len(scores) - 1,
            )
        )


def _schedules(task: Task, synthetic: Table, real: Table, rng: Generator) -> dict[str, list[Table]]:
    """Blocks in order: as many of either kind in each."""
    made, true = [synthetic] * BLOCKS, [real] * BLOCKS
    later = sorted([(i + 0.5) ** 0.5 for i in range(BLOCKS)])
    order = sorted([(i + 0.5, 0) for i in range(BLOCKS)] + [(BLOCKS**0.5 * t, 1) for t in later])
    found = {
        TURNS: [block for pair in zip(made, true, strict=True) for block in pair],
        "synthetic first": made + true,
        "real first": true + made,
        "ever more real": [(synthetic, real)[kind] for _, kind in order],
    }
    if isinstance(task, Classification) and len(synthetic) >= BLOCKS:
        labels = task.labels(synthetic)
        sure = task.predict(MODEL, real, synthetic, rng)[np.arange(len(labels)), labels]
        parts = np.array_split(np.argsort(-sure, kind="stable"), BLOCKS)
        found["from easy to hard, then real"] = [synthetic.select(np.sort(part)) for part in parts] + true
    return found
