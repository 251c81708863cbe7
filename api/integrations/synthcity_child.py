"""A process of its own for synthcity: a line of JSON and rows on standard input, the answer on standard output.

The library seeds global generators, prints, logs to where it likes
and keeps files, all of it about private rows. Here its prints and logs go nowhere, its files into a folder the caller
removes, and what it raises leaves as a class name.
"""

from __future__ import annotations

import inspect
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

MISSING = "(missing)"
"""What a missing level is written as, for a library that has no missing values; longer where the word is taken."""

CATEGORIES = ["generic", "privacy"]
METRICS = {
    "sanity": ["common_rows_proportion", "nearest_syn_neighbor_distance", "close_values_probability"],
    "stats": ["jensenshannon_dist", "inv_kl_divergence", "max_mean_discrepancy", "wasserstein_dist", "prdc"],
    "detection": ["detection_linear"],
    "privacy": ["identifiability_score"],
}
"""What is asked of a table: those of its metrics that take seconds on some thousand rows."""


def main() -> None:
    """Carry out the request."""
    out = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    request = json.loads(sys.stdin.buffer.readline())
    folder = Path.cwd()
    threading.Thread(target=_end_with, args=(os.getppid(), folder), daemon=True).start()
    try:
        _import_library()
        {"draw": _draw, "measure": _measure}[request["verb"]](request, sys.stdin.buffer, out)
    except Exception as failure:
        with suppress(BrokenPipeError):
            _tell(out, {"failed": type(failure).__name__})
        raise SystemExit(1) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _end_with(parent: int, folder: Path) -> None:
    """Where the caller was killed, nobody else would end this process and remove its folder."""
    while os.getppid() == parent:
        time.sleep(1)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _import_library() -> None:
    import synthcity.logger

    synthcity.logger.remove()


def _draw(request: Mapping[str, Any], rows: BinaryIO, out: BinaryIO) -> None:
    """Say what the plugin is; then, once rows come, fit it to them and draw others."""
    from synthcity.plugins import plugins

    files = {Path(file).stem.removeprefix("plugin_"): file for category in CATEGORIES for file in plugins[category]}
    if request["plugin"] not in files:
        _tell(out, {"unknown": sorted(files)})
        return
    from synthcity.plugins.core.dataloader import GenericDataLoader
    from synthcity.plugins.core.plugin import Plugin, PluginLoader

    # The one plugin that is asked for: all of them take half a minute to import.
    plugin = PluginLoader([files[request["plugin"]]], Plugin, CATEGORIES).get_type(request["plugin"])
    takes = [name for name in ("epsilon", "delta") if name in inspect.signature(plugin.__init__).parameters]
    _tell(out, {"takes": takes})
    frame, undo = _complete(pa.ipc.open_stream(rows).read_all())
    seed = request["random_state"]
    made = plugin(
        **{name: request[name] for name in takes},
        random_state=seed,
        workspace=Path("workspace"),
        device="cpu",
        strict=False,  # otherwise rows that repeat one another are dropped
    )
    made.fit(GenericDataLoader(frame, **request["loader"]))
    drawn = made.generate(count=request["rows"], random_state=seed).dataframe()
    _write(out, undo(drawn))


def _measure(request: Mapping[str, Any], rows: BinaryIO, out: BinaryIO) -> None:
    """The library's metrics of two tables of rows against a third: the rows trained on, synthetic ones, real ones."""
    from synthcity.metrics import Metrics
    from synthcity.plugins.core.dataloader import GenericDataLoader

    tables = pa.ipc.open_stream(rows).read_all()
    frame, _ = _complete(tables.drop_columns([request["side"]]))
    sides = tables.column(request["side"]).to_numpy()
    loaders = {side: GenericDataLoader(frame[sides == side].reset_index(drop=True)) for side in np.unique(sides)}
    scores = {}
    for side in ("synthetic", "control"):
        found = Metrics.evaluate(
            loaders["train"],
            loaders[side],
            metrics=METRICS,
            random_state=request["random_state"],
            workspace=Path("workspace"),
            use_cache=False,
            n_folds=2,
        )
        scores[side] = {
            str(name): {"value": float(row["mean"]), "direction": str(row["direction"])}
            for name, row in found.iterrows()
            if np.isfinite(row["mean"]) and not row["errors"]
        }
    _tell(out, scores)


def _complete(rows: pa.Table) -> tuple[Any, Any]:
    """Rows as a frame without missing cells, and how to put them back.

    A missing level is one more level. A number is filled with its column's median, and a column beside it says where.
    """
    frame = rows.to_pandas()
    words, beside = {}, {}
    for field in rows.schema:
        name = field.name
        if pa.types.is_string(field.type):
            word = MISSING
            while (frame[name] == word).any():
                word += "_"
            words[name] = word
            frame[name] = frame[name].fillna(word).astype(object)
        elif frame[name].isna().any():
            beside[name] = f"{name} is missing"
            frame[beside[name]] = frame[name].isna().map({True: "yes", False: "no"}).astype(object)
            frame[name] = frame[name].fillna(0.0 if frame[name].isna().all() else frame[name].median())

    def undo(drawn: Any) -> pa.Table:
        columns = {}
        for field in rows.schema:
            cells = drawn[field.name]
            if field.name in words:
                texts = [None if str(cell) == words[field.name] else str(cell) for cell in cells]
                columns[field.name] = pa.array(texts, type=pa.string())
            else:
                values = np.asarray(cells, dtype=np.float64)
                gone = ~np.isfinite(values)
                if field.name in beside:
                    gone |= np.asarray(drawn[beside[field.name]]) == "yes"
                columns[field.name] = pa.array(np.where(gone, 0.0, values), mask=gone)
        return pa.table(columns)

    return frame, undo


def _tell(out: BinaryIO, facts: Mapping[str, Any]) -> None:
    out.write(json.dumps(facts).encode() + b"\n")
    out.flush()


def _write(out: BinaryIO, rows: pa.Table) -> None:
    _tell(out, {"rows": rows.num_rows})
    with pa.ipc.new_stream(out, rows.schema) as stream:
        stream.write_table(rows)
    out.flush()


if __name__ == "__main__":
    main()
