"""Public PATE-GANs before the same judge as ours: python -m bench.accuse [--runs N] [--suspects NAME ...].

Every generator is run many times on two neighbouring tables, claiming epsilon 1 at delta 1e-5, and an attacker who sees
released rows only guesses which table it was (`bench.black_box`). A lower bound above the claim proves the claim false.

Two pairs of tables. In "a new level", all rows are equal but the unit's, whose values nobody else has: worst-case data,
as in Ganev, Annamalai & De Cristofaro 2024 ("The elusive pursuit of reproducing PATE-GAN"), which also catches a domain
read off the rows. In "known levels" another row has the same values, so that both tables have the same domain and only
training can tell. Results are lines of a JSON file; what is there already is not run again.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from numpy.random import default_rng

from bench.black_box import Release, prove, read_releases
from bench.certify import CONFIDENCE
from bench.peers.environment import HOME, ask, describe
from bench.peers.registry import PEERS, Peer
from bench.run import MEASURED
from bench.short import SHORT
from privacy.filter import PrivacyFilter
from privacy.noise import system_noise
from privacy.schema import Budget, Schema
from privacy.schema_file import parse_schema
from privacy.table import read_table

BUDGET = Budget(epsilon=1.0, delta=1e-5)
COLUMNS = ("a", "b", "c")
COMMON, RARE = ",".join("ppp") + "\n", ",".join("qqq") + "\n"
RELEASED_ROWS = 100
LIMIT = 20_000
"""CPU seconds for all runs of one side."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """Whom to try.

    Attributes:
        who: as the table shows it.
        peer: an existing system; None for our own of the same name.
        method: what its driver, or `bench.short`, calls what is run.
        n_rows: of the table without the unit.
    """

    who: str
    peer: Peer | None
    method: str
    n_rows: int


SUSPECTS: Mapping[str, Suspect] = {
    suspect.who: suspect
    for suspect in (
        Suspect("ours: pate-gan", None, "pate-gan", 12),
        # It divides the number of rows by 1,000 for the number of teachers, and fails with none.
        Suspect("smartnoise pate-gan", PEERS["smartnoise pate-gan"], "short pate-gan", 1000),
        Suspect("synthcity pate-gan", PEERS["synthcity pate-gan"], "short pate-gan", 12),
        Suspect("synthcity pate-gan, default seed", PEERS["synthcity pate-gan"], "short pate-gan, default seed", 12),
    )
}
PAIRS: Mapping[str, bool] = {"a new level": False, "known levels": True}
"""Whether another row has the unit's values."""


def main() -> None:
    """Run what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suspects", nargs="+", choices=SUSPECTS, default=list(SUSPECTS))
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--home", type=Path, default=HOME)
    parser.add_argument("--out", type=Path, default=Path("accusations"))
    asked = parser.parse_args()
    os.environ.update(MEASURED)
    asked.out.mkdir(parents=True, exist_ok=True)
    file = asked.out / "results.jsonl"
    known = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    for who in asked.suspects:
        for pair in asked.pairs:
            if not any((r["who"], r["pair"], r["runs"]) == (who, pair, asked.runs) for r in known):
                found = tried(SUSPECTS[who], pair, asked.runs, asked.home)
                known.append(found)
                with file.open("a") as lines:
                    lines.write(json.dumps(found, sort_keys=True) + "\n")
    text = table(known)
    (asked.out / "accusations.md").write_text(text)
    print(text)


def tried(suspect: Suspect, pair: str, runs: int, home: Path) -> dict[str, Any]:
    """Run a suspect on both tables of a pair and judge."""
    without = COMMON * suspect.n_rows + (RARE if PAIRS[pair] else "")
    schema = schema_of(known=PAIRS[pair])
    with tempfile.TemporaryDirectory() as folder:
        sides = [
            releases(suspect, schema, ",".join(COLUMNS) + "\n" + rows, runs, Path(folder), home)
            for rows in (without + RARE, without)
        ]
    proof = prove(*sides, delta=BUDGET.delta, confidence=CONFIDENCE)
    about = {"who": suspect.who, "pair": pair, "runs": runs, "epsilon_claimed": BUDGET.epsilon, "delta": BUDGET.delta}
    return about | asdict(proof)


def releases(suspect: Suspect, schema: Schema, rows: str, runs: int, folder: Path, home: Path) -> list[Release]:
    """Releases of one table."""
    train = folder / "train.csv"
    train.write_text(rows)
    if suspect.peer is None:
        return our_releases(suspect.method, schema, train, runs)
    describe(schema, folder / "columns.json")
    out = folder / "released.csv"
    out.unlink(missing_ok=True)
    peer = replace(suspect.peer, method=suspect.method)
    more = ("--repeats", str(runs), "--rows", str(RELEASED_ROWS))
    budget = (str(BUDGET.epsilon), str(BUDGET.delta))
    ask(peer, home, train, folder / "columns.json", out, *budget, *more, limit=LIMIT)
    return read_releases(out, runs)


def our_releases(name: str, schema: Schema, train: Path, runs: int) -> list[Release]:
    """The same of ours, its training cut short as for certificates."""
    plan = SHORT[name].plan(schema, BUDGET)
    noise = system_noise()
    made = []
    for run in range(runs):
        privacy, rng = PrivacyFilter(plan.cost, noise), default_rng(run)
        model = plan.fit(read_table(train, schema).bounded(noise), privacy, rng, lambda _: None)
        lines = list(csv.reader(io.StringIO(model.sample(RELEASED_ROWS, rng).csv().decode())))
        made.append(Counter(tuple(line) for line in lines[1:]))
    return made


def schema_of(*, known: bool) -> Schema:
    """Three columns whose levels are public, or to be bought."""
    public = {"categories": ["p", "q"], "source": "public", "cite": "made up"}
    bought = {"source": "measured", "max_levels": 4}
    return parse_schema(
        {
            "name": "tiny",
            "fields": [{"name": name, "type": "string", **(public if known else bought)} for name in COLUMNS],
            "privacy": {
                "population": "tiny",
                "unit": "row",
                "adjacency": "add-or-remove",
                "n_public": "measured",
                "cap": {"epsilon": BUDGET.epsilon, "delta": BUDGET.delta},
            },
        }
    )


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """In Markdown, in the order of the registry."""
    lines = [
        "| generator | tables | runs a side | guesses right | claimed epsilon | epsilon at least | ceiling |",
        "|---|---|---|---|---|---|---|",
    ]
    for who in SUSPECTS:
        for r in results:
            if r["who"] == who:
                lines.append(
                    f"| {who} | {r['pair']} | {r['runs']:,} | {r['right']:.1%} | {r['epsilon_claimed']:g} "
                    f"| {r['epsilon_lower_bound']:.2f} | {r['ceiling']:.2f} |"
                )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
