"""The report on paper: the page of `audits.release.report` as one PDF, for files of record.

The page is the source and has its own rules for print, so paper shows what the page shows. WeasyPrint (extra `pdf`)
sets it: no browser, no clock, no random number, hence equal pages give equal bytes where the library HarfBuzz-Subset is
at hand; without it fonts are cut by fontTools, and bytes differ. A page may come from somebody
else's bundle; whatever it asks to be fetched, from a disk or a network, is refused.
"""

from __future__ import annotations

from privacy.errors import RequestError


def on_paper(page: str) -> bytes:
    """A report as PDF, tagged for screen readers (PDF/UA-1).

    Args:
        page: HTML of a report.

    Raises:
        RequestError: WeasyPrint, or the text library it needs, is not installed.
    """
    try:
        from weasyprint import HTML
        from weasyprint.urls import URLFetcher
    except (ImportError, OSError) as error:
        raise RequestError(
            "A report cannot be printed here.",
            why="WeasyPrint or the text library Pango, which it needs, is not installed.",
            fix="Install the extra, tablegate[pdf], Pango and HarfBuzz (Debian: libpango-1.0-0, libpangoft2-1.0-0, "
            "libharfbuzz-subset0).",
        ) from error
    printed: bytes = HTML(string=page, url_fetcher=URLFetcher(allowed_protocols=())).write_pdf(pdf_variant="pdf/ua-1")
    return printed
