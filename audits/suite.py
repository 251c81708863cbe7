"""Running audits on one evidence: every audit leaves an outcome, whatever becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Protocol

from numpy.random import Generator

from audits.errors import InconclusiveError
from audits.evidence import Evidence
from audits.finding import Finding, Outcome
from audits.protocol import Audit


class Streams(Protocol):
    """Named random streams: a mapping will do."""

    def __getitem__(self, name: str, /) -> Generator:
        """The stream of a name."""
        ...


def run_suite(
    audits: Sequence[Audit],
    evidence: Evidence,
    streams: Streams,
    progress: Callable[[str], None] | None = None,
) -> tuple[Outcome, ...]:
    """Run audits in order, each on the stream of its own name.

    Args:
        audits: what is asked.
        evidence: what is asked about.
        streams: one stream an audit, so that adding an audit changes no other's draw.
        progress: told the title of every audit before it starts.

    Returns:
        One outcome an audit, in order. An audit that cannot answer is `inconclusive`, one that fails is an `error`,
        and the others run all the same.
    """
    outcomes = []
    for audit in audits:
        if progress is not None:
            progress(audit.title)
        outcomes.append(_outcome(audit, evidence, streams))
    return tuple(outcomes)


def _outcome(audit: Audit, evidence: Evidence, streams: Streams) -> Outcome:
    start = perf_counter()
    findings: tuple[Finding, ...] = ()
    inconclusive = error = ""
    try:
        findings = audit.run(evidence, streams[audit.name])
    except InconclusiveError as reason:
        inconclusive = str(reason)
    except Exception as failure:
        # A defect of one audit, in a library under it too, must withhold the release and not end the process with
        # the charge spent and nothing sealed. The class alone is kept: a message may quote a cell.
        error = type(failure).__name__
    return Outcome(
        audit=audit.name, findings=findings, inconclusive=inconclusive, error=error, seconds=perf_counter() - start
    )
