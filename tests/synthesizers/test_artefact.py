"""Model files: the same model comes back; nothing of a row is inside; whatever else is read is refused."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest

from bench.short import SHORT
from privacy.filter import PrivacyFilter
from privacy.noise import seeded_noise
from privacy.schema import Budget, Schema
from privacy.schema_file import parse_schema
from privacy.table import Table
from synthesizers.artefact import load, save
from synthesizers.errors import ArtefactError
from synthesizers.protocol import Model
from synthesizers.registry import SYNTHESIZERS

CANARY = "canary-5d1f"
ODD = 731.0625
"""A number of one row, exact in binary, that no public bin ends at."""


def schema() -> Schema:
    fields: list[dict[str, Any]] = [
        {"name": "town", "type": "string", "source": "measured", "max_levels": 5},
        {"name": "amount", "type": "number", "source": "measured"},
        {"name": "area", "type": "string", "categories": ["n", "s"], "source": "public", "cite": "made up"},
        {"name": "kind", "type": "string", "categories": ["u", "v", "w"], "source": "public", "cite": "made up"},
        {"name": "again", "type": "number", "source": "measured"},
    ]
    rules = [
        {"cite": "made up", "derive": "area", "from": "kind", "map": "measured"},
        {"cite": "made up", "derive": "again", "copy": "amount"},
    ]
    privacy = {"population": "p", "unit": "row", "adjacency": "add-or-remove", "n_public": "measured",
               "constraints": rules}  # fmt: skip
    return parse_schema({"name": "canaries", "fields": fields, "privacy": privacy})


def table(n: int = 3_000) -> Table:
    rng = np.random.default_rng(0)
    town = rng.integers(0, 3, n).astype(np.int32)
    town[0] = 3
    amount = np.round(rng.gamma(2, 100, n))
    amount[0] = ODD
    kind = rng.integers(0, 3, n).astype(np.int32)
    columns = {"town": town, "amount": amount, "area": (kind > 0).astype(np.int32), "kind": kind, "again": amount}
    return Table(schema(), columns, {"town": ("a", "b", "c", CANARY)}, np.arange(n))


def fitted(name: str) -> Model:
    plan = SHORT[name].plan(schema(), Budget(epsilon=4.0, delta=1e-6))
    return plan.fit(table(), PrivacyFilter(plan.cost, seeded_noise(1)), np.random.default_rng(1), lambda _: None)


@pytest.fixture(scope="module", params=sorted(SYNTHESIZERS))
def model(request: pytest.FixtureRequest) -> tuple[Model, bytes]:
    found = fitted(request.param)
    return found, save(found, request.param)


def test_what_is_loaded_draws_the_same_rows(model: tuple[Model, bytes]) -> None:
    before, content = model
    after = load(content)
    a, b = (m.sample(2_000, np.random.default_rng(7)) for m in (before, after))
    assert a.csv() == b.csv()
    assert a.schema.names == b.schema.names
    assert after.expected_error == before.expected_error
    assert after.n_rows_estimate == before.n_rows_estimate
    assert save(after, "x") == save(before, "x")


def test_nothing_of_a_row_is_inside(model: tuple[Model, bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(model[1])) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    whole = b"".join(contents.values())
    assert CANARY.encode() not in whole
    assert repr(ODD).encode() not in whole
    for name, content in contents.items():
        if name.endswith(".npy"):
            values = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
            assert values.dtype in (np.float64, np.float32, np.int64)
            assert not (values == ODD).any()
            assert values.shape != (3_000,)
    assert b"a" in contents["model.json"]  # a level of a thousand rows was bought, and is there


def changed(content: bytes, edit: Any) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    edit(parts)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, part in parts.items():
            file.writestr(name, part)
    return out.getvalue()


def in_document(**values: Any) -> Any:
    def edit(parts: dict[str, bytes]) -> None:
        parts["model.json"] = json.dumps(json.loads(parts["model.json"]) | values).encode()

    return edit


def array(values: Any) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, values, allow_pickle=True)
    return out.getvalue()


def put(name: str, content: bytes) -> Any:
    return lambda parts: parts.update({name: content})


@pytest.mark.parametrize(
    "edit",
    [
        in_document(version=1),
        in_document(kind="other"),
        in_document(format="other"),
        in_document(edges=[]),
        in_document(cliques=[]),
        in_document(bought={}),
        in_document(attributes=[]),
        in_document(maps=[]),
        put("marginals/0.npy", array(np.array([object()]))),
        put("marginals/0.npy", array(np.full((2, 2), np.nan))),
        put("marginals/0.npy", b"\x93NUMPY nonsense"),
        put("shares/0.npy", array(np.zeros(10**6))),
        lambda parts: parts.pop("cells/1.npy"),
        lambda parts: parts.pop("model.json"),
    ],
)
def test_another_file_is_refused(edit: Any) -> None:
    content = save(fitted("mst"), "mst")
    with pytest.raises(ArtefactError):
        load(changed(content, edit))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x80\x04pickle", b"x" * 1000])
def test_no_file_at_all(content: bytes) -> None:
    with pytest.raises(ArtefactError):
        load(content)


def test_a_small_file_of_a_large_nothing_is_refused() -> None:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file,
        file.open("model.json", "w", force_zip64=True) as part,
    ):
        for _ in range(1_100):
            part.write(bytes(1 << 20))
    assert len(out.getvalue()) < 2 << 20
    with pytest.raises(ArtefactError, match="larger than any model"):
        load(out.getvalue())
