"""Which service the client commands talk to: from the environment, or from a file of the user's own."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_config_path

from privacy.errors import RequestError

URL, KEY = "TABLEGATE_URL", "TABLEGATE_KEY"


@dataclass(frozen=True, slots=True)
class Remote:
    """A service and a key to it."""

    url: str
    key: str = field(repr=False)


def remote() -> Remote:
    """The service to talk to. Raises RequestError where none is known."""
    kept = _kept()
    url, key = os.environ.get(URL) or kept.get("url", ""), os.environ.get(KEY) or kept.get("key", "")
    if not url or not key:
        raise RequestError(
            "No service is known, or no key to it.",
            why="This command asks a service that runs somewhere.",
            fix=f"Use `tablegate config set --url URL`, or set {URL} and {KEY}.",
        )
    return Remote(url.rstrip("/"), key)


def keep(url: str, key: str) -> Path:
    """Remember a service; the file is its owner's alone. Returns its place."""
    path = config_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"url": url, "key": key}, file)
    return path


def config_file() -> Path:
    """Where it is remembered."""
    return user_config_path("tablegate") / "client.json"


def _kept() -> dict[str, str]:
    try:
        kept = json.loads(config_file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RequestError(
            f"'{config_file().name}' cannot be read.",
            why="It says which service is meant.",
            fix="Write it anew with `tablegate config set`.",
        ) from error
    return {name: str(value) for name, value in kept.items()} if isinstance(kept, dict) else {}
