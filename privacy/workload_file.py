"""The workload of a schema file: `privacy.workload`, which pairs and triples of columns matter, and how much.

    - {columns: [age, income], weight: 3}
    - {columns: [sex, education, income]}

Weights are whole numbers; a generator that chooses what to measure prefers a marginal of weight 2 to one of weight 1
that is twice as far off. Columns alone are always measured and are not listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from privacy.errors import SchemaError
from privacy.schema import Schema, quoted

MAX_WEIGHT = 10
MAX_ENTRIES = 5_000


def parse_workload(schema: Schema, written: Any) -> Mapping[tuple[str, ...], int]:
    """Weight of every marginal that is asked for, by its columns in schema order. Raises SchemaError."""
    if not isinstance(written, list) or not 1 <= len(written) <= MAX_ENTRIES:
        raise _bad(f"it is not a list of 1 to {MAX_ENTRIES} entries")
    derived = schema.constraints.derived_names if schema.constraints else frozenset[str]()
    found: dict[tuple[str, ...], int] = {}
    for number, entry in enumerate(written, start=1):
        if not isinstance(entry, Mapping) or not {"columns"} <= set(entry) <= {"columns", "weight"}:
            raise _bad(f"entry {number} is not `columns` with or without a `weight`")
        names, weight = entry["columns"], entry.get("weight", 1)
        if not isinstance(names, list) or len(set(map(str, names))) != len(names) or len(names) not in (2, 3):
            raise _bad(f"entry {number} does not name two or three different columns")
        unknown = [str(name) for name in names if name not in schema.names or name in derived]
        if unknown:
            raise _bad(f"entry {number} names {quoted(unknown)}, which is not synthesised or follows from others")
        if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= MAX_WEIGHT:
            raise _bad(f"the weight of entry {number} is not a whole number from 1 to {MAX_WEIGHT}")
        clique = tuple(name for name in schema.names if name in names)
        if clique in found:
            raise _bad(f"entry {number} repeats an earlier one")
        found[clique] = weight
    return found


def _bad(what: str) -> SchemaError:
    return SchemaError(
        f"`privacy.workload` cannot be used: {what}.",
        why="It says which marginals the budget is spent on.",
        fix="Write for example `[{columns: [age, income], weight: 2}]`, or leave it out.",
    )
