"""Counts of a stream are those of the table in memory, however the file is cut and whoever counts."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from privacy import files
from privacy.constraints import Constraints
from privacy.errors import TableError
from privacy.files import mark
from privacy.filter import PrivacyFilter
from privacy.noise import seeded_noise
from privacy.rows import Stream, added
from privacy.schema import Budget, Schema
from privacy.schema_file import parse_schema
from privacy.table import Counts, Table, gathered, read_table
from synthesizers.discretize import attributes_of
from synthesizers.domains import DomainCounts, Domains
from synthesizers.marginal.aim import AIM
from synthesizers.marginal.domain import Domain
from synthesizers.marginal.model import MarginalModel
from synthesizers.marginal.mst import MST
from synthesizers.marginal.oneway import CodeCounts
from synthesizers.structured import Structured, StructuredModel
from tests.streams import OPEN, PERSONS, SCHEMA, streamed, written
from tests.tables import fingerprint

KINDS = pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many batches of few rows: 64 does not divide a row group."""
    monkeypatch.setattr(files, "BATCH_ROWS", 64)


@KINDS
def test_a_stream_holds_the_rows_of_the_table(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"t{suffix}", 700)
    for one in (SCHEMA, OPEN, PERSONS):
        table, stream = read_table(path, one), streamed(path, one)
        assert fingerprint(stream.whole()) == fingerprint(table)


@KINDS
def test_counts_are_those_of_brute_force(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"t{suffix}", 700)
    attributes = attributes_of(Domains(schema=SCHEMA), 16)
    table, stream = read_table(path, SCHEMA), streamed(path, SCHEMA)
    counts = stream.total(CodeCounts(attributes))
    for attribute in attributes:
        name = attribute.column.name
        codes = Counter(attribute.encode(table.columns[name]).tolist())
        assert counts[name,].tolist() == [codes[code] for code in range(attribute.size)]
    pairs = {a.column.name: a for a in attributes}
    domain = Domain({name: a.size for name, a in pairs.items()})
    for one, two in combinations(pairs, 2):
        both = Counter(zip(*(pairs[n].encode(table.columns[n]).tolist() for n in (one, two)), strict=True))
        counted = stream.total(_Pair(domain, attributes, (one, two)))[one, two]
        assert {cell: n for cell, n in np.ndenumerate(counted) if n} == both


class _Pair:
    """Counts one pair, in the shortest way there is."""

    def __init__(self, domain: Domain, attributes: tuple, pair: tuple[str, str]) -> None:  # type: ignore[type-arg]
        self.shape, self.pair = domain.shape(pair), pair
        self.attributes = {a.column.name: a for a in attributes}

    def __call__(self, table: Table) -> Counts:
        counts = np.zeros(self.shape, dtype=np.int64)
        np.add.at(counts, tuple(self.attributes[n].encode(table.columns[n]) for n in self.pair), 1)
        return {self.pair: counts}


@pytest.mark.parametrize(
    ("generator", "schema"),
    [(MST(), SCHEMA), (MST(), OPEN), (MST(), PERSONS), (AIM(max_rounds=3), OPEN), (AIM(max_rounds=3), PERSONS)],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_generator_learns_the_same_from_either(tmp_path: Path, generator: MST | AIM, schema: Schema) -> None:
    """Same noise, same counts: same model to the last bit, with a rule that repairs rows on the way.

    `independent` takes the first half of these passes and no other.
    """
    path = written(tmp_path / "t.parquet", 700)
    plan = Structured(generator).plan(schema, Budget(epsilon=2.0, delta=1e-5))
    models = []
    for rows in (read_table(path, schema), streamed(path, schema)):
        privacy = PrivacyFilter(plan.cost, seeded_noise(3))
        model = plan.fit(rows, privacy, np.random.default_rng(1), lambda _: None)
        assert isinstance(model, StructuredModel)
        assert isinstance(model.inner, MarginalModel)
        models.append(model)
    one, other = (m.inner.random_field for m in models)
    assert models[0].schema == models[1].schema
    assert one.total == other.total
    assert all(np.array_equal(one.marginals[c], other.marginals[c]) for c in one.marginals)
    drawn = [fingerprint(m.sample(300, np.random.default_rng(2))) for m in models]
    assert drawn[0] == drawn[1]


def test_no_rows_have_counts_of_every_key(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", 0)
    attributes = attributes_of(Domains(schema=SCHEMA), 16)
    counts = streamed(path, SCHEMA).total(CodeCounts(attributes))
    assert {key: value.sum() for key, value in counts.items()} == {(n,): 0 for n in SCHEMA.names}
    assert all(len(counts[a.column.name,]) == a.size for a in attributes)
    assert len(streamed(path, OPEN).whole()) == 0


def test_rows_that_are_not_taken_leave_no_trace(tmp_path: Path) -> None:
    """Not even a text in the vocabulary: who is not in the training rows is not in what is counted of them."""
    path = written(tmp_path / "t.parquet", 700)
    table = read_table(path, OPEN)
    taken = table.numbers("age") < 30
    stream = streamed(path, OPEN, taken)
    counts = stream.total(DomainCounts((), (OPEN["town"],)))  # type: ignore[arg-type]
    texts = dict(enumerate(table.vocabularies["town"]))
    held = Counter(texts[code] for code in table.codes("town")[taken].tolist() if code in texts)
    assert {key[1]: int(n) for key, n in counts.items() if key} == held
    assert set(stream.whole().vocabularies["town"]) == set(held)
    assert counts[()].tolist() == [taken.sum()]


def test_changes_are_made_before_every_count(tmp_path: Path) -> None:
    path = written(tmp_path / "t.parquet", 700)
    narrow = replace(SCHEMA, columns=SCHEMA.columns[:2])
    stream = streamed(path, SCHEMA).mapped(lambda t: t.only(narrow)).mapped(lambda t: t.select(t.codes("colour") == 0))
    assert stream.schema == narrow
    assert fingerprint(stream.whole()) == fingerprint(stream.whole())
    table = read_table(path, SCHEMA)
    assert len(stream.whole()) == (table.codes("colour") == 0).sum()


@pytest.mark.parametrize("touch", [lambda p: p.write_bytes(p.read_bytes() + b"red,Ulm,30,1\n"), lambda p: p.touch()])
def test_a_file_that_changed_is_refused(tmp_path: Path, touch: Callable[[Path], None]) -> None:
    path = written(tmp_path / "t.csv", 100)
    stream = streamed(path, SCHEMA)
    stream.total(CodeCounts(attributes_of(Domains(schema=SCHEMA), 16)))
    touch(path)
    with pytest.raises(TableError, match="changed while it was being read"):
        stream.total(CodeCounts(attributes_of(Domains(schema=SCHEMA), 16)))


def test_a_file_that_changes_during_a_pass_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", 300)

    def count(table: Table) -> Counts:
        if len(table):
            path.touch()
        return {}

    with pytest.raises(TableError, match="changed while it was being read"):
        streamed(path, SCHEMA).total(count)


def test_counts_add_up_by_key() -> None:
    one, two = {"a": np.array([1, 2])}, {"a": np.array([3, 4]), "b": np.array([5])}
    assert {k: v.tolist() for k, v in added(one, [two, two]).items()} == {"a": [7, 10], "b": [10]}
    assert one["a"].tolist() == [1, 2]


def test_the_mark_names_no_content(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", 10)
    assert mark(path).n_bytes == path.stat().st_size
    assert isinstance(streamed(path, parse_schema(dict(SCHEMA.document))), Stream)


@pytest.mark.parametrize("schema", [SCHEMA, OPEN, PERSONS], ids=["rows", "open lists", "persons"])
def test_what_a_worker_is_sent_survives_the_way(tmp_path: Path, schema: Schema) -> None:
    """Schema, rules, changes and shard, pickled: the same rows come out on the other side."""
    path = written(tmp_path / "t.parquet", 700)
    constraints = schema.constraints or Constraints()
    stream = streamed(path, schema).mapped(constraints.repair)
    there = [table for part in stream.parts for table in pickle.loads(pickle.dumps(part)).tables()]  # noqa: S301 - ours
    assert fingerprint(gathered(schema, there)) == fingerprint(constraints.repair(read_table(path, schema)))
