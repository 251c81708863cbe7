"""The secret coins of one release: which rows of a person are kept, and which units train, control or stand by.

They fall again the same way for whoever holds their key, so that further rows of a model can be held against the very
rows it was not fitted to. The key stays in the internal half. With the table it tells who trained, without it nothing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from audits.assignment import Design, Parts, Places, assign, places_of
from privacy.files import TableFile
from privacy.noise import NoiseSource, keyed_noise
from privacy.table import Table, UnitNumbers
from privacy.unit import PrivacyUnit


@dataclass(frozen=True, slots=True)
class Coins:
    """A key of 32 bytes, used once."""

    key: bytes

    def parts(self, table: Table, design: Design) -> Parts:
        """Bound every person's rows and assign every unit: the same parts for the same rows in the same order."""
        noise = keyed_noise(self.key)
        return assign(table.bounded(noise), design, noise)

    def places(self, units: UnitNumbers, unit: PrivacyUnit, design: Design) -> tuple[Places, NoiseSource]:
        """The same for the rows of a file that is not held: what becomes of each, and the coins still to be thrown."""
        noise = keyed_noise(self.key)
        return places_of(units, unit, design, noise), noise

    def to_bytes(self, table: TableFile) -> bytes:
        """The coins, and the file they were thrown for: by its place and its digest."""
        written = {"key": self.key.hex(), "table": place_of(table), "sha256": file_digest(table)}
        return json.dumps(written, sort_keys=True).encode()


def fresh_coins(noise: NoiseSource) -> Coins:
    """Coins nobody can know."""
    return Coins(noise.words(4).tobytes())


def place_of(table: TableFile) -> str:
    """Where a table is: its path, or its name where it is held elsewhere."""
    return str(table.absolute()) if isinstance(table, Path) else table.name


def file_digest(table: TableFile) -> str:
    """SHA-256 of a file as it lies there, in hex."""
    state = hashlib.sha256()
    with table.open("rb") if isinstance(table, Path) else table.open() as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()
