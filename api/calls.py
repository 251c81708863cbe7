"""What an answer of the service means to a program: its refusals as errors, its events as they come."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2

from privacy.errors import ReleaseError


class ServiceError(ReleaseError):
    """The service refused; `status` is that of HTTP, 0 where no answer came, and `kind` the problem's code."""

    code = "service"
    title = "The service refused"

    def __init__(self, what: str, *, why: str, fix: str, status: int = 0, kind: str = "") -> None:
        super().__init__(what, why=why, fix=fix)
        self.status = status
        self.kind = kind


def check(answer: httpx2.Response) -> None:
    """Raises ServiceError for a refusal."""
    if answer.is_success:
        return
    answer.read()
    try:
        problem = json.loads(answer.content)
        words = {name: str(problem[name]) for name in ("what", "why", "fix", "type")}
    except (ValueError, KeyError, TypeError):
        words = {
            "what": f"The answer was HTTP {answer.status_code}, and no explanation.",
            "why": "It may come from something in between.",
            "fix": "Check the address.",
            "type": "",
        }
    kind = words.pop("type").rpartition("/")[2]
    raise ServiceError(words.pop("what"), **words, status=answer.status_code, kind=kind)


def events(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Kind and data of every server-sent event."""
    kind = data = ""
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            data += value
        elif not line and data:
            yield kind, data
            kind = data = ""
