"""SDMetrics: distances to the closest record, its quality report, and detection by logistic regression."""

from __future__ import annotations

from typing import Any

from sdmetrics.reports.single_table import QualityReport
from sdmetrics.single_table import DCROverfittingProtection, LogisticDetection

from bench.peers.auditors.answers import Tables, main


def copies(tables: Tables) -> str:
    """Whether synthetic rows are nearer to training rows than to as many others; 1 is best."""
    n = len(tables.control)
    rows = (tables.train.sample(n, random_state=1), tables.synthetic.sample(n, random_state=1), tables.control)
    found = DCROverfittingProtection.compute_breakdown(*rows, _metadata(tables), None)
    return f"overfitting protection {found['score']:.3f}"


def alike(tables: Tables) -> str:
    """Its overall score of single columns and pairs; 1 is best."""
    report = QualityReport()
    report.generate(tables.train, tables.synthetic, _metadata(tables), verbose=False)
    return f"quality {report.get_score():.3f}"


def detection(tables: Tables) -> str:
    """1 where a logistic regression sees no difference."""
    found = LogisticDetection.compute(tables.train, tables.synthetic, _metadata(tables))
    return f"logistic detection {found:.3f}"


def _metadata(tables: Tables) -> dict[str, Any]:
    kinds = {n: "numerical" if n in tables.numbers else "categorical" for n in tables.train.columns}
    return {"columns": {name: {"sdtype": kind} for name, kind in kinds.items()}}


if __name__ == "__main__":
    main({"copies": copies, "marginals": alike, "detection": detection})
