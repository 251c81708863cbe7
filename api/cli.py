"""The command line: `tablegate --help`.

Exit codes: 0 released, passed or done; 2 bad input or usage; 3 withheld; 4 awaiting review; 5 budget refused; 1
anything else. Every command takes `--json` and then prints one object on standard output.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from api import cli_alignment, cli_client, cli_exchange, cli_service, cli_watch, commands
from api.demo import write_demo_table
from api.foreign import ForeignAudit
from api.further_rows import FurtherRows
from api.guarded import guarded
from api.home import Home, default_ledger_path
from api.recipe import Recipe
from api.streams import fresh_seed
from audits.release.review import Said
from synthesizers.neural.device import DEVICES

app = typer.Typer(
    name="tablegate",
    help="Differentially private synthetic tables, audited, and let out only through a release gate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
schema_app = typer.Typer(help="The public description of a table.", no_args_is_help=True)
ledger_app = typer.Typer(help="What every population has spent.", no_args_is_help=True)
app.add_typer(schema_app, name="schema")
app.add_typer(ledger_app, name="ledger")
cli_alignment.register(app)
cli_service.register(app)
cli_client.register(app)
cli_watch.register(app)
cli_exchange.register(schema_app)

TableFile = Annotated[Path, typer.Argument(metavar="TABLE", help="CSV, CSV.gz or Parquet.", show_default=False)]
SchemaFile = Annotated[Path, typer.Option("--schema", help="Frictionless Table Schema with our extension.")]
Epsilon = Annotated[float, typer.Option(help="Total epsilon of everything bought for the release.")]
Delta = Annotated[float, typer.Option(help="Total delta.")]
Synthesizer = Annotated[
    str, typer.Option(help="aim, mst, independent, dp-ctgan, pate-gan; or synthcity:NAME, unverified.")
]
PolicyName = Annotated[str, typer.Option("--policy", help="public, controlled, internal, priced, or a policy file.")]
LedgerFile = Annotated[Path | None, typer.Option("--ledger", help="Ledger file; one a user by default.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Where = Annotated[
    list[str] | None, typer.Option(help="Only rows that meet it, as `sex=Female` or `age>=30`; may be repeated.")
]
Balance = Annotated[
    list[str] | None, typer.Option(help="A column whose levels get equal shares; repeated: every combination.")
]
Given = Annotated[Path | None, typer.Option(help="YAML or JSON list of groups, each with its `share`.")]
Executor = Annotated[
    str,
    typer.Option(envvar="TABLEGATE_EXECUTOR", help="inline, process, dask or ray: where a long table is counted."),
]
Memory = Annotated[
    float | None,
    typer.Option(envvar="TABLEGATE_MEMORY", min=0.1, help="GB the run may need; by default what the machine has."),
]
Deep = Annotated[
    bool, typer.Option("--deep", help="Ask the deep audits too: minutes to hours, estimated before they start.")
]
WITH_EARLIER = "An earlier release of the population, to be held beside this one; repeatable."
EarlierBundles = Annotated[list[Path] | None, typer.Option("--with-earlier", metavar="BUNDLE", help=WITH_EARLIER)]
EarlierTables = Annotated[list[Path] | None, typer.Option("--with-earlier", metavar="FILE", help=WITH_EARLIER)]
Beside = Annotated[
    list[str] | None, typer.Option(help="Audits of another library too: sdmetrics, evidently, synthcity; internal.")
]
Track = Annotated[
    str | None, typer.Option(envvar="TABLEGATE_TRACK", help="MLflow server inside the boundary to log the run to.")
]
Seed = Annotated[int | None, typer.Option(help="Seed of sampling and audits; it protects nobody.")]


@app.command()
def demo(
    out: Annotated[Path | None, typer.Option(help="Folder to work in; demo-release by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Release a real, sensitive table from start to end."""

    def run() -> int:
        folder = out or _fresh("demo-release")
        folder.mkdir(parents=True, exist_ok=True)
        table, schema = write_demo_table(folder)
        recipe = Recipe(
            table=table,
            schema=schema,
            synthesizer="mst",
            epsilon=3.0,
            delta=1e-6,
            policy="internal",
            out=folder / "bundle",
            rows=None,
            seed=fresh_seed(),
            request="",
        )
        return commands.release_and_show(recipe, Home(folder / "ledger.db"), as_json=as_json)

    guarded(run, as_json=as_json)


@schema_app.command("draft")
def schema_draft(
    table: TableFile,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Where to write it; printed otherwise.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a first schema whose entries are `observed`: to be replaced before any release.

    TABLE may also be the JSON of a ydata-profiling report.
    """
    guarded(lambda: commands.draft(table, out, as_json=as_json), as_json=as_json)


@schema_app.command("check")
def schema_check(
    schema: Annotated[Path, typer.Argument(metavar="SCHEMA", show_default=False)],
    table: Annotated[Path | None, typer.Argument(metavar="[TABLE]", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Say how a schema is understood and, given a table, what in it does not fit (internal: exact counts)."""
    guarded(lambda: commands.check(schema, table, as_json=as_json), as_json=as_json)


@app.command()
def plan(
    table: TableFile,
    schema: SchemaFile,
    epsilon: Epsilon,
    delta: Delta,
    synthesizer: Synthesizer = "aim",
    where: Where = None,
    policy: Annotated[str | None, typer.Option(help="With what this policy buys for card and gate.")] = None,
    ledger: LedgerFile = None,
    as_json: AsJson = False,
) -> None:
    """Price a release, and estimate its time and memory, without reading a row."""
    guarded(
        lambda: commands.plan(
            table,
            schema,
            synthesizer,
            epsilon,
            delta,
            _home(ledger),
            where=tuple(where or ()),
            policy=policy,
            as_json=as_json,
        ),
        as_json=as_json,
    )


@app.command()
def release(
    table: TableFile,
    schema: SchemaFile,
    epsilon: Epsilon,
    delta: Delta,
    policy: PolicyName,
    out: Annotated[Path, typer.Option(help="Folder of the bundle; must not exist.")],
    synthesizer: Synthesizer = "aim",
    rows: Annotated[
        int | None, typer.Option(help="Rows to sample; the published or measured number by default.")
    ] = None,
    where: Where = None,
    balance: Balance = None,
    given: Given = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N: for neural synthesizers.")] = "auto",
    executor: Executor = "inline",
    memory: Memory = None,
    ledger: LedgerFile = None,
    seed: Seed = None,
    request: Annotated[
        str, typer.Option(help="Id of this request; a repeat takes up an unopened charge, or a stopped training.")
    ] = "",
    deep: Deep = False,
    with_earlier: EarlierBundles = None,
    beside: Beside = None,
    track: Track = None,
    as_json: AsJson = False,
) -> None:
    """Charge, synthesise, audit, judge, and seal a bundle."""
    if not DEVICES.fullmatch(device):
        raise typer.BadParameter("auto, cpu, cuda or cuda:N", param_hint="--device")
    recipe = Recipe(
        table=table,
        schema=schema,
        synthesizer=synthesizer,
        epsilon=epsilon,
        delta=delta,
        policy=policy,
        out=out,
        rows=rows,
        seed=fresh_seed() if seed is None else seed,
        request=request,
        device=device,
        executor=executor,
        memory=None if memory is None else round(memory * 1e9),
        where=tuple(where or ()),
        balance=tuple(balance or ()),
        given=given,
        deep=deep,
        earlier=tuple(with_earlier or ()),
        beside=tuple(beside or ()),
    )
    guarded(lambda: commands.release_and_show(recipe, _home(ledger), track=track, as_json=as_json), as_json=as_json)


@app.command()
def sample(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A released bundle.", show_default=False)],
    rows: Annotated[int, typer.Option(help="Rows to draw.")],
    policy: PolicyName,
    out: Annotated[Path, typer.Option(help="Folder of the bundle; must not exist.")],
    where: Where = None,
    balance: Balance = None,
    given: Given = None,
    table: Annotated[Path | None, typer.Option(help="The sensitive table, where it has moved.")] = None,
    ledger: LedgerFile = None,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Draw more rows of a released model, audited and judged like a release, at no further budget."""
    asked = FurtherRows(
        model=model,
        rows=rows,
        table=table,
        where=tuple(where or ()),
        balance=tuple(balance or ()),
        given=given,
        policy=policy,
        out=out,
        seed=fresh_seed() if seed is None else seed,
    )
    guarded(lambda: commands.sample_and_show(asked, _home(ledger), as_json=as_json), as_json=as_json)


@app.command()
def audit(
    synthetic: Annotated[Path, typer.Argument(metavar="SYNTHETIC", show_default=False)],
    train: Annotated[Path, typer.Option(help="Rows the table was made from.")],
    holdout: Annotated[Path, typer.Option(help="Rows of the same population it was not made from.")],
    schema: SchemaFile,
    policy: PolicyName,
    out: Annotated[Path, typer.Option(help="Folder of the report; must not exist.")],
    deep: Deep = False,
    with_earlier: EarlierTables = None,
    beside: Beside = None,
    ledger: LedgerFile = None,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Audit any synthetic table, whoever made it. Writes a report and no table."""
    asked = ForeignAudit(
        synthetic=synthetic,
        train=train,
        holdout=holdout,
        schema=schema,
        policy=policy,
        out=out,
        seed=fresh_seed() if seed is None else seed,
        deep=deep,
        earlier=tuple(with_earlier or ()),
        beside=tuple(beside or ()),
    )
    guarded(lambda: commands.audit(asked, _home(ledger), as_json=as_json), as_json=as_json)


@app.command()
def review(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", show_default=False)],
    reviewer: Annotated[str, typer.Option(help="Name of the person who decides.")],
    role: Annotated[str, typer.Option(help="As what they decide.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the internal half.")],
    approve: Annotated[bool | None, typer.Option("--approve/--reject", help="The decision.")] = None,
    ledger: LedgerFile = None,
    as_json: AsJson = False,
) -> None:
    """Decide on a release that awaits review."""
    if approve is None:
        raise typer.BadParameter("say --approve or --reject", param_hint="--approve")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    said = Said(reviewer=reviewer, role=role, reason=reason, time=now)
    guarded(lambda: commands.decide(bundle, said, _home(ledger), approve=approve, as_json=as_json), as_json=as_json)


@app.command()
def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", show_default=False)],
    ledger: LedgerFile = None,
    key: Annotated[str | None, typer.Option(help="Fingerprint of the key you expect.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check a bundle, offline."""
    home = None if ledger is None else _home(ledger)
    guarded(lambda: commands.verify_bundle(bundle, home, key, as_json=as_json), as_json=as_json)


@app.command()
def report(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--out", help="The PDF to write.")],
    internal: Annotated[bool, typer.Option("--internal", help="The report of the internal half.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a bundle's report as PDF, once the bundle has proven itself (extra `pdf`)."""
    guarded(lambda: commands.print_report(bundle, out, internal=internal, as_json=as_json), as_json=as_json)


@ledger_app.command("show")
def ledger_show(
    population: Annotated[str | None, typer.Option(help="One population; all by default.")] = None,
    ledger: LedgerFile = None,
    as_json: AsJson = False,
) -> None:
    """What was charged, what it adds up to, and what is left."""
    guarded(lambda: commands.show_ledger(_home(ledger), population, as_json=as_json), as_json=as_json)


@ledger_app.command("verify")
def ledger_verify(ledger: LedgerFile = None, as_json: AsJson = False) -> None:
    """Recompute the whole chain."""
    guarded(lambda: commands.verify_ledger(_home(ledger), as_json=as_json), as_json=as_json)


@ledger_app.command("cap")
def ledger_cap(
    population: Annotated[str, typer.Option(help="Whose cap.")],
    epsilon: Annotated[float, typer.Option(help="New cap.")],
    delta: Annotated[float, typer.Option(help="New cap.")],
    reason: Annotated[str, typer.Option(help="Why; recorded for ever.")],
    ledger: LedgerFile = None,
    as_json: AsJson = False,
) -> None:
    """Record another cap for a population."""
    guarded(
        lambda: commands.set_cap(_home(ledger), population, epsilon, delta, reason, as_json=as_json), as_json=as_json
    )


def main() -> None:
    """Entry point of `tablegate`."""
    app()


def _home(ledger: Path | None) -> Home:
    return Home(default_ledger_path() if ledger is None else ledger)


def _fresh(stem: str) -> Path:
    """The first of stem, stem-2, stem-3 ... that does not exist."""
    n = 1
    while (path := Path(stem if n == 1 else f"{stem}-{n}")).exists():
        n += 1
    return path


if __name__ == "__main__":
    main()
