"""No cell that a spreadsheet would execute leaves: not in a release, and not in a mock table.

A file goes out as it was signed, so nothing is escaped on the way. What a schema declares is looked at when it is
registered. Lists that are still to be bought hold texts nobody has seen: they are left to the gate, and a policy that
does not ask the content scan for them does not do for such a schema.
"""

from __future__ import annotations

from audits.content import FORMULA_CELLS, Content, declares_formula
from audits.errors import PolicyError
from audits.release.policy import Effect, Policy
from privacy.columns import LevelColumn
from privacy.errors import SchemaError
from privacy.schema import Schema


def check_schema(schema: Schema) -> None:
    """Raises SchemaError when a column's name, a declared text, or the way it writes dates reads as a formula."""
    columns = [column.name for column in schema.columns if declares_formula(column)]
    if columns:
        raise SchemaError(
            f"A spreadsheet would execute a name or a declared text of these columns: {', '.join(columns)}.",
            why="A released CSV is opened in spreadsheets, which execute cells that begin with = + - @ or a control "
            "character, numbers aside.",
            fix="Rename the columns, and recode such levels, missing values and date formats before the upload.",
        )


def check_policy(schema: Schema, policy: Policy) -> None:
    """Raises PolicyError when a list is still to be bought and the policy lets formulas in it out."""
    bought = [column.name for column in schema.columns if isinstance(column, LevelColumn) and column.levels is None]
    asked = any(
        rule.audit == Content.name
        and rule.quantity == FORMULA_CELLS
        and rule.effect is Effect.BLOCK
        and rule.required
        and rule.pass_limit <= 0
        for rule in policy.checks
    )
    if bought and not asked:
        raise PolicyError(
            "The policy does not ask for formula cells, and these columns' lists are still to be bought: "
            f"{', '.join(bought)}.",
            why="A bought list holds texts from the table, and a spreadsheet executes some.",
            fix=f"Use a policy with the blocking, required check '{FORMULA_CELLS}' of the audit '{Content.name}'.",
        )
