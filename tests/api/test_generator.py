"""Our generators among scikit-learn's estimators: by its own `clone`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sklearn.base import clone

from api.home import Home
from api.integrations.frames import frame_of
from api.integrations.generator import Generator
from privacy.errors import BudgetExceededError, RequestError
from tests.integrations.page import furnish, run
from tests.tables import MIXED_DOCUMENT, population


def small(ledger: Path, **changed: Any) -> Generator:
    return Generator(MIXED_DOCUMENT, **{"synthesizer": "independent", "ledger": ledger, **changed})


def test_a_generator_is_an_estimator(tmp_path: Path) -> None:
    rows = frame_of(population(2_000, 1))
    generator = small(tmp_path / "ledger.db", random_state=1)
    copied = clone(generator)
    assert copied.get_params() == generator.get_params()
    assert copied.set_params(epsilon=2.0).epsilon == 2.0
    with pytest.raises(ValueError, match="no parameter"):
        generator.set_params(gamma=1)
    with pytest.raises(RequestError, match="Nothing was fitted"):
        generator.sample(5)
    assert generator.fit(rows) is generator
    drawn = generator.sample(400)
    assert list(drawn.columns) == list(rows.columns) == list(generator.feature_names_in_)
    assert abs(drawn["age"].mean() - rows["age"].mean()) < 5
    assert generator.sample(20, random_state=4).equals(generator.sample(20, random_state=4))
    assert not generator.sample(20).equals(generator.sample(20))
    assert not hasattr(clone(generator), "model_")
    assert Home(tmp_path / "ledger.db").ledger.total("made-up-survey") == pytest.approx(1.0, rel=1e-6)


def test_labels_apart_are_put_back(tmp_path: Path) -> None:
    rows = frame_of(population(500, 1))
    rows["region"] = rows["region"].astype("category")
    generator = small(tmp_path / "ledger.db").fit(rows.drop(columns=["approved"]), rows["approved"])
    assert hasattr(generator.sample(5)["joined"][0], "year")
    rows["joined"] = rows["joined"].astype(str)
    written = small(tmp_path / "other.db").fit(rows).sample(20)["joined"]
    assert written.str.fullmatch(r"\d{4}-\d\d-\d\d").all()
    assert set(generator.sample(50)["approved"]) <= {"true", "false"}


def test_cells_that_do_not_go_together_are_no_error(tmp_path: Path) -> None:
    """Arrow refuses such a column, and quotes a cell: they are read as in a CSV file, where they are missing."""
    rows = frame_of(population(500, 1))
    rows["age"] = rows["age"].astype(object)
    rows.loc[3, "age"], rows.loc[4, "age"] = "canary-cell-4711", b"canary"
    drawn = small(tmp_path / "ledger.db").fit(rows).sample(50)
    assert drawn["age"].between(0, 120).all()


def test_every_fit_is_paid_for(tmp_path: Path) -> None:
    tight = {**MIXED_DOCUMENT, "privacy": {**MIXED_DOCUMENT["privacy"], "cap": {"epsilon": 1.1, "delta": 1e-6}}}
    rows = frame_of(population(200, 1))
    generator = Generator(tight, synthesizer="independent", ledger=tmp_path / "ledger.db").fit(rows)
    with pytest.raises(BudgetExceededError):
        clone(generator).fit(rows)


def test_the_page_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    furnish(tmp_path)
    assert run("scikit-learn") > 0
