"""A fitted model as bytes, and back: to draw more rows later, from what was measured and nothing else.

A file is a zip of `model.json` and plain arrays (`.npy`, no pickled objects). The JSON holds the schema as declared,
the domains that were bought, maps that were read off the model, and where each array belongs. Whatever is read is
checked against that schema, so that a damaged, foreign or hostile file is refused before anything is drawn from it.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from privacy.columns import Column, LevelColumn, NumberColumn
from privacy.conditions import LevelsAllowed
from privacy.constraints import Cases, Constraints
from privacy.errors import ReleaseError
from privacy.schema import Schema
from privacy.schema_file import parse_schema
from synthesizers.discretize import Attribute, Merged
from synthesizers.errors import ArtefactError
from synthesizers.marginal.domain import Domain
from synthesizers.marginal.estimation import MarkovRandomField
from synthesizers.marginal.junction_tree import Edge, JunctionTree
from synthesizers.marginal.model import MarginalModel
from synthesizers.protocol import Model
from synthesizers.structured import StructuredModel

FORMAT, VERSION = "tablegate-model", 1
DOCUMENT = "model.json"
MAX_BYTES = 1 << 30
"""Unpacked size beyond which a file is refused: a small zip can hold a very large nothing."""

Array = npt.NDArray[Any]


def save(model: Model, synthesizer: str) -> bytes:
    """The file of a fitted model.

    Guarantees:
        Made of the model alone, which is private already: no row of the table is at hand here.
    """
    if not isinstance(model, StructuredModel) or not isinstance(model.inner, MarginalModel):
        raise TypeError(f"no format is written for {type(model).__name__}")
    inner = model.inner
    field = inner.random_field
    arrays: dict[str, Array] = {}

    def keep(name: str, values: Array) -> str:
        arrays[name] = values
        return name

    document = {
        "format": FORMAT,
        "version": VERSION,
        "synthesizer": synthesizer,
        "name": model.schema.name,
        "schema": _public(model.schema.document),
        "bought": {column.name: _bought(column) for column in model.schema.columns},
        "maps": [_map(rule) for rule in _read_off(model.constraints, inner)],
        "total": field.total,
        "attributes": [
            {
                "column": a.column.name,
                "edges": None if a.edges is None else keep(f"edges/{i}.npy", a.edges),
                "cell_of": keep(f"cells/{i}.npy", inner.merged[a.column.name].cell_of),
                "share": keep(f"shares/{i}.npy", inner.merged[a.column.name].share),
                "size": a.size,
                "n_cells": inner.merged[a.column.name].n_cells,
            }
            for i, a in enumerate(inner.attributes)
        ],
        "cliques": [
            {"columns": clique, "marginal": keep(f"marginals/{i}.npy", field.marginals[clique])}
            for i, clique in enumerate(field.tree.cliques)
        ],
        "edges": [[e.child, e.parent, e.separator] for e in field.tree.edges],
        "potentials": [
            {"columns": clique, "values": keep(f"potentials/{i}.npy", values)}
            for i, (clique, values) in enumerate(field.potentials.items())
        ],
        "expected_error": [[clique, error] for clique, error in inner.expected_error.items()],
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        _write(file, DOCUMENT, json.dumps(document, sort_keys=True).encode())
        for name, values in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(values), allow_pickle=False)
            _write(file, name, content.getvalue())
    return buffer.getvalue()


def load(content: bytes) -> StructuredModel:
    """The model of a file. Raises ArtefactError for anything `save` did not write."""
    try:
        return _load(content)
    except ArtefactError:
        raise
    except ReleaseError as error:
        raise _bad("Its schema is not understood by this version.") from error
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, IndexError, OSError, RecursionError) as error:
        raise _bad("It is damaged, or something else.") from error


def _load(content: bytes) -> StructuredModel:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        if sum(info.file_size for info in file.infolist()) > MAX_BYTES:
            raise _bad("Unpacked it would be larger than any model.")
        document = json.loads(file.read(DOCUMENT))
        if document["format"] != FORMAT:
            raise _bad("It is of another format.")
        if document["version"] != VERSION:
            raise _bad(f"It is of version {int(document['version'])} of the format; this program reads {VERSION}.")

        def array(name: str, dtype: type, shape: Sequence[int]) -> Array:
            values = np.lib.format.read_array(io.BytesIO(file.read(name)), allow_pickle=False)
            if values.dtype != dtype or values.shape != tuple(shape) or not np.isfinite(values).all():
                raise _bad("An array is not of its declared shape.")
            return values

        schema = _schema(document)
        return StructuredModel(
            schema, schema.constraints or Constraints(), _inner(document, _modelled(schema, document), array)
        )


def _inner(document: Mapping[str, Any], schema: Schema, array: Any) -> MarginalModel:
    attributes: list[Attribute] = []
    merged: dict[str, Merged] = {}
    for written, column in zip(document["attributes"], schema.columns, strict=True):
        size, n_cells = int(written["size"]), int(written["n_cells"])
        if written["column"] != column.name:
            raise _bad("Its columns are not those of its schema.")
        edges = None
        if written["edges"] is not None:
            edges = array(written["edges"], np.float64, [size])
        if (size != column.n_codes or edges is not None) if isinstance(column, LevelColumn) else edges is None:
            raise _bad("A column is coded otherwise than its schema says.")
        cell_of = array(written["cell_of"], np.int64, [size])
        share = array(written["share"], np.float64, [size])
        if size < 1 or cell_of.min() < 0 or cell_of.max() >= n_cells or share.min() < 0:
            raise _bad("The cells of a column are not what they should be.")
        attributes.append(Attribute(column=column, edges=edges, size=size))
        merged[column.name] = Merged(cell_of=cell_of, share=share, n_cells=n_cells)
    domain = Domain({name: m.n_cells for name, m in merged.items()})
    marginals = {
        tuple(one["columns"]): array(one["marginal"], np.float64, domain.shape(tuple(one["columns"])))
        for one in document["cliques"]
    }
    tree = JunctionTree(
        domain, tuple(marginals), tuple(Edge(tuple(c), tuple(p), tuple(s)) for c, p, s in document["edges"])
    )
    _check_tree(tree)
    if any(values.min() < 0 or values.sum() <= 0 for values in marginals.values()):
        raise _bad("A marginal has a negative count, or none.")
    potentials = {
        tuple(one["columns"]): array(one["values"], np.float64, domain.shape(tuple(one["columns"])))
        for one in document["potentials"]
    }
    return MarginalModel(
        schema=schema,
        attributes=tuple(attributes),
        merged=merged,
        random_field=MarkovRandomField(tree, marginals, potentials, float(document["total"])),
        expected_error={tuple(clique): float(error) for clique, error in document["expected_error"]},
    )


def _check_tree(tree: JunctionTree) -> None:
    """Parents before children, separators within both, every column somewhere: what sampling relies on."""
    seen = {tree.cliques[0]}
    for edge, clique in zip(tree.edges, tree.cliques[1:], strict=True):
        if edge.child != clique or edge.parent not in seen or not set(edge.separator) <= {*edge.child} & {*edge.parent}:
            raise _bad("Its junction tree is none.")
        seen.add(clique)
    if {name for clique in tree.cliques for name in clique} != set(tree.domain.sizes):
        raise _bad("Its junction tree leaves a column out.")


def _schema(document: Mapping[str, Any]) -> Schema:
    """The schema as declared, with what was bought and the maps that were read off."""
    declared = parse_schema(document["schema"], name=str(document["name"]))
    schema = declared.with_columns(
        {column.name: _with_bought(column, document["bought"][column.name]) for column in declared.columns}
    )
    if declared.constraints is None:
        return schema
    maps = tuple(_read_map(schema, written) for written in document["maps"])
    if [m.column for m in maps] != [m.column for m in declared.constraints.maps]:
        raise _bad("A map is not the one its schema asks for.")
    rules = replace(declared.constraints, derived=(*declared.constraints.derived, *maps), maps=())
    return replace(schema, constraints=rules)


def _modelled(schema: Schema, document: Mapping[str, Any]) -> Schema:
    """The columns the model is of. One whose map was read off the model is among them, and is overwritten."""
    names = {written["column"] for written in document["attributes"]}
    return replace(schema, columns=tuple(c for c in schema.columns if c.name in names))


def _read_off(constraints: Constraints, inner: MarginalModel) -> list[Cases]:
    """Maps that were read off the model: derived columns that it models all the same."""
    modelled = {attribute.column.name for attribute in inner.attributes}
    return [rule for rule in constraints.derived if isinstance(rule, Cases) and rule.column in modelled]


def _map(rule: Cases) -> dict[str, Any]:
    source = next(iter(rule.reads))
    pairs = []
    for (condition,), value in rule.cases:
        if not isinstance(condition, LevelsAllowed):
            raise TypeError("a map is read off levels")
        pairs.append([next(iter(condition.levels), None), value])
    return {"column": rule.column, "source": source, "pairs": pairs}


def _read_map(schema: Schema, written: Mapping[str, Any]) -> Cases:
    column, source = schema[written["column"]], schema[written["source"]]
    if not isinstance(source, LevelColumn):
        raise _bad("A map is read off a column without levels.")
    cases = []
    for level, value in written["pairs"]:
        if level is not None and level not in (*source.declared, source.other):
            raise _bad("A map reads a level that is not in the list.")
        if isinstance(column, LevelColumn) and value is not None and value not in (*column.declared, column.other):
            raise _bad("A map gives a level that is not in the list.")
        levels = frozenset[str]() if level is None else frozenset({str(level)})
        cases.append(((LevelsAllowed(column=source.name, levels=levels, missing=level is None),), value))
    return Cases(column=column.name, cases=tuple(cases))


def _bought(column: Column) -> dict[str, Any]:
    if isinstance(column, LevelColumn):
        return {"levels": list(column.declared)}
    low, high = column.bounds
    return {"minimum": low, "maximum": high}


def _with_bought(column: Column, written: Mapping[str, Any]) -> Column:
    """A declared column with the rest of its domain; what is declared must be what is written."""
    if isinstance(column, LevelColumn):
        levels = tuple(str(level) for level in written["levels"])
        if column.levels not in (None, levels) or len(set(levels)) < len(levels):
            raise _bad("A list of levels is not the declared one.")
        return replace(column, levels=levels)
    low, high = float(written["minimum"]), float(written["maximum"])
    if column.minimum not in (None, low) or column.maximum not in (None, high) or not -np.inf < low <= high < np.inf:
        raise _bad("The bounds of a column are not the declared ones.")
    return _bounded(column, low, high)


def _bounded(column: NumberColumn, low: float, high: float) -> NumberColumn:
    return replace(column, minimum=low, maximum=high)


def _public(document: Mapping[str, Any]) -> dict[str, Any]:
    """The schema file without what a draft read off the rows."""
    return {**document, "privacy": {k: v for k, v in document["privacy"].items() if k != "drafted"}}


def _write(file: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name)  # the date is the format's first: equal models give equal bytes
    info.compress_type = zipfile.ZIP_DEFLATED
    file.writestr(info, content)


def _bad(what: str) -> ArtefactError:
    return ArtefactError(
        f"The model file cannot be used. {what}",
        why="Rows are drawn only from a model that is exactly what was fitted.",
        fix="Use the file a release left in its internal half, unchanged.",
    )
