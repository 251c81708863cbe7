"""The tutorial, word by word: it ends with a released bundle, a report and a trained model."""

from __future__ import annotations

import json
import re

import pytest

from audits.release.verify import verify
from audits.standards.descriptions import NAMES
from tests.docs.conftest import Reader

pytestmark = pytest.mark.docs

MOST_SECONDS = 120.0
"""Of processor time, for a page that promises ten minutes on two cores; retries included."""


def test_a_newcomer_reaches_a_bundle_a_report_and_a_model(reader: Reader) -> None:
    bundle = reader.folder / "bundle"
    assert verify(bundle).ok
    assert (bundle / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert {path.name for path in bundle.iterdir()} >= NAMES
    assert "The tutorial's reader" in (bundle / "DATASHEET.md").read_text(encoding="utf-8")
    described = json.loads((bundle / "croissant.json").read_text(encoding="utf-8"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", described["datePublished"])
    told = "\n".join(reader.told)
    assert "RELEASED" in told
    assert re.search(r"learned from \d+ synthetic rows", told)
    found = re.search(r"AUC on the survey's women: (\d\.\d\d)", told)
    assert found is not None
    assert float(found.group(1)) > 0.6  # of a coin .5, of the same model trained on the rows themselves .74
    assert sum(reader.seconds) < MOST_SECONDS
    print(f"the tutorial took {sum(reader.seconds):.1f} s of processor time")  # noqa: T201 (shown by -s)


def test_no_block_ends_in_a_traceback(reader: Reader) -> None:
    assert [told for told in reader.told if "Traceback" in told] == []
