"""Epsilon computed again, from a statement's emitted events, in a process that shares no state with the run.

`recompute_in_fresh_process` starts this module with the running interpreter, gives it the statement as JSON on standard
input and reads the figures from standard output. Silence is a fault: whatever ends that process early is one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from privacy.accounting import recompute
from privacy.statement import claim_of_json

TIMEOUT_SECONDS = 120.0
ROOT = Path(__file__).resolve().parent.parent


def recompute_in_fresh_process(
    statement: Mapping[str, Any], *, timeout_seconds: float = TIMEOUT_SECONDS
) -> tuple[str, ...]:
    """Faults of a statement's claim, as a second process finds them; empty when it stands.

    Args:
        statement: `PrivacyStatement.to_json()`.
        timeout_seconds: how long the process may take before its silence is a fault.
    """
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "privacy.recompute"],
            input=json.dumps(statement),
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            cwd=ROOT,
            check=True,
        )
        faults = json.loads(ended.stdout)["faults"]
    except (subprocess.SubprocessError, OSError, ValueError, KeyError, TypeError) as error:
        return (f"epsilon could not be recomputed in a fresh process ({type(error).__name__})",)
    return tuple(str(fault) for fault in faults)


def report(statement: dict[str, Any]) -> dict[str, Any]:
    """Figures and faults of a statement's JSON.

    Raises KeyError, TypeError or ValueError for what is no statement.
    """
    claim, cost = claim_of_json(statement)
    again = recompute(cost, claim.delta, claim.accountant)
    return {"recomputation": asdict(again), "faults": list(again.faults(claim))}


def main() -> None:
    """Statement on standard input, figures on standard output."""
    sys.stdout.write(json.dumps(report(json.load(sys.stdin))))


if __name__ == "__main__":
    main()
