"""SDMetrics' quality and diagnostic reports as an audit: its scores of the synthetic rows, and of control rows beside.

A score says how alike a table is to the training rows, from 0 to 1. The baseline is the score of control rows, which
are real: what nobody can be asked to exceed. Dates are compared as numbers. Scores have no interval: they are of these
very tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.random import Generator

from api.integrations.frames import plain
from audits.estimates import exact_finding
from audits.evidence import Evidence
from audits.fidelity.samples import equal_samples
from audits.finding import Finding
from privacy.columns import LevelColumn


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Both reports.

    Attributes:
        max_rows: rows of each table that are compared.
    """

    max_rows: int = 50_000
    name: ClassVar[str] = "sdmetrics"
    title: ClassVar[str] = "Quality and diagnostic reports of SDMetrics"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """Overall scores, those of every property, and those of every column.

        Raises:
            InconclusiveError: fewer than 100 rows of a table.
        """
        # As many of each: a score falls with the number of rows.
        tables = equal_samples(evidence, self.max_rows, rng)
        control, train, synthetic = (plain(table).to_pandas() for table in tables)
        words = {column.name: isinstance(column, LevelColumn) for column in evidence.schema.columns}
        metadata = {"columns": {n: {"sdtype": "categorical" if w else "numerical"} for n, w in words.items()}}
        baseline = dict(_scores(train, control, metadata))
        return tuple(
            exact_finding(
                audit=self.name,
                quantity=quantity,
                subject=subject,
                value=score,
                baseline=baseline.get((quantity, subject), float("nan")),
                worse="lower",
                n=len(train),
            )
            for (quantity, subject), score in _scores(train, synthetic, metadata)
        )


def _scores(real: Any, other: Any, metadata: dict[str, Any]) -> Iterator[tuple[tuple[str, str], float]]:
    """Quantity and subject of every score there is."""
    from sdmetrics.reports.single_table import DiagnosticReport, QualityReport

    for kind, report in (("quality", QualityReport()), ("diagnostic", DiagnosticReport())):
        report.generate(real, other, metadata, verbose=False)
        yield (f"{kind} score", ""), float(report.get_score())
        for _, row in report.get_properties().iterrows():
            name = str(row["Property"])
            if row["Score"] == row["Score"]:  # not a number where no column has the property
                yield (f"{kind}: {name}", ""), float(row["Score"])
            details = report.get_details(name)
            if "Column" in details:
                for _, one in details.iterrows():
                    if one["Score"] == one["Score"]:
                        yield (f"{kind}: {one['Metric']}", str(one["Column"])), float(one["Score"])
