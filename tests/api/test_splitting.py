"""A long table is taken apart as a held one is: the same coins, the same rows, fewer of them looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api import splitting
from api.coins import Coins
from api.further_rows import FurtherRows, sample
from api.home import Home
from api.pipeline import release
from api.recipe import Recipe
from api.splitting import assigned, split
from api.steps import Steps
from audits.assignment import Design, Parts
from audits.release.gate import Verdict
from privacy import files
from privacy.rows import Inline, Stream, held, row_bytes
from privacy.schema import Schema
from privacy.table import Table, read_table
from tests.end_to_end.scene import OPEN as LETS_OUT
from tests.end_to_end.scene import request
from tests.streams import OPEN, PERSONS, SCHEMA, written
from tests.tables import MIXED_DOCUMENT, fingerprint, population

KEY = bytes(range(32))
DESIGN = Design(reference=0.1, pool=0.4)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BATCH_ROWS", 64)


def prints(parts: Parts) -> tuple[Any, ...]:
    tables = (parts.train, parts.control, parts.reference)
    return (*(fingerprint(canonical(t)) for t in tables), parts.pooled.tolist())


def canonical(table: Table) -> Table:
    """Without texts of rows that are elsewhere: a held table has one vocabulary for all its parts."""
    words = {n: np.array([*texts, None, ""], dtype=object) for n, texts in table.vocabularies.items()}
    cells = {n: words[n][table.codes(n)] if n in words else c for n, c in table.columns.items()}
    ranked = {n: np.unique(c.astype(str), return_inverse=True)[1] if c.dtype == object else c for n, c in cells.items()}
    return Table(table.schema, ranked, {}, np.unique(table.units, return_inverse=True)[1])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("schema", [SCHEMA, OPEN, PERSONS], ids=["rows", "open lists", "persons"])
def test_coins_fall_the_same_way(tmp_path: Path, suffix: str, schema: Schema) -> None:
    """Every row goes where it went in memory; where few rows train, the audits see all of them."""
    path = written(tmp_path / f"t{suffix}", 900)
    in_memory = Coins(KEY).parts(read_table(path, schema), DESIGN)
    apart = assigned(path, schema, DESIGN, Coins(KEY), Inline())
    assert prints(apart.audited()) == prints(in_memory)
    assert fingerprint(canonical(apart.train.whole())) == fingerprint(canonical(in_memory.train))
    again = assigned(path, schema, DESIGN, Coins(KEY), Inline())
    assert np.array_equal(apart.places, again.places)


@pytest.mark.parametrize("schema", [SCHEMA, PERSONS], ids=["rows", "persons"])
def test_audits_of_a_long_table_keep_the_pool_and_sample_the_rest(
    tmp_path: Path, schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 20,000 rows some 9,000 train outside the pool: 1,000 of them, by units, are looked at.

    The sample's size is binomial over units of at most two rows, so its standard deviation is below 45 rows; five of
    them are exceeded with probability below 1e-6, and without sampling the number is off by eight thousand.
    """
    monkeypatch.setattr(splitting, "AUDITED_ROWS", 1_000)
    monkeypatch.setattr(files, "BATCH_ROWS", 8_192)
    path = written(tmp_path / "t.parquet", 20_000)
    whole = Coins(KEY).parts(read_table(path, schema), DESIGN)
    rows = assigned(path, schema, DESIGN, Coins(KEY), Inline())
    parts = rows.audited()
    assert len(parts.control) == len(whole.control)
    assert parts.pooled.sum() == whole.pooled.sum()
    if schema is SCHEMA:
        assert abs(int((~parts.pooled).sum()) - 1_000) < 225
        assert abs(len(parts.reference) - 1_000) < 225
    assert len(rows.train.whole()) == len(whole.train)
    train = rows.train.whole().units
    for unit in np.unique(parts.train.units):
        assert (parts.train.units == unit).sum() == (train == unit).sum()  # whole units, or nothing of them
    assert not set(parts.control.units) & set(train.tolist())


def test_a_table_is_held_up_to_its_bytes(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", 300)
    table = read_table(path, SCHEMA)
    assert row_bytes(SCHEMA) == 8 + sum(column.itemsize for column in table.columns.values())
    assert held(path, SCHEMA, 299 * row_bytes(SCHEMA)) is None
    kept = held(path, SCHEMA, 300 * row_bytes(SCHEMA))
    assert kept is not None
    assert fingerprint(kept) == fingerprint(table)


@pytest.mark.usefixtures("brief_releases")
def test_a_release_of_a_long_table_is_a_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From file to bundle without holding the table, and further rows of it on the same evidence."""
    monkeypatch.setattr(splitting, "held", lambda path, schema: held(path, schema, 1_000))
    monkeypatch.setattr(splitting, "AUDITED_ROWS", 1_500)
    monkeypatch.setattr(files, "BATCH_ROWS", 500)
    recipe = _recipe(tmp_path)
    seen: list[Stream] = []
    real = splitting.split
    monkeypatch.setattr("api.pipeline.split", lambda *a: _noted(real(*a), seen))
    home = Home(tmp_path / "ledger.db")
    made = release(recipe, home, Steps(lambda _: None))
    assert isinstance(seen[0], Stream)
    assert made.decision.verdict is Verdict.PASS
    more = FurtherRows(
        model=recipe.out, rows=200, table=None, where=(), balance=(), given=None, policy=recipe.policy,
        out=tmp_path / "more", seed=1,
    )  # fmt: skip
    assert sample(more, home, Steps(lambda _: None)).decision.verdict is Verdict.PASS
    assert json.loads((recipe.out / "statement.json").read_bytes())["dp_valid"]


def _noted(halves: splitting.Split, seen: list[Any]) -> splitting.Split:
    seen.append(halves.train)
    return halves


def _recipe(folder: Path) -> Recipe:
    recipe, _ = request(folder, population(3_000, 1).csv(), MIXED_DOCUMENT, LETS_OUT, epsilon=2.0, rows=500)
    return recipe


def test_a_short_table_is_held(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", 300)
    halves = split(path, SCHEMA, DESIGN, Coins(KEY), Inline())
    assert halves.train is halves.parts.train
