"""The maintained fork of synthcity: PATE-GAN and PrivBayes.

The library seeds all its noise with a number that is 0 by default, so that whoever knows the default can take it off.
Here the seed is fresh, but for the method that shows what the default does.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from synthcity.plugins import Plugins
from synthcity.plugins.core.dataloader import GenericDataLoader

from bench.peers.drivers.task import Task, complete, main, restored

SHORT: Mapping[str, Any] = {
    "n_iter": 3,
    "generator_n_iter": 3,
    "generator_n_units_hidden": 16,
    "discriminator_n_units_hidden": 16,
    "teacher_template": "linear",
    "strict": False,
}
"""Public hyper-parameters, for tables of a dozen rows; rows that repeat one another are kept."""


def plugin(name: str, task: Task, *, seed: int | None = None, **options: Any) -> pd.DataFrame:
    """One plugin at its defaults but for the options; a fresh seed unless one is given."""
    rows, _, coding = complete(task)
    seed = secrets.randbits(31) if seed is None else seed
    with TemporaryDirectory() as folder:
        made = Plugins(categories=["privacy"]).get(
            name, epsilon=task.epsilon, random_state=seed, workspace=Path(folder), device="cpu", **options
        )
        made.fit(GenericDataLoader(rows))
        drawn: pd.DataFrame = made.generate(count=task.n_rows, random_state=seed).dataframe()
    return restored(drawn, coding)


def pate_gan(task: Task, **options: Any) -> pd.DataFrame:
    """The delta is handed over; the library then sets its own (1 / n^1.5)."""
    return plugin("pategan", task, delta=task.delta, **options)


if __name__ == "__main__":
    logging.disable()
    main(
        {
            "pate-gan": pate_gan,
            "privbayes": partial(plugin, "privbayes"),
            "short pate-gan": partial(pate_gan, **SHORT),
            "short pate-gan, default seed": partial(pate_gan, seed=0, **SHORT),
        }
    )
