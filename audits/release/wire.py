"""Findings, outcomes and decisions as plain JSON values, and back, so that a policy can be applied a second time.

Numbers are exact: a double is written as RFC 8785 does, which reads back to the same double. What is not finite has no
JSON number and becomes one of three words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from audits.finding import Audience, Finding, Interval, Outcome
from audits.release.gate import Check, Decision
from audits.release.policy import CheckRule

WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def number(value: float | None) -> float | str | None:
    """A number as JSON has it."""
    if value is None:
        return None
    exact = float(value)
    if math.isnan(exact):
        return "NaN"
    return exact if math.isfinite(exact) else ("Infinity" if exact > 0 else "-Infinity")


def read_number(written: Any) -> float:
    """The number that `number` wrote. Raises KeyError or TypeError for anything else."""
    return WORDS[written] if isinstance(written, str) else float(written)


def finding_to_json(finding: Finding) -> dict[str, Any]:
    """A finding with its audience, as plain values."""
    return {
        "audience": str(finding.audience),
        "audit": finding.audit,
        "quantity": finding.quantity,
        "subject": finding.subject,
        "estimate": number(finding.estimate),
        "interval": _interval(finding.interval),
        "strict": _interval(finding.strict),
        "baseline": number(finding.baseline),
        "worse": finding.worse,
        "n": int(finding.n),
        "detectable": number(finding.detectable),
    }


def finding_from_json(written: Mapping[str, Any]) -> Finding:
    """The finding that `finding_to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
    return Finding(
        audit=written["audit"],
        quantity=written["quantity"],
        subject=written["subject"],
        estimate=read_number(written["estimate"]),
        interval=_read_interval(written["interval"]),
        strict=_read_interval(written["strict"]),
        baseline=read_number(written["baseline"]),
        worse=written["worse"],
        n=int(written["n"]),
        detectable=None if written["detectable"] is None else read_number(written["detectable"]),
        audience=Audience(written["audience"]),
    )


def outcomes_to_json(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """What became of every audit, without findings and durations."""
    return [{"audit": o.audit, "inconclusive": o.inconclusive, "error": o.error} for o in outcomes]


def outcomes_from_json(
    outcomes: Sequence[Mapping[str, Any]], findings: Sequence[Mapping[str, Any]]
) -> tuple[Outcome, ...]:
    """Outcomes with their findings. Raises KeyError, TypeError or ValueError for what `..._to_json` did not write."""
    found = [finding_from_json(entry) for entry in findings]
    return tuple(
        Outcome(
            audit=o["audit"],
            findings=tuple(f for f in found if f.audit == o["audit"]),
            inconclusive=o["inconclusive"],
            error=o["error"],
            seconds=0.0,
        )
        for o in outcomes
    )


def decision_to_json(decision: Decision) -> dict[str, Any]:
    """A decision with every check and the limits it was judged by. Internal."""
    return {"verdict": str(decision.verdict), "checks": checks_to_json(decision.checks)}


def checks_to_json(checks: Sequence[Check]) -> list[dict[str, Any]]:
    """Checks with their limits. Internal."""
    return [
        {
            "audit": c.audit,
            "quantity": c.quantity,
            "subject": c.subject,
            "verdict": str(c.verdict),
            "reason": c.reason,
            "effect": str(c.effect),
            "rule": None if c.rule is None else rule_to_json(c.rule),
        }
        for c in checks
    ]


def rule_to_json(rule: CheckRule) -> dict[str, Any]:
    """A rule as the policy file writes it."""
    return {key: str(value) if isinstance(value, str) else value for key, value in asdict(rule).items()}


def _interval(interval: Interval) -> dict[str, Any]:
    return {"low": number(interval.low), "high": number(interval.high), "confidence": float(interval.confidence)}


def _read_interval(written: Mapping[str, Any]) -> Interval:
    return Interval(read_number(written["low"]), read_number(written["high"]), float(written["confidence"]))
