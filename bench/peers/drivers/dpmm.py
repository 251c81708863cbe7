"""dpmm: AIM and MST. It adds what binning costs to epsilon, so that a tenth of ours is set aside for it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
from dpmm.pipelines import PIPELINE_DICT

from bench.peers.drivers.task import Task, main

BINNING_SHARE = 0.1


def pipeline(name: str, task: Task) -> pd.DataFrame:
    """Bins by PrivTree, which is its default; categories, ranges and missing cells as it finds them."""
    rows = task.rows.astype(dict.fromkeys(task.categories, "category"))
    binning = BINNING_SHARE * task.epsilon
    made: Any = PIPELINE_DICT[name](epsilon=task.epsilon - binning, delta=task.delta, proc_epsilon=binning, n_jobs=1)
    made.fit(rows)
    drawn: pd.DataFrame = made.generate(n_records=task.n_rows)
    return drawn


if __name__ == "__main__":
    main({"aim": partial(pipeline, "aim"), "mst": partial(pipeline, "mst")})
