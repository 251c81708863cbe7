"""What a schema says of publishing: read as written, and refused where it cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest

from privacy.errors import SchemaError
from privacy.publication import License, Publication, publication_of
from privacy.schema_file import parse_schema
from tests.tables import MIXED_DOCUMENT


def test_nothing_need_be_said() -> None:
    assert publication_of({}) == Publication()


def test_what_is_said_is_kept() -> None:
    said = publication_of(
        {
            "publication": {"curator": "An  office\n", "curator_type": "Nonprofit", "sector": "Energy"},
            "licenses": [{"name": "CC0-1.0"}, {"path": "https://example.org/terms"}],
            "keywords": ["survey", 2024],
            "homepage": "https://example.org",
        }
    )
    assert said == Publication(
        curator="An office",
        curator_type="Nonprofit",
        sector="Energy",
        licenses=(License(name="CC0-1.0", path=""), License(name="", path="https://example.org/terms")),
        keywords=("survey", "2024"),
        homepage="https://example.org",
    )


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ({"publication": []}, "`publication`"),
        ({"publication": {"curater": "x"}}, "curater"),
        ({"publication": {"curator": 7}}, "publication.curator"),
        ({"publication": {"curator_type": "Club"}}, "Government, Industry, Nonprofit"),
        ({"publication": {"sector": "Fishing"}}, "publication.sector"),
        ({"licenses": "CC0"}, "`licenses`"),
        ({"licenses": [{"title": "free"}]}, "neither `name` nor `path`"),
        ({"licenses": [{"url": "x"}]}, "url"),
        ({"keywords": "survey"}, "`keywords`"),
        ({"homepage": 1}, "`homepage`"),
    ],
)
def test_a_mistake_is_refused_with_the_schema(written: dict[str, Any], names: str) -> None:
    with pytest.raises(SchemaError) as refused:
        parse_schema({**MIXED_DOCUMENT, **written})
    assert names in str(refused.value)
    assert refused.value.fix


def test_it_changes_the_digest_and_nothing_else() -> None:
    one, other = parse_schema(MIXED_DOCUMENT), parse_schema({**MIXED_DOCUMENT, "keywords": ["survey"]})
    assert one.digest != other.digest
    assert one.columns == other.columns
