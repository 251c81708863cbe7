"""What the monitor found as a snapshot that Evidently loads: into its workspace, and so into its pages and trends.

Every histogram is a `ValueDrift` of Evidently's, whose value is the observed total variation distance and whose
threshold the tolerance; whether it drifted is our test's answer and not a comparison of the two, since the distance has
noise in it, and the words say so. All of it was bought: Evidently computes nothing, and needs no row. It is a pure
function of `monitor.json`, and the library is not needed to write it.

Source: Evidently 0.7, `evidently.core.serialization.SnapshotModel`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

METHOD = "total variation distance of bought histograms (tablegate)"


def snapshot(facts: Mapping[str, Any], made: datetime) -> dict[str, Any]:
    """The snapshot, as JSON.

    Args:
        facts: `monitor.json`.
        made: when the new version was counted; runs of a project are ordered by it.
    """
    tolerance = facts["asked"]["tolerance"]
    results = {_id(h): _result(h, tolerance) for h in facts["histograms"]}
    return {
        "report": {"items": []},
        "name": f"tablegate monitor of {facts['table']}",
        "timestamp": made.isoformat(),
        "metadata": {
            "release": facts["release"]["digest"],
            "charge": facts["charge"],
            "epsilon": str(facts["asked"]["epsilon"]),
            "delta": str(facts["asked"]["delta"]),
            "proposes a release": str(facts["proposes_release"]).lower(),
        },
        "tags": ["tablegate"],
        "metric_results": results,
        "top_level_metrics": list(results),
        "widgets": [widget for result in results.values() for widget in result["widget"]],
        "tests_widgets": [],
    }


def _result(histogram: Mapping[str, Any], tolerance: float) -> dict[str, Any]:
    name, low_high = ", ".join(histogram["columns"]), histogram["interval"]
    words = (
        f"Drift: {histogram['state']}. Observed {histogram['distance']:.3f}, 95% bounds {low_high[0]:.3f} to "
        f"{low_high[1]:.3f}, noise alone {histogram['floor']:.3f}, tolerance {tolerance:g}."
    )
    params = {"type": "evidently:metric_v2:ValueDrift", "column": name, "method": METHOD, "threshold": tolerance}
    return {
        "type": "evidently:metric_result_v2:SingleValue",
        "display_name": f"Total variation distance: {name}",
        "metric_value_location": {"metric": {"metric_id": _id(histogram), "params": params}, "param": {}},
        "widget": [
            {
                "type": "counter",
                "title": "",
                "size": 2,
                "id": _id(histogram),
                "params": {"counters": [{"value": name, "label": words}]},
                "linked_metrics": [_id(histogram)],
            }
        ],
        "tests": [],
        "value": histogram["distance"],
    }


def _id(histogram: Mapping[str, Any]) -> str:
    """The same in every run, so that runs are compared."""
    return hashlib.sha256("\n".join(histogram["columns"]).encode()).hexdigest()[:32]
