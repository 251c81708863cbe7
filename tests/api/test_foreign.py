"""Auditing a table made elsewhere: a memorised one fails, a fresh draw does not, and no private bound leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.api.conftest import Desk, Rows, call, clean_rows, csv_of, document, only_object

N = 1_500
LARGEST = "498765.43"
"""A largest income that stands in the private rows alone."""
RARE_REGION = "region-of-one-person"


def open_document() -> dict[str, Any]:
    """The schema with the upper bound of income and the list of regions still to be bought."""
    written = document()
    fields = {field["name"]: field for field in written["fields"]}
    del fields["income"]["constraints"]["maximum"]
    fields["income"]["source"] = {"minimum": "public", "maximum": "measured"}
    del fields["region"]["categories"], fields["region"]["cite"]
    fields["region"] |= {"source": "measured", "max_levels": 30}
    return written


def private(seed: int) -> Rows:
    rows = clean_rows(N, seed)
    rows[7] |= {"income": LARGEST, "region": RARE_REGION}
    return rows


def test_the_same_seed_gives_the_same_bytes(desk: Desk) -> None:
    """Scorecard and findings of two runs on few rows, where audits that need many say so at once."""
    cards = []
    for out in ("first", "second"):
        for name, seed in (("synthetic", 21), ("train", 11), ("holdout", 12)):
            (desk.folder / f"{name}.csv").write_text(csv_of(clean_rows(120, seed)), encoding="utf-8")
        made = desk.folder / out
        paths = {"train": desk.folder / "train.csv", "holdout": desk.folder / "holdout.csv", "schema": desk.schema}
        named = [str(part) for name, value in paths.items() for part in (f"--{name}", value)]
        rest = ["--policy", "internal", "--out", made, "--ledger", desk.ledger, "--seed", "3", "--json"]
        assert call("audit", desk.folder / "synthetic.csv", *named, *rest).exit_code in (0, 3, 4)
        internal = made.with_name(f"{out}.internal")
        cards.append([(made / "scorecard.json").read_bytes(), (internal / "findings.json").read_bytes()])
    assert cards[0] == cards[1]
    assert len(cards[0][1]) > 1_000


def audit(desk: Desk, synthetic: Rows, *flags: str) -> Result:
    for name, rows in (("synthetic", synthetic), ("train", private(11)), ("holdout", private(12))):
        (desk.folder / f"{name}.csv").write_text(csv_of(rows), encoding="utf-8")
    desk.describe(open_document())
    return call(
        "audit",
        desk.folder / "synthetic.csv",
        "--train",
        desk.folder / "train.csv",
        "--holdout",
        desk.folder / "holdout.csv",
        "--schema",
        desk.schema,
        "--policy",
        "internal",
        "--out",
        desk.out,
        "--ledger",
        desk.ledger,
        "--seed",
        "3",
        *flags,
    )


def public_half(desk: Desk) -> bytes:
    return b"".join(path.read_bytes() for path in desk.out.rglob("*") if path.is_file())


def test_memorised_table_fails(desk: Desk) -> None:
    """The rows of train, but for the canaries: withheld for certain, at a copying p-value far below .01.

    1,500 copies against a holdout of 1,125 scored rows: the power is 1 but for less than 1e-9; a false alarm cannot
    occur, since there is a fault.
    """
    told = audit(desk, clean_rows(N, 11))
    assert told.exit_code == 3
    assert "FAILED" in told.stdout
    assert "copies, copying p-value" in told.stdout
    assert "No formal guarantee was stated for this table." in told.stdout
    assert nothing_private(public_half(desk))
    assert not (desk.out / "data").exists()
    assert not desk.ledger.exists()
    assert only_object(call("verify", desk.out, "--json"))["ok"] is True


def test_fresh_draw_does_not_fail(desk: Desk) -> None:
    """An independent draw of the population: no check proves harm, by the gate's 99.9% bounds.

    The draws and the audits' streams are seeded; the one secret draw is which quarter of the holdout is the attacker's
    sample. A fault would need an AUC above .65 at 99.9% over 1,500 against 1,125 rows, whose standard error is .011:
    more than 10 standard errors from .5, far below 1e-6.
    """
    told = audit(desk, clean_rows(N, 13), "--json")
    facts = only_object(told)
    assert told.exit_code in (0, 4)
    assert facts["verdict"] in ("PASS", "REVIEW")
    assert set(facts) == {"verdict", "report", "internal", "internal_figures", "objections"}
    assert told.stderr == ""
    assert nothing_private(public_half(desk))
    assert not (desk.out / "data").exists()


def nothing_private(content: bytes) -> bool:
    """Neither the largest income nor the rare region, in any way of writing them."""
    texts = (LARGEST, "498,765", "498765", "4.98765e", RARE_REGION)
    return not any(text.encode() in content for text in texts)


@pytest.mark.parametrize("flag", ["--seed", "--out"])
def test_refusals_leave_nothing(desk: Desk, flag: str) -> None:
    bad = {"--seed": "-3", "--out": "/"}[flag]
    told = audit(desk, clean_rows(20, 1), flag, bad)
    assert told.exit_code == 2
    assert "Fix:" in told.stderr
    assert not desk.out.exists()


def test_observed_bounds_are_refused(desk: Desk) -> None:
    """A drafted schema's bounds were read off private rows and would stand in the report's schema."""
    written = document()
    next(f for f in written["fields"] if f["name"] == "income")["source"] = "observed"
    desk.describe(written)
    files = ("--train", desk.table, "--holdout", desk.table, "--schema", desk.schema)
    told = call("audit", desk.table, *files, "--policy", "internal", "--out", desk.out, "--ledger", desk.ledger)
    assert told.exit_code == 2
    assert "`observed` entries in 'income'" in told.stderr
    assert not desk.out.exists()


def test_columns_of_a_synthetic_table_must_fit(desk: Desk, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n", encoding="utf-8")
    files = ("--train", desk.table, "--holdout", desk.table, "--schema", desk.schema)
    told = call("audit", other, *files, "--policy", "internal", "--out", desk.out, "--ledger", desk.ledger)
    assert told.exit_code == 2
    assert "has no column" in told.stderr
    assert not desk.out.exists()
