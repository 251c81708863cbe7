"""A first schema, read off the rows: every entry is `observed`, and no release accepts it.

A draft spares typing. What it found must be replaced by what a codebook publishes, or marked `measured`; the draft
itself is kept under `privacy.drafted`, so that a bound which was only relabelled is named on every statement.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from privacy.columns import MAX_LEVEL_LENGTH, NumberKind
from privacy.errors import TableError
from privacy.field_file import IDENTIFIER_NAME
from privacy.files import DAMAGED, read_header, read_texts
from privacy.schema_file import JSON_FLOAT

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "?")
DATE_FORMATS = {
    "%Y-%m-%d": NumberKind.DATE,
    "%d/%m/%Y": NumberKind.DATE,
    "%m/%d/%Y": NumberKind.DATE,
    "%Y-%m-%d %H:%M:%S": NumberKind.DATETIME,
    "%Y-%m-%dT%H:%M:%S": NumberKind.DATETIME,
    "%Y-%m-%dT%H:%M:%SZ": NumberKind.DATETIME,
}
MAX_CATEGORIES = 100
MAX_EXACT = 2**53
"""Beyond it a whole number has no canonical JSON form; its column is drafted as `number`."""
TRUTHS = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})
MANY = 10_000
"""Distinct texts of a column that are counted; a column with more is text or an identifier anyway."""


class _Quoting(yaml.SafeDumper):
    """Quotes every text a schema file would read as a number, `1e5` included, which YAML 1.1 takes for text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (as in its base)
        first: list(resolvers) for first, resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }


_Quoting.add_implicit_resolver("tag:yaml.org,2002:float", JSON_FLOAT, list("-0123456789"))


def draft_schema(path: Path) -> dict[str, Any]:
    """A schema document with every bound and list `observed`.

    Raises:
        TableError: the file is not a table, names a column twice, or is damaged behind its header.
    """
    header = read_header(path)
    if len(set(header)) != len(header):
        raise TableError(
            "The header names a column twice.",
            why="It would be unclear which one a field describes.",
            fix="Rename or drop one of them.",
        )
    n_rows, seen = _count(path, header)
    return draft_counts(path.name.split(".")[0], n_rows, seen)


def draft_counts(name: str, n_rows: int, seen: Mapping[str, Counter[str]]) -> dict[str, Any]:
    """A schema document from how often each text stands in each column of a table, in the order of its columns."""
    missing = [token for token in MISSING if any(token in counts for counts in seen.values())] or [""]
    drafted: dict[str, dict[str, Any]] = {}
    fields = [_field(column, counts, n_rows, missing, drafted) for column, counts in seen.items()]
    return {
        "name": name,
        "missingValues": missing,
        "fields": fields,
        "privacy": {
            "population": "WRITE-A-NAME",
            "unit": "row",
            "adjacency": "add-or-remove",
            "n_public": "none",
            "cap": {"epsilon": 1, "delta": 1e-6},
            "drafted": drafted,
        },
    }


def write_draft(document: dict[str, Any]) -> str:
    """The document as YAML, in its own order."""
    return yaml.dump(document, Dumper=_Quoting, sort_keys=False, allow_unicode=True, width=120)


def _count(path: Path, header: list[str]) -> tuple[int, dict[str, Counter[str]]]:
    """Number of rows, and how often each text stands in each column, up to `MANY` texts."""
    seen: dict[str, Counter[str]] = {name: Counter() for name in header}
    n_rows = 0
    try:
        for batch in read_texts(path):
            n_rows += len(next(iter(batch.values())))
            for name, texts in batch.items():
                if len(seen[name]) <= MANY:
                    seen[name].update(texts)
    except DAMAGED as error:
        raise TableError(
            f"'{path.name}' is damaged behind its header.",
            why="It could not be read to its end.",
            fix="Write the file again.",
        ) from error
    return n_rows, seen


def _field(
    name: str, counts: Counter[str], n_rows: int, missing: list[str], drafted: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    texts = [text for text in counts if text not in missing]
    distinct = len(texts)
    mostly_unique = n_rows > 50 and distinct > min(0.9 * n_rows, MANY)
    dates = _dates(texts)
    if IDENTIFIER_NAME.search(name) or (mostly_unique and not _decimals(texts) and dates is None):
        return {"name": name, "type": "string", "role": "identifier"}
    numbers = _numbers(texts)
    if numbers is not None and distinct > 2:
        whole = np.all((numbers == np.rint(numbers)) & (np.abs(numbers) < MAX_EXACT))
        kind = NumberKind.INTEGER if whole else NumberKind.NUMBER
        low, high = float(numbers.min()), float(numbers.max())
        drafted[name] = {"minimum": low, "maximum": high}
        bounds = {"minimum": int(low), "maximum": int(high)} if kind is NumberKind.INTEGER else drafted[name]
        return {"name": name, "type": str(kind), "constraints": dict(bounds), "source": "observed"}
    if dates is not None:
        return _date_field(name, *dates, drafted)
    if {text.lower() for text in texts} == {"true", "false"} and set(texts) <= TRUTHS:
        return {"name": name, "type": "boolean"}
    if distinct > MAX_CATEGORIES or any(len(text) > MAX_LEVEL_LENGTH for text in texts):
        return {"name": name, "type": "string", "role": "text"}
    levels = sorted(texts) or ["EMPTY"]
    drafted[name] = {"categories": list(levels)}
    return {"name": name, "type": "string", "categories": levels, "source": "observed"}


def _date_field(
    name: str, pattern: str, moments: np.ndarray[Any, Any], drafted: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    kind = DATE_FORMATS[pattern]
    ends = {part: moments[at].item().strftime(pattern) for part, at in _ends(moments).items()}
    drafted[name] = dict(ends)
    return {"name": name, "type": str(kind), "format": pattern, "constraints": ends, "source": "observed"}


def _ends(moments: np.ndarray[Any, Any]) -> dict[str, int]:
    return {"minimum": int(np.argmin(moments)), "maximum": int(np.argmax(moments))}


def _numbers(texts: list[str]) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    try:
        values = np.array([float(text) for text in texts])
    except ValueError:
        return None
    return values if len(values) and np.isfinite(values).all() else None


def _decimals(texts: list[str]) -> bool:
    values = _numbers(texts)
    return values is not None and not np.all(values == np.rint(values))


def _dates(texts: list[str]) -> tuple[str, np.ndarray[Any, Any]] | None:
    for pattern in DATE_FORMATS:
        try:
            moments = [dt.datetime.strptime(text, pattern) for text in texts]
        except ValueError:
            continue
        if moments:
            return pattern, np.array(moments, dtype="datetime64[s]")
    return None
