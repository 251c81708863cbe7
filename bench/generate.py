"""A generator alone: python -m bench.generate NAME TABLE SCHEMA EPSILON DELTA OUT.csv.

Prints seconds by step, and the estimate the plan gave, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from api.steps import Steps
from api.streams import Streams
from privacy.calibration import check_budget
from privacy.files import check_file
from privacy.filter import PrivacyFilter
from privacy.noise import system_noise
from privacy.schema_file import load_schema
from privacy.table import read_table
from synthesizers.registry import synthesizer

BLOCK_ROWS = 500_000
"""Rows drawn and written at a time."""


def main() -> None:
    """Plan, read, fit, sample and write, without audits."""
    name, table_file, schema_file, epsilon, delta, out = sys.argv[1:]
    steps = Steps(lambda _: None)
    steps("plan")
    schema = load_schema(Path(schema_file))
    check_file(Path(table_file), schema)
    plan = synthesizer(name).plan(schema, check_budget(float(epsilon), float(delta), schema.n_public.value))
    steps("read")
    table = read_table(Path(table_file), schema)
    streams = Streams(0)
    noise = system_noise()
    model = plan.fit(table.bounded(noise), PrivacyFilter(plan.cost, noise), streams["fit"], lambda _: steps("fit"))
    del table
    steps("sample and write")
    left, stream = max(1, round(model.n_rows_estimate)), streams["sample"]
    with Path(out).open("wb") as file:
        file.write(model.sample(0, stream).csv())  # the header
        while left > 0:
            drawn = model.sample(min(left, BLOCK_ROWS), stream).csv()
            file.write(drawn[drawn.index(b"\n") + 1 :])
            left -= BLOCK_ROWS
    print(json.dumps({"steps": steps.seconds, "estimate": plan.estimate.seconds}))


if __name__ == "__main__":
    main()
