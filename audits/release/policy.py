"""The policy: which audits are required, and how far is too far. Measuring is not judging; judging starts here.

A policy is a YAML file, parsed strictly, and known by the SHA-256 of its canonical JSON (RFC 8785), which every
scorecard and every signature carries. `public`, `controlled`, `internal` and `priced` ship. Every limit is written out,
nothing that decides privacy has a default, and a rule says which direction is bad, so that a limit cannot be applied to
a finding that runs the other way.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import rfc8785
import yaml

from audits.errors import PolicyError

SHIPPED = ("public", "controlled", "internal")
PRICED = "priced"
"""The shipped policy whose gate is priced: for anybody, as `public`."""

MAX_APPROVERS = 5
ATTEMPTS = 3
"""How often a version of a table may be put before the gate, where a policy does not say."""


SHARES = 0.04
"""What p-values and all other tests of a release have together (`audits.release.family`)."""

BOUGHT = frozenset({"content", "priced contrast"})
"""Audits that read synthetic rows alone, or counts that were bought: what a priced gate may read."""


class Effect(StrEnum):
    """What a check does: `block` decides the release, `label` only says something about its use."""

    BLOCK = "block"
    LABEL = "label"


class Gate(StrEnum):
    """What a verdict is formed from: `exact` findings, which epsilon does not cover, or counts that are `priced`."""

    EXACT = "exact"
    PRICED = "priced"


class Subjects(StrEnum):
    """Which findings of a quantity a rule reads.

    `table` reads the finding about the whole table (empty subject), `overall` those about all rows (an attack, a
    model), `outliers` those about the outlier decile, `groups` those about one group of rows, `all` every one.
    """

    ALL = "all"
    TABLE = "table"
    OVERALL = "overall"
    OUTLIERS = "outliers"
    GROUPS = "groups"

    def reads(self, subject: str) -> bool:
        """Whether a finding about `subject` is read."""
        outliers = subject.endswith(", outlier decile")
        match self:
            case Subjects.ALL:
                return True
            case Subjects.TABLE:
                return subject == ""
            case Subjects.OVERALL:
                return ", " not in subject
            case Subjects.OUTLIERS:
                return outliers
            case Subjects.GROUPS:
                return ", " in subject and not outliers


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRule:
    """Two limits for one quantity.

    Attributes:
        audit, quantity: names as findings carry them.
        subjects: which findings of that quantity are read.
        worse: the direction that is bad; a finding of the other direction is refused.
        pass_limit: PASS when the unfavourable bound is on the good side of it, or on it.
        withhold_limit: WITHHOLD when it is proven that the truth is beyond it. Of a quantity that is a p-value it is
            the share it has in the probability that a harmless table is withheld.
        min_n: fewer rows, attacks or people than this never PASS.
        effect: whether the check decides the release.
        required: whether silence withholds; a rule that is not required is skipped where nothing was found.
    """

    audit: str
    quantity: str
    subjects: Subjects
    worse: Literal["higher", "lower"]
    pass_limit: float
    withhold_limit: float
    min_n: int
    effect: Effect
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A parsed policy. Public.

    Attributes:
        name: how it is called.
        tier: who the release is for, in the policy's words.
        requires_dp: whether a table without a privacy statement is withheld.
        max_epsilon: the largest total epsilon a release may claim.
        approvers: how many different people must approve what people decide; 1 where the file does not say.
        attempts: how often one version of a table may be put before an exact gate; 3 where the file does not say.
        gate: what the verdict is formed from; exact findings where the file does not say.
        card: whether figures of the table are bought for the public card; not where the file does not say.
        checks: the rules, in the order of the file.
        digest: SHA-256 of the canonical JSON of `document`.
        document: the parsed file.
    """

    name: str
    tier: str
    requires_dp: bool
    max_epsilon: float
    approvers: int
    attempts: int
    gate: Gate
    card: bool
    checks: tuple[CheckRule, ...]
    digest: str
    document: Mapping[str, Any]


def load_policy(name_or_path: str | Path) -> Policy:
    """A shipped policy by its name, or one from a YAML or JSON file.

    Raises:
        PolicyError: there is no such policy, the file is not readable, or a rule of it is not understood.
    """
    if str(name_or_path) in (*SHIPPED, PRICED):
        text = (resources.files("audits.release") / "policies" / f"{name_or_path}.yaml").read_text(encoding="utf-8")
        return _parsed(text)
    path = Path(name_or_path)
    try:
        return _parsed(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PolicyError(
            f"There is no policy '{path.name}'.",
            why="A release is judged by a named policy.",
            fix=f"Use {', '.join((*SHIPPED, PRICED))}, or the path of a policy file.",
        ) from error
    except (yaml.YAMLError, ValueError, OSError) as error:
        raise _refused("The policy file is not readable YAML or JSON.", "Check indentation and quotes.") from error


@lru_cache(maxsize=64)
def _parsed(text: str) -> Policy:
    """A policy from its YAML, whose reading took a busy service half of its time."""
    return parse_policy(yaml.safe_load(text))


def parse_policy(document: Any) -> Policy:
    """A policy from a parsed document. Raises PolicyError naming the entry that is not understood."""
    keys = {"name", "tier", "requires_dp", "max_epsilon", "checks"}
    _exactly(document, keys, "the policy", optional=frozenset({"approvers", "attempts", "gate", "card"}))
    name, tier = document["name"], document["tier"]
    if not (isinstance(name, str) and name and isinstance(tier, str) and tier):
        raise _refused("`name` or `tier` is not a word.", "Write one word for each.")
    if not isinstance(document["requires_dp"], bool):
        raise _refused("`requires_dp` is neither true nor false.", "Write true or false.")
    max_epsilon = _number(document["max_epsilon"], "max_epsilon")
    if max_epsilon <= 0:
        raise _refused("`max_epsilon` is not positive.", "Write the largest epsilon a release may claim.")
    approvers = document.get("approvers", 1)
    if type(approvers) is not int or not 1 <= approvers <= MAX_APPROVERS:
        raise _refused(f"`approvers` is not a number from 1 to {MAX_APPROVERS}.", "Write how many people must approve.")
    attempts = document.get("attempts", ATTEMPTS)
    if type(attempts) is not int or attempts < 1:
        raise _refused(
            "`attempts` is not a number of 1 or more.", "Write how often a table may be put before the gate."
        )
    gate, card = document.get("gate", Gate.EXACT), document.get("card", "none")
    for key, written, allowed in (("gate", gate, list(Gate)), ("card", card, ["bought", "none"])):
        if written not in allowed:
            raise _refused(f"`{key}` is unknown.", f"Write one of {', '.join(allowed)}.")
    checks = document["checks"]
    if not isinstance(checks, list) or not checks:
        raise _refused("`checks` is not a list of rules.", "Write at least one rule: a gate without checks is open.")
    rules = tuple(_rule(entry, i + 1) for i, entry in enumerate(checks))
    if len({(r.audit, r.quantity, r.subjects) for r in rules}) != len(rules):
        raise _refused("Two rules read the same findings.", "Keep one of them.")
    unpaid = sorted({r.audit for r in rules} - BOUGHT) if gate == Gate.PRICED else []
    if unpaid:
        raise _refused(
            f"A rule of a priced gate reads the audit '{unpaid[0]}', which nothing is paid for.",
            f"Read {', '.join(sorted(BOUGHT))} alone, or make the gate exact.",
        )
    if sum(r.withhold_limit for r in rules if r.effect is Effect.BLOCK and r.quantity.endswith("p-value")) >= SHARES:
        raise _refused(
            f"The p-values' limits add up to {SHARES:g} or more.",
            "They are shares in the probability that a harmless table is withheld; leave some for the other checks.",
        )
    if not any(r.effect is Effect.BLOCK and r.required for r in rules):
        raise _refused("No rule blocks and is required.", "A gate nothing can close is not a gate.")
    document = json.loads(json.dumps(document))
    return Policy(
        name=name,
        tier=tier,
        requires_dp=document["requires_dp"],
        max_epsilon=max_epsilon,
        approvers=approvers,
        attempts=attempts,
        gate=Gate(gate),
        card=card == "bought",
        checks=rules,
        digest=hashlib.sha256(rfc8785.dumps(document)).hexdigest(),
        document=document,
    )


def _rule(entry: Any, place: int) -> CheckRule:
    where = f"check {place}"
    keys = {"audit", "quantity", "subjects", "worse", "pass_limit", "withhold_limit", "min_n", "effect", "required"}
    _exactly(entry, keys, where)
    if not all(isinstance(entry[key], str) and entry[key] for key in ("audit", "quantity")):
        raise _refused(f"`audit` or `quantity` of {where} is not a text.", "Use the names findings carry.")
    for key, allowed in (("subjects", list(Subjects)), ("effect", list(Effect)), ("worse", ["higher", "lower"])):
        if entry[key] not in allowed:
            raise _refused(f"`{key}` of {where} is unknown.", f"Write one of {', '.join(allowed)}.")
    if not isinstance(entry["required"], bool):
        raise _refused(f"`required` of {where} is neither true nor false.", "Write true or false.")
    min_n = entry["min_n"]
    if not isinstance(min_n, int) or isinstance(min_n, bool) or min_n < 0:
        raise _refused(f"`min_n` of {where} is not a count.", "Write the fewest rows or people a PASS may rest on.")
    inside = _number(entry["pass_limit"], f"pass_limit of {where}")
    beyond = _number(entry["withhold_limit"], f"withhold_limit of {where}")
    if (inside > beyond) if entry["worse"] == "higher" else (inside < beyond):
        raise _refused(
            f"`pass_limit` of {where} is on the bad side of `withhold_limit`.",
            "What may pass is never worse than what is withheld.",
        )
    return CheckRule(
        audit=entry["audit"],
        quantity=entry["quantity"],
        subjects=Subjects(entry["subjects"]),
        worse=entry["worse"],
        pass_limit=inside,
        withhold_limit=beyond,
        min_n=min_n,
        effect=Effect(entry["effect"]),
        required=entry["required"],
    )


def _exactly(entry: Any, keys: set[str], where: str, optional: frozenset[str] = frozenset()) -> None:
    if not isinstance(entry, Mapping):
        raise _refused(f"{where.capitalize()} is not a mapping.", f"Write {', '.join(sorted(keys))}.")
    missing, unknown = sorted(keys - entry.keys()), sorted(str(key) for key in entry.keys() - keys - optional)
    if missing:
        raise _refused(
            f"{where.capitalize()} has no `{missing[0]}`.", "Every entry is written out; none has a default."
        )
    if unknown:
        raise _refused(f"{where.capitalize()} has an unknown entry `{unknown[0]}`.", "Remove it, or correct its name.")


def _number(written: Any, where: str) -> float:
    if isinstance(written, bool) or not isinstance(written, int | float) or not math.isfinite(written):
        raise _refused(f"`{where}` is not a number.", "Write a finite number.")
    return float(written)


def _refused(what: str, fix: str) -> PolicyError:
    return PolicyError(what, why="A policy that is misread would let tables out, or none.", fix=fix)
