"""The report on paper says what the page says, and fetches nothing."""

from __future__ import annotations

import io

import pypdf
import pytest

from audits.finding import Audience
from audits.release.gate import Verdict
from audits.release.paper import on_paper
from audits.release.report import render_report
from audits.release.scorecard import render
from tests.audits.release.made_up import card

INTERNAL_ONLY = ("Privacy checks", "Every blocking check", "INTERNAL")


def printed(audience: Audience) -> bytes:
    return on_paper(render_report(render(card(Verdict.PASS), audience), None))


def words(document: bytes) -> str:
    """Text of all pages, white space evened out."""
    pages = pypdf.PdfReader(io.BytesIO(document)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


@pytest.fixture(scope="module")
def recipient() -> bytes:
    return printed(Audience.RECIPIENT)


def test_paper_says_what_the_page_says(recipient: bytes) -> None:
    told = words(recipient)
    for heading in (
        "Released",
        "What is guaranteed",
        "Not covered by epsilon",
        "What was asked",
        "What was not tested",
    ):
        assert heading in told
    assert "1 of " in told
    assert not any(heading in told for heading in INTERNAL_ONLY)
    inside = words(printed(Audience.INTERNAL))
    assert all(heading in inside for heading in INTERNAL_ONLY)


def test_equal_pages_give_equal_bytes(recipient: bytes) -> None:
    assert printed(Audience.RECIPIENT) == recipient


def test_paper_can_be_read_aloud(recipient: bytes) -> None:
    root = pypdf.PdfReader(io.BytesIO(recipient)).trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en"
    assert "/StructTreeRoot" in root


def test_nothing_is_cut_off_at_the_right_edge() -> None:
    """Every character of the widest tables starts within the page."""
    for page in pypdf.PdfReader(io.BytesIO(printed(Audience.INTERNAL))).pages:
        found: list[float] = []

        def note(text: str, page_matrix, text_matrix, *_, found: list[float] = found) -> None:
            if text.strip():
                found.append(page_matrix[0] * text_matrix[4] + page_matrix[4])

        page.extract_text(visitor_text=note)
        assert max(found) < float(page.mediabox.width)


@pytest.mark.parametrize("asked", ["file:///etc/hostname", "http://127.0.0.1:9/picture.png"])
def test_a_page_that_wants_something_fetched_gets_nothing(asked: str, recipient: bytes) -> None:
    document = on_paper(f'<html lang="en"><title>x</title><img alt="x" src="{asked}"><p>text</p></html>')
    assert "/Image" not in str(pypdf.PdfReader(io.BytesIO(document)).pages[0].get("/Resources"))
    assert "text" in words(document)
