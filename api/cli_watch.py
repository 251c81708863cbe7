"""`tablegate watch`: releases that a service compares with new versions of their table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli_client import AsJson, Reason, ReleaseId, asked, listed, one
from api.display import say
from api.panel_price import FALSE_ALARMS, TOLERANCE

if TYPE_CHECKING:
    from api.client import Client

CheckId = Annotated[str, typer.Argument(metavar="CHECK", help="Id of a check.", show_default=False)]
FILES = ("report.html", "monitor.json", "weights.csv", "weights.parquet")

watch_app = typer.Typer(help="Have releases compared with new versions of their table.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(watch_app, name="watch")


@watch_app.command("set")
def watch_set(
    release: ReleaseId,
    epsilon: Annotated[float, typer.Option(help="Epsilon of each check, charged to the population.")],
    delta: Annotated[float, typer.Option(help="Its delta.")],
    tolerance: Annotated[float, typer.Option(help="Total variation distance that is no drift.")] = TOLERANCE,
    false_alarms: Annotated[float, typer.Option(help="Probability of any false alarm in a check.")] = FALSE_ALARMS,
    days: Annotated[int, typer.Option(help="Days that pass between two checks at least.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Check every new version from now on; sets anew what is there, and lets a paused monitor go on."""
    how = {"epsilon": epsilon, "delta": delta, "tolerance": tolerance, "false_alarms": false_alarms, "days": days}
    asked(lambda service: one(service.set_monitor(release, **how)), as_json)


@watch_app.command("show")
def watch_show(release: ReleaseId, as_json: AsJson = False) -> None:
    """The monitor of a release, and what its next check would cost."""
    asked(lambda service: one(service.monitor(release)), as_json)


@watch_app.command("end")
def watch_end(release: ReleaseId, as_json: AsJson = False) -> None:
    """Check no new version any more."""

    def end(service: Client) -> tuple[dict[str, Any], Callable[[], None]]:
        service.end_monitor(release)
        return {"release": release}, lambda: say("Ended.")

    asked(end, as_json)


@watch_app.command("checks")
def watch_checks(release: ReleaseId, as_json: AsJson = False) -> None:
    """What was compared with a release, the newest first."""
    asked(lambda service: listed("Checks", service.checks(release), "id version state verdict asked_at"), as_json)


@watch_app.command("now")
def watch_now(release: ReleaseId, as_json: AsJson = False) -> None:
    """Have the version at hand checked now: charged, and queued."""
    asked(lambda service: one(service.compare(release)), as_json)


@watch_app.command("cancel")
def watch_cancel(release: ReleaseId, check: CheckId, reason: Reason, as_json: AsJson = False) -> None:
    """Stop a check."""
    asked(lambda service: one(service.cancel_check(release, check, reason)), as_json)


@watch_app.command("take")
def watch_take(
    release: ReleaseId,
    check: CheckId,
    out: Annotated[Path, typer.Option(help="Folder for report, figures and weights.")],
    as_json: AsJson = False,
) -> None:
    """Take what a check found: what `tablegate monitor` writes."""

    def take(service: Client) -> tuple[dict[str, Any], Callable[[], None]]:
        out.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (out / name).write_bytes(service.check_file(release, check, name))
        return {"out": str(out)}, lambda: say(f"Written to {out}")

    asked(take, as_json)
