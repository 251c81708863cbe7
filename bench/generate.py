"""A generator alone: python -m bench.generate NAME TABLE SCHEMA EPSILON DELTA OUT.csv.

Prints seconds by step, the estimate the plan gave, and the largest memory, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from api.coins import fresh_coins
from api.splitting import assigned
from api.steps import Steps
from api.streams import Streams
from audits.assignment import Design
from privacy.calibration import check_budget
from privacy.files import check_file
from privacy.filter import PrivacyFilter
from privacy.noise import NoiseSource, system_noise
from privacy.rows import Inline, Rows, held
from privacy.schema import Schema
from privacy.schema_file import load_schema
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
    streams = Streams(0)
    noise = system_noise()
    rows = all_rows(Path(table_file), schema, noise)
    model = plan.fit(rows, PrivacyFilter(plan.cost, noise), streams["fit"], lambda step: steps(f"fit: {step}"))
    del rows
    steps("sample and write")
    left, stream = max(1, round(model.n_rows_estimate)), streams["sample"]
    with Path(out).open("wb") as file:
        file.write(model.sample(0, stream).csv())  # the header
        while left > 0:
            drawn = model.sample(min(left, BLOCK_ROWS), stream).csv()
            file.write(drawn[drawn.index(b"\n") + 1 :])
            left -= BLOCK_ROWS
    facts = {"steps": steps.seconds, "estimate": plan.estimate.seconds, "megabytes": peak_megabytes()}
    print(json.dumps(facts))


def peak_megabytes() -> float:
    """The most this process held. What `getrusage` says is at least what its parent held when it was started."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / 1024


def all_rows(path: Path, schema: Schema, noise: NoiseSource) -> Rows:
    """Every row of a file, as a release would train on them: held, or read again for every count."""
    table = held(path, schema)
    if table is not None:
        return table.bounded(noise)
    everybody = Design(reference=0.0, pool=0.0)
    return assigned(path, schema, everybody, fresh_coins(noise), Inline()).train


if __name__ == "__main__":
    main()
