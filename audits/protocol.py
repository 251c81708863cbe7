"""An audit: evidence in, findings out.

A good audit is a frozen dataclass of its parameters with one pure method. It prints, plots and stores nothing; it is
total (NaN, ties, unequal sizes, missing classes give the right answer or `InconclusiveError`); it was shown a fault it
must find and a fresh draw it must rest on (`tests/contracts`).
"""

from __future__ import annotations

from typing import ClassVar, Protocol

from numpy.random import Generator

from audits.evidence import Evidence
from audits.finding import Finding


class Audit(Protocol):
    """One question asked of the evidence."""

    name: ClassVar[str]
    title: ClassVar[str]

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Answer it. Raises InconclusiveError when the evidence cannot."""
        ...
