"""The JSON of a ydata-profiling report as the start of a schema: the rows read by somebody else, the same draft.

A profile counts every value of every column, so that it says what a draft reads off a table: its bounds and lists are
`observed` all the same, since they came from the rows, and no release accepts them.

Source: ydata-profiling 4.18, `ProfileReport.to_json`.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from privacy.draft import draft_counts
from privacy.errors import SchemaError

COUNTS = "value_counts_without_nan"


def draft_profile(path: Path) -> dict[str, Any]:
    """A schema document with every bound and list `observed`. Raises SchemaError for what is not such a profile."""
    try:
        profile = json.loads(path.read_text(encoding="utf-8"))
        n_rows = int(profile["table"]["n"])
        seen = {
            str(name): Counter({str(text).strip(): int(n) for text, n in about.get(COUNTS, {}).items()})
            for name, about in profile["variables"].items()
        }
        if not seen:
            raise ValueError("a table has columns")
    except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:
        raise SchemaError(
            f"'{path.name}' is not the JSON of a profile.",
            why="A draft counts the values of every column, which it has under `variables`.",
            fix="Write one with `ProfileReport(frame).to_file('profile.json')`, or draft from the table itself.",
        ) from error
    return draft_counts(path.name.split(".")[0], n_rows, seen)
