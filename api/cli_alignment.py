"""Commands that keep a released table aligned with the real one: `monitor` and `lab`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api import alignment
from api.guarded import guarded
from api.home import Home, default_ledger_path
from api.lab import LabRequest
from api.monitoring import MonitorRequest
from api.panel_price import FALSE_ALARMS, TOLERANCE
from api.streams import fresh_seed

LedgerFile = Annotated[Path | None, typer.Option("--ledger", help="Ledger file; one a user by default.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Seed = Annotated[int | None, typer.Option(help="Seed of streams that protect nobody.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(monitor)
    app.command("lab")(run_lab)


def monitor(
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="The new version: CSV, CSV.gz or Parquet.", show_default=False)
    ],
    release: Annotated[Path, typer.Option(help="Bundle of the release made from the earlier version.")],
    epsilon: Annotated[float, typer.Option(help="Epsilon of the histograms, charged like any other.")],
    delta: Annotated[float, typer.Option(help="Their delta.")],
    out: Annotated[Path, typer.Option(help="Folder of report and weights; must not exist.")],
    tolerance: Annotated[float, typer.Option(help="Total variation distance that is no drift.")] = TOLERANCE,
    false_alarms: Annotated[float, typer.Option(help="Probability of any false alarm in the run, at most.")] = (
        FALSE_ALARMS
    ),
    ledger: LedgerFile = None,
    seed: Seed = None,
    request: Annotated[str, typer.Option(help="Id of this request; a repeat takes up an unopened charge.")] = "",
    as_json: AsJson = False,
) -> None:
    """Compare a new version of a table with the one a release was made from, by bought histograms.

    Exit codes: 0 no drift is proven; 4 drift is proven and a release is proposed, for people to decide; 2 bad input; 5
    budget refused.
    """
    asked = MonitorRequest(
        table=table,
        bundle=release,
        epsilon=epsilon,
        delta=delta,
        out=out,
        seed=fresh_seed() if seed is None else seed,
        tolerance=tolerance,
        false_alarms=false_alarms,
        request=request,
    )
    home = Home(default_ledger_path() if ledger is None else ledger)
    guarded(lambda: alignment.monitor_and_show(asked, home, as_json=as_json), as_json=as_json)


def run_lab(
    synthetic: Annotated[Path, typer.Argument(metavar="SYNTHETIC", show_default=False)],
    train: Annotated[Path, typer.Option(help="Rows the table was made from.")],
    holdout: Annotated[Path, typer.Option(help="Rows of the same population it was not made from.")],
    schema: Annotated[Path, typer.Option("--schema", help="Frictionless Table Schema with our extension.")],
    out: Annotated[Path, typer.Option(help="Folder of the report; must not exist.")],
    release: Annotated[
        Path | None,
        typer.Option(help="Bundle the rows are of: imperfections are learnt from the counts it bought."),
    ] = None,
    epsilon: Annotated[
        float | None, typer.Option(help="Buys counts of the training rows by label to learn imperfections from.")
    ] = None,
    delta: Annotated[float | None, typer.Option(help="Their delta.")] = None,
    ledger: LedgerFile = None,
    repeats: Annotated[int, typer.Option(help="How often rows are drawn and models fitted again.")] = 3,
    max_rows: Annotated[int, typer.Option(help="Rows of each side at most.")] = 20_000,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Ask what synthetic rows are worth to somebody who trains on them, and what would help. Internal.

    Charges nothing without --epsilon. Exit codes: 0 done, whatever was found; 2 bad input; 5 budget refused.
    """
    asked = LabRequest(
        synthetic=synthetic,
        train=train,
        holdout=holdout,
        schema=schema,
        out=out,
        release=release,
        epsilon=epsilon,
        delta=delta,
        seed=fresh_seed() if seed is None else seed,
        repeats=repeats,
        max_rows=max_rows,
    )
    home = Home(default_ledger_path() if ledger is None else ledger)
    guarded(lambda: alignment.lab_and_show(asked, home, as_json=as_json), as_json=as_json)
