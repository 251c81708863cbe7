"""A whole release of a real, sensitive table that ships inside a package: the `fair` survey of statsmodels."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from statsmodels.datasets import fair

SCHEMA = "fair.yaml"


def write_demo_table(folder: Path) -> tuple[Path, Path]:
    """Write the survey as CSV and its schema into a folder; returns both paths.

    The survey (Fair 1978, "A theory of extramarital affairs", 6,366 women who answered a magazine) is sensitive in
    earnest: marriage, religion, affairs.
    """
    frame = fair.load_pandas().data
    columns = [[_written(value) for value in frame[name]] for name in frame.columns]
    lines = [",".join(frame.columns), *(",".join(row) for row in zip(*columns, strict=True))]
    table, schema = folder / "fair.csv", folder / SCHEMA
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    schema.write_text(files("api.demo").joinpath(SCHEMA).read_text(encoding="utf-8"), encoding="utf-8")
    return table, schema


def _written(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
