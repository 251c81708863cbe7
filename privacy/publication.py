"""What a schema file says of publishing: by whom, for what, under which licence. Public, optional, and checked here.

`licenses`, `keywords` and `homepage` are properties of a Frictionless Data Package; the object `publication` is ours:
`curator` and `curator_type`, `region`, `sector`, `intended_use` and `not_for`. Types and sectors are those that the
Differential Privacy Deployments Registry lists, so that a disclosure made of them is one it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from privacy.field_file import bad, only, texts_of

CURATOR_TYPES = ("Government", "Industry", "Nonprofit")
SECTORS = ("Technology", "Healthcare", "Education", "Government", "Energy", "Finance")
CHOICES = {"curator_type": CURATOR_TYPES, "sector": SECTORS}
WORDS = ("curator", "curator_type", "region", "sector", "intended_use", "not_for")
KEYS = frozenset({"licenses", "keywords", "homepage", "publication"})
"""Keys of a schema file that are read here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class License:
    """A licence: its short name (of the Open Definition or SPDX), its address, or both."""

    name: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """Who publishes, and for what. What nobody declared is empty.

    Attributes:
        curator: who publishes the table.
        curator_type: one of CURATOR_TYPES.
        region: what region the table is about.
        sector: one of SECTORS.
        intended_use, not_for: what it is meant for, and what it must not be used for.
        licenses: under which it is handed on.
        keywords: to find it by.
        homepage: its address.
    """

    curator: str = ""
    curator_type: str = ""
    region: str = ""
    sector: str = ""
    intended_use: str = ""
    not_for: str = ""
    licenses: tuple[License, ...] = ()
    keywords: tuple[str, ...] = ()
    homepage: str = ""


def publication_of(document: Mapping[str, Any]) -> Publication:
    """What a parsed schema file says of publishing. Raises SchemaError."""
    said = document.get("publication", {})
    if not isinstance(said, Mapping):
        raise bad("`publication` is not a mapping.", "Write `publication: {curator: ..., intended_use: ...}`.")
    only(said, set(WORDS), "`publication`")
    words = {name: _text(said.get(name, ""), f"publication.{name}") for name in WORDS}
    for name, choices in CHOICES.items():
        if words[name] and words[name] not in choices:
            raise bad(f"`publication.{name}` is none of {', '.join(choices)}.", "Choose one, or leave it out.")
    return Publication(
        **words,
        licenses=_licenses(document.get("licenses", [])),
        keywords=texts_of(document.get("keywords", []), "keywords"),
        homepage=_text(document.get("homepage", ""), "homepage"),
    )


def _licenses(written: Any) -> tuple[License, ...]:
    if not isinstance(written, list) or not all(isinstance(entry, Mapping) for entry in written):
        raise bad("`licenses` is not a list of mappings.", "Write `licenses: [{name: CC-BY-4.0, path: ...}]`.")
    found = []
    for entry in written:
        only(entry, {"name", "path", "title"}, "a licence")
        one = License(name=_text(entry.get("name", ""), "licenses"), path=_text(entry.get("path", ""), "licenses"))
        if not one.name and not one.path:
            raise bad("A licence has neither `name` nor `path`.", "Give one of them, or both.")
        found.append(one)
    return tuple(found)


def _text(written: Any, where: str) -> str:
    if not isinstance(written, str):
        raise bad(f"`{where}` is not a text.", "Write it in quotes, or leave it out.")
    return " ".join(written.split())
