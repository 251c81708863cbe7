"""The commands that ask a service: `dataset`, `request`, `job`, `download`, `keys`, `records`, `config`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.access.roles import Scope
from api.display import OUT, answer, grid, say
from api.guarded import guarded
from api.remote import keep, remote

if TYPE_CHECKING:
    from pydantic import BaseModel

    from api.client import Client

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DatasetId = Annotated[str, typer.Argument(metavar="DATASET", help="Id of a dataset.", show_default=False)]
ReleaseId = Annotated[str, typer.Argument(metavar="RELEASE", help="Id of a release.", show_default=False)]
Reason = Annotated[str, typer.Option(help="Why; recorded.")]
Epsilon = Annotated[float, typer.Option(help="Total epsilon of everything bought for the release.")]
Delta = Annotated[float, typer.Option(help="Total delta.")]
Synthesizer = Annotated[str, typer.Option(help="aim, mst, dp-ctgan, pate-gan or independent.")]
PolicyName = Annotated[str, typer.Option("--policy", help="A policy of the service.")]
Rows = Annotated[int | None, typer.Option(help="Rows to sample; the published or measured number by default.")]
Where = Annotated[list[str] | None, typer.Option(help="Only rows that meet it; may be repeated.")]
Balance = Annotated[list[str] | None, typer.Option(help="A column whose levels get equal shares; may be repeated.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]

STATES = {"published": 0, "review": 4, "withheld": 3, "rejected": 3}
"""Exit codes of what came of a release; 1 for anything else."""

dataset_app = typer.Typer(help="Sensitive tables of the service.", no_args_is_help=True)
request_app = typer.Typer(help="Ask for a release.", no_args_is_help=True)
job_app = typer.Typer(help="What became of requests.", no_args_is_help=True)
keys_app = typer.Typer(help="Your API keys.", no_args_is_help=True)
records_app = typer.Typer(help="Who did what.", no_args_is_help=True)
config_app = typer.Typer(help="Which service is asked.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, group in (
        ("dataset", dataset_app),
        ("request", request_app),
        ("job", job_app),
        ("keys", keys_app),
        ("records", records_app),
        ("config", config_app),
    ):
        app.add_typer(group, name=name)
    app.command()(download)


@dataset_app.command("list")
def dataset_list(as_json: AsJson = False) -> None:
    """The datasets you have a role for."""
    asked(lambda service: listed("Datasets", service.datasets(), "id title population state"), as_json)


@dataset_app.command("show")
def dataset_show(dataset: DatasetId, as_json: AsJson = False) -> None:
    """One dataset."""
    asked(lambda service: one(service.dataset(dataset)), as_json)


@dataset_app.command("register")
def dataset_register(
    schema: Annotated[Path, typer.Argument(metavar="SCHEMA", exists=True, show_default=False)],
    title: Annotated[str, typer.Option(help="For people.")],
    keep_until: Annotated[str, typer.Option(help="Date on which the table is erased by itself.")] = "",
    as_json: AsJson = False,
) -> None:
    """Register a dataset by its schema; its table is uploaded afterwards."""
    asked(lambda service: one(service.register(title, schema, keep_until)), as_json)


@dataset_app.command("upload")
def dataset_upload(
    dataset: DatasetId,
    table: Annotated[Path, typer.Argument(metavar="TABLE", exists=True, dir_okay=False, show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Send a table; it is encrypted as it arrives."""
    asked(lambda service: one(service.upload(dataset, table)), as_json)


@dataset_app.command("budget")
def dataset_budget(dataset: DatasetId, as_json: AsJson = False) -> None:
    """What the dataset's population has spent."""
    asked(lambda service: one(service.budget(dataset)), as_json)


@dataset_app.command("cap")
def dataset_cap(dataset: DatasetId, epsilon: Epsilon, delta: Delta, reason: Reason, as_json: AsJson = False) -> None:
    """Record another cap for the dataset's population."""
    asked(lambda service: one(service.set_cap(dataset, epsilon, delta, reason)), as_json)


@dataset_app.command("mock")
def dataset_mock(
    dataset: DatasetId,
    out: Annotated[Path, typer.Option("-o", "--out", help="Where to write it.")],
    rows: Annotated[int, typer.Option(help="How many rows.")] = 100,
    as_json: AsJson = False,
) -> None:
    """A table made up from the schema alone, to write code on."""

    def take(service: Client) -> tuple[dict[str, Any], Callable[[], None]]:
        out.write_bytes(service.mock(dataset, rows))
        return {"file": str(out)}, lambda: say(f"Written to {out}")

    asked(take, as_json)


@dataset_app.command("erase")
def dataset_erase(dataset: DatasetId, reason: Reason, as_json: AsJson = False) -> None:
    """Have a table erased: its key is destroyed."""

    def ask(service: Client) -> tuple[dict[str, Any], Callable[[], None]]:
        service.erase(dataset, reason)
        return {"dataset": dataset}, lambda: say("It will be erased; the record certifies it.")

    asked(ask, as_json)


@request_app.command("price")
def request_price(
    dataset: DatasetId,
    epsilon: Epsilon,
    delta: Delta,
    policy: PolicyName,
    synthesizer: Synthesizer = "aim",
    rows: Rows = None,
    where: Where = None,
    balance: Balance = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """What a release would cost; nothing is charged."""
    recipe = _recipe(epsilon, delta, policy, synthesizer, rows, where, balance, device)
    asked(lambda service: one(service.price(dataset, **recipe)), as_json)


@request_app.command("make")
def request_make(
    dataset: DatasetId,
    epsilon: Epsilon,
    delta: Delta,
    policy: PolicyName,
    purpose: Annotated[str, typer.Option(help="What the table is for; recorded.")],
    recipient: Annotated[str, typer.Option(help="Who will have it.")],
    synthesizer: Synthesizer = "aim",
    rows: Rows = None,
    where: Where = None,
    balance: Balance = None,
    device: Device = "auto",
    once: Annotated[str, typer.Option(help="Id of this request: sent twice, it is charged once.")] = "",
    as_json: AsJson = False,
) -> None:
    """Ask for a release: it is charged, and queued."""
    recipe = _recipe(epsilon, delta, policy, synthesizer, rows, where, balance, device)
    words: dict[str, Any] = {"purpose": purpose, "recipient": recipient, "once": once}
    asked(lambda service: one(service.request(dataset, **recipe, **words)), as_json)


@job_app.command("list")
def job_list(
    dataset: Annotated[str, typer.Option(help="Of this dataset only.")] = "",
    as_json: AsJson = False,
) -> None:
    """Releases you may see, the newest first."""
    asked(lambda service: listed("Releases", service.releases(dataset), "id dataset state purpose"), as_json)


@job_app.command("show")
def job_show(release: ReleaseId, as_json: AsJson = False) -> None:
    """One release."""
    asked(lambda service: one(service.release(release)), as_json)


@job_app.command("wait")
def job_wait(release: ReleaseId, as_json: AsJson = False) -> None:
    """Say every step until the release comes to rest; the exit code is that of `release`."""

    def run() -> int:
        with _client() as service:
            for step in service.progress(release):
                say(f"{step.step} ...")
            found = service.release(release)
            answer(found.model_dump(), as_json=as_json, show=lambda: OUT.print(found.state))
            return STATES.get(found.state, 1)

    guarded(run, as_json=as_json)


@job_app.command("cancel")
def job_cancel(release: ReleaseId, reason: Reason, as_json: AsJson = False) -> None:
    """Take a request back."""
    asked(lambda service: one(service.cancel(release, reason)), as_json)


@job_app.command("vote")
def job_vote(
    release: ReleaseId,
    bundle: Annotated[str, typer.Option(help="Digest of the bundle you looked at: `job show` has it.")],
    reason: Reason,
    approve: Annotated[bool | None, typer.Option("--approve/--reject", help="Whether it may leave.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a release under review may leave."""
    if approve is None:
        raise typer.BadParameter("say --approve or --reject", param_hint="--approve")
    asked(lambda service: one(service.vote(release, bundle=bundle, approve=approve, reason=reason)), as_json)


@job_app.command("withdraw")
def job_withdraw(release: ReleaseId, reason: Reason, as_json: AsJson = False) -> None:
    """Take a released table back; whoever took it is told."""
    asked(lambda service: one(service.withdraw(release, reason)), as_json)


def download(
    release: ReleaseId,
    out: Annotated[Path, typer.Option(help="Folder for the bundle.")],
    accept: Annotated[str, typer.Option(help="Digest of the terms you read, which accepts them.")] = "",
    as_json: AsJson = False,
) -> None:
    """Take a released bundle, for `tablegate verify`; the terms of use are shown until they are accepted."""

    def run() -> int:
        with _client() as service:
            terms = service.terms(release)
            if not terms.accepted and not accept:
                facts = {"terms": terms.text, "digest": terms.digest}
                answer(facts, as_json=as_json, show=lambda: OUT.print(terms.text, markup=False))
                say(f"To accept them: tablegate download {release} --out {out} --accept {terms.digest}")
                return 2
            if not terms.accepted:
                service.accept_terms(release, accept)
            folder = service.download_all(release, out)
        answer({"bundle": str(folder)}, as_json=as_json, show=lambda: say(f"Check it: tablegate verify {folder}"))
        return 0

    guarded(run, as_json=as_json)


@keys_app.command("list")
def keys_list(as_json: AsJson = False) -> None:
    """Your keys."""
    asked(lambda service: listed("Keys", service.keys(), "id label scopes expires_at revoked_at"), as_json)


@keys_app.command("make")
def keys_make(
    label: Annotated[str, typer.Option(help="What it is for.")],
    days: Annotated[int, typer.Option(help="How long it is valid.")] = 90,
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it is limited to; may be repeated. All that you may by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """A new key; its text is shown this once."""
    asked(lambda service: one(service.make_key(label, days, scope or ())), as_json)


@keys_app.command("end")
def keys_end(key: Annotated[str, typer.Argument(metavar="KEY", show_default=False)], as_json: AsJson = False) -> None:
    """End a key."""

    def end(service: Client) -> tuple[dict[str, Any], Callable[[], None]]:
        service.end_key(key)
        return {"key": key}, lambda: say("Ended.")

    asked(end, as_json)


@records_app.command("show")
def records_show(as_json: AsJson = False) -> None:
    """The audit log from its beginning."""

    def look(service: Client) -> tuple[dict[str, Any], Callable[[], None]]:
        items = [entry.model_dump() for entry in service.records()]
        names = ["at", "actor", "act", "about"]
        lines = [[item["seq"], *(item["body"].get(name, "") for name in names)] for item in items]
        return {"items": items}, lambda: grid("Records", ["seq", *names], lines)

    asked(look, as_json)


@records_app.command("verify")
def records_verify(as_json: AsJson = False) -> None:
    """Have the chains recomputed."""
    asked(lambda service: listed("Chains", service.verify(), "name length head"), as_json)


@config_app.command("set")
def config_set(
    url: Annotated[str, typer.Option(help="Of the service.")],
    key: Annotated[
        str, typer.Option(prompt=True, hide_input=True, help="Your API key; asked for where it is left out.")
    ],
    as_json: AsJson = False,
) -> None:
    """Remember a service and your key to it, in a file of your own."""

    def run() -> int:
        path = keep(url, key)
        answer({"file": str(path)}, as_json=as_json, show=lambda: say(f"Remembered in {path}"))
        return 0

    guarded(run, as_json=as_json)


@config_app.command("show")
def config_show(as_json: AsJson = False) -> None:
    """Which service is asked, and as whom."""

    def look(service: Client) -> tuple[dict[str, Any], Callable[[], None]]:
        facts = {"url": service.url, **service.me().model_dump()}
        return facts, lambda: _fields(facts)

    asked(look, as_json)


def _client() -> Client:
    from api.client import Client

    found = remote()
    return Client(found.url, found.key)


def asked(ask: Callable[[Client], tuple[dict[str, Any], Callable[[], None]]], as_json: bool) -> None:
    """Ask the service one thing, and show what it says."""

    def run() -> int:
        with _client() as service:
            facts, show = ask(service)
        answer(facts, as_json=as_json, show=show)
        return 0

    guarded(run, as_json=as_json)


def one(found: BaseModel) -> tuple[dict[str, Any], Callable[[], None]]:
    """One thing, and how it is shown."""
    facts = found.model_dump()
    return facts, lambda: _fields(facts)


def listed(title: str, found: Iterable[BaseModel], names: str) -> tuple[dict[str, Any], Callable[[], None]]:
    """Several things, and how they are shown: a column for each of some names."""
    items = [one.model_dump() for one in found]
    columns = names.split()
    return {"items": items}, lambda: grid(
        title, columns, [[_cell(item.get(name, "")) for name in columns] for item in items]
    )


def _cell(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value


def _fields(facts: dict[str, Any]) -> None:
    grid("", ["", ""], [[name, value] for name, value in facts.items() if not isinstance(value, dict | list)])


def _recipe(
    epsilon: float,
    delta: float,
    policy: str,
    synthesizer: str,
    rows: int | None,
    where: list[str] | None,
    balance: list[str] | None,
    device: str,
) -> dict[str, Any]:
    return {
        "epsilon": epsilon,
        "delta": delta,
        "policy": policy,
        "synthesizer": synthesizer,
        "rows": rows,
        "where": where or [],
        "balance": balance or [],
        "device": device,
    }
