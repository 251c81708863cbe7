"""A small table as a file, and as a stream of it: levels, texts still to be bought, numbers, and persons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from privacy.files import mark
from privacy.rows import Executor, Inline, Stream
from privacy.schema import Schema
from privacy.schema_file import parse_schema
from privacy.table import read_units

HEADER = ["person", "colour", "town", "age", "height"]
PUBLIC = {"source": "public", "cite": "codebook"}
COLOUR = {"name": "colour", "categories": ["red", "green"], **PUBLIC}
TOWNS = {"name": "town", "categories": ["Ulm", "Bonn", "Mainz"], **PUBLIC}
AGE = {"name": "age", "type": "integer", "constraints": {"minimum": 0, "maximum": 99}, **PUBLIC}
HEIGHT = {"name": "height", "type": "number", "constraints": {"minimum": 0, "maximum": 2}, **PUBLIC}
ANYBODY = {"name": "person", "role": "identifier"}
RULE = [{"if": {"town": "Ulm"}, "then": {"age": {"maximum": 60}}, "cite": "town law"}]


def _schema(fields: list[dict[str, Any]], unit: Any) -> Schema:
    privacy = {
        "population": "towns",
        "unit": unit,
        "adjacency": "add-or-remove",
        "n_public": "none",
        "cap": {"epsilon": 10, "delta": 1e-4},
        "constraints": RULE,
    }
    return parse_schema({"fields": fields, "missingValues": ["NA", ""], "privacy": privacy})


SCHEMA = _schema([ANYBODY, COLOUR, TOWNS, AGE, HEIGHT], "row")
"""Every row its own unit, everything public."""

_BOUGHT = [
    ANYBODY,
    COLOUR,
    {"name": "town", "source": "measured", "max_levels": 50},
    AGE,
    {"name": "height", "type": "number", "source": "measured", "bins": "tree"},
]
OPEN = _schema(_BOUGHT, "row")
"""Towns and heights still to be bought."""

PERSONS = _schema(_BOUGHT, {"field": "person", "max_rows": 2})
"""The same for persons of at most two rows."""


def written(path: Path, n: int, seed: int = 0) -> Path:
    """A file of n rows, in row groups of 150: of 300 persons and nobody, with cells that do not fit."""
    rng = np.random.default_rng(seed)
    towns = np.array(["Ulm", "Bonn", "Mainz", " Ulm ", "Köln", "NA", "x" * 300], dtype=object)
    persons = np.array([f"p{i}" for i in range(300)] + ["NA"], dtype=object)
    table = pa.table(
        {
            "person": pa.array(persons[rng.integers(len(persons), size=n)], pa.string()),
            "colour": pa.array(rng.choice(np.array(["red", "green", "blue", ""], dtype=object), n), pa.string()),
            "town": pa.array(towns[np.minimum(rng.geometric(0.4, n) - 1, 6)], pa.string()),
            "age": pa.array(np.where(rng.random(n) < 0.1, np.nan, rng.integers(-5, 120, n)), from_pandas=True),
            "height": pa.array(np.round(rng.normal(1.7, 0.2, n), 3)),
        }
    )
    if path.name.endswith(".parquet"):
        pq.write_table(table, path, row_group_size=150)
    else:
        stream = pa.CompressedOutputStream(str(path), "gzip") if path.suffix == ".gz" else pa.OSFile(str(path), "wb")
        with stream:
            pyarrow.csv.write_csv(table, stream)
    return path


def streamed(
    path: Path, schema: Schema, taken: npt.NDArray[np.bool_] | None = None, executor: Executor | None = None
) -> Stream:
    """All rows of a file that have a unit, or those of a mask, as a stream."""
    units = read_units(path, schema)
    return Stream(
        file=mark(path),
        declared=schema,
        schema=schema,
        taken=units >= 0 if taken is None else taken,
        units=None if schema.unit.field is None else units,
        executor=executor or Inline(),
    )
