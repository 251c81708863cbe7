"""One column's public description, and the codec between its cells and numbers.

Two shapes cover every kind. A `LevelColumn` (categorical, ordinal, boolean) has a finite list of levels, and two more
that are always there: OTHER, for a value outside the list, and missing. A `NumberColumn` (integer, number, date,
datetime) has an interval and missing. Both codecs are total: no cell is an error, because an error that one row can
cause tells of that row. A number outside the interval is clamped; infinity, NaN and a wrong type become missing.

Dates are days and datetimes are seconds since 1970-01-01, as floats.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Codes: TypeAlias = npt.NDArray[np.int32]
Texts: TypeAlias = npt.NDArray[np.object_]

MAX_LEVEL_LENGTH = 200
"""A longer text is never a level: it becomes OTHER. Public, so that one huge cell cannot widen a discovered list."""

SECONDS_PER_DAY = 86_400.0


class Source(StrEnum):
    """Where a bound or a category list comes from."""

    PUBLIC = "public"
    MEASURED = "measured"
    OBSERVED = "observed"


class Role(StrEnum):
    """What a column is for. Identifiers, free text and dropped columns never leave."""

    FEATURE = "feature"
    TARGET = "target"
    IDENTIFIER = "identifier"
    TEXT = "text"
    DROP = "drop"


class Bins(StrEnum):
    """How a number column is cut into bins.

    UNIFORM needs nothing but bounds, and where one was bought follows the histogram it was read off. The others are
    bought: QUANTILE bins hold equal shares of the values, TREE cuts in halves where there are many values.
    """

    UNIFORM = "uniform"
    QUANTILE = "quantile"
    TREE = "tree"


class NumberKind(StrEnum):
    """The number-like Frictionless types."""

    INTEGER = "integer"
    NUMBER = "number"
    DATE = "date"
    DATETIME = "datetime"


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelColumn:
    """A categorical, ordinal or boolean column.

    Codes are 0..k-1 for the k levels, k for OTHER and k + 1 for missing.

    Attributes:
        levels: the declared or measured list; None until a measured list has been bought.
        ordered: whether the order of the levels means something.
        source: where the list comes from.
        cite: the document a public list is taken from.
        max_levels: public cap on a measured list.
        other: how OTHER is written on release.
        aliases: further spellings of a level, such as `True` for a boolean's `true`, or `3.0` for a number's `3`.
        missing: texts that mean missing; the first is written on release.
    """

    name: str
    levels: tuple[str, ...] | None
    ordered: bool
    source: Source
    cite: str
    max_levels: int | None
    other: str
    aliases: Mapping[str, str]
    missing: tuple[str, ...]
    role: Role
    sensitive: bool

    @property
    def n_codes(self) -> int:
        """Number of codes, OTHER and missing included."""
        return len(self.declared) + 2

    @property
    def declared(self) -> tuple[str, ...]:
        """The levels; empty while a measured list has not been bought."""
        return self.levels or ()

    def encode(self, texts: Texts) -> Codes:
        """Codes of stripped texts, shape (n,). Total: an unknown text is OTHER, an empty one is missing."""
        index = {level: code for code, level in enumerate(self.declared)}
        index.update({alias: index[level] for alias, level in self.aliases.items() if level in index})
        index.update(dict.fromkeys((*self.missing, ""), len(self.declared) + 1))
        other = len(self.declared)
        return np.fromiter((index.get(text, other) for text in texts), np.int32, len(texts))

    def decode(self, codes: Codes) -> Texts:
        """Level texts of codes, shape (n,); missing becomes None."""
        words: list[str | None] = [*self.declared, self.other, None]
        return np.array(words, dtype=object)[codes]


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberColumn:
    """An integer, real, date or datetime column.

    Attributes:
        minimum, maximum: the interval, in days or seconds since 1970 for dates; None until a measured bound is bought.
        minimum_source, maximum_source: where each bound comes from.
        minimum_cite, maximum_cite: the documents public bounds are taken from.
        date_format: `strftime` pattern of dates and datetimes; empty for numbers.
        bins: how it is cut.
        tail: share of the values that each measured bound may cut off; they are clamped to it.
    """

    name: str
    kind: NumberKind
    minimum: float | None
    maximum: float | None
    minimum_source: Source
    maximum_source: Source
    minimum_cite: str
    maximum_cite: str
    date_format: str
    bins: Bins = Bins.UNIFORM
    tail: float = 0.0
    missing: tuple[str, ...]
    role: Role
    sensitive: bool

    @property
    def is_discrete(self) -> bool:
        """Whether values are whole numbers of their unit."""
        return self.kind is not NumberKind.NUMBER

    @property
    def bounds(self) -> tuple[float, float]:
        """The interval; raises ValueError while a bound has not been bought."""
        if self.minimum is None or self.maximum is None:
            raise ValueError(f"the bounds of '{self.name}' have not been measured yet")
        return self.minimum, self.maximum

    def clamp(self, values: Floats) -> Floats:
        """Values moved into the known bounds; whole where the kind is discrete; NaN stays missing."""
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        whole = np.rint(values) if self.is_discrete else values
        return np.clip(whole, low, high)

    def write(self, value: float) -> str:
        """One non-missing value as the schema writes it."""
        match self.kind:
            case NumberKind.INTEGER:
                return str(int(value))
            case NumberKind.NUMBER:
                return repr(float(value))
            case NumberKind.DATE:
                return (dt.date(1970, 1, 1) + dt.timedelta(days=int(value))).strftime(self.date_format)
            case NumberKind.DATETIME:
                moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=int(value))
                return moment.strftime(self.date_format)


Column: TypeAlias = LevelColumn | NumberColumn


def parse_bound(kind: NumberKind, date_format: str, written: Any) -> float:
    """A bound of the schema file as a number. Raises ValueError when it is not one of the kind."""
    if kind in (NumberKind.DATE, NumberKind.DATETIME):
        moment = dt.datetime.strptime(str(written), date_format)
        seconds = moment.replace(tzinfo=moment.tzinfo or dt.UTC).timestamp()
        return float(math.floor(seconds / SECONDS_PER_DAY)) if kind is NumberKind.DATE else seconds
    if isinstance(written, bool) or not isinstance(written, int | float | str):
        raise ValueError("a bound is a number")
    value = float(written)
    if not math.isfinite(value) or (kind is NumberKind.INTEGER and not value.is_integer()):
        raise ValueError("a bound is finite, and whole where the kind is")
    return value


def is_date_format(date_format: str, samples: Sequence[dt.datetime] = (dt.datetime(2001, 2, 3, 4, 5, 6),)) -> bool:
    """Whether a pattern writes and reads back moments, so that a typing mistake is found before any row is read."""
    try:
        return all(dt.datetime.strptime(s.strftime(date_format), date_format).year == s.year for s in samples)
    except ValueError:
        return False
