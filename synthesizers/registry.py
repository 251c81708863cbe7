"""Name to synthesizer: joining this mapping joins the contract tests."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path

from synthesizers.errors import PlanError
from synthesizers.independent import Independent
from synthesizers.marginal.aim import AIM
from synthesizers.marginal.mst import MST
from synthesizers.protocol import Synthesizer
from synthesizers.structured import Structured

GENERATORS: tuple[Synthesizer, ...] = (AIM(), MST(), Independent())
SYNTHESIZERS: Mapping[str, Synthesizer] = {s.name: Structured(s) for s in GENERATORS}


def synthesizer(name: str) -> Synthesizer:
    """The named synthesizer. Raises PlanError for an unknown name."""
    if name not in SYNTHESIZERS:
        raise PlanError(
            f"There is no synthesizer '{name}'.",
            why="A release names the generator its guarantee is stated for.",
            fix=f"Choose one of {', '.join(sorted(SYNTHESIZERS))}.",
        )
    return SYNTHESIZERS[name]


ROOT = Path(__file__).resolve().parent.parent
GUARANTEE = ("columns", "conditions", "constraints", "cost", "enclosure", "filter", "mechanisms", "noise", "table")
"""Modules of `privacy` a generator's guarantee rests on."""


def sources_of(name: str) -> tuple[Path, ...]:
    """The sources a certificate of the named synthesizer vouches for."""
    guarantee = [ROOT / "privacy" / f"{module}.py" for module in GUARANTEE]
    shared = [ROOT / "synthesizers" / f"{module}.py" for module in ("structured", "domains", "discretize")]
    synthesizer(name)
    own = [Path(inspect.getfile(type(generator))) for generator in GENERATORS if generator.name == name]
    engine = [p for p in sorted((ROOT / "synthesizers" / "marginal").glob("*.py")) if p.stem not in SYNTHESIZERS]
    return tuple(dict.fromkeys((*guarantee, *shared, *engine, *own)))
