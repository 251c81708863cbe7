"""The rules of a schema file: `privacy.constraints`, a list of mappings, and every reason one is refused for.

    - {cite: ..., never: {relationship: Husband, sex: Female}}
    - {cite: ..., if: {age: {maximum: 14}}, then: {marital: null, job: [none, pupil]}}
    - {cite: ..., order: [jail_in, jail_out]}
    - {cite: ..., derive: education-num, from: education, map: {Preschool: 1, 1st-4th: 2, ...}}
    - {cite: ..., derive: density, from: puma, map: measured}
    - {cite: ..., derive: age_group, cases: [{when: {age: {maximum: 24}}, then: young}, ...]}
    - {cite: ..., derive: priors again, copy: priors}

A condition is a level, a list of levels, a number, or `minimum`, `maximum` and `missing`; null is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

from privacy.columns import Column, LevelColumn, NumberColumn, parse_bound
from privacy.conditions import Condition, LevelsAllowed, NumbersAllowed, complement, condition_of
from privacy.constraints import Cases, Constraints, Copy, Derivation, Implication, MeasuredMap, Order, Step
from privacy.errors import RequestError, SchemaError
from privacy.schema import Schema, level_text, quoted

MAX_RULES = 30
"""Implications about one column: their combinations are told apart one by one."""

SHAPES = ({"never"}, {"if", "then"}, {"order"}, {"derive", "from", "map"}, {"derive", "cases"}, {"derive", "copy"})


def parse_constraints(schema: Schema, written: Any) -> Constraints:
    """The rules of a schema whose columns are known. Raises SchemaError."""
    if not isinstance(written, list) or not all(isinstance(entry, Mapping) for entry in written):
        raise _bad("`privacy.constraints` is not a list of rules.", "Write one mapping a rule.")
    implications: list[Implication] = []
    orders: list[Order] = []
    derived: list[Derivation] = []
    maps: list[MeasuredMap] = []
    for number, entry in enumerate(written, start=1):
        where = f"Rule {number} of `privacy.constraints`"
        if not isinstance(entry.get("cite"), str) or not entry["cite"].strip():
            raise _bad(
                f"{where} has no `cite`.", "Name the document or the definition that makes it true of every row."
            )
        keys = set(entry) - {"cite"}
        if keys not in SHAPES:
            raise _bad(f"{where} is of no known form.", "Write `never`, `if` and `then`, `order`, or `derive`.")
        try:
            if keys == {"never"}:
                implications.append(_never(schema, entry["never"]))
            elif "if" in keys:
                implications += _implications(schema, entry["if"], entry["then"])
            elif "order" in keys:
                orders += _orders(schema, entry["order"])
            elif entry.get("map") == "measured":
                maps.append(MeasuredMap(column=_name(entry["derive"]), source=_name(entry["from"])))
            else:
                derived.append(_derivation(schema, entry))
        except (RequestError, _Refused) as refusal:
            raise _bad(f"{where}: {refusal.what}", refusal.fix) from refusal
    _check_derived(schema, implications, orders, derived, maps)
    return Constraints(steps=_steps(implications, orders), derived=tuple(derived), maps=tuple(maps))


class _Refused(Exception):
    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


def _conditions(schema: Schema, written: Any) -> tuple[Condition, ...]:
    if not isinstance(written, Mapping) or not written:
        raise _Refused("a part that should map columns to values does not.", "Write `{column: value}`.")
    return tuple(condition_of(schema, str(name), value) for name, value in written.items())


def _never(schema: Schema, written: Any) -> Implication:
    conditions = _conditions(schema, written)
    if len(conditions) < 2:
        raise _Refused("`never` names fewer than two columns.", "Leave a level that never occurs out of its list.")
    return _implication(schema, conditions[:-1], complement(schema[conditions[-1].column], conditions[-1]))


def _implications(schema: Schema, when: Any, then: Any) -> list[Implication]:
    conditions = _conditions(schema, when)
    return [_implication(schema, conditions, condition) for condition in _conditions(schema, then)]


def _implication(schema: Schema, when: tuple[Condition, ...], then: Condition) -> Implication:
    column = schema[then.column]
    if then.column in {c.column for c in when}:
        raise _Refused(f"'{then.column}' is on both sides.", "Narrow its list or its bounds instead.")
    if isinstance(column, LevelColumn) and column.levels is None and not _only_missing(then):
        raise _Refused(
            f"what follows is about '{column.name}', whose list is still to be bought.", "Declare its list as public."
        )
    if isinstance(column, NumberColumn) and isinstance(then, NumbersAllowed) and not then.missing:
        low, high = column.minimum, column.maximum
        if low is None or high is None or max(low, then.minimum) > min(high, then.maximum):
            raise _Refused(
                f"what follows for '{column.name}' may lie outside its bounds.",
                "Declare its bounds as public, or allow `missing: true`.",
            )
    return Implication(when=when, then=then)


def _only_missing(condition: Condition) -> bool:
    if isinstance(condition, LevelsAllowed):
        return condition.missing and not condition.levels
    return condition.missing and condition.minimum > condition.maximum


def _orders(schema: Schema, written: Any) -> list[Order]:
    names = [_name(name) for name in written] if isinstance(written, Sequence) and not isinstance(written, str) else []
    columns = [schema[name] for name in names if name in schema.names]
    if len(columns) < 2 or len(columns) < len(names) or len(set(names)) < len(names):
        raise _Refused("`order` is not a list of two or more different columns.", "Write `order: [low, high]`.")
    kinds = {c.kind for c in columns if isinstance(c, NumberColumn)}
    if len(kinds) != 1 or not all(isinstance(c, NumberColumn) for c in columns):
        raise _Refused("`order` compares columns that are not numbers of one kind.", "Compare like with like.")
    return [Order(low=low, high=high) for low, high in pairwise(names)]


def _derivation(schema: Schema, entry: Mapping[str, Any]) -> Derivation:
    name = _name(entry["derive"])
    column = _known(schema, name)
    if "copy" in entry:
        source = _known(schema, _name(entry["copy"]))
        same = type(source) is type(column) and getattr(source, "kind", None) == getattr(column, "kind", None)
        listed = isinstance(column, LevelColumn) and isinstance(source, LevelColumn) and column.levels != source.levels
        if not same or listed or source.name == name:
            raise _Refused(
                f"'{name}' and '{source.name}' are not two columns alike.", "Give both the same declaration."
            )
        return Copy(column=name, source=source.name)
    if "map" in entry:
        of = _known(schema, _name(entry["from"]))
        if not isinstance(of, LevelColumn) or of.levels is None or not isinstance(entry["map"], Mapping):
            raise _Refused("`map` needs `from` a column with a public list.", "Or write `cases`.")
        pairs = {level_text(key): value for key, value in entry["map"].items()}
        without = [level for level in of.levels if level not in pairs]
        if without or set(pairs) - {*of.levels, of.other}:
            raise _Refused(
                f"its map does not have exactly the levels of '{of.name}'.",
                "Give every level a value, null for missing; OTHER may have one, and missing gives missing.",
            )
        cases = [(_conditions(schema, {of.name: key}), _value(column, value)) for key, value in pairs.items()]
    else:
        written = entry["cases"]
        if not isinstance(written, list) or not all(
            isinstance(c, Mapping) and set(c) == {"when", "then"} for c in written
        ):
            raise _Refused("`cases` is not a list of `when` and `then`.", "Write one mapping a case.")
        cases = [(_conditions(schema, c["when"]), _value(column, c["then"])) for c in written]
    return Cases(column=name, cases=tuple(cases))


def _value(column: Column, written: Any) -> str | float | None:
    """A value of a derived column, which must be in its public domain."""
    if written is None:
        return None
    if isinstance(column, LevelColumn):
        text = level_text(written)
        if column.levels is None or text not in (*column.levels, column.other):
            raise _Refused(f"a value is not in the public list of '{column.name}'.", "Derive listed levels.")
        return text
    try:
        value = parse_bound(column.kind, column.date_format, written)
    except ValueError as error:
        raise _Refused(f"a value is not one of '{column.name}'.", f"Its kind is {column.kind}.") from error
    if column.minimum is None or column.maximum is None or not column.minimum <= value <= column.maximum:
        raise _Refused(f"a value is not within public bounds of '{column.name}'.", "Declare bounds that hold it.")
    return value


def _name(written: Any) -> str:
    return str(written)


def _known(schema: Schema, name: str) -> Column:
    if name not in schema.names:
        raise _Refused(f"'{name}' is not a synthesised column.", f"The columns are {quoted(schema.names)}.")
    return schema[name]


def _check_derived(
    schema: Schema,
    implications: Iterable[Implication],
    orders: Iterable[Order],
    derived: Sequence[Derivation],
    maps: Sequence[MeasuredMap],
) -> None:
    """A derived column follows from modelled ones alone, once, and no other rule speaks of it."""
    with_levels = {column.name for column in schema.columns if isinstance(column, LevelColumn)}
    for one in maps:
        if one.source not in with_levels or one.column not in schema.names or one.column == one.source:
            raise _bad("A measured map is not from a column with levels to another.", "Write `cases` for numbers.")
    follow = [*(rule.column for rule in derived), *(one.column for one in maps)]
    twice = sorted({name for name in follow if follow.count(name) > 1})
    if twice:
        raise _bad(f"{quoted(twice)} is derived twice.", "Keep one rule.")
    spoken = {name for rule in implications for name in (*rule.reads, rule.then.column)}
    spoken |= {name for rule in orders for name in (rule.low, rule.high)}
    spoken |= {name for rule in derived for name in rule.reads} | {one.source for one in maps}
    both = sorted(set(follow) & spoken)
    if both:
        raise _bad(
            f"{quoted(both)} is derived, and another rule speaks of it.", "Write that rule about what it follows from."
        )
    if len(set(follow)) == len(schema.columns):
        raise _bad("Every column is derived.", "Leave at least one to be modelled.")


def _steps(implications: Sequence[Implication], orders: Sequence[Order]) -> tuple[Step, ...]:
    """Rules grouped by what they change, in an order in which none reads what a later one changes.

    Of a column in an order an implication may say only that it is missing: an order never touches what is missing.
    """
    targets: dict[str, list[Implication]] = {}
    for rule in implications:
        targets.setdefault(rule.then.column, []).append(rule)
    steps: dict[str, Step] = {}
    changed_by: dict[str, set[str]] = {}
    for name, rules in targets.items():
        _check_together(name, rules)
        steps[f"implications about {name}"] = Step(implications=tuple(rules))
        changed_by[name] = {f"implications about {name}"}
    after: dict[str, set[str]] = {}
    for names, group in _connected(orders):
        clash = sorted(n for n in names & set(targets) if not all(_only_missing(rule.then) for rule in targets[n]))
        if clash:
            raise _bad(f"{quoted(clash)} is changed by an implication and by an order.", "Keep one of the two.")
        key = f"orders of {', '.join(sorted(names))}"
        steps[key] = Step(orders=group)
        after[key] = {one for name in names for one in changed_by.get(name, set())}
        for name in names:
            changed_by.setdefault(name, set()).add(key)
    graph = {
        key: after.get(key, set())
        | {one for rule in step.implications for name in rule.reads for one in changed_by.get(name, set())}
        for key, step in steps.items()
    }
    return tuple(steps[key] for key in _sorted(graph, "Rules read what each other change, in a circle"))


def _connected(orders: Sequence[Order]) -> list[tuple[set[str], tuple[Order, ...]]]:
    """Orders that share columns, each group from its lowest column upwards."""
    below: dict[str, set[str]] = {}
    for rule in orders:
        below.setdefault(rule.low, set())
        below.setdefault(rule.high, set()).add(rule.low)
    rank = {name: i for i, name in enumerate(_sorted(below, "Orders go round in a circle"))}
    groups: list[tuple[set[str], tuple[Order, ...]]] = []
    for rule in sorted(set(orders), key=lambda r: (rank[r.low], rank[r.high])):
        names = {rule.low, rule.high}
        rules: tuple[Order, ...] = (rule,)
        for other in [g for g in groups if g[0] & names]:
            groups.remove(other)
            names, rules = names | other[0], (*other[1], *rules)
        groups.append((names, tuple(sorted(rules, key=lambda r: (rank[r.low], rank[r.high])))))
    return groups


def _sorted(graph: Mapping[str, set[str]], circle: str) -> list[str]:
    try:
        return list(TopologicalSorter({key: sorted(graph[key]) for key in sorted(graph)}).static_order())
    except CycleError as error:
        raise _bad(f"{circle}: {quoted(dict.fromkeys(error.args[1]))}.", "Leave one of them out.") from error


def _check_together(name: str, rules: Sequence[Implication]) -> None:
    """Refuse implications that a row can meet the conditions of and nothing can satisfy."""
    if len(rules) > MAX_RULES:
        raise _bad(f"More than {MAX_RULES} implications change '{name}'.", "Write it as a derivation with `cases`.")
    open_sets: list[tuple[dict[str, Condition], Condition | None]] = [({}, None)]
    for rule in rules:
        for when, then in list(open_sets):
            joint = _joined(when, rule.when)
            if joint is None:
                continue
            allowed = rule.then if then is None else then.intersected(rule.then)
            if allowed.is_empty:
                raise _bad(f"Implications about '{name}' contradict each other.", "Correct one of them.")
            open_sets.append((joint, allowed))
        if len(open_sets) > 10_000:
            raise _bad(f"The implications about '{name}' overlap too much to be checked.", "Write them with `cases`.")


def _joined(when: Mapping[str, Condition], more: Iterable[Condition]) -> dict[str, Condition] | None:
    """Both sets of conditions together, or None where no row meets them."""
    joint = dict(when)
    for condition in more:
        joint[condition.column] = (
            joint[condition.column].intersected(condition) if condition.column in joint else condition
        )
        if joint[condition.column].is_empty:
            return None
    return joint


def _bad(what: str, fix: str) -> SchemaError:
    return SchemaError(what, why="Every released row must keep every rule, whatever row it was.", fix=fix)
