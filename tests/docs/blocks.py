"""Code blocks of the documentation, as they stand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
FENCE = re.compile(r"^```(\w*)[ ]?([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its page, language, title and text."""

    page: str
    language: str
    title: str
    text: str
    line: int

    @property
    def commands(self) -> list[list[str]]:
        """Lines of a shell block as words, continued lines joined and comments left out."""
        joined = self.text.replace("\\\n", " ").splitlines()
        return [words for words in (shlex.split(line, comments=True) for line in joined) if words]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*pages: Path) -> Iterator[Block]:
    """Every block of some pages, in order; of all where none is named."""
    for page in pages or PAGES:
        text = page.read_text(encoding="utf-8")
        for found in FENCE.finditer(text):
            language, words, body = found.groups()
            title = re.search(r'title="([^"]+)"', words)
            yield Block(
                page.relative_to(DOCS).as_posix(),
                language,
                title.group(1) if title else "",
                body,
                text.count("\n", 0, found.start()) + 1,
            )
