"""Structure every row of a table has by definition, and how one row is made to have it.

Three kinds of rule are written in a schema (`privacy.constraint_file`), each with a citation, since it is public
knowledge like a bound: an implication between conditions (a forbidden combination is one too), an order between two
number columns, and a derivation, which says how a column follows from others. A rule on an order holds where one of
its numbers is missing.

A row that breaks a rule is repaired by a function of that row alone: adding a unit changes nothing in anybody else's
rows, so the repair costs nothing and the sensitivity of what is measured afterwards is what it was. The same repair is
the last step of sampling, which is why every released row keeps every rule. Rules are applied in an order in which no
rule reads a column that a later one changes, so one pass is enough; a schema without such an order is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from privacy.columns import Column, LevelColumn, NumberColumn
from privacy.conditions import Condition, LevelsAllowed, Mask, NumbersAllowed, all_met
from privacy.schema import Schema
from privacy.table import Table

Values: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Implication:
    """Rows that meet all of `when` meet `then`. Repaired by changing the column of `then`."""

    when: tuple[Condition, ...]
    then: Condition

    @property
    def reads(self) -> frozenset[str]:
        """Columns it depends on and does not change."""
        return frozenset(c.column for c in self.when)

    @property
    def words(self) -> str:
        """The rule in words."""
        return f"if {' and '.join(c.words for c in self.when)}, then {self.then.words}"

    def met(self, table: Table) -> Mask:
        """Which rows keep it, shape (n,)."""
        return ~all_met(self.when, table) | self.then.met(table)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """`low` is at most `high` where both are present."""

    low: str
    high: str

    @property
    def words(self) -> str:
        """The rule in words."""
        return f"{self.low} is at most {self.high}"

    def met(self, table: Table) -> Mask:
        """Which rows keep it, shape (n,). A comparison with a missing number is false."""
        return ~(table.numbers(self.low) > table.numbers(self.high))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """A column that follows from others: the value of the first case a row meets, missing where it meets none.

    Attributes:
        column: the derived column.
        cases: conditions, and the level, the number or None that follows.
    """

    column: str
    cases: tuple[tuple[tuple[Condition, ...], str | float | None], ...]

    @property
    def reads(self) -> frozenset[str]:
        """Columns it follows from."""
        return frozenset(c.column for conditions, _ in self.cases for c in conditions)

    @property
    def words(self) -> str:
        """The rule in words."""
        return f"{self.column} follows from {', '.join(sorted(self.reads))}"

    def values(self, table: Table) -> Values:
        """The derived column of a table, shape (n,)."""
        column = table.schema[self.column]
        out: Values
        if isinstance(column, LevelColumn):
            missing: float = column.n_codes - 1
            codes = {level: code for code, level in enumerate((*column.declared, column.other))}
            coded = [missing if value is None else codes[str(value)] for _, value in self.cases]
            out = np.full(len(table), missing, dtype=np.int32)
        else:
            coded = [np.nan if value is None else float(value) for _, value in self.cases]
            out = np.full(len(table), np.nan)
        for (conditions, _), value in zip(reversed(self.cases), reversed(coded), strict=True):
            out[all_met(conditions, table)] = value
        return out

    def met(self, table: Table) -> Mask:
        """Which rows keep it, shape (n,)."""
        return _equal(self.values(table), table.columns[self.column])


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A column that repeats another of the same kind."""

    column: str
    source: str

    @property
    def reads(self) -> frozenset[str]:
        """The column it repeats."""
        return frozenset({self.source})

    @property
    def words(self) -> str:
        """The rule in words."""
        return f"{self.column} repeats {self.source}"

    def values(self, table: Table) -> Values:
        """The derived column of a table, shape (n,)."""
        return table.columns[self.source].copy()

    def met(self, table: Table) -> Mask:
        """Which rows keep it, shape (n,)."""
        return _equal(self.values(table), table.columns[self.column])


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredMap:
    """A column that follows from one with levels, by a map nobody wrote down.

    The map is read off a fitted model: beside every level the most frequent level, or the median of a number. Until
    then nothing is promised of the column, and it is measured and modelled like any other.
    """

    column: str
    source: str

    @property
    def words(self) -> str:
        """The rule in words."""
        return f"{self.column} follows from {self.source}, by a map read off the fitted model"

    def resolved(self, drawn: Table) -> Cases:
        """The map, from rows drawn from the fitted model: public, since they are."""
        source, column = drawn.schema[self.source], drawn.schema[self.column]
        if not isinstance(source, LevelColumn):
            raise TypeError(f"'{self.source}' has no levels")
        of, values = drawn.codes(self.source), drawn.columns[self.column]
        texts = [frozenset({text}) for text in (*source.declared, source.other)]
        cases = []
        for code, levels in enumerate([*texts, frozenset[str]()]):
            beside = values[of == code] if (of == code).any() else values
            condition = LevelsAllowed(column=self.source, levels=levels, missing=not levels)
            cases.append(((condition,), _typical(column, beside)))
        return Cases(column=self.column, cases=tuple(cases))


def _typical(column: Column, values: Values) -> str | float | None:
    """The most frequent level or the median number; missing where most are."""
    if isinstance(column, LevelColumn):
        words: list[str | None] = [*column.declared, column.other, None]
        return words[int(np.bincount(values, minlength=column.n_codes).argmax())]
    present = np.sort(values[~np.isnan(values)])
    return None if 2 * len(present) < len(values) or not len(present) else float(present[len(present) // 2])


Derivation: TypeAlias = Cases | Copy


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Rules repaired together, because they change the same columns: implications of one, or connected orders."""

    implications: tuple[Implication, ...] = ()
    orders: tuple[Order, ...] = ()

    def repair(self, columns: dict[str, Values], table: Table) -> None:
        """Change the columns of a table so that the rules hold, row by row."""
        now = replace(table, columns=columns)
        if self.implications:
            name = self.implications[0].then.column
            columns[name] = _allowed(now, table.schema[name], self.implications)
        if self.orders:
            _sort(columns, table.schema, self.orders)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """The rules of a schema.

    Attributes:
        steps: implications and orders, each step after those that change what it reads.
        derived: columns that follow from others, and are neither measured nor modelled.
        maps: columns that follow by a map still to be read off a model.
    """

    steps: tuple[Step, ...] = ()
    derived: tuple[Derivation, ...] = ()
    maps: tuple[MeasuredMap, ...] = ()

    @property
    def rules(self) -> tuple[Implication | Order | Cases | Copy, ...]:
        """Every rule a row can be held against."""
        found: list[Implication | Order | Cases | Copy] = []
        for step in self.steps:
            found += [*step.implications, *step.orders]
        return (*found, *self.derived)

    @property
    def derived_names(self) -> frozenset[str]:
        """Columns that are worked out and never modelled."""
        return frozenset(rule.column for rule in self.derived)

    @property
    def changed(self) -> frozenset[str]:
        """Columns that a repair may change, or that are derived."""
        found = {rule.then.column for step in self.steps for rule in step.implications}
        found |= {name for step in self.steps for rule in step.orders for name in (rule.low, rule.high)}
        return frozenset(found | {rule.column for rule in (*self.derived, *self.maps)})

    @property
    def words(self) -> tuple[str, ...]:
        """Every rule in words."""
        return tuple(rule.words for rule in (*self.rules, *self.maps))

    def modelled(self, schema: Schema) -> Schema:
        """The schema without the columns that are derived."""
        return replace(schema, columns=tuple(c for c in schema.columns if c.name not in self.derived_names))

    def completed(self, schema: Schema, bought: Schema) -> Schema:
        """A schema with the domains that were bought for the modelled columns; a copy has the domain of its source."""
        columns = {column.name: column for column in bought.columns}
        for rule in self.derived:
            if isinstance(rule, Copy):
                columns[rule.column] = _domain_of(schema[rule.column], columns[rule.source])
        return schema.with_columns(columns)

    def repair(self, table: Table) -> Table:
        """The table with every row made to keep the rules between modelled columns; derived ones are left alone."""
        columns = dict(table.columns)
        for step in self.steps:
            step.repair(columns, table)
        return replace(table, columns=columns)

    def complete(self, table: Table, schema: Schema) -> Table:
        """Rows of the modelled columns, repaired, with the derived columns added."""
        whole = self.repair(replace(table, schema=schema))
        columns = dict(whole.columns)
        for rule in self.derived:
            columns[rule.column] = rule.values(whole)
        return replace(whole, columns={c.name: columns[c.name] for c in schema.columns})

    def resolved(self, drawn: Table) -> Constraints:
        """The rules with every map read off rows drawn from a fitted model."""
        return replace(self, derived=(*self.derived, *(one.resolved(drawn) for one in self.maps)), maps=())


def _allowed(table: Table, column: Column, rules: Iterable[Implication]) -> Values:
    """Values of a column moved into what the active rules of every row allow.

    Rows are taken together by which rules are active: of a list the first allowed level is taken, of an interval the
    nearest end, and missing where nothing else is allowed.
    """
    rules = tuple(rules)
    values = table.columns[column.name].copy()
    active = np.zeros(len(table), dtype=np.int64)
    for bit, rule in enumerate(rules):
        active |= all_met(rule.when, table).astype(np.int64) << bit
    for pattern in np.unique(active[active > 0]):
        together = [rule.then for bit, rule in enumerate(rules) if pattern >> bit & 1]
        allowed = reduce(_both, together)
        broken = (active == pattern) & ~allowed.met(table)
        values[broken] = _moved(values[broken], column, allowed)
    return values


def _moved(values: Values, column: Column, allowed: Condition) -> Values:
    if isinstance(column, LevelColumn) and isinstance(allowed, LevelsAllowed):
        return np.full_like(values, int(np.argmax(allowed.allows(column.declared, column.other))))
    if not isinstance(column, NumberColumn) or not isinstance(allowed, NumbersAllowed):
        raise TypeError(f"the condition is not one of '{column.name}'")
    low = allowed.minimum if column.minimum is None else max(allowed.minimum, column.minimum)
    high = allowed.maximum if column.maximum is None else min(allowed.maximum, column.maximum)
    if low > high:
        return np.full_like(values, np.nan)
    end = low if np.isfinite(low) else high
    return np.clip(np.where(np.isnan(values), end, values), low, high)


def _both(a: Condition, b: Condition) -> Condition:
    return a.intersected(b)  # the kinds agree: both are of one column


def _sort(columns: dict[str, Values], schema: Schema, orders: tuple[Order, ...]) -> None:
    """Make low <= high along every order.

    Two numbers the wrong way round change places where each lies within the other's bounds: that moves neither
    column's distribution more than it must, and every change removes an inversion, so it ends. What is left is lifted
    to `low`, and is missing where its bounds do not reach that far.
    """
    bounds = {name: _bounds(schema[name]) for rule in orders for name in (rule.low, rule.high)}
    for _ in range(len(bounds) ** 2):
        moved = False
        for rule in orders:
            low, high = columns[rule.low], columns[rule.high]
            swap = (low > high) & (high >= bounds[rule.low][0]) & (low <= bounds[rule.high][1])
            if swap.any():
                columns[rule.low], columns[rule.high] = np.where(swap, high, low), np.where(swap, low, high)
                moved = True
        if not moved:
            break
    for rule in orders:
        low, high = columns[rule.low], columns[rule.high]
        lifted = np.where(low <= bounds[rule.high][1], low, np.nan)
        columns[rule.high] = np.where(low > high, lifted, high)


def _bounds(column: Column) -> tuple[float, float]:
    if not isinstance(column, NumberColumn):
        raise TypeError(f"'{column.name}' is not a number")
    return (
        -np.inf if column.minimum is None else column.minimum,
        np.inf if column.maximum is None else column.maximum,
    )


def _equal(a: Values, b: Values) -> Mask:
    """Whether two coded columns agree, missing with missing."""
    same: Mask = (a == b) | ((a != a) & (b != b))
    return same


def _domain_of(copy: Column, source: Column) -> Column:
    if isinstance(copy, LevelColumn) and isinstance(source, LevelColumn):
        return replace(copy, levels=source.levels, other=source.other)
    if isinstance(copy, NumberColumn) and isinstance(source, NumberColumn):
        return replace(copy, minimum=source.minimum, maximum=source.maximum)
    raise TypeError(f"'{copy.name}' is of another kind than what it repeats")


def broken(constraints: Constraints, table: Table) -> Mapping[str, int]:
    """Rows that break each rule. Exact, hence internal when the table is private."""
    return {rule.words: int((~rule.met(table)).sum()) for rule in constraints.rules}
