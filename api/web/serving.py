"""A file as an answer: streamed block by block, whole or one range of it (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from fastapi import Request
from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

from api.web.problems import WebError

BLOCK_BYTES = 1 << 18
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".yaml": "application/yaml",
    ".md": "text/markdown; charset=utf-8",
    ".html": "application/octet-stream",
}
"""By the end of a name. A report is a file to keep here, not a page of ours: browsers do not open it."""


class RangeError(WebError):
    """The range asked for lies outside the file."""

    code = "range"


def served(request: Request, name: str, size: int, stream: BinaryIO) -> Response:
    """A stream as an answer, closed at its end.

    Args:
        request: its `Range`, if there is one, of one range; several, or another unit, get the whole.
        name: of the file, in its bundle.
        size: in bytes.
        stream: open, seekable.

    Raises:
        RangeError: no byte of the file is in the range.
    """
    kept = re.sub(r"[^A-Za-z0-9._-]", "-", name)
    headers = {"Accept-Ranges": "bytes", "Content-Disposition": f'attachment; filename="{kept}"'}
    first, last, status = 0, size - 1, 200
    asked = RANGE.fullmatch(request.headers.get("range", ""))
    if asked is not None and any(asked.groups()):
        try:
            first, last = _within(asked[1], asked[2], size)
        except RangeError:
            stream.close()
            raise
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        status = 206
    headers["Content-Length"] = str(last - first + 1)
    media_type = TYPES.get(name[name.rfind(".") :], "application/octet-stream")
    stream.seek(first)
    blocks = _blocks(stream, last - first + 1)
    return StreamingResponse(blocks, status, headers, media_type, BackgroundTask(stream.close))


def _within(start: str, end: str, size: int) -> tuple[int, int]:
    """First and last byte of a range as it was asked for."""
    first = int(start) if start else max(0, size - int(end))
    last = min(int(end), size - 1) if start and end else size - 1
    if first > last:
        error = RangeError(
            "The range lies outside the file.",
            why=f"The file has {size:,} bytes.",
            fix="Ask for a range within it, or for the whole.",
        )
        error.headers = {"Content-Range": f"bytes */{size}"}
        raise error
    return first, last


def _blocks(stream: BinaryIO, n_bytes: int) -> Iterator[bytes]:
    with stream:
        while n_bytes > 0 and (block := stream.read(min(BLOCK_BYTES, n_bytes))):
            n_bytes -= len(block)
            yield block
