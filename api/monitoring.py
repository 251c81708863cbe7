"""Has the table a release was made from moved on? Histograms of its new version are bought, compared, and made use of.

The order of a release, in small: what is refused is refused before anything is charged, the charge is on disk before a
row is read, and everything after the purchase is post-processing. The earlier side is what the release bought (`api.
panel`). What is found proposes a release and never starts one; a proposal says what the release would cost. The same
histograms give weights that bring the rows of the old release toward the new version.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from api.charging import open_own
from api.coins import place_of
from api.further_rows import bundle_of
from api.home import Installation
from api.integrations.evidently_snapshot import snapshot
from api.panel import panel_of, released_model
from api.panel_price import FALSE_ALARMS, TOLERANCE, PanelPrice, against, check_rates, priced
from api.recipe import check_seed, check_target
from api.renewal import Renewal, renewal_of
from api.steps import Steps
from api.streams import Streams
from audits.drift.contrast import Side
from audits.drift.histograms import Panel
from audits.drift.report import render_monitor
from audits.drift.verdicts import NewValues, State, Told, judge, overall
from audits.drift.weights import Weights, rake
from audits.release.staging import publish_alone
from privacy.columns import Floats
from privacy.files import TableFile, check_file, mark
from privacy.filter import PrivacyFilter
from privacy.ledger import Charge
from privacy.noise import NoiseSource, system_noise
from privacy.rows import Inline, Rows, Stream, held
from privacy.schema import Schema
from privacy.table import Table, read_table, read_units, rows_within
from synthesizers.structured import StructuredModel

FORMAT = "tablegate-monitor/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorRequest:
    """What is asked: a new version of a table, and the release made from an earlier one.

    Attributes:
        table: the new version.
        bundle: the release, with its internal half beside it.
        epsilon, delta: what the histograms may cost.
        out: folder of the report and the weights; must not exist.
        tolerance: total variation distance that is no drift.
        false_alarms: probability that a run tells of drift where there is none beyond the tolerance, at most.
        seed: seed of the streams that protect nobody.
        request: the caller's id; the same one takes up a charge that was never opened.
    """

    table: TableFile
    bundle: Path
    epsilon: float
    delta: float
    out: Path
    seed: int
    tolerance: float = TOLERANCE
    false_alarms: float = FALSE_ALARMS
    request: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitored:
    """What a run found. Every number was bought, or follows from what was.

    Attributes:
        out: the folder.
        told: every histogram.
        new_values: values outside lists.
        renewal: what a new release would cost.
        weights: of the old release's rows.
        facts: the whole as JSON.
    """

    out: Path
    told: tuple[Told, ...]
    new_values: tuple[NewValues, ...]
    renewal: Renewal
    weights: Weights
    facts: Mapping[str, Any]

    @property
    def state(self) -> State:
        """Of the whole run."""
        return overall(self.told, self.new_values)

    @property
    def proposes(self) -> bool:
        """Whether drift is proven, and a release is proposed."""
        return self.state is State.DRIFT


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A request that was checked; no row was read for it, and nothing was charged.

    Attributes:
        asked: the request.
        bundle: place of the release.
        schema: it was made with.
        model: it was drawn from.
        panel: what is compared, and the earlier side of it.
        synthetic: its rows.
        price: what the new version's histograms cost.
        streams: coins that protect nobody.
    """

    asked: MonitorRequest
    bundle: Path
    schema: Schema
    model: StructuredModel
    panel: Panel
    synthetic: Table
    price: PanelPrice
    streams: Streams


def monitor(asked: MonitorRequest, home: Installation, steps: Steps) -> Monitored:
    """Charge, count, compare, weigh, write. Raises a ReleaseError for what is refused."""
    steps("checking the request")
    comparison = prepared(asked, home)
    check_file(asked.table, comparison.schema)
    digest = _digest(comparison.bundle)
    parts = (place_of(asked.table), asked.out.absolute(), digest, comparison.price.budget, asked.tolerance)
    request = asked.request or hashlib.sha256(repr(tuple(map(str, parts))).encode()).hexdigest()
    charge, privacy = open_own(
        home, system_noise(), lambda: comparison.price.charge(home.ledger, request, against(digest))
    )
    return compare(comparison, home, charge, privacy, steps)


def prepared(asked: MonitorRequest, home: Installation) -> Comparison:
    """Refuse what is refused, with a ReleaseError, before anything is opened; the table's header is for the caller.

    The service checked it when it took the table in, and keeps no column that the schema drops.
    """
    bundle = bundle_of(asked.bundle)
    check_rates(asked.tolerance, asked.false_alarms)
    check_seed(asked.seed)
    model, schema = released_model(bundle, home)
    schema.require_releasable()
    price = priced(schema, asked.epsilon, asked.delta)
    check_target(asked.out)
    streams = Streams(asked.seed)
    return Comparison(
        asked=asked,
        bundle=bundle,
        schema=schema,
        model=model,
        panel=panel_of(model, schema, streams["panel"]),
        synthetic=read_table(bundle / "data" / "synthetic.parquet", model.schema),
        price=price,
        streams=streams,
    )


def compare(
    comparison: Comparison, home: Installation, charge: Charge, privacy: PrivacyFilter, steps: Steps
) -> Monitored:
    """Count, compare, weigh, write: what follows an opened charge.

    Args:
        comparison: what was checked and priced.
        home: whose ledger says what a renewal would cost.
        charge: what pays, opened.
        privacy: its filter.
        steps: told of every step.
    """
    asked, schema, bundle = comparison.asked, comparison.schema, comparison.bundle
    panel, purchase = comparison.panel, comparison.price.purchase
    steps("counting the new version")
    rows = rows_of(asked.table, schema, privacy.noise)
    later = purchase.buy(panel, rows, schema.unit.max_rows, privacy)

    steps("comparing")
    told, new = judge(
        panel.histograms,
        later,
        cluster=schema.unit.max_rows,
        tolerance=asked.tolerance,
        false_alarms=asked.false_alarms,
        rng=comparison.streams["null"],
    )
    weights = rake(panel.asked.cells_of(comparison.synthetic), later, schema.unit.max_rows)
    renewal = renewal_of(bundle, schema, home)
    steps("writing the report")
    facts = _facts(comparison, charge, later, told, new, renewal, weights)
    made = Monitored(out=asked.out, told=told, new_values=new, renewal=renewal, weights=weights, facts=facts)
    documents = {
        "monitor.json": json.dumps(facts, indent=1, allow_nan=False).encode(),
        "report.html": render_monitor(facts).encode(),
        "evidently.json": json.dumps(snapshot(facts, datetime.now(UTC)), allow_nan=False).encode(),
        **weight_files(weights.values),
    }
    publish_alone(asked.out, documents, mode=0o755)
    return made


def rows_of(path: TableFile, schema: Schema, noise: NoiseSource) -> Rows:
    """The rows of a checked file, at most `max_rows` of every unit; a long file is not held."""
    table = held(path, schema)
    if table is not None:
        return table.bounded(noise)
    file = mark(path)
    units = read_units(path, schema)
    known = np.flatnonzero(units >= 0)
    taken = np.zeros(len(units), np.bool_)
    taken[known[rows_within(schema.unit, units[known], noise)]] = True
    numbers = None if schema.unit.field is None else units
    return Stream(file=file, declared=schema, schema=schema, taken=taken, units=numbers, executor=Inline())


def weight_files(values: Floats) -> dict[str, bytes]:
    """Weights in the order of the synthetic table's rows, for programs and for anybody."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table([pa.array(values)], names=["weight"]), sink, compression="zstd", store_schema=False)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["weight"])
    writer.writerows([f"{value:.6g}"] for value in values)
    return {"weights.parquet": sink.getvalue().to_pybytes(), "weights.csv": text.getvalue().encode()}


def _digest(bundle: Path) -> str:
    return hashlib.sha256((bundle / "provenance.dsse.json").read_bytes()).hexdigest()


def _facts(
    comparison: Comparison,
    charge: Charge,
    later: tuple[Side, ...],
    told: tuple[Told, ...],
    new: tuple[NewValues, ...],
    renewal: Renewal,
    weights: Weights,
) -> dict[str, Any]:
    asked, bundle, schema = comparison.asked, comparison.bundle, comparison.schema
    panel, purchase = comparison.panel, comparison.price.purchase
    drift = [one.histogram.name for one in told if one.state is State.DRIFT]
    drift += [f"values of {one.column} that are not in its list" for one in new if one.state is State.DRIFT]
    target = "" if schema.target is None else schema.target.name
    compared = {name for one in told for name in one.histogram.columns}
    return {
        "format": FORMAT,
        "table": schema.name,
        "population": schema.population,
        "release": {"bundle": bundle.name, "digest": _digest(bundle)},
        "target": target,
        "proposes_release": bool(drift),
        "state": str(overall(told, new)),
        "drift": drift,
        "asked": {
            "epsilon": asked.epsilon,
            "delta": asked.delta,
            "tolerance": asked.tolerance,
            "false_alarms": asked.false_alarms,
        },
        "charge": charge.id,
        "bought": {
            "histograms": len(panel.histograms),
            "noise_stddev": purchase.mechanism(panel, schema.unit.max_rows).stddev,
            "events": purchase.cost.to_json(),
            "rows_before": told[0].histogram.earlier.rows,
            "rows_now": later[0].rows,
        },
        "histograms": [
            _told(one, side, before, after, target)
            for one, side, before, after in zip(told, later, weights.before, weights.after, strict=True)
        ],
        "new_values": [
            {
                "column": one.column,
                "before": one.before,
                "after": one.after,
                "rise": one.rise,
                "interval": [one.interval.low, one.interval.high],
                "state": str(one.state),
            }
            for one in new
        ],
        "not_compared": [name for name in comparison.model.schema.names if name not in compared],
        "renewal": renewal.to_json(),
        "weights": {
            "file": "weights.parquet",
            "rows": len(weights.values),
            "effective_rows": weights.effective_rows,
            "largest": float(weights.values.max()),
            "mean_distance_before": float(weights.before.mean()),
            "mean_distance_after": float(weights.after.mean()),
        },
        "reproducibility": {"version of tablegate": version("tablegate"), "seed": asked.seed},
    }


def _told(one: Told, later: Side, before: float, after: float, target: str) -> dict[str, Any]:
    shift = one.shift
    return {
        "columns": list(one.histogram.columns),
        "with_target": target in one.histogram.columns,
        "state": str(one.state),
        "distance": shift.distance,
        "floor": shift.floor,
        "interval": [shift.interval.low, shift.interval.high],
        "confidence": shift.interval.confidence,
        "p_value": shift.p_value,
        "detectable": shift.detectable,
        "moves": [
            {"cell": cell, "before": m.before, "after": m.after, "low": m.low, "high": m.high} for cell, m in one.moves
        ],
        "cells": list(one.histogram.cells),
        "earlier": one.histogram.earlier.noisy.tolist(),
        "later": later.noisy.tolist(),
        "synthetic_distance": float(before),
        "weighted_distance": float(after),
    }
