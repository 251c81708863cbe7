"""Hand-made tables: a mixed population with known structure, one of few distinct rows, and one of persons.

Every table is drawn from a seed, so that a fresh draw of the same population is one call away.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from privacy.columns import NumberColumn
from privacy.schema import Schema
from privacy.schema_file import parse_schema
from privacy.table import Table

CITE = "codebook of the made-up survey, 2024"
REGIONS = ("north", "south", "east", "west", "coast", "hills", "islands", "abroad")
ETHNICITIES = ("a", "b", "c", "d")
EDUCATION = ("none", "primary", "secondary", "college", "degree", "doctorate")
MARITAL = ("single", "married", "divorced", "widowed")
FIRST_DAY, LAST_DAY = 14_610, 20_088  # 2010-01-01 to 2024-12-31, in days since 1970
LOW_LEVELS = ("p", "q", "r", "s")


def _levels(name: str, levels: tuple[str, ...], **extra: Any) -> dict[str, Any]:
    return {"name": name, "type": "string", "categories": list(levels), "source": "public", "cite": CITE, **extra}


def _numbers(name: str, kind: str, low: Any, high: Any, **extra: Any) -> dict[str, Any]:
    bounds = {"minimum": low, "maximum": high}
    return {"name": name, "type": kind, "constraints": bounds, "source": "public", "cite": CITE, **extra}


def _privacy(unit: Any) -> dict[str, Any]:
    return {
        "population": "made-up-survey",
        "unit": unit,
        "adjacency": "add-or-remove",
        "n_public": "none",
        "cap": {"epsilon": 10, "delta": 1e-5},
    }


MIXED_FIELDS = [
    _levels("region", REGIONS),
    _levels("sex", ("female", "male"), sensitive=True),
    _levels("ethnicity", ETHNICITIES, sensitive=True),
    _levels("education", EDUCATION, categoriesOrdered=True),
    _levels("marital-status", MARITAL),
    {"name": "employed", "type": "boolean"},
    _numbers("age", "integer", 18, 90),
    _numbers("capital gains", "integer", 0, 100_000),
    _numbers("income", "number", 0, 500_000),
    _numbers("waist_ratio", "number", 0.3, 0.9),
    _numbers("joined", "date", "2010-01-01", "2024-12-31"),
    {"name": "approved", "type": "boolean", "role": "target"},
]

MIXED_DOCUMENT: dict[str, Any] = {
    "name": "mixed",
    "missingValues": ["", "NA"],
    "fields": MIXED_FIELDS,
    "privacy": _privacy("row"),
}


def mixed_schema() -> Schema:
    """Twelve columns of every kind, all bounds and lists public; one target, two sensitive columns."""
    return parse_schema(MIXED_DOCUMENT)


def person_schema() -> Schema:
    """The mixed schema, protecting persons of at most five rows."""
    fields = [{"name": "person", "type": "string", "role": "identifier"}, *MIXED_FIELDS]
    unit = {"field": "person", "max_rows": 5}
    return parse_schema({**MIXED_DOCUMENT, "name": "persons", "fields": fields, "privacy": _privacy(unit)})


def low_schema() -> Schema:
    """Six categorical columns of four levels each: 4,096 possible rows."""
    fields = [_levels(f"c{j}", LOW_LEVELS) for j in range(6)]
    return parse_schema({"name": "low", "fields": fields, "privacy": _privacy("row")})


def population(n: int, seed: int) -> Table:
    """n independent rows of the mixed population.

    Skewed categories, a rare group ("d" is 4%), a heavy-tailed integer with 85% zeros, a column with 10% missing, and
    a target that depends on education, income and sex.
    """
    return Table(mixed_schema(), _mixed(n, np.random.default_rng(seed)), {}, np.arange(n, dtype=np.int64))


def people(n: int, seed: int) -> Table:
    """n persons of one to five rows each; the rows of a person are nearly alike."""
    rng = np.random.default_rng(seed)
    first = _mixed(n, rng)
    owner = np.repeat(np.arange(n), rng.integers(1, 6, n))
    columns = {name: values[owner] for name, values in first.items()}
    columns["income"] = np.clip(columns["income"] + rng.normal(0, 50, len(owner)), 0, 500_000)
    return Table(person_schema(), columns, {}, owner.astype(np.int64))


def low_cardinality(n: int, seed: int) -> Table:
    """n rows of six uneven four-level columns: most rows have a twin."""
    rng = np.random.default_rng(seed)
    weights = np.array([0.6, 0.2, 0.15, 0.05])
    columns = {f"c{j}": rng.choice(4, n, p=weights).astype(np.int32) for j in range(6)}
    return Table(low_schema(), columns, {}, np.arange(n, dtype=np.int64))


def _mixed(n: int, rng: Generator) -> dict[str, npt.NDArray[Any]]:
    region = _choose(rng, n, (0.35, 0.25, 0.15, 0.1, 0.07, 0.05, 0.02, 0.01))
    sex = _choose(rng, n, (0.52, 0.48))
    ethnicity = _choose(rng, n, (0.7, 0.18, 0.08, 0.04))
    age = np.rint(18 + 72 * rng.beta(1.6, 2.4, n))
    education = np.clip(np.rint(rng.normal(2.3 + 0.4 * (region == 0), 1.1, n)), 0, 5).astype(np.int32)
    marital = np.where(age < 27, 0, _choose(rng, n, (0.2, 0.55, 0.17, 0.08)))
    employed = (rng.random(n) < np.where(age < 66, 0.8, 0.1)).astype(np.int32)
    income = np.minimum(np.exp(rng.normal(9.6 + 0.22 * education + 0.2 * sex + 0.3 * employed, 0.6, n)), 500_000)
    gains = np.where(rng.random(n) < 0.15, np.minimum(np.rint(np.exp(rng.normal(7.5, 1.5, n))), 100_000), 0.0)
    waist = np.clip(rng.normal(0.48 + 0.0015 * (age - 18), 0.06, n), 0.3, 0.9)
    logit = -1.4 + 0.7 * (education - 2) + 1.1 * (np.log(income) - 10) + 0.5 * sex - 0.4 * (ethnicity > 0)
    return {
        "region": region,
        "sex": sex,
        "ethnicity": ethnicity,
        "education": education,
        "marital-status": marital.astype(np.int32),
        "employed": employed,
        "age": age,
        "capital gains": gains,
        "income": np.round(income, 2),
        "waist_ratio": np.where(rng.random(n) < 0.1, np.nan, np.round(waist, 3)),
        "joined": np.floor(rng.triangular(FIRST_DAY, LAST_DAY, LAST_DAY, n)),
        "approved": (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.int32),
    }


def _choose(rng: Generator, n: int, probabilities: tuple[float, ...]) -> npt.NDArray[np.int32]:
    return rng.choice(len(probabilities), n, p=probabilities).astype(np.int32)


def number_columns(schema: Schema) -> tuple[NumberColumn, ...]:
    """The number columns of a schema, in order."""
    return tuple(column for column in schema.columns if isinstance(column, NumberColumn))


def fingerprint(table: Table) -> str:
    """SHA-256 over the coded rows: equal for equal tables."""
    state = hashlib.sha256(table.schema.digest.encode())
    for name in sorted(table.columns):
        state.update(name.encode() + np.ascontiguousarray(table.columns[name]).tobytes())
        state.update("\x00".join(table.vocabularies.get(name, ())).encode())
    return state.hexdigest()
