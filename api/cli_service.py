"""The commands that run the service; what they serve is used with the commands of `api.cli_client`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from api.desk.desk import CPU, GPU, LIGHT
from api.display import answer, say
from api.guarded import guarded
from api.settings import Settings
from privacy.errors import RequestError

Data = Annotated[Path | None, typer.Option("--data", help="Folder of the installation; TABLEGATE_DATA by default.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Port = Annotated[int | None, typer.Option("--port", help="Where to serve; 8080 by default.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(up)
    app.command()(serve)
    app.command()(worker)
    app.command("check-records")(check_records)
    vault = typer.Typer(help="The key that wraps the keys of tables.", no_args_is_help=True)
    vault.command("rotate")(vault_rotate)
    vault.command("retire")(vault_retire)
    app.add_typer(vault, name="vault")


def up(
    demo: Annotated[bool, typer.Option("--demo", help="Fill a new installation with a real table and people.")] = False,
    port: Port = None,
    data: Data = None,
) -> None:
    """Run the service on this machine: database, API, pages, and one worker."""
    from api import processes
    from api.demo import service
    from api.service import prepare

    def run() -> int:
        settings = settings_with(data, port)
        prepare(settings)
        password = service.demo_people(settings) if demo else None
        beside = [lambda ended: service.demo_releases(settings, say, ended)] if password else []
        say(f"http://{settings.host}:{settings.port}/")
        if password:
            say(f"Sign in as {', '.join(service.PEOPLE)}; the password of each is {password}")
        processes.up(settings, (CPU, GPU, LIGHT), beside)
        return 0

    guarded(run, as_json=False)


def serve(port: Port = None, data: Data = None) -> None:
    """Serve API and pages of an installation; jobs are run by workers."""
    from api import processes
    from api.service import prepare

    def run() -> int:
        settings = settings_with(data, port)
        prepare(settings)
        processes.serve(settings)
        return 0

    guarded(run, as_json=False)


def worker(
    slot: Annotated[str, typer.Option(help="Name of this worker; stays the same when it is started anew.")],
    queues: Annotated[str, typer.Option(help="What it takes: cpu, gpu, light; separated by commas.")] = "cpu,light",
    data: Data = None,
) -> None:
    """Run jobs of an installation, one at a time a queue."""
    from api import processes

    def run() -> int:
        chosen = tuple(queue.strip() for queue in queues.split(","))
        if not slot.isidentifier() or any(queue not in (CPU, GPU, LIGHT) for queue in chosen):
            raise RequestError(
                "The slot is not a word of letters, digits and _, or a queue is unknown.",
                why=f"A slot names a file and a row; queues are {CPU}, {GPU} and {LIGHT}.",
                fix="Correct them.",
            )
        processes.run_worker(settings_with(data, None), slot, chosen)
        return 0

    guarded(run, as_json=False)


def check_records(
    copies: Annotated[
        Path | None, typer.Option(help="Folder of checkpoints kept elsewhere; the stored ones too.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Recompute ledger and audit log, and hold every checkpoint against them; where the signing key is."""
    from api.desk.record import verified_head
    from api.service import close_desk, open_desk
    from api.store.journal import AUDIT, LEDGER
    from api.work.checkpoints import stored, verify_checkpoints

    def run() -> int:
        desk = open_desk(settings_with(data, None), private=True)
        try:
            lengths = {chain: verified_head(desk.engine, chain)[0] for chain in (LEDGER, AUDIT)}
            kept = [path.read_bytes() for path in sorted(copies.glob("*.dsse.json"))] if copies else []
            checked = verify_checkpoints(desk, [*stored(desk), *kept])
        finally:
            close_desk(desk)
        facts = {"entries": lengths, "checkpoints": checked}
        answer(facts, as_json=as_json, show=lambda: say(f"The chains hold, and {checked} checkpoints stand in them."))
        return 0

    guarded(run, as_json=as_json)


def vault_rotate(data: Data = None, as_json: AsJson = False) -> None:
    """Make a new key and wrap every table's key for it; then start every process again, and retire the old one."""
    from api.vault.rotation import rotate

    guarded(lambda: _wrapped(rotate(settings_with(data, None)), as_json=as_json), as_json=as_json)


def vault_retire(data: Data = None, as_json: AsJson = False) -> None:
    """Destroy the old key, once every process was started again after a rotation."""
    from api.vault.rotation import retire

    guarded(lambda: _wrapped(retire(settings_with(data, None)), as_json=as_json), as_json=as_json)


def _wrapped(count: int, *, as_json: bool) -> int:
    answer({"wrapped": count}, as_json=as_json, show=lambda: say(f"Wrapped {count} keys."))
    return 0


def settings_with(data: Path | None, port: int | None) -> Settings:
    """The settings of the environment, with what the command line says instead."""
    given: dict[str, Any] = {"data": data, "port": port}
    return Settings(**{name: value for name, value in given.items() if value is not None})
