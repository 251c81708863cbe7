"""The first signal asks, the second ends, and a run that was asked ends between two steps with its own error."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api import commands
from api.cli import app
from api.steps import Steps, StoppedError
from api.stopping import ASKING, stoppable
from tests.end_to_end.scene import OPEN, POPULATION, kinds, scene


@pytest.mark.parametrize("number", ASKING)
def test_the_first_signal_asks_and_the_next_is_what_it_was(number: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in ASKING]
    with stoppable() as asked:
        assert not asked()
        os.kill(os.getpid(), number)
        assert asked()
        assert [signal.getsignal(one) for one in ASKING] == before
    assert [signal.getsignal(one) for one in ASKING] == before


def test_handlers_are_put_back_when_nobody_asked() -> None:
    before = [signal.getsignal(one) for one in ASKING]
    with pytest.raises(KeyError), stoppable():
        raise KeyError
    assert [signal.getsignal(one) for one in ASKING] == before


def test_a_run_ends_at_the_step_after_it_was_asked() -> None:
    told: list[str] = []
    steps = Steps(told.append, lambda: len(told) == 2)
    steps("one")
    steps("one")
    steps("two")
    with pytest.raises(StoppedError):
        steps("two")
    assert told == ["one", "two"]


def test_control_c_in_a_release_has_an_error_and_a_code_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real signal while the table is read: exit code 1, the charge stands, no bundle."""
    recipe, home = scene(tmp_path, OPEN)

    @contextmanager
    def interrupting(*, quiet: bool) -> Iterator[Callable[[str], None]]:
        assert quiet
        yield lambda step: os.kill(os.getpid(), signal.SIGINT) if step == "reading the table" else None

    monkeypatch.setattr(commands, "progress", interrupting)
    words = ["release", str(recipe.table), "--schema", str(recipe.schema), "--synthesizer", "independent", "--epsilon",
             "1", "--delta", "1e-6", "--policy", recipe.policy, "--out", str(recipe.out), "--ledger", str(home.path),
             "--json"]  # fmt: skip
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 1
    assert json.loads(ended.stdout)["error"] == "stopped"
    assert not recipe.out.exists()
    found = kinds(home)
    assert (found["charge"], found["opened"], found["verdict"]) == (1, 1, 0)
    assert home.ledger.total(POPULATION) > 0.9
