"""A released bundle in other people's loaders: `make test-loaders`, in an environment of its own."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from audits.release.bundle import PROVENANCE, Bundle, seal
from audits.release.signing import fingerprint, public_key
from audits.standards.descriptions import NAMES
from privacy.schema_file import parse_schema
from privacy.table import Table
from tests.audits.release.made_up import contents, key, small, table
from tests.audits.standards.test_descriptions import PUBLICATION
from tests.tables import MIXED_DOCUMENT

pytest.importorskip("mlcroissant")

pytestmark = pytest.mark.filterwarnings("default")  # what other people's libraries warn of is not ours to fail


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A released bundle whose schema says who publishes, and under which licence."""
    folder = tmp_path_factory.mktemp("loaders")
    given = replace(small(contents()), schema=parse_schema({**MIXED_DOCUMENT, **PUBLICATION}))
    return seal(folder / "bundle", given, synthetic=table(), key=key(folder), quarantine=None)


def rows() -> list[dict[str, Any]]:
    """The rows, from the table itself."""
    made: Table = table()
    columns = [made.written(name) for name in made.schema.names]
    return [dict(zip(made.schema.names, cells, strict=True)) for cells in zip(*columns, strict=True)]


def test_croissant_validates_and_loads(bundle: Bundle) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    data = mlcroissant.Dataset(jsonld=bundle.path / "croissant.json")
    assert list(data.metadata.ctx.issues.errors) == []
    # The one thing recommended that nobody can know: how a paper about the table would be cited.
    assert ["citeAs" in warning for warning in data.metadata.ctx.issues.warnings] == [True]
    assert data.metadata.ctx.is_v1_1()
    loaded = list(data.records("rows"))
    assert len(loaded) == len(rows())
    columns = pq.read_table(bundle.path / "data/synthetic.parquet").to_pydict()
    for name in ("sex", "region"):
        texts = [None if cell[f"rows/{name}"] is None else cell[f"rows/{name}"] for cell in loaded]
        assert [t.decode() if isinstance(t, bytes) else t for t in texts][:50] == columns[name][:50]
    ages = [float(cell["rows/age"]) for cell in loaded]
    assert [a if a == a else None for a in ages] == columns["age"]


def test_the_provenance_is_a_graph_that_says_what_was_used(bundle: Bundle) -> None:
    rdflib = pytest.importorskip("rdflib")
    graph = rdflib.Graph().parse(bundle.path / "croissant.json", format="json-ld")
    prov = rdflib.Namespace("http://www.w3.org/ns/prov#")
    (activity,) = graph.subjects(rdflib.RDF.type, prov.Activity)
    used = {str(value) for entity in graph.objects(activity, prov.used) for value in graph.objects(entity, prov.value)}
    assert used == {f"sha256:{digest}" for digest in (contents().policy.digest, parse_schema(_document(bundle)).digest)}
    assert list(graph.subject_objects(prov.wasDerivedFrom))


def _document(bundle: Bundle) -> Any:
    return json.loads((bundle.path / "schema.json").read_bytes())


def test_frictionless_validates_every_cell(bundle: Bundle) -> None:
    frictionless = pytest.importorskip("frictionless")
    package = frictionless.Package(str(bundle.path / "datapackage.json"))
    report = package.validate()
    assert report.valid, report.flatten(["type", "note", "fieldName", "rowNumber"])
    read = package.get_resource("synthetic").read_rows()
    assert len(read) == len(rows())
    for name in ("sex", "age"):
        texts = [None if row[name] is None else str(row[name]) for row in read]
        assert texts == [row[name] for row in rows()]


def test_frictionless_finds_a_changed_cell(bundle: Bundle, tmp_path: Path) -> None:
    frictionless = pytest.importorskip("frictionless")
    copy = shutil.copytree(bundle.path, tmp_path / "copy")
    written = (copy / "data/synthetic.csv").read_text(encoding="utf-8").replace("female", "femal", 1)
    (copy / "data/synthetic.csv").write_text(written, encoding="utf-8")
    assert not frictionless.Package(str(copy / "datapackage.json")).validate().valid


def test_hugging_face_datasets_loads_the_parquet_file(bundle: Bundle, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(
        "parquet", data_files=str(bundle.path / "data/synthetic.parquet"), split="train", cache_dir=str(tmp_path)
    )
    assert loaded.column_names == list(table().schema.names)
    assert loaded.to_dict() == pq.read_table(bundle.path / "data/synthetic.parquet").to_pydict()


def test_ro_crate_opens_and_finds_every_file(bundle: Bundle) -> None:
    rocrate = pytest.importorskip("rocrate.rocrate")
    crate = rocrate.ROCrate(bundle.path)
    assert crate.root_dataset["license"].id == "https://creativecommons.org/licenses/by/4.0/"
    files = {p.relative_to(bundle.path).as_posix() for p in bundle.path.rglob("*") if p.is_file()}
    assert {entity.id for entity in crate.data_entities} == files - {"ro-crate-metadata.json"}
    assert files >= NAMES
    actions = crate.root_dataset["mentions"]
    assert [action.type for action in actions] == [
        *["AssessAction"] * 3,
        "CreateAction",
        "AssessAction",
        "UpdateAction",
    ]


def test_the_signature_is_one_that_securesystemslib_accepts(bundle: Bundle) -> None:
    """An independent reader of DSSE envelopes and Ed25519 keys."""
    dsse = pytest.importorskip("securesystemslib.dsse")
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import SSlibKey

    public = public_key((bundle.path / "signing-key.pub.pem").read_bytes())
    known = SSlibKey(fingerprint(public), "ed25519", "ed25519", {"public": public.public_bytes_raw().hex()})
    envelope = dsse.Envelope.from_dict(json.loads((bundle.path / PROVENANCE).read_bytes()))
    assert envelope.verify([known], threshold=1)
    envelope.payload += b" "
    with pytest.raises(VerificationError):
        envelope.verify([known], threshold=1)
