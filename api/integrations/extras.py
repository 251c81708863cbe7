"""Libraries that are asked for and may not be installed."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec

from privacy.errors import RequestError

DISTRIBUTIONS = {
    "synthcity": "schneiderkamplab-synthcity",
    "sdmetrics": "sdmetrics",
    "evidently": "evidently",
    "mlflow": "mlflow-skinny",
}
"""Where a module comes from; its extra has the module's name."""


def require(module: str) -> None:
    """Refuse to go on without an extra's library. Raises RequestError."""
    if find_spec(module) is None:
        raise RequestError(
            f"{module} is not installed.",
            why="It is an extra: large, and not needed otherwise.",
            fix=f"pip install 'tablegate[{module}]' into this environment.",
        )


def release_of(module: str) -> str:
    """Name and version of an installed extra's library."""
    return f"{DISTRIBUTIONS[module]} {version(DISTRIBUTIONS[module])}"
