"""The gate: outcomes, a policy and a claim in, a verdict out. Pure, and deaf to points: it reads confidence bounds.

Per check one of three verdicts. WITHHOLD: a test that the truth is within the limit is rejected, so the fault is
proven. PASS: the 95% bound on the unfavourable side is inside the limit, so its absence is. REVIEW: neither, hence too
little power, and a named person decides. An audit that is missing or failed withholds; one that could not answer asks
for review. Only outliers and groups may be silent in an audit that answered: they have too few rows, which asks for
review too.

All blocking tests of a release are one family (`audits.release.family`): Holm's procedure keeps the probability that a
table within all limits is withheld at 5%, however many there are. PASS needs every check, which needs no correction
(intersection-union). Labels decide nothing and are judged one by one, by their strict bounds.

The claim is checked too: that its epsilon follows from the events, that the generator's certificate stands, and that
the lower bound on epsilon from this one run does not contradict it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from audits.finding import Finding, Outcome
from audits.release.certificate import Certificate, standing
from audits.release.family import LEVEL, ONE_RUN_SHARE, is_known, is_p_value, p_beyond, rejected
from audits.release.policy import CheckRule, Effect, Gate, Policy, Subjects

if TYPE_CHECKING:
    from privacy.statement import PrivacyStatement  # pulls in the accountants, which `verify` does without

CLAIM = "privacy claim"
"""The name under which the checks of the claim itself stand, beside the audits."""

ONE_RUN = ("membership inference", "epsilon, lower bound from one run")
"""The audit and the quantity that are held against the claimed epsilon rather than against a policy's limit."""


class Verdict(StrEnum):
    """May the table leave?"""

    PASS = "PASS"  # noqa: S105 (a verdict, no password)
    REVIEW = "REVIEW"
    WITHHOLD = "WITHHOLD"


SEVERITY = (Verdict.PASS, Verdict.REVIEW, Verdict.WITHHOLD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question and its verdict. Internal: which check failed, and why, was read off private rows.

    Attributes:
        audit, quantity, subject: the finding that was judged; `quantity` alone for the claim and for silence.
        verdict: what came of it.
        reason: why, in words, with the bounds that decided.
        effect: whether it decides the release.
        rule: the rule applied; None for the checks of the claim.
    """

    audit: str
    quantity: str
    subject: str
    verdict: Verdict
    reason: str
    effect: Effect
    rule: CheckRule | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One version of a table, put before the gate.

    Attributes:
        number: how often it was, this time included.
        same_policy: whether the policy is the one of the first time.
    """

    number: int
    same_policy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The overall verdict, and the checks it is the worst of."""

    verdict: Verdict
    checks: tuple[Check, ...]

    @property
    def objections(self) -> tuple[Check, ...]:
        """Blocking checks that did not pass."""
        return tuple(c for c in self.checks if c.effect is Effect.BLOCK and c.verdict is not Verdict.PASS)


def decide(
    outcomes: Sequence[Outcome],
    policy: Policy,
    statement: PrivacyStatement | None,
    recomputation_faults: Sequence[str],
    certificate: Certificate | None,
    code_digest: str,
    attempt: Attempt | None = None,
    gate_faults: Sequence[str] = (),
) -> Decision:
    """Judge a release.

    Args:
        outcomes: what became of every audit that ran.
        policy: limits, and what is required.
        statement: the claim; None for a table that comes without one.
        recomputation_faults: what a fresh process found wrong with the claim's epsilon (`privacy.recompute`).
        certificate: the empirical certificate of the generator, or None if there is none.
        code_digest: digest of the generator's sources as they are now; a certificate of other sources is stale.
        attempt: which attempt on this version of the table it is; None where none are counted.
        gate_faults: what is wrong with the certificate of a priced gate; not read where the gate is exact.
    """
    priced = policy.gate is Gate.PRICED
    checks = (
        *(() if attempt is None else _attempt_checks(attempt, policy)),
        *((_claim("certificate of the priced gate", "; ".join(gate_faults)),) if priced else ()),
        *_claim_checks(policy, statement, recomputation_faults, certificate, code_digest),
        *(() if statement is None else (one_run_check(outcomes, statement.claim.epsilon, policy),)),
        *outcome_checks(outcomes, policy),
    )
    return Decision(verdict=worst(c.verdict for c in checks if c.effect is Effect.BLOCK), checks=checks)


def outcome_checks(outcomes: Sequence[Outcome], policy: Policy) -> tuple[Check, ...]:
    """The policy's rules applied to the outcomes alone: what `verify` can repeat from the internal half."""
    by_audit: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_audit.setdefault(outcome.audit, []).append(outcome)
    judged = [entry for rule in policy.checks for entry in _rule_checks(rule, by_audit.get(rule.audit, []))]
    return _withheld(judged)


def one_run_check(outcomes: Sequence[Outcome], epsilon: float, policy: Policy) -> Check:
    """Whether this run's own lower bound contradicts the claimed epsilon.

    Where the audit that computes it is silent a person has to look, if the policy asks for that audit at all.
    """
    audit, quantity = ONE_RUN
    found = [f for o in outcomes if o.audit == audit for f in o.findings if f.quantity == quantity]
    if len(found) != 1:
        asked = any(rule.audit == audit and rule.effect is Effect.BLOCK for rule in policy.checks)
        silent = _claim_check(quantity, Verdict.REVIEW, "no answer")
        return silent if asked else replace(silent, effect=Effect.LABEL)
    usual, strict = found[0].interval.low, found[0].strict.low
    words = (
        f"at least {usual:.4g} of {epsilon:.4g} claimed; every guess right would have shown {found[0].detectable:.4g}"
    )
    if strict > epsilon:
        return _claim_check(quantity, Verdict.WITHHOLD, f"refuted: {words}")
    return _claim_check(quantity, Verdict.PASS if usual <= epsilon else Verdict.REVIEW, words)


def worst(verdicts: Iterator[Verdict] | Sequence[Verdict]) -> Verdict:
    """The most severe of verdicts; WITHHOLD when there is none, since nothing was asked."""
    return max(verdicts, key=SEVERITY.index, default=Verdict.WITHHOLD)


@dataclass(frozen=True, slots=True)
class _Judged:
    """A check by itself, and the finding of it that is a test; None where it is none."""

    check: Check
    finding: Finding | None = None


def _withheld(judged: Sequence[_Judged]) -> tuple[Check, ...]:
    """The checks, those withheld whose tests Holm's procedure rejects."""
    tests = [i for i, entry in enumerate(judged) if entry.finding is not None]
    p_values, shares = [], []
    for i in tests:
        rule, finding = judged[i].check.rule, judged[i].finding
        if rule is None or finding is None:
            raise ValueError("a test has a rule and a finding")
        own = is_p_value(rule)
        p_values.append(finding.estimate if own else p_beyond(finding, rule.withhold_limit))
        shares.append(rule.withhold_limit if own else 0.0)
    level = LEVEL - ONE_RUN_SHARE
    others = shares.count(0.0)
    weights = [share or max(level - sum(shares), 0.0) / others for share in shares]
    checks = [entry.check for entry in judged]
    for i, p, reject in zip(tests, p_values, rejected(p_values, weights, level), strict=True):
        if reject:
            checks[i] = replace(checks[i], verdict=Verdict.WITHHOLD, reason=f"proven (p = {p:.2g}): {checks[i].reason}")
    return tuple(checks)


def _rule_checks(rule: CheckRule, outcomes: Sequence[Outcome]) -> Iterator[_Judged]:
    if not outcomes and not rule.required:
        return
    if len(outcomes) != 1:
        yield _silent(rule, Verdict.WITHHOLD, "required and not answered" if not outcomes else "answered twice")
        return
    outcome = outcomes[0]
    if outcome.error:
        yield _silent(rule, Verdict.WITHHOLD, f"the audit failed ({outcome.error})")
    elif outcome.inconclusive:
        yield _silent(rule, Verdict.REVIEW, f"no answer ({outcome.inconclusive})")
    else:
        found = [f for f in outcome.findings if f.quantity == rule.quantity and rule.subjects.reads(f.subject)]
        yield from (_judge(f, rule) for f in found)
        if not found and rule.required:
            part = rule.subjects in (Subjects.OUTLIERS, Subjects.GROUPS)
            verdict = Verdict.REVIEW if part else Verdict.WITHHOLD
            yield _silent(rule, verdict, "too few rows to answer" if part else "required and not answered")


def _judge(finding: Finding, rule: CheckRule) -> _Judged:
    """Compare a finding's bounds with a rule's limits; a blocking estimate is a test, and judged with the others."""
    if finding.worse != rule.worse:
        return _silent(rule, Verdict.WITHHOLD, f"the finding is bad when {finding.worse}, the rule when {rule.worse}")
    sign = 1 if rule.worse == "higher" else -1
    at_best = finding.strict.low if sign > 0 else finding.strict.high
    at_worst = finding.interval.high if sign > 0 else finding.interval.low
    beyond, inside = ("above", "at most") if sign > 0 else ("below", "at least")
    tested = rule.effect is Effect.BLOCK and (is_p_value(rule) or not is_known(finding))
    if sign * at_worst <= sign * rule.pass_limit:
        verdict, reason = Verdict.PASS, f"{inside} {at_worst:.4g}, limit {rule.pass_limit:g}"
    else:
        verdict = Verdict.REVIEW
        reason = f"between {at_best:.4g} at best and {at_worst:.4g} at worst, limit {rule.pass_limit:g}"
    if not tested and sign * at_best > sign * rule.withhold_limit:
        verdict, reason = Verdict.WITHHOLD, f"{at_best:.4g} at best: {beyond} {rule.withhold_limit:g}"
    elif finding.n < rule.min_n:
        verdict, reason = Verdict.REVIEW, f"rests on fewer than {rule.min_n}: too few to pass"
    return _Judged(_check(rule, finding.subject, verdict, reason), finding if tested else None)


def _claim_checks(
    policy: Policy,
    statement: PrivacyStatement | None,
    recomputation_faults: Sequence[str],
    certificate: Certificate | None,
    code_digest: str,
) -> Iterator[Check]:
    if statement is None:
        yield _claim(
            "a guarantee is stated",
            "the table comes without a privacy statement" if policy.requires_dp else "",
            no_fault="NO FORMAL GUARANTEE: nothing is promised about any person in this table",
        )
        return
    observed = statement.schema.observed
    yield _claim("noise is secret", "" if statement.dp_valid else "noise came from a seeded source")
    yield _claim("epsilon recomputed", "; ".join(recomputation_faults))
    yield _claim(
        "epsilon within the policy",
        "" if statement.claim.epsilon <= policy.max_epsilon
        else f"epsilon {statement.claim.epsilon:.4g} is above {policy.max_epsilon:g}",
    )  # fmt: skip
    yield _claim("domains are public or bought", f"observed: {', '.join(observed)}" if observed else "")
    faults = standing(certificate, synthesizer=statement.synthesizer, code_digest=code_digest)
    yield _claim("mechanism certificate", "; ".join(faults))


def _attempt_checks(attempt: Attempt, policy: Policy) -> Iterator[Check]:
    within = attempt.number <= policy.attempts
    words = f"attempt {attempt.number} of {policy.attempts} on this version of the table"
    yield _claim("attempts within the policy", "" if within else words, no_fault=words)
    yield _claim("policy of the first attempt", "" if attempt.same_policy else "the policy has changed since")


def _claim(quantity: str, fault: str, *, no_fault: str = "stands") -> Check:
    return _claim_check(quantity, Verdict.WITHHOLD if fault else Verdict.PASS, fault or no_fault)


def _claim_check(quantity: str, verdict: Verdict, reason: str) -> Check:
    return Check(
        audit=CLAIM,
        quantity=quantity,
        subject="",
        verdict=verdict,
        reason=reason,
        effect=Effect.BLOCK,
        rule=None,
    )


def _silent(rule: CheckRule, verdict: Verdict, reason: str) -> _Judged:
    return _Judged(_check(rule, "", verdict, reason))


def _check(rule: CheckRule, subject: str, verdict: Verdict, reason: str) -> Check:
    return Check(
        audit=rule.audit,
        quantity=rule.quantity,
        subject=subject,
        verdict=verdict,
        reason=reason,
        effect=rule.effect,
        rule=rule,
    )
