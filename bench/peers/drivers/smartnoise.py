"""smartnoise-synth: AIM and MST on coded columns, DP-CTGAN and PATE-GAN with bounds bought by a tenth of epsilon."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
from snsynth import Synthesizer

from bench.peers.drivers.task import Task, coded, complete, main, restored

BOUNDS_SHARE = 0.1


def marginals(name: str, task: Task) -> pd.DataFrame:
    """A method that takes codes only; defaults for the rest."""
    coding = coded(task.rows, task.numbers)
    synthesizer = Synthesizer.create(name, epsilon=task.epsilon, delta=task.delta)
    synthesizer.fit(coding.codes, categorical_columns=list(coding.codes.columns), preprocessor_eps=0.0)
    return coding.decode(synthesizer.sample(task.n_rows))


def network(name: str, task: Task, **options: Any) -> pd.DataFrame:
    """A method that takes numbers. The library takes what bounds cost from the epsilon it was given."""
    rows, numbers, coding = complete(task)
    categories = [column for column in rows.columns if column not in numbers]
    synthesizer = Synthesizer.create(name, epsilon=task.epsilon, delta=task.delta, **options)
    synthesizer.fit(
        rows,
        categorical_columns=categories,
        continuous_columns=list(numbers),
        preprocessor_eps=BOUNDS_SHARE * task.epsilon if numbers else 0.0,
    )
    return restored(pd.DataFrame(synthesizer.sample(task.n_rows), columns=rows.columns), coding)


if __name__ == "__main__":
    main(
        {
            "aim": partial(marginals, "aim"),
            "mst": partial(marginals, "mst"),
            "dp-ctgan": partial(network, "dpctgan", verbose=False),
            "pate-gan": partial(network, "pategan"),
            # Ten times as many labels a step reach the same epsilon in a tenth of the steps.
            "short pate-gan": partial(network, "pategan", batch_size=640),
        }
    )
