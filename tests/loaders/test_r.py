"""A released bundle in R: the recipes of docs/bundle.md, word by word, where R and their packages are installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from audits.release.bundle import Bundle, seal
from privacy.columns import LevelColumn
from tests.audits.release.made_up import contents, key, small, table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "bundle.md"
BY_PARQUET, BY_PACKAGE = re.findall(r"```r\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
TOLD = """
for (name in names(table)) {
  cells <- table[[name]]
  cat(name, nrow(table), sum(is.na(cells)), sum(as.numeric(cells), na.rm = TRUE), sep = "|", fill = TRUE)
}
"""
"""A line a column, after what the recipe itself prints."""

pytestmark = pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("r")
    return seal(folder / "bundle", small(contents()), synthetic=table(), key=key(folder), quarantine=None)


def _told(bundle: Bundle, recipe: str) -> str:
    told = subprocess.run(
        ["Rscript", "-e", recipe + TOLD], cwd=bundle.path.parent, capture_output=True, text=True, check=False
    )
    if missing := re.search(r"there is no package called .(\w+)", told.stderr):
        pytest.skip(f"R is here, without the package {missing[1]}")
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_arrow_reads_the_parquet_file(bundle: Bundle) -> None:
    assert f"age|{len(table())}|" in _told(bundle, BY_PARQUET)


def test_the_data_package_tells_r_what_every_cell_of_the_csv_is(bundle: Bundle) -> None:
    """Rows, missing cells and sums of every column are those of the table: a level counts as its place in the list."""
    lines = [line.split("|") for line in _told(bundle, BY_PACKAGE).splitlines() if line.count("|") == 3]
    told = {name: (int(n), int(missing), float(total)) for name, n, missing, total in lines}
    made = table()
    for column in made.schema.columns:
        if isinstance(column, LevelColumn):
            codes = made.codes(column.name)
            values = codes[codes < column.n_codes - 1] + 1.0
        else:
            values = made.numbers(column.name)[~np.isnan(made.numbers(column.name))]
        n, missing, total = told[column.name]
        assert (n, missing) == (len(made), len(made) - len(values)), column.name
        assert total == pytest.approx(values.sum(), rel=1e-5), column.name
