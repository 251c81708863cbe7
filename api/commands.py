"""What each command does: call one function, print its answer, return the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from api import words
from api.asked_rows import doubts, target_of
from api.display import ERR, OUT, answer, progress
from api.foreign import ForeignAudit, audit_foreign
from api.further_rows import FurtherRows, sample
from api.home import Home
from api.integrations.mlflow import TrackingError, check_tracking
from api.integrations.mlflow import track as log
from api.integrations.ydata import draft_profile
from api.judging import Release
from api.pipeline import release
from api.pricing import Price, price
from api.recipe import Recipe, check_policy
from api.steps import Steps
from api.stopping import stoppable
from api.unproven import UnprovenTable, is_unproven, release_unproven, unpriced
from api.words import column_facts, headlines
from audits.release.gate import Decision, Verdict
from audits.release.paper import on_paper
from audits.release.policy import load_policy
from audits.release.review import Said, charge_behind, review
from audits.release.staging import internal_half
from audits.release.verify import verify
from audits.release.wire import decision_to_json
from privacy.accounting import epsilon_of
from privacy.calibration import check_budget
from privacy.constraints import broken
from privacy.draft import draft_schema, write_draft
from privacy.errors import RequestError
from privacy.files import check_file
from privacy.ledger import Charge, Unproven
from privacy.schema import Budget
from privacy.schema_file import load_schema
from privacy.statement import stated
from privacy.table import Tally, read_table
from synthesizers.registry import synthesizer

EXIT = {Verdict.PASS: 0, Verdict.REVIEW: 4, Verdict.WITHHOLD: 3}
SHARE_ORDER = np.array([16.0])
"""Rényi order at which the shares of a price are compared: near the best one for usual budgets."""


def release_and_show(recipe: Recipe, home: Home, *, as_json: bool, track: str | None = None) -> int:
    """Make a release and say what came of it; log it where a tracking server is named."""
    if track is not None:
        check_tracking()
    made: Release | UnprovenTable
    with progress(quiet=as_json) as tell, stoppable() as asked_to_stop:
        steps = Steps(tell, asked_to_stop)
        if is_unproven(recipe.synthesizer):
            made = release_unproven(recipe, home, steps)
        else:
            made = release(recipe, home, steps)
    code = _show_unproven(made, as_json=as_json) if isinstance(made, UnprovenTable) else _show(made, as_json=as_json)
    if track is not None:
        statement = None if isinstance(made, UnprovenTable) else made.statement
        try:
            log(track, recipe, made.population, statement, made.decision, made.outcomes, made.bundle)
        except TrackingError as error:  # the release is made, whatever becomes of its record
            ERR.print(f"{error.what} {error.why} {error.fix}", style="bold yellow", markup=False)
    return code


def sample_and_show(asked: FurtherRows, home: Home, *, as_json: bool) -> int:
    """Draw further rows and say what came of it."""
    with progress(quiet=as_json) as tell:
        made = sample(asked, _existing(home), Steps(tell))
    return _show(made, as_json=as_json)


def _show(made: Release, *, as_json: bool) -> int:
    facts = _sealed(made) | {
        "epsilon": made.statement.claim.epsilon,
        "delta": made.statement.claim.delta,
        "population_epsilon": stated(made.statement.population_epsilon),
        "objections": decision_to_json(Decision(verdict=made.decision.verdict, checks=made.decision.objections))[
            "checks"
        ],
    }
    answer(facts, as_json=as_json, show=lambda: words.release(made))
    return EXIT[made.decision.verdict]


def _show_unproven(made: UnprovenTable, *, as_json: bool) -> int:
    facts = _sealed(made) | {"guarantee": {"state": "unverified", **made.unverified}}
    answer(facts, as_json=as_json, show=lambda: words.unproven(made))
    return EXIT[made.decision.verdict]


def _sealed(made: Release | UnprovenTable) -> dict[str, Any]:
    return {
        "verdict": str(made.decision.verdict),
        "released": made.bundle.released,
        "bundle": str(made.bundle.path),
        "internal": str(made.bundle.internal),
        "digest": made.bundle.digest,
        "internal_figures": headlines(made.outcomes),
    }


def draft(table: Path, out: Path | None, *, as_json: bool) -> int:
    """Draft a schema off the rows."""
    if out is not None:
        check_new(out)
    document = draft_profile(table) if table.name.endswith(".json") else draft_schema(table)
    hand_over(document, write_draft(document), out, as_json=as_json)
    ERR.print("Every entry is `observed`, read off private rows: no release accepts it, and the file is internal.")
    ERR.print("Replace each by `source: public` with `cite`, or by `source: measured`; name the population.")
    return 0


def hand_over(document: dict[str, Any], text: str, out: Path | None, *, as_json: bool) -> None:
    """Write a document into a new file, or print it. Raises RequestError where it cannot be written there."""
    if out is not None:
        check_new(out)
        _write(out, text.encode())
    if as_json or out is None:
        answer(document, as_json=as_json, show=lambda: OUT.print(text, markup=False, end=""))


def check_new(out: Path) -> None:
    """Refuse to overwrite. Raises RequestError."""
    if out.exists():
        raise RequestError(f"'{out.name}' exists already.", why="Nothing is overwritten.", fix="Choose another --out.")


def check(path: Path, table: Path | None, *, as_json: bool) -> int:
    """Say how a schema is understood and what in a table does not fit it."""
    schema = load_schema(path)
    facts: dict[str, Any] = {
        "name": schema.name,
        "population": schema.population,
        "unit": schema.unit.words,
        "columns": [column_facts(schema, name) for name in schema.names],
        "dropped": {name: str(role) for name, role in schema.dropped.items()},
        "observed": list(schema.observed),
        "declared_public_after_reading": list(schema.declared_after_reading),
        "rules": list(schema.constraints.words) if schema.constraints else [],
        "digest": schema.digest,
    }
    if table is not None:
        check_file(table, schema)
        tally = Tally()
        with progress(quiet=as_json) as tell:
            rows = read_table(table, schema, tally=tally, progress=tell)
        facts["internal_counts"] = tally.counts
        facts["internal_broken_rules"] = broken(schema.constraints, rows) if schema.constraints else {}
    answer(facts, as_json=as_json, show=lambda: words.check(facts))
    if schema.observed:
        ERR.print("No release accepts `observed` entries.", style="bold yellow")
    return 0


def plan(
    table: Path,
    schema_file: Path,
    name: str,
    epsilon: float,
    delta: float,
    home: Home,
    *,
    where: Sequence[str],
    policy: str | None,
    as_json: bool,
) -> int:
    """Price a run, with what its policy has bought beside the generator; only the header of the table is looked at."""
    schema = load_schema(schema_file)
    budget = check_budget(epsilon, delta, schema.n_public.value)
    check_file(table, schema)
    target = target_of(schema, where, (), None)
    if is_unproven(name):
        raise unpriced(name)
    chosen = synthesizer(name)
    if policy is None:
        whole_price = Price(generator=chosen.plan(schema, budget), gate=None, card=None)
    else:
        asked = load_policy(policy)
        check_policy(asked, budget)
        whole_price = price(lambda b: chosen.plan(schema, b), budget, asked, reweighted=bool(target.words))
    planned = whole_price.generator
    whole = whole_price.cost.rdp(SHARE_ORDER)[0]
    lines = [
        {
            "purpose": line.purpose,
            "share": float(line.cost.rdp(SHARE_ORDER)[0] / whole),
            "beside": line in whole_price.beside,
            "delta": line.cost.delta,
            "events": line.cost.to_json(),
        }
        for line in whole_price.lines
    ]
    known = home.path.exists() and schema.population in home.ledger.populations()
    facts = {
        "synthesizer": name,
        "epsilon": budget.epsilon,
        "delta": budget.delta,
        "epsilon_by_accountant": epsilon_of(whole_price.cost, budget.delta),
        "lines": lines,
        "notes": [*planned.notes, *doubts(schema, target)],
        "seconds": planned.estimate.seconds,
        "memory_bytes": planned.estimate.memory_bytes,
        "population": schema.population,
        "population_spent": stated(home.ledger.total(schema.population)) if known else 0.0,
        "population_left": home.ledger.left(schema.population) if known else None,
        "cap": None if schema.cap is None else {"epsilon": schema.cap.epsilon, "delta": schema.cap.delta},
    }
    answer(facts, as_json=as_json, show=lambda: words.plan(facts))
    return 0


def audit(asked: ForeignAudit, home: Home, *, as_json: bool) -> int:
    """Audit a table made elsewhere."""
    with progress(quiet=as_json) as tell:
        bundle, decision, outcomes = audit_foreign(asked, home.signing_key, Steps(tell))
    facts = {
        "verdict": str(decision.verdict),
        "report": str(bundle.path),
        "internal": str(bundle.internal),
        "internal_figures": headlines(outcomes),
        "objections": decision_to_json(Decision(verdict=decision.verdict, checks=decision.objections))["checks"],
    }
    answer(facts, as_json=as_json, show=lambda: words.audit(facts, decision, outcomes, bundle.internal))
    return EXIT[decision.verdict]


def decide(bundle: Path, said: Said, home: Home, *, approve: bool, as_json: bool) -> int:
    """Carry out a review, and record it in the ledger that holds the release's charge."""
    charge = _charge_of(bundle, home)
    reviewed = review(bundle, approve=approve, said=[said], quarantine=home.quarantine, key=home.signing_key)
    word = "approved" if approve else "rejected"
    facts = {"decision": word, "reviewer": said.reviewer, "role": said.role, "bundle": reviewed.digest}
    home.ledger.record(charge, "review", facts)
    told = {"decision": word, "bundle": str(bundle), "digest": reviewed.digest, "released": reviewed.released}
    answer(told, as_json=as_json, show=lambda: OUT.print(f"{word.capitalize()}: {bundle}"))
    return 0


def verify_bundle(bundle: Path, home: Home | None, key: str | None, *, as_json: bool) -> int:
    """Check a bundle, and its place in a ledger where one is given."""
    contains = None if home is None else lambda seq, digest: _existing(home).ledger.contains((seq, digest))
    report = verify(bundle, contains, key)
    facts = {
        "ok": report.ok,
        "checks": [{"check": name, "status": status, "detail": detail} for name, status, detail in report.checks],
    }
    answer(facts, as_json=as_json, show=lambda: words.verify(facts))
    return 0 if report.ok else 1


def print_report(bundle: Path, out: Path, *, internal: bool, as_json: bool) -> int:
    """Write a bundle's report as PDF, or that of its internal half."""
    failed = [name for name, status, _ in verify(bundle).checks if status == "failed"]
    if failed:
        raise RequestError(
            "The bundle does not prove itself, so its report is not printed.",
            why=f"What failed: {', '.join(failed)}.",
            fix="See `tablegate verify BUNDLE`, and get the bundle again from whoever sealed it.",
        )
    half = internal_half(bundle.absolute()) if internal else bundle
    if not half.is_dir():
        raise RequestError(
            "The internal half of this bundle is not here.",
            why="It stays with whoever made the release.",
            fix="Print the recipient's report, without --internal.",
        )
    _write(out, on_paper((half / "report.html").read_text(encoding="utf-8")))
    answer({"report": str(out)}, as_json=as_json, show=lambda: OUT.print(f"Printed: {out}"))
    return 0


def show_ledger(home: Home, population: str | None, *, as_json: bool) -> int:
    """What every population has spent."""
    ledger = _existing(home).ledger
    names = ledger.populations() if population is None else (population,)
    facts = []
    for name in names:
        cap = ledger.cap(name)
        facts.append(
            {
                "population": name,
                "cap": None if cap is None else {"epsilon": cap.epsilon, "delta": cap.delta},
                "total_epsilon": stated(ledger.total(name)),
                "left_epsilon": ledger.left(name),
                "attempts": ledger.attempts(name),
                "unproven_tables": ledger.unproven_tables(name),
                "entries": ledger.show(name),
            }
        )
    answer({"populations": facts}, as_json=as_json, show=lambda: words.ledger(facts))
    return 0


def verify_ledger(home: Home, *, as_json: bool) -> int:
    """Recompute the chain."""
    seq, digest = _existing(home).ledger.head()
    facts = {"ok": True, "entries": seq, "head": digest}
    answer(facts, as_json=as_json, show=lambda: OUT.print(f"The chain holds: {seq} entries, head {digest}"))
    return 0


def set_cap(home: Home, population: str, epsilon: float, delta: float, reason: str, *, as_json: bool) -> int:
    """Record a cap."""
    entry = _existing(home).ledger.set_cap(population, Budget(epsilon=epsilon, delta=delta), reason)
    facts = {"population": population, "epsilon": epsilon, "delta": delta, "entry": entry.seq}
    answer(facts, as_json=as_json, show=lambda: OUT.print(f"Recorded as entry {entry.seq}."))
    return 0


def _write(out: Path, content: bytes) -> None:
    try:
        out.write_bytes(content)
    except OSError as error:
        raise RequestError(
            f"'{out.name}' cannot be written.",
            why=f"The system says: {error.strerror}.",
            fix="Choose another --out, in a folder that exists.",
        ) from error


def _existing(home: Home) -> Home:
    if not home.path.exists():
        raise RequestError(
            f"There is no ledger '{home.path.name}'.",
            why="A ledger comes into being with the first charge.",
            fix="Name the ledger of an installation that has made a release.",
        )
    return home


def _charge_of(bundle: Path, home: Home) -> Charge | Unproven:
    """What a release under review was paid with. Raises a ReleaseError where there is none in this ledger."""
    charge = charge_behind(bundle, home.signing_key)
    return _existing(home).ledger.receipt_of(charge)
