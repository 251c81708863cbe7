"""The command line: what it promises to scripts, and what it reads and shows."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from typer.main import get_command

from api import display
from api.charging import charge_and_open, claim_of
from api.cli import app
from api.commands import EXIT
from api.guarded import BAD_INPUT, BUDGET_REFUSED, OTHER, exit_code
from api.recipe import Order, place
from audits.errors import BundleError, PolicyError
from audits.release.gate import Verdict
from privacy.errors import (
    BudgetExceededError,
    JournalError,
    OverspendError,
    RequestError,
    SchemaError,
    TableError,
)
from privacy.ledger import AlreadyOpenedError, Charge, LedgerError
from privacy.noise import system_noise
from privacy.schema import Budget
from synthesizers.errors import PlanError
from tests.api.conftest import CANARIES, Desk, call, canary_rows, clean_rows, csv_of, document, only_object, recipe

COMMANDS = {
    "demo": (),
    "plan": ("--schema", "--synthesizer", "--epsilon", "--delta"),
    "release": (
        "--schema",
        "--synthesizer",
        "--epsilon",
        "--delta",
        "--policy",
        "--out",
        "--rows",
        "--device",
        "--where",
        "--balance",
        "--given",
    ),
    "sample": ("--rows", "--where", "--balance", "--given", "--table", "--policy", "--out"),
    "audit": ("--train", "--holdout", "--schema", "--policy", "--out"),
    "review": ("--approve", "--reviewer", "--role", "--reason"),
    "verify": ("--ledger",),
    "monitor": ("--release", "--epsilon", "--delta", "--out", "--tolerance", "--false-alarms", "--ledger"),
    "lab": ("--train", "--holdout", "--schema", "--out", "--repeats", "--max-rows"),
    "report": ("--out", "--internal"),
    "schema draft": ("--out",),
    "schema check": (),
    "schema import": ("--out",),
    "schema export": ("--out",),
    "ledger show": ("--population",),
    "ledger verify": (),
    "ledger cap": ("--population", "--epsilon", "--delta", "--reason"),
    "up": ("--demo", "--port", "--data"),
    "serve": ("--port", "--data"),
    "worker": ("--slot", "--queues", "--data"),
    "check-records": ("--copies", "--data"),
    "vault rotate": ("--data",),
    "vault retire": ("--data",),
    "config set": ("--url", "--key"),
    "config show": (),
    "dataset register": ("--title", "--keep-until"),
    "dataset upload": (),
    "dataset list": (),
    "dataset show": (),
    "dataset budget": (),
    "dataset cap": ("--epsilon", "--delta", "--reason"),
    "dataset mock": ("--rows", "--out"),
    "dataset erase": ("--reason",),
    "request price": (
        "--synthesizer",
        "--epsilon",
        "--delta",
        "--policy",
        "--rows",
        "--device",
        "--where",
        "--balance",
    ),
    "request make": ("--synthesizer", "--epsilon", "--delta", "--policy", "--purpose", "--recipient", "--once"),
    "job list": ("--dataset",),
    "job show": (),
    "job wait": (),
    "job cancel": ("--reason",),
    "job vote": ("--approve", "--bundle", "--reason"),
    "job withdraw": ("--reason",),
    "download": ("--accept", "--out"),
    "watch set": ("--epsilon", "--delta", "--tolerance", "--false-alarms", "--days"),
    "watch show": (),
    "watch checks": (),
    "watch now": (),
    "watch cancel": ("--reason",),
    "watch take": ("--out",),
    "watch end": (),
    "keys list": (),
    "keys make": ("--label", "--days"),
    "keys end": (),
    "records show": (),
    "records verify": (),
}
RUN_ON = {"up", "serve", "worker"}
"""Commands that run until they are stopped, and have no one answer to give as JSON."""


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A desk that has made one release with `--json`; its answer lies in `answer.json`."""
    made = Desk(folder=tmp_path_factory.mktemp("released"))
    made.table.write_text(csv_of(canary_rows(400)), encoding="utf-8")
    made.describe(document())
    told = made.release("--json")
    assert told.exit_code in (0, 3, 4)
    assert told.stderr == ""
    (made.folder / "answer.json").write_text(json.dumps(only_object(told)), encoding="utf-8")
    return made


@pytest.fixture
def copied(released: Desk, tmp_path: Path) -> Desk:
    """A copy of that desk, to be spoiled."""
    shutil.copytree(released.folder, tmp_path / "copy")
    return Desk(folder=tmp_path / "copy")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(command: str) -> None:
    told = call(*command.split(), "--help")
    assert told.exit_code == 0
    group = get_command(app)
    for word in command.split():
        group = group.commands[word]  # type: ignore[attr-defined]
    options = {name for parameter in group.params for name in parameter.opts}
    assert set(COMMANDS[command]) <= options
    assert ("--json" in options) != (command in RUN_ON)
    assert group.help


def test_every_command_is_in_the_contract() -> None:
    group = get_command(app)
    found = set()
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        found |= {f"{name} {inner}" for inner in command.commands} if hasattr(command, "commands") else {name}
    assert found == set(COMMANDS)
    assert "schema" in call("--help").stdout


def test_exit_codes() -> None:
    assert (BAD_INPUT, BUDGET_REFUSED, OTHER) == (2, 5, 1)
    assert EXIT == {Verdict.PASS: 0, Verdict.WITHHOLD: 3, Verdict.REVIEW: 4}
    codes = {
        SchemaError: 2, TableError: 2, RequestError: 2, PlanError: 2, PolicyError: 2, BundleError: 2,
        JournalError: 1, OverspendError: 1, LedgerError: 1, AlreadyOpenedError: 1,
    }  # fmt: skip
    for kind, code in codes.items():
        assert exit_code(kind("what", why="why", fix="fix")) == code
    over = BudgetExceededError(population="p", total=2, cap_epsilon=1, cap_delta=1e-5, left=0.5)
    assert exit_code(over) == 5


def test_a_defect_tells_its_class_and_no_cell(capsys: pytest.CaptureFixture[str]) -> None:
    display.defect(ValueError(CANARIES[0]), as_json=True)
    told = capsys.readouterr()
    assert json.loads(told.out)["what"] == "Something failed that should not (ValueError)."
    assert CANARIES[0] not in told.out + told.err
    assert "TABLEGATE_TRACE=1" in told.err


def test_answers_hold_no_infinity(capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"a": float("inf"), "b": [float("nan"), 1.5], "c": {"d": (float("-inf"),)}}
    display.answer(facts, as_json=True, show=lambda: None)
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5], "c": {"d": [None]}}


def cut_short(desk: Desk) -> Path:
    """The table as a gz whose header can be read and whose rows cannot be read to their end."""
    whole = gzip.compress(csv_of(clean_rows(2_000, 4)).encode(), compresslevel=0)
    path = desk.folder / "table.csv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    return path


def test_plan_reads_no_row(desk: Desk) -> None:
    table = cut_short(desk)
    price = ("--schema", desk.schema, "--synthesizer", "mst", "--epsilon", "1", "--delta", "1e-6")
    told = call("plan", table, *price, "--ledger", desk.ledger)
    assert told.exit_code == 0
    assert "no row was read" in told.stdout
    assert not desk.ledger.exists()
    draft = call("schema", "draft", table)
    assert draft.exit_code == 2
    assert "damaged behind its header" in draft.stderr


def test_plan_in_json(desk: Desk) -> None:
    price = ("--schema", desk.schema, "--synthesizer", "independent", "--epsilon", "1", "--delta", "1e-6")
    facts = only_object(call("plan", desk.table, *price, "--ledger", desk.ledger, "--json"))
    assert set(facts) >= {
        "synthesizer", "epsilon", "delta", "epsilon_by_accountant", "lines", "seconds", "memory_bytes",
        "population", "population_spent", "population_left", "cap",
    }  # fmt: skip
    assert facts["epsilon_by_accountant"] <= facts["epsilon"] == 1
    assert sum(line["share"] for line in facts["lines"]) == pytest.approx(1)
    assert (facts["population_spent"], facts["population_left"]) == (0, None)
    assert facts["cap"] == {"epsilon": 10, "delta": 1e-5}
    assert desk.charges() == 0


def test_a_file_damaged_behind_its_header_keeps_its_charge(desk: Desk) -> None:
    told = desk.release(table=cut_short(desk))
    assert told.exit_code == 2
    assert "damaged behind its header" in told.stderr
    assert "The charge stands" in told.stderr
    assert desk.charges() == 1
    assert not [name for name in desk.listing() if "bundle" in name]


def test_answer_of_a_release(released: Desk) -> None:
    """Nothing but public facts outside the two entries whose names say that they are internal."""
    facts = json.loads((released.folder / "answer.json").read_bytes())
    public = {"verdict", "released", "bundle", "internal", "digest", "epsilon", "delta", "population_epsilon"}
    assert set(facts) == public | {"internal_figures", "objections"}
    assert facts["verdict"] in ("PASS", "REVIEW", "WITHHOLD")
    assert facts["released"] == (facts["verdict"] == "PASS")
    assert (facts["epsilon"], facts["delta"], facts["population_epsilon"]) == (1, 1e-6, 1)
    assert all(canary not in json.dumps(facts) for canary in CANARIES)


def test_ledger_show_verify_and_cap(copied: Desk) -> None:
    ledger = ("--ledger", copied.ledger)
    shown = only_object(call("ledger", "show", *ledger, "--json"))["populations"]
    assert [p["population"] for p in shown] == ["made-up-survey"]
    assert (shown[0]["total_epsilon"], shown[0]["attempts"]) == (1, 1)
    assert [e["kind"] for e in shown[0]["entries"]] == ["cap", "charge", "opened", "candidate", "verdict"]
    people = call("ledger", "show", "--population", "made-up-survey", *ledger)
    assert "total epsilon at most 1 of 10" in people.stdout

    numbers = ("--population", "made-up-survey", "--epsilon", "12", "--delta", "1e-5")
    entry = only_object(call("ledger", "cap", *numbers, "--reason", "a second wave", *ledger, "--json"))
    assert entry == {"population": "made-up-survey", "epsilon": 12, "delta": 1e-5, "entry": 6}
    assert "a second wave" in call("ledger", "show", *ledger).stdout
    assert only_object(call("ledger", "verify", *ledger, "--json"))["entries"] == 6
    assert call("ledger", "show", "--population", "nobody", *ledger).exit_code == 2
    assert call("ledger", "show", "--ledger", copied.folder / "none.db").exit_code == 2
    assert not (copied.folder / "none.db").exists()


def test_a_cap_lowered_below_what_was_spent_is_told(copied: Desk) -> None:
    """A cap with next to no delta left makes the total infinite: words, and JSON without Infinity."""
    ledger = ("--ledger", copied.ledger)
    numbers = ("--population", "made-up-survey", "--epsilon", "0.5", "--delta", "1e-300")
    assert call("ledger", "cap", *numbers, "--reason", "closed", *ledger).exit_code == 0
    shown = only_object(call("ledger", "show", *ledger, "--json"))["populations"][0]
    assert shown["left_epsilon"] == 0
    assert isinstance(shown["total_epsilon"], float | str)
    assert call("ledger", "show", *ledger).exit_code == 0


def test_verify_finds_a_ledger_that_was_cut_short_or_replaced(copied: Desk) -> None:
    whole = only_object(call("verify", copied.out, "--ledger", copied.ledger, "--json"))
    assert whole["ok"] is True
    with closing(sqlite3.connect(copied.ledger)) as connection, connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute("DELETE FROM entry WHERE seq > 2")
    assert call("ledger", "verify", "--ledger", copied.ledger).exit_code == 0
    told = call("verify", copied.out, "--ledger", copied.ledger)
    assert told.exit_code == 1
    assert "cut short" in told.stdout
    assert call("verify", copied.out, "--ledger", copied.folder / "none.db").exit_code == 2


def test_report_prints_what_proves_itself_and_nothing_else(copied: Desk) -> None:
    target = copied.folder / "report.pdf"
    assert call("report", copied.out, "--out", target).exit_code == 0
    assert target.read_bytes().startswith(b"%PDF-")
    target.unlink()
    inside = copied.out.with_name(copied.out.name + ".internal")
    assert call("report", copied.out, "--out", target, "--internal").exit_code == 0
    target.unlink()
    shutil.rmtree(inside)
    told = call("report", copied.out, "--out", target, "--internal")
    assert told.exit_code == 2
    assert "internal half" in told.stderr
    with (copied.out / "report.html").open("a") as page:
        page.write(" ")
    told = call("report", copied.out, "--out", target)
    assert told.exit_code == 2
    assert "does not prove itself" in told.stderr
    assert not target.exists()


def test_a_repeated_request_takes_up_a_charge_nobody_opened(desk: Desk) -> None:
    """Killed between charge and first read, then asked again: one charge. Asked once more: another one."""
    asked = place(recipe(desk))
    first = charge(asked, desk)
    again, _ = charge_and_open(place(recipe(desk)), desk.home, system_noise())
    assert again.id == first.id
    assert desk.charges() == 1
    later, _ = charge_and_open(asked, desk.home, system_noise())
    assert later.id != first.id
    assert desk.charges() == 2
    assert asked.request != replace(asked, budget=Budget(epsilon=1.5, delta=1e-6)).request
    assert replace(asked, recipe=recipe(desk, request="mine")).request == "mine"


def charge(order: Order, desk: Desk) -> Charge:
    """The charge of an order, without opening it."""
    return desk.home.ledger.charge(
        population=order.schema.population,
        cap=order.schema.require_releasable(),
        cost=order.plan.cost,
        claim=claim_of(order),
        request=order.request,
        purpose="independent release under policy internal",
        schema_digest=order.schema.digest,
    )


def test_schema_draft_refuses_to_overwrite_or_to_write_nowhere(desk: Desk) -> None:
    before = desk.schema.read_bytes()
    assert call("schema", "draft", desk.table, "-o", desk.schema).exit_code == 2
    assert desk.schema.read_bytes() == before
    nowhere = call("schema", "draft", desk.table, "-o", desk.folder / "no" / "folder.yaml")
    assert nowhere.exit_code == 2
    assert "cannot be written" in nowhere.stderr


def test_schema_check_reads_json_as_editors_write_it(desk: Desk) -> None:
    """Indented by tabs, which YAML does not take."""
    path = desk.folder / "schema.json"
    path.write_text(json.dumps(document(), indent="\t"), encoding="utf-8")
    facts = only_object(call("schema", "check", path, "--json"))
    assert facts["digest"] == only_object(call("schema", "check", desk.schema, "--json"))["digest"]
    assert "internal_counts" not in facts
    path.write_text('{"fields": [', encoding="utf-8")
    assert "not readable" in call("schema", "check", path).stderr
