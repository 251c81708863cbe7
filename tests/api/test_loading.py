"""The released table as X and y: types, missing cells and labels, against the CSV read by hand."""

from __future__ import annotations

import csv
import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from api.loading import load_xy
from audits.errors import BundleError
from audits.release.bundle import Bundle, seal
from audits.release.gate import Verdict
from privacy.columns import LevelColumn
from privacy.errors import RequestError
from privacy.schema_file import parse_schema
from privacy.table import Table, make_table
from tests.audits.release.made_up import contents, key, sealed, small
from tests.tables import CITE, MIXED_DOCUMENT


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return sealed(tmp_path_factory.mktemp("loading"))


def records(folder: Path) -> list[dict[str, str]]:
    with (folder / "data" / "synthetic.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def number(text: str) -> float:
    return float("nan") if text in ("", "NA") else float(text)


def test_one_call_gives_features_and_labels(bundle: Bundle) -> None:
    x, y = load_xy(bundle.path)
    rows = [r for r in records(bundle.path) if r["approved"] in ("true", "false")]
    assert x.shape == (len(rows), 11)
    assert y.name == "approved"
    assert "approved" not in x
    assert y.tolist() == [r["approved"] == "true" for r in rows]
    for name in ("age", "capital gains", "income", "waist_ratio"):
        np.testing.assert_allclose(x[name].to_numpy(float), [number(r[name]) for r in rows])
    start = dt.date(1970, 1, 1)
    days = [(dt.date.fromisoformat(r["joined"]) - start).days if r["joined"] else float("nan") for r in rows]
    np.testing.assert_allclose(x["joined"].to_numpy(float), days)
    for name in ("region", "sex", "education"):
        assert [None if pd.isna(v) else v for v in x[name]] == [None if r[name] == "" else r[name] for r in rows]


def test_levels_keep_their_list_and_their_order(bundle: Bundle) -> None:
    x, _ = load_xy(bundle.path)
    assert list(x["region"].cat.categories)[-1] == "OTHER"
    assert not x["region"].cat.ordered
    assert x["education"].cat.ordered
    assert list(x["education"].cat.categories)[:6] == ["none", "primary", "secondary", "college", "degree", "doctorate"]


def test_models_of_scikit_learn_take_it(bundle: Bundle) -> None:
    x, y = load_xy(bundle.path)
    boosted = HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=5, random_state=0).fit(x, y)
    assert boosted.predict(x).shape == y.shape
    words = make_column_selector(dtype_include="category")
    encode = make_column_transformer((OneHotEncoder(), words), ("drop", ["joined"]), remainder="passthrough")
    complete = x.notna().all(axis=1)
    make_pipeline(encode, LogisticRegression(max_iter=20_000, tol=1e-2)).fit(x[complete], y[complete])


def test_another_target_can_be_named(bundle: Bundle) -> None:
    x, y = load_xy(bundle.path, target="income")
    assert y.dtype == np.float64
    assert "approved" in x
    _, words = load_xy(str(bundle.path), target="region")
    assert set(words) <= set(MIXED_DOCUMENT["fields"][0]["categories"])


def of_small_columns(folder: Path, rows: dict[str, list[Any]], *, role: str = "target") -> Path:
    """A sealed bundle of hand-made rows: rooms (ordered numbers), code (numbers without order), smokes, label."""
    numbers = {"source": "public", "cite": CITE, "type": "integer"}
    fields = [
        {"name": "rooms", "categories": [1, 2, 3], "categoriesOrdered": True, **numbers},
        {"name": "code", "categories": [7, 8], **numbers},
        {"name": "smokes", "type": "boolean"},
        {"name": "label", "categories": [0, 1], "role": role, **numbers},
    ]
    schema = parse_schema({**MIXED_DOCUMENT, "fields": fields})
    levels: dict[str, Any] = {}
    for column in schema.columns:
        assert isinstance(column, LevelColumn)
        texts = np.array([str(v) if v is not None else "" for v in rows[column.name]], dtype=object)
        levels[column.name] = column.encode(texts)
    made: Table = make_table(schema, levels)
    given = replace(small(contents()), schema=schema)
    return seal(folder / "small", given, synthetic=made, key=key(folder), quarantine=None).path


ROWS = {
    "rooms": [1, 2, None, 9],
    "code": [7, 8, 9, None],
    "smokes": ["true", "false", None, "true"],
    "label": [0, 1, 1, 0],
}


def test_numbers_stay_numbers_and_what_is_outside_is_missing(tmp_path: Path) -> None:
    x, y = load_xy(of_small_columns(tmp_path, ROWS))
    np.testing.assert_array_equal(x["rooms"], [1, 2, np.nan, np.nan])
    assert list(x["code"].astype(object).fillna("missing")) == ["7", "8", "OTHER", "missing"]
    np.testing.assert_array_equal(x["smokes"], [1, 0, np.nan, 1])
    assert y.dtype == np.int64
    assert y.tolist() == [0, 1, 1, 0]


def test_complete_columns_are_int_and_bool(tmp_path: Path) -> None:
    x, _ = load_xy(of_small_columns(tmp_path, {**ROWS, "rooms": [1, 2, 3, 1], "smokes": ["true"] * 4}))
    assert x["rooms"].dtype == np.int64
    assert x["smokes"].dtype == np.bool_


def test_rows_without_a_label_are_left_out(tmp_path: Path) -> None:
    x, y = load_xy(of_small_columns(tmp_path, {**ROWS, "label": [0, None, 5, 1]}))
    assert y.tolist() == [0, 1]
    assert len(x) == 2


def test_what_cannot_be_loaded_is_refused_in_words(tmp_path: Path, bundle: Bundle) -> None:
    with pytest.raises(RequestError, match="no target"):
        load_xy(of_small_columns(tmp_path, ROWS, role="feature"))
    with pytest.raises(RequestError, match="no column 'wage'"):
        load_xy(bundle.path, target="wage")
    with pytest.raises(BundleError, match="no table"):
        load_xy(sealed(tmp_path / "held", Verdict.WITHHOLD).path)
    path = tmp_path / "small" / "data" / "synthetic.csv"
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(BundleError, match="was changed"):
        load_xy(tmp_path / "small")


def test_a_bundle_of_another_key_is_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="another key"):
        load_xy(bundle.path, expected_key="0" * 64)
