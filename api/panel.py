"""The earlier side of a comparison, from a released model: what it measured, in cells that a new row falls into.

Histograms of the earlier table were bought when the release was made, and the model kept them with their noise. So
nothing of the earlier table is read again, and the noise of both sides is known. One histogram a modelled column, and
pairs of columns the release measured: those with the target first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from api.further_rows import released
from api.home import Installation
from audits.bought.questions import Questions
from audits.cells import Cells
from audits.drift.cells import Groups, grouped, split_noise
from audits.drift.contrast import Side, total
from audits.drift.histograms import Histogram, Panel
from audits.errors import BundleError
from audits.release.bundle import MODEL
from audits.release.review import internal_files
from privacy.columns import Floats, LevelColumn, NumberColumn
from privacy.constraints import Constraints
from privacy.schema import Schema
from privacy.schema_file import parse_schema
from privacy.table import Table
from synthesizers.artefact import load
from synthesizers.discretize import Attribute, Merged
from synthesizers.marginal.domain import project
from synthesizers.marginal.error_bounds import Uncertainty
from synthesizers.marginal.measurement import LinearMeasurement
from synthesizers.structured import StructuredModel

CELLS, PAIR_CELLS = 24, 5
"""Ordinary cells of a column by itself, and of each of a pair, at most."""

NAMED = 3
"""Levels whose names a joined cell shows; of more it tells the number."""


def released_model(bundle: Path, home: Installation) -> tuple[StructuredModel, Schema]:
    """The model a release was drawn from, and the schema that was declared for it. Raises BundleError."""
    files = internal_files(bundle, released(bundle, home))
    if MODEL not in files:
        raise BundleError(
            "The internal half of the release holds no model.",
            why="The model holds what the release measured.",
            fix="Make a release with this version of the program.",
        )
    model = load(files[MODEL])
    return model, parse_schema(json.loads((bundle / "schema.json").read_bytes()), name=model.schema.name)


class Measured(Protocol):
    """What a fitted model of any kind kept of its measurements."""

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """Discretised columns."""
        ...

    @property
    def merged(self) -> Mapping[str, Merged]:
        """Cells of every attribute."""
        ...

    @property
    def uncertainty(self) -> Uncertainty:
        """Noisy counts."""
        ...


@dataclass(frozen=True, slots=True)
class Column:
    """How one column is cut in one histogram.

    Attributes:
        attribute: the column as the model codes it.
        group: cell of every code.
        cells: what each is called.
        unlisted: cells of values outside the list.
        n_ordinary: cells that are neither OTHER nor missing.
    """

    attribute: Attribute
    group: Groups
    cells: tuple[str, ...]
    unlisted: tuple[int, ...]
    n_ordinary: int


@dataclass(frozen=True, slots=True)
class Coder:
    """Cells of rows in every histogram, each from that row alone, repaired as what the model learnt from.

    Attributes:
        constraints: rules of the schema.
        schema: modelled columns, as declared.
        parts: of every histogram, its columns.
    """

    constraints: Constraints
    schema: Schema
    parts: tuple[tuple[Column, ...], ...]

    def __call__(self, table: Table) -> Cells:
        """Shape (n, histograms)."""
        rows = self.constraints.repair(table).only(self.schema)
        attributes = {part.attribute.column.name: part.attribute for parts in self.parts for part in parts}
        codes = {name: a.encode(rows.conformed(a.column)) for name, a in attributes.items()}
        found = np.zeros((len(rows), len(self.parts)), np.int64)
        for j, parts in enumerate(self.parts):
            for part in parts:
                found[:, j] = found[:, j] * len(part.cells) + part.group[codes[part.attribute.column.name]]
        return found


def panel_of(model: StructuredModel, declared: Schema, rng: Generator, most_pairs: int | None = None) -> Panel:
    """Histograms of a released model's measurements.

    Args:
        model: the model.
        declared: the schema its release was made with.
        rng: public coins, which split the noise.
        most_pairs: pairs asked for at most; None for as many as there are columns.
    """
    inner = cast(Measured, model.inner)
    known = inner.uncertainty
    rows = total([one.total for one in (*known.count, *known.columns)])
    constraints = declared.constraints or Constraints()
    parts: list[tuple[Column, ...]] = []
    histograms: list[Histogram] = []
    for attribute, measured in zip(inner.attributes, known.columns, strict=True):
        compared, cut_by, variance = split_noise(measured.noisy, measured.variance, rng)
        column = _column(attribute, cut_by, CELLS)
        held = [_summed(v, column.group, len(column.cells)) for v in (compared, variance)]
        parts.append((column,))
        histograms.append(
            Histogram(
                columns=(attribute.column.name,),
                cells=column.cells,
                ordered=column.n_ordinary if attribute.is_ordered else 0,
                unlisted=column.unlisted,
                earlier=_side(held[0], held[1], rows),
            )
        )
    attributes = {a.column.name: a for a in inner.attributes}
    masses = {one.clique[0]: one.noisy for one in known.columns}
    target = "" if declared.target is None else declared.target.name
    for pair in _pairs(known.measured, target)[: len(inner.attributes) if most_pairs is None else most_pairs]:
        # What a pair's noise is has nothing to do with that of its columns, which cut it.
        columns = tuple(_coarse(attributes[name], inner.merged[name], masses[name]) for name in pair.clique)
        counts = [_joined(values, inner, pair.clique, columns) for values in (pair.noisy, pair.variance)]
        parts.append(columns)
        histograms.append(
            Histogram(
                columns=pair.clique,
                cells=tuple(f"{a} / {b}" for a in columns[0].cells for b in columns[1].cells),
                ordered=0,
                unlisted=(),
                earlier=_side(counts[0].ravel(), counts[1].ravel(), rows),
            )
        )
    coder = Coder(constraints, constraints.modelled(declared), tuple(parts))
    asked = Questions(tuple(h.name for h in histograms), tuple(len(h.cells) for h in histograms), coder)
    return Panel(histograms=tuple(histograms), asked=asked)


def _summed(values: Floats, group: Groups, n_groups: int) -> Floats:
    return np.bincount(group, values, minlength=n_groups).astype(np.float64)


def _side(noisy: Floats, variance: Floats, rows: tuple[float, float]) -> Side:
    return Side(noisy=noisy, variance=variance, rows=rows[0], rows_variance=rows[1])


def _column(attribute: Attribute, mass: Floats, most: int) -> Column:
    """A column cut by roughly the rows of each code."""
    ordinary = attribute.n_ordinary
    group = grouped(mass, ordinary, most, ordered=attribute.is_ordered)
    n = int(group.max(initial=-1)) + 1
    n_special = attribute.size - ordinary
    unlisted = (n - 2,) if isinstance(attribute.column, LevelColumn) else ()
    return Column(attribute, group, _words(attribute, group, n), unlisted, n - n_special)


def _coarse(attribute: Attribute, merged: Merged, mass: Floats) -> Column:
    """A column of a pair: cells the model measured pairs in, joined further."""
    held = _summed(np.maximum(mass, 0.0), merged.cell_of, merged.n_cells)
    n_ordinary = int(merged.cell_of[: attribute.n_ordinary].max(initial=-1)) + 1
    joined = grouped(held, n_ordinary, PAIR_CELLS, ordered=attribute.is_ordered)
    group = joined[merged.cell_of]
    n = int(joined.max(initial=-1)) + 1
    return Column(attribute, group, _words(attribute, group, n), (), n)


def _joined(values: Floats, inner: Measured, pair: Sequence[str], columns: Sequence[Column]) -> Floats:
    """Sums over the joined cells of a measured pair."""
    for axis, (name, column) in enumerate(zip(pair, columns, strict=True)):
        merged = inner.merged[name]
        group_of_cell = np.zeros(merged.n_cells, np.int64)
        group_of_cell[merged.cell_of] = column.group
        into = np.zeros((len(column.cells), merged.n_cells))
        into[group_of_cell, np.arange(merged.n_cells)] = 1.0
        values = np.moveaxis(np.tensordot(into, values, axes=(1, axis)), 0, axis)
    return values


def _pairs(measured: Sequence[LinearMeasurement], target: str) -> list[LinearMeasurement]:
    """Pairs within measured cliques, each by its least noisy measurement: those with the target first."""
    best: dict[tuple[str, ...], LinearMeasurement] = {}
    for one in measured:
        for pair in combinations(one.clique, 2):
            noisy, variance = (project(values, one.clique, pair) for values in (one.noisy, one.variance))
            found = LinearMeasurement(pair, noisy, variance)
            if pair not in best or variance.sum() < best[pair].variance.sum():
                best[pair] = found
    return sorted(best.values(), key=lambda found: target not in found.clique)


def _words(attribute: Attribute, group: npt.NDArray[np.int64], n_groups: int) -> tuple[str, ...]:
    """What every cell is called, in the schema's words."""
    return tuple(_word(attribute, np.flatnonzero(group == one)) for one in range(n_groups))


def _word(attribute: Attribute, codes: npt.NDArray[np.int64]) -> str:
    column = attribute.column
    if isinstance(column, NumberColumn) and attribute.edges is not None:
        bins = codes[codes < attribute.n_ordinary]
        if not len(bins):
            return "missing"
        low, high = float(attribute.edges[bins[0]]), float(attribute.edges[bins[-1] + 1])
        if column.is_discrete:
            high -= 1
        words = [column.write(low) if column.is_discrete else f"{low:.6g}",
                 column.write(high) if column.is_discrete else f"{high:.6g}"]  # fmt: skip
        return words[0] if words[0] == words[1] else f"{words[0]} to {words[1]}"
    names = [*cast(LevelColumn, column).declared, "not in the list", "missing"]
    # Codes a model lumps with its largest cell are not named after it.
    listed = codes[codes < attribute.n_ordinary]
    shown = [names[i] for i in (listed if len(listed) else codes)]
    if len(shown) <= NAMED:
        return ", ".join(shown)
    return f"{shown[0]} to {shown[-1]}" if attribute.is_ordered else f"{len(shown)} levels"
