"""A peer's own environment, made on first use, and one request to the peer in it.

What a peer is told of a table is which columns are numbers and which texts mean missing. It runs with one thread.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

from bench.peers.registry import Peer, System
from bench.run import Run, run
from privacy.columns import LevelColumn
from privacy.schema import Schema

HOME = Path.home() / ".cache" / "tablegate-peers"


class DatesError(ValueError):
    """A table has dates, which each system reads in another way, or not at all."""


def installed(peer: System, home: Path) -> Path:
    """The Python of the peer's environment under `home`; peers of one system share it.

    An environment of other requirements, or one whose installation was interrupted, is made again.
    """
    folder = home / peer.system
    python, stamp = folder / "bin" / "python", folder / "requirements.txt"
    wanted = peer.requirements.read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {peer.distribution} into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        install = ["-m", "pip", "install", "--quiet", "--requirement", str(peer.requirements)]
        subprocess.run([str(python), *install], check=True)
        stamp.write_text(wanted)
    return python


def describe(schema: Schema, file: Path) -> None:
    """Write down what a peer is told of a table's columns.

    Raises DatesError for a table with dates.
    """
    numbers = [column for column in schema.columns if not isinstance(column, LevelColumn)]
    dates = [column.name for column in numbers if column.kind not in ("integer", "number")]
    if dates:
        raise DatesError(f"peers are not asked for tables with dates ({', '.join(dates)})")
    missing = sorted({text for column in schema.columns for text in column.missing})
    about = {"columns": schema.names, "numbers": [column.name for column in numbers], "missing": missing}
    file.write_text(json.dumps(about))


def ask(peer: Peer, home: Path, train: Path, columns: Path, out: Path, *budget: str, limit: int) -> Run:
    """Have a peer fit the rows in `train` and write as many to `out`.

    Args:
        peer: whom.
        home: where its environment is, or will be.
        train: the rows, CSV.
        columns: what `describe` wrote.
        out: CSV.
        budget: epsilon and delta.
        limit: CPU seconds after which it is stopped.

    Raises CalledProcessError where it fails or is stopped.
    """
    module = f"bench.peers.drivers.{peer.system}"
    request = ["-m", module, peer.method, str(train), str(columns), str(out), *budget]
    return run(request, python=installed(peer, home), cpu_limit=limit)
