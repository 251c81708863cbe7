"""A fitted model as bytes, and back: to draw more rows later, from what was measured and nothing else.

A file is a zip of `model.json` and plain arrays (`.npy`, no pickled objects). The JSON holds the schema as declared,
the domains that were bought, maps that were read off the model, and where each array belongs. Whatever is read is
checked against that schema, so that a damaged, foreign or hostile file is refused before anything is drawn from it.
What is a graphical model's own, and what a network's, is in `marginal.artefact` and `neural.artefact`.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from privacy.columns import Column, LevelColumn, NumberColumn
from privacy.conditions import LevelsAllowed
from privacy.constraints import Cases, Constraints
from privacy.errors import ReleaseError
from privacy.schema import Schema
from privacy.schema_file import parse_schema
from synthesizers.coding import Array, Coding, ReadArray, bad
from synthesizers.discretize import Attribute, Merged
from synthesizers.errors import ArtefactError
from synthesizers.marginal import artefact as marginal
from synthesizers.marginal.model import MarginalModel
from synthesizers.protocol import Model
from synthesizers.structured import StructuredModel

FORMAT, VERSION = "tablegate-model", 3
DOCUMENT = "model.json"
MAX_BYTES = 1 << 30
"""Unpacked size beyond which a file is refused: a small zip can hold a very large nothing."""

MARGINAL, NEURAL = "marginal", "neural"


def save(model: Model, synthesizer: str) -> bytes:
    """The file of a fitted model.

    Guarantees:
        Made of the model alone, which is private already: no row of the table is at hand here.
    """
    if not isinstance(model, StructuredModel):
        raise TypeError(f"no format is written for {type(model).__name__}")
    inner = model.inner
    arrays: dict[str, Array] = {}

    def keep(name: str, values: Array) -> str:
        arrays[name] = values
        return name

    if isinstance(inner, MarginalModel):
        kind, own = MARGINAL, marginal.parts_of(inner, keep)
    else:
        # torch takes seconds to import: only where a model of it is at hand.
        from synthesizers.neural import artefact as neural
        from synthesizers.neural.model import NeuralModel

        if not isinstance(inner, NeuralModel):
            raise TypeError(f"no format is written for {type(inner).__name__}")
        kind, own = NEURAL, neural.parts_of(inner, keep)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "synthesizer": synthesizer,
        "name": model.schema.name,
        "schema": _public(model.schema.document),
        "bought": {column.name: _bought(column) for column in model.schema.columns},
        "maps": [_map(rule) for rule in _read_off(model.constraints, inner.attributes)],
        "total": inner.n_rows_estimate,
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
        "expected_error": [[clique, error] for clique, error in inner.expected_error.items()],
        "uncertainty": marginal.uncertainty_parts(inner.uncertainty, keep),
        **own,
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
        raise bad("Its schema is not understood by this version.") from error
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, IndexError, OSError, RecursionError) as error:
        raise bad("It is damaged, or something else.") from error


def _load(content: bytes) -> StructuredModel:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        if sum(info.file_size for info in file.infolist()) > MAX_BYTES:
            raise bad("Unpacked it would be larger than any model.")
        document = json.loads(file.read(DOCUMENT))
        if document["format"] != FORMAT:
            raise bad("It is of another format.")
        if document["version"] != VERSION:
            raise bad(f"It is of version {int(document['version'])} of the format; this program reads {VERSION}.")

        def array(name: str, dtype: type, shape: Sequence[int]) -> Array:
            values = np.lib.format.read_array(io.BytesIO(file.read(name)), allow_pickle=False)
            if values.dtype != dtype or values.shape != tuple(shape) or not np.isfinite(values).all():
                raise bad("An array is not of its declared shape.")
            return values

        schema = _schema(document)
        modelled = _modelled(schema, document)
        coding = _coding(document, modelled, array)
        known = marginal.uncertainty_from(document["uncertainty"], coding, array)
        inner: Model
        if document["kind"] == MARGINAL:
            inner = marginal.model_from(document, coding, known, array)
        elif document["kind"] == NEURAL:
            from synthesizers.neural import artefact as neural

            inner = neural.model_from(document, coding, known, array)
        else:
            raise bad("It is of a kind this version does not know.")
        return StructuredModel(schema, schema.constraints or Constraints(), inner)


def _coding(document: Mapping[str, Any], schema: Schema, array: ReadArray) -> Coding:
    attributes: list[Attribute] = []
    merged: dict[str, Merged] = {}
    for written, column in zip(document["attributes"], schema.columns, strict=True):
        size, n_cells = int(written["size"]), int(written["n_cells"])
        if written["column"] != column.name:
            raise bad("Its columns are not those of its schema.")
        edges = None
        if written["edges"] is not None:
            edges = array(written["edges"], np.float64, [size])
        if (size != column.n_codes or edges is not None) if isinstance(column, LevelColumn) else edges is None:
            raise bad("A column is coded otherwise than its schema says.")
        cell_of = array(written["cell_of"], np.int64, [size])
        share = array(written["share"], np.float64, [size])
        if size < 1 or cell_of.min() < 0 or cell_of.max() >= n_cells or share.min() < 0:
            raise bad("The cells of a column are not what they should be.")
        attributes.append(Attribute(column=column, edges=edges, size=size))
        merged[column.name] = Merged(cell_of=cell_of, share=share, n_cells=n_cells)
    return Coding(schema, tuple(attributes), merged)


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
        raise bad("A map is not the one its schema asks for.")
    rules = replace(declared.constraints, derived=(*declared.constraints.derived, *maps), maps=())
    return replace(schema, constraints=rules)


def _modelled(schema: Schema, document: Mapping[str, Any]) -> Schema:
    """The columns the model is of. One whose map was read off the model is among them, and is overwritten."""
    names = {written["column"] for written in document["attributes"]}
    return replace(schema, columns=tuple(c for c in schema.columns if c.name in names))


def _read_off(constraints: Constraints, attributes: tuple[Attribute, ...]) -> list[Cases]:
    """Maps that were read off the model: derived columns that it models all the same."""
    modelled = {attribute.column.name for attribute in attributes}
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
        raise bad("A map is read off a column without levels.")
    cases = []
    for level, value in written["pairs"]:
        if level is not None and level not in (*source.declared, source.other):
            raise bad("A map reads a level that is not in the list.")
        if isinstance(column, LevelColumn) and value is not None and value not in (*column.declared, column.other):
            raise bad("A map gives a level that is not in the list.")
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
            raise bad("A list of levels is not the declared one.")
        return replace(column, levels=levels)
    low, high = float(written["minimum"]), float(written["maximum"])
    if column.minimum not in (None, low) or column.maximum not in (None, high) or not -np.inf < low <= high < np.inf:
        raise bad("The bounds of a column are not the declared ones.")
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
