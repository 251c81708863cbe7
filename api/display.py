"""What the command line shows: words on standard error while it works, the answer on standard output."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

from privacy.errors import ReleaseError

OUT = Console(highlight=False, soft_wrap=True)
ERR = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A function that is told every step: a spinner on a terminal, one line a step elsewhere, nothing when quiet."""
    if quiet:
        yield lambda _: None
    elif ERR.is_terminal:
        with ERR.status("starting") as status:
            yield lambda step: status.update(f"{step} ...")
    else:
        yield lambda step: ERR.print(f"{step} ...", style="dim")


def answer(facts: Mapping[str, Any], *, as_json: bool, show: Callable[[], None]) -> None:
    """Print an answer: as one JSON object, or for people."""
    if as_json:
        OUT.print_json(json.dumps(_plain(facts), default=str, allow_nan=False))
    else:
        show()


def say(text: str) -> None:
    """One line for whoever watches."""
    ERR.print(text, markup=False)


def grid(title: str, headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A small table."""
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    OUT.print(table)


def refusal(error: ReleaseError, *, as_json: bool) -> None:
    """One clear message: what, why, how to fix."""
    if as_json:
        facts = {"error": error.code, "title": error.title, "what": error.what, "why": error.why, "fix": error.fix}
        OUT.print_json(json.dumps(facts))
    ERR.print(f"{error.title}.", style="bold red")
    ERR.print(f"  {error.what}", markup=False)
    ERR.print(f"  Why: {error.why}", markup=False)
    ERR.print(f"  Fix: {error.fix}", markup=False)


def defect(error: Exception, *, as_json: bool) -> None:
    """Something nobody foresaw: its class and no text of it, since the text may quote a cell."""
    what = f"Something failed that should not ({type(error).__name__})."
    why = "This is a defect of the program, not of the request."
    fix = "Set TABLEGATE_TRACE=1 to see where; the trace may quote cells, so keep it inside."
    if as_json:
        OUT.print_json(json.dumps({"error": "defect", "title": "Defect", "what": what, "why": why, "fix": fix}))
    ERR.print(what, style="bold red")
    ERR.print(f"  Why: {why}", markup=False)
    ERR.print(f"  Fix: {fix}", markup=False)


def _plain(value: Any) -> Any:
    """The same without infinities and NaN, which JSON does not have: they become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
