"""Both codecs are total: whatever a cell holds becomes a code or a number of the declared domain."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.columns import LevelColumn, NumberColumn, NumberKind, Role, Source, is_date_format, parse_bound

LEVELS = LevelColumn(
    name="colour",
    levels=("red", "green", "None"),
    ordered=False,
    source=Source.PUBLIC,
    cite="codebook",
    max_levels=None,
    other="OTHER",
    aliases={"RED": "red", "blue": "azure"},
    missing=("NA", "-"),
    role=Role.FEATURE,
    sensitive=False,
)
NUMBER = NumberColumn(
    name="height",
    kind=NumberKind.NUMBER,
    minimum=-1.5,
    maximum=200.0,
    minimum_source=Source.PUBLIC,
    maximum_source=Source.PUBLIC,
    minimum_cite="codebook",
    maximum_cite="codebook",
    date_format="",
    missing=("",),
    role=Role.FEATURE,
    sensitive=False,
)
FORMATS = {NumberKind.DATE: "%d.%m.%Y", NumberKind.DATETIME: "%Y-%m-%dT%H:%M:%SZ"}


def _objects(texts: list[str]) -> np.ndarray:
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array


@given(st.lists(st.text() | st.sampled_from(["red", "RED", "NA", "", "OTHER", "None", "blue"])))
def test_every_text_has_a_code_and_every_code_a_text(texts: list[str]) -> None:
    codes = LEVELS.encode(_objects(texts))
    assert codes.dtype == np.int32
    assert codes.shape == (len(texts),)
    assert ((codes >= 0) & (codes < LEVELS.n_codes)).all()
    words = LEVELS.decode(codes)
    for text, word in zip(texts, words, strict=True):
        if text in LEVELS.declared:
            assert word == text
        elif text in ("NA", "-", ""):
            assert word is None
        else:
            assert word == ("red" if text == "RED" else "OTHER")


@given(st.lists(st.integers(0, LEVELS.n_codes - 1)))
def test_written_levels_are_read_back(codes: list[int]) -> None:
    before = np.array(codes, np.int32)
    texts = ["NA" if word is None else word for word in LEVELS.decode(before)]
    assert LEVELS.encode(_objects(texts)).tolist() == codes


def test_before_its_list_is_bought_a_column_has_other_and_missing() -> None:
    unbought = replace(LEVELS, levels=None, source=Source.MEASURED, max_levels=5)
    assert unbought.declared == ()
    assert unbought.n_codes == 2
    assert unbought.encode(_objects(["red", "", "NA", "RED"])).tolist() == [0, 1, 1, 0]


@given(st.lists(st.floats()), st.sampled_from(list(NumberKind)))
def test_clamping_is_total_and_idempotent(values: list[float], kind: NumberKind) -> None:
    column = replace(NUMBER, kind=kind, minimum=-2.0)
    clamped = column.clamp(np.array(values, np.float64))
    present = clamped[~np.isnan(clamped)]
    assert np.array_equal(np.isnan(clamped), np.isnan(np.array(values, np.float64)))
    assert ((present >= -2) & (present <= 200)).all()
    assert not column.is_discrete or (present == np.rint(present)).all()
    assert np.array_equal(column.clamp(clamped), clamped, equal_nan=True)


def test_an_unbought_bound_clamps_nothing() -> None:
    column = replace(NUMBER, maximum=None, maximum_source=Source.MEASURED)
    assert column.clamp(np.array([-9.0, 1e300, math.nan]))[:2].tolist() == [-1.5, 1e300]
    with pytest.raises(ValueError, match="'height' have not been measured"):
        _ = column.bounds


@given(st.dates(dt.date(1000, 1, 1)))
def test_dates_are_written_as_they_are_read(day: dt.date) -> None:
    column = replace(NUMBER, kind=NumberKind.DATE, date_format=FORMATS[NumberKind.DATE])
    number = parse_bound(NumberKind.DATE, FORMATS[NumberKind.DATE], day.strftime(FORMATS[NumberKind.DATE]))
    assert number == (day - dt.date(1970, 1, 1)).days
    assert column.write(number) == day.strftime(FORMATS[NumberKind.DATE])


@given(st.datetimes(dt.datetime(1000, 1, 1)).map(lambda moment: moment.replace(microsecond=0)))
def test_moments_are_written_as_they_are_read(moment: dt.datetime) -> None:
    column = replace(NUMBER, kind=NumberKind.DATETIME, date_format=FORMATS[NumberKind.DATETIME])
    text = moment.strftime(FORMATS[NumberKind.DATETIME])
    number = parse_bound(NumberKind.DATETIME, FORMATS[NumberKind.DATETIME], text)
    assert number == (moment - dt.datetime(1970, 1, 1)).total_seconds()
    assert column.write(number) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_written_without_loss(value: float) -> None:
    assert float(NUMBER.write(value)) == value


def test_integers_are_written_without_a_point() -> None:
    assert replace(NUMBER, kind=NumberKind.INTEGER).write(-3.0) == "-3"


@pytest.mark.parametrize("written", [True, None, [1], "tall", math.nan, math.inf, "1e400"])
def test_a_bound_is_a_finite_number(written: object) -> None:
    with pytest.raises(ValueError, match=r"bound|float"):
        parse_bound(NumberKind.NUMBER, "", written)


def test_a_bound_of_integers_is_whole() -> None:
    assert parse_bound(NumberKind.INTEGER, "", "1e3") == 1000.0
    with pytest.raises(ValueError, match="whole"):
        parse_bound(NumberKind.INTEGER, "", 0.5)


def test_a_bound_of_dates_has_their_format() -> None:
    with pytest.raises(ValueError, match="format"):
        parse_bound(NumberKind.DATE, "%Y-%m-%d", "01.02.2003")


@pytest.mark.parametrize(
    ("pattern", "usable"), [("%Y-%m-%d", True), ("%b-%Y", True), ("%d", False), ("day", False), ("%Y-%Q", False)]
)
def test_a_pattern_must_write_and_read_the_year(pattern: str, usable: bool) -> None:
    assert is_date_format(pattern) is usable
