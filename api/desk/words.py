"""Texts people give: long enough to say something, short enough to keep, and printable."""

from __future__ import annotations

from privacy.errors import RequestError

LONGEST = 2000
LONGEST_TITLE = 200


def sentence(text: str, what: str, longest: int = LONGEST) -> str:
    """A text somebody gives, without the space around it. Raises RequestError."""
    text = text.strip()
    if not 0 < len(text) <= longest or not all(c.isprintable() or c in "\n\t" for c in text):
        raise RequestError(
            f"The {what} is not a text of 1 to {longest} printable characters.",
            why="Whoever reads the record later must see what was meant.",
            fix="Say it in a sentence.",
        )
    return text
