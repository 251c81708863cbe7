"""A small release to ask for: a table with marked cells, its schema, policies of known verdict, the ledger's tally.

The marked cells stand in a column that is dropped and in one whose list they are not on, so nothing that is written
down may hold them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from api.further_rows import FurtherRows
from api.home import Home
from api.recipe import Recipe
from privacy.journal import verify as verify_chain

CANARY = "CANARY-7f3a"
HEADER = "region,age,income,approved"
FEW = 120
"""Rows of which too few are held back for a map to be drawn of them: what is killed and raced needs none."""

TABLE, SCHEMA, POLICY, LEDGER, OUT = "private-table.csv", "schema.json", "policy.json", "ledger.db", "bundle"
POPULATION = "people-of-the-scene"

DOCUMENT: dict[str, Any] = {
    "name": "scene",
    "missingValues": [""],
    "fields": [
        {"name": "region", "type": "string", "categories": ["n", "s", "e"], "source": "public", "cite": "map"},
        {"name": "note", "type": "string", "role": "text"},
        {"name": "age", "type": "integer", "constraints": {"minimum": 18, "maximum": 90}, "source": "public",
         "cite": "form"},
        {"name": "income", "type": "number", "constraints": {"minimum": 0, "maximum": 9000}, "source": "public",
         "cite": "form"},
        {"name": "approved", "type": "boolean", "role": "target"},
    ],
    "privacy": {
        "population": POPULATION,
        "unit": "row",
        "adjacency": "add-or-remove",
        "n_public": "none",
        "cap": {"epsilon": 100, "delta": 1e-4},
    },
}  # fmt: skip


def policy(**changes: Any) -> dict[str, Any]:
    """A policy of one blocking check, on a fidelity figure every table has, with limits of one's choice."""
    check = {
        "audit": "marginals", "quantity": "excess total variation, 2-way", "subjects": "table", "worse": "higher",
        "pass_limit": 5.0, "withhold_limit": 5.0, "min_n": 0, "effect": "block", "required": True,
    }  # fmt: skip
    known = {key: changes.pop(key) for key in ("pass_limit", "withhold_limit") if key in changes}
    return {"name": "scene", "tier": "test", "requires_dp": True, "max_epsilon": 16.0,
            "attempts": 1_000, **changes,
            "checks": [check | known]}  # fmt: skip


OPEN, REVIEWED, CLOSED = policy(), policy(pass_limit=-5.0), policy(pass_limit=-5.0, withhold_limit=-5.0)
"""Policies under which the release is let out, waits for a review, is withheld: whatever the noise."""


def scene(
    folder: Path, rules: dict[str, Any], *, rows: int = 300, cap: tuple[float, float] = (100.0, 1e-4)
) -> tuple[Recipe, Home]:
    """Write table, schema and policy into a folder, and ask for a release of them."""
    document = deepcopy(DOCUMENT)
    document["privacy"]["cap"] = {"epsilon": cap[0], "delta": cap[1]}
    asked = request(folder, marked(rows).encode(), document, rules)
    return replace(asked[0], synthesizer="independent", seed=7), asked[1]


def request(
    folder: Path, table: bytes, document: Mapping[str, Any], rules: Mapping[str, Any], **changes: Any
) -> tuple[Recipe, Home]:
    """Write any table (as CSV), its schema and a policy into a folder, and ask for a release by MST at epsilon 1."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TABLE).write_bytes(table)
    (folder / SCHEMA).write_text(json.dumps(document))
    (folder / POLICY).write_text(json.dumps(rules))
    recipe = Recipe(
        table=folder / TABLE,
        schema=folder / SCHEMA,
        synthesizer="mst",
        epsilon=1.0,
        delta=1e-6,
        policy=str(folder / POLICY),
        out=folder / OUT,
        rows=None,
        seed=3,
        request="",
    )
    return replace(recipe, **changes), Home(folder / LEDGER)


def marked(rows: int) -> str:
    """Rows of plain numbers, with a marked text in every row and a marked region in every fiftieth."""
    rng = np.random.default_rng(11)
    lines = ["region,note,age,income,approved"]
    for i in range(rows):
        region = CANARY if i % 50 == 0 else "nse"[rng.integers(3)]
        age, income, approved = rng.integers(18, 91), rng.integers(0, 900_000) / 100, rng.integers(2)
        lines.append(f"{region},{CANARY} {i},{age},{income},{'true' if approved else 'false'}")
    return "\n".join(lines) + "\n"


def write_table(path: Path, rows: int) -> None:
    """The marked table as a file."""
    path.write_text(marked(rows))


def as_json(recipe: Recipe) -> dict[str, Any]:
    """A recipe to be handed to another process."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(recipe).items()}


def from_json(fields: dict[str, Any]) -> Recipe:
    """The recipe another process handed over."""
    return Recipe(**{name: Path(value) if name in ("table", "schema", "out") else value
                     for name, value in fields.items()})  # fmt: skip


def kinds(home: Home) -> Counter[str]:
    """How many entries of every kind the ledger has, once its chain was recomputed."""
    if not home.path.exists():
        return Counter()
    with home.ledger.journal.transaction() as transaction:
        entries = list(transaction.entries())
    assert verify_chain(entries)[0] == len(entries)
    return Counter(entry.kind for entry in entries)


def plaintext(folder: Path, *marks: str) -> list[str]:
    """Files other than the table itself in which a mark is found in the clear."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and path.name != TABLE:
            content = path.read_bytes()
            found += [f"{mark!r} in {path.relative_to(folder)}" for mark in marks if mark.encode() in content]
    return found


def further(recipe: Recipe, out: str, **changes: Any) -> FurtherRows:
    """Ask a released model for more rows."""
    plain = FurtherRows(
        model=recipe.out,
        rows=1_200,
        table=None,
        where=(),
        balance=(),
        given=None,
        policy=recipe.policy,
        out=recipe.out.with_name(out),
        seed=5,
    )
    return replace(plain, **changes)
