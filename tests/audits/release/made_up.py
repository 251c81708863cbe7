"""A made-up release: outcomes of every audit with bounds of a table of 6,000 rows, a claim that stands, its bundle."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from audits.assignment import design_for
from audits.finding import Audience, Finding, Interval, Outcome
from audits.release.bundle import Bundle, Contents, seal
from audits.release.certificate import Certificate
from audits.release.gate import Decision, Verdict, decide
from audits.release.policy import Policy, load_policy
from audits.release.quarantine import Quarantine
from audits.release.scorecard import build
from audits.release.signing import SigningKey, load_or_make_key
from privacy.accounting import Accountant, Claim, epsilon_of
from privacy.cost import Gaussian, PrivacyCost
from privacy.statement import Line, PrivacyStatement
from privacy.table import Table
from tests.tables import mixed_schema, population

CODE = "0" * 64
ATTACKS = ("nearest neighbour", "calibrated", "density ratio")
REPRODUCIBILITY = {"tablegate": "0.1.0", "stream_seed": "7"}


def finding(
    audit: str,
    quantity: str,
    subject: str = "",
    *,
    estimate: float,
    error: float = 0.0,
    baseline: float = 0.0,
    worse: Literal["higher", "lower"] = "higher",
    n: int = 1_900,
) -> Finding:
    """A finding with normal bounds around its estimate."""
    return Finding(
        audit=audit,
        quantity=quantity,
        subject=subject,
        estimate=estimate,
        interval=Interval(estimate - 1.645 * error, estimate + 1.645 * error, 0.95),
        strict=Interval(estimate - 2.576 * error, estimate + 2.576 * error, 0.995),
        baseline=baseline,
        worse=worse,
        n=n,
        detectable=2.5 * error if error else None,
        audience=Audience.INTERNAL,
    )


def answered(audit: str, *findings: Finding) -> Outcome:
    """An audit that found something."""
    return Outcome(audit=audit, findings=findings, inconclusive="", error="", seconds=1.25)


def copies(p_value: float = 0.43, excess: float = 0.0003) -> Outcome:
    """The copies audit of a table that copies nothing, unless told otherwise."""
    return answered(
        "copies",
        finding("copies", "copying p-value", estimate=p_value, baseline=1.0, worse="lower", n=5_700),
        finding("copies", "excess of exact matches", estimate=excess, error=0.0008, n=5_700),
        finding("copies", "excess of near copies at 0.2%", estimate=0.0004, error=0.0016, n=5_700),
        finding("copies", "excess of near copies at 0.5%", estimate=-0.0007, error=0.0024, n=5_700),
    )


def membership(auc: float = 0.507, outlier_auc: float = 0.48, outlier_error: float = 0.042) -> Outcome:
    """The membership audit at 950 targets a side."""
    name = "membership inference"
    found = []
    for attack in ATTACKS:
        found += [
            finding(name, "AUC", attack, estimate=auc, error=0.013, baseline=0.5),
            finding(name, "TPR excess at 1% FPR", attack, estimate=0.0021, error=0.0045),
            finding(
                name,
                "AUC",
                f"{attack}, outlier decile",
                estimate=outlier_auc,
                error=outlier_error,
                baseline=0.5,
                n=190,
            ),
            finding(name, "AUC", f"{attack}, sex=female", estimate=0.493, error=0.019, baseline=0.5, n=980),
        ]
    bound = finding(name, "epsilon, lower bound from one run", estimate=0.0)
    never = (Interval(0.0, math.inf, 0.95), Interval(0.0, math.inf, 0.99))
    return answered(name, *found, replace(bound, interval=never[0], strict=never[1], detectable=3.4))


def content(personal: int = 0) -> Outcome:
    """The content scan of a table without trouble, unless told otherwise."""
    troubles = (
        "columns that read like personal data", "columns of free text or identifiers", "columns with formula cells",
        "columns named like an identifier",
    )  # fmt: skip
    return answered("content", *(finding("content", t, estimate=personal * (t == troubles[0]), n=12) for t in troubles))


def wp29() -> tuple[Outcome, ...]:
    """Singling out, linkability and inference of a table that discloses nobody."""
    asked = (
        ("singling out", "singling out", ("one column", "several columns")),
        ("linkability", "linking", ("every other column", "random halves")),
        ("attribute inference", "inference", ("any column", "sex by the nearest row")),
    )
    return tuple(
        answered(
            audit,
            *(
                found
                for subject in subjects
                for found in (
                    finding(audit, f"success rate of {of}", subject, estimate=0.112, error=0.01, baseline=0.107),
                    finding(audit, f"control rate of {of}", subject, estimate=0.107, error=0.01, baseline=0.04),
                    finding(audit, f"excess of {of}", subject, estimate=0.005, error=0.014),
                )
            ),
        )
        for audit, of, subjects in asked
    )


def labels() -> tuple[Outcome, ...]:
    """Outcomes that only label."""
    one = "total variation distance, 1-way"
    return (
        answered(
            "marginals",
            *(finding("marginals", one, c, estimate=0.02, error=0.004, baseline=0.012) for c in mixed_schema().names),
            finding("marginals", "total variation distance, 2-way", "age, income", estimate=0.081, error=0.01),
            finding("marginals", "excess total variation, 2-way", estimate=0.0231, error=0.004),
        ),
        answered("detection", finding("detection", "excess AUC of detection", estimate=0.06, error=0.012)),
        answered(
            "utility",
            finding("utility", "AUC, trained on synthetic", "logistic regression", estimate=0.8123, worse="lower"),
            finding("utility", "AUC, trained on real", "logistic regression", estimate=0.8456, worse="lower"),
            finding("utility", "AUC lost by synthesis", "logistic regression", estimate=0.0333, error=0.006),
        ),
        answered(
            "fairness of outcomes",
            finding("fairness of outcomes", "worsening of equalized odds", "sex", estimate=0.0611, error=0.02),
        ),
    )


def outcomes(verdict: Verdict = Verdict.PASS) -> tuple[Outcome, ...]:
    """Outcomes that the policy `internal` comes to a given verdict on."""
    attacks = {
        Verdict.PASS: (copies(), membership()),
        Verdict.REVIEW: (copies(), membership(outlier_auc=0.62, outlier_error=0.06)),
        Verdict.WITHHOLD: (copies(p_value=1.7e-9), membership()),
    }[verdict]
    return (content(), *attacks, *wp29(), *labels())


@cache
def statement() -> PrivacyStatement:
    """A claim that stands: 30 Gaussian measurements of all columns."""
    cost = PrivacyCost(((Gaussian(40.0), 30),))
    claim = Claim(epsilon=epsilon_of(cost, 1e-6) * (1 + 1e-7), delta=1e-6, accountant=Accountant.PLD)
    return PrivacyStatement(
        synthesizer="mst",
        schema=mixed_schema(),
        claim=claim,
        lines=(Line(purpose="marginals", cost=cost),),
        emitted=cost,
        noise_is_secret=True,
        attempts=1,
        population_epsilon=claim.epsilon,
    )


def certificate() -> Certificate:
    """A certificate that stands for sources of digest CODE."""
    return Certificate(
        synthesizer="mst",
        code_digest=CODE,
        epsilon_claimed=1.0,
        delta=1e-2,
        epsilon_lower_bound=0.83,
        confidence=0.95,
        runs_per_side=1_000,
        ceiling=5.6,
        mu_allowed=0.53,
        mu_charged=0.45,
        mu_realised=0.43,
        mu_found=0.44,
        mu_error=0.04,
        statistic="noisy count of the target's cell",
    )


def decision(verdict: Verdict = Verdict.PASS, policy: Policy | None = None) -> Decision:
    """The gate's own decision on the outcomes of a verdict."""
    return decide(outcomes(verdict), policy or load_policy("internal"), statement(), (), certificate(), CODE)


@cache
def table() -> Table:
    """The synthetic table."""
    return population(400, 5)


def card(verdict: Verdict = Verdict.PASS, **changed: Any) -> dict[str, Any]:
    """The whole scorecard of a verdict."""
    facts: dict[str, Any] = {
        "schema": mixed_schema(),
        "statement": statement(),
        "design": design_for(None),
        "policy": load_policy("internal"),
        "outcomes": outcomes(verdict),
        "decision": decision(verdict),
        "synthetic": table(),
        "expected_error": {("age",): 0.0123, ("age", "income"): 0.0456},
        "bounds": {("age",): 0.0321, ("income",): 0.0543, ("age", "income"): 0.0987, ("age", "sex"): None},
        "confidence": 0.95,
        "certificate": certificate(),
        "reproducibility": REPRODUCIBILITY,
    }
    return build(**{**facts, **changed})


def contents(verdict: Verdict = Verdict.PASS, stated: Mapping[str, Any] | None = None) -> Contents:
    """What a bundle of a verdict is made from."""
    return Contents(
        schema=mixed_schema(),
        statement=stated or statement().to_json(),
        policy=load_policy("internal"),
        decision=decision(verdict),
        scorecard=card(verdict),
        timings={"fit": 1.5, "audits": 2.25},
        charge="cd" * 32,
        ledger_head=(3, "ab" * 32),
        code_version="0.1.0",
        date="2026-05-01",
    )


def small(given: Contents) -> Contents:
    """The same with one column drawn: charts are what takes time."""
    facts = given.scorecard["synthetic"]
    return replace(given, scorecard={**given.scorecard, "synthetic": {**facts, "columns": facts["columns"][:1]}})


def key(folder: Path) -> SigningKey:
    """The signing key of a test's folder."""
    return load_or_make_key(folder / "keys")


def quarantine(folder: Path) -> Quarantine:
    """The quarantine of a test's folder."""
    return Quarantine(folder / "quarantine")


def freshly_sealed(folder: Path, verdict: Verdict = Verdict.PASS) -> Bundle:
    """A bundle of a verdict, sealed in a test's folder."""
    return seal(
        folder / "bundle",
        small(contents(verdict)),
        synthetic=table(),
        key=key(folder),
        quarantine=quarantine(folder),
    )


def sealed(folder: Path, verdict: Verdict = Verdict.PASS) -> Bundle:
    """The same, copied with its key and quarantine from one that was sealed before: sealing draws charts."""
    origin, bundle = _origin(verdict)
    shutil.copytree(origin.name, folder, dirs_exist_ok=True)
    return replace(bundle, path=folder / "bundle", internal=folder / "bundle.internal")


@cache
def _origin(verdict: Verdict) -> tuple[TemporaryDirectory[str], Bundle]:
    origin = TemporaryDirectory(ignore_cleanup_errors=True)
    return origin, freshly_sealed(Path(origin.name), verdict)
