"""Which rows are asked for, as written by the caller: `--where`, `--balance`, `--given`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from privacy.columns import LevelColumn
from privacy.conditions import condition_of, parse_where
from privacy.errors import RequestError
from privacy.schema import Schema
from synthesizers.conditioning import MAX_STRATA, Stratum, Target

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
    return Target(
        where=tuple(parse_where(schema, text) for text in where),
        balance=tuple(dict.fromkeys(balance)),
        given=() if given is None else _given(schema, given),
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
