"""Which rows are asked for, as written by the caller: `--where`, `--balance`, `--given`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from privacy.columns import LevelColumn, NumberColumn
from privacy.conditions import Condition, NumbersAllowed, condition_of, parse_where
from privacy.errors import RequestError
from privacy.schema import Schema, quoted
from synthesizers.conditioning import LEAST_SHARE, MAX_STRATA, Stratum, Target

SHARE = "share"


def target_of(schema: Schema, where: Sequence[str], balance: Sequence[str], given: Path | None) -> Target:
    """Parse and check. Raises RequestError.

    Args:
        schema: the schema of the table.
        where: conditions, all of which every row meets.
        balance: columns with levels, whose combinations get equal shares.
        given: a YAML or JSON file with a list of mappings from columns to conditions, each with its `share`.
    """
    if balance and given is not None:
        raise RequestError(
            "--balance and --given are asked for together.",
            why="Each says how large every group is to be.",
            fix="Use one of them.",
        )
    for name in balance:
        if name not in schema.names or not isinstance(schema[name], LevelColumn):
            raise RequestError(
                f"'{name}' cannot be balanced.",
                why="It is not a synthesised column with levels.",
                fix="Name a categorical, ordinal or boolean column of the schema.",
            )
    conditions = tuple(parse_where(schema, text) for text in where)
    _check_possible(schema, conditions)
    return Target(
        where=conditions,
        balance=tuple(dict.fromkeys(balance)),
        given=() if given is None else _given(schema, given),
    )


def doubts(schema: Schema, target: Target) -> tuple[str, ...]:
    """What a caller should know before paying: what only the fitted model can say of the conditions.

    From public facts alone. How frequent a level is, no public fact says: a model that has next to nothing of what is
    asked for is found after the charge, which stands.
    """
    asked = {c.column for c in (*target.where, *(c for s in target.given for c in s.conditions))} | set(target.balance)
    open_ones = [name for name in schema.measured if name in asked]
    found = []
    if open_ones:
        found.append(
            f"The list or bounds of {quoted(open_ones)} are still to be bought: whether rows can meet what is asked of "
            "them is known after the charge, which stands."
        )
    if target.words:
        found.append(
            f"Where fewer than {LEAST_SHARE:g} of the model's rows meet a condition, nothing is drawn, and the charge "
            "stands: rare values are better asked of a model that is released already (`tablegate sample`)."
        )
    return tuple(found)


def _check_possible(schema: Schema, conditions: Sequence[Condition]) -> None:
    """Refuse conditions that public bounds and rules leave no row for: nothing need be paid to know that."""
    joint: dict[str, Condition] = {}
    for condition in conditions:
        known = joint.get(condition.column)
        joint[condition.column] = condition if known is None else known.intersected(condition)
    for name, condition in joint.items():
        if condition.is_empty:
            raise _impossible(f"the conditions on '{name}' together")
        column = schema[name]
        if isinstance(column, NumberColumn) and isinstance(condition, NumbersAllowed):
            low = -math.inf if column.minimum is None else column.minimum
            high = math.inf if column.maximum is None else column.maximum
            whole = NumbersAllowed(column=name, minimum=low, maximum=high, missing=True)
            if condition.intersected(whole).is_empty:
                raise _impossible(f"the public bounds of '{name}'")
    rules = [rule for step in schema.constraints.steps for rule in step.implications] if schema.constraints else []
    for rule in rules:
        surely = all(c.column in joint and joint[c.column].intersected(c) == joint[c.column] for c in rule.when)
        then = joint.get(rule.then.column)
        if surely and then is not None and then.intersected(rule.then).is_empty:
            raise _impossible(f"the rule '{rule.words}'")


def _impossible(by: str) -> RequestError:
    return RequestError(
        f"No row can be as asked, by {by}.",
        why="Public facts say so: it would be paid for in vain.",
        fix="Ask for a wider condition, or leave one out.",
    )


def _given(schema: Schema, path: Path) -> tuple[Stratum, ...]:
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise _bad(path, "It cannot be read as YAML or JSON.") from error
    if not isinstance(written, list) or not 1 <= len(written) <= MAX_STRATA:
        raise _bad(path, f"It is not a list of 1 to {MAX_STRATA} groups.")
    strata = tuple(_stratum(schema, path, entry) for entry in written)
    if len({frozenset(c.column for c in s.conditions) for s in strata}) > 1:
        raise _bad(path, "Its groups do not all name the same columns.")
    for i, one in enumerate(strata):
        for other in strata[:i]:
            pairs = zip(_in_order(one), _in_order(other), strict=True)
            if not any(a.intersected(b).is_empty for a, b in pairs):
                raise _bad(path, "Two of its groups overlap, so a row could belong to both.")
    if not math.isclose(sum(s.share for s in strata), 1, abs_tol=1e-6):
        raise _bad(path, "Its shares do not add up to 1.")
    return strata


def _stratum(schema: Schema, path: Path, entry: Any) -> Stratum:
    share = entry.get(SHARE) if isinstance(entry, Mapping) else None
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1 or len(entry) < 2:
        raise _bad(path, "A group has no column, or no `share` above 0 and at most 1.")
    conditions = (condition_of(schema, str(name), value) for name, value in entry.items() if name != SHARE)
    return Stratum(conditions=tuple(conditions), share=float(share))


def _in_order(stratum: Stratum) -> list[Any]:
    return sorted(stratum.conditions, key=lambda c: c.column)


def _bad(path: Path, what: str) -> RequestError:
    return RequestError(
        f"'{path.name}' does not say in what shares rows are asked for. {what}",
        why="Every group is drawn separately, in the share that is given.",
        fix="Write a list such as `[{sex: Female, share: 0.5}, {sex: Male, share: 0.5}]`.",
    )
