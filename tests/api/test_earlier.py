"""Earlier releases held beside one: asked for by name, checked before anything is charged, and said on the card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from audits.release.scorecard import WITH_EARLIER, WITHOUT_EARLIER
from tests.api.conftest import LENIENT, Desk, call, clean_rows, csv_of, document, only_object


@pytest.fixture
def first(desk: Desk) -> Desk:
    """A desk with one release that is out."""
    (desk.folder / "lenient.yaml").write_text(yaml.safe_dump(LENIENT), encoding="utf-8")
    assert again(desk, "bundle").exit_code == 0
    return desk


def again(desk: Desk, out: str, *flags: str | Path):  # type: ignore[no-untyped-def]
    return desk.release(*map(str, flags), policy=desk.folder / "lenient.yaml", out=desk.folder / out)


def test_the_card_says_what_was_held_beside_it(first: Desk) -> None:
    told = only_object(again(first, "second", "--with-earlier", first.out, "--json"))
    cards = [json.loads((first.folder / name / "scorecard.json").read_text()) for name in ("bundle", "second")]
    assert WITHOUT_EARLIER in cards[0]["not_tested"]
    assert WITH_EARLIER in cards[1]["not_tested"]
    held = [card["reproducibility"]["earlier releases held beside it"] for card in cards]
    assert held[0] == "none"
    assert len(held[1]) == 64
    outcomes = json.loads((Path(told["internal"]) / "findings.json").read_text())["outcomes"]["audits"]
    assert "across releases" in [outcome["audit"] for outcome in outcomes]
    assert (
        cards[1]["statement"]["population_epsilon_at_cap_delta"]
        > cards[0]["statement"]["population_epsilon_at_cap_delta"]
    )


def test_what_cannot_be_held_beside_it_costs_nothing(first: Desk) -> None:
    spoiled = first.folder / "spoiled"
    shutil.copytree(first.out, spoiled)
    (spoiled / "README.txt").write_text("changed", encoding="utf-8")
    before = first.charges()
    for bundle, reason in ((spoiled, "does not prove itself"), (first.folder / "nowhere", "no bundle")):
        told = again(first, "second", "--with-earlier", bundle)
        assert told.exit_code == 2
        assert reason in told.stderr
    written = document()
    written["privacy"]["population"] = "somebody-else"
    first.describe(written)
    told = again(first, "second", "--with-earlier", first.out)
    assert told.exit_code == 2
    assert "another population" in told.stderr
    written = document()
    first.describe({**written, "fields": [{**f, **({"role": "drop"} if f["name"] == "sex" else {})}
                                          for f in written["fields"]]})  # fmt: skip
    told = again(first, "second", "--with-earlier", first.out)
    assert told.exit_code == 2
    assert first.charges() == before


def test_a_foreign_table_is_audited_beside_another(desk: Desk) -> None:
    for name, seed in (("synthetic", 21), ("earlier", 22), ("train", 11), ("holdout", 12)):
        (desk.folder / f"{name}.csv").write_text(csv_of(clean_rows(120, seed)), encoding="utf-8")
    named = [str(part) for name in ("train", "holdout") for part in (f"--{name}", desk.folder / f"{name}.csv")]
    rest = ["--schema", desk.schema, "--policy", "internal", "--out", desk.out, "--ledger", desk.ledger]
    earlier = ["--with-earlier", desk.folder / "earlier.csv"]
    assert call("audit", desk.folder / "synthetic.csv", *named, *rest, *earlier).exit_code in (0, 3, 4)
    assert WITH_EARLIER in json.loads((desk.out / "scorecard.json").read_text())["not_tested"]
