"""How every command ends: with an exit code of the contract, and a message that quotes no cell."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NoReturn

import typer

from api.display import defect, refusal
from api.steps import StoppedError
from privacy.errors import BudgetExceededError, JournalError, OverspendError, ReleaseError
from privacy.ledger import LedgerError

BAD_INPUT, BUDGET_REFUSED, OTHER = 2, 5, 1


def guarded(run: Callable[[], int], *, as_json: bool) -> NoReturn:
    """Run a command; a refusal becomes one clear message, a defect its class name: a trace may quote a cell."""
    try:
        code = run()
    except ReleaseError as error:
        refusal(error, as_json=as_json)
        code = exit_code(error)
    except Exception as error:
        if os.environ.get("TABLEGATE_TRACE") == "1":
            raise
        defect(error, as_json=as_json)
        code = OTHER
    raise typer.Exit(code)


def exit_code(error: ReleaseError) -> int:
    """The contract's exit code of a refusal."""
    if BudgetExceededError.code in (error.code, getattr(error, "kind", "")):  # ours, or a service's that was asked
        return BUDGET_REFUSED
    return OTHER if isinstance(error, JournalError | LedgerError | OverspendError | StoppedError) else BAD_INPUT
