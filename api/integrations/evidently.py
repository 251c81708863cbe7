"""Evidently's drift preset as an audit: training rows are the reference, synthetic rows what came of them.

The preset chooses a test or a distance by column and by the number of rows; a column's value is what it reports, and
the share of drifted columns is by its own thresholds. The baseline is the same of control rows, which are real.
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
from privacy.schema import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """The preset at its defaults.

    Attributes:
        max_rows: rows of each table that are compared.
    """

    max_rows: int = 50_000
    name: ClassVar[str] = "evidently"
    title: ClassVar[str] = "Drift by Evidently"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:
        """The share of drifted columns, and what is said of every column.

        Raises:
            InconclusiveError: fewer than 100 rows of a table.
        """
        tables = equal_samples(evidence, self.max_rows, rng)
        control, train, synthetic = (plain(table).to_pandas() for table in tables)
        baseline = dict(_values(train, control, evidence.schema))
        return tuple(
            exact_finding(
                audit=self.name,
                quantity=quantity,
                subject=subject,
                value=value,
                baseline=baseline.get((quantity, subject), float("nan")),
                worse="lower" if quantity.endswith("p_value") else "higher",
                n=len(train),
            )
            for (quantity, subject), value in _values(train, synthetic, evidence.schema)
        )


def _values(reference: Any, current: Any, schema: Schema) -> Iterator[tuple[tuple[str, str], float]]:
    """Quantity and subject of everything the preset reports."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    words = [column.name for column in schema.columns if isinstance(column, LevelColumn)]
    numbers = [name for name in schema.names if name not in words]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=words)
    sides = [Dataset.from_pandas(rows, data_definition=definition) for rows in (current, reference)]
    for metric in Report([DataDriftPreset()]).run(*sides).dict()["metrics"]:
        config = metric["config"]
        if "column" in config:
            yield (f"drift by {config['method']}", str(config["column"])), float(metric["value"])
        else:
            yield ("share of drifted columns", ""), float(metric["value"]["share"])
