"""What somebody asked for: everything a release needs to be told, checked before anything is charged."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from api.asked_rows import target_of
from api.coins import place_of
from api.earlier import check_earlier
from api.executors import executor_of
from api.integrations.audits import check_beside
from api.pricing import Price, price
from audits.assignment import Design, design_for
from audits.registry import AUDITS
from audits.release.bundle import check_out
from audits.release.policy import BOUGHT, Effect, Gate, Policy, load_policy
from privacy.calibration import check_budget
from privacy.errors import RequestError
from privacy.files import TableFile, check_file
from privacy.rows import Executor
from privacy.schema import Budget, Schema
from privacy.schema_file import load_schema
from synthesizers.conditioning import Target
from synthesizers.marginal.oneway import ROWS_WHERE_UNKNOWN
from synthesizers.protocol import Estimate, Plan, Synthesizer
from synthesizers.registry import synthesizer

MAX_ROWS = 50_000_000
SYNTHETIC_BYTES_A_ROW, SYNTHETIC_BYTES_A_CELL = 200, 40
"""Of a synthetic row: codes and numbers, and each cell as text while its file is written."""

MAX_NAME_BYTES = 200
"""Longest name of a bundle: its halves, and the hidden folder they are written in, have longer ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A request for a release, as written by the caller.

    Attributes:
        table: the sensitive table.
        schema: its schema file.
        synthesizer: name in the registry.
        epsilon, delta: totals for everything bought.
        policy: name of a shipped policy, or a policy file.
        out: where the bundle goes.
        rows: rows to sample; None for the public or the measured number.
        seed: seed of the streams that protect nobody.
        where: conditions every drawn row meets, as the command line writes them.
        balance: columns whose combinations of levels get equal shares.
        given: file of groups and their shares.
        request: the caller's id of this request, or empty to derive it: the same command then takes up a charge that
            was never opened, or a training that was stopped.
        device: "auto", "cpu", "cuda" or "cuda:N".
        executor: where the rows of a long table are counted: a name of `api.executors`.
        memory: bytes the run may be expected to need at most; None for what the machine has.
        held: whether people must let the table out even where every check passed.
        deep: whether the deep audits are asked as well.
        earlier: bundles of earlier releases of the population, which the audits hold beside this one.
        beside: libraries whose own audits are asked as well: names of `api.integrations.audits`.
    """

    table: TableFile
    schema: Path
    synthesizer: str
    epsilon: float
    delta: float
    policy: str
    out: Path
    rows: int | None
    seed: int
    request: str
    device: str = "auto"
    executor: str = "inline"
    memory: int | None = None
    where: tuple[str, ...] = ()
    balance: tuple[str, ...] = ()
    given: Path | None = None
    held: bool = False
    deep: bool = False
    earlier: tuple[Path, ...] = ()
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A recipe that passed every check that needs no row, with its price."""

    recipe: Recipe
    schema: Schema
    cap: Budget
    budget: Budget
    policy: Policy
    synthesizer: Synthesizer
    price: Price
    design: Design
    target: Target
    executor: Executor

    @property
    def plan(self) -> Plan:
        """The generator's plan."""
        return self.price.generator

    @property
    def request(self) -> str:
        """The request's id."""
        if self.recipe.request:
            return self.recipe.request
        parts = (
            place_of(self.recipe.table),
            self.recipe.out.absolute(),
            self.schema.digest,
            self.policy.digest,
            self.synthesizer.name,
            self.budget,
            self.recipe.rows,
            self.target.words,
        )
        return hashlib.sha256(repr(tuple(map(str, parts))).encode()).hexdigest()

    def rows(self, fitted_rows: float, mass: float) -> int:
        """Rows to sample: as asked, or the published or measured number of the table's rows that meet `where`.

        Args:
            fitted_rows: measured estimate of the number of training rows.
            mass: share of the model's rows that meet `where`.
        """
        if self.recipe.rows is not None:
            return self.recipe.rows
        n = self.schema.n_public.value
        whole = n if n is not None and self.schema.unit.field is None else fitted_rows / self.design.train
        return max(1, round(mass * whole))


def place(recipe: Recipe) -> Order:
    """Check everything that can be checked before a charge. Raises a ReleaseError with what, why and how to fix."""
    order = order_of(recipe)
    check_file(recipe.table, order.schema)
    check_target(recipe.out)
    check_earlier(recipe.earlier, order.schema)
    return order


def order_of(recipe: Recipe) -> Order:
    """The same for whoever does not hold the table: looks at no file but schema and policy."""
    return ordered(recipe, load_schema(recipe.schema), load_policy(recipe.policy))


def ordered(recipe: Recipe, schema: Schema, policy: Policy) -> Order:
    """Check and price a request whose schema and policy are at hand; looks at no file at all."""
    cap = schema.require_releasable()
    budget = check_budget(recipe.epsilon, recipe.delta, schema.n_public.value)
    chosen = synthesizer(recipe.synthesizer, recipe.device)
    if recipe.rows is not None:
        check_rows(recipe.rows)
    target = target_of(schema, recipe.where, recipe.balance, recipe.given)
    check_policy(policy, budget)
    check_beside(recipe.beside, policy)
    check_seed(recipe.seed)
    priced = price(lambda b: chosen.plan(schema, b), budget, policy, reweighted=bool(target.words))
    rows = recipe.rows or schema.n_public.value or ROWS_WHERE_UNKNOWN
    check_memory(priced.generator.estimate, rows, schema, recipe.memory)
    return Order(
        recipe=recipe,
        schema=schema,
        cap=cap,
        budget=budget,
        policy=policy,
        synthesizer=chosen,
        price=priced,
        design=design_for(schema.n_public.value),
        target=target,
        executor=executor_of(recipe.executor),
    )


def check_rows(rows: int) -> None:
    """Refuse a number of rows out of range. Raises RequestError."""
    if not 1 <= rows <= MAX_ROWS:
        raise RequestError(
            f"The number of rows is not between 1 and {MAX_ROWS}.",
            why="It is how many synthetic rows are drawn.",
            fix="Leave it out for the published or measured number.",
        )


def check_target(out: Path) -> None:
    """Refuse a bundle's folder that cannot come to be. Raises RequestError."""
    if not out.name or len(os.fsencode(out.name)) > MAX_NAME_BYTES:
        raise RequestError(
            f"The bundle's name is empty or longer than {MAX_NAME_BYTES} bytes.",
            why="Its internal half lies beside it, under a longer name.",
            fix="Choose another --out.",
        )
    check_out(out)


def check_seed(seed: int) -> None:
    """Refuse a seed no stream can start from. Raises RequestError."""
    if seed < 0:
        raise RequestError(
            "The seed is negative.",
            why="The streams of sampling and audits start from a number of 0 or more.",
            fix="Leave it out, or give such a number.",
        )


def check_memory(estimate: Estimate, rows: int, schema: Schema, most: int | None) -> None:
    """Refuse a run that is not expected to fit into memory. Raises RequestError.

    Args:
        estimate: of the fit.
        rows: synthetic rows, which are held while they are audited and written.
        schema: what they are coded by.
        most: bytes it may need; None for what the machine has.
    """
    most = most or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    drawn = rows * (SYNTHETIC_BYTES_A_ROW + SYNTHETIC_BYTES_A_CELL * len(schema.columns))
    needed = estimate.memory_bytes + drawn
    if needed > most:
        fitted = f"{estimate.memory_bytes / 1e9:.1f} GB to fit and {drawn / 1e9:.1f} GB for {rows:,} synthetic rows"
        raise RequestError(
            f"The run is expected to need {fitted}; {most / 1e9:.1f} GB are allowed.",
            why="It would be charged for, and ended by the system before it is done.",
            fix="Ask for fewer --rows, choose another synthesizer (`mst` needs least), or allow more with --memory.",
        )


def check_policy(policy: Policy, budget: Budget) -> None:
    """Refuse a request its policy can only withhold: the charge would buy nothing. Raises RequestError."""
    if budget.epsilon > policy.max_epsilon:
        raise RequestError(
            f"Epsilon {budget.epsilon:g} is above the {policy.max_epsilon:g} that policy '{policy.name}' lets through.",
            why="The release would be charged for, and withheld for certain.",
            fix="Ask for a smaller epsilon, or name a policy that allows it.",
        )
    there = BOUGHT if policy.gate is Gate.PRICED else AUDITS.keys()
    for rule in policy.checks:
        if rule.required and rule.effect is Effect.BLOCK and rule.audit not in there:
            raise RequestError(
                f"Policy '{policy.name}' requires the audit '{rule.audit}', which there is none of.",
                why="Silence withholds: the release would be charged for, and withheld for certain.",
                fix=f"Correct its name; the audits are {', '.join(there)}.",
            )
