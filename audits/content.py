"""Content scan: does the table that would leave hold what no table should: personal data, free text, formulas?

Reads synthetic cells and column names alone. Levels come from a public list or were bought, so nothing here was copied
by the generator; what the scan finds was let in by the schema: an address in a list of levels, a column of names that
was declared a category, a cell that a spreadsheet would execute. A column named like an identifier asks for a person's
look and is no proof.

Numbers are scanned only by name: a synthetic number is drawn from a public range and identifies nobody by its digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from audits.errors import InconclusiveError
from audits.estimates import exact_finding
from audits.evidence import Evidence
from audits.finding import Finding
from privacy.columns import LevelColumn
from privacy.schema import Schema
from privacy.table import Table

NAMES = frozenset(
    "name surname firstname lastname forename fullname email mail phone telephone mobile fax ssn passport nin iban "
    "account license licence plate street address postcode zipcode dob birthdate birthday ip imei mrn url".split()
)
"""Words of a column's name that HIPAA's list of identifiers (45 CFR 164.514(b)(2)) suggests."""

MIN_TEXTS = 100
FREE_TEXT_WORDS = 4.0
DISTINCT_SHARE = 0.5
"""A column of at least 100 different texts reads as free text where they have four words on average, and as an
identifier where more than half of its cells differ."""


def _luhn(text: str) -> bool:
    digits = [int(c) for c in re.sub(r"[ -]", "", text)]
    doubled = [d if i % 2 == 0 else (2 * d - 9 if d > 4 else 2 * d) for i, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def _iban(text: str) -> bool:
    compact = text.replace(" ", "").upper()
    return int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1


def _octets(text: str) -> bool:
    return all(int(part) < 256 for part in text.split("."))


def _always(text: str) -> bool:
    return bool(text)


PATTERNS: Mapping[str, tuple[re.Pattern[str], Callable[[str], bool]]] = MappingProxyType(
    {
        "e-mail address": (re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+"), _always),
        "US social security number": (re.compile(r"(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}"), _always),
        "payment card": (re.compile(r"\d{4}([ -]?\d{4}){2}[ -]?\d{1,7}"), _luhn),
        "bank account (IBAN)": (re.compile(r"[A-Za-z]{2}\d{2}( ?[A-Za-z0-9]{4}){3,7}( ?[A-Za-z0-9]{1,3})?"), _iban),
        "network address": (re.compile(r"\d{1,3}(\.\d{1,3}){3}"), _octets),
        "telephone number": (
            re.compile(r"\+\d{1,3}[ .-]?\(?\d{1,4}\)?([ .-]?\d{2,4}){2,4}|(\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}"),
            _always,
        ),
    }
)
"""What a whole cell reads like, and the check of its digits where it has one."""

DATE = re.compile(r"\d{4}-\d{2}-\d{2}|\d{1,2}[.-]\d{1,2}[.-]\d{2,4}")
NUMBER = re.compile(r"[+-]?[\d.,]+([eE][+-]?\d+)?%?|[+-]")


@dataclass(frozen=True, slots=True)
class Content:
    """Columns of the synthetic table that read like something no release may hold."""

    name: ClassVar[str] = "content"
    title: ClassVar[str] = "Content scan"

    def run(self, evidence: Evidence, rng: Generator) -> tuple[Finding, ...]:  # noqa: ARG002
        """Count columns by kind of trouble, and name each.

        Raises:
            InconclusiveError: the synthetic table has no rows.
        """
        if not len(evidence.synthetic):
            raise InconclusiveError("the synthetic table has no rows")
        return tuple(_findings(evidence.synthetic, evidence.schema))


def personal(text: str) -> str:
    """What kind of personal data a cell reads like; empty for none."""
    if DATE.fullmatch(text):
        return ""
    return next((kind for kind, (pattern, check) in PATTERNS.items() if pattern.fullmatch(text) and check(text)), "")


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may execute a cell, full-width signs too (OWASP, "CSV injection"); no number is one."""
    return text[:1] in tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20") and not NUMBER.fullmatch(text)


def _findings(synthetic: Table, schema: Schema) -> Iterator[Finding]:
    texts = {c.name: _texts(synthetic, c) for c in schema.columns if isinstance(c, LevelColumn)}
    troubles = {
        "columns that read like personal data": [n for n, words in texts.items() if any(map(personal, words))],
        "columns of free text or identifiers": [n for n, words in texts.items() if _is_free(words, len(synthetic))],
        "columns with formula cells": [n for n in schema.names if any(map(is_formula, [n, *texts.get(n, [])]))],
        "columns named like an identifier": [n for n in schema.names if _words(n) & NAMES],
    }
    n = len(schema.columns)
    for trouble, columns in troubles.items():
        yield _finding(trouble, "", len(columns), n)
        yield from (_finding(trouble, column, 1, n) for column in columns)


def _texts(synthetic: Table, column: LevelColumn) -> list[str]:
    """The different texts of a column's cells, as they would be written."""
    words = column.decode(np.unique(synthetic.codes(column.name)).astype(np.int32))
    return [str(word).strip(" ") for word in words if word is not None]


def _is_free(texts: list[str], n_rows: int) -> bool:
    if len(texts) < MIN_TEXTS:
        return False
    return (
        sum(len(text.split()) for text in texts) >= FREE_TEXT_WORDS * len(texts) or len(texts) > DISTINCT_SHARE * n_rows
    )


def _words(name: str) -> set[str]:
    """Words of a column's name, whether joined by signs or by capitals."""
    return set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()))


def _finding(quantity: str, subject: str, count: int, n: int) -> Finding:
    return exact_finding(
        audit=Content.name, quantity=quantity, subject=subject, value=float(count), baseline=0.0, worse="higher", n=n
    )
