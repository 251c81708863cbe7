"""Name to synthesizer: joining this mapping joins the contract tests."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from synthesizers.errors import PlanError
from synthesizers.independent import Independent
from synthesizers.marginal.aim import AIM
from synthesizers.marginal.mst import MST
from synthesizers.neural.dp_ctgan import DPCTGAN
from synthesizers.neural.pate_gan import PATEGAN
from synthesizers.protocol import Synthesizer
from synthesizers.structured import Structured

GENERATORS: tuple[Synthesizer, ...] = (AIM(), MST(), DPCTGAN(), PATEGAN(), Independent())
SYNTHESIZERS: Mapping[str, Synthesizer] = {s.name: Structured(s) for s in GENERATORS}


def synthesizer(name: str, device: str = "auto") -> Synthesizer:
    """The named synthesizer, to run on "auto", "cpu", "cuda" or one of several, as "cuda:1".

    Raises PlanError for an unknown name, and for a GPU where the synthesizer has no use for one or there is none.
    """
    if name not in SYNTHESIZERS:
        raise PlanError(
            f"There is no synthesizer '{name}'.",
            why="A release names the generator its guarantee is stated for.",
            fix=f"Choose one of {', '.join(sorted(SYNTHESIZERS))}.",
        )
    if device == "auto":
        return SYNTHESIZERS[name]
    generator = next(generator for generator in GENERATORS if generator.name == name)
    if isinstance(generator, DPCTGAN | PATEGAN):
        return Structured(replace(generator, start=replace(generator.start, device=device)))
    if device != "cpu":
        raise PlanError(
            f"'{name}' does not run on a GPU.",
            why="It measures marginals and fits a graphical model, which a CPU does in seconds.",
            fix="Leave --device out, or choose dp-ctgan or pate-gan.",
        )
    return SYNTHESIZERS[name]


ROOT = Path(__file__).resolve().parent.parent
GUARANTEE = (
    *("cells", "columns", "conditions", "constraints", "cost", "enclosure", "filter", "mechanisms", "noise", "rows"),
    *("table", "transcript"),
)
"""Modules of `privacy` a generator's guarantee rests on."""


def sources_of(name: str) -> tuple[Path, ...]:
    """The sources a certificate of the named synthesizer vouches for."""
    guarantee = [ROOT / "privacy" / f"{module}.py" for module in GUARANTEE]
    shared = [ROOT / "synthesizers" / f"{module}.py" for module in ("structured", "domains", "bins", "discretize")]
    synthesizer(name)
    own = next(Path(inspect.getfile(type(generator))) for generator in GENERATORS if generator.name == name)
    methods = {Path(inspect.getfile(type(generator))) for generator in GENERATORS}
    # All generators measure marginals; a neural one is trained by its neighbours too.
    folders = dict.fromkeys((ROOT / "synthesizers" / "marginal", own.parent))
    engine = [p for folder in folders for p in sorted(folder.glob("*.py")) if folder != ROOT / "synthesizers"]
    return tuple(dict.fromkeys((*guarantee, *shared, *(p for p in engine if p not in methods), own)))
