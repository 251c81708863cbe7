"""From a request as it is stored to a priced order: in the API to price it, and in a worker to carry it out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from api.desk.formulas import check_policy
from api.recipe import Order, Recipe, ordered
from api.settings import Settings
from api.store.tables import Dataset
from api.streams import fresh_seed
from audits.errors import PolicyError
from audits.release.policy import SHIPPED, Policy, load_policy, parse_policy
from privacy.files import TableFile
from privacy.schema import Schema
from privacy.schema_file import parse_schema

NOWHERE = Path("bundle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What somebody asks for, as in `api.recipe.Recipe`."""

    synthesizer: str
    epsilon: float
    delta: float
    rows: int | None = None
    where: tuple[str, ...] = ()
    balance: tuple[str, ...] = ()
    device: str = "auto"

    def stored(self) -> dict[str, Any]:
        """As it is kept, with a seed of the streams that protect nobody."""
        return {**asdict(self), "where": list(self.where), "balance": list(self.balance), "seed": fresh_seed()}


def schema_of(dataset: Dataset) -> Schema:
    """The public description of a dataset."""
    document = json.loads(dataset.schema)
    return parse_schema(document, name=str(document.get("name", "table")))


def order_for(
    dataset: Dataset,
    asked: Mapping[str, Any],
    policy: Policy,
    request: str,
    table: TableFile = NOWHERE,
    out: Path = NOWHERE,
    earlier: tuple[Path, ...] = (),
) -> Order:
    """Check and price a request; opens no file. Raises a ReleaseError.

    Args:
        dataset: what it is made from.
        asked: `Asked.stored()`.
        policy: what it is judged by.
        request: its id.
        table: where the table lies, for whoever carries it out.
        out: where the bundle goes, likewise.
        earlier: bundles of the population that are out, likewise.
    """
    recipe = Recipe(
        table=table,
        schema=Path(f"{dataset.id}.json"),
        synthesizer=asked["synthesizer"],
        epsilon=asked["epsilon"],
        delta=asked["delta"],
        policy=policy.name,
        out=out,
        rows=asked["rows"],
        seed=asked["seed"],
        request=request,
        device=asked["device"],
        where=tuple(asked["where"]),
        balance=tuple(asked["balance"]),
        held=True,
        earlier=earlier,
    )
    schema = schema_of(dataset)
    check_policy(schema, policy)
    return ordered(recipe, schema, policy)


def policies(settings: Settings) -> dict[str, Policy]:
    """Every policy of the installation by its name: the shipped ones, and the files of its folder by their stem."""
    found = {name: load_policy(name) for name in SHIPPED}
    if settings.policies is not None:
        for path in sorted(settings.policies.glob("*.yaml")):
            found[path.stem] = load_policy(path)
    return found


def policy_named(settings: Settings, name: str) -> Policy:
    """The policy with a name. Raises PolicyError where there is none."""
    known = policies(settings)
    if name not in known:
        raise PolicyError(
            "There is no policy of this name.",
            why="A release is judged by a named policy.",
            fix=f"Use one of {', '.join(known)}.",
        )
    return known[name]


def policy_of(text: str) -> Policy:
    """A policy as a release keeps it."""
    return parse_policy(json.loads(text))
