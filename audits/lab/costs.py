"""What training takes: seconds and memory of every model family on real rows, synthetic rows and both.

Wall-clock seconds on one thread, and the peak of what Python and NumPy allocated while the model was fitted and asked.
Both depend on the machine and on what else it does; they are the only findings of the lab that a seed does not repeat.
"""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar

from numpy.random import Generator

from audits.estimates import exact_finding
from audits.evidence import Evidence
from audits.finding import Finding
from audits.rows import joined
from audits.tasks import learning, task_of


@dataclass(frozen=True, slots=True)
class Costs:
    """Time and memory of one training.

    Attributes:
        max_rows: rows of each side at most.
    """

    max_rows: int = 20_000
    name: ClassVar[str] = "costs"
    title: ClassVar[str] = "Time and memory of training"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Seconds and megabytes by model and rows.

        Raises:
            InconclusiveError: no target, or nothing to learn from or to tell apart.
        """
        task = task_of(evidence.schema)
        rows = learning(evidence, task, self.max_rows, rng)
        both = joined(rows.train, rows.synthetic)
        found = []
        for model in task.models:
            for words, learn in (("real", rows.train), ("synthetic", rows.synthetic), ("both", both)):
                start = perf_counter()
                task.predict(model, learn, rows.control, rng)
                seconds = perf_counter() - start
                tracemalloc.start()
                task.predict(model, learn, rows.control, rng)
                peak = tracemalloc.get_traced_memory()[1] / 1e6
                tracemalloc.stop()
                for quantity, value in (("seconds of training", seconds), ("peak megabytes of training", peak)):
                    found.append(
                        exact_finding(
                            audit=self.name,
                            quantity=quantity,
                            subject=f"{model}, {words}",
                            value=value,
                            baseline=0.0,
                            worse="higher",
                            n=len(learn),
                        )
                    )
        return tuple(found)
