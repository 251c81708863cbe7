"""Bad input is refused before the charge, with one clear message, and leaves nothing behind."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import Result

from audits.release.gate import Verdict
from tests.api.conftest import CANARIES, LENIENT, Desk, call, canary_rows, csv_of, document, only_object, spend
from tests.audits.release.made_up import sealed

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256))
MANY = 100_000

Spoil = Callable[[Desk], dict[str, str | Path]]


def table_of(content: bytes, name: str = "table.csv") -> Spoil:
    """The table replaced by other bytes."""

    def spoil(desk: Desk) -> dict[str, str | Path]:
        (desk.folder / name).write_bytes(content)
        return {"table": desk.folder / name}

    return spoil


def asked(**options: str | Path) -> Spoil:
    """Other options on the command line."""
    return lambda _: options


def described(change: Callable[[dict[str, Any]], object]) -> Spoil:
    """The schema changed."""

    def spoil(desk: Desk) -> dict[str, str | Path]:
        written = document()
        change(written)
        desk.describe(written)
        return {}

    return spoil


def field(written: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(f for f in written["fields"] if f["name"] == name)
    return found


def missing_table(desk: Desk) -> dict[str, str | Path]:
    desk.table.unlink()
    return {}


def folder_as_table(desk: Desk) -> dict[str, str | Path]:
    (desk.folder / "folder.csv").mkdir()
    return {"table": desk.folder / "folder.csv"}


def missing_schema(desk: Desk) -> dict[str, str | Path]:
    desk.schema.unlink()
    return {}


def schema_of(text: str) -> Spoil:
    def spoil(desk: Desk) -> dict[str, str | Path]:
        desk.schema.write_text(text, encoding="utf-8")
        return {}

    return spoil


def policy_of(text: str) -> Spoil:
    def spoil(desk: Desk) -> dict[str, str | Path]:
        (desk.folder / "policy.yaml").write_text(text, encoding="utf-8")
        return {"policy": desk.folder / "policy.yaml"}

    return spoil


def existing_out(desk: Desk) -> dict[str, str | Path]:
    desk.out.mkdir()
    return {}


def existing_internal_half(desk: Desk) -> dict[str, str | Path]:
    (desk.folder / "bundle.internal").mkdir()
    return {}


def out_below_a_file(desk: Desk) -> dict[str, str | Path]:
    return {"out": desk.table / "bundle"}


def no_n_public(written: dict[str, Any]) -> None:
    written["privacy"]["n_public"] = {"value": 1_000, "cite": "the survey's report"}


def drop_cite(written: dict[str, Any]) -> None:
    del field(written, "region")["cite"]


def blank_cite(written: dict[str, Any]) -> None:
    field(written, "age")["cite"] = "  "


def uncapped(written: dict[str, Any]) -> None:
    entry = field(written, "region")
    del entry["categories"], entry["cite"]
    entry["source"] = "measured"


def capped_too_high(written: dict[str, Any]) -> None:
    uncapped(written)
    field(written, "region")["max_levels"] = MANY


def without(name: str) -> Callable[[dict[str, Any]], None]:
    def change(written: dict[str, Any]) -> None:
        written["fields"] = [f for f in written["fields"] if f["name"] != name]

    return change


CLEAN = csv_of(canary_rows())
HEADERLESS = CLEAN.split("\n", 1)[1]
MISSPELLED = {**LENIENT, "checks": [{**LENIENT["checks"][0], "audit": "margnals"}]}

CASES = {
    "missing file": (missing_table, "no file 'table.csv'"),
    "empty file": (table_of(b""), "'table.csv' is empty"),
    "blank lines": (table_of(b"\n\n"), "is empty"),
    "empty gz": (table_of(gzip.compress(b""), "table.csv.gz"), "is empty"),
    "a folder": (folder_as_table, "is not a table"),
    "png as csv": (table_of(PNG), "is not a table"),
    "png as gz": (table_of(PNG, "table.csv.gz"), "is not a table"),
    "png as parquet": (table_of(PNG, "table.parquet"), "is not a table"),
    "a text file": (table_of(CLEAN.encode(), "table.txt"), "is not a table"),
    "utf-16": (table_of(CLEAN.encode("utf-16")), "is not a table"),
    "semicolons": (table_of(csv_of(canary_rows(), delimiter=";").encode()), "another delimiter"),
    "tabs": (table_of(csv_of(canary_rows(), delimiter="\t").encode()), "another delimiter"),
    "no header": (table_of(HEADERLESS.encode()), "has no column"),
    "duplicate headers": (table_of(CLEAN.replace("sex", "age", 1).encode()), "twice"),
    "a column the schema lacks": (described(without("sex")), "does not name"),
    "a column the table lacks": (table_of(CLEAN.replace("sex", "gender", 1).encode()), "no column 'sex'"),
    "epsilon negative": (asked(epsilon="-1"), "Epsilon"),
    "epsilon zero": (asked(epsilon="0"), "Epsilon"),
    "epsilon NaN": (asked(epsilon="nan"), "Epsilon"),
    "epsilon infinite": (asked(epsilon="inf"), "Epsilon"),
    "epsilon above the policy's": (asked(epsilon="17"), "policy 'internal'"),
    "delta negative": (asked(delta="-1e-6"), "Delta"),
    "delta zero": (asked(delta="0"), "Delta"),
    "delta NaN": (asked(delta="nan"), "Delta"),
    "delta one": (asked(delta="1"), "Delta"),
    "delta without n_public": (asked(delta="1e-4"), "no public row count"),
    "delta of one row": (
        lambda desk: described(no_n_public)(desk) | {"delta": "1e-3"},
        "1 / n_public",
    ),
    "observed": (described(lambda w: field(w, "age").update(source="observed")), "`observed` entries in 'age'"),
    "public without cite": (described(drop_cite), "`public` without `cite`"),
    "public with blank cite": (described(blank_cite), "`public` without `cite`"),
    "no cap": (described(lambda w: w["privacy"].pop("cap")), "no `privacy.cap`"),
    "measured without max_levels": (described(uncapped), "no `max_levels`"),
    "measured with 10^5 levels": (described(capped_too_high), "no `max_levels`"),
    "schema missing": (missing_schema, "no schema file"),
    "schema not YAML": (schema_of("fields: [\n  {"), "not readable"),
    "schema a PNG": (schema_of("\x00\x01"), "not readable"),
    "schema empty": (schema_of(""), "no list `fields`"),
    "synthesizer unknown": (asked(synthesizer="gan"), "no synthesizer 'gan'"),
    "policy unknown": (asked(policy="lax"), "no policy 'lax'"),
    "policy not YAML": (policy_of("checks: [\n  {"), "not readable"),
    "policy of nothing": (policy_of("{}"), "has no"),
    "policy without a block": (
        policy_of(yaml.safe_dump({**LENIENT, "checks": [{**LENIENT["checks"][0], "effect": "label"}]})),
        "No rule blocks",
    ),
    "policy requires an unknown audit": (policy_of(yaml.safe_dump(MISSPELLED)), "'margnals'"),
    "out exists": (existing_out, "exists already"),
    "internal half exists": (existing_internal_half, "exists already"),
    "out below a file": (out_below_a_file, "No bundle can be written"),
    "out without a name": (asked(out="/"), "name is empty"),
    "out with too long a name": (lambda desk: {"out": desk.folder / ("b" * 240)}, "longer than"),
    "no rows": (asked(rows="0"), "number of rows"),
    "rows negative": (asked(rows="-5"), "number of rows"),
    "rows beyond number": (asked(rows="1000000000000"), "number of rows"),
    "seed negative": (asked(seed="-1"), "seed"),
}


@pytest.mark.parametrize("name", CASES)
def test_refused_before_the_charge(desk: Desk, name: str) -> None:
    spoil, word = CASES[name]
    options = spoil(desk)
    before = desk.listing()
    told = desk.release(**options)
    assert told.exit_code == 2
    assert word in one_message(told)
    machine = desk.release("--json", **options)
    assert machine.exit_code == 2
    assert word in one_object(machine)["what"]
    assert desk.listing() == before


@pytest.mark.parametrize(
    "options",
    [
        {"epsilon": "lots"},
        {"rows": "1.5"},
        {"device": "quantum"},
    ],
)
def test_options_that_are_no_numbers_are_usage_errors(desk: Desk, options: dict[str, str]) -> None:
    before = desk.listing()
    assert desk.release(**options).exit_code == 2
    assert desk.listing() == before


def test_public_list_of_100_000_levels(desk: Desk) -> None:
    written = document()
    field(written, "region")["categories"] = [f"l{i}" for i in range(MANY)]
    (desk.folder / "schema.json").write_text(json.dumps(written), encoding="utf-8")
    before = desk.listing()
    told = desk.release(schema=desk.folder / "schema.json")
    assert told.exit_code == 2
    assert "lists 100000 levels" in one_message(told)
    assert desk.listing() == before


def test_cap_exceeded_by_a_second_release(desk: Desk) -> None:
    written = document()
    written["privacy"]["cap"] = {"epsilon": 1.2, "delta": 1e-5}
    desk.describe(written)
    spend(desk)
    told = desk.release()
    assert told.exit_code == 5
    assert "population 'made-up-survey'" in one_message(told)
    machine = desk.release("--json")
    assert machine.exit_code == 5
    assert one_object(machine)["error"] == "budget-exceeded"
    assert desk.charges() == 1
    assert nothing_half_written(desk)


def test_cap_that_differs_from_the_recorded_one(desk: Desk) -> None:
    spend(desk)
    written = document()
    written["privacy"]["cap"] = {"epsilon": 20, "delta": 1e-5}
    desk.describe(written)
    told = desk.release()
    assert told.exit_code == 2
    assert "differs from the ledger's" in one_message(told)
    assert desk.charges() == 1
    assert nothing_half_written(desk)


@pytest.mark.parametrize("content", [b"not a ledger, " * 200, PNG * 20])
def test_ledger_that_is_none(desk: Desk, content: bytes) -> None:
    desk.ledger.write_bytes(content)
    told = desk.release()
    assert told.exit_code == 1
    assert "cannot be used as a ledger" in one_message(told)
    assert desk.ledger.read_bytes() == content
    assert nothing_half_written(desk)


def test_signing_key_that_is_none(desk: Desk) -> None:
    keys = desk.folder / "ledger.keys"
    keys.mkdir(mode=0o700)
    (keys / "signing-key.pem").write_text("not a key", encoding="utf-8")
    told = desk.release()
    assert told.exit_code == 2
    assert "not an Ed25519 key" in one_message(told)
    assert desk.charges() == 0
    assert nothing_half_written(desk)


def test_review_of_a_released_bundle(tmp_path: Path) -> None:
    bundle = sealed(tmp_path, Verdict.PASS)
    before = bundle.path.joinpath("provenance.dsse.json").read_bytes()
    (tmp_path / "keys").rename(tmp_path / "ledger.keys")
    said = ("--reviewer", "A", "--role", "steward", "--reason", "why not", "--ledger", tmp_path / "ledger.db")
    told = call("review", bundle.path, "--approve", *said)
    assert told.exit_code == 2
    assert "not under review" in one_message(told)
    assert bundle.path.joinpath("provenance.dsse.json").read_bytes() == before


def test_review_of_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    said = ("--reviewer", "A", "--role", "steward", "--reason", "why not", "--ledger", tmp_path / "ledger.db")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle.internal").mkdir()
    assert call("review", tmp_path / "nothing", "--approve", *said).exit_code == 2
    told = call("review", tmp_path / "bundle", "--reject", *said)
    assert told.exit_code == 2
    assert "does not verify" in one_message(told)
    assert call("review", tmp_path / "bundle", *said).exit_code == 2


def test_verify_of_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "data.csv").write_text("a\n1\n", encoding="utf-8")
    told = call("verify", tmp_path / "folder")
    assert told.exit_code == 1
    assert "DO NOT TRUST" in told.stdout
    assert only_object(call("verify", tmp_path / "folder", "--json"))["ok"] is False
    absent = call("verify", tmp_path / "nothing")
    assert absent.exit_code == 2
    assert "no bundle 'nothing'" in one_message(absent)


def test_cap_of_an_unknown_population(desk: Desk) -> None:
    numbers = ("--epsilon", "5", "--delta", "1e-5", "--reason", "more", "--ledger", desk.ledger)
    no_ledger = call("ledger", "cap", "--population", "nobody", *numbers)
    assert no_ledger.exit_code == 2
    assert not desk.ledger.exists()
    spend(desk)
    told = call("ledger", "cap", "--population", "nobody", *numbers)
    assert told.exit_code == 2
    assert "population 'nobody'" in one_message(told)
    assert desk.home.ledger.populations() == ("made-up-survey",)


def test_caps_that_are_none(desk: Desk) -> None:
    spend(desk)
    before = desk.home.ledger.head()
    for epsilon, delta, reason in (
        ("nan", "1e-5", "more"),
        ("-1", "1e-5", "more"),
        ("0", "1e-5", "more"),
        ("inf", "1e-5", "more"),
        ("5", "1", "more"),
        ("5", "1e-5", " "),
    ):
        numbers = ("--epsilon", epsilon, "--delta", delta, "--reason", reason, "--ledger", desk.ledger)
        told = call("ledger", "cap", "--population", "made-up-survey", *numbers)
        assert told.exit_code == 2
        assert one_message(told)
    assert desk.home.ledger.head() == before


def one_message(told: Result) -> str:
    """What, why and how to fix, on standard error and nowhere else; returns what. No cell, no traceback."""
    lines = [line for line in told.stderr.splitlines() if line.strip() and not line.endswith(" ...")]
    assert told.stdout == ""
    title, what, why, fix = lines
    assert title.endswith(".")
    assert why.startswith("  Why: ")
    assert fix.startswith("  Fix: ")
    assert min(len(why), len(fix)) > len("  Why: .")
    no_cell(told)
    return what


def one_object(told: Result) -> dict[str, Any]:
    """The refusal as the one JSON object on standard output."""
    found = only_object(told)
    assert set(found) == {"error", "title", "what", "why", "fix"}
    assert all(isinstance(text, str) and text for text in found.values())
    no_cell(told)
    return found


def no_cell(told: Result) -> None:
    assert "Traceback" not in told.output
    for canary in CANARIES:
        assert canary not in told.stdout + told.stderr


def nothing_half_written(desk: Desk) -> bool:
    """No bundle, no internal half and no hidden sibling of them."""
    return not [name for name in desk.listing() if Path(name).name.lstrip(".").startswith("bundle")]
