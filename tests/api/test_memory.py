"""A run that is not expected to fit is refused before it is charged, with what would help."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from api.recipe import Recipe, place
from privacy.errors import RequestError
from privacy.rows import HELD_BYTES
from synthesizers.size import rows_memory
from tests.end_to_end.scene import OPEN, scene
from tests.tables import mixed_schema, person_schema


def asked(folder: Path) -> Recipe:
    return scene(folder, OPEN)[0]


def test_too_many_rows_are_refused_before_the_charge(tmp_path: Path) -> None:
    recipe = replace(asked(tmp_path), rows=40_000_000, memory=8_000_000_000)
    with pytest.raises(RequestError, match=r"for 40,000,000 synthetic rows; 8\.0 GB are allowed") as caught:
        place(recipe)
    assert "--rows" in caught.value.fix
    assert not (tmp_path / "ledger.db").exists()


def test_a_run_that_fits_is_placed(tmp_path: Path) -> None:
    assert place(replace(asked(tmp_path), memory=2_000_000_000)).plan.estimate.memory_bytes < 2e9


def test_rows_that_are_not_held_take_next_to_nothing() -> None:
    """Twenty bytes a row past what is held; people's identifiers more."""
    schema = mixed_schema()
    ten, twenty = (rows_memory(schema, n) for n in (10_000_000, 20_000_000))
    assert twenty - ten == 20 * 10_000_000
    assert ten < 4 * HELD_BYTES + 21 * 10_000_000
    assert rows_memory(person_schema(), 10_000_000) > ten + 10**9
