"""The content scan: what reads like personal data, free text or a formula, and what only looks a little like it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from audits.content import FORMULA_CELLS, Content, declares_formula, is_formula, personal
from privacy.columns import LevelColumn, NumberColumn, NumberKind, Role, Source
from privacy.table import Table
from tests.controls import evidence, fresh_draw, renamed


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("jane.doe+x@mail.example.org", "e-mail address"),
        ("+44 20 7946 0958", "telephone number"),
        ("(555) 010-4477", "telephone number"),
        ("+493012345678", "telephone number"),
        ("078-05-1120", "US social security number"),
        ("GB82 WEST 1234 5698 7654 32", "bank account (IBAN)"),
        ("4111 1111 1111 1111", "payment card"),
        ("192.168.4.20", "network address"),
    ],
)
def test_reads_like_personal_data(text: str, kind: str) -> None:
    assert personal(text) == kind


@pytest.mark.parametrize(
    "text",
    [
        "", "?", "<=50K", ">50K", "Married-civ-spouse", "5-9", "18-24", "1.5", "2019-03-05", "05/03/2019", "12.5%",
        "Some-college", "United-States", "000-12-3456", "GB82 WEST 1234 5698 7654 33", "4111 1111 1111 1112",
        "300.1.2.3", "10000-14999", "a@b", "N/A", "3.11.2", "90210", "10-K",
    ],
)  # fmt: skip
def test_does_not_read_like_personal_data(text: str) -> None:
    assert personal(text) == ""


@pytest.mark.parametrize("text", ["=1+1", "=HYPERLINK(A1)", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3+cmd", "\tx", "\rx",
                                  "\n=1", "＝1+1", "＠SUM(A1)"])  # fmt: skip
def test_formulas(text: str) -> None:
    assert is_formula(text)


@pytest.mark.parametrize("text", ["", "-", "+", "-1", "+3.5", "-1.5e-3", "-12,000", "x=1", "a-b", "<=50K"])
def test_numbers_and_signs_are_no_formulas(text: str) -> None:
    assert not is_formula(text)


@pytest.mark.parametrize(
    ("changed", "declared"),
    [
        ({"levels": ("n", "=1+1")}, True),
        ({"levels": ("n", " @SUM(A1)")}, True),
        ({"other": "=OTHER()"}, True),
        ({"missing": ("@NA",)}, True),
        ({"name": "=cmd"}, True),
        ({"levels": ("-", "-1", "+3.5", "a=b"), "missing": ("-",)}, False),
    ],
)
def test_what_a_column_declares(changed: dict[str, object], declared: bool) -> None:
    region = evidence(fresh_draw, n=10).schema["region"]
    assert isinstance(region, LevelColumn)
    assert declares_formula(replace(region, **changed)) is declared  # type: ignore[arg-type]


@pytest.mark.parametrize(("date_format", "declared"), [("%Y-%m-%d", False), ("=%Y", True), ("-%Y", False)])
def test_how_a_column_writes_dates(date_format: str, declared: bool) -> None:
    dated = NumberColumn(
        name="since", kind=NumberKind.DATE, minimum=0.0, maximum=1.0, minimum_source=Source.PUBLIC,
        maximum_source=Source.PUBLIC, minimum_cite="form", maximum_cite="form", date_format=date_format,
        missing=("",), role=Role.FEATURE, sensitive=False,
    )  # fmt: skip
    assert declares_formula(dated) is declared


def _counts(levels: tuple[str, ...], codes: np.ndarray[tuple[int], np.dtype[np.int32]]) -> dict[str, float]:
    given = evidence(fresh_draw, n=4_000)
    region = given.schema["region"]
    assert isinstance(region, LevelColumn)
    schema = given.schema.with_columns({"region": replace(region, levels=levels)})
    columns = {**given.synthetic.columns, "region": codes[: len(given.synthetic)]}
    table = Table(schema, columns, {}, given.synthetic.units)
    found = Content().run(replace(given, schema=schema, synthetic=table), np.random.default_rng(0))
    return {f.quantity: f.estimate for f in found if not f.subject}


def test_the_name_of_a_column_is_a_cell_too() -> None:
    """It is the first cell a spreadsheet opens."""
    given = renamed(evidence(fresh_draw, n=1_000), {"income": "=1+1"})
    found = {(f.quantity, f.subject) for f in Content().run(given, np.random.default_rng(0))}
    assert ("columns with formula cells", "=1+1") in found


def test_free_text_and_identifiers_are_told_from_categories() -> None:
    many = np.arange(5_000, dtype=np.int32)
    sentences = tuple(f"the patient number {i} came in late" for i in range(120))
    assert _counts(sentences, many % 120)["columns of free text or identifiers"] == 1
    assert _counts(tuple(f"id{i}" for i in range(5_000)), many)["columns of free text or identifiers"] == 1
    assert _counts(tuple(f"town {i}" for i in range(300)), many % 300)["columns of free text or identifiers"] == 0


def test_a_level_nobody_has_is_not_released_and_not_found() -> None:
    levels = ("north", "jane@example.org")
    assert _counts(levels, np.zeros(5_000, np.int32))["columns that read like personal data"] == 0
    assert _counts(levels, np.ones(5_000, np.int32))["columns that read like personal data"] == 1


@pytest.mark.parametrize(
    "name", ["name", "First_Name", "patientSurname", "e-mail", "home phone", "SSN", "street.address"]
)
def test_names_of_identifiers_ask_for_a_look(name: str) -> None:
    given = renamed(evidence(fresh_draw, n=1_000), {"region": name})
    found = {(f.quantity, f.subject): f for f in Content().run(given, np.random.default_rng(0))}
    assert found["columns named like an identifier", name].estimate == 1


@pytest.mark.parametrize("name", ["native-country", "education", "hours-per-week", "zip3", "unnamed"])
def test_other_names_do_not(name: str) -> None:
    given = renamed(evidence(fresh_draw, n=1_000), {"region": name})
    found = Content().run(given, np.random.default_rng(0))
    assert not [f for f in found if f.subject]


def test_a_header_may_be_a_formula_too() -> None:
    given = renamed(evidence(fresh_draw, n=200), {"region": "=HYPERLINK(A1)"})
    found = {f.quantity: f.estimate for f in Content().run(given, np.random.default_rng(0)) if not f.subject}
    assert found[FORMULA_CELLS] == 1
