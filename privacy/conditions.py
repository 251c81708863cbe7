"""Conditions on a row, column by column: what `--where` asks for and what constraints are written with.

A condition allows some values of one column: a set of levels, an interval of numbers, or missing. It speaks of public
values alone, so it may be published.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from privacy.columns import Column, LevelColumn, NumberColumn, parse_bound
from privacy.errors import RequestError
from privacy.schema import Schema, level_text, quoted
from privacy.table import Table

Mask: TypeAlias = npt.NDArray[np.bool_]

WRITTEN = re.compile(r"^\s*(?P<column>.+?)\s*(?P<sign><=|>=|!=|=)\s*(?P<value>.*?)\s*$", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelsAllowed:
    """A column with levels holds one of some levels, by their texts; `missing` allows an empty cell too.

    By text, so that a condition on a list that is still to be bought can be written: a level that was not bought is
    met by no row.
    """

    column: str
    levels: frozenset[str]
    missing: bool

    def allows(self, words: Sequence[str], other: str) -> Mask:
        """Which codes meet it, shape (len(words) + 2,): those of a list of levels, OTHER and missing."""
        return np.array([*(word in self.levels for word in (*words, other)), self.missing])

    def met(self, table: Table) -> Mask:
        """Which rows meet it, shape (n,). A list that is still to be bought is read as the rows have it: private."""
        column = table.schema[self.column]
        if not isinstance(column, LevelColumn):
            raise TypeError(f"'{self.column}' has no levels")
        words = table.vocabularies.get(self.column, column.declared)
        return self.allows(words, column.other)[table.codes(self.column)]

    def intersected(self, other: Condition) -> LevelsAllowed:
        """What meets both."""
        if not isinstance(other, LevelsAllowed):
            raise TypeError(f"'{self.column}' has levels")
        return LevelsAllowed(
            column=self.column, levels=self.levels & other.levels, missing=self.missing and other.missing
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing meets it."""
        return not self.levels and not self.missing

    @property
    def words(self) -> str:
        """The condition in words."""
        return f"{self.column} is {' or '.join((*sorted(self.levels), *(['missing'] if self.missing else [])))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NumbersAllowed:
    """A number column lies in a closed interval; `missing` allows an empty cell too. Dates are days or seconds."""

    column: str
    minimum: float
    maximum: float
    missing: bool

    def met(self, table: Table) -> Mask:
        """Which rows meet it, shape (n,)."""
        values = table.numbers(self.column)
        inside = (values >= self.minimum) & (values <= self.maximum)
        return np.where(np.isnan(values), self.missing, inside)

    def intersected(self, other: Condition) -> NumbersAllowed:
        """What meets both."""
        if not isinstance(other, NumbersAllowed):
            raise TypeError(f"'{self.column}' has no levels")
        return NumbersAllowed(
            column=self.column,
            minimum=max(self.minimum, other.minimum),
            maximum=min(self.maximum, other.maximum),
            missing=self.missing and other.missing,
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing meets it."""
        return self.minimum > self.maximum and not self.missing

    @property
    def words(self) -> str:
        """The condition in words; dates in days or seconds since 1970."""
        if self.minimum > self.maximum:
            return f"{self.column} is missing"
        parts = [f"at least {self.minimum:.15g}"] if self.minimum > -math.inf else []
        parts += [f"at most {self.maximum:.15g}"] if self.maximum < math.inf else []
        interval = f"{self.column} is {' and '.join(parts) or 'present'}"
        return f"{interval}, or missing" if self.missing else interval


Condition: TypeAlias = LevelsAllowed | NumbersAllowed


def all_met(conditions: Iterable[Condition], table: Table) -> Mask:
    """Rows that meet every condition, shape (n,)."""
    met = np.ones(len(table), dtype=bool)
    for condition in conditions:
        met &= condition.met(table)
    return met


def condition_of(schema: Schema, name: str, written: Any) -> Condition:
    """A condition from a parsed document.

    Args:
        schema: the schema that has the column.
        name: the column.
        written: one level or number; a list of levels, where null is missing; or a mapping with `minimum`, `maximum`
            and `missing`.

    Raises:
        RequestError: the column is not synthesised, a level is not in its public list, or a bound is not of its kind.
    """
    if name not in schema.names:
        raise RequestError(
            f"A condition names '{name}', which is not a synthesised column.",
            why="Only columns that leave can be asked about.",
            fix=f"The columns are {quoted(schema.names)}.",
        )
    column = schema[name]
    if isinstance(column, LevelColumn):
        return _levels(column, written)
    return _interval(column, written)


def complement(column: Column, condition: Condition) -> Condition:
    """What does not meet a condition. Raises RequestError where no one interval or known list says that."""
    if isinstance(column, LevelColumn) and isinstance(condition, LevelsAllowed):
        if column.levels is None:
            raise _sign(column.name, "list that is still to be bought", "`=`")
        rest = {*column.levels, column.other} - condition.levels
        return LevelsAllowed(column=column.name, levels=frozenset(rest), missing=not condition.missing)
    if not isinstance(column, NumberColumn) or not isinstance(condition, NumbersAllowed):
        raise TypeError(f"the condition is not one of '{column.name}'")
    step = 1.0 if column.is_discrete else 0.0
    below = condition.minimum - step if step else float(np.nextafter(condition.minimum, -math.inf))
    above = condition.maximum + step if step else float(np.nextafter(condition.maximum, math.inf))
    low, high = -math.inf, math.inf
    if condition.minimum <= condition.maximum:
        if condition.minimum > -math.inf and condition.maximum < math.inf:
            raise _sign(column.name, "number between two bounds", "a minimum or a maximum alone")
        low, high = (above, high) if condition.minimum == -math.inf else (low, below)
    return NumbersAllowed(column=column.name, minimum=low, maximum=high, missing=not condition.missing)


def parse_where(schema: Schema, text: str) -> Condition:
    """A condition as the command line writes it: `sex=Female`, `race!=White`, `age>=30`, `job=` for missing.

    Several levels are separated by `|`; `!=` is the complement, so it keeps missing values unless told. Raises
    RequestError.
    """
    match = WRITTEN.match(text)
    if match is None:
        raise RequestError(
            "A condition is not written as COLUMN=VALUE.",
            why="It says which rows are asked for.",
            fix="Write for example `sex=Female`, `sex=Female|Male`, `race!=White`, `age>=30` or `age<=64`.",
        )
    name, sign, value = match["column"], match["sign"], match["value"]
    words = [part.strip() or None for part in value.split("|")]
    column = schema[name] if name in schema.names else None
    if isinstance(column, NumberColumn):
        if words == [None] and sign in ("=", "!="):
            return complement(column, _interval(column, None)) if sign == "!=" else _interval(column, None)
        if sign == "!=" or len(words) > 1:
            raise _sign(name, "number", "`=`, `<=` or `>=` and one value")
        bounds = {"=": ("minimum", "maximum"), "<=": ("maximum",), ">=": ("minimum",)}[sign]
        return condition_of(schema, name, dict.fromkeys(bounds, value))
    if isinstance(column, LevelColumn) and sign == "!=":
        return complement(column, condition_of(schema, name, words))
    if column is not None and sign in ("<=", ">="):
        raise _sign(name, "list of levels", "`=` or `!=`")
    return condition_of(schema, name, words)


def _sign(name: str, kind: str, signs: str) -> RequestError:
    return RequestError(
        f"The condition on '{name}' uses a sign that a {kind} has no meaning for.",
        why="A condition must say plainly which rows it keeps.",
        fix=f"Use {signs}.",
    )


def _levels(column: LevelColumn, written: Any) -> LevelsAllowed:
    entries = written if isinstance(written, list | tuple) else [written]
    missing = any(entry is None for entry in entries)
    texts = [level_text(entry) for entry in entries if entry is not None]
    known = {level: level for level in (*column.declared, column.other)} | dict(column.aliases)
    if isinstance(written, Mapping) or (column.levels is not None and any(text not in known for text in texts)):
        raise RequestError(
            f"A condition on '{column.name}' names a level that is not in its list.",
            why="No row could ever meet it.",
            fix="Write levels as the schema does; null, or nothing on the command line, is missing.",
        )
    return LevelsAllowed(column=column.name, levels=frozenset(known.get(text, text) for text in texts), missing=missing)


def _interval(column: NumberColumn, written: Any) -> NumbersAllowed:
    if written is None:
        return NumbersAllowed(column=column.name, minimum=math.inf, maximum=-math.inf, missing=True)
    parts = written if isinstance(written, Mapping) else {"minimum": written, "maximum": written}
    try:
        if not set(parts) <= {"minimum", "maximum", "missing"} or not isinstance(parts.get("missing", False), bool):
            raise ValueError("an unknown part")
        low, high = (
            parse_bound(column.kind, column.date_format, parts[end]) if end in parts else default
            for end, default in (("minimum", -math.inf), ("maximum", math.inf))
        )
    except (TypeError, ValueError) as error:
        raise RequestError(
            f"A condition on '{column.name}' has a bound that is not of its kind.",
            why=f"The column is of kind {column.kind}.",
            fix="Write one value, or `minimum`, `maximum` and `missing`.",
        ) from error
    if low > high:
        raise RequestError(
            f"A condition on '{column.name}' has its minimum above its maximum.",
            why="No row could ever meet it.",
            fix="Swap them.",
        )
    return NumbersAllowed(column=column.name, minimum=low, maximum=high, missing=parts.get("missing", False))
