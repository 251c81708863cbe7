"""The vault: streams of any length, nothing in the clear, changes refused, the end of a key the end of its table."""

from __future__ import annotations

import gzip
import io
from copy import deepcopy
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.settings import Settings
from api.vault.errors import TooLargeError, VaultError
from api.vault.keys import KEY_BYTES
from api.vault.rotation import retire, rotate
from api.vault.sealed import CHUNK, TAG, SealedReader, SealedWriter
from api.vault.store import open_store
from api.vault.tables import admit, table_at
from api.vault.vault import OLDER, PRIVATE, Vault, open_vault, prepare_keys
from privacy.errors import TableError
from privacy.schema_file import parse_schema
from privacy.table import read_table
from tests.end_to_end.scene import CANARY, DOCUMENT, write_table

KEY = bytes(range(KEY_BYTES))
LARGEST = 1 << 30
SCHEMA = parse_schema(deepcopy(DOCUMENT), name="scene")


def sealed(content: bytes, step: int = 70_000) -> bytes:
    sink = io.BytesIO()
    writer = SealedWriter(sink, KEY, LARGEST)
    for at in range(0, len(content), step):
        writer.write(content[at : at + step])
    writer.finish()
    return sink.getvalue()


def opened(written: bytes) -> io.BufferedReader:
    return io.BufferedReader(SealedReader(io.BytesIO(written), len(written), KEY))


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return open_vault(Settings(data=tmp_path / "service"), private=True)


def receive(vault: Vault, name: str, content: bytes) -> None:
    with vault.receive(name, LARGEST) as writer:
        writer.write(content)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_what_was_written_is_read(size: int) -> None:
    content = np.random.default_rng(size).bytes(size)
    written = sealed(content)
    assert len(written) == size + TAG * max(1, -(-size // CHUNK))
    assert opened(written).read() == content


@settings(max_examples=25)
@given(places=st.lists(st.tuples(st.integers(0, 2 * CHUNK + 10), st.integers(0, 100)), max_size=5))
def test_a_reader_may_start_anywhere(places: list[tuple[int, int]]) -> None:
    content = np.random.default_rng(5).bytes(2 * CHUNK + 10)
    with opened(sealed(content)) as reader:
        for at, n in places:
            reader.seek(at)
            assert reader.read(n) == content[at : at + n]


@pytest.mark.parametrize("change", ["flip", "cut", "drop", "swap", "add"])
def test_what_was_changed_is_refused(change: str) -> None:
    whole = CHUNK + TAG
    written = sealed(bytes(3 * CHUNK + 5))
    changed = {
        "flip": written[:100] + bytes([written[100] ^ 1]) + written[101:],
        "cut": written[: 2 * whole],
        "drop": written[:whole] + written[2 * whole :],
        "swap": written[whole : 2 * whole] + written[:whole] + written[2 * whole :],
        "add": written + written[:whole],
    }[change]
    with pytest.raises(VaultError):
        opened(changed).read()


def test_more_than_is_taken_in_is_refused_and_leaves_nothing(vault: Vault) -> None:
    with pytest.raises(TooLargeError), vault.receive("uploads/a/b", 10) as writer:
        writer.write(b"12345678901")
    assert not vault.files.exists("uploads/a/b")
    assert not vault.keys.exists("uploads/a/b")


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_a_table_is_the_same_after_the_vault_and_nowhere_in_the_clear(vault: Vault, tmp_path: Path, kind: str) -> None:
    plain = tmp_path / "plain.csv"
    write_table(plain, 300)
    expected = read_table(plain, SCHEMA)
    content = plain.read_bytes()
    if kind == "csv.gz":
        content = gzip.compress(content)
    if kind == "parquet":
        sink = io.BytesIO()
        pq.write_table(pyarrow.csv.read_csv(plain), sink)
        content = sink.getvalue()
    receive(vault, "uploads/a/b", content)
    admit(vault, "uploads/a/b", kind, SCHEMA, "tables/a/t.parquet", LARGEST)
    table = read_table(table_at(vault, "tables/a/t.parquet"), SCHEMA)
    for name in SCHEMA.names:
        assert np.array_equal(table.columns[name], expected.columns[name])
    stored = [path for path in (tmp_path / "service").rglob("*") if path.is_file()]
    assert stored
    assert [path for path in stored if CANARY.encode() in path.read_bytes()] == []
    vault.destroy("tables/a/t.parquet")
    with pytest.raises(VaultError, match="destroyed"):
        table_at(vault, "tables/a/t.parquet")


def test_a_table_under_another_name_or_key_is_refused(vault: Vault, tmp_path: Path) -> None:
    plain = tmp_path / "plain.csv"
    write_table(plain, 50)
    receive(vault, "uploads/a/b", plain.read_bytes())
    admit(vault, "uploads/a/b", "csv", SCHEMA, "tables/a/t.parquet", LARGEST)
    key = vault.keys.open("tables/a/t.parquet")
    with vault.files.open("tables/a/t.parquet") as source, vault.files.writing("tables/b/t.parquet") as sink:
        sink.write(source.read())
    vault.keys.put("tables/b/t.parquet", key)
    with pytest.raises((TableError, OSError)):
        read_table(table_at(vault, "tables/b/t.parquet"), SCHEMA)


def test_what_unfolds_to_too_much_is_refused(vault: Vault) -> None:
    receive(vault, "uploads/a/b", gzip.compress(b"region,note,age,income,approved\n" + bytes(50_000_000)))
    with pytest.raises(TableError, match="unfolds"):
        admit(vault, "uploads/a/b", "csv.gz", SCHEMA, "tables/a/t.parquet", 1_000_000)
    assert not vault.files.exists("tables/a/t.parquet")
    assert not vault.keys.exists("tables/a/t.parquet")


def test_who_takes_a_table_in_cannot_open_it(vault: Vault, tmp_path: Path) -> None:
    receiving = open_vault(Settings(data=tmp_path / "service"), private=False)
    receive(receiving, "uploads/a/b", b"secret")
    with pytest.raises(VaultError, match="no key"):
        receiving.opened("uploads/a/b")
    assert vault.opened("uploads/a/b").read() == b"secret"


def test_a_public_half_alone_is_not_given_another_private_one(vault: Vault, tmp_path: Path) -> None:
    """An API machine has it, and a worker's that lost its own must not go on with a key that fits nothing."""
    chosen = Settings(data=tmp_path / "service")
    receive(vault, "uploads/a/b", b"secret")
    (chosen.keys_folder / PRIVATE).rename(tmp_path / PRIVATE)
    receive(open_vault(chosen, private=False), "uploads/a/c", b"late")
    prepare_keys(chosen.keys_folder)
    assert not (chosen.keys_folder / PRIVATE).exists()
    with pytest.raises(VaultError, match="beside"):
        open_vault(chosen, private=True)
    (tmp_path / PRIVATE).rename(chosen.keys_folder / PRIVATE)
    assert open_vault(chosen, private=True).opened("uploads/a/c").read() == b"late"


def test_after_a_rotation_old_copies_of_wrapped_keys_open_nothing(vault: Vault, tmp_path: Path) -> None:
    chosen = Settings(data=tmp_path / "service")
    receive(vault, "uploads/a/b", b"secret")
    copy = (chosen.data / "keys" / "wrapped" / "uploads" / "a" / "b.key").read_bytes()
    assert rotate(chosen) == 1
    receive(vault, "uploads/a/c", b"late")  # by a process that was started before
    assert retire(chosen) == 2
    assert not (chosen.keys_folder / OLDER).exists()
    fresh = open_vault(chosen, private=True)
    assert (fresh.opened("uploads/a/b").read(), fresh.opened("uploads/a/c").read()) == (b"secret", b"late")
    with fresh.keys.store.writing("wrapped/uploads/a/old.key") as file:
        file.write(copy)
    with pytest.raises(VaultError):
        fresh.keys.open("uploads/a/old")


@pytest.mark.parametrize("name", ["../out", "a//b", "/a", "a/../b", ""])
def test_a_name_stays_below_its_store(tmp_path: Path, name: str) -> None:
    store = open_store((tmp_path / "files").as_uri())
    with pytest.raises(ValueError, match="single slashes"):
        store.exists(name)
