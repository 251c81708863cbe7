"""From the cells of a file to codes and floats, a batch of one column at a time. The only module that knows pandas.

Nothing in a cell is an error: what does not fit the schema becomes OTHER, missing or the nearest bound. What did not
fit is told to whoever asks (`schema check`), by column, rule and number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from privacy.columns import MAX_LEVEL_LENGTH, SECONDS_PER_DAY, Floats, LevelColumn, NumberColumn, NumberKind
from privacy.files import Cells, Words, cell_text
from privacy.schema import Schema

MAX_NUMBER_LENGTH = 64
Told: TypeAlias = Callable[[str, str, int], None]
"""Column, rule, and how many cells broke it."""


def level_codes(column: LevelColumn, cells: Words, told: Told | None) -> npt.NDArray[np.integer]:
    """Codes of a column whose levels are known, shape (n,), in the narrowest unsigned integers."""
    texts = np.array([*cells.texts], dtype=object)
    codes: npt.NDArray[np.integer] = column.encode(texts).astype(np.min_scalar_type(column.n_codes))[cells.at]
    if told is not None:
        told(column.name, "outside the list: OTHER", int((codes == len(column.declared)).sum()))
    return codes


def word_codes(column: LevelColumn, cells: Words) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    """Codes of a column whose list is still to be bought, and the texts they stand for, as they first appear.

    OTHER, which a text becomes that is too long for a level, is the code after the last text, and missing the next.
    """
    missing = {*column.missing, ""}
    usable = (t for t in cells.texts if t not in missing and len(t) <= MAX_LEVEL_LENGTH)
    place = {text: i for i, text in enumerate(dict.fromkeys(usable))}
    codes = [len(place) + 1 if t in missing else place.get(t, len(place)) for t in cells.texts]
    return np.array(codes, dtype=np.int32)[cells.at], tuple(place)


def numbers(column: NumberColumn, cells: Cells, told: Told | None) -> Floats:
    """Values of a number column, shape (n,), clamped to known bounds; NaN for missing."""
    values = _parsed(column, cells.texts)[cells.at] if isinstance(cells, Words) else cells
    values = np.where(np.isfinite(values) & ~np.isin(values, _sentinels(column)), values, np.nan)
    clamped = column.clamp(values)
    if told is not None:
        blank = {*column.missing, ""}
        n_blank = 0
        if isinstance(cells, Words):
            n_blank = int(np.array([t in blank for t in cells.texts], dtype=bool)[cells.at].sum())
        moved = clamped != (np.rint(values) if column.is_discrete else values)
        told(column.name, "wrong type or not finite: missing", int(np.isnan(values).sum()) - n_blank)
        told(column.name, "outside the bounds: clamped", int((moved & ~np.isnan(values)).sum()))
    return clamped


class People:
    """Numbers persons by the text of their identifier, in the order in which they first appear."""

    def __init__(self, schema: Schema) -> None:
        self._missing = {cell_text(token) for token in schema.document.get("missingValues", [])} | {""}
        self._numbers: dict[str, int] = {}

    def numbered(self, cells: Cells) -> npt.NDArray[np.int64]:
        """Everybody's number, shape (n,); -1 for a row without an identifier."""
        if not isinstance(cells, Words):
            raise TypeError("identifiers are read as texts")
        texts = [cell_text(text) for text in cells.texts]
        found = [-1 if t in self._missing else self._numbers.setdefault(t, len(self._numbers)) for t in texts]
        return np.array(found, dtype=np.int64)[cells.at]


def _sentinels(column: NumberColumn) -> Floats:
    """Numbers that mean missing."""
    if column.kind not in (NumberKind.INTEGER, NumberKind.NUMBER):
        return np.empty(0)
    return pd.to_numeric(pd.Series(column.missing, dtype=object), errors="coerce").to_numpy(np.float64)


def _parsed(column: NumberColumn, texts: Sequence[str]) -> Floats:
    missing = frozenset(column.missing)
    usable: Any = pd.Series([None if t in missing or len(t) > MAX_NUMBER_LENGTH else t for t in texts], dtype=object)
    if column.kind in (NumberKind.INTEGER, NumberKind.NUMBER):
        return np.asarray(pd.to_numeric(usable, errors="coerce"), dtype=np.float64)
    moments = pd.to_datetime(usable, format=column.date_format, errors="coerce", utc=True)
    seconds = moments.dt.tz_localize(None).to_numpy("datetime64[s]")
    values = np.where(np.isnat(seconds), np.nan, seconds.astype(np.int64).astype(np.float64))
    return np.floor(values / SECONDS_PER_DAY) if column.kind is NumberKind.DATE else values
