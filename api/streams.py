"""Named random streams for what is not privacy: sampling a model, splitting folds, breaking ties.

Adding an audit changes no other audit's draw, and order does not matter. The seed may be published: everything that
protects people comes from the `NoiseSource`.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from numpy.random import Generator, SeedSequence, default_rng


@dataclass(frozen=True, slots=True)
class Streams:
    """Independent generators by name, all from one publishable seed."""

    seed: int

    def __getitem__(self, name: str) -> Generator:
        """The stream of a name; the same name gives the same stream again."""
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        return default_rng(SeedSequence(self.seed, spawn_key=(key,)))


def fresh_seed() -> int:
    """A seed nobody chose."""
    return secrets.randbits(63)
