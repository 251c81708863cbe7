"""The scorecard: everything that is known of a release, as one JSON tree in which every number has an audience.

Public, recipient and internal are three renderings of the one tree. A number's audience is that of the nearest object
around it that carries the key `audience`; a number without one is refused, and an object cannot make public again what
an object around it withholds. What was computed from private rows is internal, whole: the findings, which check failed
and why. A recipient learns what was asked and with which limits, the one verdict, what follows from synthetic rows and
public facts, and what was bought; where the gate is priced, its reasons too, which were bought as well. Of a table that
was not released not even the synthetic facts are public.

Equal inputs give equal bytes: no clock, no random number, no duration (those are in `timings.json`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import rfc8785

from audits.finding import Audience, Outcome
from audits.release.certificate import Certificate
from audits.release.facts import error_bounds, expected_errors, table_facts
from audits.release.gate import CLAIM, Attempt, Decision, Verdict
from audits.release.policy import Gate, Policy
from audits.release.wire import decision_to_json, finding_to_json, outcomes_to_json, rule_to_json

if TYPE_CHECKING:
    from audits.assignment import Design
    from audits.bought.answers import Answers, Card
    from privacy.schema import Schema
    from privacy.statement import PrivacyStatement
    from privacy.table import Table

SCHEMA = "tablegate-scorecard/2"
"""Version of the layout, published as a JSON Schema in `audits/release/schemas/`."""
RANK = {Audience.PUBLIC: 0, Audience.RECIPIENT: 1, Audience.INTERNAL: 2}
RELEASED_SECTIONS = ("synthetic", "expected_error", "error_bounds", "bought")
"""Post-processing of the model, shown with the table and withheld with it."""

SHADOW_MODELS = "shadow models"
WITHOUT_SHADOW_MODELS = "Attackers who train shadow models with the generator's own code are not simulated."
"""Said unless that audit was asked for."""

ACROSS_RELEASES = "across releases"
WITHOUT_EARLIER = (
    "No earlier release of the population was held beside this one: whether they reveal more together than each alone "
    "is not attacked, only accounted in the ledger."
)
WITH_EARLIER = (
    "Earlier releases were held beside this one to attack who trained for it. Who is in the private table at all, "
    "whichever release learnt from them, is not attacked, only accounted in the ledger."
)
"""The one or the other is said, by whether that audit ran."""

NOT_TESTED = (
    "The lower bound on epsilon from this one run proves little against a large epsilon; the internal half says how "
    "much it could have proven at most.",
    "An attacker with outside tables about the same people is simulated with halves of this one only.",
    "Rows of one person across several tables, sequences in time and free text are outside the model.",
)

STANDARDS = (
    ("WP29 Opinion 05/2014", "singling out, linkability, inference", "each measured, with a control and a baseline"),
    ("EDPB Opinion 28/2024", "attacks, tests and their worst cases", "outlier decile, groups, surest guesses"),
    (
        "ICO anonymisation guidance (2025)",
        "a motivated intruder's attempts and result",
        "privacy checks, internal half",
    ),
    ("ISO/IEC 27559", "adversarial testing, governance", "privacy checks; reviewer, role and reason in the bundle"),
    ("NIST SP 800-226", "epsilon, delta, unit, adjacency, mechanism, trust model", "statement.json"),
    (
        "NIST SP 800-188",
        "disclosure review, performance levels, re-identification study",
        "policy, gate, review record",
    ),
    ("HIPAA 164.514(b)(1)", "methods and results of an expert's determination", "supports it, does not replace it"),
    ("HIPAA 164.514(b)(2)", "no identifiers", "content scan by pattern and column name; not a Safe Harbor finding"),
    ("EMA Policy 0070", "residual risk of re-identification", "linkability and singling out beyond control"),
    ("Five Safes", "project, people, settings, data, outputs", "data and outputs here; the others are the holder's"),
    ("EU AI Act, article 10", "origin, representativeness, gaps", "schema citations, fairness labels, 'not tested'"),
)


def build(
    *,
    schema: Schema,
    statement: PrivacyStatement | None,
    design: Design | None,
    policy: Policy,
    outcomes: Sequence[Outcome],
    decision: Decision,
    synthetic: Table,
    expected_error: Mapping[tuple[str, ...], float],
    bounds: Mapping[tuple[str, ...], float | None],
    confidence: float,
    certificate: Certificate | None,
    reproducibility: Mapping[str, str],
    reweighted: Sequence[str] = (),
    held: bool = False,
    bought: Answers | None = None,
    attempt: Attempt | None = None,
    unverified: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The whole tree, internal parts included.

    Args:
        schema: what the synthetic table is coded by; its domains are public or bought.
        statement: the privacy statement; None for a table that comes without one.
        design: probabilities of the assignment; None where the caller brought the parts.
        policy: what was asked.
        outcomes: what became of every audit.
        decision: the verdict on them.
        synthetic: the table the release is about.
        expected_error: expected error of measured marginals from their noise alone, total variation, by clique.
        bounds: bound on the total variation distance of every column and pair from the training rows', None where there
            is none; empty for a table that was reweighted, or that comes without a model.
        confidence: probability that all of them hold.
        certificate: the generator's empirical certificate, if there is one.
        reproducibility: versions, digests and the seed of streams that protect nobody, as texts.
        reweighted: how the rows differ from a plain draw, in words; empty where they do not.
        held: whether people must let the table out even where every check passed.
        bought: what was bought of real rows for card and gate; None where nothing was.
        attempt: which attempt on this version of the table it is; None where none are counted.
        unverified: generator, library and claim of a table whose guarantee nobody here has proven; None for any other.

    Raises:
        ValueError: a number has no audience.
    """
    released = decision.verdict is Verdict.PASS and not held
    shown = Audience.PUBLIC if released else Audience.INTERNAL
    card = {
        "schema": SCHEMA,
        "release": _tag(
            Audience.PUBLIC,
            table=schema.name,
            population=schema.population,
            synthesizer=statement.synthesizer if statement else unverified["generator"] if unverified else "",
            policy={"name": policy.name, "tier": policy.tier, "digest": policy.digest},
            verdict=str(decision.verdict),
            released=released,
            reweighted=list(reweighted),
            rules=list(schema.constraints.words) if schema.constraints else [],
        ),
        "attempt": None
        if attempt is None
        else _tag(Audience.PUBLIC, number=attempt.number, allowed=policy.attempts, same_policy=attempt.same_policy),
        "review": None,
        "statement": None if statement is None else _tag(Audience.PUBLIC, **statement.to_json()),
        "unverified": None if unverified is None else _tag(Audience.PUBLIC, **unverified),
        "design": None
        if design is None
        else _tag(Audience.PUBLIC, reference=design.reference, pool=design.pool, train=design.train),
        "certificate": None if certificate is None else _tag(Audience.PUBLIC, **asdict(certificate)),
        "asked": _tag(
            Audience.PUBLIC,
            claim=[c.quantity for c in decision.checks if c.audit == CLAIM],
            requires_dp=policy.requires_dp,
            max_epsilon=policy.max_epsilon,
            rules=[rule_to_json(rule) for rule in policy.checks],
        ),
        "not_tested": [
            *([] if any(o.audit == SHADOW_MODELS for o in outcomes) else [WITHOUT_SHADOW_MODELS]),
            WITH_EARLIER if any(o.audit == ACROSS_RELEASES for o in outcomes) else WITHOUT_EARLIER,
            *NOT_TESTED,
        ],
        "findings": [finding_to_json(f) for outcome in outcomes for f in outcome.findings],
        "outcomes": _tag(Audience.INTERNAL, audits=outcomes_to_json(outcomes)),
        "decision": _tag(
            Audience.PUBLIC if policy.gate is Gate.PRICED else Audience.INTERNAL, **decision_to_json(decision)
        ),
        "bought": None if bought is None or bought.card is None else _tag(shown, **_card(bought.card)),
        "priced_gate": None
        if bought is None or bought.gate is None
        else _tag(Audience.PUBLIC, train=bought.gate.train.to_json(), control=bought.gate.control.to_json()),
        "synthetic": _tag(shown, **table_facts(synthetic)),
        "expected_error": _tag(shown, **expected_errors(expected_error)),
        "error_bounds": _tag(shown, **error_bounds(bounds, confidence)),
        "standards": [{"standard": s, "asks": a, "answered": w} for s, a, w in STANDARDS],
        "reproducibility": _tag(Audience.PUBLIC, **{key: str(reproducibility[key]) for key in sorted(reproducibility)}),
    }
    untagged = next(_untagged(card, "", tagged=False), None)
    if untagged is not None:
        raise ValueError(f"the number at {untagged} has no audience")
    return card


def render(card: Mapping[str, Any], audience: Audience) -> dict[str, Any]:
    """The tree without the objects of a narrower audience.

    Guarantees:
        No number whose audience is narrower than `audience` is in it.
    """
    rendered: dict[str, Any] = _shown(card, audience)
    return rendered


def reviewed(card: Mapping[str, Any], approvals: Sequence[Mapping[str, Any]], *, released: bool) -> dict[str, Any]:
    """The tree after people decided: the review is recorded, and a released table's own facts become public.

    Args:
        card: the whole tree of a release under review.
        approvals: who decided what, in which role, when, and a digest of the reasons.
        released: whether the table leaves.
    """
    changed = dict(card)
    changed["release"] = {**card["release"], "released": released}
    changed["review"] = _tag(Audience.RECIPIENT, approvals=[dict(approval) for approval in approvals])
    if released:
        for section in RELEASED_SECTIONS:
            if card[section] is not None:
                changed[section] = {**card[section], "audience": str(Audience.PUBLIC)}
    return changed


def to_bytes(card: Mapping[str, Any]) -> bytes:
    """Canonical JSON (RFC 8785), which digests and signatures are taken over."""
    return rfc8785.dumps(dict(card))


def _card(card: Card) -> dict[str, Any]:
    return {"figures": [finding_to_json(f) for f in card.findings], "counts": card.answers.to_json()}


def _tag(audience: Audience, **facts: Any) -> dict[str, Any]:
    return {"audience": str(audience), **facts}


def _shown(node: Any, audience: Audience) -> Any:
    if isinstance(node, Mapping):
        return {key: _shown(value, audience) for key, value in node.items() if not _hidden(value, audience)}
    if isinstance(node, list | tuple):
        return [_shown(value, audience) for value in node if not _hidden(value, audience)]
    return node


def _hidden(node: Any, audience: Audience) -> bool:
    return isinstance(node, Mapping) and "audience" in node and RANK[Audience(node["audience"])] > RANK[audience]


def _untagged(node: Any, path: str, *, tagged: bool) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _untagged(value, f"{path}/{key}", tagged=tagged or "audience" in node)
    elif isinstance(node, list | tuple):
        for i, value in enumerate(node):
            yield from _untagged(value, f"{path}/{i}", tagged=tagged)
    elif isinstance(node, int | float) and not isinstance(node, bool) and not tagged:
        yield path
