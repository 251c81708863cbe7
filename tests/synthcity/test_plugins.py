"""Our generators among synthcity's plugins: `make test-synthcity`, in an environment of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("synthcity")

from synthcity.benchmark import Benchmarks
from synthcity.plugins import Plugins
from synthcity.plugins.core.constraints import Constraints
from synthcity.plugins.core.dataloader import GenericDataLoader

from api.home import Home
from api.integrations.frames import frame_of, read_frame
from api.integrations.synthcity_plugins import register
from privacy.schema_file import load_schema
from synthesizers.registry import SYNTHESIZERS
from tests.tables import MIXED_DOCUMENT, population

ROWS = frame_of(population(1_500, 1))


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(MIXED_DOCUMENT))
    return path


def test_every_generator_is_a_plugin() -> None:
    names = {f"tablegate_{name.replace('-', '_')}" for name in SYNTHESIZERS}
    assert set(register()) == names
    assert names <= set(Plugins().list())


def test_a_plugin_draws_rows_of_the_schema_and_is_charged(schema: Path, tmp_path: Path) -> None:
    register()
    ledger = tmp_path / "ledger.db"
    plugin = Plugins().get("tablegate_aim", schema=str(schema), epsilon=1.0, delta=1e-6, ledger=str(ledger))
    plugin.fit(GenericDataLoader(ROWS, target_column="approved"))
    drawn = plugin.generate(300).dataframe()
    assert list(drawn.columns) == list(ROWS.columns)
    assert len(read_frame(drawn, load_schema(schema))) == 300
    assert 0.9 < len(plugin.generate()) / len(ROWS) < 1.1
    assert len(plugin.generate()) != len(ROWS)  # the measured number of rows, not the exact one
    assert plugin.data_info["len"] != len(ROWS)
    assert plugin.schema().domain["income"].max() != ROWS["income"].max()
    again = [plugin.generate(50, random_state=3).dataframe() for _ in range(2)]
    assert again[0].equals(again[1])
    old = plugin.generate(300, constraints=Constraints(rules=[("age", ">=", 60)])).dataframe()
    assert 0 < len(old) < 300
    assert (old["age"] >= 60).all()
    book = Home(ledger).ledger
    assert book.total("made-up-survey") == pytest.approx(1.0, rel=1e-6)
    assert "tablegate" in plugin.name()


def test_its_benchmarks_run_on_ours(schema: Path, tmp_path: Path) -> None:
    register()
    ours = {"schema": str(schema), "epsilon": 1.0, "delta": 1e-6, "ledger": str(tmp_path / "ledger.db")}
    scores = Benchmarks.evaluate(
        [("ours", "tablegate_mst", ours), ("noise", "uniform_sampler", {})],
        GenericDataLoader(ROWS.assign(joined=ROWS["joined"].astype(str), waist_ratio=ROWS["waist_ratio"].fillna(0.5))),
        metrics={"stats": ["jensenshannon_dist"]},
        repeats=1,
        synthetic_cache=False,
        use_metric_cache=False,
        workspace=tmp_path / "workspace",
    )
    found = {name: float(table["mean"]["stats.jensenshannon_dist.marginal"]) for name, table in scores.items()}
    assert found["ours"] < found["noise"] / 2
