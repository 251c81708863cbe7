"""The sources a certificate of the priced gate vouches for."""

from __future__ import annotations

from pathlib import Path

NAME = "priced-gate"
ROOT = Path(__file__).resolve().parents[2]
GUARANTEE = ("cells", "columns", "cost", "enclosure", "filter", "mechanisms", "noise", "rows", "table", "transcript")
"""Modules of `privacy` that the guarantee of bought counts rests on."""


def sources() -> tuple[Path, ...]:
    """Everything between a real row and a bought count."""
    bought = sorted((ROOT / "audits" / "bought").glob("*.py"))
    shared = [ROOT / "audits" / f"{name}.py" for name in ("cells", "hashes", "features", "prediction", "rows")]
    return (*(ROOT / "privacy" / f"{name}.py" for name in GUARANTEE), *shared, *bought, ROOT / "audits" / "distance.py")
