"""All descriptions of a released table, by file name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from audits.standards.crate import METADATA, crate
from audits.standards.croissant import croissant
from audits.standards.datasheet import datasheet
from audits.standards.described import Described, facts_of
from audits.standards.disclosure import disclosure
from audits.standards.frictionless import datapackage

WRITERS: Mapping[str, Callable[[Described], bytes]] = {
    "croissant.json": croissant,
    "datapackage.json": datapackage,
    "dp-disclosure.yaml": disclosure,
    "DATASHEET.md": datasheet,
}
NAMES = frozenset(WRITERS) | {METADATA}
"""The files that come with a released table."""


def describe(described: Described) -> dict[str, bytes]:
    """Every description, by file name; the crate is made last, since it lists the others."""
    files = {name: write(described) for name, write in WRITERS.items()}
    files[METADATA] = crate(replace(described, files={**described.files, **facts_of(files)}))
    return files
