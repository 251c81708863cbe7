"""The registry's synthesizers with the length of training cut, for what runs them thousands of times.

Lengths are public hyper-parameters; every step is the one a long training takes, at the noise its own plan calibrates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from synthesizers.neural.dp_ctgan import DPCTGAN
from synthesizers.neural.pate_gan import PATEGAN
from synthesizers.neural.warm_start import WarmStartMethod
from synthesizers.protocol import Synthesizer
from synthesizers.registry import GENERATORS
from synthesizers.structured import Structured


def short(generator: Synthesizer, pretraining_steps: int = 3) -> Synthesizer:
    """A generator as it is, or with fewer and smaller steps."""
    start = WarmStartMethod(hidden=16, tilt_rows=200, device="cpu", pretraining_steps=pretraining_steps)
    match generator:
        case DPCTGAN():
            return replace(generator, start=start, steps=20, critic_hidden=4)
        case PATEGAN():
            votes = replace(generator, start=start, max_teachers=20, rounds=4, labels=40)
            return replace(votes, generator_steps=1, student_hidden=4, student_steps=3)
        case _:
            return generator


SHORT: Mapping[str, Synthesizer] = {generator.name: Structured(short(generator)) for generator in GENERATORS}
